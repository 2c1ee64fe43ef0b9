//! REP INS and OUTS in runs: as many units at once as the board can move without anything else happening.

use super::io::ports_are_free;
use super::strings::{DI, SI, run_at};
use crate::cpu::{Cpu, RDX, Res, seg, size_mask};
use crate::exec::memory::access_size;
use crate::mmu::{Access, Target};
use crate::trace::Op;

/// Longest run: one page.
const RUN_BYTES: usize = 0x1000;

/// Whether every access must be seen for itself: a TSS that permits ports may change under a run, a recorder wants each.
fn one_by_one(c: &Cpu) -> bool {
    !ports_are_free(c) || c.traces_ports()
}

/// What [`super::io::port_read`] and [`super::io::port_write`] do besides the access.
fn account(c: &mut Cpu, port: u16, n: u8, count: u64) {
    c.note_port_access(port, n);
    c.counters.pio += count;
    c.touch();
}

/// INS: up to `most` units; gives how many. The port is read only when its values can be stored.
pub(super) fn ins_run(c: &mut Cpu, op: &Op, n: u8, most: u64) -> Res<u64> {
    if one_by_one(c) {
        return Ok(0);
    }
    let width = op.address_size();
    let di = c.reg_at(DI, width);
    let (to, count) = run_at(c, op, seg::ES, di, most);
    if count < 2 {
        return Ok(0);
    }
    let user = c.cpl == 3;
    let unit = u64::from(n);
    let Target::Ram(dst) = c.writable(to, count * unit, user, false)? else {
        return Ok(0);
    };
    let port = c.r[RDX] as u16;
    let mut data = [0; RUN_BYTES];
    let room = &mut data[..(count * unit) as usize];
    let count = c.bus().pio_read_run(port, access_size(n), room) as u64;
    if count == 0 {
        return Ok(0);
    }
    let bytes = count * unit;
    let phys = c.phys_of(dst);
    c.before_ram_write(phys, bytes);
    // SAFETY: the run lies inside one page of guest RAM, and no longer than `data`, which is a local of its own.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), dst, bytes as usize) };
    account(c, port, n, count);
    c.set_reg_at(DI, width, di.wrapping_add(bytes) & size_mask(width));
    Ok(count)
}

/// OUTS: up to `most` units; gives how many.
pub(super) fn outs_run(c: &mut Cpu, op: &Op, n: u8, most: u64) -> Res<u64> {
    if one_by_one(c) {
        return Ok(0);
    }
    let width = op.address_size();
    let si = c.reg_at(SI, width);
    let (from, count) = run_at(c, op, op.segment(), si, most);
    if count < 2 {
        return Ok(0);
    }
    let user = c.cpl == 3;
    let unit = u64::from(n);
    let Target::Ram(src) = c.resolve(from, Access::Read, user, false)? else {
        return Ok(0);
    };
    let mut data = [0; RUN_BYTES];
    let bytes = (count * unit) as usize;
    // SAFETY: the run lies inside one page of guest RAM, and no longer than `data`, which is a local of its own.
    unsafe { std::ptr::copy_nonoverlapping(src, data.as_mut_ptr(), bytes) };
    let port = c.r[RDX] as u16;
    let size = access_size(n);
    let count = c.bus().pio_write_run(port, size, &data[..bytes]) as u64;
    if count == 0 {
        return Ok(0);
    }
    account(c, port, n, count);
    c.set_reg_at(SI, width, si.wrapping_add(count * unit) & size_mask(width));
    Ok(count)
}
