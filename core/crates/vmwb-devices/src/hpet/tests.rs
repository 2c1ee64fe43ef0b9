//! Tests of the high precision event timers.

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;

const LEGACY_LINES: [IrqLine; 2] = [IrqLine(30), IrqLine(31)];
const ROUTE_20: u64 = 20 << ROUTE_SHIFT;

fn timers() -> (Bench, Hpet) {
    let mut b = Bench::new();
    let h = Hpet::new(b.timer(), LEGACY_LINES);
    (b, h)
}

fn put(b: &mut Bench, h: &mut Hpet, offset: u64, value: u64) {
    h.mmio_write(&mut b.ctx(), offset, AccessSize::Qword, value);
}

fn get(b: &mut Bench, h: &mut Hpet, offset: u64) -> u64 {
    h.mmio_read(&mut b.ctx(), offset, AccessSize::Qword)
}

fn configuration(n: u64) -> u64 {
    TIMER_0 + n * TIMER_BYTES
}

fn comparator(n: u64) -> u64 {
    configuration(n) + TIMER_COMPARATOR
}

struct HpetSubject;

impl Subject for HpetSubject {
    type Dev = Hpet;
    fn build(b: &mut Bench) -> Hpet {
        Hpet::new(b.timer(), LEGACY_LINES)
    }
    fn mutate(h: &mut Hpet, b: &mut Bench) {
        put(b, h, configuration(1), ROUTE_20 | INTERRUPT | LEVEL);
        put(b, h, comparator(1), 100);
        put(
            b,
            h,
            configuration(0),
            INTERRUPT | PERIODIC | SET_VALUE | MODE_32_BIT,
        );
        put(b, h, comparator(0), 5_000);
        put(b, h, configuration(2), SET_VALUE | PERIODIC);
        put(b, h, COUNTER, 7);
        put(b, h, CONFIGURATION, ENABLE | LEGACY);
        b.run_for(h, 70_000);
    }
    fn access(h: &mut Hpet, b: &mut Bench, a: Access) {
        const OFFSETS: [u64; 12] = [
            CONFIGURATION,
            STATUS,
            COUNTER,
            CAPABILITIES,
            0x100,
            0x108,
            0x120,
            0x128,
            0x140,
            0x148,
            0x10C,
            0x104,
        ];
        let [pick, wide, ..] = a.value.to_be_bytes();
        let offset = if a.offset < 8 {
            OFFSETS[usize::from(pick) % OFFSETS.len()]
        } else {
            u64::from(a.offset)
        };
        let size = if wide & 1 == 0 {
            AccessSize::Qword
        } else {
            a.size
        };
        let peeked = h.mmio_peek(b.now, offset, size);
        if a.write {
            // Small values match soon, large ones never: both kinds are needed.
            let value = u64::from(a.value) & if wide & 2 == 0 { 0xFFF } else { u64::MAX };
            h.mmio_write(&mut b.ctx(), offset, size, value);
        } else {
            assert_eq!(peeked, h.mmio_read(&mut b.ctx(), offset, size));
        }
    }
    fn deadline(h: &mut Hpet, b: &mut Bench, timer: TimerId) {
        h.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, HpetSubject);

#[test]
fn capabilities_tell_ten_nanoseconds_three_timers_and_legacy() {
    let (mut b, mut h) = timers();
    assert_eq!(get(&mut b, &mut h, CAPABILITIES), 0x0098_9680_8086_A201);
    assert_eq!(get(&mut b, &mut h, configuration(2)), 0x00F0_0000_0000_0030);
}

#[test]
fn counter_runs_while_enabled_and_keeps_its_value() {
    let (mut b, mut h) = timers();
    put(&mut b, &mut h, COUNTER, 0xFFFF_FFFF);
    b.run_for(&mut h, 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.run_for(&mut h, 1_005);
    assert_eq!(get(&mut b, &mut h, COUNTER), 0x1_0000_0063);
    assert_eq!(h.mmio_read(&mut b.ctx(), COUNTER + 4, AccessSize::Dword), 1);
    put(&mut b, &mut h, COUNTER, 5);
    put(&mut b, &mut h, CONFIGURATION, 0);
    b.run_for(&mut h, 1_000);
    assert_eq!(get(&mut b, &mut h, COUNTER), 0x1_0000_0063);
}

#[test]
fn one_shot_edge_comes_once_at_its_count() {
    let (mut b, mut h) = timers();
    put(&mut b, &mut h, configuration(0), ROUTE_20 | INTERRUPT);
    put(&mut b, &mut h, comparator(0), 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    assert_eq!(b.scheduler.next(), Some(Nanos(10_000)));
    b.run_for(&mut h, 10_000);
    assert_eq!(b.take_lines(), [(20, true), (20, false)]);
    assert_eq!((b.scheduler.next(), get(&mut b, &mut h, STATUS)), (None, 0));
}

#[test]
fn one_shot_in_the_past_waits_for_the_wrap_of_32_bits() {
    let (mut b, mut h) = timers();
    put(&mut b, &mut h, COUNTER, 2_000);
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | MODE_32_BIT,
    );
    put(&mut b, &mut h, comparator(0), 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    let wrap = ((1u64 << 32) - 1_000) * 10;
    assert_eq!(b.scheduler.next(), Some(Nanos(wrap)));
    b.run_until(&mut h, Nanos(wrap));
    assert_eq!(b.take_lines(), [(20, true), (20, false)]);
}

#[test]
fn periodic_timer_keeps_its_rate_and_shows_the_next_match() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | PERIODIC | SET_VALUE,
    );
    put(&mut b, &mut h, comparator(0), 300);
    put(&mut b, &mut h, comparator(0), 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.run_for(&mut h, 33_000);
    assert_eq!(b.take_lines().len(), 2 * 4);
    assert_eq!(get(&mut b, &mut h, comparator(0)), 4_300);
}

#[test]
fn periodic_timer_written_once_has_its_period_too() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | PERIODIC | SET_VALUE,
    );
    put(&mut b, &mut h, comparator(0), 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.run_for(&mut h, 30_000);
    assert_eq!(b.take_lines().len(), 2 * 3);
}

#[test]
fn periods_that_a_late_machine_missed_are_one_edge() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | PERIODIC | SET_VALUE,
    );
    put(&mut b, &mut h, comparator(0), 1_000);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.now = Nanos(105_000);
    let timer = b.scheduler.pop_due(b.now).expect("a deadline is due");
    h.on_deadline(&mut b.ctx(), timer);
    assert_eq!(b.take_lines(), [(20, true), (20, false)]);
    assert_eq!(b.scheduler.next(), Some(Nanos(110_000)));
}

#[test]
fn level_stays_until_its_status_is_cleared() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(2),
        23 << ROUTE_SHIFT | INTERRUPT | LEVEL,
    );
    put(&mut b, &mut h, comparator(2), 100);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.run_for(&mut h, 5_000);
    assert_eq!(
        (b.take_lines(), b.scheduler.next()),
        (vec![(23, true)], None)
    );
    assert_eq!(get(&mut b, &mut h, STATUS), 4);
    put(&mut b, &mut h, STATUS, 4);
    assert_eq!(b.take_lines(), [(23, false)]);
    assert_eq!(get(&mut b, &mut h, STATUS), 0);
}

#[test]
fn match_without_interrupt_enable_shows_in_the_status_alone() {
    let (mut b, mut h) = timers();
    put(&mut b, &mut h, configuration(0), ROUTE_20 | LEVEL);
    put(&mut b, &mut h, comparator(0), 100);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    assert_eq!(b.scheduler.next(), None);
    b.run_for(&mut h, 5_000);
    assert_eq!(get(&mut b, &mut h, STATUS), 1);
    assert_eq!(b.take_lines(), []);
}

#[test]
fn legacy_replacement_takes_the_lines_of_timer_and_clock() {
    let (mut b, mut h) = timers();
    for n in 0..2 {
        put(&mut b, &mut h, configuration(n), ROUTE_20 | INTERRUPT);
        put(&mut b, &mut h, comparator(n), 1_000 * (n + 1));
    }
    assert!(!h.legacy_replacement());
    put(&mut b, &mut h, CONFIGURATION, ENABLE | LEGACY);
    assert!(h.legacy_replacement());
    b.run_for(&mut h, 30_000);
    // Each stays up for the 8259s, until it rises anew or the lines are given back.
    let expected = [(30, false), (30, true), (31, false), (31, true)];
    assert_eq!(b.take_lines(), expected);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    assert_eq!(b.take_lines(), [(30, false), (31, false)]);
}

#[test]
fn level_line_moves_with_its_route() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | LEVEL,
    );
    put(&mut b, &mut h, comparator(0), 100);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    b.run_for(&mut h, 2_000);
    b.take_lines();
    put(
        &mut b,
        &mut h,
        configuration(0),
        21 << ROUTE_SHIFT | INTERRUPT | LEVEL,
    );
    assert_eq!(b.take_lines(), [(20, false), (21, true)]);
    put(
        &mut b,
        &mut h,
        configuration(0),
        5 << ROUTE_SHIFT | INTERRUPT | LEVEL,
    );
    assert_eq!(b.take_lines(), [(21, false)]);
}

#[test]
fn period_of_one_count_has_deadlines_a_microsecond_apart() {
    let (mut b, mut h) = timers();
    put(
        &mut b,
        &mut h,
        configuration(0),
        ROUTE_20 | INTERRUPT | PERIODIC | SET_VALUE,
    );
    put(&mut b, &mut h, comparator(0), 1);
    put(&mut b, &mut h, CONFIGURATION, ENABLE);
    assert_eq!(b.scheduler.next(), Some(Nanos(1_000)));
}

#[test]
fn comparator_written_in_halves_is_whole() {
    let (mut b, mut h) = timers();
    for (offset, value) in [(0, 0x89AB_CDEF), (4, 0x0123_4567)] {
        h.mmio_write(
            &mut b.ctx(),
            comparator(0) + offset,
            AccessSize::Dword,
            value,
        );
    }
    assert_eq!(get(&mut b, &mut h, comparator(0)), 0x0123_4567_89AB_CDEF);
    h.mmio_write(&mut b.ctx(), comparator(0), AccessSize::Byte, 0);
    assert_eq!(get(&mut b, &mut h, comparator(0)), 0x0123_4567_89AB_CDEF);
}
