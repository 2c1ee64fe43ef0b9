//! The AT keyboard behind the controller: scan code sets, commands, buffer.
//!
//! It sends set 2 unless told otherwise; translation is the controller's. Answers to commands go out before scan codes
//! that wait (PS/2 Technical Reference, "Keyboard", commands).
//!
//! The keyboard repeats a held key itself, at the rate that the guest has set; repeats of the host's own keyboard, which
//! come in as presses of a key that is down already, are dropped.

use std::collections::VecDeque;

use vmwb_hw::Nanos;

use super::regs::device::{
    ACK, BAT_OK, DEFAULTS, DISABLE, ENABLE, IDENTIFY, RESEND, RESEND_PLEASE, RESET, SET_RATE,
};
use super::regs::keyboard::{
    ALL_KEYS, ALL_KEYS_LAST, BUFFER_BYTES, ECHO, IDENTITY, LEDS, ONE_KEY, ONE_KEY_LAST, OVERRUN,
    OVERRUN_SET1, SCAN_SET, SET_LEDS,
};
use super::scancodes::{SYSRQ_SET1, set2, set3};

/// Longest answer in bytes, and so the most that wait: a new command drops what is left of the last answer.
pub(super) const MAX_REPLIES: usize = 4;
/// Typematic rate and delay at reset: 10.9 characters a second after 500 ms.
const DEFAULT_TYPEMATIC: u8 = 0x2B;
/// Prefix of extended keys.
const EXTENDED: u8 = 0xE0;
/// Prefix of a break in sets 2 and 3.
const BREAK: u8 = 0xF0;
/// Bit of a break in set 1.
const BREAK_SET1: u8 = 0x80;
/// The longest sequence of one key: Pause in set 2.
const MAX_SEQUENCE: usize = 8;

const PAUSE_SET1: [u8; 6] = [0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5];
const PAUSE_SET2: [u8; 8] = [0xE1, 0x14, 0x77, 0xE1, 0xF0, 0x14, 0xF0, 0x77];
const PAUSE_SET3: u8 = 0x62;

/// Codes of special keys as hosts name them.
const PRINT_SCREEN: u16 = 0xE037;
const BREAK_KEY: u16 = 0xE046;
const PAUSE_CODES: [u16; 3] = [BREAK_KEY, 0xE11D, 0xE145];

/// Bits of [`Keyboard::held`], and the keys that they stand for.
pub(super) const HELD_CTRL: u8 = 0x03;
pub(super) const HELD_SHIFT: u8 = 0x0C;
pub(super) const HELD_ALT: u8 = 0x30;
const MODIFIERS: [u16; 6] = [0x1D, 0xE01D, 0x2A, 0x36, 0x38, 0xE038];

/// Keyboard state: all of it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keyboard {
    /// Scan codes that wait; one more than the buffer when the overrun code is among them.
    pub scan: VecDeque<u8>,
    pub replies: VecDeque<u8>,
    pub last_sent: u8,
    /// Command whose parameter is expected.
    pub expects: Option<u8>,
    /// Scan code set, 1 to 3.
    pub set: u8,
    pub scanning: bool,
    pub leds: u8,
    pub typematic: u8,
    /// Modifier keys that are down, by their place in `MODIFIERS`.
    pub held: u8,
    /// Print Screen went down as SysRq.
    pub sysrq_down: bool,
    /// Keys that are down, by set 1 code: without and with the E0h prefix.
    pub down: [u128; 2],
    /// The key that repeats, and when next.
    pub repeat: Option<(u16, Nanos)>,
}

impl Keyboard {
    pub fn power_on() -> Self {
        Self {
            scan: VecDeque::with_capacity(BUFFER_BYTES + 1),
            replies: VecDeque::with_capacity(MAX_REPLIES),
            last_sent: 0,
            expects: None,
            set: 2,
            scanning: true,
            leds: 0,
            typematic: DEFAULT_TYPEMATIC,
            held: 0,
            sysrq_down: false,
            down: [0; 2],
            repeat: None,
        }
    }

    /// Whether the longest key sequence still has room.
    pub fn has_room(&self) -> bool {
        self.scan.len() + MAX_SEQUENCE <= BUFFER_BYTES
    }

    /// A key goes down or up. `code` is its set 1 make code, extended keys with E0h in the high byte.
    pub fn key(&mut self, now: Nanos, code: u16, down: bool) {
        if self.note_key(code, down) && down {
            return;
        }
        self.note_modifier(code, down);
        if !self.scanning {
            return;
        }
        self.note_repeat(now, code, down);
        let mut sequence = Vec::with_capacity(MAX_SEQUENCE);
        match code {
            PRINT_SCREEN if self.set != 3 => self.print_screen(down, &mut sequence),
            _ if PAUSE_CODES.contains(&code) => self.pause(down, &mut sequence),
            _ => self.plain(code, down, &mut sequence),
        }
        self.buffer(&sequence);
    }

    /// Notes the key's position. Says whether it was down before.
    fn note_key(&mut self, code: u16, down: bool) -> bool {
        let Some((bank, bit)) = key_bit(code) else {
            return false;
        };
        let was_down = self.down[bank] & bit != 0;
        if down {
            self.down[bank] |= bit;
        } else {
            self.down[bank] &= !bit;
        }
        was_down
    }

    /// The key pressed last repeats until it comes up; Pause never does.
    fn note_repeat(&mut self, now: Nanos, code: u16, down: bool) {
        if down {
            let repeats = key_bit(code).is_some() && !PAUSE_CODES.contains(&code);
            self.repeat = repeats.then(|| (code, now.plus(self.delay_ns())));
        } else if self.repeat.is_some_and(|(held, _)| held == code) {
            self.repeat = None;
        }
    }

    /// Time from the press of a key to its first repeat: 250 to 1,000 ms.
    fn delay_ns(&self) -> u64 {
        250_000_000 * (u64::from(self.typematic >> 5 & 3) + 1)
    }

    /// Time between two repeats: (8 + A) * 2^B * 4.17 ms.
    fn period_ns(&self) -> u64 {
        let (a, b) = (self.typematic & 7, self.typematic >> 3 & 3);
        (u64::from(8 + a) << b) * 4_170_000
    }

    /// When the held key is sent again.
    pub fn deadline(&self) -> Option<Nanos> {
        self.repeat.map(|(_, at)| at)
    }

    /// Sends the held key again if its time has come. A guest that does not read its bytes gets no more of them.
    pub fn repeat_due(&mut self, now: Nanos) {
        let Some((code, _)) = self.repeat.filter(|&(_, at)| at <= now) else {
            return;
        };
        self.repeat = Some((code, now.plus(self.period_ns())));
        if self.scan.is_empty() {
            let code = match code {
                PRINT_SCREEN if self.sysrq_down => u16::from(SYSRQ_SET1),
                code => code,
            };
            let mut sequence = Vec::with_capacity(MAX_SEQUENCE);
            self.plain(code, true, &mut sequence);
            self.buffer(&sequence);
        }
    }

    fn note_modifier(&mut self, code: u16, down: bool) {
        if let Some(n) = MODIFIERS.iter().position(|&m| m == code) {
            let bit = 1 << n;
            self.held = if down {
                self.held | bit
            } else {
                self.held & !bit
            };
        }
    }

    fn plain(&self, code: u16, down: bool, out: &mut Vec<u8>) {
        let [key, prefix] = code.to_le_bytes();
        let extended = prefix == EXTENDED;
        if (prefix != 0 && !extended) || key == 0 || key >= BREAK_SET1 {
            return;
        }
        let coded = match self.set {
            1 => Some(if down { key } else { key | BREAK_SET1 }),
            2 => set2(key),
            _ => set3(extended, key),
        };
        let Some(coded) = coded else { return };
        if extended && self.set != 3 {
            out.push(EXTENDED);
        }
        if !down && self.set != 1 {
            out.push(BREAK);
        }
        out.push(coded);
    }

    /// Print Screen comes with a Shift of its own, unless one is held; with Alt it is another key.
    fn print_screen(&mut self, down: bool, out: &mut Vec<u8>) {
        const FAKE_SHIFT: u16 = 0xE02A;
        if (down && self.held & HELD_ALT != 0) || (!down && self.sysrq_down) {
            self.sysrq_down = down;
            self.plain(u16::from(SYSRQ_SET1), down, out);
        } else if self.held & (HELD_CTRL | HELD_SHIFT) != 0 {
            self.plain(PRINT_SCREEN, down, out);
        } else {
            let order = if down {
                [FAKE_SHIFT, PRINT_SCREEN]
            } else {
                [PRINT_SCREEN, FAKE_SHIFT]
            };
            for code in order {
                self.plain(code, down, out);
            }
        }
    }

    /// Pause sends make and break at once when it goes down, and nothing when it comes up.
    fn pause(&self, down: bool, out: &mut Vec<u8>) {
        if !down {
            return;
        }
        match self.set {
            3 => out.push(PAUSE_SET3),
            _ if self.held & HELD_CTRL != 0 => {
                self.plain(BREAK_KEY, true, out);
                self.plain(BREAK_KEY, false, out);
            }
            1 => out.extend(PAUSE_SET1),
            _ => out.extend(PAUSE_SET2),
        }
    }

    /// A sequence that does not fit is lost as a whole; the first one leaves the overrun code.
    fn buffer(&mut self, sequence: &[u8]) {
        if self.scan.len() + sequence.len() <= BUFFER_BYTES {
            self.scan.extend(sequence);
            return;
        }
        let overrun = if self.set == 1 { OVERRUN_SET1 } else { OVERRUN };
        if self.scan.len() <= BUFFER_BYTES && self.scan.back() != Some(&overrun) {
            self.scan.push_back(overrun);
        }
    }

    /// The next byte on the wire.
    pub fn send(&mut self) -> Option<u8> {
        let byte = self.replies.pop_front().or_else(|| self.scan.pop_front())?;
        // Resend repeats what was sent last, but never itself.
        if byte != RESEND_PLEASE {
            self.last_sent = byte;
        }
        Some(byte)
    }

    /// A byte from the host.
    pub fn receive(&mut self, byte: u8) {
        self.replies.clear();
        // A command in place of a parameter starts anew.
        match self.expects.take().filter(|_| byte < SET_LEDS) {
            Some(command) => self.parameter(command, byte),
            None => self.command(byte),
        }
    }

    fn parameter(&mut self, command: u8, value: u8) {
        self.replies.push_back(ACK);
        match (command, value) {
            (SET_LEDS, _) => self.leds = value & LEDS,
            (SET_RATE, _) => self.typematic = value,
            (SCAN_SET, 0) => self.replies.push_back(self.set),
            (SCAN_SET, 1..=3) => {
                self.set = value;
                self.scan.clear();
            }
            (SCAN_SET, _) => self.replies = VecDeque::from([RESEND_PLEASE]),
            _ => {}
        }
    }

    fn command(&mut self, byte: u8) {
        let mut reply = ACK;
        match byte {
            SET_LEDS | SCAN_SET | SET_RATE | ONE_KEY..=ONE_KEY_LAST => self.expects = Some(byte),
            ECHO => reply = ECHO,
            ALL_KEYS..=ALL_KEYS_LAST | IDENTIFY | RESET => {}
            ENABLE => {
                self.scan.clear();
                self.scanning = true;
            }
            DISABLE | DEFAULTS => {
                self.defaults();
                self.scanning = byte == DEFAULTS;
                self.repeat = None;
            }
            RESEND => reply = self.last_sent,
            _ => reply = RESEND_PLEASE,
        }
        self.replies.push_back(reply);
        match byte {
            IDENTIFY => self.replies.extend(IDENTITY),
            RESET => {
                self.defaults();
                self.scanning = true;
                self.leds = 0;
                self.replies.push_back(BAT_OK);
            }
            _ => {}
        }
    }

    fn defaults(&mut self) {
        self.scan.clear();
        self.set = 2;
        self.typematic = DEFAULT_TYPEMATIC;
        self.sysrq_down = false;
    }
}

/// Where a key stands in [`Keyboard::down`]; `None` for codes that no key has.
pub(super) fn key_bit(code: u16) -> Option<(usize, u128)> {
    let [key, prefix] = code.to_le_bytes();
    let bank = match prefix {
        0 => 0,
        EXTENDED => 1,
        _ => return None,
    };
    (key < BREAK_SET1).then(|| (bank, 1 << key))
}
