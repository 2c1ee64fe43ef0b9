//! Interrupts across the board: shared PCI lines, messages, and processors that interrupt each other.

use vmwb_hw::{AccessSize, GuestAddress, IrqLine, MsiMessage};
use vmwb_x86::CpuBus;

use super::tests::{board, board_of, open_pic, out, spec};
use super::{Board, Signal};
use crate::spec::MachineSpec;

const LAPIC: u64 = 0xFEE0_0000;
const EOI: u64 = 0x0B0;
const TPR: u64 = 0x080;
const SVR: u64 = 0x0F0;
const ICR_LOW: u64 = 0x300;
const ICR_HIGH: u64 = 0x310;
const OTHERS: u64 = 3 << 18;
/// Slot 3, INTA#: PIRQC, which the board routes to input 10 at reset.
const PIN: IrqLine = IrqLine::pci(3, 0);

fn set(board: &mut Board, line: IrqLine, level: bool) {
    board.common.lines.set(line, level);
    let now = board.clock.now(0);
    board.settle(now, None);
}

fn route(board: &mut Board, pirqs: u32) {
    board.pio_write(0xCF8, AccessSize::Dword, 0x8000_0860, 0);
    board.pio_write(0xCFC, AccessSize::Dword, pirqs, 0);
}

fn lapic_write(board: &mut Board, register: u64, value: u64) {
    board.mmio_write(GuestAddress(LAPIC + register), AccessSize::Dword, value, 0);
}

/// A board with so many processors, whose local APICs software has enabled.
fn processors(cpus: u32) -> Board {
    let spec = MachineSpec { cpus, ..spec() };
    let mut b = board_of(&spec, &super::tests::Printed::default());
    for n in 0..cpus as usize {
        b.set_current(n);
        lapic_write(&mut b, SVR, 0x1FF);
    }
    b.set_current(0);
    b
}

fn waiting(board: &mut Board, cpus: usize) -> Vec<Option<u8>> {
    (0..cpus)
        .map(|n| {
            board.set_current(n);
            board.acknowledge_interrupt(0)
        })
        .collect()
}

#[test]
fn pci_line_is_a_level_at_the_input_that_it_is_routed_to() {
    let mut b = board();
    open_pic(&mut b);
    set(&mut b, PIN, true);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x2A));
    // Ended at both controllers while it still is asserted: it comes again.
    out(&mut b, 0xA0, 0x20);
    out(&mut b, 0x20, 0x20);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x2A));
    set(&mut b, PIN, false);
    out(&mut b, 0xA0, 0x20);
    out(&mut b, 0x20, 0x20);
    assert!(!b.interrupt_pending());
}

#[test]
fn pci_level_follows_when_the_guest_changes_the_route() {
    let mut b = board();
    open_pic(&mut b);
    set(&mut b, PIN, true);
    route(&mut b, 0x0B80_0B0A);
    assert!(!b.interrupt_pending());
    out(&mut b, 0x4D0, 0x20);
    route(&mut b, 0x0B05_0B0A);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x25));
}

#[test]
fn pci_line_reaches_the_ioapic_pin_of_its_input() {
    let mut b = processors(1);
    // Pin 10: level, active low, vector 5Ah, to processor 0.
    b.mmio_write(GuestAddress(0xFEC0_0000), AccessSize::Dword, 0x24, 0);
    b.mmio_write(GuestAddress(0xFEC0_0010), AccessSize::Dword, 0xA05A, 0);
    set(&mut b, PIN, true);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x5A));
    lapic_write(&mut b, EOI, 0);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x5A));
    set(&mut b, PIN, false);
    lapic_write(&mut b, EOI, 0);
    assert_eq!(b.acknowledge_interrupt(0), None);
}

#[test]
fn shared_lines_survive_a_saved_state() {
    let mut b = board();
    set(&mut b, PIN, true);
    set(&mut b, IrqLine::pci(7, 0), true);
    let mut saved = vmwb_snapshot::Container::new();
    b.save(0, &mut saved).unwrap();
    let mut copy = board();
    copy.restore(0, &mut saved).unwrap();
    open_pic(&mut copy);
    set(&mut copy, PIN, false);
    assert_eq!(copy.acknowledge_interrupt(0), Some(0x2A));
    set(&mut copy, IrqLine::pci(7, 0), false);
    out(&mut copy, 0xA0, 0x20);
    out(&mut copy, 0x20, 0x20);
    assert!(!copy.interrupt_pending());
}

#[test]
fn state_without_shared_lines_takes_the_levels_of_the_8259() {
    let mut b = board();
    set(&mut b, IrqLine(4), true);
    let mut saved = vmwb_snapshot::Container::new();
    b.save(0, &mut saved).unwrap();
    let _ = saved.take("lines").unwrap();
    let mut copy = board();
    copy.restore(0, &mut saved).unwrap();
    assert_eq!(copy.devices.irq.save_lines(), b.devices.irq.save_lines());
}

#[test]
fn message_signalled_interrupt_reaches_the_processor_that_it_names() {
    let mut b = processors(2);
    b.common.lines.send(MsiMessage {
        address: 0xFEE0_1000,
        data: 0x4061,
    });
    let now = b.clock.now(0);
    b.settle(now, None);
    assert_eq!(waiting(&mut b, 2), [None, Some(0x61)]);
}

#[test]
fn message_to_an_address_of_memory_is_a_write() {
    let mut b = board();
    b.common.lines.send(MsiMessage {
        address: 0x5000,
        data: 0xABCD,
    });
    let now = b.clock.now(0);
    b.settle(now, None);
    let memory = std::sync::Arc::clone(&b.common.memory);
    assert_eq!(memory.read_u32(GuestAddress(0x5000)).unwrap(), 0xABCD);
}

#[test]
fn processors_have_numbers_and_one_is_the_bootstrap_processor() {
    let mut b = processors(3);
    let bases: Vec<u64> = (0..3)
        .map(|n| {
            b.set_current(n);
            b.apic_base()
        })
        .collect();
    assert_eq!(bases, [0xFEE0_0900, 0xFEE0_0800, 0xFEE0_0800]);
    b.set_current(2);
    let id = b.mmio_read(GuestAddress(LAPIC + 0x20), AccessSize::Dword, 0);
    assert_eq!(id, 2 << 24);
}

#[test]
fn interrupts_between_processors_go_where_the_command_says() {
    let mut b = processors(3);
    lapic_write(&mut b, ICR_HIGH, 1 << 24);
    lapic_write(&mut b, ICR_LOW, 0x41);
    lapic_write(&mut b, ICR_LOW, OTHERS | 0x52);
    assert_eq!(waiting(&mut b, 3), [None, Some(0x52), Some(0x52)]);
    b.set_current(1);
    assert!(
        !b.interrupt_pending(),
        "the lower vector waits for the end of the higher"
    );
    lapic_write(&mut b, EOI, 0);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x41));
}

#[test]
fn lowest_priority_goes_to_the_readiest_processor() {
    let mut b = processors(3);
    lapic_write(&mut b, TPR, 0x30);
    b.set_current(1);
    lapic_write(&mut b, TPR, 0x20);
    b.set_current(2);
    lapic_write(&mut b, TPR, 0x10);
    b.set_current(0);
    lapic_write(&mut b, ICR_HIGH, 0xFF00_0000);
    lapic_write(&mut b, ICR_LOW, 0x0961);
    assert_eq!(waiting(&mut b, 3), [None, None, Some(0x61)]);
}

#[test]
fn init_and_startup_wait_for_the_driver_and_ask_for_attention() {
    let mut b = processors(2);
    assert!(!b.attention());
    lapic_write(&mut b, ICR_HIGH, 1 << 24);
    lapic_write(&mut b, ICR_LOW, 0x4500);
    assert!(b.attention());
    assert_eq!(b.take_signal(0), Some((1, Signal::Init)));
    lapic_write(&mut b, ICR_LOW, 0x4699);
    assert_eq!(b.take_signal(0), Some((1, Signal::StartUp(0x99))));
    assert_eq!((b.take_signal(0), b.attention()), (None, false));
}

#[test]
fn the_8259_interrupts_the_first_processor_alone() {
    let mut b = processors(2);
    // LINT0 of the second processor: ExtINT, as it is at the first.
    b.set_current(1);
    lapic_write(&mut b, 0x350, 0x700);
    open_pic(&mut b);
    set(&mut b, IrqLine(4), true);
    assert!(b.wakes(0) && !b.wakes(1));
}

#[test]
fn non_maskable_interrupt_to_another_processor_wakes_it() {
    let mut b = processors(2);
    lapic_write(&mut b, ICR_LOW, OTHERS | 0x400);
    assert!(b.wakes(1) && !b.wakes(0));
    assert!(!b.take_nmi());
    b.set_current(1);
    assert!(b.take_nmi() && !b.take_nmi());
}

#[test]
fn board_s_nmi_reaches_processors_that_listen_unless_port_70h_masks_it() {
    let mut b = processors(2);
    out(&mut b, 0x70, 0x8F);
    assert!(!b.raise_nmi(0));
    assert!(!b.wakes(0));
    out(&mut b, 0x70, 0x0F);
    assert!(b.raise_nmi(0));
    // LINT1 of the second processor is masked after reset.
    assert!(b.wakes(0) && !b.wakes(1));
    assert!(b.take_nmi() && !b.take_nmi());
    // The mask is the chipset's: what processors send each other does not pass it.
    out(&mut b, 0x70, 0x8F);
    b.set_current(1);
    lapic_write(&mut b, ICR_LOW, OTHERS | 0x400);
    b.set_current(0);
    assert!(b.take_nmi());
}

/// The lines for the log that tell of system management interrupts.
fn told_of_smi(board: &mut Board) -> usize {
    let told = board.take_messages();
    told.iter().filter(|line| line.contains("SMI")).count()
}

#[test]
fn system_management_interrupt_does_nothing_and_is_told_once() {
    let mut b = processors(2);
    lapic_write(&mut b, ICR_LOW, OTHERS | 0x200);
    assert_eq!(told_of_smi(&mut b), 1);
    assert!(!b.wakes(0) && !b.wakes(1));
    lapic_write(&mut b, ICR_LOW, OTHERS | 0x200);
    assert_eq!(told_of_smi(&mut b), 0);
}

#[test]
fn system_management_interrupts_by_pin_message_and_ioapic_are_told() {
    let by_pin = |b: &mut Board| {
        lapic_write(b, 0x360, 0x200);
        assert!(b.raise_nmi(0));
    };
    let by_message = |b: &mut Board| {
        b.common.lines.send(MsiMessage {
            address: 0xFEE0_0000,
            data: 0x200,
        });
        b.settle(b.clock.now(0), None);
    };
    let by_ioapic = |b: &mut Board| {
        b.mmio_write(GuestAddress(0xFEC0_0000), AccessSize::Dword, 0x38, 0);
        b.mmio_write(GuestAddress(0xFEC0_0010), AccessSize::Dword, 0x200, 0);
        set(b, IrqLine(20), true);
    };
    let senders: [&dyn Fn(&mut Board); 3] = [&by_pin, &by_message, &by_ioapic];
    for send in senders {
        let mut b = processors(1);
        send(&mut b);
        assert_eq!(told_of_smi(&mut b), 1);
        assert!(!b.wakes(0));
    }
}
