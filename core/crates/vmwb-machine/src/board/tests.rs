//! The board without a processor: what accesses, lines and inputs lead to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use vmwb_devices::vga::Vga;
use vmwb_hw::{
    AccessSize, CharBackend, GuestAddress, GuestMemory, Nanos, NullChar, PowerRequest, ResetKind,
};
use vmwb_snapshot::Container;
use vmwb_x86::CpuBus;

use super::{Board, BoardInput, Media};
use crate::clock::Clock;
use crate::input::Input;
use crate::regions::Regions;
use crate::spec::{DisplayChoice, DriveKind, DriveSlot, DriveSpec, MachineSpec};

const COM1: u16 = 0x3F8;
const IER: u16 = COM1 + 1;
const MCR: u16 = COM1 + 4;
const LSR: u16 = COM1 + 5;
const LAPIC_EOI: u64 = 0xFEE0_00B0;
const IOAPIC_SELECT: u64 = 0xFEC0_0000;
const IOAPIC_WINDOW: u64 = 0xFEC0_0010;
/// Long enough for a character to arrive at 9,600 baud.
const A_WHILE: u64 = 10_000_000;

#[derive(Debug, Clone, Default)]
pub(crate) struct Printed(pub(super) Arc<Mutex<Vec<u8>>>);

impl CharBackend for Printed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

pub(crate) fn spec() -> MachineSpec {
    MachineSpec {
        deterministic: true,
        ..MachineSpec::new("board", 4, "")
    }
}

pub(super) fn board_of(spec: &MachineSpec, printed: &Printed) -> Board {
    let regions = Regions::of(spec, None);
    let memory = GuestMemory::with_regions(spec.ram_bytes(), regions.specs());
    board_on(Arc::new(memory.unwrap()), spec, printed)
}

/// A board on this memory, which has the regions of its definition.
pub(crate) fn board_on(memory: Arc<GuestMemory>, spec: &MachineSpec, printed: &Printed) -> Board {
    let video = Regions::of(spec, None).video;
    let vga = video.map(|video| Vga::new(Arc::clone(&memory), video, Vec::new()).unwrap());
    let serial = (0..spec.serial_ports)
        .map(|_| Box::new(printed.clone()) as Box<dyn CharBackend>)
        .collect();
    let input = BoardInput {
        serial,
        console: spec
            .virtio
            .console
            .then(|| Box::new(printed.clone()) as Box<dyn CharBackend>),
        debug_console: Box::new(NullChar),
        start_unix_s: 0,
        ram: (spec.ram_bytes(), 0),
        media: Media::new(),
        vga,
        kernel: Vec::new(),
    };
    Board::new(spec, memory, Clock::deterministic(1_000_000_000), input)
}

pub(super) fn board() -> Board {
    board_of(&spec(), &Printed::default())
}

pub(super) fn out(board: &mut Board, port: u16, value: u8) {
    board.pio_write(port, AccessSize::Byte, u32::from(value), 0);
}

fn input(board: &mut Board, port: u16, retired: u64) -> u32 {
    board.pio_read(port, AccessSize::Byte, retired)
}

/// Both 8259s as every PC has them: vectors 20h and 28h, all inputs open.
pub(super) fn open_pic(board: &mut Board) {
    for (base, vector, cascade) in [(0x20, 0x20, 4), (0xA0, 0x28, 2)] {
        out(board, base, 0x11);
        out(board, base + 1, vector);
        out(board, base + 1, cascade);
        out(board, base + 1, 1);
        out(board, base + 1, 0);
    }
}

fn serve_until(board: &mut Board, retired: u64) {
    while let Some(at) = board.next_deadline().filter(|at| at.0 <= retired) {
        board.serve_deadlines(at.0);
    }
    board.serve_deadlines(retired);
}

fn send(board: &mut Board, text: &[u8]) {
    board.deliver(
        Input::Serial {
            port: 0,
            data: text.to_vec(),
        },
        0,
    );
}

#[test]
fn serial_interrupt_goes_through_the_8259_and_lint0() {
    let mut b = board();
    open_pic(&mut b);
    out(&mut b, MCR, 0x08);
    out(&mut b, IER, 1);
    send(&mut b, b"x");
    serve_until(&mut b, A_WHILE);
    assert!(b.interrupt_pending());
    assert_eq!(b.acknowledge_interrupt(A_WHILE), Some(0x24));
}

#[test]
fn serial_interrupt_goes_through_the_ioapic_when_the_guest_uses_it() {
    let mut b = board();
    // Pin 4: fixed, physical destination 0, edge, vector 51h.
    b.mmio_write(GuestAddress(IOAPIC_SELECT), AccessSize::Dword, 0x18, 0);
    b.mmio_write(GuestAddress(IOAPIC_WINDOW), AccessSize::Dword, 0x51, 0);
    out(&mut b, 0x21, 0xFF);
    out(&mut b, MCR, 0x08);
    out(&mut b, IER, 1);
    send(&mut b, b"x");
    serve_until(&mut b, A_WHILE);
    assert_eq!(b.acknowledge_interrupt(A_WHILE), Some(0x51));
    b.mmio_write(GuestAddress(LAPIC_EOI), AccessSize::Dword, 0, A_WHILE);
    assert!(!b.interrupt_pending());
}

#[test]
fn timer_line_arrives_at_ioapic_pin_two() {
    let mut b = board();
    b.mmio_write(GuestAddress(IOAPIC_SELECT), AccessSize::Dword, 0x14, 0);
    b.mmio_write(GuestAddress(IOAPIC_WINDOW), AccessSize::Dword, 0x30, 0);
    out(&mut b, 0x43, 0x34);
    out(&mut b, 0x40, 0);
    out(&mut b, 0x40, 0x10);
    serve_until(&mut b, A_WHILE);
    assert_eq!(b.acknowledge_interrupt(A_WHILE), Some(0x30));
}

#[test]
fn serial_input_longer_than_the_fifo_arrives_whole_and_in_order() {
    let mut b = board();
    out(&mut b, COM1 + 2, 1);
    let text: Vec<u8> = (b'a'..=b'z').cycle().take(100).collect();
    send(&mut b, &text);
    let mut read = Vec::new();
    for turn in 1..400u64 {
        let now = turn * A_WHILE;
        serve_until(&mut b, now);
        while input(&mut b, LSR, now) & 1 != 0 {
            read.push(u8::try_from(input(&mut b, COM1, now)).unwrap());
        }
    }
    assert_eq!((read, b.waiting_serial_bytes()), (text, 0));
}

/// A machine with a floppy drive, so a whole PC.
fn with_floppy() -> MachineSpec {
    let mut spec = spec();
    spec.drives.push(DriveSpec {
        slot: DriveSlot::Floppy(0).to_string(),
        kind: DriveKind::Floppy,
        formats: Vec::new(),
        read_only: false,
    });
    spec
}

#[test]
fn kernel_without_firmware_finds_floppy_drives_in_cmos_memory() {
    let types = |spec: &MachineSpec| {
        let mut b = board_of(spec, &Printed::default());
        out(&mut b, 0x70, 0x10);
        input(&mut b, 0x71, 0)
    };
    assert_eq!((types(&spec()), types(&with_floppy())), (0, 0x40));
}

#[test]
fn wide_access_to_byte_ports_is_split_and_nothing_reads_as_ones() {
    let mut b = board();
    out(&mut b, COM1 + 7, 0x5A);
    // Scratch register and the empty port behind it.
    assert_eq!(b.pio_read(COM1 + 7, AccessSize::Word, 0), 0xFF5A);
    assert_eq!(b.pio_read(0x1234, AccessSize::Dword, 0), 0xFFFF_FFFF);
    assert!(b.take_messages().iter().any(|m| m.contains("0x1234")));
}

#[test]
fn pci_configuration_takes_dwords_while_the_reset_port_takes_bytes() {
    let mut b = board();
    b.pio_write(0xCF8, AccessSize::Dword, 0x8000_0000, 0);
    assert_eq!(b.pio_read(0xCFC, AccessSize::Dword, 0), 0x1237_8086);
    out(&mut b, 0xCF9, 0x02);
    out(&mut b, 0xCF9, 0x06);
    assert!(b.attention());
    assert_eq!(b.take_power_request(), Some(PowerRequest::Reset));
}

#[test]
fn firmware_state_routes_pirqs_and_marks_level_lines() {
    let mut b = board();
    b.pio_write(0xCF8, AccessSize::Dword, 0x8000_0860, 0);
    assert_eq!(b.pio_read(0xCFC, AccessSize::Dword, 0), 0x0B0A_0B0A);
    assert_eq!(input(&mut b, 0x4D1, 0), 0b1110);
}

#[test]
fn power_button_raises_the_sci_once_the_guest_listens() {
    let mut b = board();
    open_pic(&mut b);
    b.deliver(Input::PowerButton, 0);
    assert!(!b.take_messages().is_empty());
    out(&mut b, 0xB2, 0xF1);
    b.pio_write(0x600, AccessSize::Word, 0x0100, 0);
    b.pio_write(0x602, AccessSize::Word, 0x0100, 0);
    b.deliver(Input::PowerButton, 0);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x29));
    assert!(b.take_messages().is_empty());
}

/// A time that does not come in a test.
fn later() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

#[test]
fn absolute_pointer_interrupts_anew_while_a_driver_leaves_a_packet() {
    const MAGIC: u32 = 0x564D_5868;
    let mut b = board_of(&with_floppy(), &Printed::default());
    let call = |b: &mut Board, command, argument| {
        let mut registers = [MAGIC, argument, command, 0x5658, 0, 0];
        assert!(b.backdoor(&mut registers, 0));
        registers
    };
    // The mouse reports, its answer is read; the absolute pointer is on, its version is read.
    for (port, value) in [(0x64, 0xD4), (0x60, 0xF4)] {
        out(&mut b, port, value);
    }
    assert_eq!(input(&mut b, 0x60, 0), 0xFA);
    for (command, argument) in [(41, 0x4541_4552), (39, 1), (41, 0x5342_4152)] {
        call(&mut b, command, argument);
    }
    for buttons in [1, 0] {
        let (x, y, wheel) = (7, 9, 0);
        b.deliver(
            Input::Position {
                x,
                y,
                wheel,
                buttons,
            },
            0,
        );
    }
    // VBADOS fetches one packet when a report is through.
    let mut fetched = Vec::new();
    while input(&mut b, 0x64, 0) & 0x21 == 0x21 {
        for _ in 0..3 {
            input(&mut b, 0x60, 0);
        }
        fetched.push(call(&mut b, 39, 4)[0]);
    }
    assert_eq!(fetched, [0x20, 0]);
}

#[test]
fn bare_board_shows_ide_channels_without_drives_as_a_whole_one_does() {
    let mut boards = [board(), board_of(&with_floppy(), &Printed::default())];
    for (port, value) in [
        (0x177, 0),
        (0x376, 0),
        (0x1F2, 0xFF),
        (0x1F7, 0),
        (0x3F6, 0),
    ] {
        assert_eq!(
            boards.each_mut().map(|b| input(b, port, 0)),
            [value; 2],
            "port {port:#x}"
        );
    }
}

#[test]
fn attention_is_asked_for_a_deadline_earlier_than_assumed() {
    let mut b = board();
    b.assume_deadlines(later());
    assert!(!b.attention());
    // A one-shot of the local APIC's timer, vector 40h.
    b.mmio_write(GuestAddress(0xFEE0_0320), AccessSize::Dword, 0x40, 0);
    b.mmio_write(GuestAddress(0xFEE0_0380), AccessSize::Dword, 1000, 0);
    assert!(b.attention());
    b.assume_deadlines(later());
    assert!(!b.attention());
}

#[test]
fn attention_is_asked_while_commands_wait_and_when_the_slice_has_taken_its_time() {
    let mut b = board();
    let calls = Arc::new(AtomicBool::new(false));
    b.heed(Arc::clone(&calls));
    b.assume_deadlines(later());
    let asked = |b: &Board| (0..100).filter(|_| b.attention()).count();
    assert_eq!(asked(&b), 0);
    calls.store(true, Ordering::Relaxed);
    assert_eq!(asked(&b), 100);
    calls.store(false, Ordering::Relaxed);
    b.assume_deadlines(Instant::now());
    assert!(asked(&b) > 0);
}

#[test]
fn machine_without_display_has_no_adapter() {
    let mut b = board_of(
        &MachineSpec {
            display: DisplayChoice::None,
            ..spec()
        },
        &Printed::default(),
    );
    assert!(b.vga().is_none());
    assert_eq!(
        b.mmio_read(GuestAddress(0xB_8000), AccessSize::Word, 0),
        0xFFFF
    );
    assert_eq!(input(&mut b, 0x3C4, 0), 0xFF);
}

#[test]
fn save_then_restore_keeps_waiting_input_and_gives_the_same_bytes() {
    let mut b = board();
    send(&mut b, &[b'q'; 100]);
    b.deliver(
        Input::Key {
            code: 0x1E,
            down: true,
        },
        0,
    );
    let mut saved = Container::new();
    b.save(500, &mut saved).unwrap();
    let mut again = board();
    again.restore(500, &mut saved.clone()).unwrap();
    assert_eq!(again.clock().now(500), Nanos(500));
    assert_eq!(again.waiting_serial_bytes(), b.waiting_serial_bytes());
    let mut second = Container::new();
    again.save(500, &mut second).unwrap();
    assert_eq!(saved.to_bytes().unwrap(), second.to_bytes().unwrap());
}

#[test]
fn closed_address_line_20_is_saved_and_open_in_states_that_do_not_know_it() {
    let mut b = board();
    out(&mut b, 0x92, 0);
    let mut saved = Container::new();
    b.save(0, &mut saved).unwrap();
    let mut again = board();
    again.restore(0, &mut saved.clone()).unwrap();
    assert_eq!(input(&mut again, 0x92, 0), 0);
    saved.take("address_space").unwrap();
    again.restore(0, &mut saved).unwrap();
    assert_eq!(input(&mut again, 0x92, 0), 2);
}

#[test]
fn hard_reset_forgets_waiting_input_and_interrupts() {
    let mut b = board();
    open_pic(&mut b);
    send(&mut b, &[b'q'; 100]);
    b.deliver(
        Input::Key {
            code: 0x1E,
            down: true,
        },
        0,
    );
    b.reset(ResetKind::Hard, 0);
    assert_eq!(b.waiting_serial_bytes(), 0);
    assert!(!b.interrupt_pending());
}

#[test]
fn serial_output_reaches_the_backend() {
    let printed = Printed::default();
    let mut b = board_of(&spec(), &printed);
    b"ok".iter().for_each(|&c| out(&mut b, COM1, c));
    assert_eq!(*printed.0.lock().unwrap(), b"ok");
}

fn size() -> impl Strategy<Value = AccessSize> {
    prop_oneof![
        Just(AccessSize::Byte),
        Just(AccessSize::Word),
        Just(AccessSize::Dword)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_traffic_and_any_restore_of_it_never_panics(
        traffic in proptest::collection::vec((any::<bool>(), any::<bool>(), 0u32..0x1000, size(), any::<u32>()), 1..200)
    ) {
        let mut b = board_of(&MachineSpec { serial_ports: 4, debug_exit_port: Some(0x501), ..spec() }, &Printed::default());
        let bases = [0xFEE0_0000u64, 0xFEC0_0000, 0xA_0000, 0xB_8000, 0xFED0_0000];
        for (n, (mapped, write, at, size, value)) in (0u64..).zip(traffic) {
            let now = n * 10_000;
            let port = u16::try_from(at).unwrap();
            let addr = GuestAddress(bases[value as usize % bases.len()] + u64::from(at));
            match (mapped, write) {
                (false, false) => { b.pio_read(port, size, now); }
                (false, true) => b.pio_write(port, size, value, now),
                (true, false) => { b.mmio_read(addr, size, now); }
                (true, true) => b.mmio_write(addr, size, u64::from(value), now),
            }
            b.serve_deadlines(now);
            b.acknowledge_interrupt(now);
        }
        let mut saved = Container::new();
        b.save(2_000_000, &mut saved).unwrap();
        let mut again = board_of(&MachineSpec { serial_ports: 4, debug_exit_port: Some(0x501), ..spec() }, &Printed::default());
        again.restore(2_000_000, &mut saved).unwrap();
        prop_assert_eq!(again.interrupt_pending(), b.interrupt_pending());
    }
}

#[test]
fn coprocessor_error_is_irq_13_until_port_f0_is_written() {
    let mut b = board();
    open_pic(&mut b);
    assert!(!b.set_ferr(true, 0));
    assert_eq!(b.acknowledge_interrupt(0), Some(0x2D));
    out(&mut b, 0xF0, 0);
    assert!(b.set_ferr(true, 0));
    assert!(!b.set_ferr(false, 0));
}

#[test]
fn deterministic_random_numbers_depend_on_the_instruction_alone() {
    let (mut a, mut b) = (board(), board());
    let seeded = MachineSpec { seed: 1, ..spec() };
    let mut other = board_of(&seeded, &Printed::default());
    assert_eq!(a.random(7), b.random(7));
    assert_ne!(a.random(7), a.random(8));
    assert_ne!(a.random(7), other.random(7));
}
