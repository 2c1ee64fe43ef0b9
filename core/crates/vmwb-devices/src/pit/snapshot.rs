//! Saved state of the 8254. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::State;
use super::counter::{Counter, Mode, Next, Run};
use super::regs::{MAX_TICK, PORT_B_GATE2, PORT_B_WRITABLE, RW_BOTH, RW_LOW};

/// Version 1 of the timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PitV1 {
    /// Counters 0 to 2.
    pub counters: [CounterV1; 3],
    /// Port 61h, bits 0-3.
    pub port_b: u8,
    /// Input tick up to which rises of OUT 0 have been reported.
    pub served_tick: u64,
    /// Level of the interrupt line.
    pub line: bool,
}

/// Version 1 of one counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterV1 {
    /// Mode, 0 to 5.
    pub mode: u8,
    /// Counts in BCD.
    pub bcd: bool,
    /// RW field of the control word, 1 to 3.
    pub rw: u8,
    /// Count last written, 1 to 65536.
    pub register: Option<u32>,
    /// That count waits for the gate.
    pub waiting: bool,
    /// The count that runs.
    pub run: Option<RunV1>,
    /// Level of the gate.
    pub gate: bool,
    /// First byte of a count that takes two.
    pub written_low: Option<u8>,
    /// The next read gives the high byte.
    pub read_high: bool,
    /// Latched count.
    pub latched_count: Option<u16>,
    /// Latched status.
    pub latched_status: Option<u8>,
}

/// Version 1 of a loaded count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunV1 {
    /// Count, 1 to 65536.
    pub n: u32,
    /// Input tick at which it was loaded or resumed.
    pub origin_tick: u64,
    /// Ticks counted by then.
    pub base_ticks: u64,
    /// The gate holds it.
    pub frozen: bool,
    /// What follows at the end of the period.
    pub next: Option<NextV1>,
}

/// Version 1 of a count that waits for the end of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextV1 {
    /// Count, 2 to 65536.
    pub n: u32,
    /// Input tick at which it is loaded.
    pub at_tick: u64,
    /// It begins with the low half of a square wave.
    pub low_half: bool,
}

impl Schema for PitV1 {
    const KIND: &'static str = "pit";
    const VERSION: u32 = 1;
}

impl From<&State> for PitV1 {
    fn from(s: &State) -> Self {
        Self {
            counters: [0, 1, 2].map(|n: usize| CounterV1::from(&s.counters[n])),
            port_b: s.port_b,
            served_tick: s.served,
            line: s.line,
        }
    }
}

impl From<&Counter> for CounterV1 {
    fn from(c: &Counter) -> Self {
        let next = |next: Next| NextV1 {
            n: next.n,
            at_tick: next.at,
            low_half: next.low_half,
        };
        Self {
            mode: c.mode.bits(),
            bcd: c.bcd,
            rw: c.rw,
            register: c.register,
            waiting: c.waiting,
            run: c.run.map(|run| RunV1 {
                n: run.n,
                origin_tick: run.origin,
                base_ticks: run.base,
                frozen: run.frozen,
                next: run.next.map(next),
            }),
            gate: c.gate,
            written_low: c.written_low,
            read_high: c.read_high,
            latched_count: c.latched_count,
            latched_status: c.latched_status,
        }
    }
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(PitV1::KIND, reason))
    }
}

impl TryFrom<PitV1> for State {
    type Error = SnapshotError;

    fn try_from(v: PitV1) -> Result<Self, SnapshotError> {
        check(
            v.port_b & !PORT_B_WRITABLE == 0,
            "port 61h has bits that do not exist",
        )?;
        check(v.served_tick <= MAX_TICK, "a tick number is out of range")?;
        let gates = [true, true, v.port_b & PORT_B_GATE2 != 0];
        let wired = v.counters.iter().zip(gates).all(|(c, gate)| c.gate == gate);
        check(wired, "a gate differs from its wiring")?;
        let [a, b, c] = v.counters;
        Ok(Self {
            counters: [a.into_counter()?, b.into_counter()?, c.into_counter()?],
            port_b: v.port_b,
            served: v.served_tick,
            line: v.line,
        })
    }
}

impl CounterV1 {
    fn into_counter(self) -> Result<Counter, SnapshotError> {
        check(self.mode <= 5, "a counter's mode does not exist")?;
        check(
            (RW_LOW..=RW_BOTH).contains(&self.rw),
            "a counter's RW field does not exist",
        )?;
        let mode = Mode::from_bits(self.mode);
        let least = if matches!(mode, Mode::Rate | Mode::Square) {
            2
        } else {
            1
        };
        let most = if self.bcd { 10_000 } else { 0x1_0000 };
        let in_range = |n: u32| (least..=most).contains(&n);
        check(
            self.register.is_none_or(in_range),
            "a count is out of range",
        )?;
        let run = self.run.map(|run| {
            check(in_range(run.n), "a count is out of range")?;
            check(
                run.origin_tick.max(run.base_ticks) <= MAX_TICK,
                "a tick number is out of range",
            )?;
            let next = run.next.map(|next| {
                check(in_range(next.n), "a count is out of range")?;
                check(next.at_tick <= MAX_TICK, "a tick number is out of range")?;
                Ok(Next {
                    n: next.n,
                    at: next.at_tick,
                    low_half: next.low_half,
                })
            });
            Ok(Run {
                n: run.n,
                origin: run.origin_tick,
                base: run.base_ticks,
                frozen: run.frozen,
                next: next.transpose()?,
            })
        });
        Ok(Counter {
            mode,
            bcd: self.bcd,
            rw: self.rw,
            register: self.register,
            waiting: self.waiting,
            run: run.transpose()?,
            gate: self.gate,
            written_low: self.written_low,
            read_high: self.read_high,
            latched_count: self.latched_count,
            latched_status: self.latched_status,
        })
    }
}
