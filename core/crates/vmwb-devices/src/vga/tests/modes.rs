//! The standard modes: registers as a BIOS loads them (IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem";
//! the tables agree with those of SeaBIOS `vgasrc/stdvgamodes.c`), dots written through the window, pixels looked at.

use super::*;

/// One row of the table.
struct Mode {
    misc: u8,
    /// Sequencer registers 1 to 4.
    sequencer: [u8; 4],
    crtc: [u8; 25],
    /// Graphics controller registers 5 to 8; 0 to 4 are 0.
    graphics: [u8; 4],
    palette: [u8; 16],
    /// Attribute registers 10h to 14h.
    attribute: [u8; 5],
}

const CRTC_40_COLUMNS: [u8; 6] = [0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80];
const CRTC_80_COLUMNS: [u8; 6] = [0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80];

/// CRTC registers: six horizontal ones, vertical total, overflow, maximum scan line, and 10h to 17h.
const fn crtc(horizontal: [u8; 6], vertical: [u8; 3], rest: [u8; 8]) -> [u8; 25] {
    let [a, b, c, d, e, f] = horizontal;
    let [total, overflow, max_scan] = vertical;
    let [rs, re, end, offset, underline, bs, be, mode] = rest;
    [
        a, b, c, d, e, f, total, overflow, 0, max_scan, 0, 0, 0, 0, 0, 0, rs, re, end, offset,
        underline, bs, be, mode, 0xFF,
    ]
}

const EGA: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A, 0x3B, 0x3C, 0x3D, 0x3E, 0x3F,
];
const CGA: [u8; 16] = [
    0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
];
const LOW: [u8; 16] = [
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
];
const MONO: [u8; 16] = [
    0x00, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x08, 0x10, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18, 0x18,
];
const IDENTITY: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

const MODE_1: Mode = Mode {
    misc: 0x67,
    sequencer: [0x08, 0x03, 0x00, 0x02],
    crtc: crtc(
        [0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0],
        [0xBF, 0x1F, 0x4F],
        [0x9C, 0x8E, 0x8F, 0x14, 0x1F, 0x96, 0xB9, 0xA3],
    ),
    graphics: [0x10, 0x0E, 0x0F, 0xFF],
    palette: EGA,
    attribute: [0x0C, 0x00, 0x0F, 0x08, 0x00],
};
const MODE_4: Mode = Mode {
    misc: 0x63,
    sequencer: [0x09, 0x03, 0x00, 0x02],
    crtc: crtc(
        CRTC_40_COLUMNS,
        [0xBF, 0x1F, 0xC1],
        [0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2],
    ),
    graphics: [0x30, 0x0F, 0x0F, 0xFF],
    palette: CGA,
    attribute: [0x01, 0x00, 0x03, 0x00, 0x00],
};
const MODE_6: Mode = Mode {
    misc: 0x63,
    sequencer: [0x01, 0x01, 0x00, 0x06],
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0xBF, 0x1F, 0xC1],
        [0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2],
    ),
    graphics: [0x00, 0x0D, 0x0F, 0xFF],
    palette: [
        0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
        0x17,
    ],
    attribute: [0x01, 0x00, 0x01, 0x00, 0x00],
};
const MODE_7: Mode = Mode {
    misc: 0x66,
    sequencer: [0x00, 0x03, 0x00, 0x02],
    crtc: crtc(
        [0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81],
        [0xBF, 0x1F, 0x4F],
        [0x9C, 0x8E, 0x8F, 0x28, 0x0F, 0x96, 0xB9, 0xA3],
    ),
    graphics: [0x10, 0x0A, 0x0F, 0xFF],
    palette: MONO,
    attribute: [0x0E, 0x00, 0x0F, 0x08, 0x00],
};
const MODE_D: Mode = Mode {
    misc: 0x63,
    sequencer: [0x09, 0x0F, 0x00, 0x06],
    crtc: crtc(
        CRTC_40_COLUMNS,
        [0xBF, 0x1F, 0xC0],
        [0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xE3],
    ),
    graphics: [0x00, 0x05, 0x0F, 0xFF],
    palette: LOW,
    attribute: [0x01, 0x00, 0x0F, 0x00, 0x00],
};
const MODE_E: Mode = Mode {
    sequencer: [0x01, 0x0F, 0x00, 0x06],
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0xBF, 0x1F, 0xC0],
        [0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xE3],
    ),
    ..MODE_D
};
const MODE_10: Mode = Mode {
    misc: 0xA3,
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0xBF, 0x1F, 0x40],
        [0x83, 0x85, 0x5D, 0x28, 0x0F, 0x63, 0xBA, 0xE3],
    ),
    palette: EGA,
    ..MODE_E
};
const MODE_11: Mode = Mode {
    misc: 0xE3,
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0x0B, 0x3E, 0x40],
        [0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xC3],
    ),
    palette: [0x3F; 16],
    ..MODE_E
};
const MODE_12: Mode = Mode {
    misc: 0xE3,
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0x0B, 0x3E, 0x40],
        [0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3],
    ),
    palette: EGA,
    ..MODE_E
};
const MODE_13: Mode = Mode {
    misc: 0x63,
    sequencer: [0x01, 0x0F, 0x00, 0x0E],
    crtc: crtc(
        CRTC_80_COLUMNS,
        [0xBF, 0x1F, 0x41],
        [0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3],
    ),
    graphics: [0x40, 0x05, 0x0F, 0xFF],
    palette: IDENTITY,
    attribute: [0x41, 0x00, 0x0F, 0x00, 0x00],
};

/// 320 by 200 pixels of four colours in plain order at A0000h, as a widely copied table has it (Chris Giese, `modes.c`): only
/// the attribute controller is told that it is graphics.
const FOUR_COLOURS_AT_A0000: Mode = Mode {
    misc: 0x63,
    sequencer: [0x09, 0x03, 0x00, 0x02],
    crtc: crtc(
        CRTC_40_COLUMNS,
        [0xBF, 0x1F, 0x41],
        [0x9C, 0x0E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA3],
    ),
    graphics: [0x30, 0x02, 0x00, 0xFF],
    palette: CGA,
    attribute: [0x01, 0x00, 0x03, 0x00, 0x00],
};

/// An adapter in a mode, its memory cleared, every DAC colour n showing as 00n00n..h of its own.
fn in_mode(mode: &Mode) -> (Bench, Vga) {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::MISC_WRITE, mode.misc);
    let crtc_index = if mode.misc & regs::MISC_COLOUR != 0 {
        port::CRTC_INDEX
    } else {
        port::CRTC_INDEX_MONO
    };
    for (index, value) in (1..).zip(mode.sequencer) {
        set(&mut b, &mut vga, port::SEQUENCER_INDEX, index, value);
    }
    set(&mut b, &mut vga, crtc_index, 0x11, 0);
    for (index, value) in (0..).zip(mode.crtc) {
        set(&mut b, &mut vga, crtc_index, index, value);
    }
    for (index, value) in (0..).zip([0, 0, 0, 0, 0].into_iter().chain(mode.graphics)) {
        set(&mut b, &mut vga, port::GRAPHICS_INDEX, index, value);
    }
    let _ = b.inp(&mut vga, crtc_index + 6);
    for (index, value) in (0..).zip(mode.palette.into_iter().chain(mode.attribute)) {
        b.out(&mut vga, port::ATTRIBUTE, index);
        b.out(&mut vga, port::ATTRIBUTE, value);
    }
    b.out(&mut vga, port::ATTRIBUTE, regs::ATTRIBUTE_SCREEN);
    b.out(&mut vga, port::DAC_WRITE, 0);
    for n in 0..=255 {
        for component in [n >> 4, n & 0xF, 0] {
            b.out(&mut vga, port::DAC_DATA, component);
        }
    }
    vga.vram.clear(0x2_0000);
    (b, vga)
}

/// The DAC's index behind a pixel of [`in_mode`].
fn index_of(pixel: u32) -> u32 {
    // Six bits n show as n * 4 + n / 16: the upper six are n.
    (pixel >> 18 & 0xF) << 4 | pixel >> 10 & 0xF
}

/// Pixels that are not DAC colour 0, as (x, y, DAC index); of doubled ones each.
fn lit(vga: &Vga) -> Vec<(usize, usize, u32)> {
    let rows = picture(vga);
    rows.iter()
        .enumerate()
        .flat_map(|(y, row)| {
            row.iter()
                .enumerate()
                .map(move |(x, &p)| (x, y, index_of(p)))
        })
        .filter(|&(_, _, index)| index != 0)
        .collect()
}

fn size(vga: &Vga) -> (u32, u32) {
    (vga.mode().width, vga.mode().height)
}

/// A dot of `w` by `h` pixels whose upper left corner is (x, y).
fn dot(x: usize, y: usize, w: usize, h: usize, index: u32) -> Vec<(usize, usize, u32)> {
    (y..y + h)
        .flat_map(|y| (x..x + w).map(move |x| (x, y, index)))
        .collect()
}

#[test]
fn mode_1_has_40_columns_of_wide_dots() {
    let (mut b, mut vga) = in_mode(&MODE_1);
    set_planes(&vga, 0xDB * 32 + 5, 0x0080_0000);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0A, regs::CURSOR_OFF);
    put(&mut b, &mut vga, 41, 0xDB, 0x1E);
    let text = vga.text().unwrap();
    assert_eq!((size(&vga), text.columns, text.rows), ((720, 400), 40, 25));
    let rows = picture(&vga);
    let shown = [17, 18, 19, 20, 35].map(|x| index_of(rows[16 + 5][x]));
    assert_eq!(shown, [0, 0x3E, 0x3E, 1, 1]);
}

#[test]
fn mode_4_has_pairs_of_bits_on_interleaved_lines() {
    let (mut b, mut vga) = in_mode(&MODE_4);
    assert_eq!(size(&vga), (640, 400));
    // Pixel 7 of line 3: byte 1 of the second of the odd lines.
    poke(&mut b, &mut vga, TEXT + 0x2000 + 80 + 1, 0b10);
    assert_eq!(lit(&vga), dot(14, 6, 2, 2, 0x15));
    // Pixel 319 of line 198.
    poke(&mut b, &mut vga, TEXT + 0x2000 + 80 + 1, 0);
    poke(&mut b, &mut vga, TEXT + 99 * 80 + 79, 0b11);
    assert_eq!(lit(&vga), dot(638, 396, 2, 2, 0x17));
}

#[test]
fn graphics_by_the_attribute_controller_alone_is_graphics() {
    let (mut b, mut vga) = in_mode(&FOUR_COLOURS_AT_A0000);
    assert_eq!((size(&vga), vga.text()), ((640, 400), None));
    // Pixel 6 of line 3.
    poke(&mut b, &mut vga, 3 * 80 + 1, 0b10 << 2);
    assert_eq!(lit(&vga), dot(12, 6, 2, 2, 0x15));
}

#[test]
fn mode_6_has_one_bit_a_pixel_on_interleaved_lines() {
    let (mut b, mut vga) = in_mode(&MODE_6);
    assert_eq!(size(&vga), (640, 400));
    poke(&mut b, &mut vga, TEXT + 0x2000 + 99 * 80 + 79, 1);
    assert_eq!(lit(&vga), dot(639, 398, 1, 2, 0x17));
}

#[test]
fn mode_7_underlines_and_has_its_window_at_b0000() {
    let (mut b, mut vga) = in_mode(&MODE_7);
    set(
        &mut b,
        &mut vga,
        port::CRTC_INDEX_MONO,
        0x0A,
        regs::CURSOR_OFF,
    );
    set(&mut b, &mut vga, port::CRTC_INDEX_MONO, 0x14, 0x0D);
    vga.mmio_write(&mut b.ctx(), 0x1_0000 + 2 * 81, AccessSize::Word, 0x0120);
    assert_eq!(lit(&vga), dot(9, 16 + 13, 9, 1, 8));
}

#[test]
fn modes_0dh_and_0eh_have_16_colours_on_doubled_lines() {
    let (mut b, mut vga) = in_mode(&MODE_D);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b1001);
    poke(&mut b, &mut vga, 199 * 40 + 39, 1);
    assert_eq!(
        (size(&vga), lit(&vga)),
        ((640, 400), dot(638, 398, 2, 2, 0x11))
    );
    let (mut b, mut vga) = in_mode(&MODE_E);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b1001);
    poke(&mut b, &mut vga, 199 * 80 + 79, 1);
    assert_eq!(
        (size(&vga), lit(&vga)),
        ((640, 400), dot(639, 398, 1, 2, 0x11))
    );
}

#[test]
fn modes_10h_to_12h_have_350_and_480_lines() {
    let last = [
        (&MODE_10, 350, 0x14),
        (&MODE_11, 480, 0x3F),
        (&MODE_12, 480, 0x14),
    ]
    .map(|(mode, lines, index)| {
        let (mut b, mut vga) = in_mode(mode);
        // In mode 11h colour 0 is white as well.
        set_attribute(&mut b, &mut vga, 0, 0);
        set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b0110);
        poke(&mut b, &mut vga, (u64::from(lines) - 1) * 80 + 79, 1);
        let at = usize::try_from(lines).unwrap() - 1;
        (size(&vga) == (640, lines)) && lit(&vga) == dot(639, at, 1, 1, index)
    });
    assert_eq!(last, [true; 3]);
}

#[test]
fn mode_13h_has_256_colours_of_two_by_two_dots() {
    let (mut b, mut vga) = in_mode(&MODE_13);
    assert_eq!(size(&vga), (640, 400));
    poke(&mut b, &mut vga, 199 * 320 + 319, 0xC7);
    assert_eq!(lit(&vga), dot(638, 398, 2, 2, 0xC7));
}

#[test]
fn mode_x_has_320_by_240_pixels_in_four_planes() {
    let mode = Mode {
        misc: 0xE3,
        sequencer: [0x01, 0x0F, 0x00, 0x06],
        crtc: crtc(
            CRTC_80_COLUMNS,
            [0x0D, 0x3E, 0x41],
            [0xEA, 0xAC, 0xDF, 0x28, 0x00, 0xE7, 0x06, 0xE3],
        ),
        ..MODE_13
    };
    let (mut b, mut vga) = in_mode(&mode);
    assert_eq!(size(&vga), (640, 480));
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b0100);
    poke(&mut b, &mut vga, 239 * 80 + 79, 0x9A);
    assert_eq!(lit(&vga), dot(636, 478, 2, 2, 0x9A));
}

#[test]
fn eight_line_font_makes_50_rows_and_14_lines_28() {
    let rows = [(0x07, 0x8F), (0x0D, 0x8F), (0x07, 0x5D)].map(|(max_scan, end)| {
        let (mut b, mut vga) = adapter();
        set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0);
        set(&mut b, &mut vga, port::CRTC_INDEX, 0x09, 0x40 | max_scan);
        set(&mut b, &mut vga, port::CRTC_INDEX, 0x12, end);
        vga.text().unwrap().rows
    });
    assert_eq!(rows, [50, 28, 43]);
}

#[test]
fn retrace_comes_at_the_modes_own_rate() {
    let rates = [&MODE_1, &MODE_10, &MODE_12, &MODE_13].map(|mode| {
        let (mut b, mut vga) = in_mode(mode);
        let (mut edges, mut before) = (0, 0);
        for step in 0..100_000u64 {
            b.now = Nanos(step * 10_000);
            let now = b.inp(&mut vga, port::STATUS_1) & regs::STATUS_RETRACE;
            edges += u32::from(now > before);
            before = now;
        }
        edges
    });
    assert_eq!(rates, [70, 70, 60, 70]);
}
