//! A test image: memory, registers and a number of steps; and what the interpreter makes of it, step by step.
//!
//! One step is one instruction with all its repetitions. An instruction that faults is a step together with the first
//! instruction of its handler, because the engine's budget counts what retires; the other side merges likewise.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpu::{Segment, TableRegister};
use vmwb_x86::decode::{CodeSize, MAX_LEN, decode};
use vmwb_x86::isa::{Class, Form};
use vmwb_x86::{CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

use crate::bus::TestBus;

/// RAM of a test machine in bytes, with the window of a PC's VGA in it.
const RAM_BYTES: u64 = 2 << 20;
/// Bytes below the window: what an image fills and what is compared.
pub const IMAGE_BYTES: u64 = 0xA_0000;
/// Start of the RAM above it, which is zero at the start.
const HIGH: u64 = 0xC_0000;
/// Repetitions of one string instruction before a step is given up.
const MOST_REPETITIONS: u32 = 200_000;

/// A segment register: selector, base, limit in bytes, attributes (descriptor bits 40-47 and 52-55 in bits 0-7, 12-15).
pub type Seg = (u16, u64, u32, u16);

/// Registers of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registers {
    /// General registers by number.
    pub gpr: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// ES CS SS DS FS GS.
    pub seg: [Seg; 6],
    /// LDTR.
    pub ldtr: Seg,
    /// TR.
    pub tr: Seg,
    /// GDTR: base, limit.
    pub gdtr: (u64, u16),
    /// IDTR.
    pub idtr: (u64, u16),
    /// CR0 CR2 CR3 CR4.
    pub cr: [u64; 4],
    /// IA32_EFER.
    pub efer: u64,
    /// DR0 to DR3, DR6, DR7.
    pub dr: [u64; 6],
    /// STAR LSTAR CSTAR FMASK KERNEL_GS_BASE, SYSENTER_CS ESP EIP.
    pub msr: [u64; 8],
}

/// Bytes, hexadecimal in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = anyhow::Error;

    fn try_from(text: String) -> anyhow::Result<Self> {
        anyhow::ensure!(
            text.len().is_multiple_of(2) && text.is_ascii(),
            "not hexadecimal: {text}"
        );
        let digits = (0..text.len()).step_by(2);
        let bytes: Result<_, _> = digits
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16))
            .collect();
        Ok(Self(bytes?))
    }
}

impl From<Bytes> for String {
    fn from(bytes: Bytes) -> Self {
        bytes.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

/// One test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Image {
    /// Processor model; empty for the default.
    #[serde(default)]
    pub model: String,
    /// Registers at the start.
    pub registers: Registers,
    /// Memory that is not zero: address and bytes.
    pub memory: Vec<(u64, Bytes)>,
    /// Steps at most.
    pub steps: u32,
}

/// What became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// Registers behind each step.
    pub trace: Vec<Registers>,
    /// `steps`, `halt`, `triple`, `port access` (the step before it is the last), or what else stopped it.
    pub end: String,
    /// Words of memory that differ from the image: address and value.
    pub memory: Vec<(u64, u64)>,
    /// Forms that were met, by [`form_name`], and how often. Where paging maps code elsewhere, they are not told.
    pub forms: BTreeMap<String, u64>,
}

/// A machine that runs one image after the other.
#[derive(Debug)]
pub struct Machine {
    memory: Arc<GuestMemory>,
    cpu: Interpreter,
    model: String,
    before: Vec<u8>,
    after: Vec<u8>,
    zeroes: Vec<u8>,
}

fn segment(s: Seg) -> Segment {
    Segment {
        selector: s.0,
        base: s.1,
        limit: s.2,
        attr: s.3 & 0xF0FF,
    }
}

fn seg(s: Segment) -> Seg {
    (s.selector, s.base, s.limit, s.attr & 0xF0FF)
}

fn table(t: (u64, u16)) -> TableRegister {
    TableRegister {
        base: t.0,
        limit: t.1,
    }
}

/// The registers of a processor.
#[must_use]
pub fn registers(cpu: &Interpreter) -> Registers {
    let c = cpu.cpu();
    let m = &c.msr;
    let mut gpr = [0; 16];
    gpr.copy_from_slice(&c.r[..16]);
    Registers {
        gpr,
        rip: c.rip,
        rflags: c.flags(),
        seg: c.seg.map(seg),
        ldtr: seg(c.ldtr),
        tr: seg(c.tr),
        gdtr: (c.gdtr.base, c.gdtr.limit),
        idtr: (c.idtr.base, c.idtr.limit),
        cr: [c.cr0, c.cr2, c.cr3, c.cr4],
        efer: c.efer,
        dr: [c.dr[0], c.dr[1], c.dr[2], c.dr[3], c.dr[6], c.dr[7]],
        msr: [
            m.star,
            m.lstar,
            m.cstar,
            m.fmask,
            m.kernel_gs_base,
            m.sysenter_cs,
            m.sysenter_esp,
            m.sysenter_eip,
        ],
    }
}

/// Sets the registers of a processor that was just reset.
pub fn set_registers(cpu: &mut Interpreter, r: &Registers) {
    let c = cpu.cpu_mut();
    c.r[..16].copy_from_slice(&r.gpr);
    c.rip = r.rip;
    c.set_flags(r.rflags);
    c.seg = r.seg.map(segment);
    c.ldtr = segment(r.ldtr);
    c.tr = segment(r.tr);
    (c.gdtr, c.idtr) = (table(r.gdtr), table(r.idtr));
    [c.cr0, c.cr2, c.cr3, c.cr4] = r.cr;
    c.efer = r.efer;
    for (n, at) in [0, 1, 2, 3, 6, 7].into_iter().enumerate() {
        c.dr[at] = r.dr[n];
    }
    let m = &mut c.msr;
    [
        m.star,
        m.lstar,
        m.cstar,
        m.fmask,
        m.kernel_gs_base,
        m.sysenter_cs,
        m.sysenter_esp,
        m.sysenter_eip,
    ] = r.msr;
    // As FNINIT leaves it.
    (c.fpu.control, c.fpu.status, c.fpu.empty) = (0x37F, 0, 0xFF);
    let virtual_8086 = r.rflags & 1 << 17 != 0;
    let real = r.cr[0] & 1 == 0;
    let rpl = r.seg[1].0.to_le_bytes()[0] & 3;
    c.cpl = match (real, virtual_8086) {
        (true, _) => 0,
        (false, true) => 3,
        (false, false) => rpl,
    };
    c.registers_changed();
}

impl Machine {
    /// A machine with 2 MiB of memory.
    ///
    /// # Errors
    /// No memory, or an unknown model.
    pub fn new(model: &str) -> anyhow::Result<Self> {
        let memory = Arc::new(GuestMemory::new(RAM_BYTES)?);
        let mut config = CpuConfig::default();
        if !model.is_empty() {
            model.clone_into(&mut config.model);
        }
        let cpu = Interpreter::new(Arc::clone(&memory), config)?;
        let bytes = usize::try_from(IMAGE_BYTES)?;
        Ok(Self {
            memory,
            cpu,
            model: model.to_owned(),
            before: vec![0; bytes],
            after: vec![0; bytes],
            zeroes: vec![0; usize::try_from(RAM_BYTES - HIGH)?],
        })
    }

    /// Name of the model that it was made with.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Runs an image from its registers to its end.
    ///
    /// # Errors
    /// Memory outside RAM.
    pub fn run(&mut self, image: &Image) -> anyhow::Result<Outcome> {
        self.load(image)?;
        let mut bus = TestBus {
            keep: true,
            ..TestBus::default()
        };
        let mut trace = Vec::new();
        let mut end = "steps".to_owned();
        let mut forms = BTreeMap::new();
        for _ in 0..image.steps {
            if let Some(form) = self.next_form() {
                *forms.entry(form_name(form)).or_default() += 1;
            }
            let exit = step(&mut self.cpu, &mut bus);
            if let Exit::Stopped(CpuStop::TripleFault { .. }) = exit {
                "triple".clone_into(&mut end);
                break;
            }
            if bus.touched_port() {
                "port access".clone_into(&mut end);
                break;
            }
            trace.push(registers(&self.cpu));
            match exit {
                Exit::Budget => continue,
                Exit::Halted | Exit::Stopped(CpuStop::HaltedForGood { .. }) => {
                    "halt".clone_into(&mut end);
                }
                other => end = format!("{other:?}"),
            }
            break;
        }
        Ok(Outcome {
            trace,
            end,
            memory: self.changed()?,
            forms,
        })
    }

    /// The form at RIP, by the identity map that the tests' code lies in.
    fn next_form(&self) -> Option<&'static Form> {
        let c = self.cpu.cpu();
        let at = self.cpu.linear_rip();
        let mut bytes = [0; MAX_LEN];
        let room = IMAGE_BYTES.checked_sub(at)?;
        let len = usize::try_from(room).ok()?.min(MAX_LEN);
        self.memory.read(GuestAddress(at), &mut bytes[..len]).ok()?;
        let size = if c.code64() {
            CodeSize::Bits64
        } else if c.seg[1].big() {
            CodeSize::Bits32
        } else {
            CodeSize::Bits16
        };
        let form = decode(&bytes[..len], size).ok()?.form();
        compared(form).then_some(form)
    }

    /// Runs an image for `budget` instructions or until it stops, with an interrupt and an NMI on the way; only whether it
    /// comes back is of interest.
    ///
    /// # Errors
    /// As [`Machine::run`].
    pub fn run_hostile(&mut self, image: &Image, budget: u64) -> anyhow::Result<Exit> {
        self.load(image)?;
        let mut bus = TestBus::default();
        let mut exit = self.cpu.run(&mut bus, budget / 2);
        bus.nmi = true;
        bus.pending = Some(0x30);
        if !matches!(exit, Exit::Stopped(_)) {
            exit = self.cpu.run(&mut bus, budget - budget / 2);
        }
        Ok(exit)
    }

    fn load(&mut self, image: &Image) -> anyhow::Result<()> {
        self.before.fill(0);
        for (at, bytes) in &image.memory {
            let start = usize::try_from(*at)?;
            self.before
                .get_mut(start..start.saturating_add(bytes.0.len()))
                .ok_or_else(|| anyhow::anyhow!("memory at {at:#x} lies outside the image"))?
                .copy_from_slice(&bytes.0);
        }
        self.memory.write(GuestAddress(0), &self.before)?;
        self.memory.write(GuestAddress(HIGH), &self.zeroes)?;
        self.cpu.reset();
        set_registers(&mut self.cpu, &image.registers);
        Ok(())
    }

    fn changed(&mut self) -> anyhow::Result<Vec<(u64, u64)>> {
        self.memory.read(GuestAddress(0), &mut self.after)?;
        let mut out = Vec::new();
        let pages = self.before.chunks(4096).zip(self.after.chunks(4096));
        for (page, (old, new)) in pages.enumerate() {
            if old == new {
                continue;
            }
            for (word, (o, n)) in old.chunks(8).zip(new.chunks(8)).enumerate() {
                if o != n {
                    let value = u64::from_le_bytes(n.try_into()?);
                    out.push(((page * 4096 + word * 8) as u64, value));
                }
            }
        }
        Ok(out)
    }
}

/// Whether what a form does shows in [`Registers`] or memory: x87, MMX and SSE registers are not among them.
fn compared(form: &Form) -> bool {
    use Class::{N, P, Q, St0, Sti, U, V, W};
    let floating = form
        .operands
        .iter()
        .any(|o| matches!(o.class, N | P | Q | St0 | Sti | U | V | W));
    !floating && form.feature != "fpu"
}

/// The name that a form has in reports: what it is and how it is encoded.
#[must_use]
pub fn form_name(form: &Form) -> String {
    format!("{} [{}]", form.asm, form.encoding)
}

/// One instruction with all its repetitions.
pub fn step(cpu: &mut Interpreter, bus: &mut TestBus) -> Exit {
    let mut exit = Exit::Budget;
    for _ in 0..MOST_REPETITIONS {
        let (rip, count, cs) = (cpu.cpu().rip, cpu.cpu().r[1], cpu.cpu().seg[1]);
        exit = cpu.run(bus, 1);
        // A repetition leaves RIP and counts RCX down, and nothing else does both.
        let repeats = cpu.cpu().rip == rip && cpu.cpu().r[1] != count && cpu.cpu().seg[1] == cs;
        if exit != Exit::Budget || !repeats {
            break;
        }
    }
    exit
}
