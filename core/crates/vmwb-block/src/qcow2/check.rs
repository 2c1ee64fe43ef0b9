//! Comparing the reference counts of an image with what it refers to.

use serde::Serialize;

use crate::error::ImageError;
use crate::host::HostFile;
use crate::to_usize;

use super::header::{Header, MAX_HOST_BYTES};
use super::read_table;
use super::refcount::count;
use super::walk::{TableReader, Walk, walk};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Clusters of the medium that lie in the file.
    pub allocated_clusters: u64,
    /// Those of them that are compressed.
    pub compressed_clusters: u64,
    /// Clusters of the file that are counted more often than they are used: room that is lost, and nothing else.
    pub leaked_clusters: u64,
    /// Clusters that are used more often than they are counted: writing the image could destroy data.
    pub uncounted_clusters: u64,
    /// Entries that say of a cluster that it is used once while it is not, or the other way round.
    pub wrong_flags: u64,
    /// Whatever else contradicts the format; it cannot be repaired.
    pub damage: u64,
    /// The first sentences about it.
    pub sentences: Vec<String>,
    /// The image says that its counts may be stale.
    pub marked_dirty: bool,
    /// The image says that it is damaged.
    pub marked_corrupt: bool,
}

impl CheckReport {
    /// Whether data is safe: at most room is lost.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.uncounted_clusters == 0 && self.wrong_flags == 0 && self.damage == 0
    }
}

/// Checks an image that nobody writes meanwhile, and changes nothing.
///
/// # Errors
/// It cannot be read, is no qcow2 image, or is too large to be checked in 256 MiB of memory. Damage is no error.
pub fn check(file: &dyn HostFile) -> Result<CheckReport, ImageError> {
    crate::image::claim(file, false)?;
    unlocked(file)
}

/// The same for who holds the lock.
pub(super) fn unlocked(file: &dyn HostFile) -> Result<CheckReport, ImageError> {
    let header = Header::read(file)?;
    let mut found = walk(file, &header)?;
    let mut report = CheckReport {
        allocated_clusters: found.allocated,
        compressed_clusters: found.compressed,
        marked_dirty: header.is_dirty(),
        marked_corrupt: header.is_corrupt(),
        ..CheckReport::default()
    };
    found.wrong_flags(file, &header, |_, _, count| {
        report.wrong_flags += count;
        Ok(())
    })?;
    compare(file, &header, &mut found, &mut report)?;
    report.damage = found.damage.count;
    report.sentences = found.damage.sentences;
    Ok(report)
}

/// Compares the counts of the file with those of a walk.
fn compare(
    file: &dyn HostFile,
    header: &Header,
    found: &mut Walk,
    report: &mut CheckReport,
) -> Result<(), ImageError> {
    let geometry = header.geometry;
    let table_bytes = header.reftable_clusters << geometry.cluster_bits;
    found.refer(header.reftable_offset, table_bytes, 1, "the refcount table")?;
    let table = read_table(file, header.reftable_offset, table_bytes / 8)?;
    let mut blocks: Vec<(u64, u64)> = Vec::new();
    for (&offset, index) in table.iter().zip(0..).filter(|&(&offset, _)| offset != 0) {
        if geometry.is_aligned(offset) && offset < MAX_HOST_BYTES {
            blocks.push((offset, index));
            found.refer(offset, 1, 1, "a refcount block")?;
        } else {
            found
                .damage
                .note(|| format!("an entry of the refcount table is {offset:#x}"));
        }
    }
    blocks.sort_unstable();
    for pair in blocks.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        found
            .damage
            .note(|| format!("the refcount block at {:#x} is used twice", pair[0].0));
    }
    // How often the clusters that are used are counted: the others are found on the way.
    let mut counted = std::collections::HashMap::new();
    let mut reader = TableReader::new(file, geometry);
    let entries = to_usize(geometry.block_entries());
    for (offset, index) in blocks {
        let Some(block) = reader.read(offset)? else {
            continue;
        };
        for entry in 0..entries {
            let refcount = count(&block, geometry.refcount_order, entry);
            if refcount == 0 {
                continue;
            }
            let cluster = index * geometry.block_entries() + entry as u64;
            let used = found.counts.get(cluster);
            report.leaked_clusters += u64::from(refcount > used);
            report.uncounted_clusters += u64::from(refcount < used);
            if used != 0 {
                *counted.entry(cluster / 64).or_insert(0u64) |= 1 << (cluster % 64);
            }
        }
    }
    for (cluster, _) in found.counts.used() {
        let seen = counted
            .get(&(cluster / 64))
            .is_some_and(|bits| bits >> (cluster % 64) & 1 != 0);
        report.uncounted_clusters += u64::from(!seen);
    }
    Ok(())
}
