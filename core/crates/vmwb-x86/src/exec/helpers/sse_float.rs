//! SSE, SSE2 and SSE3 floating point: arithmetic, comparisons, conversions. The arithmetic and its exceptions are in
//! [`crate::simd`]; here are operands, destinations and faults. Source: SDM volume 2, instruction pages.

use super::simd::{
    begin_mmx, begin_sse, enter_mmx_state, set_mm, source_mm, source32, source64, source128,
    unmasked, with_low32, with_low64, xmm, xmm_mut,
};
use crate::cpu::{Cpu, Res};
use crate::simd::{approx, float};
use crate::trace::Op;

macro_rules! packed {
    (two: $($name:ident)+) => {
        $(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                let out = float::$name(xmm(c, op.dst), b, &mut c.fpu.mxcsr);
                *xmm_mut(c, op.dst) = unmasked(c, out)?;
                Ok(())
            }
        )+
    };
    (one: $($name:ident)+) => {
        $(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                let out = float::$name(b, &mut c.fpu.mxcsr);
                *xmm_mut(c, op.dst) = unmasked(c, out)?.into();
                Ok(())
            }
        )+
    };
}

packed! { two:
    addps addpd subps subpd mulps mulpd divps divpd minps minpd maxps maxpd
    addsubps addsubpd haddps haddpd hsubps hsubpd
}

// The conversions to two lanes clear the upper half.
packed! { one: sqrtps sqrtpd cvtdq2ps cvtps2dq cvttps2dq cvtpd2ps cvtpd2dq cvttpd2dq }

macro_rules! scalar {
    ($source:ident $low:ident $bits:ty: two: $($name:ident)+; one: $($single:ident)+; compare: $compare:ident;
     flags: $($flags:ident)+) => {
        $(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = $source(c, op, op.src)?;
                let a = xmm(c, op.dst);
                let out = float::$name(a as $bits, b, &mut c.fpu.mxcsr);
                *xmm_mut(c, op.dst) = $low(a, unmasked(c, out)?);
                Ok(())
            }
        )+
        $(
            #[doc = concat!(stringify!($single), ".")]
            pub(crate) fn $single(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = $source(c, op, op.src)?;
                let out = float::$single(b, &mut c.fpu.mxcsr);
                *xmm_mut(c, op.dst) = $low(xmm(c, op.dst), unmasked(c, out)?);
                Ok(())
            }
        )+
        #[doc = concat!(stringify!($compare), " with the predicate in the immediate.")]
        pub(crate) fn $compare(c: &mut Cpu, op: &Op) -> Res {
            begin_sse(c)?;
            let b = $source(c, op, op.src)?;
            let a = xmm(c, op.dst);
            let out = float::$compare(a as $bits, b, op.imm as u8, &mut c.fpu.mxcsr);
            *xmm_mut(c, op.dst) = $low(a, unmasked(c, out)?);
            Ok(())
        }
        $(
            #[doc = concat!(stringify!($flags), ": ZF, PF and CF say how the operands relate; OF, SF and AF are cleared.")]
            pub(crate) fn $flags(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = $source(c, op, op.src)?;
                let out = float::$flags(xmm(c, op.dst) as $bits, b, &mut c.fpu.mxcsr);
                let relation = unmasked(c, out)?;
                c.set_arith_flags(u64::from(relation.eflags()));
                Ok(())
            }
        )+
    };
}

scalar! { source32 with_low32 u32:
    two: addss subss mulss divss minss maxss;
    one: sqrtss;
    compare: cmpss;
    flags: comiss ucomiss
}

scalar! { source64 with_low64 u64:
    two: addsd subsd mulsd divsd minsd maxsd;
    one: sqrtsd;
    compare: cmpsd;
    flags: comisd ucomisd
}

/// CMPPS.
pub(crate) fn cmpps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::cmpps(xmm(c, op.dst), b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

/// CMPPD.
pub(crate) fn cmppd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    let out = float::cmppd(xmm(c, op.dst), b, op.imm as u8, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

// ---- approximations ----

/// RCPSS.
pub(crate) fn rcpss(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source32(c, op, op.src)?;
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), approx::rcpss(b));
    Ok(())
}

/// RSQRTSS.
pub(crate) fn rsqrtss(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source32(c, op, op.src)?;
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), approx::rsqrtss(b));
    Ok(())
}

/// RCPPS.
pub(crate) fn rcpps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = approx::rcpps(b);
    Ok(())
}

/// RSQRTPS.
pub(crate) fn rsqrtps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source128(c, op, op.src)?;
    *xmm_mut(c, op.dst) = approx::rsqrtps(b);
    Ok(())
}

// ---- conversions between floating-point formats ----

/// CVTSS2SD.
pub(crate) fn cvtss2sd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source32(c, op, op.src)?;
    let out = float::cvtss2sd(b, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

/// CVTSD2SS.
pub(crate) fn cvtsd2ss(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source64(c, op, op.src)?;
    let out = float::cvtsd2ss(b, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

/// CVTPS2PD: reads 8 bytes of memory, at any address.
pub(crate) fn cvtps2pd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source64(c, op, op.src)?;
    let out = float::cvtps2pd(b, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = unmasked(c, out)?;
    Ok(())
}

// ---- conversions from integers ----

/// CVTSI2SS, of the operand size.
pub(crate) fn cvtsi2ss(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let n = integer(c, op)?;
    let out = float::cvtsi2ss(n, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low32(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

/// CVTSI2SD, of the operand size.
pub(crate) fn cvtsi2sd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let n = integer(c, op)?;
    let out = float::cvtsi2sd(n, &mut c.fpu.mxcsr);
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), unmasked(c, out)?);
    Ok(())
}

#[inline(always)]
fn integer(c: &mut Cpu, op: &Op) -> Res<i64> {
    let size = op.size();
    let v = c.read_rm(op, op.src, size)?;
    Ok(if size == 8 {
        v as i64
    } else {
        i64::from(v as u32 as i32)
    })
}

/// CVTDQ2PD: reads 8 bytes of memory, at any address.
pub(crate) fn cvtdq2pd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    let b = source64(c, op, op.src)?;
    *xmm_mut(c, op.dst) = float::cvtdq2pd(b);
    Ok(())
}

/// CVTPI2PS: the upper half stays.
pub(crate) fn cvtpi2ps(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    begin_mmx(c)?;
    let b = source_mm(c, op, op.src)?;
    let out = float::cvtpi2ps(b, &mut c.fpu.mxcsr);
    let low = unmasked(c, out)?;
    enter_mmx_state(c);
    *xmm_mut(c, op.dst) = with_low64(xmm(c, op.dst), low);
    Ok(())
}

/// CVTPI2PD: from memory it does not touch the x87 unit.
pub(crate) fn cvtpi2pd(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    if !op.is_mem() {
        begin_mmx(c)?;
        enter_mmx_state(c);
    }
    let b = source_mm(c, op, op.src)?;
    *xmm_mut(c, op.dst) = float::cvtdq2pd(b);
    Ok(())
}

// ---- conversions to integers ----

macro_rules! to_general {
    ($($name:ident $source:ident $narrow:ident $wide:ident;)+) => {
        $(
            #[doc = concat!(stringify!($name), ", of the operand size.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = $source(c, op, op.src)?;
                let v = if op.size() == 8 {
                    let out = float::$wide(b, &mut c.fpu.mxcsr);
                    unmasked(c, out)? as u64
                } else {
                    let out = float::$narrow(b, &mut c.fpu.mxcsr);
                    u64::from(unmasked(c, out)? as u32)
                };
                c.set_reg_at(op.dst, 8, v);
                Ok(())
            }
        )+
    };
}

to_general! {
    cvtss2si source32 cvtss2si32 cvtss2si64;
    cvttss2si source32 cvttss2si32 cvttss2si64;
    cvtsd2si source64 cvtsd2si32 cvtsd2si64;
    cvttsd2si source64 cvttsd2si32 cvttsd2si64;
}

macro_rules! to_mmx {
    ($($name:ident $source:ident $function:ident;)+) => {
        $(
            #[doc = concat!(stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                begin_mmx(c)?;
                let b = $source(c, op, op.src)?;
                let out = float::$function(b, &mut c.fpu.mxcsr);
                let v = unmasked(c, out)?;
                enter_mmx_state(c);
                set_mm(c, op.dst, v);
                Ok(())
            }
        )+
    };
}

to_mmx! {
    cvtps2pi source64 cvtps2pi;
    cvttps2pi source64 cvttps2pi;
    cvtpd2pi source128 cvtpd2dq;
    cvttpd2pi source128 cvttpd2dq;
}
