//! The table of internal snapshots ("Snapshots" of the format): read, bounded, never changed.

use crate::error::ImageError;
use crate::host::HostFile;
use crate::to_usize;

use super::header::{Header, MAX_HOST_BYTES, MAX_L1_BYTES, be32, be64};

/// Most snapshots of an image, and the longest table of them: QEMU's own limits are 65,536 and 64 MiB.
const MAX_SNAPSHOTS: u32 = 65_536;
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// Entries of all L1 tables of snapshots together.
const MAX_L1_ENTRIES: u64 = 4 << 20;
/// Fields of an entry that are always there.
const FIXED_BYTES: u64 = 40;

/// One internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub l1_offset: u64,
    pub l1_entries: u64,
    pub id: String,
    pub name: String,
    /// When it was taken, in seconds since 1970.
    pub taken_s: u32,
    /// State of the machine that is saved with it.
    pub state_bytes: u64,
}

/// All internal snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    pub list: Vec<Snapshot>,
    /// Length of the table.
    pub bytes: u64,
}

/// Reads the table.
pub(super) fn read(file: &dyn HostFile, header: &Header) -> Result<Snapshots, ImageError> {
    let mut all = Snapshots::default();
    if header.snapshot_count > MAX_SNAPSHOTS {
        return Err(ImageError::TooLarge {
            what: format!("{} snapshots", header.snapshot_count),
        });
    }
    let file_bytes = file.size_bytes().map_err(ImageError::host("read"))?;
    let mut l1_entries = 0;
    for _ in 0..header.snapshot_count {
        let at = header.snapshots_offset + all.bytes;
        let (snapshot, bytes) = read_one(file, at)?;
        all.bytes += bytes;
        l1_entries += snapshot.l1_entries;
        let end = snapshot.l1_offset.checked_add(snapshot.l1_entries * 8);
        let lies_well = header.geometry.is_aligned(snapshot.l1_offset)
            && end.is_some_and(|end| {
                end < MAX_HOST_BYTES
                    && end
                        <= file_bytes
                            .max(1)
                            .next_multiple_of(header.geometry.cluster_bytes())
            });
        if !lies_well {
            return Err(ImageError::damaged(
                "the table of a snapshot lies outside the file",
            ));
        }
        if all.bytes > MAX_TABLE_BYTES
            || l1_entries > MAX_L1_ENTRIES
            || snapshot.l1_entries * 8 > MAX_L1_BYTES
        {
            return Err(ImageError::TooLarge {
                what: "snapshots whose tables are too long".to_owned(),
            });
        }
        all.list.push(snapshot);
    }
    Ok(all)
}

fn read_one(file: &dyn HostFile, at: u64) -> Result<(Snapshot, u64), ImageError> {
    let mut fixed = [0; 40];
    file.read_at(at, &mut fixed)
        .map_err(ImageError::host("read"))?;
    let id_bytes = u64::from(be32(&fixed, 12) >> 16);
    let name_bytes = u64::from(be32(&fixed, 12) & 0xffff);
    let extra_bytes = u64::from(be32(&fixed, 36));
    let bytes = (FIXED_BYTES + extra_bytes + id_bytes + name_bytes).next_multiple_of(8);
    if bytes > MAX_TABLE_BYTES {
        return Err(ImageError::damaged(
            "an entry of its table of snapshots is too long",
        ));
    }
    let mut extra = [0; 8];
    if extra_bytes >= 8 {
        file.read_at(at + FIXED_BYTES, &mut extra)
            .map_err(ImageError::host("read"))?;
    }
    let mut text = Vec::new();
    let len = to_usize(id_bytes + name_bytes);
    file.append_at(at + FIXED_BYTES + extra_bytes, len, &mut text)
        .map_err(ImageError::host("read"))?;
    let (id, name) = text.split_at(to_usize(id_bytes));
    let snapshot = Snapshot {
        l1_offset: be64(&fixed, 0),
        l1_entries: u64::from(be32(&fixed, 8)),
        id: String::from_utf8_lossy(id).into_owned(),
        name: String::from_utf8_lossy(name).into_owned(),
        taken_s: be32(&fixed, 16),
        state_bytes: if extra_bytes >= 8 {
            be64(&extra, 0)
        } else {
            u64::from(be32(&fixed, 32))
        },
    };
    Ok((snapshot, bytes))
}
