//! Tests of the serial port.

use std::sync::{Arc, Mutex};

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

/// Keeps what the guest sends.
#[derive(Debug, Default, Clone)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl CharBackend for Tape {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

fn port() -> (Bench, Uart, Tape) {
    let mut b = Bench::new();
    let tape = Tape::default();
    let u = Uart::new("uart.0", b.timer(), IrqLine(4), Box::new(tape.clone()));
    (b, u, tape)
}

/// 115,200 baud 8N1, FIFOs with trigger 8, OUT2, and the interrupts `ier`.
fn opened(ier: u8) -> (Bench, Uart, Tape) {
    let (mut b, mut u, tape) = port();
    for (offset, value) in [
        (3, 0x83),
        (0, 1),
        (1, 0),
        (3, 0x03),
        (2, 0x81),
        (4, 0x0B),
        (1, ier),
    ] {
        b.out(&mut u, offset, value);
    }
    (b, u, tape)
}

struct UartSubject;

impl Subject for UartSubject {
    type Dev = Uart;
    fn build(b: &mut Bench) -> Uart {
        let timer = b.timer();
        Uart::new("uart.0", timer, IrqLine(4), Box::new(vmwb_hw::NullChar))
    }
    fn mutate(u: &mut Uart, b: &mut Bench) {
        for (offset, value) in [(3, 0x83), (0, 3), (1, 1), (3, 0x1B), (2, 0xC1), (4, 0x0B)] {
            b.out(u, offset, value);
        }
        b.out(u, 7, 0x5A);
        b.out(u, 1, 0x0F);
        b.out(u, 0, b'x');
        let _ = u.receive(&mut b.ctx(), b"abc");
        u.receive_break(&mut b.ctx());
    }
    fn access(u: &mut Uart, b: &mut Bench, a: Access) {
        let offered = a.value.to_le_bytes();
        let room = u.room();
        assert_eq!(
            u.receive(&mut b.ctx(), &offered[..usize::from(a.value >> 30 == 3)]),
            usize::from(a.value >> 30 == 3).min(room)
        );
        pio_access(u, b, a);
    }
    fn deadline(u: &mut Uart, b: &mut Bench, timer: TimerId) {
        u.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, UartSubject);

#[test]
fn sent_byte_reaches_the_backend_and_transmitter_stays_empty() {
    let (mut b, mut u, tape) = port();
    b.out(&mut u, 0, b'h');
    b.out(&mut u, 0, b'i');
    assert_eq!(*tape.0.lock().unwrap(), b"hi");
    assert_eq!(b.inp(&mut u, 5), 0x60);
}

#[test]
fn enabling_the_transmitter_interrupt_raises_it_and_iir_clears_it() {
    let (mut b, mut u, _) = opened(0);
    b.out(&mut u, 1, 0x02);
    assert_eq!(b.take_lines(), [(4, true)]);
    assert_eq!(b.inp(&mut u, 2), 0xC2);
    assert_eq!(b.take_lines(), [(4, false)]);
    assert_eq!(b.inp(&mut u, 2), 0xC1);
}

#[test]
fn sending_raises_the_transmitter_interrupt_again() {
    let (mut b, mut u, _) = opened(0x02);
    let _ = b.inp(&mut u, 2);
    b.out(&mut u, 0, b'x');
    assert_eq!(b.inp(&mut u, 2), 0xC2);
}

#[test]
fn interrupt_does_not_depend_on_out2() {
    let (mut b, mut u, _) = opened(0);
    b.out(&mut u, 4, 0x00);
    b.out(&mut u, 1, 0x02);
    assert_eq!(b.take_lines(), [(4, true)]);
}

#[test]
fn received_bytes_at_the_trigger_interrupt_at_once() {
    let (mut b, mut u, _) = opened(0x01);
    assert_eq!(u.receive(&mut b.ctx(), b"12345678"), 8);
    assert_eq!(b.take_lines(), [(4, true)]);
    assert_eq!(b.inp(&mut u, 2), 0xC4);
    assert_eq!(b.inp(&mut u, 0), b'1');
    assert_eq!(b.take_lines(), [(4, false)]);
}

#[test]
fn received_byte_below_the_trigger_interrupts_after_four_characters() {
    let (mut b, mut u, _) = opened(0x01);
    let _ = u.receive(&mut b.ctx(), b"1");
    b.run_for(&mut u, 347_219);
    assert_eq!(b.take_lines(), []);
    b.run_for(&mut u, 2);
    assert_eq!(b.take_lines(), [(4, true)]);
    assert_eq!(b.inp(&mut u, 2), 0xCC);
    assert_eq!((b.inp(&mut u, 0), b.inp(&mut u, 2)), (b'1', 0xC1));
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn full_receiver_takes_no_more() {
    let (mut b, mut u, _) = opened(0);
    assert_eq!(u.receive(&mut b.ctx(), &[7; 40]), 16);
    assert!(!u.wants_input());
    let _ = b.inp(&mut u, 0);
    b.run_for(&mut u, 16 * 86_806);
    assert_eq!(u.room(), 1);
}

#[test]
fn input_comes_no_faster_than_the_line() {
    let (mut b, mut u, _) = opened(0);
    let _ = u.receive(&mut b.ctx(), b"abcd");
    b.run_for(&mut u, 347_219);
    assert_eq!(u.receive(&mut b.ctx(), b"e"), 0);
    b.run_for(&mut u, 2);
    assert_eq!(u.receive(&mut b.ctx(), b"e"), 1);
}

#[test]
fn receiver_without_fifos_takes_one_byte() {
    let (mut b, mut u, _) = port();
    assert_eq!(u.receive(&mut b.ctx(), b"ab"), 1);
    assert_eq!(
        (b.inp(&mut u, 5), b.inp(&mut u, 0), b.inp(&mut u, 5)),
        (0x61, b'a', 0x60)
    );
}

#[test]
fn loopback_overrun_shows_once() {
    let (mut b, mut u, tape) = port();
    b.out(&mut u, 4, 0x10);
    b.out(&mut u, 0, b'a');
    b.out(&mut u, 0, b'b');
    assert_eq!((b.inp(&mut u, 5), b.inp(&mut u, 5)), (0x63, 0x61));
    assert_eq!(b.inp(&mut u, 0), b'a');
    assert!(tape.0.lock().unwrap().is_empty());
}

#[test]
fn loopback_wires_modem_outputs_to_inputs() {
    let (mut b, mut u, _) = port();
    b.out(&mut u, 4, 0x1A);
    assert_eq!(b.inp(&mut u, 6) & 0xF0, 0x90);
}

#[test]
fn modem_changes_are_reported_once() {
    let (mut b, mut u, _) = port();
    b.out(&mut u, 4, 0x10);
    assert_eq!((b.inp(&mut u, 6), b.inp(&mut u, 6)), (0x0B, 0x00));
    b.out(&mut u, 4, 0x14);
    assert_eq!(b.inp(&mut u, 6), 0x40);
    b.out(&mut u, 4, 0x10);
    assert_eq!(b.inp(&mut u, 6), 0x04);
}

#[test]
fn break_is_a_line_status_interrupt_and_a_zero() {
    let (mut b, mut u, _) = opened(0x04);
    u.receive_break(&mut b.ctx());
    assert_eq!(b.inp(&mut u, 2), 0xC6);
    assert_eq!(b.inp(&mut u, 5), 0xF1);
    assert_eq!((b.inp(&mut u, 0), b.inp(&mut u, 5)), (0, 0x60));
}

#[test]
fn divisor_and_scratch_read_back() {
    let (mut b, mut u, _) = port();
    b.out(&mut u, 3, 0x80);
    b.out(&mut u, 0, 0x34);
    b.out(&mut u, 1, 0x12);
    b.out(&mut u, 7, 0xA5);
    assert_eq!(
        (b.inp(&mut u, 0), b.inp(&mut u, 1), b.inp(&mut u, 7)),
        (0x34, 0x12, 0xA5)
    );
}

#[test]
fn toggling_the_fifos_empties_the_receiver() {
    let (mut b, mut u, _) = opened(0x01);
    let _ = u.receive(&mut b.ctx(), b"abc");
    b.out(&mut u, 2, 0);
    assert_eq!((b.inp(&mut u, 5), b.inp(&mut u, 2)), (0x60, 0x01));
    b.run_for(&mut u, 1_000_000);
    assert_eq!((b.scheduler.next(), b.inp(&mut u, 2)), (None, 0x01));
}

#[test]
fn saved_state_with_an_overfull_fifo_is_refused() {
    let (_, u, _) = port();
    let mut v = UartV1::from(&u.state);
    v.rx = vec![0; 17];
    v.rx_breaks = vec![false; 17];
    assert!(State::try_from(v).is_err());
}
