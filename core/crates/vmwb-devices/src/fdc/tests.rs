//! Tests of the floppy controller.

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
            &[0x0F, 1, 20],
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

#[test]
fn format_of_every_size_gives_its_geometry_back() {
    let plain = [
        160, 180, 320, 360, 720, 800, 1200, 1440, 1600, 1680, 1920, 2880,
    ];
    let sizes = plain.map(|kib: u64| kib << 10).into_iter();
    // 82 and 83 cylinders of 18 and 21 sectors.
    let long = [(82, 18), (83, 18), (82, 21), (83, 21)].map(|(c, s): (u64, u64)| c * 2 * s * 512);
    let mut sizes = sizes.chain(long);
    assert!(sizes.all(|bytes| {
        FloppyFormat::of_size(bytes)
            .is_ok_and(|f| f.bytes() == bytes && DriveType::for_format(f).accepts(f))
    }));
}

#[test]
fn format_of_odd_size_is_refused_with_a_sentence() {
    let odd = [0, 1_000_000, 1_474_561, HD + 512, 4 << 20];
    assert!(odd.iter().all(|&bytes| {
        let sentence = format!("{bytes} bytes fits no PC format");
        FloppyFormat::of_size(bytes).is_err_and(|e| e.to_string().contains(&sentence))
    }));
    assert_eq!(FloppyFormat::of_size(1_296_384), FloppyFormat::of_size(HD));
}

#[test]
fn cmos_bytes_name_the_drives() {
    let drives = [DriveType::D1440K, DriveType::D1200K];
    assert_eq!(
        (cmos_drive_types(drives), cmos_equipment(drives)),
        (0x42, 0x41)
    );
    assert_eq!(cmos_equipment([DriveType::None; 2]), 0);
}

#[test]
fn reset_interrupts_once_and_four_senses_follow() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x18);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    r.wait();
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    let senses = [0; 5].map(|_| r.run(&[0x08]));
    let expected: [&[u8]; 5] = [&[0xC0, 0], &[0xC1, 0], &[0xC2, 0], &[0xC3, 0], &[0x80]];
    assert_eq!(senses, expected);
    assert_eq!(r.b.take_lines(), [(IRQ, false)]);
}

#[test]
fn senses_at_once_after_a_reset_are_answered() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x18);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    let senses = [0; 5].map(|_| {
        r.command(&[0x08]);
        r.result()[0]
    });
    assert_eq!(senses, [0xC0, 0xC1, 0xC2, 0xC3, 0x80]);
    r.b.take_lines();
    r.wait();
    assert_eq!(r.b.take_lines(), []);
}

#[test]
fn one_sense_after_reset_is_enough_for_the_next_command() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    r.wait();
    r.run(&[0x08]);
    r.b.take_lines();
    r.run(&[0x07, 0]);
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0x20, 0]);
    assert_eq!(r.run(&[0x08]), [0x80]);
}

#[test]
fn version_lock_configure_and_dumpreg_answer() {
    let (mut r, _) = Rig::hd();
    assert_eq!(r.run(&[0x10]), [0x90]);
    r.run(&[0x13, 0, 0x4A, 9]);
    r.run(&[0x03, 0xA1, 0x02]);
    r.run(&[0x12, 0x84]);
    assert_eq!(r.run(&[0x94]), [0x10]);
    assert_eq!(r.run(&[0x0E]), [0, 0, 0, 0, 0xA1, 2, 0, 0x84, 0x4A, 9]);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    // The lock keeps the FIFO's bits; implied seeks go off.
    assert_eq!(r.run(&[0x0E])[8..], [0x0A, 9]);
    assert_eq!(r.run(&[0x14]), [0x00]);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    assert_eq!(r.run(&[0x0E])[8..], [0x20, 0]);
}

/// Linux and NT switch polling off, and wait for the interrupt of the next reset all the same.
#[test]
fn reset_of_a_locked_controller_without_polling_interrupts() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x13, 0, 0x5A, 0]);
    assert_eq!(r.run(&[0x94]), [0x10]);
    r.b.take_lines();
    r.b.out(&mut r.fdc, DOR, 0x18);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    r.wait();
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0xC0, 0]);
    assert_eq!(r.run(&[0x0E])[8], 0x0A);
}

#[test]
fn last_cylinder_of_a_disk_with_83_is_read() {
    let disk = Disk::of(83 * 2 * 21 * 512);
    let mut r = Rig::with(DriveType::D1440K, disk.clone());
    r.seek(82);
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0xE6, 4, 82, 1, 21, 2, 21, 0x1B, 0xFF])[..3],
        [4, 0, 0]
    );
    assert_eq!(r.memory(512), disk.sector(83 * 42 - 1));
}

#[test]
fn unknown_commands_are_invalid_at_once() {
    let (mut r, _) = Rig::hd();
    let answers = [0x00, 0x11, 0x18, 0x1F, 0x27, 0x85 | 0x20].map(|c| r.run(&[c]));
    assert!(answers.iter().all(|a| a == &[0x80]));
}

#[test]
fn read_by_dma_ends_with_terminal_count() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 1024);
    let result = r.run(&[0xE6, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0, 0, 0, 0, 1, 1, 2]);
    assert_eq!(r.memory(1024), [disk.sector(16), disk.sector(17)].concat());
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false)]);
}

#[test]
fn read_over_both_sides_of_a_cylinder_goes_on_at_side_one() {
    let (mut r, disk) = Rig::hd();
    r.seek(3);
    r.program_dma(0x44, 36 * 512);
    let result = r.run(&[0xE6, 0, 3, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x04, 0, 0, 4, 0, 1, 2]);
    let expected: Vec<u8> = (108..144).flat_map(|n| disk.sector(n)).collect();
    assert_eq!(r.memory(36 * 512), expected);
}

#[test]
fn read_cut_short_by_terminal_count_counts_the_sector() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 100);
    let result = r.run(&[0xE6, 0, 0, 0, 5, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0, 0, 0, 0, 0, 6, 2]);
    assert_eq!(r.memory(101), [&disk.sector(4)[..100], &[0]].concat());
}

#[test]
fn read_without_terminal_count_ends_at_the_end_of_the_cylinder() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 4096);
    let result = r.run(&[0x46, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x40, 0x80, 0, 1, 0, 1, 2]);
}

#[test]
fn write_by_dma_reaches_the_disk_and_fills_with_zeros() {
    let (mut r, disk) = Rig::hd();
    let data = vec![0xA5; 600];
    r.b.memory
        .write(GuestAddress(0x1_0000), &data)
        .expect("RAM");
    r.program_dma(0x48, 600);
    let result = r.run(&[0xC5, 4, 0, 1, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x04, 0, 0, 0, 1, 3, 2]);
    assert_eq!(disk.sector(18), [0xA5; 512]);
    assert_eq!(disk.sector(19), [vec![0xA5; 88], vec![0; 424]].concat());
}

#[test]
fn write_to_a_protected_disk_is_refused() {
    let disk = Disk {
        read_only: true,
        ..Disk::of(HD)
    };
    let mut r = Rig::with(DriveType::D1440K, disk);
    assert_eq!(r.run(&[0x04, 0]), [0x78]);
    r.program_dma(0x48, 512);
    let result = r.run(&[0xC5, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x40, 0x02, 0, 0, 0, 1, 2]);
}

#[test]
fn transfer_without_dma_interrupts_for_each_byte() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.command(&[0x46, 0, 0, 0, 2, 2, 2, 0x1B, 0xFF]);
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xF0);
    let mut data = vec![r.b.inp(&mut r.fdc, FIFO)];
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false), (IRQ, true)]);
    data.extend((1..512).map(|_| r.b.inp(&mut r.fdc, FIFO)));
    assert_eq!(data, disk.sector(1));
    assert_eq!(r.result(), [0x40, 0x80, 0, 1, 0, 1, 2]);
}

/// The driver of a widely copied tutorial: SPECIFY says that there is no DMA, the channel is open all the same.
#[test]
fn open_dma_channel_moves_the_data_whatever_was_specified() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.program_dma(0x54, 9216);
    r.dma.transfer(&mut r.b.ctx(), 2, &mut r.fdc);
    r.b.take_lines();
    let result = r.run(&[0xE6, 0, 0, 0, 3, 2, 3, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x44, 0x80, 0]);
    assert_eq!(r.memory(512), disk.sector(2));
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false)]);
    // A verify transfer takes no data away from the processor.
    r.program_dma(0x40, 512);
    r.dma.transfer(&mut r.b.ctx(), 2, &mut r.fdc);
    r.command(&[0x46, 0, 0, 0, 3, 2, 3, 0x1B, 0xFF]);
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xF0);
}

#[test]
fn write_without_dma_takes_the_processors_bytes() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.run(&[0x45, 0, 0, 0, 2, 2, 2, 0x1B, 0xFF]);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xB0);
    r.command(&[0x77; 512]);
    r.wait();
    assert_eq!(disk.sector(1), [0x77; 512]);
    assert_eq!(r.result()[..2], [0x40, 0x80]);
}

#[test]
fn sector_or_cylinder_that_is_not_there_is_told_apart() {
    let (mut r, _) = Rig::hd();
    let missing = r.run(&[0x46, 0, 0, 0, 19, 2, 19, 0x1B, 0xFF]);
    assert_eq!(missing[..3], [0x40, 0x04, 0]);
    r.seek(3);
    let elsewhere = r.run(&[0x46, 0, 5, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(elsewhere[..3], [0x40, 0x04, 0x10]);
}

#[test]
fn data_rate_of_another_density_finds_no_mark() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DIR_CCR, 2);
    assert_eq!(r.run(&[0x4A, 0])[..3], [0x40, 0x01, 0]);
    r.b.out(&mut r.fdc, DIR_CCR, 0);
    assert_eq!(r.run(&[0x4A, 4])[..5], [0x04, 0, 0, 0, 1]);
}

#[test]
fn double_density_disk_in_a_high_density_drive_steps_twice() {
    let disk = Disk::of(368_640);
    let mut r = Rig::with(DriveType::D1200K, disk.clone());
    r.b.out(&mut r.fdc, DIR_CCR, 1);
    r.seek(20);
    assert_eq!(r.run(&[0x4A, 0])[3], 10);
    r.program_dma(0x44, 512);
    assert_eq!(r.run(&[0xE6, 0, 10, 0, 1, 2, 9, 0x1B, 0xFF])[0], 0);
    assert_eq!(r.memory(512), disk.sector(180));
}

#[test]
fn implied_seek_moves_the_head() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x13, 0, 0x60, 0]);
    r.program_dma(0x44, 512);
    assert_eq!(r.run(&[0xE6, 0, 40, 0, 1, 2, 18, 0x1B, 0xFF])[0], 0);
    assert_eq!(r.memory(512), disk.sector(40 * 36));
    assert_eq!(r.run(&[0x0E])[0], 40);
}

/// The driver that recalibrates and never seeks.
#[test]
fn every_cylinder_is_read_from_cylinder_0() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x07, 0]);
    r.run(&[0x08]);
    for cylinder in [7, 79, 1] {
        r.program_dma(0x44, 512);
        let result = r.run(&[0xE6, 0, cylinder, 0, 1, 2, 18, 0x1B, 0xFF]);
        assert_eq!(result, [0, 0, 0, cylinder, 0, 2, 2]);
        assert_eq!(r.memory(512), disk.sector(usize::from(cylinder) * 36));
    }
    let result = r.run(&[0xE6, 0, 80, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x40, 0x04, 0x10]);
    // Who has sought is taken at his word.
    r.seek(5);
    let result = r.run(&[0xE6, 0, 7, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x40, 0x04, 0x10]);
    assert_eq!(r.run(&[0x0E])[0], 5);
}

#[test]
fn seek_takes_its_steps_and_shows_the_drive_busy() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x02]);
    let start = r.b.now;
    r.command(&[0x0F, 0, 10]);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x81);
    assert_eq!(r.b.scheduler.next(), Some(start.plus(30_000_000)));
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    assert_eq!(r.run(&[0x08]), [0x20, 10]);
    let start = r.b.now;
    r.command(&[0x0F, 0, 79]);
    assert_eq!(r.b.scheduler.next(), Some(start.plus(60_000_000)));
    r.wait();
    r.run(&[0x08]);
    r.seek(10);
    assert_eq!(r.run(&[0x04, 0]), [0x28]);
    r.run(&[0xCF, 0, 5]);
    assert_eq!(r.run(&[0x08]), [0x20, 15]);
    r.run(&[0x07, 0]);
    assert_eq!(r.run(&[0x08]), [0x20, 0]);
    assert_eq!(r.run(&[0x04, 0]), [0x38]);
}

#[test]
fn two_seeks_interrupt_twice() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x0F, 0, 10]);
    r.command(&[0x0F, 1, 10]);
    r.wait();
    r.b.take_lines();
    assert_eq!(r.run(&[0x08]), [0x20, 10]);
    assert_eq!(r.b.take_lines(), [(IRQ, false), (IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0x21, 10]);
    assert_eq!(r.b.take_lines(), [(IRQ, false)]);
}

#[test]
fn recalibrate_of_a_drive_that_is_not_there_fails() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x07, 1]);
    assert_eq!(r.run(&[0x08]), [0x71, 0]);
}

#[test]
fn format_writes_the_filler_to_the_sectors_it_names() {
    let (mut r, disk) = Rig::hd();
    let ids: Vec<u8> = (1..=18).flat_map(|r| [0, 0, r, 2]).collect();
    r.b.memory.write(GuestAddress(0x1_0000), &ids).expect("RAM");
    r.program_dma(0x48, 72);
    let result = r.run(&[0x4D, 0, 2, 18, 0x54, 0xF6]);
    assert_eq!(result[..3], [0, 0, 0]);
    assert_eq!(
        (disk.sector(0), disk.sector(17)),
        (vec![0xF6; 512], vec![0xF6; 512])
    );
    assert_eq!(disk.sector(18), [18; 512]);
}

#[test]
fn format_to_another_geometry_fails() {
    let (mut r, _) = Rig::hd();
    let ids = [0, 0, 19, 2];
    r.b.memory.write(GuestAddress(0x1_0000), &ids).expect("RAM");
    r.program_dma(0x48, 4);
    assert_eq!(r.run(&[0x4D, 0, 2, 1, 0x54, 0xF6])[..2], [0x40, 0x04]);
}

#[test]
fn verify_moves_no_data_and_counts_sectors() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0x56, 0x80, 0, 0, 1, 2, 18, 0x1B, 4]),
        [0, 0, 0, 0, 0, 5, 2]
    );
    assert_eq!(
        r.run(&[0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0]
    );
    assert_eq!(r.memory(4), [0; 4]);
}

#[test]
fn read_track_starts_at_the_first_sector() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 18 * 512);
    assert_eq!(
        r.run(&[0x42, 0, 0, 0, 7, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0]
    );
    assert_eq!(r.memory(512), disk.sector(0));
}

#[test]
fn deleted_data_is_never_found() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0x4C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0x40]
    );
    assert_eq!(
        r.run(&[0x6C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..2],
        [0x40, 0x80]
    );
}

#[test]
fn broken_disk_is_a_data_error() {
    let disk = Disk {
        broken: true,
        ..Disk::of(HD)
    };
    let mut r = Rig::with(DriveType::D1440K, disk);
    assert_eq!(
        r.run(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0x40, 0x20, 0x20]
    );
}

#[test]
fn data_nobody_moves_is_an_overrun() {
    let (mut r, _) = Rig::hd();
    let early = r.run(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, OVERRUN_NS);
    let late = r.result();
    assert_eq!((early.len(), &late[..2]), (0, &[0x40, 0x10][..]));
}

#[test]
fn motor_off_or_empty_drive_finds_no_mark() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x0C);
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(NoMedium::default()));
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
}

#[test]
fn change_line_falls_with_a_step_once_a_disk_is_in() {
    let (mut r, _) = Rig::hd();
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0x80);
    r.seek(1);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(NoMedium::default()));
    r.seek(0);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0x80);
    let old = r
        .fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(Disk::of(737_280)));
    assert_eq!(old.info(), None);
    r.seek(1);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0);
    r.b.out(&mut r.fdc, DIR_CCR, 2);
    assert_eq!(r.run(&[0x4A, 0])[0], 0);
}

#[test]
fn disk_changed_under_a_write_is_not_written() {
    let (mut r, _) = Rig::hd();
    r.command(&[0xC5, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.fdc.dma_write(&mut r.b.ctx(), &[1; 100], false);
    let next = Disk::of(HD);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(next.clone()));
    assert_eq!(r.fdc.dma_write(&mut r.b.ctx(), &[1; 412], true), 0);
    assert_eq!(r.result()[..2], [0x40, 0x01]);
    assert_eq!(next.sector(0), [0; 512]);
}

#[test]
fn answer_from_before_a_reset_is_ignored() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    r.fdc.serve_replies(&mut r.b.ctx());
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    assert!(!r.fdc.dma_request());
}

#[test]
fn image_that_ends_early_reads_as_zeros_and_takes_no_write_behind_its_end() {
    let disk = Disk::of(HD - 512);
    let mut r = Rig::with(DriveType::D1440K, disk.clone());
    r.seek(79);
    r.b.memory
        .write(GuestAddress(0x1_0000), &[0x55; 1024])
        .expect("RAM");
    r.program_dma(0x44, 1024);
    let read = r.run(&[0xE6, 4, 79, 1, 17, 2, 18, 0x1B, 0xFF]);
    assert_eq!(read[..3], [0x04, 0, 0]);
    assert_eq!(r.memory(1024), [disk.sector(2878), vec![0; 512]].concat());
    r.program_dma(0x48, 512);
    let write = r.run(&[0xC5, 4, 79, 1, 18, 2, 18, 0x1B, 0xFF]);
    assert_eq!(write[..3], [0x44, 0x20, 0x20]);
}

#[test]
fn disk_of_odd_size_is_there_and_unreadable() {
    let mut r = Rig::with(DriveType::D1440K, Disk::of(HD + 512));
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
}

#[test]
fn saved_request_under_way_is_made_again() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 512);
    r.command(&[0x46, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    let saved = r.fdc.save().expect("saves");
    let mut other = Rig::with(DriveType::D1440K, disk.clone());
    other.dma = r.dma.clone();
    other
        .fdc
        .restore(&mut other.b.ctx(), &saved)
        .expect("restores");
    other.wait();
    assert_eq!(other.result()[0], 0);
    assert_eq!(other.memory(512), disk.sector(2));
}

#[test]
fn drain_leaves_nothing_under_way() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.fdc.drain(&mut r.b.ctx());
    assert_eq!(r.fdc.drives[0].backend.in_flight(), 0);
    assert_eq!(r.result()[..3], [0, 0, 0]);
}

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
