//! The adapter on the PCI bus: 1234:1111, the adapter that Bochs and QEMU have, so that their guests' drivers find it.
//!
//! | Base address | What is behind it |
//! |---|---|
//! | 0 | display memory, linear; the processor reaches it without this device |
//! | 2 | 4 KiB: 000h EDID, 400h ports 3C0h to 3DFh, 500h the Bochs VBE registers as words |
//! | ROM | the adapter's BIOS, as it was handed over |

use vmwb_hw::{AccessSize, Ctx, Nanos};

use super::edid::{EDID_BYTES, edid};
use super::vram::{VgaError, Vram};
use super::{Vga, dispi, lanes, regs};
use crate::pci::{BarKind, ConfigSpace, PciDevice, PciFunction, ROM_BAR};

/// Largest ROM: what fits from C0000h to DFFFFh.
pub(super) const MAX_ROM_BYTES: usize = 128 << 10;
/// Smallest window of a ROM (PCI Local Bus Specification 2.1, section 6.2.5.2).
const MIN_ROM_WINDOW: u32 = 2 << 10;

/// Device 1111h of vendor 1234h.
const VENDOR_DEVICE: u32 = 0x1111_1234;
/// Display controller, VGA compatible; revision 2 of this adapter has EDID behind base address 2.
const CLASS_REVISION: u32 = 0x0300_0002;
const SUBSYSTEM: u32 = 0x1100_1AF4;

const COMMAND_STATUS: u8 = 0x04;
const COMMAND_IO: u32 = 1 << 0;
const COMMAND_MEMORY: u32 = 1 << 1;
const BAR0: u8 = 0x10;
const BAR_MEMORY: usize = 0;
const BAR_REGISTERS: usize = 2;
const REGISTERS_BYTES: u32 = 4096;
const PORTS_FROM: u64 = 0x400;
const PORTS_UNTIL: u64 = 0x420;
/// The device's own port offset of 3C0h.
const PORTS_OFFSET: u16 = 0x10;
const DISPI_FROM: u64 = 0x500;
const DISPI_UNTIL: u64 = 0x516;

/// A picture that lies in memory line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearPicture {
    /// Guest-physical address of the first dot.
    pub base: u32,
    /// Bytes from line to line.
    pub pitch_bytes: u32,
    /// Dots across.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Bits of a dot: 15, 16, 24 or 32.
    pub bits: u16,
    /// Display memory in bytes.
    pub memory_bytes: u64,
}

/// The configuration space of an adapter with this memory and ROM.
pub(super) fn config_space(vram: &Vram, rom: &[u8]) -> Result<ConfigSpace, VgaError> {
    let mut config = ConfigSpace::new(VENDOR_DEVICE, CLASS_REVISION, SUBSYSTEM);
    let bytes = u32::try_from(vram.bytes()).expect("at most 64 MiB");
    config
        .add_bar(BAR_MEMORY, BarKind::Prefetchable, bytes)
        .expect("a power of two");
    config
        .add_bar(BAR_REGISTERS, BarKind::Memory, REGISTERS_BYTES)
        .expect("a power of two");
    if rom.len() > MAX_ROM_BYTES {
        return Err(VgaError::BadRom(rom.len()));
    }
    if !rom.is_empty() {
        let len = u32::try_from(rom.len()).expect("at most 128 KiB");
        config
            .add_rom(len.next_power_of_two().max(MIN_ROM_WINDOW))
            .expect("a power of two");
    }
    Ok(config)
}

/// Bytes of a slice from `offset` on as a number; beyond its end `beyond`.
fn bytes_at(bytes: &[u8], offset: u64, size: AccessSize, beyond: u8) -> u64 {
    (0..size.bytes()).fold(0, |value, lane| {
        let at = usize::try_from(offset.saturating_add(lane)).ok();
        let byte = at.and_then(|at| bytes.get(at)).copied().unwrap_or(beyond);
        value | u64::from(byte) << (8 * lane)
    })
}

/// The port behind an offset of base address 2.
fn port_at(offset: u64) -> Option<u16> {
    let port = u16::try_from(offset.checked_sub(PORTS_FROM)?).ok()?;
    (offset < PORTS_UNTIL).then_some(PORTS_OFFSET + port)
}

/// The Bochs VBE register behind an offset of base address 2.
fn dispi_at(offset: u64) -> Option<u16> {
    let at = offset.checked_sub(DISPI_FROM)?;
    (offset < DISPI_UNTIL)
        .then(|| u16::try_from(at / 2).ok())
        .flatten()
}

impl Vga {
    /// Shows the memory to the processor where base address 0 says.
    pub(super) fn place_memory(&self) {
        let window = self.config.bar(BAR_MEMORY);
        self.vram.place(window.map(|w| w.base));
    }

    /// Sets the base addresses as firmware would, for a boot without it: display memory at `memory`, registers at
    /// `registers`, both multiples of their sizes.
    pub fn set_up(&mut self, ctx: &mut Ctx<'_>, memory: u32, registers: u32) {
        let bar = |n: usize| BAR0 + 4 * u8::try_from(n).expect("there are six");
        self.config_write(ctx, bar(BAR_MEMORY), memory, u32::MAX);
        self.config_write(ctx, bar(BAR_REGISTERS), registers, u32::MAX);
        let command = COMMAND_IO | COMMAND_MEMORY;
        self.config_write(ctx, COMMAND_STATUS, command, 0xFFFF);
    }

    /// Switches a picture on as a boot loader would that has asked the BIOS for one: `width` (1 to 2,560) by `height` (1 to
    /// 1,600) dots of 15, 16, 24 or 32 bits. `None`, and nothing happens: the adapter has no such mode, or no base
    /// addresses yet.
    pub fn show_picture(&mut self, width: u16, height: u16, bits: u16) -> Option<LinearPicture> {
        let base = self.config.bar(BAR_MEMORY)?.base;
        let pitch_bytes = u32::from(width) * u32::from(bits.div_ceil(8));
        let possible = (1..=dispi::MAX_X).contains(&width)
            && (1..=dispi::MAX_Y).contains(&height)
            && matches!(bits, 15 | 16 | 24 | 32)
            && u64::from(pitch_bytes) * u64::from(height) <= self.vram.bytes();
        if !possible {
            return None;
        }
        for (register, value) in [
            (dispi::index::ENABLE, 0),
            (dispi::index::X_RES, width),
            (dispi::index::Y_RES, height),
            (dispi::index::BPP, bits),
            (dispi::index::ENABLE, dispi::ENABLED | dispi::LINEAR),
        ] {
            self.write_dispi(register, value);
        }
        Some(LinearPicture {
            base,
            pitch_bytes,
            width,
            height,
            bits,
            memory_bytes: self.vram.bytes(),
        })
    }

    fn peek_registers(&self, now: Nanos, offset: u64, size: AccessSize) -> u64 {
        if offset < EDID_BYTES as u64 {
            return bytes_at(&edid(), offset, size, 0);
        }
        if offset < PORTS_FROM {
            return 0;
        }
        (0..size.bytes()).fold(0, |value, lane| {
            let at = offset.saturating_add(lane);
            let byte = if let Some(port) = port_at(at) {
                self.read_port(now, port)
            } else if let Some(register) = dispi_at(at) {
                let word = self.dispi.read(register, self.vram.bytes()).to_le_bytes();
                word[usize::from(at & 1 != 0)]
            } else {
                0xFF
            };
            value | u64::from(byte) << (8 * lane)
        })
    }

    fn write_registers(&mut self, offset: u64, size: AccessSize, value: u64) {
        let bytes = value.to_le_bytes();
        if offset >= DISPI_FROM {
            // These are words: bytes are not decoded, more than a word is the next register.
            let words = bytes[..usize::from(lanes(size))].as_chunks::<2>().0;
            for (n, &word) in (0..).zip(words) {
                let at = offset.saturating_add(2 * n);
                if let Some(register) = dispi_at(at).filter(|_| at.is_multiple_of(2)) {
                    self.write_dispi(register, u16::from_le_bytes(word));
                }
            }
            return;
        }
        for (lane, byte) in (0..size.bytes()).zip(bytes) {
            if let Some(port) = port_at(offset.saturating_add(lane)) {
                self.write_port(port, byte);
            }
        }
    }
}

impl PciDevice for Vga {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_read(&self, register: u8) -> u32 {
        self.config.config_read(register)
    }

    fn config_write(&mut self, _ctx: &mut Ctx<'_>, register: u8, value: u32, mask: u32) {
        self.config.config_write(register, value, mask);
        self.place_memory();
    }

    fn bar_read(&mut self, ctx: &mut Ctx<'_>, bar: usize, offset: u64, size: AccessSize) -> u64 {
        let value = self.bar_peek(ctx.now, bar, offset, size);
        if bar == BAR_REGISTERS {
            for port in (0..size.bytes()).filter_map(|lane| port_at(offset.saturating_add(lane))) {
                self.after_read(port);
            }
        }
        value
    }

    fn bar_peek(&self, now: Nanos, bar: usize, offset: u64, size: AccessSize) -> u64 {
        match bar {
            BAR_MEMORY => {
                let mut bytes = [0; 8];
                self.vram
                    .read(offset, &mut bytes[..usize::from(lanes(size))]);
                u64::from_le_bytes(bytes)
            }
            BAR_REGISTERS => self.peek_registers(now, offset, size),
            ROM_BAR => bytes_at(&self.rom, offset, size, 0xFF),
            _ => size.ones(),
        }
    }

    fn bar_write(
        &mut self,
        _ctx: &mut Ctx<'_>,
        bar: usize,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) {
        match bar {
            BAR_MEMORY => {
                let bytes = value.to_le_bytes();
                self.vram.write(offset, &bytes[..usize::from(lanes(size))]);
            }
            BAR_REGISTERS => self.write_registers(offset, size, value),
            _ => {}
        }
    }
}

/// Ports of the VGA that the board maps besides the Bochs VBE registers'.
const _: () = assert!(regs::VGA_PORTS <= regs::DISPI_PORT_OFFSET);
