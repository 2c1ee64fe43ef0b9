//! Breakpoints and watchpoints: the sets, and the questions that the slow paths ask of them.

use super::{DebugStop, InspectError, WatchKind, Watchpoint};
use crate::cpu::Cpu;
use crate::decode::{MAX_LEN, Rep, decode};
use crate::isa::Class;
use crate::tlb::NO_TAG;
use crate::translate::code_size;

/// Most breakpoints of a processor.
pub const MAX_BREAKPOINTS: usize = 1024;
/// Most watchpoints of a processor.
pub const MAX_WATCHPOINTS: usize = 64;
/// Most bytes of one watchpoint: a page.
pub const MAX_WATCH_BYTES: u32 = 4096;

/// What a debugger has set on one processor, and what became of it. No part of the guest's state.
#[derive(Debug)]
pub(crate) struct Points {
    /// There is something to look at between two instructions.
    pub(crate) armed: bool,
    /// An address is watched.
    pub(crate) watching: bool,
    /// An exception or interrupt is being delivered: no instruction is under way.
    pub(crate) delivering: bool,
    /// One has been delivered since the run began.
    pub(crate) delivered: bool,
    /// The instruction under way, which runs alone, touched a watched address.
    pub(crate) hit: Option<DebugStop>,
    pub(super) stepping: bool,
    pub(super) breakpoints: Vec<u64>,
    pub(super) watchpoints: Vec<Watchpoint>,
    /// Bit n: some breakpoint has this offset in its page. Traces have physical addresses and no linear ones: they end
    /// at all offsets where a breakpoint might be.
    offsets: Box<[u64; 64]>,
    /// Retired count and address of the breakpoint that was told last, or is to be passed.
    pub(super) passed: Option<(u64, u64)>,
    /// Address that the main loop came by last.
    last: u64,
}

impl Points {
    pub(crate) fn new() -> Self {
        Self {
            armed: false,
            watching: false,
            delivering: false,
            delivered: false,
            hit: None,
            stepping: false,
            breakpoints: Vec::new(),
            watchpoints: Vec::new(),
            offsets: Box::new([0; 64]),
            passed: None,
            last: NO_TAG,
        }
    }

    fn settle(&mut self) {
        self.offsets.fill(0);
        for b in &self.breakpoints {
            let offset = (b & 0xFFF) as usize;
            self.offsets[offset >> 6] |= 1 << (offset & 63);
        }
        self.watching = !self.watchpoints.is_empty();
        self.armed = self.watching || self.stepping || !self.breakpoints.is_empty();
    }

    /// Whether a trace must not run through this offset of a page, nor be linked to there.
    #[inline]
    pub(crate) fn breaks_at(&self, offset: u64) -> bool {
        let offset = (offset & 0xFFF) as usize;
        self.offsets[offset >> 6] >> (offset & 63) & 1 != 0
    }

    /// The watchpoint that an access hits.
    fn watched(&self, linear: u64, n: u64, write: bool) -> Option<DebugStop> {
        self.watchpoints.iter().find_map(|w| {
            let kind_fits = match w.kind {
                WatchKind::Write => write,
                WatchKind::Read => !write,
                WatchKind::Access => true,
            };
            // Distances, so that ranges at the top of the address space do not wrap.
            let into = linear.wrapping_sub(w.address);
            let before = w.address.wrapping_sub(linear);
            let hit = into < u64::from(w.length) || before < n;
            (kind_fits && hit).then(|| DebugStop::Watchpoint {
                address: if into < u64::from(w.length) {
                    linear
                } else {
                    w.address
                },
                watch: w.kind,
                write,
            })
        })
    }

    /// Whether a watchpoint lies in the page of a linear address: such a page gets no data tags in the soft TLBs.
    #[inline]
    pub(crate) fn in_page(&self, linear: u64) -> bool {
        self.watching
            && self.watchpoints.iter().any(|w| {
                let last = w.address.wrapping_add(u64::from(w.length) - 1);
                w.address >> 12 == linear >> 12 || last >> 12 == linear >> 12
            })
    }

    /// Notes a data access of `n` bytes that is about to be made, if it is watched.
    #[cold]
    pub(crate) fn note(&mut self, linear: u64, n: u64, write: bool) {
        if let Some(hit) = self.watched(linear, n, write) {
            self.hit.get_or_insert(hit);
        }
    }
}

impl Cpu {
    /// Whether the processor stops here for a debugger: asked between two instructions, when something is armed.
    #[cold]
    pub(crate) fn debug_stop(&mut self) -> Option<DebugStop> {
        if self.points.stepping && std::mem::take(&mut self.points.delivered) {
            return Some(DebugStop::Delivered);
        }
        let pc = self.linear_pc();
        let last = std::mem::replace(&mut self.points.last, pc);
        self.points.breakpoints.binary_search(&pc).ok()?;
        let here = Some((self.retired(), pc));
        let again = self.points.passed == here;
        self.points.passed = here;
        if again || last == pc && self.at_rep_string(pc) {
            return None;
        }
        Some(DebugStop::Breakpoint { address: pc })
    }

    /// Whether a REP string instruction stands at the address: it comes by after each stretch of its iterations.
    fn at_rep_string(&self, pc: u64) -> bool {
        let mut bytes = [0; MAX_LEN];
        let n = self.fetch_quietly(pc, &mut bytes);
        decode(&bytes[..n], code_size(self.mode)).is_ok_and(|i| {
            i.rep != Rep::None && i.form().operands.iter().any(|o| o.class == Class::X)
        })
    }

    /// Reads bytes of RAM at a linear address without any effect; gives how many it could.
    pub(crate) fn fetch_quietly(&self, linear: u64, out: &mut [u8]) -> usize {
        for (i, byte) in out.iter_mut().enumerate() {
            let at = linear.wrapping_add(i as u64);
            let at = if self.long_mode() {
                at
            } else {
                at & 0xFFFF_FFFF
            };
            let Some(physical) = self.quiet_walk(at).physical else {
                return i;
            };
            let Some(value) = self.peek_physical(physical, 1) else {
                return i;
            };
            *byte = value as u8;
        }
        out.len()
    }

    pub(super) fn replace_breakpoints(&mut self, addresses: &[u64]) -> Result<(), InspectError> {
        if addresses.len() > MAX_BREAKPOINTS {
            return Err(InspectError::TooMany(MAX_BREAKPOINTS));
        }
        let mut sorted = addresses.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted != self.points.breakpoints {
            self.points.breakpoints = sorted;
            self.points.settle();
            // Traces that run through the addresses, and links and jump caches that lead to them.
            self.drop_traces();
        }
        Ok(())
    }

    pub(super) fn replace_watchpoints(&mut self, list: &[Watchpoint]) -> Result<(), InspectError> {
        if list.len() > MAX_WATCHPOINTS {
            return Err(InspectError::TooMany(MAX_WATCHPOINTS));
        }
        let sound = |w: &Watchpoint| {
            (1..=MAX_WATCH_BYTES).contains(&w.length)
                && w.address.checked_add(u64::from(w.length) - 1).is_some()
        };
        if !list.iter().all(sound) {
            return Err(InspectError::BadLength);
        }
        if list != self.points.watchpoints {
            self.points.watchpoints = list.to_vec();
            self.points.settle();
            self.points.hit = None;
            self.forget_translations();
        }
        Ok(())
    }

    pub(super) fn set_stepping_mode(&mut self, on: bool) {
        self.points.stepping = on;
        self.points.delivered = false;
        self.points.settle();
    }
}
