//! The PS/2 mouse on the controller's auxiliary port: the standard three-byte protocol with three buttons, and after
//! its knocks the IntelliMouse's four bytes with a wheel and the Explorer's with five buttons.
//!
//! Movement adds up between reports, of which there are at most as many a second as the guest has asked for. A button
//! is reported at once, so that a fast click counts.

use std::collections::VecDeque;

use vmwb_hw::Nanos;

use super::regs::device::{
    ACK, BAT_OK, DEFAULTS, DISABLE, ENABLE, IDENTIFY, RESEND, RESEND_PLEASE, RESET, SET_RATE,
};
use super::regs::mouse::{
    ALL_BUTTONS, BUTTONS, DEFAULT_RATE, DEFAULT_RESOLUTION, EXPLORER, EXPLORER_KNOCK, IDENTITY,
    READ_DATA, REMOTE, REPORT_ALWAYS, REPORT_X_SIGN, REPORT_Y_SIGN, SCALE_1, SCALE_2,
    SET_RESOLUTION, STATUS, STATUS_ENABLED, STATUS_REMOTE, STATUS_SCALE_2, STREAM, WHEEL,
    WHEEL_KNOCK, WRAP, WRAP_END,
};

/// Most bytes that wait: four answers or reports.
pub(super) const MAX_QUEUE: usize = 16;
/// Bytes of the longest report.
const REPORT_BYTES: usize = 4;
/// Turns of the wheel that wait stay within this, either way.
pub(super) const MAX_WHEEL: i32 = 128;
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
    /// Identity: which protocol the guest has knocked for.
    pub identity: u8,
    /// The last three sample rates, oldest first.
    pub knock: [u8; 3],
    /// Turns of the wheel not yet reported, away from the user.
    pub wheel: i32,
    /// Before this time no movement is reported again.
    pub ready: Nanos,
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
            identity: IDENTITY,
            knock: [0; 3],
            wheel: 0,
            ready: Nanos(0),
        }
    }

    /// Buttons that the protocol in use can report.
    fn shown(&self, buttons: u8) -> u8 {
        buttons
            & if self.identity == EXPLORER {
                ALL_BUTTONS
            } else {
                BUTTONS
            }
    }

    /// The mouse moves, its wheel turns or a button changes. Y counts upwards, the wheel away from the user.
    pub fn moved(&mut self, now: Nanos, [dx, dy, wheel]: [i32; 3], buttons: u8) {
        let add = |sum: i32, step: i32, most: i32| sum.saturating_add(step).clamp(-most, most);
        self.dx = add(self.dx, dx, MAX_MOVEMENT);
        self.dy = add(self.dy, dy, MAX_MOVEMENT);
        if self.identity != IDENTITY {
            self.wheel = add(self.wheel, wheel, MAX_WHEEL);
        }
        self.buttons = buttons & ALL_BUTTONS;
        if self.streams() && self.clicked() {
            self.report(now);
        }
    }

    /// Sends a report even if nothing has changed, unless one is on its way: it tells a driver to look elsewhere.
    pub fn nudge(&mut self, now: Nanos) {
        if self.streams() && self.queue.is_empty() {
            self.report(now);
        }
    }

    fn streams(&self) -> bool {
        self.enabled && !self.remote && !self.wrap
    }

    fn clicked(&self) -> bool {
        self.shown(self.buttons) != self.shown(self.reported_buttons)
    }

    /// Something waits that would go out as soon as the rate allows.
    fn waits(&self) -> bool {
        let changed = self.dx != 0 || self.dy != 0 || self.wheel != 0 || self.clicked();
        self.queue.is_empty() && self.streams() && changed
    }

    /// When a report goes out that waits for nothing but the sample rate.
    pub fn deadline(&self, now: Nanos) -> Option<Nanos> {
        (self.waits() && self.ready > now).then_some(self.ready)
    }

    fn report(&mut self, now: Nanos) {
        if self.queue.len() + REPORT_BYTES > MAX_QUEUE {
            return;
        }
        let step = |left: &mut i32, most: i32| {
            let step = (*left).clamp(-most, most);
            *left -= step;
            step
        };
        let scaled = |step: i32| {
            if self.scale_2 && !self.remote {
                scale(step).clamp(-MAX_STEP, MAX_STEP)
            } else {
                step
            }
        };
        let (x, y) = (step(&mut self.dx, MAX_STEP), step(&mut self.dy, MAX_STEP));
        let (x, y) = (scaled(x), scaled(y));
        let sign = |step: i32, bit: u8| if step < 0 { bit } else { 0 };
        let first = REPORT_ALWAYS
            | self.buttons & BUTTONS
            | sign(x, REPORT_X_SIGN)
            | sign(y, REPORT_Y_SIGN);
        self.queue
            .extend([first, x.to_le_bytes()[0], y.to_le_bytes()[0]]);
        // On the wire the wheel counts towards the user.
        match self.identity {
            WHEEL => {
                let z = -step(&mut self.wheel, 127);
                self.queue.push_back(z.to_le_bytes()[0]);
            }
            EXPLORER => {
                let z = -step(&mut self.wheel, 7);
                let side_buttons = (self.buttons & !BUTTONS) << 1;
                self.queue
                    .push_back(z.to_le_bytes()[0] & 0x0F | side_buttons);
            }
            _ => {}
        }
        self.reported_buttons = self.buttons;
        self.ready = now.plus(1_000_000_000 / u64::from(self.rate.clamp(10, 200)));
    }

    /// The next byte on the wire.
    pub fn send(&mut self, now: Nanos) -> Option<u8> {
        if self.waits() && self.ready <= now {
            self.report(now);
        }
        let byte = self.queue.pop_front()?;
        if byte != RESEND_PLEASE {
            self.last_sent = byte;
        }
        Some(byte)
    }

    /// A byte from the host.
    pub fn receive(&mut self, now: Nanos, byte: u8) {
        // A command ends whatever was being sent.
        self.queue.clear();
        if self.wrap && byte != WRAP_END && byte != RESET {
            self.queue.push_back(byte);
            return;
        }
        match self.expects.take().filter(|_| byte < FIRST_COMMAND) {
            Some(command) => self.parameter(command, byte),
            None => self.command(now, byte),
        }
    }

    fn parameter(&mut self, command: u8, value: u8) {
        match command {
            SET_RESOLUTION => self.resolution = value & 3,
            _ => {
                self.rate = value;
                let [_, second, third] = self.knock;
                self.knock = [second, third, value];
                match self.knock {
                    WHEEL_KNOCK => self.identity = WHEEL,
                    EXPLORER_KNOCK => self.identity = EXPLORER,
                    _ => {}
                }
            }
        }
        self.queue.push_back(ACK);
    }

    fn command(&mut self, now: Nanos, byte: u8) {
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
            READ_DATA => self.report(now),
            WRAP | WRAP_END => self.wrap = byte == WRAP,
            IDENTIFY => self.queue.push_back(self.identity),
            ENABLE | DISABLE => {
                self.enabled = byte == ENABLE;
                self.forget_movement();
            }
            DEFAULTS => self.defaults(),
            RESET => {
                self.defaults();
                self.identity = IDENTITY;
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
        (self.dx, self.dy, self.wheel) = (0, 0, 0);
        self.reported_buttons = self.buttons;
    }

    fn defaults(&mut self) {
        let queue = std::mem::take(&mut self.queue);
        let (last_sent, buttons, identity) = (self.last_sent, self.buttons, self.identity);
        *self = Self {
            queue,
            last_sent,
            identity,
            buttons,
            reported_buttons: buttons,
            ..Self::power_on()
        };
    }
}

/// Scaling 2:1 of one step (PS/2 Technical Reference, "Mouse", scaling).
fn scale(step: i32) -> i32 {
    let scaled = match step.abs() {
        0 => 0,
        1 | 2 => 1,
        3 => 3,
        4 => 6,
        5 => 9,
        n => 2 * n,
    };
    scaled * step.signum()
}
