//! Entries of the L1 and L2 tables ("Cluster mapping" of the format).

use crate::error::ImageError;

use super::header::Geometry;

/// Its cluster has a refcount of exactly one: it may be written in place.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
/// Bits 9 to 55: an offset into the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// What an L2 entry says about a cluster of the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    /// Not here: ask the image below, or read zeros.
    Unallocated,
    /// Reads as zeros; a cluster may be kept for it.
    Zero { kept: Option<Place> },
    /// At this place.
    Data(Place),
    /// Compressed, in so many bytes from this offset on.
    Compressed { offset: u64, bytes: u64 },
}

/// A cluster of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub offset: u64,
    /// Nobody else refers to it.
    pub copied: bool,
}

impl Mapping {
    /// Decodes an L2 entry.
    pub fn of(entry: u64, geometry: Geometry, has_zero_flag: bool) -> Result<Self, ImageError> {
        if entry & COMPRESSED != 0 {
            return compressed(entry, geometry);
        }
        let offset = entry & OFFSET;
        let zero = entry & ZERO != 0;
        let strange = entry & !(OFFSET | COPIED | ZERO) != 0
            || !geometry.is_aligned(offset)
            || (zero && !has_zero_flag)
            || (offset == 0 && entry & COPIED != 0);
        if strange {
            return Err(ImageError::damaged(format!(
                "an entry of an L2 table is {entry:#018x}, which makes no sense"
            )));
        }
        let place = (offset != 0).then_some(Place {
            offset,
            copied: entry & COPIED != 0,
        });
        Ok(match (zero, place) {
            (true, kept) => Self::Zero { kept },
            (false, None) => Self::Unallocated,
            (false, Some(place)) => Self::Data(place),
        })
    }

    /// The clusters of the file that it refers to: the first one's offset, and the bytes from there on.
    pub fn refers_to(self) -> Option<(u64, u64)> {
        match self {
            Self::Unallocated | Self::Zero { kept: None } => None,
            Self::Zero { kept: Some(place) } | Self::Data(place) => Some((place.offset, 1)),
            Self::Compressed { offset, bytes } => Some((offset, bytes)),
        }
    }
}

fn compressed(entry: u64, geometry: Geometry) -> Result<Mapping, ImageError> {
    // x of the format's "Compressed Clusters Descriptor".
    let split = 62 - (geometry.cluster_bits - 8);
    let offset = entry & ((1 << split) - 1);
    let more_sectors = (entry & !(COPIED | COMPRESSED)) >> split;
    // Not beyond bit 55.
    if entry & COPIED != 0 || offset >> 56 != 0 {
        return Err(ImageError::damaged(format!(
            "the entry of a compressed cluster is {entry:#018x}, which makes no sense"
        )));
    }
    Ok(Mapping::Compressed {
        offset,
        bytes: (more_sectors + 1) * 512 - (offset & 511),
    })
}

/// The entry of a cluster that only it refers to.
pub(super) fn data_entry(offset: u64) -> u64 {
    offset | COPIED
}

/// The entry of a cluster that reads as zeros and needs none.
pub(super) const ZERO_ENTRY: u64 = ZERO;

/// Offset of the L2 table of an L1 entry, 0 when there is none, and whether it may be written in place.
pub(super) fn l2_place(entry: u64, geometry: Geometry) -> Result<Place, ImageError> {
    let offset = entry & OFFSET;
    if entry & !(OFFSET | COPIED) != 0 || !geometry.is_aligned(offset) {
        return Err(ImageError::damaged(format!(
            "an entry of its L1 table is {entry:#018x}, which makes no sense"
        )));
    }
    Ok(Place {
        offset,
        copied: entry & COPIED != 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GEOMETRY: Geometry = Geometry {
        cluster_bits: 16,
        refcount_order: 4,
    };

    fn of(entry: u64) -> Result<Mapping, ImageError> {
        Mapping::of(entry, GEOMETRY, true)
    }

    #[test]
    fn standard_entries_are_told_apart() {
        let place = |copied| Place {
            offset: 0x5_0000,
            copied,
        };
        assert_eq!(of(0).unwrap(), Mapping::Unallocated);
        assert_eq!(of(1).unwrap(), Mapping::Zero { kept: None });
        assert_eq!(of(0x5_0000).unwrap(), Mapping::Data(place(false)));
        assert_eq!(of(0x5_0000 | COPIED).unwrap(), Mapping::Data(place(true)));
        assert_eq!(
            of(0x5_0001 | COPIED).unwrap(),
            Mapping::Zero {
                kept: Some(place(true))
            }
        );
    }

    #[test]
    fn compressed_entry_gives_offset_and_sectors() {
        // 64-KiB clusters: 54 bits of offset, then 8 bits of further sectors.
        let entry = COMPRESSED | (3 << 54) | 0x1_2345;
        let bytes = 4 * 512 - (0x1_2345 & 511);
        assert_eq!(
            of(entry).unwrap(),
            Mapping::Compressed {
                offset: 0x1_2345,
                bytes
            }
        );
    }

    #[test]
    fn entries_with_reserved_bits_or_crooked_offsets_are_refused() {
        for entry in [2, 1 << 56, 0x5_0200, COPIED, COPIED | COMPRESSED] {
            assert_eq!(of(entry).unwrap_err().code(), "damaged", "{entry:#x}");
        }
        assert!(Mapping::of(1, GEOMETRY, false).is_err());
        assert!(l2_place(1, GEOMETRY).is_err() && l2_place(0x200, GEOMETRY).is_err());
    }
}
