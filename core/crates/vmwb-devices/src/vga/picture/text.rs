//! Text modes: characters drawn dot by dot, and the screen as cells.

use vmwb_hw::{LineSet, TextCell, TextScreen};

use super::super::{GLYPH_STRIDE, Vga, regs};
use super::planes::copy_dots;
use super::{BLACK, Line, Raster, index};
use crate::vga::font::GLYPHS;

/// The cursor: the counter of its cell, its first and last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Cursor {
    counter: u32,
    first: u8,
    last: u8,
}

/// Addresses of one character map.
const MAP_WORDS: usize = GLYPHS * GLYPH_STRIDE;

/// Addresses of a page of display memory; a character map begins at a page's start.
const PAGE_WORDS: usize = 1024;

/// What all lines of a text picture share.
struct Style {
    colours: [u32; 16],
    fonts: [u32; 2],
    background_mask: u8,
    line_graphics: bool,
    underline: u8,
    cursor: Option<Cursor>,
}

impl Vga {
    /// Addresses of the character maps that attribute bit 3 chooses: B while it is clear, A while it is set.
    fn fonts(&self) -> [u32; 2] {
        let map = self.sequencer[regs::SEQ_CHARACTER_MAP];
        // Maps 0 to 3 lie 16 KiB apart, 4 to 7 in the middles between them.
        let font = |low: u8, high: u8| u32::from(low) * 0x4000 + u32::from(high) * 0x2000;
        [
            font(map & 3, map >> 4 & 1),
            font(map >> 2 & 3, map >> 5 & 1),
        ]
    }

    fn style(&self) -> Style {
        let mode = self.attribute[regs::ATTR_MODE];
        let blinks = mode & regs::ATTR_BLINK != 0;
        Style {
            colours: self.sixteen_colours(),
            fonts: self.fonts(),
            background_mask: if blinks { 7 } else { 15 },
            line_graphics: mode & regs::ATTR_LINE_GRAPHICS != 0,
            underline: self.crtc[regs::CRTC_UNDERLINE] & 0x1F,
            cursor: self.cursor(),
        }
    }

    /// The cursor, when it is on.
    fn cursor(&self) -> Option<Cursor> {
        let start = self.crtc[regs::CRTC_CURSOR_START];
        let end = self.crtc[regs::CRTC_CURSOR_END];
        let (first, last) = (start & 0x1F, end & 0x1F);
        let height = (self.crtc[regs::CRTC_MAX_SCAN] & 0x1F) + 1;
        let shown = start & regs::CURSOR_OFF == 0 && first <= last && first < height;
        shown.then(|| Cursor {
            // The skew delays the cursor by characters.
            counter: self.pair(regs::CRTC_CURSOR_HIGH) + u32::from(end >> 5 & 3),
            first,
            last,
        })
    }

    fn cell(&self, raster: &Raster, counter: u32) -> TextCell {
        // Text modes keep address bits 13 and 14, so the row scan does not matter.
        let [character, attribute, ..] = self.vram.word(raster.address(counter, 0)).to_le_bytes();
        TextCell {
            character,
            attribute,
        }
    }

    pub(super) fn draw_text<'a>(
        &self,
        raster: &Raster,
        rows: impl Iterator<Item = (u32, &'a mut [u32])>,
    ) {
        let style = self.style();
        // One character more than is shown, for panning.
        let columns = raster.columns + 1;
        let mut dots = vec![BLACK; index(columns * raster.cell_dots)];
        let mut cells = Vec::new();
        let (mut drawn, mut row_of_cells) = (None, None);
        for (y, row) in rows {
            let line = raster.line(y);
            if row_of_cells != Some(line.counter) {
                cells.clear();
                cells.extend((0..columns).map(|n| self.cell(raster, raster.counter(line, n))));
                row_of_cells = Some(line.counter);
            }
            if drawn != Some(line) {
                self.paint_cells(&style, raster, line, &cells, &mut dots);
                drawn = Some(line);
            }
            copy_dots(&dots[index(line.panning)..], raster.wide_dots, row);
        }
    }

    fn paint_cells(
        &self,
        style: &Style,
        raster: &Raster,
        line: Line,
        cells: &[TextCell],
        out: &mut [u32],
    ) {
        let places = (0..)
            .zip(cells)
            .zip(out.chunks_exact_mut(index(raster.cell_dots)));
        for ((column, &cell), out) in places {
            let bits = self.cell_dots(style, cell, line.row_scan);
            let at = raster.counter(line, column);
            let cursor = style
                .cursor
                .is_some_and(|c| c.counter == at && (c.first..=c.last).contains(&line.row_scan));
            let bits = if cursor { 0x1FF } else { bits };
            let foreground = style.colours[usize::from(cell.attribute & 15)];
            let background =
                style.colours[usize::from(cell.attribute >> 4 & style.background_mask)];
            for (dot, pixel) in out.iter_mut().enumerate() {
                *pixel = if bits >> (8 - dot) & 1 != 0 {
                    foreground
                } else {
                    background
                };
            }
        }
    }

    /// The dots of one cell on one line; the leftmost is bit 8, of nine.
    fn cell_dots(&self, style: &Style, cell: TextCell, row: u8) -> u16 {
        if cell.attribute & 0x77 == 1 && row == style.underline {
            return 0x1FF;
        }
        let font = style.fonts[usize::from(cell.attribute >> 3 & 1)];
        let glyph_at = usize::from(cell.character) * GLYPH_STRIDE + usize::from(row);
        let glyph_at = u32::try_from(glyph_at).expect("inside a character map");
        let [_, _, glyph, _] = self.vram.word((font + glyph_at) & 0xFFFF).to_le_bytes();
        let repeats = style.line_graphics && (0xC0..=0xDF).contains(&cell.character);
        u16::from(glyph) << 1 | u16::from(glyph & u8::from(repeats))
    }

    // --- changes -------------------------------------------------------------------------------------------------

    /// Brings the copy of the glyphs up to date where pages were written, or everywhere. Tells whether one has changed.
    fn note_glyphs(&mut self, everywhere: bool) -> bool {
        let maps = self.fonts();
        self.shown_glyphs.resize(MAP_WORDS * maps.len(), 0);
        let mut changed = false;
        let mut page = [[0; 4]; PAGE_WORDS];
        for (map, shown) in maps.iter().zip(self.shown_glyphs.chunks_mut(MAP_WORDS)) {
            let first = u64::from(*map) * 4;
            for (at, shown) in (first..)
                .step_by(PAGE_WORDS * 4)
                .zip(shown.chunks_mut(PAGE_WORDS))
            {
                if !everywhere && !self.written.touches(at, at) {
                    continue;
                }
                self.vram.read(at, page.as_flattened_mut());
                for (shown, &[_, _, glyph, _]) in shown.iter_mut().zip(&page) {
                    changed |= *shown != glyph;
                    *shown = glyph;
                }
            }
        }
        changed
    }

    /// Remembers what a text picture is compared with, besides its cells.
    pub(super) fn note_text(&mut self) {
        self.note_glyphs(true);
        self.shown_cursor = self.cursor();
    }

    /// Adds the lines of a text picture that have changed: rows whose cells were written or whose cursor moved, all when a
    /// glyph looks different.
    pub(super) fn add_changed_text(&mut self, raster: &Raster, lines: &mut LineSet) {
        let cursor = self.cursor();
        if cursor != self.shown_cursor {
            for counter in [cursor, self.shown_cursor]
                .into_iter()
                .flatten()
                .map(|c| c.counter)
            {
                (0..raster.height)
                    .filter(|&y| {
                        let first = raster.line(y).counter;
                        (first..=first + raster.columns).contains(&counter)
                    })
                    .for_each(|y| lines.insert(y..y + 1));
            }
            self.shown_cursor = cursor;
        }
        if self.written.is_empty() {
            return;
        }
        if self.note_glyphs(false) {
            return lines.insert(0..raster.height);
        }
        self.add_written(raster, lines);
    }

    // --- cells ---------------------------------------------------------------------------------------------------

    pub(super) fn text_screen(&self, raster: &Raster) -> TextScreen {
        let (columns, rows) = (raster.columns, raster.height / raster.row_height());
        let cells = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| self.cell(raster, raster.start + row * raster.pitch + column))
            .collect();
        let narrow = |n: u32| u16::try_from(n).expect("at most 1600");
        let cursor = self.cursor().and_then(|cursor| {
            let at = cursor.counter.checked_sub(raster.start)?;
            let (column, row) = (at.checked_rem(raster.pitch)?, at.checked_div(raster.pitch)?);
            (column < columns && row < rows).then(|| (narrow(column), narrow(row)))
        });
        TextScreen {
            columns: narrow(columns),
            rows: narrow(rows),
            cells,
            cursor,
        }
    }
}
