//! The interpreter's chained handlers.
//!
//! A handler is monomorphised for one semantics, operand size, operand kind and addressing; it ends in a sibling call of
//! the next operation's handler, which compiles to a jump (ADR 0004). Handlers therefore keep nothing that needs dropping
//! and no locals whose address escapes; slow paths are functions of their own. Without optimization there are no sibling
//! calls: handlers then only note what comes next, and a loop in [`run_chain`] calls it.
//!
//! ```text
//! straight: [op] -> [op+1] -> ...        an early end (fault, device) goes back to the main loop through `leave`
//! branch:   [op] -> link in `disp` -> first op of the target's trace, if the budget covers it; else the main loop
//! ```

use super::operations::{Exec, Flow, am, kind};
use super::ops::{Branch, Straight};
use crate::cpu::{Cpu, Stop, Why, flag, seg, size_mask, slot};
use crate::tlb::{JumpEntry, jump_index, tlb_index};
use crate::trace::{Op, Trace, mode};

/// Goes on with an operation: the sibling call at the end of a handler.
///
/// # Safety
/// As [`straight`]; nothing follows it in the handler.
#[inline(always)]
pub(crate) unsafe fn chain(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: the caller's.
    unsafe {
        if cfg!(chained) {
            ((*op).run)(cpu, op)
        } else {
            (*cpu).next_op = op;
        }
    }
}

/// Runs from an operation until a handler goes back to the main loop.
///
/// # Safety
/// As [`straight`].
pub(crate) unsafe fn run_chain(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: the caller's; a handler notes only operations that it could have called.
    unsafe {
        ((*op).run)(cpu, op);
        while !cfg!(chained) && !(*cpu).next_op.is_null() {
            let next = std::mem::replace(&mut (*cpu).next_op, std::ptr::null_mut());
            ((*next).run)(cpu, next);
        }
    }
}

/// A handler that goes on with the next operation.
///
/// # Safety
/// Called by the main loop or another handler with a valid processor and an operation of a trace.
pub(crate) unsafe fn straight<
    S: Straight,
    const SZ: u8,
    const KIND: u8,
    const AM: u8,
    const FLAGS: bool,
>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: an operation is always followed by another or by the trace's last one, which is not straight.
    unsafe {
        if S::apply(&mut Exec::<SZ, KIND, AM, FLAGS, false>::new(cpu, op)).is_err() {
            return again::<S, SZ, KIND, AM>(cpu, op);
        }
        chain(cpu, op.add(1))
    }
}

/// The slow twin of [`straight`]: does the operation with all that it may need.
///
/// # Safety
/// As [`straight`].
#[inline(never)]
pub(crate) unsafe fn straight_slow<S: Straight, const SZ: u8, const KIND: u8, const AM: u8>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: as in `straight`.
    unsafe {
        if S::apply(&mut Exec::<SZ, KIND, AM, true, true>::new(cpu, op)).is_err() {
            return leave(cpu, op);
        }
        chain(cpu, op.add(1))
    }
}

/// Leaves an operation to its slow twin, which has no use for the absence of an index.
#[inline(always)]
unsafe fn again<S: Straight, const SZ: u8, const KIND: u8, const AM: u8>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: the caller's.
    unsafe {
        match AM {
            am::A32 | am::BASE32 => straight_slow::<S, SZ, KIND, { am::A32 }>(cpu, op),
            _ => straight_slow::<S, SZ, KIND, { am::A64 }>(cpu, op),
        }
    }
}

/// A handler of two operations in one: the second is a conditional branch, whose operation stands behind as ever. What
/// the first one computes then reaches the condition in registers.
///
/// # Safety
/// As [`straight`].
pub(crate) unsafe fn pair<S: Straight, J: Branch, const SZ: u8, const KIND: u8, const AM: u8>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: as in `straight`; the builder pairs only operations that follow each other.
    unsafe {
        if S::apply(&mut Exec::<SZ, KIND, AM, true, false>::new(cpu, op)).is_err() {
            return again::<S, SZ, KIND, AM>(cpu, op);
        }
        branch::<J, SZ, { kind::I }, { am::A64 }>(cpu, op.add(1))
    }
}

/// A handler that decides where execution goes on.
///
/// # Safety
/// As [`straight`].
#[inline(always)]
pub(crate) unsafe fn branch<S: Branch, const SZ: u8, const KIND: u8, const AM: u8>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: as in `straight`.
    unsafe {
        match S::apply(&mut Exec::<SZ, KIND, AM, true, false>::new(cpu, op)) {
            Ok(flow) => go(cpu, op, flow),
            Err(Stop) => match AM {
                am::A32 | am::BASE32 => branch_slow::<S, SZ, KIND, { am::A32 }>(cpu, op),
                _ => branch_slow::<S, SZ, KIND, { am::A64 }>(cpu, op),
            },
        }
    }
}

/// The slow twin of [`branch`].
///
/// # Safety
/// As [`straight`].
#[inline(never)]
pub(crate) unsafe fn branch_slow<S: Branch, const SZ: u8, const KIND: u8, const AM: u8>(
    cpu: *mut Cpu,
    op: *mut Op,
) {
    // SAFETY: as in `straight`.
    unsafe {
        match S::apply(&mut Exec::<SZ, KIND, AM, true, true>::new(cpu, op)) {
            Ok(flow) => go(cpu, op, flow),
            Err(Stop) => leave(cpu, op),
        }
    }
}

/// Goes where a branch leads.
#[inline(always)]
unsafe fn go(cpu: *mut Cpu, op: *mut Op, flow: Flow) {
    // SAFETY: as in `straight`; only conditional branches fall through, and something follows them.
    unsafe {
        match flow {
            Flow::Next => chain(cpu, op.add(1)),
            Flow::Static => {
                let target = (*op).disp as *mut Op;
                if !target.is_null() {
                    let budget =
                        (*cpu).budget + i64::from((*op).rest) - 1 - i64::from((*target).rest);
                    if budget >= 0 {
                        (*cpu).budget = budget;
                        return chain(cpu, target);
                    }
                }
                static_slow(cpu, op)
            }
            Flow::To(rip) => go_to(cpu, rip, i64::from((*op).rest) - 1),
        }
    }
}

/// Looks `rip` up in the jump cache; `refund` instructions of the running trace did not run.
#[inline(always)]
pub(crate) unsafe fn go_to(cpu: *mut Cpu, rip: u64, refund: i64) {
    // SAFETY: the jump cache has JUMP_ENTRIES entries; its operations are first ones of live traces.
    unsafe {
        let e = (*cpu).jumps.add(jump_index(rip));
        if (*e).rip == rip {
            let target = (*e).op;
            let budget = (*cpu).budget + refund - i64::from((*target).rest);
            if budget >= 0 {
                (*cpu).budget = budget;
                (*cpu).r[slot::PAGE] = rip.wrapping_sub(u64::from((*target).offset));
                return chain(cpu, target);
            }
        }
        (*cpu).budget += refund;
        (*cpu).rip = rip;
        (*cpu).why = Why::Jump;
    }
}

/// A taken branch without a usable link.
#[inline(never)]
unsafe fn static_slow(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: valid pointers.
    unsafe {
        let next =
            (*cpu).r[slot::PAGE].wrapping_add(u64::from((*op).offset) + u64::from((*op).len));
        let width = if (*cpu).mode & mode::SIZE == mode::BITS64 {
            8
        } else {
            (*op).size()
        };
        let target = next.wrapping_add((*op).imm64()) & size_mask(width);
        let page_start = (*cpu).r[slot::PAGE];
        let mut linkable = target.wrapping_sub(page_start) < 0x1000;
        if width != 8 {
            if target > u64::from((*cpu).seg[seg::CS].limit) {
                return beyond_limit(cpu, op);
            }
            // Where such a branch leads depends on the page's place in the segment (see `PageRule`), which a link
            // shared by all of them cannot know.
            let cut = width == 2 && (*cpu).mode & mode::SIZE != mode::BITS16;
            linkable &= !cut && page_start < 1 << 32;
        }
        if !linkable {
            return go_to(cpu, target, i64::from((*op).rest) - 1);
        }
        (*cpu).budget += i64::from((*op).rest) - 1;
        (*cpu).rip = target;
        (*cpu).link_from = op;
        // With a link in place it was the budget that did not suffice.
        (*cpu).why = if (*op).disp == 0 {
            Why::Link
        } else {
            Why::Jump
        };
    }
}

/// A near branch to an offset behind the code segment's limit: #GP(0) at the branch (SDM volume 2, JMP and CALL).
#[cold]
#[inline(never)]
unsafe fn beyond_limit(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: valid pointers.
    unsafe {
        if (*op).extra != 0 {
            (*cpu).drop_stack(u64::from((*op).size()));
        }
        (*cpu).gp(0);
        leave(cpu, op);
    }
}

/// The operation behind the last instruction of a trace that does not end in a branch.
///
/// # Safety
/// As [`straight`].
pub(crate) unsafe fn through(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: valid pointers.
    unsafe {
        let target = (*op).disp as *mut Op;
        if !target.is_null() {
            let budget = (*cpu).budget - i64::from((*target).rest);
            if budget >= 0 {
                (*cpu).budget = budget;
                return chain(cpu, target);
            }
        }
        let rip = (*cpu).r[slot::PAGE].wrapping_add(u64::from((*op).offset));
        let rip = if (*cpu).mode & mode::SIZE == mode::BITS64 {
            rip
        } else {
            rip & 0xFFFF_FFFF
        };
        if (*op).offset >= 0x1000 {
            return go_to(cpu, rip, 0);
        }
        (*cpu).rip = rip;
        (*cpu).link_from = op;
        (*cpu).why = if target.is_null() {
            Why::Link
        } else {
            Why::Jump
        };
    }
}

/// Leaves the trace before `op`: its instruction and those behind it have not run. `why` is set.
#[cold]
#[inline(never)]
pub(crate) unsafe fn leave(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: valid pointers.
    unsafe {
        (*cpu).budget += i64::from((*op).rest);
        (*cpu).rip = (*cpu).rip_of(&*op);
    }
}

/// First operation of a trace that was unhooked: goes back to the main loop, which looks again.
///
/// # Safety
/// As [`straight`].
pub(crate) unsafe fn left_trace(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: valid pointers.
    unsafe {
        (*cpu).why = Why::Jump;
        leave(cpu, op);
        let rip = (*cpu).rip;
        let index = jump_index(rip);
        *(*cpu).jumps.add(index) = JumpEntry::empty(index);
    }
}

/// First operation of the trace of an instruction that crosses the page end: goes on when the next page is mapped and
/// holds the bytes that were decoded, else back to the main loop, which looks with more care.
///
/// # Safety
/// As [`straight`]; `op` stands behind the head of its trace.
pub(crate) unsafe fn check_tail(cpu: *mut Cpu, op: *mut Op) {
    // SAFETY: the caller's.
    unsafe {
        if tail_holds(cpu, op.cast::<Trace>().sub(1)) {
            chain(cpu, op.add(1))
        } else {
            left_trace(cpu, op)
        }
    }
}

/// Whether the bytes behind the page of a trace are those that it was decoded from, by a soft TLB that has them.
#[inline(always)]
unsafe fn tail_holds(cpu: *const Cpu, trace: *const Trace) -> bool {
    // SAFETY: valid pointers; a matching tag means that `page + addend` is a page of guest memory.
    unsafe {
        let page = (*cpu).r[slot::PAGE].wrapping_add(0x1000);
        let page = if (*cpu).mode & mode::SIZE == mode::BITS64 {
            page
        } else if (*cpu).seg[seg::CS].limit == u32::MAX && (*cpu).seg[seg::CS].base == 0 {
            page & 0xFFFF_FFFF
        } else {
            return false;
        };
        let e = (*cpu).tlb.add(tlb_index(page));
        if (*e).exec != page {
            return false;
        }
        let host = page.wrapping_add((*e).addend) as *const u8;
        let mut n = 0;
        while n < usize::from((*trace).tail_len) {
            if *host.add(n) != (&(*trace).tail)[n] {
                return false;
            }
            n += 1;
        }
        true
    }
}

/// A helper that goes on with the next operation.
macro_rules! straight_helper {
    ($name:ident, $helper:path) => {
        unsafe fn $name(cpu: *mut Cpu, op: *mut Op) {
            // SAFETY: handlers get a valid processor that nobody else refers to, and an operation of a trace.
            unsafe {
                if $helper(&mut *cpu, &*op).is_err() {
                    return leave(cpu, op);
                }
                crate::exec::interp::chain(cpu, op.add(1))
            }
        }
    };
}

/// A helper after which an interrupt may be deliverable: goes on only when there is nothing to look at.
macro_rules! checked_helper {
    ($name:ident, $helper:path) => {
        unsafe fn $name(cpu: *mut Cpu, op: *mut Op) {
            // SAFETY: as in `straight_helper`.
            unsafe {
                if $helper(&mut *cpu, &*op).is_err() {
                    return leave(cpu, op);
                }
                if (*cpu).must_look() {
                    (*cpu).rip = (*cpu).rip_after(&*op);
                    (*cpu).why = Why::Jump;
                    (*cpu).budget += i64::from((*op).rest) - 1;
                    return;
                }
                crate::exec::interp::chain(cpu, op.add(1))
            }
        }
    };
}

/// A helper that ends the trace; `rip` is the next instruction when it starts, and it may change it.
macro_rules! ending_helper {
    ($name:ident, $helper:path) => {
        unsafe fn $name(cpu: *mut Cpu, op: *mut Op) {
            // SAFETY: as in `straight_helper`.
            unsafe {
                (*cpu).rip = (*cpu).rip_after(&*op);
                (*cpu).why = Why::Jump;
                if $helper(&mut *cpu, &*op).is_err() {
                    return leave(cpu, op);
                }
                let refund = i64::from((*op).rest) - 1;
                if (*cpu).must_look() || (*cpu).why != Why::Jump {
                    (*cpu).budget += refund;
                    return;
                }
                go_to(cpu, (*cpu).rip, refund)
            }
        }
    };
}

pub(crate) use {checked_helper, ending_helper, straight_helper};

impl Cpu {
    /// Instruction pointer of the operation.
    pub(crate) fn rip_of(&self, op: &Op) -> u64 {
        let rip = self.r[slot::PAGE].wrapping_add(u64::from(op.offset));
        if self.mode & mode::SIZE == mode::BITS64 {
            rip
        } else {
            rip & 0xFFFF_FFFF
        }
    }

    /// Instruction pointer behind the operation.
    pub(crate) fn rip_after(&self, op: &Op) -> u64 {
        let rip = self.r[slot::PAGE].wrapping_add(u64::from(op.offset) + u64::from(op.len));
        if self.mode & mode::SIZE == mode::BITS64 {
            rip
        } else {
            rip & 0xFFFF_FFFF
        }
    }

    /// Retired instructions before the one of this operation.
    pub(crate) fn retired_before(&self, op: &Op) -> u64 {
        self.retired().wrapping_sub(u64::from(op.rest))
    }

    /// Whether the main loop has to see what happened before the next instruction: a device was touched, something
    /// took long, an interrupt may be deliverable, or the next instruction is special.
    #[inline(always)]
    pub(crate) fn must_look(&self) -> bool {
        self.look
            | self.touched
            | self.shadow
            | (self.eflags & (flag::TF | flag::RF | flag::VIP) != 0)
    }

    /// Whether interrupts are enabled.
    pub(crate) fn interrupts_enabled(&self) -> bool {
        self.eflags & flag::IF != 0
    }
}
