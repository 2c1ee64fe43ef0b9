//! How many instructions the engine may run before the driver looks around again.

use std::time::Duration;

use vmwb_hw::Nanos;

/// Most instructions of a slice that follows the host's clock: about 100 us, so that input and time are seen.
const MAX_HOST_SLICE: u64 = 50_000;
/// Longest slice, whatever its instructions cost: input, output and the picture wait for its end.
pub const MAX_SLICE: Duration = Duration::from_millis(5);
/// Fewest: a slice shorter than this costs more than it is late.
const MIN_HOST_SLICE: u64 = 500;
/// Most instructions of a deterministic slice. Its end changes nothing for the guest.
const MAX_EXACT_SLICE: u64 = 200_000;
/// Instructions in 1,024 ns before anything has been measured.
const FIRST_RATE: u64 = 200;
/// Slices shorter than this say nothing about speed.
const MIN_MEASURED_NS: u64 = 20_000;

/// Measures the engine's speed and turns deadlines into budgets.
#[derive(Debug)]
pub struct Budget {
    /// Instructions in 1,024 ns.
    rate: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { rate: FIRST_RATE }
    }
}

impl Budget {
    /// Learns from a slice that ran.
    pub fn learn(&mut self, instructions: u64, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        if ns >= MIN_MEASURED_NS {
            let measured = (instructions.saturating_mul(1024) / ns).clamp(1, 100_000);
            // Slower is believed at once: slices are to be short before they have been long many times.
            self.rate = measured.min((3 * self.rate + measured).div_ceil(4));
        }
    }

    /// Budget up to a deadline of a machine that follows the host's clock; not more than [`MAX_SLICE`] has room for.
    #[must_use]
    pub fn host(&self, now: Nanos, deadline: Option<Nanos>) -> u64 {
        let longest = u64::try_from(MAX_SLICE.as_nanos()).unwrap_or(u64::MAX);
        let ns = deadline.map_or(longest, |at| at.since(now).min(longest));
        (ns.saturating_mul(self.rate) / 1024).clamp(MIN_HOST_SLICE, MAX_HOST_SLICE)
    }

    /// Budget up to a deadline of a deterministic machine: exactly so many instructions as nanoseconds. `stop_at` is
    /// the count of a recorded input.
    #[must_use]
    pub fn exact(now: Nanos, deadline: Option<Nanos>, retired: u64, stop_at: Option<u64>) -> u64 {
        let to_deadline = deadline.map_or(u64::MAX, |at| at.since(now));
        let to_input = stop_at
            .map(|at| at.saturating_sub(retired))
            .filter(|&n| n > 0);
        to_deadline
            .min(to_input.unwrap_or(u64::MAX))
            .clamp(1, MAX_EXACT_SLICE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_budget_ends_at_the_deadline_or_the_recorded_input() {
        assert_eq!(Budget::exact(Nanos(100), Some(Nanos(350)), 7, None), 250);
        assert_eq!(Budget::exact(Nanos(100), Some(Nanos(350)), 7, Some(17)), 10);
        assert_eq!(Budget::exact(Nanos(100), None, 7, Some(7)), MAX_EXACT_SLICE);
    }

    #[test]
    fn host_budget_shrinks_towards_the_deadline() {
        let mut b = Budget::default();
        (0..50).for_each(|_| b.learn(50_000, Duration::from_micros(100)));
        assert_eq!(b.host(Nanos(0), Some(Nanos(1_000_000_000))), MAX_HOST_SLICE);
        assert!((9_000..11_000).contains(&b.host(Nanos(0), Some(Nanos(20_000)))));
        assert_eq!(b.host(Nanos(5), Some(Nanos(5))), MIN_HOST_SLICE);
    }
}
