//! SSE, SSE2 and SSE3 instructions that move values without computing. Source: SDM volume 2, instruction pages.

use super::mmx::store_masked;
use super::simd::{
    address, aligned_address, begin_mmx, begin_sse, enter_mmx_state, load_mem, mm, set_mm,
    source64, source128, store_mem, with_low32, with_low64, xmm, xmm_mut,
};
use crate::cpu::{Cpu, Res, size_mask};
use crate::simd::xmm as lanes;
use crate::trace::Op;

/// A whole register to another.
pub(crate) fn mov_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = xmm(c, op.src);
    Ok(())
}

/// MOVAPS, MOVAPD, MOVDQA from memory.
pub(crate) fn load_xmm_aligned(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let at = aligned_address(c, op, false)?;
    *xmm_mut(c, op.dst) = c.load128(op, at)?;
    Ok(())
}

/// MOVUPS, MOVUPD, MOVDQU, LDDQU from memory.
pub(crate) fn load_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let at = address(c, op, 16, false)?;
    *xmm_mut(c, op.dst) = c.load128(op, at)?;
    Ok(())
}

/// MOVAPS, MOVAPD, MOVDQA, MOVNTPS, MOVNTPD, MOVNTDQ to memory.
pub(crate) fn store_xmm_aligned(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let at = aligned_address(c, op, true)?;
    let v = xmm(c, op.src);
    c.store128(op, at, v)
}

/// MOVUPS, MOVUPD, MOVDQU to memory.
pub(crate) fn store_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let at = address(c, op, 16, true)?;
    let v = xmm(c, op.src);
    c.store128(op, at, v)
}

/// MOVSS of two registers: the upper part stays.
pub(crate) fn movss_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), xmm(c, op.src) as u32);
    Ok(())
}

/// MOVSS from memory, which clears the upper part.
pub(crate) fn load_xmm32(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = load_mem::<4>(c, op)?;
    *xmm_mut(c, op.dst) = u128::from(v);
    Ok(())
}

/// MOVSS to memory.
pub(crate) fn store_xmm32(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = xmm(c, op.src) as u64 & 0xFFFF_FFFF;
    store_mem::<4>(c, op, v)
}

/// MOVSD of two registers, and MOVLPD from memory's register form: the upper half stays.
pub(crate) fn movsd_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), xmm(c, op.src) as u64);
    Ok(())
}

/// MOVSD and MOVQ from memory, which clear the upper half.
pub(crate) fn load_xmm64(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = load_mem::<8>(c, op)?;
    *xmm_mut(c, op.dst) = u128::from(v);
    Ok(())
}

/// MOVSD, MOVQ, MOVLPS, MOVLPD to memory.
pub(crate) fn store_xmm64(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = xmm(c, op.src) as u64;
    store_mem::<8>(c, op, v)
}

/// MOVQ of two registers, which clears the upper half.
pub(crate) fn movq_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = u128::from(xmm(c, op.src) as u64);
    Ok(())
}

/// MOVLPS, MOVLPD from memory: the upper half stays.
pub(crate) fn load_low(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = load_mem::<8>(c, op)?;
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), v);
    Ok(())
}

/// MOVHPS, MOVHPD from memory: the lower half stays.
pub(crate) fn load_high(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = load_mem::<8>(c, op)?;
    *xmm_mut(c, op.dst) = u128::from(xmm(c, op.dst) as u64) | u128::from(v) << 64;
    Ok(())
}

/// MOVHPS, MOVHPD to memory.
pub(crate) fn store_high(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = (xmm(c, op.src) >> 64) as u64;
    store_mem::<8>(c, op, v)
}

/// MOVHLPS: the high half of the source to the low half.
pub(crate) fn movhlps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), (xmm(c, op.src) >> 64) as u64);
    Ok(())
}

/// MOVLHPS: the low half of the source to the high half.
pub(crate) fn movlhps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = u128::from(xmm(c, op.dst) as u64) | xmm(c, op.src) << 64;
    Ok(())
}

/// MOVD (MOVQ with REX.W) from a general register or memory.
pub(crate) fn movd_xmm(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = c.read_rm(op, op.src, op.size())?;
    *xmm_mut(c, op.dst) = u128::from(v);
    Ok(())
}

/// MOVD (MOVQ with REX.W) to a general register or memory.
pub(crate) fn movd_xmm_store(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = xmm(c, op.src) as u64 & size_mask(op.size());
    c.write_rm(op, op.dst, op.size(), v)
}

/// MOVMSKPS.
pub(crate) fn movmskps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = lanes::movmskps(xmm(c, op.src));
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// MOVMSKPD.
pub(crate) fn movmskpd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = lanes::movmskpd(xmm(c, op.src));
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// PMOVMSKB.
pub(crate) fn pmovmskb(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = lanes::pmovmskb(xmm(c, op.src));
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// PEXTRW.
pub(crate) fn pextrw(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = lanes::pextrw(xmm(c, op.src), op.imm as u8);
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// PINSRW.
pub(crate) fn pinsrw(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let word = c.read_rm(op, op.src, 2)? as u16;
    *xmm_mut(c, op.dst) = lanes::pinsrw(xmm(c, op.dst), word, op.imm as u8);
    Ok(())
}

/// MASKMOVDQU.
pub(crate) fn maskmovdqu(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let mask = lanes::pmovmskb(xmm(c, op.src));
    let v = xmm(c, op.dst);
    store_masked(c, op, v, mask, 16)
}

/// MOVQ2DQ: an MMX register to the low half, the upper half is cleared.
pub(crate) fn movq2dq(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    begin_mmx(c)?;
    enter_mmx_state(c);
    *xmm_mut(c, op.dst) = u128::from(mm(c, op.src));
    Ok(())
}

/// MOVDQ2Q: the low half to an MMX register.
pub(crate) fn movdq2q(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    begin_mmx(c)?;
    enter_mmx_state(c);
    let v = xmm(c, op.src) as u64;
    set_mm(c, op.dst, v);
    Ok(())
}

/// MOVDDUP: reads 8 bytes of memory, at any address.
pub(crate) fn movddup(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = source64(c, op, op.src)?;
    *xmm_mut(c, op.dst) = lanes::movddup(v);
    Ok(())
}

/// MOVSLDUP.
pub(crate) fn movsldup(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = lanes::movsldup(v);
    Ok(())
}

/// MOVSHDUP.
pub(crate) fn movshdup(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = lanes::movshdup(v);
    Ok(())
}
