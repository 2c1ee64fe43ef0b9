//! The PS/2 mouse on the controller's auxiliary port: the standard three-byte protocol with three buttons.

use std::collections::VecDeque;

use super::regs::device::{
    ACK, BAT_OK, DEFAULTS, DISABLE, ENABLE, IDENTIFY, RESEND, RESEND_PLEASE, RESET, SET_RATE,
};
use super::regs::mouse::{
    BUTTONS, DEFAULT_RATE, DEFAULT_RESOLUTION, IDENTITY, READ_DATA, REMOTE, REPORT_ALWAYS,
    REPORT_X_SIGN, REPORT_Y_SIGN, SCALE_1, SCALE_2, SET_RESOLUTION, STATUS, STATUS_ENABLED,
    STATUS_REMOTE, STATUS_SCALE_2, STREAM, WRAP, WRAP_END,
};

/// Most bytes that wait: four answers or reports.
pub(super) const MAX_QUEUE: usize = 16;
/// Bytes of a report.
const REPORT_BYTES: usize = 3;
/// Movement that waits to be reported stays within this, either way.
pub(super) const MAX_MOVEMENT: i32 = 4096;
/// Movement of one report, either way (9 bits, two's complement).
const MAX_STEP: i32 = 255;
/// First byte that is always a command.
const FIRST_COMMAND: u8 = 0xE6;

/// Mouse state: all of it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mouse {
    pub queue: VecDeque<u8>,
    pub last_sent: u8,
    /// Command whose parameter is expected.
    pub expects: Option<u8>,
    /// Movement not yet reported: to the right and up.
    pub dx: i32,
    pub dy: i32,
    pub buttons: u8,
    /// Buttons as last reported.
    pub reported_buttons: u8,
    pub resolution: u8,
    pub rate: u8,
    pub scale_2: bool,
    pub remote: bool,
    pub wrap: bool,
    pub enabled: bool,
}

impl Mouse {
    pub fn power_on() -> Self {
        Self {
            queue: VecDeque::with_capacity(MAX_QUEUE),
            last_sent: 0,
            expects: None,
            dx: 0,
            dy: 0,
            buttons: 0,
            reported_buttons: 0,
            resolution: DEFAULT_RESOLUTION,
            rate: DEFAULT_RATE,
            scale_2: false,
            remote: false,
            wrap: false,
            enabled: false,
        }
    }

    /// The mouse moves or a button changes. Y counts upwards.
    pub fn moved(&mut self, dx: i32, dy: i32, buttons: u8) {
        let clamp = |sum: i32| sum.clamp(-MAX_MOVEMENT, MAX_MOVEMENT);
        self.dx = clamp(self.dx.saturating_add(dx));
        self.dy = clamp(self.dy.saturating_add(dy));
        self.buttons = buttons & BUTTONS;
        let click = self.buttons != self.reported_buttons;
        // Movement waits for the last report to be read and adds up; a click is queued, so that a fast one counts.
        if self.streams() && (self.queue.is_empty() || click) {
            self.report();
        }
    }

    fn streams(&self) -> bool {
        self.enabled && !self.remote && !self.wrap
    }

    fn changed(&self) -> bool {
        self.dx != 0 || self.dy != 0 || self.buttons != self.reported_buttons
    }

    fn report(&mut self) {
        if self.queue.len() + REPORT_BYTES > MAX_QUEUE {
            return;
        }
        let step = |left: &mut i32| {
            let step = (*left).clamp(-MAX_STEP, MAX_STEP);
            *left -= step;
            step
        };
        let (x, y) = (step(&mut self.dx), step(&mut self.dy));
        let sign = |step: i32, bit: u8| if step < 0 { bit } else { 0 };
        let first = REPORT_ALWAYS | self.buttons | sign(x, REPORT_X_SIGN) | sign(y, REPORT_Y_SIGN);
        self.queue
            .extend([first, x.to_le_bytes()[0], y.to_le_bytes()[0]]);
        self.reported_buttons = self.buttons;
    }

    /// The next byte on the wire.
    pub fn send(&mut self) -> Option<u8> {
        if self.queue.is_empty() && self.streams() && self.changed() {
            self.report();
        }
        let byte = self.queue.pop_front()?;
        if byte != RESEND_PLEASE {
            self.last_sent = byte;
        }
        Some(byte)
    }

    /// A byte from the host.
    pub fn receive(&mut self, byte: u8) {
        // A command ends whatever was being sent.
        self.queue.clear();
        if self.wrap && byte != WRAP_END && byte != RESET {
            self.queue.push_back(byte);
            return;
        }
        match self.expects.take().filter(|_| byte < FIRST_COMMAND) {
            Some(command) => self.parameter(command, byte),
            None => self.command(byte),
        }
    }

    fn parameter(&mut self, command: u8, value: u8) {
        match command {
            SET_RESOLUTION => self.resolution = value & 3,
            _ => self.rate = value,
        }
        self.queue.push_back(ACK);
    }

    fn command(&mut self, byte: u8) {
        let reply = match byte {
            SCALE_1 | SCALE_2 | STATUS | STREAM | READ_DATA | WRAP_END | WRAP | REMOTE
            | IDENTIFY | ENABLE | DISABLE | DEFAULTS | RESET | SET_RESOLUTION | SET_RATE => ACK,
            RESEND => self.last_sent,
            _ => RESEND_PLEASE,
        };
        self.queue.push_back(reply);
        match byte {
            SCALE_1 | SCALE_2 => self.scale_2 = byte == SCALE_2,
            SET_RESOLUTION | SET_RATE => self.expects = Some(byte),
            STATUS => self
                .queue
                .extend([self.status(), self.resolution, self.rate]),
            STREAM | REMOTE => self.remote = byte == REMOTE,
            READ_DATA => self.report(),
            WRAP | WRAP_END => self.wrap = byte == WRAP,
            IDENTIFY => self.queue.push_back(IDENTITY),
            ENABLE | DISABLE => {
                self.enabled = byte == ENABLE;
                self.forget_movement();
            }
            DEFAULTS => self.defaults(),
            RESET => {
                self.defaults();
                self.queue.extend([BAT_OK, IDENTITY]);
            }
            _ => {}
        }
    }

    fn status(&self) -> u8 {
        // Left and right stand the other way round than in a report.
        let [left, right, middle] = [0, 1, 2].map(|n| (self.buttons >> n) & 1);
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        (left << 2 | middle << 1 | right)
            | bit(self.remote, STATUS_REMOTE)
            | bit(self.enabled, STATUS_ENABLED)
            | bit(self.scale_2, STATUS_SCALE_2)
    }

    fn forget_movement(&mut self) {
        (self.dx, self.dy) = (0, 0);
        self.reported_buttons = self.buttons;
    }

    fn defaults(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        let (last_sent, buttons) = (self.last_sent, self.buttons);
        *self = Self {
            queue,
            last_sent,
            buttons,
            reported_buttons: buttons,
            ..Self::power_on()
        };
    }
}
