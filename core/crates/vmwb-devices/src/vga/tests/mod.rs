//! Tests of the display adapter; this file holds what they share.

mod font;
mod graphics;
mod hostile;
mod memory;
mod modes;

mod pci;
mod registers;
mod state;
mod text;
mod vbe;

use vmwb_hw::{LineSet, RegionKind, RegionSpec, Scanout, ScanoutMode, TimerId};

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::pci::PciDevice;
use crate::testbench::Bench;

const VIDEO_BYTES: u64 = 16 << 20;

const LIGHT_GREY: u32 = 0x00AA_AAAA;
const WHITE: u32 = 0x00FF_FFFF;
/// Window offset of the text screen at B8000h.
const TEXT: u64 = 0x1_8000;

/// A machine's memory with display memory of so many bytes.
fn memory(video_bytes: u64) -> Arc<GuestMemory> {
    let video = RegionSpec {
        bytes: video_bytes,
        kind: RegionKind::Video,
    };
    Arc::new(GuestMemory::with_regions(2 << 20, &[video]).expect("guest memory"))
}

/// An adapter whose ROM is four bytes long.
fn build() -> Vga {
    Vga::new(memory(VIDEO_BYTES), RegionId(0), vec![0x55, 0xAA, 1, 2]).expect("an adapter")
}

/// An adapter as a boot without firmware has it.
fn adapter() -> (Bench, Vga) {
    let mut vga = build();
    vga.show_text_screen();
    (Bench::new(), vga)
}

/// Writes one place of all four planes past the device.
fn set_planes(vga: &Vga, address: u32, planes: Planes) {
    vga.vram
        .write(u64::from(address) * 4, &planes.to_le_bytes());
}

/// Lines that have changed since the last call, as runs: first line, and the one behind the last.
fn changes(vga: &mut Vga) -> Vec<(u32, u32)> {
    let mut lines = LineSet::default();
    vga.take_changes(&mut lines);
    lines.runs().map(|run| (run.start, run.end)).collect()
}

/// Writes a register of an index and data pair.
fn set(b: &mut Bench, vga: &mut Vga, index_port: u16, index: u8, value: u8) {
    b.out(vga, index_port, index);
    b.out(vga, index_port + 1, value);
}

fn get(b: &mut Bench, vga: &mut Vga, index_port: u16, index: u8) -> u8 {
    b.out(vga, index_port, index);
    b.inp(vga, index_port + 1)
}

/// Writes a Bochs VBE register.
fn set_vbe(b: &mut Bench, vga: &mut Vga, register: u16, value: u16) {
    let (index, data) = (DISPI_PORT_OFFSET, DISPI_PORT_OFFSET + 1);
    vga.pio_write(&mut b.ctx(), index, AccessSize::Word, u32::from(register));
    vga.pio_write(&mut b.ctx(), data, AccessSize::Word, u32::from(value));
}

/// Reads a Bochs VBE register.
fn get_vbe(b: &mut Bench, vga: &mut Vga, register: u16) -> u32 {
    let (index, data) = (DISPI_PORT_OFFSET, DISPI_PORT_OFFSET + 1);
    vga.pio_write(&mut b.ctx(), index, AccessSize::Word, u32::from(register));
    vga.pio_read(&mut b.ctx(), data, AccessSize::Word)
}

fn set_attribute(b: &mut Bench, vga: &mut Vga, index: u8, value: u8) {
    let _ = b.inp(vga, port::STATUS_1);
    b.out(vga, port::ATTRIBUTE, index);
    b.out(vga, port::ATTRIBUTE, value);
    b.out(vga, port::ATTRIBUTE, regs::ATTRIBUTE_SCREEN);
}

fn poke(b: &mut Bench, vga: &mut Vga, at: u64, value: u8) {
    vga.mmio_write(&mut b.ctx(), at, AccessSize::Byte, u64::from(value));
}

fn peek(b: &mut Bench, vga: &mut Vga, at: u64) -> u8 {
    vga.mmio_read(&mut b.ctx(), at, AccessSize::Byte)
        .to_le_bytes()[0]
}

fn put(b: &mut Bench, vga: &mut Vga, cell: u64, character: u8, attribute: u8) {
    poke(b, vga, TEXT + 2 * cell, character);
    poke(b, vga, TEXT + 2 * cell + 1, attribute);
}

/// The picture as rows of 00RRGGBBh.
fn picture(vga: &Vga) -> Vec<Vec<u32>> {
    let ScanoutMode { width, height } = vga.mode();
    let stride = usize::try_from(width).unwrap();
    let mut pixels = vec![0; stride * usize::try_from(height).unwrap()];
    vga.draw(0, &mut pixels, stride);
    pixels.chunks(stride).map(<[u32]>::to_vec).collect()
}

/// One row of a glyph as pixels, 9 dots.
fn dots(bits: u8, on: u32, off: u32) -> Vec<u32> {
    (0..9u8)
        .map(|n| {
            if u16::from(bits) << 1 >> (8 - n) & 1 != 0 {
                on
            } else {
                off
            }
        })
        .collect()
}

/// Registers of mode 13h (320 by 200, 256 colours) that differ from mode 3's.
fn mode_13h(b: &mut Bench, vga: &mut Vga) {
    set(b, vga, port::SEQUENCER_INDEX, 1, 0x01);
    set(b, vga, port::SEQUENCER_INDEX, 2, 0x0F);
    set(b, vga, port::SEQUENCER_INDEX, 4, 0x0E);
    set(b, vga, port::CRTC_INDEX, 0x11, 0x0E);
    for (index, value) in [(0x09, 0x41), (0x14, 0x40), (0x17, 0xA3)] {
        set(b, vga, port::CRTC_INDEX, index, value);
    }
    set(b, vga, port::GRAPHICS_INDEX, 5, 0x40);
    set(b, vga, port::GRAPHICS_INDEX, 6, 0x05);
    set_attribute(b, vga, 0x10, 0x41);
    set_attribute(b, vga, 0x13, 0);
}

/// Registers of mode 12h (640 by 480, 16 colours) that differ from mode 3's.
fn mode_12h(b: &mut Bench, vga: &mut Vga) {
    set(b, vga, port::SEQUENCER_INDEX, 1, 0x01);
    set(b, vga, port::SEQUENCER_INDEX, 2, 0x0F);
    set(b, vga, port::SEQUENCER_INDEX, 4, 0x06);
    set(b, vga, port::CRTC_INDEX, 0x11, 0x0C);
    for (index, value) in [
        (0x07, 0x3E),
        (0x09, 0x40),
        (0x12, 0xDF),
        (0x14, 0x00),
        (0x17, 0xE3),
    ] {
        set(b, vga, port::CRTC_INDEX, index, value);
    }
    set(b, vga, port::GRAPHICS_INDEX, 5, 0x00);
    set(b, vga, port::GRAPHICS_INDEX, 6, 0x05);
    set_attribute(b, vga, 0x10, 0x01);
    set_attribute(b, vga, 0x13, 0);
}

struct Worked;

impl Subject for Worked {
    type Dev = Vga;

    fn build(_bench: &mut Bench) -> Vga {
        build()
    }

    fn mutate(vga: &mut Vga, b: &mut Bench) {
        // The golden file is about the payload, not about how the font is drawn.
        vga.vram.clear(0x4_0000);
        (0x7000..0x7040).for_each(|at| set_planes(vga, at, 0x8142_2418));
        put(b, vga, 81, b'x', 0x1E);
        set(b, vga, port::CRTC_INDEX, 0x0F, 0x52);
        set(b, vga, port::GRAPHICS_INDEX, 8, 0xF0);
        b.out(vga, port::DAC_WRITE, 7);
        b.out(vga, port::DAC_DATA, 0x15);
        b.out(vga, port::STATUS_1, 1);
        b.out(vga, port::ATTRIBUTE, 0x31);
        for (register, value) in [
            (1, 800),
            (2, 600),
            (3, 16),
            (4, 0xE1),
            (8, 3),
            (9, 4),
            (5, 2),
        ] {
            set_vbe(b, vga, register, value);
        }
        vga.config_write(&mut b.ctx(), 0x10, 0xE000_0000, u32::MAX);
        vga.config_write(&mut b.ctx(), 0x04, 2, 0xFFFF);
    }

    fn access(vga: &mut Vga, b: &mut Bench, a: Access) {
        pio_access(vga, b, a);
        pio_access(
            vga,
            b,
            Access {
                offset: 0x10 + a.offset % 0x20,
                ..a
            },
        );
        pio_access(
            vga,
            b,
            Access {
                offset: DISPI_PORT_OFFSET + a.offset % 4,
                ..a
            },
        );
        // Reads load the latches from display memory, which these states are without: `hostile` has them.
        let at = u64::from(a.value) % 0x2_0010;
        let bar = usize::from(a.offset % 8);
        if a.write {
            vga.mmio_write(&mut b.ctx(), at, a.size, u64::from(a.value));
            vga.bar_write(&mut b.ctx(), bar, at % 0x600, a.size, u64::from(a.value));
        } else {
            let _ = vga.mmio_peek(b.now, at, a.size);
            let peeked = vga.bar_peek(b.now, bar, at % 0x600, a.size);
            assert_eq!(peeked, vga.bar_read(&mut b.ctx(), bar, at % 0x600, a.size));
        }
    }

    fn deadline(_vga: &mut Vga, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(vga_conformance, Worked);
