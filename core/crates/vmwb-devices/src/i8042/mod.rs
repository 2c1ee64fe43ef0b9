//! The keyboard controller, an 8042, with an AT keyboard and a PS/2 mouse. Source: IBM PS/2 Hardware Interface
//! Technical Reference (1988), "Keyboard and Auxiliary Device Controller".
//!
//! Owns both devices and the one-byte output buffer between them and the guest. A byte moves up when the guest has
//! taken the one before it, and raises its interrupt line anew. What a host key means is not decided here: keys come
//! in as set 1 make codes.
//!
//! ```text
//! keyboard (16 bytes) --translate--\
//! mouse (16 bytes) -----------------> output buffer --> port 60h, IRQ 1 or IRQ 12
//! answer of the controller ---------/   (goes in front)
//! ```
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | output buffer, input buffer | 0 | port 60h |
//! | status, command | 4 | port 64h |
//!
//! | Left out | Why |
//! |---|---|
//! | Time on the wires, parity and time-out errors | bytes arrive at once and whole; only a scan code waits for the one before it to have been read for a millisecond |
//! | Key types of set 3 (F7h to FDh) | accepted; every key makes and breaks |
//! | Shifts that cursor keys add with Num Lock | the E0h prefix says which key it is |
//! | Resolution of the mouse | kept in the status; the host's counts are passed on |
//! | Passwords | none is installed |
//!
//! | Threat | Answer |
//! |---|---|
//! | The host types faster than the guest reads | 16 bytes, then the overrun code; [`I8042::wants_keys`] tells the board to wait |
//! | Mouse floods | movement adds up to at most 4,096 counts; a report goes out when the last one was read, at the sample rate |
//! | A held key that nobody reads | repeats only into an empty buffer |
//! | Address line 20 closed while a driver runs | one state for port 92h and this controller, in the memory |
//! | Commands without end | answers are at most 4 bytes and replace each other; one displaced byte is kept |
//! | Restored queues and states | lengths and values are checked |

mod keyboard;
mod mouse;
pub mod regs;
mod scancodes;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{I8042V1, I8042V2, I8042V3, I8042V4, KeyboardV1, KeyboardV2, MouseV1, MouseV2};

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, PowerRequest, ResetKind,
    SnapshotError, Timed, TimerId,
};

use crate::bits::{byte_answer, low};
use keyboard::Keyboard;
use mouse::Mouse;
use regs::{
    DATA, INPUT_PORT, MODE_AUX_INT, MODE_AUX_OFF, MODE_KBD_INT, MODE_KBD_OFF, MODE_POWER_ON,
    MODE_SYS, MODE_TRANSLATE, OUTPUT_A20, OUTPUT_AUX_FULL, OUTPUT_IDLE, OUTPUT_KBD_FULL,
    OUTPUT_NO_RESET, SCAN_CODE_NS, STATUS_AUX, STATUS_COMMAND, STATUS_COMMAND_LAST, STATUS_OBF,
    STATUS_SYS, STATUS_UNLOCKED, TEST_INPUTS, command, device::ACK,
};

/// A byte for the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Output {
    byte: u8,
    /// From the mouse: IRQ 12, not IRQ 1.
    aux: bool,
}

/// Bytes of the controller's own memory; the first is the command byte.
const MEMORY_BYTES: usize = 32;

/// All that is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    memory: [u8; MEMORY_BYTES],
    output: Option<Output>,
    /// What a read of the empty buffer gives: the last byte.
    last: u8,
    /// A byte that an answer of the controller has taken the buffer from; it comes back when that is read.
    displaced: Option<Output>,
    /// Command whose data byte is expected at port 60h.
    expects: Option<u8>,
    command_last: bool,
    /// The keyboard's break prefix was swallowed; the next byte is a break.
    breaking: bool,
    /// Before this time no scan code is there: programs that hook IRQ 1 and call the handler before them read a byte twice.
    wire_free: Nanos,
    /// Levels of IRQ 1 and IRQ 12.
    lines: [bool; 2],
    keyboard: Keyboard,
    mouse: Mouse,
}

impl State {
    fn power_on() -> Self {
        let mut memory = [0; MEMORY_BYTES];
        memory[0] = MODE_POWER_ON;
        Self {
            memory,
            output: None,
            last: 0,
            displaced: None,
            expects: None,
            command_last: false,
            breaking: false,
            wire_free: Nanos(0),
            lines: [false; 2],
            keyboard: Keyboard::power_on(),
            mouse: Mouse::power_on(),
        }
    }

    fn mode(&self) -> u8 {
        self.memory[0]
    }

    fn set_mode(&mut self, bits: u8, on: bool) {
        self.memory[0] = if on {
            self.memory[0] | bits
        } else {
            self.memory[0] & !bits
        };
    }

    fn status(&self) -> u8 {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        STATUS_UNLOCKED
            | STATUS_SYS
            | bit(self.output.is_some(), STATUS_OBF)
            | bit(self.output.is_some_and(|o| o.aux), STATUS_AUX)
            | bit(self.command_last, STATUS_COMMAND_LAST)
    }

    fn output_port(&self, a20: bool) -> u8 {
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        OUTPUT_IDLE
            | OUTPUT_NO_RESET
            | bit(a20, OUTPUT_A20)
            | bit(self.output.is_some_and(|o| !o.aux), OUTPUT_KBD_FULL)
            | bit(self.output.is_some_and(|o| o.aux), OUTPUT_AUX_FULL)
    }

    /// Moves the next byte into the empty output buffer.
    fn fill(&mut self, now: Nanos) {
        while self.output.is_none() {
            if let Some(displaced) = self.displaced.take() {
                self.output = Some(displaced);
            } else if let Some(byte) = self.next_of_keyboard(now) {
                self.output = self
                    .translated(byte)
                    .map(|byte| Output { byte, aux: false });
            } else if let Some(byte) = self.next_of_mouse(now) {
                self.output = Some(Output { byte, aux: true });
            } else {
                return;
            }
        }
    }

    fn next_of_keyboard(&mut self, now: Nanos) -> Option<u8> {
        let answers = !self.keyboard.replies.is_empty();
        if self.mode() & MODE_KBD_OFF != 0 || (!answers && now < self.wire_free) {
            return None;
        }
        self.keyboard.send()
    }

    /// When a scan code is there that waits for nothing but the wire.
    fn scan_code_due(&self, now: Nanos) -> Option<Nanos> {
        let comes = self.output.is_none()
            && self.mode() & MODE_KBD_OFF == 0
            && !self.keyboard.scan.is_empty();
        (comes && now < self.wire_free).then_some(self.wire_free)
    }

    fn next_of_mouse(&mut self, now: Nanos) -> Option<u8> {
        if self.mode() & MODE_AUX_OFF != 0 {
            return None;
        }
        self.mouse.send(now)
    }

    /// The keyboard's byte as the guest sees it; `None` for a break prefix, which becomes bit 7 of the next byte.
    fn translated(&mut self, byte: u8) -> Option<u8> {
        const BREAK: u8 = 0xF0;
        if self.mode() & MODE_TRANSLATE == 0 {
            self.breaking = false;
            return Some(byte);
        }
        if byte == BREAK {
            self.breaking = true;
            return None;
        }
        let breaking = std::mem::take(&mut self.breaking);
        Some(scancodes::translate(byte) | if breaking { 0x80 } else { 0 })
    }

    /// When a scan code arrives, a held key repeats or the mouse may report again.
    fn deadline(&self, now: Nanos) -> Option<Nanos> {
        let (scan_code, mouse) = (self.scan_code_due(now), self.mouse.deadline(now));
        let due = [scan_code, self.keyboard.deadline(), mouse];
        due.into_iter().flatten().min()
    }

    /// The controller answers: its byte takes the buffer at once, whatever nobody has fetched. Drivers read it right behind
    /// their command, and one that takes a scan code for the command byte or the output port switches the keyboard off or
    /// resets the machine. A scan code or a byte of the mouse comes again afterwards; the keyboard's acknowledgement of a
    /// command whose driver has gone on without it is lost.
    fn answer(&mut self, byte: u8, aux: bool) {
        let before = self.output.replace(Output { byte, aux });
        if self.displaced.is_none() {
            self.displaced = before.filter(|o| o.aux || o.byte != ACK);
        }
    }

    /// A command at port 64h. Says whether the machine is to be reset.
    fn command(&mut self, ctx: &Ctx<'_>, byte: u8) -> bool {
        self.expects = None;
        match byte {
            command::READ_MEMORY..=command::READ_MEMORY_LAST => {
                self.answer(self.memory[usize::from(byte & 0x1F)], false);
            }
            command::WRITE_MEMORY..=command::WRITE_MEMORY_LAST
            | command::WRITE_OUTPUT
            | command::WRITE_KBD_BUFFER
            | command::WRITE_AUX_BUFFER
            | command::WRITE_AUX => self.expects = Some(byte),
            command::TEST_PASSWORD => self.answer(command::NO_PASSWORD, false),
            command::AUX_OFF => self.set_mode(MODE_AUX_OFF, true),
            command::AUX_ON => self.set_mode(MODE_AUX_OFF, false),
            command::AUX_TEST | command::KBD_TEST => self.answer(command::INTERFACE_OK, false),
            command::SELF_TEST => {
                self.set_mode(MODE_SYS, true);
                self.answer(command::SELF_TEST_OK, false);
            }
            command::KBD_OFF => self.set_mode(MODE_KBD_OFF, true),
            command::KBD_ON => self.set_mode(MODE_KBD_OFF, false),
            command::READ_INPUT => self.answer(INPUT_PORT, false),
            command::READ_OUTPUT => self.answer(self.output_port(ctx.memory.a20()), false),
            command::A20_OFF | command::A20_ON => ctx.memory.set_a20(byte == command::A20_ON),
            command::READ_TEST => self.answer(TEST_INPUTS, false),
            // Bits 3-0 that are 0 are pulsed low; bit 0 is the reset line.
            command::PULSE.. => return byte & OUTPUT_NO_RESET == 0,
            _ => {}
        }
        false
    }

    /// A byte at port 60h. Says whether the machine is to be reset.
    fn data(&mut self, ctx: &Ctx<'_>, byte: u8) -> bool {
        match self.expects.take() {
            Some(at @ command::WRITE_MEMORY..=command::WRITE_MEMORY_LAST) => {
                self.memory[usize::from(at & 0x1F)] = byte;
            }
            Some(command::WRITE_OUTPUT) => {
                ctx.memory.set_a20(byte & OUTPUT_A20 != 0);
                return byte & OUTPUT_NO_RESET == 0;
            }
            Some(command::WRITE_KBD_BUFFER) => self.answer(byte, false),
            Some(command::WRITE_AUX_BUFFER) => self.answer(byte, true),
            Some(command::WRITE_AUX) => {
                // Sending switches the interface on (PS/2 Technical Reference, command D4h).
                self.set_mode(MODE_AUX_OFF, false);
                self.mouse.receive(ctx.now, byte);
            }
            _ => {
                self.set_mode(MODE_KBD_OFF, false);
                self.breaking = false;
                self.keyboard.receive(byte);
            }
        }
        false
    }
}

/// The controller with keyboard and mouse. See the module for offsets.
#[derive(Debug)]
pub struct I8042 {
    timer: TimerId,
    irqs: [IrqLine; 2],
    state: State,
}

impl I8042 {
    /// A controller as a BIOS leaves it: translating, keyboard on with its interrupt, mouse interface off.
    /// `timer` paces held keys and the mouse; `keyboard_irq` and `mouse_irq` are lines 1 and 12 of a PC.
    #[must_use]
    pub fn new(timer: TimerId, keyboard_irq: IrqLine, mouse_irq: IrqLine) -> Self {
        Self {
            timer,
            irqs: [keyboard_irq, mouse_irq],
            state: State::power_on(),
        }
    }

    /// A key goes down or up. `code` is its set 1 make code, extended keys E0xxh (cursor up E048h); Print Screen is
    /// E037h, Pause E046h, E11Dh or E145h. Codes that no key has are ignored.
    pub fn key(&mut self, ctx: &mut Ctx<'_>, code: u16, down: bool) {
        self.state.keyboard.key(ctx.now, code, down);
        self.advance(ctx);
    }

    /// Whether the longest key sequence would still fit the keyboard's buffer: before, queued keys had better wait.
    #[must_use]
    pub fn wants_keys(&self) -> bool {
        self.state.keyboard.has_room()
    }

    /// The mouse moves by counts, to the right and downwards, and its wheel turns away from the user; `buttons` bit 0
    /// left, 1 right, 2 middle, 3 and 4 side are down. Movement that the guest does not read adds up within bounds.
    pub fn pointer_motion(&mut self, ctx: &mut Ctx<'_>, dx: i32, dy: i32, wheel: i32, buttons: u8) {
        let steps = [dx, dy.saturating_neg(), wheel];
        self.state.mouse.moved(ctx.now, steps, buttons);
        self.advance(ctx);
    }

    /// Lets the mouse send a report although nothing about it has changed: the interrupt by which drivers of an absolute
    /// pointer learn that it has news. Nothing happens while the guest does not listen to the mouse.
    pub fn pointer_nudge(&mut self, ctx: &mut Ctx<'_>) {
        self.state.mouse.nudge(ctx.now);
        self.advance(ctx);
    }

    /// The keyboard's lights: bit 0 scroll lock, 1 num lock, 2 caps lock.
    #[must_use]
    pub fn leds(&self) -> u8 {
        self.state.keyboard.leds
    }

    fn advance(&mut self, ctx: &mut Ctx<'_>) {
        self.state.fill(ctx.now);
        self.drive(ctx);
        ctx.scheduler.set(self.timer, self.state.deadline(ctx.now));
    }

    /// Brings both lines to the levels that the output buffer asks for.
    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        let (mode, output) = (self.state.mode(), self.state.output);
        let asks =
            |aux: bool, enable: u8| mode & enable != 0 && output.is_some_and(|o| o.aux == aux);
        let levels = [asks(false, MODE_KBD_INT), asks(true, MODE_AUX_INT)];
        for ((irq, line), level) in self.irqs.iter().zip(&mut self.state.lines).zip(levels) {
            if *line != level {
                *line = level;
                ctx.lines.set(*irq, level);
            }
        }
    }
}

impl Device for I8042 {
    fn name(&self) -> &str {
        "i8042"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        for (irq, _) in self
            .irqs
            .iter()
            .zip(self.state.lines)
            .filter(|(_, line)| *line)
        {
            ctx.lines.deassert(*irq);
        }
        self.state = State::power_on();
        ctx.memory.set_a20(true);
        ctx.scheduler.disarm(self.timer);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &I8042V4::from(&self.state))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let saved = match payload.version {
            1 => I8042V3::from(I8042V2::from(payload.decode::<I8042V1>()?)).into(),
            2 => I8042V3::from(payload.decode::<I8042V2>()?).into(),
            3 => payload.decode::<I8042V3>()?.into(),
            _ => payload.decode::<I8042V4>()?,
        };
        self.state = State::try_from(saved)?;
        ctx.scheduler.set(self.timer, self.state.deadline(ctx.now));
        Ok(())
    }
}

impl PioDevice for I8042 {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        if offset == DATA && size == AccessSize::Byte {
            if let Some(output) = self.state.output.take() {
                self.state.last = output.byte;
                if !output.aux {
                    self.state.wire_free = ctx.now.plus(SCAN_CODE_NS);
                }
                // The line falls before the next byte raises it: an edge for each byte.
                self.drive(ctx);
            }
            self.advance(ctx);
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = match offset {
            DATA => self.state.output.map_or(self.state.last, |o| o.byte),
            STATUS_COMMAND => self.state.status(),
            _ => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte || (offset != DATA && offset != STATUS_COMMAND) {
            return;
        }
        self.state.command_last = offset == STATUS_COMMAND;
        let value = low(value);
        let reset = if offset == DATA {
            self.state.data(ctx, value)
        } else {
            self.state.command(ctx, value)
        };
        if reset {
            *ctx.power = Some(PowerRequest::ResetProcessor);
        }
        self.advance(ctx);
    }
}

impl Timed for I8042 {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        self.state.keyboard.repeat_due(ctx.now);
        self.advance(ctx);
    }
}
