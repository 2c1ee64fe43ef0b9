//! Tests of the keyboard controller with keyboard and mouse.

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

fn controller() -> (Bench, I8042) {
    let mut b = Bench::new();
    let k = I8042::new(b.timer(), IrqLine(1), IrqLine(12));
    (b, k)
}

/// Everything that waits, read as a driver does that waits for scan codes.
fn read_all(b: &mut Bench, k: &mut I8042) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        while b.inp(k, STATUS_COMMAND) & STATUS_OBF != 0 {
            bytes.push(b.inp(k, DATA));
        }
        let Some(due) = k.state.scan_code_due(b.now) else {
            return bytes;
        };
        b.run_until(k, due);
    }
}

fn keyboard(b: &mut Bench, k: &mut I8042, bytes: &[u8]) -> Vec<u8> {
    let mut answers = Vec::new();
    for &byte in bytes {
        b.out(k, DATA, byte);
        answers.extend(read_all(b, k));
    }
    answers
}

fn mouse(b: &mut Bench, k: &mut I8042, bytes: &[u8]) -> Vec<u8> {
    let mut answers = Vec::new();
    for &byte in bytes {
        b.out(k, STATUS_COMMAND, command::WRITE_AUX);
        b.out(k, DATA, byte);
        answers.extend(read_all(b, k));
    }
    answers
}

/// What the guest reads when the key goes down, and when it comes up.
fn stroke(b: &mut Bench, k: &mut I8042, code: u16) -> [Vec<u8>; 2] {
    [true, false].map(|down| {
        k.key(&mut b.ctx(), code, down);
        read_all(b, k)
    })
}

struct I8042Subject;

impl Subject for I8042Subject {
    type Dev = I8042;
    fn build(b: &mut Bench) -> I8042 {
        I8042::new(b.timer(), IrqLine(1), IrqLine(12))
    }
    fn mutate(k: &mut I8042, b: &mut Bench) {
        b.out(k, STATUS_COMMAND, 0x60);
        b.out(k, DATA, 0x47);
        let _ = mouse(b, k, &[0xE8, 1, 0xF3, 200, 0xF3, 100, 0xF3, 80, 0xF4]);
        let _ = keyboard(b, k, &[0xED, 5]);
        k.pointer_motion(&mut b.ctx(), 700, -20, 3, 1);
        k.key(&mut b.ctx(), 0x1D, true);
        k.key(&mut b.ctx(), 0xE048, true);
        b.out(k, STATUS_COMMAND, 0xD0);
        b.out(k, STATUS_COMMAND, 0xDD);
        b.out(k, STATUS_COMMAND, 0xD3);
    }
    fn access(k: &mut I8042, b: &mut Bench, a: Access) {
        let [_, code, prefix, choice] = a.value.to_le_bytes();
        let code = u16::from(code & 0x7F) | if prefix & 1 != 0 { 0xE000 } else { 0 };
        let (dx, dy) = (i32::from(prefix) - 100, i32::from(choice) * 40);
        // Address line 20 is the memory's, which no copy of the device has.
        b.memory.set_a20(true);
        match choice & 3 {
            0 => k.key(&mut b.ctx(), code, prefix & 2 != 0),
            1 => k.pointer_motion(&mut b.ctx(), dx, dy, dx & 3, prefix),
            2 => k.pointer_nudge(&mut b.ctx()),
            _ => {}
        }
        let offset = if a.offset < 8 { a.offset & 4 } else { a.offset };
        pio_access(k, b, Access { offset, ..a });
        assert!(k.state.keyboard.scan.len() <= 17 && k.state.keyboard.replies.len() <= 4);
        assert!(k.state.mouse.queue.len() <= 16);
    }
    fn deadline(k: &mut I8042, b: &mut Bench, timer: TimerId) {
        k.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(conforms, I8042Subject);

#[test]
fn key_is_translated_to_set_1_and_interrupts_for_each_byte() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0xE048, true);
    assert_eq!(b.take_lines(), [(1, true)]);
    assert_eq!(b.inp(&mut k, STATUS_COMMAND), 0x15);
    assert_eq!(b.inp(&mut k, DATA), 0xE0);
    assert_eq!(b.take_lines(), [(1, false)]);
    b.run_for(&mut k, SCAN_CODE_NS);
    assert_eq!(b.take_lines(), [(1, true)]);
    assert_eq!(b.inp(&mut k, DATA), 0x48);
    assert_eq!(b.take_lines(), [(1, false)]);
    assert_eq!(b.inp(&mut k, STATUS_COMMAND), 0x14);
}

#[test]
fn scan_code_reads_again_until_the_next_one_arrives() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0xE048, true);
    let read = [0; 2].map(|_: u8| b.inp(&mut k, DATA));
    b.run_for(&mut k, SCAN_CODE_NS - 1);
    assert_eq!((read, b.inp(&mut k, DATA)), ([0xE0; 2], 0xE0));
    b.run_for(&mut k, 1);
    assert_eq!(b.inp(&mut k, DATA), 0x48);
}

#[test]
fn answer_of_the_keyboard_does_not_wait_for_the_wire() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0x1E, true);
    assert_eq!(b.inp(&mut k, DATA), 0x1E);
    b.out(&mut k, DATA, 0xF2);
    assert_eq!([0; 3].map(|_: u8| b.inp(&mut k, DATA)), [0xFA, 0xAB, 0x41]);
}

#[test]
fn system_flag_stays_when_a_command_byte_leaves_it_out() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0x60);
    b.out(&mut k, DATA, 0x61);
    b.out(&mut k, STATUS_COMMAND, 0x20);
    let status = b.inp(&mut k, STATUS_COMMAND);
    assert_eq!(
        (status & STATUS_SYS, b.inp(&mut k, DATA)),
        (STATUS_SYS, 0x61)
    );
}

#[test]
fn key_up_is_the_make_code_with_bit_seven() {
    let (mut b, mut k) = controller();
    assert_eq!(stroke(&mut b, &mut k, 0x1E), [vec![0x1E], vec![0x9E]]);
    assert_eq!(stroke(&mut b, &mut k, 0x41), [vec![0x41], vec![0xC1]]);
    assert_eq!(
        stroke(&mut b, &mut k, 0xE01D),
        [vec![0xE0, 0x1D], vec![0xE0, 0x9D]]
    );
}

#[test]
fn key_without_translation_is_set_2() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0x60);
    b.out(&mut k, DATA, 0x05);
    assert_eq!(stroke(&mut b, &mut k, 0x1E), [vec![0x1C], vec![0xF0, 0x1C]]);
    assert_eq!(
        stroke(&mut b, &mut k, 0xE048),
        [vec![0xE0, 0x75], vec![0xE0, 0xF0, 0x75]]
    );
}

#[test]
fn key_in_set_3_has_one_code_without_prefix() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0x60);
    b.out(&mut k, DATA, 0x05);
    assert_eq!(keyboard(&mut b, &mut k, &[0xF0, 3]), [0xFA, 0xFA]);
    assert_eq!(
        stroke(&mut b, &mut k, 0xE048),
        [vec![0x63], vec![0xF0, 0x63]]
    );
    assert_eq!(keyboard(&mut b, &mut k, &[0xF0, 0]), [0xFA, 0xFA, 3]);
}

#[test]
fn pause_sends_everything_when_it_goes_down() {
    let (mut b, mut k) = controller();
    let expected = [vec![0xE1, 0x1D, 0x45, 0xE1, 0x9D, 0xC5], vec![]];
    assert_eq!(stroke(&mut b, &mut k, 0xE046), expected);
}

#[test]
fn pause_with_control_is_break() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0x1D, true);
    let _ = read_all(&mut b, &mut k);
    assert_eq!(
        stroke(&mut b, &mut k, 0xE11D),
        [vec![0xE0, 0x46, 0xE0, 0xC6], vec![]]
    );
}

#[test]
fn print_screen_brings_a_shift_of_its_own() {
    let (mut b, mut k) = controller();
    let expected = [vec![0xE0, 0x2A, 0xE0, 0x37], vec![0xE0, 0xB7, 0xE0, 0xAA]];
    assert_eq!(stroke(&mut b, &mut k, 0xE037), expected);
}

#[test]
fn print_screen_with_alt_is_sysrq_until_it_comes_up() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0x38, true);
    k.key(&mut b.ctx(), 0xE037, true);
    k.key(&mut b.ctx(), 0x38, false);
    k.key(&mut b.ctx(), 0xE037, false);
    assert_eq!(read_all(&mut b, &mut k), [0x38, 0x54, 0xB8, 0xD4]);
}

#[test]
fn overfull_buffer_ends_with_one_overrun_code() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, command::KBD_OFF);
    for code in 0x10..0x40 {
        k.key(&mut b.ctx(), code, true);
    }
    assert!(!k.wants_keys());
    b.out(&mut k, STATUS_COMMAND, command::KBD_ON);
    let bytes = read_all(&mut b, &mut k);
    assert_eq!((bytes.len(), bytes[16]), (17, 0xFF));
}

#[test]
fn keyboard_answers_identify_echo_and_reset() {
    let (mut b, mut k) = controller();
    assert_eq!(keyboard(&mut b, &mut k, &[0xF2]), [0xFA, 0xAB, 0x41]);
    assert_eq!(keyboard(&mut b, &mut k, &[0xEE]), [0xEE]);
    assert_eq!(keyboard(&mut b, &mut k, &[0xFF]), [0xFA, 0xAA]);
    assert_eq!(keyboard(&mut b, &mut k, &[0x01]), [0xFE]);
    assert_eq!(keyboard(&mut b, &mut k, &[0xFE]), [0xAA]);
}

#[test]
fn keyboard_lights_follow_their_command() {
    let (mut b, mut k) = controller();
    assert_eq!(keyboard(&mut b, &mut k, &[0xED, 0x07]), [0xFA, 0xFA]);
    assert_eq!(k.leds(), 7);
}

#[test]
fn disabled_keyboard_drops_keys() {
    let (mut b, mut k) = controller();
    assert_eq!(keyboard(&mut b, &mut k, &[0xF5]), [0xFA]);
    assert_eq!(stroke(&mut b, &mut k, 0x1E), [Vec::<u8>::new(), Vec::new()]);
    assert_eq!(keyboard(&mut b, &mut k, &[0xF4]), [0xFA]);
    assert_eq!(stroke(&mut b, &mut k, 0x1E), [vec![0x1E], vec![0x9E]]);
}

#[test]
fn controller_answers_its_tests_and_command_byte() {
    let (mut b, mut k) = controller();
    let asked = [0xAA, 0xAB, 0xA9, 0x20, 0xC0, 0xD0, 0xE0, 0xA4].map(|command| {
        b.out(&mut k, STATUS_COMMAND, command);
        b.inp(&mut k, DATA)
    });
    assert_eq!(asked, [0x55, 0x00, 0x00, 0x65, 0x80, 0xC3, 0x03, 0xF1]);
}

#[test]
fn controller_answer_goes_before_an_acknowledgement_that_nobody_fetched() {
    // AlgorithMan's "Write your own operating system", the drivers of keyboard and mouse, whose init reads without a look.
    let (mut b, mut k) = controller();
    b.out(&mut k, DATA, 0xF4);
    b.out(&mut k, STATUS_COMMAND, 0xA8);
    b.out(&mut k, STATUS_COMMAND, 0x20);
    let mode = b.inp(&mut k, DATA);
    b.out(&mut k, STATUS_COMMAND, 0x60);
    b.out(&mut k, DATA, mode | MODE_AUX_INT);
    b.out(&mut k, STATUS_COMMAND, 0xD4);
    b.out(&mut k, DATA, 0xF4);
    let answer = b.inp(&mut k, DATA);
    assert_eq!((mode, answer), (0x45, 0xFA));
    assert!(read_all(&mut b, &mut k).is_empty());
}

#[test]
fn scan_code_comes_again_after_an_answer_of_the_controller() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0xE048, true);
    b.out(&mut k, STATUS_COMMAND, 0xD0);
    let port = b.inp(&mut k, DATA);
    let _ = b.take_lines();
    assert_eq!((port, read_all(&mut b, &mut k)), (0xD3, vec![0xE0, 0x48]));
    let edges = [(1, false), (1, true), (1, false)];
    assert_eq!(b.take_lines(), edges);
}

#[test]
fn mouse_report_keeps_its_order_around_an_answer_of_the_controller() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF4]);
    k.pointer_motion(&mut b.ctx(), 3, 0, 0, 0);
    b.out(&mut k, STATUS_COMMAND, 0x20);
    let mode = b.inp(&mut k, DATA);
    let back = b.inp(&mut k, STATUS_COMMAND) & STATUS_AUX;
    assert_eq!((mode, back), (0x45, STATUS_AUX));
    assert_eq!(read_all(&mut b, &mut k), [8, 3, 0]);
}

#[test]
fn aux_loop_comes_back_as_the_mouses_byte() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0xD3);
    b.out(&mut k, DATA, 0x5A);
    assert_eq!(b.inp(&mut k, STATUS_COMMAND) & 0x21, 0x21);
    assert_eq!(b.inp(&mut k, DATA), 0x5A);
}

#[test]
fn aux_interface_switches_show_in_the_command_byte() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0xA8);
    b.out(&mut k, STATUS_COMMAND, 0x20);
    assert_eq!(b.inp(&mut k, DATA) & 0x20, 0);
    b.out(&mut k, STATUS_COMMAND, 0xA7);
    b.out(&mut k, STATUS_COMMAND, 0x20);
    assert_eq!(b.inp(&mut k, DATA) & 0x20, 0x20);
}

#[test]
fn reset_pulse_and_output_port_ask_for_reset() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0xFF);
    assert_eq!(b.power, None);
    b.out(&mut k, STATUS_COMMAND, 0xFE);
    assert_eq!(b.power.take(), Some(PowerRequest::ResetProcessor));
    b.out(&mut k, STATUS_COMMAND, 0xD1);
    b.out(&mut k, DATA, 0xDE);
    assert_eq!(b.power, Some(PowerRequest::ResetProcessor));
}

#[test]
fn address_line_20_follows_the_output_port() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0xD1);
    b.out(&mut k, DATA, 0xDD);
    assert!(!b.memory.a20());
    b.out(&mut k, STATUS_COMMAND, 0xD1);
    b.out(&mut k, DATA, 0xDF);
    assert!(b.memory.a20());
}

#[test]
fn mouse_answers_reset_identify_and_status() {
    let (mut b, mut k) = controller();
    assert_eq!(mouse(&mut b, &mut k, &[0xFF]), [0xFA, 0xAA, 0x00]);
    assert_eq!(mouse(&mut b, &mut k, &[0xF2]), [0xFA, 0x00]);
    assert_eq!(mouse(&mut b, &mut k, &[0xE8, 3, 0xF3, 200]), [0xFA; 4]);
    assert_eq!(mouse(&mut b, &mut k, &[0xE9]), [0xFA, 0x00, 3, 200]);
}

#[test]
fn mouse_reports_movement_and_buttons_with_its_interrupt() {
    let (mut b, mut k) = controller();
    b.out(&mut k, STATUS_COMMAND, 0x60);
    b.out(&mut k, DATA, 0x47);
    assert_eq!(mouse(&mut b, &mut k, &[0xF4]), [0xFA]);
    let _ = b.take_lines();
    k.pointer_motion(&mut b.ctx(), 5, 3, 0, 1);
    assert_eq!(b.take_lines(), [(12, true)]);
    assert_eq!(read_all(&mut b, &mut k), [0x29, 0x05, 0xFD]);
}

#[test]
fn mouse_movement_beyond_one_report_follows_in_the_next() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF4]);
    k.pointer_motion(&mut b.ctx(), -300, 0, 0, 0);
    assert_eq!(read_all(&mut b, &mut k), [0x18, 0x01, 0x00]);
    b.run_for(&mut k, 9_999_999);
    assert!(read_all(&mut b, &mut k).is_empty());
    b.run_for(&mut k, 1);
    assert_eq!(read_all(&mut b, &mut k), [0x18, 0xD3, 0x00]);
}

#[test]
fn mouse_click_while_a_report_waits_is_not_lost() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF4]);
    k.pointer_motion(&mut b.ctx(), 1, 0, 0, 0);
    k.pointer_motion(&mut b.ctx(), 0, 0, 0, 1);
    k.pointer_motion(&mut b.ctx(), 0, 0, 0, 0);
    assert_eq!(read_all(&mut b, &mut k), [8, 1, 0, 9, 0, 0, 8, 0, 0]);
}

#[test]
fn mouse_in_remote_mode_reports_when_asked() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF4, 0xF0]);
    k.pointer_motion(&mut b.ctx(), 2, 0, 0, 0);
    assert!(read_all(&mut b, &mut k).is_empty());
    assert_eq!(mouse(&mut b, &mut k, &[0xEB]), [0xFA, 0x08, 2, 0]);
}

#[test]
fn mouse_in_wrap_mode_sends_bytes_back() {
    let (mut b, mut k) = controller();
    assert_eq!(
        mouse(&mut b, &mut k, &[0xEE, 0x12, 0xF4, 0xEC, 0xF2]),
        [0xFA, 0x12, 0xF4, 0xFA, 0xFA, 0]
    );
}

#[test]
fn saved_buffer_longer_than_the_keyboards_is_refused() {
    let (_, k) = controller();
    let mut v = I8042V1::from(&k.state);
    v.keyboard.scan = vec![0; 18];
    assert!(State::try_from(v).is_err());
}

#[test]
fn held_key_repeats_after_the_delay_at_the_rate_of_the_guest() {
    let (mut b, mut k) = controller();
    let _ = keyboard(&mut b, &mut k, &[0xF3, 0x00]);
    b.run_for(&mut k, SCAN_CODE_NS);
    k.key(&mut b.ctx(), 0x1E, true);
    assert_eq!(read_all(&mut b, &mut k), [0x1E]);
    b.run_for(&mut k, 249_999_999);
    assert!(read_all(&mut b, &mut k).is_empty());
    b.run_for(&mut k, 1);
    assert_eq!(read_all(&mut b, &mut k), [0x1E]);
    b.run_for(&mut k, 8 * 4_170_000);
    assert_eq!(read_all(&mut b, &mut k), [0x1E]);
    k.key(&mut b.ctx(), 0x1E, false);
    b.run_for(&mut k, 2_000_000_000);
    assert_eq!(read_all(&mut b, &mut k), [0x9E]);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn held_key_is_not_pressed_again_by_the_hosts_repeats() {
    let (mut b, mut k) = controller();
    for _ in 0..5 {
        k.key(&mut b.ctx(), 0x1E, true);
    }
    assert_eq!(read_all(&mut b, &mut k), [0x1E]);
}

#[test]
fn held_key_that_nobody_reads_repeats_only_into_an_empty_buffer() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0xE048, true);
    b.run_for(&mut k, 60_000_000_000);
    assert_eq!(read_all(&mut b, &mut k), [0xE0, 0x48]);
}

#[test]
fn last_key_pressed_repeats_and_stops_with_its_own_release() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0x1E, true);
    k.key(&mut b.ctx(), 0x30, true);
    k.key(&mut b.ctx(), 0x1E, false);
    let _ = read_all(&mut b, &mut k);
    b.run_for(&mut k, 500_000_000);
    assert_eq!(read_all(&mut b, &mut k), [0x30]);
}

#[test]
fn pause_does_not_repeat() {
    let (mut b, mut k) = controller();
    k.key(&mut b.ctx(), 0xE046, true);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn mouse_after_the_wheel_knock_sends_four_bytes() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF3, 200, 0xF3, 100, 0xF3, 80]);
    assert_eq!(mouse(&mut b, &mut k, &[0xF2]), [0xFA, 0x03]);
    let _ = mouse(&mut b, &mut k, &[0xF4]);
    k.pointer_motion(&mut b.ctx(), 1, 0, 1, 0x08);
    assert_eq!(read_all(&mut b, &mut k), [0x08, 1, 0, 0xFF]);
    assert_eq!(mouse(&mut b, &mut k, &[0xFF]), [0xFA, 0xAA, 0]);
    assert_eq!(mouse(&mut b, &mut k, &[0xF2]), [0xFA, 0]);
}

#[test]
fn mouse_after_the_explorer_knock_has_five_buttons() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF3, 200, 0xF3, 200, 0xF3, 80, 0xF4]);
    k.pointer_motion(&mut b.ctx(), 0, 0, -9, 0x18);
    assert_eq!(read_all(&mut b, &mut k), [0x08, 0, 0, 0x37]);
    b.run_for(&mut k, 12_500_000);
    assert_eq!(read_all(&mut b, &mut k), [0x08, 0, 0, 0x32]);
}

#[test]
fn mouse_scaled_two_to_one_moves_further_when_fast() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xE7, 0xF4]);
    k.pointer_motion(&mut b.ctx(), 5, -20, 0, 0);
    assert_eq!(read_all(&mut b, &mut k), [0x08, 9, 40]);
}

#[test]
fn mouse_click_is_reported_before_the_sample_rate_allows_movement() {
    let (mut b, mut k) = controller();
    let _ = mouse(&mut b, &mut k, &[0xF3, 10, 0xF4]);
    k.pointer_motion(&mut b.ctx(), 1, 0, 0, 0);
    k.pointer_motion(&mut b.ctx(), 1, 0, 0, 0);
    assert_eq!(read_all(&mut b, &mut k), [8, 1, 0]);
    k.pointer_motion(&mut b.ctx(), 0, 0, 0, 1);
    assert_eq!(read_all(&mut b, &mut k), [9, 1, 0]);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn mouse_nudged_reports_without_a_change_only_to_a_listener() {
    let (mut b, mut k) = controller();
    k.pointer_nudge(&mut b.ctx());
    assert!(read_all(&mut b, &mut k).is_empty());
    let _ = mouse(&mut b, &mut k, &[0xF4]);
    k.pointer_nudge(&mut b.ctx());
    assert_eq!(read_all(&mut b, &mut k), [8, 0, 0]);
}

#[test]
fn state_of_version_1_still_opens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/i8042-v1.cbor");
    let payload = Payload {
        name: "i8042".to_owned(),
        kind: "i8042".to_owned(),
        version: 1,
        bytes: std::fs::read(path).expect("the golden file is there"),
    };
    let (mut b, mut k) = controller();
    k.restore(&mut b.ctx(), &payload).expect("version 1 opens");
    assert_eq!(
        (k.leds(), k.state.mouse.rate, k.state.mouse.identity),
        (5, 40, 0)
    );
}

#[test]
fn state_of_version_2_still_opens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/i8042-v2.cbor");
    let payload = Payload {
        name: "i8042".to_owned(),
        kind: "i8042".to_owned(),
        version: 2,
        bytes: std::fs::read(path).expect("the golden file is there"),
    };
    let (mut b, mut k) = controller();
    k.restore(&mut b.ctx(), &payload).expect("version 2 opens");
    assert_eq!((k.leds(), k.state.mouse.identity), (5, 3));
    assert_eq!(k.state.wire_free, Nanos(0));
}

#[test]
fn state_of_version_3_still_opens_with_the_answer_that_waited() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/i8042-v3.cbor");
    let payload = Payload {
        name: "i8042".to_owned(),
        kind: "i8042".to_owned(),
        version: 3,
        bytes: std::fs::read(path).expect("the golden file is there"),
    };
    let (mut b, mut k) = controller();
    k.restore(&mut b.ctx(), &payload).expect("version 3 opens");
    let read = [0; 2].map(|_: u8| b.inp(&mut k, DATA));
    assert_eq!(read, [0x09, 0xE3]);
}
