//! Virtio devices on the board: the console as a port, and MSI from a device to a processor.

use vmwb_hw::{AccessSize, GuestAddress};
use vmwb_x86::CpuBus;

use super::Board;
use super::tests::{Printed, board_of, spec};
use crate::input::Input;
use crate::spec::{CONSOLE_PORT, MachineSpec, VirtioSpec};

const CONSOLE_SLOT: u32 = 14;
/// Where the test puts the console's registers: a place that nothing else has.
const REGISTERS: u64 = 0xFEA0_0000;
/// MSI capability of a virtio function.
const CAP_MSI: u32 = 0xA4;
const DEVICE_CONFIG: u64 = 0x2000;
const TO_GUEST: u64 = 0;
const FROM_GUEST: u64 = 1;

fn with_console() -> (Board, Printed) {
    let printed = Printed::default();
    let spec = MachineSpec {
        virtio: VirtioSpec {
            console: true,
            ..VirtioSpec::default()
        },
        ..spec()
    };
    let mut b = board_of(&spec, &printed);
    config(&mut b, 0x20, u32::try_from(REGISTERS).unwrap());
    config(&mut b, 0x04, 0x0006);
    (b, printed)
}

fn select(b: &mut Board, register: u32) {
    let address = 0x8000_0000 | CONSOLE_SLOT << 11 | register;
    b.pio_write(0xCF8, AccessSize::Dword, address, 0);
}

fn config(b: &mut Board, register: u32, value: u32) {
    select(b, register);
    b.pio_write(0xCFC, AccessSize::Dword, value, 0);
}

fn put(b: &mut Board, offset: u64, size: AccessSize, value: u64) {
    b.mmio_write(GuestAddress(REGISTERS + offset), size, value, 0);
}

/// Brings the driver up with one queue, at `desc`, its rings right behind.
fn start(b: &mut Board, queue: u64, desc: u64) {
    for (offset, size, value) in [
        (0x14, AccessSize::Byte, 0x03),
        (0x08, AccessSize::Dword, 1),
        (0x0C, AccessSize::Dword, 1),
        (0x14, AccessSize::Byte, 0x0B),
        (0x16, AccessSize::Word, queue),
        (0x20, AccessSize::Qword, desc),
        (0x28, AccessSize::Qword, desc + 0x1000),
        (0x30, AccessSize::Qword, desc + 0x2000),
        (0x1C, AccessSize::Word, 1),
        (0x14, AccessSize::Byte, 0x0F),
    ] {
        put(b, offset, size, value);
    }
}

fn send(b: &mut Board, bytes: &[u8]) {
    let data = bytes.to_vec();
    let port = CONSOLE_PORT;
    b.deliver(Input::Serial { port, data }, 0);
}

#[test]
fn console_stands_in_its_slot_and_prints_to_its_port() {
    let (mut b, printed) = with_console();
    select(&mut b, 0);
    assert_eq!(b.pio_read(0xCFC, AccessSize::Dword, 0), 0x1043_1AF4);
    // A character without a driver.
    put(
        &mut b,
        DEVICE_CONFIG + 8,
        AccessSize::Dword,
        u64::from(b'k'),
    );
    assert_eq!(*printed.0.lock().unwrap(), b"k");
}

#[test]
fn input_for_the_console_goes_as_far_as_the_guest_has_buffers() {
    let (mut b, _) = with_console();
    send(&mut b, b"login");
    // The console keeps what it has room for; nothing waits in front of it.
    assert_eq!(b.waiting_serial_bytes(), 0);
    send(&mut b, &[b'x'; 6000]);
    assert_eq!(b.waiting_serial_bytes(), 6000 + 5 - 4096);
    let memory = std::sync::Arc::clone(&b.common.memory);
    // One buffer of 4,096 bytes at 30000h, then a notification.
    let mut descriptor = [0; 16];
    descriptor[..8].copy_from_slice(&0x3_0000_u64.to_le_bytes());
    descriptor[8..12].copy_from_slice(&4096_u32.to_le_bytes());
    descriptor[12] = 2;
    memory.write(GuestAddress(0x1_0000), &descriptor).unwrap();
    memory.write(GuestAddress(0x1_1002), &[1, 0]).unwrap();
    start(&mut b, TO_GUEST, 0x1_0000);
    let mut read = [0; 6];
    memory.read(GuestAddress(0x3_0000), &mut read).unwrap();
    assert_eq!(&read, b"loginx");
    // The room that this has made is filled again at once.
    assert_eq!(b.waiting_serial_bytes(), 0);
}

#[test]
fn input_that_waits_for_the_console_survives_a_saved_state() {
    let (mut b, _) = with_console();
    send(&mut b, &[b'x'; 6000]);
    let mut saved = vmwb_snapshot::Container::new();
    b.save(0, &mut saved).unwrap();
    let (mut copy, _) = with_console();
    copy.restore(0, &mut saved).unwrap();
    assert_eq!(copy.waiting_serial_bytes(), 6000 - 4096);
}

#[test]
fn input_for_ports_that_are_not_there_is_dropped() {
    let (mut b, _) = with_console();
    for port in [1, 3, 5, 255] {
        let data = vec![b'x'; 9000];
        b.deliver(Input::Serial { port, data }, 0);
    }
    assert_eq!(b.waiting_serial_bytes(), 0);
}

#[test]
fn message_of_a_device_reaches_the_processor() {
    let (mut b, _) = with_console();
    b.mmio_write(GuestAddress(0xFEE0_00F0), AccessSize::Dword, 0x1FF, 0);
    // MSI with two messages, vectors 60h and 61h.
    config(&mut b, CAP_MSI + 4, 0xFEE0_0000);
    config(&mut b, CAP_MSI + 8, 0);
    config(&mut b, CAP_MSI + 12, 0x60);
    config(&mut b, CAP_MSI, 0x0011_0000);
    assert_eq!(b.acknowledge_interrupt(0), None);
    // Rings where no memory is: the device asks for its reset by a change of its configuration.
    start(&mut b, FROM_GUEST, 1 << 40);
    assert_eq!(b.acknowledge_interrupt(0), Some(0x61));
    assert_eq!(b.take_messages().len(), 1);
}
