//! Text modes.

use super::*;

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
    set_planes(&vga, 0x4000 + u32::from(b'a') * 32, 0x00FF_0000);
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
fn written_cell_changes_the_rows_of_its_page_only() {
    let (mut b, mut vga) = adapter();
    changes(&mut vga);
    // 512 cells to a page: rows 0 to 6.
    put(&mut b, &mut vga, 81, b'x', 7);
    assert_eq!(changes(&mut vga), [(0, 112)]);
}

#[test]
fn cursor_that_moves_changes_its_two_rows() {
    let (mut b, mut vga) = adapter();
    changes(&mut vga);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0F, 170);
    assert_eq!(changes(&mut vga), [(0, 16), (32, 48)]);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0A, regs::CURSOR_OFF);
    assert_eq!(changes(&mut vga), [(32, 48)]);
}

#[test]
fn glyph_that_is_loaded_changes_everything() {
    let (_, mut vga) = adapter();
    changes(&mut vga);
    set_planes(&vga, 0x41 * 32, 0x00FF_0000);
    assert_eq!(changes(&mut vga), [(0, 400)]);
}

#[test]
fn cell_and_glyph_that_stay_the_same_change_nothing() {
    let (mut b, mut vga) = adapter();
    changes(&mut vga);
    put(&mut b, &mut vga, 0, b' ', 7);
    assert!(changes(&mut vga).is_empty());
}

#[test]
fn skewed_cursor_stands_further_right() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0B, 0x4E);
    assert_eq!(vga.text().unwrap().cursor, Some((2, 0)));
}

#[test]
fn hidden_plane_takes_its_bit_out_of_the_colour() {
    let (mut b, mut vga) = adapter();
    set_attribute(&mut b, &mut vga, 0x12, 0x07);
    put(&mut b, &mut vga, 0, 0xDB, 0x0F);
    assert_eq!(picture(&vga)[0][0], LIGHT_GREY);
}

#[test]
fn palette_in_the_processors_hands_shows_the_border_colour() {
    let (mut b, mut vga) = adapter();
    set_attribute(&mut b, &mut vga, 0x11, 4);
    let _ = b.inp(&mut vga, port::STATUS_1);
    b.out(&mut vga, port::ATTRIBUTE, 0);
    assert!(picture(&vga).iter().flatten().all(|&p| p == 0x00AA_0000));
}
