//! The real-time clock and its memory: an MC146818A with 128 bytes. Source: Motorola MC146818A data sheet (1984).
//!
//! Owns the date, the three interrupts' flags and the memory. The date comes from the start time given by the board
//! and from virtual time: nothing here reads the host's clock. Flags are worked out when somebody looks; a deadline
//! exists only for an interrupt that is enabled and not yet pending, so a clock nobody listens to costs nothing.
//!
//! | Registers | Index |
//! |---|---|
//! | seconds, minutes, hours and their alarms | 00h to 05h |
//! | day of the week, day, month, year; century | 06h to 09h; 32h |
//! | A, B, C, D | 0Ah to 0Dh |
//! | memory; sizes of RAM and a checksum as a BIOS keeps them | the rest of 0Eh to 7Fh |
//!
//! | Left out | Why |
//! |---|---|
//! | Other crystals than 32,768 Hz (DV 000, 001) | the clock stands still |
//! | Square wave, daylight saving (SQWE, DSE) | not wired; the bits are kept |
//! | 1,984 us of the update itself | the update is instant, UIP goes up 244 us before it |
//! | Registers that keep their digits when DM or 24/12 changes | the date is kept as numbers, so it is shown in the new way |
//! | Reading port 70h | write-only in the chipset; reads all ones |
//!
//! | Threat | Answer |
//! |---|---|
//! | Impossible dates and alarms | stored; brought into range by the next update, an alarm that cannot match has no deadline |
//! | 8,192 interrupts a second | only while enabled, and none more until register C is read |
//! | Restored state | memory is exactly 128 bytes, registers keep to their bits |

mod calendar;
pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{CalendarV1, RtcV1};

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, ResetKind, SnapshotError, Timed,
    TimerId,
};

use crate::bits::{byte_answer, low};
use calendar::{Alarm, Calendar, alarm_set};
use regs::{
    A, A_DV, A_DV_RUN, A_POWER_ON, A_RS, A_UIP, B, B_24_HOURS, B_DM, B_SET, B_SQWE, B_UIE,
    BASE_MEMORY, C, C_AF, C_IRQF, C_PF, C_UF, CENTURY, CHECKED_FIRST, CHECKED_LAST, CHECKSUM,
    CMOS_BYTES, CRYSTAL_HZ, D, D_VRT, DATA, DAY, DAY_OF_WEEK, EXTENDED_MEMORY,
    EXTENDED_MEMORY_POST, FIRST_UPDATE_NS, FLAGS, HOURS, HOURS_ALARM, HOURS_PM, INDEX, INDEX_MASK,
    INDEX_NMI_MASK, MEMORY_ABOVE_4G, MEMORY_ABOVE_16M, MINUTES, MINUTES_ALARM, MONTH, SECONDS,
    SECONDS_ALARM, SHUTDOWN_CODE, UIP_NS, YEAR,
};

const SECOND_NS: u64 = 1_000_000_000;

/// All that is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// Memory and alarm bytes; the other registers' places are unused.
    cmos: [u8; CMOS_BYTES],
    index: u8,
    nmi_masked: bool,
    a: u8,
    b: u8,
    /// Flags of register C.
    flags: u8,
    /// The date after all updates before `next_update`.
    date: Calendar,
    /// When the next update falls, while the divider runs.
    next_update: Nanos,
    /// Flags are complete up to this time.
    served: Nanos,
    /// Level of the interrupt line.
    line: bool,
}

impl State {
    fn power_on(start: Calendar, factory: &[u8; CMOS_BYTES]) -> Self {
        Self {
            cmos: *factory,
            index: 0,
            nmi_masked: false,
            a: A_POWER_ON,
            b: B_24_HOURS,
            flags: 0,
            date: start,
            next_update: Nanos(SECOND_NS),
            served: Nanos(0),
            line: false,
        }
    }

    fn divider_runs(&self) -> bool {
        self.a & A_DV == A_DV_RUN
    }

    fn updates(&self) -> bool {
        self.divider_runs() && self.b & B_SET == 0
    }

    /// Ticks of the crystal between two periodic flags (table 5); `None` while there are none.
    fn period_ticks(&self) -> Option<u64> {
        let rate = match self.a & A_RS {
            0 => return None,
            // The two slowest taps come again at the fastest codes.
            rate @ 1..=2 => rate + 7,
            rate => rate,
        };
        self.divider_runs().then(|| 1 << (rate - 1))
    }

    /// First periodic flag after `after`.
    fn next_period(&self, after: Nanos) -> Option<Nanos> {
        let period = self.period_ticks()?;
        let tick = (after.ticks(CRYSTAL_HZ) / period + 1) * period;
        Some(Nanos::at_tick(tick, CRYSTAL_HZ))
    }

    /// How many updates from now the alarm matches.
    fn next_alarm(&self) -> Option<u64> {
        let byte = |index: u8| self.cmos[usize::from(index)];
        self.date.next_match(&Alarm {
            hours: alarm_set(byte(HOURS_ALARM), |v| self.encode_hours(v)),
            minutes: alarm_set(byte(MINUTES_ALARM), |v| self.encode(v)),
            seconds: alarm_set(byte(SECONDS_ALARM), |v| self.encode(v)),
        })
    }

    /// Lets everything happen that falls between the last call and `now`.
    fn settle(&mut self, now: Nanos) {
        if now <= self.served {
            return;
        }
        if self.flags & C_PF == 0 && self.next_period(self.served).is_some_and(|at| at <= now) {
            self.flags |= C_PF;
        }
        if self.divider_runs() && now >= self.next_update {
            let updates = now.since(self.next_update) / SECOND_NS + 1;
            self.next_update = self.next_update.plus(updates.saturating_mul(SECOND_NS));
            if self.updates() {
                self.flags |= C_UF;
                if self.flags & C_AF == 0 && self.next_alarm().is_some_and(|n| n <= updates) {
                    self.flags |= C_AF;
                }
                self.date.advance(updates);
            }
        }
        self.served = now;
    }

    /// When the next enabled flag is set that is not set yet.
    fn deadline(&self) -> Option<Nanos> {
        let wanted = |flag: u8| self.b & !self.flags & flag != 0;
        let period = if wanted(C_PF) {
            self.next_period(self.served)
        } else {
            None
        };
        let update = (wanted(C_UF) && self.updates()).then_some(self.next_update);
        let alarm = if wanted(C_AF) && self.updates() {
            self.next_alarm()
        } else {
            None
        };
        let alarm = alarm.map(|n| self.next_update.plus((n - 1) * SECOND_NS));
        [period, update, alarm].into_iter().flatten().min()
    }

    fn interrupts(&self) -> bool {
        self.flags & self.b & FLAGS != 0
    }

    fn encode(&self, value: u8) -> u8 {
        if self.b & B_DM != 0 {
            value
        } else {
            ((value / 10 % 10) << 4) | (value % 10)
        }
    }

    fn decode(&self, byte: u8) -> u8 {
        if self.b & B_DM != 0 {
            byte
        } else {
            ((byte >> 4) * 10 + (byte & 0xF)) % 100
        }
    }

    fn encode_hours(&self, hour: u8) -> u8 {
        if self.b & B_24_HOURS != 0 {
            return self.encode(hour);
        }
        let pm = if hour >= 12 { HOURS_PM } else { 0 };
        self.encode((hour + 11) % 12 + 1) | pm
    }

    fn decode_hours(&self, byte: u8) -> u8 {
        if self.b & B_24_HOURS != 0 {
            return self.decode(byte) % 24;
        }
        let pm = if byte & HOURS_PM != 0 { 12 } else { 0 };
        self.decode(byte & !HOURS_PM) % 12 + pm
    }

    /// What the register at the index shows at `now`, when all before has been settled.
    fn register(&self, now: Nanos) -> u8 {
        match self.index {
            SECONDS => self.encode(self.date.second),
            MINUTES => self.encode(self.date.minute),
            HOURS => self.encode_hours(self.date.hour),
            DAY_OF_WEEK => self.encode(self.date.day_of_week),
            DAY => self.encode(self.date.day),
            MONTH => self.encode(self.date.month),
            YEAR => self.encode(self.date.year),
            CENTURY => self.encode(self.date.century),
            A => {
                let soon = self.updates() && self.next_update.since(now) <= UIP_NS;
                self.a | if soon { A_UIP } else { 0 }
            }
            B => self.b,
            C => self.flags | if self.interrupts() { C_IRQF } else { 0 },
            D => D_VRT,
            index => self.cmos[usize::from(index)],
        }
    }

    fn write_register(&mut self, now: Nanos, value: u8) {
        match self.index {
            SECONDS => self.date.second = self.decode(value),
            MINUTES => self.date.minute = self.decode(value),
            HOURS => self.date.hour = self.decode_hours(value),
            DAY_OF_WEEK => self.date.day_of_week = self.decode(value),
            DAY => self.date.day = self.decode(value),
            MONTH => self.date.month = self.decode(value),
            YEAR => self.date.year = self.decode(value),
            CENTURY => self.date.century = self.decode(value),
            A => {
                let ran = self.divider_runs();
                self.a = value & !A_UIP;
                if !ran && self.divider_runs() {
                    self.next_update = now.plus(FIRST_UPDATE_NS);
                }
            }
            B => {
                let sets = value & !self.b & B_SET != 0;
                // Setting SET clears UIE (register B, UIE).
                self.b = if sets { value & !B_UIE } else { value };
            }
            C | D => {}
            index => self.cmos[usize::from(index)] = value,
        }
    }
}

/// The clock and its memory. See the module for registers.
#[derive(Debug)]
pub struct Rtc {
    timer: TimerId,
    irq: IrqLine,
    start: Calendar,
    /// Memory as the maker leaves it: what power-on brings back.
    factory: [u8; CMOS_BYTES],
    state: State,
}

impl Rtc {
    /// A clock that shows `start_unix_s` (UTC) at virtual time 0. `irq` is its level-driven interrupt line.
    #[must_use]
    pub fn new(timer: TimerId, irq: IrqLine, start_unix_s: u64) -> Self {
        let start = Calendar::from_unix(start_unix_s);
        let factory = [0; CMOS_BYTES];
        Self {
            timer,
            irq,
            start,
            factory,
            state: State::power_on(start, &factory),
        }
    }

    /// Sets one byte of memory (index 0Eh to 7Fh but for the century) for power-on, and the checksum. Other indices
    /// are ignored.
    pub fn set_cmos(&mut self, index: u8, value: u8) {
        if index <= D || index == CENTURY || usize::from(index) >= CMOS_BYTES {
            return;
        }
        self.factory[usize::from(index)] = value;
        let checked = usize::from(CHECKED_FIRST)..=usize::from(CHECKED_LAST);
        let sum: u16 = self.factory[checked].iter().map(|&b| u16::from(b)).sum();
        let at = usize::from(CHECKSUM);
        self.factory[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self.state.cmos[usize::from(index)] = value;
        self.state.cmos[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// One byte of memory (index 0Eh to 7Fh but for the century) as it stands; 0 elsewhere.
    #[must_use]
    pub fn cmos(&self, index: u8) -> u8 {
        let memory = index > D && index != CENTURY;
        let byte = self.state.cmos.get(usize::from(index)).copied();
        byte.filter(|_| memory).unwrap_or(0)
    }

    /// Tells firmware the size of RAM: bytes below 4 GiB and bytes from 4 GiB on.
    pub fn set_memory_size(&mut self, below_4g_bytes: u64, above_4g_bytes: u64) {
        let units = |bytes: u64, from: u64, unit: u64, most: u64| {
            (bytes.saturating_sub(from) / unit).min(most).to_le_bytes()
        };
        let base = units(below_4g_bytes, 0, 1 << 10, 640);
        let extended = units(below_4g_bytes, 1 << 20, 1 << 10, 0xFFFF);
        let above_16m = units(below_4g_bytes, 16 << 20, 64 << 10, 0xFFFF);
        let above_4g = units(above_4g_bytes, 0, 64 << 10, 0xFF_FFFF);
        let places = [
            (BASE_MEMORY, &base[..2]),
            (EXTENDED_MEMORY, &extended[..2]),
            (EXTENDED_MEMORY_POST, &extended[..2]),
            (MEMORY_ABOVE_16M, &above_16m[..2]),
            (MEMORY_ABOVE_4G, &above_4g[..3]),
        ];
        for (index, bytes) in places {
            for (n, &byte) in (index..).zip(bytes) {
                self.set_cmos(n, byte);
            }
        }
    }

    /// Leaves a byte for the firmware that says what the next reset is for (index 0Fh).
    pub fn set_shutdown_code(&mut self, value: u8) {
        self.state.cmos[usize::from(SHUTDOWN_CODE)] = value;
    }

    /// Whether the alarm asks for an interrupt.
    #[must_use]
    pub fn alarm_rings(&self) -> bool {
        self.state.flags & self.state.b & C_AF != 0
    }

    /// Whether the guest has masked the chipset's NMI (port 70h, bit 7). Those of the local APICs do not pass this mask.
    #[must_use]
    pub fn nmi_masked(&self) -> bool {
        self.state.nmi_masked
    }

    /// Brings the line to the level that the flags ask for, and arms the next deadline.
    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        let level = self.state.interrupts();
        if level != self.state.line {
            self.state.line = level;
            ctx.lines.set(self.irq, level);
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
    }
}

impl Device for Rtc {
    fn name(&self) -> &str {
        "rtc"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        if self.state.line && kind != ResetKind::Sleep {
            ctx.lines.deassert(self.irq);
        }
        match kind {
            // The battery feeds it all the time.
            ResetKind::Sleep => {}
            ResetKind::PowerOn => self.state = State::power_on(self.start, &self.factory),
            ResetKind::Hard => {
                // The RESET pin clears enables and flags and leaves date, memory and divider alone.
                self.state.settle(ctx.now);
                self.state.b &= !(FLAGS | B_SQWE);
                self.state.flags = 0;
                self.state.index = 0;
                self.state.nmi_masked = false;
                self.state.line = false;
            }
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &RtcV1::from(&self.state))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.state = State::try_from(payload.decode::<RtcV1>()?)?;
        ctx.scheduler.set(self.timer, self.state.deadline());
        Ok(())
    }
}

impl PioDevice for Rtc {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.state.settle(ctx.now);
        let value = self.pio_peek(ctx.now, offset, size);
        if offset == DATA && size == AccessSize::Byte && self.state.index == C {
            self.state.flags = 0;
            self.drive(ctx);
        }
        value
    }

    fn pio_peek(&self, now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = if offset == DATA {
            let mut state = self.state.clone();
            state.settle(now);
            state.register(now)
        } else {
            u8::MAX
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let value = low(value);
        match offset {
            INDEX => {
                self.state.index = value & INDEX_MASK;
                self.state.nmi_masked = value & INDEX_NMI_MASK != 0;
            }
            DATA => {
                self.state.settle(ctx.now);
                self.state.write_register(ctx.now, value);
                self.drive(ctx);
            }
            _ => {}
        }
    }
}

impl Timed for Rtc {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        self.state.settle(ctx.now);
        self.drive(ctx);
    }
}
