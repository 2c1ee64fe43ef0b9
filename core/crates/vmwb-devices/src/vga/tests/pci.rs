//! The adapter as a PCI device.

use super::*;
use crate::pci::ROM_BAR;
use vmwb_hw::GuestAddress;

const REGISTERS: usize = 2;

fn read(b: &mut Bench, vga: &mut Vga, offset: u64, size: AccessSize) -> u64 {
    vga.bar_read(&mut b.ctx(), REGISTERS, offset, size)
}

fn write(b: &mut Bench, vga: &mut Vga, offset: u64, size: AccessSize, value: u64) {
    vga.bar_write(&mut b.ctx(), REGISTERS, offset, size, value);
}

fn config(b: &mut Bench, vga: &mut Vga, register: u8, value: u32) {
    vga.config_write(&mut b.ctx(), register, value, u32::MAX);
}

#[test]
fn identities_and_sizes_are_those_that_drivers_expect() {
    let (mut b, mut vga) = adapter();
    assert_eq!(
        (vga.config_read(0), vga.config_read(8)),
        (0x1111_1234, 0x0300_0002)
    );
    for register in [0x10, 0x18, 0x30] {
        config(&mut b, &mut vga, register, u32::MAX);
    }
    let sizes = [0x10, 0x14, 0x18, 0x30].map(|register| vga.config_read(register));
    assert_eq!(sizes, [0xFF00_0008, 0, 0xFFFF_F000, 0xFFFF_F801]);
}

#[test]
fn base_address_0_shows_the_memory_while_memory_is_enabled() {
    let memory = memory(VIDEO_BYTES);
    let mut vga = Vga::new(Arc::clone(&memory), RegionId(0), Vec::new()).unwrap();
    let mut b = Bench::new();
    config(&mut b, &mut vga, 0x10, 0xE000_0000);
    let places = [2, 0, 2].map(|command| {
        config(&mut b, &mut vga, 0x04, command);
        memory.placement(RegionId(0))
    });
    let shown = Some(GuestAddress(0xE000_0000));
    assert_eq!(places, [shown, None, shown]);
    memory.write(GuestAddress(0xE000_0004), &[0x5A]).unwrap();
    assert_eq!(vga.bar_read(&mut b.ctx(), 0, 4, AccessSize::Byte), 0x5A);
    vga.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!(memory.placement(RegionId(0)), None);
}

#[test]
fn picture_for_a_boot_without_firmware_is_linear_at_base_address_0() {
    let (mut b, mut vga) = adapter();
    assert_eq!(vga.show_picture(800, 600, 24), None);
    vga.set_up(&mut b.ctx(), 0xFD00_0000, 0xFEBF_0000);
    let picture = vga
        .show_picture(800, 600, 24)
        .expect("there is such a mode");
    assert_eq!((picture.base, picture.pitch_bytes), (0xFD00_0000, 2400));
    let (width, height) = (800, 600);
    assert_eq!(vga.mode(), ScanoutMode { width, height });
    vga.bar_write(&mut b.ctx(), 0, 2400, AccessSize::Dword, 0x0012_3456);
    let mut line = [0; 800];
    vga.draw(1, &mut line, 800);
    assert_eq!(line[0], 0x0012_3456);
}

#[test]
fn picture_that_the_adapter_has_not_changes_nothing() {
    let (mut b, mut vga) = adapter();
    vga.set_up(&mut b.ctx(), 0xFD00_0000, 0xFEBF_0000);
    let impossible = [(0, 1, 32), (2561, 1, 32), (1, 1601, 32), (1024, 768, 8)];
    assert!(
        impossible
            .iter()
            .all(|&(w, h, bits)| vga.show_picture(w, h, bits).is_none())
    );
    assert!(vga.text().is_some());
    // 16,384,000 bytes: the largest one fits exactly.
    assert!(vga.show_picture(2560, 1600, 32).is_some());
}

#[test]
fn boot_without_firmware_finds_the_base_addresses_set() {
    let (mut b, mut vga) = adapter();
    vga.set_up(&mut b.ctx(), 0xFC00_0000, 0xFEBF_0000);
    let bases = [0, 1, 2].map(|bar| vga.config().bar(bar).map(|w| w.base));
    assert_eq!(bases, [Some(0xFC00_0000), None, Some(0xFEBF_0000)]);
}

#[test]
fn rom_is_read_behind_its_base_address() {
    let (mut b, mut vga) = adapter();
    config(&mut b, &mut vga, 0x30, 0xFEB0_0001);
    assert!(vga.config().bar(ROM_BAR).is_none());
    config(&mut b, &mut vga, 0x04, 2);
    let window = vga.config().bar(ROM_BAR).unwrap();
    assert_eq!((window.base, window.len_bytes), (0xFEB0_0000, 2048));
    let dword = |b: &mut Bench, vga: &mut Vga, at| {
        vga.bar_read(&mut b.ctx(), ROM_BAR, at, AccessSize::Dword)
    };
    assert_eq!(dword(&mut b, &mut vga, 0), 0x0201_AA55);
    assert_eq!(dword(&mut b, &mut vga, 2), 0xFFFF_0201);
    vga.bar_write(&mut b.ctx(), ROM_BAR, 0, AccessSize::Dword, 0);
    assert_eq!(dword(&mut b, &mut vga, 0), 0x0201_AA55);
}

#[test]
fn ports_and_vbe_registers_are_mapped() {
    let (mut b, mut vga) = adapter();
    // 3CEh, index and data at once.
    write(&mut b, &mut vga, 0x40E, AccessSize::Word, 0x5A08);
    assert_eq!(vga.graphics[8], 0x5A);
    assert_eq!(read(&mut b, &mut vga, 0x40F, AccessSize::Byte), 0x5A);
    write(&mut b, &mut vga, 0x502, AccessSize::Dword, 0x0300_0400);
    let words = [0x500, 0x502, 0x504, 0x514].map(|at| read(&mut b, &mut vga, at, AccessSize::Word));
    assert_eq!(words, [0xB0C5, 0x400, 0x300, 256]);
    // No extended registers: what drivers read there is no size.
    assert_eq!(
        read(&mut b, &mut vga, 0x600, AccessSize::Dword),
        0xFFFF_FFFF
    );
    assert_eq!(
        read(&mut b, &mut vga, 0xFFE, AccessSize::Dword),
        0xFFFF_FFFF
    );
}

#[test]
fn reading_status_1_there_resets_the_attribute_flip_flop() {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::ATTRIBUTE, 0x20);
    let _ = read(&mut b, &mut vga, 0x41A, AccessSize::Byte);
    assert!(!vga.attribute_data_next);
}

/// Modes of the detailed timings of an EDID block: pixels, lines, refresh rate in units of 0.1 Hz.
fn detailed_modes(block: &[u8]) -> Vec<(u64, u64, u64)> {
    let modes = block[54..108].chunks(18);
    modes
        .map(|t| {
            let wide = |low: usize, high: usize, shift: u8| {
                u64::from(t[low]) | u64::from(t[high] >> shift & 0xF) << 8
            };
            let (x, x_blank) = (wide(2, 4, 4), wide(3, 4, 0));
            let (y, y_blank) = (wide(5, 7, 4), wide(6, 7, 0));
            let clock = u64::from(t[0]) | u64::from(t[1]) << 8;
            (x, y, clock * 100_000 / ((x + x_blank) * (y + y_blank)))
        })
        .collect()
}

#[test]
fn edid_is_a_sound_block_with_the_modes_it_promises() {
    let (mut b, mut vga) = adapter();
    let block: Vec<u8> = (0..128)
        .map(|at| read(&mut b, &mut vga, at, AccessSize::Byte).to_le_bytes()[0])
        .collect();
    assert_eq!(block[..8], [0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0]);
    assert_eq!(
        block.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte)),
        0
    );
    let modes = detailed_modes(&block);
    assert_eq!(
        modes,
        [(1024, 768, 600), (1920, 1080, 600), (2560, 1600, 599)]
    );
    assert_eq!(&block[113..125], b"VM Workbench");
    // 1280 by 1024 at 60 Hz among the standard timings.
    assert_eq!(block[38..40], [0x81, 0x80]);
}

#[test]
fn memory_and_roms_of_wrong_sizes_are_refused() {
    let odd = Vga::new(memory(3 << 20), RegionId(0), Vec::new());
    assert!(matches!(odd, Err(VgaError::BadVideoMemory { .. })));
    let none = Vga::new(memory(1 << 20), RegionId(1), Vec::new());
    assert!(matches!(none, Err(VgaError::Memory(_))));
    let large = Vga::new(memory(1 << 20), RegionId(0), vec![0; (128 << 10) + 1]);
    assert!(matches!(large, Err(VgaError::BadRom(_))));
}
