//! The clock's date and time as numbers. Gregorian, years 0 to 9999.

use super::regs::ALARM_ANY;

/// Seconds in a day.
const DAY_S: u64 = 86_400;
/// 9999-12-31T23:59:59Z in Unix time: the last second that the registers can show.
const LAST_UNIX_S: u64 = 253_402_300_799;

/// What the ten time registers and the century hold. A guest may write anything below 256 into any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Calendar {
    pub second: u8,
    pub minute: u8,
    /// 0 to 23 whatever the mode of the registers.
    pub hour: u8,
    /// 1 is Sunday.
    pub day_of_week: u8,
    pub day: u8,
    pub month: u8,
    pub year: u8,
    pub century: u8,
}

impl Calendar {
    /// The date of a Unix time; times past the year 9999 give its end.
    pub fn from_unix(seconds: u64) -> Self {
        // 1970-01-01 was a Thursday.
        let mut date = Self {
            second: 0,
            minute: 0,
            hour: 0,
            day_of_week: 5,
            day: 1,
            month: 1,
            year: 70,
            century: 19,
        };
        date.advance(seconds.min(LAST_UNIX_S));
        date
    }

    /// Moves `seconds` on. Impossible values are brought into range first, as the chip's counters would roll over.
    pub fn advance(&mut self, seconds: u64) {
        if seconds == 0 {
            return;
        }
        let of_day = u64::from(self.hour.min(23)) * 3600
            + u64::from(self.minute.min(59)) * 60
            + u64::from(self.second.min(59));
        let total = of_day.saturating_add(seconds);
        let small = |value: u64| u8::try_from(value).expect("below 60");
        let of_day = total % DAY_S;
        self.hour = small(of_day / 3600);
        self.minute = small(of_day / 60 % 60);
        self.second = small(of_day % 60);
        for _ in 0..total / DAY_S {
            self.next_day();
        }
    }

    fn next_day(&mut self) {
        self.day_of_week = self.day_of_week % 7 + 1;
        if self.day < self.days_in_month() {
            self.day += 1;
            return;
        }
        self.day = 1;
        self.month = self.month % 12 + 1;
        if self.month != 1 {
            return;
        }
        self.year = (self.year % 100 + 1) % 100;
        if self.year == 0 {
            self.century = (self.century % 100 + 1) % 100;
        }
    }

    fn days_in_month(&self) -> u8 {
        match self.month {
            2 if self.leap() => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn leap(&self) -> bool {
        let deciding = if self.year == 0 {
            self.century
        } else {
            self.year
        };
        deciding.is_multiple_of(4)
    }

    /// How many seconds from now the alarm matches, from 1 to a day, if it ever does.
    pub fn next_match(&self, matches: &Alarm) -> Option<u64> {
        let mut ahead = 1;
        while ahead <= DAY_S {
            let mut then = Self {
                day: 1,
                month: 1,
                ..*self
            };
            then.advance(ahead);
            // Whole hours and minutes that cannot match are left out: at most some 140 steps.
            ahead += if !matches.hours[usize::from(then.hour)] {
                3600 - u64::from(then.minute) * 60 - u64::from(then.second)
            } else if !matches.minutes[usize::from(then.minute)] {
                60 - u64::from(then.second)
            } else if !matches.seconds[usize::from(then.second)] {
                1
            } else {
                return Some(ahead);
            };
        }
        None
    }
}

/// Which hours, minutes and seconds an alarm names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Alarm {
    pub hours: [bool; 24],
    pub minutes: [bool; 60],
    pub seconds: [bool; 60],
}

/// The values that an alarm byte matches, given how a value is written in the registers.
pub(super) fn alarm_set<const N: usize>(byte: u8, encode: impl Fn(u8) -> u8) -> [bool; N] {
    std::array::from_fn(|value| {
        let value = u8::try_from(value).expect("at most 60 values");
        byte & ALARM_ANY == ALARM_ANY || byte == encode(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(c: &Calendar) -> String {
        format!(
            "{:02}{:02}-{:02}-{:02} {:02}:{:02}:{:02} {}",
            c.century, c.year, c.month, c.day, c.hour, c.minute, c.second, c.day_of_week
        )
    }

    #[test]
    fn from_unix_known_dates_are_right() {
        let known = [
            (0, "1970-01-01 00:00:00 5"),
            (951_782_399, "2000-02-28 23:59:59 2"),
            (951_782_400, "2000-02-29 00:00:00 3"),
            (4_107_542_400, "2100-03-01 00:00:00 2"),
            (u64::MAX, "9999-12-31 23:59:59 6"),
        ];
        assert!(
            known
                .iter()
                .all(|&(s, text)| shown(&Calendar::from_unix(s)) == text)
        );
    }

    #[test]
    fn advance_from_impossible_values_comes_into_range() {
        let mut c = Calendar::from_unix(0);
        (c.second, c.minute, c.hour, c.day, c.month, c.day_of_week) = (99, 99, 99, 99, 99, 99);
        c.advance(1);
        assert_eq!(shown(&c), "1970-04-01 00:00:00 2");
    }

    #[test]
    fn advance_over_new_year_from_the_largest_values_does_not_overflow() {
        let mut c = Calendar {
            century: 255,
            year: 255,
            month: 12,
            ..Calendar::from_unix(0)
        };
        c.advance(400 * DAY_S);
        assert_eq!((c.year, c.month, c.day), (57, 1, 4));
    }

    #[test]
    fn next_match_of_daily_alarm_is_the_next_day_at_the_latest() {
        let alarm = Alarm {
            hours: alarm_set(0, |v| v),
            minutes: alarm_set(0, |v| v),
            seconds: alarm_set(0, |v| v),
        };
        assert_eq!(Calendar::from_unix(0).next_match(&alarm), Some(86_400));
        assert_eq!(Calendar::from_unix(86_399).next_match(&alarm), Some(1));
    }

    #[test]
    fn next_match_of_impossible_alarm_is_never() {
        let alarm = Alarm {
            hours: [false; 24],
            minutes: [true; 60],
            seconds: [true; 60],
        };
        assert_eq!(Calendar::from_unix(0).next_match(&alarm), None);
    }
}
