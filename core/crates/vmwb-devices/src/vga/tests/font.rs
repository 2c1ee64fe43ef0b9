//! The character set.

use super::*;

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
