//! [`GuestMemory`]: bounds, page states, noted writes.

use std::fs::File;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use thiserror::Error;

use crate::address::{GuestAddress, PAGE_BYTES};
use crate::sys::Mapping;

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
}

/// What the processor has used a page for. Bits of one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageFlags(pub u8);

impl PageFlags {
    /// Instructions of this page are cached, decoded.
    pub const CODE: u8 = 1;
    /// This page was walked as a page table and translations from it are cached.
    pub const TABLE: u8 = 2;
}

/// A write by somebody else than the processor to a page that carries flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedWrite {
    /// Page number.
    pub page: u64,
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
    states: Box<[AtomicU8]>,
    noted: Mutex<Vec<NotedWrite>>,
    has_noted: AtomicBool,
}

impl GuestMemory {
    /// Makes `ram_bytes` of zeroed RAM (whole MiB, [`MIN_RAM_BYTES`] to [`MAX_RAM_BYTES`]).
    ///
    /// # Errors
    /// [`MemError::BadSize`], or [`MemError::Host`] when the host has no room.
    pub fn new(ram_bytes: u64) -> Result<Self, MemError> {
        if !(MIN_RAM_BYTES..=MAX_RAM_BYTES).contains(&ram_bytes)
            || !ram_bytes.is_multiple_of(1 << 20)
        {
            return Err(MemError::BadSize(ram_bytes));
        }
        let mut ranges = vec![RamRange {
            start: 0,
            end: ram_bytes.min(LOW_END),
        }];
        if ram_bytes > LOW_END {
            ranges.push(RamRange {
                start: HIGH_START,
                end: HIGH_START + (ram_bytes - LOW_END),
            });
        }
        let span = ranges.last().map_or(0, |r| r.end);
        let len = usize::try_from(span).map_err(|_| MemError::BadSize(ram_bytes))?;
        let pages = usize::try_from(span / PAGE_BYTES).map_err(|_| MemError::BadSize(ram_bytes))?;
        Ok(Self {
            map: Mapping::new(len)?,
            ram_bytes,
            ranges,
            states: (0..pages).map(|_| AtomicU8::new(0)).collect(),
            noted: Mutex::new(Vec::new()),
            has_noted: AtomicBool::new(false),
        })
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

    /// The memory file: offset = guest address.
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
        let offset = usize::try_from(page * PAGE_BYTES).ok()?;
        Some(self.map.base().wrapping_add(offset))
    }

    /// The page's state byte, `None` where there is no RAM.
    #[must_use]
    pub fn page_flags(&self, page: u64) -> Option<&AtomicU8> {
        self.states.get(usize::try_from(page).ok()?)
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

    /// Copies RAM into `out`.
    ///
    /// # Errors
    /// [`MemError::NotRam`] when any byte is not RAM; `out` is then unchanged.
    pub fn read(&self, addr: GuestAddress, out: &mut [u8]) -> Result<(), MemError> {
        let at = self.check(addr, out.len() as u64)?;
        self.map.copy_out(at, out);
        Ok(())
    }

    /// Copies `bytes` into RAM and notes the write where the processor has cached something from the page.
    ///
    /// # Errors
    /// [`MemError::NotRam`] when any byte is not RAM; nothing is then written.
    pub fn write(&self, addr: GuestAddress, bytes: &[u8]) -> Result<(), MemError> {
        let at = self.check(addr, bytes.len() as u64)?;
        self.map.copy_in(at, bytes);
        if !bytes.is_empty() {
            let last = addr.0 + (bytes.len() as u64 - 1);
            self.note(addr.page(), last / PAGE_BYTES);
        }
        Ok(())
    }

    /// Fills with zeros; whole pages go back to the host.
    ///
    /// # Errors
    /// As [`GuestMemory::write`].
    pub fn clear_all(&self) -> Result<(), MemError> {
        for r in &self.ranges {
            let (at, end) = (usize::try_from(r.start), usize::try_from(r.end));
            if let (Ok(at), Ok(end)) = (at, end) {
                self.map.punch(at, end - at)?;
            }
            self.note(r.start / PAGE_BYTES, (r.end - 1) / PAGE_BYTES);
        }
        Ok(())
    }

    fn note(&self, first: u64, last: u64) {
        for page in first..=last {
            let flagged = self
                .page_flags(page)
                .is_some_and(|s| s.load(Ordering::Relaxed) != 0);
            if flagged {
                self.noted
                    .lock()
                    .expect("no holder of this lock panics")
                    .push(NotedWrite { page });
                self.has_noted.store(true, Ordering::Release);
            }
        }
    }

    /// Takes the writes that were noted since the last call. Cheap when there are none.
    #[must_use]
    pub fn take_noted_writes(&self) -> Vec<NotedWrite> {
        if !self.has_noted.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut self.noted.lock().expect("no holder of this lock panics"))
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
mod tests {
    use super::*;

    #[test]
    fn new_size_out_of_range_is_refused() {
        let refused = [0, 1 << 20, (2 << 20) + 1, 10 << 40];
        assert!(
            refused
                .iter()
                .all(|&n| matches!(GuestMemory::new(n), Err(MemError::BadSize(_))))
        );
    }

    #[test]
    fn write_across_the_end_of_ram_is_refused_and_writes_nothing() {
        let m = GuestMemory::new(2 << 20).unwrap();
        assert!(m.write(GuestAddress((2 << 20) - 2), &[1, 2, 3]).is_err());
        assert_eq!(m.read_u32(GuestAddress((2 << 20) - 4)).unwrap(), 0);
    }

    #[test]
    fn legacy_window_is_not_ram() {
        let m = GuestMemory::new(2 << 20).unwrap();
        assert!(m.write(GuestAddress(0x9_FFFF), &[0, 0]).is_err());
        assert!(m.page_ptr(0xB8).is_none() && m.page_ptr(0xC0).is_some());
    }

    #[test]
    fn write_to_a_flagged_page_is_noted_once_taken() {
        let m = GuestMemory::new(2 << 20).unwrap();
        m.page_flags(0x100)
            .unwrap()
            .store(PageFlags::CODE, Ordering::Relaxed);
        m.write(GuestAddress(0xF_FFFF), &[1, 2]).unwrap();
        assert_eq!(m.take_noted_writes(), vec![NotedWrite { page: 0x100 }]);
        assert!(m.take_noted_writes().is_empty());
    }

    #[test]
    fn ram_above_three_gib_continues_at_four() {
        let m = GuestMemory::new(4 << 30).unwrap();
        m.write(
            GuestAddress(5 << 30)
                .checked_add(0)
                .map(|a| GuestAddress(a.0 - 8))
                .unwrap(),
            &[9; 8],
        )
        .unwrap();
        assert!(m.read_u64(GuestAddress(LOW_END)).is_err());
        assert_eq!(
            m.read_u64(GuestAddress((5 << 30) - 8)).unwrap(),
            0x0909_0909_0909_0909
        );
    }
}
