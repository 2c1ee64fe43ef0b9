//! When a run of the engine has to end although its instructions are not used up.
//!
//! A slice is bounded in instructions, and a guest chooses what they cost: one access can move 64 MiB, one load of CR3
//! can empty every soft TLB. So the processor asks the board behind each access to a device and each costly change of
//! its own, and the board says when somebody waits for the driver, or when the slice has taken its time. A deterministic
//! machine has none of this: where a slice ends moves interrupts and turns by an instruction or two, and its runs repeat.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Questions between two looks at the clock, a power of two.
const LOOK_EVERY: u8 = 16;

/// See the module. One that hears nobody, or was never begun, is never over.
#[derive(Debug, Default)]
pub(super) struct Patience {
    /// Commands wait for the driver.
    calls: Option<Arc<AtomicBool>>,
    until: Option<Instant>,
    asked: Cell<u8>,
}

impl Patience {
    /// One that hears of commands by this flag.
    pub fn hearing(calls: Arc<AtomicBool>) -> Self {
        Self {
            calls: Some(calls),
            ..Self::default()
        }
    }

    /// A slice begins that is to last until then.
    pub fn begin(&mut self, until: Instant) {
        self.until = Some(until);
        self.asked.set(0);
    }

    /// Whether the slice has to end now.
    pub fn is_over(&self) -> bool {
        let Some(calls) = &self.calls else {
            return false;
        };
        if calls.load(Ordering::Relaxed) {
            return true;
        }
        let asked = self.asked.get().wrapping_add(1);
        self.asked.set(asked);
        asked.is_multiple_of(LOOK_EVERY) && self.until.is_some_and(|until| Instant::now() >= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_command_ends_the_slice_at_once_and_time_at_the_next_look() {
        let calls = Arc::new(AtomicBool::new(false));
        let mut patience = Patience::hearing(Arc::clone(&calls));
        assert!((0..100).all(|_| !patience.is_over()));
        patience.begin(Instant::now());
        assert_eq!((0..64).filter(|_| patience.is_over()).count(), 4);
        calls.store(true, Ordering::Relaxed);
        assert!((0..64).all(|_| patience.is_over()));
    }
}
