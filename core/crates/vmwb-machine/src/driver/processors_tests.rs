//! Turns of several processors, on real ones and a real board.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_snapshot::{Container, Payload};
use vmwb_x86::{Activity, BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

use super::processors::{PROBE, Processors, TURN, TurnV1};
use crate::board::Board;
use crate::board::tests::{Printed, board_on, spec};
use crate::regions::Regions;
use crate::spec::MachineSpec;

/// First processor: 32-bit code here.
const FIRST: u64 = 0x1000;
/// The others start here, by a message for page 2.
const OTHERS: u64 = 0x2000;
const RESULT: u64 = 0x500;
/// MOV DWORD [FEE00300h], INIT to the others; the same with a start-up message for page 2.
const START_OTHERS: [u8; 20] = [
    0xC7, 0x05, 0x00, 0x03, 0xE0, 0xFE, 0x00, 0x45, 0x0C, 0x00, //
    0xC7, 0x05, 0x00, 0x03, 0xE0, 0xFE, 0x02, 0x46, 0x0C, 0x00,
];
/// Jumps to itself.
const SPIN: [u8; 2] = [0xEB, 0xFE];
/// INC EAX or AX, for ever.
const COUNT: [u8; 3] = [0x40, 0xEB, 0xFD];
/// Word that is a lock, and counts of those who had it.
const LOCK: u64 = 0x600;
const HOLDS: u64 = 0x604;
const VISITS: u64 = 0x608;
/// For ever: takes the lock without PAUSE, holds it for 400 instructions, and leaves it for five.
const HOLD: [u8; 40] = [
    0xB8, 1, 0, 0, 0, // MOV EAX, 1
    0x87, 0x05, 0, 6, 0, 0, 0x85, 0xC0, 0x75, 0xF6, // XCHG [600h], EAX; TEST EAX, EAX; JNZ
    0xB9, 200, 0, 0, 0, 0x49, 0x75, 0xFD, // MOV ECX, 200; DEC ECX; JNZ
    0xFF, 0x05, 4, 6, 0, 0, // INC DWORD [604h]
    0xC7, 0x05, 0, 6, 0, 0, 0, 0, 0, 0,    // MOV DWORD [600h], 0
    0x90, // NOP
];
/// The same in 16-bit code: takes the lock, counts at 608h and leaves it for 400 instructions.
const VISIT: [u8; 27] = [
    0xB8, 1, 0, 0x87, 0x06, 0, 6, 0x85, 0xC0, 0x75,
    0xF8, // MOV AX, 1; XCHG [600h], AX; TEST; JNZ
    0xFF, 0x06, 8, 6, // INC WORD [608h]
    0xC7, 0x06, 0, 6, 0, 0, // MOV WORD [600h], 0
    0xB9, 200, 0, 0x49, 0x75, 0xFD, // MOV CX, 200; DEC CX; JNZ
];

struct Machine {
    memory: Arc<GuestMemory>,
    board: Board,
    cpus: Processors,
}

impl Machine {
    fn new(count: u8, first: &[u8], others: &[u8]) -> Self {
        let spec = MachineSpec {
            cpus: u32::from(count),
            ..spec()
        };
        let memory = Arc::new(
            GuestMemory::with_regions(spec.ram_bytes(), Regions::of(&spec, None).specs()).unwrap(),
        );
        memory.write(GuestAddress(FIRST), first).unwrap();
        memory.write(GuestAddress(OTHERS), others).unwrap();
        let make = |number| {
            let config = CpuConfig {
                number,
                processors: count,
                ..CpuConfig::default()
            };
            let cpu = Interpreter::new(Arc::clone(&memory), config).unwrap();
            Box::new(cpu) as Box<dyn Vcpu>
        };
        let mut cpus = Processors::new((0..count).map(make).collect());
        cpus.set_boot_state(BootState::Protected32 {
            eip: u32::try_from(FIRST).unwrap(),
            esi: 0,
            ebx: 0,
            eax: 0,
            esp: 0x8000,
            gdt: (0x4000, 0x1F),
        });
        let board = board_on(Arc::clone(&memory), &spec, &Printed::default());
        Self {
            memory,
            board,
            cpus,
        }
    }

    /// Two processors that count, the second just started.
    fn counting() -> Self {
        Self::pair(&COUNT, &COUNT)
    }

    /// Two processors with these programs, the second just started.
    fn pair(first: &[u8], second: &[u8]) -> Self {
        let mut m = Self::new(2, &[&START_OTHERS[..], first].concat(), second);
        // A command to the others is an exit each.
        assert_eq!(m.run(1_000), Exit::Attention);
        assert_eq!(m.run(1_000), Exit::Attention);
        m
    }

    fn word(&self, at: u64) -> u16 {
        let mut bytes = [0; 2];
        self.memory.read(GuestAddress(at), &mut bytes).unwrap();
        u16::from_le_bytes(bytes)
    }

    fn run(&mut self, budget: u64) -> Exit {
        self.cpus.run(&mut self.board, budget)
    }

    fn own(&self) -> Vec<u64> {
        self.cpus.shares().map(|(retired, _)| retired).collect()
    }

    fn activities(&self) -> Vec<Activity> {
        self.cpus.shares().map(|(_, activity)| activity).collect()
    }
}

#[test]
fn first_processor_starts_the_others_by_messages() {
    let first = [&START_OTHERS[..], &[0xF4]].concat();
    // MOV BYTE [500h], 77h; HLT, in real mode.
    let mut m = Machine::new(2, &first, &[0xC6, 0x06, 0x00, 0x05, 0x77, 0xF4]);
    let exits = [m.run(100), m.run(100), m.run(100)];
    let rip = FIRST + first.len() as u64;
    let dead = Exit::Stopped(CpuStop::HaltedForGood { rip });
    assert_eq!(exits, [Exit::Attention, Exit::Attention, dead]);
    let mut byte = [0];
    m.memory.read(GuestAddress(RESULT), &mut byte).unwrap();
    assert_eq!((byte[0], m.own()), (0x77, vec![3, 2]));
}

#[test]
fn turns_are_equal_and_go_on_over_the_end_of_a_run() {
    let mut m = Machine::counting();
    assert_eq!(m.own(), [2, 0]);
    assert_eq!(m.run(3 * TURN), Exit::Budget);
    assert_eq!(m.own(), [2 * TURN, TURN + 2]);
    // The rest of the second's turn, in pieces, then the first's.
    for _ in 0..TURN {
        assert_eq!(m.run(1), Exit::Budget);
    }
    assert_eq!(m.own(), [2 * TURN + 2, 2 * TURN]);
    assert_eq!(m.cpus.retired(), 4 * TURN + 2);
}

#[test]
fn processor_that_waits_costs_no_turn() {
    let mut m = Machine::new(3, &SPIN, &SPIN);
    assert_eq!(m.run(5 * TURN), Exit::Budget);
    assert_eq!(m.own(), [5 * TURN, 0, 0]);
}

#[test]
fn pause_passes_the_turn_on() {
    let first = [&START_OTHERS[..], &[0xF3, 0x90, 0xEB, 0xFC]].concat();
    let mut m = Machine::new(2, &first, &COUNT);
    assert_eq!((m.run(100), m.run(100)), (Exit::Attention, Exit::Attention));
    assert_eq!(m.run(5 * TURN), Exit::Budget);
    let own = m.own();
    assert!(own[0] < 20 && own[1] > 5 * TURN - 20, "{own:?}");
}

#[test]
fn processor_that_waits_without_pause_passes_its_turn_on() {
    let mut m = Machine::pair(&SPIN, &COUNT);
    assert_eq!(m.run(20 * TURN), Exit::Budget);
    let own = m.own();
    assert!(own[0] >= PROBE && own[0] < 6 * TURN, "{own:?}");
}

#[test]
fn processor_that_waits_alone_keeps_its_turns() {
    // The second halts with interrupts disabled.
    let mut m = Machine::pair(&SPIN, &[0xF4]);
    assert_eq!(m.run(5 * TURN), Exit::Budget);
    assert_eq!(m.own(), [5 * TURN + 1, 1]);
}

#[test]
fn lock_that_is_nearly_always_held_reaches_who_waits_for_it() {
    let back = |code: &[u8]| {
        let distance = u8::try_from(code.len() + 2).unwrap().wrapping_neg();
        [code, &[0xEB, distance]].concat()
    };
    let mut m = Machine::pair(&back(&HOLD), &back(&VISIT));
    assert_eq!(m.run(400 * TURN), Exit::Budget);
    let (holds, visits) = (m.word(HOLDS), m.word(VISITS));
    // With whole turns for whoever waits it was 4,889 and 50.
    assert!(holds > 7_000 && visits > 90, "{holds} and {visits}");
    assert!(m.word(LOCK) < 2);
}

#[test]
fn saved_turn_of_the_first_version_is_taken() {
    let mut m = Machine::counting();
    let mut saved = Container::new();
    m.cpus.save(&mut saved).unwrap();
    saved.take("turn").unwrap();
    let old = TurnV1 {
        processor: 1,
        left: 77,
    };
    saved.push(Payload::encode("turn", &old).unwrap());
    let mut copy = Machine::counting();
    copy.cpus.restore(&mut saved).unwrap();
    let before = copy.own();
    copy.run(78);
    assert_eq!(copy.own(), [before[0] + 1, before[1] + 77]);
}

#[test]
fn dead_halt_of_one_is_none_of_the_machine() {
    // The first halts with interrupts disabled, the second spins.
    let first = [&START_OTHERS[..], &[0xF4]].concat();
    let mut m = Machine::new(2, &first, &SPIN);
    assert_eq!((m.run(100), m.run(100)), (Exit::Attention, Exit::Attention));
    assert_eq!(m.run(TURN), Exit::Budget);
    let found = [Activity::HaltedForGood, Activity::Running];
    assert_eq!(m.activities(), found);
}

#[test]
fn machine_sleeps_when_all_sleep_and_one_can_wake() {
    // The second halts with interrupts enabled: STI; HLT.
    let first = [&START_OTHERS[..], &[0xF4]].concat();
    let mut m = Machine::new(2, &first, &[0xFB, 0xF4]);
    assert_eq!((m.run(100), m.run(100)), (Exit::Attention, Exit::Attention));
    assert_eq!((m.run(TURN), m.run(TURN)), (Exit::Halted, Exit::Halted));
    assert_eq!(m.own(), [3, 2]);
}

#[test]
fn triple_fault_names_its_processor() {
    let mut m = Machine::counting();
    // The second jumps into nothing: UD2, without an interrupt table that its real mode could use.
    m.memory
        .write(
            GuestAddress(OTHERS),
            &[0x0F, 0x01, 0x1E, 0x00, 0x06, 0x0F, 0x0B],
        )
        .unwrap();
    let exit = m.run(3 * TURN);
    assert!(
        matches!(exit, Exit::Stopped(CpuStop::TripleFault { .. })),
        "{exit:?}"
    );
    assert_eq!(m.cpus.focus(), 1);
}

#[test]
fn saved_turn_goes_on_as_it_would_have() {
    goes_on_as_it_would_have(Machine::counting, TURN + 777);
}

#[test]
fn saved_probe_goes_on_as_it_would_have() {
    // The second, which waits, is in its probe.
    goes_on_as_it_would_have(|| Machine::pair(&COUNT, &SPIN), TURN - 1 + PROBE / 3);
}

fn goes_on_as_it_would_have(make: impl Fn() -> Machine, at: u64) {
    let mut m = make();
    m.run(at);
    let mut saved = Container::new();
    m.cpus.save(&mut saved).unwrap();
    let mut copy = make();
    copy.cpus.restore(&mut saved).unwrap();
    let other = copy.own();
    let before = m.own();
    m.run(4 * TURN);
    copy.run(4 * TURN);
    let since = |own: Vec<u64>, before: Vec<u64>| -> Vec<u64> {
        own.iter().zip(before).map(|(a, b)| a - b).collect()
    };
    assert_eq!(since(copy.own(), other), since(m.own(), before));
    assert_eq!(copy.cpus.retired(), m.cpus.retired());
}

#[test]
fn saved_turn_of_nobody_is_refused() {
    let mut m = Machine::counting();
    let mut saved = Container::new();
    m.cpus.save(&mut saved).unwrap();
    let mut other = Machine::new(3, &SPIN, &SPIN);
    assert!(other.cpus.restore(&mut saved).is_err());
}

#[test]
fn state_of_a_version_with_one_processor_is_taken() {
    let mut m = Machine::new(1, &SPIN, &[]);
    m.run(123);
    let mut saved = Container::new();
    m.cpus.save(&mut saved).unwrap();
    let mut payload = saved.take("cpu.0").unwrap();
    payload.name = "vcpu".to_owned();
    let mut old = Container::new();
    old.push(payload);
    let mut copy = Machine::new(1, &SPIN, &[]);
    copy.cpus.restore(&mut old).unwrap();
    assert_eq!(copy.cpus.retired(), 123);
}

#[test]
fn debugger_steps_one_processor_while_the_others_stand() {
    let mut m = Machine::counting();
    m.run(TURN / 2);
    let before = m.own();
    assert!(m.cpus.set_focus(1) && !m.cpus.set_focus(2));
    m.cpus.set_alone(true);
    assert_eq!(m.run(7), Exit::Budget);
    m.cpus.set_alone(false);
    assert_eq!(m.own(), [before[0], before[1] + 7]);
}
