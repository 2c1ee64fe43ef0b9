//! Where the beam is: input status 1, computed from virtual time and the CRTC's own values.

use vmwb_hw::Nanos;

use super::{Vga, regs};

/// Slowest and fastest pictures that are believed, in Hz.
const BELIEVED_HZ: std::ops::RangeInclusive<u64> = 20..=240;

/// One picture as the beam draws it: dots of a line and lines of a picture, the displayed ones and with their blanking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Frame {
    dot_hz: u64,
    line_dots: u64,
    shown_dots: u64,
    lines: u64,
    shown_lines: u64,
    retrace_first: u64,
    retrace_lines: u64,
}

impl Frame {
    /// A picture of 60 Hz for registers that describe none, or that are not used (Bochs VBE modes).
    const ANY: Self = Self {
        dot_hz: 25_200_000,
        line_dots: 800,
        shown_dots: 640,
        lines: 525,
        shown_lines: 480,
        retrace_first: 490,
        retrace_lines: 2,
    };

    fn is_believed(&self) -> bool {
        let hz = self.dot_hz / (self.line_dots * self.lines).max(1);
        BELIEVED_HZ.contains(&hz) && self.retrace_first + self.retrace_lines <= self.lines
    }
}

impl Vga {
    fn frame(&self) -> Frame {
        let crtc = |at: usize| u64::from(self.crtc[at]);
        let overflow = crtc(regs::CRTC_OVERFLOW);
        // Bits 8 and 9 of a vertical value lie in the overflow register.
        let vertical = |at: usize, bit_8: u32, bit_9: u32| {
            crtc(at) | (overflow >> bit_8 & 1) << 8 | (overflow >> bit_9 & 1) << 9
        };
        let clocking = self.sequencer[regs::SEQ_CLOCKING];
        let dots = if clocking & regs::CLOCKING_8_DOTS != 0 {
            8
        } else {
            9
        };
        let clock = regs::DOT_CLOCKS_HZ[usize::from(self.misc >> regs::MISC_CLOCK_SHIFT & 3)];
        let half = u32::from(clocking & regs::CLOCKING_HALF != 0);
        let doubled = u32::from(self.crtc[regs::CRTC_MODE] & regs::MODE_HALF_LINES != 0);
        let retrace_first = vertical(regs::CRTC_RETRACE_START, 2, 7);
        // The retrace ends at the first line whose low four bits are those of the end register.
        let end = crtc(regs::CRTC_RETRACE_END);
        let retrace_lines = (end.wrapping_sub(retrace_first).wrapping_sub(1) & 0xF) + 1;
        let frame = Frame {
            dot_hz: clock >> half,
            line_dots: (crtc(regs::CRTC_TOTAL_X) + 5) * dots,
            shown_dots: (crtc(regs::CRTC_DISPLAY_END_X) + 1) * dots,
            lines: (vertical(regs::CRTC_TOTAL_Y, 0, 5) + 2) << doubled,
            shown_lines: (vertical(regs::CRTC_DISPLAY_END_Y, 1, 6) + 1) << doubled,
            retrace_first: retrace_first << doubled,
            retrace_lines: retrace_lines << doubled,
        };
        if self.dispi.is_enabled() || !frame.is_believed() {
            return Frame::ANY;
        }
        frame
    }

    /// Input status 1: displayed or blank, and the vertical retrace.
    pub(super) fn beam(&self, now: Nanos) -> u8 {
        let frame = self.frame();
        let dots = now.ticks(frame.dot_hz);
        let line = dots / frame.line_dots % frame.lines;
        let blank = line >= frame.shown_lines || dots % frame.line_dots >= frame.shown_dots;
        let retrace = line.wrapping_sub(frame.retrace_first) < frame.retrace_lines;
        let mut status = 0;
        if blank {
            status |= regs::STATUS_BLANK;
        }
        if retrace {
            status |= regs::STATUS_RETRACE;
        }
        status
    }
}
