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

#[cfg(test)]
mod boot_tests;
mod budget;
mod debug;
#[cfg(test)]
mod debug_tests;
mod display;
mod processors;
#[cfg(test)]
mod processors_tests;
mod running;
mod saved;
mod shutdown;
#[cfg(test)]
mod shutdown_tests;
mod speaker;
mod stats;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vmwb_devices::vga::Vga;
use vmwb_hw::{BlockBackend, GuestMemory, NoMedium, ResetKind};
use vmwb_x86::{CpuConfig, MAX_PROCESSORS, Vcpu};

use crate::acpi::RSDP_ADDRESS;
use crate::board::{Board, BoardInput, Media, SERIAL_PORTS};
use crate::boot::{BootError, BootOptions, Start};
use crate::clock::{Clock, MonotonicHost, Pacer};
use crate::drives::AllCounters;
use crate::error::MachineError;
use crate::events::{Crash, CrashReason, Event, HostFailure, LogLevel};
use crate::mailbox::{Command, Mailbox, MediaChange};
use crate::power::{PowerCommand, PowerState};
use crate::regions::Regions;
use crate::serial::SerialFlush;
use crate::spec::{CONSOLE_PORT, DisplayChoice, MachineSpec};
use budget::Budget;
pub use display::DisplayOutput;
use display::screen_text;
use processors::Processors;
pub use saved::read_state;
use speaker::Speaker;
use stats::{Statistics, idle_json};

/// Makes a processor. The tests have another than the product.
pub type VcpuFactory =
    Box<dyn Fn(Arc<GuestMemory>, &CpuConfig) -> Result<Box<dyn Vcpu>, MachineError> + Send>;

/// Characters that are appended to a file. What cannot be written is lost.
#[derive(Debug)]
struct FileOutput(Arc<File>);

impl vmwb_hw::CharBackend for FileOutput {
    fn write(&mut self, bytes: &[u8]) {
        // Nobody waits for these characters, and the guest has no way to hear of a full disk here.
        let _ = (&*self.0).write_all(bytes);
    }
}

/// What the driver needs; all of it is made before its thread.
pub struct DriverParts {
    /// Definition, validated.
    pub spec: MachineSpec,
    /// What it starts with; absent in a restored machine that was given no files.
    pub start: Option<Start>,
    /// Image of the display adapter's BIOS.
    pub vga_rom: Option<Vec<u8>>,
    /// Memory beside RAM.
    pub regions: Regions,
    /// Where the characters of the debug console go.
    pub debug_console: Option<Arc<File>>,
    /// Media, while no board has them.
    pub media: Media,
    /// What the drives have done.
    pub drives: Arc<AllCounters>,
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
    vcpu: Processors,
    statistics: Statistics,
    board_messages: u32,
    /// Whether the guest took positions of the pointer when it was last told.
    pointer_absolute: bool,
    /// Whether the guest slept in its RAM when that was last told.
    asleep: bool,
    /// What was told of the speaker.
    speaker: Speaker,
}

impl Powered {
    /// Resets the processors; the machine's clock goes on from where it was.
    fn reset_processors(&mut self) {
        let before = self.vcpu.retired();
        self.vcpu.reset();
        self.board.clock_mut().recount(before, self.vcpu.retired());
    }

    fn stats(&self, state: PowerState, drives: &AllCounters) -> Value {
        let retired = self.vcpu.retired();
        let now = self.board.clock().now(retired);
        let access = self.board.counts();
        self.statistics
            .to_json(state, retired, now, access, &self.vcpu, drives)
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
    debug: debug::DebugState,
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
            debug: debug::DebugState::default(),
        }
    }

    /// Runs until the machine is closed.
    pub fn run(mut self) {
        while self.take_commands() == Flow::GoOn {
            if self.parts.mailbox.power() == PowerState::Running {
                self.turn();
            } else {
                self.flush_serial();
                self.finish_display();
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
                Command::Media(change, reply) => drop(reply.send(self.change_medium(change))),
                Command::Debug(request, reply) => drop(reply.send(self.debug(request))),
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
                self.leave_breakpoint();
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
            number: 0,
            processors: u8::try_from(self.parts.spec.cpus).unwrap_or(MAX_PROCESSORS),
        }
    }

    /// The display adapter, when there is one.
    fn new_vga(&self) -> Result<Option<Vga>, MachineError> {
        let Some(video) = self.parts.regions.video else {
            return Ok(None);
        };
        let rom = self.parts.vga_rom.clone().unwrap_or_default();
        Ok(Some(Vga::new(Arc::clone(&self.parts.memory), video, rom)?))
    }

    fn new_board(&mut self) -> Result<Board, MachineError> {
        let vga = self.new_vga()?;
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
        let below = self.parts.memory.ranges().first().map_or(0, |r| r.end);
        let kernel = match &self.parts.start {
            Some(Start::Firmware(firmware)) => firmware.kernel_items(below, spec.boot.append())?,
            _ => Vec::new(),
        };
        let media = std::mem::take(&mut self.parts.media);
        let spec = &self.parts.spec;
        let memory = &self.parts.memory;
        let input = BoardInput {
            serial: (0..spec.serial_ports)
                .map(|n| Box::new(self.parts.serial.output(n)) as Box<dyn vmwb_hw::CharBackend>)
                .collect(),
            console: spec.virtio.console.then(|| {
                Box::new(self.parts.serial.output(CONSOLE_PORT)) as Box<dyn vmwb_hw::CharBackend>
            }),
            debug_console: match &self.parts.debug_console {
                Some(file) => Box::new(FileOutput(Arc::clone(file))),
                None => Box::new(vmwb_hw::NullChar),
            },
            start_unix_s,
            ram: (below, memory.ram_bytes() - below),
            media,
            vga,
            kernel,
        };
        let mut board = Board::new(spec, Arc::clone(memory), clock, input);
        if !self.parts.spec.deterministic {
            board.heed(self.parts.mailbox.calls());
        }
        Ok(board)
    }

    /// Puts another medium into a drive, of a machine that runs or is off.
    fn change_medium(
        &mut self,
        change: MediaChange,
    ) -> Result<Box<dyn BlockBackend>, MachineError> {
        if let Some(powered) = &mut self.powered {
            let retired = powered.vcpu.retired();
            return powered.board.change_medium(change, retired);
        }
        let old = self.parts.media.insert(change.slot, change.medium);
        Ok(old.unwrap_or_else(|| Box::new(NoMedium::default())))
    }

    fn power_on(&mut self) {
        let ready = self.assemble().and_then(|()| {
            self.parts.memory.clear_all()?;
            self.load()
        });
        match ready {
            Ok(()) => {
                self.run_on();
                self.parts.mailbox.arrive(PowerState::Running);
            }
            Err(e) => self.boot_failed(&e),
        }
    }

    /// A new board and a new processor.
    fn assemble(&mut self) -> Result<(), MachineError> {
        // A guest that crashed still has its media, and its processors their places in the memory's list.
        self.take_apart();
        let vcpu = self.new_processors()?;
        let statistics = Statistics::new(vcpu.retired());
        let board = self.new_board()?;
        self.powered = Some(Powered {
            board,
            vcpu,
            statistics,
            board_messages: 0,
            pointer_absolute: false,
            asleep: false,
            speaker: Speaker::default(),
        });
        self.begin_recording();
        if let Some(display) = &mut self.parts.display {
            display.invalidate();
        }
        Ok(())
    }

    /// Takes board and processors away, and the media back from them.
    fn take_apart(&mut self) -> Option<Powered> {
        let mut powered = self.powered.take()?;
        powered.board.drain_drives(powered.vcpu.retired());
        self.parts.media = powered.board.take_media();
        Some(powered)
    }

    fn new_processors(&self) -> Result<Processors, MachineError> {
        let config = self.cpu_config();
        let make = |number| {
            let config = CpuConfig {
                number,
                ..config.clone()
            };
            (self.parts.factory)(Arc::clone(&self.parts.memory), &config)
        };
        let all = (0..config.processors).map(make).collect::<Result<_, _>>()?;
        Ok(Processors::new(all))
    }

    /// Puts the BIOS in its place; or does what firmware and boot loader would do: tables and kernel written, entry state
    /// set.
    fn load(&mut self) -> Result<(), MachineError> {
        let parts = &self.parts;
        let Some(powered) = &mut self.powered else {
            return Ok(());
        };
        let kernel = match &parts.start {
            Some(Start::Firmware(firmware)) => {
                if let Some(region) = parts.regions.bios {
                    firmware.load(&parts.memory, region)?;
                }
                return Ok(());
            }
            Some(Start::Kernel(kernel)) => kernel,
            None if parts.spec.boot.has_firmware() => return Err(BootError::NoFirmware.into()),
            None => return Err(BootError::NoKernel.into()),
        };
        let wish = kernel.picture();
        let picture = powered.board.vga_mut().and_then(|vga| {
            vga.show_text_screen();
            wish.and_then(|wish| wish.meet(vga))
        });
        powered.board.install_tables(&parts.spec)?;
        let append = parts.spec.boot.append();
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
            picture,
            serial_ports,
        };
        let state = kernel.load(&parts.memory, &options)?;
        powered.vcpu.set_boot_state(state);
        Ok(())
    }

    /// The whole machine is reset. Behind firmware memory keeps its content, as on a real board.
    fn reset(&mut self) {
        let Some(powered) = &mut self.powered else {
            return;
        };
        powered.board.reset(ResetKind::Hard, powered.vcpu.retired());
        powered.reset_processors();
        let cleared = if self.parts.spec.boot.has_firmware() {
            Ok(())
        } else {
            self.parts.memory.clear_all().map_err(MachineError::from)
        };
        if let Err(e) = cleared.and_then(|()| self.load()) {
            self.boot_failed(&e);
        }
    }

    /// The processor alone is reset: its INIT pin, which the keyboard controller and port 92h pulse. Programs for the 80286
    /// leave protected mode so; firmware finds its own way then. Without firmware there is nobody at the reset vector.
    fn reset_processor(&mut self) {
        if !self.parts.spec.boot.has_firmware() {
            self.parts.mailbox.tell(Event::GuestReset);
            return self.reset();
        }
        let Some(powered) = &mut self.powered else {
            return;
        };
        powered.reset_processors();
    }

    /// The guest sleeps in its RAM until something wakes it; its processors are ready to start anew.
    fn sleep(&mut self) {
        let Some(powered) = &mut self.powered else {
            return;
        };
        powered.board.sleep(powered.vcpu.retired());
        powered.reset_processors();
    }

    fn power_off(&mut self) {
        self.stand_still();
        self.keep_recording();
        let powered = self.take_apart();
        self.last_stats = powered
            .map(|p| p.stats(PowerState::Off, &self.parts.drives))
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
        self.flushed = Instant::now();
        // Not only flushed: who hears of the end next must find the last output in the sockets.
        self.parts.serial.drain();
    }

    fn run_on(&mut self) {
        self.pacer.release();
        if let Some(powered) = &mut self.powered {
            powered.board.clock_mut().start();
        }
    }

    fn boot_failed(&mut self, error: &MachineError) {
        let detail = error.to_string();
        let reason = CrashReason::Host(HostFailure::BootFailed { detail });
        self.crash(Crash::because(reason));
    }

    fn crash(&mut self, stop: Crash) {
        self.stand_still();
        self.finish_display();
        let sentence = stop.sentence();
        let event = Event::Crashed { stop, sentence };
        self.parts
            .mailbox
            .arrive_because(event, PowerState::Crashed);
    }

    fn stats(&self) -> String {
        let state = self.parts.mailbox.power();
        let mut json = match (&self.powered, &self.last_stats) {
            (Some(powered), _) => powered.stats(state, &self.parts.drives),
            (None, Some(last)) => last.clone(),
            (None, None) => idle_json(state),
        };
        json["state"] = state.name().into();
        json.to_string()
    }

    fn text(&self) -> Option<String> {
        screen_text(self.powered.as_ref()?.board.vga()?)
    }

    fn flush_serial(&mut self) {
        self.flushed = Instant::now();
        if self.parts.serial.is_needed() {
            self.parts.serial.flush();
        }
    }

    fn update_display(&mut self, now: Instant) {
        if let Some(display) = &mut self.parts.display
            && let Some(vga) = self.powered.as_mut().and_then(|p| p.board.vga_mut())
        {
            display.update(vga, now, &self.parts.mailbox);
        }
    }

    /// The last picture of a guest that stands still.
    fn finish_display(&mut self) {
        if let Some(display) = &mut self.parts.display
            && let Some(vga) = self.powered.as_mut().and_then(|p| p.board.vga_mut())
        {
            display.finish(vga, &self.parts.mailbox);
        }
    }

    /// As [`Driver::update_display`], before a sleep. Gives the time when a change is due that had to wait.
    fn settle_display(&mut self, now: Instant) -> Option<Instant> {
        let display = self.parts.display.as_mut()?;
        let vga = self.powered.as_mut()?.board.vga_mut()?;
        display.settle(vga, now, &self.parts.mailbox)
    }

    fn log(&self, level: LogLevel, message: String) {
        self.parts.mailbox.tell(Event::Log { level, message });
    }
}
