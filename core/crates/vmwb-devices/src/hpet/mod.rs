//! High precision event timers: one 64-bit counter at 100 MHz and three comparators. Source: IA-PC HPET Specification
//! 1.0a (2004).
//!
//! Nothing counts here: the counter is a number at a time, and matches follow from the ticks elapsed since. A deadline
//! exists only for an interrupt that is enabled and can still come.
//!
//! | Registers | Offset from FED00000h |
//! |---|---|
//! | capabilities, configuration, interrupt status | 000h, 010h, 020h |
//! | main counter | 0F0h |
//! | configuration, comparator of timer n | 100h + 20h * n, 108h + 20h * n |
//!
//! | Left out | Why |
//! |---|---|
//! | Interrupts by messages (FSB) | not announced: systems would prefer them to the local APIC's own timer |
//! | Writes of the running counter | undefined in the specification; ignored |
//! | Accesses narrower than 32 bits | reads give the part, writes are ignored |
//!
//! | Threat | Answer |
//! |---|---|
//! | Periods of a few counts | deadlines are at least a microsecond apart; a late one is served once |
//! | Comparators near the counter's wrap | all arithmetic wraps, deadlines beyond the end of time are none |
//! | Routes that do not exist | the bits are kept, no line is driven |
//! | Restored state | registers keep to their bits |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{HpetV1, TimerV1};

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, MmioDevice, Nanos, Payload, ResetKind, SnapshotError, Timed,
    TimerId,
};

use regs::{
    CAPABILITIES, CAPABILITIES_LOW, CONFIGURATION, CONFIGURATION_MASK, COUNTER, ENABLE, INTERRUPT,
    LEAST_WAIT_NS, LEGACY, LEVEL, MODE_32_BIT, PERIOD_FS, PERIODIC, ROUTE, ROUTE_SHIFT, ROUTES,
    SET_VALUE, STATUS, TICK_NS, TIMER_0, TIMER_BYTES, TIMER_COMPARATOR, TIMER_CONFIGURATION,
    TIMER_FIXED, TIMER_MASK, TIMERS,
};

/// Guest-physical address of the registers.
pub const HPET_BASE: u64 = 0xFED0_0000;
/// Size of the register block in bytes.
pub const HPET_BYTES: u64 = 0x400;

/// One comparator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Timer {
    configuration: u64,
    comparator: u64,
    period: u64,
}

impl Timer {
    fn is(&self, bit: u64) -> bool {
        self.configuration & bit != 0
    }

    /// Bits that the comparator has.
    fn width(&self) -> u64 {
        if self.is(MODE_32_BIT) {
            u64::from(u32::MAX)
        } else {
            u64::MAX
        }
    }

    /// Counts from `counter` to the next match, at least 1; `None`: beyond the counter's 64 bits.
    fn distance(&self, counter: u64) -> Option<u64> {
        match self.comparator.wrapping_sub(counter) & self.width() {
            0 => self.width().checked_add(1),
            n => Some(n),
        }
    }

    /// Lets the counter run from `counter` over `elapsed` counts. Says whether there was a match.
    fn run(&mut self, counter: u64, elapsed: u64) -> bool {
        let Some(first) = self.distance(counter).filter(|&n| n <= elapsed) else {
            return false;
        };
        if self.is(PERIODIC) && self.period != 0 {
            let periods = (elapsed - first) / self.period + 1;
            let advanced = self
                .comparator
                .wrapping_add(periods.wrapping_mul(self.period));
            self.comparator = advanced & self.width();
        }
        true
    }
}

/// All that is saved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    configuration: u64,
    /// Bits 2-0: level-triggered timers whose match was not acknowledged.
    status: u64,
    /// The counter at `served`.
    counter: u64,
    /// Tick of virtual time up to which matches are complete.
    served: u64,
    timers: [Timer; TIMERS],
    /// Levels of the timers' lines, as long as they are level triggered.
    levels: [bool; TIMERS],
}

impl State {
    fn runs(&self) -> bool {
        self.configuration & ENABLE != 0
    }

    /// Lets everything happen up to `now`. Gives the timers whose edge was due.
    fn settle(&mut self, now: Nanos) -> [bool; TIMERS] {
        let tick = now.0 / TICK_NS;
        let elapsed = tick.saturating_sub(self.served);
        self.served = self.served.max(tick);
        let mut edges = [false; TIMERS];
        if !self.runs() || elapsed == 0 {
            return edges;
        }
        for (n, timer) in self.timers.iter_mut().enumerate() {
            if timer.run(self.counter, elapsed) {
                if timer.is(LEVEL) {
                    self.status |= 1 << n;
                } else {
                    edges[n] = timer.is(INTERRUPT);
                }
            }
        }
        self.counter = self.counter.wrapping_add(elapsed);
        edges
    }

    /// When the next interrupt comes.
    fn deadline(&self) -> Option<Nanos> {
        if !self.runs() {
            return None;
        }
        let waits = |(n, timer): (usize, &Timer)| {
            let pending = timer.is(LEVEL) && self.status & 1 << n != 0;
            (timer.is(INTERRUPT) && !pending).then(|| timer.distance(self.counter))
        };
        let next = self.timers.iter().enumerate().filter_map(waits);
        let tick = self.served.checked_add(next.flatten().min()?)?;
        let at = Nanos(tick.checked_mul(TICK_NS)?);
        let earliest = Nanos(self.served.checked_mul(TICK_NS)?).plus(LEAST_WAIT_NS);
        Some(at.max(earliest))
    }

    /// The register at an offset that is a multiple of 8.
    fn register(&self, offset: u64) -> u64 {
        match offset {
            CAPABILITIES => PERIOD_FS << 32 | CAPABILITIES_LOW,
            CONFIGURATION => self.configuration,
            STATUS => self.status,
            COUNTER => self.counter,
            _ => match timer_register(offset) {
                Some((n, TIMER_CONFIGURATION)) => self.timers[n].configuration | TIMER_FIXED,
                Some((n, TIMER_COMPARATOR)) => self.timers[n].comparator,
                _ => 0,
            },
        }
    }

    /// Writes the bits of `mask` of the register at an offset that is a multiple of 8.
    fn write(&mut self, offset: u64, mask: u64, value: u64) {
        let merged = self.register(offset) & !mask | value & mask;
        match offset {
            CONFIGURATION => self.configuration = merged & CONFIGURATION_MASK,
            STATUS => self.status &= !(value & mask),
            COUNTER if !self.runs() => self.counter = merged,
            _ => match timer_register(offset) {
                Some((n, TIMER_CONFIGURATION)) => {
                    let timer = &mut self.timers[n];
                    timer.configuration = merged & TIMER_MASK;
                    timer.comparator &= timer.width();
                    timer.period &= timer.width();
                }
                Some((n, TIMER_COMPARATOR)) => self.write_comparator(n, mask, value),
                _ => {}
            },
        }
    }

    /// A periodic timer's comparator is set only after `SET_VALUE`; its period always, for drivers that write once.
    fn write_comparator(&mut self, n: usize, mask: u64, value: u64) {
        let timer = &mut self.timers[n];
        let width = timer.width();
        let put = |word: u64| (word & !mask | value & mask) & width;
        timer.period = put(timer.period);
        if !timer.is(PERIODIC) || timer.is(SET_VALUE) {
            timer.comparator = put(timer.comparator);
        }
        timer.configuration &= !SET_VALUE;
    }
}

/// Timer and its own offset.
fn timer_register(offset: u64) -> Option<(usize, u64)> {
    let of_timers = offset.checked_sub(TIMER_0)?;
    let n = usize::try_from(of_timers / TIMER_BYTES).ok()?;
    (n < TIMERS).then_some((n, of_timers % TIMER_BYTES))
}

/// The timers. See the module for registers.
#[derive(Debug)]
pub struct Hpet {
    timer: TimerId,
    legacy: [IrqLine; 2],
    state: State,
}

impl Hpet {
    /// Timers that nobody has programmed. `legacy` are the lines that timers 0 and 1 drive while
    /// [`Hpet::legacy_replacement`] holds; the board connects them to inputs 0 and 8 then, in place of interval timer and
    /// clock. Else a timer drives the line of its route, 20 to 23.
    #[must_use]
    pub fn new(timer: TimerId, legacy: [IrqLine; 2]) -> Self {
        Self {
            timer,
            legacy,
            state: State::default(),
        }
    }

    /// Whether timers 0 and 1 have taken the places of the interval timer (input 0) and the clock (input 8).
    #[must_use]
    pub fn legacy_replacement(&self) -> bool {
        self.state.configuration & LEGACY != 0
    }

    /// The line that a timer drives now.
    fn line(&self, n: usize) -> Option<IrqLine> {
        if self.legacy_replacement()
            && let Some(&line) = self.legacy.get(n)
        {
            return Some(line);
        }
        let route = (self.state.timers[n].configuration & ROUTE) >> ROUTE_SHIFT;
        let exists = ROUTES >> route & 1 != 0;
        u8::try_from(route).ok().filter(|_| exists).map(IrqLine)
    }

    fn catch_up(&mut self, ctx: &mut Ctx<'_>) {
        let edges = self.state.settle(ctx.now);
        for (n, _) in edges.into_iter().enumerate().filter(|&(_, edge)| edge) {
            let Some(line) = self.line(n) else { continue };
            if !self.legacy.contains(&line) {
                ctx.lines.pulse(line);
                continue;
            }
            // The 8259s forget an input that falls again: the line falls only to rise anew.
            ctx.lines.deassert(line);
            ctx.lines.assert(line);
        }
    }

    /// Releases every line: before routes change.
    fn release(&mut self, ctx: &mut Ctx<'_>) {
        for n in 0..TIMERS {
            let high = std::mem::take(&mut self.state.levels[n]);
            if let Some(line) = self.line(n)
                && (high || self.legacy.contains(&line))
            {
                ctx.lines.deassert(line);
            }
        }
    }

    /// Brings the lines of level-triggered timers to their levels and arms the next deadline.
    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        for n in 0..TIMERS {
            let timer = &self.state.timers[n];
            let waits = self.state.status & 1 << n != 0;
            let level = waits && timer.is(LEVEL) && timer.is(INTERRUPT) && self.state.runs();
            if level != self.state.levels[n]
                && let Some(line) = self.line(n)
            {
                self.state.levels[n] = level;
                ctx.lines.set(line, level);
            }
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
    }
}

impl Device for Hpet {
    fn name(&self) -> &str {
        "hpet"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.release(ctx);
        self.state = State::default();
        ctx.scheduler.disarm(self.timer);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &HpetV1::from(&self.state))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.state = State::try_from(payload.decode::<HpetV1>()?)?;
        ctx.scheduler.set(self.timer, self.state.deadline());
        Ok(())
    }
}

impl MmioDevice for Hpet {
    fn mmio_read(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64 {
        self.mmio_peek(ctx.now, offset, size)
    }

    fn mmio_peek(&self, now: Nanos, offset: u64, size: AccessSize) -> u64 {
        let mut state = self.state.clone();
        state.settle(now);
        state.register(offset & !7) >> (8 * (offset & 7)) & size.ones()
    }

    fn mmio_write(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64) {
        if size < AccessSize::Dword || !offset.is_multiple_of(size.bytes()) {
            return;
        }
        self.catch_up(ctx);
        let register = offset & !7;
        let moves_lines = register == CONFIGURATION
            || matches!(timer_register(register), Some((_, TIMER_CONFIGURATION)));
        if moves_lines {
            self.release(ctx);
        }
        let shift = 8 * (offset & 7);
        self.state
            .write(register, size.ones() << shift, value << shift);
        self.drive(ctx);
    }
}

impl Timed for Hpet {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        self.catch_up(ctx);
        self.drive(ctx);
    }
}
