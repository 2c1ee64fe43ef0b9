//! The picture: published at most 60 times a second, only when it has changed, and never by the guest's time.

use std::time::{Duration, Instant};

use vmwb_display::Publisher;
use vmwb_hw::Scanout;

use crate::events::Event;
use crate::mailbox::Mailbox;

/// Shortest time between two pictures.
const FRAME: Duration = Duration::from_micros(16_667);

/// Publishes the scanout of one machine.
#[derive(Debug)]
pub struct DisplayOutput {
    publisher: Publisher,
    published: Option<Instant>,
    version: Option<u64>,
    mode: Option<(u32, u32)>,
}

impl DisplayOutput {
    /// An output that has published nothing.
    #[must_use]
    pub fn new(publisher: Publisher) -> Self {
        Self {
            publisher,
            published: None,
            version: None,
            mode: None,
        }
    }

    /// Publishes if there is something new and the last picture is old enough. Gives the time when it will be, if a
    /// change had to wait.
    pub fn update(
        &mut self,
        scanout: &dyn Scanout,
        now: Instant,
        mailbox: &Mailbox,
    ) -> Option<Instant> {
        let version = scanout.version();
        if self.version == Some(version) {
            return None;
        }
        if let Some(due) = self.published.map(|at| at + FRAME)
            && now < due
        {
            return Some(due);
        }
        self.publisher.publish(scanout);
        self.published = Some(now);
        self.version = Some(version);
        let mode = scanout.mode();
        if self.mode != Some((mode.width, mode.height)) {
            self.mode = Some((mode.width, mode.height));
            mailbox.tell(Event::Display {
                width: mode.width,
                height: mode.height,
                generation: u64::from(self.publisher.generation()),
            });
        }
        None
    }

    /// Makes the next update publish in any case: another adapter is there after a power-on.
    pub fn invalidate(&mut self) {
        self.version = None;
        self.publisher.invalidate();
        self.publisher.invalidate();
    }
}

/// The text of a screen: rows joined by newlines, right-stripped; `None` in graphics modes.
#[must_use]
pub fn screen_text(scanout: &dyn Scanout) -> Option<String> {
    let screen = scanout.text()?;
    let columns = usize::from(screen.columns).max(1);
    let rows: Vec<String> = screen
        .cells
        .chunks(columns)
        .map(|row| {
            row.iter()
                .map(|c| cp437(c.character))
                .collect::<String>()
                .trim_end()
                .to_owned()
        })
        .collect();
    Some(rows.join("\n"))
}

/// Upper half of code page 437, the adapter's character set.
const CP437_HIGH: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

fn cp437(code: u8) -> char {
    match code {
        0x20..=0x7E => char::from(code),
        0x80.. => CP437_HIGH
            .chars()
            .nth(usize::from(code - 0x80))
            .unwrap_or(' '),
        // The pictures of control codes say nothing that anybody searches for.
        _ => ' ',
    }
}

#[cfg(test)]
mod tests {
    use vmwb_hw::{PixelFormat, ScanoutMode, TextCell, TextScreen};

    use super::*;

    #[derive(Debug)]
    struct Screen(&'static [u8], u16);

    impl Scanout for Screen {
        fn mode(&self) -> ScanoutMode {
            ScanoutMode {
                width: 8,
                height: 16,
            }
        }
        fn version(&self) -> u64 {
            1
        }
        fn render(&self, _pixels: &mut [u8], _stride: usize, _format: PixelFormat) {}
        fn text(&self) -> Option<TextScreen> {
            let cells = self
                .0
                .iter()
                .map(|&character| TextCell {
                    character,
                    attribute: 7,
                })
                .collect();
            Some(TextScreen {
                columns: self.1,
                rows: 2,
                cells,
                cursor: None,
            })
        }
    }

    #[test]
    fn screen_text_strips_rows_and_keeps_their_number() {
        assert_eq!(screen_text(&Screen(b"ab  \0\0\0\0", 4)).unwrap(), "ab\n");
    }

    #[test]
    fn screen_text_shows_code_page_437() {
        assert_eq!(
            screen_text(&Screen(&[0x81, 0xC4, 0xB3, 0xFE], 4)).unwrap(),
            "ü─│■"
        );
    }

    #[test]
    fn code_page_has_128_upper_characters() {
        assert_eq!(CP437_HIGH.chars().count(), 128);
    }
}
