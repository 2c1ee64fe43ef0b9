//! Saved state of the high precision event timers. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::regs::{CONFIGURATION_MASK, TIMER_MASK, TIMERS};
use super::{State, Timer};

/// Version 1 of the timers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HpetV1 {
    /// General configuration.
    pub configuration: u64,
    /// Interrupt status, bits 2-0.
    pub status: u64,
    /// Main counter at `served_tick`.
    pub counter: u64,
    /// Tick (10 ns) of virtual time up to which matches are complete.
    pub served_tick: u64,
    /// The timers.
    pub timers: [TimerV1; TIMERS],
    /// Levels of their lines.
    pub levels: [bool; TIMERS],
}

/// Version 1 of a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimerV1 {
    /// Configuration without the bits that are fixed.
    pub configuration: u64,
    /// Comparator.
    pub comparator: u64,
    /// Period, as last written.
    pub period: u64,
}

impl Schema for HpetV1 {
    const KIND: &'static str = "hpet";
    const VERSION: u32 = 1;
}

impl From<&State> for HpetV1 {
    fn from(s: &State) -> Self {
        Self {
            configuration: s.configuration,
            status: s.status,
            counter: s.counter,
            served_tick: s.served,
            timers: [0, 1, 2].map(|n: usize| TimerV1 {
                configuration: s.timers[n].configuration,
                comparator: s.timers[n].comparator,
                period: s.timers[n].period,
            }),
            levels: s.levels,
        }
    }
}

impl TryFrom<HpetV1> for State {
    type Error = SnapshotError;

    fn try_from(v: HpetV1) -> Result<Self, SnapshotError> {
        let bits = v.configuration & !CONFIGURATION_MASK == 0
            && v.status >> TIMERS == 0
            && v.timers.iter().all(|t| t.configuration & !TIMER_MASK == 0);
        if !bits {
            return Err(SnapshotError::damaged(
                HpetV1::KIND,
                "a register has bits it cannot hold",
            ));
        }
        let timers = v.timers.map(|t| Timer {
            configuration: t.configuration,
            comparator: t.comparator,
            period: t.period,
        });
        let narrow = |t: &Timer| (t.comparator | t.period) & !t.width() == 0;
        if !timers.iter().all(narrow) {
            return Err(SnapshotError::damaged(
                HpetV1::KIND,
                "a 32-bit timer holds more",
            ));
        }
        Ok(Self {
            configuration: v.configuration,
            status: v.status,
            counter: v.counter,
            served: v.served_tick,
            timers,
            levels: v.levels,
        })
    }
}
