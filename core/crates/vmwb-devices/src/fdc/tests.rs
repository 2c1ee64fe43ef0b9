//! Tests of the floppy controller: what they share, every device's, and random bytes.

mod commands;
mod formats;
mod heads;
mod transfers;
mod trouble;

mod drivers;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use vmwb_hw::{BlockError, BlockInfo, BlockRequest, GuestAddress};

use super::regs::OVERRUN_NS;
use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::dma::Dma;
use crate::testbench::Bench;

const IRQ: u8 = 6;
const HD: u64 = 1_474_560;

/// A disk in memory that answers at once.
#[derive(Debug, Clone)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    read_only: bool,
    broken: bool,
    replies: VecDeque<BlockReply>,
}

impl Disk {
    fn of(bytes: u64) -> Self {
        let sectors = bytes / u64::from(SECTOR_BYTES);
        let image = (0..sectors).flat_map(|n| [n.to_le_bytes()[0]; SECTOR_BYTES as usize]);
        Self {
            bytes: Arc::new(Mutex::new(image.collect())),
            read_only: false,
            broken: false,
            replies: VecDeque::new(),
        }
    }

    fn sector(&self, n: usize) -> Vec<u8> {
        let size = SECTOR_BYTES as usize;
        self.bytes.lock().expect("no test panics with it")[n * size..][..size].to_vec()
    }

    fn answer(&mut self, request: BlockRequest) -> Result<Vec<u8>, BlockError> {
        let mut bytes = self.bytes.lock().expect("no test panics with it");
        let at = |offset: u64| usize::try_from(offset).expect("small");
        match request {
            _ if self.broken => Err(BlockError::Host("scratched".to_owned())),
            BlockRequest::Read { offset, len } => Ok(bytes[at(offset)..][..len as usize].to_vec()),
            BlockRequest::Write { offset, data } => {
                bytes[at(offset)..][..data.len()].copy_from_slice(&data);
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }
}

impl BlockBackend for Disk {
    fn info(&self) -> Option<BlockInfo> {
        let bytes = self.bytes.lock().expect("no test panics with it").len();
        Some(BlockInfo {
            bytes: bytes as u64,
            read_only: self.read_only,
        })
    }
    fn submit(&mut self, _now: Nanos, tag: u64, request: BlockRequest) {
        let result = self.answer(request);
        self.replies.push_back(BlockReply { tag, result });
    }
    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        self.replies.pop_front()
    }
    fn in_flight(&self) -> usize {
        self.replies.len()
    }
    fn next_reply(&self) -> Option<Nanos> {
        None
    }
    fn wait_reply(&mut self) -> Option<BlockReply> {
        self.replies.pop_front()
    }
}

/// A controller with DMA on a bench, as the board joins them.
struct Rig {
    b: Bench,
    fdc: Fdc,
    dma: Dma,
}

impl Rig {
    fn with(kind: DriveType, disk: Disk) -> Self {
        let mut b = Bench::new();
        let [_, none] = no_drives();
        let fdc = Fdc::new(b.timer(), IrqLine(IRQ), [(kind, Box::new(disk)), none]);
        let mut rig = Self {
            b,
            fdc,
            dma: Dma::new(),
        };
        rig.b.out(&mut rig.fdc, DOR, 0x1C);
        rig.wait();
        for _ in 0..4 {
            rig.command(&[0x08]);
            rig.result();
        }
        rig.b.out(&mut rig.fdc, DIR_CCR, 0);
        rig.b.take_lines();
        rig
    }

    fn hd() -> (Self, Disk) {
        let disk = Disk::of(HD);
        (Self::with(DriveType::D1440K, disk.clone()), disk)
    }

    fn command(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.b.out(&mut self.fdc, FIFO, byte);
        }
    }

    /// Lets everything happen that needs no processor: deadlines, replies, DMA.
    fn wait(&mut self) {
        let end = self.b.now.plus(400_000_000);
        loop {
            self.fdc.serve_replies(&mut self.b.ctx());
            self.dma.transfer(&mut self.b.ctx(), 2, &mut self.fdc);
            let busy = self.fdc.drives.iter().any(|d| d.backend.in_flight() != 0);
            match self.b.scheduler.next().filter(|&due| due <= end) {
                _ if busy => {}
                Some(due) => self.b.run_until(&mut self.fdc, due),
                None => break,
            }
        }
    }

    fn result(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.b.inp(&mut self.fdc, MSR_DSR) & 0xD0 == 0xD0 {
            bytes.push(self.b.inp(&mut self.fdc, FIFO));
        }
        bytes
    }

    /// Programs DMA channel 2 for `bytes` at 10000h.
    fn program_dma(&mut self, mode: u8, bytes: u16) {
        let [low, high] = (bytes - 1).to_le_bytes();
        let writes = [
            (0x0C, 0),
            (0x04, 0),
            (0x04, 0),
            (0x05, low),
            (0x05, high),
            (0x0B, mode | 2),
            (0x31, 1),
            (0x0A, 2),
        ];
        for (offset, value) in writes {
            self.b.out(&mut self.dma, offset, value);
        }
    }

    fn run(&mut self, command: &[u8]) -> Vec<u8> {
        self.command(command);
        self.wait();
        self.result()
    }

    fn seek(&mut self, cylinder: u8) {
        self.run(&[0x0F, 0, cylinder]);
        self.run(&[0x08]);
    }

    fn memory(&self, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        let at = GuestAddress(0x1_0000);
        self.b.memory.read(at, &mut out).expect("RAM");
        out
    }
}

struct FdcSubject;

impl Subject for FdcSubject {
    type Dev = Fdc;
    fn build(b: &mut Bench) -> Fdc {
        let disk = |bytes| Box::new(Disk::of(bytes)) as Box<dyn BlockBackend>;
        let drives = [
            (DriveType::D1440K, disk(HD)),
            (DriveType::D1200K, disk(368_640)),
        ];
        Fdc::new(b.timer(), IrqLine(IRQ), drives)
    }
    fn mutate(f: &mut Fdc, b: &mut Bench) {
        for (offset, value) in [(DOR, 0x3C), (TDR, 1), (DIR_CCR, 0)] {
            b.out(f, offset, value);
        }
        b.run_for(f, 1_000_000);
        let commands: [&[u8]; 6] = [
            &[0x94],
            &[0x13, 0, 0x47, 3],
            &[0x12, 0x85],
            &[0x03, 0xDF, 0x02],
            &[0x0F, 5, 20],
            &[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF],
        ];
        for byte in commands.concat() {
            b.out(f, FIFO, byte);
        }
        // READ DATA alone has results; LOCK's is read before the next command.
        let _ = b.inp(f, FIFO);
        for byte in commands[1..].concat() {
            b.out(f, FIFO, byte);
        }
        b.run_for(f, 1_000_000);
        f.serve_replies(&mut b.ctx());
        f.dma_read(&mut b.ctx(), &mut [0; 100], false);
    }
    fn access(f: &mut Fdc, b: &mut Bench, a: Access) {
        let [value, kind, len, how] = a.value.to_le_bytes();
        // Half of the accesses feed whole commands of the kinds that exist, else random bytes find none.
        if kind & 1 == 0 {
            let first =
                [0x46, 0xE6, 0xC5, 0x4D, 0x4A, 0x0F, 0x07, 0x08, 0xF6, 0x42][usize::from(len % 10)];
            let args = [
                how & 1,
                how >> 7,
                how >> 6 & 1,
                1 + (value & 7),
                2,
                4,
                0x1B,
                value,
            ];
            b.out(f, FIFO, first);
            for &arg in &args[..command::length(first) - 1] {
                b.out(f, FIFO, arg);
            }
        }
        let mut data = [value; 700];
        let data = &mut data[..usize::from(len) * 2];
        let _ = f.dma_read(&mut b.ctx(), data, how & 2 != 0);
        let _ = f.dma_write(&mut b.ctx(), data, how & 2 != 0);
        pio_access(f, b, a);
        f.serve_replies(&mut b.ctx());
    }
    fn deadline(f: &mut Fdc, b: &mut Bench, timer: TimerId) {
        f.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, FdcSubject);

proptest! {
    /// Whatever the guest writes: buffers stay bounded, and a reset always gives the command phase back.
    #[test]
    fn random_bytes_never_leave_the_bounds(
        bytes in prop::collection::vec((any::<u8>(), 0u8..8), 1..400),
    ) {
        let (mut r, _) = Rig::hd();
        for (value, kind) in bytes {
            match kind {
                0 => r.wait(),
                1 => drop(r.b.inp(&mut r.fdc, FIFO)),
                2 => r.program_dma(0x44 + (value & 0x3C), 700),
                _ => r.b.out(&mut r.fdc, FIFO, value),
            }
            let bounded = match &r.fdc.state.phase {
                Phase::Command(bytes) => bytes.len() < 9,
                Phase::Execution(t) => t.buffer.len() <= 512,
                Phase::Result(bytes, read) => bytes.len() <= 10 && *read < bytes.len(),
            };
            prop_assert!(bounded);
        }
        r.b.out(&mut r.fdc, DOR, 0x18);
        r.b.out(&mut r.fdc, DOR, 0x1C);
        prop_assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    }
}
