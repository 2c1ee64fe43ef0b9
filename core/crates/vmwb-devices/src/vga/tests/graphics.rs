//! Graphics modes: how the planes become dots.

use super::*;

#[test]
fn mode_13h_shows_each_byte_as_two_dots_on_two_lines() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    poke(&mut b, &mut vga, 320 + 5, 4);
    let rows = picture(&vga);
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 640,
            height: 400
        }
    );
    let lit: Vec<(usize, usize)> = (0..400)
        .flat_map(|y| (0..640).map(move |x| (y, x)))
        .filter(|&(y, x)| rows[y][x] != 0)
        .collect();
    assert_eq!(lit, [(2, 10), (2, 11), (3, 10), (3, 11)]);
    assert_eq!((rows[2][10], vga.text()), (0x00AA_0000, None));
}

#[test]
fn mode_12h_shows_one_bit_of_each_plane() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b0101);
    poke(&mut b, &mut vga, 80 * 3 + 1, 0x40);
    let rows = picture(&vga);
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 640,
            height: 480
        }
    );
    assert_eq!((rows[3][8], rows[3][9], rows[3][10]), (0, 0x00AA_00AA, 0));
}

#[test]
fn four_colour_mode_shows_pairs_of_bits_from_planes_in_turn() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 1, 0x09);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0x0E);
    for (index, value) in [
        (0x01, 0x27),
        (0x09, 0xC1),
        (0x13, 0x14),
        (0x14, 0x00),
        (0x17, 0xA2),
    ] {
        set(&mut b, &mut vga, port::CRTC_INDEX, index, value);
    }
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 0x30);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 6, 0x0F);
    set_attribute(&mut b, &mut vga, 0x10, 0x01);
    set_attribute(&mut b, &mut vga, 0x12, 0x03);
    set_attribute(&mut b, &mut vga, 0x13, 0);
    vga.vram.clear(0x4_0000);
    // Host byte 1 of the odd lines: pixels 4 to 7 of line 1, the last of colour 3 and the one before of colour 1.
    poke(&mut b, &mut vga, TEXT + 0x2001, 0b0000_0111);
    let rows = picture(&vga);
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 640,
            height: 400
        }
    );
    assert_eq!(
        rows[2][12..16],
        [0x0000_00AA, 0x0000_00AA, 0x0000_AAAA, 0x0000_AAAA]
    );
    assert_eq!((rows[1][14], rows[3][14], rows[4][14]), (0, 0x0000_AAAA, 0));
}

#[test]
fn unchained_pages_flip_by_the_start_address() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    // Mode X: chain 4 off, byte addresses, 320 pixels to 80 addresses.
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 4, 0x06);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x14, 0x00);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x17, 0xE3);
    vga.vram.clear(0x4_0000);
    // Pixel 6 of line 1 of the second page: plane 2, address 1.
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0x04);
    poke(&mut b, &mut vga, 0x4000 + 80 + 1, 2);
    let before = picture(&vga)[2][12];
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0C, 0x40);
    let row = &picture(&vga)[2];
    assert_eq!(
        (before, row[11], row[12], row[13], row[14]),
        (0, 0, 0xAA00, 0xAA00, 0)
    );
}

#[test]
fn panning_of_256_colours_moves_by_whole_pixels() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    poke(&mut b, &mut vga, 5, 4);
    set_attribute(&mut b, &mut vga, 0x13, 2);
    assert_eq!(picture(&vga)[0][7..11], [0, 0x00AA_0000, 0x00AA_0000, 0]);
}

#[test]
fn nibbles_without_the_attribute_controllers_pairing_are_sixteen_colours() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    poke(&mut b, &mut vga, 1, 0x24);
    set_attribute(&mut b, &mut vga, 0x10, 0x01);
    assert_eq!(picture(&vga)[0][1..5], [0, 0xAA00, 0x00AA_0000, 0]);
}

#[test]
fn pixel_mask_takes_bits_out_of_every_colour() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    poke(&mut b, &mut vga, 0, 6);
    b.out(&mut vga, port::DAC_MASK, 0x02);
    assert_eq!(picture(&vga)[0][0], 0x0000_AA00);
}

#[test]
fn byte_panning_and_preset_row_scan_move_the_picture() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x09, 0x41);
    poke(&mut b, &mut vga, 80 + 2, 0x80);
    let lit = |vga: &Vga| {
        let rows = picture(vga);
        let lit = (0..480).flat_map(|y| (0..640).map(move |x| (y, x)));
        lit.filter(|&(y, x)| rows[y][x] != 0).collect::<Vec<_>>()
    };
    assert_eq!(lit(&vga), [(2, 16), (3, 16)]);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x08, 0x21);
    assert_eq!(lit(&vga), [(1, 8), (2, 8)]);
}

#[test]
fn split_screen_stays_when_the_upper_part_pans() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    set_planes(&vga, 0, 0x80);
    set_planes(&vga, 0x1000, 0x80);
    for (index, value) in [(0x07, 0x2E), (0x09, 0x00), (0x18, 99), (0x0C, 0x10)] {
        set(&mut b, &mut vga, port::CRTC_INDEX, index, value);
    }
    // Panning by 7 dots, above the split only.
    set_attribute(&mut b, &mut vga, 0x10, 0x21);
    set_planes(&vga, 0x1000, 0x01);
    set_attribute(&mut b, &mut vga, 0x13, 7);
    let rows = picture(&vga);
    assert_eq!(
        (rows[0][0], rows[99][0], rows[100][0], rows[100][7]),
        (0xAA, 0, 0xAA, 0)
    );
}

#[test]
fn split_screen_pans_by_bytes_with_the_upper_part_unless_told_not_to() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    set_planes(&vga, 2, 0x80);
    for (index, value) in [(0x07, 0x2E), (0x09, 0x00), (0x18, 99), (0x08, 0x40)] {
        set(&mut b, &mut vga, port::CRTC_INDEX, index, value);
    }
    let both = picture(&vga);
    set_attribute(&mut b, &mut vga, 0x10, 0x21);
    let upper = picture(&vga);
    let first_dots = [&both, &upper].map(|rows| (rows[0][0], rows[100][0], rows[100][16]));
    assert_eq!(first_dots, [(0xAA, 0xAA, 0), (0xAA, 0, 0xAA)]);
}

#[test]
fn counter_that_moves_once_in_two_characters_shows_each_twice() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.vram.clear(0x4_0000);
    set_planes(&vga, 1, 0x80);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x17, 0xEB);
    let row = &picture(&vga)[0];
    let lit: Vec<usize> = (0..640).filter(|&x| row[x] != 0).collect();
    assert_eq!(lit, [16, 24]);
}

#[test]
fn vertical_counters_at_half_speed_double_the_lines() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x12, 0x63);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x07, 0x00);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x17, 0xE7);
    assert_eq!(vga.mode().height, 200);
}

#[test]
fn written_line_changes_the_lines_of_its_page_only() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    changes(&mut vga);
    // 1,024 addresses to a page, 80 to a line: address 4,000 lies in lines 38 to 51.
    poke(&mut b, &mut vga, 4000, 0x5A);
    assert_eq!(changes(&mut vga), [(38, 52)]);
    poke(&mut b, &mut vga, 4000, 0x5A);
    assert!(changes(&mut vga).is_empty());
}
