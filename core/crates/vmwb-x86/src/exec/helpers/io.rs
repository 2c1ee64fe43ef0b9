//! IN, OUT and the permission to use ports.

use crate::cpu::{Cpu, RAX, RBX, RCX, RDI, RDX, RSI, Res, size_mask};
use crate::exec::memory::access_size;
use crate::trace::Op;

/// Whether every port may be used, without a look into the I/O permission bitmap.
pub(super) fn ports_are_free(c: &Cpu) -> bool {
    !c.protected() || (!c.v86() && c.cpl <= c.iopl())
}

/// Checks CPL against IOPL, then the I/O permission bitmap of the TSS (SDM volume 1, section 19.5.2).
pub(super) fn check_port(c: &mut Cpu, port: u16, n: u8) -> Res {
    if ports_are_free(c) {
        return Ok(());
    }
    let tss = c.tr;
    // 32- and 64-bit TSS types only; the bitmap's offset stands at 102.
    if !tss.present() || !matches!(tss.kind(), 9 | 11) || tss.limit < 103 {
        return Err(c.gp(0));
    }
    let base = c.system_read(tss.base.wrapping_add(102), 2)? as u32;
    let at = base + u32::from(port >> 3);
    if at + 1 > tss.limit {
        return Err(c.gp(0));
    }
    let bits = c.system_read(tss.base.wrapping_add(u64::from(at)), 2)?;
    let mask = size_mask(n).count_ones() / 8;
    if bits >> (port & 7) & ((1 << mask) - 1) != 0 {
        return Err(c.gp(0));
    }
    Ok(())
}

fn port_of(c: &Cpu, op: &Op) -> u16 {
    // The form says where the port is: `extra` is 1 for DX.
    if op.extra != 0 {
        c.r[RDX] as u16
    } else {
        op.imm as u8 as u16
    }
}

pub(super) fn port_read(c: &mut Cpu, op: &Op, port: u16, n: u8) -> u32 {
    c.note_port_access(port, n);
    c.counters.pio += 1;
    c.touch();
    let retired = c.retired_before(op);
    let v = c.bus().pio_read(port, access_size(n), retired);
    c.trace_port(port, n, v, false, retired);
    v
}

pub(super) fn port_write(c: &mut Cpu, op: &Op, port: u16, n: u8, v: u32) {
    c.note_port_access(port, n);
    c.counters.pio += 1;
    c.touch();
    let retired = c.retired_before(op);
    c.bus().pio_write(port, access_size(n), v, retired);
    c.trace_port(port, n, v, true, retired);
}

/// VMware's backdoor: an IN of this port with this number in EAX (open-vm-tools, backdoor_def.h).
const BACKDOOR_PORT: u16 = 0x5658;
const BACKDOOR_MAGIC: u32 = 0x564D_5868;

/// Offers an IN of the backdoor's port to the board. Says whether it was a call; all six registers are then set.
fn backdoor(c: &mut Cpu, op: &Op) -> bool {
    const REGISTERS: [usize; 6] = [RAX, RBX, RCX, RDX, RSI, RDI];
    let mut values = REGISTERS.map(|r| c.r[r] as u32);
    if values[0] != BACKDOOR_MAGIC {
        return false;
    }
    let retired = c.retired_before(op);
    if !c.bus().backdoor(&mut values, retired) {
        return false;
    }
    c.counters.pio += 1;
    c.touch();
    for (r, value) in REGISTERS.into_iter().zip(values) {
        c.r[r] = u64::from(value);
    }
    c.trace_port(BACKDOOR_PORT, 4, values[0], false, retired);
    true
}

/// IN.
pub(crate) fn port_in(c: &mut Cpu, op: &Op) -> Res {
    let (port, n) = (port_of(c, op), op.size().min(4));
    if port == BACKDOOR_PORT && n == 4 && backdoor(c, op) {
        return Ok(());
    }
    check_port(c, port, n)?;
    let v = port_read(c, op, port, n);
    c.set_reg_at(0, n, u64::from(v));
    Ok(())
}

/// OUT.
pub(crate) fn port_out(c: &mut Cpu, op: &Op) -> Res {
    let (port, n) = (port_of(c, op), op.size().min(4));
    check_port(c, port, n)?;
    let v = c.reg_at(0, n) as u32;
    port_write(c, op, port, n, v);
    Ok(())
}
