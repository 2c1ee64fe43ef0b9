//! Guest accesses by linear address: inline fast paths through the soft TLB, and the slow paths behind them.
//!
//! Slow paths know what the fast ones do not: page crossings, watched pages, devices. A device may only be touched by an
//! instruction that runs alone (`devices_ok`): elsewhere the access ends the trace before the instruction, and the main
//! loop runs it again, alone. That keeps interrupts and stamps exact.

use std::sync::atomic::Ordering;

use vmwb_hw::{AccessSize, GuestAddress};
use vmwb_mem::PageFlags;

use super::interp::left_trace;
use crate::cpu::{Cpu, Res, Stop, Why, seg, size_mask, vector};
use crate::mmu::{Access, Target};
use crate::tlb::{WATCHED, tlb_index};
use crate::trace::{Op, mode};

pub(crate) fn access_size(n: u8) -> AccessSize {
    match n {
        1 => AccessSize::Byte,
        2 => AccessSize::Word,
        4 => AccessSize::Dword,
        _ => AccessSize::Qword,
    }
}

/// A value at any address. Handlers read and write guest RAM by it instead of `read_unaligned`, whose debug checks take
/// the address of a local and so would turn the sibling call at the handler's end into a call that returns.
#[repr(C, packed)]
struct Unaligned<T>(T);

/// Reads a value at any address.
///
/// # Safety
/// `p` covers a `T` of guest RAM.
#[inline(always)]
pub(crate) unsafe fn get<T: Copy>(p: *const u8) -> T {
    // SAFETY: the caller's; a packed value has no alignment.
    unsafe { (*p.cast::<Unaligned<T>>()).0 }
}

/// Writes a value at any address.
///
/// # Safety
/// As [`get`].
#[inline(always)]
pub(crate) unsafe fn put<T: Copy>(p: *mut u8, v: T) {
    // SAFETY: as in `get`.
    unsafe { (*p.cast::<Unaligned<T>>()).0 = v }
}

#[inline(always)]
unsafe fn read_host(p: *const u8, n: u8) -> u64 {
    // SAFETY: the caller has a pointer to `n` bytes of guest RAM.
    unsafe {
        match n {
            1 => u64::from(get::<u8>(p)),
            2 => u64::from(get::<u16>(p)),
            4 => u64::from(get::<u32>(p)),
            8 => get::<u64>(p),
            _ => (0..n)
                .map(|i| u64::from(p.add(usize::from(i)).read()) << (8 * i))
                .sum(),
        }
    }
}

#[inline(always)]
unsafe fn write_host(p: *mut u8, n: u8, v: u64) {
    // SAFETY: the caller has a pointer to `n` bytes of guest RAM.
    unsafe {
        match n {
            1 => put::<u8>(p, v as u8),
            2 => put::<u16>(p, v as u16),
            4 => put::<u32>(p, v as u32),
            8 => put::<u64>(p, v),
            _ => (0..n).for_each(|i| p.add(usize::from(i)).write((v >> (8 * i)) as u8)),
        }
    }
}

/// Loads `N` bytes (1, 2, 4, 8) if the soft TLB has their page.
///
/// # Safety
/// `cpu` is valid.
#[inline(always)]
pub(crate) unsafe fn load_cached<const N: u8>(cpu: *mut Cpu, linear: u64) -> Res<u64> {
    // SAFETY: the tlb pointer names a table of TLB_ENTRIES entries; a matching tag means that the page of the last byte,
    // and with the index that of the first, is mapped RAM at `linear + addend`.
    unsafe {
        let e = (*cpu).tlb.add(tlb_index(linear));
        if (*e).read == linear.wrapping_add(u64::from(N) - 1) & !0xFFF {
            return Ok(read_host(linear.wrapping_add((*e).addend) as *const u8, N));
        }
    }
    Err(Stop)
}

/// Loads `N` bytes (1, 2, 4, 8). `op` is null for stack accesses.
///
/// # Safety
/// `cpu` is valid and `op` null or valid.
#[inline(always)]
pub(crate) unsafe fn load<const N: u8>(cpu: *mut Cpu, op: *const Op, linear: u64) -> Res<u64> {
    // SAFETY: the caller's.
    unsafe { load_cached::<N>(cpu, linear).or_else(|Stop| load_slow(cpu, op, linear, N)) }
}

/// Stores `N` bytes if the soft TLB has their page for writes.
///
/// # Safety
/// As [`load_cached`].
#[inline(always)]
pub(crate) unsafe fn store_cached<const N: u8>(cpu: *mut Cpu, linear: u64, v: u64) -> Res {
    // SAFETY: the caller's; the address covers N bytes of guest RAM.
    unsafe { write_host(modify::<N>(cpu, linear)?, N, v) };
    Ok(())
}

/// Stores `N` bytes.
///
/// # Safety
/// As [`load`].
#[inline(always)]
pub(crate) unsafe fn store<const N: u8>(cpu: *mut Cpu, op: *const Op, linear: u64, v: u64) -> Res {
    // SAFETY: the caller's.
    unsafe { store_cached::<N>(cpu, linear, v).or_else(|Stop| store_slow(cpu, op, linear, v, N)) }
}

/// Host address for a write, or a read and a write, of `N` bytes, if the soft TLB has their page for writes.
///
/// # Safety
/// As [`load_cached`].
#[inline(always)]
pub(crate) unsafe fn modify<const N: u8>(cpu: *mut Cpu, linear: u64) -> Res<*mut u8> {
    // SAFETY: as in `load_cached`; a matching write tag means that the page is writable and not watched.
    unsafe {
        let e = (*cpu).tlb.add(tlb_index(linear));
        if (*e).write == linear.wrapping_add(u64::from(N) - 1) & !0xFFF {
            return Ok(linear.wrapping_add((*e).addend) as *mut u8);
        }
    }
    Err(Stop)
}

unsafe fn is_stack(op: *const Op) -> bool {
    // SAFETY: null or valid, as the callers promise.
    op.is_null() || unsafe { (*op).segment() == seg::SS }
}

#[cold]
#[inline(never)]
unsafe fn load_slow(cpu: *mut Cpu, op: *const Op, linear: u64, n: u8) -> Res<u64> {
    // SAFETY: callers hold the only reference while handlers run.
    let (cpu, stack) = unsafe { (&mut *cpu, is_stack(op)) };
    let user = cpu.cpl == 3;
    cpu.read_linear(linear, n, user, stack)
}

#[cold]
#[inline(never)]
unsafe fn store_slow(cpu: *mut Cpu, op: *const Op, linear: u64, v: u64, n: u8) -> Res {
    // SAFETY: as in `load_slow`.
    let (cpu, stack) = unsafe { (&mut *cpu, is_stack(op)) };
    let user = cpu.cpl == 3;
    cpu.write_linear(linear, n, v, user, stack)
}

impl Cpu {
    fn wrap(&self, linear: u64) -> u64 {
        if self.long_mode() {
            linear
        } else {
            linear & 0xFFFF_FFFF
        }
    }

    /// Reads `n` bytes (1 to 8) with the rights of user or supervisor mode.
    pub(crate) fn read_linear(&mut self, linear: u64, n: u8, user: bool, stack: bool) -> Res<u64> {
        let linear = self.wrap(linear);
        self.check_alignment(linear, n)?;
        let in_first = (0x1000 - (linear & 0xFFF)).min(u64::from(n)) as u8;
        if in_first == n {
            let t = self.resolve(linear, Access::Read, user, stack)?;
            self.note_access(linear, n, false);
            return self.read_target(t, n);
        }
        let second = self.wrap((linear | 0xFFF).wrapping_add(1));
        self.check_canonical(second, stack)?;
        let a = self.resolve(linear, Access::Read, user, stack)?;
        let b = self.resolve(second, Access::Read, user, stack)?;
        self.note_access(linear, n, false);
        let low = self.read_target(a, in_first)?;
        Ok(low | self.read_target(b, n - in_first)? << (8 * in_first))
    }

    /// Writes `n` bytes (1 to 8). Nothing is written when any byte cannot be.
    pub(crate) fn write_linear(
        &mut self,
        linear: u64,
        n: u8,
        v: u64,
        user: bool,
        stack: bool,
    ) -> Res {
        let linear = self.wrap(linear);
        self.check_alignment(linear, n)?;
        let in_first = (0x1000 - (linear & 0xFFF)).min(u64::from(n)) as u8;
        self.check_canonical(linear.wrapping_add(u64::from(n) - 1), stack)?;
        let a = self.writable(linear, u64::from(in_first), user, stack)?;
        if in_first == n {
            self.note_access(linear, n, true);
            return self.write_target(a, n, v);
        }
        let second = self.wrap((linear | 0xFFF).wrapping_add(1));
        let b = self.writable(second, u64::from(n - in_first), user, stack)?;
        self.note_access(linear, n, true);
        self.write_target(a, in_first, v)?;
        self.write_target(b, n - in_first, v >> (8 * in_first))
    }

    /// #AC for an access of 2, 4, 8 or 16 bytes that is not aligned, where such are checked (SDM volume 3, section 6.15).
    pub(crate) fn check_alignment(&mut self, linear: u64, n: u8) -> Res {
        if self.aligned_only
            && !self.implicit
            && n.is_power_of_two()
            && linear & (u64::from(n) - 1) != 0
        {
            return Err(self.raise_code(vector::AC, 0));
        }
        Ok(())
    }

    /// An access that ends behind the canonical addresses is no page fault, whatever its first page is like.
    fn check_canonical(&mut self, last: u64, stack: bool) -> Res {
        if self.long_mode() && !Self::canonical(last) {
            return Err(self.raise_code(if stack { vector::SS } else { vector::GP }, 0));
        }
        Ok(())
    }

    fn note_access(&mut self, linear: u64, n: u8, write: bool) {
        if self.points.watching {
            self.points.note(linear, u64::from(n), write);
        }
        if self.data_breakpoints != 0 && !self.implicit {
            self.note_data_access(linear, u64::from(n), write);
        }
    }

    /// Makes sure that `n` bytes inside one page can be written now: rights, devices, decoded code.
    pub(crate) fn writable(&mut self, linear: u64, n: u64, user: bool, stack: bool) -> Res<Target> {
        let t = self.resolve(linear, Access::Write, user, stack)?;
        match t {
            Target::Device(_) if !self.devices_ok => return Err(self.alone()),
            Target::Device(_) | Target::Lost => {}
            Target::Ram(p) => {
                let phys = self.phys_of(p);
                let code = self.traces.is_watched(phys >> 12);
                if code && !self.devices_ok && self.traces.hits(phys, n) {
                    return Err(self.alone());
                }
                if !code {
                    self.settle_write_tag(linear, user, p);
                }
            }
        }
        Ok(t)
    }

    /// Makes sure that a write of `n` bytes (1 to 16) at `linear` cannot fail.
    pub(crate) fn probe_write(&mut self, linear: u64, n: u8, user: bool, stack: bool) -> Res {
        let linear = self.wrap(linear);
        if n <= 8 {
            self.check_alignment(linear, n)?;
        }
        let in_first = (0x1000 - (linear & 0xFFF)).min(u64::from(n)) as u8;
        self.check_canonical(linear.wrapping_add(u64::from(n) - 1), stack)?;
        self.writable(linear, u64::from(in_first), user, stack)?;
        if in_first < n {
            let second = self.wrap((linear | 0xFFF).wrapping_add(1));
            self.writable(second, u64::from(n - in_first), user, stack)?;
        }
        Ok(())
    }

    /// Makes sure that a memory operand of `n` bytes can be read and written, as a write: a page fault of a
    /// read-modify-write says that it was one (SDM volume 3, section 4.7).
    #[inline]
    pub(crate) fn prepare_modify(&mut self, op: &Op, linear: u64, n: u8) -> Res {
        // SAFETY: the tlb pointer names a table of TLB_ENTRIES entries.
        let tag = unsafe { (*self.tlb.add(tlb_index(linear))).write };
        if tag == linear.wrapping_add(u64::from(n) - 1) & !0xFFF {
            return Ok(());
        }
        let (user, stack) = (self.cpl == 3, op.segment() == seg::SS);
        self.probe_write(linear, n, user, stack)
    }

    /// Translates the byte at a linear address as a read, without reading it.
    pub(crate) fn probe_read(&mut self, op: &Op, linear: u64) -> Res {
        let (user, stack) = (self.cpl == 3, op.segment() == seg::SS);
        let linear = self.wrap(linear);
        self.resolve(linear, Access::Read, user, stack).map(|_| ())
    }

    /// Ends the trace before this instruction, which then runs alone.
    pub(crate) fn alone(&mut self) -> Stop {
        self.why = Why::Alone;
        Stop
    }

    fn read_target(&mut self, t: Target, n: u8) -> Res<u64> {
        match t {
            // SAFETY: `resolve` gave a host address whose page holds the bytes up to the page end, and callers split.
            Target::Ram(p) => Ok(unsafe { read_host(p, n) }),
            Target::Device(phys) => {
                if !self.devices_ok {
                    return Err(self.alone());
                }
                self.counters.mmio += 1;
                self.touch();
                let retired = self.retired().wrapping_sub(1);
                let mut v = 0;
                if n.is_power_of_two() {
                    v = self
                        .bus()
                        .mmio_read(GuestAddress(phys), access_size(n), retired)
                        & size_mask(n);
                } else {
                    for i in 0..n {
                        let at = GuestAddress(phys + u64::from(i));
                        v |=
                            (self.bus().mmio_read(at, AccessSize::Byte, retired) & 0xFF) << (8 * i);
                    }
                }
                self.trace_mmio(phys, n, v, false);
                Ok(v)
            }
            Target::Lost => unreachable!("only writes are lost"),
        }
    }

    fn write_target(&mut self, t: Target, n: u8, v: u64) -> Res {
        match t {
            Target::Ram(p) => {
                let phys = self.phys_of(p);
                self.before_ram_write(phys, u64::from(n));
                // SAFETY: as in `read_target`.
                unsafe { write_host(p, n, v) };
                Ok(())
            }
            Target::Device(phys) => {
                if !self.devices_ok {
                    return Err(self.alone());
                }
                self.counters.mmio += 1;
                self.touch();
                let retired = self.retired().wrapping_sub(1);
                if n.is_power_of_two() {
                    self.bus().mmio_write(
                        GuestAddress(phys),
                        access_size(n),
                        v & size_mask(n),
                        retired,
                    );
                } else {
                    for i in 0..n {
                        let at = GuestAddress(phys + u64::from(i));
                        self.bus()
                            .mmio_write(at, AccessSize::Byte, (v >> (8 * i)) & 0xFF, retired);
                    }
                }
                self.trace_mmio(phys, n, v & size_mask(n), true);
                Ok(())
            }
            Target::Lost => Ok(()),
        }
    }

    /// Keeps decoded code and cached translations true before bytes of one page of memory change: this processor's, and by
    /// notes those of others.
    pub(crate) fn before_ram_write(&mut self, phys: u64, n: u64) {
        let page = phys >> 12;
        let Some(flags) = self.memory.page_flags(page) else {
            return;
        };
        let flags = flags.load(Ordering::Relaxed);
        if flags & PageFlags::WATCHED == 0 {
            return;
        }
        if flags & PageFlags::CLEAN != 0 {
            self.memory.note_write(page);
        }
        self.memory.note_for_others(page, self.slot);
        self.own_write(phys, n);
    }

    /// What a write means for this processor's own traces and translations.
    pub(crate) fn own_write(&mut self, phys: u64, n: u64) {
        let page = phys >> 12;
        let Some(flags) = self
            .memory
            .page_flags(page)
            .map(|f| f.load(Ordering::Relaxed))
        else {
            return;
        };
        if flags & PageFlags::code_of(self.slot) != 0 && self.traces.hits(phys, n) {
            self.counters.invalidated += self.traces.invalidate(phys, n, left_trace);
        }
        if flags & PageFlags::table_of(self.slot) != 0 {
            self.table_written(page);
        }
    }

    /// Gives a page that is no longer watched its plain write tag back. Called where a slow store found the tag watched.
    pub(crate) fn settle_write_tag(&mut self, linear: u64, user: bool, host: *mut u8) {
        let page = self.phys_of(host) >> 12;
        let Some(flags) = self.memory.page_flags(page) else {
            return;
        };
        if flags.load(Ordering::Relaxed) & PageFlags::WATCHED == 0 {
            flags.fetch_or(PageFlags::GRANTED, Ordering::Relaxed);
            let view = self.view_of(user);
            let e = &mut self.spaces.list[self.spaces.current].views[view].tlb[tlb_index(linear)];
            if e.write == (linear & !0xFFF) | WATCHED {
                e.write &= !WATCHED;
            }
        }
    }

    /// Reads for the processor itself (descriptor tables, TSS): supervisor rights whatever the CPL.
    pub(crate) fn system_read(&mut self, linear: u64, n: u8) -> Res<u64> {
        self.implicit = true;
        let v = self.read_linear(linear, n, false, false);
        self.implicit = false;
        v
    }

    /// Writes for the processor itself.
    pub(crate) fn system_write(&mut self, linear: u64, n: u8, v: u64) -> Res {
        self.implicit = true;
        let written = self.write_linear(linear, n, v, false, false);
        self.implicit = false;
        written
    }

    /// Makes sure that a write of the processor itself cannot fail.
    pub(crate) fn system_probe(&mut self, linear: u64, n: u8) -> Res {
        self.implicit = true;
        let probed = self.probe_write(linear, n, false, false);
        self.implicit = false;
        probed
    }

    // ---- operands of helpers ----

    /// Offset of the memory operand in its segment, cut to the address size.
    #[inline]
    pub(crate) fn offset_of(&self, op: &Op) -> u64 {
        let at = |o: u8| self.r[usize::from(o >> 3)];
        let sum = at(op.base)
            .wrapping_add(at(op.index) << op.scale)
            .wrapping_add(op.disp);
        sum & size_mask(op.address_size())
    }

    /// Linear address of `n` bytes at `offset` of a segment, after the segment's checks.
    ///
    /// # Errors
    /// #GP(0), or #SS(0) for the stack segment (SDM volume 3, sections 5.3 and 5.5).
    pub(crate) fn segment_address(
        &mut self,
        segment: usize,
        offset: u64,
        n: u64,
        write: bool,
    ) -> Res<u64> {
        let s = &self.seg[segment];
        if self.mode & mode::SIZE == mode::BITS64 {
            return Ok(if segment >= seg::FS {
                s.base.wrapping_add(offset)
            } else {
                offset
            });
        }
        if offset.wrapping_add(n) <= self.plain_end[segment] {
            return Ok(s.base.wrapping_add(offset) & 0xFFFF_FFFF);
        }
        let bad = |c: &mut Self| {
            Err(c.raise_code(
                if segment == seg::SS {
                    vector::SS
                } else {
                    vector::GP
                },
                0,
            ))
        };
        let s = *s;
        let real = self.real_segments();
        if !(real || s.allows(write)) || !s.covers(offset, n, !real) {
            return bad(self);
        }
        Ok(s.base.wrapping_add(offset) & 0xFFFF_FFFF)
    }

    /// Linear address of the memory operand of `n` bytes.
    pub(crate) fn operand_address(&mut self, op: &Op, n: u64, write: bool) -> Res<u64> {
        let offset = self.offset_of(op);
        self.segment_address(op.segment(), offset, n, write)
    }

    /// Linear address of the `n` bytes that stand `skip` bytes into the memory operand. Operands of several parts, pointers,
    /// pairs and images of state, go around the end of 16-bit and 32-bit addresses between two parts, not inside one.
    #[inline]
    pub(crate) fn part_address(&mut self, op: &Op, skip: u64, n: u64, write: bool) -> Res<u64> {
        let offset = self.offset_of(op).wrapping_add(skip) & size_mask(op.address_size());
        self.segment_address(op.segment(), offset, n, write)
    }

    /// Makes sure that an operand of `bytes` (even, at most a page) can be accessed as a whole. Of one that reaches into a
    /// missing page CR2 gets the last byte, as on AMD's processors.
    pub(crate) fn check_area(&mut self, op: &Op, bytes: u64, write: bool) -> Res {
        if self.offset_of(op) <= size_mask(op.address_size()) - (bytes - 1) {
            let at = self.operand_address(op, bytes, write)?;
            self.probe(op, at, 1, write)?;
            return self.probe(op, at.wrapping_add(bytes - 1), 1, write);
        }
        for skip in (0..bytes).step_by(2) {
            let at = self.part_address(op, skip, 2, write)?;
            self.probe(op, at, 2, write)?;
        }
        Ok(())
    }

    fn probe(&mut self, op: &Op, at: u64, n: u8, write: bool) -> Res {
        if write {
            let (user, stack) = (self.cpl == 3, op.segment() == seg::SS);
            self.probe_write(at, n, user, stack)
        } else {
            self.probe_read(op, at)
        }
    }

    /// Runs accesses of which no alignment is asked.
    pub(crate) fn unaligned<T>(&mut self, access: impl FnOnce(&mut Self) -> Res<T>) -> Res<T> {
        let checked = std::mem::replace(&mut self.aligned_only, false);
        let result = access(self);
        self.aligned_only = checked;
        result
    }

    /// Loads `n` bytes that stand `skip` bytes into the memory operand.
    pub(crate) fn load_part(&mut self, op: &Op, skip: u64, n: u8) -> Res<u64> {
        let at = self.part_address(op, skip, u64::from(n), false)?;
        self.load(op, at, n)
    }

    /// Stores `n` bytes `skip` bytes into the memory operand.
    pub(crate) fn store_part(&mut self, op: &Op, skip: u64, n: u8, v: u64) -> Res {
        let at = self.part_address(op, skip, u64::from(n), true)?;
        self.store(op, at, n, v)
    }

    /// Loads `n` bytes at a linear address with the rights of the CPL.
    #[inline]
    pub(crate) fn load(&mut self, op: &Op, linear: u64, n: u8) -> Res<u64> {
        let (cpu, op): (*mut Self, *const Op) = (self, op);
        // SAFETY: both come from references.
        unsafe {
            match n {
                1 => load::<1>(cpu, op, linear),
                2 => load::<2>(cpu, op, linear),
                4 => load::<4>(cpu, op, linear),
                _ => load::<8>(cpu, op, linear),
            }
        }
    }

    /// Stores `n` bytes at a linear address with the rights of the CPL.
    #[inline]
    pub(crate) fn store(&mut self, op: &Op, linear: u64, n: u8, v: u64) -> Res {
        let (cpu, op): (*mut Self, *const Op) = (self, op);
        // SAFETY: both come from references.
        unsafe {
            match n {
                1 => store::<1>(cpu, op, linear, v),
                2 => store::<2>(cpu, op, linear, v),
                4 => store::<4>(cpu, op, linear, v),
                _ => store::<8>(cpu, op, linear, v),
            }
        }
    }

    /// Reads the register or memory operand of `n` bytes; `reg` says where the register is.
    #[inline]
    pub(crate) fn read_rm(&mut self, op: &Op, reg: u8, n: u8) -> Res<u64> {
        if op.is_mem() {
            let at = self.operand_address(op, u64::from(n), false)?;
            self.load(op, at, n)
        } else {
            Ok(self.reg_at(reg, n))
        }
    }

    /// Writes the register or memory operand of `n` bytes.
    #[inline]
    pub(crate) fn write_rm(&mut self, op: &Op, reg: u8, n: u8, v: u64) -> Res {
        if op.is_mem() {
            let at = self.operand_address(op, u64::from(n), true)?;
            self.store(op, at, n, v)
        } else {
            self.set_reg_at(reg, n, v);
            Ok(())
        }
    }

    /// Reads 16 bytes.
    #[inline]
    pub(crate) fn load128(&mut self, op: &Op, linear: u64) -> Res<u128> {
        // SAFETY: as in `load`, for 16 bytes.
        unsafe {
            let e = self.tlb.add(tlb_index(linear));
            if (*e).read == linear.wrapping_add(15) & !0xFFF {
                return Ok((linear.wrapping_add((*e).addend) as *const u128).read_unaligned());
            }
        }
        self.load128_slowly(op, linear)
    }

    #[cold]
    #[inline(never)]
    fn load128_slowly(&mut self, op: &Op, linear: u64) -> Res<u128> {
        self.check_alignment(linear, 16)?;
        self.check_canonical(linear.wrapping_add(15), op.segment() == seg::SS)?;
        let low = self.load(op, linear, 8)?;
        let high = self.load(op, linear.wrapping_add(8), 8)?;
        Ok(u128::from(low) | u128::from(high) << 64)
    }

    /// Writes 16 bytes, all or none.
    pub(crate) fn store128(&mut self, op: &Op, linear: u64, v: u128) -> Res {
        let cpu: *mut Self = self;
        // SAFETY: from a reference; the pointer covers 16 bytes of one unwatched writable page.
        unsafe {
            if let Ok(p) = modify::<16>(cpu, linear) {
                put::<u128>(p, v);
                return Ok(());
            }
        }
        self.store128_slowly(op, linear, v)
    }

    #[cold]
    #[inline(never)]
    fn store128_slowly(&mut self, op: &Op, linear: u64, v: u128) -> Res {
        let (user, stack) = (self.cpl == 3, op.segment() == seg::SS);
        self.check_alignment(linear, 16)?;
        self.probe_write(linear, 16, user, stack)?;
        self.write_linear(linear, 8, v as u64, user, stack)?;
        self.write_linear(linear.wrapping_add(8), 8, (v >> 64) as u64, user, stack)
    }

    // ---- the stack ----

    /// Bytes of a stack address: 8 in 64-bit mode, else by SS.B.
    pub(crate) fn stack_size(&self) -> u8 {
        if self.code64() {
            8
        } else if self.seg[seg::SS].big() {
            4
        } else {
            2
        }
    }

    /// Pushes `n` bytes; RSP changes only on success.
    pub(crate) fn push(&mut self, n: u8, v: u64) -> Res {
        let width = self.stack_size();
        let sp = self.reg_at(4 * 8, width).wrapping_sub(u64::from(n)) & size_mask(width);
        let at = self.segment_address(seg::SS, sp, u64::from(n), true)?;
        let (cpu, op): (*mut Self, *const Op) = (self, std::ptr::null());
        // SAFETY: from a reference; without an operation the access is one of the stack.
        unsafe {
            match n {
                2 => store::<2>(cpu, op, at, v)?,
                4 => store::<4>(cpu, op, at, v)?,
                _ => store::<8>(cpu, op, at, v)?,
            }
        }
        self.set_reg_at(4 * 8, width, sp);
        Ok(())
    }

    /// Reads `n` bytes `skip` bytes above the top of the stack.
    pub(crate) fn peek(&mut self, n: u8, skip: u64) -> Res<u64> {
        let width = self.stack_size();
        let sp = self.reg_at(4 * 8, width).wrapping_add(skip) & size_mask(width);
        let at = self.segment_address(seg::SS, sp, u64::from(n), false)?;
        let (cpu, op): (*mut Self, *const Op) = (self, std::ptr::null());
        // SAFETY: as in `push`.
        unsafe {
            match n {
                2 => load::<2>(cpu, op, at),
                4 => load::<4>(cpu, op, at),
                _ => load::<8>(cpu, op, at),
            }
        }
    }

    /// Moves the stack pointer up.
    pub(crate) fn drop_stack(&mut self, bytes: u64) {
        let width = self.stack_size();
        let sp = self.reg_at(4 * 8, width).wrapping_add(bytes);
        self.set_reg_at(4 * 8, width, sp & size_mask(width));
    }
}
