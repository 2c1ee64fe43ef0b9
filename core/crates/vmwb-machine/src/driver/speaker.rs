//! What clients are told of the PC speaker: changes of its tone, at most fifty a second.

use std::time::{Duration, Instant};

/// Two changes are told at least so far apart; what lies between is left out, the last is not.
const LEAST: Duration = Duration::from_millis(20);

/// What was told last, and when.
#[derive(Debug, Default, Clone, Copy)]
pub struct Speaker {
    told: Option<u32>,
    at: Option<Instant>,
}

impl Speaker {
    /// Takes the tone at a moment of the host's, in Hz (`None`: silence). Gives it back when it is to be told.
    pub fn changes(&mut self, tone: Option<u32>, now: Instant) -> Option<Option<u32>> {
        let soon = self.at.is_some_and(|at| now.duration_since(at) < LEAST);
        if tone == self.told || soon {
            return None;
        }
        (self.told, self.at) = (tone, Some(now));
        Some(tone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_once_and_not_too_often() {
        let mut speaker = Speaker::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(speaker.changes(None, at(0)), None);
        assert_eq!(speaker.changes(Some(880), at(1)), Some(Some(880)));
        assert_eq!(speaker.changes(Some(440), at(10)), None);
        assert_eq!(speaker.changes(None, at(15)), None);
        // The last of them is told as soon as it may be.
        assert_eq!(speaker.changes(None, at(21)), Some(None));
        assert_eq!(speaker.changes(None, at(99)), None);
    }
}
