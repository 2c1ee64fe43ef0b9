use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use vmwb_hw::{AccessSize, BlockError, BlockInfo, Device, NoMedium, TimerId};

use super::regs::{
    RANGE_UNMAP, S_UNSUPP, T_DISCARD, T_FLUSH, T_GET_ID, T_IN, T_OUT, T_WRITE_ZEROES,
};
use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;
use crate::virtio::fuzz;
use crate::virtio::harness::{Buffer, LINE, Queued, Rig, gains_msi, pci_access};

const ALL: u64 = u64::MAX;

#[derive(Debug)]
struct Shelf {
    data: Vec<u8>,
    /// The size that is told.
    bytes: u64,
    read_only: bool,
    /// Answers stay away.
    held: bool,
    waiting: VecDeque<BlockReply>,
    asked: Vec<BlockRequest>,
    fail: Option<BlockError>,
}

/// A medium in memory.
#[derive(Debug, Clone)]
struct Disk(Arc<Mutex<Shelf>>);

impl Disk {
    fn new(sectors: usize) -> Self {
        let data = (0..sectors * 512)
            .map(|n| u8::try_from(n / 512 % 251).unwrap())
            .collect();
        Self(Arc::new(Mutex::new(Shelf {
            data,
            bytes: sectors as u64 * 512,
            read_only: false,
            held: false,
            waiting: VecDeque::new(),
            asked: Vec::new(),
            fail: None,
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Shelf) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn asked(&self) -> Vec<BlockRequest> {
        self.with(|s| std::mem::take(&mut s.asked))
    }
}

fn carry_out(shelf: &mut Shelf, request: &BlockRequest) -> Result<Vec<u8>, BlockError> {
    let at = |offset: u64, len: u64| {
        let start = usize::try_from(offset).unwrap();
        start..start + usize::try_from(len).unwrap()
    };
    if let Some(error) = shelf.fail.take() {
        return Err(error);
    }
    match request {
        BlockRequest::Read { offset, len } => {
            return Ok(shelf.data[at(*offset, u64::from(*len))].to_vec());
        }
        BlockRequest::Write { offset, data } => {
            shelf.data[at(*offset, data.len() as u64)].copy_from_slice(data);
        }
        BlockRequest::WriteZeroes { offset, len } | BlockRequest::Discard { offset, len } => {
            shelf.data[at(*offset, *len)].fill(0);
        }
        BlockRequest::Flush => {}
    }
    Ok(Vec::new())
}

impl BlockBackend for Disk {
    fn info(&self) -> Option<BlockInfo> {
        self.with(|s| {
            Some(BlockInfo {
                bytes: s.bytes,
                read_only: s.read_only,
            })
        })
    }

    fn submit(&mut self, _now: Nanos, tag: u64, request: BlockRequest) {
        self.with(|s| {
            let result = carry_out(s, &request);
            s.asked.push(request);
            s.waiting.push_back(BlockReply { tag, result });
        });
    }

    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        self.with(|s| if s.held { None } else { s.waiting.pop_front() })
    }

    fn in_flight(&self) -> usize {
        self.with(|s| s.waiting.len())
    }

    fn next_reply(&self) -> Option<Nanos> {
        None
    }

    fn wait_reply(&mut self) -> Option<BlockReply> {
        self.with(|s| s.waiting.pop_front())
    }
}

fn rig(sectors: usize, features: u64) -> (Rig<Blk>, Disk) {
    let disk = Disk::new(sectors);
    let dev = VirtioBlk::new("virtio-blk.0", LINE, Box::new(disk.clone()), "VMWB0001");
    (Rig::started(dev, features), disk)
}

fn head(kind: u32, sector: u64) -> Buffer {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend(sector.to_le_bytes());
    Buffer::Out(bytes)
}

fn ranges(list: &[(u64, u32, u32)]) -> Buffer {
    let bytes = list.iter().flat_map(|&(sector, sectors, flags)| {
        let mut range = sector.to_le_bytes().to_vec();
        range.extend(sectors.to_le_bytes());
        range.extend(flags.to_le_bytes());
        range
    });
    Buffer::Out(bytes.collect())
}

fn status_of(rig: &Rig<Blk>, queued: &Queued) -> u8 {
    rig.bytes(*queued.buffers.last().unwrap(), 1)[0]
}

/// Sends one request and gives its status.
fn ask(rig: &mut Rig<Blk>, buffers: &[Buffer]) -> u8 {
    let queued = rig.request(0, buffers);
    status_of(rig, &queued)
}

struct Worked;

impl Subject for Worked {
    type Dev = VirtioBlk;

    fn build(_b: &mut Bench) -> VirtioBlk {
        VirtioBlk::new("virtio-blk.0", LINE, Box::new(Disk::new(64)), "VMWB0001")
    }

    fn mutate(dev: &mut VirtioBlk, b: &mut Bench) {
        let spare = Self::build(b);
        Rig::borrow(dev, b, spare, |rig| {
            rig.start(ALL);
            rig.use_msix(1);
            rig.request(0, &[head(T_IN, 1), Buffer::In(512), Buffer::In(1)]);
            rig.write_device_config(32, AccessSize::Byte, 0);
            rig.dev.transport.config_changed(&mut rig.b.ctx());
        });
    }

    fn access(dev: &mut VirtioBlk, b: &mut Bench, access: Access) {
        pci_access(dev, b, access);
    }

    fn deadline(_dev: &mut VirtioBlk, _b: &mut Bench, _timer: TimerId) {}
}

#[test]
fn state_without_msi_gains_the_capability() {
    gains_msi(Worked::build(&mut Bench::new()));
}

conformance!(virtio_blk_conformance, Worked);

#[test]
fn hostile_driver_never_breaks_the_device() {
    let build = || VirtioBlk::new("virtio-blk.0", LINE, Box::new(Disk::new(64)), "VMWB0001");
    fuzz::hostile_driver(build, |rig, value| {
        rig.dev.serve_replies(&mut rig.b.ctx());
        if value & 1 != 0 {
            rig.dev.drain(&mut rig.b.ctx());
        }
    });
}

#[test]
fn configuration_tells_size_limits_and_geometry() {
    let (mut rig, _) = rig(16 * 63 * 3, ALL);
    let read = [
        (0, AccessSize::Qword),
        (8, AccessSize::Dword),
        (12, AccessSize::Dword),
    ]
    .map(|(at, size)| rig.device_config(at, size));
    assert_eq!(read, [16 * 63 * 3, 65_536, 254]);
    assert_eq!(rig.device_config(16, AccessSize::Dword), 0x3F10_0003);
    assert_eq!(rig.device_config(20, AccessSize::Dword), 512);
}

#[test]
fn read_brings_the_sectors_over_several_buffers() {
    let (mut rig, _) = rig(64, 0);
    let queued = rig.request(
        0,
        &[
            head(T_IN, 3),
            Buffer::In(700),
            Buffer::In(324),
            Buffer::In(1),
        ],
    );
    assert_eq!(rig.used(0), [(queued.head, 1025)]);
    assert_eq!(rig.bytes(queued.buffers[1], 512), [3; 512]);
    assert_eq!(rig.bytes(queued.buffers[1] + 512, 188), [4; 188]);
    assert_eq!(rig.bytes(queued.buffers[2], 324), [4; 324]);
    assert_eq!(status_of(&rig, &queued), S_OK);
}

#[test]
fn data_and_status_may_share_buffers() {
    let (mut rig, _) = rig(64, 0);
    let queued = rig.request(0, &[head(T_IN, 5), Buffer::In(513)]);
    assert_eq!(rig.bytes(queued.buffers[1], 513)[511..], [5, S_OK]);
}

#[test]
fn written_sectors_arrive_and_are_flushed_when_the_driver_cannot() {
    let (mut rig, disk) = rig(64, 0);
    let data = Buffer::Out(vec![0xA5; 1024]);
    assert_eq!(ask(&mut rig, &[head(T_OUT, 7), data, Buffer::In(1)]), S_OK);
    assert_eq!(
        disk.with(|s| s.data[7 * 512..9 * 512].to_vec()),
        [0xA5; 1024]
    );
    let last = disk.asked().pop();
    assert_eq!(last, Some(BlockRequest::Flush));
}

#[test]
fn write_back_cache_flushes_only_when_asked() {
    let (mut rig, disk) = rig(64, ALL);
    let data = Buffer::Out(vec![1; 512]);
    ask(&mut rig, &[head(T_OUT, 0), data.clone(), Buffer::In(1)]);
    assert_eq!(disk.asked().len(), 1);
    assert_eq!(ask(&mut rig, &[head(T_FLUSH, 0), Buffer::In(1)]), S_OK);
    assert_eq!(disk.asked(), [BlockRequest::Flush]);
    rig.write_device_config(32, AccessSize::Byte, 0);
    assert_eq!(rig.device_config(32, AccessSize::Byte), 0);
    ask(&mut rig, &[head(T_OUT, 0), data, Buffer::In(1)]);
    assert_eq!(disk.asked().pop(), Some(BlockRequest::Flush));
}

#[test]
fn requests_beyond_the_end_or_not_in_sectors_fail_without_the_backend() {
    let (mut rig, disk) = rig(64, ALL);
    let mut failed = Vec::new();
    for (sector, len) in [
        (64, 512),
        (63, 1024),
        (u64::MAX, 512),
        (1 << 62, 512),
        (0, 511),
    ] {
        failed.push(ask(
            &mut rig,
            &[head(T_IN, sector), Buffer::In(len), Buffer::In(1)],
        ));
    }
    failed.push(ask(
        &mut rig,
        &[head(T_OUT, 64), Buffer::Out(vec![0; 512]), Buffer::In(1)],
    ));
    assert_eq!(failed, [S_IOERR; 6]);
    assert_eq!(disk.asked(), []);
}

#[test]
fn read_only_medium_refuses_writes_and_says_so() {
    let disk = Disk::new(64);
    disk.with(|s| s.read_only = true);
    let dev = VirtioBlk::new("virtio-blk.0", LINE, Box::new(disk.clone()), "");
    let mut rig = Rig::started(dev, ALL);
    assert_ne!(rig.offered() & F_RO, 0);
    let data = Buffer::Out(vec![1; 512]);
    let zero = ranges(&[(0, 1, 0)]);
    let answers = [
        ask(&mut rig, &[head(T_OUT, 0), data, Buffer::In(1)]),
        ask(&mut rig, &[head(T_WRITE_ZEROES, 0), zero, Buffer::In(1)]),
    ];
    assert_eq!((answers, disk.asked()), ([S_IOERR; 2], vec![]));
}

#[test]
fn backend_s_errors_reach_the_driver() {
    let (mut rig, disk) = rig(64, ALL);
    for error in [BlockError::NoSpace, BlockError::Host("gone".to_owned())] {
        disk.with(|s| s.fail = Some(error));
        let answer = ask(&mut rig, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]);
        assert_eq!(answer, S_IOERR);
    }
}

#[test]
fn empty_drive_answers_every_read_with_an_error() {
    let dev = VirtioBlk::new("virtio-blk.0", LINE, Box::new(NoMedium::default()), "");
    let mut rig = Rig::started(dev, ALL);
    let answers = [
        ask(&mut rig, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]),
        ask(&mut rig, &[head(T_FLUSH, 0), Buffer::In(1)]),
    ];
    assert_eq!(answers, [S_IOERR; 2]);
}

#[test]
fn identification_is_the_serial_number_padded() {
    let (mut rig, _) = rig(64, 0);
    let queued = rig.request(0, &[head(T_GET_ID, 0), Buffer::In(20), Buffer::In(1)]);
    assert_eq!(
        rig.bytes(queued.buffers[1], 20),
        *b"VMWB0001\0\0\0\0\0\0\0\0\0\0\0\0"
    );
}

#[test]
fn unknown_requests_and_flags_are_not_supported() {
    let (mut rig, disk) = rig(64, ALL);
    let answers = [
        ask(&mut rig, &[head(99, 0), Buffer::In(1)]),
        ask(
            &mut rig,
            &[head(T_DISCARD, 0), ranges(&[(0, 8, 1)]), Buffer::In(1)],
        ),
        ask(
            &mut rig,
            &[head(T_WRITE_ZEROES, 0), ranges(&[(0, 8, 2)]), Buffer::In(1)],
        ),
    ];
    assert_eq!((answers, disk.asked()), ([S_UNSUPP; 3], vec![]));
}

#[test]
fn discards_and_zeros_reach_the_backend_range_by_range() {
    let (mut rig, disk) = rig(64, ALL);
    let list = ranges(&[(8, 8, 0), (0, 0, 0), (32, 1, 0)]);
    assert_eq!(
        ask(&mut rig, &[head(T_DISCARD, 0), list, Buffer::In(1)]),
        S_OK
    );
    let discard = |offset, len| BlockRequest::Discard { offset, len };
    assert_eq!(disk.asked(), [discard(4096, 4096), discard(16_384, 512)]);
    let zero = ranges(&[(1, 2, RANGE_UNMAP)]);
    assert_eq!(
        ask(&mut rig, &[head(T_WRITE_ZEROES, 0), zero, Buffer::In(1)]),
        S_OK
    );
    assert_eq!(disk.with(|s| s.data[512..1536].to_vec()), [0; 1024]);
}

#[test]
fn broken_ranges_fail() {
    let (mut rig, disk) = rig(64, ALL);
    let answers = [
        ask(
            &mut rig,
            &[head(T_DISCARD, 0), ranges(&[(60, 5, 0)]), Buffer::In(1)],
        ),
        ask(
            &mut rig,
            &[head(T_DISCARD, 0), ranges(&[(0, 1, 0); 17]), Buffer::In(1)],
        ),
        ask(
            &mut rig,
            &[head(T_DISCARD, 0), Buffer::Out(vec![0; 15]), Buffer::In(1)],
        ),
    ];
    assert_eq!((answers, disk.asked()), ([S_IOERR; 3], vec![]));
}

#[test]
fn range_longer_than_announced_fails() {
    let (mut rig, disk) = rig(64, ALL);
    disk.with(|s| s.bytes = 16 << 30);
    let longer = [(0, MAX_RANGE_SECTORS + 1, 0)];
    let answers = [T_DISCARD, T_WRITE_ZEROES].map(|kind| {
        let request = [head(kind, 0), ranges(&longer), Buffer::In(1)];
        ask(&mut rig, &request)
    });
    assert_eq!((answers, disk.asked()), ([S_IOERR; 2], vec![]));
}

#[test]
fn request_without_a_status_byte_breaks_the_queue() {
    let (mut rig, _) = rig(64, ALL);
    rig.request(0, &[head(T_FLUSH, 0)]);
    assert!(rig.dev.take_complaint().is_some());
}

#[test]
fn what_the_backend_has_no_room_for_waits_in_the_ring() {
    let (mut rig, disk) = rig(64, F_FLUSH);
    disk.with(|s| s.held = true);
    for _ in 0..MAX_IN_FLIGHT + 6 {
        rig.request(0, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]);
    }
    assert_eq!(disk.with(|s| s.waiting.len()), MAX_IN_FLIGHT);
    disk.with(|s| s.held = false);
    rig.dev.serve_replies(&mut rig.b.ctx());
    assert_eq!(rig.used(0).len(), MAX_IN_FLIGHT + 6);
    assert_eq!(rig.isr(), 1);
}

#[test]
fn large_transfer_goes_in_parts_and_answers_once() {
    let disk = Disk::new(1);
    disk.with(|s| {
        s.data.resize(9 << 20, 7);
        s.bytes = 9 << 20;
    });
    let dev = VirtioBlk::new("virtio-blk.0", LINE, Box::new(disk.clone()), "");
    let mut rig = Rig::started(dev, ALL);
    // 144 buffers of 64 KiB that all lie in the same 64 KiB.
    for n in 0..144_u16 {
        let at = crate::virtio::harness::desc_at(0) + 16 * u64::from(n + 1);
        rig.write_desc(at, (0x11_0000, 65_536, 3, n + 2));
    }
    let at = crate::virtio::harness::desc_at(0);
    rig.write_desc(at, (0x10_0000, 16, 1, 1));
    rig.write_desc(at + 16 * 145, (0x10_0100, 1, 2, 0));
    rig.b
        .memory
        .write(vmwb_hw::GuestAddress(0x10_0100), &[9])
        .unwrap();
    rig.offer(0, 0);
    rig.kick(0);
    let lens: Vec<u32> = disk
        .asked()
        .iter()
        .map(|r| match r {
            BlockRequest::Read { len, .. } => *len,
            _ => 0,
        })
        .collect();
    assert_eq!(lens, [4 << 20, 4 << 20, 1 << 20]);
    assert_eq!(rig.used(0), [(0, (9 << 20) + 1)]);
    assert_eq!(rig.bytes(0x10_0100, 1), [S_OK]);
}

#[test]
fn answers_from_before_a_reset_are_dropped_and_new_requests_wait_for_them() {
    let (mut rig, disk) = rig(64, ALL);
    disk.with(|s| s.held = true);
    let old = rig.request(0, &[head(T_IN, 1), Buffer::In(512), Buffer::In(1)]);
    rig.start(ALL);
    rig.request(0, &[head(T_IN, 2), Buffer::In(512), Buffer::In(1)]);
    assert_eq!(disk.with(|s| s.waiting.len()), 1);
    disk.with(|s| s.held = false);
    rig.dev.serve_replies(&mut rig.b.ctx());
    assert_eq!(rig.used(0).len(), 1);
    assert_eq!(rig.bytes(old.buffers[1], 512), [0; 512]);
    assert_eq!(disk.asked().len(), 2);
}

#[test]
fn drained_device_has_answered_everything_and_can_be_saved() {
    let (mut rig, disk) = rig(64, ALL);
    disk.with(|s| s.held = true);
    for _ in 0..MAX_IN_FLIGHT + 3 {
        rig.request(0, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]);
    }
    assert!(rig.dev.save().is_err());
    rig.dev.drain(&mut rig.b.ctx());
    assert_eq!(rig.used(0).len(), MAX_IN_FLIGHT + 3);
    assert!(rig.dev.save().is_ok());
}

#[test]
fn changed_medium_shows_its_size_and_tells_the_driver() {
    let (mut rig, _) = rig(64, ALL);
    let before = rig.read_common(crate::virtio::regs::CONFIG_GENERATION, AccessSize::Byte);
    let old = rig
        .dev
        .change_medium(&mut rig.b.ctx(), Box::new(Disk::new(128)));
    assert_eq!(old.info().unwrap().bytes, 64 * 512);
    assert_eq!(
        (rig.device_config(0, AccessSize::Qword), rig.isr()),
        (128, 2)
    );
    let after = rig.read_common(crate::virtio::regs::CONFIG_GENERATION, AccessSize::Byte);
    assert_ne!(before, after);
}

#[test]
fn read_into_no_memory_breaks_the_queue_when_it_is_answered() {
    let (mut rig, _) = rig(64, ALL);
    let at = crate::virtio::harness::desc_at(0);
    rig.write_desc(at, (0x10_0000, 16, 1, 1));
    rig.write_desc(at + 16, (0xA_0000, 512, 3, 2));
    rig.write_desc(at + 32, (0x10_0100, 1, 2, 0));
    rig.offer(0, 0);
    rig.kick(0);
    assert!(rig.dev.take_complaint().unwrap().contains("outside"));
    assert_eq!(rig.used(0), []);
}

#[test]
fn taken_medium_has_no_request_under_way_and_leaves_an_empty_drive() {
    let (mut rig, disk) = rig(64, ALL);
    disk.with(|s| s.held = true);
    rig.request(0, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]);
    assert_eq!(rig.dev.take_medium().in_flight(), 0);
    assert_eq!(rig.device_config(0, AccessSize::Qword), 0);
    let answer = ask(&mut rig, &[head(T_IN, 0), Buffer::In(512), Buffer::In(1)]);
    assert_eq!(answer, S_IOERR);
}

#[test]
fn state_of_a_driver_that_knew_a_read_only_medium_is_taken_with_another_one() {
    let disk = Disk::new(64);
    disk.with(|s| s.read_only = true);
    let dev = VirtioBlk::new("virtio-blk.0", LINE, Box::new(disk), "");
    let mut rig = Rig::started(dev, ALL);
    rig.dev
        .change_medium(&mut rig.b.ctx(), Box::new(Disk::new(64)));
    let saved = rig.dev.save().unwrap();
    let mut copy = VirtioBlk::new("virtio-blk.0", LINE, Box::new(Disk::new(64)), "");
    copy.restore(&mut rig.b.ctx(), &saved).unwrap();
    assert_eq!(copy.save().unwrap(), saved);
}
