//! Last-branch records: where the processor last jumped from and to, kept while IA32_DEBUGCTL.LBR is set.
//! Sources: SDM volume 3, chapter 17 (last branch, interrupt and exception recording) and volume 4 (the registers of the
//! P6 and Core families); AMD64 manual volume 2, section 13.1 (control-transfer recording).
//!
//! Recording costs nothing while it is off. On, the main loop runs one instruction at a time, as for single steps.

use crate::cpu::{Cpu, vector};
use crate::debug::{DEBUGCTL_BTF, DEBUGCTL_LBR};

/// Most records that a model keeps.
pub(crate) const MOST: usize = 4;

mod number {
    /// Index of the latest record (Core family).
    pub const TOP: u32 = 0x1C9;
    /// First source and first target of a record (Core family).
    pub const FROM: u32 = 0x40;
    pub const FROM_LAST: u32 = 0x43;
    pub const TO: u32 = 0x60;
    pub const TO_LAST: u32 = 0x63;
    /// The one record of P6 and AMD.
    pub const LAST_FROM: u32 = 0x1DB;
    pub const LAST_TO: u32 = 0x1DC;
    /// The record before the last interrupt or exception.
    pub const INTERRUPTED_FROM: u32 = 0x1DD;
    pub const INTERRUPTED_TO: u32 = 0x1DE;
}

/// One transfer of control.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Branch {
    /// The instruction that jumped or faulted; of an interrupt, the one that did not run.
    pub from: u64,
    /// Where the processor went on.
    pub to: u64,
}

/// The records of a processor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BranchRecords {
    /// The records, of which models with a single one use the first.
    pub stack: [Branch; MOST],
    /// Index of the latest.
    pub top: u8,
    /// What the latest was before the last interrupt or exception.
    pub interrupted: Branch,
}

impl BranchRecords {
    fn record(&mut self, depth: u8, branch: Branch) {
        if depth > 0 {
            self.top = (self.top + 1) % depth;
            self.stack[usize::from(self.top)] = branch;
        }
    }

    /// The register that a number means on a model with `depth` records.
    fn register(&mut self, depth: u8, n: u32) -> Option<&mut u64> {
        match (n, depth) {
            (_, 0) => None,
            (number::LAST_FROM, 1) => Some(&mut self.stack[0].from),
            (number::LAST_TO, 1) => Some(&mut self.stack[0].to),
            (number::FROM..=number::FROM_LAST, 4) => {
                Some(&mut self.stack[(n - number::FROM) as usize].from)
            }
            (number::TO..=number::TO_LAST, 4) => {
                Some(&mut self.stack[(n - number::TO) as usize].to)
            }
            (number::INTERRUPTED_FROM, _) => Some(&mut self.interrupted.from),
            (number::INTERRUPTED_TO, _) => Some(&mut self.interrupted.to),
            _ => None,
        }
    }
}

impl Cpu {
    /// Whether transfers of control are recorded.
    pub(crate) fn records_branches(&self) -> bool {
        self.msr.debugctl & DEBUGCTL_LBR != 0
    }

    /// The next instruction's address as records have it: linear in the Core family, whose registers are named so; in the
    /// others the offset in the code segment.
    pub(crate) fn recorded_address(&self) -> u64 {
        if self.features.model().branch_records() == 4 {
            self.linear_pc()
        } else {
            self.rip
        }
    }

    /// Records that the processor has come from `from` to where it stands.
    #[cold]
    pub(crate) fn record_branch(&mut self, from: u64) {
        let to = self.recorded_address();
        let depth = self.features.model().branch_records();
        self.msr.branches.record(depth, Branch { from, to });
    }

    /// Keeps the latest record aside: an interrupt or exception comes.
    #[cold]
    pub(crate) fn set_branch_aside(&mut self) {
        let records = &mut self.msr.branches;
        records.interrupted = records.stack[usize::from(records.top)];
    }

    /// Records the delivery of an interrupt or exception at `from`.
    #[cold]
    pub(crate) fn record_delivery(&mut self, from: u64) {
        self.set_branch_aside();
        self.record_branch(from);
    }

    /// Ends recording and single-stepping on branches at a debug exception, which is not recorded itself.
    pub(crate) fn end_recording(&mut self, vector: u8) {
        if vector == vector::DB {
            self.msr.debugctl &= !(DEBUGCTL_LBR | DEBUGCTL_BTF);
        }
    }

    /// The value of a register of the records; `None`: it is none, or this model lacks it.
    pub(crate) fn branch_register(&self, n: u32) -> Option<u64> {
        let depth = self.features.model().branch_records();
        let mut records = self.msr.branches;
        match (n, depth) {
            (number::TOP, 4) => Some(u64::from(records.top)),
            _ => records.register(depth, n).copied(),
        }
    }

    /// Writes a register of the records. `false`: this model lacks it, it is read-only, or the value is out of range.
    pub(crate) fn set_branch_register(&mut self, n: u32, v: u64) -> bool {
        let depth = self.features.model().branch_records();
        let records = &mut self.msr.branches;
        match n {
            number::TOP if depth == 4 && v < 4 => records.top = v as u8,
            number::FROM..=number::FROM_LAST | number::TO..=number::TO_LAST => {
                let Some(register) = records.register(depth, n) else {
                    return false;
                };
                *register = v;
            }
            _ => return false,
        }
        true
    }
}
