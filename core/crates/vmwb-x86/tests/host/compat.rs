//! One instruction in 16- or 32-bit code on the host's processor: a far jump into a compatibility-mode code segment, and
//! an INT3 behind the instruction that the signal handler takes all registers from. And the same on the interpreter.
//!
//! 32-bit code runs in the kernel's own segment for it; 16-bit code needs segments of the process's own in the LDT, with
//! code and data areas as their bases, so that 16-bit addresses reach them.

use std::arch::global_asm;
use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpu::Segment;
use vmwb_x86::{CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

use super::bus::TestBus;
use super::guest::{load_fpu, store_fpu};
use super::{CODE, DATA, DATA_BYTES, End, FAULT, FAULT_STATE, Host, NO_FAULT, State, TAKEN};

/// Where the far pointer to the code under test lies.
const POINTER: u64 = CODE + 0x900;
/// User selectors of a 64-bit Linux: 32-bit code, data.
const CODE32: u16 = 0x23;
const DATA32: u16 = 0x2B;
/// Entries of the process's own LDT: code and data of 16 bits.
const CODE16: u16 = 0x7;
const DATA16: u16 = 0xF;

/// Code sizes outside 64-bit mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bits {
    /// 16-bit code, stack and data.
    B16,
    /// 32-bit code, flat.
    B32,
}

impl Bits {
    /// Offset of the data area in the data segment.
    pub fn data(self) -> u64 {
        match self {
            Self::B16 => 0,
            Self::B32 => DATA,
        }
    }

    fn code(self) -> u64 {
        match self {
            Self::B16 => 0,
            Self::B32 => CODE,
        }
    }

    /// Name of this comparison in the report.
    pub fn oracle(self) -> &'static str {
        match self {
            Self::B16 => "host, 16-bit code",
            Self::B32 => "host, 32-bit code",
        }
    }

    /// Selector of the data segment.
    pub fn data_selector(self) -> u16 {
        match self {
            Self::B16 => DATA16,
            Self::B32 => DATA32,
        }
    }
}

global_asm!(
    ".bss",
    ".balign 8",
    "vmwb_compat_stack: .quad 0",
    ".text",
    // rdi: state; rsi: selector for DS, ES and SS.
    ".globl vmwb_compat_run",
    "vmwb_compat_run:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov [rip + vmwb_compat_stack], rsp",
    "fxrstor64 [rdi]",
    "mov ds, esi",
    "mov es, esi",
    "push qword ptr [rdi + 512 + 128]",
    "popfq",
    "mov rax, [rdi + 512]",
    "mov rcx, [rdi + 512 + 8]",
    "mov rdx, [rdi + 512 + 16]",
    "mov rbx, [rdi + 512 + 24]",
    "mov rbp, [rdi + 512 + 40]",
    "mov ss, esi",
    "mov rsp, [rdi + 512 + 32]",
    "mov rsi, [rdi + 512 + 48]",
    "mov rdi, [rdi + 512 + 56]",
    // jmp far [POINTER]
    ".byte 0xFF, 0x2C, 0x25",
    ".long 0x300900",
    ".globl vmwb_compat_recover",
    "vmwb_compat_recover:",
    "mov eax, 0x2B",
    "mov ss, eax",
    "mov rsp, [rip + vmwb_compat_stack]",
    "xor eax, eax",
    "mov ds, eax",
    "mov es, eax",
    "cld",
    "fninit",
    "ldmxcsr [rip + vmwb_compat_mxcsr]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
    ".data",
    "vmwb_compat_mxcsr: .long 0x1F80",
    ".text",
);

unsafe extern "C" {
    fn vmwb_compat_run(state: *mut State, data_selector: u64);
    pub fn vmwb_compat_recover();
}

/// An entry for modify_ldt(2), as `struct user_desc` of asm/ldt.h lays it out.
#[repr(C)]
struct UserDesc {
    entry_number: u32,
    base: u32,
    limit: u32,
    flags: u32,
}

/// Makes the segments of 16-bit code; `false`: this kernel does not allow it.
pub fn make_segments() -> bool {
    // Bits: 0 32-bit, 1-2 contents (0 data, 2 code), 3 read-only, 4 limit in pages, 5 absent, 6 useable.
    let entries = [
        (u32::from(CODE16) >> 3, CODE, 2 << 1),
        (u32::from(DATA16) >> 3, DATA, 0),
    ];
    entries.into_iter().all(|(entry_number, base, flags)| {
        let entry = UserDesc {
            entry_number,
            base: base as u32,
            limit: 0xFFFF,
            flags: flags | 1 << 6,
        };
        // SAFETY: the call reads the structure and changes the LDT of this process only.
        let done = unsafe {
            libc::syscall(
                libc::SYS_modify_ldt,
                0x11,
                &raw const entry,
                std::mem::size_of::<UserDesc>(),
            )
        };
        done == 0
    })
}

impl Host {
    /// As [`Host::run`] in code of the given size. The upper halves of the registers are cleared.
    pub fn run_compat(&mut self, bits: Bits, bytes: &[u8], state: &mut State) -> End {
        assert!(bytes.len() <= 15);
        let mut page = [0xCCu8; 128];
        page[..bytes.len()].copy_from_slice(bytes);
        let selector = if bits == Bits::B16 { CODE16 } else { CODE32 };
        let mut pointer = (bits.code() as u32).to_le_bytes().to_vec();
        pointer.extend_from_slice(&selector.to_le_bytes());
        // SAFETY: as in `run`; the far pointer lies in the same page, behind the code.
        let (fault, rip) = unsafe {
            std::ptr::copy_nonoverlapping(page.as_ptr(), self.code, page.len());
            let at = self.code.add((POINTER - CODE) as usize);
            std::ptr::copy_nonoverlapping(pointer.as_ptr(), at, pointer.len());
            FAULT = NO_FAULT;
            FAULT_STATE = state;
            super::RECOVER = vmwb_compat_recover as *const () as u64;
            super::CODE_OFFSET = CODE - bits.code();
            vmwb_compat_run(state, bits.data_selector().into());
            FAULT_STATE = std::ptr::null_mut();
            super::RECOVER = 0;
            super::CODE_OFFSET = 0;
            (FAULT, super::FAULT_RIP - bits.code())
        };
        state.gpr[..8].iter_mut().for_each(|v| *v &= 0xFFFF_FFFF);
        match fault {
            3 if rip == bytes.len() as u64 + 1 => End::Next,
            3 if rip == TAKEN + 1 => End::Taken,
            vector => End::Fault(vector as u8),
        }
    }
}

/// The interpreter in 16- or 32-bit protected mode with the areas of the host runner.
#[derive(Debug)]
pub struct CompatGuest {
    memory: Arc<GuestMemory>,
    cpu: Interpreter,
    bits: Bits,
}

/// The model with the most features.
pub fn model() -> &'static str {
    let all = vmwb_x86::cpuid::MODELS;
    all.iter().find(|m| **m == "max").unwrap_or(&all[0])
}

impl CompatGuest {
    /// A guest with the segments that the host has.
    pub fn new(bits: Bits) -> Self {
        let memory = Arc::new(GuestMemory::new(8 << 20).unwrap());
        let descriptors: [(u64, u64); 5] = [
            (0x8000 + u64::from(CODE32 & !7), 0x00CF_FB00_0000_FFFF),
            (0x8000 + u64::from(DATA32 & !7), 0x00CF_F300_0000_FFFF),
            (0x9000 + u64::from(CODE16 & !7), 0x0000_FB30_0000_FFFF),
            (0x9000 + u64::from(DATA16 & !7), 0x0000_F340_0000_FFFF),
            (0x8030, 0x00AF_FB00_0000_FFFF),
        ];
        for (at, value) in descriptors {
            memory
                .write(GuestAddress(at), &value.to_le_bytes())
                .unwrap();
        }
        let cpu = Interpreter::new(
            Arc::clone(&memory),
            CpuConfig {
                model: model().to_owned(),
                ..CpuConfig::default()
            },
        )
        .unwrap();
        Self { memory, cpu, bits }
    }

    /// Copies the data area.
    pub fn data(&self) -> Vec<u8> {
        let mut v = vec![0; DATA_BYTES];
        self.memory.read(GuestAddress(DATA), &mut v).unwrap();
        v
    }

    /// Writes into the data area.
    pub fn set_data(&mut self, at: usize, bytes: &[u8]) {
        self.memory
            .write(GuestAddress(DATA + at as u64), bytes)
            .unwrap();
    }

    fn set_segments(&mut self) {
        let c = self.cpu.cpu_mut();
        let (code, data) = match self.bits {
            Bits::B32 => ((CODE32, 0, u32::MAX, 0xC0FB), (DATA32, 0, u32::MAX, 0xC0F3)),
            Bits::B16 => ((CODE16, CODE, 0xFFFF, 0xFB), (DATA16, DATA, 0xFFFF, 0xF3)),
        };
        let segment = |(selector, base, limit, attr)| Segment {
            selector,
            base,
            limit,
            attr,
        };
        c.seg = [segment(data); 6];
        c.seg[1] = segment(code);
        c.seg[4] = Segment::default();
        c.seg[5] = Segment::default();
        (c.gdtr.base, c.gdtr.limit) = (0x8000, 0x7F);
        c.ldtr = segment((0x40, 0x9000, 0xF, 0x82));
        (c.idtr.base, c.idtr.limit) = (0, 0);
        (c.cr0, c.cr4, c.cpl) = (0x31, 1 << 9 | 1 << 10, 3);
    }

    /// As [`Host::run_compat`].
    pub fn run(&mut self, bytes: &[u8], state: &mut State) -> End {
        let mut code = [0xCC; 128];
        code[..bytes.len()].copy_from_slice(bytes);
        self.memory.write(GuestAddress(CODE), &code).unwrap();
        self.cpu.reset();
        self.set_segments();
        let c = self.cpu.cpu_mut();
        c.r[..8].copy_from_slice(&state.gpr[..8]);
        c.set_flags(state.flags & !0x200);
        c.rip = self.bits.code();
        load_fpu(&mut c.fpu, state);
        c.registers_changed();
        let start = c.rip;
        let mut exit = self.cpu.run(&mut TestBus::default(), 1);
        while exit == Exit::Budget && self.cpu.cpu().rip == start {
            exit = self.cpu.run(&mut TestBus::default(), 1);
        }
        let c = self.cpu.cpu();
        state.gpr[..8].copy_from_slice(&c.r[..8]);
        state.gpr[..8].iter_mut().for_each(|v| *v &= 0xFFFF_FFFF);
        state.flags = c.flags();
        store_fpu(&c.fpu, state);
        match exit {
            Exit::Budget if c.rip == start + TAKEN => End::Taken,
            Exit::Budget if c.rip == start + bytes.len() as u64 => End::Next,
            Exit::Stopped(CpuStop::TripleFault { vector, .. }) => End::Fault(vector),
            other => panic!("unexpected end of {bytes:02x?}: {other:?} at {:x}", c.rip),
        }
    }
}
