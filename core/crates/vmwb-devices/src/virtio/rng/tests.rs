use vmwb_hw::TimerId;

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use crate::virtio::fuzz;
use crate::virtio::harness::{Buffer, LINE, Rig, gains_msi, pci_access};

/// Numbers that tell their index.
#[derive(Debug)]
struct Counting;

impl RandomSource for Counting {
    fn number(&mut self, index: u64) -> u64 {
        index + 1
    }
}

fn device() -> VirtioRng {
    VirtioRng::new("virtio-rng.0", LINE, Box::new(Counting))
}

struct Worked;

impl Subject for Worked {
    type Dev = VirtioRng;

    fn build(_b: &mut Bench) -> VirtioRng {
        device()
    }

    fn mutate(dev: &mut VirtioRng, b: &mut Bench) {
        Rig::borrow(dev, b, device(), |rig| {
            rig.start(u64::MAX);
            rig.use_msi(1);
            rig.request(0, &[Buffer::In(20)]);
        });
    }

    fn access(dev: &mut VirtioRng, b: &mut Bench, access: Access) {
        pci_access(dev, b, access);
    }

    fn deadline(_dev: &mut VirtioRng, _b: &mut Bench, _timer: TimerId) {}
}

#[test]
fn state_without_msi_gains_the_capability() {
    gains_msi(Worked::build(&mut Bench::new()));
}

conformance!(virtio_rng_conformance, Worked);

#[test]
fn hostile_driver_never_breaks_the_device() {
    fuzz::hostile_driver(device, |_, _| {});
}

#[test]
fn buffer_is_filled_and_the_numbers_go_on() {
    let mut rig = Rig::started(device(), 0);
    let queued = rig.request(0, &[Buffer::In(8), Buffer::In(4)]);
    assert_eq!(rig.used(0), [(queued.head, 12)]);
    assert_eq!(rig.bytes(queued.buffers[0], 8), 1_u64.to_le_bytes());
    assert_eq!(rig.bytes(queued.buffers[1], 4), 2_u32.to_le_bytes());
    let next = rig.request(0, &[Buffer::In(8)]);
    assert_eq!(rig.bytes(next.buffers[0], 8), 3_u64.to_le_bytes());
}

#[test]
fn large_buffer_is_filled_in_part() {
    let mut rig = Rig::started(device(), 0);
    rig.request(0, &[Buffer::In(100_000)]);
    assert_eq!(rig.used(0), [(0, 4096)]);
}

#[test]
fn buffer_without_room_breaks_the_queue() {
    let mut rig = Rig::started(device(), 0);
    rig.request(0, &[Buffer::Out(vec![0; 8])]);
    assert!(rig.dev.take_complaint().is_some());
}
