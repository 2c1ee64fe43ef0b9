//! Display memory: a Video region of guest memory, which the processor also reaches past this device, through base
//! address 0. A plane's byte n lies at byte `4 n + plane`: one word holds the same place of all four planes.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory, MemError, RegionId, RegionKind};

/// Bytes of a page, the grain of what has changed.
const PAGE_BYTES: u64 = vmwb_mem::PAGE_BYTES;
/// Least display memory: the four planes.
pub(super) const MIN_BYTES: u64 = 256 << 10;
/// Most display memory.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// Why an adapter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VgaError {
    /// There is no such region.
    #[error("the display adapter has no memory: {0}")]
    Memory(#[from] MemError),
    /// A region of the wrong kind or size.
    #[error(
        "a display adapter needs a Video region of a power of two from 256 KiB to 64 MiB, not {bytes} bytes of {kind:?}"
    )]
    BadVideoMemory {
        /// Length in bytes.
        bytes: u64,
        /// Kind of region.
        kind: RegionKind,
    },
    /// A ROM of the wrong size.
    #[error("a display adapter's ROM has at most {max} bytes, not {0}", max = super::pci::MAX_ROM_BYTES)]
    BadRom(usize),
}

/// The memory. Places wrap at its end, a power of two.
#[derive(Debug, Clone)]
pub(super) struct Vram {
    memory: Arc<GuestMemory>,
    region: RegionId,
    bytes: u64,
}

impl Vram {
    pub(super) fn new(memory: Arc<GuestMemory>, region: RegionId) -> Result<Self, VgaError> {
        let (kind, _, bytes) = memory.region(region)?;
        let fits = bytes.is_power_of_two() && (MIN_BYTES..=MAX_BYTES).contains(&bytes);
        if !fits || kind != RegionKind::Video {
            return Err(VgaError::BadVideoMemory { bytes, kind });
        }
        Ok(Self {
            memory,
            region,
            bytes,
        })
    }

    /// Length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the processor see the memory at a guest address, or nowhere.
    pub(super) fn place(&self, at: Option<u32>) {
        let at = at.map(|base| GuestAddress(u64::from(base)));
        self.memory
            .place(self.region, at)
            .expect("a base address is a multiple of the region's size below 4 GiB");
    }

    /// One byte of each plane.
    pub(super) fn word(&self, address: u32) -> u32 {
        let mut bytes = [0; 4];
        self.read(u64::from(address) * 4, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    /// Writes one byte of each plane, where it differs.
    pub(super) fn set_word(&self, address: u32, old: u32, new: u32) {
        if old != new {
            self.write(u64::from(address) * 4, &new.to_le_bytes());
        }
    }

    /// Copies bytes out.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        let mut rest = out;
        let mut at = offset & (self.bytes - 1);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at_mut(self.until_end(at, rest.len()));
            self.memory
                .region_read(self.region, at, part)
                .expect("inside the region");
            (at, rest) = (0, behind);
        }
    }

    /// Copies bytes in.
    pub(super) fn write(&self, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset & (self.bytes - 1);
        while !rest.is_empty() {
            let (part, behind) = rest.split_at(self.until_end(at, rest.len()));
            self.memory
                .region_write(self.region, at, part)
                .expect("inside the region");
            (at, rest) = (0, behind);
        }
    }

    /// Clears the first `len` bytes.
    pub(super) fn clear(&self, len: u64) {
        let zeros = [0; 4096];
        let len = len.min(self.bytes);
        for at in (0..len).step_by(zeros.len()) {
            let n = usize::try_from((len - at).min(PAGE_BYTES)).expect("at most a page");
            self.write(at, &zeros[..n]);
        }
    }

    /// How many of `len` bytes from `at` on lie before the end.
    fn until_end(&self, at: u64, len: usize) -> usize {
        usize::try_from(self.bytes - at).map_or(len, |n| n.min(len))
    }

    /// Adds the pages that were written since the last call, by whomever.
    pub(super) fn take_dirty(&self, pages: &mut PageSet) {
        self.memory
            .take_dirty(self.region, |page| pages.insert(page))
            .expect("the region is there");
    }
}

/// Pages of display memory as a set.
#[derive(Debug, Clone)]
pub(super) struct PageSet {
    words: Box<[u64]>,
    any: bool,
}

impl PageSet {
    /// An empty set of the pages of `bytes` of memory.
    pub(super) fn new(bytes: u64) -> Self {
        let words = usize::try_from(bytes / PAGE_BYTES)
            .expect("at most 64 MiB")
            .div_ceil(64);
        Self {
            words: vec![0; words].into_boxed_slice(),
            any: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    fn insert(&mut self, page: u64) {
        let word = usize::try_from(page / 64)
            .ok()
            .and_then(|n| self.words.get_mut(n));
        if let Some(word) = word {
            *word |= 1 << (page % 64);
            self.any = true;
        }
    }

    pub(super) fn clear(&mut self) {
        if self.any {
            self.words.fill(0);
            self.any = false;
        }
    }

    /// Whether a page of bytes `first` to `last` is in the set; places wrap at the memory's end.
    pub(super) fn touches(&self, first: u64, last: u64) -> bool {
        let count = self.words.len() as u64 * 64;
        (first / PAGE_BYTES..=last / PAGE_BYTES)
            .map(|page| page % count)
            .any(|page| {
                let word = usize::try_from(page / 64).map_or(0, |n| self.words[n]);
                word >> (page % 64) & 1 != 0
            })
    }
}
