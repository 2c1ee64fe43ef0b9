//! Guest memory: one memfd mapped once, addressed by guest-physical address.
//!
//! The file offset of a byte of RAM is its guest address, so a saved `ram.bin` is this file with zero pages as holes.
//! RAM lies in up to two ranges: `[0, 3 GiB)` and `[4 GiB, ...)`; the legacy window `A0000h..C0000h` belongs to display
//! adapters and is not RAM. Beside RAM there are regions, ROMs and video memory, which are moved about in the guest's
//! address space ([`GuestMemory::view`]). Nobody holds a `&[u8]` into guest memory: the guest may change it at any time, so
//! access is by raw pointer copies and per-page pointers.
//!
//! Every page has a state word ([`PageFlags`]): processors mark pages they have decoded code from or walked as page tables;
//! whoever else writes to such a page ([`GuestMemory::write`]) leaves a note, which the processor collects with
//! [`GuestMemory::take_noted_writes`] before it runs on.

mod address;
mod layout;
mod memory;
mod sys;
mod watch;

pub use address::{GuestAddress, PAGE_BYTES};
pub use layout::{MAX_REGION_BYTES, MAX_REGIONS, PageView, RegionId, RegionKind, RegionSpec};
pub use memory::{GuestMemory, MAX_RAM_BYTES, MIN_RAM_BYTES, MemError, RamRange};
pub use watch::{CpuSlot, MAX_CPUS, NotedWrite, PageFlags};
