//! One counter of the 8254, as a function of the input's tick number.
//!
//! Nothing counts here: a run remembers at which tick its count was loaded, and OUT, the count and the next edge
//! follow from the ticks elapsed since. So there is no drift, and an idle counter costs nothing.

use super::regs::{
    BCD, FIELD_MASK, MODE_MASK, MODE_SHIFT, RW_BOTH, RW_HIGH, RW_LOW, RW_SHIFT, STATUS_NULL,
    STATUS_OUT,
};

/// The six modes (231164-005, "mode definitions").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// 0: interrupt on terminal count.
    TerminalCount,
    /// 1: hardware retriggerable one-shot.
    OneShot,
    /// 2: rate generator.
    Rate,
    /// 3: square wave.
    Square,
    /// 4: software triggered strobe.
    SoftStrobe,
    /// 5: hardware triggered strobe.
    HardStrobe,
}

impl Mode {
    /// Modes 6 and 7 are 2 and 3 (the datasheet leaves their high bit open).
    pub fn from_bits(bits: u8) -> Self {
        match bits & MODE_MASK {
            0 => Self::TerminalCount,
            1 => Self::OneShot,
            2 | 6 => Self::Rate,
            3 | 7 => Self::Square,
            4 => Self::SoftStrobe,
            _ => Self::HardStrobe,
        }
    }

    pub fn bits(self) -> u8 {
        match self {
            Self::TerminalCount => 0,
            Self::OneShot => 1,
            Self::Rate => 2,
            Self::Square => 3,
            Self::SoftStrobe => 4,
            Self::HardStrobe => 5,
        }
    }

    fn periodic(self) -> bool {
        matches!(self, Self::Rate | Self::Square)
    }

    /// A rise of the gate starts it, not the write of the count.
    fn gate_triggered(self) -> bool {
        matches!(self, Self::OneShot | Self::HardStrobe)
    }
}

/// A count that replaces the running one at the end of its period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub n: u32,
    /// Tick at which it is loaded.
    pub at: u64,
    /// It starts with the low half of a square wave.
    pub low_half: bool,
}

/// A loaded count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// 1 to 65536; at least 2 in periodic modes.
    pub n: u32,
    /// Tick at which it was, or will be, loaded or resumed.
    pub origin: u64,
    /// Ticks already counted at `origin`.
    pub base: u64,
    /// The gate holds the count.
    pub frozen: bool,
    pub next: Option<Next>,
}

impl Run {
    fn elapsed(&self, tick: u64) -> u64 {
        if self.frozen {
            self.base
        } else {
            self.base + tick.saturating_sub(self.origin)
        }
    }

    fn n(&self) -> u64 {
        u64::from(self.n)
    }

    /// Ticks of a square wave's high half.
    fn high_half(&self) -> u64 {
        self.n().div_ceil(2)
    }
}

/// One counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counter {
    pub mode: Mode,
    pub bcd: bool,
    /// RW field: 1 low, 2 high, 3 both.
    pub rw: u8,
    /// Count last written, 1 to 65536.
    pub register: Option<u32>,
    /// `register` waits for the gate.
    pub waiting: bool,
    pub run: Option<Run>,
    pub gate: bool,
    /// First byte of a count that takes two.
    pub written_low: Option<u8>,
    /// The next read gives the high byte.
    pub read_high: bool,
    pub latched_count: Option<u16>,
    pub latched_status: Option<u8>,
}

impl Counter {
    /// A counter that was never programmed: OUT low, nothing counts.
    pub fn power_on(gate: bool) -> Self {
        Self {
            mode: Mode::TerminalCount,
            bcd: false,
            rw: RW_BOTH,
            register: None,
            waiting: false,
            run: None,
            gate,
            written_low: None,
            read_high: false,
            latched_count: None,
            latched_status: None,
        }
    }

    /// Counts of a full turn.
    fn modulus(&self) -> u64 {
        if self.bcd { 10_000 } else { 0x1_0000 }
    }

    /// The counter at `tick`, with a new count loaded if its time has come.
    fn at(mut self, tick: u64) -> Self {
        if let Some(run) = &mut self.run
            && let Some(next) = run.next.filter(|next| next.at <= tick)
        {
            *run = Run {
                n: next.n,
                origin: next.at,
                base: 0,
                frozen: run.frozen,
                next: None,
            };
            if next.low_half {
                run.base = run.high_half();
            }
        }
        self
    }

    /// Level of OUT.
    pub fn out(&self, tick: u64) -> bool {
        let c = self.at(tick);
        let Some(run) = c.run else {
            return self.mode != Mode::TerminalCount;
        };
        let elapsed = run.elapsed(tick);
        match c.mode {
            Mode::TerminalCount | Mode::OneShot => elapsed >= run.n(),
            Mode::Rate => !c.gate || elapsed % run.n() != run.n() - 1,
            Mode::Square => !c.gate || elapsed % run.n() < run.high_half(),
            Mode::SoftStrobe | Mode::HardStrobe => elapsed != run.n(),
        }
    }

    /// Ticks of one period of OUT at `tick`, 2 to 65536, while a periodic mode runs.
    pub fn period(&self, tick: u64) -> Option<u32> {
        let c = self.at(tick);
        let run = c.run.filter(|run| !run.frozen && c.mode.periodic())?;
        Some(run.n)
    }

    /// What the counting element holds, in the counter's own number system.
    fn count(&self, tick: u64) -> u16 {
        let c = self.at(tick);
        let turn = c.modulus();
        let value = match c.run {
            None => c.register.map_or(0, u64::from),
            Some(run) => {
                let (n, elapsed) = (run.n(), run.elapsed(tick));
                match c.mode {
                    Mode::Rate => n - elapsed % n,
                    Mode::Square => {
                        let phase = elapsed % n;
                        let high = run.high_half();
                        let in_half = if phase < high { phase } else { phase - high };
                        // An odd count loads one less (231164-005, mode 3).
                        (n & !1) - 2 * in_half
                    }
                    _ => n + turn - elapsed % turn,
                }
            }
        };
        let value = u16::try_from(value % turn).expect("below 65536");
        if self.bcd { to_bcd(value) } else { value }
    }

    fn status(&self, tick: u64) -> u8 {
        let c = self.at(tick);
        let loaded = c.run.is_some_and(|r| tick >= r.origin && r.next.is_none()) && !c.waiting;
        (if c.out(tick) { STATUS_OUT } else { 0 })
            | (if loaded { 0 } else { STATUS_NULL })
            | c.rw << RW_SHIFT
            | c.mode.bits() << MODE_SHIFT
            | u8::from(c.bcd)
    }

    /// The first tick after `tick` at which OUT rises, unless the guest changes something.
    pub fn rises_after(&self, tick: u64) -> Option<u64> {
        let c = self.at(tick);
        let run = c.run.filter(|run| !run.frozen)?;
        if c.mode.periodic() {
            let edge = rise_of_period(&run, tick);
            return match run.next.filter(|next| next.at < edge) {
                Some(next) => c.rises_after(next.at),
                None => Some(edge),
            };
        }
        let strobe = u64::from(matches!(c.mode, Mode::SoftStrobe | Mode::HardStrobe));
        let edge = (run.origin + run.n() + strobe).checked_sub(run.base)?;
        (edge > tick).then_some(edge)
    }

    /// Writes a control word that names this counter and is no latch command.
    pub fn program(&mut self, word: u8) {
        *self = Self {
            mode: Mode::from_bits(word >> MODE_SHIFT),
            bcd: word & BCD != 0,
            rw: (word >> RW_SHIFT) & FIELD_MASK,
            ..Self::power_on(self.gate)
        };
    }

    /// Latches the count, unless one is latched already.
    pub fn latch_count(&mut self, tick: u64) {
        let count = self.count(tick);
        self.latched_count.get_or_insert(count);
    }

    /// Latches the status, unless one is latched already.
    pub fn latch_status(&mut self, tick: u64) {
        let status = self.status(tick);
        self.latched_status.get_or_insert(status);
    }

    /// What the next read gives.
    pub fn peek(&self, tick: u64) -> u8 {
        if let Some(status) = self.latched_status {
            return status;
        }
        let [low, high] = self
            .latched_count
            .unwrap_or_else(|| self.count(tick))
            .to_le_bytes();
        if self.rw == RW_HIGH || (self.rw == RW_BOTH && self.read_high) {
            high
        } else {
            low
        }
    }

    /// Takes the byte that [`Counter::peek`] gave.
    pub fn consume(&mut self) {
        if self.latched_status.take().is_some() {
            return;
        }
        let first_of_two = self.rw == RW_BOTH && !self.read_high;
        self.read_high = first_of_two;
        if !first_of_two {
            self.latched_count = None;
        }
    }

    /// Writes one byte of the count.
    pub fn write(&mut self, value: u8, tick: u64) {
        match (self.rw, self.written_low.take()) {
            (RW_LOW, _) => self.load(u16::from(value), tick),
            (RW_HIGH, _) => self.load(u16::from(value) << 8, tick),
            (_, Some(low)) => self.load(u16::from_le_bytes([low, value]), tick),
            (_, None) => {
                self.written_low = Some(value);
                // The first byte stops the count and lowers OUT (mode 0); other modes run on.
                if self.mode == Mode::TerminalCount {
                    self.run = None;
                }
            }
        }
    }

    fn load(&mut self, raw: u16, tick: u64) {
        *self = self.at(tick);
        let n = self.count_of(raw);
        self.register = Some(n);
        if self.mode.gate_triggered() || (self.mode.periodic() && !self.gate) {
            self.waiting = true;
        } else if let Some(run) = self.run.as_mut().filter(|run| tick >= run.origin)
            && self.mode.periodic()
        {
            // A run already under way finishes its period, or half of it (modes 2 and 3).
            let phase = run.elapsed(tick) % run.n();
            let high = run.high_half();
            let to_half = self.mode == Mode::Square && phase < high;
            let at = tick + if to_half { high } else { run.n() } - phase;
            let pending = run.next.unwrap_or(Next {
                n,
                at,
                low_half: to_half,
            });
            run.next = Some(Next { n, ..pending });
        } else {
            self.start(n, tick);
        }
    }

    /// Loads `n` with the next input pulse.
    fn start(&mut self, n: u32, tick: u64) {
        self.waiting = false;
        self.run = Some(Run {
            n,
            origin: tick + 1,
            base: 0,
            frozen: !self.gate,
            next: None,
        });
    }

    /// The count that a written value stands for; 0 is a full turn, and 1 counts as 2 where it is illegal.
    fn count_of(&self, raw: u16) -> u32 {
        let value = if self.bcd {
            from_bcd(raw) % 10_000
        } else {
            u32::from(raw)
        };
        let turn = if self.bcd { 10_000 } else { 0x1_0000 };
        match value {
            0 => turn,
            1 if self.mode.periodic() => 2,
            n => n,
        }
    }

    /// Level of the gate.
    pub fn set_gate(&mut self, level: bool, tick: u64) {
        if level == self.gate {
            return;
        }
        *self = self.at(tick);
        self.gate = level;
        match self.mode {
            Mode::TerminalCount | Mode::SoftStrobe => self.hold(!level, tick),
            Mode::OneShot | Mode::HardStrobe if level => self.trigger(tick),
            Mode::Rate | Mode::Square if level => self.trigger(tick),
            Mode::Rate | Mode::Square => self.hold(true, tick),
            Mode::OneShot | Mode::HardStrobe => {}
        }
    }

    fn trigger(&mut self, tick: u64) {
        if let Some(n) = self.register {
            self.start(n, tick);
        }
    }

    fn hold(&mut self, frozen: bool, tick: u64) {
        if let Some(run) = &mut self.run {
            run.base = run.elapsed(tick);
            run.origin = run.origin.max(tick);
            run.frozen = frozen;
            self.waiting |= run.next.take().is_some();
        }
    }
}

/// The first tick after `tick` that begins a period.
fn rise_of_period(run: &Run, tick: u64) -> u64 {
    let tick = tick.max(run.origin);
    tick + run.n() - run.elapsed(tick) % run.n()
}

fn to_bcd(value: u16) -> u16 {
    [1000, 100, 10, 1]
        .iter()
        .fold(0, |acc, unit| (acc << 4) | (value / unit % 10))
}

/// Digits above 9 count their value, as the chip's adders would.
fn from_bcd(raw: u16) -> u32 {
    [12, 8, 4, 0]
        .iter()
        .fold(0, |acc, shift| acc * 10 + u32::from((raw >> shift) & 0xF))
}
