//! Statistics of a run.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vmwb_hw::Nanos;
use vmwb_x86::Activity;
use vmwb_x86::cpu::Counters;

use super::processors::Processors;
use crate::board::AccessCounts;
use crate::drives::AllCounters;
use crate::power::PowerState;
use crate::sys::thread_cpu_seconds;

const WINDOW: Duration = Duration::from_secs(1);

/// Why the engine came back, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExitCounts {
    /// The budget was used up.
    pub budget: u64,
    /// HLT.
    pub halt: u64,
    /// The board asked for attention.
    pub attention: u64,
    /// A debugger stopped it.
    pub debug: u64,
}

/// Counters of one power-on.
#[derive(Debug)]
pub struct Statistics {
    /// Exits.
    pub exits: ExitCounts,
    started: Instant,
    cpu_at_start: f64,
    window: (Instant, u64),
    rate: f64,
}

impl Statistics {
    /// Starts counting.
    #[must_use]
    pub fn new(retired: u64) -> Self {
        let now = Instant::now();
        Self {
            exits: ExitCounts::default(),
            started: now,
            cpu_at_start: thread_cpu_seconds(),
            window: (now, retired),
            rate: 0.0,
        }
    }

    /// Closes the window of the instruction rate when a second is over.
    pub fn tick(&mut self, now: Instant, retired: u64) {
        let passed = now.duration_since(self.window.0);
        if passed >= WINDOW {
            self.rate = ratio(retired.saturating_sub(self.window.1), passed);
            self.window = (now, retired);
        }
    }

    /// Everything as JSON.
    #[must_use]
    pub fn to_json(
        &self,
        state: PowerState,
        retired: u64,
        virtual_time: Nanos,
        access: AccessCounts,
        processors: &Processors,
        drives: &AllCounters,
    ) -> Value {
        let counters = &processors.counters();
        let now = Instant::now();
        let open = now.duration_since(self.window.0);
        // A window that has been open for long means that the guest sleeps: the old rate is no longer true.
        let rate = if open >= WINDOW || self.rate == 0.0 {
            ratio(retired.saturating_sub(self.window.1), open)
        } else {
            self.rate
        };
        json!({
            "state": state.name(),
            "engine": "interpreter",
            "retired": retired,
            "virtual_ns": virtual_time.0,
            "wall_seconds": now.duration_since(self.started).as_secs_f64(),
            "cpu_seconds": thread_cpu_seconds() - self.cpu_at_start,
            "instructions_per_second": rate,
            "exits": {
                "budget": self.exits.budget,
                "halt": self.exits.halt,
                "attention": self.exits.attention,
                "debug": self.exits.debug,
                "pio": access.pio,
                "mmio": access.mmio,
                "interrupts": access.interrupts,
                "exceptions": counters.exceptions,
                "software_interrupts": counters.software,
            },
            "exceptions": by_vector(counters),
            "processor": {
                "halts": counters.halts,
                "tlb_fills": counters.tlb_fills,
                "address_space_switches": counters.cr3_loads,
                "traces_decoded": counters.traces,
                "traces_dropped": counters.invalidated,
            },
            "processors": processors.shares().map(share).collect::<Vec<_>>(),
            "drives": by_slot(drives),
        })
    }
}

/// One processor's part.
fn share((retired, activity): (u64, Activity)) -> Value {
    let activity = match activity {
        Activity::Running => "running",
        Activity::Halted => "halted",
        Activity::HaltedForGood => "halted_for_good",
        Activity::WaitingForStartUp => "waiting",
    };
    json!({ "retired": retired, "activity": activity })
}

/// What each drive has done.
fn by_slot(drives: &AllCounters) -> Value {
    let each = drives
        .iter()
        .map(|(slot, counters)| (slot.to_string(), json!(counters.stats())));
    each.collect::<serde_json::Map<_, _>>().into()
}

/// Exceptions by vector, those that happened.
fn by_vector(counters: &Counters) -> Value {
    let happened = counters.by_vector.iter().enumerate().filter(|v| *v.1 != 0);
    happened
        .map(|(vector, &count)| (vector.to_string(), json!(count)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn ratio(count: u64, over: Duration) -> f64 {
    // Exact to 53 bits: more than a rate needs.
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    let seconds = over.as_secs_f64();
    if seconds > 0.0 { count / seconds } else { 0.0 }
}

/// The statistics of a machine that has not been started.
#[must_use]
pub fn idle_json(state: PowerState) -> Value {
    json!({
        "state": state.name(), "engine": "interpreter", "retired": 0, "virtual_ns": 0, "wall_seconds": 0.0,
        "cpu_seconds": 0.0, "instructions_per_second": 0.0, "exits": {},
        "exceptions": {}, "processor": {}, "processors": [], "drives": {},
    })
}
