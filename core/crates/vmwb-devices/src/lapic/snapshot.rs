//! Saved state of the local APIC.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::{Countdown, Lapic, VectorSet, regs};

/// Version 1. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LapicV1 {
    /// IA32_APIC_BASE.
    pub apic_base: u64,
    /// ID register.
    pub id: u32,
    /// Task priority.
    pub tpr: u8,
    /// Logical destination.
    pub ldr: u32,
    /// Destination format.
    pub dfr: u32,
    /// Spurious-interrupt vector register.
    pub svr: u32,
    /// In service.
    pub isr: [u32; 8],
    /// Trigger mode.
    pub tmr: [u32; 8],
    /// Requested.
    pub irr: [u32; 8],
    /// Error status as last latched.
    pub esr: u32,
    /// Errors since.
    pub esr_pending: u32,
    /// Interrupt command, low half.
    pub icr_low: u32,
    /// Interrupt command, high half.
    pub icr_high: u32,
    /// Local vector table.
    pub lvt: [u32; 6],
    /// Timer's initial count.
    pub initial_count: u32,
    /// Divide configuration.
    pub divide: u32,
    /// Timer's count at `count_at_ns`.
    pub count: u32,
    /// Virtual time of `count`, in nanoseconds.
    pub count_at_ns: u64,
    /// The timer's deadline, in nanoseconds of virtual time.
    pub deadline_ns: Option<u64>,
    /// Levels of LINT0 and LINT1.
    pub lint: [bool; 2],
    /// A non-maskable interrupt waits.
    pub nmi: bool,
    /// Vector of an ended level interrupt that the board has not collected yet.
    pub eoi: Option<u8>,
}

impl Schema for LapicV1 {
    const KIND: &'static str = "lapic";
    const VERSION: u32 = 1;
}

/// Version 2: x2APIC mode, TSC deadlines and what processors tell each other. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LapicV2 {
    /// What version 1 knew.
    pub base: LapicV1,
    /// IA32_TSC_DEADLINE; 0 while it is not armed.
    pub tsc_deadline: u64,
    /// A level-triggered interrupt of LINT0 has not ended yet.
    pub remote_irr: bool,
    /// INIT waits for the processor.
    pub init: bool,
    /// Vector of a start-up message that waits for the processor.
    pub startup: Option<u8>,
}

impl Schema for LapicV2 {
    const KIND: &'static str = "lapic";
    const VERSION: u32 = 2;
}

impl From<LapicV1> for LapicV2 {
    /// What version 1 did not know did not happen.
    fn from(base: LapicV1) -> Self {
        Self {
            base,
            tsc_deadline: 0,
            remote_irr: false,
            init: false,
            startup: None,
        }
    }
}

impl Lapic {
    pub(super) fn to_v2(&self) -> LapicV2 {
        LapicV2 {
            base: self.to_v1(),
            tsc_deadline: self.tsc_deadline,
            remote_irr: self.remote_irr,
            init: self.init,
            startup: self.startup,
        }
    }

    fn to_v1(&self) -> LapicV1 {
        LapicV1 {
            apic_base: self.apic_base,
            id: self.id,
            tpr: self.tpr,
            ldr: self.ldr,
            dfr: self.dfr,
            svr: self.svr,
            isr: self.isr.0,
            tmr: self.tmr.0,
            irr: self.irr.0,
            esr: self.esr,
            esr_pending: self.esr_pending,
            icr_low: self.icr_low,
            icr_high: self.icr_high,
            lvt: self.lvt,
            initial_count: self.initial_count,
            divide: self.divide,
            count: self.countdown.count,
            count_at_ns: self.countdown.at.0,
            deadline_ns: self.deadline.map(|at| at.0),
            lint: self.lint,
            nmi: self.nmi,
            eoi: self.eoi,
        }
    }

    pub(super) fn take_v2(&mut self, v: &LapicV2) -> Result<(), SnapshotError> {
        let refuse = |why: String| Err(SnapshotError::damaged("lapic", why));
        let s = &v.base;
        let mut base_bits = regs::BASE_ADDRESS | regs::BASE_ENABLE | regs::BASE_BSP;
        if self.config.x2apic && s.apic_base & regs::BASE_ENABLE != 0 {
            base_bits |= regs::BASE_X2APIC;
        }
        let x2apic = s.apic_base & regs::BASE_X2APIC != 0;
        let destination = if x2apic { 0 } else { 0x00FF_FFFF };
        let reserved = [
            ("apic_base", s.apic_base & !base_bits),
            (
                "apic_base",
                (s.apic_base ^ self.config.base_after_reset()) & regs::BASE_BSP,
            ),
            ("id", u64::from(s.id & 0x00FF_FFFF)),
            ("ldr", u64::from(s.ldr & 0x00FF_FFFF)),
            ("dfr", u64::from(!s.dfr & 0x0FFF_FFFF)),
            ("svr", u64::from(s.svr & !regs::SVR_WRITABLE)),
            ("irr", u64::from((s.irr[0] | s.isr[0]) & 0xFFFF)),
            ("icr_low", u64::from(s.icr_low & !regs::ICR_WRITABLE)),
            ("icr_high", u64::from(s.icr_high & destination)),
            ("divide", u64::from(s.divide & !regs::DIVIDE_WRITABLE)),
        ];
        if let Some((field, bits)) = reserved.into_iter().find(|&(_, bits)| bits != 0) {
            return refuse(format!("{field} has reserved bits {bits:#x}"));
        }
        if (0..regs::LVT_ENTRIES).any(|n| s.lvt[n] & !self.lvt_writable(n) != 0) {
            return refuse("a local vector table entry has reserved bits".to_owned());
        }
        let deadline_mode = s.lvt[regs::LVT_TIMER] & regs::LVT_TSC_DEADLINE != 0;
        if deadline_mode && (v.tsc_deadline != 0) != s.deadline_ns.is_some() {
            return refuse("the TSC deadline and its time do not agree".to_owned());
        }
        self.tsc_deadline = if deadline_mode { v.tsc_deadline } else { 0 };
        self.remote_irr = v.remote_irr;
        (self.init, self.startup) = (v.init, v.startup);
        self.apic_base = s.apic_base;
        self.id = s.id;
        self.tpr = s.tpr;
        self.ldr = s.ldr;
        self.dfr = s.dfr;
        self.svr = s.svr;
        self.isr = VectorSet(s.isr);
        self.tmr = VectorSet(s.tmr);
        self.irr = VectorSet(s.irr);
        self.esr = s.esr;
        self.esr_pending = s.esr_pending;
        self.icr_low = s.icr_low;
        self.icr_high = s.icr_high;
        self.lvt = s.lvt;
        self.initial_count = s.initial_count;
        self.divide = s.divide;
        self.countdown = Countdown {
            count: s.count,
            at: Nanos(s.count_at_ns),
        };
        self.deadline = s.deadline_ns.map(Nanos);
        self.lint = s.lint;
        self.nmi = s.nmi;
        self.eoi = s.eoi;
        Ok(())
    }
}
