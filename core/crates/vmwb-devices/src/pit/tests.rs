//! Tests of the interval timer.

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

fn timer() -> (Bench, Pit) {
    let mut b = Bench::new();
    let p = Pit::new(b.timer(), IrqLine(0));
    (b, p)
}

/// Moves the clock to `tick` of the input and delivers what is due.
fn at(b: &mut Bench, p: &mut Pit, tick: u64) {
    b.run_until(p, Nanos::at_tick(tick, INPUT_HZ));
}

/// Programs `counter` with control bits `word` (RW, mode, BCD) and the two bytes of `count`.
fn program(b: &mut Bench, p: &mut Pit, counter: u8, word: u8, count: u16) {
    b.out(p, 3, counter << 6 | word);
    let [low, high] = count.to_le_bytes();
    b.out(p, u16::from(counter), low);
    b.out(p, u16::from(counter), high);
}

fn latched(b: &mut Bench, p: &mut Pit, counter: u8) -> u16 {
    b.out(p, 3, counter << 6);
    let low = b.inp(p, u16::from(counter));
    u16::from_le_bytes([low, b.inp(p, u16::from(counter))])
}

/// Ticks at which the interrupt line rises until `end`.
fn rises(b: &mut Bench, p: &mut Pit, end: u64) -> Vec<u64> {
    let mut ticks = Vec::new();
    let _ = b.take_lines();
    while let Some(due) = b.scheduler.next().filter(|due| due.ticks(INPUT_HZ) <= end) {
        b.run_until(p, due);
        ticks.extend(
            b.take_lines()
                .iter()
                .filter(|c| c.1)
                .map(|_| due.ticks(INPUT_HZ)),
        );
    }
    ticks
}

struct PitSubject;

impl Subject for PitSubject {
    type Dev = Pit;
    fn build(b: &mut Bench) -> Pit {
        Pit::new(b.timer(), IrqLine(0))
    }
    fn mutate(p: &mut Pit, b: &mut Bench) {
        b.now = Nanos(5_000_000);
        program(b, p, 0, 0x36, 1001);
        program(b, p, 1, 0x35, 0x1234);
        b.out(p, 4, 3);
        program(b, p, 2, 0x30, 500);
        b.run_until(p, Nanos(7_000_000));
        b.out(p, 4, 2);
        b.out(p, 3, 0xC8);
        b.out(p, 0, 0x10);
        b.out(p, 0, 0x20);
        b.out(p, 2, 0x77);
        let _ = b.inp(p, 1);
    }
    fn access(p: &mut Pit, b: &mut Bench, a: Access) {
        pio_access(p, b, a);
    }
    fn deadline(p: &mut Pit, b: &mut Bench, timer: TimerId) {
        p.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, PitSubject);

#[test]
fn unprogrammed_timer_has_no_deadline() {
    let (mut b, mut p) = timer();
    b.run_for(&mut p, 1_000_000_000);
    assert_eq!((b.scheduler.next(), b.take_lines()), (None, vec![]));
}

#[test]
fn rate_generator_rises_once_a_period_without_drift() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 1193);
    let expected: Vec<u64> = (1..=1000).map(|n| 1 + n * 1193).collect();
    assert_eq!(rises(&mut b, &mut p, 1 + 1000 * 1193), expected);
}

#[test]
fn rate_generator_counts_from_n_to_one() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 3);
    let mut counts = Vec::new();
    for tick in 1..8 {
        at(&mut b, &mut p, tick);
        counts.push(latched(&mut b, &mut p, 0));
    }
    assert_eq!(counts, [3, 2, 1, 3, 2, 1, 3]);
}

#[test]
fn square_wave_of_odd_count_is_high_one_tick_longer() {
    let (mut b, mut p) = timer();
    b.out(&mut p, 4, 1);
    program(&mut b, &mut p, 2, 0x36, 5);
    let mut seen = Vec::new();
    for tick in 1..11 {
        at(&mut b, &mut p, tick);
        seen.push((b.inp(&mut p, 4) & 0x20 != 0, latched(&mut b, &mut p, 2)));
    }
    let period = [(true, 4), (true, 2), (true, 0), (false, 4), (false, 2)];
    assert_eq!(seen, [period, period].concat());
}

#[test]
fn terminal_count_rises_once_and_stays() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x30, 100);
    assert_eq!(rises(&mut b, &mut p, 1_000_000), [101]);
    assert_eq!(b.scheduler.next(), None);
    at(&mut b, &mut p, 102);
    assert_eq!(latched(&mut b, &mut p, 0), 0xFFFF);
}

#[test]
fn software_strobe_rises_one_tick_after_the_count() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x38, 100);
    assert_eq!(rises(&mut b, &mut p, 1_000_000), [102]);
}

#[test]
fn count_of_zero_is_a_full_turn() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 0);
    assert_eq!(rises(&mut b, &mut p, 131_073), [65_537, 131_073]);
}

#[test]
fn new_count_in_rate_mode_waits_for_the_period() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 1000);
    at(&mut b, &mut p, 500);
    b.out(&mut p, 0, 10);
    b.out(&mut p, 0, 0);
    assert_eq!(rises(&mut b, &mut p, 1025), [1001, 1011, 1021]);
}

#[test]
fn new_count_in_square_mode_waits_for_half_the_period() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x36, 1000);
    at(&mut b, &mut p, 100);
    b.out(&mut p, 0, 20);
    b.out(&mut p, 0, 0);
    assert_eq!(rises(&mut b, &mut p, 540), [511, 531]);
}

#[test]
fn first_byte_in_terminal_count_mode_stops_the_count() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x30, 100);
    at(&mut b, &mut p, 50);
    b.out(&mut p, 0, 100);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn late_machine_sees_missed_rises_as_one_edge() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 100);
    let _ = b.take_lines();
    b.now = Nanos::at_tick(950, INPUT_HZ);
    let due = b.scheduler.pop_due(b.now).unwrap();
    p.on_deadline(&mut b.ctx(), due);
    assert_eq!(b.take_lines(), [(0, false), (0, true)]);
    assert_eq!(b.scheduler.next(), Some(Nanos::at_tick(1001, INPUT_HZ)));
}

#[test]
fn gate_of_counter_two_holds_and_resumes_the_count() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 2, 0x30, 100);
    at(&mut b, &mut p, 1000);
    assert_eq!(latched(&mut b, &mut p, 2), 100);
    b.out(&mut p, 4, 1);
    at(&mut b, &mut p, 1099);
    assert_eq!(b.inp(&mut p, 4) & 0x21, 0x01);
    at(&mut b, &mut p, 1100);
    assert_eq!(b.inp(&mut p, 4) & 0x21, 0x21);
}

#[test]
fn gate_starts_the_one_shot() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 2, 0x32, 10);
    assert_eq!(b.inp(&mut p, 4) & 0x20, 0x20);
    b.out(&mut p, 4, 1);
    at(&mut b, &mut p, 10);
    assert_eq!(b.inp(&mut p, 4) & 0x20, 0);
    at(&mut b, &mut p, 11);
    assert_eq!(b.inp(&mut p, 4) & 0x20, 0x20);
}

#[test]
fn read_back_gives_status_then_count() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 1000);
    at(&mut b, &mut p, 1);
    b.out(&mut p, 3, 0xC2);
    assert_eq!(
        (b.inp(&mut p, 0), b.inp(&mut p, 0), b.inp(&mut p, 0)),
        (0xB4, 0xE8, 0x03)
    );
}

#[test]
fn status_before_the_load_has_null_count() {
    let (mut b, mut p) = timer();
    b.out(&mut p, 3, 0x34);
    b.out(&mut p, 3, 0xE2);
    assert_eq!(b.inp(&mut p, 0), 0xF4);
}

#[test]
fn bcd_count_reads_in_decimal() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x35, 0x1000);
    at(&mut b, &mut p, 2);
    assert_eq!(latched(&mut b, &mut p, 0), 0x0999);
}

#[test]
fn latch_holds_until_both_bytes_are_read() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 1000);
    at(&mut b, &mut p, 1);
    b.out(&mut p, 3, 0);
    at(&mut b, &mut p, 501);
    assert_eq!((b.inp(&mut p, 0), b.inp(&mut p, 0)), (0xE8, 0x03));
    assert_eq!(b.inp(&mut p, 0), 0xF4);
}

#[test]
fn single_byte_counts_load_at_once() {
    let (mut b, mut p) = timer();
    b.out(&mut p, 3, 0x24);
    b.out(&mut p, 0, 1);
    at(&mut b, &mut p, 1);
    assert_eq!(b.inp(&mut p, 0), 1);
    assert_eq!(rises(&mut b, &mut p, 257), [257]);
}

#[test]
fn refresh_bit_toggles_with_time() {
    let (mut b, mut p) = timer();
    let before = b.inp(&mut p, 4) & 0x10;
    at(&mut b, &mut p, 18);
    assert_ne!(b.inp(&mut p, 4) & 0x10, before);
}

#[test]
fn speaker_follows_counter_two_when_enabled() {
    let (mut b, mut p) = timer();
    b.out(&mut p, 4, 3);
    program(&mut b, &mut p, 2, 0x36, 100);
    at(&mut b, &mut p, 20);
    assert!(p.speaker(b.now));
    at(&mut b, &mut p, 60);
    assert!(!p.speaker(b.now));
}

#[test]
fn tone_is_the_rate_of_counter_two_while_it_is_let_through() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 2, 0x36, 1193);
    at(&mut b, &mut p, 5);
    let tones = [0, 1, 2, 3].map(|port_b| {
        b.out(&mut p, 4, port_b);
        p.tone_hz(b.now)
    });
    assert_eq!(tones, [None, None, None, Some(1000)]);
    program(&mut b, &mut p, 2, 0x30, 1193);
    assert_eq!(p.tone_hz(b.now), None);
}

#[test]
fn saved_tick_near_the_end_of_numbers_is_refused() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x34, 100);
    let mut v = PitV1::from(&p.state);
    v.served_tick = u64::MAX;
    assert!(State::try_from(v).is_err());
}

#[test]
fn speaker_and_latches_leave_the_interrupt_line_alone() {
    let (mut b, mut p) = timer();
    program(&mut b, &mut p, 0, 0x36, 1000);
    // In the low half of the square wave: a line that fell now would withdraw a request that waits.
    at(&mut b, &mut p, 2_700);
    assert_eq!(b.take_lines().last(), Some(&(0, true)));
    b.out(&mut p, PORT_B, PORT_B_GATE2 | PORT_B_SPEAKER);
    b.out(&mut p, PORT_B, 0);
    let _ = latched(&mut b, &mut p, 0);
    program(&mut b, &mut p, 2, 0xB6, 500);
    assert!(b.take_lines().is_empty());
}
