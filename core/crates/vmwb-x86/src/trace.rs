//! Pre-decoded traces: what the interpreter runs instead of bytes.
//!
//! A trace is a straight run of instructions of one physical page, each an [`Op`] whose handler ends in a sibling call of
//! the next one's. Traces are found by their place in the memory file (`phys`) and decode mode and do not depend on the linear address: RIP
//! relative operands and return addresses count from the pseudo register `PAGE`. A trace is entered at its first op only;
//! conditional branches leave it on the way, and links between traces of one page are patched into the branch.
//!
//! Memory: one arena, filled from the front; when it is full everything is thrown away. A trace whose code is written to
//! is unhooked and its first op replaced by one that leaves; links to it, all from the same page, are taken back.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use vmwb_hw::GuestMemory;
use vmwb_mem::{CpuSlot, PageFlags};

use crate::cpu::Cpu;

/// A handler of one operation.
pub(crate) type Handler = unsafe fn(*mut Cpu, *mut Op);

/// Most instructions in a trace.
pub(crate) const MAX_TRACE: usize = 48;
const ARENA_BYTES: usize = 24 << 20;
/// What traces are aligned to, and the unit of their places in the arena.
const PLACE_BYTES: usize = 32;
const BUCKETS: usize = 1 << 17;
/// Writes to a page that no longer holds code before it stops being watched.
const FORGIVE_AFTER: u8 = 64;

/// Decode mode: part of a trace's identity.
pub(crate) mod mode {
    pub const BITS16: u32 = 0;
    pub const BITS32: u32 = 1;
    pub const BITS64: u32 = 2;
    pub const SIZE: u32 = 3;
    /// DS, ES and SS are flat 4-GiB data segments.
    pub const FLAT: u32 = 4;
    /// 32-bit stack.
    pub const STACK32: u32 = 8;
    /// One instruction only, then back to the main loop.
    pub const ALONE: u32 = 16;
    /// Branches inside the page are not linked.
    pub const UNLINKED: u32 = 32;
}

/// Bits of [`Op::flags`].
pub(crate) mod opflag {
    pub const OPSIZE: u16 = 3;
    pub const ASIZE_SHIFT: u16 = 2;
    pub const ASIZE: u16 = 3 << 2;
    pub const REP_SHIFT: u16 = 4;
    pub const REP: u16 = 3 << 4;
    pub const MEM: u16 = 1 << 6;
    /// The branch's `disp` is a link.
    pub const LINKED: u16 = 1 << 7;
    pub const SEG_SHIFT: u16 = 8;
    pub const SEG: u16 = 7 << 8;
    /// First operation of a trace that was unhooked.
    pub const LEFT: u16 = 1 << 11;
}

/// One pre-decoded operation: 32 bytes, two in a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Op {
    pub(crate) run: Handler,
    /// Displacement; a 64-bit immediate; or, in a branch, the link to the target's trace.
    pub(crate) disp: u64,
    /// Immediate, sign-extended at use; branch displacement.
    pub(crate) imm: i32,
    /// Byte offset of the first register operand in the register file (XMM, MMX, x87: the register's number).
    pub(crate) dst: u8,
    /// Byte offset of the second one.
    pub(crate) src: u8,
    /// Byte offset of the base register.
    pub(crate) base: u8,
    /// Byte offset of the index register.
    pub(crate) index: u8,
    pub(crate) flags: u16,
    /// Offset of the instruction in its page.
    pub(crate) offset: u16,
    pub(crate) scale: u8,
    pub(crate) len: u8,
    /// Instructions of the trace from this one to the end, inclusive: what was charged for and has not run yet.
    pub(crate) rest: u8,
    pub(crate) extra: u8,
}

impl Op {
    /// Operand size in bytes.
    #[inline(always)]
    pub(crate) fn size(&self) -> u8 {
        1 << (self.flags & opflag::OPSIZE)
    }
    /// Address size in bytes.
    #[inline(always)]
    pub(crate) fn address_size(&self) -> u8 {
        1 << ((self.flags & opflag::ASIZE) >> opflag::ASIZE_SHIFT)
    }
    pub(crate) fn segment(&self) -> usize {
        usize::from((self.flags & opflag::SEG) >> opflag::SEG_SHIFT)
    }
    pub(crate) fn is_mem(&self) -> bool {
        self.flags & opflag::MEM != 0
    }
    pub(crate) fn rep(&self) -> u16 {
        (self.flags & opflag::REP) >> opflag::REP_SHIFT
    }
    /// Immediate, sign-extended to 64 bits.
    #[inline(always)]
    pub(crate) fn imm64(&self) -> u64 {
        i64::from(self.imm) as u64
    }
}

/// Head of a trace; its operations follow in memory.
#[derive(Debug)]
#[repr(C, align(32))]
pub struct Trace {
    /// Offset of the first instruction in the memory file.
    pub(crate) phys: u64,
    pub(crate) mode: u32,
    /// Operations.
    len: u16,
    /// Some branch links to it.
    linked: bool,
    /// Bit n: the trace covers bytes of the n-th 64-byte granule of its page.
    pub(crate) granules: u64,
    next_in_bucket: *mut Trace,
    next_in_page: *mut Trace,
    /// An instruction that crosses the page end: how many of its bytes lie in the next page. Whoever finds such a trace
    /// compares the bytes, and so does its first operation, `check_tail`, for those that come by a link or a jump cache.
    /// (A trace that runs alone has no such operation: nothing leads there.)
    pub(crate) tail_len: u8,
    pub(crate) tail: [u8; 15],
}

impl Trace {
    pub(crate) fn new(phys: u64, mode: u32, granules: u64, tail: &[u8]) -> Self {
        let mut bytes = [0; 15];
        bytes[..tail.len()].copy_from_slice(tail);
        Self {
            phys,
            mode,
            len: 0,
            linked: false,
            granules,
            next_in_bucket: std::ptr::null_mut(),
            next_in_page: std::ptr::null_mut(),
            tail_len: tail.len() as u8,
            tail: bytes,
        }
    }

    /// The first operation.
    ///
    /// # Safety
    /// `this` points to a trace of the arena.
    #[inline(always)]
    pub(crate) unsafe fn ops(this: *mut Self) -> *mut Op {
        // SAFETY: the arena places the operations right behind the head.
        unsafe { this.add(1).cast() }
    }

    /// Makes a branch of the same page go straight to this trace.
    ///
    /// # Safety
    /// `this` and `branch` point into live traces of the arena.
    pub(crate) unsafe fn link(this: *mut Self, branch: *mut Op) {
        // SAFETY: the caller's.
        unsafe {
            (*branch).disp = Self::ops(this) as u64;
            (*branch).flags |= opflag::LINKED;
            (*this).linked = true;
        }
    }

    /// Takes back the links to traces that were unhooked.
    ///
    /// # Safety
    /// As [`Self::ops`].
    unsafe fn unlink(this: *mut Self) {
        // SAFETY: links lead to traces of the arena, which stay readable until all are thrown away.
        unsafe {
            for n in 0..usize::from((*this).len) {
                let op = Self::ops(this).add(n);
                if (*op).flags & opflag::LINKED != 0
                    && (*((*op).disp as *const Op)).flags & opflag::LEFT != 0
                {
                    (*op).disp = 0;
                    (*op).flags &= !opflag::LINKED;
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct PageCode {
    granules: u64,
    first: *mut Trace,
    idle_writes: u8,
}

/// All traces of one processor.
#[derive(Debug)]
pub(crate) struct TraceCache {
    arena: NonNull<u8>,
    used: usize,
    /// Chains of traces by hash, each named by where it lies in the arena: its offset in units of a head, plus 1.
    buckets: Box<[u32]>,
    pages: Box<[PageCode]>,
    /// Pages that have had code since everything was thrown away, some more than once.
    coded: Vec<usize>,
    memory: Arc<GuestMemory>,
    /// Whose traces these are; given back in the end.
    slot: CpuSlot,
}

const ARENA_LAYOUT: std::alloc::Layout = match std::alloc::Layout::from_size_align(ARENA_BYTES, 64)
{
    Ok(l) => l,
    Err(_) => unreachable!(),
};

impl TraceCache {
    pub(crate) fn new(memory: Arc<GuestMemory>, slot: CpuSlot) -> Self {
        // Not zeroed: that would touch all of it, for each processor, before anything runs. Nothing is read of it that
        // `insert` has not written.
        // SAFETY: the layout has a size above zero.
        let arena = NonNull::new(unsafe { std::alloc::alloc(ARENA_LAYOUT) })
            .unwrap_or_else(|| std::alloc::handle_alloc_error(ARENA_LAYOUT));
        // One more for code that lies in no memory.
        let pages = memory.backing_pages() as usize + 1;
        // SAFETY: zero, no trace and zero are zeros. So zeroed that what no code lies in costs no memory.
        let pages = unsafe { Box::<[PageCode]>::new_zeroed_slice(pages).assume_init() };
        Self {
            arena,
            used: 0,
            buckets: vec![0; BUCKETS].into_boxed_slice(),
            pages,
            coded: Vec::new(),
            memory,
            slot,
        }
    }

    fn bucket(phys: u64) -> usize {
        ((phys ^ (phys >> 12).wrapping_mul(0x9E5)) as usize) & (BUCKETS - 1)
    }

    #[inline]
    fn trace_at(&self, place: u32) -> *mut Trace {
        match place.checked_sub(1) {
            // SAFETY: only `insert` makes places, of traces inside the arena.
            Some(n) => unsafe { self.arena.as_ptr().add(n as usize * PLACE_BYTES).cast() },
            None => std::ptr::null_mut(),
        }
    }

    #[inline]
    pub(crate) fn find(&self, phys: u64, mode: u32) -> *mut Trace {
        let mut t = self.trace_at(self.buckets[Self::bucket(phys)]);
        while !t.is_null() {
            // SAFETY: chains hold only traces of the arena, which are not freed before `clear` empties the chains.
            unsafe {
                if (*t).phys == phys && (*t).mode == mode {
                    return t;
                }
                t = (*t).next_in_bucket;
            }
        }
        t
    }

    /// Whether a trace of the largest size still fits.
    pub(crate) fn has_room(&self) -> bool {
        self.used + size_of::<Trace>() + (MAX_TRACE + 2) * size_of::<Op>() + 64 < ARENA_BYTES
    }

    /// Puts a trace into the arena and hooks it up. `has_room` was asked before.
    pub(crate) fn insert(&mut self, head: Trace, ops: &[Op]) -> *mut Trace {
        let at = self.used.next_multiple_of(PLACE_BYTES);
        let bytes = size_of::<Trace>() + size_of_val(ops);
        assert!(at + bytes <= ARENA_BYTES, "has_room was asked before");
        let (phys, granules) = (head.phys, head.granules);
        // SAFETY: the range lies inside the arena (checked above), is aligned for both types, and nobody else uses it.
        let t = unsafe {
            let t = self.arena.as_ptr().add(at).cast::<Trace>();
            t.write(head);
            (*t).len = ops.len() as u16;
            std::ptr::copy_nonoverlapping(ops.as_ptr(), Trace::ops(t), ops.len());
            t
        };
        self.used = at + bytes;
        let b = Self::bucket(phys);
        let next = self.trace_at(self.buckets[b]);
        let place = self.place_of(t);
        let page = &mut self.pages[(phys >> 12) as usize];
        // SAFETY: `t` was just written.
        unsafe {
            (*t).next_in_bucket = next;
            (*t).next_in_page = page.first;
        }
        self.buckets[b] = place;
        if page.first.is_null() {
            self.coded.push((phys >> 12) as usize);
        }
        page.first = t;
        page.granules |= granules;
        page.idle_writes = 0;
        self.watch(phys >> 12);
        t
    }

    fn watch(&self, page: u64) {
        if let Some(f) = self.memory.page_flags(page) {
            f.fetch_or(PageFlags::code_of(self.slot), Ordering::Relaxed);
        }
    }

    pub(crate) fn is_watched(&self, page: u64) -> bool {
        self.memory
            .page_flags(page)
            .is_some_and(|f| f.load(Ordering::Relaxed) & PageFlags::code_of(self.slot) != 0)
    }

    /// Whether a write to these bytes of a watched page hits decoded code.
    pub(crate) fn hits(&mut self, phys: u64, len: u64) -> bool {
        let page = &mut self.pages[(phys >> 12) as usize];
        if page.granules & granules(phys & 0xFFF, len) != 0 {
            return true;
        }
        if page.granules == 0 {
            page.idle_writes += 1;
            if page.idle_writes >= FORGIVE_AFTER {
                page.idle_writes = 0;
                if let Some(f) = self.memory.page_flags(phys >> 12) {
                    f.fetch_and(!PageFlags::code_of(self.slot), Ordering::Relaxed);
                }
            }
        }
        false
    }

    /// Unhooks the traces that cover these bytes of one page; `left` replaces their first handler. Returns how many.
    pub(crate) fn invalidate(&mut self, phys: u64, len: u64, left: Handler) -> u64 {
        let mask = granules(phys & 0xFFF, len);
        let index = (phys >> 12) as usize;
        let mut t = std::mem::replace(&mut self.pages[index].first, std::ptr::null_mut());
        let (mut kept, mut kept_granules, mut gone) = (std::ptr::null_mut::<Trace>(), 0, 0);
        let mut linked = false;
        while !t.is_null() {
            // SAFETY: page lists hold only traces of the arena.
            unsafe {
                let next = (*t).next_in_page;
                if (*t).granules & mask == 0 {
                    (*t).next_in_page = kept;
                    kept = t;
                    kept_granules |= (*t).granules;
                } else {
                    self.unhook(t);
                    let first = Trace::ops(t);
                    (*first).run = left;
                    (*first).flags |= opflag::LEFT;
                    linked |= (*t).linked;
                    gone += 1;
                }
                t = next;
            }
        }
        let page = &mut self.pages[index];
        page.first = kept;
        page.granules = kept_granules;
        while linked && !kept.is_null() {
            // SAFETY: as above.
            unsafe {
                Trace::unlink(kept);
                kept = (*kept).next_in_page;
            }
        }
        gone
    }

    unsafe fn unhook(&mut self, t: *mut Trace) {
        // SAFETY: `t` and all members of its chain are traces of the arena.
        unsafe {
            let next = (*t).next_in_bucket;
            let b = Self::bucket((*t).phys);
            let mut at = self.trace_at(self.buckets[b]);
            if at == t {
                self.buckets[b] = self.place_of(next);
                return;
            }
            while !at.is_null() {
                if (*at).next_in_bucket == t {
                    (*at).next_in_bucket = next;
                    return;
                }
                at = (*at).next_in_bucket;
            }
        }
    }

    fn place_of(&self, t: *mut Trace) -> u32 {
        if t.is_null() {
            0
        } else {
            ((t as usize - self.arena.as_ptr() as usize) / PLACE_BYTES + 1) as u32
        }
    }

    /// Throws everything away. The caller empties the jump caches.
    pub(crate) fn clear(&mut self) {
        // A guest may reset processors that have not run since, again and again.
        if self.used == 0 {
            return;
        }
        self.used = 0;
        self.buckets.fill(0);
        for page in std::mem::take(&mut self.coded) {
            self.pages[page] = PageCode {
                granules: 0,
                first: std::ptr::null_mut(),
                idle_writes: 0,
            };
            if let Some(f) = self.memory.page_flags(page as u64) {
                f.fetch_and(!PageFlags::code_of(self.slot), Ordering::Relaxed);
            }
        }
    }
}

impl Drop for TraceCache {
    fn drop(&mut self) {
        self.memory.detach_cpu(self.slot);
        // SAFETY: allocated in `new` with the same layout.
        unsafe { std::alloc::dealloc(self.arena.as_ptr(), ARENA_LAYOUT) }
    }
}

/// Granules of 64 bytes that a range of one page touches, as a bit mask.
pub(crate) fn granules(offset: u64, len: u64) -> u64 {
    let first = offset >> 6;
    let last = (offset + len.max(1) - 1).min(0xFFF) >> 6;
    (u64::MAX >> (63 - (last - first))) << first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op_is_half_a_cache_line() {
        assert_eq!((size_of::<Op>(), size_of::<Trace>()), (32, 64));
    }

    #[test]
    fn granules_of_ranges_are_exact() {
        assert_eq!(
            (
                granules(0, 64),
                granules(63, 2),
                granules(0xFC0, 64),
                granules(0, 4096)
            ),
            (1, 3, 1 << 63, u64::MAX)
        );
    }

    #[test]
    fn link_to_a_trace_that_is_written_over_is_taken_back() {
        let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
        let slot = memory.attach_cpu().unwrap();
        let mut cache = TraceCache::new(memory, slot);
        let op = crate::translate::lower_one(&[0xEB, 0], mode::BITS32);
        let mut insert = |phys| cache.insert(Trace::new(phys, 0, granules(phys, 2), &[]), &[op]);
        let (from, gone, kept) = (insert(0x0), insert(0x100), insert(0x200));
        // SAFETY: they are traces of the arena.
        unsafe {
            Trace::link(gone, Trace::ops(from));
            Trace::link(from, Trace::ops(kept));
            cache.invalidate(0x100, 1, crate::exec::interp::left_trace);
            assert_eq!((*Trace::ops(from)).disp, 0);
            assert_eq!((*Trace::ops(kept)).disp, Trace::ops(from) as u64);
        }
        assert!(cache.find(0x100, 0).is_null());
        assert_eq!((cache.find(0, 0), cache.find(0x200, 0)), (from, kept));
    }
}
