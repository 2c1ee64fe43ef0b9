//! SSE and SSE2 instructions on lanes of bits: integer arithmetic, logic, shuffles, shifts. Nothing here looks at MXCSR.
//! Source: SDM volume 2, instruction pages.

use super::simd::{begin_sse, source128, xmm, xmm_mut};
use crate::cpu::{Cpu, Res};
use crate::simd::xmm as lanes;
use crate::trace::Op;

macro_rules! binary {
    ($($name:ident)+) => {
        $(
            #[doc = concat!("SSE2: ", stringify!($name), ", and the floating-point names of the same operation.")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let b = source128(c, op, op.src)?;
                let d = xmm_mut(c, op.dst);
                *d = lanes::$name(*d, b);
                Ok(())
            }
        )+
    };
}

binary! {
    paddb paddw paddd paddq paddsb paddsw paddusb paddusw
    psubb psubw psubd psubq psubsb psubsw psubusb psubusw
    pmullw pmulhw pmulhuw pmuludq pmaddwd pavgb pavgw pminub pmaxub pminsw pmaxsw
    pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw pcmpgtd
    pand pandn por pxor psadbw packsswb packssdw packuswb
    punpcklbw punpcklwd punpckldq punpcklqdq punpckhbw punpckhwd punpckhdq punpckhqdq
}

/// Shifts count with the low quadword of the operand, but read (and align) all of it.
macro_rules! shifts {
    ($($name:ident $immediate:ident)+) => {
        $(
            #[doc = concat!("SSE2: ", stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let count = source128(c, op, op.src)? as u64;
                let d = xmm_mut(c, op.dst);
                *d = lanes::$name(*d, count);
                Ok(())
            }

            #[doc = concat!("SSE2: ", stringify!($name), " by an immediate.")]
            pub(crate) fn $immediate(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let d = xmm_mut(c, op.dst);
                *d = lanes::$name(*d, op.imm as u64 & 0xFF);
                Ok(())
            }
        )+
    };
}

shifts! {
    psllw psllw_imm pslld pslld_imm psllq psllq_imm
    psrlw psrlw_imm psrld psrld_imm psrlq psrlq_imm psraw psraw_imm psrad psrad_imm
}

/// PSLLDQ.
pub(crate) fn pslldq(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = lanes::pslldq(xmm(c, op.dst), op.imm as u8);
    Ok(())
}

/// PSRLDQ.
pub(crate) fn psrldq(c: &mut Cpu, op: &Op) -> Res {
    begin_sse(c)?;
    *xmm_mut(c, op.dst) = lanes::psrldq(xmm(c, op.dst), op.imm as u8);
    Ok(())
}

macro_rules! shuffles {
    (one: $($name:ident)+) => {
        $(
            #[doc = concat!("SSE2: ", stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let v = source128(c, op, op.src)?;
                *xmm_mut(c, op.dst) = lanes::$name(v, op.imm as u8);
                Ok(())
            }
        )+
    };
    (two: $($name:ident)+) => {
        $(
            #[doc = concat!("SSE: ", stringify!($name), ".")]
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin_sse(c)?;
                let v = source128(c, op, op.src)?;
                let d = xmm_mut(c, op.dst);
                *d = lanes::$name(*d, v, op.imm as u8);
                Ok(())
            }
        )+
    };
}

shuffles! { one: pshufd pshuflw pshufhw }
shuffles! { two: shufps shufpd }
