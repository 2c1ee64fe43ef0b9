//! Multiplication, division, decimal adjustment, bit tests and scans, double shifts, compare and exchange, flag moves.

use crate::cpu::{Cpu, RAX, RBX, RCX, RDX, Res, flag, sext, size_mask, vector};
use crate::trace::Op;

/// Unsigned RDX:RAX = RAX * source.
pub(crate) fn mul(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let y = c.read_rm(op, op.dst, n)?;
    let p = u128::from(c.reg_at(0, n)) * u128::from(y);
    let high = store_product(c, n, p);
    c.set_cf_of(high != 0, high != 0);
    Ok(())
}

/// Signed RDX:RAX = RAX * source.
pub(crate) fn imul1(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let y = c.read_rm(op, op.dst, n)?;
    let x = c.reg_at(0, n);
    let p = i128::from(sext(x, n) as i64) * i128::from(sext(y, n) as i64);
    store_product(c, n, p as u128);
    let fits = i128::from(sext(p as u64, n) as i64) == p;
    c.set_cf_of(!fits, !fits);
    Ok(())
}

fn store_product(c: &mut Cpu, n: u8, p: u128) -> u64 {
    let low = p as u64 & size_mask(n);
    let high = (p >> (8 * u32::from(n))) as u64 & size_mask(n);
    if n == 1 {
        c.set_reg_at(0, 2, p as u64 & 0xFFFF);
    } else {
        c.set_reg_at(0, n, low);
        c.set_reg_at((RDX * 8) as u8, n, high);
    }
    // Flags beyond CF and OF are undefined; SF, ZF and PF follow the low half, as on current processors.
    c.cc_res = sext(low, n);
    c.cc_aux = 0;
    high
}

fn dividend(c: &Cpu, n: u8) -> u128 {
    if n == 1 {
        return u128::from(c.reg_at(0, 2));
    }
    let high = c.reg_at((RDX * 8) as u8, n);
    u128::from(high) << (8 * u32::from(n)) | u128::from(c.reg_at(0, n))
}

fn store_quotient(c: &mut Cpu, n: u8, q: u64, r: u64) {
    if n == 1 {
        c.set_reg_at(0, 2, (q & 0xFF) | (r & 0xFF) << 8);
    } else {
        c.set_reg_at(0, n, q & size_mask(n));
        c.set_reg_at((RDX * 8) as u8, n, r & size_mask(n));
    }
}

/// Unsigned division; #DE on zero or overflow.
pub(crate) fn div(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let y = c.read_rm(op, op.dst, n)?;
    if y == 0 {
        return Err(c.raise(vector::DE));
    }
    let x = dividend(c, n);
    let (q, r) = match u64::try_from(x) {
        Ok(x) => (u128::from(x / y), x % y),
        Err(_) => (x / u128::from(y), (x % u128::from(y)) as u64),
    };
    if q > u128::from(size_mask(n)) {
        return Err(c.raise(vector::DE));
    }
    store_quotient(c, n, q as u64, r);
    Ok(())
}

/// Signed division; #DE on zero or overflow.
pub(crate) fn idiv(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let y = i128::from(sext(c.read_rm(op, op.dst, n)?, n) as i64);
    let bits = 16 * u32::from(n);
    let x = ((dividend(c, n) << (128 - bits)) as i128) >> (128 - bits);
    if y == 0 {
        return Err(c.raise(vector::DE));
    }
    let Some(q) = x.checked_div(y) else {
        return Err(c.raise(vector::DE));
    };
    if i128::from(sext(q as u64, n) as i64) != q {
        return Err(c.raise(vector::DE));
    }
    store_quotient(c, n, q as u64, (x % y) as u64);
    Ok(())
}

fn set_al_flags(c: &mut Cpu, al: u8, cf: bool, af: bool) {
    let mut f = 0;
    for (bit, on) in [
        (flag::CF, cf),
        (flag::AF, af),
        (flag::ZF, al == 0),
        (flag::SF, al >= 0x80),
    ] {
        f |= bit * u64::from(on);
    }
    f |= flag::PF * u64::from(al.count_ones().is_multiple_of(2));
    c.set_arith_flags(f);
}

/// DAA.
pub(crate) fn daa(c: &mut Cpu, _op: &Op) -> Res {
    let (old, old_cf, old_af) = (c.r[RAX] as u8, c.cf(), c.af());
    let mut al = old;
    let af = old & 0xF > 9 || old_af;
    if af {
        al = al.wrapping_add(6);
    }
    let cf = old > 0x99 || old_cf;
    if cf {
        al = al.wrapping_add(0x60);
    }
    c.set_reg_at(0, 1, u64::from(al));
    set_al_flags(c, al, cf, af);
    Ok(())
}

/// DAS.
pub(crate) fn das(c: &mut Cpu, _op: &Op) -> Res {
    let (old, old_cf, old_af) = (c.r[RAX] as u8, c.cf(), c.af());
    let mut al = old;
    let af = old & 0xF > 9 || old_af;
    let mut cf = false;
    if af {
        cf = old_cf || al < 6;
        al = al.wrapping_sub(6);
    }
    if old > 0x99 || old_cf {
        al = al.wrapping_sub(0x60);
        cf = true;
    }
    c.set_reg_at(0, 1, u64::from(al));
    set_al_flags(c, al, cf, af);
    Ok(())
}

/// SALC: AL becomes all ones when CF is set, else zero. In no manual of Intel's, in every processor's decoder.
pub(crate) fn salc(c: &mut Cpu, _op: &Op) -> Res {
    let al = if c.cf() { 0xFF } else { 0 };
    c.set_reg_at(0, 1, al);
    Ok(())
}

/// AAA.
pub(crate) fn aaa(c: &mut Cpu, _op: &Op) -> Res {
    let adjust = c.r[RAX] & 0xF > 9 || c.af();
    let mut ax = c.r[RAX] as u16;
    if adjust {
        ax = ax.wrapping_add(0x106);
    }
    c.set_reg_at(0, 2, u64::from(ax & 0xFF0F));
    set_al_flags(c, ax as u8 & 0xF, adjust, adjust);
    Ok(())
}

/// AAS.
pub(crate) fn aas(c: &mut Cpu, _op: &Op) -> Res {
    let adjust = c.r[RAX] & 0xF > 9 || c.af();
    let mut ax = c.r[RAX] as u16;
    if adjust {
        ax = ax.wrapping_sub(6);
        ax = ax.wrapping_sub(0x100);
    }
    c.set_reg_at(0, 2, u64::from(ax & 0xFF0F));
    set_al_flags(c, ax as u8 & 0xF, adjust, adjust);
    Ok(())
}

/// AAM; #DE with a base of zero.
pub(crate) fn aam(c: &mut Cpu, op: &Op) -> Res {
    let base = op.imm as u8;
    if base == 0 {
        return Err(c.raise(vector::DE));
    }
    let al = c.r[RAX] as u8;
    c.set_reg_at(0, 2, u64::from(al / base) << 8 | u64::from(al % base));
    set_al_flags(c, al % base, false, false);
    Ok(())
}

/// AAD.
pub(crate) fn aad(c: &mut Cpu, op: &Op) -> Res {
    let ax = c.r[RAX] as u16;
    let al = (ax as u8).wrapping_add(((ax >> 8) as u8).wrapping_mul(op.imm as u8));
    c.set_reg_at(0, 2, u64::from(al));
    set_al_flags(c, al, false, false);
    Ok(())
}

/// Rotation through carry to the left.
pub(crate) fn rcl(c: &mut Cpu, op: &Op) -> Res {
    rotate_through_carry(c, op, true)
}

/// Rotation through carry to the right.
pub(crate) fn rcr(c: &mut Cpu, op: &Op) -> Res {
    rotate_through_carry(c, op, false)
}

fn shift_count(c: &Cpu, op: &Op) -> u32 {
    // `extra` marks the forms that count by CL.
    let raw = if op.extra != 0 {
        c.r[RCX] as u32
    } else {
        op.imm as u32
    };
    raw & if op.size() == 8 { 63 } else { 31 }
}

/// Reads the first operand, which lies at `at` when it is in memory, and makes sure that it can be written.
fn modify_operand(c: &mut Cpu, op: &Op, at: u64, n: u8) -> Res<u64> {
    if op.is_mem() {
        c.prepare_modify(op, at, n)?;
        c.load(op, at, n)
    } else {
        Ok(c.reg_at(op.dst, n))
    }
}

fn rotate_through_carry(c: &mut Cpu, op: &Op, left: bool) -> Res {
    let n = op.size();
    let bits = 8 * u32::from(n);
    let masked = shift_count(c, op);
    let count = masked % (bits + 1);
    let at = if op.is_mem() {
        c.operand_address(op, u64::from(n), true)?
    } else {
        0
    };
    let x = modify_operand(c, op, at, n)?;
    let wide = u128::from(c.cf()) << bits | u128::from(x);
    let total = bits + 1;
    let mask = (1u128 << total) - 1;
    let r = if count == 0 {
        wide
    } else if left {
        (wide << count | wide >> (total - count)) & mask
    } else {
        (wide >> count | wide << (total - count)) & mask
    };
    let low = r as u64 & size_mask(n);
    if op.is_mem() {
        c.store(op, at, n, low)?;
    } else {
        c.set_reg_at(op.dst, n, low);
    }
    if masked != 0 {
        let cf = r >> bits & 1 != 0;
        let msb = low >> (bits - 1) & 1 != 0;
        let of = if left {
            cf ^ msb
        } else {
            msb ^ (low >> (bits - 2) & 1 != 0)
        };
        c.set_cf_of(cf, of);
    }
    Ok(())
}

/// SHLD.
pub(crate) fn shld(c: &mut Cpu, op: &Op) -> Res {
    double_shift(c, op, true)
}

/// SHRD.
pub(crate) fn shrd(c: &mut Cpu, op: &Op) -> Res {
    double_shift(c, op, false)
}

fn double_shift(c: &mut Cpu, op: &Op, left: bool) -> Res {
    let n = op.size();
    let bits = 8 * u32::from(n);
    let raw = if op.extra != 0 {
        c.r[RCX] as u32
    } else {
        op.imm as u32
    };
    let count = raw & if n == 8 { 63 } else { 31 };
    let at = if op.is_mem() {
        c.operand_address(op, u64::from(n), true)?
    } else {
        0
    };
    let x = modify_operand(c, op, at, n)?;
    if count == 0 {
        // The upper half of a 32-bit register is cleared all the same.
        if !op.is_mem() {
            c.set_reg_at(op.dst, n, x);
        }
        return Ok(());
    }
    let y = c.reg_at(op.src, n);
    // Counts above 16 with 16-bit operands are undefined; processors rotate through the concatenation.
    let (r, cf) = if n == 8 {
        if left {
            (x << count | y >> (64 - count), x >> (64 - count) & 1 != 0)
        } else {
            (x >> count | y << (64 - count), x >> (count - 1) & 1 != 0)
        }
    } else if left {
        let wide = x << bits | y;
        let wide = u128::from(wide) << bits | u128::from(x);
        let cf = wide >> (3 * bits - count) & 1 != 0;
        ((wide << count >> (2 * bits)) as u64 & size_mask(n), cf)
    } else {
        let wide = u128::from(x) << (2 * bits) | u128::from(y) << bits | u128::from(x);
        (
            (wide >> count) as u64 & size_mask(n),
            wide >> (count - 1) & 1 != 0,
        )
    };
    if op.is_mem() {
        c.store(op, at, n, r)?;
    } else {
        c.set_reg_at(op.dst, n, r);
    }
    c.cc_res = sext(r, n);
    c.cc_aux = 0;
    let of = (x ^ r) >> (bits - 1) & 1 != 0;
    c.set_cf_of(cf, of);
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BitOp {
    Test,
    Set,
    Reset,
    Complement,
}

fn bit_op(c: &mut Cpu, op: &Op, kind: BitOp, by_register: bool) -> Res {
    let n = op.size();
    let bits = 8 * u64::from(n);
    let index = if by_register {
        sext(c.reg_at(op.src, n), n)
    } else {
        op.imm as u64 & 0xFF
    };
    let bit = index & (bits - 1);
    let write = kind != BitOp::Test;
    let at = if op.is_mem() {
        // With a register index the bit string may reach anywhere (SDM volume 2, BT).
        let words = if by_register {
            ((index as i64) >> bits.trailing_zeros()) * i64::from(n)
        } else {
            0
        };
        let offset = c.offset_of(op).wrapping_add(words as u64) & size_mask(op.address_size());
        c.segment_address(op.segment(), offset, u64::from(n), write)?
    } else {
        0
    };
    let x = if write {
        modify_operand(c, op, at, n)?
    } else if op.is_mem() {
        c.load(op, at, n)?
    } else {
        c.reg_at(op.dst, n)
    };
    let mask = 1u64 << bit;
    let r = match kind {
        BitOp::Test => x,
        BitOp::Set => x | mask,
        BitOp::Reset => x & !mask,
        BitOp::Complement => x ^ mask,
    };
    if write {
        if op.is_mem() {
            c.store(op, at, n, r)?;
        } else {
            c.set_reg_at(op.dst, n, r);
        }
    }
    c.set_cf(x & mask != 0);
    Ok(())
}

macro_rules! bit_ops {
    ($($reg:ident $imm:ident $kind:ident)*) => {$(
        pub(crate) fn $reg(c: &mut Cpu, op: &Op) -> Res {
            bit_op(c, op, BitOp::$kind, true)
        }
        pub(crate) fn $imm(c: &mut Cpu, op: &Op) -> Res {
            bit_op(c, op, BitOp::$kind, false)
        }
    )*};
}
bit_ops! { bt bt_imm Test bts bts_imm Set btr btr_imm Reset btc btc_imm Complement }

/// BSF: index of the lowest set bit; the destination stays when there is none.
pub(crate) fn bsf(c: &mut Cpu, op: &Op) -> Res {
    scan(c, op, |x, _| u64::from(x.trailing_zeros()))
}

/// BSR: index of the highest set bit.
pub(crate) fn bsr(c: &mut Cpu, op: &Op) -> Res {
    scan(c, op, |x, _| u64::from(63 - x.leading_zeros()))
}

fn scan(c: &mut Cpu, op: &Op, index: fn(u64, u8) -> u64) -> Res {
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    if x != 0 {
        c.set_reg_at(op.dst, n, index(x, n));
    }
    // ZF is the result; the others are undefined: CF, OF, SF and AF clear, PF set only with ZF, as after TEST.
    c.cc_res = u64::from(x != 0);
    c.cc_aux = 0;
    Ok(())
}

/// POPCNT.
pub(crate) fn popcnt(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    c.set_reg_at(op.dst, n, u64::from(x.count_ones()));
    c.set_arith_flags(flag::ZF * u64::from(x == 0));
    Ok(())
}

/// CMPXCHG. Memory is written in both cases (SDM volume 2: the destination gets a write cycle).
pub(crate) fn cmpxchg(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let at = if op.is_mem() {
        c.operand_address(op, u64::from(n), true)?
    } else {
        0
    };
    let acc = c.reg_at(0, n);
    if op.is_mem() {
        c.prepare_modify(op, at, n)?;
        let x = c.load(op, at, n)?;
        let new = if x == acc { c.reg_at(op.src, n) } else { x };
        c.store(op, at, n, new)?;
        c.set_flags_of_difference(acc, x, n);
        if x != acc {
            c.set_reg_at(0, n, x);
        }
    } else {
        let x = c.reg_at(op.dst, n);
        c.set_flags_of_difference(acc, x, n);
        if x == acc {
            let new = c.reg_at(op.src, n);
            c.set_reg_at(op.dst, n, new);
        } else {
            c.set_reg_at(0, n, x);
        }
    }
    Ok(())
}

/// CMPXCHG8B.
pub(crate) fn cmpxchg8b(c: &mut Cpu, op: &Op) -> Res {
    compare_exchange_pair(c, op, 4)
}

/// CMPXCHG16B; #GP off a 16-byte boundary.
pub(crate) fn cmpxchg16b(c: &mut Cpu, op: &Op) -> Res {
    compare_exchange_pair(c, op, 8)
}

fn compare_exchange_pair(c: &mut Cpu, op: &Op, half: u8) -> Res {
    let total = 2 * half;
    let at = c.operand_address(op, u64::from(total), true)?;
    if half == 8 && at & 15 != 0 {
        return Err(c.gp(0));
    }
    c.prepare_modify(op, at, total)?;
    let low = c.load(op, at, half)?;
    let high = c.load(op, at.wrapping_add(u64::from(half)), half)?;
    let reg = |c: &Cpu, r: usize| c.reg_at((r * 8) as u8, half);
    let equal = low == reg(c, RAX) && high == reg(c, RDX);
    let (new_low, new_high) = if equal {
        (reg(c, RBX), reg(c, RCX))
    } else {
        (low, high)
    };
    c.store(op, at, half, new_low)?;
    c.store(op, at.wrapping_add(u64::from(half)), half, new_high)?;
    if !equal {
        c.set_reg_at(0, half, low);
        c.set_reg_at((RDX * 8) as u8, half, high);
    }
    c.set_zf(equal);
    Ok(())
}

/// XLAT.
pub(crate) fn xlat(c: &mut Cpu, op: &Op) -> Res {
    let offset = c.r[RBX].wrapping_add(c.r[RAX] & 0xFF) & size_mask(op.address_size());
    let at = c.segment_address(op.segment(), offset, 1, false)?;
    let v = c.load(op, at, 1)?;
    c.set_reg_at(0, 1, v);
    Ok(())
}

/// SAHF.
pub(crate) fn sahf(c: &mut Cpu, _op: &Op) -> Res {
    let ah = c.r[RAX] >> 8 & 0xFF;
    let keep = c.arith_flags() & flag::OF;
    c.set_arith_flags(ah & (flag::ARITH & !flag::OF) | keep);
    Ok(())
}

/// LAHF.
pub(crate) fn lahf(c: &mut Cpu, _op: &Op) -> Res {
    let f = c.flags() & 0xD5 | flag::FIXED;
    c.set_reg_at(1, 1, f);
    Ok(())
}

/// CMC.
pub(crate) fn cmc(c: &mut Cpu, _op: &Op) -> Res {
    let cf = c.cf();
    c.set_cf(!cf);
    Ok(())
}

/// CLC.
pub(crate) fn clc(c: &mut Cpu, _op: &Op) -> Res {
    c.set_cf(false);
    Ok(())
}

/// STC.
pub(crate) fn stc(c: &mut Cpu, _op: &Op) -> Res {
    c.set_cf(true);
    Ok(())
}

/// CLD.
pub(crate) fn cld(c: &mut Cpu, _op: &Op) -> Res {
    c.eflags &= !flag::DF;
    Ok(())
}

/// STD.
pub(crate) fn std(c: &mut Cpu, _op: &Op) -> Res {
    c.eflags |= flag::DF;
    Ok(())
}

/// BOUND: #BR when the index is outside.
pub(crate) fn bound(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let low = sext(c.load_part(op, 0, n)?, n) as i64;
    let high = sext(c.load_part(op, u64::from(n), n)?, n) as i64;
    let index = sext(c.reg_at(op.dst, n), n) as i64;
    if index < low || index > high {
        return Err(c.raise(vector::BR));
    }
    Ok(())
}
