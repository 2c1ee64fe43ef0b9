//! qcow2, versions 2 and 3 (QEMU's docs/interop/qcow2.txt).
//!
//! ```text
//!   guest offset ──▶ L1 table ──▶ L2 table ──▶ cluster of the file        refcount table ──▶ refcount blocks
//!                    (memory)     (cache)      (data, zeros, compressed,   (memory)           (cache)
//!                                               or: ask the image below)
//! ```
//! Data goes to the file at once, changes of tables stay in memory until a flush or until they fill their cache.
//! [`commit`] then writes them in an order in which the file is sound whatever part of it a power cut lets through; at
//! worst clusters are counted that nobody uses. A cluster that is given up is used again only when no table in the file
//! can refer to it any more.
//!
//! * [`header`], [`entry`] what is in the file; [`cache`], [`refcount`] tables in memory.
//! * [`read`], [`write`], [`commit`] an open image; [`walk`] everything that an image refers to, for [`check`] and
//!   [`repair`]; [`create`] and [`info`].
//!
//! Not here: encryption, external data files and subclusters, which are refused by name; making and applying internal
//! snapshots, which are left intact; writing compressed clusters, which are read.
//!
//! Threats: every offset and size of a file is bounded before memory is taken for it; no table is followed twice; data
//! is never written where a table of the image lies (the image is marked corrupt instead).

mod cache;
mod check;
mod commit;
mod create;
mod entry;
mod header;
mod info;
mod read;
mod refcount;
mod repair;
mod snapshots;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::ops::Range;

use crate::error::ImageError;
use crate::host::HostFile;
use crate::image::{Image, OpenOptions};
use crate::to_usize;

pub use check::{CheckReport, check};
pub use create::{CreateOptions, create};
pub use header::{Backing, backing_name};
pub use info::{Info, SnapshotInfo, info};
pub use repair::repair;

use cache::Cache;
use header::{AT_INCOMPATIBLE, CORRUPT, Header, be64};
use refcount::Refcounts;

/// An open image.
#[derive(Debug)]
pub(crate) struct Qcow2 {
    file: Box<dyn HostFile>,
    header: Header,
    l1: Vec<u64>,
    l2: Cache,
    /// The image that this one is based on.
    below: Option<Box<Image>>,
    /// The last compressed cluster that was read: its entry, and what was in it.
    inflated: Option<(u64, Vec<u8>)>,
    /// What only an image that is written needs.
    writer: Option<Writer>,
}

/// What is needed to change an image.
#[derive(Debug)]
struct Writer {
    refcounts: Refcounts,
    /// Entries of the L1 table that the file does not have yet.
    l1_dirty: Range<usize>,
    /// Clusters that lose a reference once the file does not have it any more.
    given_up: Vec<Range<u64>>,
    /// Clusters of tables that are written in place, where no data may go.
    tables: HashSet<u64>,
    /// Likewise, in runs: header, L1 table, refcount table, tables of snapshots.
    fixed: Vec<Range<u64>>,
    /// From here on the file has nothing but zeros.
    zeros_from: u64,
    /// The file has to reach this far.
    end: u64,
    /// The header says that we change the image.
    begun: bool,
    /// Why nothing may be written any more.
    stopped: Option<Stopped>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    Corrupt,
    Lost,
}

impl Qcow2 {
    /// Opens an image, and repairs its reference counts first if it says that they may be stale and it is to be written.
    pub fn open(
        file: Box<dyn HostFile>,
        below: Option<Image>,
        options: OpenOptions,
    ) -> Result<Self, ImageError> {
        let read_only = options.read_only;
        let mut header = Header::read(&*file)?;
        match (&header.backing, &below) {
            (Some(backing), None) => {
                return Err(ImageError::BackingMissing {
                    name: backing.name.escape_debug().to_string(),
                });
            }
            (None, Some(_)) => return Err(ImageError::BackingUnexpected),
            _ => {}
        }
        if !read_only && header.is_corrupt() {
            return Err(ImageError::MarkedCorrupt);
        }
        if !read_only && header.is_dirty() {
            repair::before_writing(&*file, &header)?;
            header = Header::read(&*file)?;
        }
        let l1 = read_table(&*file, header.l1_offset, header.l1_entries)?;
        let writer = if read_only {
            None
        } else {
            // A third for counts: a block of them reaches four times as far as an L2 table.
            Some(Writer::new(&*file, &header, &l1, options.cache_bytes / 3)?)
        };
        let l2_bytes = options.cache_bytes / 3 * 2;
        Ok(Self {
            l2: Cache::new(to_usize(header.geometry.cluster_bytes()), l2_bytes),
            file,
            header,
            l1,
            below: below.map(Box::new),
            inflated: None,
            writer,
        })
    }

    /// Size of the medium.
    pub fn bytes(&self) -> u64 {
        self.header.bytes
    }

    /// Nothing is written from now on, and the header says why.
    fn mark_corrupt(&mut self, what: &str) -> ImageError {
        if let Some(writer) = &mut self.writer {
            writer.stopped = Some(Stopped::Corrupt);
        }
        if self.header.version >= 3 {
            self.header.incompatible |= CORRUPT;
            let bits = self.header.incompatible.to_be_bytes();
            // If it cannot be said, the next who opens the image finds out alone.
            if self.file.write_at(AT_INCOMPATIBLE, &bits).is_ok() {
                drop(self.file.sync());
            }
        }
        ImageError::damaged(what)
    }
}

/// Reads a table of 64-bit entries; its bounds have been checked.
fn read_table(file: &dyn HostFile, offset: u64, entries: u64) -> Result<Vec<u64>, ImageError> {
    let mut bytes = Vec::new();
    let len = to_usize(entries * 8);
    file.append_at(offset, len, &mut bytes)
        .map_err(ImageError::host("read"))?;
    Ok((0..len / 8).map(|i| be64(&bytes, i * 8)).collect())
}

impl Writer {
    fn new(
        file: &dyn HostFile,
        header: &Header,
        l1: &[u64],
        cache_bytes: usize,
    ) -> Result<Self, ImageError> {
        let geometry = header.geometry;
        let refcounts = Refcounts::read(file, header, cache_bytes)?;
        let fixed = fixed_clusters(file, header)?;
        let mut tables = HashSet::new();
        let blocks = refcounts.table.iter().copied();
        let l2_tables: Vec<u64> = l1
            .iter()
            .map(|&entry| entry::l2_place(entry, geometry).map(|place| place.offset))
            .collect::<Result<_, _>>()?;
        for offset in blocks.chain(l2_tables).filter(|&offset| offset != 0) {
            let cluster = offset >> geometry.cluster_bits;
            if contains(&fixed, cluster) || !tables.insert(cluster) {
                return Err(ImageError::damaged(format!(
                    "two of its tables lie at {offset:#x}"
                )));
            }
        }
        let file_bytes = file.size_bytes().map_err(ImageError::host("read"))?;
        Ok(Self {
            refcounts,
            l1_dirty: 0..0,
            given_up: Vec::new(),
            tables,
            fixed,
            zeros_from: geometry.clusters(file_bytes) << geometry.cluster_bits,
            end: 0,
            begun: false,
            stopped: None,
        })
    }

    /// Whether a table lies in a cluster.
    fn is_table(&self, cluster: u64) -> bool {
        self.tables.contains(&cluster) || contains(&self.fixed, cluster)
    }

    /// Notes that a cluster loses a reference.
    fn give_up(&mut self, first: u64, clusters: u64) {
        match self.given_up.last_mut() {
            Some(last) if last.end == first => last.end += clusters,
            _ => self.given_up.push(first..first + clusters),
        }
    }
}

fn contains(sorted: &[Range<u64>], cluster: u64) -> bool {
    let after = sorted.partition_point(|run| run.start <= cluster);
    after > 0 && sorted[after - 1].contains(&cluster)
}

/// The runs of clusters that hold header, L1 table, refcount table and the tables of snapshots, in order.
fn fixed_clusters(file: &dyn HostFile, header: &Header) -> Result<Vec<Range<u64>>, ImageError> {
    let geometry = header.geometry;
    let run = |offset: u64, bytes: u64| {
        let first = offset >> geometry.cluster_bits;
        first..first + geometry.clusters(bytes)
    };
    let mut runs = vec![
        0..1,
        run(header.l1_offset, header.l1_entries * 8),
        run(
            header.reftable_offset,
            header.reftable_clusters << geometry.cluster_bits,
        ),
    ];
    let snapshots = snapshots::read(file, header)?;
    if header.snapshot_count != 0 {
        runs.push(run(header.snapshots_offset, snapshots.bytes));
    }
    runs.extend(
        snapshots
            .list
            .iter()
            .map(|s| run(s.l1_offset, s.l1_entries * 8)),
    );
    runs.retain(|run| !run.is_empty());
    runs.sort_unstable_by_key(|run| run.start);
    match runs.windows(2).find(|pair| pair[0].end > pair[1].start) {
        None => Ok(runs),
        Some(pair) => Err(ImageError::damaged(format!(
            "two of its tables lie at {:#x}",
            pair[1].start << geometry.cluster_bits
        ))),
    }
}
