//! [`GuestMemory`]: bounds, copies, the file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

use crate::address::{GuestAddress, PAGE_BYTES};
use crate::layout::{Layout, RegionKind, RegionSpec};
use crate::sys::{Mapping, zeroed_words};
use crate::watch::{Notes, PageFlags};

/// Least RAM of a machine, in bytes: 2 MiB.
pub const MIN_RAM_BYTES: u64 = 2 << 20;
/// Most RAM of a machine, in bytes: 64 GiB.
pub const MAX_RAM_BYTES: u64 = 64 << 30;

const LOW_END: u64 = 3 << 30;
const HIGH_START: u64 = 4 << 30;
const LEGACY_WINDOW: std::ops::Range<u64> = 0xA_0000..0xC_0000;

/// Why guest memory could not be made or reached.
#[derive(Debug, Error)]
pub enum MemError {
    /// The size is out of range.
    #[error(
        "a machine needs between 2 MiB and 64 GiB of memory, in whole MiB; {0} bytes were asked for"
    )]
    BadSize(u64),
    /// The host refused.
    #[error("the host gave no memory for the guest: {0}")]
    Host(#[from] io::Error),
    /// The range is not RAM.
    #[error("guest address {addr} with {len} bytes is not inside the guest's RAM")]
    NotRam {
        /// First byte.
        addr: GuestAddress,
        /// Length in bytes.
        len: u64,
    },
    /// More regions than there may be.
    #[error("a machine has at most {max} regions of memory beside RAM, not {0}", max = crate::layout::MAX_REGIONS)]
    TooManyRegions(usize),
    /// A region has no whole pages, or too many.
    #[error("a region of memory has whole pages, at most 64 MiB; {0} bytes were asked for")]
    BadRegionSize(u64),
    /// There is no such region.
    #[error("there is no region {0} of memory")]
    NoSuchRegion(usize),
    /// A part that a region does not have.
    #[error("region {id} of memory ends before offset {offset:#x} with {len} bytes")]
    OutsideRegion {
        /// Which region.
        id: usize,
        /// First byte in it.
        offset: u64,
        /// Length in bytes.
        len: u64,
    },
    /// A write to a ROM.
    #[error("region {0} of memory is a ROM")]
    ReadOnlyRegion(usize),
    /// A ROM is needed.
    #[error("region {0} of memory is not a ROM")]
    NotRom(usize),
    /// A region cannot lie there.
    #[error("a region of memory cannot start at {0}: it needs a page's first address, below 2^52")]
    BadPlace(GuestAddress),
}

/// One range of RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RamRange {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
}

/// The guest's RAM. Shared between the vCPU, devices and loaders by `Arc`.
#[derive(Debug)]
pub struct GuestMemory {
    map: Mapping,
    ram_bytes: u64,
    ranges: Vec<RamRange>,
    pub(crate) low_pages: Range<u64>,
    pub(crate) high_pages: Range<u64>,
    pub(crate) layout: Layout,
    pub(crate) states: Box<[AtomicU32]>,
    pub(crate) notes: Notes,
}

impl GuestMemory {
    /// Makes `ram_bytes` of zeroed RAM (whole MiB, [`MIN_RAM_BYTES`] to [`MAX_RAM_BYTES`]) and nothing beside it.
    ///
    /// # Errors
    /// [`MemError::BadSize`], or [`MemError::Host`] when the host has no room.
    pub fn new(ram_bytes: u64) -> Result<Self, MemError> {
        Self::with_regions(ram_bytes, &[])
    }

    /// Makes RAM and, beside it, zeroed regions of memory, which are nowhere in the guest's address space until they are
    /// placed there.
    ///
    /// # Errors
    /// As [`GuestMemory::new`]; [`MemError::TooManyRegions`], [`MemError::BadRegionSize`].
    pub fn with_regions(ram_bytes: u64, regions: &[RegionSpec]) -> Result<Self, MemError> {
        if !(MIN_RAM_BYTES..=MAX_RAM_BYTES).contains(&ram_bytes)
            || !ram_bytes.is_multiple_of(1 << 20)
        {
            return Err(MemError::BadSize(ram_bytes));
        }
        let low = RamRange {
            start: 0,
            end: ram_bytes.min(LOW_END),
        };
        let mut ranges = vec![low];
        if ram_bytes > LOW_END {
            ranges.push(RamRange {
                start: HIGH_START,
                end: HIGH_START + (ram_bytes - LOW_END),
            });
        }
        let layout = Layout::new(regions, low.end / PAGE_BYTES)?;
        let ram_end = ranges.last().map_or(0, |r| r.end);
        let span = ram_end.max(layout.end().unwrap_or(0) * PAGE_BYTES);
        let len = usize::try_from(span).map_err(|_| MemError::BadSize(ram_bytes))?;
        let pages = usize::try_from(span / PAGE_BYTES).map_err(|_| MemError::BadSize(ram_bytes))?;
        let memory = Self {
            map: Mapping::new(len)?,
            ram_bytes,
            low_pages: 0..low.end / PAGE_BYTES,
            high_pages: HIGH_START / PAGE_BYTES..ram_end.max(HIGH_START) / PAGE_BYTES,
            ranges,
            layout,
            states: zeroed_words(pages),
            notes: Notes::new(),
        };
        if let Some(ones) = memory.layout.ones() {
            memory.copy_in_and_note(ones * PAGE_BYTES, &[0xFF; 4096])?;
        }
        memory.set_clean();
        Ok(memory)
    }

    /// Marks the pages of all Video regions as not written.
    fn set_clean(&self) {
        for page in self.layout.pages_of(RegionKind::Video).flatten() {
            if let Some(s) = self.page_flags(page) {
                s.fetch_or(PageFlags::CLEAN, Ordering::Relaxed);
            }
        }
    }

    /// RAM in bytes, without holes.
    #[must_use]
    pub fn ram_bytes(&self) -> u64 {
        self.ram_bytes
    }

    /// The ranges of RAM, ascending; the legacy display window lies inside the first.
    #[must_use]
    pub fn ranges(&self) -> &[RamRange] {
        &self.ranges
    }

    /// The memory file: offset = guest address for RAM; regions lie between low and high RAM.
    #[must_use]
    pub fn file(&self) -> &File {
        self.map.file()
    }

    /// Whether the page is RAM.
    #[must_use]
    pub fn is_ram_page(&self, page: u64) -> bool {
        let Some(addr) = page.checked_mul(PAGE_BYTES) else {
            return false;
        };
        !LEGACY_WINDOW.contains(&addr)
            && self.ranges.iter().any(|r| (r.start..r.end).contains(&addr))
    }

    /// Host address of the first byte of a RAM page, `None` where there is no RAM. The pointer is valid for 4,096 bytes
    /// and as long as this value lives; who writes through it keeps the rules of the page's flags.
    #[must_use]
    pub fn page_ptr(&self, page: u64) -> Option<*mut u8> {
        if !self.is_ram_page(page) {
            return None;
        }
        self.backing_ptr(page)
    }

    /// As [`GuestMemory::page_ptr`], for a backing page, as [`GuestMemory::view`] gives them.
    #[inline]
    #[must_use]
    pub fn backing_ptr(&self, backing: u64) -> Option<*mut u8> {
        let known = self.low_pages.contains(&backing)
            || self.layout.holds(backing)
            || self.high_pages.contains(&backing);
        if !known {
            return None;
        }
        let offset = usize::try_from(backing * PAGE_BYTES).ok()?;
        Some(self.map.base().wrapping_add(offset))
    }

    /// One past the largest number of a backing page.
    #[must_use]
    pub fn backing_pages(&self) -> u64 {
        self.states.len() as u64
    }

    fn check(&self, addr: GuestAddress, len: u64) -> Result<usize, MemError> {
        let refuse = || MemError::NotRam { addr, len };
        let end = addr.0.checked_add(len).ok_or_else(refuse)?;
        let overlaps_window = len > 0 && addr.0 < LEGACY_WINDOW.end && end > LEGACY_WINDOW.start;
        if overlaps_window
            || !self
                .ranges
                .iter()
                .any(|r| addr.0 >= r.start && end <= r.end)
        {
            return Err(refuse());
        }
        usize::try_from(addr.0).map_err(|_| refuse())
    }

    /// The parts of a transfer that is not RAM as a whole: file offset and length of each page's, in order.
    fn parts(
        &self,
        addr: GuestAddress,
        len: u64,
        write: bool,
    ) -> Result<Vec<(u64, u64)>, MemError> {
        let refuse = || MemError::NotRam { addr, len };
        let end = addr.0.checked_add(len).ok_or_else(refuse)?;
        let mut parts = Vec::new();
        let mut at = addr.0;
        while at < end {
            let here = GuestAddress(at);
            let backing = if self.is_ram_page(here.page()) {
                Some(here.page())
            } else {
                self.layout.transfer_page(here.page(), write)
            };
            let n = (PAGE_BYTES - here.page_offset()).min(end - at);
            let backing = backing.ok_or_else(refuse)?;
            parts.push((backing * PAGE_BYTES + here.page_offset(), n));
            at += n;
        }
        Ok(parts)
    }

    pub(crate) fn copy_out_at(&self, offset: u64, out: &mut [u8]) -> Result<(), MemError> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.map.copy_out(at, out);
        Ok(())
    }

    pub(crate) fn copy_in_and_note(&self, offset: u64, bytes: &[u8]) -> Result<(), MemError> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        self.map.copy_in(at, bytes);
        if !bytes.is_empty() {
            let last = offset + (bytes.len() as u64 - 1);
            self.note(offset / PAGE_BYTES, last / PAGE_BYTES);
        }
        Ok(())
    }

    /// Copies guest memory into `out`: RAM (of C0000h to FFFFFh always the RAM, whatever is shadowed), and regions where they
    /// are placed.
    ///
    /// # Errors
    /// [`MemError::NotRam`] when any byte is not memory; `out` is then unchanged.
    pub fn read(&self, addr: GuestAddress, out: &mut [u8]) -> Result<(), MemError> {
        let len = out.len() as u64;
        if let Ok(at) = self.check(addr, len) {
            self.map.copy_out(at, out);
            return Ok(());
        }
        let mut rest = out;
        for (offset, n) in self.parts(addr, len, false)? {
            let (part, behind) = rest.split_at_mut(usize::try_from(n).map_err(io::Error::other)?);
            self.copy_out_at(offset, part)?;
            rest = behind;
        }
        Ok(())
    }

    /// Copies `bytes` into guest memory, RAM or a Video region where it is placed, and notes the write where the processor
    /// has cached something from the page.
    ///
    /// # Errors
    /// [`MemError::NotRam`] when any byte cannot be written; nothing is then written.
    pub fn write(&self, addr: GuestAddress, bytes: &[u8]) -> Result<(), MemError> {
        let len = bytes.len() as u64;
        if self.check(addr, len).is_ok() {
            return self.copy_in_and_note(addr.0, bytes);
        }
        let mut rest = bytes;
        for (offset, n) in self.parts(addr, len, true)? {
            let (part, behind) = rest.split_at(usize::try_from(n).map_err(io::Error::other)?);
            self.copy_in_and_note(offset, part)?;
            rest = behind;
        }
        Ok(())
    }

    /// Ranges of the memory file that belong to a machine's state, in bytes, ascending and apart: RAM with what lies behind the
    /// display window, and Video regions.
    #[must_use]
    pub fn state_ranges(&self) -> Vec<RamRange> {
        let regions = self.layout.pages_of(RegionKind::Video).map(|p| RamRange {
            start: p.start * PAGE_BYTES,
            end: p.end * PAGE_BYTES,
        });
        let mut all: Vec<RamRange> = self.ranges.iter().copied().chain(regions).collect();
        all.sort_by_key(|r| r.start);
        let mut joined: Vec<RamRange> = Vec::new();
        for r in all {
            match joined.last_mut() {
                Some(last) if last.end == r.start => last.end = r.end,
                _ => joined.push(r),
            }
        }
        joined
    }

    /// Writes a part of a saved state to its place in the memory file.
    ///
    /// # Errors
    /// [`MemError::NotRam`] when it does not lie inside one of [`GuestMemory::state_ranges`]; nothing is then written.
    pub fn load_state(&self, offset: u64, bytes: &[u8]) -> Result<(), MemError> {
        let len = bytes.len() as u64;
        let end = offset.checked_add(len);
        let fits = |r: &RamRange| offset >= r.start && end.is_some_and(|end| end <= r.end);
        if !self.state_ranges().iter().any(fits) {
            let addr = GuestAddress(offset);
            return Err(MemError::NotRam { addr, len });
        }
        self.copy_in_and_note(offset, bytes)
    }

    /// Fills RAM and Video regions with zeros; whole pages go back to the host.
    ///
    /// # Errors
    /// [`MemError::Host`].
    pub fn clear_all(&self) -> Result<(), MemError> {
        let ram = self
            .ranges
            .iter()
            .map(|r| r.start / PAGE_BYTES..r.end / PAGE_BYTES);
        for pages in ram.chain(self.layout.pages_of(RegionKind::Video)) {
            let at = usize::try_from(pages.start * PAGE_BYTES).map_err(io::Error::other)?;
            let end = usize::try_from(pages.end * PAGE_BYTES).map_err(io::Error::other)?;
            self.map.punch(at, end - at)?;
            self.note(pages.start, pages.end - 1);
        }
        Ok(())
    }

    /// Gives `pages` pages from page `first` back to the host; they read as zeros afterwards.
    ///
    /// # Errors
    /// As [`GuestMemory::write`]; [`MemError::Host`] when the host refuses.
    pub fn discard(&self, first: u64, pages: u64) -> Result<(), MemError> {
        let addr = GuestAddress(first.saturating_mul(PAGE_BYTES));
        let len = pages.saturating_mul(PAGE_BYTES);
        let at = self.check(addr, len)?;
        let bytes = usize::try_from(len).map_err(|_| MemError::NotRam { addr, len })?;
        if bytes > 0 {
            self.map.punch(at, bytes)?;
            self.note(first, first + (pages - 1));
        }
        Ok(())
    }

    /// Reads a little-endian 64-bit value.
    ///
    /// # Errors
    /// [`MemError::NotRam`].
    pub fn read_u64(&self, addr: GuestAddress) -> Result<u64, MemError> {
        let mut b = [0; 8];
        self.read(addr, &mut b)?;
        Ok(u64::from_le_bytes(b))
    }

    /// Reads a little-endian 32-bit value.
    ///
    /// # Errors
    /// [`MemError::NotRam`].
    pub fn read_u32(&self, addr: GuestAddress) -> Result<u32, MemError> {
        let mut b = [0; 4];
        self.read(addr, &mut b)?;
        Ok(u32::from_le_bytes(b))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
