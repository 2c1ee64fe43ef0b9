//! Runs one instruction on the host's own processor: the oracle of the differential tests. x86-64 Linux only.
//!
//! Code and data lie at fixed low addresses, which a guest with identity-mapped memory uses too, so that addresses,
//! RIP-relative operands and pointers are the same on both sides. The registers are loaded, the instruction runs, the
//! registers are stored; a signal that it causes is turned into the vector of its exception.
//!
//! What it is not: it runs user-level instructions only, and none that leave the code page. [`compat`] has 16- and 32-bit
//! code.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod bus;
pub mod compat;
pub mod counts;
pub mod encode;
pub mod encode_legacy;
pub mod guest;

use std::arch::global_asm;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where the instruction under test lies.
pub const CODE: u64 = 0x0030_0000;
/// Start of the data area.
pub const DATA: u64 = 0x0040_0000;
/// Bytes of the data area.
pub const DATA_BYTES: usize = 0x2000;
/// Distance from the instruction's start to where a branch under test leads: see [`Host::run`].
pub const TAKEN: u64 = 0x40;

const CODE_BYTES: usize = 0x1000;
const PAGE_SIGNALS: [i32; 5] = [
    libc::SIGILL,
    libc::SIGFPE,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGTRAP,
];

/// Registers before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct State {
    /// The image of FXSAVE64: x87, MXCSR, XMM.
    pub fx: [u8; 512],
    /// General registers by number.
    pub gpr: [u64; 16],
    /// RFLAGS.
    pub flags: u64,
}

impl State {
    /// All zero, with the control words of a program's start.
    pub fn new() -> Self {
        let mut s = Self {
            fx: [0; 512],
            gpr: [0; 16],
            flags: 0x202,
        };
        s.set16(0, 0x037F);
        s.set_mxcsr(0x1F80);
        s
    }

    /// 16 bits of the image.
    pub fn get16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.fx[at], self.fx[at + 1]])
    }

    /// Sets 16 bits of the image.
    pub fn set16(&mut self, at: usize, v: u16) {
        self.fx[at..at + 2].copy_from_slice(&v.to_le_bytes());
    }

    /// MXCSR.
    pub fn mxcsr(&self) -> u32 {
        u32::from_le_bytes(self.fx[24..28].try_into().unwrap())
    }

    /// Sets MXCSR.
    pub fn set_mxcsr(&mut self, v: u32) {
        self.fx[24..28].copy_from_slice(&v.to_le_bytes());
    }

    /// ST(i): significand, sign and exponent.
    pub fn st(&self, i: usize) -> (u64, u16) {
        let at = 32 + 16 * i;
        (
            u64::from_le_bytes(self.fx[at..at + 8].try_into().unwrap()),
            self.get16(at + 8),
        )
    }

    /// Sets ST(i).
    pub fn set_st(&mut self, i: usize, significand: u64, sign_exp: u16) {
        let at = 32 + 16 * i;
        self.fx[at..at + 8].copy_from_slice(&significand.to_le_bytes());
        self.set16(at + 8, sign_exp);
    }

    /// XMM register.
    pub fn xmm(&self, i: usize) -> u128 {
        let at = 160 + 16 * i;
        u128::from_le_bytes(self.fx[at..at + 16].try_into().unwrap())
    }

    /// Sets an XMM register.
    pub fn set_xmm(&mut self, i: usize, v: u128) {
        let at = 160 + 16 * i;
        self.fx[at..at + 16].copy_from_slice(&v.to_le_bytes());
    }
}

/// How the instruction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The next instruction follows.
    Next,
    /// It went to [`TAKEN`] bytes from its start.
    Taken,
    /// It raised the exception of this vector.
    Fault(u8),
}

global_asm!(
    ".bss",
    ".balign 8",
    "vmwb_host_stack: .quad 0",
    "vmwb_host_state: .quad 0",
    "vmwb_host_code: .quad 0",
    "vmwb_host_rdi: .quad 0",
    ".data",
    "vmwb_host_mxcsr: .long 0x1F80",
    ".text",
    ".globl vmwb_host_run",
    "vmwb_host_run:",
    "push rbx",
    "push rbp",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov [rip + vmwb_host_stack], rsp",
    "mov [rip + vmwb_host_state], rdi",
    "mov [rip + vmwb_host_code], rsi",
    "fxrstor64 [rdi]",
    "push qword ptr [rdi + 512 + 128]",
    "popfq",
    "mov rax, [rdi + 512]",
    "mov rcx, [rdi + 512 + 8]",
    "mov rdx, [rdi + 512 + 16]",
    "mov rbx, [rdi + 512 + 24]",
    "mov rsp, [rdi + 512 + 32]",
    "mov rbp, [rdi + 512 + 40]",
    "mov rsi, [rdi + 512 + 48]",
    "mov r8, [rdi + 512 + 64]",
    "mov r9, [rdi + 512 + 72]",
    "mov r10, [rdi + 512 + 80]",
    "mov r11, [rdi + 512 + 88]",
    "mov r12, [rdi + 512 + 96]",
    "mov r13, [rdi + 512 + 104]",
    "mov r14, [rdi + 512 + 112]",
    "mov r15, [rdi + 512 + 120]",
    "mov rdi, [rdi + 512 + 56]",
    "jmp qword ptr [rip + vmwb_host_code]",
    ".globl vmwb_host_exit",
    "vmwb_host_exit:",
    "mov [rip + vmwb_host_rdi], rdi",
    "mov rdi, [rip + vmwb_host_state]",
    "mov [rdi + 512], rax",
    "mov [rdi + 512 + 8], rcx",
    "mov [rdi + 512 + 16], rdx",
    "mov [rdi + 512 + 24], rbx",
    "mov [rdi + 512 + 32], rsp",
    "mov [rdi + 512 + 40], rbp",
    "mov [rdi + 512 + 48], rsi",
    "mov [rdi + 512 + 64], r8",
    "mov [rdi + 512 + 72], r9",
    "mov [rdi + 512 + 80], r10",
    "mov [rdi + 512 + 88], r11",
    "mov [rdi + 512 + 96], r12",
    "mov [rdi + 512 + 104], r13",
    "mov [rdi + 512 + 112], r14",
    "mov [rdi + 512 + 120], r15",
    "mov rsp, [rip + vmwb_host_stack]",
    "pushfq",
    "pop qword ptr [rdi + 512 + 128]",
    "mov rax, [rip + vmwb_host_rdi]",
    "mov [rdi + 512 + 56], rax",
    "fxsave64 [rdi]",
    ".globl vmwb_host_recover",
    "vmwb_host_recover:",
    "mov rsp, [rip + vmwb_host_stack]",
    "cld",
    "fninit",
    "ldmxcsr [rip + vmwb_host_mxcsr]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbp",
    "pop rbx",
    "ret",
);

unsafe extern "C" {
    fn vmwb_host_run(state: *mut State, code: u64);
    fn vmwb_host_exit();
    fn vmwb_host_recover();
}

/// What the signal handler leaves for [`Host::run`]: the vector, or `NO_FAULT`.
static mut FAULT: u64 = NO_FAULT;
/// Where the handler stores the registers of a faulting instruction.
static mut FAULT_STATE: *mut State = std::ptr::null_mut();
const NO_FAULT: u64 = u64::MAX;
/// RIP at the fault.
static mut FAULT_RIP: u64 = 0;
/// Where execution goes on behind a fault in compatibility mode; 0 in 64-bit mode.
static mut RECOVER: u64 = 0;
/// Address of the code page less the offset at which its segment has it.
static mut CODE_OFFSET: u64 = 0;

static LOCK: Mutex<()> = Mutex::new(());

extern "C" fn on_signal(signal: i32, _info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a ucontext to SA_SIGINFO handlers; the statics are only touched by the thread that holds
    // the lock, and the signals are synchronous to it.
    unsafe {
        let context = &mut *context.cast::<libc::ucontext_t>();
        let gregs = &mut context.uc_mcontext.gregs;
        FAULT_RIP = gregs[libc::REG_RIP as usize] as u64;
        let rip = FAULT_RIP + CODE_OFFSET;
        if !(CODE..CODE + CODE_BYTES as u64).contains(&rip) || FAULT_STATE.is_null() {
            // Not ours: the default action ends the process when the instruction runs again.
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        let state = &mut *FAULT_STATE;
        const ORDER: [i32; 16] = [
            libc::REG_RAX,
            libc::REG_RCX,
            libc::REG_RDX,
            libc::REG_RBX,
            libc::REG_RSP,
            libc::REG_RBP,
            libc::REG_RSI,
            libc::REG_RDI,
            libc::REG_R8,
            libc::REG_R9,
            libc::REG_R10,
            libc::REG_R11,
            libc::REG_R12,
            libc::REG_R13,
            libc::REG_R14,
            libc::REG_R15,
        ];
        for (n, r) in ORDER.into_iter().enumerate() {
            state.gpr[n] = gregs[r as usize] as u64;
        }
        state.flags = gregs[libc::REG_EFL as usize] as u64;
        let fx = context.uc_mcontext.fpregs.cast::<u8>();
        std::ptr::copy_nonoverlapping(fx, state.fx.as_mut_ptr(), 512);
        FAULT = gregs[libc::REG_TRAPNO as usize] as u64;
        gregs[libc::REG_RIP as usize] = vmwb_host_recover as *const () as i64;
        if RECOVER != 0 {
            gregs[libc::REG_RIP as usize] = RECOVER as i64;
            // The low 16 bits are CS; the highest are SS.
            let segments = gregs[libc::REG_CSGSFS as usize] as u64;
            gregs[libc::REG_CSGSFS as usize] =
                (segments & !0xFFFF_0000_0000_FFFF | 0x33 | 0x2B << 48) as i64;
        }
        // TF, DF and AC must not stay set behind the instruction.
        gregs[libc::REG_EFL as usize] &= !0x4_0500;
    }
}

/// The host's processor, held by one test at a time.
#[derive(Debug)]
pub struct Host {
    _held: MutexGuard<'static, ()>,
    code: *mut u8,
    data: *mut u8,
    stack: Vec<u8>,
}

impl Host {
    /// Takes the host. `None`: the fixed addresses cannot be mapped here.
    pub fn take() -> Option<Self> {
        let held = LOCK.lock().unwrap_or_else(PoisonError::into_inner);
        let code = map(
            CODE,
            CODE_BYTES,
            libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC,
        )?;
        let Some(data) = map(DATA, DATA_BYTES, libc::PROT_READ | libc::PROT_WRITE) else {
            // SAFETY: mapped above, and nothing refers to it yet.
            unsafe { libc::munmap(code.cast(), CODE_BYTES) };
            return None;
        };
        let mut stack = vec![0u8; 256 << 10];
        // SAFETY: plain C structures, zeroed and then filled in; the stack outlives its use (see `drop`).
        unsafe {
            let alternative = libc::stack_t {
                ss_sp: stack.as_mut_ptr().cast(),
                ss_flags: 0,
                ss_size: stack.len(),
            };
            assert_eq!(
                libc::sigaltstack(&raw const alternative, std::ptr::null_mut()),
                0
            );
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
            for signal in PAGE_SIGNALS {
                assert_eq!(
                    libc::sigaction(signal, &raw const action, std::ptr::null_mut()),
                    0
                );
            }
        }
        Some(Self {
            _held: held,
            code,
            data,
            stack,
        })
    }

    /// The data area.
    pub fn data(&mut self) -> &mut [u8] {
        // SAFETY: mapped for the life of `self`.
        unsafe { std::slice::from_raw_parts_mut(self.data, DATA_BYTES) }
    }

    /// Runs one instruction at [`CODE`] and stores the registers behind it, or those at the fault.
    pub fn run(&mut self, bytes: &[u8], state: &mut State) -> End {
        assert!(bytes.len() <= 15);
        let mut page = [0xCCu8; 128];
        page[..bytes.len()].copy_from_slice(bytes);
        // Both ways out note themselves: jmp [rip]; target.
        let exit = (vmwb_host_exit as *const () as u64).to_le_bytes();
        let mut jump = [0xFF, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        jump[6..].copy_from_slice(&exit);
        page[bytes.len()..bytes.len() + 14].copy_from_slice(&jump);
        // At the target of a branch: int3, which the handler sees as vector 3.
        page[TAKEN as usize] = 0xCC;
        // SAFETY: the code page is 4096 bytes of writable memory; the stub keeps to the calling convention, and what the
        // instruction does stays in the registers and the data area, as the callers choose it.
        unsafe {
            std::ptr::copy_nonoverlapping(page.as_ptr(), self.code, page.len());
            FAULT = NO_FAULT;
            FAULT_STATE = state;
            vmwb_host_run(state, CODE);
            FAULT_STATE = std::ptr::null_mut();
            match FAULT {
                NO_FAULT => End::Next,
                3 => End::Taken,
                vector => End::Fault(vector as u8),
            }
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the mappings any more; the alternative stack is disabled before its memory goes.
        unsafe {
            let off = libc::stack_t {
                ss_sp: std::ptr::null_mut(),
                ss_flags: libc::SS_DISABLE,
                ss_size: 0,
            };
            libc::sigaltstack(&raw const off, std::ptr::null_mut());
            libc::munmap(self.code.cast(), CODE_BYTES);
            libc::munmap(self.data.cast(), DATA_BYTES);
        }
        for signal in PAGE_SIGNALS {
            // SAFETY: back to the default action.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

fn map(at: u64, bytes: usize, protection: i32) -> Option<*mut u8> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: an anonymous mapping that replaces nothing.
    let p = unsafe { libc::mmap(at as *mut libc::c_void, bytes, protection, flags, -1, 0) };
    (p as u64 == at).then_some(p.cast())
}
