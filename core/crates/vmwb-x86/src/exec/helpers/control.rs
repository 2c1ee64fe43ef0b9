//! Loops and stack frames.

use crate::cpu::{Cpu, RCX, Res, seg, size_mask};
use crate::trace::Op;

const CX: u8 = (RCX * 8) as u8;

/// Takes the branch of LOOPcc and JCXZ.
fn take_short_branch(c: &mut Cpu, op: &Op) -> Res {
    let width = if c.code64() { 8 } else { op.size() };
    let target = c.rip.wrapping_add(op.imm64()) & size_mask(width);
    let inside = if width == 8 {
        Cpu::canonical(target)
    } else {
        target <= u64::from(c.seg[seg::CS].limit)
    };
    if !inside {
        return Err(c.gp(0));
    }
    c.rip = target;
    Ok(())
}

/// Counts down and branches while the count is not zero and `also` holds. The count stays when the branch faults.
fn count_down(c: &mut Cpu, op: &Op, also: bool) -> Res {
    let width = op.address_size();
    let v = c.reg_at(CX, width).wrapping_sub(1) & size_mask(width);
    if v != 0 && also {
        take_short_branch(c, op)?;
    }
    c.set_reg_at(CX, width, v);
    Ok(())
}

/// LOOP.
pub(crate) fn loop_rcx(c: &mut Cpu, op: &Op) -> Res {
    count_down(c, op, true)
}

/// LOOPE.
pub(crate) fn loopz(c: &mut Cpu, op: &Op) -> Res {
    let zf = c.zf();
    count_down(c, op, zf)
}

/// LOOPNE.
pub(crate) fn loopnz(c: &mut Cpu, op: &Op) -> Res {
    let zf = c.zf();
    count_down(c, op, !zf)
}

/// JCXZ, JECXZ, JRCXZ.
pub(crate) fn jcxz(c: &mut Cpu, op: &Op) -> Res {
    if c.reg_at(CX, op.address_size()) == 0 {
        take_short_branch(c, op)?;
    }
    Ok(())
}

// ---- stack frames ----

/// POP to memory: the address is made with RSP as it is after the pop (SDM volume 2, POP).
pub(crate) fn pop_mem(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let v = c.peek(n, 0)?;
    if !op.is_mem() {
        c.drop_stack(u64::from(n));
        c.set_reg_at(op.dst, n, v);
        return Ok(());
    }
    let old = c.r[4];
    c.drop_stack(u64::from(n));
    let written = c
        .operand_address(op, u64::from(n), true)
        .and_then(|at| c.store(op, at, n, v));
    if written.is_err() {
        c.r[4] = old;
    }
    written
}

/// PUSHA.
pub(crate) fn pusha(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let old = c.r[4];
    for r in 0..8u8 {
        let v = if r == 4 {
            old & size_mask(n)
        } else {
            c.reg_at(r * 8, n)
        };
        if let Err(e) = c.push(n, v) {
            c.r[4] = old;
            return Err(e);
        }
    }
    Ok(())
}

/// POPA.
pub(crate) fn popa(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let mut values = [0; 8];
    for (i, v) in values.iter_mut().enumerate() {
        *v = c.peek(n, i as u64 * u64::from(n))?;
    }
    for (i, v) in values.into_iter().enumerate().filter(|&(i, _)| i != 3) {
        c.set_reg_at(((7 - i) * 8) as u8, n, v);
    }
    c.drop_stack(8 * u64::from(n));
    Ok(())
}

/// ENTER.
pub(crate) fn enter(c: &mut Cpu, op: &Op) -> Res {
    let n = op.size();
    let (level, room) = (op.extra & 31, u64::from(op.imm as u32 & 0xFFFF));
    let width = c.stack_size();
    let old_sp = c.r[4];
    let old_bp = c.r[5];
    let restore = |c: &mut Cpu, e| {
        c.r[4] = old_sp;
        Err(e)
    };
    let bp = c.reg_at(5 * 8, n);
    if let Err(e) = c.push(n, bp) {
        return restore(c, e);
    }
    // The whole register on a 16-bit stack too, whose pushes leave its upper half: as the host's processor does.
    let frame = c.r[4] & size_mask(n);
    for i in 1..level {
        let at = c
            .reg_at(5 * 8, width)
            .wrapping_sub(u64::from(i) * u64::from(n))
            & size_mask(width);
        let v = c
            .segment_address(seg::SS, at, u64::from(n), false)
            .and_then(|at| {
                let user = c.cpl == 3;
                c.read_linear(at, n, user, true)
            })
            .and_then(|v| c.push(n, v));
        if let Err(e) = v {
            return restore(c, e);
        }
    }
    if level > 0
        && let Err(e) = c.push(n, frame)
    {
        return restore(c, e);
    }
    let sp = c.reg_at(4 * 8, width).wrapping_sub(room) & size_mask(width);
    // The new top of the stack must be writable.
    let probe = c
        .segment_address(seg::SS, sp, u64::from(n), true)
        .and_then(|at| {
            let user = c.cpl == 3;
            c.probe_write(at, n, user, true)
        });
    if let Err(e) = probe {
        c.r[5] = old_bp;
        return restore(c, e);
    }
    c.set_reg_at(4 * 8, width, sp);
    c.set_reg_at(5 * 8, n, frame);
    Ok(())
}
