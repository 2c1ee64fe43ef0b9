//! Tables that do not know yet where they will lie: blobs, and what has to be done to them once it is known.
//!
//! There are two linkers. [`Linked::place`] is ours, for direct boots; [`Linked::script`] writes down the same work for
//! the firmware's own (SeaBIOS, src/fw/romfile_loader.h), which chooses the addresses itself.

use std::collections::BTreeMap;

/// Bytes of one command of the script.
pub const COMMAND_BYTES: usize = 128;
/// Bytes of a file's name in it.
const NAME_BYTES: usize = 56;
const COMMAND_ALLOCATE: u32 = 1;
const COMMAND_ADD_POINTER: u32 = 2;
const COMMAND_ADD_CHECKSUM: u32 = 3;

/// Where the firmware is to put a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Zone {
    /// Reserved memory at the end of RAM below 4 GiB.
    High = 1,
    /// The BIOS segment F0000h, where operating systems search.
    FSegment = 2,
}

/// One blob: a file of the firmware configuration, or one place in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// File name.
    pub name: &'static str,
    /// Where it belongs.
    pub zone: Zone,
    /// Power of two that its address has to be a multiple of.
    pub align: u32,
    /// Contents. Pointers hold offsets into their targets, checksums are 0.
    pub bytes: Vec<u8>,
}

/// What has to be done to a blob once addresses are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fixup {
    /// Adds the address of the blob `target` to the little-endian number of `width` bytes at `at` of the blob `blob`.
    Pointer {
        blob: &'static str,
        at: usize,
        width: u8,
        target: &'static str,
    },
    /// Makes the bytes `start` to `start + len` sum to 0 by the byte at `at`.
    Checksum {
        blob: &'static str,
        at: usize,
        start: usize,
        len: usize,
    },
}

/// Bytes and the address they belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Guest-physical address.
    pub address: u64,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// Blobs and their fix-ups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Linked {
    blobs: Vec<Blob>,
    fixups: Vec<Fixup>,
}

fn small(value: usize) -> u32 {
    u32::try_from(value).expect("tables are small")
}

impl Linked {
    /// Adds an empty blob.
    pub fn add(&mut self, name: &'static str, zone: Zone, align: u32) {
        self.blobs.push(Blob {
            name,
            zone,
            align,
            bytes: Vec::new(),
        });
    }

    fn bytes_mut(&mut self, name: &str) -> &mut Vec<u8> {
        let blob = self.blobs.iter_mut().find(|b| b.name == name);
        &mut blob.expect("the blob has been added").bytes
    }

    /// Appends bytes at the next multiple of `align` and gives their offset.
    pub fn append(&mut self, name: &'static str, align: usize, bytes: &[u8]) -> usize {
        let all = self.bytes_mut(name);
        all.resize(all.len().next_multiple_of(align), 0);
        let offset = all.len();
        all.extend_from_slice(bytes);
        offset
    }

    /// Makes the number of `width` bytes at `at` of `blob` the address of `offset` in `target`.
    pub fn point(
        &mut self,
        blob: &'static str,
        (at, width): (usize, u8),
        target: &'static str,
        offset: usize,
    ) {
        let value = (offset as u64).to_le_bytes();
        let end = at + usize::from(width);
        self.bytes_mut(blob)[at..end].copy_from_slice(&value[..usize::from(width)]);
        self.fixups.push(Fixup::Pointer {
            blob,
            at,
            width,
            target,
        });
    }

    /// Makes `len` bytes from `start` of `blob` sum to 0 by the byte at `at`, after all pointers added before.
    pub fn checksum(&mut self, blob: &'static str, at: usize, start: usize, len: usize) {
        self.bytes_mut(blob)[at] = 0;
        self.fixups.push(Fixup::Checksum {
            blob,
            at,
            start,
            len,
        });
    }

    /// The blobs before any fix-up.
    #[must_use]
    pub fn blobs(&self) -> &[Blob] {
        &self.blobs
    }

    /// The blobs with their addresses, fixed up.
    #[must_use]
    pub fn place(&self, address: impl Fn(&Blob) -> u64) -> Vec<Placed> {
        let addresses: BTreeMap<&str, u64> =
            self.blobs.iter().map(|b| (b.name, address(b))).collect();
        let mut bytes: BTreeMap<&str, Vec<u8>> = self
            .blobs
            .iter()
            .map(|b| (b.name, b.bytes.clone()))
            .collect();
        for fixup in &self.fixups {
            match *fixup {
                Fixup::Pointer {
                    blob,
                    at,
                    width,
                    target,
                } => {
                    let place = &mut bytes.get_mut(blob).expect("a known blob")[at..];
                    let place = &mut place[..usize::from(width)];
                    let mut value = [0; 8];
                    value[..place.len()].copy_from_slice(place);
                    let value = u64::from_le_bytes(value) + addresses[target];
                    place.copy_from_slice(&value.to_le_bytes()[..place.len()]);
                }
                Fixup::Checksum {
                    blob,
                    at,
                    start,
                    len,
                } => {
                    let all = bytes.get_mut(blob).expect("a known blob");
                    all[at] = all[at].wrapping_sub(sum(&all[start..start + len]));
                }
            }
        }
        self.blobs
            .iter()
            .map(|b| Placed {
                address: addresses[b.name],
                bytes: bytes.remove(b.name).expect("a known blob"),
            })
            .collect()
    }

    /// The script for the firmware's linker.
    #[must_use]
    pub fn script(&self) -> Vec<u8> {
        let mut script = Vec::new();
        let mut command = |number: u32, parts: &[&[u8]]| {
            let end = script.len() + COMMAND_BYTES;
            script.extend_from_slice(&number.to_le_bytes());
            script.extend(parts.concat());
            script.resize(end, 0);
        };
        for blob in &self.blobs {
            let parts: [&[u8]; 3] = [
                &file_name(blob.name),
                &blob.align.to_le_bytes(),
                &[blob.zone as u8],
            ];
            command(COMMAND_ALLOCATE, &parts);
        }
        for fixup in &self.fixups {
            match *fixup {
                Fixup::Pointer {
                    blob,
                    at,
                    width,
                    target,
                } => {
                    let parts: [&[u8]; 4] = [
                        &file_name(blob),
                        &file_name(target),
                        &small(at).to_le_bytes(),
                        &[width],
                    ];
                    command(COMMAND_ADD_POINTER, &parts);
                }
                Fixup::Checksum {
                    blob,
                    at,
                    start,
                    len,
                } => {
                    let numbers = [small(at), small(start), small(len)].map(u32::to_le_bytes);
                    let parts: [&[u8]; 2] = [&file_name(blob), numbers.as_flattened()];
                    command(COMMAND_ADD_CHECKSUM, &parts);
                }
            }
        }
        script
    }
}

fn file_name(name: &str) -> [u8; NAME_BYTES] {
    let mut out = [0; NAME_BYTES];
    out[..name.len()].copy_from_slice(name.as_bytes());
    out
}

/// Sum of all bytes.
#[must_use]
pub fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, &b| sum.wrapping_add(b))
}

/// The firmware's linker, as far as it matters: reads a script and carries it out over files at the given addresses.
#[cfg(test)]
pub(crate) fn run_script(
    script: &[u8],
    files: &mut BTreeMap<String, (u64, Vec<u8>)>,
) -> Vec<String> {
    let text = |b: &[u8]| {
        let end = b.iter().position(|&c| c == 0).unwrap();
        String::from_utf8(b[..end].to_vec()).unwrap()
    };
    let number = |b: &[u8], at: usize| {
        usize::try_from(u32::from_le_bytes(b[at..at + 4].try_into().unwrap())).unwrap()
    };
    let mut allocated = Vec::new();
    for c in script.chunks_exact(COMMAND_BYTES) {
        let first = text(&c[4..60]);
        match number(c, 0) {
            1 => {
                let align = u64::try_from(number(c, 60)).unwrap();
                assert_eq!(files[&first].0 % align, 0, "{first} is not aligned");
                allocated.push(first);
            }
            2 => {
                let target = text(&c[60..116]);
                assert!(allocated.contains(&first) && allocated.contains(&target));
                let (at, width) = (number(c, 116), usize::from(c[120]));
                let base = files[&target].0;
                let place = &mut files.get_mut(&first).unwrap().1[at..at + width];
                let mut value = [0; 8];
                value[..width].copy_from_slice(place);
                let value = u64::from_le_bytes(value) + base;
                place.copy_from_slice(&value.to_le_bytes()[..width]);
            }
            3 => {
                let (at, start, len) = (number(c, 60), number(c, 64), number(c, 68));
                let all = &mut files.get_mut(&first).unwrap().1;
                all[at] = all[at].wrapping_sub(sum(&all[start..start + len]));
            }
            n => panic!("command {n}"),
        }
    }
    allocated
}
