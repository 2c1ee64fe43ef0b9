//! Tests of the system control ports.

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

struct SysCtlSubject;

impl Subject for SysCtlSubject {
    type Dev = SysCtl;
    fn build(_b: &mut Bench) -> SysCtl {
        SysCtl::new()
    }
    fn mutate(s: &mut SysCtl, b: &mut Bench) {
        for (offset, value) in [(0, 0x03), (1, 0x0A), (2, 0x77), (3, b'S'), (3, b'h')] {
            b.out(s, offset, value);
        }
    }
    fn access(s: &mut SysCtl, b: &mut Bench, a: Access) {
        pio_access(s, b, a);
    }
    fn deadline(_s: &mut SysCtl, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, SysCtlSubject);

#[test]
fn a20_follows_port_92_without_reset() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    b.out(&mut s, PORT_92, 0);
    assert_eq!((b.memory.a20(), b.inp(&mut s, PORT_92)), (false, 0));
    b.out(&mut s, PORT_92, 0x02);
    assert_eq!((b.memory.a20(), b.inp(&mut s, PORT_92)), (true, 0x02));
    assert_eq!(b.power, None);
}

#[test]
fn port_92_shows_a_line_that_another_moved_and_reset_opens_it() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    assert_eq!(b.inp(&mut s, PORT_92), 0x02);
    b.memory.set_a20(false);
    assert_eq!(b.inp(&mut s, PORT_92), 0);
    s.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!((b.memory.a20(), b.inp(&mut s, PORT_92)), (true, 0x02));
}

#[test]
fn fast_init_asks_for_reset_on_a_rise_only() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    b.out(&mut s, PORT_92, 0x01);
    assert_eq!(b.power.take(), Some(PowerRequest::ResetProcessor));
    b.out(&mut s, PORT_92, 0x01);
    assert_eq!(b.power, None);
}

#[test]
fn reset_control_with_the_type_alone_does_not_reset() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    b.out(&mut s, RESET_CONTROL, 0x02);
    assert_eq!(b.power, None);
    b.out(&mut s, RESET_CONTROL, 0x06);
    assert_eq!(b.power, Some(PowerRequest::Reset));
}

#[test]
fn post_code_is_remembered() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    b.out(&mut s, POST_CODE, 0xAB);
    assert_eq!((s.post_code(), b.inp(&mut s, POST_CODE)), (0xAB, 0xAB));
}

#[test]
fn the_word_switches_off_and_a_wrong_character_begins_anew() {
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    for character in *b"ShutdoSSShutdow" {
        b.out(&mut s, SHUTDOWN, character);
        assert_eq!(b.power, None);
    }
    b.out(&mut s, SHUTDOWN, b'n');
    assert_eq!(b.power.take(), Some(PowerRequest::PowerOff));
    b.out(&mut s, SHUTDOWN, b'n');
    assert_eq!((b.power.take(), b.inp(&mut s, SHUTDOWN)), (None, 0xFF));
}

#[test]
fn state_of_version_1_is_upgraded_and_a_word_too_long_is_refused() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/sysctl-v1.cbor");
    let (mut b, mut s) = (Bench::new(), SysCtl::new());
    let mut payload = s.save().unwrap();
    payload.version = 1;
    payload.bytes = std::fs::read(path).unwrap();
    s.restore(&mut b.ctx(), &payload).unwrap();
    assert_eq!((s.post_code(), s.shutdown), (0x77, 0));

    s.shutdown = 8;
    let beyond = s.save().unwrap();
    assert!(s.restore(&mut b.ctx(), &beyond).is_err());
}
