//! Making the reference counts of an image right: a new refcount table at the end of the file, put in place by one
//! write of the header. A power cut leaves the old one or the new one.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::error::ImageError;
use crate::host::HostFile;
use crate::to_usize;

use super::check::{self, CheckReport};
use super::header::{AT_REFTABLE, CORRUPT, DIRTY, Header, MAX_HOST_BYTES, MAX_REFTABLE_BYTES};
use super::refcount::set_in_block;
use super::walk::{Walk, walk};

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// What was found.
    pub before: CheckReport,
    /// What is left.
    pub after: CheckReport,
}

/// Repairs what can be repaired: reference counts, lost room, flags. Damage to the tables of the medium stays as it is,
/// and so does the mark that says so.
///
/// # Errors
/// As of [`super::check()`]; or it cannot be written. The image is then as before, or partly repaired.
pub fn repair(file: &dyn HostFile) -> Result<RepairReport, ImageError> {
    crate::image::claim(file, true)?;
    let before = check::unlocked(file)?;
    let header = Header::read(file)?;
    let right = before.is_sound() && before.leaked_clusters == 0;
    if !right || before.marked_dirty || before.marked_corrupt {
        let found = walk(file, &header)?;
        let cleared = if found.damage.count == 0 {
            DIRTY | CORRUPT
        } else {
            DIRTY
        };
        rebuild(file, &header, found, cleared)?;
    }
    Ok(RepairReport {
        before,
        after: check::unlocked(file)?,
    })
}

/// Repairs the counts of an image that says that they may be stale.
pub(super) fn before_writing(file: &dyn HostFile, header: &Header) -> Result<(), ImageError> {
    let found = walk(file, header)?;
    if let Some(sentence) = found.damage.sentences.first() {
        return Err(ImageError::damaged(sentence.clone()));
    }
    rebuild(file, header, found, DIRTY)
}

fn rebuild(
    file: &dyn HostFile,
    header: &Header,
    found: Walk,
    cleared: u64,
) -> Result<(), ImageError> {
    let written = || ImageError::host("written");
    let geometry = header.geometry;
    found.wrong_flags(file, header, |offset, table, _| {
        file.write_at(offset, table).map_err(written())
    })?;
    let mut counts = found.counts;
    let file_bytes = file.size_bytes().map_err(ImageError::host("read"))?;
    let first = geometry.clusters(file_bytes);
    let needed: BTreeSet<u64> = counts
        .used()
        .map(|(cluster, _)| cluster / geometry.block_entries())
        .collect();
    let plan = Plan::new(first, needed, geometry)?;
    for cluster in first..plan.end {
        counts.add(cluster, 1)?;
    }
    let most = geometry.refcount_max();
    if let Some((cluster, _)) = counts.used().find(|&(_, count)| count > most) {
        return Err(ImageError::damaged(format!(
            "the cluster {cluster} is used more often than its counts can tell"
        )));
    }
    let mut table = vec![0; to_usize(plan.table_clusters << geometry.cluster_bits)];
    let block_bytes = to_usize(geometry.cluster_bytes());
    let mut used = counts.used().peekable();
    for (place, &index) in (first + plan.table_clusters..).zip(&plan.blocks) {
        let mut block = vec![0; block_bytes];
        let base = index * geometry.block_entries();
        let end = base + geometry.block_entries();
        while let Some((cluster, count)) = used.next_if(|&(cluster, _)| cluster < end) {
            let entry = to_usize(cluster - base);
            set_in_block(&mut block, geometry.refcount_order, entry, count);
        }
        let offset = place << geometry.cluster_bits;
        file.write_at(offset, &block).map_err(written())?;
        let entry = to_usize(index) * 8;
        table[entry..entry + 8].copy_from_slice(&offset.to_be_bytes());
    }
    let table_offset = first << geometry.cluster_bits;
    file.write_at(table_offset, &table).map_err(written())?;
    file.sync().map_err(ImageError::host("stored"))?;
    switch(file, header, table_offset, plan.table_clusters, cleared)
}

/// Puts the new table in place: all changed fields lie in one sector.
fn switch(
    file: &dyn HostFile,
    header: &Header,
    table_offset: u64,
    table_clusters: u64,
    cleared: u64,
) -> Result<(), ImageError> {
    let clusters = u32::try_from(table_clusters).expect("a table of 8 MiB at most");
    let mut fields = Vec::new();
    fields.extend(table_offset.to_be_bytes());
    fields.extend(clusters.to_be_bytes());
    if header.version >= 3 {
        fields.extend(header.snapshot_count.to_be_bytes());
        fields.extend(header.snapshots_offset.to_be_bytes());
        fields.extend((header.incompatible & !cleared).to_be_bytes());
    }
    file.write_at(AT_REFTABLE, &fields)
        .map_err(ImageError::host("written"))?;
    file.sync().map_err(ImageError::host("stored"))
}

/// Where a new refcount table and its blocks go: the table first.
struct Plan {
    table_clusters: u64,
    /// Blocks that are needed, by their index.
    blocks: BTreeSet<u64>,
    /// Behind the last cluster.
    end: u64,
}

impl Plan {
    /// `blocks` are those needed for what there is; what is added counts itself.
    fn new(
        first: u64,
        mut blocks: BTreeSet<u64>,
        geometry: super::header::Geometry,
    ) -> Result<Self, ImageError> {
        let mut table_clusters = 1;
        loop {
            let end = first + table_clusters + blocks.len() as u64;
            blocks.extend(first / geometry.block_entries()..=(end - 1) / geometry.block_entries());
            let entries = blocks.last().map_or(1, |last| last + 1);
            let clusters = geometry.clusters(entries * 8).max(table_clusters);
            if clusters << geometry.cluster_bits > MAX_REFTABLE_BYTES
                || end << geometry.cluster_bits > MAX_HOST_BYTES
            {
                return Err(ImageError::TooLarge {
                    what: format!("{end} clusters"),
                });
            }
            if clusters == table_clusters && end == first + clusters + blocks.len() as u64 {
                return Ok(Self {
                    table_clusters,
                    blocks,
                    end,
                });
            }
            table_clusters = clusters;
        }
    }
}
