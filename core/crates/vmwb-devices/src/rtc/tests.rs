//! Tests of the clock.

use super::regs::ALARM_ANY;
use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

/// 2024-02-28T23:59:58Z, a Wednesday.
const EVE: u64 = 1_709_164_798;
const S: u64 = SECOND_NS;

fn clock(start: u64) -> (Bench, Rtc) {
    let mut b = Bench::new();
    let r = Rtc::new(b.timer(), IrqLine(8), start);
    (b, r)
}

fn get(b: &mut Bench, r: &mut Rtc, index: u8) -> u8 {
    b.out(r, 0, index);
    b.inp(r, 1)
}

fn put(b: &mut Bench, r: &mut Rtc, index: u8, value: u8) {
    b.out(r, 0, index);
    b.out(r, 1, value);
}

/// Century, year, month, day, hours, minutes, seconds, day of the week, as the registers show them.
fn shown(b: &mut Bench, r: &mut Rtc) -> [u8; 8] {
    [
        CENTURY,
        YEAR,
        MONTH,
        DAY,
        HOURS,
        MINUTES,
        SECONDS,
        DAY_OF_WEEK,
    ]
    .map(|i| get(b, r, i))
}

struct RtcSubject;

impl Subject for RtcSubject {
    type Dev = Rtc;
    fn build(b: &mut Bench) -> Rtc {
        let mut r = Rtc::new(b.timer(), IrqLine(8), EVE);
        r.set_memory_size(64 << 20, 0);
        r
    }
    fn mutate(r: &mut Rtc, b: &mut Bench) {
        put(b, r, A, 0x2F);
        put(b, r, B, 0x76);
        put(b, r, HOURS_ALARM, 0xC0);
        put(b, r, MINUTES_ALARM, 1);
        put(b, r, 0x40, 0x5A);
        b.run_for(r, 3 * S + 100);
        put(b, r, C, 0);
        let _ = get(b, r, C | 0x80);
        put(b, r, DAY, 17);
        b.run_for(r, S);
    }
    fn access(r: &mut Rtc, b: &mut Bench, a: Access) {
        // Random bytes seldom name a register: half of the accesses go to the first 16.
        let index = if a.value & 0x100 != 0 {
            a.value & 0x0F
        } else {
            a.value >> 24
        };
        r.pio_write(&mut b.ctx(), 0, AccessSize::Byte, index);
        pio_access(
            r,
            b,
            Access {
                offset: if a.offset < 8 { a.offset & 1 } else { a.offset },
                ..a
            },
        );
    }
    fn deadline(r: &mut Rtc, b: &mut Bench, timer: TimerId) {
        r.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, RtcSubject);

#[test]
fn date_at_start_shows_in_bcd() {
    let (mut b, mut r) = clock(EVE);
    assert_eq!(
        shown(&mut b, &mut r),
        [0x20, 0x24, 0x02, 0x28, 0x23, 0x59, 0x58, 0x04]
    );
}

#[test]
fn date_rolls_into_the_leap_day() {
    let (mut b, mut r) = clock(EVE);
    b.run_for(&mut r, 2 * S);
    assert_eq!(
        shown(&mut b, &mut r),
        [0x20, 0x24, 0x02, 0x29, 0, 0, 0, 0x05]
    );
}

#[test]
fn binary_twelve_hour_mode_shows_noon_and_midnight_as_twelve() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, B, B_DM);
    assert_eq!(get(&mut b, &mut r, HOURS), 12);
    b.run_for(&mut r, 12 * 3600 * S);
    assert_eq!(get(&mut b, &mut r, HOURS), 0x8C);
    b.run_for(&mut r, 3600 * S);
    assert_eq!(get(&mut b, &mut r, HOURS), 0x81);
}

#[test]
fn time_set_by_the_guest_goes_on_from_there() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, B, B_SET | B_24_HOURS);
    b.run_for(&mut r, 5 * S);
    for (index, value) in [(CENTURY, 0x20), (YEAR, 0x26), (MONTH, 0x12), (DAY, 0x31)] {
        put(&mut b, &mut r, index, value);
    }
    for (index, value) in [
        (HOURS, 0x23),
        (MINUTES, 0x59),
        (SECONDS, 0x59),
        (DAY_OF_WEEK, 5),
    ] {
        put(&mut b, &mut r, index, value);
    }
    put(&mut b, &mut r, B, B_24_HOURS);
    b.run_for(&mut r, S);
    assert_eq!(
        shown(&mut b, &mut r),
        [0x20, 0x27, 0x01, 0x01, 0, 0, 0, 0x06]
    );
}

#[test]
fn set_holds_the_date() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, B, B_SET | B_24_HOURS);
    b.run_for(&mut r, 30 * S);
    assert_eq!(get(&mut b, &mut r, SECONDS), 0);
}

#[test]
fn divider_released_updates_after_half_a_second() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, A, 0x76);
    b.run_for(&mut r, 10 * S + 1);
    put(&mut b, &mut r, A, 0x26);
    b.run_for(&mut r, S / 2 - 1);
    assert_eq!(get(&mut b, &mut r, SECONDS), 0);
    b.run_for(&mut r, 1);
    assert_eq!(get(&mut b, &mut r, SECONDS), 1);
}

#[test]
fn uip_is_set_shortly_before_the_update() {
    let (mut b, mut r) = clock(0);
    b.run_until(&mut r, Nanos(S - UIP_NS - 1));
    assert_eq!(get(&mut b, &mut r, A), 0x26);
    b.run_until(&mut r, Nanos(S - UIP_NS));
    assert_eq!(get(&mut b, &mut r, A), 0xA6);
    b.run_until(&mut r, Nanos(S));
    assert_eq!(
        (get(&mut b, &mut r, A), get(&mut b, &mut r, SECONDS)),
        (0x26, 1)
    );
}

#[test]
fn clock_without_enabled_interrupt_has_no_deadline() {
    let (mut b, mut r) = clock(0);
    b.run_for(&mut r, 10 * S);
    assert_eq!(get(&mut b, &mut r, C), C_PF | C_UF);
    assert_eq!((b.scheduler.next(), b.take_lines()), (None, vec![]));
}

#[test]
fn update_interrupt_comes_each_second_once_acknowledged() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, B, B_UIE | B_24_HOURS);
    b.run_until(&mut r, Nanos(S));
    assert_eq!(b.take_lines(), [(8, true)]);
    assert_eq!(b.scheduler.next(), None);
    assert_eq!(get(&mut b, &mut r, C) & (C_IRQF | C_UF), C_IRQF | C_UF);
    assert_eq!(b.take_lines(), [(8, false)]);
    assert_eq!(b.scheduler.next(), Some(Nanos(2 * S)));
}

#[test]
fn periodic_interrupt_keeps_the_crystals_rate() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, A, 0x26);
    put(&mut b, &mut r, B, regs::B_PIE | B_24_HOURS);
    let mut count = 0;
    while b.scheduler.next().is_some_and(|due| due <= Nanos(S)) {
        let due = b.scheduler.next().unwrap();
        b.run_until(&mut r, due);
        count += 1;
        let _ = get(&mut b, &mut r, C);
    }
    assert_eq!(count, 1024);
}

#[test]
fn alarm_matches_and_interrupts_at_its_second() {
    let (mut b, mut r) = clock(0);
    for (index, value) in [
        (HOURS_ALARM, 0x01),
        (MINUTES_ALARM, 0x02),
        (SECONDS_ALARM, 0x03),
    ] {
        put(&mut b, &mut r, index, value);
    }
    put(&mut b, &mut r, B, regs::B_AIE | B_24_HOURS);
    assert_eq!(b.scheduler.next(), Some(Nanos(3723 * S)));
    b.run_until(&mut r, Nanos(3723 * S));
    assert_eq!(get(&mut b, &mut r, C) & (C_IRQF | C_AF), C_IRQF | C_AF);
}

#[test]
fn alarm_with_any_hour_and_minute_repeats_each_minute() {
    let (mut b, mut r) = clock(0);
    for (index, value) in [
        (HOURS_ALARM, 0xFF),
        (MINUTES_ALARM, 0xC0),
        (SECONDS_ALARM, 0x30),
    ] {
        put(&mut b, &mut r, index, value);
    }
    put(&mut b, &mut r, B, regs::B_AIE | B_24_HOURS);
    b.run_until(&mut r, Nanos(30 * S));
    let _ = get(&mut b, &mut r, C);
    assert_eq!(b.scheduler.next(), Some(Nanos(90 * S)));
}

#[test]
fn hard_reset_keeps_date_and_memory_and_drops_enables() {
    let (mut b, mut r) = clock(EVE);
    put(&mut b, &mut r, 0x50, 0xA5);
    put(&mut b, &mut r, B, B_UIE | B_24_HOURS);
    b.run_for(&mut r, 2 * S);
    r.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!(b.take_lines(), [(8, true), (8, false)]);
    assert_eq!(
        (get(&mut b, &mut r, 0x50), get(&mut b, &mut r, B)),
        (0xA5, B_24_HOURS)
    );
    assert_eq!(get(&mut b, &mut r, DAY), 0x29);
}

#[test]
fn memory_sizes_and_checksum_are_where_firmware_looks() {
    let (mut b, mut r) = clock(0);
    r.set_memory_size(512 << 20, 1 << 30);
    let sizes = [
        0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x5B, 0x5C, 0x5D,
    ];
    let bytes = sizes.map(|i| get(&mut b, &mut r, i));
    assert_eq!(
        bytes,
        [
            0x80, 0x02, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x1F, 0x00, 0x40, 0x00
        ]
    );
    assert_eq!(
        (get(&mut b, &mut r, 0x2E), get(&mut b, &mut r, 0x2F)),
        (0x02, 0x80)
    );
}

#[test]
fn nmi_mask_is_bit_seven_of_the_index() {
    let (mut b, mut r) = clock(0);
    b.out(&mut r, 0, 0x8D);
    assert!(r.nmi_masked());
    assert_eq!(b.inp(&mut r, 1), D_VRT);
}

/// Interrupts of register B's `enable` until `end`, each acknowledged at once, with the flags that register C showed.
fn interrupts(b: &mut Bench, r: &mut Rtc, enable: u8, end: Nanos) -> Vec<(u64, u8)> {
    put(b, r, B, enable | B_24_HOURS);
    let mut seen = Vec::new();
    while let Some(due) = b.scheduler.next().filter(|&due| due <= end) {
        b.run_until(r, due);
        seen.push((due.0, get(b, r, C)));
    }
    seen
}

#[test]
fn every_rate_of_the_periodic_interrupt_is_that_of_table_5() {
    let counts = [
        0, 256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2,
    ];
    let seen = (0..16u8).map(|rate| {
        let (mut b, mut r) = clock(0);
        put(&mut b, &mut r, A, A_DV_RUN | rate);
        interrupts(&mut b, &mut r, regs::B_PIE, Nanos(S)).len()
    });
    assert_eq!(seen.collect::<Vec<_>>(), counts);
}

#[test]
fn periodic_rate_is_silent_while_the_divider_is_held() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, A, 0x76);
    assert!(interrupts(&mut b, &mut r, FLAGS, Nanos(5 * S)).is_empty());
}

#[test]
fn flags_without_their_enables_are_set_and_do_not_interrupt() {
    let (mut b, mut r) = clock(0);
    for index in [HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM] {
        put(&mut b, &mut r, index, ALARM_ANY);
    }
    b.run_for(&mut r, S);
    assert_eq!(get(&mut b, &mut r, C), FLAGS);
    assert_eq!(get(&mut b, &mut r, C), 0);
    assert_eq!(b.take_lines(), []);
}

#[test]
fn alarm_comes_each_second_when_every_byte_matches_anything() {
    let (mut b, mut r) = clock(EVE);
    for index in [HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM] {
        put(&mut b, &mut r, index, 0xFF);
    }
    let seen = interrupts(&mut b, &mut r, regs::B_AIE, Nanos(4 * S));
    let times: Vec<u64> = seen.iter().map(|&(at, _)| at).collect();
    assert_eq!(times, [S, 2 * S, 3 * S, 4 * S]);
    assert!(
        seen.iter()
            .all(|&(_, c)| c & (C_IRQF | C_AF) == C_IRQF | C_AF)
    );
}

#[test]
fn alarm_in_twelve_hour_mode_tells_noon_from_midnight() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, HOURS_ALARM, 0x12 | HOURS_PM);
    put(&mut b, &mut r, B, regs::B_AIE);
    assert_eq!(b.scheduler.next(), Some(Nanos(12 * 3600 * S)));
    put(&mut b, &mut r, HOURS_ALARM, 0x12);
    assert_eq!(b.scheduler.next(), Some(Nanos(24 * 3600 * S)));
}

#[test]
fn alarm_that_no_time_matches_never_comes() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, MINUTES_ALARM, 0x61);
    put(&mut b, &mut r, B, regs::B_AIE | B_24_HOURS);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn set_clears_the_update_interrupt_and_silences_alarms() {
    let (mut b, mut r) = clock(0);
    for index in [HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM] {
        put(&mut b, &mut r, index, 0xFF);
    }
    put(&mut b, &mut r, B, B_SET | FLAGS | B_24_HOURS);
    assert_eq!(
        get(&mut b, &mut r, B),
        B_SET | B_24_HOURS | regs::B_PIE | regs::B_AIE
    );
    put(&mut b, &mut r, A, A_DV_RUN);
    b.run_for(&mut r, 3 * S);
    assert_eq!(get(&mut b, &mut r, C), 0);
}

#[test]
fn registers_c_and_d_cannot_be_written_and_memory_can() {
    let (mut b, mut r) = clock(0);
    put(&mut b, &mut r, C, 0xFF);
    put(&mut b, &mut r, D, 0x00);
    put(&mut b, &mut r, 0x7F, 0x5A);
    let read = [C, D, 0x7F].map(|index| get(&mut b, &mut r, index));
    assert_eq!(read, [0, D_VRT, 0x5A]);
}

#[test]
fn saved_memory_of_another_length_is_refused() {
    let (_, r) = clock(0);
    let mut v = RtcV1::from(&r.state);
    v.cmos.push(0);
    assert!(State::try_from(v).is_err());
}
