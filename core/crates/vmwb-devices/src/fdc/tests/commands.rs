//! Resets and the commands that neither move a head nor touch a disk.

use super::*;

#[test]
fn reset_interrupts_once_and_four_senses_follow() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x18);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    r.wait();
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    let senses = [0; 5].map(|_| r.run(&[0x08]));
    let expected: [&[u8]; 5] = [&[0xC0, 0], &[0xC1, 0], &[0xC2, 0], &[0xC3, 0], &[0x80]];
    assert_eq!(senses, expected);
    assert_eq!(r.b.take_lines(), [(IRQ, false)]);
}

#[test]
fn senses_at_once_after_a_reset_are_answered() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x18);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    let senses = [0; 5].map(|_| {
        r.command(&[0x08]);
        r.result()[0]
    });
    assert_eq!(senses, [0xC0, 0xC1, 0xC2, 0xC3, 0x80]);
    r.b.take_lines();
    r.wait();
    assert_eq!(r.b.take_lines(), []);
}

#[test]
fn one_sense_after_reset_is_enough_for_the_next_command() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    r.wait();
    r.run(&[0x08]);
    r.b.take_lines();
    r.run(&[0x07, 0]);
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0x20, 0]);
    assert_eq!(r.run(&[0x08]), [0x80]);
}

#[test]
fn version_lock_configure_and_dumpreg_answer() {
    let (mut r, _) = Rig::hd();
    assert_eq!(r.run(&[0x10]), [0x90]);
    r.run(&[0x13, 0, 0x4A, 9]);
    r.run(&[0x03, 0xA1, 0x02]);
    r.run(&[0x12, 0x84]);
    assert_eq!(r.run(&[0x94]), [0x10]);
    assert_eq!(r.run(&[0x0E]), [0, 0, 0, 0, 0xA1, 2, 0, 0x84, 0x4A, 9]);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    // The lock keeps the FIFO's bits; implied seeks go off.
    assert_eq!(r.run(&[0x0E])[8..], [0x0A, 9]);
    assert_eq!(r.run(&[0x14]), [0x00]);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    assert_eq!(r.run(&[0x0E])[8..], [0x20, 0]);
}

/// Linux and NT switch polling off, and wait for the interrupt of the next reset all the same.
#[test]
fn reset_of_a_locked_controller_without_polling_interrupts() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x13, 0, 0x5A, 0]);
    assert_eq!(r.run(&[0x94]), [0x10]);
    r.b.take_lines();
    r.b.out(&mut r.fdc, DOR, 0x18);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    r.wait();
    assert_eq!(r.b.take_lines(), [(IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0xC0, 0]);
    assert_eq!(r.run(&[0x0E])[8], 0x0A);
}

#[test]
fn unknown_commands_are_invalid_at_once() {
    let (mut r, _) = Rig::hd();
    let answers = [0x00, 0x11, 0x18, 0x1F, 0x27, 0x85 | 0x20].map(|c| r.run(&[c]));
    assert!(answers.iter().all(|a| a == &[0x80]));
}
