//! The geometry of a disk, from the partition table that another machine has written.
//!
//! Boot sectors of the time before block numbers read by cylinder, head and sector, as the BIOS counted them when the
//! disk was partitioned. The partition table holds the same places as block numbers too, so that the heads and sectors
//! follow. Media are hostile: a table that does not agree with itself says nothing.

use std::collections::BTreeMap;

use vmwb_devices::ide::Geometry;
use vmwb_hw::{BlockBackend, BlockRequest, Nanos};

use super::drives::Media;
use crate::spec::{DriveKind, DriveSlot, MachineSpec};

const SECTOR_BYTES: u32 = 512;
const SIGNATURE: (usize, [u8; 2]) = (510, [0x55, 0xAA]);
const FIRST_ENTRY: usize = 446;
const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 4;
/// Type of the entry that keeps others off a GUID partition table.
const PROTECTIVE: u8 = 0xEE;
/// Cylinders that an entry, or a call of the BIOS, can name; in an entry what lies behind is told as the last.
const CYLINDERS: u32 = 1024;

/// Heads and sectors a track, as a disk's partitions have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tracks {
    /// 2 to 255.
    pub heads: u8,
    /// 1 to 63.
    pub sectors: u8,
}

/// Tracks of the disks whose partitions tell them.
pub(super) type DiskTracks = BTreeMap<DriveSlot, Tracks>;

impl Tracks {
    fn cylinders(self, bytes: u64) -> u64 {
        bytes / u64::from(SECTOR_BYTES) / u64::from(self.heads) / u64::from(self.sectors)
    }

    /// Geometry of a drive of so many bytes that has these tracks; `None` where no drive has: more than 16 heads are a
    /// BIOS's translation.
    pub fn of_drive(self, bytes: u64) -> Option<Geometry> {
        let cylinders = self.cylinders(bytes);
        let cylinders = u16::try_from(cylinders).ok()?;
        let exists =
            self.heads <= Geometry::MAX_HEADS && (1..=Geometry::MAX_CYLINDERS).contains(&cylinders);
        exists.then_some(Geometry {
            cylinders,
            heads: self.heads,
            sectors: self.sectors,
        })
    }

    /// Geometry for the calls of the BIOS: at most 1,024 cylinders.
    pub fn of_bios(self, bytes: u64) -> Geometry {
        let cylinders = self.cylinders(bytes).clamp(1, CYLINDERS.into());
        Geometry {
            cylinders: u16::try_from(cylinders).unwrap_or(1),
            heads: self.heads,
            sectors: self.sectors,
        }
    }
}

/// What the partition tables of the IDE disks say. `media` are asked for their first sectors.
pub(super) fn of_disks(spec: &MachineSpec, media: &mut Media) -> DiskTracks {
    let disks = spec.drives.iter().filter(|d| d.kind == DriveKind::Disk);
    disks
        .filter_map(|drive| DriveSlot::parse(&drive.slot))
        .filter(|slot| matches!(slot, DriveSlot::Ide(_)))
        .filter_map(|slot| {
            let sector = first_sector(media.get_mut(&slot)?.as_mut())?;
            Some((slot, of_partitions(&sector)?))
        })
        .collect()
}

fn first_sector(medium: &mut dyn BlockBackend) -> Option<Vec<u8>> {
    let request = BlockRequest::Read {
        offset: 0,
        len: SECTOR_BYTES,
    };
    medium.info().filter(|i| i.bytes >= SECTOR_BYTES.into())?;
    medium.submit(Nanos(0), 0, request);
    medium.wait_reply()?.result.ok()
}

/// A place in an entry: cylinder, head, sector.
#[derive(Debug, Clone, Copy)]
struct Place(u32, u8, u8);

impl Place {
    fn read(bytes: &[u8]) -> Self {
        let cylinder = u32::from(bytes[1] & 0xC0) << 2 | u32::from(bytes[2]);
        Self(cylinder, bytes[0], bytes[1] & 0x3F)
    }

    /// Whether this is how `block` is told on such tracks.
    fn tells(self, block: u32, tracks: Tracks) -> bool {
        let (heads, sectors) = (u32::from(tracks.heads), u32::from(tracks.sectors));
        let track = block / sectors;
        let Place(cylinder, head, sector) = self;
        if track / heads >= CYLINDERS {
            return cylinder == CYLINDERS - 1;
        }
        (cylinder, u32::from(head), u32::from(sector))
            == (track / heads, track % heads, block % sectors + 1)
    }
}

/// Heads and sectors on which every partition begins and ends where it says, and ends with a cylinder. `None` when there
/// are none.
fn of_partitions(sector: &[u8]) -> Option<Tracks> {
    let (at, signature) = SIGNATURE;
    if sector.get(at..at + 2)? != signature {
        return None;
    }
    let table = &sector[FIRST_ENTRY..FIRST_ENTRY + ENTRIES * ENTRY_BYTES];
    let mut found = None;
    for entry in table.chunks_exact(ENTRY_BYTES).filter(|e| e[4] != 0) {
        let number = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        let (first, count) = (number(8), number(12));
        let (start, end) = (Place::read(&entry[1..4]), Place::read(&entry[5..8]));
        let tracks = Tracks {
            heads: end.1.checked_add(1).filter(|&heads| heads > 1)?,
            sectors: Some(end.2).filter(|&sectors| sectors > 0)?,
        };
        let last = first.checked_add(count.checked_sub(1)?)?;
        let agrees = entry[4] != PROTECTIVE
            && start.tells(first, tracks)
            && end.tells(last, tracks)
            && found.is_none_or(|other| other == tracks);
        if !agrees {
            return None;
        }
        found = Some(tracks);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Type, start and end as three bytes, first block and count.
    type Partition = (u8, [u8; 3], [u8; 3], u32, u32);

    /// A first sector with partitions.
    fn table(partitions: &[Partition]) -> Vec<u8> {
        let mut sector = vec![0; 512];
        for (n, (kind, start, end, first, count)) in partitions.iter().enumerate() {
            let entry = &mut sector[446 + 16 * n..][..16];
            entry[1..4].copy_from_slice(start);
            entry[4] = *kind;
            entry[5..8].copy_from_slice(end);
            entry[8..12].copy_from_slice(&first.to_le_bytes());
            entry[12..].copy_from_slice(&count.to_le_bytes());
        }
        sector[510..].copy_from_slice(&[0x55, 0xAA]);
        sector
    }

    fn tracks(heads: u8, sectors: u8) -> Option<Tracks> {
        Some(Tracks { heads, sectors })
    }

    fn shape(g: Geometry) -> (u16, u8, u8) {
        (g.cylinders, g.heads, g.sectors)
    }

    #[test]
    fn drives_have_16_heads_at_most_and_the_bios_1024_cylinders() {
        let old = Tracks {
            heads: 4,
            sectors: 17,
        };
        let translated = Tracks {
            heads: 255,
            sectors: 63,
        };
        assert_eq!(
            old.of_drive(615 * 68 * 512 + 900).map(shape),
            Some((615, 4, 17))
        );
        assert_eq!(old.of_drive(1 << 40).map(shape), None);
        assert_eq!(translated.of_drive(1 << 30).map(shape), None);
        assert_eq!(shape(translated.of_bios(1 << 30)), (130, 255, 63));
        assert_eq!(shape(translated.of_bios(1 << 40)), (1024, 255, 63));
        assert_eq!(shape(old.of_bios(512)), (1, 4, 17));
    }

    #[test]
    fn old_disk_of_615_cylinders_tells_its_4_heads_and_17_sectors() {
        // Two partitions: cylinders 0 to 299 and 300 to 614.
        let disk = table(&[
            (1, [1, 1, 0], [3, 17 | 0x40, 43], 17, 300 * 68 - 17),
            (
                0x81,
                [0, 1 | 0x40, 44],
                [3, 17 | 0x80, 102],
                300 * 68,
                315 * 68,
            ),
        ]);
        assert_eq!(of_partitions(&disk), tracks(4, 17));
    }

    #[test]
    fn translated_disk_tells_its_255_heads() {
        let end = 1023 * 255 * 63 * 4;
        let small = table(&[(6, [1, 1, 0], [254, 63, 60], 63, 61 * 255 * 63 - 63)]);
        let large = table(&[(0x0C, [1, 1, 0], [254, 0xFF, 0xFF], 63, end)]);
        assert_eq!(of_partitions(&small), tracks(255, 63));
        assert_eq!(of_partitions(&large), tracks(255, 63));
    }

    #[test]
    fn tables_that_do_not_agree_say_nothing() {
        // Aligned to megabytes, as tools of today do: no end of a cylinder.
        let aligned = table(&[(0x83, [32, 33, 0], [138, 8, 130], 2048, 2_095_104)]);
        let protective = table(&[(0xEE, [0, 2, 0], [254, 0xFF, 0xFF], 1, u32::MAX)]);
        let two = table(&[
            (1, [1, 1, 0], [3, 17, 9], 17, 10 * 68 - 17),
            (1, [0, 1, 10], [15, 63, 19], 10 * 1008, 10 * 1008),
        ]);
        let empty = table(&[]);
        let no_count = table(&[(1, [1, 1, 0], [3, 17, 9], 17, 0)]);
        let mut unsigned = table(&[(1, [1, 1, 0], [3, 17, 9], 17, 10 * 68 - 17)]);
        assert_eq!(of_partitions(&unsigned), tracks(4, 17));
        unsigned[511] = 0;
        for sector in [aligned, protective, two, empty, no_count, unsigned] {
            assert_eq!(of_partitions(&sector), None);
        }
        assert_eq!(of_partitions(&[0xFF; 512]), None);
        assert_eq!(of_partitions(&[0xFF; 100]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_table_is_a_panic(mut sector in proptest::collection::vec(proptest::num::u8::ANY, 512)) {
            sector[510..].copy_from_slice(&[0x55, 0xAA]);
            if let Some(t) = of_partitions(&sector) {
                proptest::prop_assert!(t.heads > 1 && (1..=63).contains(&t.sectors));
            }
        }
    }
}
