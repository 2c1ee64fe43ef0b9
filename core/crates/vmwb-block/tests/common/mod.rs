//! What the tests of images share: a file in memory that loses power or fails, and a model of a medium.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use vmwb_block::qcow2::{self, CreateOptions};
use vmwb_block::{HostFile, Image, ImageError, ImageFormat, Layer};

pub const SECTOR: usize = 512;

/// A small generator of pseudo-random numbers (xorshift64*): a seed is a run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// Below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn index(&mut self, bound: usize) -> usize {
        usize::try_from(self.below(bound as u64)).unwrap()
    }
}

/// What was asked of a file since the last sync.
#[derive(Debug, Clone)]
enum Pending {
    Write(usize, Vec<u8>),
    Punch(usize, usize),
    Size(usize),
}

fn apply(content: &mut Vec<u8>, change: &Pending) {
    match change {
        Pending::Write(at, data) => {
            if content.len() < at + data.len() {
                content.resize(at + data.len(), 0);
            }
            content[*at..at + data.len()].copy_from_slice(data);
        }
        Pending::Punch(at, len) => {
            let end = (at + len).min(content.len());
            if *at < end {
                content[*at..end].fill(0);
            }
        }
        Pending::Size(len) => content.resize(*len, 0),
    }
}

/// How a file fails.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// Changes (writes, syncs, sizes) that succeed before.
    pub after: u64,
    /// How many fail from there on.
    pub times: u64,
    /// The host's error.
    pub error: i32,
    /// Half of a write that fails is done.
    pub short: bool,
    /// Syncs fail too, not only writes.
    pub syncs: bool,
}

#[derive(Debug, Default)]
struct State {
    content: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
    fault: Option<Fault>,
    changes: u64,
}

impl State {
    fn change(&mut self, change: Pending) {
        apply(&mut self.content, &change);
        self.pending.push(change);
    }

    /// The error of this change, if it is to fail.
    fn fails(&mut self, sync: bool) -> Option<Fault> {
        let fault = self.fault?;
        if sync && !fault.syncs {
            return None;
        }
        self.changes += 1;
        (self.changes > fault.after && self.changes <= fault.after + fault.times).then_some(fault)
    }
}

/// The longest file that there is room for.
const MAX_BYTES: u64 = 64 << 20;

/// A file in memory. Clones are the same file.
#[derive(Debug, Clone, Default)]
pub struct SimFile(Arc<Mutex<State>>);

impl SimFile {
    pub fn new(content: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(State {
            durable: content.clone(),
            content,
            ..State::default()
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn content(&self) -> Vec<u8> {
        self.state().content.clone()
    }

    pub fn fail(&self, fault: Option<Fault>) {
        let mut state = self.state();
        state.fault = fault;
        state.changes = 0;
    }

    /// Changes since the last call of [`SimFile::fail`].
    pub fn changes(&self) -> u64 {
        self.state().changes
    }

    /// What may be on the disk after a power cut now: what was synced, and of everything later a random part, writes
    /// torn at sectors.
    pub fn cut(&self, random: &mut Random) -> Vec<u8> {
        let state = self.state();
        let mut disk = state.durable.clone();
        // From nothing to everything arrives, and now and then only sectors of some writes.
        let share = random.below(5);
        for change in &state.pending {
            match change {
                Pending::Write(at, data) => {
                    let tear = random.below(3) == 0;
                    let whole = random.below(4) < share;
                    let mut from = 0;
                    while from < data.len() {
                        let to = ((at + from) / SECTOR * SECTOR + SECTOR - at).min(data.len());
                        let arrives = if tear { random.below(2) == 0 } else { whole };
                        if arrives {
                            apply(
                                &mut disk,
                                &Pending::Write(at + from, data[from..to].to_vec()),
                            );
                        }
                        from = to;
                    }
                }
                other => {
                    if random.below(4) < share {
                        apply(&mut disk, other);
                    }
                }
            }
        }
        disk
    }
}

impl HostFile for SimFile {
    fn size_bytes(&self) -> io::Result<u64> {
        Ok(self.state().content.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        out.fill(0);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(there) = state.content.get(from..) {
            let len = there.len().min(out.len());
            out[..len].copy_from_slice(&there[..len]);
        }
        Ok(())
    }

    fn append_at(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let start = out.len();
        out.resize(start + len, 0);
        self.read_at(offset, &mut out[start..])
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if offset + data.len() as u64 > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut state = self.state();
        let at = usize::try_from(offset).unwrap();
        if let Some(fault) = state.fails(false) {
            if fault.short {
                // Whole sectors: no disk tears one.
                let half = data.len() / 2 / SECTOR * SECTOR;
                state.change(Pending::Write(at, data[..half].to_vec()));
            }
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        state.change(Pending::Write(at, data.to_vec()));
        Ok(())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        if bytes > MAX_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut state = self.state();
        if let Some(fault) = state.fails(false) {
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        state.change(Pending::Size(usize::try_from(bytes).unwrap()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        if let Some(fault) = state.fails(true) {
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        let State {
            durable, pending, ..
        } = &mut *state;
        for change in pending.drain(..) {
            apply(durable, &change);
        }
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        let (at, len) = (
            usize::try_from(offset).unwrap(),
            usize::try_from(len).unwrap(),
        );
        let mut state = self.state();
        if let Some(fault) = state.fails(false) {
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        state.change(Pending::Punch(at, len));
        Ok(())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        let state = self.state();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = state.content.get(from..).unwrap_or_default();
        Ok(rest
            .iter()
            .position(|&byte| byte != 0)
            .map(|at| (from + at) as u64))
    }

    fn claim(&self, _write: bool) -> io::Result<()> {
        Ok(())
    }
}

pub fn layer(format: ImageFormat, file: &SimFile) -> Layer {
    Layer {
        format,
        file: Box::new(file.clone()),
    }
}

/// Opens a qcow2 image without another below it.
pub fn open(file: &SimFile) -> Result<Image, ImageError> {
    Image::open(vec![layer(ImageFormat::Qcow2, file)], false)
}

/// A new qcow2 image.
pub fn new_image(bytes: u64, options: &CreateOptions) -> SimFile {
    let file = SimFile::default();
    qcow2::create(&file, bytes, options).unwrap();
    file
}

pub fn content(image: &mut Image) -> Vec<u8> {
    let mut all = vec![];
    let len = usize::try_from(image.bytes()).unwrap();
    image.read(0, len, &mut all).unwrap();
    all
}

/// One request of a guest.
#[derive(Debug, Clone)]
pub enum Op {
    Write { sector: u64, sectors: u64, fill: u8 },
    Zero { sector: u64, sectors: u64 },
    Discard { sector: u64, sectors: u64 },
    Read { sector: u64, sectors: u64 },
    Flush,
}

impl Op {
    /// A random request on a medium of so many sectors.
    pub fn random(random: &mut Random, sectors: u64) -> Self {
        let longest = [1, 8, 64, 400][random.index(4)];
        let sector = random.below(sectors);
        let len = 1 + random.below(longest.min(sectors - sector));
        match random.below(16) {
            0..=8 => Self::Write {
                sector,
                sectors: len,
                fill: 1 + u8::try_from(random.below(255)).unwrap(),
            },
            9 => Self::Zero {
                sector,
                sectors: len,
            },
            10 | 11 => Self::Discard {
                sector,
                sectors: len,
            },
            12 | 13 => Self::Read {
                sector,
                sectors: len,
            },
            _ => Self::Flush,
        }
    }
}

/// Data of a write: every sector differs.
pub fn data(sector: u64, sectors: u64, fill: u8) -> Vec<u8> {
    (sector..sector + sectors)
        .flat_map(|s| {
            let mark = u8::try_from(s % 251).unwrap();
            let mut one = vec![fill; SECTOR];
            one[..8].copy_from_slice(&s.to_le_bytes());
            one[SECTOR - 1] = mark;
            one
        })
        .collect()
}

/// Carries a request out.
pub fn carry_out(image: &mut Image, op: &Op) -> Result<Vec<u8>, ImageError> {
    let bytes = |sectors: u64| sectors * SECTOR as u64;
    let mut read = vec![];
    match *op {
        Op::Write {
            sector,
            sectors,
            fill,
        } => image.write(bytes(sector), &data(sector, sectors, fill))?,
        Op::Zero { sector, sectors } => image.write_zeroes(bytes(sector), bytes(sectors))?,
        Op::Discard { sector, sectors } => image.discard(bytes(sector), bytes(sectors))?,
        Op::Read { sector, sectors } => {
            let len = usize::try_from(bytes(sectors)).unwrap();
            image.read(bytes(sector), len, &mut read)?;
        }
        Op::Flush => image.flush()?,
    }
    Ok(read)
}

/// The sectors that an operation changes.
pub fn changed(op: &Op) -> std::ops::Range<usize> {
    match *op {
        Op::Write {
            sector, sectors, ..
        }
        | Op::Zero { sector, sectors }
        | Op::Discard { sector, sectors } => {
            usize::try_from(sector).unwrap()..usize::try_from(sector + sectors).unwrap()
        }
        _ => 0..0,
    }
}

/// Layouts that differ in everything that matters.
pub fn layouts() -> Vec<CreateOptions> {
    let layout = |cluster_bytes, refcount_bits, version| CreateOptions {
        cluster_bytes,
        refcount_bits,
        version,
        ..CreateOptions::default()
    };
    vec![
        layout(512, 64, 3),
        layout(512, 1, 3),
        layout(1024, 16, 2),
        layout(4096, 2, 3),
        layout(4096, 32, 3),
        layout(65536, 16, 3),
    ]
}
