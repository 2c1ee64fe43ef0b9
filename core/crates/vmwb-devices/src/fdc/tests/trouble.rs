//! Disks that fail, are gone or protected, and requests under way.

use super::*;

#[test]
fn write_to_a_protected_disk_is_refused() {
    let disk = Disk {
        read_only: true,
        ..Disk::of(HD)
    };
    let mut r = Rig::with(DriveType::D1440K, disk);
    assert_eq!(r.run(&[0x04, 0]), [0x78]);
    r.program_dma(0x48, 512);
    let result = r.run(&[0xC5, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x40, 0x02, 0, 0, 0, 1, 2]);
}

#[test]
fn broken_disk_is_a_data_error() {
    let disk = Disk {
        broken: true,
        ..Disk::of(HD)
    };
    let mut r = Rig::with(DriveType::D1440K, disk);
    assert_eq!(
        r.run(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0x40, 0x20, 0x20]
    );
}

#[test]
fn data_nobody_moves_is_an_overrun() {
    let (mut r, _) = Rig::hd();
    let early = r.run(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, OVERRUN_NS);
    let late = r.result();
    assert_eq!((early.len(), &late[..2]), (0, &[0x40, 0x10][..]));
}

#[test]
fn motor_off_or_empty_drive_finds_no_mark() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DOR, 0x0C);
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
    r.b.out(&mut r.fdc, DOR, 0x1C);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(NoMedium::default()));
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
}

#[test]
fn disk_changed_under_a_write_is_not_written() {
    let (mut r, _) = Rig::hd();
    r.command(&[0xC5, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.fdc.dma_write(&mut r.b.ctx(), &[1; 100], false);
    let next = Disk::of(HD);
    r.fdc
        .change_medium(&mut r.b.ctx(), 0, Box::new(next.clone()));
    assert_eq!(r.fdc.dma_write(&mut r.b.ctx(), &[1; 412], true), 0);
    assert_eq!(r.result()[..2], [0x40, 0x01]);
    assert_eq!(next.sector(0), [0; 512]);
}

#[test]
fn answer_from_before_a_reset_is_ignored() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x46, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.b.out(&mut r.fdc, MSR_DSR, 0x80);
    r.fdc.serve_replies(&mut r.b.ctx());
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0x80);
    assert!(!r.fdc.dma_request());
}

#[test]
fn saved_request_under_way_is_made_again() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 512);
    r.command(&[0x46, 0, 0, 0, 3, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    let saved = r.fdc.save().expect("saves");
    let mut other = Rig::with(DriveType::D1440K, disk.clone());
    other.dma = r.dma.clone();
    other
        .fdc
        .restore(&mut other.b.ctx(), &saved)
        .expect("restores");
    other.wait();
    assert_eq!(other.result()[0], 0);
    assert_eq!(other.memory(512), disk.sector(2));
}

#[test]
fn drain_leaves_nothing_under_way() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF]);
    r.b.run_for(&mut r.fdc, 1_000_000);
    r.fdc.drain(&mut r.b.ctx());
    assert_eq!(r.fdc.drives[0].backend.in_flight(), 0);
    assert_eq!(r.result()[..3], [0, 0, 0]);
}
