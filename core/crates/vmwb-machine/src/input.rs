//! Everything that comes from outside while a guest runs: keys, the pointer, serial characters, the power button.
//!
//! An input waits in the [`InputQueue`] until the driver delivers it between two instructions; the instruction count and
//! the virtual time of that moment are its stamp. Recording the stamped inputs is recording the run: a deterministic
//! machine that replays them repeats it.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most inputs that wait for delivery.
pub const MAX_WAITING: usize = 4096;
/// Most serial characters in one input, in bytes.
pub const MAX_SERIAL_BYTES: usize = 64 << 10;
/// Most serial characters that wait for delivery, over all ports.
pub const MAX_WAITING_BYTES: usize = 1 << 20;

/// One input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Input {
    /// A key goes down or up. `code`: make code of the PC's scan code set 1; extended keys as E0xxh.
    Key {
        /// Make code.
        code: u16,
        /// `true`: pressed.
        down: bool,
    },
    /// Characters arrive at a serial port.
    Serial {
        /// Port, from 0.
        port: u8,
        /// Characters.
        data: Vec<u8>,
    },
    /// The mouse moves by counts, to the right and downwards.
    Motion {
        /// Counts to the right.
        dx: i32,
        /// Counts downwards.
        dy: i32,
        /// Steps of the wheel, away from the user.
        wheel: i32,
        /// Buttons that are down: bit 0 left, 1 right, 2 middle.
        buttons: u8,
    },
    /// The pointer is at a place of the screen.
    Position {
        /// 0 (left) to 65,535 (right).
        x: u16,
        /// 0 (top) to 65,535 (bottom).
        y: u16,
        /// Steps of the wheel, away from the user.
        wheel: i32,
        /// Buttons that are down: bit 0 left, 1 right, 2 middle.
        buttons: u8,
    },
    /// The ACPI power button is pressed.
    PowerButton,
}

impl Input {
    fn serial_bytes(&self) -> usize {
        match self {
            Self::Serial { data, .. } => data.len(),
            Self::Key { .. } | Self::Motion { .. } | Self::Position { .. } | Self::PowerButton => 0,
        }
    }
}

/// When an input was delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Instructions retired before it.
    pub retired: u64,
    /// Virtual time in nanoseconds: tells deliveries inside one HLT apart.
    pub virtual_ns: u64,
}

/// A delivered input with its stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// When.
    pub stamp: Stamp,
    /// What.
    pub input: Input,
}

/// Why an input was not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InputError {
    /// The guest does not read.
    #[error(
        "The guest has not read its earlier input yet and the queue is full; send less, or later."
    )]
    Full,
    /// One input is too long.
    #[error("One input to a serial port has at most 64 KiB; {0} bytes were sent.")]
    TooLong(usize),
}

/// Inputs before their delivery.
#[derive(Debug, Default)]
pub struct InputQueue {
    waiting: VecDeque<Input>,
    waiting_bytes: usize,
    log: Option<Vec<Delivery>>,
    replay: VecDeque<Delivery>,
}

impl InputQueue {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps every delivery from now on, for [`InputQueue::take_log`].
    pub fn record(&mut self) {
        self.log.get_or_insert_default();
    }

    /// The deliveries so far.
    pub fn take_log(&mut self) -> Vec<Delivery> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Delivers recorded inputs at their stamps, besides what comes in.
    pub fn replay(&mut self, log: Vec<Delivery>) {
        self.replay = log.into();
    }

    /// Adds an input.
    ///
    /// # Errors
    /// [`InputError`] when there is no room; the input is then lost, and the caller knows.
    pub fn push(&mut self, input: Input) -> Result<(), InputError> {
        let bytes = input.serial_bytes();
        if bytes > MAX_SERIAL_BYTES {
            return Err(InputError::TooLong(bytes));
        }
        if self.waiting.len() >= MAX_WAITING || self.waiting_bytes + bytes > MAX_WAITING_BYTES {
            return Err(InputError::Full);
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back(input);
        Ok(())
    }

    /// Whether an input from outside waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Stamp of the next recorded input: the engine must stop there.
    #[must_use]
    pub fn next_replay(&self) -> Option<Stamp> {
        self.replay.front().map(|d| d.stamp)
    }

    /// Takes the next input that is due at `now`, and notes its delivery.
    pub fn pop(&mut self, now: Stamp) -> Option<Input> {
        let due =
            |d: &Delivery| d.stamp.retired <= now.retired && d.stamp.virtual_ns <= now.virtual_ns;
        let input = match self.replay.front() {
            Some(d) if due(d) => self.replay.pop_front()?.input,
            _ => {
                let input = self.waiting.pop_front()?;
                self.waiting_bytes -= input.serial_bytes();
                input
            }
        };
        if let Some(log) = &mut self.log {
            log.push(Delivery {
                stamp: now,
                input: input.clone(),
            });
        }
        Some(input)
    }

    /// Forgets everything that waits: the guest it was meant for is gone.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.replay.clear();
    }

    /// What waits, for saving.
    #[must_use]
    pub fn waiting(&self) -> Vec<Input> {
        self.waiting.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(retired: u64) -> Stamp {
        Stamp {
            retired,
            virtual_ns: retired,
        }
    }

    fn key(code: u16) -> Input {
        Input::Key { code, down: true }
    }

    #[test]
    fn replay_of_a_recording_delivers_at_the_same_stamps() {
        let mut first = InputQueue::new();
        first.record();
        first.push(key(30)).unwrap();
        assert_eq!(first.pop(at(100)), Some(key(30)));
        let mut second = InputQueue::new();
        second.replay(first.take_log());
        assert_eq!(
            (second.next_replay(), second.pop(at(99))),
            (Some(at(100)), None)
        );
        assert_eq!(second.pop(at(100)), Some(key(30)));
    }

    #[test]
    fn push_beyond_the_bounds_is_refused() {
        let mut q = InputQueue::new();
        let long = Input::Serial {
            port: 0,
            data: vec![0; MAX_SERIAL_BYTES + 1],
        };
        assert_eq!(q.push(long), Err(InputError::TooLong(MAX_SERIAL_BYTES + 1)));
        let fits = (0..100)
            .take_while(|_| {
                q.push(Input::Serial {
                    port: 0,
                    data: vec![0; MAX_SERIAL_BYTES],
                })
                .is_ok()
            })
            .count();
        assert_eq!(fits, MAX_WAITING_BYTES / MAX_SERIAL_BYTES);
    }

    #[test]
    fn clear_makes_room_again() {
        let mut q = InputQueue::new();
        (0..MAX_WAITING).for_each(|_| q.push(key(1)).unwrap());
        assert_eq!(q.push(key(1)), Err(InputError::Full));
        q.clear();
        assert_eq!(q.push(key(1)), Ok(()));
    }
}
