//! The picture: published soon after it has changed, at most 66 times a second, and never by the guest's time.

use std::time::{Duration, Instant};

use vmwb_display::Publisher;
use vmwb_hw::Scanout;

use crate::events::Event;
use crate::mailbox::Mailbox;

/// Shortest time between two pictures. With a slice of the engine, the look for changes and the drawing it stays below
/// the 17 ms within which every change is to be seen.
const FRAME: Duration = Duration::from_millis(15);
/// Shortest time between two looks at a picture that has not changed.
const LOOK: Duration = Duration::from_millis(1);

/// Publishes the scanout of one machine.
#[derive(Debug)]
pub struct DisplayOutput {
    publisher: Publisher,
    /// When the next look is due; `None`: at once.
    due: Option<Instant>,
    mode: Option<(u32, u32)>,
}

impl DisplayOutput {
    /// An output that has published nothing.
    #[must_use]
    pub fn new(publisher: Publisher) -> Self {
        Self {
            publisher,
            due: None,
            mode: None,
        }
    }

    /// Publishes if there is something new and the last picture is old enough. For a guest that computes: it is asked
    /// again soon.
    pub fn update(&mut self, scanout: &mut dyn Scanout, now: Instant, mailbox: &Mailbox) {
        if self.due.is_some_and(|due| now < due) {
            return;
        }
        if !self.publisher.publish(scanout) {
            self.due = Some(now + LOOK);
            return;
        }
        self.due = Some(now + FRAME);
        let mode = scanout.mode();
        if self.mode != Some((mode.width, mode.height)) {
            self.mode = Some((mode.width, mode.height));
            mailbox.tell(Event::Display {
                width: mode.width,
                height: mode.height,
                generation: u64::from(self.publisher.generation()),
            });
        }
    }

    /// As [`DisplayOutput::update`], before the guest sleeps: gives the time when a change is due that had to wait, and
    /// nothing when there is none.
    pub fn settle(
        &mut self,
        scanout: &mut dyn Scanout,
        now: Instant,
        mailbox: &Mailbox,
    ) -> Option<Instant> {
        self.update(scanout, now, mailbox);
        self.due.filter(|_| self.publisher.collect(scanout))
    }

    /// Publishes the last change at once: the guest stands still.
    pub fn finish(&mut self, scanout: &mut dyn Scanout, mailbox: &Mailbox) {
        self.due = None;
        self.update(scanout, Instant::now(), mailbox);
    }

    /// Makes the next update publish in any case: another adapter is there after a power-on.
    pub fn invalidate(&mut self) {
        self.due = None;
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
    use std::ops::Range;

    use vmwb_hw::{LineSet, ScanoutMode, TextCell, TextScreen};

    use super::*;
    use crate::events::EventQueue;
    use crate::power::PowerState;

    #[derive(Debug)]
    struct Screen(&'static [u8], u16, Range<u32>);

    impl Scanout for Screen {
        fn mode(&self) -> ScanoutMode {
            ScanoutMode {
                width: 8,
                height: 16,
            }
        }
        fn take_changes(&mut self, lines: &mut LineSet) {
            lines.insert(std::mem::take(&mut self.2));
        }
        fn draw(&self, _first: u32, _pixels: &mut [u32], _stride: usize) {}
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

    fn screen(cells: &'static [u8]) -> Screen {
        Screen(cells, 4, 0..16)
    }

    /// An output that published at its start, and what it is asked with.
    struct Rig {
        output: DisplayOutput,
        screen: Screen,
        mailbox: Mailbox,
        start: Instant,
    }

    impl Rig {
        fn new() -> Self {
            let mut rig = Self {
                output: DisplayOutput::new(Publisher::new().expect("a framebuffer")),
                screen: screen(b"ab  cd  "),
                mailbox: Mailbox::new(PowerState::Running, EventQueue::new().expect("an event")),
                start: Instant::now(),
            };
            rig.settle(0);
            rig
        }

        /// Asks before a sleep; times in milliseconds from the start.
        fn settle(&mut self, at_ms: u64) -> Option<u128> {
            let now = self.start + Duration::from_millis(at_ms);
            let due = self.output.settle(&mut self.screen, now, &self.mailbox);
            due.map(|due| (due - self.start).as_millis())
        }
    }

    #[test]
    fn picture_that_does_not_change_asks_for_no_wake() {
        let mut rig = Rig::new();
        assert_eq!([1, 15, 16, 300].map(|at| rig.settle(at)), [None; 4]);
    }

    #[test]
    fn change_soon_after_a_picture_is_due_within_17_ms() {
        let mut rig = Rig::new();
        rig.screen.2 = 3..4;
        assert_eq!(
            [2, 9, 15].map(|at| rig.settle(at)),
            [Some(15), Some(15), None]
        );
    }

    #[test]
    fn change_long_after_a_picture_is_published_at_once() {
        let mut rig = Rig::new();
        rig.settle(100);
        rig.screen.2 = 3..4;
        assert_eq!((rig.settle(101), rig.screen.2.len()), (None, 0));
        rig.screen.2 = 5..6;
        assert_eq!(rig.settle(102), Some(116));
    }

    #[test]
    fn last_picture_does_not_wait() {
        let mut rig = Rig::new();
        rig.screen.2 = 3..4;
        rig.output.finish(&mut rig.screen, &rig.mailbox);
        assert!(!rig.output.publisher.collect(&mut rig.screen));
    }

    #[test]
    fn screen_text_strips_rows_and_keeps_their_number() {
        assert_eq!(screen_text(&screen(b"ab  \0\0\0\0")).unwrap(), "ab\n");
    }

    #[test]
    fn screen_text_shows_code_page_437() {
        assert_eq!(
            screen_text(&screen(&[0x81, 0xC4, 0xB3, 0xFE])).unwrap(),
            "ü─│■"
        );
    }

    #[test]
    fn code_page_has_128_upper_characters() {
        assert_eq!(CP437_HIGH.chars().count(), 128);
    }
}
