//! SSSE3, SSE4.1, SSE4.2, AES, PCLMULQDQ and SHA: operands, destinations and faults. What they compute is in
//! [`crate::simd`]. Source: SDM volume 2, instruction pages.

use super::simd::{
    begin_mmx, begin_sse, enter_mmx_state, load_mem, mm, set_mm, source_mm, source32, source64,
    source128, unmasked, with_low32, with_low64, xmm, xmm_mut,
};
use crate::cpu::{Cpu, RAX, RCX, RDX, Res, flag};
use crate::simd::{cipher, float, ssse3, text, xmm as lanes};
use crate::trace::Op;

macro_rules! on_mmx {
    ($($name:ident $function:ident)+) => {
        $(
            #[doc = concat!("SSSE3: ", stringify!($function), " of MMX registers.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_mmx(c)?;
                let b = source_mm(c, op, op.src)?;
                enter_mmx_state(c);
                let v = ssse3::mmx::$function(mm(c, op.dst), b);
                set_mm(c, op.dst, v);
                Ok(())
            }
        )+
    };
}

on_mmx! {
    pshufb_mm pshufb phaddw_mm phaddw phaddd_mm phaddd phaddsw_mm phaddsw pmaddubsw_mm pmaddubsw
    phsubw_mm phsubw phsubd_mm phsubd phsubsw_mm phsubsw psignb_mm psignb psignw_mm psignw
    psignd_mm psignd pmulhrsw_mm pmulhrsw pabsb_mm pabsb pabsw_mm pabsw pabsd_mm pabsd
}

macro_rules! binary {
    ($($module:path: $($name:ident)+;)+) => {
        $($(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                use $module as from;
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                let d = xmm_mut(c, op.dst);
                *d = from::$name(*d, b);
                Ok(())
            }
        )+)+
    };
}

binary! {
    ssse3::xmm: pshufb phaddw phaddd phaddsw pmaddubsw phsubw phsubd phsubsw psignb psignw psignd pmulhrsw pabsb
        pabsw pabsd;
    ssse3: pminsb pminsd pminuw pminud pmaxsb pmaxsd pmaxuw pmaxud pmulld pmuldq pcmpeqq pcmpgtq packusdw
        phminposuw;
    cipher: aesenc aesenclast aesdec aesdeclast aesimc sha1nexte sha1msg1 sha1msg2 sha256msg1 sha256msg2;
}

macro_rules! with_control {
    ($($module:path: $($name:ident)+;)+) => {
        $($(
            #[doc = concat!(stringify!($name), ", with a control byte.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                use $module as from;
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                let d = xmm_mut(c, op.dst);
                *d = from::$name(*d, b, op.imm as u8);
                Ok(())
            }
        )+)+
    };
}

with_control! {
    ssse3::xmm: palignr;
    ssse3: blendps blendpd pblendw mpsadbw;
    cipher: pclmulqdq sha1rnds4;
}

/// PALIGNR of MMX registers.
pub(crate) fn palignr_mm(c: &mut Cpu, op: &Op) -> Res {
    begin_mmx(c)?;
    let b = source_mm(c, op, op.src)?;
    enter_mmx_state(c);
    let v = ssse3::mmx::palignr(mm(c, op.dst), b, op.imm as u8);
    set_mm(c, op.dst, v);
    Ok(())
}

/// AESKEYGENASSIST.
pub(crate) fn aeskeygenassist(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = cipher::aeskeygenassist(b, op.imm as u8);
    Ok(())
}

/// SHA256RNDS2, whose words are in XMM0.
pub(crate) fn sha256rnds2(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = cipher::sha256rnds2(xmm(c, op.dst), b, xmm(c, 0));
    Ok(())
}

macro_rules! variable_blends {
    ($($name:ident)+) => {
        $(
            #[doc = concat!(stringify!($name), ", whose mask is in XMM0.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                *xmm_mut(c, op.dst) = ssse3::$name(xmm(c, op.dst), b, xmm(c, 0));
                Ok(())
            }
        )+
    };
}

variable_blends! { pblendvb blendvps blendvpd }

/// Widening reads only as much memory as it needs, at any address.
macro_rules! widen {
    ($bytes:literal: $($name:ident)+) => {
        $(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let v = if op.is_mem() { load_mem::<$bytes>(c, op)? } else { xmm(c, op.src) as u64 };
                *xmm_mut(c, op.dst) = ssse3::$name(v);
                Ok(())
            }
        )+
    };
}

widen! { 8: pmovsxbw pmovzxbw pmovsxwd pmovzxwd pmovsxdq pmovzxdq }
widen! { 4: pmovsxbd pmovzxbd pmovsxwq pmovzxwq }
widen! { 2: pmovsxbq pmovzxbq }

/// PTEST: ZF when no bit of both is set, CF when the second has none beyond the first; the others are cleared.
pub(crate) fn ptest(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let a = xmm(c, op.dst);
    let f = (flag::ZF * u64::from(a & b == 0)) | (flag::CF * u64::from(!a & b == 0));
    c.set_arith_flags(f);
    Ok(())
}

// ---- single lanes ----

/// PEXTRB to a register, zero-extended, or to a byte of memory.
pub(crate) fn pextrb(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = xmm(c, op.src) >> (8 * (op.imm as u32 & 15)) & 0xFF;
    store_lane(c, op, 1, v as u64)
}

/// PEXTRW in its SSE4.1 encoding.
pub(crate) fn pextrw_store(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = lanes::pextrw(xmm(c, op.src), op.imm as u8);
    store_lane(c, op, 2, v.into())
}

/// PEXTRD, and PEXTRQ with REX.W.
pub(crate) fn pextrd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let n = op.size();
    let which = op.imm as u32 & if n == 8 { 1 } else { 3 };
    let v = (xmm(c, op.src) >> (8 * u32::from(n) * which)) as u64;
    c.write_rm(op, op.dst, n, v & crate::cpu::size_mask(n))
}

/// EXTRACTPS.
pub(crate) fn extractps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = (xmm(c, op.src) >> (32 * (op.imm as u32 & 3))) as u32;
    store_lane(c, op, 4, v.into())
}

/// A lane of `n` bytes to memory, or zero-extended to a register.
fn store_lane(c: &mut Cpu, op: &Op, n: u8, v: u64) -> Res {
    if op.is_mem() {
        c.write_rm(op, op.dst, n, v)
    } else {
        c.set_reg_at(op.dst, 4, v);
        Ok(())
    }
}

/// PINSRB from a register or a byte of memory.
pub(crate) fn pinsrb(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let v = if op.is_mem() {
        let at = c.operand_address(op, 1, false)?;
        c.load(op, at, 1)?
    } else {
        c.reg_at(op.src, 1)
    };
    let shift = 8 * (op.imm as u32 & 15);
    let d = xmm_mut(c, op.dst);
    *d = *d & !(0xFF << shift) | u128::from(v) << shift;
    Ok(())
}

/// PINSRD, and PINSRQ with REX.W.
pub(crate) fn pinsrd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let n = op.size();
    let v = c.read_rm(op, op.src, n)?;
    let which = op.imm as u32 & if n == 8 { 1 } else { 3 };
    let shift = 8 * u32::from(n) * which;
    let mask = u128::from(crate::cpu::size_mask(n)) << shift;
    let d = xmm_mut(c, op.dst);
    *d = *d & !mask | u128::from(v) << shift;
    Ok(())
}

/// INSERTPS: the control byte chooses the doubleword of a register; memory has only one.
pub(crate) fn insertps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let control = op.imm as u8;
    let v = if op.is_mem() {
        load_mem::<4>(c, op)? as u32
    } else {
        (xmm(c, op.src) >> (32 * u32::from(control >> 6))) as u32
    };
    let d = xmm_mut(c, op.dst);
    *d = ssse3::insertps(*d, v, control);
    Ok(())
}

// ---- floating point ----

/// ROUNDPS.
pub(crate) fn roundps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::roundps(b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

/// ROUNDPD.
pub(crate) fn roundpd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::roundpd(b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

/// ROUNDSS.
pub(crate) fn roundss(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source32(c, op, op.src)?;
    let out = float::roundss(b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

/// ROUNDSD.
pub(crate) fn roundsd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source64(c, op, op.src)?;
    let out = float::roundsd(b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

/// DPPS.
pub(crate) fn dpps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::dpps(xmm(c, op.dst), b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

/// DPPD.
pub(crate) fn dppd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::dppd(xmm(c, op.dst), b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

// ---- strings and CRC ----

/// Compares the two operands as the control byte says; memory may lie at any address.
fn compare_text(c: &mut Cpu, op: &Op, explicit: bool) -> Res<text::Comparison> {
    begin_sse(c)?;
    let control = op.imm as u8;
    let b = if op.is_mem() {
        let at = c.operand_address(op, 16, false)?;
        c.load128(op, at)?
    } else {
        xmm(c, op.src)
    };
    let a = xmm(c, op.dst);
    let (len_a, len_b) = if explicit {
        // REX.W alone widens the lengths: the operand-size prefix is part of the opcode.
        let register = |c: &Cpu, n: usize| {
            let v = c.r[n];
            let wide = if op.size() == 8 {
                v as i64
            } else {
                i64::from(v as i32)
            };
            text::explicit_length(wide, control)
        };
        (register(c, RAX), register(c, RDX))
    } else {
        (
            text::implicit_length(a, control),
            text::implicit_length(b, control),
        )
    };
    Ok(text::compare(a, len_a, b, len_b, control))
}

fn put_index(c: &mut Cpu, op: &Op, result: text::Comparison) {
    c.r[RCX] = u64::from(result.index(op.imm as u8));
    c.set_arith_flags(result.eflags());
}

fn put_mask(c: &mut Cpu, op: &Op, result: text::Comparison) {
    *xmm_mut(c, 0) = result.mask(op.imm as u8);
    c.set_arith_flags(result.eflags());
}

/// PCMPESTRI: lengths in EAX and EDX, index to ECX.
pub(crate) fn pcmpestri(c: &mut Cpu, op: &Op) -> Res {
    let result = compare_text(c, op, true)?;
    put_index(c, op, result);
    Ok(())
}

/// PCMPESTRM: lengths in EAX and EDX, mask to XMM0.
pub(crate) fn pcmpestrm(c: &mut Cpu, op: &Op) -> Res {
    let result = compare_text(c, op, true)?;
    put_mask(c, op, result);
    Ok(())
}

/// PCMPISTRI: operands end at zeros, index to ECX.
pub(crate) fn pcmpistri(c: &mut Cpu, op: &Op) -> Res {
    let result = compare_text(c, op, false)?;
    put_index(c, op, result);
    Ok(())
}

/// PCMPISTRM: operands end at zeros, mask to XMM0.
pub(crate) fn pcmpistrm(c: &mut Cpu, op: &Op) -> Res {
    let result = compare_text(c, op, false)?;
    put_mask(c, op, result);
    Ok(())
}

/// CRC32 of a byte.
pub(crate) fn crc32_byte(c: &mut Cpu, op: &Op) -> Res {
    accumulate_crc(c, op, 1)
}

/// CRC32 of 2, 4 or 8 bytes.
pub(crate) fn crc32(c: &mut Cpu, op: &Op) -> Res {
    accumulate_crc(c, op, op.size())
}

fn accumulate_crc(c: &mut Cpu, op: &Op, n: u8) -> Res {
    let v = c.read_rm(op, op.src, n)?;
    let crc = cipher::crc32(c.reg_at(op.dst, 4) as u32, v, n);
    // A 64-bit destination has zeros above all the same.
    c.set_reg_at(op.dst, 4, crc.into());
    Ok(())
}
