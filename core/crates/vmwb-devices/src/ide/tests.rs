use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use super::regs::{self, BSY, DEV, DRDY, DRQ, DSC, ERR, LBA, command as c};
use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::{BlockError, BlockInfo, BlockReply, BlockRequest, GuestAddress, NoMedium, TimerId};

mod cdrom;
mod disk;
mod dma;
mod random;

const BASE: u16 = 0xC000;

/// A medium in memory: its content, what was asked of it, and how it answers.
#[derive(Debug, Default)]
struct Store {
    bytes: Arc<Vec<u8>>,
    read_only: bool,
    requests: Vec<BlockRequest>,
    answers: VecDeque<BlockReply>,
    /// Answers are kept back.
    held: bool,
    /// Answers are kept back for so many looks.
    looks: usize,
    /// The next answers are these errors.
    errors: VecDeque<BlockError>,
    /// Writes change nothing, so that two copies of a machine see the same.
    frozen: bool,
}

/// What media of so many sectors hold at first, made once: the conformance tests build thousands of drives.
fn content(sectors: usize) -> Arc<Vec<u8>> {
    static MADE: Mutex<BTreeMap<usize, Arc<Vec<u8>>>> = Mutex::new(BTreeMap::new());
    let byte = |i: usize| ((i / 512) * 7 + i % 251).to_le_bytes()[0];
    let make = || Arc::new((0..sectors * 512).map(byte).collect());
    let mut made = MADE.lock().unwrap();
    Arc::clone(made.entry(sectors).or_insert_with(make))
}

#[derive(Debug, Clone, Default)]
struct Medium(Arc<Mutex<Store>>);

impl Medium {
    /// Sectors of 512 bytes, each filled with numbers of its own.
    fn of_sectors(sectors: usize) -> Self {
        Self(Arc::new(Mutex::new(Store {
            bytes: content(sectors),
            ..Store::default()
        })))
    }

    fn store(&self) -> std::sync::MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }

    fn sector(&self, at: usize) -> Vec<u8> {
        self.store().bytes[at * 512..(at + 1) * 512].to_vec()
    }

    fn range(&self, at: usize, bytes: usize) -> Vec<u8> {
        self.store().bytes[at..at + bytes].to_vec()
    }
}

impl Store {
    fn carry_out(&mut self, request: &BlockRequest) -> Result<Vec<u8>, BlockError> {
        if let Some(error) = self.errors.pop_front() {
            return Err(error);
        }
        let total = self.bytes.len() as u64;
        let span = |offset: u64, len: u64| {
            let end = offset.checked_add(len).filter(|&end| end <= total);
            let end = end.ok_or(BlockError::OutOfRange)?;
            Ok(usize::try_from(offset).unwrap()..usize::try_from(end).unwrap())
        };
        match request {
            BlockRequest::Read { offset, len } => {
                Ok(self.bytes[span(*offset, u64::from(*len))?].to_vec())
            }
            BlockRequest::Write { offset, data } => {
                let at = span(*offset, data.len() as u64)?;
                if self.read_only {
                    return Err(BlockError::ReadOnly);
                }
                if !self.frozen {
                    Arc::make_mut(&mut self.bytes)[at].copy_from_slice(data);
                }
                Ok(Vec::new())
            }
            BlockRequest::Flush => Ok(Vec::new()),
            BlockRequest::Discard { offset, len } | BlockRequest::WriteZeroes { offset, len } => {
                let at = span(*offset, *len)?;
                if !self.frozen {
                    Arc::make_mut(&mut self.bytes)[at].fill(0);
                }
                Ok(Vec::new())
            }
        }
    }
}

impl BlockBackend for Medium {
    fn info(&self) -> Option<BlockInfo> {
        let store = self.store();
        Some(BlockInfo {
            bytes: store.bytes.len() as u64,
            read_only: store.read_only,
        })
    }

    fn submit(&mut self, _now: Nanos, tag: u64, request: BlockRequest) {
        let mut store = self.store();
        let result = store.carry_out(&request);
        store.requests.push(request);
        store.answers.push_back(BlockReply { tag, result });
    }

    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        let mut store = self.store();
        if store.held || store.looks > 0 {
            store.looks = store.looks.saturating_sub(1);
            return None;
        }
        store.answers.pop_front()
    }

    fn in_flight(&self) -> usize {
        self.store().answers.len()
    }

    fn next_reply(&self) -> Option<Nanos> {
        None
    }

    fn wait_reply(&mut self) -> Option<BlockReply> {
        self.store().answers.pop_front()
    }
}

fn disk_identity() -> DiskIdentity {
    DiskIdentity {
        serial: "VM0001".to_owned(),
        firmware: "1.0".to_owned(),
        model: "VMWB HARDDISK".to_owned(),
        geometry: None,
    }
}

fn cd_identity() -> CdIdentity {
    CdIdentity {
        serial: "VM0002".to_owned(),
        firmware: "1.0".to_owned(),
        model: "VMWB DVD-ROM".to_owned(),
        vendor: "VMWB".to_owned(),
        product: "DVD-ROM".to_owned(),
    }
}

fn disk(medium: &Medium) -> Option<Drive> {
    Some(Drive::Disk(disk_identity(), Box::new(medium.clone())))
}

fn cd(medium: &Medium) -> Option<Drive> {
    Some(Drive::CdRom(cd_identity(), Box::new(medium.clone())))
}

fn controller(bench: &mut Bench, drives: [Option<Drive>; UNITS]) -> Ide {
    let mut ide = Ide::new("ide", [IrqLine(14), IrqLine(15)], drives);
    ide.set_up(&mut bench.ctx(), BASE);
    ide
}

/// A machine with a controller, accessed as by a guest.
struct Rig {
    b: Bench,
    ide: Ide,
}

impl Rig {
    fn new(drives: [Option<Drive>; UNITS]) -> Self {
        let mut b = Bench::new();
        let ide = controller(&mut b, drives);
        Self { b, ide }
    }

    fn with_disk(medium: &Medium) -> Self {
        Self::new([disk(medium), None, None, None])
    }

    fn out(&mut self, offset: u16, value: u8) {
        self.b.out(&mut self.ide, offset, value);
    }

    fn inp(&mut self, offset: u16) -> u8 {
        self.b.inp(&mut self.ide, offset)
    }

    /// Status without clearing the interrupt.
    fn alt(&mut self) -> u8 {
        self.inp(regs::CONTROL)
    }

    fn interrupts(&mut self) -> usize {
        let lines = self.b.take_lines();
        lines.iter().filter(|&&line| line == (14, true)).count()
    }

    fn command28(&mut self, code: u8, first: u32, count: u8) {
        let [a, b, c, d] = first.to_le_bytes();
        self.out(regs::DEVICE, LBA | d);
        self.out(regs::COUNT, count);
        self.out(3, a);
        self.out(4, b);
        self.out(5, c);
        self.out(regs::STATUS_COMMAND, code);
    }

    fn command48(&mut self, code: u8, first: u64, count: u16) {
        let a = first.to_le_bytes();
        let [low, high] = count.to_le_bytes();
        self.out(regs::DEVICE, LBA);
        for (register, value) in [(2, high), (3, a[3]), (4, a[4]), (5, a[5])] {
            self.out(register, value);
        }
        for (register, value) in [(2, low), (3, a[0]), (4, a[1]), (5, a[2])] {
            self.out(register, value);
        }
        self.out(regs::STATUS_COMMAND, code);
    }

    fn word(&mut self) -> u16 {
        let value = self.ide.pio_read(&mut self.b.ctx(), 0, AccessSize::Word);
        u16::try_from(value).unwrap()
    }

    fn data(&mut self, bytes: usize) -> Vec<u8> {
        (0..bytes / 2)
            .flat_map(|_| self.word().to_le_bytes())
            .collect()
    }

    fn send(&mut self, data: &[u8]) {
        for pair in data.chunks(2) {
            let value = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
            let ctx = &mut self.b.ctx();
            self.ide.pio_write(ctx, 0, AccessSize::Word, value);
        }
    }

    fn identify(&mut self, code: u8) -> Vec<u16> {
        self.out(regs::STATUS_COMMAND, code);
        assert_eq!(self.inp(7) & (BSY | DRQ | ERR), DRQ);
        (0..256).map(|_| self.word()).collect()
    }

    fn bm_read(&mut self, offset: u64) -> u8 {
        let ctx = &mut self.b.ctx();
        let value = self.ide.bar_read(ctx, 4, offset, AccessSize::Byte);
        u8::try_from(value).unwrap()
    }

    fn bm_write(&mut self, offset: u64, size: AccessSize, value: u64) {
        let ctx = &mut self.b.ctx();
        self.ide.bar_write(ctx, 4, offset, size, value);
    }

    /// A table at 1000h with these regions (address, count as in the entry); the last one ends it.
    fn table(&mut self, regions: &[(u32, u16)]) {
        for (i, &(address, count)) in regions.iter().enumerate() {
            let end = if i + 1 == regions.len() { 0x8000 } else { 0 };
            let entry = u64::from(address) | u64::from(count) << 32 | end << 48;
            let at = GuestAddress(0x1000 + 8 * i as u64);
            self.b.memory.write(at, &entry.to_le_bytes()).unwrap();
        }
        self.bm_write(4, AccessSize::Dword, 0x1000);
    }

    fn start_master(&mut self, direction: u8) {
        let value = u64::from(regs::BM_START | direction);
        self.bm_write(0, AccessSize::Byte, value);
    }

    fn memory(&self, at: u64, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        self.b.memory.read(GuestAddress(at), &mut out).unwrap();
        out
    }

    fn serve(&mut self) {
        self.ide.serve_replies(&mut self.b.ctx());
    }
}

struct Worked;

fn frozen(sectors: usize) -> Medium {
    let medium = Medium::of_sectors(sectors);
    medium.store().frozen = true;
    medium
}

impl Subject for Worked {
    type Dev = Ide;

    fn build(bench: &mut Bench) -> Ide {
        let _ = bench;
        Ide::new(
            "ide",
            [IrqLine(14), IrqLine(15)],
            [
                disk(&frozen(4096)),
                None,
                cd(&frozen(401)),
                disk(&frozen(64)),
            ],
        )
    }

    fn mutate(ide: &mut Ide, b: &mut Bench) {
        ide.set_up(&mut b.ctx(), BASE);
        let mut rig = |offset: u16, value: u8| b.out(ide, offset, value);
        for (register, value) in [(6, LBA | 1), (2, 3), (3, 9), (4, 0), (5, 0), (6, LBA)] {
            rig(register, value);
        }
        rig(regs::STATUS_COMMAND, c::READ_SECTORS);
        // The CD drive is in the middle of a command packet.
        rig(0x16, 0);
        rig(0x14, 0x34);
        rig(0x17, c::PACKET);
        ide.bar_write(&mut b.ctx(), 4, 4, AccessSize::Dword, 0x1234_5670);
        ide.bar_write(&mut b.ctx(), 4, 10, AccessSize::Byte, 0x60);
        let _ = ide.pio_read(&mut b.ctx(), 0, AccessSize::Dword);
    }

    fn access(ide: &mut Ide, b: &mut Bench, a: Access) {
        let [_, choice, low, high] = a.value.to_le_bytes();
        let on_second = Access {
            offset: a.offset | 0x10,
            ..a
        };
        match choice & 7 {
            0 if a.write => ide.bar_write(
                &mut b.ctx(),
                4,
                u64::from(low & 15),
                a.size,
                u64::from(a.value),
            ),
            0 => {
                let peeked = ide.bar_peek(b.now, 4, u64::from(low), a.size);
                let read = ide.bar_read(&mut b.ctx(), 4, u64::from(low), a.size);
                assert_eq!(peeked, read);
            }
            1 if a.write && high < 32 => {
                ide.config_write(&mut b.ctx(), low & 0xFC, a.value, u32::MAX);
            }
            2 => ide.set_up(&mut b.ctx(), BASE),
            3 | 4 => pio_access(ide, b, on_second),
            _ => pio_access(ide, b, a),
        }
    }

    fn deadline(_ide: &mut Ide, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conformance_tests, Worked);
