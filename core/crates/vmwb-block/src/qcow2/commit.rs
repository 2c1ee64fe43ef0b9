//! Writing what changed in memory, so that a power cut at any moment leaves a sound file.
//!
//! 1. Counts of new clusters, and new L2 tables, which nothing in the file refers to yet; data is on its way already.
//!    Then everything is made durable.
//! 2. If blocks are new: the refcount table's entries of them, or the header's reference to a new table. Durable.
//! 3. L2 entries and L1 entries: from here on the file refers to what is new, and not to what was given up. Durable.
//! 4. Clusters that were given up lose their references. The file is told, whenever that becomes durable: a power cut
//!    before leaves them counted and unused.
//!
//! Each entry is a unit that a torn sector cannot tear. A step that fails is repeated by the next flush. When the host
//! fails to make something durable, nobody can say what is in the file, and no further step may build on it.

use crate::error::ImageError;

use super::header::AT_REFTABLE;
use super::{Qcow2, Stopped};

impl Qcow2 {
    /// Makes everything durable that was written.
    pub fn flush(&mut self) -> Result<(), ImageError> {
        let writer = self.writer();
        match writer.stopped {
            Some(Stopped::Corrupt) => Err(ImageError::MarkedCorrupt),
            Some(Stopped::Lost) => Err(ImageError::Lost),
            None if !writer.begun => Ok(()),
            None => self.commit(),
        }
    }

    pub(super) fn commit(&mut self) -> Result<(), ImageError> {
        self.reach_end()?;
        self.write_counts()?;
        if self.l2.is_dirty() || !self.writer().l1_dirty.is_empty() {
            self.write_references()?;
        }
        if !self.writer().given_up.is_empty() {
            self.release_given_up();
        }
        Ok(())
    }

    /// Lets the file be as long as what is in it.
    fn reach_end(&mut self) -> Result<(), ImageError> {
        let end = self.writer().end;
        let size = self.file.size_bytes().map_err(ImageError::host("read"))?;
        if end > size {
            self.file
                .set_size(end)
                .map_err(ImageError::host("enlarged"))?;
        }
        Ok(())
    }

    /// Steps 1 and 2.
    fn write_counts(&mut self) -> Result<(), ImageError> {
        let Self {
            file, writer, l2, ..
        } = self;
        let refcounts = &mut writer
            .as_mut()
            .expect("only an image that is written is flushed")
            .refcounts;
        refcounts.blocks.write(&**file, false)?;
        l2.write(&**file, true)?;
        if refcounts.moved {
            write_entries(&**file, refcounts.table_offset, &refcounts.table)?;
        }
        self.sync()?;
        self.l2.written(true);
        let geometry = self.header.geometry;
        let refcounts = &mut self.writer().refcounts;
        refcounts.blocks.written(false);
        if !refcounts.moved && refcounts.table_dirty.is_empty() {
            return Ok(());
        }
        if refcounts.moved {
            let mut fields = [0; 12];
            fields[..8].copy_from_slice(&refcounts.table_offset.to_be_bytes());
            let clusters = u32::try_from(geometry.clusters(refcounts.table.len() as u64 * 8))
                .expect("a table of 8 MiB at most");
            fields[8..].copy_from_slice(&clusters.to_be_bytes());
            self.file
                .write_at(AT_REFTABLE, &fields)
                .map_err(ImageError::host("written"))?;
        } else {
            let dirty = refcounts.table_dirty.clone();
            let at = refcounts.table_offset + dirty.start as u64 * 8;
            let entries = refcounts.table[dirty].to_vec();
            write_entries(&*self.file, at, &entries)?;
        }
        self.sync()?;
        let refcounts = &mut self.writer().refcounts;
        refcounts.moved = false;
        refcounts.table_dirty = 0..0;
        Ok(())
    }

    /// Step 3.
    fn write_references(&mut self) -> Result<(), ImageError> {
        self.l2.write(&*self.file, false)?;
        let dirty = self.writer().l1_dirty.clone();
        let at = self.header.l1_offset + dirty.start as u64 * 8;
        write_entries(&*self.file, at, &self.l1[dirty])?;
        self.sync()?;
        self.l2.written(false);
        self.writer().l1_dirty = 0..0;
        Ok(())
    }

    /// Step 4. Room that nobody uses any more goes back to the host.
    fn release_given_up(&mut self) {
        let bits = self.header.geometry.cluster_bits;
        let Self { file, writer, .. } = self;
        let writer = writer
            .as_mut()
            .expect("only an image that is written is flushed");
        for run in std::mem::take(&mut writer.given_up) {
            let mut free = run.start..run.start;
            for cluster in run {
                // A count that is wrong or cannot be read leaves the cluster counted, which harms nobody.
                let left = writer.refcounts.release(&**file, cluster);
                if left.is_ok_and(|left| left == 0) {
                    if free.end != cluster {
                        punch(&**file, &free, bits);
                        free.start = cluster;
                    }
                    free.end = cluster + 1;
                }
            }
            punch(&**file, &free, bits);
        }
        // Only counts that fell have changed since step 1; if the file is not told now, it is at the next.
        let blocks = &mut writer.refcounts.blocks;
        if blocks.write(&**file, false).is_ok() {
            blocks.written(false);
        }
    }

    fn sync(&mut self) -> Result<(), ImageError> {
        self.file.sync().map_err(|error| {
            self.writer().stopped = Some(Stopped::Lost);
            ImageError::host("stored")(error)
        })
    }
}

/// A host that cannot make a hole keeps the room.
fn punch(file: &dyn crate::HostFile, clusters: &std::ops::Range<u64>, bits: u32) {
    if !clusters.is_empty() {
        drop(file.punch(
            clusters.start << bits,
            (clusters.end - clusters.start) << bits,
        ));
    }
}

fn write_entries(
    file: &dyn crate::HostFile,
    offset: u64,
    entries: &[u64],
) -> Result<(), ImageError> {
    let bytes: Vec<u8> = entries.iter().flat_map(|e| e.to_be_bytes()).collect();
    file.write_at(offset, &bytes)
        .map_err(ImageError::host("written"))
}
