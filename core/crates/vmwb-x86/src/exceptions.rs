//! Delivery of exceptions and interrupts through the IDT (SDM volume 3, chapter 6).

use crate::cpu::{Cpu, Fault, RSP, Res, Why, flag, seg, vector};
use crate::descriptor::Descriptor;
use crate::observe::{Delivery, InterruptSource};
use crate::task::Entry;
use crate::vcpu::CpuStop;

/// Exceptions that make a second one a double fault (SDM volume 3, table 6-5).
fn contributory(v: u8) -> bool {
    matches!(
        v,
        vector::DE | vector::TS | vector::NP | vector::SS | vector::GP
    )
}

/// Exceptions without a retired instruction between them after which each costs a tick of the guest's time.
const STREAK: u32 = 1000;

impl Cpu {
    /// Delivers the pending fault; faults on the way become double and triple faults.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn deliver_fault(&mut self, first: Fault) -> Result<(), CpuStop> {
        self.counters.exceptions += 1;
        self.count_streak();
        let rip = self.rip;
        // Both end with each debug exception (SDM volume 3, sections 17.4.2 and 17.4.4).
        self.end_recording(first.vector);
        let from = self.records_branches().then(|| self.recorded_address());
        let mut fault = first;
        loop {
            // RF is set in the saved flags of faults, so that an instruction breakpoint does not strike twice.
            let keep_rf = self.eflags & flag::RF;
            if fault.vector != vector::DB {
                self.eflags |= flag::RF;
            }
            let delivered = self.observed(fault, Delivery::Exception, |c| c.attempt(fault));
            if delivered.is_ok() {
                if let Some(from) = from {
                    self.record_delivery(from);
                }
                return Ok(());
            }
            self.eflags = self.eflags & !flag::RF | keep_rf;
            self.why = Why::Jump;
            let second = self.fault;
            if fault.vector == vector::DF {
                return Err(CpuStop::TripleFault {
                    rip,
                    vector: first.vector,
                });
            }
            let double = (contributory(fault.vector) && contributory(second.vector))
                || (fault.vector == vector::PF
                    && (contributory(second.vector) || second.vector == vector::PF));
            fault = if double {
                Fault {
                    vector: vector::DF,
                    error: Some(0),
                }
            } else {
                second
            };
        }
    }

    /// A guest whose handlers fault at their first instruction retires nothing: time would stand still for it, and no
    /// deadline would ever come. Behind [`STREAK`] exceptions each counts as an instruction.
    fn count_streak(&mut self) {
        if self.retired() != self.streak_at {
            self.fault_streak = 0;
        }
        self.fault_streak = self.fault_streak.saturating_add(1);
        if self.fault_streak > STREAK && self.budget > 0 {
            self.budget -= 1;
        }
        self.streak_at = self.retired();
    }

    /// Delivers a maskable interrupt or NMI.
    ///
    /// # Errors
    /// The reason why the guest cannot run on.
    pub(crate) fn deliver_interrupt(&mut self, vector: u8) -> Result<(), CpuStop> {
        let f = Fault {
            vector,
            error: None,
        };
        let source = if vector == vector::NMI {
            InterruptSource::Nmi
        } else {
            InterruptSource::Device
        };
        let from = self.records_branches().then(|| self.recorded_address());
        match self.observed(f, Delivery::Interrupt(source), |c| c.attempt(f)) {
            Ok(()) => {
                if let Some(from) = from {
                    self.record_delivery(from);
                }
                Ok(())
            }
            Err(_) => {
                self.why = Why::Jump;
                let fault = self.fault;
                self.deliver_fault(fault)
            }
        }
    }

    /// One attempt at delivery between two instructions: no trace is running, so that a stack on decoded code or in a
    /// device's memory can be written at once.
    fn attempt(&mut self, f: Fault) -> Res {
        let kept = std::mem::replace(&mut self.devices_ok, true);
        let delivered = self.deliver(f, false);
        self.devices_ok = kept;
        self.switched = false;
        delivered
    }

    /// One attempt at delivery. `software`: INT n, INT3, INTO, which the gate's DPL guards.
    ///
    /// # Errors
    /// The fault that it meets. Its error code has EXT set unless the event is one of the program (SDM volume 3, section
    /// 6.13).
    pub(crate) fn deliver(&mut self, f: Fault, software: bool) -> Res {
        let delivered = if self.protected() {
            self.deliver_protected(f, software)
        } else {
            self.deliver_real(f)
        };
        let names_selector = matches!(
            self.fault.vector,
            vector::TS | vector::NP | vector::SS | vector::GP
        );
        if delivered.is_err() && !software && names_selector {
            self.fault.error = self.fault.error.map(|e| e | 1);
        }
        delivered
    }

    fn deliver_protected(&mut self, f: Fault, software: bool) -> Res {
        let long = self.long_mode();
        let code = u32::from(f.vector) << 3 | 2;
        let bytes = if long { 16 } else { 8 };
        let offset = u32::from(f.vector) * bytes;
        if offset + bytes - 1 > u32::from(self.idtr.limit) {
            return Err(self.gp(code));
        }
        let at = self.idtr.base.wrapping_add(u64::from(offset));
        let low = self.system_read(at, 8)?;
        let high = if long {
            self.system_read(at.wrapping_add(8), 8)?
        } else {
            0
        };
        let gate = Descriptor { low, high };
        let valid = matches!((gate.kind(), long), (14 | 15, _) | (5..=7, false)) && !gate.is_user();
        if !valid || (software && gate.dpl() < self.cpl) {
            return Err(self.gp(code));
        }
        if !gate.present() {
            return Err(self.raise_code(vector::NP, code));
        }
        if gate.kind() == 5 {
            let selector = gate.gate_selector();
            let d = self.task_descriptor(selector, vector::GP, false)?;
            return self.switch_task(selector, d, Entry::Event, f.error);
        }
        self.through_gate(f, gate)
    }

    /// Real mode: the vector table at the IDT's base. No error code is pushed (SDM volume 3, section 21.1.4).
    fn deliver_real(&mut self, f: Fault) -> Res {
        let offset = u64::from(f.vector) * 4;
        if offset + 3 > u64::from(self.idtr.limit) {
            return Err(self.gp(0));
        }
        let entry = self.system_read(self.idtr.base.wrapping_add(offset), 4)?;
        let frame = [
            self.flags(),
            u64::from(self.seg[seg::CS].selector),
            self.rip,
        ];
        let sp = self.r[RSP];
        for item in frame {
            if let Err(e) = self.push(2, item) {
                self.r[RSP] = sp;
                return Err(e);
            }
        }
        self.eflags &= !(flag::IF | flag::TF | flag::AC | flag::RF);
        self.load_segment(seg::CS, (entry >> 16) as u16)?;
        self.rip = entry & 0xFFFF;
        Ok(())
    }

    /// Linear address of the next instruction.
    pub(crate) fn linear_pc(&self) -> u64 {
        if self.code64() {
            self.rip
        } else {
            self.seg[seg::CS].base.wrapping_add(self.rip) & 0xFFFF_FFFF
        }
    }
}
