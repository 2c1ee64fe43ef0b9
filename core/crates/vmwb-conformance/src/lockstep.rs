//! Two engines over the same program: they run the same random stretches, meet the same interrupts at the same counts,
//! and must agree on everything at every stop.
//!
//! An engine is whatever implements [`Vcpu`]. A [`Side`] is one with its memory, its bus and its [`Pace`]: the cached
//! engine runs a stretch at once, the reference one instruction at a time. A translator takes either place.

use std::fmt;
use std::sync::Arc;

use ciborium::Value;
use vmwb_hw::{GuestAddress, GuestMemory, Payload};
use vmwb_x86::{Exit, Vcpu};

use crate::bus::TestBus;
use crate::random::Random;

/// How a side goes through a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// With one budget.
    Whole,
    /// With a budget of one, again and again.
    Single,
}

/// One engine and what belongs to it.
#[derive(Debug)]
pub struct Side<V> {
    /// The engine.
    pub cpu: V,
    /// Its memory.
    pub memory: Arc<GuestMemory>,
    /// Its board.
    pub bus: TestBus,
    /// How it runs.
    pub pace: Pace,
}

/// What to run and where to look.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Decides the lengths of the stretches and what comes from outside.
    pub seed: u64,
    /// Instructions in all, at most.
    pub instructions: u64,
    /// Longest stretch.
    pub longest: u64,
    /// Vectors that interrupts may have; none come when it is empty.
    pub vectors: Vec<u8>,
    /// Memory that is compared: start and bytes.
    pub memory: Vec<(u64, usize)>,
}

/// What a run came to when both sides agreed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Instructions that each side retired.
    pub instructions: u64,
    /// Stops at which they were compared.
    pub stops: u64,
    /// Interrupts that were offered.
    pub interrupts: u64,
}

/// Where and how the sides disagree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    /// Retired instructions at the last stop where they agreed.
    pub agreed_at: u64,
    /// What differs, first side first.
    pub what: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agreed until {}: {}", self.agreed_at, self.what)
    }
}

impl std::error::Error for Divergence {}

/// Runs both sides until the plan's count, an end of the guest, or a difference.
///
/// # Errors
/// The first difference.
pub fn run<A: Vcpu, B: Vcpu>(
    a: &mut Side<A>,
    b: &mut Side<B>,
    plan: &Plan,
) -> Result<Agreement, Divergence> {
    let mut random = Random(plan.seed);
    let mut sum = Agreement::default();
    let start = a.cpu.retired();
    loop {
        let agreed_at = a.cpu.retired();
        sum.instructions = agreed_at - start;
        if sum.instructions >= plan.instructions {
            return Ok(sum);
        }
        let stretch = 1 + if random.one_in(2) {
            random.below(8)
        } else {
            random.below(plan.longest)
        };
        if !plan.vectors.is_empty() && random.one_in(4) {
            let vector = random.pick(&plan.vectors);
            (a.bus.pending, b.bus.pending) = (Some(vector), Some(vector));
            sum.interrupts += 1;
        }
        if !plan.vectors.is_empty() && random.one_in(32) {
            (a.bus.nmi, b.bus.nmi) = (true, true);
        }
        let (left, right) = (a.stretch(stretch), b.stretch(stretch));
        sum.stops += 1;
        let whole = sum.stops.is_multiple_of(8) || left != Exit::Budget;
        if let Some(what) = difference(a, b, (&left, &right), plan, whole) {
            return Err(Divergence { agreed_at, what });
        }
        match left {
            Exit::Stopped(_) => return Ok(sum),
            // Nothing but an interrupt ends it, and this may be the plan without.
            Exit::Halted if plan.vectors.is_empty() => return Ok(sum),
            _ => {}
        }
    }
}

impl<V: Vcpu> Side<V> {
    fn stretch(&mut self, instructions: u64) -> Exit {
        if self.pace == Pace::Whole {
            return self.cpu.run(&mut self.bus, instructions);
        }
        let end = self.cpu.retired() + instructions;
        while self.cpu.retired() < end {
            let exit = self.cpu.run(&mut self.bus, 1);
            if exit != Exit::Budget {
                return exit;
            }
        }
        Exit::Budget
    }

    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.memory
            .read(GuestAddress(at), &mut out)
            .expect("the plan names RAM");
        out
    }
}

fn difference<A: Vcpu, B: Vcpu>(
    a: &Side<A>,
    b: &Side<B>,
    exits: (&Exit, &Exit),
    plan: &Plan,
    memory_too: bool,
) -> Option<String> {
    if exits.0 != exits.1 {
        return Some(format!("exit {:?}, {:?}", exits.0, exits.1));
    }
    let (x, y) = (a.cpu.retired(), b.cpu.retired());
    if x != y {
        return Some(format!("retired {x}, {y}"));
    }
    let state = |side: Result<_, _>| side.expect("a running processor can be saved");
    let (x, y) = (state(a.cpu.save()), state(b.cpu.save()));
    if x != y {
        return Some(fields_that_differ(&x, &y));
    }
    if a.bus.accesses != b.bus.accesses {
        let pairs = a.bus.accesses.iter().zip(&b.bus.accesses);
        let first = pairs.clone().find(|(p, q)| p != q);
        return Some(format!("device accesses: {first:?}"));
    }
    if !memory_too {
        return None;
    }
    plan.memory.iter().find_map(|&(at, len)| {
        let (x, y) = (a.bytes(at, len), b.bytes(at, len));
        let n = x.iter().zip(&y).position(|(p, q)| p != q)?;
        Some(format!(
            "memory at {:#x}: {:02x}, {:02x}",
            at + n as u64,
            x[n],
            y[n]
        ))
    })
}

/// Names the fields of two saved states that differ, with both values.
fn fields_that_differ(a: &Payload, b: &Payload) -> String {
    let fields = |p: &Payload| match ciborium::from_reader::<Value, _>(p.bytes.as_slice()) {
        Ok(Value::Map(map)) => map,
        _ => Vec::new(),
    };
    let (a, b) = (fields(a), fields(b));
    let parts: Vec<_> = a
        .iter()
        .zip(&b)
        .filter(|(x, y)| x != y)
        .map(|((name, x), (_, y))| format!("{name:?}: {x:?} and {y:?}"))
        .collect();
    parts.join("; ")
}
