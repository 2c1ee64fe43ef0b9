//! The serial port: a 16550A. Source: National Semiconductor PC16550D, June 1995.
//!
//! Owns the registers and the receiver FIFO. It is not the terminal at the other end: what the guest sends goes to a
//! [`CharBackend`] at once, what comes in is handed over with [`Uart::receive`] as far as there is room, and the rest
//! waits with the board. The peer is a terminal that is always there: CTS, DSR and DCD are on.
//!
//! | Registers | Offset |
//! |---|---|
//! | RBR, THR; DLL | 0 |
//! | IER; DLM | 1 |
//! | IIR, FCR | 2 |
//! | LCR, MCR, LSR, MSR, SCR | 3 to 7 |
//!
//! | Left out | Why |
//! |---|---|
//! | Time on the wire for what is sent | a byte is gone at once, so the transmitter's FIFO is always empty |
//! | Parity and framing errors | a host never sends any |
//! | OUT2 as the gate of the interrupt line | boards since the chip sets have none, and systems rely on that (xv6 clears MCR); IER masks |
//! | DMA mode's RXRDY and TXRDY pins | no PC wires them |
//! | A break that the guest sends | a stream of bytes cannot carry it; in loopback it is received |
//!
//! | Threat | Answer |
//! |---|---|
//! | The guest floods the port | one byte an access, handed on; the backend drops what it has no room for |
//! | The host floods the guest | input comes at the line's rate: after a batch, [`Uart::room`] is 0 for as long as the batch takes on the wire, so that an interrupt handler gets to its end |
//! | Restored FIFO of any length | at most 16 entries, checked flags |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::UartV1;

use std::collections::VecDeque;

use vmwb_hw::{
    AccessSize, CharBackend, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, ResetKind,
    SnapshotError, Timed, TimerId, muldiv,
};

use crate::bits::{byte_answer, low};
use regs::{
    BASE_BAUD, FCR_CLEAR_RX, FCR_ENABLE, FCR_KEPT, FCR_TRIGGER_SHIFT, FIFO_BYTES, IER_DLM,
    IER_EDSSI, IER_ELSI, IER_ERBFI, IER_ETBEI, IER_MASK, IIR_DATA, IIR_FCR, IIR_FIFOS, IIR_LINE,
    IIR_MODEM, IIR_NONE, IIR_THRE, IIR_TIMEOUT, LCR, LCR_BREAK, LCR_DLAB, LCR_PARITY, LCR_STOP,
    LCR_WORD_LENGTH, LSR, LSR_BI, LSR_DR, LSR_FIFO_ERROR, LSR_OE, LSR_TEMT, LSR_THRE, MCR, MCR_DTR,
    MCR_LOOP, MCR_MASK, MCR_OUT1, MCR_OUT2, MCR_RTS, MSR, MSR_CTS, MSR_DCD, MSR_DSR, MSR_LEVELS,
    MSR_RI, RBR_THR_DLL, SCR, TIMEOUT_CHARACTERS, TRIGGER_BYTES,
};

/// Divisor at power-on: 9,600 baud, as a BIOS leaves it (the chip's own is undefined).
const POWER_ON_DIVISOR: u16 = 12;
/// Modem inputs of the terminal at the other end.
const PEER: u8 = MSR_CTS | MSR_DSR | MSR_DCD;

/// One received character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Received {
    data: u8,
    /// It is a break.
    is_break: bool,
}

/// Registers and FIFO: all that is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    divisor: u16,
    ier: u8,
    fcr: u8,
    lcr: u8,
    mcr: u8,
    /// Modem inputs' levels and changes.
    msr: u8,
    scr: u8,
    /// LSR bits that a read clears: OE and BI.
    line_errors: u8,
    rx: VecDeque<Received>,
    /// The transmitter has become empty and nobody has been told yet.
    thre_pending: bool,
    timeout_pending: bool,
    timeout_at: Option<Nanos>,
    /// The input's wire is taken by the last batch until then.
    wire_free_at: Option<Nanos>,
    /// Level of the interrupt line.
    line: bool,
}

impl State {
    fn power_on() -> Self {
        Self {
            divisor: POWER_ON_DIVISOR,
            ier: 0,
            fcr: 0,
            lcr: 0,
            mcr: 0,
            msr: PEER,
            scr: 0,
            line_errors: 0,
            rx: VecDeque::with_capacity(FIFO_BYTES),
            thre_pending: false,
            timeout_pending: false,
            timeout_at: None,
            wire_free_at: None,
            line: false,
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        [self.timeout_at, self.wire_free_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn fifos(&self) -> bool {
        self.fcr & FCR_ENABLE != 0
    }

    fn dlab(&self) -> bool {
        self.lcr & LCR_DLAB != 0
    }

    fn capacity(&self) -> usize {
        if self.fifos() { FIFO_BYTES } else { 1 }
    }

    fn trigger(&self) -> usize {
        if self.fifos() {
            TRIGGER_BYTES[usize::from(self.fcr >> FCR_TRIGGER_SHIFT)]
        } else {
            1
        }
    }

    /// Time of one character in nanoseconds; divisor 0 counts as 65536.
    fn character_ns(&self) -> u64 {
        let data = 5 + u64::from(self.lcr & LCR_WORD_LENGTH);
        let parity = u64::from(self.lcr & LCR_PARITY != 0);
        let stop = 1 + u64::from(self.lcr & LCR_STOP != 0);
        let divisor = if self.divisor == 0 {
            0x1_0000
        } else {
            u64::from(self.divisor)
        };
        muldiv(
            (1 + data + parity + stop) * divisor,
            1_000_000_000,
            BASE_BAUD,
        )
    }

    /// Puts one character into the receiver; with no room the newest one is lost (section 8.6.4, bit 1).
    fn take_in(&mut self, received: Received) {
        if self.rx.len() >= self.capacity() {
            self.line_errors |= LSR_OE;
            return;
        }
        if self.rx.is_empty() && received.is_break {
            self.line_errors |= LSR_BI;
        }
        self.rx.push_back(received);
    }

    fn take_out(&mut self) -> u8 {
        let data = self.rx.pop_front().map_or(0, |r| r.data);
        // A break shows in LSR when it comes to the top of the FIFO.
        if self.rx.front().is_some_and(|r| r.is_break) {
            self.line_errors |= LSR_BI;
        }
        data
    }

    fn lsr(&self) -> u8 {
        let ready = if self.rx.is_empty() { 0 } else { LSR_DR };
        let in_fifo = self.fifos() && self.rx.iter().any(|r| r.is_break);
        let error = if in_fifo { LSR_FIFO_ERROR } else { 0 };
        LSR_THRE | LSR_TEMT | self.line_errors | ready | error
    }

    /// The pending interrupt of highest priority (table 5).
    fn iir(&self) -> u8 {
        let enabled = |bit: u8| self.ier & bit != 0;
        let id = if enabled(IER_ELSI) && self.line_errors != 0 {
            IIR_LINE
        } else if enabled(IER_ERBFI) && self.rx.len() >= self.trigger() {
            IIR_DATA
        } else if enabled(IER_ERBFI) && self.timeout_pending {
            IIR_TIMEOUT
        } else if enabled(IER_ETBEI) && self.thre_pending {
            IIR_THRE
        } else if enabled(IER_EDSSI) && self.msr & !MSR_LEVELS != 0 {
            IIR_MODEM
        } else {
            IIR_NONE
        };
        if self.fifos() { id | IIR_FIFOS } else { id }
    }

    /// Modem inputs: the peer's, or the chip's own outputs in loopback (section 8.7.4).
    fn modem_inputs(&self) -> u8 {
        if self.mcr & MCR_LOOP == 0 {
            return PEER;
        }
        let wired = [
            (MCR_RTS, MSR_CTS),
            (MCR_DTR, MSR_DSR),
            (MCR_OUT1, MSR_RI),
            (MCR_OUT2, MSR_DCD),
        ];
        wired
            .iter()
            .filter(|(out, _)| self.mcr & out != 0)
            .fold(0, |acc, (_, input)| acc | input)
    }

    fn set_mcr(&mut self, value: u8) {
        self.mcr = value & MCR_MASK;
        let (before, after) = (self.msr & MSR_LEVELS, self.modem_inputs());
        // A change stands four bits below its level; the ring indicator reports only its trailing edge.
        let changed = (before ^ after) & !MSR_RI | (before & !after & MSR_RI);
        self.msr = after | (self.msr & !MSR_LEVELS) | changed >> 4;
    }

    fn set_fcr(&mut self, value: u8) {
        let toggled = (self.fcr ^ value) & FCR_ENABLE != 0;
        if toggled || value & FCR_CLEAR_RX != 0 {
            self.rx.clear();
            self.timeout_pending = false;
        }
        self.fcr = if value & FCR_ENABLE != 0 {
            value & FCR_KEPT
        } else {
            0
        };
    }

    fn set_ier(&mut self, value: u8) {
        // Enabling the interrupt of an empty transmitter raises it at once; drivers rely on it.
        if value & !self.ier & IER_ETBEI != 0 {
            self.thre_pending = true;
        }
        self.ier = value & IER_MASK;
    }
}

/// One serial port. See the module for offsets.
#[derive(Debug)]
pub struct Uart {
    name: String,
    timer: TimerId,
    irq: IrqLine,
    backend: Box<dyn CharBackend>,
    state: State,
}

impl Uart {
    /// A port as after power-on. `name` is its instance name (`uart.0` ...), `timer` its time-out, `irq` its
    /// level-driven interrupt line, `backend` what the guest's characters go to.
    #[must_use]
    pub fn new(name: &str, timer: TimerId, irq: IrqLine, backend: Box<dyn CharBackend>) -> Self {
        Self {
            name: name.to_owned(),
            timer,
            irq,
            backend,
            state: State::power_on(),
        }
    }

    /// How many bytes [`Uart::receive`] would take now: none in loopback, where the input is cut off, and none while the
    /// last batch takes its time on the wire.
    #[must_use]
    pub fn room(&self) -> usize {
        if self.state.mcr & MCR_LOOP != 0 || self.state.wire_free_at.is_some() {
            return 0;
        }
        self.state.capacity().saturating_sub(self.state.rx.len())
    }

    /// Whether queued input should be offered now. The answer changes with the guest's accesses and with the timer's
    /// deadlines: after both the board asks again.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.room() > 0
    }

    /// Takes as many `bytes` as there is room for and says how many.
    pub fn receive(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room());
        for &data in &bytes[..taken] {
            self.state.take_in(Received {
                data,
                is_break: false,
            });
        }
        if taken > 0 {
            let on_wire = self.state.character_ns().saturating_mul(taken as u64);
            self.state.wire_free_at = Some(ctx.now.plus(on_wire));
            self.restart_timeout(ctx);
            self.drive(ctx);
        }
        taken
    }

    /// A break condition on the input; lost in loopback.
    pub fn receive_break(&mut self, ctx: &mut Ctx<'_>) {
        if self.state.mcr & MCR_LOOP == 0 {
            self.state.take_in(Received {
                data: 0,
                is_break: true,
            });
            self.restart_timeout(ctx);
            self.drive(ctx);
        }
    }

    fn transmit(&mut self, ctx: &mut Ctx<'_>, data: u8) {
        if self.state.mcr & MCR_LOOP != 0 {
            self.state.take_in(Received {
                data,
                is_break: false,
            });
            self.restart_timeout(ctx);
        } else {
            self.backend.write(&[data]);
        }
        self.state.thre_pending = true;
    }

    fn write_lcr(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        let break_starts = value & !self.state.lcr & LCR_BREAK != 0;
        self.state.lcr = value;
        if break_starts && self.state.mcr & MCR_LOOP != 0 {
            self.state.take_in(Received {
                data: 0,
                is_break: true,
            });
            self.restart_timeout(ctx);
        }
    }

    /// The time-out counts from the last character in or out, while characters wait (section 8.4.1).
    fn restart_timeout(&mut self, ctx: &mut Ctx<'_>) {
        let waits = self.state.fifos() && !self.state.rx.is_empty();
        let after = TIMEOUT_CHARACTERS * self.state.character_ns();
        self.state.timeout_at = waits.then(|| ctx.now.plus(after));
        ctx.scheduler.set(self.timer, self.state.deadline());
    }

    /// Brings the interrupt line to the level that the registers ask for.
    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        let level = self.state.iir() & IIR_NONE == 0;
        if level != self.state.line {
            self.state.line = level;
            ctx.lines.set(self.irq, level);
        }
    }

    fn peek(&self, offset: u16) -> u8 {
        let s = &self.state;
        let [dll, dlm] = s.divisor.to_le_bytes();
        match offset {
            RBR_THR_DLL if s.dlab() => dll,
            RBR_THR_DLL => s.rx.front().map_or(0, |r| r.data),
            IER_DLM if s.dlab() => dlm,
            IER_DLM => s.ier,
            IIR_FCR => s.iir(),
            LCR => s.lcr,
            MCR => s.mcr,
            LSR => s.lsr(),
            MSR => s.msr,
            SCR => s.scr,
            _ => u8::MAX,
        }
    }
}

impl Device for Uart {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        ctx.scheduler.disarm(self.timer);
        if self.state.line {
            ctx.lines.deassert(self.irq);
        }
        self.state = State::power_on();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(&self.name, &UartV1::from(&self.state))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.state = State::try_from(payload.decode::<UartV1>()?)?;
        ctx.scheduler.set(self.timer, self.state.deadline());
        Ok(())
    }
}

impl PioDevice for Uart {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.peek(offset);
        if size == AccessSize::Byte {
            match offset {
                RBR_THR_DLL if !self.state.dlab() => {
                    let _ = self.state.take_out();
                    self.state.timeout_pending = false;
                    self.restart_timeout(ctx);
                }
                IIR_FCR if value & !IIR_FIFOS == IIR_THRE => self.state.thre_pending = false,
                LSR => self.state.line_errors = 0,
                MSR => self.state.msr &= MSR_LEVELS,
                _ => {}
            }
            self.drive(ctx);
        }
        byte_answer(size, value)
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        byte_answer(size, self.peek(offset))
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let value = low(value);
        let [dll, dlm] = self.state.divisor.to_le_bytes();
        match offset {
            RBR_THR_DLL if self.state.dlab() => {
                self.state.divisor = u16::from_le_bytes([value, dlm]);
            }
            RBR_THR_DLL => self.transmit(ctx, value),
            IER_DLM if self.state.dlab() => self.state.divisor = u16::from_le_bytes([dll, value]),
            IER_DLM => self.state.set_ier(value),
            IIR_FCR => {
                self.state.set_fcr(value);
                self.restart_timeout(ctx);
            }
            LCR => self.write_lcr(ctx, value),
            MCR => self.state.set_mcr(value),
            SCR => self.state.scr = value,
            _ => {}
        }
        self.drive(ctx);
    }
}

impl Timed for Uart {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        if self.state.timeout_at.take_if(|at| *at <= ctx.now).is_some() {
            self.state.timeout_pending = !self.state.rx.is_empty();
        }
        if self.state.wire_free_at.is_some_and(|at| at <= ctx.now) {
            self.state.wire_free_at = None;
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
        self.drive(ctx);
    }
}
