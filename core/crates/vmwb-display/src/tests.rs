use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vmwb_hw::{LineSet, Scanout, ScanoutMode, TextCell, TextScreen};

use crate::{Publisher, ReadError, Reader, layout};

/// A picture of one colour, with a line of another.
#[derive(Debug, Clone)]
struct Plain {
    width: u32,
    height: u32,
    changed: Range<u32>,
    colour: u32,
    marked: Option<u32>,
    text: Option<TextScreen>,
}

impl Plain {
    fn new(width: u32, height: u32, colour: u32) -> Self {
        Self {
            width,
            height,
            changed: 0..height,
            colour,
            marked: None,
            text: None,
        }
    }
}

impl Scanout for Plain {
    fn mode(&self) -> ScanoutMode {
        ScanoutMode {
            width: self.width,
            height: self.height,
        }
    }
    fn take_changes(&mut self, lines: &mut LineSet) {
        lines.insert(std::mem::take(&mut self.changed));
    }
    fn draw(&self, first: u32, pixels: &mut [u32], stride: usize) {
        for (y, row) in (first..self.height).zip(pixels.chunks_exact_mut(stride)) {
            let colour = if self.marked == Some(y) {
                !self.colour
            } else {
                self.colour
            };
            row.fill(colour);
        }
    }
    fn text(&self) -> Option<TextScreen> {
        self.text.clone()
    }
}

fn pair() -> (Publisher, Reader) {
    let publisher = Publisher::new().unwrap();
    let reader = Reader::open(publisher.fd().try_clone_to_owned().unwrap()).unwrap();
    (publisher, reader)
}

#[test]
fn nothing_published_reads_as_an_empty_picture() {
    let (_publisher, reader) = pair();
    let frame = reader.frame().unwrap();
    assert_eq!(
        (
            frame.sequence,
            frame.generation,
            frame.pixels.len(),
            frame.text
        ),
        (0, 0, 0, None)
    );
}

#[test]
fn published_picture_is_read_back() {
    let (mut publisher, reader) = pair();
    assert!(publisher.publish(&mut Plain::new(720, 400, 0x12_3456)));
    let frame = reader.frame().unwrap();
    assert_eq!((frame.width, frame.height, frame.generation), (720, 400, 1));
    assert_eq!(frame.pixels, vec![0x12_3456; 720 * 400]);
}

#[test]
fn unchanged_picture_publishes_nothing() {
    let (mut publisher, reader) = pair();
    let mut picture = Plain::new(64, 64, 1);
    assert!(publisher.publish(&mut picture));
    let sequence = reader.sequence();
    assert!(!publisher.publish(&mut picture));
    assert_eq!(reader.sequence(), sequence);
}

#[test]
fn invalidated_publisher_takes_an_unchanged_picture_again() {
    let (mut publisher, _reader) = pair();
    let mut picture = Plain::new(64, 64, 1);
    publisher.publish(&mut picture);
    publisher.invalidate();
    assert!(publisher.publish(&mut picture));
}

#[test]
fn collected_changes_are_published_by_the_next_call() {
    let (mut publisher, reader) = pair();
    let mut picture = Plain::new(64, 64, 1);
    publisher.publish(&mut picture);
    assert!(!publisher.collect(&mut picture));
    picture.changed = 7..9;
    assert!(publisher.collect(&mut picture));
    assert!(publisher.publish(&mut picture));
    assert_eq!(reader.frame().unwrap().dirty, (7, 8));
}

#[test]
fn mode_change_is_a_new_generation_and_a_picture_alone_is_not() {
    let (mut publisher, reader) = pair();
    let sizes = [(64, 64), (64, 64), (80, 64), (80, 50)];
    let generations: Vec<u32> = (1u32..)
        .zip(sizes)
        .map(|(n, (width, height))| {
            publisher.publish(&mut Plain::new(width, height, n));
            reader.frame().unwrap().generation
        })
        .collect();
    assert_eq!((generations, publisher.generation()), (vec![1, 1, 2, 3], 3));
}

#[test]
fn dirty_lines_name_what_has_changed() {
    let (mut publisher, reader) = pair();
    let mut picture = Plain::new(64, 64, 7);
    publisher.publish(&mut picture);
    assert_eq!(reader.frame().unwrap().dirty, (0, 63));
    (picture.changed, picture.marked) = (20..21, Some(20));
    publisher.publish(&mut picture);
    assert_eq!(reader.frame().unwrap().dirty, (20, 20));
}

#[test]
fn every_buffer_catches_up_with_lines_that_changed_in_pictures_of_others() {
    let (mut publisher, reader) = pair();
    let mut picture = Plain::new(64, 64, 0);
    publisher.publish(&mut picture);
    // Each picture changes one line and is drawn into another buffer than the last one.
    for line in 0..10u32 {
        (picture.changed, picture.marked) = (line.saturating_sub(1)..line + 1, Some(line));
        publisher.publish(&mut picture);
        let frame = reader.frame().unwrap();
        let lit: Vec<usize> = (0..64).filter(|&y| frame.pixels[y * 64 + 9] != 0).collect();
        assert_eq!(lit, [usize::try_from(line).unwrap()]);
    }
}

#[test]
fn text_cells_and_cursor_are_read_back_and_go_away_in_graphics_modes() {
    let (mut publisher, reader) = pair();
    let cells = (0..80u8)
        .map(|n| TextCell {
            character: n,
            attribute: 0x1F,
        })
        .collect();
    let text = TextScreen {
        columns: 40,
        rows: 2,
        cells,
        cursor: Some((39, 1)),
    };
    let mut picture = Plain::new(64, 64, 1);
    picture.text = Some(text.clone());
    publisher.publish(&mut picture);
    assert_eq!(reader.frame().unwrap().text, Some(text));
    publisher.publish_test_pattern(1024, 768);
    let frame = reader.frame().unwrap();
    assert_eq!((frame.text, frame.width, frame.height), (None, 1024, 768));
}

#[test]
fn text_larger_than_its_area_is_cut() {
    let (mut publisher, reader) = pair();
    let cells = vec![
        TextCell {
            character: b'x',
            attribute: 7
        };
        400 * 300
    ];
    let mut picture = Plain::new(64, 64, 1);
    picture.text = Some(TextScreen {
        columns: 400,
        rows: 300,
        cells,
        cursor: Some((399, 299)),
    });
    publisher.publish(&mut picture);
    let text = reader.frame().unwrap().text.unwrap();
    assert_eq!(
        (text.columns, text.rows, text.cells.len(), text.cursor),
        (320, 160, 320 * 160, None)
    );
}

#[test]
fn picture_larger_than_a_buffer_is_cut() {
    let (mut publisher, reader) = pair();
    publisher.publish(&mut Plain::new(4096, 1700, 5));
    let frame = reader.frame().unwrap();
    assert_eq!(
        (frame.width, frame.height, frame.pixels[2560 * 1600 - 1]),
        (2560, 1600, 5)
    );
}

#[test]
fn three_pictures_in_a_row_use_three_buffers() {
    let (mut publisher, reader) = pair();
    let firsts: Vec<u32> = [1, 2, 3, 4]
        .map(|colour| {
            publisher.publish(&mut Plain::new(64, 64, colour));
            reader.frame().unwrap().pixels[0]
        })
        .to_vec();
    assert_eq!(firsts, [1, 2, 3, 4]);
}

#[test]
fn readers_can_neither_resize_nor_write() {
    let publisher = Publisher::new().unwrap();
    let mut file = File::from(publisher.fd().try_clone_to_owned().unwrap());
    assert!(file.set_len(4096).is_err());
    assert!(file.set_len(layout::FILE_BYTES + 4096).is_err());
    assert!(file.write(b"x").is_err());
}

#[test]
fn other_files_are_refused() {
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    assert!(matches!(
        Reader::open(null),
        Err(ReadError::NotAFramebuffer(_))
    ));
    let unsealed = crate::sys::create().unwrap();
    assert!(matches!(
        Reader::open(unsealed.into()),
        Err(ReadError::NotAFramebuffer(_))
    ));
}

#[test]
fn reader_never_sees_a_torn_picture_while_the_writer_runs() {
    let (mut publisher, reader) = pair();
    publisher.publish(&mut Plain::new(64, 64, 1));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            (2..)
                .take_while(|_| !stop.load(Ordering::Relaxed))
                .for_each(|colour| {
                    publisher.publish(&mut Plain::new(64, 64, colour));
                });
        })
    };
    let torn = (0..2_000)
        .filter_map(|_| reader.frame().ok())
        .filter(|f| f.pixels.iter().any(|&p| p != f.pixels[0]));
    let torn = torn.count();
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(torn, 0);
}
