//! Tests of the 8259A pair.

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

/// Initialized as a PC does: vectors 20h and 28h, ICW4 as given.
fn initialized(icw4: u8) -> (Bench, Pic) {
    let mut b = Bench::new();
    let mut p = Pic::new();
    for (offset, value) in [(0, 0x11), (1, 0x20), (1, 0x04), (1, icw4)] {
        b.out(&mut p, offset, value);
    }
    for (offset, value) in [(2, 0x11), (3, 0x28), (3, 0x02), (3, icw4)] {
        b.out(&mut p, offset, value);
    }
    (b, p)
}

struct PicSubject;

impl Subject for PicSubject {
    type Dev = Pic;
    fn build(_bench: &mut Bench) -> Pic {
        Pic::new()
    }
    fn mutate(p: &mut Pic, b: &mut Bench) {
        for (offset, value) in [
            (0, 0x11),
            (1, 0x20),
            (1, 0x04),
            (1, 0x01),
            (4, 0x20),
            (5, 0x0C),
        ] {
            b.out(p, offset, value);
        }
        for (offset, value) in [
            (2, 0x11),
            (3, 0x28),
            (3, 0x02),
            (3, 0x11),
            (3, 0x40),
            (2, 0x6B),
        ] {
            b.out(p, offset, value);
        }
        p.set_line(1, true);
        let _ = p.acknowledge();
        p.set_line(5, true);
        p.set_line(10, true);
        b.out(p, 0, 0xC3);
        b.out(p, 2, 0x10);
    }
    fn access(p: &mut Pic, b: &mut Bench, a: Access) {
        p.set_line(
            crate::bits::low(a.value >> 16) & 0x1F,
            a.value & 0x8000_0000 != 0,
        );
        pio_access(p, b, a);
        if a.value & 0x4000_0000 != 0 {
            let _ = p.acknowledge();
        }
    }
    fn deadline(_p: &mut Pic, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, PicSubject);

#[test]
fn mask_written_before_initialization_reads_back() {
    let (mut b, mut p) = (Bench::new(), Pic::new());
    b.out(&mut p, 1, 0xFB);
    assert_eq!(b.inp(&mut p, 1), 0xFB);
}

#[test]
fn master_edge_is_acknowledged_with_its_vector() {
    let (_, mut p) = initialized(1);
    p.set_line(0, true);
    assert!(p.output());
    assert_eq!(p.acknowledge(), 0x20);
    assert!(!p.output());
}

#[test]
fn input_that_falls_before_acknowledge_withdraws_its_request() {
    let (mut b, mut p) = initialized(1);
    p.set_line(4, true);
    p.set_line(12, true);
    assert!(p.output());
    p.set_line(4, false);
    p.set_line(12, false);
    b.out(&mut p, MASTER_COMMAND, 0x0A);
    assert_eq!((p.output(), b.inp(&mut p, MASTER_COMMAND)), (false, 0));
    // What the processor has begun to acknowledge is the spurious interrupt.
    assert_eq!((p.acknowledge(), p.master.isr), (0x27, 0));
    p.set_line(4, true);
    assert_eq!(p.acknowledge(), 0x24);
}

#[test]
fn ide_input_that_falls_keeps_its_request() {
    let (_, mut p) = initialized(1);
    p.set_line(14, true);
    p.set_line(14, false);
    assert!(p.output());
    let vector = p.acknowledge();
    assert_eq!((vector & 7, p.slave.isr), (6, 0x40));
}

#[test]
fn slave_input_comes_through_the_cascade() {
    let (mut b, mut p) = initialized(1);
    p.set_line(8, true);
    assert_eq!(p.acknowledge(), 0x28);
    b.out(&mut p, 0, 0x0B);
    b.out(&mut p, 2, 0x0B);
    assert_eq!((b.inp(&mut p, 0), b.inp(&mut p, 2)), (0x04, 0x01));
}

#[test]
fn lower_priority_waits_for_end_of_interrupt() {
    let (mut b, mut p) = initialized(1);
    p.set_line(3, true);
    let _ = p.acknowledge();
    p.set_line(4, true);
    assert!(!p.output());
    b.out(&mut p, 0, 0x20);
    assert_eq!(p.acknowledge(), 0x24);
}

#[test]
fn higher_priority_interrupts_a_service() {
    let (_, mut p) = initialized(1);
    p.set_line(4, true);
    let _ = p.acknowledge();
    p.set_line(1, true);
    assert_eq!(p.acknowledge(), 0x21);
}

#[test]
fn masked_input_waits_until_it_is_unmasked() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 1, 0x10);
    p.set_line(4, true);
    assert!(!p.output());
    b.out(&mut p, 1, 0);
    assert!(p.output());
}

#[test]
fn level_input_requests_again_after_end_of_interrupt() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 4, 0x20);
    p.set_line(5, true);
    let _ = p.acknowledge();
    b.out(&mut p, 0, 0x65);
    assert_eq!(p.acknowledge(), 0x25);
    b.out(&mut p, 0, 0x65);
    p.set_line(5, false);
    assert!(!p.output());
}

#[test]
fn edge_input_held_high_requests_once() {
    let (mut b, mut p) = initialized(1);
    p.set_line(5, true);
    let _ = p.acknowledge();
    b.out(&mut p, 0, 0x65);
    p.set_line(5, true);
    assert!(!p.output());
}

#[test]
fn acknowledge_without_request_gives_spurious_seven() {
    let (mut b, mut p) = initialized(1);
    assert_eq!(p.acknowledge(), 0x27);
    b.out(&mut p, 0, 0x0B);
    assert_eq!(b.inp(&mut p, 0), 0);
}

#[test]
fn elcr_fixed_inputs_stay_edge_triggered() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 4, 0xFF);
    b.out(&mut p, 5, 0xFF);
    assert_eq!((b.inp(&mut p, 4), b.inp(&mut p, 5)), (0xF8, 0xDE));
}

#[test]
fn automatic_eoi_leaves_nothing_in_service() {
    let (_, mut p) = initialized(3);
    p.set_line(6, true);
    let _ = p.acknowledge();
    p.set_line(7, true);
    assert_eq!(p.acknowledge(), 0x27);
}

#[test]
fn rotation_on_eoi_makes_the_served_input_lowest() {
    let (mut b, mut p) = initialized(1);
    p.set_line(3, true);
    let _ = p.acknowledge();
    b.out(&mut p, 0, 0xA0);
    p.set_line(1, true);
    p.set_line(4, true);
    assert_eq!(p.acknowledge(), 0x24);
}

#[test]
fn set_priority_gives_the_next_input_the_highest() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 0, 0xC0 | 5);
    p.set_line(0, true);
    p.set_line(6, true);
    assert_eq!(p.acknowledge(), 0x26);
}

#[test]
fn special_mask_lets_lower_priorities_through() {
    let (mut b, mut p) = initialized(1);
    p.set_line(1, true);
    let _ = p.acknowledge();
    b.out(&mut p, 1, 0x02);
    b.out(&mut p, 0, 0x68);
    p.set_line(6, true);
    assert_eq!(p.acknowledge(), 0x26);
}

#[test]
fn fully_nested_master_takes_a_higher_slave_input_during_service() {
    let (_, mut p) = initialized(0x11);
    p.set_line(12, true);
    let _ = p.acknowledge();
    p.set_line(9, true);
    assert_eq!(p.acknowledge(), 0x29);
}

#[test]
fn nested_slave_input_waits_without_special_fully_nested_mode() {
    let (_, mut p) = initialized(1);
    p.set_line(12, true);
    let _ = p.acknowledge();
    p.set_line(9, true);
    assert!(!p.output());
}

#[test]
fn poll_reads_the_input_and_serves_it() {
    let (mut b, mut p) = initialized(1);
    p.set_line(3, true);
    b.out(&mut p, 0, 0x0C);
    assert_eq!(b.inp(&mut p, 0), 0x83);
    b.out(&mut p, 0, 0x0B);
    assert_eq!(b.inp(&mut p, 0), 0x08);
}

#[test]
fn poll_without_a_request_reads_as_input_7_and_serves_nothing() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 0, 0x0C);
    assert_eq!(b.inp(&mut p, 0), 0x07);
    p.set_line(6, true);
    b.out(&mut p, 1, 0x40);
    b.out(&mut p, 0, 0x0C);
    assert_eq!(b.inp(&mut p, 0), 0x07);
    b.out(&mut p, 0, 0x0B);
    assert_eq!(b.inp(&mut p, 0), 0);
    b.out(&mut p, 1, 0);
    b.out(&mut p, 0, 0x0C);
    assert_eq!(b.inp(&mut p, 0), 0x86);
}

#[test]
fn initialization_under_way_requests_nothing() {
    let (mut b, mut p) = initialized(1);
    b.out(&mut p, 0, 0x11);
    p.set_line(0, true);
    assert!(!p.output());
}

#[test]
fn saved_vector_base_off_alignment_is_refused() {
    let mut v = PicV1::from(&Pic::new());
    v.slave.base = 0x29;
    assert!(Pic::try_from(v).is_err());
}
