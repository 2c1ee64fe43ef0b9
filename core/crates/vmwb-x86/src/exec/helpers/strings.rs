//! String instructions. Every iteration retires one instruction; a run stops at the instruction budget with RIP still at
//! the instruction. MOVS and STOS of flat segments go page by page as block copies and fills, INS and OUTS in runs that
//! the board allows.

use super::io::{check_port, port_read, port_write};
use super::port_runs::{ins_run, outs_run};
use crate::cpu::{Cpu, RAX, RCX, RDI, RDX, RSI, Res, Stop, flag, seg, size_mask};
use crate::mmu::{Access, Target};
use crate::trace::Op;

pub(super) const SI: u8 = (RSI * 8) as u8;
pub(super) const DI: u8 = (RDI * 8) as u8;
const CX: u8 = (RCX * 8) as u8;

/// One iteration: `Ok(true)` when a REPE or REPNE condition ends the loop.
type Step = fn(&mut Cpu, &Op, u8) -> Res<bool>;

/// Up to so many iterations at once; gives how many it did.
type Bulk = fn(&mut Cpu, &Op, u8, u64) -> Res<u64>;

fn advance(c: &mut Cpu, op: &Op, reg: u8, bytes: u64) {
    let width = op.address_size();
    let v = c.reg_at(reg, width);
    let v = if c.eflags & flag::DF == 0 {
        v.wrapping_add(bytes)
    } else {
        v.wrapping_sub(bytes)
    };
    c.set_reg_at(reg, width, v & size_mask(width));
}

fn source(c: &mut Cpu, op: &Op, n: u8) -> Res<u64> {
    let offset = c.reg_at(SI, op.address_size());
    c.segment_address(op.segment(), offset, u64::from(n), false)
}

fn destination(c: &mut Cpu, op: &Op, n: u8, write: bool) -> Res<u64> {
    let offset = c.reg_at(DI, op.address_size());
    c.segment_address(seg::ES, offset, u64::from(n), write)
}

/// Runs `step` once, or as often as RCX, its condition and the budget allow. `bulk` may do many iterations at once: it
/// gets the most it may do and returns how many it did, 0 when it cannot.
fn repeat(c: &mut Cpu, op: &Op, n: u8, step: Step, bulk: Option<Bulk>) -> Res {
    if op.rep() == 0 {
        return step(c, op, n).map(|_| ());
    }
    let width = op.address_size();
    let allowed = (c.budget + i64::from(op.rest)).max(1) as u64;
    let mut done = 0;
    let mut left = c.reg_at(CX, width);
    let flags_before = (c.cc_res, c.cc_aux);
    let finished = loop {
        if left == 0 {
            break true;
        }
        if done == allowed {
            break false;
        }
        let most = left.min(allowed - done);
        let result = match bulk {
            Some(bulk) if most > 1 && c.eflags & flag::DF == 0 => match bulk(c, op, n, most) {
                Ok(0) => step(c, op, n).map(|end| (1, end)),
                Ok(k) => Ok((k, false)),
                Err(e) => Err(e),
            },
            _ => step(c, op, n).map(|end| (1, end)),
        };
        match result {
            Ok((k, end)) => {
                done += k;
                left -= k;
                c.set_reg_at(CX, width, left);
                if end {
                    break true;
                }
            }
            Err(Stop) => {
                // `leave` gives back the one instruction that was charged for; the iterations done have retired.
                c.budget -= done as i64;
                if !c.amd {
                    // A fault in CMPS or SCAS finds the flags from before the first iteration (SDM volume 2, REP). On AMD's
                    // processors it finds those of the last comparison.
                    (c.cc_res, c.cc_aux) = flags_before;
                }
                return Err(Stop);
            }
        }
    };
    c.budget -= done.max(1) as i64 - 1;
    if !finished {
        c.rip = c.rip_of(op);
        // An interrupt between two iterations finds RF set, and a breakpoint at the instruction strikes once only (SDM
        // volume 3, section 18.3.1.1).
        c.eflags |= flag::RF;
    }
    Ok(())
}

/// Iterations of `size` bytes from an offset that stay inside the segment's plain part, the page and the address size,
/// and the linear address of the first. 0 iterations: each needs its own checks.
pub(super) fn run_at(c: &Cpu, op: &Op, segment: usize, offset: u64, most: u64) -> (u64, u64) {
    let size = u64::from(op.size());
    if c.aligned_only {
        return (offset, 0);
    }
    if c.code64() {
        let count = most.min(to_page_end(offset) / size);
        return (offset, if segment < seg::FS { count } else { 0 });
    }
    let linear = c.seg[segment].base.wrapping_add(offset) & 0xFFFF_FFFF;
    let end = c.plain_end[segment].min(size_mask(op.address_size()) + 1);
    let inside = end.saturating_sub(offset).min(to_page_end(linear));
    (linear, most.min(inside / size))
}

fn to_page_end(linear: u64) -> u64 {
    0x1000 - (linear & 0xFFF)
}

fn movs_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let from = source(c, op, n)?;
    let to = destination(c, op, n, true)?;
    let v = c.load(op, from, n)?;
    store_es(c, to, n, v)?;
    advance(c, op, SI, u64::from(n));
    advance(c, op, DI, u64::from(n));
    Ok(false)
}

fn store_es(c: &mut Cpu, at: u64, n: u8, v: u64) -> Res {
    let user = c.cpl == 3;
    c.write_linear(at, n, v, user, false)
}

fn movs_bulk(c: &mut Cpu, op: &Op, n: u8, most: u64) -> Res<u64> {
    let (width, size) = (op.address_size(), u64::from(n));
    let (si, di) = (c.reg_at(SI, width), c.reg_at(DI, width));
    let (from, count) = run_at(c, op, op.segment(), si, most);
    let (to, count) = run_at(c, op, seg::ES, di, count);
    if count < 2 {
        return Ok(0);
    }
    let bytes = count * size;
    let user = c.cpl == 3;
    let Target::Ram(src) = c.resolve(from, Access::Read, user, false)? else {
        return Ok(0);
    };
    let Target::Ram(dst) = c.writable(to, bytes, user, false)? else {
        return Ok(0);
    };
    let phys = c.phys_of(dst);
    c.before_ram_write(phys, bytes);
    let overlap = (dst as u64).wrapping_sub(src as u64);
    // SAFETY: both runs lie inside one page of guest RAM each.
    unsafe {
        if overlap == 0 || overlap >= bytes {
            std::ptr::copy(src, dst, bytes as usize);
        } else {
            // The destination starts inside the source: copying upwards repeats what was just written.
            for i in (0..bytes as usize).step_by(usize::from(n)) {
                std::ptr::copy(src.add(i), dst.add(i), usize::from(n));
            }
        }
    }
    c.set_reg_at(SI, width, si.wrapping_add(bytes) & size_mask(width));
    c.set_reg_at(DI, width, di.wrapping_add(bytes) & size_mask(width));
    Ok(count)
}

/// MOVS.
pub(crate) fn movs(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size(), movs_step, Some(movs_bulk))
}

fn stos_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let to = destination(c, op, n, true)?;
    let v = c.reg_at(0, n);
    store_es(c, to, n, v)?;
    advance(c, op, DI, u64::from(n));
    Ok(false)
}

fn stos_bulk(c: &mut Cpu, op: &Op, n: u8, most: u64) -> Res<u64> {
    let (width, size) = (op.address_size(), u64::from(n));
    let di = c.reg_at(DI, width);
    let (to, count) = run_at(c, op, seg::ES, di, most);
    if count < 2 {
        return Ok(0);
    }
    let bytes = count * size;
    let user = c.cpl == 3;
    let Target::Ram(dst) = c.writable(to, bytes, user, false)? else {
        return Ok(0);
    };
    let phys = c.phys_of(dst);
    c.before_ram_write(phys, bytes);
    let v = c.r[RAX];
    // SAFETY: the run lies inside one page of guest RAM.
    unsafe {
        match n {
            1 => std::ptr::write_bytes(dst, v as u8, bytes as usize),
            2 => {
                (0..count as usize).for_each(|i| dst.cast::<u16>().add(i).write_unaligned(v as u16))
            }
            4 => {
                (0..count as usize).for_each(|i| dst.cast::<u32>().add(i).write_unaligned(v as u32))
            }
            _ => (0..count as usize).for_each(|i| dst.cast::<u64>().add(i).write_unaligned(v)),
        }
    }
    c.set_reg_at(DI, width, di.wrapping_add(bytes) & size_mask(width));
    Ok(count)
}

/// STOS.
pub(crate) fn stos(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size(), stos_step, Some(stos_bulk))
}

fn lods_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let from = source(c, op, n)?;
    let v = c.load(op, from, n)?;
    c.set_reg_at(0, n, v);
    advance(c, op, SI, u64::from(n));
    Ok(false)
}

/// LODS.
pub(crate) fn lods(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size(), lods_step, None)
}

fn compare(c: &mut Cpu, op: &Op, x: u64, y: u64, n: u8) -> bool {
    c.set_flags_of_difference(x, y, n);
    // REPE goes on while equal, REPNE while not.
    c.zf() != (op.rep() == 1)
}

fn cmps_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let from = source(c, op, n)?;
    let to = destination(c, op, n, false)?;
    let x = c.load(op, from, n)?;
    let user = c.cpl == 3;
    let y = c.read_linear(to, n, user, false)?;
    advance(c, op, SI, u64::from(n));
    advance(c, op, DI, u64::from(n));
    Ok(compare(c, op, x, y, n))
}

/// CMPS.
pub(crate) fn cmps(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size(), cmps_step, None)
}

fn scas_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let to = destination(c, op, n, false)?;
    let user = c.cpl == 3;
    let y = c.read_linear(to, n, user, false)?;
    let x = c.reg_at(0, n);
    advance(c, op, DI, u64::from(n));
    Ok(compare(c, op, x, y, n))
}

/// SCAS.
pub(crate) fn scas(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size(), scas_step, None)
}

fn ins_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let port = c.r[RDX] as u16;
    check_port(c, port, n)?;
    let to = destination(c, op, n, true)?;
    let user = c.cpl == 3;
    // The port is read only when its value can be stored.
    c.probe_write(to, n, user, false)?;
    let v = port_read(c, op, port, n);
    c.write_linear(to, n, u64::from(v), user, false)?;
    advance(c, op, DI, u64::from(n));
    Ok(false)
}

/// INS.
pub(crate) fn ins(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size().min(4), ins_step, Some(ins_run))
}

fn outs_step(c: &mut Cpu, op: &Op, n: u8) -> Res<bool> {
    let port = c.r[RDX] as u16;
    check_port(c, port, n)?;
    let from = source(c, op, n)?;
    let v = c.load(op, from, n)?;
    port_write(c, op, port, n, v as u32);
    advance(c, op, SI, u64::from(n));
    Ok(false)
}

/// OUTS.
pub(crate) fn outs(c: &mut Cpu, op: &Op) -> Res {
    repeat(c, op, op.size().min(4), outs_step, Some(outs_run))
}
