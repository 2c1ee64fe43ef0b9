//! The machine that a program runs on: a board with every device, and a clock that a program moves.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use vmwb_devices::vga::Vga;
use vmwb_display::Publisher;
use vmwb_hw::{
    AccessSize, BlockBackend, BlockError, BlockInfo, BlockReply, BlockRequest, CharBackend,
    GuestAddress, GuestMemory, Nanos, NullChar, PowerRequest, ResetKind,
};
use vmwb_snapshot::{Container, Payload};
use vmwb_x86::CpuBus;

use super::super::tests::Printed;
use super::super::{Board, BoardInput, Media};
use crate::clock::Clock;
use crate::mailbox::MediaChange;
use crate::regions::Regions;
use crate::spec::{
    BootSpec, DriveKind, DriveSlot, DriveSpec, ImageFormat, MachineSpec, VirtioSpec,
};
use crate::sys::next_data;

/// Most deadlines that are served one by one before time jumps: a guest may set timers of a nanosecond.
const MAX_DEADLINES: u32 = 500;
/// Most lines that a guest may bring into the log between two looks: unknown places, one of each virtio device, the button.
const MAX_MESSAGES: usize = 64;
const BIOS_BYTES: u64 = 128 << 10;
const FLOPPY_BYTES: usize = 1440 << 10;
const LATENCY_NS: u64 = 100_000;
/// Memory is looked through in pieces that every range of it is a multiple of.
const CHUNK_BYTES: usize = 1 << 16;

/// A medium in memory whose answers come after a fixed virtual time.
#[derive(Debug)]
struct Disk {
    bytes: Vec<u8>,
    read_only: bool,
    answers: VecDeque<(Nanos, BlockReply)>,
}

impl Disk {
    fn boxed(bytes: usize, read_only: bool) -> Box<dyn BlockBackend> {
        let bytes = (0..bytes).map(|n| n.to_le_bytes()[1]).collect();
        Box::new(Self {
            bytes,
            read_only,
            answers: VecDeque::new(),
        })
    }

    fn range(&mut self, offset: u64, len: u64) -> Result<&mut [u8], BlockError> {
        let start = usize::try_from(offset).unwrap();
        let end = usize::try_from(offset.checked_add(len).unwrap()).unwrap();
        self.bytes.get_mut(start..end).ok_or(BlockError::OutOfRange)
    }

    fn carry_out(&mut self, request: BlockRequest) -> Result<Vec<u8>, BlockError> {
        let writes = !matches!(request, BlockRequest::Read { .. } | BlockRequest::Flush);
        if writes && self.read_only {
            return Err(BlockError::ReadOnly);
        }
        match request {
            BlockRequest::Read { offset, len } => {
                self.range(offset, len.into()).map(|part| part.to_vec())
            }
            BlockRequest::Write { offset, data } => {
                let part = self.range(offset, data.len() as u64)?;
                part.copy_from_slice(&data);
                Ok(Vec::new())
            }
            BlockRequest::Flush => Ok(Vec::new()),
            BlockRequest::Discard { offset, len } | BlockRequest::WriteZeroes { offset, len } => {
                self.range(offset, len)?.fill(0);
                Ok(Vec::new())
            }
        }
    }
}

impl BlockBackend for Disk {
    fn info(&self) -> Option<BlockInfo> {
        Some(BlockInfo {
            bytes: self.bytes.len() as u64,
            read_only: self.read_only,
        })
    }

    fn submit(&mut self, now: Nanos, tag: u64, request: BlockRequest) {
        let result = self.carry_out(request);
        let due = now.plus(LATENCY_NS);
        self.answers.push_back((due, BlockReply { tag, result }));
        assert!(self.answers.len() <= vmwb_hw::MAX_IN_FLIGHT);
    }

    fn take_reply(&mut self, now: Nanos) -> Option<BlockReply> {
        self.answers.front().filter(|(due, _)| *due <= now)?;
        self.wait_reply()
    }

    fn in_flight(&self) -> usize {
        self.answers.len()
    }

    fn next_reply(&self) -> Option<Nanos> {
        self.answers.front().map(|(due, _)| *due)
    }

    fn wait_reply(&mut self) -> Option<BlockReply> {
        self.answers.pop_front().map(|(_, reply)| reply)
    }
}

fn spec() -> MachineSpec {
    let drive = |slot: DriveSlot, kind| DriveSpec {
        slot: slot.to_string(),
        kind,
        formats: vec![ImageFormat::Raw],
        read_only: false,
    };
    MachineSpec {
        cpus: 2,
        deterministic: true,
        boot: BootSpec::Firmware {
            order: Vec::new(),
            menu: false,
            menu_wait_ms: 0,
            append: String::new(),
        },
        serial_ports: 4,
        drives: vec![
            drive(DriveSlot::Ide(0), DriveKind::Disk),
            drive(DriveSlot::Ide(1), DriveKind::Cdrom),
            drive(DriveSlot::Ide(2), DriveKind::Cdrom),
            drive(DriveSlot::Floppy(0), DriveKind::Floppy),
            drive(DriveSlot::Floppy(1), DriveKind::Floppy),
            drive(DriveSlot::Virtio(0), DriveKind::Disk),
            drive(DriveSlot::Virtio(1), DriveKind::Disk),
        ],
        virtio: VirtioSpec {
            rng: true,
            balloon: true,
            input: true,
            console: true,
        },
        debug_exit_port: Some(0x501),
        ..MachineSpec::new("fuzz", 4, "")
    }
}

fn media() -> Media {
    Media::from([
        (DriveSlot::Ide(0), Disk::boxed(1 << 20, false)),
        (DriveSlot::Ide(1), Disk::boxed(300 << 10, true)),
        (DriveSlot::Floppy(0), Disk::boxed(FLOPPY_BYTES, false)),
        (DriveSlot::Floppy(1), Disk::boxed(FLOPPY_BYTES, true)),
        (DriveSlot::Virtio(0), Disk::boxed(1 << 20, false)),
        (DriveSlot::Virtio(1), Disk::boxed(64 << 10, true)),
    ])
}

fn memory(spec: &MachineSpec) -> (Arc<GuestMemory>, Regions) {
    let regions = Regions::of(spec, Some(BIOS_BYTES));
    let memory = Arc::new(GuestMemory::with_regions(spec.ram_bytes(), regions.specs()).unwrap());
    let at = GuestAddress((1 << 32) - BIOS_BYTES);
    memory.place(regions.bios.unwrap(), Some(at)).unwrap();
    (memory, regions)
}

fn board(
    spec: &MachineSpec,
    (memory, regions): (&Arc<GuestMemory>, &Regions),
    printed: &Printed,
    media: Media,
) -> Board {
    let chars = || Box::new(printed.clone()) as Box<dyn CharBackend>;
    let input = BoardInput {
        serial: (0..spec.serial_ports).map(|_| chars()).collect(),
        console: Some(chars()),
        debug_console: Box::new(NullChar),
        start_unix_s: 946_684_800,
        ram: (spec.ram_bytes(), 0),
        media,
        vga: Some(Vga::new(Arc::clone(memory), regions.video.unwrap(), vec![0x55; 4096]).unwrap()),
        kernel: Vec::new(),
    };
    let clock = Clock::deterministic(1_000_000_000);
    let mut board = Board::new(spec, Arc::clone(memory), clock, input);
    board.assume_deadlines(Instant::now());
    board
}

/// The state of everything, part by part.
pub type State = Vec<Payload>;

/// The names of the parts that differ, with their content.
pub fn differences(a: &State, b: &State) -> Vec<String> {
    let both = a.iter().zip(b).filter(|(a, b)| a != b);
    let text = |p: &Payload| String::from_utf8_lossy(&p.bytes).escape_debug().to_string();
    both.map(|(a, b)| format!("{}: {} {}", a.name, text(a), text(b)))
        .collect()
}

/// A board, and what it has led to.
#[derive(Debug)]
pub struct Pc {
    spec: MachineSpec,
    memory: Arc<GuestMemory>,
    pub board: Board,
    /// Instructions retired: the virtual time in nanoseconds.
    pub now: u64,
    pub printed: Printed,
    publisher: Publisher,
    /// The processor whose turn it is, which the machine saves, not its board.
    current: usize,
    restores: bool,
    /// The states that were saved on the way, and at the end.
    pub states: Vec<State>,
}

impl Pc {
    pub fn new(restores: bool) -> Self {
        let spec = spec();
        spec.validate().unwrap();
        let (memory, regions) = memory(&spec);
        let printed = Printed::default();
        let board = board(&spec, (&memory, &regions), &printed, media());
        Self {
            spec,
            memory,
            board,
            now: 0,
            printed,
            publisher: Publisher::new().unwrap(),
            current: 0,
            restores,
            states: Vec::new(),
        }
    }

    /// One instruction of the guest has done what it did: what the driver does then.
    fn settle(&mut self) {
        self.now += 1;
        let _ = self.board.attention();
        while self.board.take_signal(self.now).is_some() {}
        assert!(self.board.take_messages().len() <= MAX_MESSAGES);
        let _ = self.board.take_ejected();
        let _ = self.board.pointer_is_absolute();
        let _ = self.board.speaker_hz(self.now);
        match self.board.take_power_request() {
            Some(PowerRequest::Reset) => self.board.reset(ResetKind::Hard, self.now),
            Some(PowerRequest::Sleep) => self.board.sleep(self.now),
            _ => {}
        }
    }

    pub fn out(&mut self, port: u16, size: AccessSize, value: u32) {
        self.board.pio_write(port, size, value, self.now);
        self.settle();
    }

    pub fn outb(&mut self, port: u16, value: u8) {
        self.out(port, AccessSize::Byte, value.into());
    }

    pub fn input(&mut self, port: u16, size: AccessSize) -> u32 {
        let value = self.board.pio_read(port, size, self.now);
        self.settle();
        value
    }

    pub fn write(&mut self, at: u64, size: AccessSize, value: u64) {
        // The processor reaches RAM by itself.
        let bytes = &value.to_le_bytes()[..usize::try_from(size.bytes()).unwrap()];
        if self.memory.write(GuestAddress(at), bytes).is_err() {
            self.board
                .mmio_write(GuestAddress(at), size, value, self.now);
        }
        self.settle();
    }

    pub fn read(&mut self, at: u64, size: AccessSize) {
        let _ = self.board.peek(GuestAddress(at), size, self.now);
        self.board.mmio_read(GuestAddress(at), size, self.now);
        self.settle();
    }

    /// Puts bytes into memory, as far as there is any.
    pub fn poke(&mut self, at: u64, bytes: &[u8]) {
        for (n, byte) in (0..).zip(bytes) {
            let at = GuestAddress(at.wrapping_add(n));
            let _ = self.memory.write(at, &[*byte]);
        }
    }

    pub fn config(&mut self, device: u32, register: u8, value: u32) {
        self.select(device, register);
        self.out(0xCFC, AccessSize::Dword, value);
    }

    pub fn select(&mut self, device: u32, register: u8) {
        let address = 0x8000_0000 | device << 8 | u32::from(register);
        self.out(0xCF8, AccessSize::Dword, address);
    }

    /// Where a base address of a device points, and whether it is one of ports.
    pub fn bar(&mut self, device: u32, bar: u8) -> (u64, bool) {
        self.select(device, 0x10 + 4 * bar);
        let value = self.input(0xCFC, AccessSize::Dword);
        let io = value & 1 != 0;
        (u64::from(value & if io { !3 } else { !15 }), io)
    }

    /// Reads or writes behind a base address.
    pub fn behind(
        &mut self,
        (base, io): (u64, bool),
        at: u64,
        size: AccessSize,
        value: Option<u64>,
    ) {
        // There are no ports of eight bytes.
        let size = if io {
            size.min(AccessSize::Dword)
        } else {
            size
        };
        match (io, value) {
            (true, Some(value)) => {
                let port = u16::try_from((base + at) & 0xFFFF).unwrap();
                self.out(port, size, u32::try_from(value & 0xFFFF_FFFF).unwrap());
            }
            (true, None) => {
                self.input(u16::try_from((base + at) & 0xFFFF).unwrap(), size);
            }
            (false, Some(value)) => self.write(base + at, size, value),
            (false, None) => self.read(base + at, size),
        }
    }

    /// Lets time pass, with the deadlines in it.
    pub fn pass(&mut self, ns: u64) {
        let end = self.now + ns;
        for _ in 0..MAX_DEADLINES {
            let Some(at) = self.board.next_deadline().filter(|at| at.0 <= end) else {
                break;
            };
            self.now = self.now.max(at.0) + 1;
            self.board.serve_deadlines(self.now);
            let next = self.board.next_deadline();
            assert!(next.is_none_or(|next| next.0 > self.now), "{next:?}");
        }
        self.now = self.now.max(end);
        self.board.serve_deadlines(self.now);
        self.settle();
    }

    pub fn change_medium(&mut self, slot: DriveSlot, bytes: Option<usize>, force: bool) {
        let medium: Box<dyn BlockBackend> = match bytes {
            Some(bytes) => Disk::boxed(bytes, true),
            None => Box::new(vmwb_hw::NoMedium::default()),
        };
        let change = MediaChange {
            slot,
            medium,
            force,
        };
        // Refused where the guest has locked the tray, or where no floppy has this size.
        let _ = self.board.change_medium(change, self.now);
        self.settle();
    }

    pub fn picture(&mut self) {
        self.publisher.publish(self.board.vga_mut().unwrap());
        self.settle();
    }

    pub fn set_current(&mut self, processor: usize) {
        self.current = processor;
        self.board.set_current(processor);
    }

    pub fn acknowledge(&mut self) {
        let pending = self.board.interrupt_pending();
        let vector = self.board.acknowledge_interrupt(self.now);
        assert!(vector.is_none() || pending);
        let _ = self.board.take_nmi();
        self.settle();
    }

    /// Saves; a program that restores goes on with a new board on new memory.
    pub fn save(&mut self) {
        let mut saved = Container::new();
        self.board.save(self.now, &mut saved).unwrap();
        self.states.push(parts(&saved));
        if !self.restores {
            return;
        }
        let (memory, regions) = memory(&self.spec);
        each_chunk(&self.memory, |at, bytes| {
            memory.load_state(at, bytes).unwrap();
        });
        let media = self.board.take_media();
        let mut again = board(&self.spec, (&memory, &regions), &self.printed, media);
        again.restore(self.now, &mut saved.clone()).unwrap();
        again.set_current(self.current);
        (self.board, self.memory) = (again, memory);
        self.publisher.invalidate();
        let mut second = Container::new();
        self.board.save(self.now, &mut second).unwrap();
        assert_eq!(differences(&parts(&saved), &parts(&second)), [""; 0]);
    }

    /// The end of a program: what is under way comes to rest.
    pub fn finish(&mut self) {
        self.pass(10_000_000);
        self.picture();
        let mut saved = Container::new();
        self.board.save(self.now, &mut saved).unwrap();
        self.states.push(parts(&saved));
    }

    pub fn memory_hash(&self) -> u64 {
        let mut hash = 0;
        each_chunk(&self.memory, |at, bytes| {
            let (words, _) = bytes.as_chunks::<8>();
            hash = words.iter().fold(hash ^ at, |hash: u64, word| {
                (hash.rotate_left(5) ^ u64::from_le_bytes(*word))
                    .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            });
        });
        hash
    }
}

fn parts(saved: &Container) -> State {
    let mut saved = saved.clone();
    let (index, _) = Container::read_index(&saved.to_bytes().unwrap()).unwrap();
    let names = index.entries.iter().map(|entry| &entry.name);
    names.map(|name| saved.take(name).unwrap()).collect()
}

/// Hands over what a machine's memory holds, without the pieces that are empty.
fn each_chunk(memory: &GuestMemory, mut take: impl FnMut(u64, &[u8])) {
    let mut chunk = vec![0; CHUNK_BYTES];
    for range in memory.state_ranges() {
        let mut at = range.start;
        while let Some((data, _)) = next_data(memory.file(), at).unwrap() {
            at = at.max(data - data % CHUNK_BYTES as u64);
            if at >= range.end {
                break;
            }
            memory.file().read_exact_at(&mut chunk, at).unwrap();
            if chunk.iter().any(|&b| b != 0) {
                take(at, &chunk);
            }
            at += CHUNK_BYTES as u64;
        }
    }
}
