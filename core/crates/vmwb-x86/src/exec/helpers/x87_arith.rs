//! x87 arithmetic: the four operations in all their forms, comparisons, and the functions of one or two registers.
//! Source: SDM volume 1, sections 8.3.4 to 8.3.9, and the instruction pages of volume 2.

use super::x87::{
    CONDITIONS, OVERFLOW, UNDERFLOW, begin, integer_operand, note, real_operand, settle,
    with_denormal,
};
use crate::cpu::{Cpu, Fpu, Res};
use crate::fpu::{self, Env, F80, Outcome, Relation, status};
use crate::trace::Op;

/// Writes a result into ST(i) with its exceptions; `true` unless an unmasked one withholds it.
fn deliver(f: &mut Fpu, i: u8, out: Outcome<F80>, clear: u16) -> bool {
    let env = f.env();
    let out = settle(out, env);
    let withheld = out.is_withheld(env);
    // Nothing was computed then: C0 and C3 of the last quotient stay.
    let kept = if withheld { status::C0 | status::C3 } else { 0 };
    f.report(clear & !kept, out.status);
    if !withheld {
        f.set(i, out.value);
    }
    !withheld
}

/// ST(0) and a memory operand, result into ST(0). `a` and `b` of `operation` are ST(0) and the operand.
fn with_memory(
    c: &mut Cpu,
    op: &Op,
    operand: super::x87::Operand,
    operation: impl Fn(F80, F80, Env) -> Outcome<F80>,
) {
    let f = &mut c.fpu;
    if f.is_empty(0) {
        if f.stack_fault(UNDERFLOW) {
            f.set(0, F80::INDEFINITE);
        }
    } else {
        let (env, a) = (f.env(), f.st(0));
        let out = with_denormal(operation(a, operand.value, env), &operand, a, env);
        deliver(f, 0, out, status::C1);
    }
    note(c, op);
}

/// ST(dst) and ST(src), result into ST(dst).
fn with_register<const POPS: bool>(
    c: &mut Cpu,
    op: &Op,
    operation: impl Fn(F80, F80, Env) -> Outcome<F80>,
) {
    let f = &mut c.fpu;
    let (dst, src) = (op.dst, op.src);
    let done = if f.is_empty(dst) || f.is_empty(src) {
        let masked = f.stack_fault(UNDERFLOW);
        if masked {
            f.set(dst, F80::INDEFINITE);
        }
        masked
    } else {
        let out = operation(f.st(dst), f.st(src), f.env());
        deliver(f, dst, out, status::C1)
    };
    if POPS && done {
        f.pop();
    }
    note(c, op);
}

macro_rules! arithmetic {
    ($($mnemonic:literal $real:ident $integer:ident $register:ident $pop:ident: |$a:ident, $b:ident, $env:ident| $body:expr;)+) => {
        $(
            #[doc = concat!($mnemonic, " with a 32-bit or 64-bit real of memory.")]
            pub(crate) fn $real(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let operand = real_operand(c, op)?;
                with_memory(c, op, operand, |$a, $b, $env| $body);
                Ok(())
            }

            #[doc = concat!($mnemonic, " with an integer of memory.")]
            pub(crate) fn $integer(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let operand = integer_operand(c, op)?;
                with_memory(c, op, operand, |$a, $b, $env| $body);
                Ok(())
            }

            #[doc = concat!($mnemonic, " of two registers.")]
            pub(crate) fn $register(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                with_register::<false>(c, op, |$a, $b, $env| $body);
                Ok(())
            }

            #[doc = concat!($mnemonic, " of two registers, then a pop.")]
            pub(crate) fn $pop(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                with_register::<true>(c, op, |$a, $b, $env| $body);
                Ok(())
            }
        )+
    };
}

arithmetic! {
    "FADD" fadd_real fiadd fadd faddp: |a, b, env| fpu::add(a, b, env);
    "FMUL" fmul_real fimul fmul fmulp: |a, b, env| fpu::mul(a, b, env);
    "FSUB" fsub_real fisub fsub fsubp: |a, b, env| fpu::sub(a, b, env);
    "FSUBR" fsubr_real fisubr fsubr fsubrp: |a, b, env| fpu::sub(b, a, env);
    "FDIV" fdiv_real fidiv fdiv fdivp: |a, b, env| fpu::div(a, b, env);
    "FDIVR" fdivr_real fidivr fdivr fdivrp: |a, b, env| fpu::div(b, a, env);
}

// ---- comparisons ----

/// Pops of a comparison: registers and what stands in their way.
fn compared<const POPS: u8>(f: &mut Fpu, out: Outcome<Relation>) {
    let env = f.env();
    let out = settle(out, env);
    if out.is_withheld(env) {
        f.report(status::C1, out.status);
        return;
    }
    f.report(CONDITIONS, out.status | out.value.condition_codes());
    for _ in 0..POPS {
        f.pop();
    }
}

const UNORDERED_EMPTY: Outcome<Relation> = Outcome {
    value: Relation::Unordered,
    status: UNDERFLOW,
};

fn compare_memory<const POPS: u8>(c: &mut Cpu, op: &Op, operand: super::x87::Operand) {
    let f = &mut c.fpu;
    let out = if f.is_empty(0) {
        UNORDERED_EMPTY
    } else {
        let (env, a) = (f.env(), f.st(0));
        with_denormal(fpu::compare(a, operand.value), &operand, a, env)
    };
    compared::<POPS>(f, out);
    note(c, op);
}

fn compare_registers(f: &Fpu, i: u8, how: fn(F80, F80) -> Outcome<Relation>) -> Outcome<Relation> {
    if f.is_empty(0) || f.is_empty(i) {
        UNORDERED_EMPTY
    } else {
        how(f.st(0), f.st(i))
    }
}

macro_rules! comparisons {
    (memory: $($(#[$doc:meta])* $name:ident $read:ident $pops:literal;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let operand = $read(c, op)?;
                compare_memory::<$pops>(c, op, operand);
                Ok(())
            }
        )+
    };
    (registers: $($(#[$doc:meta])* $name:ident $how:ident $pops:literal;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let out = compare_registers(&c.fpu, op.dst, fpu::$how);
                compared::<$pops>(&mut c.fpu, out);
                note(c, op);
                Ok(())
            }
        )+
    };
    (flags: $($(#[$doc:meta])* $name:ident $how:ident $pops:literal;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                begin(c)?;
                let out = compare_registers(&c.fpu, op.src, fpu::$how);
                let env = c.fpu.env();
                let out = settle(out, env);
                c.fpu.report(status::C1, out.status);
                if !out.is_withheld(env) {
                    c.set_arith_flags(u64::from(out.value.eflags()));
                    if $pops {
                        c.fpu.pop();
                    }
                }
                note(c, op);
                Ok(())
            }
        )+
    };
}

comparisons! { memory:
    /// FCOM with a real of memory.
    fcom_real real_operand 0;
    /// FCOMP with a real of memory.
    fcomp_real real_operand 1;
    /// FICOM.
    ficom integer_operand 0;
    /// FICOMP.
    ficomp integer_operand 1;
}

comparisons! { registers:
    /// FCOM ST(i).
    fcom compare 0;
    /// FCOMP ST(i).
    fcomp compare 1;
    /// FUCOM ST(i).
    fucom compare_quiet 0;
    /// FUCOMP ST(i).
    fucomp compare_quiet 1;
}

comparisons! { flags:
    /// FCOMI.
    fcomi compare false;
    /// FCOMIP.
    fcomip compare true;
    /// FUCOMI.
    fucomi compare_quiet false;
    /// FUCOMIP.
    fucomip compare_quiet true;
}

/// FCOMPP: with ST(1), then two pops.
pub(crate) fn fcompp(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let out = compare_registers(&c.fpu, 1, fpu::compare);
    compared::<2>(&mut c.fpu, out);
    note(c, op);
    Ok(())
}

/// FUCOMPP: with ST(1), then two pops.
pub(crate) fn fucompp(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let out = compare_registers(&c.fpu, 1, fpu::compare_quiet);
    compared::<2>(&mut c.fpu, out);
    note(c, op);
    Ok(())
}

/// FTST: with +0.
pub(crate) fn ftst(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    let out = if f.is_empty(0) {
        UNORDERED_EMPTY
    } else {
        fpu::compare(f.st(0), F80::ZERO)
    };
    compared::<0>(f, out);
    note(c, op);
    Ok(())
}

/// FXAM: names the class of ST(0), also of an empty one.
pub(crate) fn fxam(c: &mut Cpu, op: &Op) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    let mut codes = f.st(0).examine();
    if f.is_empty(0) {
        codes = codes & status::C1 | status::C3 | status::C0;
    }
    f.report(CONDITIONS, codes);
    note(c, op);
    Ok(())
}

// ---- functions ----

fn unary(c: &mut Cpu, op: &Op, clear: u16, function: impl Fn(F80, Env) -> Outcome<F80>) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    if f.is_empty(0) {
        f.report(clear, 0);
        if f.stack_fault(UNDERFLOW) {
            f.set(0, F80::INDEFINITE);
        }
    } else {
        let out = function(f.st(0), f.env());
        deliver(f, 0, out, clear);
    }
    note(c, op);
    Ok(())
}

macro_rules! unaries {
    ($($(#[$doc:meta])* $name:ident $clear:expr, |$a:ident, $env:ident| $body:expr;)+) => {
        $(
            $(#[$doc])*
            pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
                unary(c, op, $clear, |$a, $env| $body)
            }
        )+
    };
}

unaries! {
    /// FCHS.
    fchs status::C1, |a, _env| Outcome { value: a.negated(), status: 0 };
    /// FABS.
    fabs status::C1, |a, _env| Outcome { value: a.absolute(), status: 0 };
    /// FSQRT.
    fsqrt status::C1, |a, env| fpu::sqrt(a, env);
    /// FRNDINT.
    frndint status::C1, |a, env| fpu::round_to_integer(a, env);
    /// F2XM1.
    f2xm1 status::C1, |a, env| fpu::f2xm1(a, env);
    /// FSIN.
    fsin status::C1 | status::C2, |a, env| fpu::sine(a, env);
    /// FCOS.
    fcos status::C1 | status::C2, |a, env| fpu::cosine(a, env);
}

/// ST(0) and ST(1), result into ST(`DST`). `POPS`: then a pop.
fn binary<const DST: u8, const POPS: bool>(
    c: &mut Cpu,
    op: &Op,
    clear: u16,
    function: impl Fn(F80, F80, Env) -> Outcome<F80>,
) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    let done = if f.is_empty(0) || f.is_empty(1) {
        f.report(clear & !(status::C0 | status::C3), 0);
        let masked = f.stack_fault(UNDERFLOW);
        if masked {
            f.set(DST, F80::INDEFINITE);
        }
        masked
    } else {
        let out = function(f.st(0), f.st(1), f.env());
        // A remainder that is not a number says nothing about a quotient.
        let class = out.value.examine() & (status::C0 | status::C2 | status::C3);
        let clear = if out.status & status::IE != 0 || class == status::C0 {
            clear & !(status::C0 | status::C3)
        } else {
            clear
        };
        deliver(f, DST, out, clear)
    };
    if POPS && done {
        f.pop();
    }
    note(c, op);
    Ok(())
}

/// FPREM: C2 says that the reduction is partial, the other codes are the low bits of the quotient.
pub(crate) fn fprem(c: &mut Cpu, op: &Op) -> Res {
    binary::<0, false>(c, op, CONDITIONS, fpu::partial_remainder)
}

/// FPREM1.
pub(crate) fn fprem1(c: &mut Cpu, op: &Op) -> Res {
    binary::<0, false>(c, op, CONDITIONS, fpu::partial_remainder_ieee)
}

/// FSCALE.
pub(crate) fn fscale(c: &mut Cpu, op: &Op) -> Res {
    binary::<0, false>(c, op, status::C1, fpu::scale)
}

/// FYL2X.
pub(crate) fn fyl2x(c: &mut Cpu, op: &Op) -> Res {
    binary::<1, true>(c, op, status::C1, |x, y, env| fpu::fyl2x(y, x, env))
}

/// FYL2XP1.
pub(crate) fn fyl2xp1(c: &mut Cpu, op: &Op) -> Res {
    binary::<1, true>(c, op, status::C1, |x, y, env| fpu::fyl2xp1(y, x, env))
}

/// FPATAN.
pub(crate) fn fpatan(c: &mut Cpu, op: &Op) -> Res {
    binary::<1, true>(c, op, status::C1, |x, y, env| {
        fpu::partial_arctangent(y, x, env)
    })
}

/// Replaces ST(0) and pushes: both a full register below the top and an empty top are stack faults.
fn replace_and_push(
    c: &mut Cpu,
    op: &Op,
    clear: u16,
    function: impl Fn(F80, Env) -> Outcome<(F80, F80)>,
) -> Res {
    begin(c)?;
    let f = &mut c.fpu;
    if f.is_empty(0) || !f.is_empty(7) {
        f.report(clear, 0);
        if f.stack_fault(if f.is_empty(0) { UNDERFLOW } else { OVERFLOW }) {
            f.set(0, F80::INDEFINITE);
            f.push(F80::INDEFINITE);
        }
    } else {
        let env = f.env();
        let out = settle(function(f.st(0), env), env);
        let withheld = out.is_withheld(env);
        f.report(clear, out.status);
        // C2: out of range, and nothing happens.
        if !withheld && out.status & status::C2 == 0 {
            f.set(0, out.value.0);
            f.push(out.value.1);
        }
    }
    note(c, op);
    Ok(())
}

/// FXTRACT: the exponent replaces ST(0), then the significand is pushed.
pub(crate) fn fxtract(c: &mut Cpu, op: &Op) -> Res {
    replace_and_push(c, op, status::C1, |a, _env| fpu::extract(a))
}

/// FPTAN.
pub(crate) fn fptan(c: &mut Cpu, op: &Op) -> Res {
    replace_and_push(c, op, status::C1 | status::C2, fpu::partial_tangent)
}

/// FSINCOS.
pub(crate) fn fsincos(c: &mut Cpu, op: &Op) -> Res {
    replace_and_push(c, op, status::C1 | status::C2, fpu::sine_cosine)
}
