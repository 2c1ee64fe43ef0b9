//! The adapter's character set: 256 glyphs of 8 by 16 dots for code page 437, drawn for this project.
//!
//! Style: stems of two dots, bars of one line (a dot is narrower than a line is high), capitals on lines 2 to 11, small
//! letters from line 5, descenders to line 14. Letters stand in columns 1 to 6, so that 8-dot and 9-dot cells both keep
//! them apart. Letters, digits and symbols are drawn in `glyphs.rs`; accented letters are composed of a letter and a mark;
//! box-drawing characters are computed from their four arms, so that they join exactly; blocks and shades are patterns.

use super::glyphs::{COMPOSED, DRAWN, Mark};

/// Lines of a glyph.
pub const GLYPH_ROWS: usize = 16;
/// Glyphs of the set.
pub const GLYPHS: usize = 256;

/// One glyph: a byte a line, the leftmost dot in bit 7.
pub(super) type Glyph = [u8; GLYPH_ROWS];

/// Bits of a line of a pattern.
type RowPattern = fn(usize) -> u8;

/// Draws the whole set.
#[must_use]
pub fn font_8x16() -> Box<[[u8; GLYPH_ROWS]; GLYPHS]> {
    let mut font = Box::new([[0; GLYPH_ROWS]; GLYPHS]);
    for &(code, first_row, rows) in DRAWN {
        stamp(&mut font[usize::from(code)], first_row, rows);
    }
    for &(code, base, mark) in COMPOSED {
        font[usize::from(code)] = compose(&font[usize::from(base)], base, mark);
    }
    for &(code, arms) in BOXES {
        font[usize::from(code)] = box_glyph(arms);
    }
    for &(code, even, odd) in SHADES {
        font[usize::from(code)] = std::array::from_fn(|row| if row % 2 == 0 { even } else { odd });
    }
    let halves: [(u8, RowPattern); 5] = [
        (0xDB, |_| 0xFF),
        (0xDC, |row| if row < 8 { 0 } else { 0xFF }),
        (0xDD, |_| 0xF0),
        (0xDE, |_| 0x0F),
        (0xDF, |row| if row < 8 { 0xFF } else { 0 }),
    ];
    for (code, row) in halves {
        font[usize::from(code)] = std::array::from_fn(row);
    }
    // The inverse bullet and the inverse circle.
    for (code, of) in [(0x08, 0x07), (0x0A, 0x09)] {
        font[code] = font[of].map(|row| !row);
    }
    font
}

fn stamp(glyph: &mut Glyph, first_row: usize, rows: &[u8]) {
    for (row, bits) in glyph.iter_mut().skip(first_row).zip(rows) {
        *row |= bits;
    }
}

/// A letter with a mark. Marks over capitals need room: two lines of the letter are left out, which every capital
/// repeats there.
fn compose(base: &Glyph, letter: u8, mark: Mark) -> Glyph {
    let mut glyph = *base;
    if mark == Mark::Cedilla {
        stamp(&mut glyph, 12, mark.rows());
        return glyph;
    }
    let mut top = 4 - mark.rows().len();
    if letter.is_ascii_uppercase() {
        glyph = [0; GLYPH_ROWS];
        let kept: Vec<u8> = (2..12)
            .filter(|row| ![5, 10].contains(row))
            .map(|row| base[row])
            .collect();
        stamp(&mut glyph, 4, &kept);
        top -= 1;
    }
    stamp(&mut glyph, top, mark.rows());
    glyph
}

/// How thick an arm of a box character is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arm {
    No,
    Single,
    Double,
}
use Arm::{Double as D, No as N, Single as S};

/// Arms of the box characters: up, down, left, right.
const BOXES: &[(u8, [Arm; 4])] = &[
    (0xB3, [S, S, N, N]),
    (0xB4, [S, S, S, N]),
    (0xB5, [S, S, D, N]),
    (0xB6, [D, D, S, N]),
    (0xB7, [N, D, S, N]),
    (0xB8, [N, S, D, N]),
    (0xB9, [D, D, D, N]),
    (0xBA, [D, D, N, N]),
    (0xBB, [N, D, D, N]),
    (0xBC, [D, N, D, N]),
    (0xBD, [D, N, S, N]),
    (0xBE, [S, N, D, N]),
    (0xBF, [N, S, S, N]),
    (0xC0, [S, N, N, S]),
    (0xC1, [S, N, S, S]),
    (0xC2, [N, S, S, S]),
    (0xC3, [S, S, N, S]),
    (0xC4, [N, N, S, S]),
    (0xC5, [S, S, S, S]),
    (0xC6, [S, S, N, D]),
    (0xC7, [D, D, N, S]),
    (0xC8, [D, N, N, D]),
    (0xC9, [N, D, N, D]),
    (0xCA, [D, N, D, D]),
    (0xCB, [N, D, D, D]),
    (0xCC, [D, D, N, D]),
    (0xCD, [N, N, D, D]),
    (0xCE, [D, D, D, D]),
    (0xCF, [S, N, D, D]),
    (0xD0, [D, N, S, S]),
    (0xD1, [N, S, D, D]),
    (0xD2, [N, D, S, S]),
    (0xD3, [D, N, N, S]),
    (0xD4, [S, N, N, D]),
    (0xD5, [N, S, N, D]),
    (0xD6, [N, D, N, S]),
    (0xD7, [D, D, S, S]),
    (0xD8, [S, S, D, D]),
    (0xD9, [S, N, S, N]),
    (0xDA, [N, S, N, S]),
];

/// Shades: bits of even and of odd lines.
const SHADES: &[(u8, u8, u8)] = &[(0xB0, 0x88, 0x22), (0xB1, 0xAA, 0x55), (0xB2, 0x77, 0xDD)];

/// Where a single line, and the two of a double line, run across the direction of an arm.
struct Lanes {
    single: (usize, usize),
    near: (usize, usize),
    far: (usize, usize),
}

/// Columns of vertical lines, from the left.
const COLUMNS: Lanes = Lanes {
    single: (3, 4),
    near: (1, 2),
    far: (5, 6),
};
/// Rows of horizontal lines, from the top.
const ROWS: Lanes = Lanes {
    single: (7, 7),
    near: (6, 6),
    far: (8, 8),
};

fn mirrored(lanes: &Lanes, size: usize) -> Lanes {
    let flip = |(a, b): (usize, usize)| (size - 1 - b, size - 1 - a);
    Lanes {
        single: flip(lanes.single),
        near: flip(lanes.far),
        far: flip(lanes.near),
    }
}

/// The strokes of one arm that comes from coordinate 0: (lane across, last coordinate along). `near` and `far` are the
/// arms across at either side, `opposite` the one ahead; `across` tells where those run.
fn strokes(
    arm: Arm,
    opposite: Arm,
    near: Arm,
    far: Arm,
    own: &Lanes,
    across: &Lanes,
) -> Vec<((usize, usize), usize)> {
    match arm {
        Arm::No => vec![],
        Arm::Single => {
            let doubles = [near, far].iter().filter(|&&a| a == Arm::Double).count();
            let end = match (doubles, opposite) {
                // It crosses, or there is nothing double to stop at.
                (0, _) | (_, Arm::Single) => across.single.1,
                // It ends at the first of two lines that run on, or at the second of two that turn.
                (2, _) => across.near.1,
                _ => across.far.1,
            };
            vec![(own.single, end)]
        }
        Arm::Double => {
            // Each of the two lines turns to its own side where there is a double arm, and goes on otherwise.
            let end = |side: Arm, other: Arm| match (side, opposite, other) {
                (Arm::Double, _, _) => across.near.1,
                (Arm::Single, _, _) | (_, Arm::Double, _) | (_, _, Arm::Single | Arm::No) => {
                    across.single.1
                }
                (_, _, Arm::Double) => across.far.1,
            };
            vec![(own.near, end(near, far)), (own.far, end(far, near))]
        }
    }
}

fn box_glyph([up, down, left, right]: [Arm; 4]) -> Glyph {
    let mut glyph = [0; GLYPH_ROWS];
    let mut dot = |row: usize, column: usize| glyph[row] |= 0x80 >> column;
    let (from_bottom, from_right) = (mirrored(&ROWS, 16), mirrored(&COLUMNS, 8));
    for (lane, end) in strokes(up, down, left, right, &COLUMNS, &ROWS) {
        (0..=end).for_each(|row| (lane.0..=lane.1).for_each(|column| dot(row, column)));
    }
    for (lane, end) in strokes(down, up, left, right, &COLUMNS, &from_bottom) {
        (0..=end).for_each(|row| (lane.0..=lane.1).for_each(|column| dot(15 - row, column)));
    }
    for (lane, end) in strokes(left, right, up, down, &ROWS, &COLUMNS) {
        (0..=end).for_each(|column| (lane.0..=lane.1).for_each(|row| dot(row, column)));
    }
    for (lane, end) in strokes(right, left, up, down, &ROWS, &from_right) {
        (0..=end).for_each(|column| (lane.0..=lane.1).for_each(|row| dot(row, 7 - column)));
    }
    glyph
}
