//! `vmwb-run`: runs one machine without Python and without a window. A tool of tests and benches; users have `vmwb run`.
//!
//! Two descriptors are watched: the machine's events and its first serial port. Everything else is the machine's work.
#![deny(unsafe_code)]

mod options;
mod sys;
mod watch;

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use vmwb_machine::spec::{BootSource, BootSpec, DisplayChoice, DriveKind, DriveSpec};
use vmwb_machine::{DriveFiles, Machine, MachineFiles, MachineOptions, MachineSpec, PowerCommand};

use options::{Options, USAGE};
use watch::Watcher;

const OK: u8 = 0;
const FAILURE: u8 = 1;
const USAGE_ERROR: u8 = 2;
const TIMED_OUT: u8 = 124;
const DEFAULT_MEMORY_MIB: u64 = 512;

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ending {
    TextAppeared,
    PoweredOff,
    Crashed(String),
    DebugExit(u64),
    TimedOut,
}

impl Ending {
    fn status(&self) -> u8 {
        match self {
            Self::TextAppeared | Self::PoweredOff => OK,
            Self::Crashed(_) => FAILURE,
            Self::DebugExit(value) => (value << 1 | 1).to_le_bytes()[0],
            Self::TimedOut => TIMED_OUT,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::TextAppeared => "until_serial",
            Self::PoweredOff => "power_off",
            Self::Crashed(_) => "crashed",
            Self::DebugExit(_) => "debug_exit",
            Self::TimedOut => "timeout",
        }
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(sentence) => {
            eprintln!("vmwb-run: {sentence}");
            return ExitCode::from(USAGE_ERROR);
        }
    };
    if options.help {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(e) => {
            eprintln!("vmwb-run: {e:#}");
            ExitCode::from(FAILURE)
        }
    }
}

fn spec(options: &Options) -> Result<MachineSpec> {
    let mut spec = match &options.spec {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            MachineSpec::from_json(&text)?
        }
        None => MachineSpec::new("vmwb-run", DEFAULT_MEMORY_MIB, ""),
    };
    if let Some(mib) = options.memory_mib {
        spec.memory_mib = mib;
    }
    if let Some(append) = &options.append {
        spec.boot = BootSpec::Kernel {
            append: append.clone(),
            modules: Vec::new(),
        };
    }
    if !options.modules.is_empty() {
        spec.boot = BootSpec::Kernel {
            append: spec.boot.append().to_owned(),
            modules: options.modules.iter().map(|m| m.line.clone()).collect(),
        };
    }
    if options.firmware.is_some() {
        spec.boot = BootSpec::Firmware {
            order: vec![BootSource::Cdrom, BootSource::Disk, BootSource::Floppy],
            menu: false,
            menu_wait_ms: 0,
            append: spec.boot.append().to_owned(),
        };
    }
    spec.drives.extend(options.drives.iter().map(|d| DriveSpec {
        slot: d.slot.to_string(),
        kind: d.kind,
        formats: vec![d.format],
        read_only: d.read_only,
    }));
    spec.cpus = options.cpus.unwrap_or(spec.cpus);
    if let Some(model) = &options.cpu_model {
        spec.cpu.model.clone_from(model);
    }
    spec.deterministic |= options.deterministic;
    spec.pace &= !options.no_pace;
    match options.display.as_deref() {
        None => {}
        Some("vga") => spec.display = DisplayChoice::Vga,
        Some("none") => spec.display = DisplayChoice::None,
        Some("test-pattern") => spec.display = DisplayChoice::TestPattern,
        Some(other) => {
            anyhow::bail!("there is no display '{other}'; vga, none and test-pattern are")
        }
    }
    if options.debug_exit.is_some() {
        spec.debug_exit_port = options.debug_exit;
    }
    spec.validate()?;
    Ok(spec)
}

fn open(path: Option<&std::path::PathBuf>) -> Result<Option<File>> {
    path.map(|p| File::open(p).with_context(|| format!("{} cannot be opened", p.display())))
        .transpose()
}

fn drives(options: &Options) -> Result<DriveFiles> {
    let mut files = DriveFiles::new();
    for drive in &options.drives {
        let writable = !drive.read_only && drive.kind != DriveKind::Cdrom;
        let file = File::options()
            .read(true)
            .write(writable)
            .open(&drive.path)
            .with_context(|| format!("{} cannot be opened", drive.path.display()))?;
        files.insert(drive.slot, vec![file]);
    }
    Ok(files)
}

fn run(options: &Options) -> Result<u8> {
    let files = MachineFiles {
        kernel: open(options.kernel.as_ref())?,
        initrd: open(options.initrd.as_ref())?,
        modules: options
            .modules
            .iter()
            .map(|m| {
                File::open(&m.path)
                    .with_context(|| format!("{} cannot be opened", m.path.display()))
            })
            .collect::<Result<_>>()?,
        firmware: open(options.firmware.as_ref())?,
        vga_rom: open(options.vga_rom.as_ref())?,
        drives: drives(options)?,
        debug_console: options
            .debug_console
            .as_ref()
            .map(|p| File::create(p).with_context(|| format!("{} cannot be made", p.display())))
            .transpose()?,
    };
    let machine = Machine::new(spec(options)?, files, MachineOptions::default())?;
    let console = machine.console(0)?;
    machine.power(PowerCommand::Start)?;
    let ending = watch_until_end(options, &machine, &console)?;
    let stats = machine.stats()?;
    if options.text
        && let Some(text) = machine.screen_text()?
    {
        println!("{text}");
    }
    machine.close();
    if let Ending::Crashed(sentence) = &ending {
        eprintln!("vmwb-run: {sentence}");
    }
    if let Some(path) = &options.stats {
        let mut stats: Value = serde_json::from_str(&stats)?;
        stats["ended_by"] = ending.name().into();
        std::fs::write(path, format!("{stats}\n"))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(ending.status())
}

fn watch_until_end(options: &Options, machine: &Machine, console: &UnixStream) -> Result<Ending> {
    let end = options.timeout.map(|t| Instant::now() + t);
    let mut watcher = Watcher::new(options.until_serial.as_deref(), &options.send);
    let (mut reader, mut writer) = (console, console);
    let mut buffer = vec![0; 64 << 10];
    let mut ending = None;
    loop {
        // After the guest's end only what is still in the socket counts.
        let patience = if ending.is_some() {
            Some(Duration::from_millis(20))
        } else {
            end.map(|e| e.saturating_duration_since(Instant::now()))
        };
        let ready = sys::wait_readable([machine.event_handle(), console.as_raw_fd()], patience)?;
        if ready[1] {
            let n = reader.read(&mut buffer)?;
            if !options.quiet {
                let mut out = std::io::stdout().lock();
                out.write_all(&buffer[..n])?;
                out.flush()?;
            }
            let seen = watcher.feed(&buffer[..n]);
            for input in seen.answers {
                writer.write_all(input.as_bytes())?;
            }
            if seen.ended {
                return Ok(Ending::TextAppeared);
            }
        }
        if ready[0] {
            ending = machine
                .drain_events()
                .iter()
                .find_map(|e| ending_of(e))
                .or(ending);
        }
        match (&ending, ready) {
            (Some(ending), [false, false]) => return Ok(ending.clone()),
            (None, _) if end.is_some_and(|e| Instant::now() >= e) => return Ok(Ending::TimedOut),
            _ => {}
        }
    }
}

fn ending_of(event: &str) -> Option<Ending> {
    let event: Value = serde_json::from_str(event).ok()?;
    match event["kind"].as_str()? {
        "guest_power_off" => Some(Ending::PoweredOff),
        "crashed" => Some(Ending::Crashed(event["sentence"].as_str()?.to_owned())),
        "debug_exit" => Some(Ending::DebugExit(event["value"].as_u64()?)),
        "log" if event["level"] != "info" => {
            eprintln!(
                "vmwb-run: {}",
                event["message"].as_str().unwrap_or_default()
            );
            None
        }
        _ => None,
    }
}
