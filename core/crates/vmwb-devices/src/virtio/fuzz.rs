//! A hostile driver: random register accesses, descriptors and rings, for every function's tests.

use std::cell::Cell;

use proptest::prelude::*;
use vmwb_hw::{AccessSize, Device, GuestAddress};

use super::harness::{Rig, avail_at, desc_at, used_at};
use super::regs::*;
use super::{VirtioFunction, VirtioPci};
use crate::pci::PciDevice;

/// One thing that the driver does.
#[derive(Debug, Clone)]
enum Step {
    /// Comes up (again) with these features.
    Start(u64),
    Config {
        register: u8,
        value: u32,
    },
    Bar {
        bar: usize,
        offset: u64,
        size: AccessSize,
        value: Option<u64>,
    },
    /// Writes a descriptor of a queue or of a table in a buffer.
    Descriptor {
        queue: usize,
        index: u16,
        place: u64,
        len: u32,
        flags: u16,
        next: u16,
    },
    /// Writes one entry of the available ring and moves its index.
    Offer {
        queue: usize,
        head: u16,
        more: u16,
    },
    /// Queues a chain as a driver would: a head to read, data either way, a byte to write; and tells of it.
    Request {
        queue: usize,
        kind: u32,
        sector: u64,
        data: (u64, u32, bool),
    },
    Memory {
        place: u64,
        value: u64,
    },
    Kick(usize),
    /// Something from outside: what it is, the device's test says.
    Outside(u32),
}

/// Addresses that matter: buffers, rings, what is no RAM.
fn place() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 0x10_0000..0x10_2000_u64,
        2 => (0..6_usize, 0..0x6000_u64).prop_map(|(queue, at)| desc_at(queue) + at),
        1 => (0..6_usize, 0..64_u64).prop_map(|(queue, at)| avail_at(queue) + at),
        1 => (0..6_usize, 0..64_u64).prop_map(|(queue, at)| used_at(queue) + at),
        1 => Just(0xA_0000),
        1 => Just((2 << 20) - 8),
        1 => any::<u64>(),
    ]
}

fn size() -> impl Strategy<Value = AccessSize> {
    prop_oneof![
        Just(AccessSize::Byte),
        Just(AccessSize::Word),
        Just(AccessSize::Dword),
        Just(AccessSize::Qword),
    ]
}

fn bar_access() -> impl Strategy<Value = Step> {
    let offset = prop_oneof![
        6 => 0..0x40_u64,
        2 => (0..4_u64, 0..0x90_u64).prop_map(|(page, at)| page * PAGE + at),
        1 => 0..0x5000_u64,
    ];
    let bar = prop_oneof![4 => Just(REGISTER_BAR), 1 => Just(MSIX_BAR)];
    let value = prop::option::of(prop_oneof![0..16_u64, any::<u64>()]);
    (bar, offset, size(), value).prop_map(|(bar, offset, size, value)| Step::Bar {
        bar,
        offset,
        size,
        value,
    })
}

fn descriptor() -> impl Strategy<Value = Step> {
    let len = prop_oneof![4 => 0..64_u32, 2 => Just(513), 1 => 0..0x1_0000_u32, 1 => any::<u32>()];
    (0..6_usize, 0..16_u16, place(), len, 0..8_u16, 0..18_u16).prop_map(
        |(queue, index, place, len, flags, next)| Step::Descriptor {
            queue,
            index,
            place,
            len,
            flags,
            next,
        },
    )
}

fn request() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![0..2_u32, 0..16_u32];
    let sector = prop_oneof![4 => 0..70_u64, 1 => any::<u64>()];
    let len = prop_oneof![3 => Just(512), 1 => Just(4096), 1 => 0..64_u32];
    let place = prop_oneof![8 => 0x10_0000..0x10_2000_u64, 1 => place()];
    let data = (place, len, any::<bool>());
    (0..6_usize, kind, sector, data).prop_map(|(queue, kind, sector, data)| Step::Request {
        queue,
        kind,
        sector,
        data,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => request(),
        1 => any::<u64>().prop_map(Step::Start),
        1 => (any::<u8>(), any::<u32>()).prop_map(|(register, value)| Step::Config { register, value }),
        2 => bar_access(),
        8 => descriptor(),
        5 => (0..6_usize, 0..18_u16, 0..4_u16)
            .prop_map(|(queue, head, more)| Step::Offer { queue, head, more }),
        2 => (place(), prop_oneof![0..16_u64, any::<u64>()])
            .prop_map(|(place, value)| Step::Memory { place, value }),
        4 => (0..6_usize).prop_map(Step::Kick),
        2 => any::<u32>().prop_map(Step::Outside),
    ]
}

/// Writes the next entry of the available ring and moves its index by `more`.
fn offer<F: VirtioFunction>(rig: &Rig<F>, queue: usize, head: u16, more: u16) {
    let mut index = [0; 2];
    let at = GuestAddress(avail_at(queue) + 2);
    rig.b.memory.read(at, &mut index).unwrap();
    let index = u16::from_le_bytes(index);
    let size = rig.dev.transport.size(queue).max(1);
    let entry = GuestAddress(avail_at(queue) + 4 + 2 * u64::from(index % size));
    rig.b.memory.write(entry, &head.to_le_bytes()).unwrap();
    let index = index.wrapping_add(more);
    rig.b.memory.write(at, &index.to_le_bytes()).unwrap();
}

fn apply<F: VirtioFunction>(rig: &mut Rig<F>, step: &Step, outside: impl Fn(&mut Rig<F>, u32)) {
    match *step {
        Step::Start(features) => rig.start(features),
        Step::Config { register, value } => {
            let _ = rig.dev.config_read(register & 0xFC);
            rig.dev
                .config_write(&mut rig.b.ctx(), register & 0xFC, value, u32::MAX);
        }
        Step::Bar {
            bar,
            offset,
            size,
            value: Some(value),
        } => rig
            .dev
            .bar_write(&mut rig.b.ctx(), bar, offset, size, value),
        Step::Bar {
            bar, offset, size, ..
        } => {
            let _ = rig.dev.bar_read(&mut rig.b.ctx(), bar, offset, size);
        }
        Step::Descriptor {
            queue,
            index,
            place,
            len,
            flags,
            next,
        } => {
            let at = desc_at(queue) + 16 * u64::from(index);
            rig.write_desc(at, (place, len, flags, next));
        }
        Step::Offer { queue, head, more } => offer(rig, queue, head, more),
        Step::Request {
            queue,
            kind,
            sector,
            data: (place, len, write),
        } => {
            let head = 0x10_3000;
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&kind.to_le_bytes());
            bytes[8..].copy_from_slice(&sector.to_le_bytes());
            rig.b.memory.write(GuestAddress(head), &bytes).unwrap();
            let write = if write { DESC_WRITE } else { 0 };
            let chain = [
                (head, 16, DESC_NEXT, 13),
                (place, len, DESC_NEXT | write, 14),
                (head + 16, 1, DESC_WRITE, 0),
            ];
            for (at, descriptor) in (desc_at(queue) + 16 * 12..).step_by(16).zip(chain) {
                rig.write_desc(at, descriptor);
            }
            offer(rig, queue, 12, 1);
            rig.kick(queue);
        }
        Step::Memory { place, value } => {
            // What is no RAM is not written.
            let _ = rig
                .b
                .memory
                .write(GuestAddress(place), &value.to_le_bytes());
        }
        Step::Kick(queue) => rig.kick(queue),
        Step::Outside(value) => outside(rig, value),
    }
}

/// Runs random drivers against the device; it must neither panic nor hang, and end in a state that can be saved,
/// restored and saved alike. `outside` is what else happens to it. Some drivers must get requests through and some must
/// break a queue, or the test has lost its subject.
pub(crate) fn hostile_driver<F: VirtioFunction>(
    build: impl Fn() -> VirtioPci<F>,
    outside: impl Fn(&mut Rig<F>, u32),
) {
    let (served, broken) = (Cell::new(0), Cell::new(0));
    proptest!(|(features in any::<u64>(), steps in prop::collection::vec(step(), 1..120))| {
        let mut rig = Rig::started(build(), features);
        let (mut has_served, mut has_broken) = (false, false);
        for step in &steps {
            apply(&mut rig, step, &outside);
            has_served |= rig.dev.transport.queues.iter().any(|q| q.next_used != 0);
            has_broken |= rig.dev.take_complaint().is_some();
        }
        served.set(served.get() + u32::from(has_served));
        broken.set(broken.get() + u32::from(has_broken));
        outside(&mut rig, u32::MAX);
        let saved = rig.dev.save().expect("saves");
        let mut copy = Rig::new(build());
        copy.dev.restore(&mut copy.b.ctx(), &saved).expect("restores");
        prop_assert_eq!(copy.dev.save().expect("saves"), saved);
    });
    let (served, broken) = (served.get(), broken.get());
    assert!(
        served > 2 && broken > 2,
        "drivers get nowhere: {served} served, {broken} broken"
    );
}
