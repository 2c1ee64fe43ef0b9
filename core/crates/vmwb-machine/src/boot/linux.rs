//! Direct boot of a Linux bzImage: files in, memory and an entry state out.

use std::fs::File;

use vmwb_mem::{GuestAddress, GuestMemory};
use vmwb_x86::BootState;

use super::entry::{CODE_32, CODE_64, GDT_LIMIT, gdt, write_bios};
use super::error::BootError;
use super::files::{beginning, copy_in, length};
use super::header::{HEADER_BYTES, SetupHeader};
use super::layout::{
    BOOT_PARAMS, COMMAND_LINE, GDT, MAX_COMMAND_LINE, MemoryMap, PAGE_TABLES, STACK_TOP, place,
};
use super::params::{ParamsInput, build};
use super::{BootOptions, DirectBoot, PictureWish};

/// Offset of the 64-bit entry point from the load address.
const ENTRY_64: u64 = 0x200;
// Page table entries: present, writable; page size in a page directory (Intel SDM volume 3, "4-Level Paging").
const PRESENT_WRITABLE: u64 = 3;
const LARGE_PAGE: u64 = 0x80;
const TABLE_BYTES: u64 = 4096;
const LARGE_PAGE_BYTES: u64 = 2 << 20;

/// A kernel and its initial RAM disk, checked and ready to be loaded any number of times (each reset loads again).
#[derive(Debug)]
pub struct LinuxBoot {
    kernel: File,
    header: SetupHeader,
    initrd: Option<(File, u64)>,
}

impl LinuxBoot {
    /// Reads and checks the kernel's header. The files stay open, are read by offset only, and must be regular files.
    ///
    /// # Errors
    /// What the kernel file is not; an unreadable file; an empty initial RAM disk.
    pub fn open(kernel: File, initrd: Option<File>) -> Result<Self, BootError> {
        let file_bytes = length(&kernel, "kernel")?;
        let start = beginning(&kernel, "kernel", file_bytes, HEADER_BYTES)?;
        let header = SetupHeader::parse(&start, file_bytes)?;
        if !header.loaded_high {
            return Err(BootError::NeedsFirmware);
        }
        let initrd = match initrd {
            Some(file) => {
                let len = length(&file, "initial RAM disk")?;
                if len == 0 {
                    return Err(BootError::InitrdEmpty);
                }
                Some((file, len))
            }
            None => None,
        };
        Ok(Self {
            kernel,
            header,
            initrd,
        })
    }

    fn initrd_bytes(&self) -> u64 {
        self.initrd.as_ref().map_or(0, |(_, len)| *len)
    }
}

impl DirectBoot for LinuxBoot {
    fn check(&self, map: &MemoryMap, append: &str) -> Result<(), BootError> {
        let max = self.header.cmdline_bytes.min(MAX_COMMAND_LINE);
        if append.len() > max {
            return Err(BootError::CommandLineTooLong {
                max,
                len: append.len(),
            });
        }
        place(&self.header, self.initrd_bytes(), map).map(|_| ())
    }

    fn picture(&self) -> Option<PictureWish> {
        None
    }

    fn load(
        &self,
        memory: &GuestMemory,
        options: &BootOptions<'_>,
    ) -> Result<BootState, BootError> {
        let map = MemoryMap::of(memory);
        self.check(&map, options.append)?;
        let placement = place(&self.header, self.initrd_bytes(), &map)?;
        let header = &self.header;
        copy_in(
            memory,
            &self.kernel,
            "kernel",
            header.payload_offset,
            placement.kernel,
            header.payload_bytes,
        )?;
        if let Some((file, len)) = &self.initrd {
            copy_in(memory, file, "initial RAM disk", 0, placement.initrd, *len)?;
        }
        let params = build(&ParamsInput {
            header,
            placement,
            initrd_bytes: self.initrd_bytes(),
            map: &map,
            rsdp: options.rsdp,
            vga: options.vga,
        });
        memory.write(GuestAddress(BOOT_PARAMS), params.as_slice())?;
        let mut line = options.append.as_bytes().to_vec();
        line.push(0);
        memory.write(GuestAddress(COMMAND_LINE), &line)?;
        write_bios(memory, options)?;
        if header.entry_64 {
            enter_64(memory, placement.kernel)
        } else {
            enter_32(memory, placement.kernel)
        }
    }
}

fn enter_64(memory: &GuestMemory, kernel: u64) -> Result<BootState, BootError> {
    memory.write(GuestAddress(GDT), &gdt(CODE_64))?;
    let (pml4, pdpt, first_pd) = (
        PAGE_TABLES,
        PAGE_TABLES + TABLE_BYTES,
        PAGE_TABLES + 2 * TABLE_BYTES,
    );
    let put = |at: u64, entry: u64| memory.write(GuestAddress(at), &entry.to_le_bytes());
    put(pml4, pdpt | PRESENT_WRITABLE)?;
    for gib in 0..4u64 {
        let pd = first_pd + gib * TABLE_BYTES;
        put(pdpt + 8 * gib, pd | PRESENT_WRITABLE)?;
        for i in 0..512u64 {
            let target = (gib << 30) + i * LARGE_PAGE_BYTES;
            put(pd + 8 * i, target | PRESENT_WRITABLE | LARGE_PAGE)?;
        }
    }
    Ok(BootState::Long64 {
        rip: kernel + ENTRY_64,
        rsi: BOOT_PARAMS,
        rsp: STACK_TOP,
        cr3: pml4,
        gdt: (GDT, GDT_LIMIT),
    })
}

fn enter_32(memory: &GuestMemory, kernel: u64) -> Result<BootState, BootError> {
    memory.write(GuestAddress(GDT), &gdt(CODE_32))?;
    let low = |v: u64| u32::try_from(v).expect("boot structures and kernel lie below 4 GiB");
    Ok(BootState::Protected32 {
        eip: low(kernel),
        esi: low(BOOT_PARAMS),
        ebx: 0,
        eax: 0,
        esp: low(STACK_TOP),
        gdt: (low(GDT), GDT_LIMIT),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::boot::layout::ACPI_BYTES;

    /// A bzImage of protocol 2.15 with `code` as protected-mode code.
    pub(crate) fn tiny_kernel(code: &[u8], xloadflags: u16) -> Vec<u8> {
        let mut image = vec![0u8; 1024];
        image[0x1F1] = 1;
        let paragraphs = u32::try_from(code.len().div_ceil(16)).unwrap();
        image[0x1F4..0x1F8].copy_from_slice(&paragraphs.to_le_bytes());
        image[0x1FE..0x200].copy_from_slice(&0xAA55u16.to_le_bytes());
        image[0x200..0x202].copy_from_slice(&[0xEB, 0x66]);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x020Fu16.to_le_bytes());
        image[0x211] = 1;
        image[0x22C..0x230].copy_from_slice(&0x7FFF_FFFFu32.to_le_bytes());
        image[0x236..0x238].copy_from_slice(&xloadflags.to_le_bytes());
        image[0x238..0x23C].copy_from_slice(&2047u32.to_le_bytes());
        image[0x258..0x260].copy_from_slice(&0x10_0000u64.to_le_bytes());
        image[0x260..0x264].copy_from_slice(&0x8000u32.to_le_bytes());
        image.extend_from_slice(code);
        image
    }

    fn file_of(bytes: &[u8]) -> File {
        let mut f = tempfile::tempfile().unwrap();
        f.write_all(bytes).unwrap();
        f
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

    #[test]
    fn load_64_bit_kernel_gives_code_parameters_and_identity_map() {
        let memory = GuestMemory::new(8 << 20).unwrap();
        let boot = LinuxBoot::open(file_of(&tiny_kernel(&[0xF4; 600], 1)), None).unwrap();
        let state = boot.load(&memory, &options("console=ttyS0")).unwrap();
        assert_eq!(
            state,
            BootState::Long64 {
                rip: 0x10_0200,
                rsi: BOOT_PARAMS,
                rsp: STACK_TOP,
                cr3: PAGE_TABLES,
                gdt: (GDT, 31)
            }
        );
        assert_eq!(
            memory.read_u32(GuestAddress(0x10_0000)).unwrap(),
            0xF4F4_F4F4
        );
        assert_eq!(
            memory.read_u32(GuestAddress(BOOT_PARAMS + 0x202)).unwrap(),
            0x5372_6448
        );
        assert_eq!(
            memory.read_u32(GuestAddress(COMMAND_LINE)).unwrap(),
            0x736E_6F63
        );
        // Last large page of the map: 4 GiB - 2 MiB.
        assert_eq!(
            memory.read_u64(GuestAddress(PAGE_TABLES + 0x5FF8)).unwrap(),
            0xFFE0_0083
        );
    }

    #[test]
    fn load_32_bit_kernel_enters_at_its_load_address() {
        let memory = GuestMemory::new(8 << 20).unwrap();
        let boot = LinuxBoot::open(file_of(&tiny_kernel(&[0xF4; 16], 0)), None).unwrap();
        let state = boot.load(&memory, &options("")).unwrap();
        assert!(matches!(
            state,
            BootState::Protected32 {
                eip: 0x10_0000,
                esi: 0x2000,
                ..
            }
        ));
    }

    #[test]
    fn load_initrd_lies_below_the_acpi_tables_on_a_page() {
        let memory = GuestMemory::new(8 << 20).unwrap();
        let boot = LinuxBoot::open(
            file_of(&tiny_kernel(&[0xF4; 16], 1)),
            Some(file_of(&[7; 5000])),
        )
        .unwrap();
        boot.load(&memory, &options("")).unwrap();
        let at = u64::from(memory.read_u32(GuestAddress(BOOT_PARAMS + 0x218)).unwrap());
        assert_eq!(at, (8 << 20) - ACPI_BYTES - 8192);
        assert_eq!(
            memory.read_u32(GuestAddress(BOOT_PARAMS + 0x21C)).unwrap(),
            5000
        );
        assert_eq!(
            memory.read_u32(GuestAddress(at + 4996)).unwrap(),
            0x0707_0707
        );
    }

    #[test]
    fn memory_map_of_four_gib_has_ram_above_the_hole() {
        let map = MemoryMap::of(&GuestMemory::new(4 << 30).unwrap());
        let last = map.entries().last().unwrap();
        assert_eq!((last.start, last.len_bytes), (4 << 30, 1 << 30));
    }

    #[test]
    fn open_files_that_are_no_kernels_are_refused_by_name() {
        let refuse = |bytes: &[u8]| LinuxBoot::open(file_of(bytes), None).unwrap_err().code();
        assert_eq!(refuse(b""), "bad_kernel");
        assert_eq!(refuse(&[0; 4096]), "bad_kernel");
        assert_eq!(
            refuse(&tiny_kernel(&[0xF4; 600], 1)[..1200]),
            "kernel_truncated"
        );
        assert_eq!(refuse(&tiny_kernel(&[], 1)), "bad_kernel");
    }

    #[test]
    fn check_what_does_not_fit_is_refused_with_sizes() {
        let map = MemoryMap::of(&GuestMemory::new(2 << 20).unwrap());
        let mut huge = tiny_kernel(&[0xF4; 16], 1);
        huge[0x260..0x264].copy_from_slice(&0x0200_0000u32.to_le_bytes());
        let boot = LinuxBoot::open(file_of(&huge), None).unwrap();
        assert!(matches!(
            boot.check(&map, ""),
            Err(BootError::KernelTooLarge {
                need_mib: 34,
                have_mib: 2
            })
        ));
        let initrd = file_of(&vec![1; 1 << 20]);
        let boot = LinuxBoot::open(file_of(&tiny_kernel(&[0xF4; 16], 1)), Some(initrd)).unwrap();
        assert!(matches!(
            boot.check(&map, ""),
            Err(BootError::InitrdTooLarge { .. })
        ));
    }

    fn refused(kernel: &[u8], modules: usize) -> BootError {
        let modules = (0..modules).map(|_| file_of(&[1]).into()).collect();
        crate::boot::open(file_of(kernel), modules).unwrap_err()
    }

    #[test]
    fn open_two_ram_disks_or_a_zimage_says_what_to_do() {
        let mut kernel = tiny_kernel(&[0xF4; 16], 1);
        assert!(matches!(refused(&kernel, 2), BootError::OneRamDisk));
        kernel[0x211] = 0;
        assert!(matches!(refused(&kernel, 0), BootError::NeedsFirmware));
        kernel[0x207] = 1;
        assert!(matches!(refused(&kernel, 0), BootError::TooOld(1, 15)));
    }

    #[test]
    fn load_kernel_of_protocol_2_00_gets_its_line_in_the_old_way() {
        let mut kernel = tiny_kernel(&[0xF4; 600], 0);
        kernel[0x206] = 0;
        // The size field is not trusted: all of the file is code.
        kernel[0x1F4..0x1F8].copy_from_slice(&[1, 0, 0x55, 0x55]);
        let memory = GuestMemory::new(8 << 20).unwrap();
        let boot = LinuxBoot::open(file_of(&kernel), None).unwrap();
        boot.load(&memory, &options("ro")).unwrap();
        let at = |address| memory.read_u32(GuestAddress(address)).unwrap();
        assert_eq!(at(0x10_0000 + 596), 0xF4F4_F4F4);
        assert_eq!(at(BOOT_PARAMS + 0x20), 0x1000 << 16 | 0xA33F);
        assert_eq!(at(COMMAND_LINE) & 0xFF_FFFF, 0x00_6F72);
        let map = MemoryMap::of(&memory);
        assert!(boot.check(&map, &"x".repeat(255)).is_ok());
        assert!(boot.check(&map, &"x".repeat(256)).is_err());
    }

    proptest! {
        #[test]
        fn open_and_load_any_header_never_panics(
            patch in proptest::collection::vec((0x1F1usize..0x290, any::<u8>()), 0..24)
        ) {
            let mut image = tiny_kernel(&[0x90; 4096], 1);
            for (at, byte) in patch {
                image[at] = byte;
            }
            let memory = GuestMemory::new(2 << 20).unwrap();
            if let Ok(boot) = LinuxBoot::open(file_of(&image), None) {
                let _ = boot.load(&memory, &options("x"));
            }
        }
    }
}
