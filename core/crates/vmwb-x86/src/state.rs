//! The processor's saved state: architectural registers only. Caches and lazy flags are rebuilt.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Payload, Schema, SnapshotError};

use crate::branches::{Branch, BranchRecords, MOST as MOST_BRANCHES};
use crate::cpu::{Cpu, Fpu, Segment, TableRegister, cr0, cr4, efer, flag};
use crate::exec::helpers::MXCSR_MASK;
use crate::fpu::F80;

const KIND: &str = "vcpu";

/// A segment register as saved.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct SegmentV1 {
    selector: u16,
    base: u64,
    limit: u32,
    attr: u16,
}

/// Version 1. Frozen: [`VcpuV2`] holds it and what came later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VcpuV1 {
    model: String,
    retired: u64,
    gpr: [u64; 16],
    rip: u64,
    rflags: u64,
    cpl: u8,
    segments: [SegmentV1; 6],
    ldtr: SegmentV1,
    tr: SegmentV1,
    gdtr: (u64, u16),
    idtr: (u64, u16),
    cr0: u64,
    cr2: u64,
    cr3: u64,
    cr4: u64,
    efer: u64,
    dr: [u64; 8],
    pdpte: [u64; 4],
    star: u64,
    lstar: u64,
    cstar: u64,
    fmask: u64,
    kernel_gs_base: u64,
    sysenter: [u64; 3],
    pat: u64,
    tsc_aux: u64,
    tsc_offset: u64,
    mtrr_def_type: u64,
    mtrr_variable: [u64; 16],
    mtrr_fixed: [u64; 11],
    mcg_status: u64,
    mc_ctl: [u64; 4],
    misc_enable: u64,
    hwcr: u64,
    /// x87 registers R0 to R7: sign and exponent, significand.
    x87: [(u16, u64); 8],
    x87_control: u16,
    x87_status: u16,
    x87_top: u8,
    x87_empty: u8,
    x87_opcode: u16,
    x87_ip: u64,
    x87_cs: u16,
    x87_dp: u64,
    x87_ds: u16,
    /// XMM registers: low and high half.
    xmm: [(u64, u64); 16],
    mxcsr: u32,
    interrupt_shadow: bool,
    nmi_blocked: bool,
    halted: bool,
}

impl Schema for VcpuV1 {
    const KIND: &'static str = KIND;
    const VERSION: u32 = 1;
}

/// Everything that software can see of a processor, and what decides what it does next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VcpuV2 {
    base: VcpuV1,
    xcr0: u64,
    xss: u64,
    debugctl: u64,
    syscfg: u64,
    /// DR6 bits of debug traps that MOV SS or POP SS holds back.
    pending_debug: u32,
    /// The interrupt shadow is one of MOV SS or POP SS: debug traps wait too.
    debug_shadow: bool,
    /// Exceptions delivered since an instruction last retired.
    fault_streak: u32,
}

impl Schema for VcpuV2 {
    const KIND: &'static str = KIND;
    const VERSION: u32 = 2;
}

/// As version 2, of a machine that may have several processors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VcpuV3 {
    base: VcpuV2,
    /// It waits for a start-up message.
    awaits_startup: bool,
}

impl Schema for VcpuV3 {
    const KIND: &'static str = KIND;
    const VERSION: u32 = 3;
}

/// As version 3, with last-branch records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VcpuV4 {
    base: VcpuV3,
    /// Source and target of each record.
    branches: [(u64, u64); MOST_BRANCHES],
    /// Index of the latest.
    latest_branch: u8,
    /// The latest before the last interrupt or exception.
    interrupted_branch: (u64, u64),
}

impl Schema for VcpuV4 {
    const KIND: &'static str = KIND;
    const VERSION: u32 = 4;
}

impl From<VcpuV3> for VcpuV4 {
    /// Nothing was recorded.
    fn from(base: VcpuV3) -> Self {
        Self {
            base,
            branches: [(0, 0); MOST_BRANCHES],
            latest_branch: 0,
            interrupted_branch: (0, 0),
        }
    }
}

impl From<VcpuV2> for VcpuV3 {
    /// The one processor of those machines ran.
    fn from(base: VcpuV2) -> Self {
        Self {
            base,
            awaits_startup: false,
        }
    }
}

impl From<VcpuV1> for VcpuV2 {
    /// What version 1 did not know had these values always.
    fn from(base: VcpuV1) -> Self {
        Self {
            base,
            xcr0: 1,
            xss: 0,
            debugctl: 0,
            syscfg: 0,
            pending_debug: 0,
            debug_shadow: false,
            fault_streak: 0,
        }
    }
}

impl From<Segment> for SegmentV1 {
    fn from(s: Segment) -> Self {
        Self {
            selector: s.selector,
            base: s.base,
            limit: s.limit,
            attr: s.attr,
        }
    }
}

impl From<SegmentV1> for Segment {
    fn from(s: SegmentV1) -> Self {
        Self {
            selector: s.selector,
            base: s.base,
            limit: s.limit,
            attr: s.attr & 0xF0FF,
        }
    }
}

pub(crate) fn save(c: &Cpu) -> Result<Payload, SnapshotError> {
    let m = &c.msr;
    let f = &c.fpu;
    let mut gpr = [0; 16];
    gpr.copy_from_slice(&c.r[..16]);
    let base = VcpuV1 {
        model: c.config.model.clone(),
        retired: c.retired(),
        gpr,
        rip: c.rip,
        rflags: c.flags(),
        cpl: c.cpl,
        segments: c.seg.map(SegmentV1::from),
        ldtr: c.ldtr.into(),
        tr: c.tr.into(),
        gdtr: (c.gdtr.base, c.gdtr.limit),
        idtr: (c.idtr.base, c.idtr.limit),
        cr0: c.cr0,
        cr2: c.cr2,
        cr3: c.cr3,
        cr4: c.cr4,
        efer: c.efer,
        dr: c.dr,
        pdpte: c.pdpte,
        star: m.star,
        lstar: m.lstar,
        cstar: m.cstar,
        fmask: m.fmask,
        kernel_gs_base: m.kernel_gs_base,
        sysenter: [m.sysenter_cs, m.sysenter_esp, m.sysenter_eip],
        pat: m.pat,
        tsc_aux: m.tsc_aux,
        tsc_offset: m.tsc_offset,
        mtrr_def_type: m.mtrr_def_type,
        mtrr_variable: m.mtrr_variable,
        mtrr_fixed: m.mtrr_fixed,
        mcg_status: m.mcg_status,
        mc_ctl: m.mc_ctl,
        misc_enable: m.misc_enable,
        hwcr: m.hwcr,
        x87: f.st.map(|v| (v.sign_exp, v.significand)),
        x87_control: f.control,
        x87_status: f.status,
        x87_top: f.top,
        x87_empty: f.empty,
        x87_opcode: f.opcode,
        x87_ip: f.ip,
        x87_cs: f.cs,
        x87_dp: f.dp,
        x87_ds: f.ds,
        xmm: f.xmm.map(|v| (v as u64, (v >> 64) as u64)),
        mxcsr: f.mxcsr,
        interrupt_shadow: c.shadow,
        nmi_blocked: c.nmi_blocked,
        halted: c.halted,
    };
    let state = VcpuV2 {
        base,
        xcr0: c.xcr0,
        xss: m.xss,
        debugctl: m.debugctl,
        syscfg: m.syscfg,
        pending_debug: c.pending_debug,
        debug_shadow: c.debug_shadow,
        fault_streak: c.fault_streak,
    };
    let state = VcpuV3 {
        base: state,
        awaits_startup: c.awaits_startup,
    };
    let pair = |b: Branch| (b.from, b.to);
    let state = VcpuV4 {
        base: state,
        branches: m.branches.stack.map(pair),
        latest_branch: m.branches.top,
        interrupted_branch: pair(m.branches.interrupted),
    };
    Payload::encode(KIND, &state)
}

pub(crate) fn restore(c: &mut Cpu, payload: &Payload) -> Result<(), SnapshotError> {
    let whole = match payload.version {
        1 => VcpuV3::from(VcpuV2::from(payload.decode::<VcpuV1>()?)).into(),
        2 => VcpuV3::from(payload.decode::<VcpuV2>()?).into(),
        3 => payload.decode::<VcpuV3>()?.into(),
        _ => payload.decode::<VcpuV4>()?,
    };
    let branches = BranchRecords {
        stack: whole.branches.map(|(from, to)| Branch { from, to }),
        top: whole.latest_branch,
        interrupted: Branch {
            from: whole.interrupted_branch.0,
            to: whole.interrupted_branch.1,
        },
    };
    let VcpuV3 {
        base: whole,
        awaits_startup,
    } = whole.base;
    check(&whole, c)?;
    if branches.top >= c.features.model().branch_records().max(1) {
        return Err(SnapshotError::damaged(
            KIND,
            "the latest branch is none of the records",
        ));
    }
    c.msr.branches = branches;
    (c.awaits_startup, c.yielded) = (awaits_startup, false);
    (c.xcr0, c.msr.xss) = (whole.xcr0, whole.xss);
    (c.msr.debugctl, c.msr.syscfg) = (whole.debugctl, whole.syscfg);
    (c.pending_debug, c.debug_shadow, c.fault_streak) =
        (whole.pending_debug, whole.debug_shadow, whole.fault_streak);
    let s = whole.base;
    c.r[..16].copy_from_slice(&s.gpr);
    c.rip = s.rip;
    c.set_flags(s.rflags);
    c.cpl = s.cpl;
    c.seg = s.segments.map(Segment::from);
    c.ldtr = s.ldtr.into();
    c.tr = s.tr.into();
    c.gdtr = TableRegister {
        base: s.gdtr.0,
        limit: s.gdtr.1,
    };
    c.idtr = TableRegister {
        base: s.idtr.0,
        limit: s.idtr.1,
    };
    (c.cr0, c.cr2, c.cr3, c.cr4, c.efer) = (s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
    (c.dr, c.pdpte) = (s.dr, s.pdpte);
    let m = &mut c.msr;
    (m.star, m.lstar, m.cstar, m.fmask) = (s.star, s.lstar, s.cstar, s.fmask);
    m.kernel_gs_base = s.kernel_gs_base;
    [m.sysenter_cs, m.sysenter_esp, m.sysenter_eip] = s.sysenter;
    (m.pat, m.tsc_aux, m.tsc_offset, m.mtrr_def_type) =
        (s.pat, s.tsc_aux, s.tsc_offset, s.mtrr_def_type);
    (m.mtrr_variable, m.mtrr_fixed) = (s.mtrr_variable, s.mtrr_fixed);
    (m.mcg_status, m.mc_ctl, m.misc_enable, m.hwcr) =
        (s.mcg_status, s.mc_ctl, s.misc_enable, s.hwcr);
    c.fpu = Fpu {
        st: s.x87.map(|(sign_exp, significand)| F80 {
            sign_exp,
            significand,
        }),
        control: s.x87_control,
        status: s.x87_status,
        top: s.x87_top,
        empty: s.x87_empty,
        opcode: s.x87_opcode,
        ip: s.x87_ip,
        cs: s.x87_cs,
        dp: s.x87_dp,
        ds: s.x87_ds,
        xmm: s
            .xmm
            .map(|(low, high)| u128::from(low) | u128::from(high) << 64),
        mxcsr: s.mxcsr,
    };
    (c.shadow, c.nmi_blocked, c.halted) = (s.interrupt_shadow, s.nmi_blocked, s.halted);
    // The board knows whether it has seen the exception; to say that it is over does no harm when it has not.
    c.ferr = s.x87_status & 0x80 != 0;
    (c.look, c.touched) = (true, false);
    c.budget = 0;
    c.retire_at_end = s.retired;
    c.drop_traces();
    c.registers_changed();
    Ok(())
}

/// Refuses combinations that no processor can be in.
fn check(whole: &VcpuV2, c: &Cpu) -> Result<(), SnapshotError> {
    let (s, model) = (&whole.base, &c.config.model);
    let refuse = |why: &str| Err(SnapshotError::damaged(KIND, why));
    if s.model != *model {
        return Err(SnapshotError::damaged(
            KIND,
            format!(
                "it was taken on processor model '{}', this machine has '{model}'",
                s.model
            ),
        ));
    }
    let paging = s.cr0 & cr0::PG != 0;
    if s.cpl > 3 || s.x87_top > 7 {
        return refuse("a field is out of range");
    }
    if s.cr4 & !c.cr4_allowed != 0
        || s.efer & !c.efer_allowed != 0
        || s.cr0 >> 32 != 0
        || s.mxcsr & !MXCSR_MASK != 0
    {
        return refuse("a control register has bits that this model does not have");
    }
    if paging && s.cr0 & cr0::PE == 0 {
        return refuse("paging is on outside protected mode");
    }
    let lma = s.efer & efer::LMA != 0;
    if lma && (!paging || s.cr4 & cr4::PAE == 0 || s.efer & efer::LME == 0) {
        return refuse("long mode is active without what it needs");
    }
    if s.rflags & flag::VM != 0 && (s.cr0 & cr0::PE == 0 || s.cpl != 3 || lma) {
        return refuse("virtual-8086 mode is on outside ring 3 of protected mode");
    }
    if whole.xcr0 & 1 == 0 {
        return refuse("the x87 state is off in XCR0");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vmwb_hw::GuestMemory;

    use super::*;
    use crate::vcpu::Activity;
    use crate::{CpuConfig, Interpreter, Vcpu};

    fn processor() -> Interpreter {
        let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
        Interpreter::new(memory, CpuConfig::default()).unwrap()
    }

    fn saved() -> VcpuV2 {
        let state: VcpuV4 = processor().save().unwrap().decode().unwrap();
        state.base.base
    }

    #[test]
    fn version_1_is_read_with_what_it_did_not_know_at_its_default() {
        let old = Payload::encode(KIND, &saved().base).unwrap();
        let mut cpu = processor();
        cpu.cpu_mut().xcr0 = 7;
        cpu.restore(&old).unwrap();
        assert_eq!((old.version, cpu.cpu().xcr0), (1, 1));
    }

    #[test]
    fn version_2_is_read_as_a_processor_that_runs() {
        let old = Payload::encode(KIND, &saved()).unwrap();
        let mut cpu = processor();
        cpu.cpu_mut().awaits_startup = true;
        cpu.restore(&old).unwrap();
        assert_eq!((old.version, cpu.activity()), (2, Activity::Running));
    }

    #[test]
    fn version_3_is_read_without_records_of_branches() {
        let state = VcpuV3 {
            base: saved(),
            awaits_startup: true,
        };
        let old = Payload::encode(KIND, &state).unwrap();
        let mut cpu = processor();
        cpu.cpu_mut().msr.branches.interrupted.to = 7;
        cpu.restore(&old).unwrap();
        assert_eq!(cpu.cpu().msr.branches, BranchRecords::default());
        assert_eq!((old.version, cpu.cpu().awaits_startup), (3, true));
    }

    #[test]
    fn version_4_keeps_every_field() {
        let mut base = saved();
        (base.xcr0, base.pending_debug, base.debug_shadow) = (3, 1 << 14, true);
        (base.debugctl, base.fault_streak) = (2, 9);
        let state = VcpuV4 {
            base: VcpuV3 {
                base,
                awaits_startup: true,
            },
            branches: [(1, 2), (3, 4), (5, 6), (7, 8)],
            latest_branch: 0,
            interrupted_branch: (9, 10),
        };
        let payload = Payload::encode(KIND, &state).unwrap();
        let mut cpu = processor();
        cpu.restore(&payload).unwrap();
        assert_eq!(cpu.save().unwrap(), payload);
    }

    #[test]
    fn a_record_that_the_model_does_not_have_is_refused() {
        let mut state: VcpuV4 = processor().save().unwrap().decode().unwrap();
        state.latest_branch = 1;
        let refused = processor().restore(&Payload::encode(KIND, &state).unwrap());
        assert!(refused.is_err());
    }

    #[test]
    fn a_state_that_no_processor_can_be_in_is_refused() {
        let mut ring_0 = saved();
        ring_0.base.rflags |= flag::VM;
        let mut no_x87 = saved();
        no_x87.xcr0 = 0;
        let refused = [ring_0, no_x87].into_iter().map(|s| {
            processor()
                .restore(&Payload::encode(KIND, &s).unwrap())
                .is_err()
        });
        assert!(refused.into_iter().all(|r| r));
    }
}
