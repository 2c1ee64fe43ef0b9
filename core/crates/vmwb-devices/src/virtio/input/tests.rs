use vmwb_hw::{AccessSize, TimerId};

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use crate::virtio::fuzz;
use crate::virtio::harness::{Buffer, LINE, Rig, gains_msi, pci_access};

fn device() -> VirtioTablet {
    VirtioTablet::new("virtio-tablet.0", LINE)
}

/// A tablet whose driver has `buffers` event buffers.
fn rig(buffers: usize) -> (Rig<Tablet>, Vec<u64>) {
    let mut rig = Rig::started(device(), u64::MAX);
    let placed = (0..buffers)
        .map(|_| rig.add(EVENTS, &[Buffer::In(8)]).buffers[0])
        .collect();
    rig.kick(EVENTS);
    (rig, placed)
}

/// Events since the last call: type, code, value.
fn heard(rig: &mut Rig<Tablet>, placed: &[u64]) -> Vec<(u16, u16, i32)> {
    let used = rig.used(EVENTS);
    let event = |(head, len): (u16, u32)| {
        assert_eq!(len, 8);
        let b = rig.bytes(placed[usize::from(head)], 8);
        let value = i32::from_le_bytes([b[4], b[5], b[6], b[7]]);
        (
            u16::from_le_bytes([b[0], b[1]]),
            u16::from_le_bytes([b[2], b[3]]),
            value,
        )
    };
    used.into_iter().map(event).collect()
}

fn select(rig: &mut Rig<Tablet>, select: u8, subsel: u8) -> Vec<u8> {
    rig.write_device_config(0, AccessSize::Byte, u64::from(select));
    rig.write_device_config(1, AccessSize::Byte, u64::from(subsel));
    let size = rig.device_config(2, AccessSize::Byte);
    (0..size)
        .map(|at| rig.device_config(8 + at, AccessSize::Byte).to_le_bytes()[0])
        .collect()
}

struct Worked;

impl Subject for Worked {
    type Dev = VirtioTablet;

    fn build(_b: &mut Bench) -> VirtioTablet {
        device()
    }

    fn mutate(dev: &mut VirtioTablet, b: &mut Bench) {
        Rig::borrow(dev, b, device(), |rig| {
            rig.start(u64::MAX);
            rig.write_device_config(0, AccessSize::Word, 0x0112);
            rig.dev.pointer(&mut rig.b.ctx(), (100, 200), 5, -3);
            rig.request(EVENTS, &[Buffer::In(8)]);
        });
    }

    fn access(dev: &mut VirtioTablet, b: &mut Bench, access: Access) {
        pci_access(dev, b, access);
    }

    fn deadline(_dev: &mut VirtioTablet, _b: &mut Bench, _timer: TimerId) {}
}

#[test]
fn state_without_msi_gains_the_capability() {
    gains_msi(Worked::build(&mut Bench::new()));
}

conformance!(virtio_input_conformance, Worked);

#[test]
fn hostile_driver_never_breaks_the_device() {
    fuzz::hostile_driver(device, |rig, value| {
        let [x, y, buttons, wheel] = value.to_le_bytes();
        let at = (u16::from(x) << 8, u16::from(y));
        rig.dev
            .pointer(&mut rig.b.ctx(), at, buttons, i32::from(wheel) - 128);
    });
}

#[test]
fn configuration_describes_an_absolute_pointer() {
    let (mut rig, _) = rig(0);
    assert_eq!(select(&mut rig, 1, 0), b"VM Workbench Tablet");
    assert_eq!(select(&mut rig, 2, 0), b"1");
    assert_eq!(select(&mut rig, 3, 0), [6, 0, 0xF4, 0x1A, 3, 0, 1, 0]);
    let keys = select(&mut rig, 0x11, 1);
    assert_eq!((keys.len(), keys[34], keys[..34].iter().sum()), (35, 7, 0));
    assert_eq!(select(&mut rig, 0x11, 2), [0, 1]);
    assert_eq!(select(&mut rig, 0x11, 3), [3]);
    let range = [[0, 0, 0, 0], [0xFF, 0x7F, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
    assert_eq!(
        [select(&mut rig, 0x12, 0), select(&mut rig, 0x12, 1)],
        [range.clone(), range]
    );
}

#[test]
fn what_there_is_not_has_size_0() {
    let (mut rig, _) = rig(0);
    for (selection, subsel) in [
        (0, 0),
        (1, 1),
        (0x10, 0),
        (0x11, 4),
        (0x11, 20),
        (0x12, 2),
        (0xFF, 0),
    ] {
        assert!(select(&mut rig, selection, subsel).is_empty());
    }
}

#[test]
fn changes_become_one_report_each() {
    let (mut rig, placed) = rig(32);
    rig.dev.pointer(&mut rig.b.ctx(), (10, 20), 0, 0);
    assert_eq!(
        heard(&mut rig, &placed),
        [(3, 0, 10), (3, 1, 20), (0, 0, 0)]
    );
    rig.dev.pointer(&mut rig.b.ctx(), (10, 40_000), 6, -2);
    let second = [
        (3, 1, 32_767),
        (1, 0x111, 1),
        (1, 0x112, 1),
        (2, 8, -2),
        (0, 0, 0),
    ];
    assert_eq!(heard(&mut rig, &placed), second);
    rig.dev.pointer(&mut rig.b.ctx(), (10, 32_767), 0, 0);
    assert_eq!(
        heard(&mut rig, &placed),
        [(1, 0x111, 0), (1, 0x112, 0), (0, 0, 0)]
    );
    assert_eq!(rig.isr(), 1);
    rig.dev.pointer(&mut rig.b.ctx(), (10, 32_767), 0, 0);
    assert_eq!((heard(&mut rig, &placed), rig.isr()), (vec![], 0));
}

#[test]
fn events_wait_for_buffers_in_order() {
    let (mut rig, placed) = rig(1);
    rig.dev.pointer(&mut rig.b.ctx(), (1, 2), 1, 0);
    assert_eq!(heard(&mut rig, &placed), [(3, 0, 1)]);
    let more: Vec<u64> = (0..3)
        .map(|_| rig.add(EVENTS, &[Buffer::In(8)]).buffers[0])
        .collect();
    rig.kick(EVENTS);
    let all = [placed, more].concat();
    assert_eq!(heard(&mut rig, &all), [(3, 1, 2), (1, 0x110, 1), (0, 0, 0)]);
}

#[test]
fn guest_that_fetches_nothing_gets_the_last_state_in_the_end() {
    let (mut rig, _) = rig(0);
    for n in 1..=1000 {
        rig.dev
            .pointer(&mut rig.b.ctx(), (n, n), u8::from(n < 500), 1);
    }
    let mut last = (0, 0, 0, 0);
    for _ in 0..5 {
        let buffers: Vec<_> = (0..64).map(|_| rig.add(EVENTS, &[Buffer::In(8)])).collect();
        rig.kick(EVENTS);
        for (head, _) in rig.used(EVENTS) {
            let at = buffers.iter().find(|q| q.head == head).unwrap().buffers[0];
            let b = rig.bytes(at, 8);
            let value = i32::from_le_bytes([b[4], b[5], b[6], b[7]]);
            match (b[0], b[2]) {
                (3, 0) => last.0 = value,
                (3, 1) => last.1 = value,
                (1, 0x10) => last.2 = value,
                (2, 8) => last.3 += value,
                _ => {}
            }
        }
    }
    assert_eq!(last, (1000, 1000, 0, 1000));
}

#[test]
fn driver_that_comes_up_hears_where_the_pointer_is() {
    let mut rig = Rig::new(device());
    rig.dev.pointer(&mut rig.b.ctx(), (7, 0), 0, 5);
    assert!(!rig.dev.is_in_use());
    rig.start(0);
    let placed: Vec<u64> = (0..4)
        .map(|_| rig.add(EVENTS, &[Buffer::In(8)]).buffers[0])
        .collect();
    rig.kick(EVENTS);
    assert_eq!(heard(&mut rig, &placed), [(3, 0, 7), (0, 0, 0)]);
    assert!(rig.dev.is_in_use());
}

#[test]
fn short_buffer_breaks_the_queue_and_status_events_come_back() {
    let (mut rig, _) = rig(0);
    rig.request(1, &[Buffer::Out(vec![0; 8])]);
    assert_eq!(rig.used(1).len(), 1);
    rig.dev.pointer(&mut rig.b.ctx(), (7, 0), 0, 0);
    rig.request(EVENTS, &[Buffer::In(7)]);
    assert!(rig.dev.take_complaint().is_some());
}
