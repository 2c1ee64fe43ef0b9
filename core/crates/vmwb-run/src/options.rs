//! The command line of the runner.

use std::path::PathBuf;
use std::time::Duration;

use vmwb_machine::spec::{DriveKind, DriveSlot, ImageFormat};

/// What `--help` prints.
pub const USAGE: &str = "\
usage: vmwb-run [--kernel FILE [--initrd FILE] [--module FILE[,LINE]]... [--append TEXT]] [--firmware FILE [--vga-rom FILE]]
                [--drive SLOT=FILE[,cdrom][,qcow2][,readonly]]... [--memory SIZE] [--cpus N] [--cpu-model M]
                [--spec FILE.json] [--deterministic] [--no-pace] [--display vga|none|test-pattern]
                [--debug-exit PORT] [--debug-console FILE] [--until-serial TEXT] [--send TEXT=INPUT]...
                [--timeout SECONDS] [--text] [--stats FILE.json] [--quiet]

Runs one machine without a window; its first serial port is the standard output.
Exit status: 0 the text appeared or the guest switched off, 1 the guest crashed, 2 wrong usage, 124 time is over,
(V << 1) | 1 the guest wrote V to the debug exit port.
";

/// What the user asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Options {
    /// Definition as JSON; the flags below change it.
    pub spec: Option<PathBuf>,
    /// Kernel image.
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk.
    pub initrd: Option<PathBuf>,
    /// Modules of a multiboot kernel.
    pub modules: Vec<ModuleOption>,
    /// Kernel command line.
    pub append: Option<String>,
    /// BIOS image.
    pub firmware: Option<PathBuf>,
    /// Image of the display adapter's BIOS.
    pub vga_rom: Option<PathBuf>,
    /// Drives.
    pub drives: Vec<DriveOption>,
    /// Processors.
    pub cpus: Option<u32>,
    /// Processor model.
    pub cpu_model: Option<String>,
    /// Where the debug console's characters go.
    pub debug_console: Option<PathBuf>,
    /// Print the text of the screen at the end.
    pub text: bool,
    /// RAM in MiB.
    pub memory_mib: Option<u64>,
    /// Time from instructions.
    pub deterministic: bool,
    /// Deterministic time may outrun the host's.
    pub no_pace: bool,
    /// Display, by its name in the definition.
    pub display: Option<String>,
    /// Debug exit port.
    pub debug_exit: Option<u16>,
    /// End when this appears on the first serial port.
    pub until_serial: Option<String>,
    /// Answers: when the text appears, the input is typed, once.
    pub send: Vec<(String, String)>,
    /// End with 124 after this time.
    pub timeout: Option<Duration>,
    /// Write statistics there.
    pub stats: Option<PathBuf>,
    /// Print no serial output.
    pub quiet: bool,
    /// Print the usage.
    pub help: bool,
}

impl Options {
    /// Reads the arguments that follow the program's name.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut options = Self::default();
        let mut args = args.into_iter();
        while let Some(flag) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--spec" => options.spec = Some(value()?.into()),
                "--kernel" => options.kernel = Some(value()?.into()),
                "--initrd" => options.initrd = Some(value()?.into()),
                "--module" => options.modules.push(module(&value()?)),
                "--append" => options.append = Some(value()?),
                "--firmware" => options.firmware = Some(value()?.into()),
                "--vga-rom" => options.vga_rom = Some(value()?.into()),
                "--drive" => options.drives.push(drive(&value()?)?),
                "--cpus" => {
                    let text = value()?;
                    let cpus = text.parse().map_err(|_| format!("'{text}' is no number"))?;
                    options.cpus = Some(cpus);
                }
                "--cpu-model" => options.cpu_model = Some(value()?),
                "--debug-console" => options.debug_console = Some(value()?.into()),
                "--text" => options.text = true,
                "--memory" => options.memory_mib = Some(memory_mib(&value()?)?),
                "--deterministic" => options.deterministic = true,
                "--no-pace" => options.no_pace = true,
                "--display" => options.display = Some(value()?),
                "--debug-exit" => options.debug_exit = Some(port(&value()?)?),
                "--until-serial" => options.until_serial = Some(value()?),
                "--send" => {
                    let pair = value()?;
                    let (text, input) = pair
                        .split_once('=')
                        .ok_or_else(|| format!("--send wants TEXT=INPUT, not '{pair}'"))?;
                    options.send.push((text.to_owned(), unescape(input)));
                }
                "--timeout" => options.timeout = Some(seconds(&value()?)?),
                "--stats" => options.stats = Some(value()?.into()),
                "--quiet" => options.quiet = true,
                "--help" | "-h" => options.help = true,
                other => return Err(format!("there is no option '{other}'; see --help")),
            }
        }
        Ok(options)
    }
}

/// One `--module`.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleOption {
    /// Its file.
    pub path: PathBuf,
    /// What the kernel is told about it.
    pub line: String,
}

/// `FILE,LINE`
fn module(text: &str) -> ModuleOption {
    let (path, line) = text.split_once(',').unwrap_or((text, ""));
    ModuleOption {
        path: path.into(),
        line: line.to_owned(),
    }
}

/// One `--drive`.
#[derive(Debug, Clone, PartialEq)]
pub struct DriveOption {
    /// Where it is connected.
    pub slot: DriveSlot,
    /// Kind.
    pub kind: DriveKind,
    /// Its image.
    pub path: PathBuf,
    /// Format of the image.
    pub format: ImageFormat,
    /// Whether it is only read.
    pub read_only: bool,
}

/// `ide0=disk.img,qcow2,readonly`
fn drive(text: &str) -> Result<DriveOption, String> {
    let wrong = || format!("--drive wants SLOT=FILE, not '{text}'");
    let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
    let slot = DriveSlot::parse(name).ok_or_else(wrong)?;
    let mut words = rest.split(',');
    let mut option = DriveOption {
        slot,
        kind: if matches!(slot, DriveSlot::Floppy(_)) {
            DriveKind::Floppy
        } else {
            DriveKind::Disk
        },
        path: words.next().ok_or_else(wrong)?.into(),
        format: ImageFormat::Raw,
        read_only: false,
    };
    for word in words {
        match word {
            "cdrom" => option.kind = DriveKind::Cdrom,
            "qcow2" => option.format = ImageFormat::Qcow2,
            "readonly" => option.read_only = true,
            _ => return Err(wrong()),
        }
    }
    Ok(option)
}

/// `512`, `512M`, `2G` as MiB.
fn memory_mib(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is no memory size; write for example 512M or 2G");
    let (digits, factor) = match text.strip_suffix(['G', 'g']) {
        Some(digits) => (digits, 1024),
        None => (text.strip_suffix(['M', 'm']).unwrap_or(text), 1),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(factor).ok_or_else(wrong)
}

fn port(text: &str) -> Result<u16, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("'{text}' is no I/O port; write for example 0x501"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .ok_or_else(|| format!("'{text}' is no time in seconds"))
}

/// `\n` and `\r` in an input mean the keys.
fn unescape(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\r", "\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &[&str]) -> Result<Options, String> {
        Options::parse(line.iter().map(ToString::to_string))
    }

    #[test]
    fn parse_sizes_ports_and_answers() {
        let o = parse(&[
            "--memory",
            "2G",
            "--debug-exit",
            "0x501",
            "--send",
            "# =uname -a\\n",
            "--timeout",
            "1.5",
        ])
        .unwrap();
        assert_eq!((o.memory_mib, o.debug_exit), (Some(2048), Some(0x501)));
        assert_eq!(o.send, [("# ".to_owned(), "uname -a\n".to_owned())]);
        assert_eq!(o.timeout, Some(Duration::from_millis(1500)));
    }

    #[test]
    fn parse_nonsense_is_refused_with_a_sentence() {
        assert!(parse(&["--memory", "lots"]).unwrap_err().contains("lots"));
        assert!(parse(&["--floppy"]).unwrap_err().contains("--floppy"));
        assert!(parse(&["--kernel"]).unwrap_err().contains("needs a value"));
        assert!(parse(&["--timeout", "-1"]).is_err());
    }
}
