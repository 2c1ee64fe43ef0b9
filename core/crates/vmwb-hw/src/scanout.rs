//! The face of a display adapter towards whoever publishes its picture.

use std::ops::Range;

/// Most pixels across and most lines of a picture.
pub const MAX_SCANOUT: u32 = 4096;

/// Size of the picture that a display adapter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanoutMode {
    /// Pixels across, 1 to [`MAX_SCANOUT`].
    pub width: u32,
    /// Lines, 1 to [`MAX_SCANOUT`].
    pub height: u32,
}

/// A character on a text screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TextCell {
    /// Code point in the adapter's character set (code page 437 in stock fonts).
    pub character: u8,
    /// VGA attribute byte: bits 0-3 foreground, 4-6 background, 7 blink or bright background.
    pub attribute: u8,
}

/// A text screen as cells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TextScreen {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
    /// Row-major, `columns * rows` cells.
    pub cells: Vec<TextCell>,
    /// Cursor's column and row when it is visible.
    pub cursor: Option<(u16, u16)>,
}

/// What a display adapter shows, asked for by one publisher at its own rate.
pub trait Scanout {
    /// Size of the picture now.
    fn mode(&self) -> ScanoutMode;
    /// Adds the lines that may look different since the last call: all of them after a change of mode. Adds nothing, and
    /// costs next to nothing, while nothing changes.
    fn take_changes(&mut self, lines: &mut LineSet);
    /// Draws whole lines, from line `first` on, one to each `stride` pixels of `pixels`: 00RRGGBBh, `mode().width` of
    /// them, what lies beyond is left as it is. Nothing is drawn where there is no line or `stride` is too short.
    fn draw(&self, first: u32, pixels: &mut [u32], stride: usize);
    /// The text screen, in text modes.
    fn text(&self) -> Option<TextScreen>;
}

const WORD_BITS: u32 = 64;
const WORDS: usize = 64;

/// A set of lines below [`MAX_SCANOUT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSet {
    words: [u64; WORDS],
}

impl Default for LineSet {
    fn default() -> Self {
        Self { words: [0; WORDS] }
    }
}

impl LineSet {
    /// Adds lines; those beyond the last possible one are left out.
    pub fn insert(&mut self, lines: Range<u32>) {
        for (word, first) in self.words.iter_mut().zip((0..).step_by(64)) {
            *word |= below(lines.end, first) & !below(lines.start, first);
        }
    }

    /// Adds all lines of another set.
    pub fn merge(&mut self, other: &Self) {
        for (word, more) in self.words.iter_mut().zip(&other.words) {
            *word |= more;
        }
    }

    /// Removes lines from `height` on.
    pub fn truncate(&mut self, height: u32) {
        for (word, first) in self.words.iter_mut().zip((0..).step_by(64)) {
            *word &= below(height, first);
        }
    }

    /// Removes all lines.
    pub fn clear(&mut self) {
        self.words = [0; WORDS];
    }

    /// Whether it has no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The lines as runs, ascending.
    pub fn runs(&self) -> impl Iterator<Item = Range<u32>> + '_ {
        let mut at = 0;
        std::iter::from_fn(move || {
            let start = self.next(at, false)?;
            at = self.next(start, true).unwrap_or(MAX_SCANOUT);
            Some(start..at)
        })
    }

    /// First line from `at` on that is in the set, or that is not.
    fn next(&self, at: u32, absent: bool) -> Option<u32> {
        let mut index = usize::try_from(at / WORD_BITS).ok()?;
        let mut from = u64::MAX.checked_shl(at % WORD_BITS)?;
        while let Some(&word) = self.words.get(index) {
            let wanted = if absent { !word } else { word } & from;
            if wanted != 0 {
                return Some(u32::try_from(index).ok()? * WORD_BITS + wanted.trailing_zeros());
            }
            from = u64::MAX;
            index += 1;
        }
        None
    }
}

/// Bits of the word that begins at line `first` which stand for lines below `end`.
fn below(end: u32, first: u32) -> u64 {
    let count = end.saturating_sub(first);
    if count >= WORD_BITS {
        u64::MAX
    } else {
        (1 << count) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(runs: &[Range<u32>]) -> LineSet {
        let mut set = LineSet::default();
        runs.iter().for_each(|run| set.insert(run.clone()));
        set
    }

    #[test]
    fn runs_join_across_words_and_end_at_the_last_line() {
        let all = set(&[3..4, 60..64, 64..130, 4000..9999]);
        let runs: Vec<Range<u32>> = all.runs().collect();
        assert_eq!(runs, [3..4, 60..130, 4000..4096]);
    }

    #[test]
    fn truncated_and_merged_sets_have_the_right_lines() {
        let mut a = set(&[0..10, 100..200]);
        a.truncate(128);
        a.merge(&set(&[9..10, 11..12, 10..11]));
        assert_eq!(a.runs().collect::<Vec<_>>(), [0..12, 100..128]);
        a.clear();
        assert!(a.is_empty() && a.runs().next().is_none());
    }

    #[test]
    fn reversed_range_adds_nothing() {
        let reversed = Range { start: 70, end: 5 };
        assert!(set(&[reversed]).is_empty());
    }
}
