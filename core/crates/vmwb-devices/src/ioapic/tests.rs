use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

fn write(b: &mut Bench, io: &mut IoApic, index: u8, value: u32) {
    io.mmio_write(
        &mut b.ctx(),
        regs::IOREGSEL,
        AccessSize::Dword,
        u64::from(index),
    );
    io.mmio_write(
        &mut b.ctx(),
        regs::IOWIN,
        AccessSize::Dword,
        u64::from(value),
    );
}

fn read(b: &mut Bench, io: &mut IoApic, index: u8) -> u64 {
    io.mmio_write(
        &mut b.ctx(),
        regs::IOREGSEL,
        AccessSize::Dword,
        u64::from(index),
    );
    io.mmio_read(&mut b.ctx(), regs::IOWIN, AccessSize::Dword)
}

fn program(b: &mut Bench, io: &mut IoApic, pin: u8, low: u32) {
    write(b, io, regs::INDEX_TABLE + 2 * pin + 1, 0x0100_0000);
    write(b, io, regs::INDEX_TABLE + 2 * pin, low);
}

const LEVEL: u32 = 1 << 15;
const MASKED: u32 = 1 << 16;

fn level_message(vector: u8) -> Message {
    Message {
        vector,
        delivery: DeliveryMode::Fixed,
        level: true,
        destination: 1,
        logical: false,
    }
}

struct Worked;

impl Subject for Worked {
    type Dev = IoApic;

    fn build(_bench: &mut Bench) -> IoApic {
        IoApic::new()
    }

    fn mutate(io: &mut IoApic, b: &mut Bench) {
        program(b, io, 9, 0x39 | LEVEL);
        program(b, io, 4, 0x34);
        write(b, io, regs::INDEX_ID, 0x0300_0000);
        let _ = io.set_line(9, true);
        let _ = io.set_line(4, true);
        let _ = io.take_messages();
    }

    fn access(io: &mut IoApic, b: &mut Bench, a: Access) {
        let offset = [regs::IOREGSEL, regs::IOWIN, regs::EOI, u64::from(a.offset)]
            [usize::from(a.offset & 3)];
        let pin = a.value.to_le_bytes()[3];
        if a.write {
            io.mmio_write(&mut b.ctx(), offset, a.size, u64::from(a.value));
            let _ = io.set_line(pin, a.value & 1 != 0);
        } else {
            let peeked = io.mmio_peek(b.now, offset, a.size);
            assert_eq!(peeked, io.mmio_read(&mut b.ctx(), offset, a.size));
            let _ = io.eoi(pin);
        }
        assert!(io.take_messages().len() <= PINS);
    }

    fn deadline(_io: &mut IoApic, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(ioapic_conformance, Worked);

#[test]
fn version_tells_20h_and_24_entries() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    assert_eq!(read(&mut b, &mut io, regs::INDEX_VERSION), 0x0017_0020);
}

#[test]
fn edge_pin_sends_once_a_rising_edge() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 4, 0x34);
    let sent = [true, true, false, true].map(|level| io.set_line(4, level).is_some());
    assert_eq!(sent, [true, false, false, true]);
}

#[test]
fn edge_at_a_masked_pin_is_lost() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    assert_eq!(io.set_line(4, true), None);
    program(&mut b, &mut io, 4, 0x34);
    assert_eq!(io.take_messages(), []);
}

#[test]
fn level_pin_sends_again_after_eoi_while_asserted() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 9, 0x39 | LEVEL);
    assert_eq!(io.set_line(9, true), Some(level_message(0x39)));
    assert_eq!(io.set_line(9, true), None);
    assert_eq!(io.eoi(0x39), [level_message(0x39)]);
    let _ = io.set_line(9, false);
    assert_eq!(io.eoi(0x39), []);
    assert_eq!(io.set_line(9, true), Some(level_message(0x39)));
}

#[test]
fn eoi_of_another_vector_ends_nothing() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 9, 0x39 | LEVEL);
    let _ = io.set_line(9, true);
    assert_eq!(io.eoi(0x38), []);
    assert_eq!(
        read(&mut b, &mut io, regs::INDEX_TABLE + 18) & regs::REMOTE_IRR,
        regs::REMOTE_IRR
    );
}

#[test]
fn level_pin_unmasked_while_asserted_sends_then() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 9, 0x39 | LEVEL | MASKED);
    assert_eq!(io.set_line(9, true), None);
    program(&mut b, &mut io, 9, 0x39 | LEVEL);
    assert_eq!(io.take_messages(), [level_message(0x39)]);
}

#[test]
fn eoi_register_ends_and_sends_again() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 9, 0x39 | LEVEL);
    let _ = io.set_line(9, true);
    io.mmio_write(&mut b.ctx(), regs::EOI, AccessSize::Dword, 0x39);
    assert_eq!(io.take_messages(), [level_message(0x39)]);
}

#[test]
fn entry_switched_to_edge_forgets_the_interrupt_in_service() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 9, 0x39 | LEVEL);
    let _ = io.set_line(9, true);
    program(&mut b, &mut io, 9, 0x39 | MASKED);
    assert_eq!(
        read(&mut b, &mut io, regs::INDEX_TABLE + 18) & regs::REMOTE_IRR,
        0
    );
}

#[test]
fn read_only_bits_of_an_entry_stay() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    program(&mut b, &mut io, 0, u32::MAX);
    assert_eq!(read(&mut b, &mut io, regs::INDEX_TABLE), 0x0001_AFFF);
}

#[test]
fn pin_0_in_extint_mode_lets_the_8259_through() {
    let (mut b, mut io) = (Bench::new(), IoApic::new());
    assert!(io.extint_destination().is_none());
    program(&mut b, &mut io, 0, 0x700);
    assert_eq!(io.extint_destination(), Some((1, false)));
}

#[test]
fn saved_edge_entry_in_service_is_refused() {
    let mut v = IoApic::new().to_v1();
    v.entries[3] = regs::REMOTE_IRR;
    assert!(IoApic::new().take_v1(&v).is_err());
}
