//! [`Machine`]: what an embedder holds. Requests go in, events come out; the work is done by the driver's thread.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use vmwb_display::Publisher;
use vmwb_hw::{BlockBackend, NoMedium};
use vmwb_mem::GuestMemory;
use vmwb_x86::{CpuConfig, Interpreter, Vcpu};

use crate::board::Media;
use crate::boot::{self, BootError, Firmware, Linux16, MemoryMap, Module, Start};
use crate::confine::{self, Role};
use crate::debug::DebugRequest;
use crate::driver::{DisplayOutput, Driver, DriverParts, VcpuFactory, read_state};
use crate::drives::{self, AllCounters, DriveOptions, ImageFile, OpenDrive};
use crate::error::MachineError;
use crate::events::EventQueue;
use crate::firmware::rom::read_option_rom;
use crate::input::{Delivery, Input};
use crate::mailbox::{Command, Mailbox, MediaChange, SaveFiles, SerialInput};
use crate::power::{PowerCommand, PowerState};
use crate::regions::Regions;
use crate::serial::SerialHub;
use crate::spec::{
    BootSpec, CONSOLE_PORT, DisplayChoice, DriveKind, DriveSlot, DriveSpec, ImageFormat,
    MachineSpec,
};
use crate::sys::{duplicate, is_writable};

/// Size of the test picture.
const TEST_PATTERN: (u32, u32) = (1024, 768);

/// Open files that a machine is given. It keeps them, to load them again at a reset.
#[derive(Debug, Default)]
pub struct MachineFiles {
    /// Kernel image.
    pub kernel: Option<File>,
    /// Initial RAM disk, or the first module of a multiboot kernel.
    pub initrd: Option<File>,
    /// Modules of a multiboot kernel, behind the initial RAM disk; the definition has a line for each.
    pub modules: Vec<File>,
    /// Image of the BIOS.
    pub firmware: Option<File>,
    /// Image of the display adapter's BIOS.
    pub vga_rom: Option<File>,
    /// Media of drives that have one.
    pub drives: DriveFiles,
    /// Where the characters of the debug console go.
    pub debug_console: Option<File>,
}

/// The files of media by slot: the image and what is behind it, nearest first.
pub type DriveFiles = BTreeMap<DriveSlot, Vec<File>>;

/// How a machine is made, beside its definition.
pub struct MachineOptions {
    /// Makes the processor.
    pub factory: VcpuFactory,
    /// Whether the machine's threads lock themselves in before they begin (`vmwb-sandbox`): from then on they reach
    /// nothing of the host but what is open already.
    pub confined: bool,
}

impl Default for MachineOptions {
    /// The interpreter, free.
    fn default() -> Self {
        Self {
            factory: interpreter(),
            confined: false,
        }
    }
}

impl std::fmt::Debug for MachineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MachineOptions")
            .field("confined", &self.confined)
            .finish_non_exhaustive()
    }
}

/// Open files of a saved state.
#[derive(Debug)]
pub struct StateFiles {
    /// Devices and processor.
    pub devices: File,
    /// RAM.
    pub ram: File,
}

/// One virtual machine. Dropping it ends its threads.
#[derive(Debug)]
pub struct Machine {
    mailbox: Arc<Mailbox>,
    serial: Mutex<Option<SerialHub>>,
    driver: Mutex<Option<JoinHandle<()>>>,
    frame: Option<OwnedFd>,
    spec: MachineSpec,
    confined: bool,
    drives: Arc<AllCounters>,
}

fn interpreter() -> VcpuFactory {
    Box::new(|memory: Arc<GuestMemory>, config: &CpuConfig| {
        let cpu = Interpreter::new(memory, config.clone())
            .map_err(|e| MachineError::BadArgument(e.to_string()))?;
        Ok(Box::new(cpu) as Box<dyn Vcpu>)
    })
}

/// What the machine starts with; `None`: a restored machine that was given no files.
fn start(spec: &MachineSpec, files: &mut MachineFiles) -> Result<Option<Start>, MachineError> {
    if spec.boot.has_firmware() {
        let Some(firmware) = &files.firmware else {
            return Ok(None);
        };
        let kernel = files.kernel.take();
        let kernel = kernel.map(|k| Linux16::open(k, files.initrd.take()));
        let firmware = Firmware::open(firmware, kernel.transpose()?)?;
        return Ok(Some(Start::Firmware(firmware)));
    }
    let kernel = files.kernel.take();
    let lines = spec.boot.modules();
    let modules = std::mem::take(&mut files.modules);
    if kernel.is_some() && modules.len() != lines.len() {
        return Err(MachineError::BadArgument(format!(
            "The machine was given {} modules; its definition has {}.",
            modules.len(),
            lines.len()
        )));
    }
    let modules = modules.into_iter().zip(lines);
    let modules = files
        .initrd
        .take()
        .into_iter()
        .map(Into::into)
        .chain(modules.map(|(file, line)| Module {
            file,
            line: line.clone(),
        }))
        .collect();
    let boot = kernel.map(|k| boot::open(k, modules));
    Ok(boot.transpose()?.map(Start::Kernel))
}

/// Opens the media that the definition's drives start with. Of a machine that is `restored` the definition is that of its
/// start, and media may have changed since.
fn open_drives(
    spec: &MachineSpec,
    mut files: DriveFiles,
    restored: bool,
    mailbox: &Arc<Mailbox>,
    counters: &AllCounters,
    confined: bool,
) -> Result<Media, MachineError> {
    let mut media = Media::new();
    for drive in &spec.drives {
        let Some(slot) = DriveSlot::parse(&drive.slot) else {
            continue;
        };
        let chain = files.remove(&slot).unwrap_or_default();
        // What lies in a drive with removable media may have changed since the definition was written.
        let removable = drive.kind != DriveKind::Disk && chain.len() <= 1;
        if !removable && chain.len() != drive.formats.len() {
            return Err(MachineError::BadArgument(format!(
                "The drive in the slot {slot} was given {} files; its definition has {}.",
                chain.len(),
                drive.formats.len()
            )));
        }
        if let Some(image) = chain.first() {
            let mut wanted = drive.clone();
            if removable {
                wanted.formats = vec![ImageFormat::Raw];
            }
            if removable && restored {
                // Its handle tells how the one that lies there now is protected.
                wanted.read_only = !is_writable(image).map_err(MachineError::host(
                    "What lies in a drive could not be looked at",
                ))?;
            }
            let opened = open_drive(spec, &wanted, chain, mailbox, counters, confined)?;
            media.insert(slot, opened.backend);
        }
    }
    match files.into_keys().next() {
        Some(slot) => Err(MachineError::BadArgument(format!(
            "The machine has no drive in the slot {slot}, but was given a file for it."
        ))),
        None => Ok(media),
    }
}

fn open_drive(
    spec: &MachineSpec,
    drive: &DriveSpec,
    chain: Vec<File>,
    mailbox: &Arc<Mailbox>,
    counters: &AllCounters,
    confined: bool,
) -> Result<OpenDrive, MachineError> {
    let images: Vec<ImageFile> = drive
        .formats
        .iter()
        .zip(chain)
        .map(|(&format, file)| ImageFile { format, file })
        .collect();
    let raw_bytes = images.first().and_then(drives::raw_bytes);
    let mailbox = Arc::clone(mailbox);
    let slot = DriveSlot::parse(&drive.slot);
    let options = DriveOptions {
        counters: slot
            .and_then(|slot| counters.get(&slot).cloned())
            .unwrap_or_default(),
        name: format!("vmwb-{}", drive.slot),
        read_only: drive.read_only || drive.kind == DriveKind::Cdrom,
        deterministic: spec.deterministic,
        confined,
        waker: Box::new(move || mailbox.drive_answered()),
    };
    let refused = |source| MachineError::Drive {
        slot: drive.slot.clone(),
        source,
    };
    let opened = drives::open(images, options).map_err(refused)?;
    drives::check_size(drive.kind, &opened, raw_bytes).map_err(refused)?;
    Ok(opened)
}

impl Machine {
    /// Makes a machine that is off. Kernel and initial RAM disk are checked now, loaded at each start and reset.
    ///
    /// # Errors
    /// A wrong definition or kernel, a host without room, or one that does not lock the threads in; each with a
    /// sentence for the user.
    pub fn new(
        spec: MachineSpec,
        files: MachineFiles,
        options: MachineOptions,
    ) -> Result<Self, MachineError> {
        match (&spec.boot, &files) {
            (BootSpec::Kernel { .. }, MachineFiles { kernel: None, .. }) => {
                return Err(BootError::NoKernel.into());
            }
            (BootSpec::Firmware { .. }, MachineFiles { firmware: None, .. }) => {
                return Err(BootError::NoFirmware.into());
            }
            _ => {}
        }
        Self::build(spec, files, None, options)
    }

    /// Makes a machine from a saved state; it is paused. With `files` it can be reset; without, a reset ends it.
    ///
    /// # Errors
    /// As [`Machine::new`], and what is wrong with the state.
    pub fn restore(
        spec: MachineSpec,
        files: MachineFiles,
        state: &StateFiles,
        options: MachineOptions,
    ) -> Result<Self, MachineError> {
        Self::build(spec, files, Some(state), options)
    }

    fn build(
        spec: MachineSpec,
        mut files: MachineFiles,
        state: Option<&StateFiles>,
        options: MachineOptions,
    ) -> Result<Self, MachineError> {
        let MachineOptions { factory, confined } = options;
        spec.validate()?;
        let start = start(&spec, &mut files)?;
        let bios_bytes = match &start {
            Some(Start::Firmware(firmware)) => Some(firmware.bytes()),
            _ => None,
        };
        let vga_rom = files
            .vga_rom
            .as_ref()
            .map(read_option_rom)
            .transpose()
            .map_err(BootError::from)?;
        let regions = Regions::of(&spec, bios_bytes);
        let memory = Arc::new(GuestMemory::with_regions(
            spec.ram_bytes(),
            regions.specs(),
        )?);
        let map = MemoryMap::of(&memory);
        match &start {
            Some(Start::Kernel(kernel)) => kernel.check(&map, spec.boot.append())?,
            Some(Start::Firmware(firmware)) => {
                firmware.kernel_items(map.low_end(), spec.boot.append())?;
            }
            None => {}
        }
        let power = if state.is_some() {
            PowerState::Paused
        } else {
            PowerState::Off
        };
        let events = EventQueue::new()
            .map_err(MachineError::host("The host has no event handle to give"))?;
        let mailbox = Arc::new(Mailbox::new(power, events));
        let slots = spec.drives.iter().filter_map(|d| DriveSlot::parse(&d.slot));
        let drives: Arc<AllCounters> = Arc::new(slots.map(|slot| (slot, Arc::default())).collect());
        let media = open_drives(
            &spec,
            files.drives,
            state.is_some(),
            &mailbox,
            &drives,
            confined,
        )?;
        let serial = SerialHub::new(
            ports_of(&spec),
            Box::new(SerialInput(Arc::clone(&mailbox))),
            confined.then_some(Role::Device),
        )
        .map_err(MachineError::host("The serial ports could not be made"))?;
        let publisher = publisher(spec.display)?;
        let frame = publisher
            .as_ref()
            .map(|p| p.fd().try_clone_to_owned())
            .transpose()
            .map_err(MachineError::host(
                "The host has no handle for the picture to give",
            ))?;
        let kept = spec.clone();
        let mut driver = Driver::new(DriverParts {
            spec,
            start,
            vga_rom,
            regions,
            debug_console: files.debug_console.map(Arc::new),
            media,
            drives: Arc::clone(&drives),
            memory,
            factory,
            mailbox: Arc::clone(&mailbox),
            serial: serial.flusher(),
            display: publisher.map(DisplayOutput::new),
        });
        if let Some(state) = state {
            driver.restore(&read_state(&state.devices)?, &state.ram)?;
        }
        let role = confined.then_some(Role::Driver);
        let thread = confine::spawn("vmwb-vcpu0", role, move || driver.run()).map_err(
            MachineError::host("The machine's thread could not be started"),
        )?;
        Ok(Self {
            mailbox,
            serial: Mutex::new(Some(serial)),
            driver: Mutex::new(Some(thread)),
            frame,
            spec: kept,
            confined,
            drives,
        })
    }

    /// Asks for a change of power; effects are told by events.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] with the power table's sentence.
    pub fn power(&self, command: PowerCommand) -> Result<(), MachineError> {
        if command == PowerCommand::Suspend {
            return Err(MachineError::BadArgument(
                "A suspend needs files to write to; save the state instead.".to_owned(),
            ));
        }
        self.mailbox.request(command)
    }

    /// The power state.
    #[must_use]
    pub fn state(&self) -> PowerState {
        self.mailbox.power()
    }

    /// Writes the state of the paused machine; it is `suspended` afterwards. Blocks until it is on disk.
    ///
    /// # Errors
    /// The machine is not paused; the files cannot be written (it is paused again then).
    pub fn save(&self, files: SaveFiles) -> Result<(), MachineError> {
        let (tx, rx) = channel();
        self.mailbox.request_save(files, tx)?;
        rx.recv().map_err(|_| MachineError::Closed)?
    }

    /// Adds an input from outside.
    ///
    /// # Errors
    /// The machine takes none now.
    pub fn inject(&self, input: Input) -> Result<(), MachineError> {
        if let Input::Serial { port, .. } = input {
            self.check_port(port)?;
        }
        self.mailbox.inject(input)
    }

    fn check_port(&self, port: u8) -> Result<(), MachineError> {
        if self.spec.has_port(port) {
            return Ok(());
        }
        if port == CONSOLE_PORT {
            return Err(MachineError::NotFound(
                "The machine has no virtio console.".to_owned(),
            ));
        }
        Err(MachineError::NotFound(format!(
            "The machine has {} serial ports; there is no number {port}.",
            self.spec.serial_ports
        )))
    }

    /// Takes all events out, as JSON objects.
    #[must_use]
    pub fn drain_events(&self) -> Vec<String> {
        self.mailbox.events().drain()
    }

    /// Descriptor that is readable while events wait; the machine owns it.
    #[must_use]
    pub fn event_handle(&self) -> i32 {
        self.mailbox.events().handle()
    }

    /// Puts a raw image into a drive with removable media; `None` takes out what is in it.
    ///
    /// # Errors
    /// There is no such drive; the image is none for it; the guest has locked the tray and `force` is not set.
    pub fn attach(
        &self,
        slot: &str,
        image: Option<File>,
        read_only: bool,
        force: bool,
    ) -> Result<(), MachineError> {
        let drive = self.spec.drives.iter().find(|drive| drive.slot == slot);
        let drive = drive.filter(|drive| drive.kind != DriveKind::Disk);
        let (Some(drive), Some(at)) = (drive, DriveSlot::parse(slot)) else {
            let shown: String = slot.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(MachineError::NotFound(format!(
                "The machine has no drive with removable media in the slot '{shown}'."
            )));
        };
        let medium: Box<dyn BlockBackend> = match image {
            None => Box::new(NoMedium::default()),
            Some(file) => {
                let wanted = DriveSpec {
                    formats: vec![ImageFormat::Raw],
                    read_only: read_only || drive.kind == DriveKind::Cdrom,
                    ..drive.clone()
                };
                open_drive(
                    &self.spec,
                    &wanted,
                    vec![file],
                    &self.mailbox,
                    &self.drives,
                    self.confined,
                )?
                .backend
            }
        };
        let (tx, rx) = channel();
        let change = MediaChange {
            slot: at,
            medium,
            force,
        };
        self.mailbox.ask(Command::Media(change, tx))?;
        // The old medium is closed here, where that may take its time.
        rx.recv().map_err(|_| MachineError::Closed)?.map(drop)
    }

    /// The framebuffer's memory file; `None` without a display.
    ///
    /// # Errors
    /// The host has no handle to give.
    pub fn frame_handle(&self) -> Result<Option<OwnedFd>, MachineError> {
        self.frame
            .as_ref()
            .map(OwnedFd::try_clone)
            .transpose()
            .map_err(MachineError::host(
                "The host has no handle for the picture to give",
            ))
    }

    /// A new stream socket of a serial port: reads give the guest's output from now on, writes are its input.
    ///
    /// # Errors
    /// There is no such port; the host has no socket to give.
    pub fn console(&self, port: u8) -> Result<UnixStream, MachineError> {
        self.check_port(port)?;
        let hub = self.serial.lock().expect("no holder of this lock panics");
        let hub = hub.as_ref().ok_or(MachineError::Closed)?;
        let socket = hub
            .open(port)
            .map_err(MachineError::host("The serial console could not be opened"))?;
        socket.ok_or(MachineError::Closed)
    }

    /// Statistics as a JSON object.
    ///
    /// # Errors
    /// [`MachineError::Closed`].
    pub fn stats(&self) -> Result<String, MachineError> {
        self.ask(Command::Stats)
    }

    /// Text of the screen, rows joined by newlines, right-stripped; `None` in graphics modes and without an adapter.
    ///
    /// # Errors
    /// [`MachineError::Closed`].
    pub fn screen_text(&self) -> Result<Option<String>, MachineError> {
        self.ask(Command::ScreenText)
    }

    /// Carries out a debugger's request, one JSON object, and gives its answer, another.
    ///
    /// # Errors
    /// The request is wrong, or the machine's state forbids it.
    pub fn debug(&self, request: &str) -> Result<String, MachineError> {
        let request = DebugRequest::from_json(request)?;
        self.ask(|reply| Command::Debug(request, reply))?
    }

    fn ask<T>(&self, question: impl FnOnce(Sender<T>) -> Command) -> Result<T, MachineError> {
        let (tx, rx): (Sender<T>, Receiver<T>) = channel();
        self.mailbox.ask(question(tx))?;
        rx.recv().map_err(|_| MachineError::Closed)
    }

    /// Records every input with its stamp from now on.
    pub fn record_inputs(&self) {
        self.mailbox.record_inputs();
    }

    /// The inputs recorded so far.
    #[must_use]
    pub fn take_recording(&self) -> Vec<Delivery> {
        self.mailbox.take_recording()
    }

    /// Delivers recorded inputs at their stamps: in a deterministic machine the run repeats.
    pub fn replay_inputs(&self, log: Vec<Delivery>) {
        self.mailbox.replay_inputs(log);
    }

    /// Ends the machine's threads. Can be called any number of times.
    pub fn close(&self) {
        self.mailbox.close();
        let thread = self
            .driver
            .lock()
            .expect("no holder of this lock panics")
            .take();
        if let Some(thread) = thread {
            // The driver turns panics into events; one outside of that has been printed by the runtime.
            drop(thread.join());
        }
        drop(
            self.serial
                .lock()
                .expect("no holder of this lock panics")
                .take(),
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.close();
    }
}

/// How many ports the hub needs, up to the one with the highest number.
fn ports_of(spec: &MachineSpec) -> u8 {
    if spec.virtio.console {
        CONSOLE_PORT + 1
    } else {
        spec.serial_ports
    }
}

fn publisher(display: DisplayChoice) -> Result<Option<Publisher>, MachineError> {
    let host = |e| MachineError::host("The framebuffer could not be made")(e);
    match display {
        DisplayChoice::None => Ok(None),
        DisplayChoice::Vga => Ok(Some(Publisher::new().map_err(host)?)),
        DisplayChoice::TestPattern => {
            let mut publisher = Publisher::new().map_err(host)?;
            publisher.publish_test_pattern(TEST_PATTERN.0, TEST_PATTERN.1);
            Ok(Some(publisher))
        }
    }
}

/// A file of our own for a handle that stays the caller's.
///
/// # Errors
/// The handle is not an open file.
pub fn file_of_handle(handle: i32) -> Result<File, MachineError> {
    duplicate(handle).map_err(|source: io::Error| MachineError::Host {
        what: "A handle that was passed is not an open file",
        source,
    })
}
