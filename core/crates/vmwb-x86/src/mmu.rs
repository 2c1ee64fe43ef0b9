//! Paging: the walk through the guest's tables, rights, accessed and dirty bits, and the filling of the soft TLBs.
//! Source: Intel SDM volume 3, chapter 4.
//!
//! Page tables are watched: a page that was walked carries [`PageFlags::TABLE`], and a write to it marks the address
//! spaces that used it as stale, so that the next load of their CR3 starts from nothing. Until then stale translations
//! are what a real processor may use too.

use std::sync::atomic::Ordering;

use vmwb_hw::GuestAddress;
use vmwb_mem::PageFlags;

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
/// Page-state bit of our own: some soft TLB may hold an unwatched write tag.
pub(crate) const WRITE_GRANTED: u8 = 1 << 7;
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
    /// Host address of the byte.
    Ram(*mut u8),
    /// Physical address that is not RAM.
    Device(u64),
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
    /// Host address of the first byte of the RAM page that holds `phys`.
    #[inline]
    pub(crate) fn ram_page(&self, phys: u64) -> Option<*mut u8> {
        self.memory.page_ptr(phys >> 12)
    }

    /// Physical address of a byte in RAM by its host address.
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
        let phys = (walk.phys & !0xFFF) | (linear & 0xFFF);
        let watched = self.data_breakpoint_in_page(linear) || self.points.in_page(linear);
        let breakpoint = access != Access::Exec && watched;
        if breakpoint && !self.devices_ok {
            return Err(self.alone());
        }
        let Some(host) = self.ram_page(phys) else {
            return Ok(Target::Device(phys));
        };
        self.counters.tlb_fills += 1;
        let page = linear & !0xFFF;
        let view = self.view_of(user);
        let space = &mut self.spaces.list[self.spaces.current];
        if walk.page_bytes > 4096 {
            space.note_large(linear & !(walk.page_bytes - 1), walk.page_bytes);
        }
        space.views[view].mark_filled();
        let write_allowed = walk.dirty && self.may_write(&walk, user);
        let exec_allowed = self.may_execute(&walk, user);
        // What an access to code may do the data of the page may not: SMAP, breakpoints.
        let data_allowed = !watched && self.may_touch(&walk, user);
        let flags = self
            .memory
            .page_flags(phys >> 12)
            .expect("RAM pages have a state byte");
        let mut write = NO_TAG;
        if write_allowed && data_allowed {
            let watched = flags.load(Ordering::Relaxed) & (PageFlags::CODE | PageFlags::TABLE) != 0;
            write = page | (u64::from(watched) * WATCHED);
            if !watched {
                flags.fetch_or(WRITE_GRANTED, Ordering::Relaxed);
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

    /// Reads a table entry of `size` bytes and notes that the current space depends on its page.
    fn table_entry(&mut self, addr: u64, size: u64) -> u64 {
        let Some(host) = self.ram_page(addr) else {
            return u64::MAX >> (64 - 8 * size);
        };
        self.watch_table(addr, host);
        let at = host.wrapping_add((addr & 0xFFF) as usize);
        // SAFETY: entries are aligned to their size, so they lie inside the page; RAM outlives the processor.
        unsafe {
            if size == 8 {
                at.cast::<u64>().read()
            } else {
                u64::from(at.cast::<u32>().read())
            }
        }
    }

    fn watch_table(&mut self, addr: u64, host: *mut u8) {
        let page = (addr >> 12) as usize;
        let bit = 1u8 << self.spaces.current;
        self.tables.idle_writes[page] = 0;
        if self.tables.users[page] & bit != 0 {
            return;
        }
        self.tables.users[page] |= bit;
        let flags = self
            .memory
            .page_flags(addr >> 12)
            .expect("RAM pages have a state byte");
        let before = flags.fetch_or(PageFlags::TABLE, Ordering::Relaxed);
        if before & PageFlags::TABLE == 0 {
            self.revoke_writes(addr >> 12, host);
        }
    }

    /// After a page has become watched: no soft TLB may write to it past the slow path.
    pub(crate) fn revoke_writes(&mut self, page: u64, host: *mut u8) {
        let flags = self
            .memory
            .page_flags(page)
            .expect("RAM pages have a state byte");
        if flags.fetch_and(!WRITE_GRANTED, Ordering::Relaxed) & WRITE_GRANTED != 0 {
            self.spaces.watch_writes(host as u64);
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
                f.fetch_and(!PageFlags::TABLE, Ordering::Relaxed);
            }
        }
    }

    fn set_entry_bits(&mut self, addr: u64, size: u64, bits: u64) {
        if let Some(host) = self.ram_page(addr) {
            let at = host.wrapping_add((addr & 0xFFF) as usize);
            // SAFETY: as in `table_entry`.
            unsafe {
                if size == 8 {
                    let p = at.cast::<u64>();
                    p.write(p.read() | bits);
                } else {
                    let p = at.cast::<u32>();
                    p.write(p.read() | bits as u32);
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
                    // With PSE-36 bits 20:13 are address bits 39:32.
                    _ => {
                        e & (1 << 21) != 0 || (e & 0x001F_E000 != 0 && !self.features.has("pse36"))
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
            *e = self
                .memory
                .read_u64(GuestAddress(base + 8 * i as u64))
                .unwrap_or(0);
            // Bits 2:1, 8:5 and those above the physical width are reserved.
            if *e & PTE_P != 0 && *e & (0x1E6 | (!self.phys_mask)) != 0 {
                return false;
            }
        }
        self.pdpte = entries;
        true
    }
}
