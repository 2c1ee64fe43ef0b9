//! What lies where in the guest-physical address space besides RAM: regions of memory of their own, the programmable
//! attribute map of the chipset, address line 20.
//!
//! Everything here is one lookup, [`GuestMemory::view`]: from a page as the processor addresses it to the *backing page*,
//! the page of the memory file that stands there now. What the processor caches it caches by backing page, so that moving a
//! region or opening the shadow RAM throws translations away, and nothing else.
//!
//! ```text
//! memory file:  | RAM below 4 GiB | region 0 | region 1 | ... | a page of ones |   | RAM above 4 GiB |
//! ```
//!
//! Every method takes `&self`: devices change the layout through their context while the machine runs. All of it happens on
//! the thread that runs the processors.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::address::{GuestAddress, PAGE_BYTES};
use crate::memory::{GuestMemory, MemError};
use crate::watch::PageFlags;

/// Most bytes of one region: 64 MiB.
pub const MAX_REGION_BYTES: u64 = 64 << 20;
/// Most regions of a machine.
pub const MAX_REGIONS: usize = 8;

/// The window of display adapters and of SMRAM, as pages.
const LEGACY_PAGES: std::ops::Range<u64> = 0xA0..0xC0;
/// What the attribute map covers, as pages.
const SHADOW_PAGES: std::ops::Range<u64> = 0xC0..0x100;
/// Where the firmware's ROM answers below 1 MiB: E0000h to FFFFFh (440FX datasheet 290549, section 4.1).
const FIRMWARE_PAGES: std::ops::Range<u64> = 0xE0..0x100;
/// Interrupt controllers and timers: no region is seen here. FEC0_0000h to FEEF_FFFFh.
const CHIPSET_PAGES: std::ops::Range<u64> = 0xF_EC00..0xF_EF00;
/// Guest page of a region that is nowhere.
const HIDDEN: u64 = u64::MAX;
/// Bits of one attribute (440FX datasheet, table 3-6): reads, and writes, go to RAM.
const READ_ENABLE: u8 = 1;
const WRITE_ENABLE: u8 = 2;

/// What a region is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// The guest reads and executes; what it writes is lost. Kept over resets, not saved with the machine's state.
    Rom,
    /// The guest reads, executes and writes, and the device is told which pages have been written. Part of a saved state.
    Video,
}

/// A region as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegionSpec {
    /// Whole pages, at most [`MAX_REGION_BYTES`].
    pub bytes: u64,
    /// What it is for.
    pub kind: RegionKind,
}

/// A region by its index in the list that the memory was made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionId(pub usize);

/// What stands at a guest page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageView {
    /// Memory, by backing page. The two differ where reads go to a ROM and writes to the RAM behind it.
    Memory {
        /// What is read and executed.
        read: u64,
        /// What is written; `None`: writes are lost.
        write: Option<u64>,
    },
    /// Nothing, or a device: the board answers.
    Device,
}

impl PageView {
    /// Backing page that writes reach.
    #[must_use]
    pub fn writable(self) -> Option<u64> {
        match self {
            Self::Memory { write, .. } => write,
            Self::Device => None,
        }
    }

    fn ram(page: u64) -> Self {
        Self::Memory {
            read: page,
            write: Some(page),
        }
    }
}

#[derive(Debug)]
struct Region {
    kind: RegionKind,
    /// First backing page.
    first: u64,
    pages: u64,
    /// First guest page, or [`HIDDEN`].
    at: AtomicU64,
    /// A page of it has been written since they were last taken.
    written: AtomicBool,
}

/// The regions and the chipset's settings.
#[derive(Debug)]
pub(crate) struct Layout {
    regions: Vec<Region>,
    /// Backing page that reads as ones; 0 without regions, when nobody asks.
    ones: u64,
    /// Index of the region that is the firmware's ROM, or [`HIDDEN`].
    firmware: AtomicU64,
    /// PAM0 to PAM6, the first in the lowest byte.
    attributes: AtomicU64,
    smram_open: AtomicBool,
    a20_closed: AtomicBool,
    generation: AtomicU64,
}

impl Layout {
    /// Lays regions out behind `first`, the first backing page that is free.
    pub(crate) fn new(specs: &[RegionSpec], first: u64) -> Result<Self, MemError> {
        if specs.len() > MAX_REGIONS {
            return Err(MemError::TooManyRegions(specs.len()));
        }
        let mut next = first;
        let mut regions = Vec::with_capacity(specs.len());
        for s in specs {
            if s.bytes == 0 || s.bytes > MAX_REGION_BYTES || !s.bytes.is_multiple_of(PAGE_BYTES) {
                return Err(MemError::BadRegionSize(s.bytes));
            }
            let pages = s.bytes / PAGE_BYTES;
            regions.push(Region {
                kind: s.kind,
                first: next,
                pages,
                at: AtomicU64::new(HIDDEN),
                written: AtomicBool::new(false),
            });
            next += pages;
        }
        Ok(Self {
            ones: if regions.is_empty() { 0 } else { next },
            regions,
            firmware: AtomicU64::new(HIDDEN),
            attributes: AtomicU64::new(0),
            smram_open: AtomicBool::new(false),
            a20_closed: AtomicBool::new(false),
            generation: AtomicU64::new(0),
        })
    }

    /// One past the last backing page behind low RAM; `None` without regions.
    pub(crate) fn end(&self) -> Option<u64> {
        (!self.regions.is_empty()).then_some(self.ones + 1)
    }

    /// The backing page of ones; `None` without regions.
    pub(crate) fn ones(&self) -> Option<u64> {
        self.end().map(|end| end - 1)
    }

    fn region(&self, id: RegionId) -> Result<&Region, MemError> {
        self.regions.get(id.0).ok_or(MemError::NoSuchRegion(id.0))
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The region placed over a guest page and the backing page; the first in the list wins.
    fn placed(&self, page: u64) -> Option<(RegionKind, u64)> {
        if CHIPSET_PAGES.contains(&page) {
            return None;
        }
        self.regions.iter().find_map(|r| {
            let at = r.at.load(Ordering::Relaxed);
            let offset = page.wrapping_sub(at);
            (at != HIDDEN && offset < r.pages).then(|| (r.kind, r.first + offset))
        })
    }

    fn view_of_regions(&self, page: u64) -> PageView {
        match self.placed(page) {
            Some((kind, read)) => PageView::Memory {
                read,
                write: (kind == RegionKind::Video).then_some(read),
            },
            None => PageView::Device,
        }
    }

    /// Backing page for a transfer of a device outside RAM.
    pub(crate) fn transfer_page(&self, page: u64, write: bool) -> Option<u64> {
        let (kind, backing) = self.placed(page)?;
        (!write || kind == RegionKind::Video).then_some(backing)
    }

    /// A page of A0000h to FFFFFh.
    pub(crate) fn below_one_mib(&self, page: u64) -> PageView {
        if LEGACY_PAGES.contains(&page) {
            return if self.smram_open.load(Ordering::Relaxed) {
                PageView::ram(page)
            } else {
                PageView::Device
            };
        }
        let firmware = self.firmware.load(Ordering::Relaxed);
        let Some(rom) = usize::try_from(firmware)
            .ok()
            .and_then(|n| self.regions.get(n))
        else {
            return PageView::ram(page);
        };
        let attribute = self.attribute(page);
        let on_bus = || {
            let from_end = SHADOW_PAGES.end - page;
            if FIRMWARE_PAGES.contains(&page) {
                return rom
                    .pages
                    .checked_sub(from_end)
                    .map_or(self.ones, |n| rom.first + n);
            }
            self.placed(page).map_or(self.ones, |(_, backing)| backing)
        };
        PageView::Memory {
            read: if attribute & READ_ENABLE != 0 {
                page
            } else {
                on_bus()
            },
            write: (attribute & WRITE_ENABLE != 0).then_some(page),
        }
    }

    /// The attribute of a page of C0000h to FFFFFh: PAM0 has F0000h in its upper half, PAM1 to PAM6 have 16 KiB in each.
    fn attribute(&self, page: u64) -> u8 {
        let pam = self.attributes.load(Ordering::Relaxed).to_le_bytes();
        if page >= 0xF0 {
            return pam[0] >> 4;
        }
        let segment = usize::try_from((page - SHADOW_PAGES.start) / 4).unwrap_or(0);
        pam[1 + segment / 2] >> (4 * (segment % 2))
    }

    /// Notes that a page of a region was written; the page has left the clean ones already.
    pub(crate) fn note_written(&self, backing: u64) {
        if let Some(r) = self
            .regions
            .iter()
            .find(|r| backing.wrapping_sub(r.first) < r.pages)
        {
            r.written.store(true, Ordering::Release);
        }
    }

    /// Backing pages of the regions of one kind, as ranges.
    pub(crate) fn pages_of(
        &self,
        kind: RegionKind,
    ) -> impl Iterator<Item = std::ops::Range<u64>> + '_ {
        self.regions
            .iter()
            .filter(move |r| r.kind == kind)
            .map(|r| r.first..r.first + r.pages)
    }

    pub(crate) fn holds(&self, backing: u64) -> bool {
        self.end().is_some_and(|end| {
            let first = self.regions.first().map_or(end, |r| r.first);
            (first..end).contains(&backing)
        })
    }
}

impl GuestMemory {
    /// What the processor finds at a guest page (address line 20 is the caller's affair, see [`GuestMemory::a20_mask`]).
    #[inline]
    #[must_use]
    pub fn view(&self, page: u64) -> PageView {
        if self.low_pages.contains(&page) {
            if (LEGACY_PAGES.start..SHADOW_PAGES.end).contains(&page) {
                return self.layout.below_one_mib(page);
            }
            return PageView::ram(page);
        }
        if self.high_pages.contains(&page) {
            return PageView::ram(page);
        }
        self.layout.view_of_regions(page)
    }

    /// Copies what the processor reads inside one page from a guest address on; `false`: no memory is there, and `out` is
    /// unchanged. For debuggers.
    #[must_use]
    pub fn peek(&self, addr: GuestAddress, out: &mut [u8]) -> bool {
        let PageView::Memory { read, .. } = self.view(addr.page()) else {
            return false;
        };
        addr.page_offset() + out.len() as u64 <= PAGE_BYTES
            && self
                .copy_out_at(read * PAGE_BYTES + addr.page_offset(), out)
                .is_ok()
    }

    /// Number of regions.
    #[must_use]
    pub fn region_count(&self) -> usize {
        self.layout.regions.len()
    }

    /// What a region is, and where in the memory file: its first backing page and its length in bytes.
    ///
    /// # Errors
    /// [`MemError::NoSuchRegion`].
    pub fn region(&self, id: RegionId) -> Result<(RegionKind, u64, u64), MemError> {
        let r = self.layout.region(id)?;
        Ok((r.kind, r.first, r.pages * PAGE_BYTES))
    }

    /// The region that a backing page belongs to.
    #[must_use]
    pub fn region_of(&self, backing: u64) -> Option<(RegionId, RegionKind)> {
        self.layout
            .regions
            .iter()
            .position(|r| backing.wrapping_sub(r.first) < r.pages)
            .map(|n| (RegionId(n), self.layout.regions[n].kind))
    }

    /// File offset of a part of a region.
    fn region_offset(&self, id: RegionId, offset: u64, len: usize) -> Result<u64, MemError> {
        let r = self.layout.region(id)?;
        let len = len as u64;
        let inside = offset
            .checked_add(len)
            .is_some_and(|end| end <= r.pages * PAGE_BYTES);
        if !inside {
            return Err(MemError::OutsideRegion {
                id: id.0,
                offset,
                len,
            });
        }
        Ok(r.first * PAGE_BYTES + offset)
    }

    /// Fills a part of a region of any kind: the image of a ROM, or a restored state.
    ///
    /// # Errors
    /// There is no such region, or it ends earlier; nothing is then written.
    pub fn region_load(&self, id: RegionId, offset: u64, bytes: &[u8]) -> Result<(), MemError> {
        let at = self.region_offset(id, offset, bytes.len())?;
        self.copy_in_and_note(at, bytes)
    }

    /// Copies a part of a region.
    ///
    /// # Errors
    /// There is no such region, or it ends earlier; `out` is then unchanged.
    pub fn region_read(&self, id: RegionId, offset: u64, out: &mut [u8]) -> Result<(), MemError> {
        let at = self.region_offset(id, offset, out.len())?;
        self.copy_out_at(at, out)
    }

    /// Writes into a Video region for the device that owns it; the pages count as written.
    ///
    /// # Errors
    /// As [`GuestMemory::region_load`]; and the region is a ROM.
    pub fn region_write(&self, id: RegionId, offset: u64, bytes: &[u8]) -> Result<(), MemError> {
        if self.layout.region(id)?.kind != RegionKind::Video {
            return Err(MemError::ReadOnlyRegion(id.0));
        }
        self.region_load(id, offset, bytes)
    }

    /// Moves a region to a guest address, which is page aligned, or takes it out of the guest's sight. RAM, the windows below
    /// 1 MiB and FEC0_0000h to FEEF_FFFFh win over it; of two regions at one place the first in the list is seen.
    ///
    /// # Errors
    /// There is no such region; the address is not page aligned, or the region would reach beyond 2^52.
    pub fn place(&self, id: RegionId, at: Option<GuestAddress>) -> Result<(), MemError> {
        let r = self.layout.region(id)?;
        let page = match at {
            None => HIDDEN,
            Some(addr) if addr.page_offset() == 0 && addr.page() + r.pages <= 1 << 40 => {
                addr.page()
            }
            Some(addr) => return Err(MemError::BadPlace(addr)),
        };
        if r.at.swap(page, Ordering::Relaxed) != page {
            self.layout.changed();
        }
        Ok(())
    }

    /// Where a region is placed; `None`: nowhere.
    #[must_use]
    pub fn placement(&self, id: RegionId) -> Option<GuestAddress> {
        let page = self.layout.region(id).ok()?.at.load(Ordering::Relaxed);
        (page != HIDDEN).then_some(GuestAddress(page.wrapping_mul(PAGE_BYTES)))
    }

    /// Names the ROM that is the firmware: its last 128 KiB also answer at E0000h to FFFFFh where the attribute map says so.
    /// Without one (`None`, as made) C0000h to FFFFFh is RAM whatever the map says, which is what a direct boot expects.
    ///
    /// # Errors
    /// There is no such region, or it is not a ROM.
    pub fn set_firmware(&self, id: Option<RegionId>) -> Result<(), MemError> {
        let n = match id {
            None => HIDDEN,
            Some(id) if self.layout.region(id)?.kind != RegionKind::Rom => {
                return Err(MemError::NotRom(id.0));
            }
            Some(id) => id.0 as u64,
        };
        if self.layout.firmware.swap(n, Ordering::Relaxed) != n {
            self.layout.changed();
        }
        Ok(())
    }

    /// The programmable attribute map, PAM0 to PAM6 (440FX datasheet 290549, section 3.2.18): which parts of C0000h to
    /// FFFFFh are read from and written to RAM. The others go to the bus: ROM at E0000h to FFFFFh, ones below.
    pub fn set_shadow(&self, pam: [u8; 7]) {
        let [a, b, c, d, e, f, g] = pam;
        let word = u64::from_le_bytes([a, b, c, d, e, f, g, 0]);
        if self.layout.attributes.swap(word, Ordering::Relaxed) != word {
            self.layout.changed();
        }
    }

    /// Whether A0000h to BFFFFh is RAM (SMRAM that is open to all) instead of the display adapter's window.
    pub fn set_smram_open(&self, open: bool) {
        if self.layout.smram_open.swap(open, Ordering::Relaxed) != open {
            self.layout.changed();
        }
    }

    /// Address line 20: while it is closed the processor's physical addresses have bit 20 clear. One state of the whole
    /// machine, which port 92h and the keyboard controller both set and show; open as made.
    pub fn set_a20(&self, open: bool) {
        if self.layout.a20_closed.swap(!open, Ordering::Relaxed) == open {
            self.layout.changed();
        }
    }

    /// Whether address line 20 is open.
    #[must_use]
    pub fn a20(&self) -> bool {
        !self.layout.a20_closed.load(Ordering::Relaxed)
    }

    /// What the processor's physical addresses are ANDed with.
    #[inline]
    #[must_use]
    pub fn a20_mask(&self) -> u64 {
        !(u64::from(self.layout.a20_closed.load(Ordering::Relaxed)) << 20)
    }

    /// Counts changes of what [`GuestMemory::view`] and [`GuestMemory::a20_mask`] say: whoever caches translations forgets
    /// them when it has moved.
    #[inline]
    #[must_use]
    pub fn layout_generation(&self) -> u64 {
        self.layout.generation.load(Ordering::Acquire)
    }

    /// Tells the pages of a Video region, counted from its start, that have been written since they were last taken, in
    /// ascending order. Costs one load when there are none.
    ///
    /// # Errors
    /// There is no such region.
    pub fn take_dirty(&self, id: RegionId, mut each: impl FnMut(u64)) -> Result<(), MemError> {
        let r = self.layout.region(id)?;
        if !r.written.load(Ordering::Relaxed) || r.kind != RegionKind::Video {
            return Ok(());
        }
        r.written.store(false, Ordering::Relaxed);
        let mut revoked = 0;
        for n in 0..r.pages {
            let Some(s) = self.page_flags(r.first + n) else {
                break;
            };
            if s.load(Ordering::Relaxed) & PageFlags::CLEAN == 0 {
                s.fetch_or(PageFlags::CLEAN, Ordering::Relaxed);
                revoked |= s.fetch_and(!PageFlags::GRANTED, Ordering::Relaxed);
                each(n);
            }
        }
        if revoked & PageFlags::GRANTED != 0 {
            self.notes.revoked();
        }
        Ok(())
    }
}
