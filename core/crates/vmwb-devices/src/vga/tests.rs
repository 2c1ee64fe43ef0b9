use vmwb_hw::{LineSet, Scanout, ScanoutMode, TimerId};

use super::snapshot::{pack, unpack};
use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use proptest::prelude::*;

const LIGHT_GREY: u32 = 0x00AA_AAAA;
const WHITE: u32 = 0x00FF_FFFF;
/// Window offset of the text screen at B8000h.
const TEXT: u64 = 0x1_8000;

fn adapter() -> (Bench, Vga) {
    (Bench::new(), Vga::new())
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

/// Whether something has changed since the last call.
fn changed(vga: &mut Vga) -> bool {
    let mut lines = LineSet::default();
    vga.take_changes(&mut lines);
    !lines.is_empty()
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
        Vga::new()
    }

    fn mutate(vga: &mut Vga, b: &mut Bench) {
        // The golden file is about the payload, not about how the font is drawn.
        vga.planes.fill(0);
        vga.planes[0x7000..0x7040].fill(0x8142_2418);
        put(b, vga, 81, b'x', 0x1E);
        set(b, vga, port::CRTC_INDEX, 0x0F, 0x52);
        set(b, vga, port::GRAPHICS_INDEX, 8, 0xF0);
        b.out(vga, port::DAC_WRITE, 7);
        b.out(vga, port::DAC_DATA, 0x15);
        b.out(vga, port::STATUS_1, 1);
        b.out(vga, port::ATTRIBUTE, 0x31);
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
        let at = u64::from(a.value) % 0x2_0010;
        if a.write {
            vga.mmio_write(&mut b.ctx(), at, a.size, u64::from(a.value));
        } else {
            let peeked = vga.mmio_peek(b.now, at, a.size);
            assert_eq!(peeked, vga.mmio_read(&mut b.ctx(), at, a.size));
        }
    }

    fn deadline(_vga: &mut Vga, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(vga_conformance, Worked);

#[test]
fn power_on_shows_an_empty_text_screen_of_80_by_25() {
    let (_, vga) = adapter();
    let text = vga.text().unwrap();
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 720,
            height: 400
        }
    );
    assert_eq!(
        (text.columns, text.rows, text.cells.len(), text.cursor),
        (80, 25, 2000, Some((0, 0)))
    );
    assert!(
        text.cells
            .iter()
            .all(|c| [c.character, c.attribute] == BLANK_CELL)
    );
}

#[test]
fn character_written_shows_as_cell_and_as_its_glyph() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 82, b'A', 0x1F);
    assert_eq!(vga.text().unwrap().cells[82].character, b'A');
    let rows = picture(&vga);
    let shown: Vec<Vec<u32>> = rows[16..32]
        .iter()
        .map(|row| row[18..27].to_vec())
        .collect();
    let want: Vec<Vec<u32>> = font_8x16()[usize::from(b'A')]
        .iter()
        .map(|&bits| dots(bits, WHITE, 0x0000_00AA))
        .collect();
    assert_eq!(shown, want);
}

#[test]
fn ninth_dot_continues_line_graphics_only() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 80, 0xC4, 7);
    put(&mut b, &mut vga, 81, b'_', 7);
    let rows = picture(&vga);
    assert_eq!((rows[16 + 7][8], rows[16 + 13][17]), (LIGHT_GREY, 0));
}

#[test]
fn cursor_is_drawn_where_it_stands_and_can_be_off() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0F, 81);
    assert_eq!(picture(&vga)[16 + 13][9..18], [LIGHT_GREY; 9]);
    assert_eq!(vga.text().unwrap().cursor, Some((1, 1)));
    set(
        &mut b,
        &mut vga,
        port::CRTC_INDEX,
        0x0A,
        regs::CURSOR_OFF | 13,
    );
    assert_eq!(
        (picture(&vga)[16 + 13][9], vga.text().unwrap().cursor),
        (0, None)
    );
}

#[test]
fn blink_bit_chooses_between_blinking_and_bright_background() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 0, b' ', 0x90);
    let blinking = picture(&vga)[0][0];
    set_attribute(&mut b, &mut vga, 0x10, 0x04);
    assert_eq!((blinking, picture(&vga)[0][0]), (0x0000_00AA, 0x0055_55FF));
}

#[test]
fn underline_location_underlines_attribute_1() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 3, b' ', 0x01);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x14, 12);
    assert_eq!(picture(&vga)[12][27..36], [0x0000_00AA; 9]);
}

#[test]
fn start_address_scrolls_text_and_cursor() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 160, b'x', 7);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0D, 160);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0F, 161);
    let text = vga.text().unwrap();
    assert_eq!((text.cells[0].character, text.cursor), (b'x', Some((1, 0))));
}

#[test]
fn eight_dot_cells_make_640_dots() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 1, 1);
    set_attribute(&mut b, &mut vga, 0x13, 0);
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 640,
            height: 400
        }
    );
}

#[test]
fn panning_moves_the_picture_left() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 1, 0xDB, 7);
    set_attribute(&mut b, &mut vga, 0x13, 3);
    assert_eq!(picture(&vga)[0][4..7], [0, LIGHT_GREY, LIGHT_GREY]);
}

#[test]
fn second_character_map_is_chosen_by_attribute_bit_3() {
    let (mut b, mut vga) = adapter();
    // Map A at 4000h; the glyph's first row there is all ones.
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 3, 0x04);
    vga.planes[0x4000 + usize::from(b'a') * GLYPH_STRIDE] = 0x00FF_0000;
    put(&mut b, &mut vga, 0, b'a', 0x0F);
    put(&mut b, &mut vga, 1, b'a', 0x07);
    let row = &picture(&vga)[0];
    assert_eq!((row[0], row[9]), (WHITE, 0));
}

#[test]
fn screen_off_is_black() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 0, 0xDB, 7);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 1, 0x20);
    assert!(picture(&vga).iter().flatten().all(|&p| p == 0));
}

#[test]
fn line_compare_shows_address_0_below() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 0, 0xDB, 7);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0x0E);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0C, 0x10);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x07, 0x0F);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x09, 0x0F);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x18, 99);
    let rows = picture(&vga);
    assert_eq!((rows[99][0], rows[100][0]), (0, LIGHT_GREY));
}

#[test]
fn mode_13h_shows_each_byte_as_two_dots_on_two_lines() {
    let (mut b, mut vga) = adapter();
    mode_13h(&mut b, &mut vga);
    vga.planes.fill(0);
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
    vga.planes.fill(0);
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
    vga.planes.fill(0);
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
fn forty_columns_are_twice_as_wide() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 1, 0x08);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0x0E);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x01, 0x27);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x13, 0x14);
    put(&mut b, &mut vga, 1, 0xDD, 7);
    let row = &picture(&vga)[0];
    assert_eq!(
        vga.mode(),
        ScanoutMode {
            width: 720,
            height: 400
        }
    );
    assert_eq!(
        (row[17], row[18], row[25], row[26]),
        (0, LIGHT_GREY, LIGHT_GREY, 0)
    );
}

#[test]
fn write_mode_0_applies_set_reset_function_and_bit_mask() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.planes[7] = 0x0F0F_0F0F;
    let _ = peek(&mut b, &mut vga, 7);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 0, 0b0010);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 1, 0b0011);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 3, 0x18 | 4);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0x3C);
    poke(&mut b, &mut vga, 7, 0x21);
    // Plane 0: set/reset 0, plane 1: set/reset 1, planes 2 and 3: 21h rotated by 4 = 12h; xor 0Fh within 3Ch.
    assert_eq!(vga.planes[7].to_le_bytes(), [0x0F, 0x33, 0x1F, 0x1F]);
}

#[test]
fn write_mode_1_copies_the_latches() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.planes[5] = 0x1122_3344;
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 1);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 6, 0xFF);
    assert_eq!(vga.planes[6], 0x1122_3344);
}

#[test]
fn write_mode_2_spreads_a_colour_over_the_planes() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.planes[5] = 0;
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 2);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0x81);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 5, 0b1010);
    assert_eq!(vga.planes[5].to_le_bytes(), [0, 0x81, 0, 0x81]);
}

#[test]
fn write_mode_3_masks_set_reset_with_the_data() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.planes[5] = 0;
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 5, 3);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 0, 0b0110);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0xF0);
    let _ = peek(&mut b, &mut vga, 5);
    poke(&mut b, &mut vga, 5, 0x3C);
    assert_eq!(vga.planes[5].to_le_bytes(), [0, 0x30, 0x30, 0]);
}

#[test]
fn read_mode_1_finds_a_colour() {
    let (mut b, mut vga) = adapter();
    mode_12h(&mut b, &mut vga);
    vga.planes[5] = u32::from_le_bytes([0xFF, 0x0F, 0, 0xAA]);
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
fn crtc_moves_with_the_monochrome_bit() {
    let (mut b, mut vga) = adapter();
    assert_eq!(b.inp(&mut vga, port::CRTC_INDEX_MONO), 0xFF);
    b.out(&mut vga, port::MISC_WRITE, 0x66);
    assert_eq!(get(&mut b, &mut vga, port::CRTC_INDEX_MONO, 1), 0x4F);
    assert_eq!(b.inp(&mut vga, port::CRTC_DATA), 0xFF);
}

#[test]
fn protected_crtc_registers_keep_all_but_the_line_compare_bit() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0x8E);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x01, 0x27);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x07, 0x00);
    let read = [0x01, 0x07].map(|index| get(&mut b, &mut vga, port::CRTC_INDEX, index));
    assert_eq!(read, [0x4F, 0x0F]);
}

#[test]
fn attribute_port_takes_index_and_data_in_turn_after_status_was_read() {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::ATTRIBUTE, 0x01);
    let _ = b.inp(&mut vga, port::STATUS_1);
    b.out(&mut vga, port::ATTRIBUTE, 0x02);
    b.out(&mut vga, port::ATTRIBUTE, 0x2A);
    assert_eq!(
        (b.inp(&mut vga, port::ATTRIBUTE_READ), vga.attribute[1]),
        (0x2A, 1)
    );
}

#[test]
fn dac_steps_through_components_and_colours() {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::DAC_WRITE, 0xFF);
    for value in [1, 2, 0x43, 4] {
        b.out(&mut vga, port::DAC_DATA, value);
    }
    b.out(&mut vga, port::DAC_READ, 0xFF);
    let read = [0; 4].map(|_: u8| b.inp(&mut vga, port::DAC_DATA));
    assert_eq!((read, b.inp(&mut vga, port::DAC_READ)), ([1, 2, 3, 4], 3));
}

#[test]
fn retrace_bits_follow_time() {
    let (mut b, mut vga) = adapter();
    // Line 413 of 449 at 31.5 kHz is in the retrace; line 10's first dots are shown; dot 700 of it is blanked.
    let status = [(413, 0), (10, 5), (10, 700)].map(|(line, dot)| {
        b.now = Nanos::at_tick(line * regs::LINE_DOTS + dot, regs::DOT_HZ);
        b.inp(&mut vga, port::STATUS_1)
    });
    assert_eq!(
        status,
        [
            regs::STATUS_BLANK | regs::STATUS_RETRACE,
            0,
            regs::STATUS_BLANK
        ]
    );
}

#[test]
fn only_what_shows_is_a_change() {
    let (mut b, mut vga) = adapter();
    assert!(changed(&mut vga));
    put(&mut b, &mut vga, 0, b' ', 7);
    b.out(&mut vga, port::DAC_WRITE, 0);
    let _ = b.inp(&mut vga, port::STATUS_1);
    assert!(!changed(&mut vga));
    put(&mut b, &mut vga, 0, b'!', 7);
    assert!(changed(&mut vga));
}

#[test]
fn restored_picture_is_a_change() {
    let (mut b, mut vga) = adapter();
    let saved = vga.save().unwrap();
    changed(&mut vga);
    vga.restore(&mut b.ctx(), &saved).unwrap();
    assert!(changed(&mut vga));
}

#[test]
fn saved_plane_of_the_wrong_length_is_refused() {
    let mut v = Vga::new().to_v1();
    v.planes[2] = Bytes(pack(&[0; 100]));
    assert!(Vga::new().take_v1(&v).is_err());
}

#[test]
fn runs_that_would_grow_without_end_are_refused() {
    let bomb: Vec<u8> = [255, 0].repeat(100_000);
    assert_eq!(unpack(&bomb, 65_536), None);
}

#[test]
fn font_has_a_picture_for_every_code_but_the_blank_ones() {
    let blank: Vec<usize> = font_8x16()
        .iter()
        .enumerate()
        .filter(|(_, g)| g.iter().all(|&r| r == 0))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(blank, [0x00, 0x20, 0xFF]);
}

#[test]
fn font_glyphs_are_all_different() {
    let font = font_8x16();
    let distinct: std::collections::BTreeSet<[u8; GLYPH_ROWS]> = font.iter().copied().collect();
    assert_eq!(distinct.len(), GLYPHS - 2);
}

#[test]
fn box_characters_join_at_the_cell_edges() {
    let font = font_8x16();
    // Left and top edges of the double cross are those of the double lines.
    assert_eq!(
        (font[0xCE][0], font[0xCE][15]),
        (font[0xBA][0], font[0xBA][15])
    );
    let edge = |code: usize| font[code].map(|row| row & 0x81);
    assert_eq!(edge(0xCE), edge(0xCD));
    assert_eq!(font[0xC5][7], 0xFF);
}

proptest! {
    #[test]
    fn packed_bytes_unpack_to_the_same(bytes in prop::collection::vec(0u8..3, 0..600)) {
        prop_assert_eq!(unpack(&pack(&bytes), bytes.len()), Some(bytes));
    }

    #[test]
    fn any_registers_draw_without_panic(crtc: [u8; 25], seq: [u8; 5], gfx: [u8; 9], attr: [u8; 21]) {
        let mut vga = Vga::new();
        vga.crtc = crtc;
        vga.sequencer = seq;
        vga.graphics = gfx;
        vga.attribute = attr;
        let ScanoutMode { width, height } = vga.mode();
        prop_assert!((1..=MAX_WIDTH).contains(&width) && (1..=MAX_HEIGHT).contains(&height));
        let mut pixels = vec![0; 250];
        vga.draw(0, &mut pixels, 25);
        let cells = vga.text().map_or(0, |t| t.cells.len() - usize::from(t.columns) * usize::from(t.rows));
        prop_assert_eq!(cells, 0);
    }
}
