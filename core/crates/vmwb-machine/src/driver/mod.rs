//! The state driver: one thread that owns board and processor, and does everything that happens to them.
//!
//! ```text
//!   commands, inputs --> mailbox --> driver thread --> events, serial output, picture
//!                                     |  deliver inputs, serve deadlines
//!                                     |  run the engine for a budget
//!                                     |  HLT: sleep until the next deadline or mail (host time),
//!                                     |       or jump there, paced (deterministic)
//! ```
//! Nobody else touches board and processor, so nothing in them is locked. A panic in them ends the guest with a
//! sentence, not the process.

mod budget;
mod display;
mod stats;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vmwb_hw::{GuestMemory, PowerRequest, ResetKind};
use vmwb_snapshot::{Container, Payload, SnapshotError};
use vmwb_x86::{CpuConfig, Exit, Vcpu};

use crate::acpi::RSDP_ADDRESS;
use crate::board::{Board, BoardInput, SERIAL_PORTS};
use crate::boot::{BootOptions, LinuxBoot};
use crate::clock::{Clock, MonotonicHost, Pacer};
use crate::error::MachineError;
use crate::events::{CrashReason, Event, HostFailure, LogLevel};
use crate::input::Stamp;
use crate::mailbox::{Command, Mailbox, SaveFiles};
use crate::power::{PowerCommand, PowerState};
use crate::ram;
use crate::serial::SerialFlush;
use crate::spec::{BootSpec, DisplayChoice, MachineSpec};
use crate::state::{InputV1, MachineV1};
use budget::Budget;
pub use display::DisplayOutput;
use display::screen_text;
use stats::{Statistics, idle_json};

/// How long serial output may wait while the guest computes; it never waits while the guest sleeps.
const SERIAL_DELAY: Duration = Duration::from_millis(2);
/// Log lines of the board that are passed on for one power-on.
const MAX_BOARD_MESSAGES: u32 = 64;

/// Makes a processor. The tests have another than the product.
pub type VcpuFactory =
    Box<dyn Fn(Arc<GuestMemory>, &CpuConfig) -> Result<Box<dyn Vcpu>, MachineError> + Send>;

/// What the driver needs; all of it is made before its thread.
pub struct DriverParts {
    /// Definition, validated.
    pub spec: MachineSpec,
    /// Kernel and initial RAM disk; absent in a restored machine that was given none.
    pub boot: Option<LinuxBoot>,
    /// RAM.
    pub memory: Arc<GuestMemory>,
    /// Makes the processor.
    pub factory: VcpuFactory,
    /// Shared with the embedder.
    pub mailbox: Arc<Mailbox>,
    /// Serial output.
    pub serial: SerialFlush,
    /// Picture.
    pub display: Option<DisplayOutput>,
}

impl std::fmt::Debug for DriverParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DriverParts")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

/// Board and processor between power-on and power-off.
#[derive(Debug)]
struct Powered {
    board: Board,
    vcpu: Box<dyn Vcpu>,
    statistics: Statistics,
    board_messages: u32,
}

impl Powered {
    fn stats(&self, state: PowerState) -> Value {
        let retired = self.vcpu.retired();
        let now = self.board.clock().now(retired);
        self.statistics
            .to_json(state, retired, now, self.board.counts())
    }
}

/// The driver. [`Driver::run`] is the thread's whole life.
#[derive(Debug)]
pub struct Driver {
    parts: DriverParts,
    powered: Option<Powered>,
    /// Statistics of the last power-on, once it is over.
    last_stats: Option<Value>,
    budget: Budget,
    pacer: Pacer,
    flushed: Instant,
}

/// Whether the thread goes on.
#[derive(Debug, PartialEq, Eq)]
enum Flow {
    GoOn,
    End,
}

impl Driver {
    /// A driver of a machine that is off.
    #[must_use]
    pub fn new(parts: DriverParts) -> Self {
        Self {
            parts,
            powered: None,
            last_stats: None,
            budget: Budget::default(),
            pacer: Pacer::default(),
            flushed: Instant::now(),
        }
    }

    /// Takes over a saved state; the machine is paused afterwards.
    ///
    /// # Errors
    /// What is wrong with the state.
    pub fn restore(&mut self, state: &[u8], ram: &std::fs::File) -> Result<(), MachineError> {
        let mut from = Container::from_bytes(state)?;
        let saved: MachineV1 = from.take("machine")?.decode()?;
        saved.check(&self.parts.spec)?;
        let mut board = self.new_board();
        let mut vcpu = self.new_vcpu()?;
        vcpu.reset();
        let cpu = from.take(&vcpu.save()?.name)?;
        vcpu.restore(&cpu)?;
        let retired = vcpu.retired();
        board.restore(retired, &mut from)?;
        let inputs: InputV1 = from.take("input")?.decode()?;
        from.finish()?;
        self.parts.mailbox.restore_inputs(inputs.waiting)?;
        ram::restore(&self.parts.memory, ram)?;
        self.parts.mailbox.set_retired(retired);
        let statistics = Statistics::new(retired);
        self.powered = Some(Powered {
            board,
            vcpu,
            statistics,
            board_messages: 0,
        });
        self.update_display(Instant::now());
        Ok(())
    }

    /// Runs until the machine is closed.
    pub fn run(mut self) {
        while self.take_commands() == Flow::GoOn {
            if self.parts.mailbox.power() == PowerState::Running {
                self.turn();
            } else {
                self.flush_serial();
                self.update_display(Instant::now());
                self.parts.mailbox.sleep_for_commands();
            }
        }
        self.flush_serial();
    }

    // --- commands ------------------------------------------------------------------------------------------------

    fn take_commands(&mut self) -> Flow {
        if !self.parts.mailbox.has_mail() {
            return Flow::GoOn;
        }
        while let Some(command) = self.parts.mailbox.next_command() {
            match command {
                Command::Close => return Flow::End,
                Command::Power(command) => self.power_command(command),
                // Whoever asked and went away needs no answer.
                Command::Save(files, reply) => drop(reply.send(self.save(&files))),
                Command::Stats(reply) => drop(reply.send(self.stats())),
                Command::ScreenText(reply) => drop(reply.send(self.text())),
            }
        }
        Flow::GoOn
    }

    fn power_command(&mut self, command: PowerCommand) {
        let state = self.parts.mailbox.power();
        match (command, state) {
            (PowerCommand::Start, PowerState::Starting) => self.power_on(),
            (PowerCommand::Pause, PowerState::Pausing) => {
                self.stand_still();
                self.parts.mailbox.arrive(PowerState::Paused);
            }
            (PowerCommand::Resume, PowerState::Resuming) => {
                self.run_on();
                self.parts.mailbox.arrive(PowerState::Running);
            }
            (PowerCommand::Reset, PowerState::Running | PowerState::Paused) => self.reset(),
            (PowerCommand::PowerOff, PowerState::Stopping) => self.power_off(),
            // The guest was faster: it crashed or switched itself off, and the request has no object any more.
            _ => {}
        }
    }

    fn cpu_config(&self) -> CpuConfig {
        let cpu = &self.parts.spec.cpu;
        CpuConfig {
            model: cpu.model.clone(),
            tsc_hz: cpu.tsc_hz,
        }
    }

    fn new_board(&self) -> Board {
        let spec = &self.parts.spec;
        let clock = if spec.deterministic {
            Clock::deterministic(spec.cpu.tsc_hz)
        } else {
            let date = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs());
            Clock::following(Box::<MonotonicHost>::default(), spec.cpu.tsc_hz, date)
        };
        let start_unix_s = clock.start_unix_s();
        let memory = &self.parts.memory;
        let below = memory.ranges().first().map_or(0, |r| r.end);
        let input = BoardInput {
            serial: (0..spec.serial_ports)
                .map(|n| Box::new(self.parts.serial.output(n)) as Box<dyn vmwb_hw::CharBackend>)
                .collect(),
            debug_console: Box::new(vmwb_hw::NullChar),
            start_unix_s,
            ram: (below, memory.ram_bytes() - below),
        };
        Board::new(spec, Arc::clone(memory), clock, input)
    }

    fn power_on(&mut self) {
        let ready = self.assemble().and_then(|()| self.load());
        match ready {
            Ok(()) => {
                self.run_on();
                self.parts.mailbox.arrive(PowerState::Running);
            }
            Err(e) => self.crash(CrashReason::Host(HostFailure::BootFailed), e.to_string()),
        }
    }

    /// A new board and a new processor.
    fn assemble(&mut self) -> Result<(), MachineError> {
        let mut vcpu = self.new_vcpu()?;
        vcpu.reset();
        let statistics = Statistics::new(vcpu.retired());
        let board = self.new_board();
        self.powered = Some(Powered {
            board,
            vcpu,
            statistics,
            board_messages: 0,
        });
        if let Some(display) = &mut self.parts.display {
            display.invalidate();
        }
        Ok(())
    }

    fn new_vcpu(&self) -> Result<Box<dyn Vcpu>, MachineError> {
        (self.parts.factory)(Arc::clone(&self.parts.memory), &self.cpu_config())
    }

    /// What firmware and boot loader would do: RAM cleared, tables and kernel written, entry state set.
    fn load(&mut self) -> Result<(), MachineError> {
        let parts = &self.parts;
        let Some(powered) = &mut self.powered else {
            return Ok(());
        };
        parts.memory.clear_all()?;
        powered.board.install_acpi(&parts.spec)?;
        let boot = parts
            .boot
            .as_ref()
            .ok_or(crate::boot::BootError::NoKernel)?;
        let BootSpec::Linux { append } = &parts.spec.boot;
        let mut serial_ports = [0; 4];
        for (n, (port, _)) in SERIAL_PORTS
            .iter()
            .enumerate()
            .take(usize::from(parts.spec.serial_ports))
        {
            serial_ports[n] = *port;
        }
        let options = BootOptions {
            append,
            rsdp: RSDP_ADDRESS,
            vga: parts.spec.display == DisplayChoice::Vga,
            serial_ports,
        };
        let state = boot.load(&parts.memory, &options)?;
        powered.vcpu.set_boot_state(state);
        Ok(())
    }

    fn reset(&mut self) {
        let Some(powered) = &mut self.powered else {
            return;
        };
        let before = powered.vcpu.retired();
        powered.board.reset(ResetKind::Hard, before);
        powered.vcpu.reset();
        powered
            .board
            .clock_mut()
            .recount(before, powered.vcpu.retired());
        if let Err(e) = self.load() {
            self.crash(CrashReason::Host(HostFailure::BootFailed), e.to_string());
        }
    }

    fn power_off(&mut self) {
        self.stand_still();
        let powered = self.powered.take();
        self.last_stats = powered
            .map(|p| p.stats(PowerState::Off))
            .or(self.last_stats.take());
        if let Err(e) = self.parts.memory.clear_all() {
            self.log(
                LogLevel::Warn,
                format!("the guest's memory was not given back: {e}"),
            );
        }
        self.parts.mailbox.arrive(PowerState::Off);
    }

    fn stand_still(&mut self) {
        if let Some(powered) = &mut self.powered {
            let retired = powered.vcpu.retired();
            powered.board.clock_mut().stop(retired);
            self.parts.mailbox.set_retired(retired);
        }
        self.pacer.release();
        self.flush_serial();
    }

    fn run_on(&mut self) {
        self.pacer.release();
        if let Some(powered) = &mut self.powered {
            powered.board.clock_mut().start();
        }
    }

    fn crash(&mut self, stop: CrashReason, sentence: String) {
        self.stand_still();
        self.update_display(Instant::now());
        let event = Event::Crashed { stop, sentence };
        self.parts
            .mailbox
            .arrive_because(event, PowerState::Crashed);
    }

    fn save(&mut self, files: &SaveFiles) -> Result<(), MachineError> {
        if self.parts.mailbox.power() != PowerState::Suspending {
            return Err(MachineError::WrongState(
                "The machine was switched off meanwhile.",
            ));
        }
        let result = self.write_state(files);
        let state = if result.is_ok() {
            PowerState::Suspended
        } else {
            PowerState::Paused
        };
        self.parts.mailbox.arrive(state);
        result
    }

    fn write_state(&mut self, files: &SaveFiles) -> Result<(), MachineError> {
        let Some(powered) = &mut self.powered else {
            return Err(MachineError::WrongState(
                "The machine is off; there is nothing to save.",
            ));
        };
        let mut into = Container::new();
        into.push(Payload::encode(
            "machine",
            &MachineV1::of(&self.parts.spec),
        )?);
        into.push(powered.vcpu.save()?);
        powered.board.save(powered.vcpu.retired(), &mut into)?;
        let waiting = self.parts.mailbox.waiting_inputs();
        into.push(Payload::encode("input", &InputV1 { waiting })?);
        let bytes = into.to_bytes()?;
        crate::state::write_all(&files.devices, &bytes)?;
        ram::save(&self.parts.memory, &files.ram)
    }

    fn stats(&self) -> String {
        let state = self.parts.mailbox.power();
        let mut json = match (&self.powered, &self.last_stats) {
            (Some(powered), _) => powered.stats(state),
            (None, Some(last)) => last.clone(),
            (None, None) => idle_json(state),
        };
        json["state"] = state.name().into();
        json.to_string()
    }

    fn text(&self) -> Option<String> {
        screen_text(self.powered.as_ref()?.board.vga()?)
    }

    // --- running -------------------------------------------------------------------------------------------------

    /// One slice, with panics turned into a crash of the guest.
    fn turn(&mut self) {
        let result = catch_unwind(AssertUnwindSafe(|| self.slice()));
        if let Err(panic) = result {
            let what = panic
                .downcast_ref::<&str>()
                .map(ToString::to_string)
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned());
            let at = self.powered.as_ref().map_or(0, |p| p.vcpu.linear_rip());
            let sentence = format!(
                "The emulator failed inside itself ({what}, guest at {at:#x}). This is a defect of the program; please report it."
            );
            self.crash(CrashReason::Host(HostFailure::EmulatorFailed), sentence);
        }
    }

    fn slice(&mut self) {
        let Some(p) = &mut self.powered else {
            self.parts.mailbox.arrive(PowerState::Off);
            return;
        };
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
        p.board.serve_deadlines(retired);
        let now = p.board.clock().now(retired);
        let deadline = p.board.next_deadline();
        let budget = if self.parts.spec.deterministic {
            Budget::exact(now, deadline, retired, replay.map(|s| s.retired))
        } else {
            self.budget.host(now, deadline)
        };
        p.board.assume_deadlines();
        let before = Instant::now();
        let exit = p.vcpu.run(&mut p.board, budget);
        let after = Instant::now();
        let retired_now = p.vcpu.retired();
        self.budget
            .learn(retired_now.saturating_sub(retired), after - before);
        mailbox.set_retired(retired_now);
        p.statistics.tick(after, retired_now);
        self.after_run(exit, after);
    }

    fn after_run(&mut self, exit: Exit, host_now: Instant) {
        let Some(p) = &mut self.powered else { return };
        match exit {
            Exit::Budget => p.statistics.exits.budget += 1,
            Exit::Attention => p.statistics.exits.attention += 1,
            Exit::Halted => p.statistics.exits.halt += 1,
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
        match request {
            Some(PowerRequest::PowerOff) => {
                self.update_display(host_now);
                return self.ended_by_guest(Event::GuestPowerOff);
            }
            Some(PowerRequest::DebugExit(value)) => {
                return self.ended_by_guest(Event::DebugExit { value });
            }
            Some(PowerRequest::Reset) => {
                self.parts.mailbox.tell(Event::GuestReset);
                return self.reset();
            }
            None => {}
        }
        match exit {
            Exit::Stopped(stop) => {
                let sentence = stop.sentence();
                self.crash(CrashReason::Cpu(stop), sentence);
            }
            Exit::Halted => self.sleep_in_halt(),
            Exit::Budget | Exit::Attention => self.breathe(host_now),
        }
    }

    /// The guest's own end: told as such, then the machine goes off.
    fn ended_by_guest(&mut self, event: Event) {
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
        let picture_due = self.update_display(host_now);
        let Some(p) = &mut self.powered else { return };
        let retired = p.vcpu.retired();
        let now = p.board.clock().now(retired);
        let replay = self
            .parts
            .mailbox
            .next_replay()
            .map(|s| vmwb_hw::Nanos(s.virtual_ns));
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

    fn flush_serial(&mut self) {
        self.flushed = Instant::now();
        if self.parts.serial.is_needed() {
            self.parts.serial.flush();
        }
    }

    fn update_display(&mut self, now: Instant) -> Option<Instant> {
        let display = self.parts.display.as_mut()?;
        let vga = self.powered.as_ref()?.board.vga()?;
        display.update(vga, now, &self.parts.mailbox)
    }

    fn log(&self, level: LogLevel, message: String) {
        self.parts.mailbox.tell(Event::Log { level, message });
    }
}

/// Reads a whole state file, bounded.
///
/// # Errors
/// It is larger than any real one, or cannot be read.
pub fn read_state(file: &std::fs::File) -> Result<Vec<u8>, MachineError> {
    use std::os::unix::fs::FileExt;
    let host = || MachineError::host("The saved state could not be read");
    let len = file.metadata().map_err(host())?.len();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > vmwb_snapshot::MAX_CONTAINER_BYTES {
        return Err(
            SnapshotError::NotAContainer("it is larger than any real one".to_owned()).into(),
        );
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(host())?;
    Ok(bytes)
}
