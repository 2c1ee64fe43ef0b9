//! Direct boot of ELF kernels with a PVH entry: 32-bit, without a BIOS. Source: Xen, docs/misc/pvh.pandoc and
//! xen/include/public/arch-x86/hvm/start_info.h; Linux, arch/x86/platform/pvh.
//!
//! An uncompressed Linux (`vmlinux`) has the note that names the entry, as have Xen itself and several unikernels.

use std::fs::File;

use super::elf::Elf;
use super::entry::ProtectedEntry;
use super::error::BootError;
use super::image::{Block, Image, ModulePlace};
use super::layout::MemoryMap;
use super::{BootOptions, Module, PictureWish};

const NOTE_NAME: &[u8] = b"Xen\0";
/// Kind of the note whose contents are the entry's physical address.
const PHYS32_ENTRY: u32 = 18;
const START_MAGIC: u32 = 0x336E_C578;
/// Version of the start structure: the first with a memory map.
const START_VERSION: u32 = 1;

/// A kernel with a PVH entry and its modules.
#[derive(Debug)]
pub struct PvhBoot {
    image: Image,
    entry: u32,
}

impl PvhBoot {
    /// Checks the image.
    ///
    /// # Errors
    /// What is wrong with the image or the modules; it has no PVH entry.
    pub fn open(kernel: File, file_bytes: u64, modules: Vec<Module>) -> Result<Self, BootError> {
        let elf = Elf::read(&kernel, file_bytes)?;
        let note = elf.note(&kernel, NOTE_NAME, PHYS32_ENTRY)?;
        let entry = match note.ok_or(BootError::NoEntry)?[..] {
            [a, b, c, d] | [a, b, c, d, 0, 0, 0, 0] => u32::from_le_bytes([a, b, c, d]),
            _ => return Err(BootError::BadElf("its PVH entry is no 32-bit address")),
        };
        let image = Image::new(kernel, elf.segments, modules, ModulePlace::Top)?;
        Ok(Self { image, entry })
    }
}

impl ProtectedEntry for PvhBoot {
    const EAX: u32 = 0;

    fn image(&self) -> &Image {
        &self.image
    }

    fn entry(&self) -> u32 {
        self.entry
    }

    fn picture(&self) -> Option<PictureWish> {
        None
    }

    fn block(
        &self,
        base: u64,
        map: &MemoryMap,
        modules: &[(u64, u64)],
        options: &BootOptions<'_>,
    ) -> (Block, u32) {
        let mut block = Block::new(base);
        let line = block.text(options.append);
        let mut list = Vec::new();
        for (text, (start, end)) in self.image.module_lines().zip(modules) {
            let text = u64::from(block.text(text));
            for number in [*start, end - start, text, 0] {
                list.extend(number.to_le_bytes());
            }
        }
        let list = block.put(&list);
        let mut ranges = Vec::new();
        for e in map.entries() {
            ranges.extend(e.start.to_le_bytes());
            ranges.extend(e.len_bytes.to_le_bytes());
            ranges.extend((e.kind as u32).to_le_bytes());
            ranges.extend([0; 4]);
        }
        let ranges = block.put(&ranges);
        let count = |n: usize| u32::try_from(n).unwrap_or(0).to_le_bytes();
        let mut start = Vec::new();
        start.extend(START_MAGIC.to_le_bytes());
        start.extend(START_VERSION.to_le_bytes());
        start.extend([0; 4]);
        start.extend(count(modules.len()));
        start.extend(u64::from(list).to_le_bytes());
        start.extend(u64::from(line).to_le_bytes());
        start.extend(options.rsdp.to_le_bytes());
        start.extend(u64::from(ranges).to_le_bytes());
        start.extend(count(map.entries().len()));
        start.extend([0; 4]);
        let address = block.put(&start);
        (block, address)
    }
}

#[cfg(test)]
mod tests {
    use vmwb_mem::{GuestAddress, GuestMemory};
    use vmwb_x86::BootState;

    use super::*;
    use crate::boot::elf::tests::{Part, elf32, file_of, note};
    use crate::boot::open;

    fn kernel(content: &[u8]) -> Vec<u8> {
        let notes = note(NOTE_NAME, PHYS32_ENTRY, content);
        elf32(
            0xC010_0000,
            &[Part::load(0x10_0000, &[0xF4; 64]), Part::note(&notes)],
        )
    }

    fn load(image: &[u8], modules: Vec<Module>) -> Result<(GuestMemory, BootState), BootError> {
        let memory = GuestMemory::new(8 << 20).unwrap();
        let options = BootOptions {
            append: "quiet",
            rsdp: 0xF_0000,
            vga: false,
            picture: None,
            serial_ports: [0; 4],
        };
        let state = open(file_of(image), modules)?.load(&memory, &options)?;
        Ok((memory, state))
    }

    #[test]
    fn kernel_finds_everything_from_ebx() {
        let modules = vec![Module::from(file_of(&[9; 4097]))];
        let (memory, state) = load(&kernel(&[0x10, 0, 0x10, 0, 0, 0, 0, 0]), modules).unwrap();
        let BootState::Protected32 { eip, ebx, .. } = state else {
            panic!("{state:?}");
        };
        assert_eq!(eip, 0x10_0010);
        let at = |address: u64| memory.read_u64(GuestAddress(address)).unwrap();
        let start = u64::from(ebx);
        assert_eq!(at(start), 1 << 32 | u64::from(START_MAGIC));
        assert_eq!(at(start + 8), 1 << 32);
        assert_eq!(at(start + 32), 0xF_0000);
        assert_eq!(
            at(at(start + 24)) & 0xFFFF_FFFF,
            u64::from(u32::from_le_bytes(*b"quie"))
        );
        let module = at(start + 16);
        assert_eq!((at(module), at(module + 8)), (0x7E_E000, 4097));
        assert_eq!(at(0x7E_E000), 0x0909_0909_0909_0909);
        let entries = MemoryMap::of(&memory).entries().len();
        assert_eq!(at(start + 48), entries as u64);
        let map = at(start + 40);
        assert_eq!((at(map), at(map + 8), at(map + 16)), (0, 0x9_FC00, 1));
    }

    #[test]
    fn elf_without_the_note_says_that_nobody_can_start_it() {
        let image = elf32(0x10_0000, &[Part::load(0x10_0000, &[0xF4; 64])]);
        let refused = load(&image, Vec::new()).unwrap_err();
        assert!(matches!(refused, BootError::NoEntry));
        for content in [&[0; 3][..], &[0, 0, 0, 0, 1, 0, 0, 0]] {
            assert_eq!(
                load(&kernel(content), Vec::new()).unwrap_err().code(),
                "bad_kernel"
            );
        }
    }
}
