//! What drivers of hobby systems do with the controller and expect of it.

use super::super::regs::RATE_1M;
use super::*;

/// MenuetOS and KolibriOS (flp_drv.inc) name the side in SEEK and take a seek for failed whose ST0 does not show it.
#[test]
fn seek_with_a_side_shows_it_in_its_status() {
    let (mut r, _) = Rig::hd();
    r.command(&[0x0F, 4, 10]);
    r.wait();
    assert_eq!(r.run(&[0x08]), [0x24, 10]);
    r.command(&[0x0F, 0, 11]);
    r.wait();
    assert_eq!(r.run(&[0x08]), [0x20, 11]);
}

/// The same drivers recalibrate, wait for the interrupt, and go on with SEEK without having asked for the status.
#[test]
fn seek_behind_a_recalibration_that_was_not_asked_for_interrupts_anew() {
    let (mut r, _) = Rig::hd();
    r.seek(3);
    r.command(&[0x07, 0]);
    r.wait();
    r.b.take_lines();
    r.command(&[0x0F, 4, 5]);
    r.wait();
    assert_eq!(r.b.take_lines(), [(IRQ, false), (IRQ, true)]);
    assert_eq!(r.run(&[0x08]), [0x24, 5]);
}

/// The BIOS of Bochs and drivers that follow it leave the data rate as a reset of the machine has left it.
#[test]
fn driver_that_chooses_no_rate_reads_the_usual_disk() {
    let cases = [
        (DriveType::D1440K, HD),
        (DriveType::D2880K, HD),
        (DriveType::D1200K, 1_228_800),
        (DriveType::D720K, 737_280),
        (DriveType::D360K, 368_640),
    ];
    for (kind, bytes) in cases {
        let mut r = Rig::with(kind, Disk::of(bytes));
        r.b.out(&mut r.fdc, DIR_CCR, RATE_1M);
        r.fdc.reset(&mut r.b.ctx(), ResetKind::Hard);
        r.b.out(&mut r.fdc, DOR, 0x1C);
        r.wait();
        r.run(&[0x08]);
        assert_eq!(r.run(&[0x4A, 0])[..3], [0, 0, 0], "{kind:?}");
    }
}

#[test]
fn state_of_version_1_still_opens() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fdc-v1.cbor");
    let payload = Payload {
        name: "fdc".to_owned(),
        kind: "fdc".to_owned(),
        version: 1,
        bytes: std::fs::read(path).expect("the golden file is there"),
    };
    let (mut r, _) = Rig::hd();
    r.command(&[0x0F, 4, 10]);
    r.fdc.restore(&mut r.b.ctx(), &payload).expect("it opens");
    assert_eq!((r.fdc.state.dor, r.fdc.state.sides), (0x3C, 0));
}
