//! Saved state of the clock. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::State;
use super::calendar::Calendar;
use super::regs::{A_UIP, CMOS_BYTES, FLAGS, INDEX_MASK};

/// Version 1 of the clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RtcV1 {
    /// Memory and alarm bytes, 128.
    pub cmos: Vec<u8>,
    /// Index register, 0 to 127.
    pub index: u8,
    /// Port 70h bit 7.
    pub nmi_masked: bool,
    /// Register A without UIP.
    pub a: u8,
    /// Register B.
    pub b: u8,
    /// Flags of register C.
    pub flags: u8,
    /// The date before the next update.
    pub date: CalendarV1,
    /// When the next update falls, in nanoseconds of virtual time.
    pub next_update_ns: u64,
    /// Flags are complete up to this virtual time, in nanoseconds.
    pub served_ns: u64,
    /// Level of the interrupt line.
    pub line: bool,
}

/// Version 1 of the date: numbers, not digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalendarV1 {
    /// Second.
    pub second: u8,
    /// Minute.
    pub minute: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Day of the week, 1 is Sunday.
    pub day_of_week: u8,
    /// Day of the month.
    pub day: u8,
    /// Month.
    pub month: u8,
    /// Year of the century.
    pub year: u8,
    /// Century.
    pub century: u8,
}

impl Schema for RtcV1 {
    const KIND: &'static str = "rtc";
    const VERSION: u32 = 1;
}

impl From<&State> for RtcV1 {
    fn from(s: &State) -> Self {
        Self {
            cmos: s.cmos.to_vec(),
            index: s.index,
            nmi_masked: s.nmi_masked,
            a: s.a,
            b: s.b,
            flags: s.flags,
            date: CalendarV1 {
                second: s.date.second,
                minute: s.date.minute,
                hour: s.date.hour,
                day_of_week: s.date.day_of_week,
                day: s.date.day,
                month: s.date.month,
                year: s.date.year,
                century: s.date.century,
            },
            next_update_ns: s.next_update.0,
            served_ns: s.served.0,
            line: s.line,
        }
    }
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(RtcV1::KIND, reason))
    }
}

impl TryFrom<RtcV1> for State {
    type Error = SnapshotError;

    fn try_from(v: RtcV1) -> Result<Self, SnapshotError> {
        let cmos = <[u8; CMOS_BYTES]>::try_from(v.cmos.as_slice());
        let cmos =
            cmos.map_err(|_| SnapshotError::damaged(RtcV1::KIND, "memory is not 128 bytes"))?;
        check(v.index & !INDEX_MASK == 0, "the index is out of range")?;
        check(v.a & A_UIP == 0, "register A has bits that are not stored")?;
        check(
            v.flags & !FLAGS == 0,
            "register C has flags that do not exist",
        )?;
        check(v.date.hour < 24, "the hour is out of range")?;
        Ok(Self {
            cmos,
            index: v.index,
            nmi_masked: v.nmi_masked,
            a: v.a,
            b: v.b,
            flags: v.flags,
            date: Calendar {
                second: v.date.second,
                minute: v.date.minute,
                hour: v.date.hour,
                day_of_week: v.date.day_of_week,
                day: v.date.day,
                month: v.date.month,
                year: v.date.year,
                century: v.date.century,
            },
            next_update: Nanos(v.next_update_ns),
            served: Nanos(v.served_ns),
            line: v.line,
        })
    }
}
