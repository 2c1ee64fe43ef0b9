//! Traces against single steps: what the trace builder makes of neighbouring instructions (pairs with a branch, flags that
//! nobody sees) must not show. Random integer code runs in long traces on one processor and one instruction at a time on
//! another; registers, flags, device accesses and the fault that may end it are the same.

mod host;

use std::sync::Arc;

use host::bus::TestBus;
use host::encode::Random;
use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::{BootState, CpuConfig, Exit, Interpreter, Vcpu};

const CODE: u64 = 0x10_0000;
const DATA: u32 = 0x20_0000;
/// Device memory: an access to it ends the trace before its instruction.
const DEVICE: u32 = 0xFED0_0000;
/// Not mapped: an access ends the run, for want of an interrupt table, and shows the flags before it.
const NOWHERE: u32 = 0x4000_0000;
const TABLE: u64 = 0x3000;
const PROGRAMS: u64 = 4000;
const INSTRUCTIONS: u64 = 60;

/// Appends ModRM: a register, or now and then memory by its address.
fn operand(code: &mut Vec<u8>, reg: u8, r: &mut Random) {
    if r.one_in(6) {
        let at = match r.below(64) {
            0..8 => DEVICE,
            8 => NOWHERE,
            _ => DATA,
        } + 8 * r.below(16) as u32;
        code.push(reg << 3 | 5);
        code.extend_from_slice(&at.to_le_bytes());
    } else {
        code.push(0xC0 | reg << 3 | r.below(8) as u8);
    }
}

/// Appends one instruction that goes on with the next one.
fn instruction(code: &mut Vec<u8>, r: &mut Random) {
    let reg = r.below(8) as u8;
    let wide = r.below(2) as u8;
    let kind = r.below(12);
    // On a branch the prefix would cut the instruction pointer.
    if kind < 11 && r.one_in(10) {
        code.push(0x66);
    }
    match kind {
        // ADD OR ADC SBB AND SUB XOR CMP in their four register forms.
        0..=2 => {
            code.push(reg << 3 | (r.below(2) as u8) << 1 | wide);
            operand(code, r.below(8) as u8, r);
        }
        // The same with an immediate byte.
        3 => {
            code.push(if wide == 1 { 0x83 } else { 0x80 });
            operand(code, reg, r);
            code.push(r.bits() as u8);
        }
        // Shifts and rotates: by an immediate (zero among them), by one, by CL.
        4 => {
            let kind = r.pick(&[0u8, 1, 4, 5, 6, 7]);
            let by = r.below(3);
            code.push([0xC0, 0xD0, 0xD2][by as usize] | wide);
            operand(code, kind, r);
            if by == 0 {
                let count = r.pick(&[0u8, 1, 7, 8, 16, 31, 32, 33]);
                code.push(count);
            }
        }
        5 => {
            code.push(0xF6 | wide);
            operand(code, 2 + r.below(2) as u8, r); // NOT, NEG
        }
        6 => {
            code.extend_from_slice(&[0x0F, 0xAF]);
            operand(code, reg, r);
        }
        7 => {
            code.extend_from_slice(&[0x0F, 0x40 | r.below(16) as u8]); // CMOVcc
            operand(code, reg, r);
        }
        8 => {
            code.extend_from_slice(&[0x0F, 0x90 | r.below(16) as u8]); // SETcc
            operand(code, 0, r);
        }
        9 => {
            code.push(r.pick(&[0x84u8, 0x88, 0x8A, 0x86]) | wide); // TEST, MOV, XCHG
            operand(code, reg, r);
        }
        10 => code.push(0x40 | r.below(16) as u8), // INC, DEC
        // Jcc to the next instruction: taken or not, the same code follows.
        _ => {
            let jump = 0x70 | r.below(16) as u8;
            code.extend_from_slice(&[jump, 0]);
        }
    }
}

/// Memory and processor for all programs, one after the other.
struct Machine {
    memory: Arc<GuestMemory>,
    cpu: Interpreter,
}

/// What is compared: how it ended, the retired instructions, registers with flags, device reads, data.
type Seen = (Exit, u64, [u64; 11], Vec<(u64, u64)>, Vec<u8>);

impl Machine {
    fn new() -> Self {
        let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
        // 4-MiB pages (CR4.PSE): the first one, and the device's.
        for (n, at) in [(0u64, 0u32), (u64::from(DEVICE >> 22), DEVICE)] {
            let entry = at & 0xFFC0_0000 | 0x83;
            let place = GuestAddress(TABLE + 4 * n);
            memory.write(place, &entry.to_le_bytes()).unwrap();
        }
        let cpu = Interpreter::new(Arc::clone(&memory), CpuConfig::default()).unwrap();
        Self { memory, cpu }
    }

    fn run(&mut self, p: &Program, mut budget: impl FnMut() -> u64) -> Seen {
        let put = |at, bytes: &[u8]| self.memory.write(GuestAddress(at), bytes).unwrap();
        put(CODE, &p.code);
        put(u64::from(DATA), &p.data);
        self.cpu.reset();
        self.cpu.set_boot_state(BootState::Protected32 {
            eip: CODE as u32,
            esi: 0,
            ebx: 0,
            eax: 0,
            esp: 0,
            gdt: (0x1000, 0x1F),
        });
        let c = self.cpu.cpu_mut();
        (c.cr3, c.cr4, c.cr0) = (TABLE, 1 << 4, c.cr0 | 1 << 31);
        c.registers_changed();
        c.r[..8].copy_from_slice(&p.gpr);
        c.set_flags(p.flags);
        let mut device = TestBus {
            memory: |at| at.wrapping_mul(0x9E37_79B9),
            ..TestBus::default()
        };
        let mut exit = Exit::Budget;
        let start = self.cpu.retired();
        while exit == Exit::Budget && self.cpu.retired() < start + INSTRUCTIONS {
            let left = start + INSTRUCTIONS - self.cpu.retired();
            exit = self.cpu.run(&mut device, left.min(budget()));
        }
        let mut data = vec![0; p.data.len()];
        let place = GuestAddress(u64::from(DATA));
        self.memory.read(place, &mut data).unwrap();
        let c = self.cpu.cpu();
        let mut registers = [c.flags(), c.rip, c.cr2, 0, 0, 0, 0, 0, 0, 0, 0];
        registers[3..].copy_from_slice(&c.r[..8]);
        let retired = self.cpu.retired() - start;
        let loads = device.loads.iter().map(|&(at, when)| (at, when - start));
        (exit, retired, registers, loads.collect(), data)
    }
}

/// Code and what it starts from.
struct Program {
    code: Vec<u8>,
    gpr: [u64; 8],
    flags: u64,
    data: Vec<u8>,
}

fn program(seed: u64) -> Program {
    let mut r = Random(seed);
    let mut code = Vec::new();
    (0..INSTRUCTIONS).for_each(|_| instruction(&mut code, &mut r));
    code.extend_from_slice(&[0x90; 64]);
    Program {
        code,
        gpr: std::array::from_fn(|_| r.bits() >> r.pick(&[32u32, 40, 56, 63])),
        flags: 2 | r.bits() & 0x8D5,
        data: (0..16).flat_map(|_| r.bits().to_le_bytes()).collect(),
    }
}

#[test]
fn random_code_in_traces_and_in_single_steps_is_the_same() {
    let (mut traces, mut steps) = (Machine::new(), Machine::new());
    for seed in 0..PROGRAMS {
        let p = program(seed);
        let mut budgets = Random(seed);
        let at_once = traces.run(&p, || 1 + budgets.below(2 * INSTRUCTIONS));
        assert_eq!(at_once, steps.run(&p, || 1), "seed {seed}: {:02x?}", p.code);
    }
}
