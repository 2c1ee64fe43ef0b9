//! A driver for tests: negotiates, lays queues out in guest memory, queues requests and looks at what came back.

use vmwb_hw::{AccessSize, Device, GuestAddress, IrqLine, Payload, Schema};

use super::regs::*;
use super::{VirtioFunction, VirtioPci, VirtioV2};
use crate::conformance::Access;
use crate::pci::{PciDevice, regs as pci};
use crate::testbench::Bench;

/// Pin of the device under test.
pub(crate) const LINE: IrqLine = IrqLine::pci(4, 0);
/// First free byte of guest memory for buffers.
const BUFFERS: u64 = 0x10_0000;
const RINGS: u64 = 0x2_0000;
/// Bytes for descriptors and rings of one queue.
const RING_BYTES: u64 = 0x8000;

/// A buffer of a request.
#[derive(Debug, Clone)]
pub(crate) enum Buffer {
    /// For the device to read.
    Out(Vec<u8>),
    /// For the device to write, so many bytes.
    In(u32),
}

/// A request as it was queued: its head and where its buffers are.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub head: u16,
    pub buffers: Vec<u64>,
}

/// One device and its driver.
#[derive(Debug)]
pub(crate) struct Rig<F> {
    pub b: Bench,
    pub dev: VirtioPci<F>,
    next_buffer: u64,
    next_desc: Vec<u16>,
    avail: Vec<u16>,
    used: Vec<u16>,
}

pub(crate) fn desc_at(queue: usize) -> u64 {
    RINGS + RING_BYTES * queue as u64
}

pub(crate) fn avail_at(queue: usize) -> u64 {
    desc_at(queue) + 0x4000
}

pub(crate) fn used_at(queue: usize) -> u64 {
    desc_at(queue) + 0x5000
}

impl<F: VirtioFunction> Rig<F> {
    pub fn new(dev: VirtioPci<F>) -> Self {
        Self {
            b: Bench::new(),
            dev,
            next_buffer: BUFFERS,
            next_desc: Vec::new(),
            avail: Vec::new(),
            used: Vec::new(),
        }
    }

    /// Lends a device and its bench, for the time of `work`. `spare` stands in for the device meanwhile.
    pub fn borrow(
        dev: &mut VirtioPci<F>,
        b: &mut Bench,
        spare: VirtioPci<F>,
        work: impl FnOnce(&mut Self),
    ) {
        let mut rig = Self::new(std::mem::replace(dev, spare));
        std::mem::swap(&mut rig.b, b);
        work(&mut rig);
        std::mem::swap(&mut rig.b, b);
        *dev = rig.dev;
    }

    /// A rig whose driver has come up with every feature in `features` that is offered.
    pub fn started(dev: VirtioPci<F>, features: u64) -> Self {
        let mut rig = Self::new(dev);
        rig.start(features);
        rig
    }

    pub fn write_common(&mut self, field: usize, size: AccessSize, value: u64) {
        let ctx = &mut self.b.ctx();
        self.dev
            .bar_write(ctx, REGISTER_BAR, field as u64, size, value);
    }

    pub fn read_common(&mut self, field: usize, size: AccessSize) -> u64 {
        let ctx = &mut self.b.ctx();
        self.dev.bar_read(ctx, REGISTER_BAR, field as u64, size)
    }

    pub fn status(&mut self) -> u8 {
        self.read_common(DEVICE_STATUS, AccessSize::Byte)
            .to_le_bytes()[0]
    }

    pub fn set_status(&mut self, value: u8) {
        self.write_common(DEVICE_STATUS, AccessSize::Byte, u64::from(value));
    }

    pub fn offered(&mut self) -> u64 {
        self.write_common(DEVICE_FEATURE_SELECT, AccessSize::Dword, 0);
        let low = self.read_common(DEVICE_FEATURE, AccessSize::Dword);
        self.write_common(DEVICE_FEATURE_SELECT, AccessSize::Dword, 1);
        low | self.read_common(DEVICE_FEATURE, AccessSize::Dword) << 32
    }

    /// Bus mastering and features, up to FEATURES_OK.
    pub fn negotiate(&mut self, features: u64) {
        let command = pci::COMMAND_MEMORY | pci::COMMAND_MASTER;
        let ctx = &mut self.b.ctx();
        self.dev
            .config_write(ctx, pci::COMMAND_STATUS, command, 0xFFFF);
        self.set_status(0);
        self.set_status(STATUS_ACKNOWLEDGE);
        self.set_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER);
        let accepted = self.offered() & (features | F_VERSION_1);
        for half in [0, 1] {
            self.write_common(DRIVER_FEATURE_SELECT, AccessSize::Dword, half);
            let value = accepted >> (32 * half) & 0xFFFF_FFFF;
            self.write_common(DRIVER_FEATURE, AccessSize::Dword, value);
        }
        self.set_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK);
    }

    /// Puts queue `queue` at its usual place, with rings of zeros.
    pub fn enable(&mut self, queue: usize) {
        let zeros = [0; 0x8000];
        self.b
            .memory
            .write(GuestAddress(desc_at(queue)), &zeros)
            .unwrap();
        self.write_common(QUEUE_SELECT, AccessSize::Word, queue as u64);
        self.write_common(QUEUE_DESC, AccessSize::Qword, desc_at(queue));
        for (field, at) in [
            (QUEUE_DRIVER, avail_at(queue)),
            (QUEUE_DEVICE, used_at(queue)),
        ] {
            self.write_common(field, AccessSize::Dword, at & 0xFFFF_FFFF);
            self.write_common(field + 4, AccessSize::Dword, at >> 32);
        }
        self.write_common(QUEUE_ENABLE, AccessSize::Word, 1);
    }

    pub fn start(&mut self, features: u64) {
        self.negotiate(features);
        let count = usize::try_from(self.read_common(NUM_QUEUES, AccessSize::Word)).unwrap();
        (0..count).for_each(|queue| self.enable(queue));
        self.next_desc = vec![0; count];
        self.avail = vec![0; count];
        self.used = vec![0; count];
        let all = STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK;
        self.set_status(all);
        assert_eq!(self.status(), all);
    }

    pub fn write_desc(&mut self, at: u64, (addr, len, flags, next): (u64, u32, u16, u16)) {
        let mut raw = [0; 16];
        raw[..8].copy_from_slice(&addr.to_le_bytes());
        raw[8..12].copy_from_slice(&len.to_le_bytes());
        raw[12..14].copy_from_slice(&flags.to_le_bytes());
        raw[14..].copy_from_slice(&next.to_le_bytes());
        self.b.memory.write(GuestAddress(at), &raw).unwrap();
    }

    /// Writes a chain's buffers and descriptors and makes it available, without a notification.
    pub fn add(&mut self, queue: usize, buffers: &[Buffer]) -> Queued {
        let size = self.size(queue);
        let head = self.next_desc[queue];
        let mut placed = Vec::new();
        for (n, buffer) in buffers.iter().enumerate() {
            let addr = self.next_buffer;
            let (len, write) = match buffer {
                Buffer::Out(bytes) => {
                    self.b.memory.write(GuestAddress(addr), bytes).unwrap();
                    (u32::try_from(bytes.len()).unwrap(), 0)
                }
                Buffer::In(len) => (*len, DESC_WRITE),
            };
            self.next_buffer += u64::from(len).next_multiple_of(16);
            let number = self.next_desc[queue];
            let next = (number + 1) % size;
            self.next_desc[queue] = next;
            let more = if n + 1 < buffers.len() { DESC_NEXT } else { 0 };
            let at = desc_at(queue) + 16 * u64::from(number);
            self.write_desc(at, (addr, len, write | more, next));
            placed.push(addr);
        }
        self.offer(queue, head);
        Queued {
            head,
            buffers: placed,
        }
    }

    fn size(&self, queue: usize) -> u16 {
        self.dev.transport.size(queue)
    }

    /// Makes the chain at `head` available.
    pub fn offer(&mut self, queue: usize, head: u16) {
        let entry = u64::from(self.avail[queue] % self.size(queue));
        let memory = &self.b.memory;
        memory
            .write(
                GuestAddress(avail_at(queue) + 4 + 2 * entry),
                &head.to_le_bytes(),
            )
            .unwrap();
        self.avail[queue] = self.avail[queue].wrapping_add(1);
        memory
            .write(
                GuestAddress(avail_at(queue) + 2),
                &self.avail[queue].to_le_bytes(),
            )
            .unwrap();
    }

    pub fn kick(&mut self, queue: usize) {
        let offset = NOTIFY_PAGE * PAGE + NOTIFY_MULTIPLIER * queue as u64;
        let ctx = &mut self.b.ctx();
        self.dev
            .bar_write(ctx, REGISTER_BAR, offset, AccessSize::Word, queue as u64);
    }

    /// Queues one request, notifies.
    pub fn request(&mut self, queue: usize, buffers: &[Buffer]) -> Queued {
        let queued = self.add(queue, buffers);
        self.kick(queue);
        queued
    }

    pub fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.b.memory.read(GuestAddress(at), &mut bytes).unwrap();
        bytes
    }

    fn word(&self, at: u64) -> u16 {
        let bytes = self.bytes(at, 2);
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    /// What came back since the last call, as head and length.
    pub fn used(&mut self, queue: usize) -> Vec<(u16, u32)> {
        let index = self.word(used_at(queue) + 2);
        let mut list = Vec::new();
        while self.used[queue] != index {
            let entry = u64::from(self.used[queue] % self.size(queue));
            let at = used_at(queue) + 4 + 8 * entry;
            let len = self.b.memory.read_u32(GuestAddress(at + 4)).unwrap();
            list.push((self.word(at), len));
            self.used[queue] = self.used[queue].wrapping_add(1);
        }
        list
    }

    pub fn isr(&mut self) -> u8 {
        let ctx = &mut self.b.ctx();
        let value = self
            .dev
            .bar_read(ctx, REGISTER_BAR, ISR_PAGE * PAGE, AccessSize::Byte);
        value.to_le_bytes()[0]
    }

    pub fn device_config(&mut self, offset: u64, size: AccessSize) -> u64 {
        let ctx = &mut self.b.ctx();
        self.dev
            .bar_read(ctx, REGISTER_BAR, DEVICE_PAGE * PAGE + offset, size)
    }

    pub fn write_device_config(&mut self, offset: u64, size: AccessSize, value: u64) {
        let ctx = &mut self.b.ctx();
        let offset = DEVICE_PAGE * PAGE + offset;
        self.dev.bar_write(ctx, REGISTER_BAR, offset, size, value);
    }

    /// Switches MSI-X on with `vectors` unmasked vectors, vector n with data 40h + n.
    pub fn use_msix(&mut self, vectors: u64) {
        for vector in 0..vectors {
            for (offset, value) in [(0, 0xFEE0_0000), (4, 0), (8, 0x40 + vector), (12, 0)] {
                let ctx = &mut self.b.ctx();
                self.dev.bar_write(
                    ctx,
                    MSIX_BAR,
                    16 * vector + offset,
                    AccessSize::Dword,
                    value,
                );
            }
        }
        let ctx = &mut self.b.ctx();
        self.dev
            .config_write(ctx, CAP_MSIX, 0x8000_0000, 0xFFFF_0000);
    }

    /// Switches MSI on with two messages, those of `masked` held back; message n has data 40h + n.
    pub fn use_msi(&mut self, masked: u32) {
        for (offset, value) in [
            (4, 0xFEE0_0000),
            (8, 0),
            (12, 0x40),
            (16, masked),
            (0, 0x11 << 16),
        ] {
            let ctx = &mut self.b.ctx();
            self.dev
                .config_write(ctx, CAP_MSI + offset, value, u32::MAX);
        }
    }

    /// Messages' data since the last call.
    pub fn messages(&mut self) -> Vec<u32> {
        self.b.lines.drain_messages().map(|m| m.data).collect()
    }
}

/// Restores the golden state of version 1, which knew no MSI, into `dev`: the guest finds the capability, and what is
/// saved now is what was.
pub(crate) fn gains_msi<F: VirtioFunction>(mut dev: VirtioPci<F>) {
    let kind = F::Saved::KIND;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let old = Payload {
        name: dev.name().to_owned(),
        kind: kind.to_owned(),
        version: 1,
        bytes: std::fs::read(format!("{folder}/{kind}-v1.cbor")).unwrap(),
    };
    let mut b = Bench::new();
    dev.restore(&mut b.ctx(), &old).unwrap();
    let next = dev.config_read(CAP_WINDOW).to_le_bytes()[1];
    assert_eq!((next, dev.config_read(CAP_MSI) & 0xFFFF), (CAP_MSI, 5));
    let saved = dev.save().unwrap();
    assert_eq!(saved.version, 2);
    let VirtioV2 { base, msi } = saved.decode::<VirtioV2<F::Saved>>().unwrap();
    assert_eq!(msi.pending, 0);
    // Nothing but the capability's registers has been added: without them it is the old state again.
    let again = Payload::encode(dev.name(), &base).unwrap();
    assert_eq!(again.bytes.len(), old.bytes.len() + ADDED_BYTES);
}

/// What the capability adds to a state of version 1 as it is encoded: its head is five bytes in place of a zero. The link to it
/// lies in a number that has five already.
const ADDED_BYTES: usize = 4;

/// A random access of the conformance suite, spread over configuration space and both base addresses.
pub(crate) fn pci_access(device: &mut dyn PciDevice, b: &mut Bench, a: Access) {
    let [low, high] = a.offset.to_le_bytes();
    let [select, ..] = a.value.to_le_bytes();
    let (bar, offset) = match (low ^ high) & 7 {
        0 | 1 => {
            let register = (u8::try_from(a.offset & 0x3F).unwrap() * 4).wrapping_add(select & 0x80);
            if a.write {
                device.config_write(&mut b.ctx(), register & 0xFC, a.value, u32::MAX);
            } else {
                let _ = device.config_read(register & 0xFC);
            }
            return;
        }
        2 => (MSIX_BAR, u64::from(a.offset) * 13 % 0x840),
        3..=5 => (REGISTER_BAR, u64::from(select % 0x40)),
        6 => (REGISTER_BAR, DEVICE_PAGE * PAGE + u64::from(select)),
        _ => (REGISTER_BAR, u64::from(a.offset) * 0x101),
    };
    let peeked = device.bar_peek(b.now, bar, offset, a.size);
    if a.write {
        device.bar_write(&mut b.ctx(), bar, offset, a.size, u64::from(a.value));
    } else {
        assert_eq!(
            device.bar_read(&mut b.ctx(), bar, offset, a.size),
            peeked,
            "peek and read differ at {bar}:{offset:#x}"
        );
    }
}
