//! The same instruction on the interpreter: a guest in 64-bit mode with identity-mapped memory.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::fpu::F80;
use vmwb_x86::{BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

pub use super::bus::TestBus;
use super::{CODE, DATA, DATA_BYTES, End, State, TAKEN};

const TABLES: u64 = 0x1000;
/// OSFXSR, OSXMMEXCPT, FSGSBASE and OSXSAVE beside PAE.
const CR4: u64 = 1 << 5 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18;

/// The interpreter with the code and data areas of the host runner.
#[derive(Debug)]
pub struct Guest {
    memory: Arc<GuestMemory>,
    cpu: Interpreter,
}

impl Guest {
    /// A guest with 8 MiB of memory.
    pub fn new() -> Self {
        let memory = Arc::new(GuestMemory::new(8 << 20).unwrap());
        // One level of tables each; the last maps 2-MiB pages: present, writable, user.
        let entry = |at: u64, v: u64| memory.write(GuestAddress(at), &v.to_le_bytes()).unwrap();
        entry(TABLES, (TABLES + 0x1000) | 7);
        entry(TABLES + 0x1000, (TABLES + 0x2000) | 7);
        (0..4).for_each(|n| entry(TABLES + 0x2000 + 8 * n, n << 21 | 0x87));
        let config = CpuConfig {
            model: "max".to_owned(),
            ..CpuConfig::default()
        };
        let mut cpu = Interpreter::new(Arc::clone(&memory), config).unwrap();
        cpu.set_boot_state(BootState::Long64 {
            rip: CODE,
            rsi: 0,
            rsp: DATA,
            cr3: TABLES,
            gdt: (0x8000, 0x1F),
        });
        cpu.cpu_mut().cr0 |= vmwb_x86::cpu::cr0::NE;
        cpu.cpu_mut().cr4 = CR4;
        cpu.cpu_mut().registers_changed();
        Self { memory, cpu }
    }

    /// The processor, to change more than a [`State`] holds; call `registers_changed` behind it.
    pub fn cpu_mut(&mut self) -> &mut vmwb_x86::cpu::Cpu {
        self.cpu.cpu_mut()
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

    /// As [`super::Host::run`].
    pub fn run(&mut self, bytes: &[u8], state: &mut State) -> End {
        let mut code = [0x90; 32];
        code[..bytes.len()].copy_from_slice(bytes);
        self.memory.write(GuestAddress(CODE), &code).unwrap();
        let c = self.cpu.cpu_mut();
        c.r[..16].copy_from_slice(&state.gpr);
        c.set_flags(state.flags & !0x200);
        c.rip = CODE;
        load_fpu(&mut c.fpu, state);
        // A string instruction counts each of its repetitions.
        let mut exit = self.cpu.run(&mut TestBus::default(), 1);
        while exit == Exit::Budget && self.cpu.cpu().rip == CODE {
            exit = self.cpu.run(&mut TestBus::default(), 1);
        }
        let c = self.cpu.cpu();
        state.gpr.copy_from_slice(&c.r[..16]);
        state.flags = c.flags();
        store_fpu(&c.fpu, state);
        match exit {
            Exit::Budget if c.rip == CODE + TAKEN => End::Taken,
            Exit::Budget => {
                assert_eq!(c.rip, CODE + bytes.len() as u64);
                End::Next
            }
            Exit::Stopped(CpuStop::TripleFault { vector, .. }) => End::Fault(vector),
            other => panic!("unexpected end of the run: {other:?}"),
        }
    }
}

pub(super) fn load_fpu(f: &mut vmwb_x86::cpu::Fpu, state: &State) {
    f.control = state.get16(0);
    let status = state.get16(2);
    f.status = status & !0x3800;
    f.top = (status >> 11 & 7) as u8;
    f.empty = !state.fx[4];
    f.mxcsr = state.mxcsr();
    for i in 0..8 {
        let (significand, sign_exp) = state.st(i);
        f.st[(usize::from(f.top) + i) & 7] = F80 {
            sign_exp,
            significand,
        };
    }
    for i in 0..16 {
        f.xmm[i] = state.xmm(i);
    }
}

pub(super) fn store_fpu(f: &vmwb_x86::cpu::Fpu, state: &mut State) {
    state.set16(0, f.control);
    state.set16(2, f.status | u16::from(f.top) << 11);
    state.fx[4] = !f.empty;
    state.set_mxcsr(f.mxcsr);
    for i in 0..8 {
        let v = f.st[(usize::from(f.top) + i) & 7];
        state.set_st(i, v.significand, v.sign_exp);
    }
    for i in 0..16 {
        state.set_xmm(i, f.xmm[i]);
    }
}

impl Guest {
    /// Runs an instruction over and over, in a trace of copies that jumps back to its start, until `instructions` have
    /// retired in all; starts anew when it faults. How many did.
    pub fn run_loop(&mut self, bytes: &[u8], instructions: u64) -> u64 {
        const COPIES: usize = 40;
        /// A form that faults at once is given up.
        const STARTS: u32 = 64;
        let mut code = bytes.repeat(COPIES);
        let back = -(code.len() as i32 + 5);
        code.push(0xE9);
        code.extend_from_slice(&back.to_le_bytes());
        self.memory.write(GuestAddress(CODE), &code).unwrap();
        let start = self.cpu.retired();
        for n in 0..STARTS {
            let done = self.cpu.retired() - start;
            if done >= instructions {
                break;
            }
            let c = self.cpu.cpu_mut();
            for (i, r) in c.r[..16].iter_mut().enumerate() {
                *r = DATA + 0x800 + 8 * (i as u64 + u64::from(n));
            }
            // A divisor that fits, a short repetition, the middle of what lies above the code for a stack.
            (c.r[1], c.r[2], c.r[4]) = (3, 0, DATA + 0x20_0000);
            c.set_flags(2);
            c.rip = CODE;
            (c.fpu.control, c.fpu.status, c.fpu.mxcsr) = (0x37F, 0, 0x1F80);
            self.cpu.run(&mut TestBus::default(), instructions - done);
        }
        self.cpu.retired() - start
    }
}
