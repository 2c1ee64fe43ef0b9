//! The local APIC's timer: counts derived from virtual time, one deadline while it would interrupt.

use vmwb_hw::{Ctx, Nanos};

use super::{Lapic, MIN_WAKE_NS, regs};

/// Where the timer stands: `count` was the current count at `at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Countdown {
    pub(super) count: u32,
    pub(super) at: Nanos,
}

impl Lapic {
    pub(super) fn is_periodic(&self) -> bool {
        self.lvt[regs::LVT_TIMER] & regs::LVT_PERIODIC != 0
    }

    /// Bus clocks a count: 1 to 128 (SDM, figure "Divide Configuration Register").
    pub(super) fn divisor(&self) -> u64 {
        let code = self.divide & 3 | (self.divide & 8) >> 1;
        if code == 7 { 1 } else { 2 << code }
    }

    pub(super) fn current_count(&self, now: Nanos) -> u32 {
        let elapsed = now.since(self.countdown.at) / self.divisor();
        let left = u64::from(self.countdown.count);
        if elapsed < left {
            return u32::try_from(left - elapsed).expect("not above a u32");
        }
        if !self.is_periodic() || left == 0 || self.initial_count == 0 {
            return 0;
        }
        let initial = u64::from(self.initial_count);
        u32::try_from(initial - (elapsed - left) % initial).expect("not above a u32")
    }

    /// The time after `now` at which the count reaches zero and the machine should wake: the first such time, or with a
    /// period below [`MIN_WAKE_NS`] the first of those that are whole multiples of it apart.
    pub(super) fn next_expiry(&self, now: Nanos) -> Option<Nanos> {
        if self.countdown.count == 0 {
            return None;
        }
        let first = self
            .countdown
            .at
            .plus(u64::from(self.countdown.count) * self.divisor());
        if first > now {
            return Some(first);
        }
        let period_ns = u64::from(self.initial_count) * self.divisor();
        if !self.is_periodic() || period_ns == 0 {
            return None;
        }
        let wake_ns = period_ns * MIN_WAKE_NS.div_ceil(period_ns);
        let wakes = now.since(first) / wake_ns + 1;
        Some(first.plus(wakes.saturating_mul(wake_ns)))
    }

    pub(super) fn timer_interrupts(&self) -> bool {
        self.is_software_enabled() && self.lvt[regs::LVT_TIMER] & regs::LVT_MASKED == 0
    }

    pub(super) fn is_deadline_mode(&self) -> bool {
        self.lvt[regs::LVT_TIMER] & regs::LVT_TSC_DEADLINE != 0
    }

    pub(super) fn arm(&mut self, ctx: &mut Ctx<'_>) {
        // A TSC deadline stays armed while the interrupt is masked: its register shows when it has passed.
        if !self.is_deadline_mode() {
            self.deadline = self
                .next_expiry(ctx.now)
                .filter(|_| self.timer_interrupts());
        }
        ctx.scheduler.set(self.config.timer, self.deadline);
    }

    /// Writes the timer's entry; a change to or from TSC-deadline mode disarms the timer (SDM, "TSC-Deadline Mode").
    pub(super) fn write_timer_entry(&mut self, ctx: &mut Ctx<'_>, value: u32) {
        self.rebase(ctx.now);
        let changed = (self.lvt[regs::LVT_TIMER] ^ value) & regs::LVT_TSC_DEADLINE != 0;
        self.lvt[regs::LVT_TIMER] = value;
        if changed {
            (self.initial_count, self.countdown) = (0, Countdown::default());
            (self.tsc_deadline, self.deadline) = (0, None);
        }
        self.arm(ctx);
    }

    /// IA32_TSC_DEADLINE: 0 when it is not armed, has passed, or the timer is in another mode.
    #[must_use]
    pub fn tsc_deadline(&self, now: Nanos) -> u64 {
        if self.is_deadline_mode() && self.deadline.is_some_and(|at| at > now) {
            self.tsc_deadline
        } else {
            0
        }
    }

    /// Writes IA32_TSC_DEADLINE; ignored in the timer's other modes. `offset` is what the guest has added to its
    /// time-stamp counter. To be called again with the register's value when that changes.
    pub fn set_tsc_deadline(&mut self, ctx: &mut Ctx<'_>, value: u64, offset: u64) {
        self.catch_up(ctx);
        if !self.is_deadline_mode() {
            return;
        }
        let hz = self.config.tsc_hz;
        let raw = ctx.now.ticks(hz);
        let left = value.saturating_sub(raw.wrapping_add(offset));
        self.tsc_deadline = value;
        self.deadline = match (value, left) {
            (0, _) => None,
            (_, 0) => Some(ctx.now),
            _ => Some(Nanos::at_tick(raw.saturating_add(left), hz)),
        };
        self.catch_up(ctx);
        ctx.scheduler.set(self.config.timer, self.deadline);
    }

    /// Delivers a deadline that has passed and that the machine has not served yet: an access by the guest may come
    /// between, and must not lose the interrupt.
    pub(super) fn catch_up(&mut self, ctx: &mut Ctx<'_>) {
        if self.deadline.is_some_and(|at| at <= ctx.now) {
            self.expire();
            self.arm(ctx);
        }
    }

    /// The timer's interrupt.
    pub(super) fn expire(&mut self) {
        if self.is_deadline_mode() {
            (self.tsc_deadline, self.deadline) = (0, None);
        }
        if self.timer_interrupts() {
            self.deliver(self.lvt[regs::LVT_TIMER].to_le_bytes()[0], false);
        }
    }

    /// Fixes the count of this moment, so that the mode, the divisor or the initial count can change.
    pub(super) fn rebase(&mut self, now: Nanos) {
        self.countdown = Countdown {
            count: self.current_count(now),
            at: now,
        };
    }
}
