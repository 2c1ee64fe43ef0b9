//! ELF executables (System V ABI, "Object Files"), as far as a loader needs them: what is loaded where, and notes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::error::BootError;
use super::files::read_error;
use super::image::Segment;

const MAGIC: [u8; 4] = *b"\x7FELF";
const HEADER_BYTES: usize = 64;
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const MACHINE_386: u16 = 3;
const MACHINE_X86_64: u16 = 62;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// Most program headers that are read.
const MAX_HEADERS: u16 = 128;
/// Longest part with notes that is read, in bytes.
const MAX_NOTE_BYTES: u64 = 1 << 20;
const NOTE_HEADER_BYTES: usize = 12;

/// A checked executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// Physical address of the entry point.
    pub entry: u64,
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// Offsets and lengths of parts with notes.
    notes: Vec<(u64, u64)>,
}

/// One program header.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u32,
    offset: u64,
    virtual_address: u64,
    physical_address: u64,
    file_bytes: u64,
    mem_bytes: u64,
}

fn damaged(why: &'static str) -> BootError {
    BootError::BadElf(why)
}

fn u16_at(b: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([b[at], b[at + 1]])
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

fn u64_at(b: &[u8], at: usize) -> u64 {
    u64::from(u32_at(b, at)) | u64::from(u32_at(b, at + 4)) << 32
}

/// Whether a file begins like an ELF file.
pub fn is_elf(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

impl Elf {
    /// Reads and checks the headers.
    ///
    /// # Errors
    /// It is no executable for this processor; a header is out of bounds; parts overlap.
    pub fn read(file: &File, file_bytes: u64) -> Result<Self, BootError> {
        let mut ident = [0; HEADER_BYTES];
        if file_bytes < HEADER_BYTES as u64 {
            return Err(damaged("it is too short"));
        }
        file.read_exact_at(&mut ident, 0)
            .map_err(read_error("kernel"))?;
        let wide = match (is_elf(&ident), ident[4], ident[5]) {
            (true, CLASS_32, LITTLE_ENDIAN) => false,
            (true, CLASS_64, LITTLE_ENDIAN) => true,
            _ => return Err(damaged("it is not for this kind of processor")),
        };
        if ![TYPE_EXECUTABLE, TYPE_SHARED].contains(&u16_at(&ident, 16)) {
            return Err(damaged("it is not an executable"));
        }
        if ![MACHINE_386, MACHINE_X86_64].contains(&u16_at(&ident, 18)) {
            return Err(damaged("it is for another processor"));
        }
        let (entry, table, entry_bytes, count) = if wide {
            (
                u64_at(&ident, 24),
                u64_at(&ident, 32),
                u16_at(&ident, 54),
                u16_at(&ident, 56),
            )
        } else {
            (
                u64::from(u32_at(&ident, 24)),
                u64::from(u32_at(&ident, 28)),
                u16_at(&ident, 42),
                u16_at(&ident, 44),
            )
        };
        if entry_bytes != if wide { 56 } else { 32 } {
            return Err(damaged("its program headers have an odd size"));
        }
        if count == 0 || count > MAX_HEADERS {
            return Err(damaged("it has no program headers, or more than 128"));
        }
        let table_bytes = u64::from(entry_bytes) * u64::from(count);
        if table
            .checked_add(table_bytes)
            .is_none_or(|end| end > file_bytes)
        {
            return Err(damaged("its program headers lie outside the file"));
        }
        let mut raw = vec![0; usize::from(entry_bytes) * usize::from(count)];
        file.read_exact_at(&mut raw, table)
            .map_err(read_error("kernel"))?;
        let headers: Vec<Header> = raw
            .chunks_exact(usize::from(entry_bytes))
            .map(|h| program_header(h, wide))
            .collect();
        Self::of(entry, &headers, file_bytes)
    }

    fn of(entry: u64, headers: &[Header], file_bytes: u64) -> Result<Self, BootError> {
        let (mut segments, mut notes) = (Vec::new(), Vec::new());
        let mut physical_entry = None;
        for h in headers.iter().filter(|h| h.kind == LOAD || h.kind == NOTE) {
            if h.offset
                .checked_add(h.file_bytes)
                .is_none_or(|end| end > file_bytes)
            {
                return Err(damaged("a part of it lies outside the file"));
            }
            if h.kind == NOTE {
                notes.push((h.offset, h.file_bytes));
                continue;
            }
            if h.file_bytes > h.mem_bytes {
                return Err(damaged("a part of it is longer than its memory"));
            }
            if h.mem_bytes == 0 {
                continue;
            }
            segments.push(Segment::new(
                h.offset,
                h.file_bytes,
                h.physical_address,
                h.mem_bytes,
            )?);
            // The entry is a virtual address: of the part that it lies in.
            let into = entry.wrapping_sub(h.virtual_address);
            if into < h.mem_bytes {
                physical_entry = physical_entry.or(h.physical_address.checked_add(into));
            }
        }
        Segment::sort(&mut segments)?;
        Ok(Self {
            entry: physical_entry.unwrap_or(entry),
            segments,
            notes,
        })
    }

    /// The contents of the first note of this name and kind.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn note(&self, file: &File, name: &[u8], kind: u32) -> Result<Option<Vec<u8>>, BootError> {
        for &(offset, len_bytes) in &self.notes {
            let len = usize::try_from(len_bytes.min(MAX_NOTE_BYTES)).unwrap_or(0);
            let mut notes = vec![0; len];
            file.read_exact_at(&mut notes, offset)
                .map_err(read_error("kernel"))?;
            if let Some(found) = find_note(&notes, name, kind) {
                return Ok(Some(found.to_vec()));
            }
        }
        Ok(None)
    }
}

fn program_header(h: &[u8], wide: bool) -> Header {
    if wide {
        Header {
            kind: u32_at(h, 0),
            offset: u64_at(h, 8),
            virtual_address: u64_at(h, 16),
            physical_address: u64_at(h, 24),
            file_bytes: u64_at(h, 32),
            mem_bytes: u64_at(h, 40),
        }
    } else {
        let number = |at| u64::from(u32_at(h, at));
        Header {
            kind: u32_at(h, 0),
            offset: number(4),
            virtual_address: number(8),
            physical_address: number(12),
            file_bytes: number(16),
            mem_bytes: number(20),
        }
    }
}

/// Walks notes: lengths of name and contents, kind, then both, each padded to 4 bytes.
fn find_note<'a>(mut notes: &'a [u8], name: &[u8], kind: u32) -> Option<&'a [u8]> {
    while notes.len() >= NOTE_HEADER_BYTES {
        let size = |at| usize::try_from(u32_at(notes, at)).unwrap_or(usize::MAX);
        let (name_bytes, content_bytes) = (size(0), size(4));
        let content_start =
            NOTE_HEADER_BYTES.checked_add(name_bytes.checked_next_multiple_of(4)?)?;
        let content_end = content_start.checked_add(content_bytes)?;
        let content = notes.get(content_start..content_end)?;
        let own_name = &notes[NOTE_HEADER_BYTES..NOTE_HEADER_BYTES + name_bytes];
        if own_name == name && u32_at(notes, 8) == kind {
            return Some(content);
        }
        notes = notes.get(content_end.checked_next_multiple_of(4)?..)?;
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// A part of an ELF file under test: kind, virtual and physical address, contents, bytes in memory.
    pub(crate) struct Part<'a> {
        pub kind: u32,
        pub virtual_address: u32,
        pub physical_address: u32,
        pub content: &'a [u8],
        pub mem_bytes: u32,
    }

    impl<'a> Part<'a> {
        pub(crate) fn load(address: u32, content: &'a [u8]) -> Self {
            Self {
                kind: LOAD,
                virtual_address: address,
                physical_address: address,
                content,
                mem_bytes: u32::try_from(content.len()).unwrap(),
            }
        }
        pub(crate) fn note(content: &'a [u8]) -> Self {
            Self {
                kind: NOTE,
                ..Self::load(0, content)
            }
        }
    }

    /// A 32-bit executable.
    pub(crate) fn elf32(entry: u32, parts: &[Part<'_>]) -> Vec<u8> {
        let mut image = vec![0; 52];
        image[..8].copy_from_slice(b"\x7FELF\x01\x01\x01\x00");
        image[16..20].copy_from_slice(&[2, 0, 3, 0]);
        image[24..28].copy_from_slice(&entry.to_le_bytes());
        image[28..32].copy_from_slice(&52u32.to_le_bytes());
        image[42..44].copy_from_slice(&32u16.to_le_bytes());
        image[44..46].copy_from_slice(&u16::try_from(parts.len()).unwrap().to_le_bytes());
        let mut offset = 52 + 32 * parts.len();
        for p in parts {
            let word = |n: usize| u32::try_from(n).unwrap();
            for n in [
                p.kind,
                word(offset),
                p.virtual_address,
                p.physical_address,
                word(p.content.len()),
                p.mem_bytes,
                7,
                1,
            ] {
                image.extend(n.to_le_bytes());
            }
            offset += p.content.len();
        }
        for p in parts {
            image.extend_from_slice(p.content);
        }
        image
    }

    /// A note with its padding.
    pub(crate) fn note(name: &[u8], kind: u32, content: &[u8]) -> Vec<u8> {
        let word = |n: usize| u32::try_from(n).unwrap().to_le_bytes();
        let mut note = [word(name.len()), word(content.len()), kind.to_le_bytes()].concat();
        for part in [name, content] {
            note.extend_from_slice(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    pub(crate) fn file_of(bytes: &[u8]) -> File {
        let mut f = tempfile::tempfile().unwrap();
        f.write_all(bytes).unwrap();
        f
    }

    fn read(image: &[u8]) -> Result<Elf, BootError> {
        Elf::read(&file_of(image), image.len() as u64)
    }

    #[test]
    fn read_gives_segments_in_order_and_the_physical_entry() {
        let high = Part {
            virtual_address: 0xC010_0000,
            mem_bytes: 0x3000,
            ..Part::load(0x10_0000, &[1; 16])
        };
        let image = elf32(0xC010_0004, &[Part::load(0x20_0000, &[2; 8]), high]);
        let elf = read(&image).unwrap();
        assert_eq!(elf.entry, 0x10_0004);
        let at: Vec<_> = elf.segments.iter().map(|s| (s.address, s.end())).collect();
        assert_eq!(at, [(0x10_0000, 0x10_3000), (0x20_0000, 0x20_0008)]);
    }

    #[test]
    fn note_is_found_behind_others() {
        let notes = [
            note(b"GNU\0", 3, &[1; 20]),
            note(b"Xen\0", 6, b"generic"),
            note(b"Xen\0", 18, &[0x40, 0, 0x10, 0]),
        ]
        .concat();
        let image = elf32(0, &[Part::load(0x10_0000, &[1]), Part::note(&notes)]);
        let elf = read(&image).unwrap();
        let found = |kind| elf.note(&file_of(&image), b"Xen\0", kind).unwrap();
        assert_eq!(found(18), Some(vec![0x40, 0, 0x10, 0]));
        assert_eq!(found(19), None);
    }

    #[test]
    fn executables_that_cannot_be_are_refused() {
        let good = elf32(0x10_0000, &[Part::load(0x10_0000, &[1; 64])]);
        assert!(read(&good).is_ok());
        let patched = |at: usize, byte: u8| {
            let mut image = good.clone();
            image[at] = byte;
            read(&image).unwrap_err().code()
        };
        // Class, byte order, type, machine, size and count of headers, their offset, a part's offset and length.
        for (at, byte) in [
            (4, 3),
            (5, 2),
            (16, 1),
            (18, 40),
            (42, 31),
            (44, 0),
            (45, 1),
            (31, 1),
            (59, 1),
            (71, 1),
            (68, 65),
        ] {
            assert_eq!(patched(at, byte), "bad_kernel", "byte {at}");
        }
        assert!(read(&good[..60]).is_err());
    }

    #[test]
    fn parts_that_overlap_or_wrap_are_refused() {
        let two = elf32(
            0,
            &[Part::load(0x10_0000, &[1; 64]), Part::load(0x10_003F, &[2])],
        );
        assert!(read(&two).is_err());
        let wrapping = Part {
            mem_bytes: 0x1000,
            ..Part::load(0xFFFF_F800, &[1])
        };
        assert!(read(&elf32(0, &[wrapping])).is_err());
    }

    proptest! {
        #[test]
        fn any_headers_never_panic(
            patch in proptest::collection::vec((0usize..200, any::<u8>()), 0..24), wide: bool,
        ) {
            let notes = note(b"Xen\0", 18, &[1; 8]);
            let parts = [Part::load(0x10_0000, &[1; 64]), Part::note(&notes)];
            let mut image = elf32(0x10_0000, &parts);
            image[4] = if wide { CLASS_64 } else { CLASS_32 };
            for (at, byte) in patch {
                if let Some(b) = image.get_mut(at) {
                    *b = byte;
                }
            }
            if let Ok(elf) = read(&image) {
                let _ = elf.note(&file_of(&image), b"Xen\0", 18);
            }
        }

        #[test]
        fn any_notes_never_panic(notes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = find_note(&notes, b"Xen\0", 18);
        }
    }
}
