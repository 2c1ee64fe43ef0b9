//! Memory to a file and back: the memory file of [`GuestMemory`] with zero pages as holes. RAM's offset is its guest address;
//! video memory lies where it lies in the memory file, ROMs are left out.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use vmwb_mem::{GuestMemory, PAGE_BYTES};
use vmwb_snapshot::SnapshotError;

use crate::error::MachineError;
use crate::sys::next_data;

const CHUNK_BYTES: u64 = 1 << 20;
/// [`PAGE_BYTES`] as a length.
const PAGE: usize = 4096;

fn span(memory: &GuestMemory) -> u64 {
    memory.backing_pages() * PAGE_BYTES
}

/// Calls `each` with every chunk of data between the holes of `file`, from `at` up to `end`.
fn for_each_chunk(
    file: &File,
    mut at: u64,
    end: u64,
    mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; usize::try_from(CHUNK_BYTES).map_err(io::Error::other)?];
    while let Some((start, stop)) = next_data(file, at)? {
        let stop = stop.next_multiple_of(PAGE_BYTES).min(end);
        at = (start / PAGE_BYTES * PAGE_BYTES).max(at);
        if at >= stop {
            return Ok(());
        }
        while at < stop {
            let n = usize::try_from((stop - at).min(CHUNK_BYTES)).map_err(io::Error::other)?;
            file.read_exact_at(&mut buffer[..n], at)?;
            each(at, &buffer[..n])?;
            at += n as u64;
        }
    }
    Ok(())
}

/// Runs of pages that are not all zero: offset in the chunk and length, in bytes.
fn nonzero_runs(chunk: &[u8]) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for (i, page) in chunk.chunks(PAGE).enumerate() {
        if page.iter().all(|&b| b == 0) {
            continue;
        }
        match runs.last_mut() {
            Some((start, len)) if *start + *len == i * PAGE => *len += page.len(),
            _ => runs.push((i * PAGE, page.len())),
        }
    }
    runs
}

/// Writes RAM to an empty file (an old content is cut off) and waits until it is on disk.
///
/// # Errors
/// The host's answer.
pub fn save(memory: &GuestMemory, file: &File) -> Result<(), MachineError> {
    let write = || -> io::Result<()> {
        file.set_len(0)?;
        file.set_len(span(memory))?;
        for range in memory.state_ranges() {
            for_each_chunk(memory.file(), range.start, range.end, |at, chunk| {
                for (offset, len) in nonzero_runs(chunk) {
                    file.write_all_at(&chunk[offset..offset + len], at + offset as u64)?;
                }
                Ok(())
            })?;
        }
        file.sync_all()
    };
    write().map_err(MachineError::host("The guest's memory could not be saved"))
}

/// Reads RAM of a new machine from a file.
///
/// # Errors
/// The file has another size than the machine's memory, or cannot be read.
pub fn restore(memory: &GuestMemory, file: &File) -> Result<(), MachineError> {
    let host = || MachineError::host("The guest's saved memory could not be read");
    let len = file.metadata().map_err(host())?.len();
    // Files from before display memory was part of them end with RAM.
    let ram_alone = memory.ranges().last().map_or(0, |r| r.end);
    if len != span(memory) && len != ram_alone {
        let reason = format!(
            "its memory has {len} bytes, the machine's has {}",
            span(memory)
        );
        return Err(SnapshotError::damaged("ram", reason).into());
    }
    for_each_chunk(file, 0, len, |at, chunk| {
        for (offset, n) in nonzero_runs(chunk) {
            memory
                .load_state(at + offset as u64, &chunk[offset..offset + n])
                .map_err(io::Error::other)?;
        }
        Ok(())
    })
    .map_err(host())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use vmwb_mem::{GuestAddress, RegionId, RegionKind, RegionSpec};

    #[test]
    fn save_then_restore_gives_the_same_memory_and_keeps_holes() {
        let memory = GuestMemory::new(32 << 20).unwrap();
        let places = [0u64, 0x9_F000, 0x10_0000, 0x20_0FFC, (32 << 20) - 8];
        places
            .iter()
            .for_each(|&a| memory.write(GuestAddress(a), &[0xA5; 8]).unwrap());
        let file = tempfile::tempfile().unwrap();
        save(&memory, &file).unwrap();
        let meta = file.metadata().unwrap();
        assert_eq!(meta.len(), 32 << 20);
        assert!(meta.blocks() * 512 < 1 << 20);
        let other = GuestMemory::new(32 << 20).unwrap();
        restore(&other, &file).unwrap();
        assert!(
            places
                .iter()
                .all(|&a| other.read_u64(GuestAddress(a)).unwrap() == 0xA5A5_A5A5_A5A5_A5A5)
        );
    }

    #[test]
    fn file_that_ends_with_ram_leaves_display_memory_to_its_device() {
        let spec = RegionSpec {
            bytes: 1 << 20,
            kind: RegionKind::Video,
        };
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 4096], 0x10_0000).unwrap();
        file.set_len(2 << 20).unwrap();
        let memory = GuestMemory::with_regions(2 << 20, &[spec]).unwrap();
        memory.region_write(RegionId(0), 0, &[9; 16]).unwrap();
        restore(&memory, &file).unwrap();
        let mut shown = [0; 16];
        memory.region_read(RegionId(0), 0, &mut shown).unwrap();
        assert_eq!(shown, [9; 16]);
        assert_eq!(
            memory.read_u64(GuestAddress(0x10_0000)).unwrap(),
            0x0707_0707_0707_0707
        );
    }

    #[test]
    fn save_over_an_older_file_leaves_nothing_of_it() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[0xFF; 8192], 0x10_0000).unwrap();
        save(&GuestMemory::new(2 << 20).unwrap(), &file).unwrap();
        let other = GuestMemory::new(2 << 20).unwrap();
        restore(&other, &file).unwrap();
        assert_eq!(other.read_u64(GuestAddress(0x10_0000)).unwrap(), 0);
    }

    #[test]
    fn restore_of_another_size_is_refused() {
        let file = tempfile::tempfile().unwrap();
        save(&GuestMemory::new(2 << 20).unwrap(), &file).unwrap();
        let refused = restore(&GuestMemory::new(4 << 20).unwrap(), &file).unwrap_err();
        assert_eq!(refused.code(), "bad_state");
    }

    /// 2 MiB of RAM, a ROM and video memory.
    fn with_regions() -> GuestMemory {
        let spec = |kind| RegionSpec {
            bytes: 0x1_0000,
            kind,
        };
        let regions = [spec(RegionKind::Rom), spec(RegionKind::Video)];
        GuestMemory::with_regions(2 << 20, &regions).unwrap()
    }

    #[test]
    fn video_memory_and_what_lies_behind_the_display_window_are_saved_and_roms_are_not() {
        let memory = with_regions();
        memory.region_load(RegionId(0), 0, &[1; 8]).unwrap();
        memory.region_write(RegionId(1), 0x2000, &[2; 8]).unwrap();
        memory.load_state(0xA_0000, &[3; 8]).unwrap();
        let file = tempfile::tempfile().unwrap();
        save(&memory, &file).unwrap();
        let other = with_regions();
        restore(&other, &file).unwrap();
        let mut seen = [[0; 1]; 2];
        other.region_read(RegionId(0), 0, &mut seen[0]).unwrap();
        other
            .region_read(RegionId(1), 0x2007, &mut seen[1])
            .unwrap();
        assert_eq!(seen, [[0], [2]]);
        let mut written = Vec::new();
        other.take_dirty(RegionId(1), |p| written.push(p)).unwrap();
        assert_eq!(written, [2]);
        let mut again = vec![0; 8];
        file.read_exact_at(&mut again, 0xA_0000).unwrap();
        assert_eq!(again, [3; 8]);
    }

    #[test]
    fn restore_of_data_in_a_rom_is_refused() {
        let file = tempfile::tempfile().unwrap();
        let memory = with_regions();
        file.set_len(span(&memory)).unwrap();
        file.write_all_at(&[1; 16], 2 << 20).unwrap();
        assert!(restore(&memory, &file).is_err());
    }
}
