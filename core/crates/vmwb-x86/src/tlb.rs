//! Soft TLBs and jump caches, one pair per address space and privilege.
//!
//! An entry caches one 4-KiB translation: `host = linear + addend`. Three tags say what is allowed; each holds the linear
//! page, or [`NO_TAG`]. A fast access compares the tag with the page of its *last* byte while the index comes from the
//! first byte, so an access that crosses a page never hits. Pages that carry decoded code or page tables get a write tag
//! that never matches ([`WATCHED`]): writes to them take the slow path. Device memory never gets a tag, a ROM none for writes.

/// Entries of one table, a power of two.
pub const TLB_ENTRIES: usize = 4096;
/// Entries of one jump cache, a power of two.
pub const JUMP_ENTRIES: usize = 8192;
/// Entries of it that the targets of one page share.
const JUMP_GROUP: usize = 64;
/// Address spaces kept at once.
pub const SPACES: usize = 8;
/// A tag that no page has.
pub const NO_TAG: u64 = u64::MAX;

/// Bit of a write tag: the page is writable but watched, so every write takes the slow path.
pub const WATCHED: u64 = 1;

/// One cached translation.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TlbEntry {
    pub(crate) read: u64,
    pub(crate) write: u64,
    pub(crate) exec: u64,
    /// Host address minus linear address, wrapping.
    pub(crate) addend: u64,
}

impl TlbEntry {
    pub(crate) const EMPTY: Self = Self {
        read: NO_TAG,
        write: NO_TAG,
        exec: NO_TAG,
        addend: 0,
    };
}

/// One cached jump target.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct JumpEntry {
    pub(crate) rip: u64,
    /// First operation of the trace.
    pub(crate) op: *mut crate::trace::Op,
}

impl JumpEntry {
    /// What an entry without a target holds. Any 64-bit value can be jumped to, so each entry's tag is one that is
    /// looked for elsewhere: [`NO_TAG`] belongs into entry 0, 1 into entry 1.
    pub(crate) const fn empty(index: usize) -> Self {
        Self {
            rip: if index == 0 { 1 } else { NO_TAG },
            op: std::ptr::null_mut(),
        }
    }
}

/// Table index of a linear address.
#[inline(always)]
pub(crate) fn tlb_index(linear: u64) -> usize {
    (linear >> 12) as usize & (TLB_ENTRIES - 1)
}

/// Jump-cache index: all targets of one page share one group, so that one page can be forgotten cheaply.
#[inline(always)]
pub(crate) fn jump_index(rip: u64) -> usize {
    jump_group(rip) | ((rip ^ (rip >> 6)) as usize & (JUMP_GROUP - 1))
}

/// Where a target goes that another one takes the place of: the main loop looks there too.
#[inline]
pub(crate) fn jump_neighbour(index: usize) -> usize {
    index ^ 1
}

#[inline(always)]
fn jump_group(rip: u64) -> usize {
    (((rip >> 12) ^ (rip >> 18)) as usize & (JUMP_ENTRIES / JUMP_GROUP - 1)) * JUMP_GROUP
}

/// What a cached jump target depends on beside its offset: the decode mode and, outside 64-bit mode, the code segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JumpKey {
    pub(crate) mode: u32,
    pub(crate) base: u32,
    pub(crate) limit: u32,
}

/// The jump cache of one code segment.
#[derive(Debug)]
struct JumpTable {
    key: JumpKey,
    jumps: Box<[JumpEntry; JUMP_ENTRIES]>,
}

/// Code segments whose jump caches a view keeps: 16-bit programs have many, and go between them with every far call.
const JUMP_TABLES: usize = 16;

/// How an address space is seen: which accesses its entries allow.
pub(crate) mod view {
    /// Supervisor mode; with CR4.SMAP without the pages of user mode.
    pub const SUPERVISOR: usize = 0;
    /// User mode.
    pub const USER: usize = 1;
    /// Supervisor mode while EFLAGS.AC suspends SMAP.
    pub const OPEN: usize = 2;
    pub const COUNT: usize = 3;
}

/// The entries of one view. They take up memory from the first use on: most address spaces of most processors never use
/// all of their views.
#[derive(Debug, Default)]
pub(crate) struct Table(Option<Box<[TlbEntry; TLB_ENTRIES]>>);

impl Table {
    fn entries(&mut self) -> &mut [TlbEntry; TLB_ENTRIES] {
        self.0.get_or_insert_with(|| boxed(TlbEntry::EMPTY))
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut TlbEntry {
        self.entries().as_mut_ptr()
    }

    fn fill(&mut self, entry: TlbEntry) {
        if let Some(entries) = &mut self.0 {
            entries.fill(entry);
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut TlbEntry> {
        self.0.iter_mut().flat_map(|entries| entries.iter_mut())
    }
}

impl std::ops::Index<usize> for Table {
    type Output = TlbEntry;

    fn index(&self, index: usize) -> &TlbEntry {
        match &self.0 {
            Some(entries) => &entries[index],
            None => &TlbEntry::EMPTY,
        }
    }
}

impl std::ops::IndexMut<usize> for Table {
    fn index_mut(&mut self, index: usize) -> &mut TlbEntry {
        &mut self.entries()[index]
    }
}

/// One table with its jump caches: an address space seen from one privilege.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) tlb: Table,
    tables: Vec<JumpTable>,
    table: usize,
    dirty: bool,
}

fn boxed<T: Copy, const N: usize>(value: T) -> Box<[T; N]> {
    match vec![value; N].into_boxed_slice().try_into() {
        Ok(b) => b,
        Err(_) => unreachable!("the vector has N elements"),
    }
}

fn empty_jumps(jumps: &mut [JumpEntry; JUMP_ENTRIES]) {
    jumps.fill(JumpEntry::empty(1));
    jumps[0] = JumpEntry::empty(0);
}

impl JumpTable {
    fn new(key: JumpKey) -> Self {
        let mut jumps = boxed(JumpEntry::empty(1));
        empty_jumps(&mut jumps);
        Self { key, jumps }
    }
}

impl View {
    fn new() -> Self {
        Self {
            tlb: Table::default(),
            tables: Vec::new(),
            table: 0,
            dirty: false,
        }
    }

    pub(crate) fn clear(&mut self) {
        if self.dirty {
            self.tlb.fill(TlbEntry::EMPTY);
            self.dirty = false;
        }
        self.clear_jumps();
    }

    pub(crate) fn clear_jumps(&mut self) {
        self.tables
            .iter_mut()
            .for_each(|t| empty_jumps(&mut t.jumps));
    }

    /// The jump cache of a code segment, made or taken from another one if need be.
    pub(crate) fn jumps(&mut self, key: JumpKey) -> *mut JumpEntry {
        if self.tables.get(self.table).is_none_or(|t| t.key != key) {
            self.table = match self.tables.iter().position(|t| t.key == key) {
                Some(n) => n,
                None if self.tables.len() < JUMP_TABLES => {
                    self.tables.push(JumpTable::new(key));
                    self.tables.len() - 1
                }
                None => {
                    let n = (self.table + 1) % JUMP_TABLES;
                    self.tables[n].key = key;
                    empty_jumps(&mut self.tables[n].jumps);
                    n
                }
            };
        }
        self.tables[self.table].jumps.as_mut_ptr()
    }

    pub(crate) fn forget_page(&mut self, linear: u64) {
        let e = &self.tlb[tlb_index(linear)];
        let page = linear & !0xFFF;
        if e.read == page || e.write == page || e.exec == page {
            self.tlb[tlb_index(linear)] = TlbEntry::EMPTY;
        }
        let group = jump_group(linear);
        for t in &mut self.tables {
            // Targets are offsets in the segment: only with base 0 do they tell the page.
            if t.key.base == 0 {
                // Other pages share the group, and keep their targets.
                for (n, e) in (group..).zip(&mut t.jumps[group..group + JUMP_GROUP]) {
                    if e.rip & !0xFFF == page {
                        *e = JumpEntry::empty(n);
                    }
                }
            } else {
                empty_jumps(&mut t.jumps);
            }
        }
    }

    pub(crate) fn mark_filled(&mut self) {
        self.dirty = true;
    }
}

/// One address space: a CR3 value, its views, and where it maps large pages.
#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) cr3: Option<u64>,
    /// By [`view`].
    pub(crate) views: [View; view::COUNT],
    /// Linear ranges filled from pages larger than 4 KiB: INVLPG inside one forgets the whole space.
    large: [(u64, u64); 4],
    large_count: usize,
    /// A page table that it uses was written: forget everything at the next switch to it.
    pub(crate) stale: bool,
    used: u64,
}

impl Space {
    fn new() -> Self {
        Self {
            cr3: None,
            views: std::array::from_fn(|_| View::new()),
            large: [(0, 0); 4],
            large_count: 0,
            stale: false,
            used: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.views.iter_mut().for_each(View::clear);
        self.large_count = 0;
        self.stale = false;
    }

    pub(crate) fn note_large(&mut self, start: u64, bytes: u64) {
        const NEAR: u64 = 1 << 30;
        let last = start.wrapping_add(bytes - 1);
        for r in &mut self.large[..self.large_count] {
            if start.wrapping_add(NEAR) >= r.0 && start <= r.1.saturating_add(NEAR) {
                *r = (r.0.min(start), r.1.max(last));
                return;
            }
        }
        if self.large_count < self.large.len() {
            self.large[self.large_count] = (start, last);
            self.large_count += 1;
        } else {
            let r = &mut self.large[self.large_count - 1];
            *r = (r.0.min(start), r.1.max(last));
        }
    }

    fn in_large(&self, linear: u64) -> bool {
        self.large[..self.large_count]
            .iter()
            .any(|r| (r.0..=r.1).contains(&linear))
    }

    fn forget_page(&mut self, linear: u64) {
        if self.in_large(linear) {
            self.clear();
        } else {
            self.views.iter_mut().for_each(|v| v.forget_page(linear));
        }
    }
}

/// All address spaces of one processor.
#[derive(Debug)]
pub(crate) struct Spaces {
    pub(crate) list: [Space; SPACES],
    pub(crate) current: usize,
    clock: u64,
    /// A table without entries: what an access goes through that must be looked at each time.
    none: Box<[TlbEntry; TLB_ENTRIES]>,
}

impl Spaces {
    pub(crate) fn new() -> Box<Self> {
        Box::new(Self {
            list: std::array::from_fn(|_| Space::new()),
            current: 0,
            clock: 0,
            none: boxed(TlbEntry::EMPTY),
        })
    }

    /// The table that never hits. Nobody writes to it.
    pub(crate) fn none(&mut self) -> *mut TlbEntry {
        self.none.as_mut_ptr()
    }

    pub(crate) fn current(&mut self) -> &mut Space {
        &mut self.list[self.current]
    }

    /// Makes the space of `cr3` the current one: the kept one if it is still true, else the least recently used, empty.
    pub(crate) fn switch_to(&mut self, cr3: u64) {
        self.clock += 1;
        let kept = self.list.iter().position(|s| s.cr3 == Some(cr3));
        let index = kept.unwrap_or_else(|| {
            (0..SPACES)
                .min_by_key(|&i| (self.list[i].cr3.is_some(), self.list[i].used))
                .expect("there are spaces")
        });
        let space = &mut self.list[index];
        if kept.is_none() || space.stale {
            space.clear();
            space.cr3 = Some(cr3);
        }
        space.used = self.clock;
        self.current = index;
    }

    /// INVLPG: the page in every space (global pages live in all of them).
    pub(crate) fn forget_page(&mut self, linear: u64) {
        self.list
            .iter_mut()
            .filter(|s| s.cr3.is_some())
            .for_each(|s| s.forget_page(linear));
    }

    /// Everything, everywhere.
    pub(crate) fn forget_all(&mut self) {
        let current = self.current;
        for (i, s) in self.list.iter_mut().enumerate() {
            s.clear();
            if i != current {
                s.cr3 = None;
            }
        }
    }

    pub(crate) fn clear_jumps(&mut self) {
        self.list
            .iter_mut()
            .flat_map(|s| &mut s.views)
            .for_each(View::clear_jumps);
    }

    /// Marks the write tag of every entry as watched whose host page, by its address, is.
    pub(crate) fn watch_writes(&mut self, watched: impl Fn(u64) -> bool) {
        for view in self
            .list
            .iter_mut()
            .flat_map(|s| &mut s.views)
            .filter(|v| v.dirty)
        {
            for e in view.tlb.iter_mut() {
                if e.write & 0xFFF == 0 && watched(e.write.wrapping_add(e.addend)) {
                    e.write |= WATCHED;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forget_page_inside_a_large_page_forgets_the_space() {
        let mut s = Spaces::new();
        s.switch_to(0x1000);
        s.current().note_large(0x20_0000, 0x20_0000);
        let e = &mut s.current().views[0].tlb[tlb_index(0x20_1000)];
        *e = TlbEntry {
            read: 0x20_1000,
            write: NO_TAG,
            exec: NO_TAG,
            addend: 0,
        };
        s.current().views[0].mark_filled();
        s.forget_page(0x20_5000);
        assert_eq!(s.current().views[0].tlb[tlb_index(0x20_1000)].read, NO_TAG);
    }

    #[test]
    fn switch_to_a_kept_space_keeps_its_entries_unless_stale() {
        let mut s = Spaces::new();
        s.switch_to(0x1000);
        s.current().views[0].tlb[1].read = 0x1000;
        s.current().views[0].mark_filled();
        s.switch_to(0x2000);
        s.switch_to(0x1000);
        assert_eq!(s.current().views[0].tlb[1].read, 0x1000);
        s.list[s.current].stale = true;
        s.switch_to(0x2000);
        s.switch_to(0x1000);
        assert_eq!(s.current().views[0].tlb[1].read, NO_TAG);
    }

    #[test]
    fn forget_page_forgets_the_jumps_of_that_page_only() {
        let mut view = View::new();
        let key = JumpKey {
            mode: 0,
            base: 0,
            limit: u32::MAX,
        };
        // Two pages whose targets share a group.
        let (page, other) = (0x1000, 0x1000 + ((JUMP_ENTRIES as u64) << 12));
        let targets = [page + 0x10, page + 0x345, other + 0x20];
        view.jumps(key);
        for rip in targets {
            view.tables[0].jumps[jump_index(rip)].rip = rip;
        }
        view.forget_page(page);
        let known = targets.map(|rip| view.tables[0].jumps[jump_index(rip)].rip == rip);
        assert_eq!(known, [false, false, true]);
        assert_eq!(jump_group(page), jump_group(other));
    }
}
