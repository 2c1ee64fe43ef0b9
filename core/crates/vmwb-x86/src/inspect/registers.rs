//! All registers as a debugger shows them, and the setting of those that it may set.

use serde::Serialize;

use super::InspectError;
use crate::cpu::{Cpu, Segment, TableRegister, flag, seg};
use crate::fpu::F80;
use crate::observe::Mode;

/// Names of the general registers, by number.
const GENERAL: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
];
/// Flags that a debugger may change: not VM, VIF and VIP, which have a state behind them.
const SETTABLE_FLAGS: u64 = flag::ARITH
    | flag::TF
    | flag::IF
    | flag::DF
    | flag::IOPL
    | flag::NT
    | flag::RF
    | flag::AC
    | flag::ID;

/// A segment register with its hidden part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SegmentView {
    /// Selector.
    pub selector: u16,
    /// Base address.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u32,
    /// Access rights: descriptor bits 40-47 in bits 0-7, 52-55 in bits 12-15.
    pub attributes: u16,
}

impl From<Segment> for SegmentView {
    fn from(s: Segment) -> Self {
        Self {
            selector: s.selector,
            base: s.base,
            limit: s.limit,
            attributes: s.attr,
        }
    }
}

/// GDTR or IDTR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TableView {
    /// Linear base.
    pub base: u64,
    /// Limit in bytes.
    pub limit: u16,
}

impl From<TableRegister> for TableView {
    fn from(t: TableRegister) -> Self {
        Self {
            base: t.base,
            limit: t.limit,
        }
    }
}

/// The x87 unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct X87View {
    /// ST(0) to ST(7) as 20 hexadecimal digits: sign and exponent, significand.
    pub st: [String; 8],
    /// Control word.
    pub control: u16,
    /// Status word with TOP.
    pub status: u16,
    /// Tag word, two bits for each physical register (SDM volume 1, section 8.1.7).
    pub tag: u16,
    /// Last opcode, 11 bits.
    pub opcode: u16,
    /// Last instruction: segment and offset.
    pub instruction: (u16, u64),
    /// Last operand: segment and offset.
    pub operand: (u16, u64),
}

/// Everything a debugger shows of a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Registers {
    /// Mode.
    pub mode: Mode,
    /// Current privilege level.
    pub cpl: u8,
    /// Whether it waits in HLT.
    pub halted: bool,
    /// Instructions retired.
    pub retired: u64,
    /// RAX RCX RDX RBX RSP RBP RSI RDI R8 to R15.
    pub general: [u64; 16],
    /// RIP.
    pub rip: u64,
    /// Linear address of the next instruction.
    pub linear_rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// ES CS SS DS FS GS.
    pub segments: [SegmentView; 6],
    /// LDTR.
    pub ldtr: SegmentView,
    /// TR.
    pub tr: SegmentView,
    /// GDTR.
    pub gdtr: TableView,
    /// IDTR.
    pub idtr: TableView,
    /// CR0.
    pub cr0: u64,
    /// CR2.
    pub cr2: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// IA32_EFER.
    pub efer: u64,
    /// DR0 to DR7 (4 and 5 are not used).
    pub debug: [u64; 8],
    /// IA32_KERNEL_GS_BASE.
    pub kernel_gs_base: u64,
    /// x87.
    pub x87: X87View,
    /// XMM0 to XMM15, 32 hexadecimal digits.
    pub xmm: [String; 16],
    /// MXCSR.
    pub mxcsr: u32,
}

impl Cpu {
    pub(super) fn view(&self) -> Registers {
        let mut general = [0; 16];
        general.copy_from_slice(&self.r[..16]);
        Registers {
            mode: self.processor_mode(),
            cpl: self.cpl,
            halted: self.halted,
            retired: self.retired(),
            general,
            rip: self.rip,
            linear_rip: self.linear_pc(),
            rflags: self.flags(),
            segments: self.seg.map(SegmentView::from),
            ldtr: self.ldtr.into(),
            tr: self.tr.into(),
            gdtr: self.gdtr.into(),
            idtr: self.idtr.into(),
            cr0: self.cr0,
            cr2: self.cr2,
            cr3: self.cr3,
            cr4: self.cr4,
            efer: self.efer,
            debug: self.dr,
            kernel_gs_base: self.msr.kernel_gs_base,
            x87: self.x87_view(),
            xmm: self.fpu.xmm.map(|v| format!("{v:032x}")),
            mxcsr: self.fpu.mxcsr,
        }
    }

    fn physical_of(&self, i: usize) -> usize {
        (usize::from(self.fpu.top) + i) & 7
    }

    fn x87_view(&self) -> X87View {
        let f = &self.fpu;
        X87View {
            st: std::array::from_fn(|i| {
                let v = f.st[self.physical_of(i)];
                format!("{:04x}{:016x}", v.sign_exp, v.significand)
            }),
            control: f.control,
            status: f.status_word(),
            tag: f.tag_word(),
            opcode: f.opcode,
            instruction: (f.cs, f.ip),
            operand: (f.ds, f.dp),
        }
    }

    pub(super) fn assign(&mut self, name: &str, value: u128) -> Result<(), InspectError> {
        let bad = || InspectError::BadValue(name.to_owned(), value);
        let wide = || u64::try_from(value).map_err(|_| bad());
        let word = || u16::try_from(value).map_err(|_| bad());
        if let Some(n) = GENERAL.iter().position(|&g| g == name) {
            self.r[n] = wide()?;
            return Ok(());
        }
        let numbered = |prefix: &str, count: usize| {
            let digits = name.strip_prefix(prefix)?;
            (0..count).find(|n| n.to_string() == digits)
        };
        if let Some(n) = numbered("xmm", 16) {
            self.fpu.xmm[n] = value;
            return Ok(());
        }
        if let Some(n) = numbered("st", 8) {
            if value >> 80 != 0 {
                return Err(bad());
            }
            let at = self.physical_of(n);
            self.fpu.st[at] = F80 {
                sign_exp: (value >> 64) as u16,
                significand: value as u64,
            };
            self.fpu.empty &= !(1 << at);
            return Ok(());
        }
        match name {
            "rip" => {
                let v = wide()?;
                let fits = if self.code64() {
                    Self::canonical(v)
                } else {
                    v <= u64::from(u32::MAX)
                };
                if !fits {
                    return Err(bad());
                }
                self.rip = v;
            }
            "rflags" => {
                let v = wide()?;
                self.set_flags(self.flags() & !SETTABLE_FLAGS | v & SETTABLE_FLAGS);
            }
            "mxcsr" => {
                let v = u32::try_from(value).map_err(|_| bad())?;
                if v & !crate::simd::mxcsr::VALID != 0 {
                    return Err(bad());
                }
                self.fpu.mxcsr = v;
            }
            "fctrl" => self.fpu.set_control_word(word()?),
            "fstat" => self.fpu.set_status_word(word()?),
            "ftag" => self.fpu.set_tag_word(word()?),
            _ => {
                let shown = name.chars().take(40).collect();
                return Err(InspectError::UnknownRegister(shown));
            }
        }
        Ok(())
    }

    pub(super) fn bits_of_code(&self) -> u32 {
        if self.code64() {
            64
        } else if self.seg[seg::CS].big() {
            32
        } else {
            16
        }
    }
}
