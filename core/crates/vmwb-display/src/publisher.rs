//! The writer's side.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::fence;

use vmwb_hw::{PixelFormat, Scanout, ScanoutMode, TextScreen};

use crate::layout::{self, BYTES_PER_PIXEL};
use crate::pattern::TestPattern;
use crate::sys::{self, Mapping};

/// Publishes pictures of one machine. One thread at a time.
#[derive(Debug)]
pub struct Publisher {
    file: File,
    map: Mapping,
    /// Version of the scanout that was published last.
    version: Option<u64>,
    generation: u32,
    sequence: u64,
    active: u32,
    mode: Option<ScanoutMode>,
    /// The last picture as the scanout drew it, to find what has changed.
    shown: Vec<u8>,
    drawn: Vec<u8>,
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
            version: None,
            generation: 0,
            sequence: 0,
            active: 0,
            mode: None,
            shown: Vec::new(),
            drawn: Vec::new(),
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

    /// Forgets which version was published: another scanout comes, whose versions start anew.
    pub fn invalidate(&mut self) {
        self.version = None;
    }

    /// Publishes what the scanout shows. `false`, and no work, when its version is the one published last.
    pub fn publish(&mut self, scanout: &dyn Scanout) -> bool {
        let version = scanout.version();
        if self.version == Some(version) {
            return false;
        }
        self.version = Some(version);
        let mode = scanout.mode();
        let stride = line_bytes(mode.width);
        self.drawn.resize(stride * size(u64::from(mode.height)), 0);
        scanout.render(&mut self.drawn, stride, PixelFormat::Xrgb8888);
        let dirty = self.dirty_lines(mode, stride);
        let buffer = (self.active + 1) % layout::BUFFER_COUNT;
        let shown = ScanoutMode {
            width: mode.width.min(layout::MAX_WIDTH),
            height: mode.height.min(layout::MAX_HEIGHT),
        };
        self.copy_picture(buffer, shown, stride);
        let text = scanout.text();
        self.commit(buffer, shown, dirty, text.as_ref());
        std::mem::swap(&mut self.shown, &mut self.drawn);
        true
    }

    /// Publishes a test pattern instead of a machine's picture: it proves the path of graphics modes.
    pub fn publish_test_pattern(&mut self, width: u32, height: u32) -> bool {
        self.invalidate();
        let published = self.publish(&TestPattern::new(width, height));
        self.invalidate();
        published
    }

    /// First and last line that differ from the picture before; all of them in a new mode.
    fn dirty_lines(&self, mode: ScanoutMode, stride: usize) -> (u32, u32) {
        if self.shown.len() != self.drawn.len() || self.mode != Some(mode) || stride == 0 {
            return (0, mode.height.saturating_sub(1));
        }
        let changed: Vec<bool> = self
            .shown
            .chunks_exact(stride)
            .zip(self.drawn.chunks_exact(stride))
            .map(|(a, b)| a != b)
            .collect();
        let line = |n: usize| u32::try_from(n).expect("a line number");
        let first = changed.iter().position(|&c| c);
        let last = changed.iter().rposition(|&c| c);
        first
            .zip(last)
            .map_or((1, 0), |(first, last)| (line(first), line(last)))
    }

    /// Copies the drawn picture, cut to what the layout holds, into a buffer.
    fn copy_picture(&mut self, buffer: u32, shown: ScanoutMode, stride: usize) {
        let start = size(layout::BUFFER_OFFSET + u64::from(buffer) * layout::BUFFER_BYTES);
        let kept = line_bytes(shown.width);
        if kept == 0 {
            return;
        }
        if kept == stride {
            self.map
                .copy_in(start, &self.drawn[..kept * size(u64::from(shown.height))]);
            return;
        }
        for (y, line) in self
            .drawn
            .chunks_exact(stride)
            .take(size(u64::from(shown.height)))
            .enumerate()
        {
            self.map.copy_in(start + y * kept, &line[..kept]);
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
    fn commit(
        &mut self,
        buffer: u32,
        shown: ScanoutMode,
        dirty: (u32, u32),
        text: Option<&TextScreen>,
    ) {
        if self.mode.is_none_or(|old| cut(old) != shown) {
            self.generation = self.generation.wrapping_add(1);
        }
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
        header.dirty_first.store(dirty.0, Relaxed);
        header
            .dirty_last
            .store(dirty.1.min(shown.height.saturating_sub(1)), Relaxed);
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

fn cut(mode: ScanoutMode) -> ScanoutMode {
    ScanoutMode {
        width: mode.width.min(layout::MAX_WIDTH),
        height: mode.height.min(layout::MAX_HEIGHT),
    }
}
