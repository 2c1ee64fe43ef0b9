//! x87 errors with CR0.NE clear: FERR#, a processor that waits, IGNNE# (SDM volume 1, appendix D.2).

use std::sync::Arc;

use vmwb_hw::{AccessSize, GuestAddress, GuestMemory};
use vmwb_x86::{BootState, CpuBus, CpuConfig, Exit, Interpreter, Vcpu};

const CODE: u32 = 0x1000;
const HANDLER: u32 = 0x2000;
const IDT: u64 = 0x6000;
const GDT: u64 = 0x5000;
const VECTOR: u8 = 0x2D;

/// The latch of a board, reduced to what the processor sees of it.
#[derive(Debug, Default)]
struct Board {
    /// Levels of FERR# as they came, with their stamps.
    ferr: Vec<(bool, u64)>,
    ignne: bool,
    interrupt: bool,
}

impl CpuBus for Board {
    fn pio_read(&mut self, _port: u16, _size: AccessSize, _retired: u64) -> u32 {
        0
    }
    fn pio_write(&mut self, _port: u16, _size: AccessSize, _value: u32, _retired: u64) {}
    fn mmio_read(&mut self, _addr: GuestAddress, _size: AccessSize, _retired: u64) -> u64 {
        0
    }
    fn mmio_write(&mut self, _addr: GuestAddress, _size: AccessSize, _value: u64, _retired: u64) {}
    fn interrupt_pending(&self) -> bool {
        self.interrupt
    }
    fn acknowledge_interrupt(&mut self, _retired: u64) -> Option<u8> {
        std::mem::take(&mut self.interrupt).then_some(VECTOR)
    }
    fn take_nmi(&mut self) -> bool {
        false
    }
    fn tsc(&mut self, retired: u64) -> u64 {
        retired
    }
    fn random(&mut self, _retired: u64) -> u64 {
        0
    }
    fn set_ferr(&mut self, active: bool, retired: u64) -> bool {
        self.ferr.push((active, retired));
        self.interrupt = active && !self.ignne;
        self.ignne
    }
    fn cr8(&self) -> u8 {
        0
    }
    fn set_cr8(&mut self, _value: u8, _retired: u64) {}
    fn apic_base(&self) -> u64 {
        0
    }
    fn set_apic_base(&mut self, _value: u64) -> bool {
        false
    }
    fn attention(&self) -> bool {
        false
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
    let (mut cpu, mut board) = (processor(), Board::default());
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
    let mut board = Board {
        ignne: true,
        ..Board::default()
    };
    assert_eq!(cpu.run(&mut board, 100), Exit::Halted);
    assert_eq!(board.ferr, [(true, 4)]);
    assert_eq!((cpu.cpu().fpu.top, cpu.cpu().fpu.status & 0x84), (5, 0x84));
}

#[test]
fn with_numeric_errors_on_it_is_an_exception_and_no_line_moves() {
    let (mut cpu, mut board) = (processor(), Board::default());
    cpu.cpu_mut().cr0 |= vmwb_x86::cpu::cr0::NE;
    let end = cpu.run(&mut board, 100);
    assert!(matches!(end, Exit::Stopped(_)));
    assert_eq!(board.ferr, []);
}
