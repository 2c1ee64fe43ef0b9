//! The host's face of devices: where characters and pictures go, where interrupts come from.

use std::fmt::Debug;

/// Where a serial port's characters go. Input comes through the machine's input queue, stamped, not from here.
pub trait CharBackend: Debug + Send {
    /// Takes bytes that the guest has sent. Never blocks; drops what does not fit.
    fn write(&mut self, bytes: &[u8]);
}

/// A port with nothing behind it.
#[derive(Debug, Default)]
pub struct NullChar;

impl CharBackend for NullChar {
    fn write(&mut self, _bytes: &[u8]) {}
}

/// What a vCPU asks its interrupt controllers between two instructions.
pub trait LocalInterrupts {
    /// Whether a maskable interrupt waits that the vCPU would take with IF = 1.
    fn pending(&self) -> bool;
    /// Acknowledges the highest one and gives its vector.
    fn acknowledge(&mut self) -> Option<u8>;
}

/// Bytes of one pixel in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PixelFormat {
    /// 32 bits: blue, green, red, unused (the format `QImage::Format_RGB32` on little-endian hosts).
    Xrgb8888,
}

/// Size of the picture that a display adapter shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScanoutMode {
    /// Pixels across, 1 to 4096.
    pub width: u32,
    /// Lines, 1 to 4096.
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

/// What a display adapter shows, asked for by the publisher at its own rate.
pub trait Scanout {
    /// Size of the picture now.
    fn mode(&self) -> ScanoutMode;
    /// Counts every change of what is shown; equal numbers mean that nothing need be drawn.
    fn version(&self) -> u64;
    /// Draws the whole picture, `stride` bytes a line, into `pixels` (`stride * height` bytes).
    fn render(&self, pixels: &mut [u8], stride: usize, format: PixelFormat);
    /// The text screen, in text modes.
    fn text(&self) -> Option<TextScreen>;
}
