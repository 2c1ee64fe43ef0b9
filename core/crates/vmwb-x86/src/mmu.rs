//! Paging: the walk through the guest's tables, rights, accessed and dirty bits, and the filling of the soft TLBs.
//! Source: Intel SDM volume 3, chapter 4.
//!
//! Page tables are watched: a page that was walked carries [`PageFlags::TABLE`], and a write to it marks the address
//! spaces that used it as stale, so that the next load of their CR3 starts from nothing. Until then stale translations
//! are what a real processor may use too.
//!
//! Physical addresses are the guest's: bit 20 is masked with address line 20, and [`vmwb_mem::GuestMemory::view`] says which page of
//! the memory file stands there. Everything cached (soft TLBs, traces, marks) goes by that *backing page*.

use std::sync::atomic::Ordering;

use vmwb_mem::{PageFlags, PageView};

use crate::cpu::{Cpu, Res, cr0, cr4, efer, vector};
use crate::observe::TraceEvent;
use crate::tlb::{NO_TAG, SPACES, TlbEntry, WATCHED, tlb_index, view};

/// Width of physical addresses of the 64-bit models: 40 bits.
pub(crate) const PHYS_BITS: u32 = 40;
const PTE_P: u64 = 1;
const PTE_W: u64 = 2;
const PTE_U: u64 = 4;
const PTE_A: u64 = 0x20;
const PTE_D: u64 = 0x40;
const PTE_PS: u64 = 0x80;
const PTE_NX: u64 = 1 << 63;
/// Writes to a former page table before it stops being watched.
const FORGIVE_AFTER: u8 = 200;

/// Kinds of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Exec,
}

/// Where a linear address leads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    /// Host address of the byte: RAM, ROM or video memory.
    Ram(*mut u8),
    /// Physical address of device memory.
    Device(u64),
    /// A write that is lost: to a ROM.
    Lost,
}

/// A translation with its rights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) phys: u64,
    /// Rights of all levels together.
    writable: bool,
    user: bool,
    no_exec: bool,
    dirty: bool,
    /// Bytes of the page.
    page_bytes: u64,
}

/// Users of page tables, by page: bit n stands for address space n; and how often a table was written since it was
/// last walked.
#[derive(Debug)]
pub(crate) struct TableWatch {
    users: Box<[u8]>,
    idle_writes: Box<[u8]>,
}

impl TableWatch {
    pub(crate) fn new(pages: usize) -> Self {
        Self {
            users: vec![0; pages].into_boxed_slice(),
            idle_writes: vec![0; pages].into_boxed_slice(),
        }
    }
}

impl Cpu {
    /// What stands at a physical address.
    #[inline]
    fn view_at(&self, phys: u64) -> PageView {
        self.memory.view((phys & self.memory.a20_mask()) >> 12)
    }

    /// Host address of a byte of a backing page.
    #[inline]
    fn host_of(&self, backing: u64, phys: u64) -> *mut u8 {
        self.memory
            .backing_ptr(backing)
            .expect("a view names pages that exist")
            .wrapping_add((phys & 0xFFF) as usize)
    }

    /// Reads `size` bytes (1 to 8, inside one page) of memory at a physical address, without any effect; `None` where there
    /// is none.
    pub(crate) fn peek_physical(&self, phys: u64, size: usize) -> Option<u64> {
        let PageView::Memory { read, .. } = self.view_at(phys) else {
            return None;
        };
        let mut bytes = [0u8; 8];
        let host = self.host_of(read, phys);
        let inside = size.min(8).min(0x1000 - (phys & 0xFFF) as usize);
        // SAFETY: the page has `inside` bytes from here on; guest memory overlaps no local.
        unsafe { std::ptr::copy_nonoverlapping(host, bytes.as_mut_ptr(), inside) };
        Some(u64::from_le_bytes(bytes))
    }

    /// Place in the memory file of a byte, by its host address: the key of traces and marks.
    #[inline]
    pub(crate) fn phys_of(&self, host: *mut u8) -> u64 {
        (host as u64).wrapping_sub(self.ram as u64)
    }

    pub(crate) fn canonical(linear: u64) -> bool {
        ((linear as i64) << 16 >> 16) as u64 == linear
    }

    /// Finds where `linear` leads, with the rights of `user` or supervisor mode; fills the TLB on the way.
    ///
    /// # Errors
    /// #PF; in 64-bit mode #GP(0), or #SS(0) with `stack`, for addresses that are not canonical.
    pub(crate) fn resolve(
        &mut self,
        linear: u64,
        access: Access,
        user: bool,
        stack: bool,
    ) -> Res<Target> {
        let page = linear & !0xFFF;
        let view = self.view_of(user);
        let e = &self.spaces.list[self.spaces.current].views[view].tlb[tlb_index(linear)];
        let hit = match access {
            Access::Read => e.read == page,
            Access::Write => e.write & !WATCHED == page,
            Access::Exec => e.exec == page,
        };
        if hit {
            return Ok(Target::Ram(linear.wrapping_add(e.addend) as *mut u8));
        }
        self.fill(linear, access, user, stack)
    }

    /// The view that an access goes through. What the processor reads for itself is never let through SMAP by EFLAGS.AC
    /// (SDM volume 3, section 4.6.1).
    pub(crate) fn view_of(&self, user: bool) -> usize {
        match (user, self.open && !self.implicit && self.cpl != 3) {
            (true, _) => view::USER,
            (false, true) => view::OPEN,
            (false, false) => view::SUPERVISOR,
        }
    }

    #[cold]
    fn fill(&mut self, linear: u64, access: Access, user: bool, stack: bool) -> Res<Target> {
        if self.fill_must_wait(access == Access::Exec) {
            return Err(self.alone());
        }
        if self.long_mode() && !Self::canonical(linear) {
            return Err(self.raise_code(if stack { vector::SS } else { vector::GP }, 0));
        }
        let walk = match self.walk(linear, access, user) {
            Ok(w) => w,
            Err(code) => {
                self.cr2 = linear;
                return Err(self.raise_code(vector::PF, code));
            }
        };
        let phys = ((walk.phys & !0xFFF) | (linear & 0xFFF)) & self.memory.a20_mask();
        let watched = self.data_breakpoint_in_page(linear) || self.points.in_page(linear);
        let breakpoint = access != Access::Exec && watched;
        if breakpoint && !self.devices_ok {
            return Err(self.alone());
        }
        let (backing, sink) = match self.memory.view(phys >> 12) {
            PageView::Memory { read, write } => (read, write),
            PageView::Device => return Ok(Target::Device(phys)),
        };
        if access == Access::Write && sink != Some(backing) {
            // Such writes are looked at each time: an entry has one address for reads and writes.
            return Ok(match sink {
                Some(page) => Target::Ram(self.host_of(page, phys)),
                None => Target::Lost,
            });
        }
        let host = self.host_of(backing, phys & !0xFFF);
        self.counters.tlb_fills += 1;
        let page = linear & !0xFFF;
        let view = self.view_of(user);
        let space = &mut self.spaces.list[self.spaces.current];
        if walk.page_bytes > 4096 {
            space.note_large(linear & !(walk.page_bytes - 1), walk.page_bytes);
        }
        space.views[view].mark_filled();
        let write_allowed = walk.dirty && sink == Some(backing) && self.may_write(&walk, user);
        let exec_allowed = self.may_execute(&walk, user);
        // What an access to code may do the data of the page may not: SMAP, breakpoints.
        let data_allowed = !watched && self.may_touch(&walk, user);
        let flags = self
            .memory
            .page_flags(backing)
            .expect("backing pages have a state word");
        let mut write = NO_TAG;
        if write_allowed && data_allowed {
            let watched = flags.load(Ordering::Relaxed) & PageFlags::WATCHED != 0;
            write = page | (u64::from(watched) * WATCHED);
            if !watched {
                flags.fetch_or(PageFlags::GRANTED, Ordering::Relaxed);
            }
        }
        let view = &mut self.spaces.list[self.spaces.current].views[view];
        view.tlb[tlb_index(linear)] = TlbEntry {
            read: if data_allowed { page } else { NO_TAG },
            write,
            exec: if exec_allowed { page } else { NO_TAG },
            addend: (host as u64).wrapping_sub(page),
        };
        self.trace_fill(access == Access::Exec, || TraceEvent::Tlb {
            linear: page,
            physical: phys & !0xFFF,
            page_bytes: walk.page_bytes,
            write: write_allowed && data_allowed,
            execute: exec_allowed,
            user,
        });
        Ok(Target::Ram(host.wrapping_add((linear & 0xFFF) as usize)))
    }

    fn may_write(&self, walk: &Walk, user: bool) -> bool {
        walk.writable || (!user && self.cr0 & cr0::WP == 0)
    }

    /// Whether instructions may be fetched: NX, and SMEP for pages of user mode.
    fn may_execute(&self, walk: &Walk, user: bool) -> bool {
        !walk.no_exec && (user || !walk.user || self.cr4 & cr4::SMEP == 0)
    }

    /// Whether data may be accessed: SMAP keeps supervisor mode from pages of user mode.
    fn may_touch(&self, walk: &Walk, user: bool) -> bool {
        user || !walk.user || self.cr4 & cr4::SMAP == 0 || self.view_of(user) == view::OPEN
    }

    /// Reads a table entry of `size` bytes and notes that the current space depends on its page. Device memory reads as
    /// ones.
    fn table_entry(&mut self, addr: u64, size: u64) -> u64 {
        let PageView::Memory { read, .. } = self.view_at(addr) else {
            return u64::MAX >> (64 - 8 * size);
        };
        self.watch_table(read);
        let at = self.host_of(read, addr);
        // SAFETY: entries are aligned to their size, so they lie inside the page; guest memory outlives the processor.
        unsafe {
            if size == 8 {
                at.cast::<u64>().read()
            } else {
                u64::from(at.cast::<u32>().read())
            }
        }
    }

    fn watch_table(&mut self, backing: u64) {
        let page = backing as usize;
        let bit = 1u8 << self.spaces.current;
        self.tables.idle_writes[page] = 0;
        if self.tables.users[page] & bit != 0 {
            return;
        }
        self.tables.users[page] |= bit;
        let own = PageFlags::table_of(self.slot);
        let flags = self
            .memory
            .page_flags(backing)
            .expect("backing pages have a state word");
        if flags.fetch_or(own, Ordering::Relaxed) & own == 0 {
            self.revoke_writes(backing);
        }
    }

    /// After a page has become watched: no soft TLB may write to it past the slow path.
    pub(crate) fn revoke_writes(&mut self, backing: u64) {
        if self.memory.revoke(backing, self.slot) {
            let host = self.host_of(backing, 0);
            self.spaces.watch_writes(|page| page == host as u64);
            self.took_long();
        }
    }

    /// Takes account of what others did since the last time: writes to pages that are watched, rights to write that were
    /// taken away, a changed layout of the address space. Called between two instructions.
    pub(crate) fn catch_up(&mut self) {
        for w in self.memory.take_noted_writes(self.slot) {
            self.own_write(w.page << 12, 4096);
        }
        let revocations = self.memory.revocations();
        if revocations != self.revocations_seen {
            self.revocations_seen = revocations;
            let (memory, ram) = (&self.memory, self.ram as u64);
            self.spaces.watch_writes(|host| {
                let backing = host.wrapping_sub(ram) >> 12;
                memory
                    .page_flags(backing)
                    .is_none_or(|f| f.load(Ordering::Relaxed) & PageFlags::WATCHED != 0)
            });
        }
        let layout = self.memory.layout_generation();
        if layout != self.layout_seen {
            self.layout_seen = layout;
            self.forget_translations();
        }
    }

    /// A page that was walked as a page table is being written to.
    pub(crate) fn table_written(&mut self, page: u64) {
        let p = page as usize;
        let users = std::mem::take(&mut self.tables.users[p]);
        for n in (0..SPACES).filter(|n| users & (1 << n) != 0) {
            self.spaces.list[n].stale = true;
        }
        self.tables.idle_writes[p] = self.tables.idle_writes[p].saturating_add(1);
        if self.tables.idle_writes[p] >= FORGIVE_AFTER {
            self.tables.idle_writes[p] = 0;
            if let Some(f) = self.memory.page_flags(page) {
                f.fetch_and(!PageFlags::table_of(self.slot), Ordering::Relaxed);
            }
        }
    }

    fn set_entry_bits(&mut self, addr: u64, size: u64, bits: u64) {
        // Entries in a ROM stay as they are.
        if let PageView::Memory {
            read,
            write: Some(write),
        } = self.view_at(addr)
        {
            self.memory.note_write(write);
            let (from, to) = (self.host_of(read, addr), self.host_of(write, addr));
            // SAFETY: as in `table_entry`.
            unsafe {
                if size == 8 {
                    to.cast::<u64>().write(from.cast::<u64>().read() | bits);
                } else {
                    to.cast::<u32>()
                        .write(from.cast::<u32>().read() | bits as u32);
                }
            }
        }
    }

    /// Walks the tables. On success accessed (and, for writes, dirty) bits are set.
    ///
    /// # Errors
    /// The page fault's error code (SDM volume 3, section 4.7).
    pub(crate) fn walk(&mut self, linear: u64, access: Access, user: bool) -> Result<Walk, u32> {
        if self.cr0 & cr0::PG == 0 {
            let phys = linear & 0xFFFF_FFFF;
            return Ok(Walk {
                phys,
                writable: true,
                user: true,
                no_exec: false,
                dirty: true,
                page_bytes: 4096,
            });
        }
        let nxe = self.efer & efer::NXE != 0;
        let nx_paging = nxe && self.cr4 & cr4::PAE != 0;
        let base_code = u32::from(access == Access::Write) << 1
            | u32::from(user) << 2
            | u32::from(access == Access::Exec && (nx_paging || self.cr4 & cr4::SMEP != 0)) << 4;
        let mut path: [(u64, u64); 4] = [(0, 0); 4];
        let mut depth = 0;
        let (mut writable, mut user_ok, mut no_exec) = (true, true, false);
        let (mut table, levels, size) = if self.cr4 & cr4::PAE == 0 {
            (self.cr3 & 0xFFFF_F000, 2, 4u64)
        } else if self.long_mode() {
            (self.cr3 & self.phys_mask & !0xFFF, 4, 8)
        } else {
            let e = self.pdpte[(linear >> 30) as usize & 3];
            if e & PTE_P == 0 {
                return Err(base_code);
            }
            (e & self.phys_mask & !0xFFF, 2, 8)
        };
        let index_bits = if size == 4 { 10 } else { 9 };
        // With PAE outside long mode bits 62:52 are reserved too (tables 4-9 to 4-11), in long mode they are ignored.
        let reserved_high = match (size, levels) {
            (8, 4) => !self.phys_mask & 0x000F_FFFF_FFFF_FFFF,
            (8, _) => !self.phys_mask & !PTE_NX,
            _ => 0,
        };
        for level in (1..=levels).rev() {
            let shift = 12 + index_bits * (level - 1);
            let index = (linear >> shift) & ((1 << index_bits) - 1);
            let addr = table + index * size;
            let e = self.table_entry(addr, size);
            if e & PTE_P == 0 {
                return Err(base_code);
            }
            let large = level > 1
                && e & PTE_PS != 0
                && (size == 8 || self.cr4 & cr4::PSE != 0)
                && level <= 3;
            let mut bad = e & reserved_high != 0 || (size == 8 && !nxe && e & PTE_NX != 0);
            bad |= level == 4 && e & PTE_PS != 0;
            bad |= level == 3 && e & PTE_PS != 0 && !self.features.has("pdpe1gb");
            if large {
                // The PAT bit (12) of large pages is not reserved; the address bits below the page size are.
                bad |= match (size, level) {
                    (8, 2) => e & 0x001F_E000 != 0,
                    (8, _) => e & 0x3FFF_E000 != 0,
                    // With PSE-36 bits 20:13 are address bits 39:32, as far as the processor has them.
                    _ => {
                        let high = (e >> 13 & 0xFF) << 32;
                        e & (1 << 21) != 0
                            || high & !self.phys_mask != 0
                            || (high != 0 && !self.features.has("pse36"))
                    }
                };
            }
            if bad {
                return Err(base_code | 1 | 8);
            }
            writable &= e & PTE_W != 0;
            user_ok &= e & PTE_U != 0;
            no_exec |= size == 8 && e & PTE_NX != 0;
            path[depth] = (addr, e);
            depth += 1;
            if large || level == 1 {
                let page_bytes = 1u64 << shift;
                let frame = if size == 4 && large {
                    // PSE-36: bits 20:13 carry address bits 39:32.
                    (e & 0xFFC0_0000) | ((e >> 13) & 0xFF) << 32
                } else if size == 4 {
                    e & 0xFFFF_F000
                } else {
                    e & self.phys_mask & !(page_bytes - 1) & !0xFFF
                };
                let mut walk = Walk {
                    phys: frame | (linear & (page_bytes - 1)),
                    writable,
                    user: user_ok,
                    no_exec,
                    dirty: e & PTE_D != 0,
                    page_bytes,
                };
                let denied = (user && !walk.user)
                    || (access == Access::Write && !self.may_write(&walk, user))
                    || (access == Access::Exec && !self.may_execute(&walk, user))
                    || (access != Access::Exec && !self.may_touch(&walk, user));
                if denied {
                    return Err(base_code | 1);
                }
                for (i, &(at, old)) in path[..depth].iter().enumerate() {
                    let mut bits = PTE_A;
                    if i == depth - 1 && access == Access::Write {
                        bits |= PTE_D;
                    }
                    if old & bits != bits {
                        self.set_entry_bits(at, size, bits);
                    }
                }
                walk.dirty |= access == Access::Write;
                return Ok(walk);
            }
            table = if size == 8 {
                e & self.phys_mask & !0xFFF
            } else {
                e & 0xFFFF_F000
            };
        }
        unreachable!("level 1 always returns")
    }

    /// Loads the four PAE page-directory-pointer entries. `false`: a reserved bit is set (#GP).
    pub(crate) fn load_pdptes(&mut self, cr3: u64) -> bool {
        let base = cr3 & 0xFFFF_FFE0;
        let mut entries = [0u64; 4];
        for (i, e) in entries.iter_mut().enumerate() {
            *e = self.peek_physical(base + 8 * i as u64, 8).unwrap_or(0);
            // Bits 2:1, 8:5 and those above the physical width are reserved.
            if *e & PTE_P != 0 && *e & (0x1E6 | (!self.phys_mask)) != 0 {
                return false;
            }
        }
        self.pdpte = entries;
        true
    }
}
