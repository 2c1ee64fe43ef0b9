//! Several processors on one memory: start-up and initialization, PAUSE, sleep, and code and page tables that another
//! processor changes.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::{Activity, BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

#[path = "host/bus.rs"]
mod bus;

use bus::TestBus;

/// Where the code of most tests lies: the page of start-up message 1.
const CODE: u64 = 0x1000;
const RESULT: u64 = 0x500;
/// MOV BYTE [500h], 1; HLT, in real mode.
const STORE: [u8; 6] = [0xC6, 0x06, 0x00, 0x05, 0x01, 0xF4];

fn memory(code: &[u8]) -> Arc<GuestMemory> {
    let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
    memory.write(GuestAddress(CODE), code).unwrap();
    memory
}

fn processor(memory: &Arc<GuestMemory>, number: u8, processors: u8) -> Interpreter {
    let config = CpuConfig {
        number,
        processors,
        ..CpuConfig::default()
    };
    Interpreter::new(Arc::clone(memory), config).unwrap()
}

/// A processor other than the first, started at [`CODE`].
fn started(memory: &Arc<GuestMemory>, number: u8) -> Interpreter {
    let mut cpu = processor(memory, number, 2);
    cpu.start_up(1);
    cpu
}

fn byte(memory: &GuestMemory, at: u64) -> u8 {
    let mut byte = [0];
    memory.read(GuestAddress(at), &mut byte).unwrap();
    byte[0]
}

#[test]
fn other_processors_wait_for_a_startup_message_whatever_interrupts_them() {
    let m = memory(&STORE);
    let mut cpu = processor(&m, 1, 2);
    let mut bus = TestBus {
        pending: Some(0x40),
        nmi: true,
        ..TestBus::default()
    };
    assert_eq!(cpu.run(&mut bus, 100), Exit::Halted);
    assert_eq!(
        (cpu.activity(), cpu.retired()),
        (Activity::WaitingForStartUp, 0)
    );
}

#[test]
fn startup_message_starts_in_real_mode_at_its_page_once() {
    let m = memory(&STORE);
    let mut cpu = started(&m, 1);
    cpu.start_up(0x20);
    let c = cpu.cpu();
    assert_eq!((c.seg[1].selector, c.seg[1].base, c.rip), (0x100, CODE, 0));
    cpu.run(&mut TestBus::default(), 1);
    assert_eq!(byte(&m, RESULT), 1);
}

#[test]
fn first_processor_never_waits_and_ignores_startup_messages() {
    let m = memory(&STORE);
    let mut cpu = processor(&m, 0, 2);
    let reset_vector = cpu.linear_rip();
    cpu.start_up(1);
    cpu.init();
    cpu.start_up(1);
    assert_eq!(
        (cpu.linear_rip(), cpu.activity()),
        (reset_vector, Activity::Running)
    );
}

#[test]
fn init_keeps_what_the_manual_keeps_and_waits_again() {
    let m = memory(&STORE);
    let mut cpu = started(&m, 1);
    cpu.run(&mut TestBus::default(), 1);
    let c = cpu.cpu_mut();
    (c.cr0, c.cr3, c.r[3], c.msr.tsc_offset) = (0x6000_0011, 0x7000, 9, 77);
    c.fpu.control = 0x37F;
    c.registers_changed();
    cpu.init();
    let c = cpu.cpu();
    assert_eq!((c.cr0, c.cr3, c.r[3]), (0x6000_0010, 0, 0));
    assert_eq!((c.msr.tsc_offset, c.fpu.control), (77, 0x37F));
    assert_eq!(
        (cpu.activity(), cpu.retired()),
        (Activity::WaitingForStartUp, 1)
    );
}

#[test]
fn halted_for_good_is_said_again_until_nmi_wakes_it() {
    let m = memory(&[0xF4, 0xF4]);
    let mut cpu = started(&m, 1);
    let mut bus = TestBus::default();
    let dead = Exit::Stopped(CpuStop::HaltedForGood { rip: 1 });
    assert_eq!(cpu.run(&mut bus, 10), dead);
    bus.pending = Some(0x40);
    assert_eq!(
        (cpu.run(&mut bus, 10), cpu.activity()),
        (dead, Activity::HaltedForGood)
    );
    bus.nmi = true;
    cpu.run(&mut bus, 0);
    assert_eq!(cpu.activity(), Activity::Running);
}

#[test]
fn pause_ends_a_run_only_where_there_are_other_processors() {
    // PAUSE; INC AX; JMP to the start.
    let m = memory(&[0xF3, 0x90, 0x40, 0xEB, 0xFB]);
    let mut one = processor(&m, 0, 1);
    let entry = BootState::Real16 {
        cs: 0x100,
        ip: 0,
        ss: 0,
        sp: 0x800,
        data: 0,
        dx: 0,
    };
    one.set_boot_state(entry);
    assert_eq!(one.run(&mut TestBus::default(), 300), Exit::Budget);
    let mut two = started(&m, 1);
    let counts: Vec<_> = (0..3)
        .map(|_| (two.run(&mut TestBus::default(), 300), two.retired()))
        .collect();
    let expected = [1, 4, 7].map(|n| (Exit::Yielded, n));
    assert_eq!(counts, expected);
}

#[test]
fn count_goes_on_from_what_others_retired() {
    let m = memory(&[0xEB, 0xFE]);
    let mut cpu = started(&m, 1);
    assert_eq!(cpu.run(&mut TestBus::default(), 10), Exit::Budget);
    cpu.count_from(5_000);
    assert_eq!(cpu.run(&mut TestBus::default(), 10), Exit::Budget);
    assert_eq!(cpu.retired(), 5_010);
}

/// Runs the code of [`STORE`] from its start once more.
fn again(cpu: &mut Interpreter) {
    let c = cpu.cpu_mut();
    c.rip = 0;
    cpu.init();
    cpu.start_up(1);
    cpu.run(&mut TestBus::default(), 1);
}

#[test]
fn code_that_another_processor_writes_runs_as_written() {
    let m = memory(&STORE);
    // The writer at 2000h: MOV BYTE [1004h], 2; HLT. It has written to the page before it held code.
    let writer_code = [0xC6, 0x06, 0x04, 0x10, 0x01, 0xC6, 0x06, 0x04, 0x10, 0x02];
    m.write(GuestAddress(0x2000), &writer_code).unwrap();
    let mut writer = processor(&m, 1, 2);
    writer.start_up(2);
    writer.run(&mut TestBus::default(), 1);
    let mut runner = started(&m, 1);
    runner.run(&mut TestBus::default(), 1);
    assert_eq!(byte(&m, RESULT), 1);
    writer.run(&mut TestBus::default(), 1);
    again(&mut runner);
    assert_eq!(byte(&m, RESULT), 2);
}

#[test]
fn page_table_that_another_processor_writes_holds_from_the_next_load_of_cr3_on() {
    // Tables at 10000h: one directory, one table that maps the first 4 MiB onto themselves.
    let m = memory(&[]);
    let entry = |page: u64| u32::try_from(page << 12 | 3).unwrap().to_le_bytes();
    m.write(GuestAddress(0x10000), &entry(0x11)).unwrap();
    for page in 0..1024 {
        m.write(GuestAddress(0x11000 + 4 * page), &entry(page))
            .unwrap();
    }
    m.write(GuestAddress(0x30_0000), &[0x11]).unwrap();
    m.write(GuestAddress(0x31_0000), &[0x22]).unwrap();
    // MOV AL, [300000h]; MOV [500h], AL; MOV EBX, CR3; MOV CR3, EBX; JMP to the start.
    let code = [
        0xA0, 0, 0, 0x30, 0, 0xA2, 0, 5, 0, 0, 0x0F, 0x20, 0xDB, 0x0F, 0x22, 0xDB, 0xEB, 0xEE,
    ];
    m.write(GuestAddress(CODE), &code).unwrap();
    let mut reader = processor(&m, 0, 2);
    reader.set_boot_state(BootState::Protected32 {
        eip: 0x1000,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x8000,
        gdt: (0x4000, 0x1F),
    });
    let c = reader.cpu_mut();
    (c.cr0, c.cr3) = (0x8000_0011, 0x10000);
    c.registers_changed();
    // The writer fills the entry of page 300h, by way of a segment: MOV DWORD [DS:0C00h], 310003h.
    let writer_code = [0x66, 0xC7, 0x06, 0x00, 0x0C, 0x03, 0x00, 0x31, 0x00];
    m.write(GuestAddress(0x2000), &writer_code).unwrap();
    let mut writer = processor(&m, 1, 2);
    writer.start_up(2);
    let c = writer.cpu_mut();
    c.seg[3].selector = 0x1100;
    c.seg[3].base = 0x11000;
    c.registers_changed();
    reader.run(&mut TestBus::default(), 5);
    assert_eq!(byte(&m, RESULT), 0x11);
    writer.run(&mut TestBus::default(), 1);
    reader.run(&mut TestBus::default(), 10);
    assert_eq!(byte(&m, RESULT), 0x22);
}
