//! [`MachineSpec`]: the one schema of a machine, as JSON.
//!
//! What the user defines is the Python side's `VmConfig`; it becomes this. Files are not named here: kernel, initial
//! RAM disk and media arrive as open handles beside it. Unknown fields are refused, so that a misspelt one is not lost.

mod drives;
mod schema;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use drives::{DriveKind, DriveSlot, DriveSpec, ImageFormat, MAX_CHAIN, MAX_VIRTIO_DISKS};
pub use schema::schema_json;

/// Version of the schema that this build reads and writes.
pub const SPEC_VERSION: u32 = 1;
/// Least and most memory, in MiB.
pub const MEMORY_MIB: std::ops::RangeInclusive<u64> = 2..=65_536;
/// Longest kernel command line that the loader takes, in bytes without the closing NUL.
pub const MAX_APPEND_BYTES: usize = 2047;
/// Fewest and most processors.
pub const CPUS: std::ops::RangeInclusive<u32> = 1..=vmwb_x86::MAX_PROCESSORS as u32;
/// Most serial ports (COM1 to COM4).
pub const MAX_SERIAL_PORTS: u8 = 4;
/// Processor models that exist, the default first.
pub const CPU_MODELS: &[&str] = vmwb_x86::cpuid::MODELS;
/// Time-stamp counter rates that are accepted, in Hz.
pub const TSC_HZ: std::ops::RangeInclusive<u64> = 1_000_000..=10_000_000_000;
/// Longest JSON text that is read, in bytes.
pub const MAX_SPEC_BYTES: usize = 1 << 20;
/// Longest name of a machine, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Number of the virtio console among the ports that clients attach to, behind those of the serial ports.
pub const CONSOLE_PORT: u8 = MAX_SERIAL_PORTS;
/// Most modules of a multiboot kernel in a definition.
pub const MAX_MODULES: usize = 32;
/// Longest line of a module, in bytes.
pub const MAX_MODULE_LINE_BYTES: usize = 1023;
/// Kinds of device that a boot order names.
pub const MAX_BOOT_SOURCES: usize = 4;

/// Why a definition was refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// It is not JSON of this shape.
    #[error("The machine's definition cannot be read: {0}.")]
    Malformed(String),
    /// One field has a value that cannot be used.
    #[error("{sentence}")]
    Field {
        /// Path of the field.
        field: &'static str,
        /// What is wrong and what would be right.
        sentence: String,
    },
}

/// Which engine runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineChoice {
    /// The best one that exists: at present the interpreter.
    #[default]
    Auto,
    /// The reference interpreter.
    Interpreter,
    /// Dynamic translation; does not exist yet.
    Jit,
    /// Hardware virtualization; does not exist yet.
    Kvm,
}

/// What the guest sees of its display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisplayChoice {
    /// A VGA adapter.
    #[default]
    Vga,
    /// No adapter.
    None,
    /// No adapter for the guest; the framebuffer shows a 1024x768 test picture.
    TestPattern,
}

/// The processor's frozen properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CpuSpec {
    /// One of [`CPU_MODELS`].
    pub model: String,
    /// Rate of the time-stamp counter in Hz, within [`TSC_HZ`].
    pub tsc_hz: u64,
}

impl Default for CpuSpec {
    fn default() -> Self {
        Self {
            model: CPU_MODELS[0].to_owned(),
            tsc_hz: 1_000_000_000,
        }
    }
}

/// What firmware looks at for an operating system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootSource {
    /// Floppy drives.
    Floppy,
    /// Disks, in the order of their slots.
    Disk,
    /// CD drives.
    Cdrom,
    /// Network cards.
    Network,
}

/// How the guest gets its first instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum BootSpec {
    /// Direct boot of a kernel (handle `kernel`, and `initrd` if there is one), without firmware.
    #[serde(alias = "linux")]
    Kernel {
        /// Kernel command line, at most [`MAX_APPEND_BYTES`] bytes, no NUL.
        #[serde(default)]
        append: String,
        /// What a multiboot kernel is told about its modules, a line each, at most [`MAX_MODULES`]; handles `module.0` ...
        /// The initial RAM disk, if there is one, comes before them. A line has at most [`MAX_MODULE_LINE_BYTES`] bytes
        /// and no NUL.
        #[serde(default)]
        modules: Vec<String>,
    },
    /// The processor starts at its reset vector, in a PC BIOS (handle `firmware`; the display's BIOS is `vga_rom`). With
    /// a handle `kernel` the BIOS starts that kernel by its 16-bit entry.
    Firmware {
        /// What is looked at, in this order; what is not named comes last. At most [`MAX_BOOT_SOURCES`], each once.
        #[serde(default = "usual_order")]
        order: Vec<BootSource>,
        /// Whether the boot menu waits for its key.
        #[serde(default = "yes")]
        menu: bool,
        /// How long, in milliseconds, at most 65,535.
        #[serde(default = "menu_wait")]
        menu_wait_ms: u16,
        /// As for [`BootSpec::Kernel`].
        #[serde(default)]
        append: String,
    },
}

impl BootSpec {
    /// The command line for a kernel.
    #[must_use]
    pub fn append(&self) -> &str {
        match self {
            Self::Kernel { append, .. } | Self::Firmware { append, .. } => append,
        }
    }

    /// Lines of a multiboot kernel's modules.
    #[must_use]
    pub fn modules(&self) -> &[String] {
        match self {
            Self::Kernel { modules, .. } => modules,
            Self::Firmware { .. } => &[],
        }
    }

    /// Whether firmware starts the machine.
    #[must_use]
    pub fn has_firmware(&self) -> bool {
        matches!(self, Self::Firmware { .. })
    }
}

/// Optional virtio devices beside disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VirtioSpec {
    /// Random numbers.
    pub rng: bool,
    /// Memory balloon.
    pub balloon: bool,
    /// Absolute pointer.
    pub input: bool,
    /// Console, whose port has the number [`CONSOLE_PORT`].
    pub console: bool,
}

/// Everything that makes one machine, but its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineSpec {
    /// [`SPEC_VERSION`].
    pub version: u32,
    /// Name, for messages and thread names only.
    pub name: String,
    /// RAM in MiB, within [`MEMORY_MIB`].
    pub memory_mib: u64,
    /// Processors, within [`CPUS`].
    #[serde(default = "one_cpu")]
    pub cpus: u32,
    /// Engine.
    #[serde(default)]
    pub engine: EngineChoice,
    /// Time is derived from the count of retired instructions.
    #[serde(default)]
    pub deterministic: bool,
    /// Deterministic mode only: virtual time never outruns host time.
    #[serde(default = "yes")]
    pub pace: bool,
    /// Processor.
    #[serde(default)]
    pub cpu: CpuSpec,
    /// Boot.
    pub boot: BootSpec,
    /// Serial ports, 0 to [`MAX_SERIAL_PORTS`].
    #[serde(default = "one_port")]
    pub serial_ports: u8,
    /// Display.
    #[serde(default)]
    pub display: DisplayChoice,
    /// Drives, at most one a slot.
    #[serde(default)]
    pub drives: Vec<DriveSpec>,
    /// Virtio devices beside disks.
    #[serde(default)]
    pub virtio: VirtioSpec,
    /// Identity that the firmware's tables show: 32 hexadecimal digits, with or without dashes. All zeros without it.
    #[serde(default)]
    pub uuid: Option<String>,
    /// I/O port of the debug exit device; none without it.
    #[serde(default)]
    pub debug_exit_port: Option<u16>,
    /// Seed of everything random in the machine.
    #[serde(default)]
    pub seed: u64,
}

fn one_cpu() -> u32 {
    1
}
fn one_port() -> u8 {
    1
}
fn yes() -> bool {
    true
}
fn usual_order() -> Vec<BootSource> {
    vec![BootSource::Cdrom, BootSource::Disk, BootSource::Floppy]
}
fn menu_wait() -> u16 {
    1_000
}

/// The I/O ports that a debug exit device may take: free of every device of the board.
const DEBUG_EXIT_PORTS: [std::ops::RangeInclusive<u16>; 2] = [0xF4..=0xF4, 0x500..=0x5FC];
/// Those of them whose four ports reach into the firmware configuration device's.
const FIRMWARE_PORTS: std::ops::RangeInclusive<u16> = 0x50D..=0x51B;

impl MachineSpec {
    /// A machine with defaults: one processor, one serial port, VGA.
    #[must_use]
    pub fn new(name: &str, memory_mib: u64, append: &str) -> Self {
        Self {
            version: SPEC_VERSION,
            name: name.to_owned(),
            memory_mib,
            cpus: 1,
            engine: EngineChoice::Auto,
            deterministic: false,
            pace: true,
            cpu: CpuSpec::default(),
            boot: BootSpec::Kernel {
                append: append.to_owned(),
                modules: Vec::new(),
            },
            serial_ports: 1,
            display: DisplayChoice::Vga,
            drives: Vec::new(),
            virtio: VirtioSpec::default(),
            uuid: None,
            debug_exit_port: None,
            seed: 0,
        }
    }

    /// Reads and validates a definition.
    ///
    /// # Errors
    /// [`SpecError`] with a sentence that names the field and its limits.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        if text.len() > MAX_SPEC_BYTES {
            return Err(SpecError::Malformed("it is longer than 1 MiB".to_owned()));
        }
        let spec: Self =
            serde_json::from_str(text).map_err(|e| SpecError::Malformed(e.to_string()))?;
        spec.validate()?;
        Ok(spec)
    }

    /// The definition as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a spec has only strings and numbers")
    }

    /// Whether the board has what firmware and drives need. A kernel that is booted without drives gets a bare board.
    #[must_use]
    pub fn is_whole_pc(&self) -> bool {
        self.boot.has_firmware() || !self.drives.is_empty()
    }

    /// RAM in bytes.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.memory_mib << 20
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`SpecError::Field`] for the first that cannot be used.
    pub fn validate(&self) -> Result<(), SpecError> {
        let refuse = |field, sentence| Err(SpecError::Field { field, sentence });
        if self.version != SPEC_VERSION {
            return refuse(
                "version",
                format!(
                    "The machine's definition has version {}; this build reads version {SPEC_VERSION}.",
                    self.version
                ),
            );
        }
        if self.name.len() > MAX_NAME_BYTES || self.name.chars().any(char::is_control) {
            return refuse(
                "name",
                format!(
                    "A machine's name has at most {MAX_NAME_BYTES} bytes and no control characters."
                ),
            );
        }
        if !MEMORY_MIB.contains(&self.memory_mib) {
            return refuse(
                "memory_mib",
                format!(
                    "A machine needs between 2 MiB and 64 GiB of memory; {} MiB were asked for.",
                    self.memory_mib
                ),
            );
        }
        if !CPUS.contains(&self.cpus) {
            return refuse(
                "cpus",
                format!(
                    "A machine has {} to {} processors; {} were asked for.",
                    CPUS.start(),
                    CPUS.end(),
                    self.cpus
                ),
            );
        }
        if matches!(self.engine, EngineChoice::Jit | EngineChoice::Kvm) {
            let engine = if self.engine == EngineChoice::Jit {
                "jit"
            } else {
                "kvm"
            };
            return refuse(
                "engine",
                format!("The engine '{engine}' does not exist yet; use 'auto' or 'interpreter'."),
            );
        }
        if !CPU_MODELS.contains(&self.cpu.model.as_str()) {
            return refuse(
                "cpu.model",
                format!(
                    "The processor model '{}' is unknown; there are {}.",
                    self.cpu.model.escape_debug(),
                    CPU_MODELS.join(", ")
                ),
            );
        }
        if !TSC_HZ.contains(&self.cpu.tsc_hz) {
            return refuse(
                "cpu.tsc_hz",
                format!(
                    "The time-stamp counter runs at 1 MHz to 10 GHz; {} Hz were asked for.",
                    self.cpu.tsc_hz
                ),
            );
        }
        let append = self.boot.append();
        if append.len() > MAX_APPEND_BYTES || append.contains('\0') {
            return refuse(
                "boot.append",
                format!(
                    "A kernel command line has at most {MAX_APPEND_BYTES} bytes and no NUL; this one has {} bytes.",
                    append.len()
                ),
            );
        }
        self.check_order()?;
        self.check_modules()?;
        self.check_drives()?;
        if self
            .uuid
            .as_deref()
            .is_some_and(|text| parse_uuid(text).is_none())
        {
            return refuse(
                "uuid",
                "A machine's identity is 32 hexadecimal digits, with or without dashes.".to_owned(),
            );
        }
        if self.serial_ports > MAX_SERIAL_PORTS {
            return refuse(
                "serial_ports",
                format!(
                    "A machine has at most {MAX_SERIAL_PORTS} serial ports; {} were asked for.",
                    self.serial_ports
                ),
            );
        }
        if let Some(port) = self.debug_exit_port
            && self.boot.has_firmware()
            && FIRMWARE_PORTS.contains(&port)
        {
            return refuse(
                "debug_exit_port",
                format!(
                    "A machine with firmware has its configuration device at 0x510 to 0x51b; the debug exit device cannot sit at {port:#x}."
                ),
            );
        }
        if let Some(port) = self.debug_exit_port
            && !DEBUG_EXIT_PORTS.iter().any(|r| r.contains(&port))
        {
            return refuse(
                "debug_exit_port",
                format!(
                    "The debug exit device sits at port 0xf4 or between 0x500 and 0x5fc; {port:#x} was asked for."
                ),
            );
        }
        Ok(())
    }
}

/// The 16 bytes of an identity, in the order of its digits.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.chars().filter(|&c| c != '-').collect();
    if digits.len() != 32 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(bytes)
}

impl MachineSpec {
    /// The 16 bytes of the identity, in the order of its digits; zeros without one.
    #[must_use]
    pub fn uuid_bytes(&self) -> [u8; 16] {
        self.uuid
            .as_deref()
            .and_then(parse_uuid)
            .unwrap_or_default()
    }

    fn check_modules(&self) -> Result<(), SpecError> {
        let modules = self.boot.modules();
        let fits = |line: &String| line.len() <= MAX_MODULE_LINE_BYTES && !line.contains('\0');
        if modules.len() > MAX_MODULES || !modules.iter().all(fits) {
            return Err(SpecError::Field {
                field: "boot.modules",
                sentence: format!(
                    "A kernel has at most {MAX_MODULES} modules, and the line of each at most {MAX_MODULE_LINE_BYTES} bytes and no NUL."
                ),
            });
        }
        Ok(())
    }

    /// Whether clients can attach to the port of this number: a serial port, or the virtio console.
    #[must_use]
    pub fn has_port(&self, port: u8) -> bool {
        port < self.serial_ports || port == CONSOLE_PORT && self.virtio.console
    }

    fn check_order(&self) -> Result<(), SpecError> {
        let BootSpec::Firmware { order, .. } = &self.boot else {
            return Ok(());
        };
        let twice = (1..order.len()).any(|i| order[..i].contains(&order[i]));
        if twice || order.len() > MAX_BOOT_SOURCES {
            return Err(SpecError::Field {
                field: "boot.order",
                sentence: "A boot order names floppy, disk, cdrom and network, each at most once."
                    .to_owned(),
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut MachineSpec)) -> &'static str {
        let mut spec = MachineSpec::new("t", 64, "");
        change(&mut spec);
        match spec.validate() {
            Err(SpecError::Field { field, .. }) => field,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }

    #[test]
    fn from_json_of_the_contract_example_is_accepted() {
        let text = r#"{"version":1,"name":"deb","memory_mib":512,"cpus":1,"engine":"auto",
            "deterministic":false,"pace":true,"cpu":{"model":"x86-64-v1","tsc_hz":1000000000},
            "boot":{"kind":"linux","append":"console=ttyS0"},"serial_ports":1,"display":"vga",
            "debug_exit_port":null,"seed":0}"#;
        let spec = MachineSpec::from_json(text).unwrap();
        assert_eq!(spec, MachineSpec::new("deb", 512, "console=ttyS0"));
        assert_eq!(MachineSpec::from_json(&spec.to_json()).unwrap(), spec);
    }

    #[test]
    fn from_json_unknown_field_is_refused_by_name() {
        let text =
            r#"{"version":1,"name":"x","memory_mib":64,"boot":{"kind":"linux"},"floppy":true}"#;
        assert!(
            MachineSpec::from_json(text)
                .unwrap_err()
                .to_string()
                .contains("floppy")
        );
    }

    #[test]
    fn validate_values_out_of_range_are_refused_by_field() {
        assert_eq!(refused(|s| s.memory_mib = 0), "memory_mib");
        assert_eq!(refused(|s| s.memory_mib = 1), "memory_mib");
        assert_eq!(refused(|s| s.memory_mib = 10 << 20), "memory_mib");
        assert_eq!(refused(|s| s.cpus = 9), "cpus");
        assert_eq!(refused(|s| s.engine = EngineChoice::Kvm), "engine");
        assert_eq!(refused(|s| s.cpu.model = "z80".to_owned()), "cpu.model");
        assert_eq!(refused(|s| s.cpu.tsc_hz = 0), "cpu.tsc_hz");
        assert_eq!(refused(|s| s.serial_ports = 5), "serial_ports");
        assert_eq!(
            refused(|s| s.debug_exit_port = Some(0x3F8)),
            "debug_exit_port"
        );
        assert_eq!(refused(|s| s.version = 2), "version");
        assert_eq!(
            refused(|s| s.boot = BootSpec::Kernel {
                append: "x".repeat(MAX_APPEND_BYTES + 1),
                modules: Vec::new(),
            }),
            "boot.append"
        );
        let modules = [
            vec![String::new(); MAX_MODULES + 1],
            vec!["x".repeat(MAX_MODULE_LINE_BYTES + 1)],
            vec!["a\0b".to_owned()],
        ];
        for modules in modules {
            let append = String::new();
            assert_eq!(
                refused(|s| s.boot = BootSpec::Kernel { append, modules }),
                "boot.modules"
            );
        }
    }

    #[test]
    fn schema_json_lists_exactly_the_fields_of_a_spec() {
        let schema: serde_json::Value = serde_json::from_str(&schema_json()).unwrap();
        let spec = serde_json::to_value(MachineSpec::new("t", 64, "")).unwrap();
        let mut in_schema: Vec<_> = schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect();
        let mut in_spec: Vec<_> = spec.as_object().unwrap().keys().cloned().collect();
        in_schema.sort();
        in_spec.sort();
        assert_eq!(in_schema, in_spec);
    }
}
