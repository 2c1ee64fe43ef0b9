//! Control and debug registers, MSRs, CPUID, time-stamp counter, HLT, interrupt flag, TLB control.

use crate::cpu::{Cpu, RAX, RBX, RCX, RDX, Res, Why, cr0, cr4, efer, seg, vector};
use crate::cpuid;
use crate::debug::{DR7_GD, dr6};
use crate::observe::ControlRegister;
use crate::trace::Op;

/// MOV from a control register: `dst` is the general register's offset, `src` the number.
pub(crate) fn mov_from_cr(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let v = match op.src {
        0 => c.cr0,
        2 => c.cr2,
        3 => c.cr3,
        // The 486 has no such register.
        4 if c.cr4_allowed != 0 => c.cr4,
        8 if c.code64() => u64::from(c.bus().cr8()),
        _ => return Err(c.ud()),
    };
    let n = if c.code64() { 8 } else { 4 };
    c.set_reg_at(op.dst, n, v);
    Ok(())
}

/// MOV to a control register: `dst` is the number.
pub(crate) fn mov_to_cr(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let v = c.reg_at(op.src, if c.code64() { 8 } else { 4 });
    match op.dst {
        0 => c.write_cr0(v),
        2 => {
            c.cr2 = v;
            Ok(())
        }
        3 => c.write_cr3(v),
        4 if c.cr4_allowed != 0 => c.write_cr4(v),
        8 if c.code64() => {
            if v > 15 {
                return Err(c.gp(0));
            }
            let retired = c.retired_before(op);
            c.bus().set_cr8(v as u8, retired);
            c.touch();
            Ok(())
        }
        _ => Err(c.ud()),
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
        c.dr[6] = c.dr[6] & dr6::KEPT | u64::from(dr6::BD);
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
        apic_id: 0,
    };
    let leaf = cpuid::leaf(&c.config, c.features, query);
    for (reg, v) in [RAX, RBX, RCX, RDX].into_iter().zip(leaf) {
        c.r[reg] = u64::from(v);
    }
    Ok(())
}

fn tsc(c: &mut Cpu, op: &Op) -> u64 {
    let retired = c.retired_before(op);
    let raw = c.bus().tsc(retired);
    raw.wrapping_add(c.msr.tsc_offset)
}

fn set_edx_eax(c: &mut Cpu, v: u64) {
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

/// RDPMC: there are no performance counters.
pub(crate) fn rdpmc(c: &mut Cpu, _op: &Op) -> Res {
    Err(c.gp(0))
}

mod msr {
    pub const TSC: u32 = 0x10;
    pub const APIC_BASE: u32 = 0x1B;
    pub const UCODE_REV: u32 = 0x8B;
    pub const MTRRCAP: u32 = 0xFE;
    pub const SYSENTER_CS: u32 = 0x174;
    pub const SYSENTER_ESP: u32 = 0x175;
    pub const SYSENTER_EIP: u32 = 0x176;
    pub const MCG_CAP: u32 = 0x179;
    pub const MCG_STATUS: u32 = 0x17A;
    pub const MISC_ENABLE: u32 = 0x1A0;
    pub const DEBUGCTL: u32 = 0x1D9;
    pub const PAT: u32 = 0x277;
    pub const MTRR_DEF_TYPE: u32 = 0x2FF;
    pub const MC0_CTL: u32 = 0x400;
    pub const EFER: u32 = 0xC000_0080;
    pub const STAR: u32 = 0xC000_0081;
    pub const LSTAR: u32 = 0xC000_0082;
    pub const CSTAR: u32 = 0xC000_0083;
    pub const FMASK: u32 = 0xC000_0084;
    pub const FS_BASE: u32 = 0xC000_0100;
    pub const GS_BASE: u32 = 0xC000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
    pub const TSC_AUX: u32 = 0xC000_0103;
    pub const SYSCFG: u32 = 0xC001_0010;
    pub const HWCR: u32 = 0xC001_0015;
    pub const INT_PENDING: u32 = 0xC001_0055;
    pub const VM_CR: u32 = 0xC001_0114;
    pub const PATCH_LOADER: u32 = 0xC001_0020;
}

/// Index of a fixed-range MTRR.
fn fixed_mtrr(n: u32) -> Option<usize> {
    match n {
        0x250 => Some(0),
        0x258 | 0x259 => Some((n - 0x258) as usize + 1),
        0x268..=0x26F => Some((n - 0x268) as usize + 3),
        _ => None,
    }
}

/// IA32_DEBUGCTL: last-branch records and single-stepping on branches.
const DEBUGCTL_BITS: u64 = 3;

/// Memory types that an MTRR may hold: UC, WC, WT, WP, WB (SDM volume 3, table 12-8).
fn memory_type(v: u8) -> bool {
    matches!(v, 0 | 1 | 4..=6)
}

/// The feature that brings a register; registers that no model lacks, and those that no model has, need none.
fn msr_feature(n: u32) -> &'static str {
    match n {
        msr::SYSENTER_CS..=msr::SYSENTER_EIP => "sep",
        msr::TSC => "tsc",
        msr::APIC_BASE => "apic",
        msr::PAT => "pat",
        msr::MTRRCAP | msr::MTRR_DEF_TYPE | 0x200..=0x20F | 0x250..=0x26F => "mtrr",
        msr::MCG_CAP | msr::MCG_STATUS | msr::MC0_CTL..=0x40F => "mca",
        msr::EFER | msr::STAR => "syscall",
        msr::LSTAR | msr::CSTAR | msr::FMASK => "lm",
        msr::FS_BASE | msr::GS_BASE | msr::KERNEL_GS_BASE => "lm",
        msr::TSC_AUX => "rdtscp",
        _ => "",
    }
}

/// RDMSR.
pub(crate) fn rdmsr(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let n = c.r[RCX] as u32;
    if !c.features.has(msr_feature(n)) {
        return Err(c.gp(0));
    }
    let m = &c.msr;
    let v = match n {
        msr::TSC => tsc(c, op),
        msr::APIC_BASE => c.bus().apic_base(),
        msr::UCODE_REV | msr::INT_PENDING => 0,
        msr::DEBUGCTL => m.debugctl,
        msr::SYSCFG if c.amd => m.syscfg,
        // SVM is locked off.
        msr::VM_CR if c.amd => 1 << 4,
        // Eight variable ranges, fixed ranges, write combining.
        msr::MTRRCAP => 0x508,
        msr::SYSENTER_CS => m.sysenter_cs,
        msr::SYSENTER_ESP => m.sysenter_esp,
        msr::SYSENTER_EIP => m.sysenter_eip,
        msr::MCG_CAP => 4,
        msr::MCG_STATUS => m.mcg_status,
        msr::MISC_ENABLE => m.misc_enable,
        msr::PAT => m.pat,
        msr::MTRR_DEF_TYPE => m.mtrr_def_type,
        0x200..=0x20F => m.mtrr_variable[(n - 0x200) as usize],
        msr::MC0_CTL..=0x40F if n & 3 == 0 => m.mc_ctl[((n - msr::MC0_CTL) / 4) as usize],
        // Status, address and extra information of the banks: no machine check has happened.
        msr::MC0_CTL..=0x40F => 0,
        msr::EFER => c.efer,
        msr::STAR => m.star,
        msr::LSTAR => m.lstar,
        msr::CSTAR => m.cstar,
        msr::FMASK => m.fmask,
        msr::FS_BASE => c.seg[seg::FS].base,
        msr::GS_BASE => c.seg[seg::GS].base,
        msr::KERNEL_GS_BASE => m.kernel_gs_base,
        msr::TSC_AUX => m.tsc_aux,
        msr::HWCR if c.amd => m.hwcr,
        _ => match fixed_mtrr(n) {
            Some(i) => m.mtrr_fixed[i],
            None => return Err(c.gp(0)),
        },
    };
    set_edx_eax(c, v);
    c.trace_msr(n, v, false, c.retired_before(op));
    Ok(())
}

/// WRMSR.
pub(crate) fn wrmsr(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let n = c.r[RCX] as u32;
    if !c.features.has(msr_feature(n)) {
        return Err(c.gp(0));
    }
    let v = c.r[RAX] & 0xFFFF_FFFF | c.r[RDX] << 32;
    let needs_canonical = matches!(
        n,
        msr::LSTAR
            | msr::CSTAR
            | msr::FS_BASE
            | msr::GS_BASE
            | msr::KERNEL_GS_BASE
            | msr::SYSENTER_ESP
            | msr::SYSENTER_EIP
    );
    if needs_canonical && !Cpu::canonical(v) {
        return Err(c.gp(0));
    }
    match n {
        msr::TSC => {
            let retired = c.retired_before(op);
            let raw = c.bus().tsc(retired);
            c.msr.tsc_offset = v.wrapping_sub(raw);
        }
        msr::APIC_BASE => {
            if !c.bus().set_apic_base(v) {
                return Err(c.gp(0));
            }
        }
        // A microcode update is taken and ignored, the others have no effect that a guest could see.
        msr::UCODE_REV | msr::INT_PENDING | msr::PATCH_LOADER => {}
        msr::DEBUGCTL => {
            if v & !DEBUGCTL_BITS != 0 {
                return Err(c.gp(0));
            }
            c.msr.debugctl = v;
        }
        msr::SYSCFG if c.amd => c.msr.syscfg = v,
        msr::SYSENTER_CS => c.msr.sysenter_cs = v & 0xFFFF_FFFF,
        msr::SYSENTER_ESP => c.msr.sysenter_esp = v,
        msr::SYSENTER_EIP => c.msr.sysenter_eip = v,
        msr::MCG_STATUS => c.msr.mcg_status = v,
        msr::MISC_ENABLE => c.msr.misc_enable = v,
        msr::PAT => {
            let valid = v.to_le_bytes().iter().all(|b| matches!(b, 0 | 1 | 4..=7));
            if !valid {
                return Err(c.gp(0));
            }
            c.msr.pat = v;
        }
        msr::MTRR_DEF_TYPE => {
            if v & !0xCFF != 0 || !memory_type(v as u8) {
                return Err(c.gp(0));
            }
            c.msr.mtrr_def_type = v;
        }
        0x200..=0x20F => {
            // Even: base and type; odd: mask and the valid bit (SDM volume 3, figure 12-7).
            let bad = if n & 1 == 0 {
                v & 0xF00 != 0 || !memory_type(v as u8)
            } else {
                v & 0x7FF != 0
            };
            if bad || v & !c.phys_mask != 0 {
                return Err(c.gp(0));
            }
            c.msr.mtrr_variable[(n - 0x200) as usize] = v;
        }
        msr::MC0_CTL..=0x40F if n & 3 == 0 => c.msr.mc_ctl[((n - msr::MC0_CTL) / 4) as usize] = v,
        // Only zero may be written to the status registers of the banks.
        msr::MC0_CTL..=0x40F => {
            if v != 0 {
                return Err(c.gp(0));
            }
        }
        msr::EFER => {
            let paging = c.cr0 & cr0::PG != 0;
            if v & !c.efer_allowed != 0 || (paging && (v ^ c.efer) & efer::LME != 0) {
                return Err(c.gp(0));
            }
            let nx_changed = (v ^ c.efer) & efer::NXE != 0;
            let new = v & !efer::LMA | c.efer & efer::LMA;
            c.trace_control(ControlRegister::Efer, c.efer, new);
            c.efer = new;
            if nx_changed {
                c.forget_translations();
            }
        }
        msr::STAR => c.msr.star = v,
        msr::LSTAR => c.msr.lstar = v,
        msr::CSTAR => c.msr.cstar = v,
        msr::FMASK => c.msr.fmask = v & 0xFFFF_FFFF,
        msr::FS_BASE => c.set_segment_base(seg::FS, v),
        msr::GS_BASE => c.set_segment_base(seg::GS, v),
        msr::KERNEL_GS_BASE => c.msr.kernel_gs_base = v,
        msr::TSC_AUX => c.msr.tsc_aux = v & 0xFFFF_FFFF,
        msr::HWCR if c.amd => c.msr.hwcr = v,
        _ => match fixed_mtrr(n) {
            Some(i) if v.to_le_bytes().into_iter().all(memory_type) => c.msr.mtrr_fixed[i] = v,
            _ => return Err(c.gp(0)),
        },
    }
    c.trace_msr(n, v, true, c.retired_before(op));
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
