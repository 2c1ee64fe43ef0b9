//! x87 instructions that move values: loads, stores, constants, exchanges, conditional moves.
//! Source: SDM volume 1, section 8.3.3, and the instruction pages of volume 2.

use super::x87::{OVERFLOW, STACK_FAULT, UNDERFLOW, begin, integer_operand, note};
use crate::cpu::{Cpu, Res};
use crate::fpu::{self, Env, F80, Outcome, Rounding, status};
use crate::trace::Op;

/// Pushes a value with the exceptions of its conversion.
fn push(c: &mut Cpu, op: &Op, out: Outcome<F80>) {
    let f = &mut c.fpu;
    if !f.is_empty(7) {
        if f.stack_fault(OVERFLOW) {
            f.push(F80::INDEFINITE);
        }
    } else {
        // A denormal is pushed even when its exception is not masked (SDM volume 2, FLD).
        let withheld = out.status & f.env().unmasked & status::IE != 0;
        f.report(status::C1, out.status);
        if !withheld {
            f.push(out.value);
        }
    }
    note(c, op);
}

fn exact(value: F80) -> Outcome<F80> {
    Outcome { value, status: 0 }
}

/// FLD of a 32-bit or 64-bit real.
pub(crate) fn fld_real(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let n = op.size();
    let at = c.operand_address(op, u64::from(n), false)?;
    let bits = c.load(op, at, n)?;
    let env = c.fpu.env();
    let out = if n == 4 {
        fpu::from_f32(bits as u32, env)
    } else {
        fpu::from_f64(bits, env)
    };
    push(c, op, out);
    Ok(())
}

fn load_ten(c: &mut Cpu, op: &Op) -> Res<F80> {
    let significand = c.load_part(op, 0, 8)?;
    let sign_exp = c.load_part(op, 8, 2)? as u16;
    Ok(F80 {
        sign_exp,
        significand,
    })
}

fn store_ten(c: &mut Cpu, op: &Op, v: F80) -> Res {
    let (low, high) = (
        c.part_address(op, 0, 8, true)?,
        c.part_address(op, 8, 2, true)?,
    );
    c.prepare_modify(op, low, 8)?;
    c.prepare_modify(op, high, 2)?;
    c.store(op, low, 8, v.significand)?;
    c.store(op, high, 2, u64::from(v.sign_exp))
}

/// FLD of an 80-bit real: signals nothing.
pub(crate) fn fld_extended(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let v = load_ten(c, op)?;
    push(c, op, exact(v));
    Ok(())
}

/// FLD ST(i).
pub(crate) fn fld_register(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    // An empty source goes before a full destination.
    if f.is_empty(op.dst) {
        if f.stack_fault(UNDERFLOW) {
            f.push(F80::INDEFINITE);
        }
        note(c, op);
        return Ok(());
    }
    let v = f.st(op.dst);
    push(c, op, exact(v));
    Ok(())
}

/// FILD, of the operand size.
pub(crate) fn fild(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let v = integer_operand(c, op)?.value;
    push(c, op, exact(v));
    Ok(())
}

/// FBLD.
pub(crate) fn fbld(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let v = fpu::from_bcd(load_ten(c, op)?.to_bytes());
    push(c, op, exact(v));
    Ok(())
}

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident: |$r:ident| $value:expr;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let $r: Rounding = c.fpu.env().rounding;
                push(c, op, exact($value));
                Ok(())
            }
        )+
    };
}

constants! {
    /// FLD1.
    fld1: |_r| fpu::fld1();
    /// FLDL2T.
    fldl2t: |r| fpu::fldl2t(r);
    /// FLDL2E.
    fldl2e: |r| fpu::fldl2e(r);
    /// FLDPI.
    fldpi: |r| fpu::fldpi(r);
    /// FLDLG2.
    fldlg2: |r| fpu::fldlg2(r);
    /// FLDLN2.
    fldln2: |r| fpu::fldln2(r);
    /// FLDZ.
    fldz: |_r| fpu::fldz();
}

/// Stores ST(0), converted by `convert`; an empty ST(0) stores `indefinite`. `POPS`: and pops.
fn store_converted<const POPS: bool>(
    c: &mut Cpu,
    op: &Op,
    indefinite: u64,
    convert: impl Fn(F80, Env) -> Outcome<u64>,
) -> Res {
    begin(c)?;
    let n = op.size();
    let env = c.fpu.env();
    let out = if c.fpu.is_empty(0) {
        Outcome {
            value: indefinite,
            status: UNDERFLOW,
        }
    } else {
        convert(c.fpu.st(0), env)
    };
    let withheld = out.is_store_withheld(env);
    let at = c.operand_address(op, u64::from(n), true)?;
    if !withheld {
        c.store(op, at, n, out.value)?;
    }
    c.fpu.report(status::C1, out.status);
    if POPS && !withheld {
        c.fpu.pop();
    }
    note(c, op);
    Ok(())
}

fn narrow(v: F80, env: Env, n: u8) -> Outcome<u64> {
    if n == 8 {
        return fpu::to_f64(v, env);
    }
    let out = fpu::to_f32(v, env);
    Outcome {
        value: u64::from(out.value),
        status: out.status,
    }
}

fn real_indefinite(n: u8) -> u64 {
    if n == 4 {
        0xFFC0_0000
    } else {
        0xFFF8_0000_0000_0000
    }
}

/// FST to a 32-bit or 64-bit real.
pub(crate) fn fst_real(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    store_converted::<false>(c, op, real_indefinite(n), |v, env| narrow(v, env, n))
}

/// FSTP to a 32-bit or 64-bit real.
pub(crate) fn fstp_real(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    store_converted::<true>(c, op, real_indefinite(n), |v, env| narrow(v, env, n))
}

/// The integer indefinite is the most negative integer.
fn integer_indefinite(n: u8) -> u64 {
    1 << (8 * n - 1)
}

fn to_integer(v: F80, env: Env, n: u8) -> Outcome<u64> {
    let (value, status) = match n {
        2 => {
            let out = fpu::to_i16(v, env);
            (i64::from(out.value), out.status)
        }
        4 => {
            let out = fpu::to_i32(v, env);
            (i64::from(out.value), out.status)
        }
        _ => {
            let out = fpu::to_i64(v, env);
            (out.value, out.status)
        }
    };
    Outcome {
        value: value as u64,
        status,
    }
}

/// FIST.
pub(crate) fn fist(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    store_converted::<false>(c, op, integer_indefinite(n), |v, env| to_integer(v, env, n))
}

/// FISTP.
pub(crate) fn fistp(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    store_converted::<true>(c, op, integer_indefinite(n), |v, env| to_integer(v, env, n))
}

/// FISTTP (SSE3): toward zero, and C1 is always cleared.
pub(crate) fn fisttp(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    store_converted::<true>(c, op, integer_indefinite(n), |v, env| {
        to_integer(
            v,
            Env {
                rounding: Rounding::Zero,
                ..env
            },
            n,
        )
    })
}

/// FSTP to an 80-bit real: signals nothing but a stack underflow.
pub(crate) fn fstp_extended(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let empty = c.fpu.is_empty(0);
    if empty && !c.fpu.masks_invalid() {
        c.fpu.stack_fault(UNDERFLOW);
        note(c, op);
        return Ok(());
    }
    let v = if empty { F80::INDEFINITE } else { c.fpu.st(0) };
    store_ten(c, op, v)?;
    c.fpu.report(status::C1, if empty { UNDERFLOW } else { 0 });
    c.fpu.pop();
    note(c, op);
    Ok(())
}

/// FBSTP.
pub(crate) fn fbstp(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let env = c.fpu.env();
    let out = if c.fpu.is_empty(0) {
        // An invalid conversion gives the packed decimal indefinite, and so does nothing at all.
        let out = fpu::to_bcd(F80::INDEFINITE, env);
        Outcome {
            value: out.value,
            status: out.status | STACK_FAULT,
        }
    } else {
        fpu::to_bcd(c.fpu.st(0), env)
    };
    let withheld = out.is_store_withheld(env);
    if !withheld {
        store_ten(c, op, F80::from_bytes(out.value))?;
    }
    c.fpu.report(status::C1, out.status);
    if !withheld {
        c.fpu.pop();
    }
    note(c, op);
    Ok(())
}

fn store_register(c: &mut Cpu, op: &Op, pops: bool) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    let written = if f.is_empty(0) {
        f.stack_fault(UNDERFLOW).then_some(F80::INDEFINITE)
    } else {
        f.report(status::C1, 0);
        Some(f.st(0))
    };
    if let Some(v) = written {
        f.set(op.dst, v);
        if pops {
            f.pop();
        }
    }
    note(c, op);
    Ok(())
}

/// FST ST(i).
pub(crate) fn fst_register(c: &mut Cpu, op: &Op) -> Res {
    store_register(c, op, false)
}

/// FSTP ST(i).
pub(crate) fn fstp_register(c: &mut Cpu, op: &Op) -> Res {
    store_register(c, op, true)
}

/// FSTPNCE, an undocumented alias of FSTP ST(i): an empty ST(0) is no fault, and only pops.
pub(crate) fn fstpnce(c: &mut Cpu, op: &Op) -> Res {
    if !c.fpu.is_empty(0) {
        return store_register(c, op, true);
    }
    begin(c)?;
    let f = &mut c.fpu;
    f.report(status::C1, 0);
    f.pop();
    note(c, op);
    Ok(())
}

/// FXCH: an empty register counts as the indefinite.
pub(crate) fn fxch(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    let i = op.dst;
    let go_on = if f.is_empty(0) || f.is_empty(i) {
        f.stack_fault(UNDERFLOW)
    } else {
        f.report(status::C1, 0);
        true
    };
    if go_on {
        let value = |n: u8| {
            if f.is_empty(n) {
                F80::INDEFINITE
            } else {
                f.st(n)
            }
        };
        let (a, b) = (value(0), value(i));
        f.set(0, b);
        f.set(i, a);
    }
    note(c, op);
    Ok(())
}

fn conditional(c: &mut Cpu, op: &Op, holds: bool) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    if f.is_empty(0) || f.is_empty(op.src) {
        if f.stack_fault(UNDERFLOW) {
            f.set(0, F80::INDEFINITE);
        }
    } else if holds {
        let v = f.st(op.src);
        f.set(0, v);
    }
    note(c, op);
    Ok(())
}

macro_rules! conditional_moves {
    ($($(#[$doc:meta])* $name:ident: |$c:ident| $condition:expr;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name($c: &mut Cpu, op: &Op) -> Res {
                let holds = $condition;
                conditional($c, op, holds)
            }
        )+
    };
}

conditional_moves! {
    /// FCMOVB.
    fcmovb: |c| c.cf();
    /// FCMOVE.
    fcmove: |c| c.zf();
    /// FCMOVBE.
    fcmovbe: |c| c.cf() || c.zf();
    /// FCMOVU.
    fcmovu: |c| c.pf();
    /// FCMOVNB.
    fcmovnb: |c| !c.cf();
    /// FCMOVNE.
    fcmovne: |c| !c.zf();
    /// FCMOVNBE.
    fcmovnbe: |c| !c.cf() && !c.zf();
    /// FCMOVNU.
    fcmovnu: |c| !c.pf();
}
