//! Everything that an image refers to, each table visited once: what its reference counts have to be.

use std::collections::{BTreeMap, HashMap};

use crate::error::ImageError;
use crate::host::HostFile;
use crate::to_usize;

use super::entry::{COPIED, Mapping, l2_place};
use super::header::{Bitmaps, Geometry, Header, be32, be64};
use super::{read_table, snapshots};

/// Counts of this many clusters are held together.
const PAGE: u64 = 1024;
/// Most pages of counts: 160 MiB of memory, for 2.5 TiB in clusters of 64 KiB.
const MAX_PAGES: usize = 40_000;
/// Most sentences about damage that are kept.
const MAX_SENTENCES: usize = 50;
/// Longest directory of bitmaps: QEMU allows 65,535 of them.
const MAX_BITMAP_DIRECTORY_BYTES: u64 = 8 << 20;
/// Most entries of all tables of bitmaps.
const MAX_BITMAP_ENTRIES: u64 = 16 << 20;

/// How often each cluster is referred to.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<u64, Box<[u32]>>);

impl Counts {
    pub fn get(&self, cluster: u64) -> u64 {
        self.0
            .get(&(cluster / PAGE))
            .map_or(0, |page| u64::from(page[to_usize(cluster % PAGE)]))
    }

    pub fn add(&mut self, cluster: u64, times: u32) -> Result<(), ImageError> {
        let page = cluster / PAGE;
        if !self.0.contains_key(&page) && self.0.len() >= MAX_PAGES {
            return Err(ImageError::TooLarge {
                what: "more clusters in more places than can be checked at once".to_owned(),
            });
        }
        let page = self
            .0
            .entry(page)
            .or_insert_with(|| vec![0; to_usize(PAGE)].into());
        let count = &mut page[to_usize(cluster % PAGE)];
        *count = count.saturating_add(times);
        Ok(())
    }

    /// Clusters that are referred to, in order, with their counts.
    pub fn used(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut pages: Vec<u64> = self.0.keys().copied().collect();
        pages.sort_unstable();
        pages.into_iter().flat_map(move |page| {
            self.0[&page]
                .iter()
                .enumerate()
                .filter(|&(_, &count)| count != 0)
                .map(move |(index, &count)| (page * PAGE + index as u64, u64::from(count)))
        })
    }
}

/// What is wrong with an image beyond its counts.
#[derive(Debug, Default)]
pub(super) struct Damage {
    pub count: u64,
    pub sentences: Vec<String>,
}

impl Damage {
    pub fn note(&mut self, sentence: impl FnOnce() -> String) {
        self.count += 1;
        if self.sentences.len() < MAX_SENTENCES {
            self.sentences.push(sentence());
        }
    }
}

/// One L2 table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct L2Use {
    /// L1 tables that refer to it.
    pub times: u32,
    /// The L1 table of the medium is one of them.
    pub active: bool,
}

/// Everything that an image refers to.
#[derive(Debug)]
pub(super) struct Walk {
    pub counts: Counts,
    pub damage: Damage,
    /// L2 tables by their offsets.
    pub l2: BTreeMap<u64, L2Use>,
    /// The L1 table of the medium.
    pub l1: Vec<u64>,
    /// Clusters of the medium that lie in the file, compressed ones included.
    pub allocated: u64,
    /// Those that are compressed.
    pub compressed: u64,
    file_clusters: u64,
    geometry: Geometry,
}

/// Visits everything but the refcount table and its blocks.
pub(super) fn walk(file: &dyn HostFile, header: &Header) -> Result<Walk, ImageError> {
    let geometry = header.geometry;
    let file_bytes = file.size_bytes().map_err(ImageError::host("read"))?;
    let mut walk = Walk {
        counts: Counts::default(),
        damage: Damage::default(),
        l2: BTreeMap::new(),
        l1: read_table(file, header.l1_offset, header.l1_entries)?,
        allocated: 0,
        compressed: 0,
        file_clusters: geometry.clusters(file_bytes),
        geometry,
    };
    walk.refer(0, 1, 1, "the header")?;
    walk.refer(header.l1_offset, header.l1_entries * 8, 1, "the L1 table")?;
    let l1 = std::mem::take(&mut walk.l1);
    walk.visit_l1(&l1, true);
    walk.l1 = l1;
    let snapshots = snapshots::read(file, header)?;
    walk.refer(
        header.snapshots_offset,
        snapshots.bytes,
        1,
        "the table of snapshots",
    )?;
    for snapshot in &snapshots.list {
        walk.refer(
            snapshot.l1_offset,
            snapshot.l1_entries * 8,
            1,
            "the L1 table of a snapshot",
        )?;
        let l1 = read_table(file, snapshot.l1_offset, snapshot.l1_entries)?;
        walk.visit_l1(&l1, false);
    }
    walk.visit_l2(file, header)?;
    if let Some(bitmaps) = header.bitmaps {
        walk.visit_bitmaps(file, bitmaps)?;
    }
    Ok(walk)
}

impl Walk {
    /// Counts the clusters that a range lies in.
    pub fn refer(
        &mut self,
        offset: u64,
        bytes: u64,
        times: u32,
        what: &str,
    ) -> Result<(), ImageError> {
        if bytes == 0 {
            return Ok(());
        }
        let bits = self.geometry.cluster_bits;
        let end = offset
            .checked_add(bytes)
            .map(|end| self.geometry.clusters(end))
            .filter(|&end| end <= self.file_clusters);
        let Some(end) = end else {
            self.damage
                .note(|| format!("{what} at {offset:#x} lies behind the end of the file"));
            return Ok(());
        };
        for cluster in offset >> bits..end {
            self.counts.add(cluster, times)?;
        }
        Ok(())
    }

    fn visit_l1(&mut self, l1: &[u64], active: bool) {
        let mut here: Vec<u64> = Vec::new();
        for &entry in l1.iter().filter(|&&entry| entry != 0) {
            match l2_place(entry, self.geometry) {
                Ok(place) if place.offset != 0 => here.push(place.offset),
                Ok(_) => {}
                Err(error) => self.damage.note(|| error.to_string()),
            }
        }
        here.sort_unstable();
        for pair in here.windows(2).filter(|pair| pair[0] == pair[1]) {
            self.damage.note(|| {
                format!(
                    "two entries of one L1 table refer to the L2 table at {:#x}",
                    pair[0]
                )
            });
        }
        here.dedup();
        for offset in here {
            let table = self.l2.entry(offset).or_default();
            table.times += 1;
            table.active |= active;
        }
    }

    fn visit_l2(&mut self, file: &dyn HostFile, header: &Header) -> Result<(), ImageError> {
        let tables = std::mem::take(&mut self.l2);
        let visited = self.visit_tables(file, header, &tables);
        self.l2 = tables;
        visited
    }

    fn visit_tables(
        &mut self,
        file: &dyn HostFile,
        header: &Header,
        tables: &BTreeMap<u64, L2Use>,
    ) -> Result<(), ImageError> {
        let mut reader = TableReader::new(file, self.geometry);
        for (&offset, &used) in tables {
            self.refer(offset, 1, used.times, "an L2 table")?;
            let Some(table) = reader.read(offset)? else {
                continue;
            };
            for entry in (0..table.len() / 8).map(|i| be64(&table, i * 8)) {
                if entry == 0 {
                    continue;
                }
                match Mapping::of(entry, self.geometry, header.has_zero_flag()) {
                    Ok(mapping) => self.visit_mapping(mapping, used)?,
                    Err(error) => self.damage.note(|| error.to_string()),
                }
            }
        }
        Ok(())
    }

    fn visit_mapping(&mut self, mapping: Mapping, used: L2Use) -> Result<(), ImageError> {
        let Some((offset, bytes)) = mapping.refers_to() else {
            return Ok(());
        };
        self.allocated += u64::from(used.active);
        if matches!(mapping, Mapping::Compressed { .. }) {
            self.compressed += u64::from(used.active);
            // What is packed ends somewhere in its last sector; that one may lie behind the end of the file.
            let file_end = self.file_clusters << self.geometry.cluster_bits;
            let bytes = bytes.min(file_end.saturating_sub(offset).max(1));
            return self.refer(offset, bytes, used.times, "a compressed cluster");
        }
        self.refer(offset, bytes, used.times, "a cluster of the medium")
    }

    fn visit_bitmaps(&mut self, file: &dyn HostFile, bitmaps: Bitmaps) -> Result<(), ImageError> {
        let file_bytes = self.file_clusters << self.geometry.cluster_bits;
        if bitmaps.directory_bytes > MAX_BITMAP_DIRECTORY_BYTES
            || bitmaps.directory_offset > file_bytes
        {
            self.damage
                .note(|| "the directory of bitmaps lies outside the file".to_owned());
            return Ok(());
        }
        self.refer(
            bitmaps.directory_offset,
            bitmaps.directory_bytes,
            1,
            "the directory of bitmaps",
        )?;
        let mut directory = Vec::new();
        file.append_at(
            bitmaps.directory_offset,
            to_usize(bitmaps.directory_bytes),
            &mut directory,
        )
        .map_err(ImageError::host("read"))?;
        let (mut at, mut entries_left) = (0, MAX_BITMAP_ENTRIES);
        for _ in 0..bitmaps.count {
            // "Bitmap directory entry" of the format: offset and entries of its table, lengths of name and extra data.
            if at + 24 > directory.len() {
                self.damage
                    .note(|| "the directory of bitmaps is too short".to_owned());
                break;
            }
            let offset = be64(&directory, at);
            let entries = u64::from(be32(&directory, at + 8));
            let name_bytes = be32(&directory, at + 16) & 0xffff;
            let extra_bytes = be32(&directory, at + 20);
            let bytes = 24 + u64::from(name_bytes) + u64::from(extra_bytes);
            at = at.saturating_add(to_usize(bytes.next_multiple_of(8)));
            let fits = entries <= entries_left
                && offset
                    .checked_add(entries * 8)
                    .is_some_and(|end| end <= file_bytes);
            if !fits {
                self.damage
                    .note(|| "the table of a bitmap lies outside the file".to_owned());
                continue;
            }
            entries_left -= entries;
            self.refer(offset, entries * 8, 1, "the table of a bitmap")?;
            for entry in read_table(file, offset, entries)? {
                let cluster = entry & 0x00ff_ffff_ffff_fe00;
                if cluster != 0 {
                    self.refer(cluster, 1, 1, "a cluster of a bitmap")?;
                }
            }
        }
        Ok(())
    }

    /// Whether an entry of an L1 or L2 table of the medium, which refers to a cluster, says of it what its count is:
    /// the right entry if not.
    pub fn right_flag(&self, entry: u64, offset: u64) -> Option<u64> {
        let once = self.counts.get(offset >> self.geometry.cluster_bits) == 1;
        let right = if once {
            entry | COPIED
        } else {
            entry & !COPIED
        };
        (right != entry).then_some(right)
    }

    /// Calls `wrong` with every table of the medium that has wrong flags: the offset, the right content, and how many.
    pub fn wrong_flags(
        &self,
        file: &dyn HostFile,
        header: &Header,
        mut wrong: impl FnMut(u64, &[u8], u64) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        let mut l1 = self.l1.clone();
        let mut fixed = 0;
        for entry in &mut l1 {
            if let Ok(place) = l2_place(*entry, self.geometry)
                && place.offset != 0
                && let Some(right) = self.right_flag(*entry, place.offset)
            {
                *entry = right;
                fixed += 1;
            }
        }
        if fixed != 0 {
            let bytes: Vec<u8> = l1.iter().flat_map(|e| e.to_be_bytes()).collect();
            wrong(header.l1_offset, &bytes, fixed)?;
        }
        let mut reader = TableReader::new(file, self.geometry);
        for (&offset, _) in self.l2.iter().filter(|(_, used)| used.active) {
            let Some(mut table) = reader.read(offset)? else {
                continue;
            };
            let mut fixed = 0;
            for entry_bytes in table.as_chunks_mut::<8>().0 {
                let entry = u64::from_be_bytes(*entry_bytes);
                let place = match Mapping::of(entry, self.geometry, header.has_zero_flag()) {
                    Ok(Mapping::Data(place) | Mapping::Zero { kept: Some(place) }) => place,
                    _ => continue,
                };
                if let Some(right) = self.right_flag(entry, place.offset) {
                    *entry_bytes = right.to_be_bytes();
                    fixed += 1;
                }
            }
            if fixed != 0 {
                wrong(offset, &table, fixed)?;
            }
        }
        Ok(())
    }
}

/// Reads tables in the order of their offsets, without those that are holes.
pub(super) struct TableReader<'a> {
    file: &'a dyn HostFile,
    geometry: Geometry,
    /// No data lies between where a hole was found and here.
    data_from: u64,
}

impl<'a> TableReader<'a> {
    pub fn new(file: &'a dyn HostFile, geometry: Geometry) -> Self {
        Self {
            file,
            geometry,
            data_from: 0,
        }
    }

    /// The table at an offset that is not below the last one's; `None`: it has nothing but zeros.
    pub fn read(&mut self, offset: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let end = offset.saturating_add(self.geometry.cluster_bytes());
        if offset >= self.data_from {
            self.data_from = self
                .file
                .next_data(offset)
                .map_err(ImageError::host("read"))?
                .unwrap_or(u64::MAX);
        }
        if self.data_from >= end {
            return Ok(None);
        }
        let mut table = Vec::new();
        self.file
            .append_at(offset, to_usize(end - offset), &mut table)
            .map_err(ImageError::host("read"))?;
        Ok(Some(table))
    }
}
