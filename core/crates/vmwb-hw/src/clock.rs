//! Virtual time and the one scheduler of deadlines.

/// Virtual time of the machine in nanoseconds since power-on. It stands still while the machine is paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Nanos(pub u64);

impl Nanos {
    /// Time `ns` later; saturates at the end of time (584 years).
    #[must_use]
    pub fn plus(self, ns: u64) -> Self {
        Self(self.0.saturating_add(ns))
    }

    /// Nanoseconds since `earlier`, 0 when that lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// How many whole ticks of a `hz` oscillator have passed since power-on. Exact: no drift over any uptime.
    #[must_use]
    pub fn ticks(self, hz: u64) -> u64 {
        muldiv(self.0, hz, 1_000_000_000)
    }

    /// The earliest time at which [`Nanos::ticks`] of a `hz` oscillator has reached `ticks`.
    #[must_use]
    pub fn at_tick(ticks: u64, hz: u64) -> Self {
        let ns = (u128::from(ticks) * 1_000_000_000).div_ceil(u128::from(hz.max(1)));
        Self(u64::try_from(ns).unwrap_or(u64::MAX))
    }
}

/// `value * mul / div` without overflow in between; saturates.
#[must_use]
pub fn muldiv(value: u64, mul: u64, div: u64) -> u64 {
    u64::try_from(u128::from(value) * u128::from(mul) / u128::from(div.max(1))).unwrap_or(u64::MAX)
}

/// A slot of the [`Scheduler`], given out by the board when it builds the devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId(pub u8);

/// Pending deadlines, one slot a timer. Equal deadlines fire in the order of their slots, so that runs repeat.
#[derive(Debug, Clone, Default)]
pub struct Scheduler {
    slots: Vec<Option<Nanos>>,
}

impl Scheduler {
    /// A scheduler without timers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves the next slot. At most 256.
    pub fn add_timer(&mut self) -> TimerId {
        let id = u8::try_from(self.slots.len()).expect("a board has fewer than 256 timers");
        self.slots.push(None);
        TimerId(id)
    }

    /// Arms the timer for `at`, replacing its earlier deadline.
    pub fn arm(&mut self, timer: TimerId, at: Nanos) {
        self.set(timer, Some(at));
    }

    /// Takes the timer's deadline away.
    pub fn disarm(&mut self, timer: TimerId) {
        self.set(timer, None);
    }

    /// Arms or disarms.
    pub fn set(&mut self, timer: TimerId, at: Option<Nanos>) {
        if let Some(slot) = self.slots.get_mut(usize::from(timer.0)) {
            *slot = at;
        }
    }

    /// The timer's deadline.
    #[must_use]
    pub fn deadline(&self, timer: TimerId) -> Option<Nanos> {
        self.slots.get(usize::from(timer.0)).copied().flatten()
    }

    /// The earliest deadline of all.
    #[must_use]
    pub fn next(&self) -> Option<Nanos> {
        self.slots.iter().copied().flatten().min()
    }

    /// Takes the earliest timer that is due at `now`, and disarms it.
    pub fn pop_due(&mut self, now: Nanos) -> Option<TimerId> {
        let (index, at) = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(i, d)| d.map(|d| (i, d)))
            .min_by_key(|&(i, d)| (d, i))?;
        if at > now {
            return None;
        }
        self.slots[index] = None;
        Some(TimerId(
            u8::try_from(index).expect("slots are numbered by u8"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_at_tick_are_inverse_for_odd_oscillators() {
        let hz = 1_193_182;
        assert!((0..5_000u64).all(|n| Nanos::at_tick(n, hz).ticks(hz) == n));
    }

    #[test]
    fn at_tick_one_nanosecond_earlier_is_the_tick_before() {
        let at = Nanos::at_tick(977, 32_768);
        assert_eq!(Nanos(at.0 - 1).ticks(32_768), 976);
    }

    #[test]
    fn scheduler_equal_deadlines_fire_in_slot_order() {
        let mut s = Scheduler::new();
        let (a, b) = (s.add_timer(), s.add_timer());
        s.arm(b, Nanos(5));
        s.arm(a, Nanos(5));
        assert_eq!(s.pop_due(Nanos(4)), None);
        assert_eq!(
            (
                s.pop_due(Nanos(5)),
                s.pop_due(Nanos(5)),
                s.pop_due(Nanos(5))
            ),
            (Some(a), Some(b), None)
        );
    }
}
