//! Tables of an image in memory, one cluster each: a bounded number of them.
//!
//! A table that was changed stays until it is written; which part was changed is noted by sector, so that a flush
//! writes little.

use std::collections::HashMap;
use std::ops::Range;

use crate::error::ImageError;
use crate::host::HostFile;

const SECTOR: usize = 512;

/// One table, as its bytes in the file.
#[derive(Debug)]
pub(super) struct Table {
    bytes: Vec<u8>,
    /// Bytes that differ from the file, in whole sectors; empty: none.
    dirty: Range<usize>,
    /// Nothing in the file refers to it yet, so it may be written at any time.
    pub fresh: bool,
    used: u64,
}

impl Table {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Gives bytes to change.
    pub fn change(&mut self, range: Range<usize>) -> &mut [u8] {
        let sectors =
            range.start / SECTOR * SECTOR..range.end.next_multiple_of(SECTOR).min(self.bytes.len());
        self.dirty = if self.dirty.is_empty() {
            sectors
        } else {
            self.dirty.start.min(sectors.start)..self.dirty.end.max(sectors.end)
        };
        &mut self.bytes[range]
    }

    /// The entry of a table of 64-bit entries.
    pub fn entry(&self, index: usize) -> u64 {
        super::header::be64(&self.bytes, index * 8)
    }

    /// Changes an entry of a table of 64-bit entries.
    pub fn set_entry(&mut self, index: usize, entry: u64) {
        self.change(index * 8..index * 8 + 8)
            .copy_from_slice(&entry.to_be_bytes());
    }
}

/// Tables by their offset in the file.
#[derive(Debug)]
pub(super) struct Cache {
    tables: HashMap<u64, Table>,
    table_bytes: usize,
    most: usize,
    clock: u64,
}

impl Cache {
    /// A cache of about `budget` bytes.
    pub fn new(table_bytes: usize, budget: usize) -> Self {
        Self {
            tables: HashMap::new(),
            table_bytes,
            // Less than a handful would thrash when tables are copied.
            most: (budget / table_bytes).max(4),
            clock: 0,
        }
    }

    /// The table, if it is here.
    pub fn get(&mut self, offset: u64) -> Option<&mut Table> {
        self.clock += 1;
        let table = self.tables.get_mut(&offset)?;
        table.used = self.clock;
        Some(table)
    }

    /// The table, read if it is not here. What is clean makes room; a cache full of changes grows until it is written.
    pub fn load(&mut self, file: &dyn HostFile, offset: u64) -> Result<&mut Table, ImageError> {
        if !self.tables.contains_key(&offset) {
            let mut bytes = Vec::new();
            file.append_at(offset, self.table_bytes, &mut bytes)
                .map_err(ImageError::host("read"))?;
            self.insert(offset, bytes, 0..0, false);
        }
        Ok(self.get(offset).expect("it has just been put there"))
    }

    /// Adds a table that the file does not refer to yet.
    pub fn add(&mut self, offset: u64, bytes: Vec<u8>) {
        debug_assert_eq!(bytes.len(), self.table_bytes);
        let all = 0..bytes.len();
        self.insert(offset, bytes, all, true);
    }

    /// A table of zeros that the file does not refer to yet.
    pub fn add_empty(&mut self, offset: u64) {
        self.add(offset, vec![0; self.table_bytes]);
    }

    fn insert(&mut self, offset: u64, bytes: Vec<u8>, dirty: Range<usize>, fresh: bool) {
        if self.tables.len() >= self.most {
            self.make_room();
        }
        self.clock += 1;
        let table = Table {
            bytes,
            dirty,
            fresh,
            used: self.clock,
        };
        self.tables.insert(offset, table);
    }

    /// Drops the quarter of the clean tables that was used longest ago, at least one: so that it costs little a table.
    fn make_room(&mut self) {
        let mut clean: Vec<(u64, u64)> = self
            .tables
            .iter()
            .filter(|(_, t)| !t.is_dirty())
            .map(|(&offset, t)| (t.used, offset))
            .collect();
        clean.sort_unstable();
        for &(_, offset) in clean.iter().take(clean.len().div_ceil(4)) {
            self.tables.remove(&offset);
        }
    }

    /// Forgets a table.
    pub fn remove(&mut self, offset: u64) {
        self.tables.remove(&offset);
    }

    /// Whether so many tables are changed that they should be written before more are.
    pub fn is_full_of_changes(&self) -> bool {
        self.tables.len() + 2 >= self.most
            && self.tables.values().filter(|t| t.is_dirty()).count() * 4 >= self.most * 3
    }

    /// Whether any table was changed.
    pub fn is_dirty(&self) -> bool {
        self.tables.values().any(Table::is_dirty)
    }

    /// Writes the changed parts of all tables, or of the fresh ones only. They count as changed until
    /// [`Cache::written`].
    pub fn write(&self, file: &dyn HostFile, only_fresh: bool) -> Result<(), ImageError> {
        let mut changed: Vec<(u64, &Table)> = self
            .tables
            .iter()
            .filter(|(_, t)| t.is_dirty() && (t.fresh || !only_fresh))
            .map(|(&offset, t)| (offset, t))
            .collect();
        changed.sort_unstable_by_key(|&(offset, _)| offset);
        for (offset, table) in changed {
            let part = table.dirty.clone();
            file.write_at(offset + part.start as u64, &table.bytes[part])
                .map_err(ImageError::host("written"))?;
        }
        Ok(())
    }

    /// What [`Cache::write`] wrote is durable.
    pub fn written(&mut self, only_fresh: bool) {
        for table in self.tables.values_mut() {
            if table.fresh || !only_fresh {
                table.dirty = 0..0;
                table.fresh = false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_notes_whole_sectors() {
        let mut cache = Cache::new(4096, 0);
        cache.insert(0, vec![0; 4096], 0..0, false);
        let table = cache.get(0).unwrap();
        assert!(!table.is_dirty());
        table.set_entry(65, 7);
        assert_eq!((table.dirty.clone(), table.entry(65)), (512..1024, 7));
        table.set_entry(511, 7);
        assert_eq!(table.dirty, 512..4096);
    }

    #[test]
    fn full_cache_drops_the_clean_table_that_was_used_longest_ago() {
        let mut cache = Cache::new(512, 0);
        for offset in 0..4 {
            cache.insert(offset, vec![0; 512], 0..0, false);
        }
        cache.get(0).unwrap();
        cache.get(1).unwrap().set_entry(0, 1);
        cache.insert(4, vec![0; 512], 0..0, false);
        let here: Vec<u64> = (0..5).filter(|&o| cache.get(o).is_some()).collect();
        assert_eq!(here, [0, 1, 3, 4]);
    }
}
