//! The debugger's door: look at a processor and stop it, without leaving a trace in the guest.
//!
//! * here the trait and its types; `registers` reading and setting them; `walk` page tables read without a mark in them;
//!   `points` breakpoints and watchpoints.
//!
//! Nothing here sets an accessed or dirty bit, fills a TLB or touches a device. Breakpoints cost nothing when there are
//! none; with some, traces end before their addresses and are never linked to there, so that the main loop, which is slow
//! anyway, sees every arrival. Watchpoints take the fast tags away from their pages.

mod points;
mod registers;
mod walk;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::cpu::Cpu;
use crate::observe::{Classes, Recorder};

pub(crate) use points::Points;
pub use points::{MAX_BREAKPOINTS, MAX_WATCH_BYTES, MAX_WATCHPOINTS};
pub use registers::{Registers, SegmentView, TableView, X87View};
pub use walk::{PageWalk, WalkEnd, WalkEntry};

/// What an access does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchKind {
    /// Stops after writes.
    Write,
    /// Stops after reads.
    Read,
    /// Stops after both.
    Access,
}

/// A range of linear addresses that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Watchpoint {
    /// First byte, linear.
    pub address: u64,
    /// Bytes, 1 to [`MAX_WATCH_BYTES`].
    pub length: u32,
    /// Which accesses.
    pub kind: WatchKind,
}

/// Why a debugger has the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum DebugStop {
    /// The next instruction stands at a breakpoint; it has not run.
    Breakpoint {
        /// Linear address.
        address: u64,
    },
    /// The instruction before touched a watched address.
    Watchpoint {
        /// First watched byte that it touched, linear.
        address: u64,
        /// Kind of the watchpoint (`kind` is the word of events).
        watch: WatchKind,
        /// Whether it wrote.
        write: bool,
    },
    /// While a single step was made, an exception or interrupt was delivered; its handler has not begun.
    Delivered,
}

/// Why something cannot be looked at or set; each becomes a sentence for the user.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// No such register, or it cannot be set.
    #[error(
        "there is no register '{0}' that can be set; general registers, rip, rflags, st0 to st7, xmm0 to xmm15, mxcsr and the x87 control registers can"
    )]
    UnknownRegister(String),
    /// A value that the register cannot hold.
    #[error("{0} cannot hold {1:#x}")]
    BadValue(String, u128),
    /// More breakpoints or watchpoints than there may be.
    #[error("there can be at most {0} of these")]
    TooMany(usize),
    /// A watchpoint of no or too many bytes.
    #[error("a watchpoint has 1 to {MAX_WATCH_BYTES} bytes and does not wrap around")]
    BadLength,
}

/// What a debugger may do with one processor between two runs of it.
pub trait Inspect: Debug {
    /// All registers.
    fn registers(&self) -> Registers;
    /// Sets one register by its name in [`Registers`].
    ///
    /// # Errors
    /// It is unknown or cannot hold the value.
    fn set_register(&mut self, name: &str, value: u128) -> Result<(), InspectError>;
    /// Where a linear address leads, through which table entries; sets no bit in them and fills no TLB.
    fn page_walk(&self, linear: u64) -> PageWalk;
    /// Bits of the code segment: 16, 32 or 64.
    fn code_bits(&self) -> u32;
    /// Replaces the breakpoints: linear addresses, in any order.
    ///
    /// # Errors
    /// More than [`MAX_BREAKPOINTS`].
    fn set_breakpoints(&mut self, addresses: &[u64]) -> Result<(), InspectError>;
    /// The breakpoints, sorted.
    fn breakpoints(&self) -> &[u64];
    /// Replaces the watchpoints.
    ///
    /// # Errors
    /// More than [`MAX_WATCHPOINTS`], or one that makes no sense.
    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) -> Result<(), InspectError>;
    /// The watchpoints.
    fn watchpoints(&self) -> &[Watchpoint];
    /// Goes past a breakpoint at the next instruction, once.
    fn pass_breakpoint(&mut self);
    /// Single-step mode: while on, `run` also comes back when an exception or interrupt was delivered.
    fn set_stepping(&mut self, on: bool);
    /// The recorder of the trace points.
    fn recorder(&self) -> &Recorder;
    /// Begins a recording; see [`Recorder::start`].
    fn start_recording(&mut self, classes: Classes, capacity: usize);
    /// Ends it; what was recorded stays.
    fn stop_recording(&mut self);
    /// Takes the recorder out, with what it has recorded; an empty one that is off takes its place.
    fn take_recorder(&mut self) -> Recorder;
    /// Gives it a recorder to go on with.
    fn give_recorder(&mut self, recorder: Recorder);
}

impl Inspect for Cpu {
    fn registers(&self) -> Registers {
        self.view()
    }

    fn set_register(&mut self, name: &str, value: u128) -> Result<(), InspectError> {
        self.assign(name, value)
    }

    fn page_walk(&self, linear: u64) -> PageWalk {
        self.quiet_walk(linear)
    }

    fn code_bits(&self) -> u32 {
        self.bits_of_code()
    }

    fn set_breakpoints(&mut self, addresses: &[u64]) -> Result<(), InspectError> {
        self.replace_breakpoints(addresses)
    }

    fn breakpoints(&self) -> &[u64] {
        &self.points.breakpoints
    }

    fn set_watchpoints(&mut self, watchpoints: &[Watchpoint]) -> Result<(), InspectError> {
        self.replace_watchpoints(watchpoints)
    }

    fn watchpoints(&self) -> &[Watchpoint] {
        &self.points.watchpoints
    }

    fn pass_breakpoint(&mut self) {
        self.points.passed = Some((self.retired(), self.linear_pc()));
    }

    fn set_stepping(&mut self, on: bool) {
        self.set_stepping_mode(on);
    }

    fn recorder(&self) -> &Recorder {
        &self.observer
    }

    fn start_recording(&mut self, classes: Classes, capacity: usize) {
        self.observer.start(classes, capacity);
        self.trace_mode();
    }

    fn stop_recording(&mut self) {
        self.observer.stop();
    }

    fn take_recorder(&mut self) -> Recorder {
        std::mem::take(&mut self.observer)
    }

    fn give_recorder(&mut self, recorder: Recorder) {
        self.observer = recorder;
    }
}
