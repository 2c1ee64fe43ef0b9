//! Which clusters of the file are in use ("Host cluster management" of the format), and the search for free ones.
//!
//! The table is held in memory, its blocks in a cache. Here are only numbers in memory; what goes to the file, and in
//! which order, is [`super::commit`]'s.

use std::ops::Range;

use crate::error::ImageError;
use crate::host::HostFile;
use crate::to_usize;

use super::cache::Cache;
use super::header::{Geometry, Header, MAX_HOST_BYTES, MAX_REFTABLE_BYTES, be64};

/// Bits 9 to 63 of a table's entry: the offset of a block.
const OFFSET: u64 = !511;

/// Reference counts of an image.
#[derive(Debug)]
pub(super) struct Refcounts {
    geometry: Geometry,
    /// Offsets of blocks; 0: all of its counts are 0.
    pub table: Vec<u64>,
    pub table_offset: u64,
    /// Entries of the table that the file does not have yet.
    pub table_dirty: Range<usize>,
    /// The table has moved, which the header does not say yet.
    pub moved: bool,
    pub blocks: Cache,
    /// No cluster below is free.
    first_free: u64,
    /// Clusters that are about to be used and not counted yet.
    reserved: Range<u64>,
    /// Clusters of blocks and tables that were made and that nobody has been told of yet.
    pub made: Vec<u64>,
    /// Clusters of a table that was moved away.
    pub left: Vec<Range<u64>>,
}

impl Refcounts {
    pub fn read(
        file: &dyn HostFile,
        header: &Header,
        cache_bytes: usize,
    ) -> Result<Self, ImageError> {
        let geometry = header.geometry;
        let mut bytes = Vec::new();
        let len = to_usize(header.reftable_clusters << geometry.cluster_bits);
        file.append_at(header.reftable_offset, len, &mut bytes)
            .map_err(ImageError::host("read"))?;
        let table: Vec<u64> = (0..len / 8).map(|i| be64(&bytes, i * 8)).collect();
        for &entry in &table {
            if entry & !OFFSET != 0 || !geometry.is_aligned(entry) || entry >= MAX_HOST_BYTES {
                return Err(ImageError::damaged(format!(
                    "an entry of its refcount table is {entry:#018x}, which makes no sense"
                )));
            }
        }
        Ok(Self {
            geometry,
            table,
            table_offset: header.reftable_offset,
            table_dirty: 0..0,
            moved: false,
            blocks: Cache::new(to_usize(geometry.cluster_bytes()), cache_bytes),
            first_free: 0,
            reserved: 0..0,
            made: Vec::new(),
            left: Vec::new(),
        })
    }

    /// Clusters of the table itself.
    pub fn table_clusters(&self) -> u64 {
        self.geometry.clusters(self.table.len() as u64 * 8)
    }

    fn split(&self, cluster: u64) -> (usize, u64) {
        let entries = self.geometry.block_entries();
        (to_usize(cluster / entries), cluster % entries)
    }

    /// The count of a cluster.
    pub fn get(&mut self, file: &dyn HostFile, cluster: u64) -> Result<u64, ImageError> {
        let (block, index) = self.split(cluster);
        match self.table.get(block) {
            None | Some(0) => Ok(0),
            Some(&offset) => {
                let table = self.blocks.load(file, offset)?;
                Ok(count(
                    table.bytes(),
                    self.geometry.refcount_order,
                    to_usize(index),
                ))
            }
        }
    }

    /// Changes a count; its block is made if it is missing.
    fn set(&mut self, file: &dyn HostFile, cluster: u64, value: u64) -> Result<(), ImageError> {
        let (block, index) = self.split(cluster);
        self.ensure_block(file, block)?;
        self.put(file, block, index, value)
    }

    fn put(
        &mut self,
        file: &dyn HostFile,
        block: usize,
        index: u64,
        value: u64,
    ) -> Result<(), ImageError> {
        let index = to_usize(index);
        let table = self.blocks.load(file, self.table[block])?;
        let order = self.geometry.refcount_order;
        set_count(table.change(place(order, index)), order, index, value);
        Ok(())
    }

    /// Makes a block that is missing, in the first of the clusters that it counts itself and that is not reserved. They
    /// are all free as long as it is missing.
    fn ensure_block(&mut self, file: &dyn HostFile, block: usize) -> Result<(), ImageError> {
        if self.table[block] != 0 {
            return Ok(());
        }
        let first = block as u64 * self.geometry.block_entries();
        let cluster = if self.reserved.contains(&first) {
            self.reserved.end
        } else {
            first
        };
        debug_assert_eq!(self.split(cluster).0, block, "a run leaves it a cluster");
        self.make_block(block, cluster);
        self.put(file, block, cluster - first, 1)
    }

    fn make_block(&mut self, block: usize, cluster: u64) {
        let offset = cluster << self.geometry.cluster_bits;
        self.blocks.add_empty(offset);
        self.table[block] = offset;
        self.made.push(cluster);
        self.table_dirty = if self.table_dirty.is_empty() {
            block..block + 1
        } else {
            self.table_dirty.start.min(block)..self.table_dirty.end.max(block + 1)
        };
    }

    /// Finds up to `most` free clusters in a row and counts them as used once.
    ///
    /// # Errors
    /// There is no room for more, or a block cannot be read; nothing is allocated then.
    pub fn allocate(&mut self, file: &dyn HostFile, most: u64) -> Result<Range<u64>, ImageError> {
        let mut first = self.find_free(file, self.first_free)?;
        if self.split(first).0 >= self.table.len() {
            self.grow(file)?;
            first = self.find_free(file, first)?;
        }
        self.first_free = first;
        let mut end = first + 1;
        while end < first + most && self.may_extend(end) && self.get(file, end)? == 0 {
            end += 1;
        }
        if end > MAX_HOST_BYTES >> self.geometry.cluster_bits {
            return Err(too_large(end << self.geometry.cluster_bits));
        }
        self.reserved = first..end;
        let mut done = first;
        let mut outcome = Ok(());
        while done < end && outcome.is_ok() {
            outcome = self.set(file, done, 1);
            done += u64::from(outcome.is_ok());
        }
        self.reserved = 0..0;
        if done == first {
            outcome?;
        }
        // Less than was found is an allocation too: the rest is tried again by whoever needs it.
        self.first_free = done;
        Ok(first..done)
    }

    /// The first free cluster from `from` on; behind what the table can count all are free.
    fn find_free(&mut self, file: &dyn HostFile, from: u64) -> Result<u64, ImageError> {
        let per_block = self.geometry.block_entries();
        let order = self.geometry.refcount_order;
        let (first_block, mut index) = self.split(from);
        for block in first_block..self.table.len() {
            let base = block as u64 * per_block;
            let offset = self.table[block];
            if offset == 0 {
                return Ok(base + index);
            }
            let counts = self.blocks.load(file, offset)?.bytes();
            let free = (index..per_block).find(|&i| count(counts, order, to_usize(i)) == 0);
            if let Some(free) = free {
                return Ok(base + free);
            }
            index = 0;
        }
        Ok(from.max(self.table.len() as u64 * per_block))
    }

    /// Whether a run may reach over this cluster: the table must be able to count it, and a block that is missing needs
    /// one of those that it counts.
    fn may_extend(&self, cluster: u64) -> bool {
        let (block, index) = self.split(cluster);
        self.table
            .get(block)
            .is_some_and(|&offset| offset != 0 || index + 1 < self.geometry.block_entries())
    }

    /// Moves the table to the first clusters that it could not count, and makes it half as long again: first new blocks
    /// that count them, then the table itself.
    fn grow(&mut self, file: &dyn HostFile) -> Result<(), ImageError> {
        let per_block = self.geometry.block_entries();
        let per_cluster = self.geometry.cluster_bytes() / 8;
        let old_entries = self.table.len() as u64;
        let (mut entries, mut blocks) = (old_entries + old_entries / 2 + 2, 1);
        let clusters = loop {
            let clusters = entries.div_ceil(per_cluster);
            entries = clusters * per_cluster;
            blocks = (blocks + clusters).div_ceil(per_block).max(blocks);
            if (blocks + clusters).div_ceil(per_block) == blocks && entries > old_entries + blocks {
                break clusters;
            }
            entries = entries.max(old_entries + blocks + 1);
        };
        let first = old_entries * per_block;
        let end = (first + blocks + clusters) << self.geometry.cluster_bits;
        if clusters << self.geometry.cluster_bits > MAX_REFTABLE_BYTES || end > MAX_HOST_BYTES {
            return Err(too_large(end));
        }
        let old_first = self.table_offset >> self.geometry.cluster_bits;
        self.left.push(old_first..old_first + self.table_clusters());
        let old_len = self.table.len();
        self.table.resize(to_usize(entries), 0);
        for block in 0..blocks {
            self.make_block(old_len + to_usize(block), first + block);
        }
        self.table_offset = (first + blocks) << self.geometry.cluster_bits;
        self.moved = true;
        for cluster in first..first + blocks + clusters {
            let (block, index) = self.split(cluster);
            // The new blocks are in memory, all changed: nothing is read.
            self.put(file, block, index, 1)?;
        }
        self.made.extend(first + blocks..first + blocks + clusters);
        Ok(())
    }

    /// Takes one reference from a cluster and gives what is left.
    ///
    /// # Errors
    /// It had none, or its block cannot be read; nothing has changed then.
    pub fn release(&mut self, file: &dyn HostFile, cluster: u64) -> Result<u64, ImageError> {
        let count = self.get(file, cluster)?;
        let left = count
            .checked_sub(1)
            .ok_or_else(|| ImageError::damaged("a cluster that was in use is counted as free"))?;
        let (block, index) = self.split(cluster);
        self.put(file, block, index, left)?;
        if left == 0 {
            self.first_free = self.first_free.min(cluster);
        }
        Ok(left)
    }
}

fn too_large(bytes: u64) -> ImageError {
    ImageError::TooLarge {
        what: format!("a file of {bytes} bytes, with clusters as small as these,"),
    }
}

/// Where the count of an entry is in its block.
fn place(order: u32, index: usize) -> Range<usize> {
    let bits = 1usize << order;
    let first = index * bits / 8;
    first..first + bits.div_ceil(8)
}

/// The count of an entry of a block.
pub(super) fn count(block: &[u8], order: u32, index: usize) -> u64 {
    let bytes = &block[place(order, index)];
    let value = bytes.iter().fold(0, |value, &b| value << 8 | u64::from(b));
    if order >= 3 {
        return value;
    }
    let bits = 1 << order;
    value >> (index * bits % 8) & ((1 << bits) - 1)
}

/// Changes the bytes of an entry, which [`place`] tells.
pub(super) fn set_count(bytes: &mut [u8], order: u32, index: usize, value: u64) {
    if order >= 3 {
        let from = 8 - bytes.len();
        bytes.copy_from_slice(&value.to_be_bytes()[from..]);
        return;
    }
    let bits = 1usize << order;
    let shift = index * bits % 8;
    let mask = ((1u8 << bits) - 1) << shift;
    // It has been checked that the count fits: a small one is its own lowest byte.
    let value = value.to_le_bytes()[0];
    bytes[0] = bytes[0] & !mask | (value << shift) & mask;
}

/// Changes an entry of a whole block.
pub(super) fn set_in_block(block: &mut [u8], order: u32, index: usize, value: u64) {
    set_count(&mut block[place(order, index)], order, index, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_width_read_back_and_leave_their_neighbours() {
        for order in 0..=6 {
            let max = u64::MAX >> (64 - (1u32 << order));
            let mut block = vec![0; 512];
            for index in [0, 1, 2, 7, 8, 62] {
                set_in_block(&mut block, order, index, max);
                assert_eq!(count(&block, order, index), max, "order {order}");
                assert_eq!(count(&block, order, index + 1), 0, "order {order}");
                set_in_block(&mut block, order, index, 0);
            }
            assert_eq!(block, vec![0; 512]);
        }
    }

    #[test]
    fn width_below_a_byte_counts_from_the_least_significant_bit() {
        let mut block = vec![0; 512];
        set_in_block(&mut block, 0, 1, 1);
        set_in_block(&mut block, 2, 3, 15);
        assert_eq!(block[..2], [2, 0xf0]);
    }
}
