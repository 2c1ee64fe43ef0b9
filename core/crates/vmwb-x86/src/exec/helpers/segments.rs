//! Segment registers, system segments, descriptor tables and the questions about selectors.

use crate::cpu::{Cpu, RSP, Res, TableRegister, cr4, seg, size_mask, vector};
use crate::descriptor::Descriptor;
use crate::trace::Op;

/// MOV from a segment register. Memory always gets 16 bits.
pub(crate) fn mov_from_sreg(c: &mut Cpu, op: &Op) -> Res {
    let n = usize::from(op.src);
    if n > seg::GS {
        return Err(c.ud());
    }
    let v = u64::from(c.seg[n].selector);
    let size = if op.is_mem() { 2 } else { op.size() };
    c.write_rm(op, op.dst, size, v)
}

/// MOV to a segment register; a load of SS holds interrupts off for one instruction.
pub(crate) fn mov_to_sreg(c: &mut Cpu, op: &Op) -> Res {
    let n = usize::from(op.dst);
    if n > seg::GS || n == seg::CS {
        return Err(c.ud());
    }
    let v = c.read_rm(op, op.src, 2)?;
    c.load_segment(n, v as u16)?;
    shadow_of_stack_load(c, n);
    Ok(())
}

/// A load of SS by MOV or POP holds off interrupts and debug traps, so that the stack pointer can be loaded behind it.
fn shadow_of_stack_load(c: &mut Cpu, n: usize) {
    if n == seg::SS {
        (c.shadow, c.debug_shadow) = (true, true);
    }
}

/// PUSH of a segment register: `dst` names it.
pub(crate) fn push_sreg(c: &mut Cpu, op: &Op) -> Res {
    let v = u64::from(c.seg[usize::from(op.dst)].selector);
    let n = op.size();
    if c.amd || n == 2 {
        return c.push(n, v);
    }
    // Intel's processors make the room of the operand and write the selector's 16 bits (SDM volume 2, PUSH).
    let width = c.stack_size();
    let sp = c.reg_at((RSP * 8) as u8, width).wrapping_sub(u64::from(n)) & size_mask(width);
    let at = c.segment_address(seg::SS, sp, 2, true)?;
    let user = c.cpl == 3;
    c.write_linear(at, 2, v, user, true)?;
    c.set_reg_at((RSP * 8) as u8, width, sp);
    Ok(())
}

/// POP of a segment register.
pub(crate) fn pop_sreg(c: &mut Cpu, op: &Op) -> Res {
    let n = usize::from(op.dst);
    // Intel's processors read the selector's 16 bits of the operand's room, AMD's the whole operand.
    let v = c.peek(if c.amd { op.size() } else { 2 }, 0)?;
    let stack = c.current_stack();
    let width = stack.width;
    let sp = stack.sp.wrapping_add(u64::from(op.size())) & size_mask(width);
    c.load_segment(n, v as u16)?;
    // The width of the stack that was popped from counts.
    c.set_reg_at((RSP * 8) as u8, width, sp);
    shadow_of_stack_load(c, n);
    Ok(())
}

fn load_far_pointer(c: &mut Cpu, op: &Op, n: usize) -> Res {
    let size = op.size();
    let offset = c.load_part(op, 0, size)?;
    let selector = c.load_part(op, u64::from(size), 2)?;
    c.load_segment(n, selector as u16)?;
    c.set_reg_at(op.dst, size, offset);
    Ok(())
}

macro_rules! far_loads {
    ($($name:ident $seg:ident)*) => {$(
        pub(crate) fn $name(c: &mut Cpu, op: &Op) -> Res {
            load_far_pointer(c, op, seg::$seg)
        }
    )*};
}
far_loads! { les ES lds DS lss SS lfs FS lgs GS }

fn umip(c: &mut Cpu) -> Res {
    if c.cr4 & cr4::UMIP != 0 {
        c.need_cpl0()
    } else {
        Ok(())
    }
}

fn store_table(c: &mut Cpu, op: &Op, t: TableRegister) -> Res {
    umip(c)?;
    let wide = if c.code64() { 8 } else { 4 };
    let (limit, base) = (
        c.part_address(op, 0, 2, true)?,
        c.part_address(op, 2, wide, true)?,
    );
    c.prepare_modify(op, limit, 2)?;
    c.prepare_modify(op, base, wide as u8)?;
    c.store(op, limit, 2, u64::from(t.limit))?;
    c.store(op, base, wide as u8, t.base)
}

fn load_table(c: &mut Cpu, op: &Op) -> Res<TableRegister> {
    c.need_cpl0()?;
    let wide = if c.code64() { 8u8 } else { 4 };
    let limit = c.load_part(op, 0, 2)? as u16;
    let mut base = c.load_part(op, 2, wide)?;
    if !c.code64() && op.size() == 2 {
        base &= 0xFF_FFFF;
    }
    if c.code64() && !Cpu::canonical(base) {
        return Err(c.gp(0));
    }
    Ok(TableRegister { base, limit })
}

/// SGDT.
pub(crate) fn sgdt(c: &mut Cpu, op: &Op) -> Res {
    let t = c.gdtr;
    store_table(c, op, t)
}

/// SIDT.
pub(crate) fn sidt(c: &mut Cpu, op: &Op) -> Res {
    let t = c.idtr;
    store_table(c, op, t)
}

/// LGDT.
pub(crate) fn lgdt(c: &mut Cpu, op: &Op) -> Res {
    c.gdtr = load_table(c, op)?;
    Ok(())
}

/// LIDT.
pub(crate) fn lidt(c: &mut Cpu, op: &Op) -> Res {
    c.idtr = load_table(c, op)?;
    Ok(())
}

fn need_protected(c: &mut Cpu) -> Res {
    if c.protected() && !c.v86() {
        Ok(())
    } else {
        Err(c.ud())
    }
}

/// SLDT.
pub(crate) fn sldt(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    umip(c)?;
    let (v, size) = (
        u64::from(c.ldtr.selector),
        if op.is_mem() { 2 } else { op.size() },
    );
    c.write_rm(op, op.dst, size, v)
}

/// STR.
pub(crate) fn str(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    umip(c)?;
    let (v, size) = (
        u64::from(c.tr.selector),
        if op.is_mem() { 2 } else { op.size() },
    );
    c.write_rm(op, op.dst, size, v)
}

/// What LLDT and LTR check last: present, and in long mode a canonical base.
fn need_usable(c: &mut Cpu, selector: u16, d: Descriptor) -> Res {
    if !d.present() {
        return Err(c.selector_fault(vector::NP, selector));
    }
    if !Cpu::canonical(d.segment(selector).base) {
        return Err(c.selector_fault(vector::GP, selector));
    }
    Ok(())
}

/// LLDT.
pub(crate) fn lldt(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    c.need_cpl0()?;
    let selector = c.read_rm(op, op.dst, 2)? as u16;
    if selector & !3 == 0 {
        c.ldtr = crate::cpu::Segment {
            selector,
            ..Default::default()
        };
        return Ok(());
    }
    if selector & 4 != 0 {
        return Err(c.selector_fault(vector::GP, selector));
    }
    let d = c.descriptor(selector, vector::GP, true)?;
    if d.is_user() || d.kind() != 2 || d.bad_upper_half() {
        return Err(c.selector_fault(vector::GP, selector));
    }
    need_usable(c, selector, d)?;
    c.ldtr = d.segment(selector);
    Ok(())
}

/// LTR: loads an available TSS and marks it busy.
pub(crate) fn ltr(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    c.need_cpl0()?;
    let selector = c.read_rm(op, op.dst, 2)? as u16;
    if selector & !3 == 0 || selector & 4 != 0 {
        return Err(c.selector_fault(vector::GP, selector));
    }
    let d = c.descriptor(selector, vector::GP, true)?;
    let available = if c.long_mode() {
        d.kind() == 9
    } else {
        matches!(d.kind(), 1 | 9)
    };
    if d.is_user() || !available || d.bad_upper_half() {
        return Err(c.selector_fault(vector::GP, selector));
    }
    need_usable(c, selector, d)?;
    if let Some(at) = c.descriptor_address(selector, 8) {
        c.system_write(at.wrapping_add(5), 1, d.low >> 40 & 0xFF | 2)?;
    }
    c.tr = d.segment(selector);
    c.tr.attr |= 2;
    Ok(())
}

/// What LAR, LSL, VERR and VERW may look at: the descriptor, when CPL and RPL reach it.
fn visible(c: &mut Cpu, selector: u16) -> Res<Option<Descriptor>> {
    if selector & !3 == 0 || c.descriptor_address(selector, 8).is_none() {
        return Ok(None);
    }
    let d = c.descriptor(selector, vector::GP, false)?;
    let rpl = (selector & 3) as u8;
    let reachable = (d.is_code() && d.conforming()) || (c.cpl <= d.dpl() && rpl <= d.dpl());
    Ok(reachable.then_some(d))
}

/// VERR.
pub(crate) fn verr(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    let selector = c.read_rm(op, op.dst, 2)? as u16;
    let ok =
        visible(c, selector)?.is_some_and(|d| d.is_user() && (!d.is_code() || d.kind() & 2 != 0));
    c.set_zf(ok);
    Ok(())
}

/// VERW.
pub(crate) fn verw(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    let selector = c.read_rm(op, op.dst, 2)? as u16;
    let ok =
        visible(c, selector)?.is_some_and(|d| d.is_user() && !d.is_code() && d.kind() & 2 != 0);
    c.set_zf(ok);
    Ok(())
}

/// LAR.
pub(crate) fn lar(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    let selector = c.read_rm(op, op.src, 2)? as u16;
    let long = c.long_mode();
    let valid = visible(c, selector)?.filter(|d| {
        d.is_user()
            || matches!(
                (d.kind(), long),
                (2 | 9 | 11 | 12, _) | (1 | 3 | 4 | 5, false)
            )
    });
    if let Some(d) = valid {
        c.set_reg_at(op.dst, op.size(), d.low >> 32 & 0x00FF_FF00);
    }
    c.set_zf(valid.is_some());
    Ok(())
}

/// LSL.
pub(crate) fn lsl(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    let selector = c.read_rm(op, op.src, 2)? as u16;
    let long = c.long_mode();
    let valid = visible(c, selector)?
        .filter(|d| d.is_user() || matches!((d.kind(), long), (2 | 9 | 11, _) | (1 | 3, false)));
    if let Some(d) = valid {
        c.set_reg_at(op.dst, op.size(), u64::from(d.segment(0).limit));
    }
    c.set_zf(valid.is_some());
    Ok(())
}

/// ARPL.
pub(crate) fn arpl(c: &mut Cpu, op: &Op) -> Res {
    need_protected(c)?;
    let dst = c.read_rm(op, op.dst, 2)?;
    let src = c.reg_at(op.src, 2);
    let raise = dst & 3 < src & 3;
    if raise {
        c.write_rm(op, op.dst, 2, dst & !3 | src & 3)?;
    }
    c.set_zf(raise);
    Ok(())
}
