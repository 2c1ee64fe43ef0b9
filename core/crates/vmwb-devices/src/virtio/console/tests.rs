use std::sync::{Arc, Mutex};

use vmwb_hw::{AccessSize, NullChar, TimerId};

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use crate::virtio::fuzz;
use crate::virtio::harness::{Buffer, LINE, Rig, gains_msi, pci_access};

#[derive(Debug, Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Tape {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl CharBackend for Tape {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend(bytes);
    }
}

fn plain() -> (VirtioConsole, Tape) {
    let tape = Tape::default();
    let port = ConsolePort {
        name: None,
        backend: Box::new(tape.clone()),
    };
    let dev = VirtioConsole::new("virtio-console.0", LINE, vec![port]);
    (dev, tape)
}

/// A console and a channel.
fn two_ports() -> (VirtioConsole, Tape) {
    let tape = Tape::default();
    let console = ConsolePort {
        name: None,
        backend: Box::new(NullChar),
    };
    let agent = ConsolePort {
        name: Some("org.qemu.guest_agent.0".to_owned()),
        backend: Box::new(tape.clone()),
    };
    let dev = VirtioConsole::new("virtio-console.0", LINE, vec![console, agent]);
    (dev, tape)
}

fn control(rig: &mut Rig<Console>, port: u32, event: u16, value: u16) {
    let mut bytes = port.to_le_bytes().to_vec();
    bytes.extend(event.to_le_bytes());
    bytes.extend(value.to_le_bytes());
    rig.request(CONTROL_TX, &[Buffer::Out(bytes)]);
}

/// A rig with control buffers, whose driver has said that it is ready.
fn multiport() -> (Rig<Console>, Tape, Vec<u64>) {
    let (dev, tape) = two_ports();
    let mut rig = Rig::started(dev, u64::MAX);
    let buffers = (0..8)
        .map(|_| rig.add(CONTROL_RX, &[Buffer::In(64)]).buffers[0])
        .collect();
    rig.kick(CONTROL_RX);
    control(&mut rig, 0, DEVICE_READY, 1);
    (rig, tape, buffers)
}

/// Control messages to the driver since the last call: port, event, value, tail.
fn heard(rig: &mut Rig<Console>, buffers: &[u64]) -> Vec<(u8, u8, u8, Vec<u8>)> {
    rig.used(CONTROL_RX)
        .into_iter()
        .map(|(head, len)| {
            let bytes = rig.bytes(buffers[usize::from(head)], usize::try_from(len).unwrap());
            (bytes[0], bytes[4], bytes[6], bytes[8..].to_vec())
        })
        .collect()
}

struct Worked;

impl Subject for Worked {
    type Dev = VirtioConsole;

    fn build(_b: &mut Bench) -> VirtioConsole {
        two_ports().0
    }

    fn mutate(dev: &mut VirtioConsole, b: &mut Bench) {
        Rig::borrow(dev, b, two_ports().0, |rig| {
            rig.start(u64::MAX);
            control(rig, 0, DEVICE_READY, 1);
            control(rig, 1, PORT_READY, 1);
            control(rig, 1, PORT_OPEN, 1);
            rig.dev.receive(&mut rig.b.ctx(), 1, b"{}");
            rig.dev.receive(&mut rig.b.ctx(), 0, b"ls\n");
        });
    }

    fn access(dev: &mut VirtioConsole, b: &mut Bench, access: Access) {
        pci_access(dev, b, access);
    }

    fn deadline(_dev: &mut VirtioConsole, _b: &mut Bench, _timer: TimerId) {}
}

#[test]
fn state_without_msi_gains_the_capability() {
    gains_msi(Worked::build(&mut Bench::new()));
}

conformance!(virtio_console_conformance, Worked);

#[test]
fn hostile_driver_never_breaks_the_device() {
    let build = || two_ports().0;
    fuzz::hostile_driver(build, |rig, value| {
        let port = usize::try_from(value & 3).unwrap();
        rig.dev.receive(&mut rig.b.ctx(), port, &[7; 100]);
        rig.dev.set_open(&mut rig.b.ctx(), port, value & 4 != 0);
    });
}

#[test]
fn single_console_is_a_plain_device_with_two_queues() {
    let mut rig = Rig::new(plain().0);
    assert_eq!(
        rig.read_common(crate::virtio::regs::NUM_QUEUES, AccessSize::Word),
        2
    );
    assert_eq!(rig.offered() & (F_MULTIPORT | F_EMERG_WRITE), F_EMERG_WRITE);
}

#[test]
fn what_the_guest_sends_reaches_the_backend_in_order() {
    let (dev, tape) = plain();
    let mut rig = Rig::started(dev, 0);
    let long: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let queued = rig.request(
        1,
        &[Buffer::Out(b"hello ".to_vec()), Buffer::Out(long.clone())],
    );
    assert_eq!(tape.take(), [b"hello ".to_vec(), long].concat());
    assert_eq!(rig.used(1), [(queued.head, 0)]);
}

#[test]
fn input_waits_for_buffers_and_fills_them_in_order() {
    let mut rig = Rig::started(plain().0, 0);
    assert_eq!(rig.dev.receive(&mut rig.b.ctx(), 0, b"abcdef"), 6);
    assert_eq!(rig.dev.room(0), INPUT_BYTES - 6);
    let first = rig.add(0, &[Buffer::In(4)]);
    let second = rig.add(0, &[Buffer::In(4)]);
    rig.kick(0);
    assert_eq!(rig.used(0), [(first.head, 4), (second.head, 2)]);
    assert_eq!(rig.bytes(first.buffers[0], 4), b"abcd");
    assert_eq!(rig.bytes(second.buffers[0], 2), b"ef");
    assert_eq!(rig.isr(), 1);
}

#[test]
fn input_is_bounded_and_a_reset_drops_it() {
    let mut rig = Rig::started(plain().0, 0);
    let taken = rig.dev.receive(&mut rig.b.ctx(), 0, &[1; INPUT_BYTES + 9]);
    assert_eq!((taken, rig.dev.room(0)), (INPUT_BYTES, 0));
    rig.set_status(0);
    assert_eq!(rig.dev.room(0), INPUT_BYTES);
}

#[test]
fn input_buffer_without_room_breaks_the_queue() {
    let mut rig = Rig::started(plain().0, 0);
    rig.dev.receive(&mut rig.b.ctx(), 0, b"x");
    rig.request(0, &[Buffer::Out(vec![0; 4])]);
    assert!(rig.dev.take_complaint().is_some());
}

#[test]
fn emergency_character_goes_out_without_a_driver() {
    let (dev, tape) = plain();
    let mut rig = Rig::new(dev);
    rig.write_device_config(8, AccessSize::Dword, u64::from(b'!'));
    assert_eq!(tape.take(), b"!");
}

#[test]
fn ports_are_announced_and_described_as_the_driver_sets_them_up() {
    let (mut rig, _, buffers) = multiport();
    assert_eq!(rig.device_config(4, AccessSize::Dword), 2);
    assert_eq!(
        heard(&mut rig, &buffers),
        [(0, 1, 0, vec![]), (1, 1, 0, vec![])]
    );
    control(&mut rig, 0, PORT_READY, 1);
    assert_eq!(
        heard(&mut rig, &buffers),
        [(0, 4, 1, vec![]), (0, 6, 1, vec![])]
    );
    control(&mut rig, 1, PORT_READY, 1);
    let name = b"org.qemu.guest_agent.0".to_vec();
    assert_eq!(heard(&mut rig, &buffers), [(1, 7, 0, name)]);
    rig.dev.set_open(&mut rig.b.ctx(), 1, true);
    assert_eq!(heard(&mut rig, &buffers), [(1, 6, 1, vec![])]);
}

#[test]
fn channel_carries_bytes_when_both_ends_are_open() {
    let (mut rig, tape, _) = multiport();
    assert_eq!(rig.dev.room(1), 0);
    rig.request(5, &[Buffer::Out(b"lost".to_vec())]);
    rig.dev.set_open(&mut rig.b.ctx(), 1, true);
    control(&mut rig, 1, PORT_OPEN, 1);
    assert!(rig.dev.is_guest_open(1));
    rig.request(5, &[Buffer::Out(b"kept".to_vec())]);
    assert_eq!(tape.take(), b"kept");
    let queued = rig.add(4, &[Buffer::In(8)]);
    assert_eq!(rig.dev.receive(&mut rig.b.ctx(), 1, b"{}\n"), 3);
    assert_eq!(rig.used(4), [(queued.head, 3)]);
}

#[test]
fn input_of_a_closed_channel_is_dropped() {
    let (mut rig, _, _) = multiport();
    control(&mut rig, 1, PORT_OPEN, 1);
    rig.dev.receive(&mut rig.b.ctx(), 1, b"{}");
    control(&mut rig, 1, PORT_OPEN, 0);
    control(&mut rig, 1, PORT_OPEN, 1);
    assert_eq!(rig.dev.room(1), INPUT_BYTES);
}

#[test]
fn control_messages_for_no_port_are_ignored_and_short_ones_break_the_queue() {
    let (mut rig, _, buffers) = multiport();
    heard(&mut rig, &buffers);
    control(&mut rig, 9, PORT_READY, 1);
    assert_eq!(heard(&mut rig, &buffers), []);
    rig.request(CONTROL_TX, &[Buffer::Out(vec![0; 7])]);
    assert!(rig.dev.take_complaint().is_some());
}

#[test]
fn driver_without_multiport_uses_port_0_alone() {
    let (dev, _) = two_ports();
    let mut rig = Rig::started(dev, 0);
    control(&mut rig, 0, DEVICE_READY, 1);
    assert_eq!(rig.used(CONTROL_TX), []);
    let queued = rig.add(0, &[Buffer::In(8)]);
    rig.dev.receive(&mut rig.b.ctx(), 0, b"x");
    assert_eq!(rig.used(0), [(queued.head, 1)]);
}
