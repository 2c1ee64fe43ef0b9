//! Looks for texts in a stream of serial output.

/// A text is found although it arrives in pieces: so much of the past is kept besides the longest text.
const KEEP_BYTES: usize = 4096;

/// What the latest piece of output has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The text that ends the run has appeared.
    pub ended: bool,
    /// Inputs whose text has appeared for the first time.
    pub answers: Vec<String>,
}

/// Watches for one ending text and any number of texts with answers.
#[derive(Debug)]
pub struct Watcher {
    until: Option<Vec<u8>>,
    send: Vec<(Vec<u8>, String)>,
    tail: Vec<u8>,
}

impl Watcher {
    /// Watches for these texts.
    #[must_use]
    pub fn new(until: Option<&str>, send: &[(String, String)]) -> Self {
        Self {
            until: until.map(|t| t.as_bytes().to_vec()),
            send: send
                .iter()
                .map(|(t, i)| (t.as_bytes().to_vec(), i.clone()))
                .collect(),
            tail: Vec::new(),
        }
    }

    /// Takes a piece of output. An answer is given once; an ending counts only when no answer is outstanding before it.
    pub fn feed(&mut self, bytes: &[u8]) -> Seen {
        self.tail.extend_from_slice(bytes);
        let mut seen = Seen::default();
        while let Some((text, _)) = self.send.first() {
            let Some(at) = find(&self.tail, text) else {
                break;
            };
            self.tail.drain(..at + text.len());
            seen.answers.push(self.send.remove(0).1);
        }
        if self.send.is_empty() {
            seen.ended = self
                .until
                .as_ref()
                .is_some_and(|t| find(&self.tail, t).is_some());
        }
        let longest = self
            .until
            .iter()
            .chain(self.send.iter().map(|(t, _)| t))
            .map(Vec::len)
            .max();
        let keep = KEEP_BYTES + longest.unwrap_or(0);
        if self.tail.len() > keep {
            self.tail.drain(..self.tail.len() - keep);
        }
        seen
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    if needle.is_empty() {
        return Some(0);
    }
    haystack.windows(needle.len()).position(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feed_text_in_pieces_is_found() {
        let mut w = Watcher::new(Some("login:"), &[]);
        assert!(!w.feed(b"debian log").ended);
        assert!(w.feed(b"in: ").ended);
    }

    #[test]
    fn feed_answers_come_once_and_in_order_before_the_ending() {
        let send = [
            ("# ".to_owned(), "a".to_owned()),
            ("# ".to_owned(), "b".to_owned()),
        ];
        let mut w = Watcher::new(Some("done"), &send);
        assert_eq!(
            w.feed(b"done # "),
            Seen {
                ended: false,
                answers: vec!["a".to_owned()]
            }
        );
        assert_eq!(
            w.feed(b"# done"),
            Seen {
                ended: true,
                answers: vec!["b".to_owned()]
            }
        );
    }
}
