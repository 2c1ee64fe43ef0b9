//! The one clock of a machine, and the pacing of deterministic runs.
//!
//! ```text
//! host mode:           time = time at the last start + host's monotonic time since     (stands still while stopped)
//! deterministic mode:  time = base + instructions retired since the base was taken     (1 instruction = 1 ns)
//!                      HLT moves the base on to the next deadline
//! ```
//! Devices never see this type: they get [`Nanos`] with each access. Only the vCPU's thread owns it.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Payload, Schema, SnapshotError, muldiv};

/// 2000-01-01T00:00:00Z in Unix seconds: the date of a deterministic machine at power-on.
pub const DETERMINISTIC_START_UNIX_S: u64 = 946_684_800;
/// Latest virtual time that saved state may claim: 100 years.
const MAX_SAVED_NS: u64 = 100 * 366 * 86_400 * 1_000_000_000;
/// A deterministic machine that has fallen this far behind the host does not hurry to catch up.
const FORGIVEN_LAG: Duration = Duration::from_millis(50);

/// Where host time comes from; a test has its own.
pub trait HostTime: Debug + Send {
    /// Nanoseconds of a clock that never goes back.
    fn monotonic_ns(&self) -> u64;
}

/// The host's monotonic clock.
#[derive(Debug)]
pub struct MonotonicHost(Instant);

impl Default for MonotonicHost {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl HostTime for MonotonicHost {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[derive(Debug)]
enum Mode {
    /// Time follows the host; `since` is the host's time of the last start while it runs.
    Host {
        host: Box<dyn HostTime>,
        since: Option<u64>,
    },
    /// Time follows instructions; `retired` is the count at which the base was taken.
    Deterministic { retired: u64 },
}

/// Virtual time and the time-stamp counter.
#[derive(Debug)]
pub struct Clock {
    mode: Mode,
    base: Nanos,
    tsc_hz: u64,
    start_unix_s: u64,
}

/// Saved clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockV1 {
    /// Virtual time in nanoseconds.
    pub virtual_ns: u64,
    /// Date at power-on, Unix seconds.
    pub start_unix_s: u64,
}

impl Schema for ClockV1 {
    const KIND: &'static str = "clock";
    const VERSION: u32 = 1;
}

impl Clock {
    /// A stopped clock at time 0 that follows `host`; `start_unix_s` is the date at power-on.
    #[must_use]
    pub fn following(host: Box<dyn HostTime>, tsc_hz: u64, start_unix_s: u64) -> Self {
        Self {
            mode: Mode::Host { host, since: None },
            base: Nanos(0),
            tsc_hz,
            start_unix_s,
        }
    }

    /// A clock at time 0 that counts instructions.
    #[must_use]
    pub fn deterministic(tsc_hz: u64) -> Self {
        Self {
            mode: Mode::Deterministic { retired: 0 },
            base: Nanos(0),
            tsc_hz,
            start_unix_s: DETERMINISTIC_START_UNIX_S,
        }
    }

    /// Whether time is derived from instructions.
    #[must_use]
    pub fn is_deterministic(&self) -> bool {
        matches!(self.mode, Mode::Deterministic { .. })
    }

    /// Date at power-on in Unix seconds.
    #[must_use]
    pub fn start_unix_s(&self) -> u64 {
        self.start_unix_s
    }

    /// Virtual time when `retired` instructions have retired.
    #[must_use]
    pub fn now(&self, retired: u64) -> Nanos {
        match &self.mode {
            Mode::Host {
                host,
                since: Some(since),
            } => self.base.plus(host.monotonic_ns().saturating_sub(*since)),
            Mode::Host { since: None, .. } => self.base,
            Mode::Deterministic { retired: base } => self.base.plus(retired.saturating_sub(*base)),
        }
    }

    /// Time-stamp counter at `now`, without the guest's own offset.
    #[must_use]
    pub fn tsc(&self, now: Nanos) -> u64 {
        muldiv(now.0, self.tsc_hz, 1_000_000_000)
    }

    /// Lets time run.
    pub fn start(&mut self) {
        if let Mode::Host { host, since } = &mut self.mode
            && since.is_none()
        {
            *since = Some(host.monotonic_ns());
        }
    }

    /// Stops time at the moment when `retired` instructions have retired.
    pub fn stop(&mut self, retired: u64) {
        let now = self.now(retired);
        self.set_base(now, retired);
        if let Mode::Host { since, .. } = &mut self.mode {
            *since = None;
        }
    }

    /// Deterministic mode: moves time on to `target`; never back. In host mode nothing happens.
    pub fn advance_to(&mut self, target: Nanos, retired: u64) {
        if self.is_deterministic() && target > self.now(retired) {
            self.set_base(target, retired);
        }
    }

    /// The vCPU's count has changed from `before` to `after` without instructions (a reset, a restore).
    pub fn recount(&mut self, before: u64, after: u64) {
        let now = self.now(before);
        self.set_base(now, after);
    }

    fn set_base(&mut self, now: Nanos, retired: u64) {
        self.base = now;
        match &mut self.mode {
            Mode::Host {
                host,
                since: Some(since),
            } => *since = host.monotonic_ns(),
            Mode::Host { since: None, .. } => {}
            Mode::Deterministic { retired: base } => *base = retired,
        }
    }

    /// The state of a stopped clock.
    ///
    /// # Errors
    /// Only when it cannot be encoded.
    pub fn save(&self, retired: u64) -> Result<Payload, SnapshotError> {
        let state = ClockV1 {
            virtual_ns: self.now(retired).0,
            start_unix_s: self.start_unix_s,
        };
        Payload::encode("clock", &state)
    }

    /// Takes over a saved time; the clock stays stopped.
    ///
    /// # Errors
    /// What is wrong with the payload.
    pub fn restore(&mut self, payload: &Payload, retired: u64) -> Result<(), SnapshotError> {
        let state: ClockV1 = payload.decode()?;
        if state.virtual_ns > MAX_SAVED_NS {
            return Err(SnapshotError::damaged(
                ClockV1::KIND,
                "its time is out of range",
            ));
        }
        self.start_unix_s = state.start_unix_s;
        self.set_base(Nanos(state.virtual_ns), retired);
        Ok(())
    }
}

/// Ties a deterministic machine's time to the host's: virtual time never outruns host time.
#[derive(Debug, Default)]
pub struct Pacer {
    anchor: Option<(Instant, Nanos)>,
}

impl Pacer {
    /// Forgets the tie, at a pause.
    pub fn release(&mut self) {
        self.anchor = None;
    }

    /// The host time before which the machine must not be at `target`. A machine that has fallen behind is tied anew.
    pub fn due(&mut self, now: Nanos, target: Nanos, host_now: Instant) -> Instant {
        let (host, virt) = *self.anchor.get_or_insert((host_now, now));
        let expected = host + Duration::from_nanos(now.since(virt));
        if expected + FORGIVEN_LAG < host_now {
            self.anchor = Some((host_now, now));
            return host_now + Duration::from_nanos(target.since(now));
        }
        host + Duration::from_nanos(target.since(virt))
    }

    /// The virtual time that belongs to `host_now`, when a wait ended early.
    #[must_use]
    pub fn at(&self, host_now: Instant) -> Option<Nanos> {
        let (host, virt) = self.anchor?;
        let passed = host_now.saturating_duration_since(host).as_nanos();
        Some(virt.plus(u64::try_from(passed).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Debug, Clone, Default)]
    struct FakeHost(Arc<AtomicU64>);

    impl HostTime for FakeHost {
        fn monotonic_ns(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
    }

    #[test]
    fn host_clock_stands_still_while_stopped() {
        let host = FakeHost::default();
        let mut clock = Clock::following(Box::new(host.clone()), 1_000_000_000, 0);
        clock.start();
        host.0.store(500, Ordering::Relaxed);
        clock.stop(0);
        host.0.store(9_000, Ordering::Relaxed);
        assert_eq!(clock.now(0), Nanos(500));
        clock.start();
        host.0.store(9_100, Ordering::Relaxed);
        assert_eq!(clock.now(0), Nanos(600));
    }

    #[test]
    fn deterministic_clock_counts_instructions_and_jumps_over_halts() {
        let mut clock = Clock::deterministic(2_000_000_000);
        assert_eq!(clock.now(1000), Nanos(1000));
        clock.advance_to(Nanos(5000), 1000);
        assert_eq!(clock.now(1010), Nanos(5010));
        clock.advance_to(Nanos(10), 1010);
        assert_eq!(
            (clock.now(1010), clock.tsc(Nanos(5010))),
            (Nanos(5010), 10_020)
        );
    }

    #[test]
    fn recount_keeps_time_when_the_counter_starts_again() {
        let mut clock = Clock::deterministic(1_000_000_000);
        clock.recount(700, 0);
        assert_eq!(clock.now(5), Nanos(705));
    }

    #[test]
    fn restore_time_out_of_range_is_refused() {
        let state = ClockV1 {
            virtual_ns: u64::MAX,
            start_unix_s: 0,
        };
        let payload = Payload::encode("clock", &state).unwrap();
        assert!(Clock::deterministic(1).restore(&payload, 0).is_err());
    }

    #[test]
    fn pacer_due_is_host_time_of_the_target_and_forgives_lag() {
        let (mut pacer, t0) = (Pacer::default(), Instant::now());
        let ms = Duration::from_millis(1);
        assert_eq!(pacer.due(Nanos(0), Nanos(1_000_000), t0), t0 + ms);
        assert_eq!(
            pacer.due(Nanos(1_000_000), Nanos(3_000_000), t0 + ms),
            t0 + 3 * ms
        );
        let late = t0 + 500 * ms;
        assert_eq!(
            pacer.due(Nanos(3_000_000), Nanos(4_000_000), late),
            late + ms
        );
    }
}
