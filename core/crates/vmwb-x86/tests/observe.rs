//! Trace points and the debugger's door, on hand-written 32-bit code.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpu::{TableRegister, cr0, cr4};
use vmwb_x86::inspect::{DebugStop, InspectError, WalkEnd, WatchKind, Watchpoint};
use vmwb_x86::observe::{Classes, InterruptSource, Mode, TraceEvent};
use vmwb_x86::{BootState, CpuConfig, Exit, Inspect, Interpreter, Vcpu};

#[path = "host/bus.rs"]
mod bus;

use bus::TestBus;

const CODE: u64 = 0x10_0000;
const HANDLER: u64 = 0x11_0000;
const GDT: u64 = 0x1000;
const IDT: u64 = 0x2000;
const TABLES: u64 = 0x3000;
const DATA: u64 = 0x18_0000;
/// Physical address of device memory, inside the 4-MiB page at FEC00000h.
const DEVICE: u64 = 0xFEE0_0000;

/// Ports and memory that is not RAM answer with their address.
fn board() -> TestBus {
    TestBus {
        port: u32::from,
        memory: |at| at & 0xFF,
        ..TestBus::default()
    }
}

/// A processor in flat 32-bit protected mode whose every interrupt and exception goes to [`HANDLER`], an IRET.
fn machine(code: &[u8]) -> (Arc<GuestMemory>, Interpreter) {
    let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
    let put = |at: u64, v: u64| memory.write(GuestAddress(at), &v.to_le_bytes()).unwrap();
    put(GDT + 0x10, 0x00CF_9B00_0000_FFFF);
    put(GDT + 0x18, 0x00CF_9300_0000_FFFF);
    for vector in 0..256 {
        put(
            IDT + 8 * vector,
            0x8E00_0010_0000 | HANDLER & 0xFFFF | (HANDLER >> 16) << 48,
        );
    }
    memory.write(GuestAddress(CODE), code).unwrap();
    memory.write(GuestAddress(HANDLER), &[0xCF]).unwrap();
    let mut cpu = Interpreter::new(Arc::clone(&memory), CpuConfig::default()).unwrap();
    cpu.set_boot_state(BootState::Protected32 {
        eip: CODE as u32,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x20_0000,
        gdt: (GDT as u32, 0x1F),
    });
    cpu.cpu_mut().idtr = TableRegister {
        base: IDT,
        limit: 0x7FF,
    };
    (memory, cpu)
}

/// Switches on paging: the first 4 MiB by 4-KiB pages, device memory by a 4-MiB page.
fn page(memory: &GuestMemory, cpu: &mut Interpreter) {
    let put = |at: u64, v: u32| memory.write(GuestAddress(at), &v.to_le_bytes()).unwrap();
    put(TABLES, (TABLES + 0x1000) as u32 | 3);
    put(
        TABLES + 4 * (DEVICE >> 22),
        (DEVICE & 0xFFC0_0000) as u32 | 0x83,
    );
    (0..1024u32).for_each(|n| put(TABLES + 0x1000 + 4 * u64::from(n), n << 12 | 3));
    let c = cpu.cpu_mut();
    c.cr3 = TABLES;
    c.cr4 = cr4::PSE;
    c.cr0 |= cr0::PG;
    c.registers_changed();
}

fn door(cpu: &mut Interpreter) -> &mut dyn Inspect {
    cpu.inspect().unwrap()
}

fn traced(cpu: &mut Interpreter) -> Vec<(u64, TraceEvent)> {
    let events = door(cpu).recorder().since(0);
    events.map(|t| (t.retired, t.event.clone())).collect()
}

// ---- trace points ----

#[test]
fn exception_is_told_with_its_facts_and_the_exact_count() {
    // nop; ud2
    let (_m, mut cpu) = machine(&[0x90, 0x0F, 0x0B]);
    door(&mut cpu).start_recording(Classes::EXCEPTION, 10);
    cpu.run(&mut board(), 2);
    let told = TraceEvent::Exception {
        vector: 6,
        error: None,
        rip: CODE + 1,
        address: None,
        from_cpl: 0,
        to_cpl: 0,
        handler: HANDLER,
    };
    assert_eq!(traced(&mut cpu), [(1, told)]);
    assert_eq!(
        (cpu.counters().exceptions, cpu.counters().by_vector[6]),
        (1, 1)
    );
}

#[test]
fn interrupts_are_told_with_their_source() {
    // sti; nop; nop; int 0x80; jmp $
    let (_m, mut cpu) = machine(&[0xFB, 0x90, 0x90, 0xCD, 0x80, 0xEB, 0xFE]);
    door(&mut cpu).start_recording(Classes::INTERRUPT, 10);
    let mut bus = TestBus {
        pending: Some(0x40),
        ..board()
    };
    cpu.run(&mut bus, 20);
    let facts: Vec<_> = traced(&mut cpu)
        .into_iter()
        .map(|(n, e)| match e {
            TraceEvent::Interrupt { vector, source, .. } => (n, vector, source),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        facts,
        [
            (2, 0x40, InterruptSource::Device),
            (4, 0x80, InterruptSource::Software)
        ]
    );
    assert_eq!((cpu.counters().interrupts, cpu.counters().software), (1, 1));
}

#[test]
fn devices_are_told_with_value_and_exact_count() {
    // mov ebx, DEVICE; mov al, 7; out 0x80, al; nop; mov eax, [ebx+4]; jmp $
    let code = [
        0xBB, 0, 0, 0xE0, 0xFE, 0xB0, 7, 0xE6, 0x80, 0x90, 0x8B, 0x43, 4, 0xEB, 0xFE,
    ];
    let (_m, mut cpu) = machine(&code);
    door(&mut cpu).start_recording(Classes::PORT.union(Classes::MMIO), 10);
    cpu.run(&mut board(), 10);
    let port = TraceEvent::Port {
        port: 0x80,
        size: 1,
        value: 7,
        write: true,
    };
    let mmio = TraceEvent::Mmio {
        physical: DEVICE + 4,
        size: 4,
        value: 4,
        write: false,
    };
    assert_eq!(traced(&mut cpu), [(2, port), (4, mmio)]);
}

#[test]
fn string_reads_of_a_port_are_recorded_one_by_one() {
    // mov edx, 0x1F0; mov edi, DATA; mov ecx, 3; rep insb; jmp $
    let code = [
        0xBA, 0xF0, 1, 0, 0, 0xBF, 0, 0, 0x18, 0, 0xB9, 3, 0, 0, 0, 0xF3, 0x6C, 0xEB, 0xFE,
    ];
    let (_m, mut cpu) = machine(&code);
    door(&mut cpu).start_recording(Classes::PORT, 10);
    let mut bus = TestBus {
        run_at_most: usize::MAX,
        ..board()
    };
    cpu.run(&mut bus, 10);
    assert_eq!((traced(&mut cpu).len(), bus.runs.len()), (3, 0));
}

#[test]
fn tlb_fill_in_the_middle_of_a_trace_is_stamped_exactly() {
    // nop; nop; mov [DATA], eax; nop; jmp $
    let code = [0x90, 0x90, 0xA3, 0, 0, 0x18, 0, 0x90, 0xEB, 0xFE];
    let (m, mut cpu) = machine(&code);
    page(&m, &mut cpu);
    door(&mut cpu).start_recording(Classes::TLB, 10);
    cpu.run(&mut board(), 10);
    let fill = |linear, write| TraceEvent::Tlb {
        linear,
        physical: linear,
        page_bytes: 4096,
        write,
        execute: true,
        user: false,
    };
    // The code's page has not been written to yet: writes to it will walk again, for the dirty bit.
    assert_eq!(
        traced(&mut cpu),
        [(0, fill(CODE, false)), (2, fill(DATA, true))]
    );
}

#[test]
fn control_registers_spaces_and_modes_are_told() {
    // mov eax, cr0; and al, 0xFE; mov cr0, eax; jmp $  -- back to real mode, with a 32-bit code segment still cached
    let code = [
        0x0F, 0x20, 0xC0, 0x24, 0xFE, 0x0F, 0x22, 0xC0, 0x0F, 0x22, 0xD8, 0xEB, 0xFE,
    ];
    let (_m, mut cpu) = machine(&code);
    door(&mut cpu).start_recording(Classes::DEFAULT, 10);
    cpu.run(&mut board(), 6);
    let kinds: Vec<_> = traced(&mut cpu)
        .into_iter()
        .map(|(n, e)| {
            let word = match e {
                TraceEvent::Control { .. } => "control",
                TraceEvent::Space { .. } => "space",
                TraceEvent::Mode { from, to } if (from, to) == (Mode::Protected32, Mode::Real) => {
                    "mode"
                }
                _ => "other",
            };
            (n, word)
        })
        .collect();
    assert_eq!(kinds, [(2, "control"), (2, "mode"), (3, "space")]);
}

#[test]
fn every_instruction_is_told_once_with_its_classes() {
    // mov ecx, 3; l: push eax; loop l; hlt is never reached
    let code = [0xB9, 3, 0, 0, 0, 0x50, 0xE2, 0xFD, 0xEB, 0xFE];
    let (_m, mut cpu) = machine(&code);
    door(&mut cpu).start_recording(Classes::INSTRUCTION, 100);
    cpu.run(&mut board(), 7);
    let told: Vec<_> = traced(&mut cpu)
        .into_iter()
        .map(|(n, e)| match e {
            TraceEvent::Instruction {
                address, classes, ..
            } => (n, address - CODE, classes.names()),
            other => panic!("{other:?}"),
        })
        .collect();
    let round = |n| [(n, 5, vec!["memory"]), (n + 1, 6, vec!["control"])];
    let expected: Vec<_> = [(0, 0, vec![])]
        .into_iter()
        .chain(round(1))
        .chain(round(3))
        .chain(round(5))
        .collect();
    assert_eq!(told, expected);
}

/// Code that faults, interrupts itself, touches devices, pages and strings.
fn busy() -> Vec<u8> {
    let mut code = vec![
        0xFB, // sti
        0xBE, 0, 0, 0x10, 0, // mov esi, CODE
        0xBF, 0, 0, 0x18, 0, // mov edi, DATA
        0xB9, 0, 4, 0, 0, // mov ecx, 1024
        0xF3, 0xA4, // rep movsb
        0xBB, 0, 0, 0xE0, 0xFE, // mov ebx, DEVICE
        0x01, 0x03, // add [ebx], eax
        0xCD, 0x80, // int 0x80
        0xE6, 0x80, // out 0x80, al
        0x60, 0x61, // pusha; popa
    ];
    let back = (code.len() + 5) as i32;
    code.push(0xE9);
    code.extend((-back).to_le_bytes());
    code
}

#[test]
fn tracing_changes_nothing_that_the_guest_can_see() {
    let run = |classes: Option<Classes>| {
        let (m, mut cpu) = machine(&busy());
        page(&m, &mut cpu);
        if let Some(classes) = classes {
            door(&mut cpu).start_recording(classes, 50);
        }
        let mut bus = board();
        for n in 0..200u8 {
            bus.pending = Some(0x40 | n & 15);
            assert_eq!(cpu.run(&mut bus, 101), Exit::Budget);
        }
        let registers = door(&mut cpu).registers();
        let mut ram = vec![0; 1 << 20];
        m.read(GuestAddress(CODE), &mut ram).unwrap();
        (registers, ram)
    };
    let plain = run(None);
    assert!(plain == run(Some(Classes::ALL)));
    assert!(plain == run(Some(Classes::TLB)));
}

// ---- breakpoints ----

#[test]
fn breakpoint_in_the_middle_of_a_loop_stops_before_it_at_the_exact_count() {
    // mov ecx, 5; l: inc eax; inc edx; inc ebx; loop l; jmp $
    let code = [0xB9, 5, 0, 0, 0, 0x40, 0x42, 0x43, 0xE2, 0xFB, 0xEB, 0xFE];
    let (_m, mut cpu) = machine(&code);
    let mut bus = board();
    // The loop is decoded and linked before the breakpoint is set.
    assert_eq!(cpu.run(&mut bus, 5), Exit::Budget);
    door(&mut cpu).set_breakpoints(&[CODE + 7]).unwrap();
    let stop = Exit::Debug(DebugStop::Breakpoint { address: CODE + 7 });
    let counts: Vec<_> = (0..4)
        .map(|_| {
            assert_eq!(cpu.run(&mut bus, 1000), stop);
            (cpu.retired(), cpu.cpu().r[2], cpu.cpu().r[3])
        })
        .collect();
    assert_eq!(counts, [(7, 2, 1), (11, 3, 2), (15, 4, 3), (19, 5, 4)]);
    door(&mut cpu).set_breakpoints(&[]).unwrap();
    assert_eq!(cpu.run(&mut bus, 100), Exit::Budget);
    assert_eq!((cpu.retired(), cpu.cpu().r[3]), (119, 5));
}

#[test]
fn breakpoint_on_a_jump_to_itself_stops_every_time() {
    let (_m, mut cpu) = machine(&[0xEB, 0xFE]);
    door(&mut cpu).set_breakpoints(&[CODE]).unwrap();
    let mut bus = board();
    let counts: Vec<_> = (0..3)
        .map(|_| {
            assert!(matches!(cpu.run(&mut bus, 50), Exit::Debug(_)));
            cpu.retired()
        })
        .collect();
    assert_eq!(counts, [0, 1, 2]);
}

#[test]
fn breakpoint_on_a_repeated_string_stops_once() {
    // mov ecx, 100; rep stosb; jmp $
    let code = [
        0xBF, 0, 0, 0x18, 0, 0xB9, 100, 0, 0, 0, 0xF3, 0xAA, 0xEB, 0xFE,
    ];
    let (_m, mut cpu) = machine(&code);
    door(&mut cpu).set_breakpoints(&[CODE + 10]).unwrap();
    let mut bus = board();
    assert!(matches!(cpu.run(&mut bus, 1000), Exit::Debug(_)));
    for _ in 0..10 {
        assert_eq!(cpu.run(&mut bus, 20), Exit::Budget);
    }
    assert_eq!(cpu.cpu().r[1], 0);
}

#[test]
fn passing_a_breakpoint_runs_the_instruction_under_it() {
    // l: inc eax; jmp l
    let (_m, mut cpu) = machine(&[0x40, 0xEB, 0xFD]);
    door(&mut cpu).set_breakpoints(&[CODE]).unwrap();
    door(&mut cpu).pass_breakpoint();
    assert!(matches!(cpu.run(&mut board(), 50), Exit::Debug(_)));
    assert_eq!((cpu.retired(), cpu.cpu().r[0]), (2, 1));
}

#[test]
fn too_many_breakpoints_are_refused() {
    let (_m, mut cpu) = machine(&[0x90]);
    let many: Vec<u64> = (0..=vmwb_x86::inspect::MAX_BREAKPOINTS as u64).collect();
    assert!(matches!(
        door(&mut cpu).set_breakpoints(&many),
        Err(InspectError::TooMany(_))
    ));
    assert!(door(&mut cpu).breakpoints().is_empty());
}

// ---- watchpoints ----

/// Runs until a watchpoint of this kind on the four bytes of DATA + 4 stops; gives the offset of RIP and whether it wrote.
fn watch(code: &[u8], kind: WatchKind) -> Option<(u64, bool)> {
    let (m, mut cpu) = machine(code);
    page(&m, &mut cpu);
    cpu.cpu_mut().r[4] = DATA + 12;
    cpu.cpu_mut().r[7] = DATA;
    cpu.cpu_mut().r[6] = DATA + 4;
    let mut bus = board();
    door(&mut cpu)
        .set_watchpoints(&[Watchpoint {
            address: DATA + 4,
            length: 4,
            kind,
        }])
        .unwrap();
    match cpu.run(&mut bus, 100) {
        Exit::Debug(DebugStop::Watchpoint { write, .. }) => Some((cpu.cpu().rip - CODE, write)),
        Exit::Budget => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn write_watchpoint_stops_right_behind_every_kind_of_write() {
    // nop; X; nop; jmp $
    let around = |x: &[u8]| [&[0x90], x, &[0x90, 0xEB, 0xFE]].concat();
    let end = |x: &[u8]| Some((1 + x.len() as u64, true));
    let cases: [&[u8]; 4] = [
        &[0xA3, 4, 0, 0x18, 0],             // mov [DATA+4], eax
        &[0x66, 0xA3, 7, 0, 0x18, 0],       // mov [DATA+7], ax: its first byte
        &[0xFF, 0x05, 2, 0, 0x18, 0],       // inc dword [DATA+2]
        &[0x0F, 0x7F, 0x05, 0, 0, 0x18, 0], // movq [DATA], mm0
    ];
    for x in cases {
        assert_eq!(watch(&around(x), WatchKind::Write), end(x), "{x:02x?}");
    }
    // The first push goes to DATA+8, the second hits.
    assert_eq!(
        watch(&[0x50, 0x50, 0x90, 0xEB, 0xFE], WatchKind::Write),
        Some((2, true))
    );
}

#[test]
fn write_watchpoint_stops_inside_a_repeated_string() {
    // mov ecx, 16; rep stosb; jmp $
    let code = [0xB9, 16, 0, 0, 0, 0xF3, 0xAA, 0xEB, 0xFE];
    assert_eq!(watch(&code, WatchKind::Write), Some((5, true)));
}

#[test]
fn read_watchpoint_sees_reads_and_no_writes() {
    // mov [DATA+4], eax; nop; mov eax, [DATA+5]; jmp $
    let code = [
        0xA3, 4, 0, 0x18, 0, 0x90, 0x8A, 0x05, 5, 0, 0x18, 0, 0xEB, 0xFE,
    ];
    assert_eq!(watch(&code, WatchKind::Read), Some((12, false)));
    assert_eq!(watch(&code, WatchKind::Access), Some((5, true)));
}

#[test]
fn watchpoint_of_other_bytes_of_the_page_does_not_stop() {
    // mov [DATA], eax; mov [DATA+8], eax; jmp $
    let code = [0xA3, 0, 0, 0x18, 0, 0xA3, 8, 0, 0x18, 0, 0xEB, 0xFE];
    assert_eq!(watch(&code, WatchKind::Access), None);
}

#[test]
fn watched_instruction_that_faults_does_not_stop() {
    // cmpxchg8b [DATA+4] would read 8 bytes; push [DATA+4] onto a stack that is not mapped faults after the read
    let (m, mut cpu) = machine(&[0xFF, 0x35, 4, 0, 0x18, 0, 0xEB, 0xFE]);
    page(&m, &mut cpu);
    cpu.cpu_mut().r[4] = 0x40_0000;
    m.write(GuestAddress(TABLES + 0x1000 + 4 * 0x3FF), &[0; 4])
        .unwrap();
    door(&mut cpu)
        .set_watchpoints(&[Watchpoint {
            address: DATA + 4,
            length: 1,
            kind: WatchKind::Read,
        }])
        .unwrap();
    // The frame of the page fault cannot be pushed either: the processor shuts down, and no watchpoint is told.
    assert!(matches!(cpu.run(&mut board(), 10), Exit::Stopped(_)));
}

#[test]
fn senseless_watchpoints_are_refused() {
    let (_m, mut cpu) = machine(&[0x90]);
    let w = |address, length| Watchpoint {
        address,
        length,
        kind: WatchKind::Write,
    };
    for bad in [w(0, 0), w(0, 4097), w(u64::MAX, 2)] {
        assert_eq!(
            door(&mut cpu).set_watchpoints(&[bad]),
            Err(InspectError::BadLength)
        );
    }
}

// ---- steps, registers, translation ----

#[test]
fn step_over_a_faulting_instruction_stops_before_its_handler() {
    // ud2
    let (_m, mut cpu) = machine(&[0x0F, 0x0B]);
    door(&mut cpu).set_stepping(true);
    assert_eq!(cpu.run(&mut board(), 1), Exit::Debug(DebugStop::Delivered));
    assert_eq!((cpu.retired(), cpu.cpu().rip), (0, HANDLER));
    assert_eq!(cpu.run(&mut board(), 1), Exit::Budget);
    assert_eq!((cpu.retired(), cpu.cpu().rip), (1, CODE));
}

#[test]
fn page_walk_names_every_entry_and_marks_none() {
    let (m, mut cpu) = machine(&[0x90]);
    page(&m, &mut cpu);
    let before: Vec<u8> = {
        let mut bytes = vec![0; 0x2000];
        m.read(GuestAddress(TABLES), &mut bytes).unwrap();
        bytes
    };
    let walk = door(&mut cpu).page_walk(DATA + 0x123);
    let tables: Vec<_> = walk.entries.iter().map(|e| (e.table, e.index)).collect();
    assert_eq!(
        (walk.end, walk.physical),
        (WalkEnd::Mapped, Some(DATA + 0x123))
    );
    assert_eq!(tables, [("pd", 0), ("pt", 0x180)]);
    assert_eq!(
        door(&mut cpu).page_walk(DEVICE + 4).physical,
        Some(DEVICE + 4)
    );
    assert_eq!(
        door(&mut cpu).page_walk(0x8000_0000).end,
        WalkEnd::NotPresent
    );
    let mut after = vec![0; 0x2000];
    m.read(GuestAddress(TABLES), &mut after).unwrap();
    assert_eq!(before, after);
}

#[test]
fn set_register_shows_in_the_view_and_refuses_nonsense() {
    let (_m, mut cpu) = machine(&[0x90]);
    let d = door(&mut cpu);
    for (name, value) in [
        ("rax", 0x1234),
        ("rip", u128::from(HANDLER)),
        ("rflags", 0x8D7),
        ("xmm3", 1 << 100),
        ("st1", 0x3FFF << 64 | 1 << 63),
        ("mxcsr", 0x1FA0),
    ] {
        d.set_register(name, value).unwrap();
    }
    let r = d.registers();
    assert_eq!((r.general[0], r.rip, r.rflags), (0x1234, HANDLER, 0x8D7));
    assert_eq!(r.xmm[3], format!("{:032x}", 1u128 << 100));
    assert_eq!(
        (r.x87.st[1].as_str(), r.mxcsr),
        ("3fff8000000000000000", 0x1FA0)
    );
    for (name, value) in [("rip", 1 << 40), ("mxcsr", 1 << 20), ("st0", 1 << 80)] {
        assert!(matches!(
            d.set_register(name, value),
            Err(InspectError::BadValue(..))
        ));
    }
    for name in ["cr0", "xmm16", "st01", "xyz"] {
        assert!(matches!(
            d.set_register(name, 0),
            Err(InspectError::UnknownRegister(_))
        ));
    }
}
