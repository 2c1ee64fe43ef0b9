//! Direct boot of kernels with a multiboot header, version 1. Source: Multiboot Specification 0.6.96.
//!
//! The image is an ELF file, or any file whose header says itself where it belongs ("a.out kludge"). The kernel is told:
//! sizes of memory and a memory map, command line, modules, the loader's name, and the screen: text, or the picture that
//! its header asks for (`vbe.rs` has the older form of that). Not told: drives, symbols, BIOS tables.

mod vbe;

use std::fs::File;

use vmwb_devices::vga::LinearPicture;

use super::elf::Elf;
use super::entry::ProtectedEntry;
use super::error::BootError;
use super::image::{Block, Image, ModulePlace, Segment, low};
use super::layout::{EBDA, MemoryMap, ONE_MIB};
use super::{BootOptions, Module, PictureWish};

/// The header lies within so many bytes of the file's beginning.
pub const SEARCH_BYTES: usize = 8192;
const HEADER_MAGIC: u32 = 0x1BAD_B002;
/// EAX at the entry.
const LOADER_MAGIC: u32 = 0x2BAD_B002;
const HEADER_BYTES: usize = 12;
/// Header with addresses.
const LONG_HEADER_BYTES: usize = 32;
/// Header with a video mode.
const VIDEO_HEADER_BYTES: usize = 48;
/// Flags that a loader must know, and those that this one does: aligned modules, memory, a video mode.
const FLAGS_REQUIRED: u32 = 0xFFFF;
const FLAGS_KNOWN: u32 = 0b111;
/// The header names a video mode.
const FLAG_VIDEO: u32 = 1 << 2;
/// Kind of a video mode: a linear picture.
const VIDEO_LINEAR: u32 = 0;
/// The header says where the image belongs.
const FLAG_ADDRESSES: u32 = 1 << 16;

// Flags of the information structure.
const INFO_MEMORY: u32 = 1 << 0;
const INFO_COMMAND_LINE: u32 = 1 << 2;
const INFO_MODULES: u32 = 1 << 3;
const INFO_MEMORY_MAP: u32 = 1 << 6;
const INFO_LOADER_NAME: u32 = 1 << 9;
const INFO_VBE: u32 = 1 << 11;
const INFO_FRAMEBUFFER: u32 = 1 << 12;
const INFO_BYTES: usize = 120;
/// Colours of a picture. The specification's table has them at 110; its C header, GNU GRUB and so the kernels have them
/// here, where the compiler aligns them.
const INFO_COLOURS: usize = 112;
/// Framebuffer type: direct colours.
const FRAMEBUFFER_COLOURS: u8 = 1;
/// Framebuffer type: EGA text.
const FRAMEBUFFER_TEXT: u8 = 2;
const TEXT_SCREEN: u64 = 0xB_8000;

const LOADER_NAME: &str = "VM Workbench";
/// First word of the command line, where loaders put the image's path and kernels skip it.
const IMAGE_NAME: &str = "kernel";

/// A header that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset in the file.
    offset: u64,
    /// Addresses of the header, of the image's start, of the ends of its data and its zeros, and its entry.
    addresses: Option<[u32; 5]>,
    /// The picture that it asks for.
    picture: Option<PictureWish>,
}

fn u32_at(b: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// Looks for a header in the beginning of a file.
///
/// # Errors
/// It asks for something that no loader of this version has, or is cut off.
pub fn find(start: &[u8]) -> Result<Option<Header>, BootError> {
    let start = &start[..start.len().min(SEARCH_BYTES)];
    for at in (0..start.len().saturating_sub(HEADER_BYTES - 1)).step_by(4) {
        let flags = u32_at(start, at + 4);
        let sum = HEADER_MAGIC
            .wrapping_add(flags)
            .wrapping_add(u32_at(start, at + 8));
        if u32_at(start, at) != HEADER_MAGIC || sum != 0 {
            continue;
        }
        if flags & FLAGS_REQUIRED & !FLAGS_KNOWN != 0 {
            return Err(BootError::BadMultiboot(
                "it asks for what no multiboot 1 loader has",
            ));
        }
        let addresses = if flags & FLAG_ADDRESSES == 0 {
            None
        } else if at + LONG_HEADER_BYTES > start.len() {
            return Err(BootError::BadMultiboot("it is cut off"));
        } else {
            Some([12, 16, 20, 24, 28].map(|field| u32_at(start, at + field)))
        };
        return Ok(Some(Header {
            offset: at as u64,
            addresses,
            picture: wish(&start[at..], flags),
        }));
    }
    Ok(None)
}

/// The picture that a header of these flags asks for.
fn wish(header: &[u8], flags: u32) -> Option<PictureWish> {
    let has_mode = flags & FLAG_VIDEO != 0 && header.len() >= VIDEO_HEADER_BYTES;
    let linear = has_mode && u32_at(header, 32) == VIDEO_LINEAR;
    linear.then(|| PictureWish {
        width: u32_at(header, 36),
        height: u32_at(header, 40),
        bits: u32_at(header, 44),
    })
}

/// The segment of an image whose header carries addresses (section 3.1.3).
fn plain_segment(offset: u64, addresses: [u32; 5], file_bytes: u64) -> Result<Segment, BootError> {
    let refuse = || BootError::BadMultiboot("its addresses contradict each other");
    let [header, load, load_end, bss_end, _] = addresses.map(u64::from);
    let before_header = header.checked_sub(load).ok_or_else(refuse)?;
    let start = offset.checked_sub(before_header).ok_or_else(refuse)?;
    let bytes = match load_end {
        0 => file_bytes - start,
        end => end.checked_sub(load).ok_or_else(refuse)?,
    };
    let mem_bytes = match bss_end {
        0 => bytes,
        end => end.checked_sub(load).ok_or_else(refuse)?,
    };
    if bytes == 0 || mem_bytes < bytes {
        return Err(refuse());
    }
    if start + bytes > file_bytes {
        return Err(BootError::Truncated {
            expected: start + bytes,
            found: file_bytes,
        });
    }
    Segment::new(start, bytes, load, mem_bytes)
}

/// A multiboot kernel and its modules.
#[derive(Debug)]
pub struct MultibootBoot {
    image: Image,
    entry: u32,
    picture: Option<PictureWish>,
}

impl MultibootBoot {
    /// Checks the image that `header` was found in.
    ///
    /// # Errors
    /// What is wrong with the image or the modules.
    pub fn open(
        kernel: File,
        file_bytes: u64,
        header: Header,
        modules: Vec<Module>,
    ) -> Result<Self, BootError> {
        let (entry, segments) = match header.addresses {
            Some(addresses) => {
                let segment = plain_segment(header.offset, addresses, file_bytes)?;
                (addresses[4], vec![segment])
            }
            None => {
                let elf = Elf::read(&kernel, file_bytes)?;
                let entry = u32::try_from(elf.entry)
                    .map_err(|_| BootError::BadElf("its entry lies above 4 GiB"))?;
                (entry, elf.segments)
            }
        };
        let image = Image::new(kernel, segments, modules, ModulePlace::AfterKernel)?;
        Ok(Self {
            image,
            entry,
            picture: header.picture,
        })
    }
}

/// The information structure (section 3.3).
struct Info(Vec<u8>);

impl Info {
    fn put(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    /// The screen: address, bytes from line to line, width, height, bits and type.
    fn put_screen(&mut self, address: u64, sizes: [u32; 3], bits: u8, kind: u8) {
        self.0[88..96].copy_from_slice(&address.to_le_bytes());
        for (at, size) in [96, 100, 104].into_iter().zip(sizes) {
            self.put(at, size);
        }
        self.0[108..110].copy_from_slice(&[bits, kind]);
    }

    fn put_picture(&mut self, picture: &LinearPicture) {
        let sizes = [
            picture.pitch_bytes,
            picture.width.into(),
            picture.height.into(),
        ];
        let bits = u8::try_from(picture.bits).unwrap_or(32);
        self.put_screen(picture.base.into(), sizes, bits, FRAMEBUFFER_COLOURS);
        let fields = vbe::colour_fields(picture.bits);
        for (place, (position, size)) in self.0[INFO_COLOURS..].chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&[position, size]);
        }
    }
}

impl ProtectedEntry for MultibootBoot {
    const EAX: u32 = LOADER_MAGIC;

    fn image(&self) -> &Image {
        &self.image
    }

    fn entry(&self) -> u32 {
        self.entry
    }

    fn picture(&self) -> Option<PictureWish> {
        self.picture
    }

    fn block(
        &self,
        base: u64,
        map: &MemoryMap,
        modules: &[(u64, u64)],
        options: &BootOptions<'_>,
    ) -> (Block, u32) {
        let mut block = Block::new(base);
        let line = match options.append {
            "" => IMAGE_NAME.to_owned(),
            append => format!("{IMAGE_NAME} {append}"),
        };
        let mut info = Info(vec![0; INFO_BYTES]);
        let mut flags =
            INFO_MEMORY | INFO_COMMAND_LINE | INFO_MODULES | INFO_MEMORY_MAP | INFO_LOADER_NAME;
        info.put(4, low(EBDA >> 10));
        info.put(8, low((map.acpi_start() - ONE_MIB) >> 10));
        info.put(16, block.text(&line));

        let mut list = Vec::new();
        for (text, (start, end)) in self.image.module_lines().zip(modules) {
            let text = block.text(text);
            for word in [low(*start), low(*end), text, 0] {
                list.extend(word.to_le_bytes());
            }
        }
        info.put(20, u32::try_from(modules.len()).unwrap_or(0));
        info.put(24, block.put(&list));

        let mut ranges = Vec::new();
        for e in map.entries() {
            ranges.extend(20u32.to_le_bytes());
            ranges.extend(e.start.to_le_bytes());
            ranges.extend(e.len_bytes.to_le_bytes());
            ranges.extend((e.kind as u32).to_le_bytes());
        }
        info.put(44, low(ranges.len() as u64));
        info.put(48, block.put(&ranges));
        info.put(64, block.text(LOADER_NAME));
        // Their place is taken whether the wish is met or not, so that what fits does not depend on it.
        let tables = self.picture.map(|_| {
            let (controller, mode) = vbe::tables(options.picture.as_ref());
            (block.put(&controller), block.put(&mode))
        });
        if let (Some(picture), Some((controller, mode))) = (&options.picture, tables) {
            flags |= INFO_FRAMEBUFFER | INFO_VBE;
            info.put(72, controller);
            info.put(76, mode);
            info.put_picture(picture);
        } else if options.vga {
            flags |= INFO_FRAMEBUFFER;
            info.put_screen(TEXT_SCREEN, [160, 80, 25], 16, FRAMEBUFFER_TEXT);
        }
        info.put(0, flags);
        let address = block.put(&info.0);
        (block, address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmwb_mem::{GuestAddress, GuestMemory};
    use vmwb_x86::BootState;

    use super::*;
    use crate::boot::elf::tests::{Part, elf32, file_of};
    use crate::boot::open;

    /// The code of a test kernel behind a header of these flags.
    fn headed(flags: u32, addresses: &[u32], code: &[u8]) -> Vec<u8> {
        let sum = 0u32.wrapping_sub(HEADER_MAGIC).wrapping_sub(flags);
        let mut out: Vec<u8> = [HEADER_MAGIC, flags, sum]
            .iter()
            .chain(addresses)
            .flat_map(|w| w.to_le_bytes())
            .collect();
        out.extend_from_slice(code);
        out
    }

    fn elf_kernel(address: u32) -> Vec<u8> {
        let code = headed(3, &[], &[0xF4; 20]);
        let part = Part {
            mem_bytes: 0x2000,
            ..Part::load(address, &code)
        };
        elf32(address + 12, &[part])
    }

    fn options(append: &str) -> BootOptions<'_> {
        BootOptions {
            append,
            rsdp: 0xF_0000,
            vga: true,
            picture: None,
            serial_ports: [0x3F8, 0, 0, 0],
        }
    }

    fn load(
        image: &[u8],
        modules: &[(&[u8], &str)],
    ) -> Result<(GuestMemory, BootState), BootError> {
        let memory = GuestMemory::new(8 << 20).unwrap();
        let modules = modules
            .iter()
            .map(|(bytes, line)| Module {
                file: file_of(bytes),
                line: (*line).to_owned(),
            })
            .collect();
        let state = open(file_of(image), modules)?.load(&memory, &options("root=x"))?;
        Ok((memory, state))
    }

    fn word(memory: &GuestMemory, at: u32) -> u32 {
        memory.read_u32(GuestAddress(u64::from(at))).unwrap()
    }

    fn text(memory: &GuestMemory, at: u32) -> String {
        let mut bytes = vec![0; 64];
        memory
            .read(GuestAddress(u64::from(at)), &mut bytes)
            .unwrap();
        let end = bytes.iter().position(|&b| b == 0).unwrap();
        String::from_utf8(bytes[..end].to_vec()).unwrap()
    }

    fn entry(state: BootState) -> (u32, u32, u32) {
        match state {
            BootState::Protected32 { eip, ebx, eax, .. } => (eip, ebx, eax),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn elf_kernel_finds_everything_from_ebx() {
        let modules: [(&[u8], &str); 2] = [(&[1; 5000], "one a b"), (&[2; 10], "two")];
        let (memory, state) = load(&elf_kernel(0x10_0000), &modules).unwrap();
        let (eip, info, eax) = entry(state);
        assert_eq!((eip, eax), (0x10_000C, 0x2BAD_B002));
        assert_eq!(word(&memory, 0x10_0000), HEADER_MAGIC);
        let at = |field: u32| word(&memory, info + field);
        assert_eq!(at(0), 0b1_0010_0100_1101);
        assert_eq!((at(4), at(8)), (639, 7 * 1024 - 64));
        assert_eq!(text(&memory, at(16)), "kernel root=x");
        assert_eq!(text(&memory, at(64)), "VM Workbench");
        // Modules begin on pages, behind the kernel's zeros.
        assert_eq!(at(20), 2);
        let list = at(24);
        let module = |n: u32| {
            let entry = list + 16 * n;
            (
                word(&memory, entry),
                word(&memory, entry + 4),
                text(&memory, word(&memory, entry + 8)),
            )
        };
        assert_eq!(
            module(0),
            (0x10_2000, 0x10_2000 + 5000, "one a b".to_owned())
        );
        assert_eq!(module(1), (0x10_4000, 0x10_400A, "two".to_owned()));
        assert_eq!(word(&memory, 0x10_4000), 0x0202_0202);
        // The memory map's entries follow each other by their sizes.
        let (map_bytes, map) = (at(44), at(48));
        let entries = MemoryMap::of(&memory).entries().len();
        assert_eq!(map_bytes, u32::try_from(entries * 24).unwrap());
        assert_eq!((word(&memory, map), word(&memory, map + 20)), (20, 1));
        assert_eq!((at(88), at(108) & 0xFFFF), (0xB_8000, 0x0210));
    }

    #[test]
    fn picture_that_was_asked_for_is_told_in_both_forms() {
        let kernel = headed(
            0x1_0007,
            &[0x10_0000, 0x10_0000, 0, 0, 0x10_0030, 0, 640, 480, 16],
            &[0xF4],
        );
        let memory = GuestMemory::new(8 << 20).unwrap();
        let boot = open(file_of(&kernel), Vec::new()).unwrap();
        let (width, height, bits) = (640, 480, 16);
        let wish = PictureWish {
            width,
            height,
            bits,
        };
        assert_eq!(boot.picture(), Some(wish));
        let picture = LinearPicture {
            base: 0xFD00_0000,
            pitch_bytes: 1280,
            width: 640,
            height: 480,
            bits: 16,
            memory_bytes: 16 << 20,
        };
        let given = BootOptions {
            picture: Some(picture),
            ..options("")
        };
        let (_, info, _) = entry(boot.load(&memory, &given).unwrap());
        let at = |place: u32| word(&memory, place);
        assert_eq!(at(info) >> 11 & 3, 3);
        let own = [88, 92, 96, 100, 104, 108, 112, 116].map(|field| at(info + field));
        let colours = [0x0110, 0x0605_050B, 0x0500];
        let sizes = [0xFD00_0000, 0, 1280, 640, 480];
        assert_eq!(own[..5], sizes);
        assert_eq!(own[5..], colours);
        let (controller, mode) = (at(info + 72), at(info + 76));
        assert_eq!(
            (at(controller), at(controller + 18) & 0xFFFF),
            (0x4153_4556, 256)
        );
        assert_eq!(
            (at(mode + 16), at(mode + 20)),
            (640 << 16 | 1280, 16 << 24 | 8 << 16 | 480)
        );
        assert_eq!(at(mode + 40), 0xFD00_0000);
    }

    #[test]
    fn picture_that_was_asked_for_is_text_without_an_adapter_of_that_kind() {
        let kernel = headed(
            0x1_0004,
            &[0x10_0000, 0x10_0000, 0, 0, 0x10_0030, 0, 640, 480, 32],
            &[0xF4],
        );
        let (memory, state) = load(&kernel, &[]).unwrap();
        let (_, info, _) = entry(state);
        assert_eq!(word(&memory, info) >> 11 & 3, 2);
        assert_eq!(word(&memory, info + 88), 0xB_8000);
    }

    #[test]
    fn wish_for_text_is_none() {
        let addresses = [0x10_0000, 0x10_0000, 0, 0, 0x10_0030, 1, 80, 25, 0];
        let kernel = headed(0x1_0004, &addresses, &[0xF4]);
        let boot = open(file_of(&kernel), Vec::new()).unwrap();
        assert_eq!(boot.picture(), None);
    }

    #[test]
    fn plain_image_goes_where_its_header_says() {
        let mut image = vec![0x90; 64];
        image.extend(headed(
            FLAG_ADDRESSES,
            &[0x20_0040, 0x20_0000, 0x20_0080, 0x20_1000, 0x20_0060],
            &[0xF4; 100],
        ));
        let (memory, state) = load(&image, &[(&[7; 4], "")]).unwrap();
        let (eip, info, _) = entry(state);
        assert_eq!(eip, 0x20_0060);
        assert_eq!(word(&memory, 0x20_0000), 0x9090_9090);
        assert_eq!(word(&memory, 0x20_0040), HEADER_MAGIC);
        // The data end at 80h; the module lies behind the zeros.
        assert_eq!(word(&memory, 0x20_0080), 0);
        let list = word(&memory, info + 24);
        assert_eq!(word(&memory, list), 0x20_1000);
    }

    #[test]
    fn plain_image_without_ends_is_the_whole_rest_of_the_file() {
        let image = headed(
            FLAG_ADDRESSES,
            &[0x10_0000, 0x10_0000, 0, 0, 0x10_0020],
            &[0xF4; 100],
        );
        let (memory, _) = load(&image, &[]).unwrap();
        assert_eq!(word(&memory, 0x10_0000 + 128), 0xF4F4_F4F4);
    }

    #[test]
    fn kernel_in_base_memory_keeps_its_place() {
        let (_, state) = load(&elf_kernel(0x1000), &[]).unwrap();
        let (eip, info, _) = entry(state);
        assert_eq!(eip, 0x100C);
        assert!((0x3000..0x9_FC00).contains(&info));
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let refused = |flags, addresses: &[u32]| {
            load(&headed(flags, addresses, &[0; 64]), &[])
                .unwrap_err()
                .code()
        };
        // Unknown needs; header before the image; header further in than the file; ends before starts; zeros before
        // the data's end; nothing to load.
        assert_eq!(refused(1 << 3, &[]), "bad_kernel");
        for addresses in [
            [0x10_0000, 0x10_0001, 0, 0, 0],
            [0x10_0001, 0x10_0000, 0, 0, 0],
            [0x10_0000, 0x10_0000, 0xF_FFFF, 0, 0],
            [0x10_0000, 0x10_0000, 0x10_0040, 0x10_003F, 0],
            [0x10_0000, 0x10_0000, 0x10_0000, 0, 0],
        ] {
            assert_eq!(refused(FLAG_ADDRESSES, &addresses), "bad_kernel");
        }
        let beyond = [0x10_0000, 0x10_0000, 0x10_1000, 0, 0];
        assert_eq!(refused(FLAG_ADDRESSES, &beyond), "kernel_truncated");
        let cut = headed(FLAG_ADDRESSES, &[1], &[]);
        assert_eq!(load(&cut, &[]).unwrap_err().code(), "bad_kernel");
    }

    #[test]
    fn header_behind_8_kib_or_unaligned_is_none() {
        for lead in [2, 8192 - 8] {
            let mut image = vec![0; lead];
            image.extend(headed(0, &[], &[0; 64]));
            assert_eq!(find(&image).unwrap(), None);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_sizes() {
        let code =
            |image: &[u8], modules: &[(&[u8], &str)]| load(image, modules).unwrap_err().code();
        assert_eq!(code(&elf_kernel(0x80_0000), &[]), "too_large");
        assert_eq!(code(&elf_kernel(0xA_0000), &[]), "bad_kernel");
        assert_eq!(code(&elf_kernel(0), &[]), "bad_kernel");
        let big = vec![1; 7 << 20];
        assert_eq!(code(&elf_kernel(0x10_0000), &[(&big, "")]), "too_large");
        assert_eq!(code(&elf_kernel(0x10_0000), &[(&[], "")]), "bad_initrd");
        let long = "x".repeat(2000);
        let many = vec![(&[1u8][..], ""); 65];
        assert_eq!(code(&elf_kernel(0x10_0000), &many), "bad_initrd");
        assert_eq!(code(&elf_kernel(0x10_0000), &[(&[1], &long)]), "bad_initrd");
    }

    #[test]
    fn base_memory_full_of_kernel_is_refused() {
        let code = headed(0, &[], &[]);
        let part = Part {
            mem_bytes: 0x9_F000 - 0x600,
            ..Part::load(0x600, &code)
        };
        let refused = load(&elf32(0x600, &[part]), &[]).unwrap_err();
        assert!(refused.to_string().contains("639 KiB"));
    }

    proptest! {
        #[test]
        fn any_header_never_panics(
            addresses in proptest::collection::vec(
                prop_oneof![0x10_0000u32..0x10_0200, any::<u32>()], 5),
            patch in proptest::collection::vec((0usize..150, any::<u8>()), 0..8),
            elf: bool,
        ) {
            let mut image = if elf {
                elf_kernel(0x10_0000)
            } else {
                headed(FLAG_ADDRESSES, &addresses, &[0; 300])
            };
            for (at, byte) in patch {
                if let Some(b) = image.get_mut(at) {
                    *b = byte;
                }
            }
            let _ = load(&image, &[(&[1], "m")]);
        }
    }
}
