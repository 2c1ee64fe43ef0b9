//! Where the processor raises its events: one function for each place that calls it.

use super::InsnClasses;
use super::{Classes, ControlRegister, InterruptSource, TraceEvent};
use crate::cpu::{Cpu, Fault, Res, vector};
use crate::decode::{MAX_LEN, decode};
use crate::translate::code_size;

/// What is delivered through the IDT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Exception,
    Interrupt(InterruptSource),
}

/// An instruction that is about to run, for its event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upcoming {
    address: u64,
    retired: u64,
    form: &'static str,
    classes: InsnClasses,
}

impl Cpu {
    /// The stamp of an event that an instruction raises that runs alone or ends its trace, or that is raised between two.
    fn stamp(&self) -> u64 {
        // Outside of `run`, and while something is delivered, no instruction is under way.
        if self.points.delivering || self.bus.is_none() {
            self.retired()
        } else {
            self.retired().wrapping_sub(1)
        }
    }

    /// Delivers through the IDT, counts it and tells it: the trace point of exceptions and interrupts.
    ///
    /// # Errors
    /// As `deliver`.
    pub(crate) fn observed(
        &mut self,
        f: Fault,
        what: Delivery,
        deliver: impl FnOnce(&mut Self) -> Res,
    ) -> Res {
        let (rip, from_cpl) = (self.rip, self.cpl);
        let software = what == Delivery::Interrupt(InterruptSource::Software);
        // INT n is an instruction that is under way; all else comes between two.
        let outer = self.points.delivering;
        self.points.delivering |= !software;
        if what == Delivery::Exception && f.vector != vector::DB {
            // What the instruction touched does not count: it faulted, and runs again or never. #DB is a trap here.
            self.points.hit = None;
        }
        let delivered = deliver(self);
        let stamp = self.stamp();
        self.points.delivering = outer;
        delivered?;
        self.points.delivered |= !software;
        if what == Delivery::Exception {
            self.counters.by_vector[usize::from(f.vector & 31)] += 1;
        }
        let class = match what {
            Delivery::Exception => Classes::EXCEPTION,
            Delivery::Interrupt(_) => Classes::INTERRUPT,
        };
        if self.observer.on(class) {
            let (to_cpl, handler) = (self.cpl, self.rip);
            let event = match what {
                Delivery::Exception => TraceEvent::Exception {
                    vector: f.vector,
                    error: f.error,
                    rip,
                    address: (f.vector == vector::PF).then_some(self.cr2),
                    from_cpl,
                    to_cpl,
                    handler,
                },
                Delivery::Interrupt(source) => TraceEvent::Interrupt {
                    vector: f.vector,
                    source,
                    rip,
                    from_cpl,
                    to_cpl,
                    handler,
                },
            };
            self.observer.push(stamp, event);
        }
        Ok(())
    }

    /// The trace point of mode and ring changes.
    #[inline]
    pub(crate) fn trace_mode(&mut self) {
        if self.observer.on(Classes::MODE.union(Classes::RING)) {
            self.tell_mode();
        }
    }

    #[cold]
    fn tell_mode(&mut self) {
        let now = (self.processor_mode(), self.cpl);
        let before = self.observer.seen.replace(now).unwrap_or(now);
        let stamp = self.stamp();
        if before.0 != now.0 && self.observer.on(Classes::MODE) {
            self.observer.push(
                stamp,
                TraceEvent::Mode {
                    from: before.0,
                    to: now.0,
                },
            );
        }
        if before.1 != now.1 && self.observer.on(Classes::RING) {
            self.observer.push(
                stamp,
                TraceEvent::Ring {
                    from: before.1,
                    to: now.1,
                },
            );
        }
    }

    /// The trace point of writes to control registers.
    pub(crate) fn trace_control(&mut self, register: ControlRegister, old: u64, new: u64) {
        if self.observer.on(Classes::CONTROL) {
            let stamp = self.stamp();
            self.observer
                .push(stamp, TraceEvent::Control { register, old, new });
        }
    }

    /// The trace point of RDMSR and WRMSR; `retired` counts what came before it.
    pub(crate) fn trace_msr(&mut self, index: u32, value: u64, write: bool, retired: u64) {
        if self.observer.on(Classes::MSR) {
            self.observer.push(
                retired,
                TraceEvent::Msr {
                    index,
                    value,
                    write,
                },
            );
        }
    }

    /// The trace point of loads of CR3.
    pub(crate) fn trace_space(&mut self, old: u64, new: u64) {
        if self.observer.on(Classes::SPACE) {
            let stamp = self.stamp();
            self.observer.push(stamp, TraceEvent::Space { old, new });
        }
    }

    /// Whether a TLB fill has to wait until its instruction runs alone, so that its stamp is exact. A fetch comes before
    /// its instruction, a delivery between two.
    #[inline]
    pub(crate) fn fill_must_wait(&self, fetch: bool) -> bool {
        self.observer.on(Classes::TLB) && !fetch && !self.devices_ok
    }

    /// The trace point of TLB fills.
    #[inline]
    pub(crate) fn trace_fill(&mut self, fetch: bool, make: impl FnOnce() -> TraceEvent) {
        if self.observer.on(Classes::TLB) {
            let stamp = if fetch { self.retired() } else { self.stamp() };
            self.observer.push(stamp, make());
        }
    }

    /// The trace point of HLT.
    pub(crate) fn trace_halt(&mut self) {
        if self.observer.on(Classes::HALT) {
            let event = TraceEvent::Halt {
                rip: self.rip,
                interrupts: self.interrupts_enabled(),
            };
            let stamp = self.stamp();
            self.observer.push(stamp, event);
        }
    }

    /// Whether every access to a port is recorded.
    pub(crate) fn traces_ports(&self) -> bool {
        self.observer.on(Classes::PORT)
    }

    /// The trace point of accesses to ports.
    pub(crate) fn trace_port(&mut self, port: u16, size: u8, value: u32, write: bool, at: u64) {
        if self.observer.on(Classes::PORT) {
            self.observer.push(
                at,
                TraceEvent::Port {
                    port,
                    size,
                    value,
                    write,
                },
            );
        }
    }

    /// The trace point of accesses to the memory of devices.
    pub(crate) fn trace_mmio(&mut self, physical: u64, size: u8, value: u64, write: bool) {
        if self.observer.on(Classes::MMIO) {
            let stamp = self.stamp();
            self.observer.push(
                stamp,
                TraceEvent::Mmio {
                    physical,
                    size,
                    value,
                    write,
                },
            );
        }
    }

    /// Whether every instruction is traced, and so runs alone.
    #[inline]
    pub(crate) fn traces_instructions(&self) -> bool {
        self.observer.on(Classes::INSTRUCTION)
    }

    /// Looks at the instruction that is about to run alone.
    #[cold]
    pub(crate) fn upcoming(&self) -> Option<Upcoming> {
        let address = self.linear_pc();
        let mut bytes = [0; MAX_LEN];
        let n = self.fetch_quietly(address, &mut bytes);
        let insn = decode(&bytes[..n], code_size(self.mode)).ok()?;
        Some(Upcoming {
            address,
            retired: self.retired(),
            form: insn.form().asm,
            classes: insn.form().classes(insn.mem.is_some()),
        })
    }

    /// The trace point of instructions: tells the one that was looked at, if it has retired.
    pub(crate) fn trace_retired(&mut self, was: Option<Upcoming>) {
        if let Some(was) = was
            && self.retired() != was.retired
        {
            self.observer.push(
                was.retired,
                TraceEvent::Instruction {
                    address: was.address,
                    form: was.form,
                    classes: was.classes,
                },
            );
        }
    }
}
