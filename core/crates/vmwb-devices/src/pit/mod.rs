//! The 8254 interval timer with port 61h. Source: Intel 231164-005 (8254), 290550-002 section 2.5.3 (PIIX3).
//!
//! Owns three counters at 1,193,182 Hz of virtual time and the gate and speaker bits. OUT of counter 0 is an interrupt
//! line, OUT of counter 2 is read in port 61h. It makes no sound.
//!
//! Each rise of OUT 0 is one deadline and one edge of the line; the falls in between are not deadlines of their own:
//! the line falls right before it rises again, or when counter 0 is programmed. So modes 2 and 3 cost one wake-up a
//! period, and modes 0 and 4 one.
//! Rises that a late machine has missed are one edge, as on a real PC with interrupts off.
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | counters 0 to 2 | 0 to 2 | ports 40h to 42h |
//! | control word, read-back | 3 | port 43h |
//! | gate 2, speaker, refresh, OUT 2 | 4 | port 61h |
//!
//! | Left out | Why |
//! |---|---|
//! | OUT of counter 1 | it refreshes real memory; port 61h's toggle runs at its usual rate whatever is written |
//! | A count of 1 in modes 2 and 3 | illegal in the datasheet; it counts as 2 |
//! | NMI status bits of port 61h | no parity or channel check exists; the enables are kept |
//!
//! | Threat | Answer |
//! |---|---|
//! | The shortest period, 2 ticks | slows the guest alone: deadlines that are late are served once |
//! | Restored ticks near the end of numbers | refused above 2^60, so that no sum overflows |

mod counter;
pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{CounterV1, NextV1, PitV1, RunV1};

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, ResetKind, SnapshotError, Timed,
    TimerId,
};

use crate::bits::{byte_answer, low};
use counter::Counter;
use regs::{
    CONTROL, FIELD_MASK, INPUT_HZ, LAST_COUNTER, PORT_B, PORT_B_GATE2, PORT_B_OUT2, PORT_B_REFRESH,
    PORT_B_SPEAKER, PORT_B_WRITABLE, READ_BACK_NO_COUNT, READ_BACK_NO_STATUS, REFRESH_TICKS,
    RW_LATCH, RW_SHIFT, SELECT_READ_BACK, SELECT_SHIFT,
};

/// All that is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    counters: [Counter; 3],
    /// Port 61h, bits 0-3.
    port_b: u8,
    /// Rises of OUT 0 up to this tick have been reported.
    served: u64,
    /// Level of the interrupt line.
    line: bool,
}

impl State {
    fn power_on() -> Self {
        Self {
            counters: [true, true, false].map(Counter::power_on),
            port_b: 0,
            served: 0,
            line: false,
        }
    }

    fn deadline(&self) -> Option<Nanos> {
        self.counters[0]
            .rises_after(self.served)
            .map(|tick| Nanos::at_tick(tick, INPUT_HZ))
    }
}

/// The 8254 and port 61h. See the module for offsets.
#[derive(Debug)]
pub struct Pit {
    timer: TimerId,
    irq: IrqLine,
    state: State,
}

impl Pit {
    /// A timer that nobody has programmed. `timer` wakes it for OUT of counter 0, which drives `irq`.
    #[must_use]
    pub fn new(timer: TimerId, irq: IrqLine) -> Self {
        Self {
            timer,
            irq,
            state: State::power_on(),
        }
    }

    /// Level at the speaker at `now`: OUT of counter 2 where port 61h lets it through.
    #[must_use]
    pub fn speaker(&self, now: Nanos) -> bool {
        self.state.port_b & PORT_B_SPEAKER != 0 && self.state.counters[2].out(now.ticks(INPUT_HZ))
    }

    /// The tone that the speaker gives at `now`, in Hz (18 to 596,591): a periodic counter 2 whose gate is open and that port
    /// 61h lets through. `None`: silence, or a program that moves the speaker by itself ([`Pit::speaker`] is its level).
    #[must_use]
    pub fn tone_hz(&self, now: Nanos) -> Option<u32> {
        let sounds = PORT_B_GATE2 | PORT_B_SPEAKER;
        let period = self.state.counters[2].period(now.ticks(INPUT_HZ))?;
        let hz = u32::try_from(INPUT_HZ / u64::from(period)).ok()?;
        (self.state.port_b & sounds == sounds).then_some(hz)
    }

    /// Reports the rises of OUT 0 up to now as one edge.
    fn catch_up(&mut self, ctx: &mut Ctx<'_>) {
        let tick = ctx.now.ticks(INPUT_HZ);
        if self.state.counters[0]
            .rises_after(self.state.served)
            .is_some_and(|edge| edge <= tick)
        {
            if self.state.line {
                ctx.lines.deassert(self.irq);
            }
            ctx.lines.assert(self.irq);
            self.state.line = true;
        }
        self.state.served = tick;
    }

    /// Brings the line to the level of OUT 0 and arms its next rise.
    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        let level = self.state.counters[0].out(ctx.now.ticks(INPUT_HZ));
        if level != self.state.line {
            self.state.line = level;
            ctx.lines.set(self.irq, level);
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
    }

    /// A byte at the control port. Tells whether it begins to program counter 0.
    fn control(&mut self, word: u8, tick: u64) -> bool {
        let select = word >> SELECT_SHIFT;
        if select == SELECT_READ_BACK {
            for (n, counter) in self.state.counters.iter_mut().enumerate() {
                if word & (2 << n) != 0 {
                    if word & READ_BACK_NO_COUNT == 0 {
                        counter.latch_count(tick);
                    }
                    if word & READ_BACK_NO_STATUS == 0 {
                        counter.latch_status(tick);
                    }
                }
            }
        } else if (word >> RW_SHIFT) & FIELD_MASK == RW_LATCH {
            self.state.counters[usize::from(select)].latch_count(tick);
        } else {
            self.state.counters[usize::from(select)].program(word);
            return select == 0;
        }
        false
    }

    fn port_b(&self, tick: u64) -> u8 {
        let refresh = if tick / REFRESH_TICKS % 2 == 1 {
            PORT_B_REFRESH
        } else {
            0
        };
        let out2 = if self.state.counters[2].out(tick) {
            PORT_B_OUT2
        } else {
            0
        };
        self.state.port_b | refresh | out2
    }
}

impl Device for Pit {
    fn name(&self) -> &str {
        "pit"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        ctx.scheduler.disarm(self.timer);
        if self.state.line {
            ctx.lines.deassert(self.irq);
        }
        self.state = State::power_on();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &PitV1::from(&self.state))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.state = State::try_from(payload.decode::<PitV1>()?)?;
        ctx.scheduler.set(self.timer, self.state.deadline());
        Ok(())
    }
}

impl PioDevice for Pit {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        if size == AccessSize::Byte && offset <= LAST_COUNTER {
            self.state.counters[usize::from(offset)].consume();
        }
        value
    }

    fn pio_peek(&self, now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let tick = now.ticks(INPUT_HZ);
        let value = match offset {
            0..=LAST_COUNTER => self.state.counters[usize::from(offset)].peek(tick),
            PORT_B => self.port_b(tick),
            _ => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let (value, tick) = (low(value), ctx.now.ticks(INPUT_HZ));
        self.catch_up(ctx);
        let programs_0 = match offset {
            0..=LAST_COUNTER => {
                self.state.counters[usize::from(offset)].write(value, tick);
                offset == 0
            }
            CONTROL => self.control(value, tick),
            PORT_B => {
                self.state.port_b = value & PORT_B_WRITABLE;
                self.state.counters[2].set_gate(value & PORT_B_GATE2 != 0, tick);
                false
            }
            _ => false,
        };
        if programs_0 {
            self.drive(ctx);
        } else {
            ctx.scheduler.set(self.timer, self.state.deadline());
        }
    }
}

impl Timed for Pit {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        self.catch_up(ctx);
        ctx.scheduler.set(self.timer, self.state.deadline());
    }
}
