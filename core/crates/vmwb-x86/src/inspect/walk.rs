//! Page tables read without a mark in them: what the MMU's walk would find, entry by entry, for people.
//! Source: Intel SDM volume 3, chapter 4.

use serde::Serialize;

use crate::cpu::{Cpu, cr0, cr4, efer};
use crate::mmu::PHYS_BITS;

const PHYS_MASK: u64 = (1 << PHYS_BITS) - 1;
const PRESENT: u64 = 1;
const WRITABLE: u64 = 2;
const USER: u64 = 4;
const LARGE: u64 = 0x80;
const NO_EXECUTE: u64 = 1 << 63;

/// One table entry on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WalkEntry {
    /// Name of the table: `pml4 pdpt pd pt`.
    pub table: &'static str,
    /// Index in the table.
    pub index: u64,
    /// Physical address of the entry; `None` for a PDPTE that the processor holds itself.
    pub address: Option<u64>,
    /// The entry.
    pub value: u64,
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WalkEnd {
    /// At a page.
    Mapped,
    /// Paging is off: linear and physical addresses are the same.
    PagingOff,
    /// At an entry that is not present.
    NotPresent,
    /// At a table that lies outside of RAM.
    TableOutsideRam,
    /// The address is not canonical.
    NotCanonical,
}

/// Where a linear address leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageWalk {
    /// The address that was asked for.
    pub linear: u64,
    /// How it ended.
    pub end: WalkEnd,
    /// Physical address, when there is one.
    pub physical: Option<u64>,
    /// Bytes of the page.
    pub page_bytes: u64,
    /// Whether all levels allow writing.
    pub writable: bool,
    /// Whether all levels allow CPL 3.
    pub user: bool,
    /// Whether code may run there.
    pub executable: bool,
    /// The entries, from the root.
    pub entries: Vec<WalkEntry>,
}

impl Cpu {
    /// Walks the guest's tables and changes nothing.
    pub(crate) fn quiet_walk(&self, linear: u64) -> PageWalk {
        let mut walk = PageWalk {
            linear,
            end: WalkEnd::Mapped,
            physical: None,
            page_bytes: 0,
            writable: true,
            user: true,
            executable: true,
            entries: Vec::new(),
        };
        walk.end = self.descend(linear, &mut walk);
        walk.physical = walk.physical.map(|at| at & self.memory.a20_mask());
        walk
    }

    fn descend(&self, linear: u64, walk: &mut PageWalk) -> WalkEnd {
        if self.cr0 & cr0::PG == 0 {
            walk.physical = Some(linear & 0xFFFF_FFFF);
            walk.page_bytes = 4096;
            return WalkEnd::PagingOff;
        }
        let long = self.long_mode();
        if long && !Self::canonical(linear) {
            return WalkEnd::NotCanonical;
        }
        let pae = self.cr4 & cr4::PAE != 0;
        let (mut table, mut level) = if !pae {
            (self.cr3 & 0xFFFF_F000, 2)
        } else if long {
            (self.cr3 & PHYS_MASK & !0xFFF, 4)
        } else {
            let index = linear >> 30 & 3;
            let value = self.pdpte[index as usize];
            walk.entries.push(WalkEntry {
                table: "pdpt",
                index,
                address: None,
                value,
            });
            if value & PRESENT == 0 {
                return WalkEnd::NotPresent;
            }
            (value & PHYS_MASK & !0xFFF, 2)
        };
        let (bits, size) = if pae { (9, 8) } else { (10, 4) };
        loop {
            let shift = 12 + bits * (level - 1);
            let index = linear >> shift & ((1 << bits) - 1);
            let address = table + index * size;
            let value = self.peek_physical(address, size as usize);
            let Some(value) = value else {
                return WalkEnd::TableOutsideRam;
            };
            walk.entries.push(WalkEntry {
                table: ["pt", "pd", "pdpt", "pml4"][level as usize - 1],
                index,
                address: Some(address),
                value,
            });
            if value & PRESENT == 0 {
                return WalkEnd::NotPresent;
            }
            walk.writable &= value & WRITABLE != 0;
            walk.user &= value & USER != 0;
            walk.executable &= !(pae && self.efer & efer::NXE != 0 && value & NO_EXECUTE != 0);
            let large =
                matches!(level, 2 | 3) && value & LARGE != 0 && (pae || self.cr4 & cr4::PSE != 0);
            if level == 1 || large {
                let page = 1u64 << shift;
                let frame = if large && !pae {
                    // PSE-36: bits 20:13 carry address bits 39:32.
                    value & 0xFFC0_0000 | (value >> 13 & 0xFF) << 32
                } else {
                    value & PHYS_MASK & !(page - 1) & !0xFFF
                };
                walk.page_bytes = page;
                walk.physical = Some(frame | linear & (page - 1));
                return WalkEnd::Mapped;
            }
            table = if pae {
                value & PHYS_MASK & !0xFFF
            } else {
                value & 0xFFFF_F000
            };
            level -= 1;
        }
    }
}
