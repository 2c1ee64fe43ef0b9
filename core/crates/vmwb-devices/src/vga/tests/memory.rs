//! The window: data path, read and write modes, addressing.

use super::*;
use proptest::prelude::*;

#[test]
fn write_mode_0_applies_set_reset_function_and_bit_mask() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set_planes(&vga, 7, 0x0F0F_0F0F);
    let _ = peek(&mut b, &mut vga, 7);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 0, 0b0010);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 1, 0b0011);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 3, 0x18 | 4);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0x3C);
    poke(&mut b, &mut vga, 7, 0x21);
    // Plane 0: set/reset 0, plane 1: set/reset 1, planes 2 and 3: 21h rotated by 4 = 12h; xor 0Fh within 3Ch.
    assert_eq!(vga.vram.word(7).to_le_bytes(), [0x0F, 0x33, 0x1F, 0x1F]);
}

#[test]
fn write_mode_1_copies_the_latches() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set_planes(&vga, 5, 0x1122_3344);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 1);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 6, 0xFF);
    assert_eq!(vga.vram.word(6), 0x1122_3344);
}

#[test]
fn write_mode_2_spreads_a_colour_over_the_planes() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set_planes(&vga, 5, 0);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 2);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0x81);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 5, 0b1010);
    assert_eq!(vga.vram.word(5).to_le_bytes(), [0, 0x81, 0, 0x81]);
}

#[test]
fn write_mode_3_masks_set_reset_with_the_data() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set_planes(&vga, 5, 0);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 3);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 0, 0b0110);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0xF0);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 5, 0x3C);
    assert_eq!(vga.vram.word(5).to_le_bytes(), [0, 0x30, 0x30, 0]);
}

#[test]
fn read_mode_1_finds_a_colour() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set_planes(&vga, 5, u32::from_le_bytes([0xFF, 0x0F, 0, 0xAA]));
    set(
        &mut b,
        &mut vga,
        port::GRAPHICS_INDEX,
        5,
        regs::MODE_READ_COMPARE,
    );
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 2, 0b0001);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 7, 0b0111);
    assert_eq!(peek(&mut b, &mut vga, 5), 0xF0);
}

#[test]
fn window_moves_with_the_memory_map() {
    let (mut b, mut vga) = adapter();
    assert_eq!(peek(&mut b, &mut vga, 0), 0xFF);
    assert_eq!(peek(&mut b, &mut vga, TEXT), b' ');
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 6, 0x0A);
    assert_eq!(
        (
            peek(&mut b, &mut vga, TEXT),
            peek(&mut b, &mut vga, 0x1_0000)
        ),
        (0xFF, b' ')
    );
}

#[test]
fn memory_disabled_in_misc_reads_ones() {
    let (mut b, mut vga) = adapter();
    b.out(
        &mut vga,
        port::MISC_WRITE,
        regs::MODE_3_MISC & !regs::MISC_RAM,
    );
    assert_eq!(peek(&mut b, &mut vga, TEXT), 0xFF);
}

#[test]
fn chain_4_spreads_addresses_over_the_planes() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    vga.mmio_write(&mut b.ctx(), 8, AccessSize::Dword, 0x4433_2211);
    assert_eq!((vga.vram.word(8), vga.vram.word(9)), (0x4433_2211, 0));
    assert_eq!(vga.mmio_read(&mut b.ctx(), 10, AccessSize::Word), 0x4433);
}

#[test]
fn odd_even_addresses_reach_planes_in_turn() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0x0F);
    vga.mmio_write(&mut b.ctx(), TEXT + 6, AccessSize::Word, 0x2211);
    assert_eq!(vga.vram.word(6), 0x2211_2211);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 4, 2);
    assert_eq!(
        vga.mmio_read(&mut b.ctx(), TEXT + 6, AccessSize::Word),
        0x2211
    );
}

#[test]
fn wide_access_is_bytes_at_ascending_addresses_through_the_data_path() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 3, 4);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0x02);
    (0..8).for_each(|at| set_planes(&vga, at, 0));
    vga.mmio_write(&mut b.ctx(), 0, AccessSize::Qword, 0x0807_0605_0403_0201);
    let planes: Vec<u32> = (0..8).map(|at| vga.vram.word(at)).collect();
    assert_eq!(planes, [1u32, 2, 3, 4, 5, 6, 7, 8].map(|n| n << 12));
}

proptest! {
    /// The data path, written down bit by bit from the description of the graphics controller.
    #[test]
    fn data_path_agrees_with_its_description(
        gfx: [u8; 9], latches: u32, old: u32, mask in 0u8..16, value: u8,
    ) {
        let (mut b, mut vga) = adapter();
        mode_12h(&mut b, &mut vga);
        vga.graphics = std::array::from_fn(|n| gfx[n] & regs::GRAPHICS_BITS[n]);
        vga.graphics[regs::GFX_MISC] = 5;
        vga.sequencer[regs::SEQ_PLANE_MASK] = mask;
        vga.latches = latches;
        set_planes(&vga, 9, old);
        poke(&mut b, &mut vga, 9, value);
        let g = vga.graphics;
        let bit = |byte: u8, n: usize| byte >> n & 1 != 0;
        let rotated = value.rotate_right(u32::from(g[3] & 7));
        let want = std::array::from_fn(|plane| {
            let latch = latches.to_le_bytes()[plane];
            let previous = old.to_le_bytes()[plane];
            (0..8).fold(0u8, |byte, n| {
                let data = match g[5] & 3 {
                    0 if bit(g[1], plane) => bit(g[0], plane),
                    0 => bit(rotated, n),
                    1 => bit(latch, n),
                    2 => bit(value, plane),
                    _ => bit(g[0], plane),
                };
                let combined = match g[3] >> 3 {
                    _ if g[5] & 3 == 1 => data,
                    0 => data,
                    1 => data & bit(latch, n),
                    2 => data | bit(latch, n),
                    _ => data ^ bit(latch, n),
                };
                let masked = match g[5] & 3 {
                    1 => true,
                    3 => bit(rotated & g[8], n),
                    _ => bit(g[8], n),
                };
                let result = if masked { combined } else { bit(latch, n) };
                let result = if bit(mask, plane) { result } else { bit(previous, n) };
                byte | u8::from(result) << n
            })
        });
        prop_assert_eq!(vga.vram.word(9).to_le_bytes(), want);
    }
}
