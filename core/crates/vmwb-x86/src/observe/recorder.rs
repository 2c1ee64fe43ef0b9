//! The ring that keeps the latest events.

use std::collections::VecDeque;

use serde::Serialize;

use super::{Classes, Mode, TraceEvent};

/// Events that are kept when nobody says how many.
pub const DEFAULT_CAPACITY: usize = 100_000;
/// Most events that can be kept: about 80 MB.
pub const MAX_CAPACITY: usize = 1_000_000;

/// An event with its number and stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// Number, from 1, without gaps since the recording began.
    pub seq: u64,
    /// Instructions retired before the one that raised it.
    pub retired: u64,
    /// Number of the processor; absent in a machine that has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u8>,
    /// What happened.
    #[serde(flatten)]
    pub event: TraceEvent,
}

/// The recorder of one processor. It survives a reset, and belongs to no saved state.
#[derive(Debug)]
pub struct Recorder {
    classes: Classes,
    ring: VecDeque<Traced>,
    capacity: usize,
    next_seq: u64,
    /// Who records, once it was handed on.
    cpu: Option<u8>,
    /// Mode and CPL as last seen.
    pub(super) seen: Option<(Mode, u8)>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// A recorder that is off and empty.
    #[must_use]
    pub fn new() -> Self {
        Self {
            classes: Classes::NONE,
            ring: VecDeque::new(),
            capacity: DEFAULT_CAPACITY,
            next_seq: 1,
            cpu: None,
            seen: None,
        }
    }

    /// Empties the ring and records these classes from now on; `capacity` is cut to 1 to [`MAX_CAPACITY`].
    pub fn start(&mut self, classes: Classes, capacity: usize) {
        *self = Self {
            classes,
            capacity: capacity.clamp(1, MAX_CAPACITY),
            cpu: self.cpu,
            ..Self::new()
        };
    }

    /// Records nothing more; what was recorded stays.
    pub fn stop(&mut self) {
        self.classes = Classes::NONE;
        self.seen = None;
    }

    /// Another processor of the machine records from now on.
    pub fn hand_to(&mut self, cpu: u8) {
        (self.cpu, self.seen) = (Some(cpu), None);
    }

    /// The classes that are recorded.
    #[must_use]
    pub fn classes(&self) -> Classes {
        self.classes
    }

    /// Whether one of these classes is recorded.
    #[inline]
    #[must_use]
    pub fn on(&self, classes: Classes) -> bool {
        self.classes.intersects(classes)
    }

    /// Adds an event; the oldest makes room.
    pub(crate) fn push(&mut self, retired: u64, event: TraceEvent) {
        if self.ring.len() >= self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back(Traced {
            seq: self.next_seq,
            retired,
            cpu: self.cpu,
            event,
        });
        self.next_seq += 1;
    }

    /// Number that the next event gets: one more than were recorded so far.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Number of the oldest event that is kept; the next one's when there is none.
    #[must_use]
    pub fn first_seq(&self) -> u64 {
        self.next_seq - self.ring.len() as u64
    }

    /// The kept events with at least this number, oldest first.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = &Traced> {
        let skip = seq.saturating_sub(self.first_seq());
        self.ring
            .iter()
            .skip(usize::try_from(skip).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder(capacity: usize, events: u64) -> Recorder {
        let mut r = Recorder::new();
        r.start(Classes::ALL, capacity);
        (0..events).for_each(|n| r.push(n, TraceEvent::Ring { from: 0, to: 3 }));
        r
    }

    #[test]
    fn push_beyond_the_capacity_keeps_the_latest() {
        let r = recorder(3, 5);
        let kept: Vec<_> = r.since(0).map(|t| (t.seq, t.retired)).collect();
        assert_eq!(kept, [(3, 2), (4, 3), (5, 4)]);
        assert_eq!((r.first_seq(), r.next_seq()), (3, 6));
    }

    #[test]
    fn since_gives_the_tail_and_nothing_of_the_future() {
        let r = recorder(10, 4);
        assert_eq!(r.since(4).count(), 1);
        assert_eq!(r.since(99).count(), 0);
    }

    #[test]
    fn stop_keeps_what_was_recorded_and_start_begins_anew() {
        let mut r = recorder(10, 4);
        r.stop();
        assert_eq!((r.on(Classes::ALL), r.since(0).count()), (false, 4));
        r.start(Classes::RING, 0);
        assert_eq!((r.since(0).count(), r.next_seq()), (0, 1));
    }
}
