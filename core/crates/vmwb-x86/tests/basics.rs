//! The interpreter on hand-written code: budgets, self-modifying code, devices, interrupts.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::{BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

#[path = "host/bus.rs"]
mod bus;

use bus::TestBus;

const CODE: u64 = 0x10_0000;

fn machine(code: &[u8]) -> (Arc<GuestMemory>, Interpreter) {
    let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
    memory.write(GuestAddress(CODE), code).unwrap();
    let mut cpu = Interpreter::new(Arc::clone(&memory), CpuConfig::default()).unwrap();
    cpu.set_boot_state(BootState::Protected32 {
        eip: CODE as u32,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x20_0000,
        gdt: (0x1000, 0x1F),
    });
    (memory, cpu)
}

#[test]
fn loop_runs_exactly_to_every_budget() {
    // mov ecx, 1000; l: add eax, ecx; dec ecx; jnz l; hlt
    let code = [0xB9, 0xE8, 3, 0, 0, 0x01, 0xC8, 0x49, 0x75, 0xFB, 0xF4];
    let total = 1 + 3 * 1000;
    for budget in [1, 2, 3, 7, 100, 2999, total] {
        let (_m, mut cpu) = machine(&code);
        let mut bus = TestBus::default();
        let mut left = total;
        while left > 0 {
            let n = left.min(budget);
            assert_eq!(cpu.run(&mut bus, n), Exit::Budget);
            left -= n;
        }
        assert_eq!((cpu.retired(), cpu.cpu().r[0]), (total, 500_500));
        assert!(matches!(
            cpu.run(&mut bus, 10),
            Exit::Stopped(CpuStop::HaltedForGood { .. })
        ));
    }
}

#[test]
fn out_is_stamped_with_the_instructions_before_it() {
    // mov al, 7; nop; out 0x80, al; hlt
    let (_m, mut cpu) = machine(&[0xB0, 7, 0x90, 0xE6, 0x80, 0xF4]);
    let mut bus = TestBus::default();
    cpu.run(&mut bus, 100);
    assert_eq!(bus.out, vec![(0x80, 7, 2)]);
}

#[test]
fn device_memory_in_the_middle_of_a_trace_is_stamped_exactly() {
    // mov ebx, 0xFEE00000; mov eax, 5; mov [ebx], eax; mov ecx, [ebx+4]; add ecx, 1; hlt
    let code = [
        0xBB, 0, 0, 0xE0, 0xFE, 0xB8, 5, 0, 0, 0, 0x89, 0x03, 0x8B, 0x4B, 4, 0x83, 0xC1, 1, 0xF4,
    ];
    let (_m, mut cpu) = machine(&code);
    let mut bus = TestBus {
        memory: |at| at ^ 0x5A,
        ..TestBus::default()
    };
    cpu.run(&mut bus, 100);
    assert_eq!(bus.stores, vec![(0xFEE0_0000, 5, 2)]);
    assert_eq!((cpu.cpu().r[1], cpu.retired()), (0xFEE0_005F, 6));
}

#[test]
fn code_that_overwrites_its_next_instruction_runs_the_new_one() {
    // mov byte [0x10000c], 0x42 (inc edx instead of inc ecx); nop x5; inc ecx; hlt
    let code = [
        0xC6, 0x05, 0x0C, 0, 0x10, 0, 0x42, 0x90, 0x90, 0x90, 0x90, 0x90, 0x41, 0xF4,
    ];
    let (_m, mut cpu) = machine(&code);
    cpu.run(&mut TestBus::default(), 100);
    assert_eq!((cpu.cpu().r[1], cpu.cpu().r[2]), (0, 1));
}

#[test]
fn code_written_by_somebody_else_is_seen_at_the_next_run() {
    // l: inc ecx; jmp l
    let (m, mut cpu) = machine(&[0x41, 0xEB, 0xFD]);
    cpu.run(&mut TestBus::default(), 100);
    m.write(GuestAddress(CODE), &[0x42]).unwrap();
    cpu.run(&mut TestBus::default(), 100);
    assert_eq!((cpu.cpu().r[1], cpu.cpu().r[2]), (50, 50));
}

#[test]
fn rep_movs_stops_at_the_budget_and_goes_on() {
    // mov esi, 0x180000; mov edi, 0x181F01; mov ecx, 5000; rep movsb; hlt
    let code = [
        0xBE, 0, 0, 0x18, 0, 0xBF, 1, 0x1F, 0x18, 0, 0xB9, 0x88, 0x13, 0, 0, 0xF3, 0xA4, 0xF4,
    ];
    let (m, mut cpu) = machine(&code);
    let data: Vec<u8> = (0..5000u32).map(|i| (i * 7 % 251) as u8).collect();
    m.write(GuestAddress(0x18_0000), &data).unwrap();
    let mut bus = TestBus::default();
    assert_eq!(cpu.run(&mut bus, 1003), Exit::Budget);
    assert_eq!((cpu.cpu().r[1], cpu.retired()), (4000, 1003));
    assert_eq!(cpu.run(&mut bus, 4000), Exit::Budget);
    let mut copy = vec![0; 5000];
    m.read(GuestAddress(0x18_1F01), &mut copy).unwrap();
    assert_eq!((copy, cpu.cpu().r[1]), (data, 0));
}

#[test]
fn overlapping_rep_movs_repeats_what_it_wrote() {
    // mov esi, 0x180000; mov edi, 0x180001; mov ecx, 99; rep movsb; hlt
    let code = [
        0xBE, 0, 0, 0x18, 0, 0xBF, 1, 0, 0x18, 0, 0xB9, 99, 0, 0, 0, 0xF3, 0xA4, 0xF4,
    ];
    let (m, mut cpu) = machine(&code);
    m.write(GuestAddress(0x18_0000), b"x").unwrap();
    cpu.run(&mut TestBus::default(), 1000);
    let mut copy = vec![0; 100];
    m.read(GuestAddress(0x18_0000), &mut copy).unwrap();
    assert_eq!(copy, vec![b'x'; 100]);
}

/// mov edx, 0x1F0; mov (esi or edi, as `register` says), 0x180FF0; mov ecx, 1000; `instruction`; hlt
fn port_loop(register: u8, instruction: &[u8]) -> Vec<u8> {
    let head = [
        0xBA, 0xF0, 1, 0, 0, register, 0xF0, 0x0F, 0x18, 0, 0xB9, 0xE8, 3, 0, 0,
    ];
    [&head[..], instruction, &[0xF4]].concat()
}

#[test]
fn rep_ins_goes_in_runs_to_the_page_and_the_budget() {
    let (m, mut cpu) = machine(&port_loop(0xBF, &[0xF3, 0x66, 0x6D]));
    let mut bus = TestBus {
        run_at_most: usize::MAX,
        ..TestBus::default()
    };
    assert_eq!(cpu.run(&mut bus, 503), Exit::Budget);
    let c = cpu.cpu();
    assert_eq!((c.r[1], c.r[7], cpu.retired()), (500, 0x18_13D8, 503));
    assert_eq!(cpu.run(&mut bus, 500), Exit::Budget);
    assert_eq!((cpu.cpu().r[1], cpu.retired()), (0, 1003));
    assert_eq!(bus.runs, [8, 492, 500]);
    let mut data = vec![0; 2001];
    m.read(GuestAddress(0x18_0FF0), &mut data).unwrap();
    let mut expected: Vec<u8> = (1..=2000u32).map(|n| n as u8).collect();
    expected.push(0);
    assert_eq!(data, expected);
}

#[test]
fn rep_outs_goes_in_runs_and_singly_where_the_board_takes_none() {
    let (m, mut cpu) = machine(&port_loop(0xBE, &[0xF3, 0x66, 0x6F]));
    let data: Vec<u8> = (0..2000u32).map(|i| (i * 7 % 251) as u8).collect();
    m.write(GuestAddress(0x18_0FF0), &data).unwrap();
    let mut bus = TestBus {
        run_at_most: 100,
        ..TestBus::default()
    };
    cpu.run(&mut bus, 1003);
    let written: Vec<u8> = bus
        .run_out
        .iter()
        .flat_map(|(_, unit)| unit.clone())
        .collect();
    assert_eq!((bus.run_out.len(), bus.run_out[0].0), (1000, 0x1F0));
    assert_eq!((written, bus.out.len()), (data, 0));

    let (_m, mut cpu) = machine(&port_loop(0xBE, &[0xF3, 0x66, 0x6F]));
    let mut bus = TestBus::default();
    cpu.run(&mut bus, 1003);
    assert_eq!(
        (bus.out.len(), cpu.cpu().r[1], cpu.retired()),
        (1000, 0, 1003)
    );
}

#[test]
fn string_port_access_downwards_goes_singly() {
    // std before the loop
    let (m, mut cpu) = machine(&port_loop(0xBF, &[0xFD, 0xF3, 0x6C]));
    let mut bus = TestBus {
        port: |_| 0x5A,
        run_at_most: usize::MAX,
        ..TestBus::default()
    };
    cpu.run(&mut bus, 1004);
    assert!(bus.runs.is_empty());
    let mut data = vec![0; 1001];
    m.read(GuestAddress(0x18_0FF0 - 1000), &mut data).unwrap();
    assert_eq!((data[0], &data[1..]), (0, &[0x5A; 1000][..]));
}

#[test]
fn instruction_across_two_pages_runs_and_sees_changes_of_its_tail() {
    // at 0x100ffe: mov eax, imm32 (5 bytes: 2 in the first page); jmp back there after inc of the immediate
    let (m, mut cpu) = machine(&[0xE9, 0xF9, 0x0F, 0, 0]);
    m.write(GuestAddress(0x10_0FFE), &[0xB8, 1, 2, 3, 4])
        .unwrap();
    // inc byte [0x101002]; cmp byte [0x101002], 8; jne 0x100ffe; hlt
    m.write(
        GuestAddress(0x10_1003),
        &[
            0xFE, 0x05, 0x02, 0x10, 0x10, 0, 0x80, 0x3D, 0x02, 0x10, 0x10, 0, 8, 0x75, 0xEC, 0xF4,
        ],
    )
    .unwrap();
    cpu.run(&mut TestBus::default(), 1000);
    assert_eq!(cpu.cpu().r[0], 0x0703_0201);
}

#[test]
fn halted_processor_wakes_for_an_interrupt_and_returns_from_it() {
    // GDT at 0x1000 (null, null, code, data), IDT at 0x2000 with gate 0x30 -> 0x100100.
    // lgdt [0x3000]; lidt [0x3008]; sti; hlt; mov ebx, 0x77; cli; hlt        handler: inc ecx; iretd
    let code = [
        0x0F, 0x01, 0x15, 0, 0x30, 0, 0, 0x0F, 0x01, 0x1D, 8, 0x30, 0, 0, 0xFB, 0xF4, 0xBB, 0x77,
        0, 0, 0, 0xFA, 0xF4,
    ];
    let (m, mut cpu) = machine(&code);
    m.write(GuestAddress(CODE + 0x100), &[0x41, 0xCF]).unwrap();
    m.write(
        GuestAddress(0x1010),
        &0x00CF_9B00_0000_FFFFu64.to_le_bytes(),
    )
    .unwrap();
    m.write(
        GuestAddress(0x1018),
        &0x00CF_9300_0000_FFFFu64.to_le_bytes(),
    )
    .unwrap();
    m.write(
        GuestAddress(0x2000 + 0x30 * 8),
        &0x0010_8E00_0010_0100u64.to_le_bytes(),
    )
    .unwrap();
    m.write(GuestAddress(0x3000), &[0x1F, 0, 0, 0x10, 0, 0])
        .unwrap();
    m.write(GuestAddress(0x3008), &[0xFF, 7, 0, 0x20, 0, 0])
        .unwrap();
    let mut bus = TestBus::default();
    assert_eq!(cpu.run(&mut bus, 100), Exit::Halted);
    assert_eq!(cpu.run(&mut bus, 100), Exit::Halted);
    bus.pending = Some(0x30);
    assert!(matches!(
        cpu.run(&mut bus, 100),
        Exit::Stopped(CpuStop::HaltedForGood { .. })
    ));
    assert_eq!((cpu.cpu().r[1], cpu.cpu().r[3]), (1, 0x77));
}

#[test]
fn saved_state_in_another_processor_goes_on_alike() {
    let code = [0xB9, 0xE8, 3, 0, 0, 0x01, 0xC8, 0x49, 0x75, 0xFB, 0xF4];
    let (m, mut first) = machine(&code);
    let mut bus = TestBus::default();
    first.run(&mut bus, 1234);
    let saved = first.save().unwrap();
    let mut second = Interpreter::new(m, CpuConfig::default()).unwrap();
    second.restore(&saved).unwrap();
    second.run(&mut bus, 3001 - 1234);
    assert_eq!((second.retired(), second.cpu().r[0]), (3001, 500_500));
}

#[test]
fn triple_fault_without_an_idt_is_named() {
    let (_m, mut cpu) = machine(&[0x0F, 0x0B]);
    let exit = cpu.run(&mut TestBus::default(), 10);
    assert_eq!(
        exit,
        Exit::Stopped(CpuStop::TripleFault {
            rip: CODE,
            vector: 6
        })
    );
}

#[test]
fn a_hundred_million_operations_fit_into_a_small_stack() {
    // Handlers end in sibling calls: were one of them a call that returns, this would overflow.
    // mov ecx, 9_100_000; l: push ecx; add eax, [esp]; pop edx; mov [0x180000], edx; inc dword [0x180004];
    // xor edx, eax; shl edx, 3; cmp edx, eax; setb bl; lea esi, [eax+ecx*2+5]; dec ecx; jnz l; hlt
    let code = [
        0xB9, 0xE0, 0xDA, 0x8A, 0, 0x51, 0x03, 0x04, 0x24, 0x5A, 0x89, 0x15, 0, 0, 0x18, 0, 0xFF,
        0x05, 4, 0, 0x18, 0, 0x31, 0xC2, 0xC1, 0xE2, 3, 0x39, 0xC2, 0x0F, 0x92, 0xC3, 0x8D, 0x74,
        0x48, 5, 0x49, 0x75, 0xDE, 0xF4,
    ];
    let (m, mut cpu) = machine(&code);
    let run = move || {
        let exit = cpu.run(&mut TestBus::default(), u64::MAX >> 1);
        let counted = m.read_u32(GuestAddress(0x18_0004)).unwrap();
        (exit, cpu.retired(), counted)
    };
    let small = std::thread::Builder::new().stack_size(64 << 10);

    let (exit, retired, counted) = small.spawn(run).unwrap().join().unwrap();

    assert!(matches!(exit, Exit::Stopped(CpuStop::HaltedForGood { .. })));
    assert_eq!((retired, counted), (2 + 12 * 9_100_000, 9_100_000));
}

#[test]
fn a_million_operations_across_pages_fit_into_a_small_stack() {
    // The slow twins of the handlers end in sibling calls as they do; an operand in two pages always takes one.
    // mov esp, 0x181002; mov ecx, 100_000; l: push ecx; add eax, [esp]; inc dword [0x181FFE]; cmp [0x181FFE], ecx;
    // jz +0; pop edx; call f; dec ecx; jnz l; hlt; f: ret
    let code = [
        0xBC, 0x02, 0x10, 0x18, 0, 0xB9, 0xA0, 0x86, 1, 0, 0x51, 0x03, 0x04, 0x24, 0xFF, 0x05,
        0xFE, 0x1F, 0x18, 0, 0x39, 0x0D, 0xFE, 0x1F, 0x18, 0, 0x74, 0, 0x5A, 0xE8, 4, 0, 0, 0,
        0x49, 0x75, 0xE5, 0xF4, 0xC3,
    ];
    let (m, mut cpu) = machine(&code);
    let run = move || {
        let exit = cpu.run(&mut TestBus::default(), u64::MAX >> 1);
        let mut counted = [0; 4];
        m.read(GuestAddress(0x18_1FFE), &mut counted).unwrap();
        let c = cpu.cpu();
        (
            exit,
            c.r[0],
            c.r[4],
            u32::from_le_bytes(counted),
            cpu.retired(),
        )
    };
    let small = std::thread::Builder::new().stack_size(64 << 10);

    let (exit, sum, sp, counted, retired) = small.spawn(run).unwrap().join().unwrap();

    assert!(matches!(exit, Exit::Stopped(CpuStop::HaltedForGood { .. })));
    assert_eq!(
        (sp, counted, retired),
        (0x18_1002, 100_000, 3 + 10 * 100_000)
    );
    assert_eq!(sum, (1..=100_000u64).sum::<u64>() & 0xFFFF_FFFF);
}
