//! Control and debug registers, CPUID, time-stamp counter, HLT, interrupt flag, TLB control.

use crate::cpu::{Cpu, RAX, RBX, RCX, RDX, Res, Why, cr0, cr4, efer, seg, vector};
use crate::cpuid;
use crate::debug::{DR7_GD, dr6};
use crate::observe::ControlRegister;
use crate::trace::Op;

/// #UD for control registers that are not there, which goes before the privilege.
fn need_control_register(c: &mut Cpu, n: u8) -> Res {
    let exists = match n {
        0 | 2 | 3 => true,
        // The 486 has no such register.
        4 => c.cr4_allowed != 0,
        8 => c.code64(),
        _ => false,
    };
    if !exists {
        return Err(c.ud());
    }
    c.need_cpl0()
}

/// MOV from a control register: `dst` is the general register's offset, `src` the number.
pub(crate) fn mov_from_cr(c: &mut Cpu, op: &Op) -> Res {
    need_control_register(c, op.src)?;
    let v = match op.src {
        0 => c.cr0,
        2 => c.cr2,
        3 => c.cr3,
        4 => c.cr4,
        _ => u64::from(c.bus().cr8()),
    };
    let n = if c.code64() { 8 } else { 4 };
    c.set_reg_at(op.dst, n, v);
    Ok(())
}

/// MOV to a control register: `dst` is the number.
pub(crate) fn mov_to_cr(c: &mut Cpu, op: &Op) -> Res {
    need_control_register(c, op.dst)?;
    let v = c.reg_at(op.src, if c.code64() { 8 } else { 4 });
    match op.dst {
        0 => c.write_cr0(v),
        2 => {
            c.cr2 = v;
            Ok(())
        }
        3 => c.write_cr3(v),
        4 => c.write_cr4(v),
        _ => {
            if v > 15 {
                return Err(c.gp(0));
            }
            let retired = c.retired_before(op);
            c.bus().set_cr8(v as u8, retired);
            c.touch();
            Ok(())
        }
    }
}

/// MOV from a debug register.
pub(crate) fn mov_from_dr(c: &mut Cpu, op: &Op) -> Res {
    let n = debug_register(c, op.src)?;
    let v = c.dr[n];
    let size = if c.code64() { 8 } else { 4 };
    c.set_reg_at(op.dst, size, v);
    Ok(())
}

/// MOV to a debug register.
pub(crate) fn mov_to_dr(c: &mut Cpu, op: &Op) -> Res {
    let n = debug_register(c, op.dst)?;
    let v = c.reg_at(op.src, if c.code64() { 8 } else { 4 });
    if n >= 6 && v >> 32 != 0 {
        return Err(c.gp(0));
    }
    c.dr[n] = match n {
        6 => v & 0xE00F | 0xFFFF_0FF0,
        7 => v & 0xFFFF_2BFF | 0x400,
        _ => v,
    };
    c.breakpoints_changed();
    Ok(())
}

/// The debug register that an instruction names, after the checks of SDM volume 3, section 18.2.
fn debug_register(c: &mut Cpu, n: u8) -> Res<usize> {
    if matches!(n, 4 | 5) && c.cr4 & cr4::DE != 0 || n > 7 {
        return Err(c.ud());
    }
    c.need_cpl0()?;
    if c.dr[7] & DR7_GD != 0 {
        c.note_in_dr6(dr6::BD);
        c.dr[7] &= !DR7_GD;
        return Err(c.raise(vector::DB));
    }
    // Without CR4.DE, DR4 and DR5 are other names of DR6 and DR7.
    Ok(usize::from(if matches!(n, 4 | 5) { n + 2 } else { n }))
}

/// CR3 bit 63 with CR4.PCIDE.
const CR3_KEEP: u64 = 1 << 63;

impl Cpu {
    fn write_cr0(&mut self, v: u64) -> Res {
        let v = v
            & (cr0::PE
                | cr0::MP
                | cr0::EM
                | cr0::TS
                | cr0::NE
                | cr0::WP
                | cr0::AM
                | cr0::NW
                | cr0::CD
                | cr0::PG
                | v & !0xFFFF_FFFF)
            | cr0::ET;
        let (pe, pg) = (v & cr0::PE != 0, v & cr0::PG != 0);
        if v >> 32 != 0 || (pg && !pe) || (v & cr0::NW != 0 && v & cr0::CD == 0) {
            return Err(self.gp(0));
        }
        let was_paging = self.cr0 & cr0::PG != 0;
        if pg && !was_paging {
            if self.efer & efer::LME != 0 {
                // Neither 64-bit code nor a 16-bit TSS may be in use (SDM volume 3, section 10.8.5).
                let narrow_tss = matches!(self.tr.kind(), 1 | 3) && self.tr.present();
                if self.cr4 & cr4::PAE == 0 || self.seg[seg::CS].long() || narrow_tss {
                    return Err(self.gp(0));
                }
                self.efer |= efer::LMA;
            } else if self.cr4 & cr4::PAE != 0 && !self.load_pdptes(self.cr3) {
                return Err(self.gp(0));
            }
        } else if !pg && was_paging {
            if self.code64() || self.cr4 & cr4::PCIDE != 0 {
                return Err(self.gp(0));
            }
            self.efer &= !efer::LMA;
        }
        let changed = self.cr0 ^ v;
        self.trace_control(ControlRegister::Cr0, self.cr0, v);
        self.cr0 = v;
        if changed & cr0::PE != 0 {
            // Real mode runs at privilege level 0, and so does what follows the switch out of it.
            self.cpl = 0;
            self.segment_rules_changed();
        }
        if changed & (cr0::PG | cr0::WP | cr0::PE) != 0 {
            self.forget_translations();
        }
        self.update_mode();
        Ok(())
    }

    fn write_cr3(&mut self, v: u64) -> Res {
        let v = if self.long_mode() {
            // With CR4.PCIDE bit 63 asks to keep what is cached, which is always allowed, and is not stored.
            let v = if self.cr4 & cr4::PCIDE != 0 {
                v & !CR3_KEEP
            } else {
                v
            };
            if v & !self.phys_mask != 0 {
                return Err(self.gp(0));
            }
            v
        } else {
            v & 0xFFFF_FFFF
        };
        if self.cr4 & cr4::PAE != 0
            && self.cr0 & cr0::PG != 0
            && !self.long_mode()
            && !self.load_pdptes(v)
        {
            return Err(self.gp(0));
        }
        self.counters.cr3_loads += 1;
        self.trace_space(self.cr3, v);
        self.cr3 = v;
        self.spaces.switch_to(v);
        self.took_long();
        self.update_mode();
        Ok(())
    }

    fn write_cr4(&mut self, v: u64) -> Res {
        let set = v & !self.cr4;
        let bad = v & !self.cr4_allowed != 0
            || (self.long_mode() && v & cr4::PAE == 0)
            || (set & cr4::PCIDE != 0 && (!self.long_mode() || self.cr3 & 0xFFF != 0));
        if bad {
            return Err(self.gp(0));
        }
        let changed = self.cr4 ^ v;
        self.trace_control(ControlRegister::Cr4, self.cr4, v);
        let paging = changed & (cr4::PAE | cr4::PSE | cr4::PGE | cr4::SMEP) != 0;
        if paging && v & cr4::PAE != 0 && self.cr0 & cr0::PG != 0 && !self.long_mode() {
            let old = std::mem::replace(&mut self.cr4, v);
            if !self.load_pdptes(self.cr3) {
                self.cr4 = old;
                return Err(self.gp(0));
            }
        }
        self.cr4 = v;
        if changed & cr4::DE != 0 {
            self.breakpoints_changed();
        }
        if paging || changed & (cr4::SMAP | cr4::PCIDE) != 0 {
            self.forget_translations();
        }
        self.update_mode();
        Ok(())
    }

    /// Whether RDTSC, RDTSCP and RDPMC are closed to this privilege.
    fn tsc_closed(&self) -> bool {
        self.cr4 & cr4::TSD != 0 && self.cpl != 0
    }

    /// Drops every cached translation, global ones included.
    pub(crate) fn forget_translations(&mut self) {
        self.spaces.forget_all();
        let cr3 = self.cr3;
        self.spaces.switch_to(cr3);
        self.took_long();
        self.update_mode();
    }
}

/// LMSW: can set PE, never clear it.
pub(crate) fn lmsw(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let v = c.read_rm(op, op.dst, 2)?;
    let new = c.cr0 & !0xE | v & 0xF | c.cr0 & cr0::PE;
    c.write_cr0(new)
}

/// SMSW.
pub(crate) fn smsw(c: &mut Cpu, op: &Op) -> Res {
    if c.cr4 & cr4::UMIP != 0 {
        c.need_cpl0()?;
    }
    let (v, size) = (c.cr0, if op.is_mem() { 2 } else { op.size() });
    c.write_rm(op, op.dst, size, v)
}

/// CLTS.
pub(crate) fn clts(c: &mut Cpu, _op: &Op) -> Res {
    c.need_cpl0()?;
    c.cr0 &= !cr0::TS;
    Ok(())
}

/// INVLPG.
pub(crate) fn invlpg(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let offset = c.offset_of(op);
    let segment = op.segment();
    let linear = if c.code64() {
        if segment >= seg::FS {
            c.seg[segment].base.wrapping_add(offset)
        } else {
            offset
        }
    } else {
        c.seg[segment].base.wrapping_add(offset) & 0xFFFF_FFFF
    };
    c.spaces.forget_page(linear);
    c.took_long();
    Ok(())
}

/// INVPCID (SDM volume 2): every kind may forget more than it must, and here all but the first forget everything.
pub(crate) fn invpcid(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    if c.real_segments() {
        return Err(c.ud());
    }
    let kind = c.reg_at(op.dst, if c.code64() { 8 } else { 4 });
    let at = c.operand_address(op, 16, false)?;
    let pcid = c.load(op, at, 8)?;
    let linear = c.load(op, at.wrapping_add(8), 8)?;
    let pcid_off = c.cr4 & cr4::PCIDE == 0 && pcid != 0;
    match kind {
        _ if pcid >> 12 != 0 => Err(c.gp(0)),
        0 if pcid_off || !Cpu::canonical(linear) => Err(c.gp(0)),
        0 => {
            c.spaces.forget_page(linear);
            c.took_long();
            Ok(())
        }
        1 if pcid_off => Err(c.gp(0)),
        1..=3 => {
            c.forget_translations();
            Ok(())
        }
        _ => Err(c.gp(0)),
    }
}

/// INVD, WBINVD: there are no caches to write back.
pub(crate) fn wbinvd(c: &mut Cpu, _op: &Op) -> Res {
    c.need_cpl0()
}

/// CLFLUSH: there is no cache, but the byte is translated as if it were read.
pub(crate) fn clflush(c: &mut Cpu, op: &Op) -> Res {
    let at = c.operand_address(op, 1, false)?;
    c.probe_read(op, at)
}

/// HLT.
pub(crate) fn hlt(c: &mut Cpu, _op: &Op) -> Res {
    c.need_cpl0()?;
    c.counters.halts += 1;
    c.trace_halt();
    c.halted = true;
    c.why = Why::Halt;
    Ok(())
}

/// PAUSE: with other processors in the machine the loop that it stands in most likely waits for one of them.
pub(crate) fn pause(c: &mut Cpu, _op: &Op) -> Res {
    if c.config.processors > 1 {
        c.yielded = true;
        c.touch();
    }
    Ok(())
}

/// MONITOR is not announced; MWAIT neither.
pub(crate) fn monitor(c: &mut Cpu, _op: &Op) -> Res {
    Err(c.ud())
}

/// See [`monitor`].
pub(crate) fn mwait(c: &mut Cpu, _op: &Op) -> Res {
    Err(c.ud())
}

/// SWAPGS.
pub(crate) fn swapgs(c: &mut Cpu, _op: &Op) -> Res {
    if !c.code64() {
        return Err(c.ud());
    }
    c.need_cpl0()?;
    let base = c.seg[seg::GS].base;
    let kernel = c.msr.kernel_gs_base;
    c.set_segment_base(seg::GS, kernel);
    c.msr.kernel_gs_base = base;
    Ok(())
}

/// CPUID.
pub(crate) fn cpuid(c: &mut Cpu, _op: &Op) -> Res {
    let function = c.r[RAX] as u32;
    let enabled = c.bus().apic_base() & 1 << 11 != 0;
    let query = cpuid::Query {
        function,
        index: c.r[RCX] as u32,
        apic_enabled: enabled,
        osxsave: c.cr4 & cr4::OSXSAVE != 0,
        xcr0: c.xcr0,
        apic_id: u32::from(c.config.number),
    };
    let leaf = cpuid::leaf(&c.config, c.features, query);
    for (reg, v) in [RAX, RBX, RCX, RDX].into_iter().zip(leaf) {
        c.r[reg] = u64::from(v);
    }
    Ok(())
}

pub(super) fn tsc(c: &mut Cpu, op: &Op) -> u64 {
    let retired = c.retired_before(op);
    let raw = c.bus().tsc(retired);
    raw.wrapping_add(c.msr.tsc_offset)
}

pub(super) fn set_edx_eax(c: &mut Cpu, v: u64) {
    c.r[RAX] = v & 0xFFFF_FFFF;
    c.r[RDX] = v >> 32;
}

/// RDTSC.
pub(crate) fn rdtsc(c: &mut Cpu, op: &Op) -> Res {
    if c.tsc_closed() {
        return Err(c.gp(0));
    }
    let v = tsc(c, op);
    set_edx_eax(c, v);
    Ok(())
}

/// RDTSCP.
pub(crate) fn rdtscp(c: &mut Cpu, op: &Op) -> Res {
    rdtsc(c, op)?;
    c.r[RCX] = c.msr.tsc_aux & 0xFFFF_FFFF;
    Ok(())
}

/// RDPMC: the counters count nothing.
pub(crate) fn rdpmc(c: &mut Cpu, _op: &Op) -> Res {
    if c.cr4 & cr4::PCE == 0 {
        c.need_cpl0()?;
    }
    if c.r[RCX] & 0xFFFF_FFFF >= c.features.model().performance_counters() {
        return Err(c.gp(0));
    }
    set_edx_eax(c, 0);
    Ok(())
}

/// The x87 or SSE unit may be used now: else #NM or #UD (SDM volume 3, section 2.5, table 2-3).
pub(crate) fn need_fpu(c: &mut Cpu, wait: bool) -> Res {
    let blocked = if wait {
        c.cr0 & (cr0::MP | cr0::TS) == cr0::MP | cr0::TS
    } else {
        c.cr0 & (cr0::EM | cr0::TS) != 0
    };
    if blocked {
        Err(c.raise(vector::NM))
    } else {
        Ok(())
    }
}

/// The SSE unit may be used now.
pub(crate) fn need_sse(c: &mut Cpu) -> Res {
    if c.cr0 & cr0::EM != 0 || c.cr4 & cr4::OSFXSR == 0 {
        return Err(c.ud());
    }
    if c.cr0 & cr0::TS != 0 {
        return Err(c.raise(vector::NM));
    }
    Ok(())
}
