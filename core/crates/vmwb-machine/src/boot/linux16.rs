//! Boot of a Linux kernel by its 16-bit entry: the kernel's own setup code runs under a BIOS, asks it for memory and
//! video modes, and changes to protected mode itself (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header",
//! "Loading the rest of the kernel", "Running the kernel").
//!
//! Nothing is put into memory here: [`Linux16::items`] are for the firmware configuration device, an option ROM among
//! them ([`super::option_rom`]) that has everything copied when the BIOS boots it. Under other firmware the same items
//! serve QEMU's ROM and OVMF, which know the keys.
//!
//! ```text
//! bzImage of protocol 2.02 and newer    older, and zImages
//! 00010000  setup code, heap, stack     00090000
//! 0001E000  command line                00099800
//! 00100000  kernel                      00100000, a zImage's 00010000
//! ```

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use vmwb_devices::fwcfg::{Content, Item, Source};

use super::error::BootError;
use super::files::{beginning, length, read_error};
use super::header::{HEADER_BYTES, SetupHeader};
use super::layout::{MAX_COMMAND_LINE, ONE_MIB, PAGE};
use super::option_rom::{self, Copy, Entry};

/// File name of the option ROM, for the boot order (`genroms/` in front of it).
pub const KERNEL_ROM: &str = "kernel.rom";
/// Bytes at the end of RAM below 4 GiB that the BIOS takes for itself, with room to spare.
const FIRMWARE_BYTES: u64 = 1 << 20;
/// Longest setup code, in bytes.
const MAX_SETUP_BYTES: u64 = 0x8000;
/// First protocol that takes a command line anywhere.
const PROTOCOL_MODERN: u16 = 0x0202;
/// First protocol with a heap.
const PROTOCOL_WITH_HEAP: u16 = 0x0201;
/// Most code of a zImage: 512 KiB between 64 and 576 KiB.
const MAX_LOW_BYTES: u64 = 0x8_0000;
const LOADER_UNDEFINED: u8 = 0xFF;
const CAN_USE_HEAP: u8 = 0x80;
const OLD_LINE_MAGIC: u16 = 0xA33F;

// Keys of the configuration device (QEMU, include/standard-headers/linux/qemu_fw_cfg.h).
const KEY_KERNEL_ADDRESS: u16 = 0x07;
const KEY_KERNEL_BYTES: u16 = 0x08;
const KEY_INITRD_ADDRESS: u16 = 0x0A;
const KEY_INITRD_BYTES: u16 = 0x0B;
const KEY_KERNEL_ENTRY: u16 = 0x10;
const KEY_KERNEL: u16 = 0x11;
const KEY_INITRD: u16 = 0x12;
const KEY_LINE_ADDRESS: u16 = 0x13;
const KEY_LINE_BYTES: u16 = 0x14;
const KEY_LINE: u16 = 0x15;
const KEY_SETUP_ADDRESS: u16 = 0x16;
const KEY_SETUP_BYTES: u16 = 0x17;
const KEY_SETUP: u16 = 0x18;

/// A part of a file, as an item.
#[derive(Debug)]
struct FilePart {
    file: Arc<File>,
    offset: u64,
    len_bytes: u32,
}

impl Source for FilePart {
    fn len_bytes(&self) -> u32 {
        self.len_bytes
    }

    fn read(&self, offset: u32, out: &mut [u8]) -> io::Result<()> {
        self.file
            .read_exact_at(out, self.offset + u64::from(offset))
    }
}

/// Where the parts go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    setup: u32,
    /// End of heap and stack, from the setup code's start; the command line lies there.
    heap_end: u16,
    kernel: u32,
    initrd: u32,
}

/// A kernel and its initial RAM disk, checked.
#[derive(Debug)]
pub struct Linux16 {
    kernel: Arc<File>,
    header: SetupHeader,
    setup: Vec<u8>,
    initrd: Option<(Arc<File>, u64)>,
}

impl Linux16 {
    /// Reads and checks the kernel's header and setup code. The files stay open and are read by offset only.
    ///
    /// # Errors
    /// What the kernel file is not; an unreadable file; an empty initial RAM disk.
    pub fn open(kernel: File, initrd: Option<File>) -> Result<Self, BootError> {
        let file_bytes = length(&kernel, "kernel")?;
        let start = beginning(&kernel, "kernel", file_bytes, HEADER_BYTES)?;
        let header = SetupHeader::parse(&start, file_bytes)?;
        if header.payload_offset > MAX_SETUP_BYTES {
            return Err(BootError::BadHeader("its setup code is longer than 32 KiB"));
        }
        if !header.loaded_high && header.payload_bytes > MAX_LOW_BYTES {
            return Err(BootError::BadHeader("it is a zImage of more than 512 KiB"));
        }
        let setup_bytes = usize::try_from(header.payload_offset).unwrap_or(0);
        let mut setup = vec![0; setup_bytes];
        kernel
            .read_exact_at(&mut setup, 0)
            .map_err(read_error("kernel"))?;
        let initrd = match initrd {
            None => None,
            Some(file) => match length(&file, "initial RAM disk")? {
                0 => return Err(BootError::InitrdEmpty),
                len_bytes => Some((Arc::new(file), len_bytes)),
            },
        };
        Ok(Self {
            kernel: Arc::new(kernel),
            header,
            setup,
            initrd,
        })
    }

    fn layout(&self, low_end: u64, append: &str) -> Result<Layout, BootError> {
        let header = &self.header;
        let max = header.cmdline_bytes.min(MAX_COMMAND_LINE);
        if append.len() > max {
            return Err(BootError::CommandLineTooLong {
                max,
                len: append.len(),
            });
        }
        let modern = header.loaded_high && header.protocol >= PROTOCOL_MODERN;
        let (setup, heap_end) = if modern {
            (0x1_0000, 0xE000)
        } else {
            (0x9_0000, 0x9800)
        };
        let kernel = if header.loaded_high {
            ONE_MIB
        } else {
            0x1_0000
        };
        let (have_mib, top) = (low_end >> 20, low_end.saturating_sub(FIRMWARE_BYTES));
        let kernel_end = if header.loaded_high {
            (kernel + header.payload_bytes).max(header.preferred_address + header.init_bytes)
        } else {
            ONE_MIB + header.init_bytes
        };
        if kernel_end > top {
            return Err(BootError::KernelTooLarge {
                need_mib: (kernel_end + FIRMWARE_BYTES).div_ceil(1 << 20),
                have_mib,
            });
        }
        let initrd = match &self.initrd {
            None => 0,
            Some((_, bytes)) => top
                .min(header.initrd_addr_max.saturating_add(1))
                .checked_sub(*bytes)
                .map(|at| at / PAGE * PAGE)
                .filter(|&at| at >= kernel_end)
                .ok_or(BootError::InitrdTooLarge {
                    size_mib: bytes.div_ceil(1 << 20),
                    have_mib,
                })?,
        };
        let low = |address| u32::try_from(address).expect("it lies below the end of low RAM");
        Ok(Layout {
            setup,
            heap_end,
            kernel: low(kernel),
            initrd: low(initrd),
        })
    }

    /// Checks that everything fits into a machine whose RAM below 4 GiB ends at `low_end`.
    ///
    /// # Errors
    /// Kernel, initial RAM disk or command line too large.
    pub fn check(&self, low_end: u64, append: &str) -> Result<(), BootError> {
        self.layout(low_end, append).map(|_| ())
    }

    /// The items for the firmware configuration device, the option ROM [`KERNEL_ROM`] among them.
    ///
    /// # Errors
    /// As [`Linux16::check`].
    pub fn items(&self, low_end: u64, append: &str) -> Result<Vec<Item>, BootError> {
        let layout = self.layout(low_end, append)?;
        let line_address = layout.setup + u32::from(layout.heap_end);
        let mut line = append.as_bytes().to_vec();
        line.push(0);
        let part = |file: &Arc<File>, offset, len_bytes: u64| {
            Content::Source(Box::new(FilePart {
                file: Arc::clone(file),
                offset,
                len_bytes: u32::try_from(len_bytes).expect("it fits below 4 GiB"),
            }))
        };
        let setup = self.patched_setup(&layout, line_address, append);
        let header = &self.header;
        let offset = header.payload_offset;
        let kernel = part(&self.kernel, offset, header.payload_bytes);
        let mut parts = vec![
            (
                [KEY_SETUP, KEY_SETUP_BYTES, KEY_SETUP_ADDRESS],
                Content::Bytes(setup),
                layout.setup,
            ),
            (
                [KEY_KERNEL, KEY_KERNEL_BYTES, KEY_KERNEL_ADDRESS],
                kernel,
                layout.kernel,
            ),
            (
                [KEY_LINE, KEY_LINE_BYTES, KEY_LINE_ADDRESS],
                Content::Bytes(line),
                line_address,
            ),
        ];
        if let Some((file, len_bytes)) = &self.initrd {
            parts.push((
                [KEY_INITRD, KEY_INITRD_BYTES, KEY_INITRD_ADDRESS],
                part(file, 0, *len_bytes),
                layout.initrd,
            ));
        }
        let (mut copies, mut items) = (Vec::new(), Vec::new());
        for ([key, bytes_key, address_key], content, address) in parts {
            let len_bytes = content.len_bytes();
            copies.push(Copy {
                key,
                len_bytes,
                address,
            });
            items.push(Item::key(bytes_key, len_bytes.to_le_bytes().to_vec()));
            items.push(Item::key(address_key, address.to_le_bytes().to_vec()));
            items.push(Item::key(key, content));
        }
        items.push(Item::key(
            KEY_KERNEL_ENTRY,
            layout.kernel.to_le_bytes().to_vec(),
        ));
        let entry = Entry {
            segment: u16::try_from(layout.setup >> 4).expect("it lies in base memory"),
            stack: layout.heap_end,
        };
        let rom = option_rom::build(&copies, entry);
        items.push(Item::file(&format!("genroms/{KERNEL_ROM}"), rom));
        Ok(items)
    }

    /// The setup code with what a loader fills in.
    fn patched_setup(&self, layout: &Layout, line: u32, append: &str) -> Vec<u8> {
        let mut setup = self.setup.clone();
        let mut put = |at: usize, bytes: &[u8]| {
            setup[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(0x1FA, &video_mode(append).to_le_bytes());
        put(0x210, &[LOADER_UNDEFINED]);
        let initrd_bytes = self.initrd.as_ref().map_or(0, |(_, bytes)| *bytes);
        let initrd_bytes = u32::try_from(initrd_bytes).expect("it fits below 4 GiB");
        put(0x218, &layout.initrd.to_le_bytes());
        put(0x21C, &initrd_bytes.to_le_bytes());
        if self.header.protocol >= PROTOCOL_WITH_HEAP {
            let flags = self.setup[0x211] | CAN_USE_HEAP;
            put(0x211, &[flags]);
            put(0x224, &(layout.heap_end - 0x200).to_le_bytes());
        }
        if self.header.protocol >= PROTOCOL_MODERN {
            put(0x228, &line.to_le_bytes());
        } else {
            put(0x020, &OLD_LINE_MAGIC.to_le_bytes());
            put(0x022, &layout.heap_end.to_le_bytes());
        }
        setup
    }
}

/// The mode that `vga=` of the command line asks for; "normal" without it (boot.rst, "Special command line options").
fn video_mode(append: &str) -> u16 {
    const NORMAL: u16 = 0xFFFF;
    const EXTENDED: u16 = 0xFFFE;
    const ASK: u16 = 0xFFFD;
    let value = append
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("vga="))
        .next_back();
    match value {
        None | Some("normal") => NORMAL,
        Some("ext") => EXTENDED,
        Some("ask") => ASK,
        Some(number) => match number.strip_prefix("0x") {
            Some(hex) => u16::from_str_radix(hex, 16),
            None => number.parse(),
        }
        .unwrap_or(NORMAL),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use vmwb_devices::fwcfg::{FwCfg, Place};
    use vmwb_hw::{AccessSize, Ctx, LineChanges, Nanos, PioDevice, Scheduler};
    use vmwb_mem::{GuestAddress, GuestMemory};

    use super::*;
    use crate::boot::elf::tests::file_of;
    use crate::boot::tiny_kernel;

    const LOW_END: u64 = 8 << 20;

    fn kernel(protocol: u16, high: bool) -> Vec<u8> {
        let mut image = tiny_kernel(&[0xF4; 6000], 0);
        image[0x206..0x208].copy_from_slice(&protocol.to_le_bytes());
        image[0x211] = u8::from(high);
        image
    }

    fn keys(boot: &Linux16, append: &str) -> BTreeMap<u16, Content> {
        let items = boot.items(LOW_END, append).unwrap();
        items
            .into_iter()
            .filter_map(|item| match item.place {
                Place::Key(key) => Some((key, item.content)),
                Place::Name(_) => None,
            })
            .collect()
    }

    fn number(keys: &BTreeMap<u16, Content>, key: u16) -> u32 {
        match &keys[&key] {
            Content::Bytes(b) => u32::from_le_bytes(b[..].try_into().unwrap()),
            Content::Source(s) => panic!("{s:?}"),
        }
    }

    fn setup(keys: &BTreeMap<u16, Content>) -> &[u8] {
        match &keys[&KEY_SETUP] {
            Content::Bytes(b) => b,
            Content::Source(s) => panic!("{s:?}"),
        }
    }

    #[test]
    fn modern_kernel_is_told_line_heap_and_ram_disk() {
        let initrd = file_of(&[5; 5000]);
        let boot = Linux16::open(file_of(&kernel(0x020F, true)), Some(initrd)).unwrap();
        let keys = keys(&boot, "ro vga=0x317");
        let setup = setup(&keys);
        let word = |at: usize| u32::from_le_bytes(setup[at..at + 4].try_into().unwrap());
        assert_eq!((setup.len(), word(0x228)), (1024, 0x1_E000));
        assert_eq!((setup[0x210], setup[0x211]), (0xFF, 0x81));
        assert_eq!(setup[0x224..0x226], [0, 0xDE]);
        assert_eq!(setup[0x1FA..0x1FC], [0x17, 0x03]);
        assert_eq!((word(0x218), word(0x21C)), (0x6F_E000, 5000));
        assert_eq!(number(&keys, KEY_KERNEL_ADDRESS), 0x10_0000);
        assert_eq!(number(&keys, KEY_KERNEL_BYTES), 6000);
        assert_eq!(number(&keys, KEY_LINE_BYTES), 13);
    }

    #[test]
    fn zimage_of_protocol_2_00_goes_below_one_mib() {
        let boot = Linux16::open(file_of(&kernel(0x0200, false)), None).unwrap();
        let keys = keys(&boot, "ro");
        let setup = setup(&keys);
        assert_eq!(setup[0x20..0x24], [0x3F, 0xA3, 0x00, 0x98]);
        assert_eq!(setup[0x211], 0);
        assert_eq!(number(&keys, KEY_SETUP_ADDRESS), 0x9_0000);
        assert_eq!(number(&keys, KEY_LINE_ADDRESS), 0x9_9800);
        assert_eq!(number(&keys, KEY_KERNEL_ADDRESS), 0x1_0000);
    }

    #[test]
    fn video_mode_follows_the_last_vga_word() {
        let modes = [
            ("", 0xFFFF),
            ("vga=ext", 0xFFFE),
            ("vga=ask quiet", 0xFFFD),
            ("vga=791", 791),
            ("vga=ask vga=0x305", 0x305),
            ("vga=nonsense", 0xFFFF),
        ];
        for (append, mode) in modes {
            assert_eq!(video_mode(append), mode, "{append}");
        }
    }

    #[test]
    fn kernels_that_cannot_be_are_refused() {
        let refused = |image: &[u8], initrd: Option<&[u8]>| {
            Linux16::open(file_of(image), initrd.map(file_of))
                .and_then(|boot| boot.check(LOW_END, &"x".repeat(300)))
                .unwrap_err()
                .code()
        };
        assert_eq!(refused(b"MZ", None), "bad_kernel");
        let good = kernel(0x020F, true);
        assert_eq!(refused(&good, Some(&[])), "bad_initrd");
        assert_eq!(refused(&good, Some(&vec![1; 7 << 20])), "too_large");
        assert_eq!(refused(&kernel(0x0202, true), None), "bad_append");
        let mut long = kernel(0x0200, true);
        long[0x1F1] = 64;
        long.resize(200 << 10, 0);
        assert_eq!(refused(&long, None), "bad_kernel");
        let mut zimage = kernel(0x0200, false);
        zimage.resize(600 << 10, 0);
        assert_eq!(refused(&zimage, None), "bad_kernel");
    }

    proptest! {
        #[test]
        fn any_header_never_panics(
            patch in proptest::collection::vec((0x1F1usize..0x290, any::<u8>()), 0..24), low_mib in 1u64..8,
        ) {
            let mut image = kernel(0x020F, true);
            for (at, byte) in patch {
                image[at] = byte;
            }
            if let Ok(boot) = Linux16::open(file_of(&image), Some(file_of(&[1; 100]))) {
                let checked = boot.check(low_mib << 20, "x").is_ok();
                prop_assert_eq!(boot.items(low_mib << 20, "x").is_ok(), checked);
            }
        }
    }

    /// Does what the ROM's code does: one DMA a descriptor.
    #[test]
    fn rom_has_everything_copied_to_its_place() {
        let initrd: Vec<u8> = (0..70_000u32).map(|i| i.to_le_bytes()[1]).collect();
        let image = kernel(0x020F, true);
        let boot = Linux16::open(file_of(&image), Some(file_of(&initrd))).unwrap();
        let items = boot.items(LOW_END, "quiet").unwrap();
        let rom = items
            .iter()
            .find(|item| item.place == Place::Name("genroms/kernel.rom".to_owned()))
            .and_then(|item| match &item.content {
                Content::Bytes(b) => Some(b.clone()),
                Content::Source(_) => None,
            })
            .unwrap();
        let entry = u32::from(rom[0x20 + 26]);
        // `mov si, table` and `mov cx, count` of the code.
        let code = &rom[usize::try_from(entry).unwrap()..];
        let half = |at: usize| usize::from(u16::from_le_bytes([code[at], code[at + 1]]));
        let (table, count) = (half(17), half(20));
        assert_eq!(count, 4);

        let memory = GuestMemory::new(LOW_END).unwrap();
        let (mut lines, mut scheduler, mut power) =
            (LineChanges::default(), Scheduler::new(), None);
        let mut device = FwCfg::new(items).unwrap();
        for descriptor in rom[table..].chunks_exact(16).take(count) {
            memory.write(GuestAddress(0x600), descriptor).unwrap();
            let mut ctx = Ctx {
                now: Nanos(0),
                lines: &mut lines,
                scheduler: &mut scheduler,
                memory: &memory,
                power: &mut power,
            };
            device.pio_write(&mut ctx, 8, AccessSize::Dword, 0x600u32.swap_bytes());
            assert_eq!(memory.read_u32(GuestAddress(0x600)).unwrap(), 0);
        }
        let bytes = |at: u64, len: usize| {
            let mut out = vec![0; len];
            memory.read(GuestAddress(at), &mut out).unwrap();
            out
        };
        assert_eq!(bytes(0x1_0202, 4), b"HdrS");
        assert_eq!(bytes(0x1_E000, 6), b"quiet\0");
        assert_eq!(bytes(0x10_0000, 6000), image[1024..]);
        let at = u64::from(memory.read_u32(GuestAddress(0x1_0218)).unwrap());
        assert_eq!(bytes(at, initrd.len()), initrd);
    }
}
