//! Model-specific registers: RDMSR and WRMSR (SDM volume 4; AMD64 manual volume 2, appendix A).

use super::system::{set_edx_eax, tsc};
use crate::cpu::{Cpu, RAX, RCX, RDX, Res, cr0, efer, seg};
use crate::debug::{DEBUGCTL_BTF, DEBUGCTL_LBR, DEBUGCTL_PINS};
use crate::observe::ControlRegister;
use crate::trace::Op;

mod number {
    /// The machine check of the Pentium, which later processors have as registers that read zero.
    pub const P5_MC_ADDR: u32 = 0;
    pub const P5_MC_TYPE: u32 = 1;
    pub const TSC: u32 = 0x10;
    pub const PLATFORM_ID: u32 = 0x17;
    pub const APIC_BASE: u32 = 0x1B;
    pub const EBL_CR_POWERON: u32 = 0x2A;
    pub const UPDATE_TRIGGER: u32 = 0x79;
    pub const UCODE_REV: u32 = 0x8B;
    /// Two performance counters of P6 and later, and their event selectors.
    pub const PMC_0: u32 = 0xC1;
    pub const PMC_1: u32 = 0xC2;
    pub const PERF_EVT_SEL_P6_0: u32 = 0x186;
    pub const PERF_EVT_SEL_P6_1: u32 = 0x187;
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
    pub const TSC_DEADLINE: u32 = 0x6E0;
    /// Registers of the local APIC in x2APIC mode.
    pub const X2APIC: u32 = 0x800;
    pub const X2APIC_LAST: u32 = 0x83F;
    pub const EFER: u32 = 0xC000_0080;
    pub const STAR: u32 = 0xC000_0081;
    pub const LSTAR: u32 = 0xC000_0082;
    pub const CSTAR: u32 = 0xC000_0083;
    pub const FMASK: u32 = 0xC000_0084;
    pub const FS_BASE: u32 = 0xC000_0100;
    pub const GS_BASE: u32 = 0xC000_0101;
    pub const KERNEL_GS_BASE: u32 = 0xC000_0102;
    pub const TSC_AUX: u32 = 0xC000_0103;
    /// Performance counters of the K7 and later: four event selectors, four counters (AMD APM volume 2, 13.2.1).
    pub const PERF_EVT_SEL_0: u32 = 0xC001_0000;
    pub const PERF_CTR_3: u32 = 0xC001_0007;
    pub const SYSCFG: u32 = 0xC001_0010;
    pub const HWCR: u32 = 0xC001_0015;
    /// HWCR.TscFreqSel, since family 10h: the time-stamp counter runs at the frequency of P0.
    pub const HWCR_TSC_AT_P0: u64 = 1 << 24;
    pub const NB_CFG: u32 = 0xC001_001F;
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

/// Memory types that an MTRR may hold: UC, WC, WT, WP, WB (SDM volume 3, table 12-8).
fn memory_type(v: u8) -> bool {
    matches!(v, 0 | 1 | 4..=6)
}

/// The feature that brings a register; registers that no model lacks, and those that no model has, need none.
fn msr_feature(n: u32) -> &'static str {
    match n {
        number::SYSENTER_CS..=number::SYSENTER_EIP => "sep",
        number::TSC => "tsc",
        number::APIC_BASE => "apic",
        number::PAT => "pat",
        number::MTRRCAP | number::MTRR_DEF_TYPE | 0x200..=0x20F | 0x250..=0x26F => "mtrr",
        number::MCG_CAP | number::MCG_STATUS | number::MC0_CTL..=0x40F => "mca",
        number::TSC_DEADLINE => "tsc_deadline",
        number::X2APIC..=number::X2APIC_LAST => "x2apic",
        number::EFER | number::STAR => "syscall",
        number::LSTAR | number::CSTAR | number::FMASK => "lm",
        number::FS_BASE | number::GS_BASE | number::KERNEL_GS_BASE => "lm",
        number::TSC_AUX => "rdtscp",
        _ => "",
    }
}

/// Whether the model has a register: by its features, its vendor or its family.
fn has_register(c: &Cpu, n: u32) -> bool {
    let model = c.features.model();
    let p6 = !c.amd && model.family() >= 6;
    let of_family = match n {
        number::P5_MC_ADDR | number::P5_MC_TYPE => c.features.has("mce"),
        number::PLATFORM_ID
        | number::EBL_CR_POWERON
        | number::UPDATE_TRIGGER
        | number::PMC_0
        | number::PMC_1
        | number::PERF_EVT_SEL_P6_0
        | number::PERF_EVT_SEL_P6_1 => p6,
        number::UCODE_REV => p6 || c.amd,
        number::MISC_ENABLE => model.has_misc_enable(),
        number::DEBUGCTL => model.branch_records() > 0,
        number::SYSCFG
        | number::VM_CR
        | number::HWCR
        | number::NB_CFG
        | number::INT_PENDING
        | number::PATCH_LOADER
        | number::PERF_EVT_SEL_0..=number::PERF_CTR_3 => c.amd,
        _ => true,
    };
    of_family && c.features.has(msr_feature(n))
}

/// RDMSR.
pub(crate) fn rdmsr(c: &mut Cpu, op: &Op) -> Res {
    c.need_cpl0()?;
    let n = c.r[RCX] as u32;
    if !has_register(c, n) {
        return Err(c.gp(0));
    }
    let m = &c.msr;
    let v = match n {
        number::TSC => tsc(c, op),
        number::APIC_BASE => c.bus().apic_base(),
        number::UCODE_REV | number::INT_PENDING => 0,
        // No machine check; the first platform; a bus at its slowest; and nothing is counted.
        number::P5_MC_ADDR
        | number::P5_MC_TYPE
        | number::PLATFORM_ID
        | number::EBL_CR_POWERON
        | number::PMC_0
        | number::PMC_1
        | number::PERF_EVT_SEL_P6_0
        | number::PERF_EVT_SEL_P6_1 => 0,
        number::DEBUGCTL => m.debugctl,
        number::SYSCFG => m.syscfg,
        // SVM is locked off.
        number::VM_CR => 1 << 4,
        // Eight variable ranges, fixed ranges, write combining.
        number::MTRRCAP => 0x508,
        number::SYSENTER_CS => m.sysenter_cs,
        number::SYSENTER_ESP => m.sysenter_esp,
        number::SYSENTER_EIP => m.sysenter_eip,
        number::MCG_CAP => 4,
        number::MCG_STATUS => m.mcg_status,
        number::MISC_ENABLE => m.misc_enable,
        number::PAT => m.pat,
        number::MTRR_DEF_TYPE => m.mtrr_def_type,
        0x200..=0x20F => m.mtrr_variable[(n - 0x200) as usize],
        number::MC0_CTL..=0x40F if n & 3 == 0 => m.mc_ctl[((n - number::MC0_CTL) / 4) as usize],
        // Status, address and extra information of the banks: no machine check has happened.
        number::MC0_CTL..=0x40F => 0,
        number::TSC_DEADLINE => {
            let retired = c.retired_before(op);
            c.bus().tsc_deadline(retired)
        }
        number::X2APIC..=number::X2APIC_LAST => {
            let retired = c.retired_before(op);
            match c.bus().x2apic_read(n, retired) {
                Some(v) => v,
                None => return Err(c.gp(0)),
            }
        }
        number::EFER => c.efer,
        number::STAR => m.star,
        number::LSTAR => m.lstar,
        number::CSTAR => m.cstar,
        number::FMASK => m.fmask,
        number::FS_BASE => c.seg[seg::FS].base,
        number::GS_BASE => c.seg[seg::GS].base,
        number::KERNEL_GS_BASE => m.kernel_gs_base,
        number::TSC_AUX => m.tsc_aux,
        number::HWCR if c.features.model().family() >= 0x10 => m.hwcr | number::HWCR_TSC_AT_P0,
        number::HWCR => m.hwcr,
        // The northbridge's extended configuration space is not there: nothing in this register has an effect.
        number::NB_CFG => 0,
        // Nothing is counted. Systems that try the counters find that out; others only switch them off.
        number::PERF_EVT_SEL_0..=number::PERF_CTR_3 => 0,
        _ => match fixed_mtrr(n) {
            Some(i) => m.mtrr_fixed[i],
            None => match c.branch_register(n) {
                Some(v) => v,
                None => return Err(c.gp(0)),
            },
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
    if !has_register(c, n) {
        return Err(c.gp(0));
    }
    let v = c.r[RAX] & 0xFFFF_FFFF | c.r[RDX] << 32;
    let needs_canonical = matches!(
        n,
        number::LSTAR
            | number::CSTAR
            | number::FS_BASE
            | number::GS_BASE
            | number::KERNEL_GS_BASE
            | number::SYSENTER_ESP
            | number::SYSENTER_EIP
    );
    if needs_canonical && !Cpu::canonical(v) {
        return Err(c.gp(0));
    }
    match n {
        number::TSC => {
            let retired = c.retired_before(op);
            let raw = c.bus().tsc(retired);
            let offset = v.wrapping_sub(raw);
            c.msr.tsc_offset = offset;
            let deadline = c.bus().tsc_deadline(retired);
            if deadline != 0 {
                c.bus().set_tsc_deadline(deadline, offset, retired);
                c.touch();
            }
        }
        number::APIC_BASE => {
            if v & !c.phys_mask != 0 || !c.bus().set_apic_base(v) {
                return Err(c.gp(0));
            }
            c.touch();
        }
        number::TSC_DEADLINE => {
            let (retired, offset) = (c.retired_before(op), c.msr.tsc_offset);
            c.bus().set_tsc_deadline(v, offset, retired);
            c.touch();
        }
        number::X2APIC..=number::X2APIC_LAST => {
            let retired = c.retired_before(op);
            if !c.bus().x2apic_write(n, v, retired) {
                return Err(c.gp(0));
            }
            c.touch();
        }
        // A microcode update is taken and ignored, the others have no effect that a guest could see.
        number::UCODE_REV
        | number::INT_PENDING
        | number::PATCH_LOADER
        | number::UPDATE_TRIGGER
        | number::P5_MC_ADDR
        | number::P5_MC_TYPE
        | number::EBL_CR_POWERON
        | number::PMC_0
        | number::PMC_1
        | number::PERF_EVT_SEL_P6_0
        | number::PERF_EVT_SEL_P6_1 => {}
        number::DEBUGCTL => {
            let several = c.features.model().branch_records() > 1;
            let pins = if several { 0 } else { DEBUGCTL_PINS };
            if v & !(DEBUGCTL_LBR | DEBUGCTL_BTF | pins) != 0 {
                return Err(c.gp(0));
            }
            c.msr.debugctl = v;
        }
        number::SYSCFG => c.msr.syscfg = v,
        number::SYSENTER_CS => c.msr.sysenter_cs = v & 0xFFFF_FFFF,
        number::SYSENTER_ESP => c.msr.sysenter_esp = v,
        number::SYSENTER_EIP => c.msr.sysenter_eip = v,
        number::MCG_STATUS => c.msr.mcg_status = v,
        number::MISC_ENABLE => c.msr.misc_enable = v,
        number::PAT => {
            let valid = v.to_le_bytes().iter().all(|b| matches!(b, 0 | 1 | 4..=7));
            if !valid {
                return Err(c.gp(0));
            }
            c.msr.pat = v;
        }
        number::MTRR_DEF_TYPE => {
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
        // All ones or zeros (SDM volume 3, "IA32_MCi_CTL MSRs"); systems leave bit 0 or 10 out for the errata of their time.
        number::MC0_CTL..=0x40F if n & 3 == 0 => {
            if v != 0 && v | 1 << 10 | 1 != u64::MAX {
                return Err(c.gp(0));
            }
            c.msr.mc_ctl[((n - number::MC0_CTL) / 4) as usize] = v
        }
        // Only zero may be written to the status registers of the banks.
        number::MC0_CTL..=0x40F => {
            if v != 0 {
                return Err(c.gp(0));
            }
        }
        number::EFER => {
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
        number::STAR => c.msr.star = v,
        number::LSTAR => c.msr.lstar = v,
        number::CSTAR => c.msr.cstar = v,
        number::FMASK => c.msr.fmask = v & 0xFFFF_FFFF,
        number::FS_BASE => c.set_segment_base(seg::FS, v),
        number::GS_BASE => c.set_segment_base(seg::GS, v),
        number::KERNEL_GS_BASE => c.msr.kernel_gs_base = v,
        number::TSC_AUX => c.msr.tsc_aux = v & 0xFFFF_FFFF,
        number::HWCR => c.msr.hwcr = v,
        number::NB_CFG => {}
        number::PERF_EVT_SEL_0..=number::PERF_CTR_3 => {}
        _ => match fixed_mtrr(n) {
            Some(i) if v.to_le_bytes().into_iter().all(memory_type) => c.msr.mtrr_fixed[i] = v,
            None if c.set_branch_register(n, v) => {}
            _ => return Err(c.gp(0)),
        },
    }
    c.trace_msr(n, v, true, c.retired_before(op));
    Ok(())
}
