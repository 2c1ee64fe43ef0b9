//! The interpreter's operations: [`Exec`] executes what a semantics asks for, at once, on one operation.
//!
//! It is generic over operand size, operand kind and addressing, so that constant folding leaves of each semantics what
//! its combination needs. Nothing here decides what runs next: `interp` does.

use super::memory::{get, load, load_cached, modify, put, store, store_cached};
use super::ops::{Cond, Ops, Shift};
use crate::cpu::{Cpu, RBP, RSP, Res, Stop, seg, sext, size_mask, slot};
use crate::trace::Op;

/// Where a generic semantics finds its operands.
pub(crate) mod kind {
    pub const RR: u8 = 0;
    pub const RM: u8 = 1;
    pub const MR: u8 = 2;
    pub const RI: u8 = 3;
    pub const MI: u8 = 4;
    pub const R: u8 = 5;
    pub const M: u8 = 6;
    pub const I: u8 = 7;
    pub const NONE: u8 = 8;
}

/// How addresses are made.
pub(crate) mod am {
    /// 64-bit addresses, flat.
    pub const A64: u8 = 0;
    /// 32-bit addresses, flat.
    pub const A32: u8 = 1;
    /// Segment base and limit, any address size.
    pub const GENERAL: u8 = 2;
    /// As [`A64`], of an operand without an index.
    pub const BASE64: u8 = 3;
    /// As [`A32`], of an operand without an index.
    pub const BASE32: u8 = 4;
    pub const COUNT: usize = 5;
}

/// Where execution goes on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Flow {
    Next,
    Static,
    To(u64),
}

/// The interpreter's operations for one kind of handler. Without `FLAGS` the arithmetic flags are left alone: somebody
/// overwrites them before anybody can see them. Without `SLOW` they do only what needs no call, and stop where it would:
/// nothing has changed then, and the handler is left to its slow twin. So the fast one has no registers to save.
pub(crate) struct Exec<
    const SZ: u8,
    const KIND: u8,
    const AM: u8,
    const FLAGS: bool,
    const SLOW: bool,
> {
    cpu: *mut Cpu,
    op: *mut Op,
    /// Host address of a memory destination between `modify_dst` and `write_back`.
    at: *mut u8,
    linear: u64,
}

impl<const SZ: u8, const KIND: u8, const AM: u8, const FLAGS: bool, const SLOW: bool>
    Exec<SZ, KIND, AM, FLAGS, SLOW>
{
    #[inline(always)]
    pub(super) fn new(cpu: *mut Cpu, op: *mut Op) -> Self {
        Self {
            cpu,
            op,
            at: std::ptr::null_mut(),
            linear: 0,
        }
    }

    #[inline(always)]
    fn c(&mut self) -> &mut Cpu {
        // SAFETY: handlers get a valid processor that nobody else refers to while they run; the reference ends with the
        // expression that asked for it.
        unsafe { &mut *self.cpu }
    }

    #[inline(always)]
    fn o(&self) -> &Op {
        // SAFETY: handlers get a valid operation.
        unsafe { &*self.op }
    }

    /// Reads a register at a byte offset, zero-extended.
    #[inline(always)]
    fn get<const N: u8>(&mut self, offset: u8) -> u64 {
        // SAFETY: the builder made the offset: register number times 8, plus 1 for AH to BH, below COUNT * 8.
        unsafe {
            let p = self.cpu.cast::<u8>().add(usize::from(offset));
            match N {
                1 => u64::from(get::<u8>(p)),
                2 => u64::from(get::<u16>(p)),
                4 => u64::from(get::<u32>(p)),
                _ => get::<u64>(p),
            }
        }
    }

    #[inline(always)]
    fn put(&mut self, offset: u8, v: u64) {
        // SAFETY: as in `get`.
        unsafe {
            let p = self.cpu.cast::<u8>().add(usize::from(offset));
            match SZ {
                1 => put::<u8>(p, v as u8),
                2 => put::<u16>(p, v as u16),
                // 32-bit results clear the upper half (SDM volume 1, section 3.4.1.1).
                _ => put::<u64>(p, v),
            }
        }
    }

    #[inline(always)]
    fn raw_address(&mut self) -> u64 {
        let (base, index, scale, disp) =
            (self.o().base, self.o().index, self.o().scale, self.o().disp);
        let b = self.get::<8>(base).wrapping_add(disp);
        if matches!(AM, am::BASE64 | am::BASE32) {
            return b;
        }
        // A shift modulo 64 is the host's; the scale is below 4.
        let i = self.get::<8>(index).wrapping_shl(u32::from(scale));
        b.wrapping_add(i)
    }

    #[inline(always)]
    fn address<const WRITE: bool>(&mut self, n: u8) -> Res<u64> {
        match AM {
            am::A64 | am::BASE64 => Ok(self.raw_address()),
            am::A32 | am::BASE32 => Ok(self.raw_address() & 0xFFFF_FFFF),
            // SAFETY: both pointers are valid.
            _ => unsafe { general_address(self.cpu, self.op, n, WRITE) },
        }
    }

    #[inline(always)]
    fn load<const N: u8>(&mut self) -> Res<u64> {
        let at = self.address::<false>(N)?;
        self.load_at::<N>(self.op, at)
    }

    /// Loads from a linear address; `op` is null for the stack.
    #[inline(always)]
    fn load_at<const N: u8>(&mut self, op: *const Op, at: u64) -> Res<u64> {
        // SAFETY: the processor is valid, and so is the operation where there is one.
        unsafe {
            if SLOW {
                load::<N>(self.cpu, op, at)
            } else {
                load_cached::<N>(self.cpu, at)
            }
        }
    }

    #[inline(always)]
    fn store_at(&mut self, op: *const Op, at: u64, v: u64) -> Res {
        // SAFETY: as in `load_at`.
        unsafe {
            if SLOW {
                store::<SZ>(self.cpu, op, at, v)
            } else {
                store_cached::<SZ>(self.cpu, at, v)
            }
        }
    }

    #[inline(always)]
    fn set_flags(&mut self, r: u64, carries: u64) {
        if FLAGS {
            let shift = 64 - 8 * u32::from(SZ);
            let c = self.c();
            c.cc_res = sext(r, SZ);
            c.cc_aux = ((carries << shift) & (3 << 62)) | (carries & 8);
        }
    }

    /// Flags of a result whose CF and OF are known; AF is cleared.
    #[inline(always)]
    fn set_result(&mut self, r: u64, cf: bool, of: bool) {
        if FLAGS {
            let c = self.c();
            c.cc_res = sext(r, SZ);
            c.cc_aux = 0;
            c.set_cf_of(cf, of);
        }
    }

    #[inline(always)]
    fn set_cf_of(&mut self, cf: bool, of: bool) {
        if FLAGS {
            self.c().set_cf_of(cf, of);
        }
    }
}

#[inline(never)]
unsafe fn general_address(cpu: *mut Cpu, op: *const Op, n: u8, write: bool) -> Res<u64> {
    // SAFETY: handlers get valid pointers, and no other reference lives.
    let (cpu, op) = unsafe { (&mut *cpu, &*op) };
    cpu.operand_address(op, u64::from(n), write)
}

#[cold]
#[inline(never)]
unsafe fn modify_slow(cpu: *mut Cpu, op: *const Op, linear: u64, n: u8) -> Res<u64> {
    // SAFETY: as in `general_address`.
    let (cpu, op) = unsafe { (&mut *cpu, &*op) };
    let (user, stack) = (cpu.cpl == 3, op.segment() == seg::SS);
    cpu.probe_write(linear, n, user, stack)?;
    cpu.read_linear(linear, n, user, stack)
}

#[cold]
#[inline(never)]
unsafe fn write_back_slow(cpu: *mut Cpu, op: *const Op, linear: u64, n: u8, v: u64) {
    // SAFETY: as in `general_address`.
    let (cpu, op) = unsafe { (&mut *cpu, &*op) };
    let (user, stack) = (cpu.cpl == 3, op.segment() == seg::SS);
    // `modify_slow` has probed every byte, and nothing ran in between.
    let written = cpu.write_linear(linear, n, v, user, stack);
    debug_assert!(written.is_ok());
}

#[inline(never)]
unsafe fn push_general(cpu: *mut Cpu, n: u8, v: u64) -> Res {
    // SAFETY: as in `general_address`.
    unsafe { (*cpu).push(n, v) }
}

#[inline(never)]
unsafe fn peek_general(cpu: *mut Cpu, n: u8) -> Res<u64> {
    // SAFETY: as in `general_address`.
    unsafe { (*cpu).peek(n, 0) }
}

#[inline(never)]
unsafe fn leave_general(cpu: *mut Cpu, n: u8) -> Res<u64> {
    // SAFETY: as in `general_address`.
    let cpu = unsafe { &mut *cpu };
    let width = cpu.stack_size();
    let bp = cpu.reg_at(5 * 8, width);
    let at = cpu.segment_address(seg::SS, bp, u64::from(n), false)?;
    let user = cpu.cpl == 3;
    let v = cpu.read_linear(at, n, user, true)?;
    cpu.set_reg_at(4 * 8, width, bp.wrapping_add(u64::from(n)));
    Ok(v)
}

#[cold]
#[inline(never)]
unsafe fn bad_target(cpu: *mut Cpu) -> Stop {
    // SAFETY: as in `general_address`.
    unsafe { (*cpu).gp(0) }
}

impl<const SZ: u8, const KIND: u8, const AM: u8, const FLAGS: bool, const SLOW: bool> Ops
    for Exec<SZ, KIND, AM, FLAGS, SLOW>
{
    type V = u64;
    type B = bool;
    type Stop = Stop;
    type Flow = Flow;

    #[inline(always)]
    fn constant(&mut self, v: u64) -> u64 {
        v
    }
    #[inline(always)]
    fn imm(&mut self) -> u64 {
        self.o().imm64() & size_mask(SZ)
    }
    #[inline(always)]
    fn imm64(&mut self) -> u64 {
        self.o().disp & size_mask(SZ)
    }
    #[inline(always)]
    fn effective_address(&mut self) -> u64 {
        let a = self.raw_address();
        let a = match AM {
            am::A64 | am::BASE64 => a,
            am::A32 | am::BASE32 => a & 0xFFFF_FFFF,
            _ => a & size_mask(self.o().address_size()),
        };
        a & size_mask(SZ)
    }

    #[inline(always)]
    fn read_dst(&mut self) -> Res<u64> {
        match KIND {
            kind::MR | kind::MI | kind::M => self.load::<SZ>(),
            _ => {
                let at = self.o().dst;
                Ok(self.get::<SZ>(at))
            }
        }
    }
    #[inline(always)]
    fn modify_dst(&mut self) -> Res<u64> {
        match KIND {
            kind::MR | kind::MI | kind::M => {
                self.linear = self.address::<true>(SZ)?;
                // SAFETY: valid pointers; the address covers SZ bytes of writable RAM.
                unsafe {
                    self.at = match modify::<SZ>(self.cpu, self.linear) {
                        Ok(at) => at,
                        Err(Stop) if !SLOW => return Err(Stop),
                        Err(Stop) => return modify_slow(self.cpu, self.op, self.linear, SZ),
                    };
                    Ok(match SZ {
                        1 => u64::from(get::<u8>(self.at)),
                        2 => u64::from(get::<u16>(self.at)),
                        4 => u64::from(get::<u32>(self.at)),
                        _ => get::<u64>(self.at),
                    })
                }
            }
            _ => {
                let at = self.o().dst;
                Ok(self.get::<SZ>(at))
            }
        }
    }
    #[inline(always)]
    fn write_back(&mut self, v: u64) {
        match KIND {
            kind::MR | kind::MI | kind::M => {
                // SAFETY: as in `modify_dst`.
                unsafe {
                    if SLOW && self.at.is_null() {
                        return write_back_slow(self.cpu, self.op, self.linear, SZ, v);
                    }
                    match SZ {
                        1 => put::<u8>(self.at, v as u8),
                        2 => put::<u16>(self.at, v as u16),
                        4 => put::<u32>(self.at, v as u32),
                        _ => put::<u64>(self.at, v),
                    }
                }
            }
            _ => {
                let at = self.o().dst;
                self.put(at, v);
            }
        }
    }
    #[inline(always)]
    fn write_dst(&mut self, v: u64) -> Res {
        match KIND {
            kind::MR | kind::MI | kind::M => {
                let at = self.address::<true>(SZ)?;
                self.store_at(self.op, at, v)
            }
            _ => {
                let at = self.o().dst;
                self.put(at, v);
                Ok(())
            }
        }
    }
    #[inline(always)]
    fn read_src(&mut self) -> Res<u64> {
        match KIND {
            kind::RI | kind::MI => Ok(self.imm()),
            kind::RM => self.load::<SZ>(),
            _ => {
                let at = self.o().src;
                Ok(self.get::<SZ>(at))
            }
        }
    }
    #[inline(always)]
    fn read_src_sized<const BYTES: u8>(&mut self) -> Res<u64> {
        if KIND == kind::RM {
            self.load::<BYTES>()
        } else {
            let at = self.o().src;
            Ok(self.get::<BYTES>(at))
        }
    }
    #[inline(always)]
    fn write_src_reg(&mut self, v: u64) {
        let at = self.o().src;
        self.put(at, v);
    }

    #[inline(always)]
    fn add(&mut self, x: u64, y: u64) -> u64 {
        x.wrapping_add(y) & size_mask(SZ)
    }
    #[inline(always)]
    fn sub(&mut self, x: u64, y: u64) -> u64 {
        x.wrapping_sub(y) & size_mask(SZ)
    }
    #[inline(always)]
    fn and(&mut self, x: u64, y: u64) -> u64 {
        x & y
    }
    #[inline(always)]
    fn or(&mut self, x: u64, y: u64) -> u64 {
        x | y
    }
    #[inline(always)]
    fn xor(&mut self, x: u64, y: u64) -> u64 {
        x ^ y
    }
    #[inline(always)]
    fn not(&mut self, x: u64) -> u64 {
        !x & size_mask(SZ)
    }
    #[inline(always)]
    fn sign_extend<const BYTES: u8>(&mut self, x: u64) -> u64 {
        sext(x, BYTES) & size_mask(SZ)
    }
    #[inline(always)]
    fn sign_extend_half(&mut self, x: u64) -> u64 {
        match SZ {
            8 => sext(x, 4),
            4 => sext(x, 2) & 0xFFFF_FFFF,
            _ => sext(x, 1) & 0xFFFF,
        }
    }
    #[inline(always)]
    fn sign_fill(&mut self, x: u64) -> u64 {
        ((sext(x, SZ) as i64) >> 63) as u64 & size_mask(SZ)
    }
    #[inline(always)]
    fn byte_swap(&mut self, x: u64) -> u64 {
        match SZ {
            8 => x.swap_bytes(),
            4 => u64::from((x as u32).swap_bytes()),
            // Undefined for 16 bits (SDM volume 2, BSWAP); real processors give zero.
            _ => 0,
        }
    }
    #[inline(always)]
    fn carry(&mut self) -> u64 {
        u64::from(self.c().cf())
    }
    #[inline(always)]
    fn multiply_signed(&mut self, x: u64, y: u64) -> u64 {
        let (x, y) = (sext(x, SZ) as i64, sext(y, SZ) as i64);
        let (r, fits) = if SZ == 8 {
            let (r, o) = x.overflowing_mul(y);
            (r as u64, !o)
        } else {
            let p = x * y;
            (p as u64 & size_mask(SZ), sext(p as u64, SZ) as i64 == p)
        };
        self.set_result(r, !fits, !fits);
        r
    }
    #[inline(always)]
    fn shift(&mut self, kind: Shift, x: u64, count: u64) -> u64 {
        let bits = 8 * u32::from(SZ);
        let n = count as u32 & if SZ == 8 { 63 } else { 31 };
        if n == 0 {
            return x;
        }
        let msb = |v: u64| v >> (bits - 1) & 1 != 0;
        match kind {
            Shift::Shl => {
                let r = if n >= bits { 0 } else { x << n } & size_mask(SZ);
                let cf = n <= bits && x >> (bits - n) & 1 != 0;
                self.set_result(r, cf, cf ^ msb(r));
                r
            }
            Shift::Shr => {
                let r = if n >= bits { 0 } else { x >> n };
                let cf = n <= bits && x >> (n - 1) & 1 != 0;
                // OF is the old sign for a count of 1 and undefined beyond; real processors give msb(r) ^ next bit.
                self.set_result(r, cf, msb(r) ^ (r >> (bits - 2) & 1 != 0));
                r
            }
            Shift::Sar => {
                let s = sext(x, SZ) as i64;
                let r = (s >> n.min(63)) as u64;
                let cf = (s >> (n - 1).min(63)) & 1 != 0;
                self.set_result(r, cf, false);
                r & size_mask(SZ)
            }
            Shift::Rol => {
                let m = n % bits;
                let r = if m == 0 {
                    x
                } else {
                    (x << m | x >> (bits - m)) & size_mask(SZ)
                };
                let cf = r & 1 != 0;
                self.set_cf_of(cf, cf ^ msb(r));
                r
            }
            Shift::Ror => {
                let m = n % bits;
                let r = if m == 0 {
                    x
                } else {
                    (x >> m | x << (bits - m)) & size_mask(SZ)
                };
                let cf = msb(r);
                self.set_cf_of(cf, cf ^ (r >> (bits - 2) & 1 != 0));
                r
            }
        }
    }

    #[inline(always)]
    fn flags_add(&mut self, x: u64, y: u64, r: u64) {
        self.set_flags(r, (x & y) | ((x | y) & !r));
    }
    #[inline(always)]
    fn flags_sub(&mut self, x: u64, y: u64, r: u64) {
        self.set_flags(r, (!x & y) | (!(x ^ y) & r));
    }
    #[inline(always)]
    fn flags_logic(&mut self, r: u64) {
        self.set_result(r, false, false);
    }
    #[inline(always)]
    fn flags_inc(&mut self, x: u64, r: u64) {
        if !FLAGS {
            return;
        }
        let cf = self.c().cc_aux & 1 << 63;
        self.flags_add(x, 1, r);
        let of = (self.c().cc_aux ^ self.c().cc_aux << 1) & 1 << 63;
        let af = self.c().cc_aux & 8;
        self.c().cc_aux = cf | (cf ^ of) >> 1 | af;
    }
    #[inline(always)]
    fn flags_dec(&mut self, x: u64, r: u64) {
        if !FLAGS {
            return;
        }
        let cf = self.c().cc_aux & 1 << 63;
        self.flags_sub(x, 1, r);
        let of = (self.c().cc_aux ^ self.c().cc_aux << 1) & 1 << 63;
        let af = self.c().cc_aux & 8;
        self.c().cc_aux = cf | (cf ^ of) >> 1 | af;
    }

    #[inline(always)]
    fn cond(&mut self, c: Cond) -> bool {
        let f = self.c();
        match c {
            Cond::O => f.of(),
            Cond::No => !f.of(),
            Cond::B => f.cf(),
            Cond::Nb => !f.cf(),
            Cond::Z => f.zf(),
            Cond::Nz => !f.zf(),
            Cond::Be => f.cf() | f.zf(),
            Cond::Nbe => !(f.cf() | f.zf()),
            Cond::S => f.sf(),
            Cond::Ns => !f.sf(),
            Cond::P => f.pf(),
            Cond::Np => !f.pf(),
            Cond::L => f.sf() ^ f.of(),
            Cond::Nl => !(f.sf() ^ f.of()),
            Cond::Le => f.zf() | (f.sf() ^ f.of()),
            Cond::Nle => !(f.zf() | (f.sf() ^ f.of())),
        }
    }
    #[inline(always)]
    fn choose(&mut self, c: bool, x: u64, y: u64) -> u64 {
        if c { x } else { y }
    }
    #[inline(always)]
    fn as_value(&mut self, c: bool) -> u64 {
        u64::from(c)
    }

    #[inline(always)]
    fn reg(&mut self, n: usize) -> u64 {
        self.get::<SZ>((n * 8) as u8)
    }
    #[inline(always)]
    fn set_reg(&mut self, n: usize, v: u64) {
        self.put((n * 8) as u8, v);
    }

    #[inline(always)]
    fn push(&mut self, v: u64) -> Res {
        let n = u64::from(SZ);
        match AM {
            am::A64 => {
                let sp = self.c().r[RSP].wrapping_sub(n);
                self.store_at(std::ptr::null(), sp, v)?;
                self.c().r[RSP] = sp;
                Ok(())
            }
            am::A32 => {
                let sp = self.c().r[RSP].wrapping_sub(n) & 0xFFFF_FFFF;
                self.store_at(std::ptr::null(), sp, v)?;
                self.c().r[RSP] = sp;
                Ok(())
            }
            // SAFETY: the pointer is valid.
            _ => unsafe { push_general(self.cpu, SZ, v) },
        }
    }
    #[inline(always)]
    fn peek_stack(&mut self) -> Res<u64> {
        match AM {
            am::A64 => {
                let sp = self.c().r[RSP];
                self.load_at::<SZ>(std::ptr::null(), sp)
            }
            am::A32 => {
                let sp = self.c().r[RSP] & 0xFFFF_FFFF;
                self.load_at::<SZ>(std::ptr::null(), sp)
            }
            // SAFETY: the pointer is valid.
            _ => unsafe { peek_general(self.cpu, SZ) },
        }
    }
    #[inline(always)]
    fn drop_stack(&mut self) {
        let n = u64::from(SZ);
        match AM {
            am::A64 => self.c().r[RSP] = self.c().r[RSP].wrapping_add(n),
            am::A32 => self.c().r[RSP] = self.c().r[RSP].wrapping_add(n) & 0xFFFF_FFFF,
            _ => self.c().drop_stack(n),
        }
    }
    #[inline(always)]
    fn drop_stack_imm(&mut self) {
        let n = u64::from(SZ) + self.o().imm64();
        match AM {
            am::A64 => self.c().r[RSP] = self.c().r[RSP].wrapping_add(n),
            am::A32 => self.c().r[RSP] = self.c().r[RSP].wrapping_add(n) & 0xFFFF_FFFF,
            _ => self.c().drop_stack(n),
        }
    }
    #[inline(always)]
    fn leave(&mut self) -> Res<u64> {
        let n = u64::from(SZ);
        match AM {
            am::A64 => {
                let bp = self.c().r[RBP];
                let v = self.load_at::<SZ>(std::ptr::null(), bp)?;
                self.c().r[RSP] = bp.wrapping_add(n);
                Ok(v)
            }
            am::A32 => {
                let bp = self.c().r[RBP] & 0xFFFF_FFFF;
                let v = self.load_at::<SZ>(std::ptr::null(), bp)?;
                self.c().r[RSP] = bp.wrapping_add(n) & 0xFFFF_FFFF;
                Ok(v)
            }
            // SAFETY: the pointer is valid.
            _ => unsafe { leave_general(self.cpu, SZ) },
        }
    }

    #[inline(always)]
    fn next_rip(&mut self) -> u64 {
        let next = u64::from(self.o().offset) + u64::from(self.o().len);
        let r = self.c().r[slot::PAGE].wrapping_add(next);
        r & size_mask(SZ)
    }
    #[inline(always)]
    fn jump(&mut self) -> Flow {
        Flow::Static
    }
    #[inline(always)]
    fn jump_if(&mut self, c: bool) -> Flow {
        if c { Flow::Static } else { Flow::Next }
    }
    #[inline(always)]
    fn jump_to(&mut self, target: u64) -> Res<Flow> {
        let bad = if SZ == 8 {
            !Cpu::canonical(target)
        } else {
            target > u64::from(self.c().seg[seg::CS].limit)
        };
        if bad && !SLOW {
            return Err(Stop);
        }
        if bad {
            // SAFETY: the pointer is valid.
            return Err(unsafe { bad_target(self.cpu) });
        }
        Ok(Flow::To(target))
    }
}
