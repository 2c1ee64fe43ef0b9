//! Layout of the shared memory, version 1: the header's fields and where the other parts lie.

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// First field of the header; read as a little-endian number, `\x01\0VMWBFB`.
pub const MAGIC: u64 = 0x4246_4257_4D56_0001;
/// Version of this layout.
pub const LAYOUT_VERSION: u32 = 1;
/// Length of the header's page in bytes.
pub const HEADER_BYTES: u64 = 4096;
/// Most pixels across; a wider picture is cut off at the right.
pub const MAX_WIDTH: u32 = 2560;
/// Most lines; a higher picture is cut off at the bottom.
pub const MAX_HEIGHT: u32 = 1600;
/// Bytes of a pixel.
pub const BYTES_PER_PIXEL: u32 = 4;
/// Pixel format: blue, green, red, unused byte in ascending addresses.
pub const FORMAT_XRGB8888: u32 = 1;
/// Most text columns; a wider text screen is cut off at the right.
pub const MAX_COLUMNS: u32 = 320;
/// Most text rows; a higher text screen is cut off at the bottom.
pub const MAX_ROWS: u32 = 160;
/// Bytes of a text cell: character, attribute.
pub const BYTES_PER_CELL: u32 = 2;
/// Where the text cells begin.
pub const TEXT_OFFSET: u64 = HEADER_BYTES;
/// Length of the text cells' area: 25 pages.
pub const TEXT_BYTES: u64 = MAX_COLUMNS as u64 * MAX_ROWS as u64 * BYTES_PER_CELL as u64;
/// Pixel buffers.
pub const BUFFER_COUNT: u32 = 3;
/// Where the first pixel buffer begins; page-aligned.
pub const BUFFER_OFFSET: u64 = TEXT_OFFSET + TEXT_BYTES;
/// Distance of two pixel buffers; page-aligned.
pub const BUFFER_BYTES: u64 = MAX_WIDTH as u64 * MAX_HEIGHT as u64 * BYTES_PER_PIXEL as u64;
/// Length of the whole memory.
pub const FILE_BYTES: u64 = BUFFER_OFFSET + BUFFER_BYTES * BUFFER_COUNT as u64;

/// The header. All fields are little-endian, as the hosts are.
#[derive(Debug)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: AtomicU64,
    /// [`LAYOUT_VERSION`].
    pub version: AtomicU32,
    /// [`FORMAT_XRGB8888`].
    pub pixel_format: AtomicU32,
    /// Odd while the writer changes the fields below or the text cells; grows by two a picture.
    pub sequence: AtomicU64,
    /// Counts changes of the mode (width or height), from 1; 0 before the first picture.
    pub generation: AtomicU32,
    /// Pixels across.
    pub width: AtomicU32,
    /// Lines.
    pub height: AtomicU32,
    /// Bytes from one line to the next.
    pub stride: AtomicU32,
    /// Number of the buffer that holds the picture.
    pub active: AtomicU32,
    /// [`BUFFER_COUNT`].
    pub buffer_count: AtomicU32,
    /// [`BUFFER_OFFSET`].
    pub buffer_offset: AtomicU64,
    /// [`BUFFER_BYTES`].
    pub buffer_size: AtomicU64,
    /// First line that may differ from the picture before.
    pub dirty_first: AtomicU32,
    /// Last line that may differ from the picture before.
    pub dirty_last: AtomicU32,
    /// [`TEXT_OFFSET`].
    pub text_offset: AtomicU64,
    /// Text columns; 0 in graphics modes.
    pub columns: AtomicU32,
    /// Text rows; 0 in graphics modes.
    pub rows: AtomicU32,
    /// The cursor's column.
    pub cursor_column: AtomicU32,
    /// The cursor's row.
    pub cursor_row: AtomicU32,
    /// 1 when the cursor shows.
    pub cursor_visible: AtomicU32,
}

/// Name, offset and size in bytes of a field.
type Field = (&'static str, usize, usize);

macro_rules! fields {
    ($($name:ident: $kind:ty),* $(,)?) => {
        [$((stringify!($name), offset_of!(Header, $name), size_of::<$kind>())),*]
    };
}

/// Every field of the header, by ascending offset.
pub const FIELDS: [Field; 20] = fields![
    magic: u64,
    version: u32,
    pixel_format: u32,
    sequence: u64,
    generation: u32,
    width: u32,
    height: u32,
    stride: u32,
    active: u32,
    buffer_count: u32,
    buffer_offset: u64,
    buffer_size: u64,
    dirty_first: u32,
    dirty_last: u32,
    text_offset: u64,
    columns: u32,
    rows: u32,
    cursor_column: u32,
    cursor_row: u32,
    cursor_visible: u32,
];

/// Constants that readers mirror.
const CONSTANTS: [(&str, u64); 9] = [
    ("magic", MAGIC),
    ("layout_version", LAYOUT_VERSION as u64),
    ("header_bytes", HEADER_BYTES),
    ("max_width", MAX_WIDTH as u64),
    ("max_height", MAX_HEIGHT as u64),
    ("max_columns", MAX_COLUMNS as u64),
    ("max_rows", MAX_ROWS as u64),
    ("bytes_per_pixel", BYTES_PER_PIXEL as u64),
    ("format_xrgb8888", FORMAT_XRGB8888 as u64),
];

/// The layout for contract tests of readers: `{"fields": {name: [offset, size]}, "constants": {name: value}}`.
#[must_use]
pub fn layout_json() -> String {
    let fields: Vec<String> = FIELDS
        .iter()
        .map(|(name, offset, size)| format!("\"{name}\":[{offset},{size}]"))
        .collect();
    let constants: Vec<String> = CONSTANTS
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value}"))
        .collect();
    format!(
        "{{\"fields\":{{{}}},\"constants\":{{{}}}}}",
        fields.join(","),
        constants.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_have_the_published_offsets() {
        let offsets = FIELDS.map(|(_, offset, _)| offset);
        let want = [
            0, 8, 12, 16, 24, 28, 32, 36, 40, 44, 48, 56, 64, 68, 72, 80, 84, 88, 92, 96,
        ];
        assert_eq!(offsets, want);
    }

    #[test]
    fn header_fields_cover_the_struct_without_gaps() {
        let ends = FIELDS.map(|(_, offset, size)| offset + size);
        assert!(
            ends.iter()
                .zip(&FIELDS[1..])
                .all(|(end, next)| *end == next.1)
        );
        assert!(size_of::<Header>() - ends[ends.len() - 1] < size_of::<u64>());
    }

    #[test]
    fn areas_are_page_aligned() {
        assert_eq!(
            [TEXT_OFFSET, BUFFER_OFFSET, BUFFER_BYTES].map(|n| n % 4096),
            [0, 0, 0]
        );
    }

    #[test]
    fn layout_json_names_fields_and_constants() {
        let json = layout_json();
        assert!(json.starts_with("{\"fields\":{\"magic\":[0,8],\"version\":[8,4],"));
        assert!(json.ends_with("\"bytes_per_pixel\":4,\"format_xrgb8888\":1}}"));
    }
}
