//! Tests of the absolute pointer.

use proptest::prelude::*;
use vmwb_hw::TimerId;

use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;

/// A call as a driver makes it: what the six registers hold afterwards.
fn call(m: &mut VmMouse, command: u32, argument: u32) -> [u32; 6] {
    let mut registers = [MAGIC, argument, command, u32::from(regs::PORT), 0, 0];
    let _ = m.backdoor(&mut registers);
    registers
}

/// A pointer switched on as Linux does it.
fn listening() -> VmMouse {
    let mut m = VmMouse::new();
    call(&mut m, POINTER_COMMAND, ENABLE);
    call(&mut m, POINTER_DATA, 1);
    call(&mut m, POINTER_RESTRICT, 1);
    call(&mut m, POINTER_COMMAND, REQUEST_ABSOLUTE);
    m
}

struct VmMouseSubject;

impl Subject for VmMouseSubject {
    type Dev = VmMouse;
    fn build(_b: &mut Bench) -> VmMouse {
        VmMouse::new()
    }
    fn mutate(m: &mut VmMouse, _b: &mut Bench) {
        *m = listening();
        m.position(1, 2, 0, 1);
        m.movement(3, 4, 5, 2);
        call(m, POINTER_DATA, 2);
    }
    fn access(m: &mut VmMouse, _b: &mut Bench, a: Access) {
        let [kind, x, wheel, buttons] = a.value.to_le_bytes();
        match kind & 7 {
            0 => drop(m.position(x.into(), a.offset, i32::from(wheel) - 128, buttons)),
            1 => drop(m.movement(x.into(), -7, i32::from(wheel), buttons)),
            2 => drop(call(m, POINTER_COMMAND, ENABLE)),
            3 => drop(call(m, POINTER_COMMAND, REQUEST_ABSOLUTE)),
            4 => drop(call(m, POINTER_DATA, u32::from(x & 7))),
            _ => drop(call(m, u32::from(a.offset), a.value)),
        }
        assert!(m.queue.len() <= MAX_PACKETS * PACKET_WORDS);
    }
    fn deadline(_m: &mut VmMouse, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, VmMouseSubject);

#[test]
fn version_is_found_by_the_magic() {
    let answer = call(&mut VmMouse::new(), GET_VERSION, 0);
    assert_eq!(answer[..3], [6, MAGIC, 4]);
}

#[test]
fn enable_puts_the_version_into_the_queue() {
    let mut m = VmMouse::new();
    assert_eq!(call(&mut m, POINTER_STATUS, 0)[EAX], STATUS_ERROR);
    call(&mut m, POINTER_COMMAND, ENABLE);
    assert_eq!(call(&mut m, POINTER_STATUS, 0)[EAX], 1);
    assert_eq!(call(&mut m, POINTER_DATA, 1)[EAX], POINTER_VERSION);
    assert!(m.enabled() && !m.absolute());
}

#[test]
fn position_is_one_packet_with_its_buttons() {
    let mut m = listening();
    assert!(m.position(0x1234, 0xFFFF, 1, 0b101));
    assert_eq!(call(&mut m, POINTER_STATUS, 0)[EAX], 4);
    let packet = call(&mut m, POINTER_DATA, 4);
    assert_eq!(packet[..4], [LEFT | MIDDLE, 0x1234, 0xFFFF, u32::MAX]);
}

#[test]
fn positions_that_wait_give_way_to_the_newest() {
    let mut m = listening();
    m.position(1, 1, 0, 0);
    m.position(2, 2, 0, 0);
    m.position(2, 2, 0, 1);
    m.position(3, 3, 0, 1);
    assert_eq!(m.queue, [0, 2, 2, 0, LEFT, 3, 3, 0]);
}

#[test]
fn movement_is_marked_and_counts_upwards() {
    let mut m = listening();
    assert!(m.movement(-1, 5, 0, 2));
    let expected = [RIGHT | RELATIVE, u32::MAX, u32::MAX - 4, 0];
    assert_eq!(call(&mut m, POINTER_DATA, 4)[..4], expected);
}

#[test]
fn pointer_without_a_driver_queues_nothing() {
    let mut m = VmMouse::new();
    assert!(!m.position(1, 1, 0, 0) && !m.movement(1, 1, 0, 0));
    assert!(m.queue.is_empty());
}

#[test]
fn reading_more_than_there_is_switches_off_with_an_error() {
    let wrong = [0, 5, 7, u32::MAX];
    assert!(wrong.iter().all(|&words| {
        let mut m = listening();
        m.position(1, 1, 0, 0);
        call(&mut m, POINTER_DATA, words);
        call(&mut m, POINTER_STATUS, 0)[EAX] == STATUS_ERROR
    }));
}

#[test]
fn flood_of_clicks_stays_within_the_queue() {
    let mut m = listening();
    for n in 0..200u8 {
        m.position(u16::from(n), 0, 0, n & 1);
    }
    assert_eq!(call(&mut m, POINTER_STATUS, 0)[EAX], 256);
}

#[test]
fn unknown_command_answers_ones_and_leaves_the_rest() {
    let answer = call(&mut listening(), 30, 77);
    assert_eq!(answer, [UNKNOWN, 77, 30, 0x5658, 0, 0]);
}

proptest! {
    #[test]
    fn random_calls_stay_within_bounds(
        calls in prop::collection::vec((0u32..100, any::<u32>(), any::<u8>()), 1..200),
    ) {
        let mut m = listening();
        for (command, argument, buttons) in calls {
            call(&mut m, command, argument & if buttons & 1 == 0 { 7 } else { u32::MAX });
            m.position(1, 2, i32::MIN, buttons);
            m.movement(i32::MIN, i32::MIN, i32::MAX, buttons);
            prop_assert!(m.queue.len() <= MAX_PACKETS * PACKET_WORDS);
        }
    }
}

#[test]
fn packet_that_a_driver_leaves_is_told() {
    let mut m = listening();
    m.position(1, 1, 0, 1);
    m.position(1, 1, 0, 0);
    let mut fetch = || m.backdoor(&mut [MAGIC, 4, POINTER_DATA, u32::from(regs::PORT), 0, 0]);
    assert_eq!([fetch(), fetch()], [true, false]);
}
