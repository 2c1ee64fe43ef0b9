//! Who has to hear of writes to a page: state words, and the notes that reach processors through them.
//!
//! A processor marks the pages that it has cached something of. Its own writes to a marked page it sees itself; what
//! devices, loaders and other processors write there is noted for it ([`GuestMemory::take_noted_writes`]). A processor may
//! write to a page unseen, at full speed, while nobody has marked it; marking takes that right away from all of them
//! ([`GuestMemory::revoke`], [`GuestMemory::revocations`]).

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::memory::GuestMemory;

/// Most processors of one memory.
pub const MAX_CPUS: usize = 8;

/// What a page is used for, in one word per backing page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageFlags(pub u32);

impl PageFlags {
    /// Some processor has decoded instructions of this page cached: bit n is processor n's.
    pub const CODE: u32 = 0xFF;
    /// Some processor has walked this page as a page table and caches translations from it: bit n + 8 is processor n's.
    pub const TABLE: u32 = 0xFF << 8;
    /// A page of a Video region that was not written since the region's written pages were last taken.
    pub const CLEAN: u32 = 1 << 16;
    /// Some processor may write to the page unseen.
    pub const GRANTED: u32 = 1 << 17;
    /// Writes to a page with one of these must not go unseen.
    pub const WATCHED: u32 = Self::CODE | Self::TABLE | Self::CLEAN;
    /// A write is in a processor's list already: bit n + 24 is processor n's.
    const NOTED_SHIFT: u32 = 24;

    /// [`PageFlags::CODE`] of one processor.
    #[must_use]
    pub fn code_of(cpu: CpuSlot) -> u32 {
        1 << cpu.0
    }

    /// [`PageFlags::TABLE`] of one processor.
    #[must_use]
    pub fn table_of(cpu: CpuSlot) -> u32 {
        1 << (8 + cpu.0)
    }

    /// The processors, by bit, that have the page cached.
    fn holders(flags: u32) -> u32 {
        (flags & Self::CODE) | (flags & Self::TABLE) >> 8
    }
}

/// A processor of this memory: its number among them, below [`MAX_CPUS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuSlot(u8);

/// A write by somebody else to a page that a processor has marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedWrite {
    /// Backing page number.
    pub page: u64,
}

/// The notes that wait, and who is there to read them.
#[derive(Debug)]
pub(crate) struct Notes {
    /// Bit n: processor n exists.
    cpus: AtomicU8,
    /// Bit n: notes wait for processor n.
    waiting: AtomicU8,
    lists: Mutex<[Vec<NotedWrite>; MAX_CPUS]>,
    revocations: AtomicU64,
}

impl Notes {
    pub(crate) fn new() -> Self {
        Self {
            cpus: AtomicU8::new(0),
            waiting: AtomicU8::new(0),
            lists: Mutex::new(std::array::from_fn(|_| Vec::new())),
            revocations: AtomicU64::new(0),
        }
    }

    pub(crate) fn revoked(&self) {
        self.revocations.fetch_add(1, Ordering::Release);
    }
}

impl GuestMemory {
    /// Makes a processor known; `None` when there are [`MAX_CPUS`].
    #[must_use]
    pub fn attach_cpu(&self) -> Option<CpuSlot> {
        let taken = |cpus: u8| (cpus != u8::MAX).then(|| cpus | (cpus + 1));
        let before = self
            .notes
            .cpus
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken)
            .ok()?;
        Some(CpuSlot(u8::try_from(before.trailing_ones()).ok()?))
    }

    /// Forgets a processor and its marks.
    pub fn detach_cpu(&self, cpu: CpuSlot) {
        let own = PageFlags::code_of(cpu)
            | PageFlags::table_of(cpu)
            | 1 << (PageFlags::NOTED_SHIFT + u32::from(cpu.0));
        for s in &self.states {
            if s.load(Ordering::Relaxed) & own != 0 {
                s.fetch_and(!own, Ordering::Relaxed);
            }
        }
        self.lists()[usize::from(cpu.0)].clear();
        self.notes
            .waiting
            .fetch_and(!(1 << cpu.0), Ordering::Relaxed);
        self.notes.cpus.fetch_and(!(1 << cpu.0), Ordering::Relaxed);
    }

    /// The state word of a backing page, `None` beyond the last one.
    #[inline]
    #[must_use]
    pub fn page_flags(&self, backing: u64) -> Option<&AtomicU32> {
        self.states.get(usize::try_from(backing).ok()?)
    }

    fn lists(&self) -> std::sync::MutexGuard<'_, [Vec<NotedWrite>; MAX_CPUS]> {
        self.notes
            .lists
            .lock()
            .expect("no holder of this lock panics")
    }

    /// Notes a write to a page for the processors of a mask.
    fn note_for(&self, page: u64, state: &AtomicU32, cpus: u32) {
        let bits = cpus << PageFlags::NOTED_SHIFT;
        let noted = state.fetch_or(bits, Ordering::Relaxed) & bits;
        let fresh = cpus & !(noted >> PageFlags::NOTED_SHIFT);
        if fresh == 0 {
            return;
        }
        let mut lists = self.lists();
        for (_, list) in lists
            .iter_mut()
            .enumerate()
            .filter(|(n, _)| fresh >> n & 1 != 0)
        {
            list.push(NotedWrite { page });
        }
        let waiting = u8::try_from(fresh).expect("there are eight processors at most");
        self.notes.waiting.fetch_or(waiting, Ordering::Release);
    }

    /// Notes a write of a device or loader to a run of backing pages.
    pub(crate) fn note(&self, first: u64, last: u64) {
        for page in first..=last {
            let Some(s) = self.page_flags(page) else {
                return;
            };
            let flags = s.load(Ordering::Relaxed);
            if flags & PageFlags::CLEAN != 0 {
                self.note_write(page);
            }
            let holders = PageFlags::holders(flags);
            if holders != 0 {
                self.note_for(page, s, holders);
            }
        }
    }

    /// Notes a write of processor `cpu` to a backing page for the other processors that have it cached.
    pub fn note_for_others(&self, backing: u64, cpu: CpuSlot) {
        if let Some(s) = self.page_flags(backing) {
            let others = PageFlags::holders(s.load(Ordering::Relaxed)) & !(1 << cpu.0);
            if others != 0 {
                self.note_for(backing, s, others);
            }
        }
    }

    /// Notes that a processor is about to write to a page whose flags have [`PageFlags::CLEAN`]: it is clean no longer.
    pub fn note_write(&self, backing: u64) {
        if let Some(s) = self.page_flags(backing)
            && s.load(Ordering::Relaxed) & PageFlags::CLEAN != 0
            && s.fetch_and(!PageFlags::CLEAN, Ordering::Relaxed) & PageFlags::CLEAN != 0
        {
            self.layout.note_written(backing);
        }
    }

    /// Takes the writes that were noted for a processor since the last call. Costs one load when there are none.
    #[must_use]
    pub fn take_noted_writes(&self, cpu: CpuSlot) -> Vec<NotedWrite> {
        if self.notes.waiting.load(Ordering::Relaxed) >> cpu.0 & 1 == 0 {
            return Vec::new();
        }
        self.notes
            .waiting
            .fetch_and(!(1 << cpu.0), Ordering::Acquire);
        let noted = std::mem::take(&mut self.lists()[usize::from(cpu.0)]);
        let bit = 1 << (PageFlags::NOTED_SHIFT + u32::from(cpu.0));
        for s in noted.iter().filter_map(|w| self.page_flags(w.page)) {
            s.fetch_and(!bit, Ordering::Relaxed);
        }
        noted
    }

    /// After processor `cpu` has marked a page: takes the right to write there unseen away from all. Whether anybody had
    /// it; `cpu` looks through its own rights at once, the others when [`GuestMemory::revocations`] has moved.
    pub fn revoke(&self, backing: u64, cpu: CpuSlot) -> bool {
        let Some(s) = self.page_flags(backing) else {
            return false;
        };
        if s.fetch_and(!PageFlags::GRANTED, Ordering::Relaxed) & PageFlags::GRANTED == 0 {
            return false;
        }
        if self.notes.cpus.load(Ordering::Relaxed) & !(1 << cpu.0) != 0 {
            self.notes.revoked();
        }
        true
    }

    /// Counts the calls that took rights to write unseen away from processors that could not be told at once: who caches
    /// such rights looks them up again when it has moved.
    #[inline]
    #[must_use]
    pub fn revocations(&self) -> u64 {
        self.notes.revocations.load(Ordering::Acquire)
    }
}
