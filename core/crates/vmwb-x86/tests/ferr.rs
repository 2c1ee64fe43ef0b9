//! x87 errors with CR0.NE clear: FERR#, a processor that waits, IGNNE# (SDM volume 1, appendix D.2).

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::{BootState, CpuConfig, Exit, Interpreter, Vcpu};

#[path = "host/bus.rs"]
mod bus;

use bus::TestBus;

const CODE: u32 = 0x1000;
const HANDLER: u32 = 0x2000;
const IDT: u64 = 0x6000;
const GDT: u64 = 0x5000;
const VECTOR: u8 = 0x2D;

/// A board whose latch turns FERR# into an interrupt.
fn board() -> TestBus {
    TestBus {
        ferr_vector: Some(VECTOR),
        ..TestBus::default()
    }
}

/// FLD1, FLDZ, FDIVP (1 / 0, not masked), FLD1, HLT; the handler runs FNCLEX and returns.
fn processor() -> Interpreter {
    let memory = Arc::new(GuestMemory::new(2 << 20).unwrap());
    let put = |at: u64, bytes: &[u8]| memory.write(GuestAddress(at), bytes).unwrap();
    let code = [0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9, 0x90, 0xD9, 0xE8, 0xF4];
    put(CODE.into(), &code);
    put(HANDLER.into(), &[0xDB, 0xE2, 0xCF]);
    put(GDT + 0x10, &0x00CF_9B00_0000_FFFFu64.to_le_bytes());
    put(GDT + 0x18, &0x00CF_9300_0000_FFFFu64.to_le_bytes());
    let gate = u64::from(HANDLER) | 0x10 << 16 | 0x8E00 << 32;
    put(IDT + 8 * u64::from(VECTOR), &gate.to_le_bytes());
    let mut cpu = Interpreter::new(memory, CpuConfig::default()).unwrap();
    cpu.set_boot_state(BootState::Protected32 {
        eip: CODE,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x8000,
        gdt: (GDT as u32, 0x1F),
    });
    let c = cpu.cpu_mut();
    c.idtr.base = IDT;
    c.idtr.limit = 0x7FF;
    // Zero divides are not masked; all registers are empty; interrupts are on.
    (c.fpu.control, c.fpu.empty) = (0x37B, 0xFF);
    c.set_flags(0x202);
    c.registers_changed();
    cpu
}

#[test]
fn error_interrupts_before_the_next_waiting_instruction_which_then_runs() {
    let (mut cpu, mut board) = (processor(), board());
    assert_eq!(cpu.run(&mut board, 100), Exit::Halted);
    // Four instructions before it; FNCLEX is the fifth.
    assert_eq!(board.ferr, [(true, 4), (false, 4)]);
    let c = cpu.cpu();
    // The division was withheld, and with it the pop.
    assert_eq!((c.rip, c.fpu.top), (u64::from(CODE) + 10, 5));
    assert_eq!(c.fpu.status & 0xFF, 0);
}

#[test]
fn ignored_error_lets_the_instruction_run() {
    let mut cpu = processor();
    let mut board = TestBus {
        ignne: true,
        ..board()
    };
    assert_eq!(cpu.run(&mut board, 100), Exit::Halted);
    assert_eq!(board.ferr, [(true, 4)]);
    assert_eq!((cpu.cpu().fpu.top, cpu.cpu().fpu.status & 0x84), (5, 0x84));
}

#[test]
fn with_numeric_errors_on_it_is_an_exception_and_no_line_moves() {
    let (mut cpu, mut board) = (processor(), board());
    cpu.cpu_mut().cr0 |= vmwb_x86::cpu::cr0::NE;
    let end = cpu.run(&mut board, 100);
    assert!(matches!(end, Exit::Stopped(_)));
    assert_eq!(board.ferr, []);
}
