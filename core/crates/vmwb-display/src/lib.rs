//! The framebuffer publisher: what a display adapter shows, in a sealed memfd that any number of readers map read-only.
//!
//! ```text
//! offset 0        header, 4,096 bytes: [`layout::Header`]
//! 4,096           text cells: 2 bytes each (character, attribute), row by row
//! 106,496         pixel buffers: three of 2560 x 1600 x 4 bytes; only touched pages cost memory
//! ```
//! Writer: draws into a buffer that is not active, then makes the sequence odd, changes the header and the text cells,
//! makes the sequence even again. Reader: reads sequence, header, sequence, and again if they differ or are odd. The
//! buffer of a picture stays untouched while the next picture is published and until the one after that is drawn, so a
//! reader that finds the sequence advanced by at most 2 after copying has a whole picture.
//!
//! The header's layout is the contract with readers in other languages: [`layout_json`] describes it for their tests.
//! This crate knows no adapter and no window; it draws nothing but the test pattern.
#![deny(unsafe_code)]

pub mod layout;
mod pattern;
mod publisher;
mod reader;
#[allow(unsafe_code)]
mod sys;
#[cfg(test)]
mod tests;

pub use layout::layout_json;
pub use pattern::TestPattern;
pub use publisher::Publisher;
pub use reader::{ReadError, ReadFrame, Reader};
