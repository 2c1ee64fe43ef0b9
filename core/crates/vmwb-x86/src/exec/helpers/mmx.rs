//! MMX instructions, with what SSE and SSE2 added to them. Source: SDM volume 1, chapter 9, volume 3, chapter 12.
//!
//! The eight registers are the significands of the x87 registers R0 to R7.

use super::simd::{begin_mmx, enter_mmx_state, load_mem, mm, set_mm, source_mm, store_mem};
use crate::cpu::{Cpu, RDI, Res, seg, size_mask};
use crate::simd::mmx;
use crate::trace::Op;

macro_rules! binary {
    ($($name:ident $function:ident;)+) => {
        $(
            #[doc = concat!("MMX: ", stringify!($function), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_mmx(c)?;
                let b = source_mm(c, op, op.src)?;
                enter_mmx_state(c);
                let v = mmx::$function(mm(c, op.dst), b);
                set_mm(c, op.dst, v);
                Ok(())
            }
        )+
    };
}

binary! {
    paddb_mm paddb; paddw_mm paddw; paddd_mm paddd; paddq_mm paddq;
    paddsb_mm paddsb; paddsw_mm paddsw; paddusb_mm paddusb; paddusw_mm paddusw;
    psubb_mm psubb; psubw_mm psubw; psubd_mm psubd; psubq_mm psubq;
    psubsb_mm psubsb; psubsw_mm psubsw; psubusb_mm psubusb; psubusw_mm psubusw;
    pmullw_mm pmullw; pmulhw_mm pmulhw; pmulhuw_mm pmulhuw; pmuludq_mm pmuludq; pmaddwd_mm pmaddwd;
    pavgb_mm pavgb; pavgw_mm pavgw; pminub_mm pminub; pmaxub_mm pmaxub; pminsw_mm pminsw; pmaxsw_mm pmaxsw;
    pcmpeqb_mm pcmpeqb; pcmpeqw_mm pcmpeqw; pcmpeqd_mm pcmpeqd;
    pcmpgtb_mm pcmpgtb; pcmpgtw_mm pcmpgtw; pcmpgtd_mm pcmpgtd;
    pand_mm pand; pandn_mm pandn; por_mm por; pxor_mm pxor; psadbw_mm psadbw;
    packsswb_mm packsswb; packssdw_mm packssdw; packuswb_mm packuswb;
    punpckhbw_mm punpckhbw; punpckhwd_mm punpckhwd; punpckhdq_mm punpckhdq;
    psllw_mm psllw; pslld_mm pslld; psllq_mm psllq;
    psrlw_mm psrlw; psrld_mm psrld; psrlq_mm psrlq; psraw_mm psraw; psrad_mm psrad;
}

/// Unpacking low halves reads only 4 bytes of memory.
macro_rules! unpack_low {
    ($($name:ident $function:ident;)+) => {
        $(
            #[doc = concat!("MMX: ", stringify!($function), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_mmx(c)?;
                let b = if op.is_mem() { load_mem::<4>(c, op)? } else { mm(c, op.src) };
                enter_mmx_state(c);
                let v = mmx::$function(mm(c, op.dst), b);
                set_mm(c, op.dst, v);
                Ok(())
            }
        )+
    };
}

unpack_low! { punpcklbw_mm punpcklbw; punpcklwd_mm punpcklwd; punpckldq_mm punpckldq; }

macro_rules! immediate_shifts {
    ($($name:ident $function:ident;)+) => {
        $(
            #[doc = concat!("MMX: ", stringify!($function), " by an immediate.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_mmx(c)?;
                enter_mmx_state(c);
                let v = mmx::$function(mm(c, op.dst), op.imm as u64 & 0xFF);
                set_mm(c, op.dst, v);
                Ok(())
            }
        )+
    };
}

immediate_shifts! {
    psllw_mm_imm psllw; pslld_mm_imm pslld; psllq_mm_imm psllq;
    psrlw_mm_imm psrlw; psrld_mm_imm psrld; psrlq_mm_imm psrlq; psraw_mm_imm psraw; psrad_mm_imm psrad;
}

/// MOVQ to an MMX register.
pub(crate) fn movq_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let v = source_mm(c, op, op.src)?;
    enter_mmx_state(c);
    set_mm(c, op.dst, v);
    Ok(())
}

/// MOVQ from an MMX register, and MOVNTQ.
pub(crate) fn movq_mm_store(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let v = mm(c, op.src);
    if op.is_mem() {
        store_mem::<8>(c, op, v)?;
        enter_mmx_state(c);
    } else {
        enter_mmx_state(c);
        set_mm(c, op.dst, v);
    }
    Ok(())
}

/// MOVD (MOVQ with REX.W) from a general register or memory.
pub(crate) fn movd_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let v = c.read_rm(op, op.src, op.size())?;
    enter_mmx_state(c);
    set_mm(c, op.dst, v);
    Ok(())
}

/// MOVD (MOVQ with REX.W) to a general register or memory.
pub(crate) fn movd_mm_store(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let v = mm(c, op.src) & size_mask(op.size());
    c.write_rm(op, op.dst, op.size(), v)?;
    enter_mmx_state(c);
    Ok(())
}

/// PSHUFW.
pub(crate) fn pshufw(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let v = source_mm(c, op, op.src)?;
    enter_mmx_state(c);
    set_mm(c, op.dst, mmx::pshufw(v, op.imm as u8));
    Ok(())
}

/// PINSRW into an MMX register.
pub(crate) fn pinsrw_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let word = c.read_rm(op, op.src, 2)? as u16;
    enter_mmx_state(c);
    let v = mmx::pinsrw(mm(c, op.dst), word, op.imm as u8);
    set_mm(c, op.dst, v);
    Ok(())
}

/// PEXTRW from an MMX register.
pub(crate) fn pextrw_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    enter_mmx_state(c);
    let v = mmx::pextrw(mm(c, op.src), op.imm as u8);
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// PMOVMSKB of an MMX register.
pub(crate) fn pmovmskb_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    enter_mmx_state(c);
    let v = mmx::pmovmskb(mm(c, op.src));
    c.set_reg_at(op.dst, 4, u64::from(v));
    Ok(())
}

/// MASKMOVQ.
pub(crate) fn maskmovq(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let mask = mmx::pmovmskb(mm(c, op.src));
    let v = mm(c, op.dst);
    store_masked(c, op, u128::from(v), mask, 8)?;
    enter_mmx_state(c);
    Ok(())
}

/// Stores those of `n` bytes at DS:rDI whose bit in `mask` is set, all or none of them.
pub(super) fn store_masked(c: &mut Cpu, op: &Op, v: u128, mask: u32, n: u64) -> Res {
    let offset = c.r[RDI] & size_mask(op.address_size());
    let at = c.segment_address(op.segment(), offset, n, true)?;
    c.check_alignment(at, 8)?;
    let (user, stack) = (c.cpl == 3, op.segment() == seg::SS);
    let chosen = (0..n).filter(|i| mask >> i & 1 != 0);
    for i in chosen.clone() {
        c.probe_write(at.wrapping_add(i), 1, user, stack)?;
    }
    for i in chosen {
        c.store(op, at.wrapping_add(i), 1, (v >> (8 * i)) as u64 & 0xFF)?;
    }
    Ok(())
}
