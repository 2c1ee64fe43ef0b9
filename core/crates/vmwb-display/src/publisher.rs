//! The writer's side.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

use vmwb_hw::{LineSet, MAX_SCANOUT, Scanout, ScanoutMode, TextScreen};

use crate::layout::{self, BYTES_PER_PIXEL};
use crate::pattern::TestPattern;
use crate::sys::{self, Mapping};

/// Lines that are drawn at once before they go to the shared memory: few, so that they stay in the host's caches.
const BAND_LINES: u32 = 16;
const BUFFERS: usize = layout::BUFFER_COUNT as usize;

/// Publishes pictures of one machine. One thread at a time.
#[derive(Debug)]
pub struct Publisher {
    file: File,
    map: Mapping,
    generation: u32,
    sequence: u64,
    active: u32,
    mode: Option<ScanoutMode>,
    /// Lines that have changed since the last picture.
    pending: LineSet,
    /// Lines of each buffer that are older than the last picture.
    stale: [LineSet; BUFFERS],
    band: Vec<u32>,
    cells: Vec<u8>,
}

fn size(n: u64) -> usize {
    usize::try_from(n).expect("the layout fits a 64-bit host's memory")
}

/// Bytes of a line of `width` pixels.
fn line_bytes(width: u32) -> usize {
    size(u64::from(width) * u64::from(BYTES_PER_PIXEL))
}

impl Publisher {
    /// Makes the shared memory: [`layout::FILE_BYTES`] long, of which only touched pages cost memory.
    ///
    /// # Errors
    /// The host's answer.
    pub fn new() -> io::Result<Self> {
        let file = sys::create()?;
        let map = Mapping::new(&file, true)?;
        sys::seal(&file)?;
        let header = map.header();
        header.version.store(layout::LAYOUT_VERSION, Relaxed);
        header.pixel_format.store(layout::FORMAT_XRGB8888, Relaxed);
        header.buffer_count.store(layout::BUFFER_COUNT, Relaxed);
        header.buffer_offset.store(layout::BUFFER_OFFSET, Relaxed);
        header.buffer_size.store(layout::BUFFER_BYTES, Relaxed);
        header.text_offset.store(layout::TEXT_OFFSET, Relaxed);
        header.magic.store(layout::MAGIC, Release);
        Ok(Self {
            file,
            map,
            generation: 0,
            sequence: 0,
            active: 0,
            mode: None,
            pending: LineSet::default(),
            stale: Default::default(),
            band: Vec::new(),
            cells: Vec::new(),
        })
    }

    /// The memory's descriptor, to be duplicated for readers: they can map it, and neither write to it nor resize it.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Changes of the mode so far.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Makes the next picture a whole one: another scanout comes, which does not know what was published before.
    pub fn invalidate(&mut self) {
        self.pending.insert(0..MAX_SCANOUT);
    }

    /// Notes what has changed on the scanout. `false` when it looks as it did when it was last published.
    pub fn collect(&mut self, scanout: &mut dyn Scanout) -> bool {
        scanout.take_changes(&mut self.pending);
        let mode = cut(scanout.mode());
        if self.mode != Some(mode) {
            self.pending.insert(0..mode.height);
        }
        self.pending.truncate(mode.height);
        !self.pending.is_empty()
    }

    /// Publishes what the scanout shows. `false`, and no work, when nothing has changed.
    pub fn publish(&mut self, scanout: &mut dyn Scanout) -> bool {
        if !self.collect(scanout) {
            return false;
        }
        let shown = cut(scanout.mode());
        if self.mode != Some(shown) {
            self.generation = self.generation.wrapping_add(1);
            for stale in &mut self.stale {
                stale.insert(0..shown.height);
            }
        }
        for stale in &mut self.stale {
            stale.merge(&self.pending);
        }
        let buffer = (self.active + 1) % layout::BUFFER_COUNT;
        self.draw(scanout, buffer, shown);
        let text = scanout.text();
        self.commit(buffer, shown, text.as_ref());
        self.pending.clear();
        true
    }

    /// Publishes a test pattern instead of a machine's picture: it proves the path of graphics modes.
    pub fn publish_test_pattern(&mut self, width: u32, height: u32) -> bool {
        let published = self.publish(&mut TestPattern::new(width, height));
        self.invalidate();
        published
    }

    /// Draws the lines in which a buffer differs from the scanout, cut to what the layout holds.
    fn draw(&mut self, scanout: &dyn Scanout, buffer: u32, shown: ScanoutMode) {
        let start = size(layout::BUFFER_OFFSET + u64::from(buffer) * layout::BUFFER_BYTES);
        let stride = size(u64::from(scanout.mode().width)).max(1);
        let kept = size(u64::from(shown.width));
        let mut lines = std::mem::take(&mut self.stale[size(u64::from(buffer))]);
        lines.truncate(shown.height);
        self.band.resize(stride * size(u64::from(BAND_LINES)), 0);
        for run in lines.runs() {
            for first in run.clone().step_by(size(u64::from(BAND_LINES))) {
                let count = size(u64::from(BAND_LINES.min(run.end - first)));
                let band = &mut self.band[..stride * count];
                scanout.draw(first, band, stride);
                let at = start + size(u64::from(first)) * line_bytes(shown.width);
                if kept == stride {
                    self.map.copy_in_pixels(at, band);
                    continue;
                }
                for (y, line) in band.chunks_exact(stride).enumerate() {
                    self.map
                        .copy_in_pixels(at + y * line_bytes(shown.width), &line[..kept]);
                }
            }
        }
    }

    /// Copies the text cells, cut to what the layout holds. Gives columns and rows.
    fn copy_text(&mut self, text: &TextScreen) -> (u32, u32) {
        let columns = u32::from(text.columns).min(layout::MAX_COLUMNS);
        let rows = u32::from(text.rows).min(layout::MAX_ROWS);
        self.cells.clear();
        let lines = text
            .cells
            .chunks_exact(usize::from(text.columns).max(1))
            .take(size(u64::from(rows)));
        for cell in lines.flat_map(|line| line.iter().take(size(u64::from(columns)))) {
            self.cells.extend([cell.character, cell.attribute]);
        }
        self.map.copy_in(size(layout::TEXT_OFFSET), &self.cells);
        (columns, rows)
    }

    /// Makes the picture in `buffer` the one that readers see.
    fn commit(&mut self, buffer: u32, shown: ScanoutMode, text: Option<&TextScreen>) {
        let first = self.pending.runs().next().map_or(0, |run| run.start);
        let last = self.pending.runs().last().map_or(0, |run| run.end - 1);
        self.map.header().sequence.store(self.sequence + 1, Relaxed);
        // Readers that see one of the stores below see the odd sequence as well.
        fence(Release);
        let (columns, rows) = text.map_or((0, 0), |text| self.copy_text(text));
        let cursor = text
            .and_then(|t| t.cursor)
            .map(|(x, y)| (u32::from(x), u32::from(y)));
        let cursor = cursor.filter(|&(column, row)| column < columns && row < rows);
        let (column, row) = cursor.unwrap_or((0, 0));
        let header = self.map.header();
        header.generation.store(self.generation, Relaxed);
        header.width.store(shown.width, Relaxed);
        header.height.store(shown.height, Relaxed);
        header.stride.store(shown.width * BYTES_PER_PIXEL, Relaxed);
        header.active.store(buffer, Relaxed);
        header.dirty_first.store(first, Relaxed);
        header.dirty_last.store(last, Relaxed);
        header.columns.store(columns, Relaxed);
        header.rows.store(rows, Relaxed);
        header.cursor_column.store(column, Relaxed);
        header.cursor_row.store(row, Relaxed);
        header
            .cursor_visible
            .store(u32::from(cursor.is_some()), Relaxed);
        self.sequence += 2;
        header.sequence.store(self.sequence, Release);
        self.active = buffer;
        self.mode = Some(shown);
    }
}

/// The part of a picture that the layout holds.
fn cut(mode: ScanoutMode) -> ScanoutMode {
    ScanoutMode {
        width: mode.width.min(layout::MAX_WIDTH),
        height: mode.height.min(layout::MAX_HEIGHT),
    }
}
