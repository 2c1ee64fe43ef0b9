//! Seeks, and the cylinder under the head.

use super::*;

#[test]
fn last_cylinder_of_a_disk_with_83_is_read() {
    let disk = Disk::of(83 * 2 * 21 * 512);
    let mut r = Rig::with(DriveType::D1440K, disk.clone());
    r.seek(82);
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0xE6, 4, 82, 1, 21, 2, 21, 0x1B, 0xFF])[..3],
        [4, 0, 0]
    );
    assert_eq!(r.memory(512), disk.sector(83 * 42 - 1));
}

#[test]
fn double_density_disk_in_a_high_density_drive_steps_twice() {
    let disk = Disk::of(368_640);
    let mut r = Rig::with(DriveType::D1200K, disk.clone());
    r.b.out(&mut r.fdc, DIR_CCR, 1);
    r.seek(20);
    assert_eq!(r.run(&[0x4A, 0])[3], 10);
    r.program_dma(0x44, 512);
    assert_eq!(r.run(&[0xE6, 0, 10, 0, 1, 2, 9, 0x1B, 0xFF])[0], 0);
    assert_eq!(r.memory(512), disk.sector(180));
}

#[test]
fn implied_seek_moves_the_head() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x13, 0, 0x60, 0]);
    r.program_dma(0x44, 512);
    assert_eq!(r.run(&[0xE6, 0, 40, 0, 1, 2, 18, 0x1B, 0xFF])[0], 0);
    assert_eq!(r.memory(512), disk.sector(40 * 36));
    assert_eq!(r.run(&[0x0E])[0], 40);
}

/// The driver that recalibrates and never seeks.
#[test]
fn every_cylinder_is_read_from_cylinder_0() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x07, 0]);
    r.run(&[0x08]);
    for cylinder in [7, 79, 1] {
        r.program_dma(0x44, 512);
        let result = r.run(&[0xE6, 0, cylinder, 0, 1, 2, 18, 0x1B, 0xFF]);
        assert_eq!(result, [0, 0, 0, cylinder, 0, 2, 2]);
        assert_eq!(r.memory(512), disk.sector(usize::from(cylinder) * 36));
    }
    let result = r.run(&[0xE6, 0, 80, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x40, 0x04, 0x10]);
    // Who has sought is taken at his word.
    r.seek(5);
    let result = r.run(&[0xE6, 0, 7, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x40, 0x04, 0x10]);
    assert_eq!(r.run(&[0x0E])[0], 5);
}

#[test]
fn seek_takes_its_steps_and_shows_the_drive_busy() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x02]);
    let start = r.b.now;
    r.command(&[0x0F, 0, 10]);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x81);
    assert_eq!(r.b.scheduler.next(), Some(start.plus(30_000_000)));
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    assert_eq!(r.run(&[0x08]), [0x20, 10]);
    let start = r.b.now;
    r.command(&[0x0F, 0, 79]);
    assert_eq!(r.b.scheduler.next(), Some(start.plus(60_000_000)));
    r.wait();
    r.run(&[0x08]);
    r.seek(10);
    assert_eq!(r.run(&[0x04, 0]), [0x28]);
    r.run(&[0xCF, 0, 5]);
    assert_eq!(r.run(&[0x08]), [0x20, 15]);
    r.run(&[0x07, 0]);
    assert_eq!(r.run(&[0x08]), [0x20, 0]);
    assert_eq!(r.run(&[0x04, 0]), [0x38]);
}

#[test]
fn two_seeks_interrupt_twice() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x0F, 0, 10]);
    r.command(&[0x0F, 1, 10]);
    r.wait();
    r.b.take_lines();
    assert_eq!(r.run(&[0x08]), [0x20, 10]);
    assert_eq!(r.b.take_lines(), [(IRQ, false), (IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0x21, 10]);
    assert_eq!(r.b.take_lines(), [(IRQ, false)]);
}

#[test]
fn recalibrate_of_a_drive_that_is_not_there_fails() {
    let (mut r, _) = Rig::hd();
    r.run(&[0x07, 1]);
    assert_eq!(r.run(&[0x08]), [0x71, 0]);
}

#[test]
fn change_line_falls_with_a_step_once_a_disk_is_in() {
    let (mut r, _) = Rig::hd();
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0x80);
    r.seek(1);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(NoMedium::default()));
    r.seek(0);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0x80);
    let old = r
        .fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(Disk::of(737_280)));
    assert_eq!(old.info(), None);
    r.seek(1);
    assert_eq!(r.b.inp(&mut r.fdc, DIR_CCR), 0);
    r.b.out(&mut r.fdc, DIR_CCR, 2);
    assert_eq!(r.run(&[0x4A, 0])[0], 0);
}
