//! Bit manipulation (LZCNT, TZCNT, BMI1, BMI2), ADX, MOVBE, RDRAND and RDSEED. Source: SDM volume 2, instruction pages.
//!
//! The VEX-encoded ones name up to three registers: `dst`, `src`, and `extra` for the third operand in Intel's order.

use crate::cpu::{Cpu, RDX, Res, flag, sext, size_mask};
use crate::trace::Op;

fn bits_of(n: u8) -> u64 {
    8 * u64::from(n)
}

/// VEX prefixes exist in protected mode only (SDM volume 2, section 2.3.1).
fn need_vex(c: &mut Cpu) -> Res {
    if c.protected() && !c.v86() {
        Ok(())
    } else {
        Err(c.ud())
    }
}

/// CF and ZF as given, SF by the result; OF, AF and PF clear.
fn set_flags(c: &mut Cpu, r: u64, n: u8, cf: bool) {
    let negative = sext(r, n) >> 63 != 0;
    c.set_arith_flags(
        (flag::CF * u64::from(cf))
            | (flag::ZF * u64::from(r == 0))
            | (flag::SF * u64::from(negative)),
    );
}

/// TZCNT: the operand's width when no bit is set, which CF tells.
pub(crate) fn tzcnt(c: &mut Cpu, op: &Op) -> Res {
    count(c, op, |x, n| u64::from(x.trailing_zeros()).min(bits_of(n)))
}

/// LZCNT.
pub(crate) fn lzcnt(c: &mut Cpu, op: &Op) -> Res {
    count(c, op, |x, n| {
        u64::from(x.leading_zeros()) - (64 - bits_of(n))
    })
}

fn count(c: &mut Cpu, op: &Op, zeros: fn(u64, u8) -> u64) -> Res {
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let r = zeros(x, n);
    c.set_reg_at(op.dst, n, r);
    c.set_arith_flags((flag::CF * u64::from(x == 0)) | (flag::ZF * u64::from(r == 0)));
    Ok(())
}

/// ANDN: the complement of the second operand and the third.
pub(crate) fn andn(c: &mut Cpu, op: &Op) -> Res {
    need_vex(c)?;
    let n = op.size();
    let y = c.read_rm(op, op.extra, n)?;
    let r = !c.reg_at(op.src, n) & y;
    c.set_reg_at(op.dst, n, r);
    set_flags(c, r, n, false);
    Ok(())
}

/// BLSR: clears the lowest set bit.
pub(crate) fn blsr(c: &mut Cpu, op: &Op) -> Res {
    lowest_bit(c, op, |x| x & x.wrapping_sub(1), |x| x == 0)
}

/// BLSMSK: all bits up to the lowest set one.
pub(crate) fn blsmsk(c: &mut Cpu, op: &Op) -> Res {
    lowest_bit(c, op, |x| x ^ x.wrapping_sub(1), |x| x == 0)
}

/// BLSI: the lowest set bit alone.
pub(crate) fn blsi(c: &mut Cpu, op: &Op) -> Res {
    lowest_bit(c, op, |x| x & x.wrapping_neg(), |x| x != 0)
}

fn lowest_bit(c: &mut Cpu, op: &Op, f: fn(u64) -> u64, carry: fn(u64) -> bool) -> Res {
    need_vex(c)?;
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let r = f(x) & size_mask(n);
    c.set_reg_at(op.dst, n, r);
    set_flags(c, r, n, carry(x));
    Ok(())
}

/// BEXTR: as many bits as byte 1 of the third operand says, from the bit that byte 0 says.
pub(crate) fn bextr(c: &mut Cpu, op: &Op) -> Res {
    need_vex(c)?;
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let control = c.reg_at(op.extra, n);
    let (start, len) = (control & 0xFF, control >> 8 & 0xFF);
    let shifted = if start < bits_of(n) { x >> start } else { 0 };
    let r = if len < bits_of(n) {
        shifted & ((1 << len) - 1)
    } else {
        shifted
    };
    c.set_reg_at(op.dst, n, r);
    c.set_arith_flags(flag::ZF * u64::from(r == 0));
    Ok(())
}

/// BZHI: clears the bits from the one on that the third operand's low byte says.
pub(crate) fn bzhi(c: &mut Cpu, op: &Op) -> Res {
    need_vex(c)?;
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let index = c.reg_at(op.extra, n) & 0xFF;
    let beyond = index >= bits_of(n);
    let r = if beyond { x } else { x & ((1 << index) - 1) };
    c.set_reg_at(op.dst, n, r);
    set_flags(c, r, n, beyond);
    Ok(())
}

/// Bits of `x`, in order, to the places that are set in `mask`.
fn deposit(mut x: u64, mut mask: u64) -> u64 {
    let mut r = 0;
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        if x & 1 != 0 {
            r |= lowest;
        }
        x >>= 1;
        mask ^= lowest;
    }
    r
}

/// Bits of `x` at the places that are set in `mask`, in order.
fn extract(x: u64, mut mask: u64) -> u64 {
    let (mut r, mut place) = (0, 0);
    while mask != 0 {
        let lowest = mask & mask.wrapping_neg();
        r |= u64::from(x & lowest != 0) << place;
        place += 1;
        mask ^= lowest;
    }
    r
}

/// PDEP.
pub(crate) fn pdep(c: &mut Cpu, op: &Op) -> Res {
    by_mask(c, op, deposit)
}

/// PEXT.
pub(crate) fn pext(c: &mut Cpu, op: &Op) -> Res {
    by_mask(c, op, extract)
}

fn by_mask(c: &mut Cpu, op: &Op, f: fn(u64, u64) -> u64) -> Res {
    need_vex(c)?;
    let n = op.size();
    let mask = c.read_rm(op, op.extra, n)?;
    let r = f(c.reg_at(op.src, n), mask);
    c.set_reg_at(op.dst, n, r);
    Ok(())
}

/// MULX: the product of rDX and the third operand, low half to the second, high half to the first (which wins when both
/// are the same register). No flags.
pub(crate) fn mulx(c: &mut Cpu, op: &Op) -> Res {
    need_vex(c)?;
    let n = op.size();
    let y = c.read_rm(op, op.extra, n)?;
    let p = u128::from(c.reg_at((RDX * 8) as u8, n)) * u128::from(y);
    c.set_reg_at(op.src, n, p as u64 & size_mask(n));
    c.set_reg_at(op.dst, n, (p >> bits_of(n)) as u64);
    Ok(())
}

/// SHLX.
pub(crate) fn shlx(c: &mut Cpu, op: &Op) -> Res {
    shift(c, op, |x, by, n| x << by & size_mask(n))
}

/// SHRX.
pub(crate) fn shrx(c: &mut Cpu, op: &Op) -> Res {
    shift(c, op, |x, by, _| x >> by)
}

/// SARX.
pub(crate) fn sarx(c: &mut Cpu, op: &Op) -> Res {
    shift(c, op, |x, by, n| {
        (sext(x, n) as i64 >> by) as u64 & size_mask(n)
    })
}

fn shift(c: &mut Cpu, op: &Op, f: fn(u64, u64, u8) -> u64) -> Res {
    need_vex(c)?;
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let by = c.reg_at(op.extra, n) & (bits_of(n) - 1);
    c.set_reg_at(op.dst, n, f(x, by, n));
    Ok(())
}

/// RORX.
pub(crate) fn rorx(c: &mut Cpu, op: &Op) -> Res {
    need_vex(c)?;
    let n = op.size();
    let x = c.read_rm(op, op.src, n)?;
    let by = op.imm as u32 & (bits_of(n) as u32 - 1);
    let r = if n == 8 {
        x.rotate_right(by)
    } else {
        u64::from((x as u32).rotate_right(by))
    };
    c.set_reg_at(op.dst, n, r);
    Ok(())
}

/// ADCX: adds with CF, which alone it sets.
pub(crate) fn adcx(c: &mut Cpu, op: &Op) -> Res {
    let (cf, of) = (c.cf(), c.of());
    let carry = add_with(c, op, cf)?;
    c.set_cf_of(carry, of);
    Ok(())
}

/// ADOX: adds with OF as the carry, which alone it sets.
pub(crate) fn adox(c: &mut Cpu, op: &Op) -> Res {
    let (cf, of) = (c.cf(), c.of());
    let carry = add_with(c, op, of)?;
    c.set_cf_of(cf, carry);
    Ok(())
}

/// The sum goes to the first operand; answers the carry.
fn add_with(c: &mut Cpu, op: &Op, carry: bool) -> Res<bool> {
    let n = op.size();
    let y = c.read_rm(op, op.src, n)?;
    let sum = u128::from(c.reg_at(op.dst, n)) + u128::from(y) + u128::from(carry);
    c.set_reg_at(op.dst, n, sum as u64 & size_mask(n));
    Ok(sum >> bits_of(n) != 0)
}

fn swapped(v: u64, n: u8) -> u64 {
    v.swap_bytes() >> (64 - bits_of(n))
}

/// MOVBE from memory.
pub(crate) fn movbe_load(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let v = c.read_rm(op, op.src, n)?;
    c.set_reg_at(op.dst, n, swapped(v, n));
    Ok(())
}

/// MOVBE to memory.
pub(crate) fn movbe_store(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let v = swapped(c.reg_at(op.src, n), n);
    c.write_rm(op, op.dst, n, v)
}

/// RDRAND and RDSEED: there is always a number, which CF tells; the other flags are cleared.
pub(crate) fn rdrand(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let retired = c.retired_before(op);
    let v = c.bus().random(retired);
    c.set_reg_at(op.dst, n, v & size_mask(n));
    c.set_arith_flags(flag::CF);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{deposit, extract, swapped};

    #[test]
    fn deposit_and_extract_are_each_others_inverse() {
        let mask = 0xF0F0_0000_1234_8001;
        assert_eq!(deposit(u64::MAX, mask), mask);
        assert_eq!(extract(deposit(0x155, mask), mask), 0x155);
        assert_eq!(extract(0x8000_0000_0000_0000, 1 << 63), 1);
    }

    #[test]
    fn swapped_bytes_stay_in_the_operand() {
        assert_eq!(swapped(0x1234, 2), 0x3412);
        assert_eq!(swapped(0x1234_5678, 4), 0x7856_3412);
    }
}
