use vmwb_hw::{AccessSize, Device, GuestAddress, ResetKind, TimerId};

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use crate::virtio::fuzz;
use crate::virtio::harness::{Buffer, LINE, Rig, gains_msi, pci_access};

fn device() -> VirtioBalloon {
    VirtioBalloon::new("virtio-balloon.0", LINE)
}

fn pages(list: &[u32]) -> Buffer {
    Buffer::Out(list.iter().flat_map(|n| n.to_le_bytes()).collect())
}

struct Worked;

impl Subject for Worked {
    type Dev = VirtioBalloon;

    fn build(_b: &mut Bench) -> VirtioBalloon {
        device()
    }

    fn mutate(dev: &mut VirtioBalloon, b: &mut Bench) {
        Rig::borrow(dev, b, device(), |rig| {
            rig.start(u64::MAX);
            rig.request(INFLATE, &[pages(&[0x180, 0x181])]);
            rig.write_device_config(4, AccessSize::Dword, 2);
        });
    }

    fn access(dev: &mut VirtioBalloon, b: &mut Bench, access: Access) {
        pci_access(dev, b, access);
    }

    fn deadline(_dev: &mut VirtioBalloon, _b: &mut Bench, _timer: TimerId) {}
}

#[test]
fn state_without_msi_gains_the_capability() {
    gains_msi(Worked::build(&mut Bench::new()));
}

conformance!(virtio_balloon_conformance, Worked);

#[test]
fn hostile_driver_never_breaks_the_device() {
    fuzz::hostile_driver(device, |rig, value| {
        rig.dev.set_target(&mut rig.b.ctx(), value);
    });
}

#[test]
fn target_is_shown_told_and_outlives_resets() {
    let mut rig = Rig::started(device(), 0);
    rig.dev.set_target(&mut rig.b.ctx(), 300);
    assert_eq!(rig.device_config(0, AccessSize::Dword), 300);
    assert_eq!(rig.isr(), 2);
    rig.dev.set_target(&mut rig.b.ctx(), 300);
    assert_eq!(rig.isr(), 0);
    rig.dev.reset(&mut rig.b.ctx(), ResetKind::Hard);
    assert_eq!(rig.device_config(0, AccessSize::Dword), 300);
}

#[test]
fn inflated_pages_are_empty_and_others_are_not() {
    let mut rig = Rig::started(device(), 0);
    for page in [0x180, 0x181, 0x182, 0x190_u64] {
        rig.b.memory.write(GuestAddress(page << 12), &[5]).unwrap();
    }
    let queued = rig.request(INFLATE, &[pages(&[0x190, 0x181, 0x180, 0x181])]);
    assert_eq!(rig.used(INFLATE), [(queued.head, 0)]);
    let first_bytes = [0x180, 0x181, 0x182, 0x190].map(|page| rig.bytes(page << 12, 1)[0]);
    assert_eq!(first_bytes, [0, 0, 5, 0]);
}

#[test]
fn pages_that_are_no_ram_are_ignored() {
    let mut rig = Rig::started(device(), 0);
    rig.request(INFLATE, &[pages(&[0xA0, 0x200, u32::MAX])]);
    assert_eq!(rig.used(INFLATE).len(), 1);
    assert_eq!(rig.dev.take_complaint(), None);
}

#[test]
fn runs_beyond_those_of_a_notification_stay() {
    let b = Bench::new();
    for page in [0x180, 0x190, 0x191, 0x1A0_u64] {
        b.memory.write(GuestAddress(page << 12), &[5]).unwrap();
    }
    let Buffer::Out(list) = pages(&[0x1A0, 0x191, 0x180, 0x190]) else {
        unreachable!("`pages` gives bytes to read")
    };
    let mut runs_left = 2;
    give_back(&b.memory, &list, &mut runs_left);
    let first_bytes = [0x180, 0x190, 0x191, 0x1A0].map(|page: u64| {
        let mut byte = [0];
        b.memory.read(GuestAddress(page << 12), &mut byte).unwrap();
        byte[0]
    });
    assert_eq!((first_bytes, runs_left), ([0, 0, 0, 5], 0));
}

#[test]
fn deflated_pages_come_back_and_the_size_is_the_driver_s() {
    let mut rig = Rig::started(device(), 0);
    rig.request(1, &[pages(&[0x180])]);
    assert_eq!(rig.used(1).len(), 1);
    rig.write_device_config(4, AccessSize::Dword, 0x1_0203);
    rig.write_device_config(4, AccessSize::Byte, 9);
    assert_eq!(rig.dev.actual(), 0x1_0209);
    rig.write_device_config(0, AccessSize::Dword, 77);
    assert_eq!(rig.device_config(0, AccessSize::Dword), 0);
    rig.set_status(0);
    assert_eq!(rig.dev.actual(), 0);
}
