//! The guest runs: slices of the engine, what they end with, and the sleep of a halted processor.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use vmwb_hw::{Nanos, PowerRequest};
use vmwb_x86::cpu::vector;
use vmwb_x86::{CpuStop, Exit};

use super::Driver;
use super::budget::{Budget, MAX_SLICE};
use crate::debug::Space;
use crate::events::{Crash, CrashReason, Event, HostFailure, LogLevel};
use crate::input::Stamp;
use crate::power::PowerState;

/// How long serial output may wait while the guest computes; it never waits while the guest sleeps.
const SERIAL_DELAY: Duration = Duration::from_millis(2);
/// Log lines of the board that are passed on for one power-on.
const MAX_BOARD_MESSAGES: u32 = 64;
/// Bytes of an invalid instruction that the user is shown.
const SHOWN_BYTES: usize = 4;
/// What the user reads when the firmware has tried everything.
const NOTHING_BOOTS: &str = "No device that can boot was found. Give the machine a disk, a CD or a floppy with a system \
                             on it, or another boot order, then reset it.";

impl Driver {
    /// One slice, with panics turned into a crash of the guest.
    pub(super) fn turn(&mut self) {
        let result = catch_unwind(AssertUnwindSafe(|| self.slice()));
        if let Err(panic) = result {
            self.emulator_failed(panic.as_ref());
        }
    }

    /// A defect of the emulator ends the guest, not the process.
    pub(super) fn emulator_failed(&mut self, panic: &(dyn std::any::Any + Send)) {
        let detail = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        let reason = CrashReason::Host(HostFailure::EmulatorFailed { detail });
        let address = self.powered.as_ref().map(|p| p.vcpu.linear_rip());
        self.crash(Crash {
            address,
            ..Crash::because(reason)
        });
    }

    fn slice(&mut self) {
        match self.run_slice(u64::MAX) {
            Some(exit) => self.after_run(exit),
            None => self.parts.mailbox.arrive(PowerState::Off),
        }
    }

    /// Delivers what is due and runs the engine, for at most so many instructions. `None`: there is no processor.
    pub(super) fn run_slice(&mut self, most: u64) -> Option<Exit> {
        let p = self.powered.as_mut()?;
        let mailbox = &self.parts.mailbox;
        let retired = p.vcpu.retired();
        let replay = mailbox.next_replay();
        if mailbox.has_mail() || replay.is_some() {
            let virtual_ns = p.board.clock().now(retired).0;
            while let Some(input) = mailbox.next_input(Stamp {
                retired,
                virtual_ns,
            }) {
                p.board.deliver(input, retired);
            }
        }
        if mailbox.take_answers() {
            p.board.serve_drives(retired);
        }
        p.board.serve_deadlines(retired);
        if p.board.is_asleep() {
            return Some(Exit::Halted);
        }
        let now = p.board.clock().now(retired);
        let deadline = p.board.next_deadline();
        let budget = if self.parts.spec.deterministic {
            Budget::exact(now, deadline, retired, replay.map(|s| s.retired))
        } else {
            self.budget.host(now, deadline)
        };
        let before = Instant::now();
        p.board.assume_deadlines(before + MAX_SLICE);
        let exit = p.vcpu.run(&mut p.board, budget.min(most));
        let after = Instant::now();
        let retired_now = p.vcpu.retired();
        self.budget
            .learn(retired_now.saturating_sub(retired), after - before);
        mailbox.set_retired(retired_now);
        p.statistics.tick(after, retired_now);
        Some(exit)
    }

    fn after_run(&mut self, exit: Exit) {
        match self.settle_run(exit) {
            Some(Exit::Halted) => self.sleep_in_halt(),
            Some(Exit::Debug(stop)) => self.stopped_by_debugger(stop),
            Some(Exit::Budget | Exit::Attention | Exit::Yielded) => self.breathe(Instant::now()),
            Some(Exit::Stopped(_)) | None => {}
        }
    }

    /// Counts an exit and acts on what the guest asked for; gives it back if the guest still is there.
    pub(super) fn settle_run(&mut self, exit: Exit) -> Option<Exit> {
        let p = self.powered.as_mut()?;
        match exit {
            Exit::Budget | Exit::Yielded => p.statistics.exits.budget += 1,
            Exit::Attention => p.statistics.exits.attention += 1,
            Exit::Halted => p.statistics.exits.halt += 1,
            Exit::Debug(_) => p.statistics.exits.debug += 1,
            Exit::Stopped(_) => {}
        }
        let request = p.board.take_power_request();
        for message in p.board.take_messages() {
            p.board_messages += 1;
            if p.board_messages <= MAX_BOARD_MESSAGES {
                self.parts.mailbox.tell(Event::Log {
                    level: LogLevel::Info,
                    message,
                });
            }
        }
        while let Some(slot) = p.board.take_ejected() {
            let slot = slot.to_string();
            self.parts.mailbox.tell(Event::Ejected { slot });
        }
        if p.board.take_nothing_boots() {
            let sentence = NOTHING_BOOTS.to_owned();
            self.parts.mailbox.tell(Event::NoBootDevice { sentence });
        }
        let absolute = p.board.pointer_is_absolute();
        if absolute != p.pointer_absolute {
            p.pointer_absolute = absolute;
            self.parts.mailbox.tell(Event::Pointer { absolute });
        }
        let asleep = p.board.is_asleep();
        if asleep != p.asleep {
            p.asleep = asleep;
            self.parts.mailbox.tell(Event::Sleep { asleep });
        }
        let tone = p.board.speaker_hz(p.vcpu.retired());
        if let Some(hz) = p.speaker.changes(tone, Instant::now()) {
            self.parts.mailbox.tell(Event::Speaker { hz });
        }
        match request {
            Some(PowerRequest::PowerOff) => {
                self.ended_by_guest(Event::GuestPowerOff);
                return None;
            }
            Some(PowerRequest::DebugExit(value)) => {
                self.ended_by_guest(Event::DebugExit { value });
                return None;
            }
            Some(PowerRequest::ResetProcessor) => {
                self.reset_processor();
                return (self.parts.mailbox.power() != PowerState::Crashed)
                    .then_some(Exit::Attention);
            }
            Some(PowerRequest::Reset) => {
                self.parts.mailbox.tell(Event::GuestReset);
                self.reset();
                return (self.parts.mailbox.power() != PowerState::Crashed)
                    .then_some(Exit::Attention);
            }
            // Nobody would wake a machine without firmware; its tables offer no sleep.
            Some(PowerRequest::Sleep) if self.parts.spec.boot.has_firmware() => {
                self.sleep();
                return Some(Exit::Attention);
            }
            Some(PowerRequest::Sleep) | None => {}
        }
        match exit {
            Exit::Stopped(stop) if p.shut_down_on_purpose(&self.parts.memory, &stop) => {
                self.reset_processor();
                (self.parts.mailbox.power() != PowerState::Crashed).then_some(Exit::Attention)
            }
            Exit::Stopped(stop) => {
                let crash = self.facts(stop);
                self.crash(crash);
                None
            }
            other => Some(other),
        }
    }

    /// What is known about a processor that stopped.
    fn facts(&mut self, stop: CpuStop) -> Crash {
        let fault = match stop {
            CpuStop::TripleFault { vector, .. } => Some(vector),
            CpuStop::HaltedForGood { .. } => None,
        };
        let mut crash = Crash::because(CrashReason::Cpu(stop));
        let Some(p) = &mut self.powered else {
            return crash;
        };
        if fault.is_none() && p.vcpu.count() > 1 {
            // It is the end of all of them.
            return crash;
        }
        let at = p.vcpu.linear_rip();
        crash.address = Some(at);
        if fault == Some(vector::UD) {
            let mut bytes = [0; SHOWN_BYTES];
            let peeked = p.peek(&self.parts.memory, Space::Linear, at, &mut bytes);
            let shown: Vec<String> = bytes[..peeked.unwrap_or(0)]
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            if !shown.is_empty() {
                crash.bytes = Some(shown.join(" "));
                crash.cpu_model = Some(self.parts.spec.cpu.model.to_string());
            }
        }
        crash.processor = (p.vcpu.count() > 1).then(|| p.vcpu.focus());
        crash
    }

    /// The guest's own end: told as such, then the machine goes off.
    fn ended_by_guest(&mut self, event: Event) {
        self.finish_display();
        self.stand_still();
        self.parts
            .mailbox
            .arrive_because(event, PowerState::Stopping);
        self.power_off();
    }

    /// Between two slices of a guest that computes: output, picture, pace.
    fn breathe(&mut self, host_now: Instant) {
        if host_now.duration_since(self.flushed) >= SERIAL_DELAY {
            self.flush_serial();
        }
        self.update_display(host_now);
        if let Some(p) = &self.powered
            && self.parts.spec.deterministic
            && self.parts.spec.pace
        {
            let now = p.board.clock().now(p.vcpu.retired());
            let due = self.pacer.due(now, now, host_now);
            if due > host_now {
                self.parts.mailbox.sleep(Some(due));
            }
        }
    }

    /// HLT: nothing happens before the next deadline or the next mail.
    fn sleep_in_halt(&mut self) {
        self.flush_serial();
        let host_now = Instant::now();
        let picture_due = self.settle_display(host_now);
        let Some(p) = &mut self.powered else { return };
        let retired = p.vcpu.retired();
        let now = p.board.clock().now(retired);
        let replay = self
            .parts
            .mailbox
            .next_replay()
            .map(|s| Nanos(s.virtual_ns));
        let deadline = [p.board.next_deadline(), replay]
            .into_iter()
            .flatten()
            .min();
        let mailbox = &self.parts.mailbox;
        if !self.parts.spec.deterministic {
            let wake = deadline.map(|at| host_now + Duration::from_nanos(at.since(now)));
            mailbox.sleep([wake, picture_due].into_iter().flatten().min());
            return;
        }
        if self.parts.spec.pace {
            let due = deadline.map(|at| self.pacer.due(now, at, host_now));
            let wake = [due, picture_due].into_iter().flatten().min();
            if wake.is_none_or(|at| at > host_now) {
                mailbox.sleep(wake);
                let woken = Instant::now();
                if due.is_none_or(|at| woken < at) {
                    // Woken early, by input: it arrives at the time that has passed until now.
                    let passed = self.pacer.at(woken).or(deadline).unwrap_or(now);
                    let reached = deadline.map_or(passed, |at| passed.min(at));
                    p.board.clock_mut().advance_to(reached, retired);
                    return;
                }
            }
        } else if deadline.is_none() {
            mailbox.sleep(None);
            return;
        } else if mailbox.has_mail() {
            return;
        }
        if let Some(at) = deadline {
            p.board.clock_mut().advance_to(at, retired);
        }
    }
}
