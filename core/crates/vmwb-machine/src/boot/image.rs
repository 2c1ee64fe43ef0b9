//! An image made of segments, its modules, and a block of boot structures: where they go, and their copies in memory.

use std::fs::File;

use vmwb_mem::{GuestAddress, GuestMemory};

use super::Module;
use super::entry::{CODE_32, GDT_BYTES, gdt};
use super::error::BootError;
use super::files::{copy_in, length};
use super::layout::{BIOS_DATA, EBDA, MAX_COMMAND_LINE, MemoryMap, ONE_MIB, PAGE};

/// Most modules.
pub const MAX_MODULES: usize = 64;
/// Longest line of a module, in bytes.
pub const MAX_MODULE_LINE: usize = 1023;
/// First byte that a segment may have: behind vectors and BIOS data.
const LOW_START: u64 = BIOS_DATA + 0x100;
/// Lowest place for the block of boot structures.
const BLOCK_START: u64 = 0x1000;
/// Bytes of the block that are the entry stack.
const STACK_BYTES: u64 = PAGE;
const FOUR_GIB: u64 = 1 << 32;

/// A part of a file that belongs at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub file_bytes: u64,
    /// Guest-physical address.
    pub address: u64,
    /// Bytes in memory: the rest is zeros.
    pub mem_bytes: u64,
}

impl Segment {
    /// A segment that is not empty and ends below 4 GiB.
    ///
    /// # Errors
    /// It does not.
    pub fn new(
        offset: u64,
        file_bytes: u64,
        address: u64,
        mem_bytes: u64,
    ) -> Result<Self, BootError> {
        let end = address.checked_add(mem_bytes);
        if end.is_none_or(|end| end > FOUR_GIB) {
            return Err(BootError::BadElf("a part of it lies above 4 GiB"));
        }
        Ok(Self {
            offset,
            file_bytes,
            address,
            mem_bytes,
        })
    }

    /// One past its last address.
    pub fn end(&self) -> u64 {
        self.address + self.mem_bytes
    }

    /// Sorts segments by address.
    ///
    /// # Errors
    /// There is none, or two overlap.
    pub fn sort(segments: &mut [Self]) -> Result<(), BootError> {
        segments.sort_by_key(|s| s.address);
        if segments.is_empty() {
            return Err(BootError::BadElf("there is nothing in it to load"));
        }
        if segments.windows(2).any(|w| w[0].end() > w[1].address) {
            return Err(BootError::BadElf("parts of it overlap"));
        }
        Ok(())
    }
}

/// Where modules go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModulePlace {
    /// Directly behind the kernel, first to last.
    AfterKernel,
    /// At the end of RAM below 4 GiB, where the kernel's early memory is not in their way.
    Top,
}

/// An image and its modules.
#[derive(Debug)]
pub struct Image {
    file: File,
    segments: Vec<Segment>,
    modules: Vec<(Module, u64)>,
    place: ModulePlace,
}

/// Addresses of everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Start and end of each module.
    pub modules: Vec<(u64, u64)>,
    /// Block of boot structures.
    pub block: u64,
}

impl Image {
    /// Checks the modules. `segments` are sorted, do not overlap and lie inside the file.
    ///
    /// # Errors
    /// Modules that are empty, unreadable or too many; a line that is too long.
    pub fn new(
        file: File,
        segments: Vec<Segment>,
        modules: Vec<Module>,
        place: ModulePlace,
    ) -> Result<Self, BootError> {
        if modules.len() > MAX_MODULES {
            return Err(BootError::TooManyModules {
                max: MAX_MODULES,
                found: modules.len(),
            });
        }
        let modules = modules
            .into_iter()
            .map(|module| {
                let len_bytes = length(&module.file, "module")?;
                if len_bytes == 0 {
                    return Err(BootError::ModuleEmpty);
                }
                if module.line.len() > MAX_MODULE_LINE || module.line.contains('\0') {
                    return Err(BootError::ModuleLine {
                        max: MAX_MODULE_LINE,
                        len: module.line.len(),
                    });
                }
                Ok((module, len_bytes))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            file,
            segments,
            modules,
            place,
        })
    }

    /// Lines of the modules.
    pub fn module_lines(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|(module, _)| module.line.as_str())
    }

    /// Decides where modules and a block of `block_bytes` and a stack go.
    ///
    /// # Errors
    /// Something does not fit; the command line is too long.
    pub fn place(
        &self,
        map: &MemoryMap,
        block_bytes: u64,
        append: &str,
    ) -> Result<Places, BootError> {
        if append.len() > MAX_COMMAND_LINE {
            return Err(BootError::CommandLineTooLong {
                max: MAX_COMMAND_LINE,
                len: append.len(),
            });
        }
        let top = map.acpi_start();
        for s in &self.segments {
            let low = s.address >= LOW_START && s.end() <= EBDA;
            if !low && s.address < ONE_MIB {
                return Err(BootError::BadElf(
                    "a part of it lies where no kernel can: at 0, or between 639 KiB and 1 MiB",
                ));
            }
            if s.end() > top {
                return Err(BootError::KernelTooLarge {
                    need_mib: s.end().div_ceil(ONE_MIB) + 1,
                    have_mib: map.have_mib(),
                });
            }
        }
        let kernel_end = self.segments.last().map_or(0, Segment::end).max(ONE_MIB);
        Ok(Places {
            modules: self.place_modules(kernel_end.next_multiple_of(PAGE), map)?,
            block: self.place_block(block_bytes + STACK_BYTES)?,
        })
    }

    fn place_modules(&self, bottom: u64, map: &MemoryMap) -> Result<Vec<(u64, u64)>, BootError> {
        let top = map.acpi_start();
        let pages = |bytes: u64| bytes.div_ceil(PAGE).saturating_mul(PAGE);
        let total = self
            .modules
            .iter()
            .fold(0u64, |sum, (_, bytes)| sum.saturating_add(pages(*bytes)));
        if top.checked_sub(total).is_none_or(|start| start < bottom) {
            return Err(BootError::ModulesTooLarge {
                size_mib: total.div_ceil(ONE_MIB),
                have_mib: map.have_mib(),
            });
        }
        let mut at = match self.place {
            ModulePlace::AfterKernel => bottom,
            ModulePlace::Top => top - total,
        };
        let mut places = Vec::new();
        for (_, bytes) in &self.modules {
            places.push((at, at + bytes));
            at += pages(*bytes);
        }
        Ok(places)
    }

    /// The lowest room in base memory between the segments.
    fn place_block(&self, bytes: u64) -> Result<u64, BootError> {
        let mut at = BLOCK_START;
        for s in self.segments.iter().filter(|s| s.end() > BLOCK_START) {
            if at + bytes <= s.address {
                break;
            }
            at = s.end().next_multiple_of(PAGE);
        }
        if at + bytes <= EBDA {
            Ok(at)
        } else {
            Err(BootError::BadElf(
                "it leaves no room below 639 KiB for what it is told",
            ))
        }
    }

    /// Copies segments and modules into memory, which is all zeros, and the block.
    ///
    /// # Errors
    /// Files cannot be read.
    pub fn copy(
        &self,
        memory: &GuestMemory,
        places: &Places,
        block: &Block,
    ) -> Result<(), BootError> {
        for s in &self.segments {
            copy_in(
                memory,
                &self.file,
                "kernel",
                s.offset,
                s.address,
                s.file_bytes,
            )?;
        }
        for ((module, bytes), (start, _)) in self.modules.iter().zip(&places.modules) {
            copy_in(memory, &module.file, "module", 0, *start, *bytes)?;
        }
        memory.write(GuestAddress(places.block), &block.bytes)?;
        Ok(())
    }
}

/// Boot structures that are written one after the other; a descriptor table is the first.
#[derive(Debug)]
pub struct Block {
    base: u64,
    bytes: Vec<u8>,
}

impl Block {
    /// A block at `base` with a descriptor table for flat 32-bit code.
    pub fn new(base: u64) -> Self {
        Self {
            base,
            bytes: gdt(CODE_32).to_vec(),
        }
    }

    /// Appends bytes at a multiple of 8 and gives their address.
    pub fn put(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.base + self.bytes.len() as u64;
        self.bytes.extend_from_slice(bytes);
        low(at)
    }

    /// Appends a string with its NUL.
    pub fn text(&mut self, text: &str) -> u32 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.put(&bytes)
    }

    /// Bytes so far.
    pub fn len_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Address of the descriptor table.
    pub fn gdt(&self) -> u32 {
        low(self.base)
    }

    /// Top of the stack behind the block.
    pub fn stack_top(&self) -> u32 {
        low((self.base + self.len_bytes() + STACK_BYTES) & !15)
    }
}

const _: () = assert!(GDT_BYTES.is_multiple_of(8));

/// An address that the checks keep below 4 GiB.
pub fn low(address: u64) -> u32 {
    u32::try_from(address).expect("kernel, modules and boot structures lie below 4 GiB")
}
