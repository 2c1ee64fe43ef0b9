//! Tests of the coprocessor error latch.

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

struct CoprocessorSubject;

impl Subject for CoprocessorSubject {
    type Dev = Coprocessor;
    fn build(_b: &mut Bench) -> Coprocessor {
        Coprocessor::new(IrqLine(13))
    }
    fn mutate(c: &mut Coprocessor, b: &mut Bench) {
        c.set_error(&mut b.ctx(), true);
        b.out(c, 0, 0);
    }
    fn access(c: &mut Coprocessor, b: &mut Bench, a: Access) {
        pio_access(c, b, a);
    }
    fn deadline(_c: &mut Coprocessor, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, CoprocessorSubject);

#[test]
fn error_is_held_until_f0_is_written_and_ignored_until_it_goes() {
    let (mut b, mut c) = (Bench::new(), Coprocessor::new(IrqLine(13)));
    assert!(!c.set_error(&mut b.ctx(), true));
    assert!(!c.set_error(&mut b.ctx(), true));
    assert_eq!(b.take_lines(), [(13, true)]);
    b.out(&mut c, 0, 0);
    assert_eq!(b.take_lines(), [(13, false)]);
    assert!(c.set_error(&mut b.ctx(), true));
    assert!(!c.set_error(&mut b.ctx(), false));
    assert_eq!(b.take_lines(), []);
    assert!(!c.set_error(&mut b.ctx(), true));
    assert_eq!(b.take_lines(), [(13, true)]);
}

#[test]
fn error_that_goes_by_itself_releases_the_line() {
    let (mut b, mut c) = (Bench::new(), Coprocessor::new(IrqLine(13)));
    c.set_error(&mut b.ctx(), true);
    c.set_error(&mut b.ctx(), false);
    assert_eq!(b.take_lines(), [(13, true), (13, false)]);
}

#[test]
fn write_without_an_error_does_nothing() {
    let (mut b, mut c) = (Bench::new(), Coprocessor::new(IrqLine(13)));
    b.out(&mut c, 0, 0);
    assert_eq!(b.take_lines(), []);
    assert!(!c.set_error(&mut b.ctx(), true));
}
