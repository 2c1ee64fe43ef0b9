//! Changing the medium: data goes to the file, entries of tables change in memory.

use crate::error::ImageError;
use crate::to_usize;

use super::entry::{COPIED, Mapping, ZERO_ENTRY, data_entry, l2_place};
use super::header::AT_AUTOCLEAR;
use super::{Qcow2, Stopped, Writer};

/// Runs of clusters that are given up before the tables are written for their sake.
const MAX_GIVEN_UP: usize = 4096;
/// Zeros that are written at once where an image cannot say that a cluster is zero.
const ZEROS_BYTES: u64 = 64 << 10;

/// Clusters of the medium that lie in one L2 table and get new places.
struct Run {
    /// Offset of their L2 table, and their first entry in it.
    table: u64,
    first: usize,
    /// Their first byte in the medium.
    start: u64,
    /// What they were.
    old: Vec<Mapping>,
}

impl Qcow2 {
    /// Writes; the range lies inside.
    pub fn write(&mut self, mut offset: u64, mut data: &[u8]) -> Result<(), ImageError> {
        self.begin()?;
        while !data.is_empty() {
            self.make_room()?;
            let done = self.write_some(offset, data)?;
            offset += done as u64;
            data = &data[done..];
        }
        Ok(())
    }

    /// Makes the range read as zeros.
    pub fn write_zeroes(&mut self, offset: u64, len: u64) -> Result<(), ImageError> {
        self.clear(offset, len, true)
    }

    /// Gives up the clusters that lie in the range as a whole; they read as zeros afterwards, or as before where the
    /// image cannot say so.
    pub fn discard(&mut self, offset: u64, len: u64) -> Result<(), ImageError> {
        self.clear(offset, len, false)
    }

    pub(super) fn writer(&mut self) -> &mut Writer {
        self.writer.as_mut().expect(
            "an image that is opened for reading only refuses changes before they come here",
        )
    }

    /// Before every change: whether there may be one, and what has to be said before the first.
    fn begin(&mut self) -> Result<(), ImageError> {
        let writer = self.writer();
        match writer.stopped {
            Some(Stopped::Corrupt) => return Err(ImageError::MarkedCorrupt),
            Some(Stopped::Lost) => return Err(ImageError::Lost),
            None if writer.begun => return Ok(()),
            None => {}
        }
        if self.header.autoclear != 0 {
            // What we do not keep up to date, bitmaps for example, is not valid from now on.
            self.file
                .write_at(AT_AUTOCLEAR, &[0; 8])
                .map_err(ImageError::host("written"))?;
            self.file.sync().map_err(ImageError::host("stored"))?;
            self.header.autoclear = 0;
        }
        self.writer().begun = true;
        Ok(())
    }

    /// Writes the tables if memory for their changes runs out.
    fn make_room(&mut self) -> Result<(), ImageError> {
        let l2_full = self.l2.is_full_of_changes();
        let writer = self.writer();
        if l2_full
            || writer.refcounts.blocks.is_full_of_changes()
            || writer.given_up.len() > MAX_GIVEN_UP
        {
            self.commit()?;
        }
        Ok(())
    }

    /// Allocates up to `most` clusters in a row, of which nothing in the file knows.
    fn allocate(&mut self, most: u64) -> Result<std::ops::Range<u64>, ImageError> {
        let Self { file, writer, .. } = self;
        let writer = writer
            .as_mut()
            .expect("checked by whoever changes the image");
        let run = writer.refcounts.allocate(&**file, most);
        let bits = self.header.geometry.cluster_bits;
        let mut overlap = false;
        for cluster in std::mem::take(&mut writer.refcounts.made) {
            overlap |= writer.is_table(cluster);
            writer.tables.insert(cluster);
            writer.end = writer.end.max((cluster + 1) << bits);
            writer.zeros_from = writer.zeros_from.max((cluster + 1) << bits);
        }
        for old in std::mem::take(&mut writer.refcounts.left) {
            writer.fixed.retain(|run| run.start != old.start);
            for cluster in old.clone() {
                writer.tables.remove(&cluster);
            }
            writer.give_up(old.start, old.end - old.start);
        }
        let run = run?;
        overlap |= run.clone().any(|cluster| writer.is_table(cluster));
        writer.end = writer.end.max(run.end << bits);
        if overlap {
            return Err(
                self.mark_corrupt("a cluster that holds one of its tables is counted as free")
            );
        }
        Ok(run)
    }

    /// Takes back an allocation that nothing came to refer to.
    fn take_back(&mut self, run: std::ops::Range<u64>) {
        let Self { file, writer, .. } = self;
        let writer = writer
            .as_mut()
            .expect("checked by whoever changes the image");
        for cluster in run {
            // What cannot be taken back is lost until the image is repaired, and harms nobody.
            drop(writer.refcounts.release(&**file, cluster));
        }
    }

    /// The offset of an L2 table that may be changed; it is made, or copied from a snapshot's, if need be.
    fn l2_to_change(&mut self, index: usize) -> Result<u64, ImageError> {
        let geometry = self.header.geometry;
        let place = l2_place(self.l1[index], geometry)?;
        if place.offset != 0 {
            if place.copied {
                return Ok(place.offset);
            }
            if self.refcount_of(place.offset)? == 1 {
                self.set_l1(index, place.offset | COPIED);
                return Ok(place.offset);
            }
        }
        let content = if place.offset == 0 {
            vec![0; to_usize(geometry.cluster_bytes())]
        } else {
            self.l2.load(&*self.file, place.offset)?.bytes().to_vec()
        };
        let cluster = self.allocate(1)?.start;
        let offset = cluster << geometry.cluster_bits;
        self.l2.add(offset, content);
        self.set_l1(index, offset | COPIED);
        let writer = self.writer();
        writer.tables.insert(cluster);
        writer.zeros_from = writer.zeros_from.max(offset + geometry.cluster_bytes());
        if place.offset != 0 {
            let old = place.offset >> geometry.cluster_bits;
            writer.tables.remove(&old);
            writer.give_up(old, 1);
            self.l2.remove(place.offset);
        }
        Ok(offset)
    }

    fn refcount_of(&mut self, offset: u64) -> Result<u64, ImageError> {
        let cluster = offset >> self.header.geometry.cluster_bits;
        let Self { file, writer, .. } = self;
        let writer = writer
            .as_mut()
            .expect("checked by whoever changes the image");
        writer.refcounts.get(&**file, cluster)
    }

    fn set_l1(&mut self, index: usize, entry: u64) {
        self.l1[index] = entry;
        let writer = self.writer();
        let dirty = writer.l1_dirty.clone();
        writer.l1_dirty = if dirty.is_empty() {
            index..index + 1
        } else {
            dirty.start.min(index)..dirty.end.max(index + 1)
        };
    }

    /// What an entry of a table says. A cluster that only it refers to is marked so.
    fn mapping_to_change(&mut self, table: u64, index: usize) -> Result<Mapping, ImageError> {
        let geometry = self.header.geometry;
        let entry = self.l2.load(&*self.file, table)?.entry(index);
        let mapping = Mapping::of(entry, geometry, self.header.has_zero_flag())?;
        match mapping {
            Mapping::Data(place) if !place.copied && self.refcount_of(place.offset)? == 1 => {
                let entry = data_entry(place.offset);
                self.l2.load(&*self.file, table)?.set_entry(index, entry);
                Mapping::of(entry, geometry, false)
            }
            _ => Ok(mapping),
        }
    }

    /// Writes the first bytes, as many as can be written at once, and says how many.
    fn write_some(&mut self, offset: u64, data: &[u8]) -> Result<usize, ImageError> {
        let geometry = self.header.geometry;
        let cluster_bytes = geometry.cluster_bytes();
        let in_table = geometry.l2_reach() - offset % geometry.l2_reach();
        let data = &data[..data.len().min(to_usize(in_table))];
        let table = self.l2_to_change(to_usize(offset / geometry.l2_reach()))?;
        let first = to_usize(offset / cluster_bytes % geometry.l2_entries());
        let within = offset & (cluster_bytes - 1);
        let clusters = to_usize(geometry.clusters(within + data.len() as u64));
        match self.mapping_to_change(table, first)? {
            Mapping::Data(place) if place.copied => {
                let mut run = 1;
                while run < clusters
                    && self.mapping_to_change(table, first + run)?
                        == Mapping::Data(super::entry::Place {
                            offset: place.offset + run as u64 * cluster_bytes,
                            copied: true,
                        })
                {
                    run += 1;
                }
                let len = (to_usize((run as u64 * cluster_bytes) - within)).min(data.len());
                self.write_in_place(place.offset, run as u64, within, &data[..len])?;
                Ok(len)
            }
            mapping => {
                let mut old = vec![mapping];
                while old.len() < clusters {
                    match self.mapping_to_change(table, first + old.len())? {
                        Mapping::Data(place) if place.copied => break,
                        mapping => old.push(mapping),
                    }
                }
                let start = offset - within;
                let run = Run {
                    table,
                    first,
                    start,
                    old,
                };
                self.write_anew(run, within, data)
            }
        }
    }

    fn write_in_place(
        &mut self,
        place: u64,
        clusters: u64,
        within: u64,
        data: &[u8],
    ) -> Result<(), ImageError> {
        let first = place >> self.header.geometry.cluster_bits;
        let writer = self.writer();
        if (first..first + clusters).any(|cluster| writer.is_table(cluster)) {
            return Err(self.mark_corrupt("data of the medium lies in one of its own tables"));
        }
        self.file
            .write_at(place + within, data)
            .map_err(ImageError::host("written"))
    }

    /// Writes clusters to new places: what is around the data comes from the old ones.
    fn write_anew(&mut self, mut run: Run, within: u64, data: &[u8]) -> Result<usize, ImageError> {
        let geometry = self.header.geometry;
        let clusters = self.allocate(run.old.len() as u64)?;
        run.old.truncate(to_usize(clusters.end - clusters.start));
        let bytes = (run.old.len() as u64) << geometry.cluster_bits;
        let len = to_usize(bytes - within).min(data.len());
        let place = clusters.start << geometry.cluster_bits;
        if let Err(error) = self.fill(&run, place, within, &data[..len]) {
            self.take_back(clusters);
            return Err(error);
        }
        let table = self.l2.load(&*self.file, run.table);
        let table = match table {
            Ok(table) => table,
            Err(error) => {
                self.take_back(clusters);
                return Err(error);
            }
        };
        for index in 0..run.old.len() {
            let offset = place + ((index as u64) << geometry.cluster_bits);
            table.set_entry(run.first + index, data_entry(offset));
        }
        for old in run.old {
            self.give_up(old);
        }
        Ok(len)
    }

    /// Fills new clusters.
    fn fill(&mut self, run: &Run, place: u64, within: u64, data: &[u8]) -> Result<(), ImageError> {
        let cluster_bytes = self.header.geometry.cluster_bytes();
        let bytes = run.old.len() as u64 * cluster_bytes;
        let after = within + data.len() as u64;
        let writer = self.writer();
        let zeros_already = place >= writer.zeros_from;
        // Before anything is written: what fails halfway leaves something behind too.
        writer.zeros_from = writer.zeros_from.max(place + bytes);
        let head = self.around(run.old.first(), run.start, within, zeros_already)?;
        let tail = self.around(
            run.old.last(),
            run.start + after,
            bytes - after,
            zeros_already,
        )?;
        let write = |at: u64, part: &[u8]| {
            if part.is_empty() {
                return Ok(());
            }
            self.file
                .write_at(place + at, part)
                .map_err(ImageError::host("written"))
        };
        if bytes == cluster_bytes && (!head.is_empty() || !tail.is_empty()) {
            // One piece instead of three; where zeros are there already, `head` and `tail` are empty.
            let from = if head.is_empty() { within } else { 0 };
            return write(from, &[&head, data, &tail].concat());
        }
        write(0, &head)?;
        write(within, data)?;
        write(after, &tail)
    }

    /// The old content of a part of a cluster, or nothing where that is zeros which are there already.
    fn around(
        &mut self,
        old: Option<&Mapping>,
        offset: u64,
        len: u64,
        zeros_already: bool,
    ) -> Result<Vec<u8>, ImageError> {
        let zeros = old.is_none_or(|&old| self.reads_as_zeros(old, offset));
        if len == 0 || (zeros && zeros_already) {
            return Ok(Vec::new());
        }
        let mut content = Vec::new();
        if !zeros {
            // The medium may end within its last cluster.
            let there = self.header.bytes.saturating_sub(offset).min(len);
            self.read(offset, to_usize(there), &mut content)?;
        }
        content.resize(to_usize(len), 0);
        Ok(content)
    }

    /// Whether the bytes of a cluster from `offset` of the medium on are zeros for sure.
    fn reads_as_zeros(&self, mapping: Mapping, offset: u64) -> bool {
        match mapping {
            Mapping::Zero { .. } => true,
            Mapping::Unallocated => self.below.as_ref().is_none_or(|b| b.bytes() <= offset),
            Mapping::Data(_) | Mapping::Compressed { .. } => false,
        }
    }

    /// What an entry referred to loses a reference.
    fn give_up(&mut self, old: Mapping) {
        if let Some((offset, bytes)) = old.refers_to() {
            let bits = self.header.geometry.cluster_bits;
            let first = offset >> bits;
            let clusters = ((offset + bytes - 1) >> bits) - first + 1;
            self.writer().give_up(first, clusters);
        }
    }

    fn clear(&mut self, offset: u64, len: u64, zeros_wanted: bool) -> Result<(), ImageError> {
        self.begin()?;
        let cluster_bytes = self.header.geometry.cluster_bytes();
        let end = offset + len;
        // The last cluster of a medium that ends within it is whole.
        let whole_end = if end == self.header.bytes {
            end.next_multiple_of(cluster_bytes)
        } else {
            end / cluster_bytes * cluster_bytes
        };
        let whole = offset.next_multiple_of(cluster_bytes)..whole_end;
        if whole.is_empty() {
            return if zeros_wanted {
                self.zero_part(offset, end)
            } else {
                Ok(())
            };
        }
        if zeros_wanted {
            self.zero_part(offset, whole.start)?;
            self.zero_part(whole.end.min(end), end)?;
        }
        if self.below.is_some() && !self.header.has_zero_flag() {
            // Given up, the clusters would show what is below.
            return if zeros_wanted {
                self.zero_part(whole.start, whole.end.min(end))
            } else {
                Ok(())
            };
        }
        let mut at = whole.start;
        while at < whole.end {
            self.make_room()?;
            at = self.clear_in_table(at, whole.end)?;
        }
        Ok(())
    }

    /// Clears whole clusters, those of one L2 table at most, and says how far.
    fn clear_in_table(&mut self, offset: u64, end: u64) -> Result<u64, ImageError> {
        let geometry = self.header.geometry;
        let reach = geometry.l2_reach();
        let end = end.min((offset / reach + 1) * reach);
        let index = to_usize(offset / reach);
        if self.below.is_none() && l2_place(self.l1[index], geometry)?.offset == 0 {
            return Ok(end);
        }
        let table = self.l2_to_change(index)?;
        let cleared = if self.below.is_some() { ZERO_ENTRY } else { 0 };
        let first = to_usize(offset / geometry.cluster_bytes() % geometry.l2_entries());
        let count = to_usize((end - offset) >> geometry.cluster_bits);
        let zero_flag = self.header.has_zero_flag();
        for index in first..first + count {
            let entries = self.l2.load(&*self.file, table)?;
            let entry = entries.entry(index);
            let old = Mapping::of(entry, geometry, zero_flag)?;
            let zeros = old == Mapping::Zero { kept: None };
            if entry != cleared && !zeros {
                entries.set_entry(index, cleared);
                self.give_up(old);
            }
        }
        Ok(end)
    }

    /// Writes zeros where the medium has none yet.
    fn zero_part(&mut self, mut offset: u64, end: u64) -> Result<(), ImageError> {
        let zeros = vec![0; to_usize(ZEROS_BYTES.min(end.saturating_sub(offset)))];
        let mut there = Vec::new();
        while offset < end {
            let next = end.min((offset / ZEROS_BYTES + 1) * ZEROS_BYTES);
            let len = to_usize(next - offset);
            there.clear();
            self.read(offset, len, &mut there)?;
            if there.iter().any(|&byte| byte != 0) {
                self.write(offset, &zeros[..len])?;
            }
            offset = next;
        }
        Ok(())
    }
}
