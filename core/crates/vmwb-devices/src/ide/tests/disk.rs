//! A disk through ports.

use super::*;
use crate::ide::regs::{ABRT, DF, IDNF, UNC};

fn sectors(medium: &Medium, first: usize, count: usize) -> Vec<u8> {
    medium.range(first * 512, count * 512)
}

#[test]
fn identify_tells_size_modes_and_names() {
    let medium = Medium::of_sectors(16 * 63 * 5);
    let mut r = Rig::with_disk(&medium);
    let id = r.identify(c::IDENTIFY_DEVICE);
    assert_eq!((id[1], id[3], id[6]), (5, 16, 63));
    assert_eq!(u32::from(id[60]) | u32::from(id[61]) << 16, 16 * 63 * 5);
    assert_eq!((id[63], id[88]), (0x0407, 0x003F));
    assert_eq!(id[27].to_be_bytes(), *b"VM");
    let sum = id.iter().flat_map(|w| w.to_le_bytes());
    assert_eq!(sum.fold(0u8, |acc, b| acc.wrapping_add(b)), 0);
    assert_eq!(r.inp(7), DRDY | DSC);
}

#[test]
fn read_sectors_interrupts_before_each_and_leaves_the_last_address() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 3);
    for at in 5..8 {
        assert_eq!(r.interrupts(), 1);
        assert_eq!(r.inp(7), DRDY | DSC | DRQ);
        assert_eq!(r.data(512), medium.sector(at));
    }
    assert_eq!((r.alt(), r.interrupts()), (DRDY | DSC, 0));
    assert_eq!((r.inp(2), r.inp(3)), (0, 7));
}

/// The AT driver of MINIX 1: interrupt, data, and only then the status, which it takes for the sector's.
#[test]
fn status_read_behind_the_data_does_not_take_the_next_sectors_interrupt() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 3);
    for at in 5..8 {
        assert_eq!(r.interrupts(), 1);
        assert_eq!(r.data(512), medium.sector(at));
        assert_eq!(r.interrupts(), 0);
        let last = if at == 7 {
            DRDY | DSC
        } else {
            DRDY | DSC | BSY
        };
        assert_eq!(r.inp(7), last);
    }
    assert_eq!((r.inp(7), r.interrupts()), (DRDY | DSC, 0));
}

#[test]
fn driver_that_looks_at_the_alternate_status_alone_reads_on() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 3);
    assert_eq!(r.data(512), medium.sector(5));
    assert_eq!(r.alt(), DRDY | DSC | BSY);
    assert_eq!(r.alt(), DRDY | DSC | DRQ);
    // Nor need it look at all.
    assert_eq!(r.data(1024), sectors(&medium, 6, 2));
    assert_eq!(r.alt(), DRDY | DSC);
}

#[test]
fn status_read_behind_a_written_sector_does_not_take_the_next_interrupt() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::WRITE_SECTORS, 10, 4);
    r.send(&[1; 512]);
    assert_eq!(r.interrupts(), 1);
    r.send(&[2; 512]);
    assert_eq!((r.interrupts(), r.inp(7)), (0, DRDY | DSC | BSY));
    assert_eq!((r.interrupts(), r.alt()), (1, DRDY | DSC | DRQ));
    r.send(&[3; 1024]);
    assert_eq!(medium.sector(13), [3; 512]);
}

#[test]
fn pause_between_sectors_ends_before_a_state_is_saved() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 2);
    assert_eq!((r.data(512), r.interrupts()), (medium.sector(5), 1));
    assert!(r.ide.save().is_err());
    r.ide.drain(&mut r.b.ctx());
    let saved = r.ide.save().unwrap();
    assert_eq!(r.interrupts(), 1);
    let mut copy = Rig::with_disk(&Medium::of_sectors(64));
    copy.ide.restore(&mut copy.b.ctx(), &saved).unwrap();
    assert_eq!(copy.data(512), medium.sector(6));
}

#[test]
fn read_sectors_of_256_come_from_the_medium_in_large_pieces() {
    let medium = Medium::of_sectors(512);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 1, 0);
    assert_eq!(r.data(256 * 512), sectors(&medium, 1, 256));
    assert_eq!(medium.store().requests.len(), 2);
    assert_eq!(r.inp(7), DRDY | DSC);
}

#[test]
fn double_words_and_bytes_of_the_data_port_follow_each_other() {
    let medium = Medium::of_sectors(8);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 0, 1);
    let first = r.ide.pio_read(&mut r.b.ctx(), 0, AccessSize::Dword);
    let mut got = first.to_le_bytes().to_vec();
    got.push(r.inp(0));
    got.push(r.inp(0));
    got.extend(r.data(506));
    assert_eq!(got, medium.sector(0));
}

#[test]
fn run_of_reads_ends_before_the_one_that_ends_the_block() {
    let medium = Medium::of_sectors(8);
    let mut r = Rig::with_disk(&medium);
    let mut got = vec![0; 4096];
    assert_eq!(r.ide.pio_read_run(0, AccessSize::Word, &mut got), 0);
    r.command28(c::READ_SECTORS, 2, 2);
    for sector in 2..4 {
        assert_eq!(r.interrupts(), 1);
        // The first takes only what it has room for.
        assert_eq!(r.ide.pio_read_run(0, AccessSize::Dword, &mut got[..11]), 2);
        assert_eq!(r.ide.pio_read_run(1, AccessSize::Byte, &mut got[8..]), 0);
        assert_eq!(r.ide.pio_read_run(0x10, AccessSize::Word, &mut got[8..]), 0);
        assert_eq!(r.ide.pio_read_run(0, AccessSize::Word, &mut got[8..]), 251);
        assert_eq!(r.ide.pio_read_run(0, AccessSize::Word, &mut got[510..]), 0);
        assert_eq!((r.interrupts(), r.inp(7)), (0, DRDY | DSC | DRQ));
        got[510..512].copy_from_slice(&r.word().to_le_bytes());
        assert_eq!(got[..512], medium.sector(sector));
    }
    assert_eq!(r.alt(), DRDY | DSC);
    assert_eq!(r.ide.pio_read_run(0, AccessSize::Word, &mut got), 0);
}

#[test]
fn run_of_writes_ends_before_the_one_that_ends_the_block() {
    let medium = Medium::of_sectors(8);
    let mut r = Rig::with_disk(&medium);
    let data: Vec<u8> = (0..512u32).map(|i| (i * 3).to_le_bytes()[0]).collect();
    r.command28(c::WRITE_SECTORS, 3, 1);
    assert_eq!(r.ide.pio_read_run(0, AccessSize::Word, &mut [0; 512]), 0);
    assert_eq!(r.ide.pio_write_run(0, AccessSize::Word, &data[..200]), 100);
    assert_eq!(r.ide.pio_write_run(0, AccessSize::Dword, &data[200..]), 77);
    assert_eq!((r.interrupts(), medium.store().requests.len()), (0, 0));
    r.send(&data[508..]);
    assert_eq!((r.interrupts(), r.inp(7)), (1, DRDY | DSC));
    assert_eq!(medium.sector(3), data);
    assert_eq!(r.ide.pio_write_run(0, AccessSize::Word, &data), 0);
}

#[test]
fn read_by_cylinder_head_sector_uses_the_initialized_geometry() {
    let medium = Medium::of_sectors(4 * 17 * 20);
    let mut r = Rig::with_disk(&medium);
    r.out(regs::DEVICE, 3);
    r.out(regs::COUNT, 17);
    r.out(7, c::INITIALIZE_DEVICE_PARAMETERS);
    // Cylinder 2, head 1, sector 17; the next is head 2, sector 1.
    for (register, value) in [
        (6, 1),
        (2, 2),
        (3, 17),
        (4, 2),
        (5, 0),
        (7, c::READ_SECTORS),
    ] {
        r.out(register, value);
    }
    let first = (2 * 4 + 1) * 17 + 16;
    assert_eq!(r.data(1024), sectors(&medium, first, 2));
    assert_eq!((r.inp(3), r.inp(4), r.inp(6)), (1, 2, 0xA2));
}

#[test]
fn sector_that_the_geometry_has_not_is_not_found() {
    let mut r = Rig::with_disk(&Medium::of_sectors(2000));
    for (register, value) in [(6, 0), (2, 1), (3, 0), (4, 0), (5, 0), (7, c::READ_SECTORS)] {
        r.out(register, value);
    }
    assert_eq!((r.inp(7), r.inp(1)), (DRDY | DSC | ERR, IDNF));
}

#[test]
fn write_sectors_first_block_comes_without_interrupt_and_the_end_with_one() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    let data: Vec<u8> = (0..1024u32).map(|i| (i * 3).to_le_bytes()[0]).collect();
    r.command28(c::WRITE_SECTORS, 10, 2);
    assert_eq!((r.interrupts(), r.alt()), (0, DRDY | DSC | DRQ));
    r.send(&data[..512]);
    assert_eq!((r.interrupts(), r.inp(7)), (1, DRDY | DSC | DRQ));
    r.send(&data[512..]);
    assert_eq!((r.interrupts(), r.inp(7)), (1, DRDY | DSC));
    assert_eq!(sectors(&medium, 10, 2), data);
    assert_eq!(r.inp(3), 11);
}

#[test]
fn write_multiple_interrupts_once_a_block() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.out(regs::COUNT, 4);
    r.out(7, c::SET_MULTIPLE_MODE);
    let _ = (r.inp(7), r.interrupts());
    r.command28(c::WRITE_MULTIPLE, 0, 6);
    let mut interrupts = 0;
    for sector in 0..6u8 {
        r.send(&[sector; 512]);
        interrupts += r.interrupts();
        let _ = r.inp(7);
    }
    assert_eq!(interrupts, 2);
    assert_eq!(medium.sector(5), [5; 512]);
}

#[test]
fn read_multiple_switched_off_is_aborted() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.out(regs::COUNT, 0);
    r.out(7, c::SET_MULTIPLE_MODE);
    assert_eq!(r.inp(7) & ERR, 0);
    r.command28(c::READ_MULTIPLE, 0, 1);
    assert_eq!((r.inp(7) & ERR, r.inp(1)), (ERR, ABRT));
}

#[test]
fn forty_eight_bit_read_shows_its_address_behind_hob() {
    let medium = Medium::of_sectors(1000);
    let mut r = Rig::with_disk(&medium);
    r.command48(c::READ_SECTORS_EXT, 0x102, 300);
    assert_eq!(r.data(300 * 512), sectors(&medium, 0x102, 300));
    r.out(regs::CONTROL, regs::HOB);
    assert_eq!(r.inp(3), 0);
    r.out(regs::CONTROL, 0);
    assert_eq!((r.inp(3), r.inp(4)), (0x2D, 2));
    let last = u64::from(r.inp(4)) << 8 | u64::from(r.inp(3));
    assert_eq!(last, 0x102 + 299);
}

#[test]
fn forty_eight_bit_address_behind_the_end_is_not_found() {
    let mut r = Rig::with_disk(&Medium::of_sectors(1000));
    r.command48(c::READ_SECTORS_EXT, 1 << 40, 1);
    assert_eq!((r.inp(7) & ERR, r.inp(1)), (ERR, IDNF));
}

#[test]
fn drive_is_busy_while_its_medium_works() {
    let medium = Medium::of_sectors(64);
    medium.store().held = true;
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 1);
    assert_eq!((r.alt(), r.interrupts()), (DRDY | DSC | BSY, 0));
    r.out(3, 99);
    assert_eq!(r.inp(3), 5, "a busy drive's registers are not written");
    medium.store().held = false;
    r.serve();
    assert_eq!((r.alt(), r.interrupts()), (DRDY | DSC | DRQ, 1));
}

#[test]
fn reading_the_status_takes_long_enough_for_the_medium_to_answer() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    medium.store().looks = 3;
    r.command28(c::READ_SECTORS, 5, 1);
    assert_eq!((r.interrupts(), r.alt()), (0, DRDY | DSC | DRQ));
    assert_eq!(r.interrupts(), 1);
}

#[test]
fn answer_to_a_request_from_before_a_reset_is_ignored() {
    let medium = Medium::of_sectors(64);
    medium.store().held = true;
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 1);
    r.out(regs::CONTROL, regs::SRST);
    assert_eq!(r.alt(), BSY);
    r.out(regs::CONTROL, 0);
    assert_eq!((r.alt(), r.inp(2), r.inp(3)), (DRDY | DSC, 1, 1));
    r.command28(c::READ_SECTORS, 9, 1);
    medium.store().held = false;
    r.serve();
    assert_eq!(r.data(512), medium.sector(9));
}

#[test]
fn resets_without_end_leave_few_requests_under_way() {
    let medium = Medium::of_sectors(64);
    medium.store().held = true;
    let mut r = Rig::with_disk(&medium);
    for _ in 0..100 {
        r.command28(c::READ_SECTORS, 5, 1);
        r.out(regs::CONTROL, regs::SRST);
        r.out(regs::CONTROL, 0);
    }
    assert!(medium.store().answers.len() <= 8);
    r.command28(c::READ_SECTORS, 7, 1);
    medium.store().held = false;
    r.serve();
    assert_eq!(r.data(512), medium.sector(7));
}

#[test]
fn interrupt_held_back_by_nien_comes_when_it_is_cleared() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.out(regs::CONTROL, regs::NIEN);
    r.command28(c::READ_SECTORS, 5, 1);
    assert_eq!(r.interrupts(), 0);
    r.out(regs::CONTROL, 0);
    assert_eq!(r.interrupts(), 1);
    let _ = r.inp(7);
    assert_eq!(r.b.take_lines(), [(14, false)]);
}

#[test]
fn unreadable_sector_is_reported_where_it_is() {
    let medium = Medium::of_sectors(64);
    medium.store().errors = [BlockError::Host("bad".to_owned())].into();
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 2);
    assert_eq!((r.inp(7) & ERR, r.inp(1)), (ERR, UNC));
    assert_eq!((r.inp(2), r.inp(3)), (2, 5));
}

#[test]
fn write_that_the_host_has_no_room_for_is_a_device_fault() {
    let medium = Medium::of_sectors(64);
    medium.store().errors = [BlockError::NoSpace].into();
    let mut r = Rig::with_disk(&medium);
    r.command28(c::WRITE_SECTORS, 5, 1);
    r.send(&[1; 512]);
    assert_eq!((r.inp(7), r.inp(1)), (DRDY | DSC | DF | ERR, ABRT));
}

#[test]
fn write_protected_disk_aborts_writes() {
    let medium = Medium::of_sectors(64);
    medium.store().read_only = true;
    let mut r = Rig::with_disk(&medium);
    r.command28(c::WRITE_SECTORS, 5, 1);
    r.send(&[1; 512]);
    assert_eq!((r.inp(7), r.inp(1)), (DRDY | DSC | ERR, ABRT));
}

#[test]
fn write_with_the_cache_off_is_flushed_before_it_ends() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.out(regs::ERROR_FEATURES, 0x82);
    r.out(7, c::SET_FEATURES);
    medium.store().requests.clear();
    r.command28(c::WRITE_SECTORS, 5, 1);
    r.send(&[1; 512]);
    assert_eq!(medium.store().requests.last(), Some(&BlockRequest::Flush));
    assert_eq!(r.inp(7), DRDY | DSC);
}

#[test]
fn absent_slave_reads_status_zero_and_ignores_commands() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.out(regs::DEVICE, DEV);
    assert_eq!(r.inp(7), 0);
    r.out(7, c::IDENTIFY_DEVICE);
    assert_eq!((r.inp(7), r.interrupts()), (0, 0));
}

#[test]
fn channel_without_drives_keeps_nothing_and_shows_no_signature() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    for written in [0x00, 0x55, 0xA5] {
        for register in 0x11..=0x16 {
            r.out(register, written);
        }
        for register in 0x11..=0x16 {
            assert_eq!(r.inp(register), 0xFF);
        }
    }
    // Neither busy nor ready, whatever is commanded.
    r.out(0x17, c::EXECUTE_DEVICE_DIAGNOSTIC);
    assert_eq!((r.inp(0x17), r.inp(0x18), r.interrupts()), (0, 0, 0));
}

#[test]
fn ports_are_not_decoded_until_the_channel_is_enabled() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.ide.config_write(&mut r.b.ctx(), IDETIM, 0, 0xFFFF);
    assert_eq!(
        (r.inp(7), r.ide.decodes(0), r.ide.decodes(1)),
        (0xFF, false, true)
    );
}

#[test]
fn sleep_leaves_the_channels_open() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.ide.reset(&mut r.b.ctx(), ResetKind::Sleep);
    r.ide
        .config_write(&mut r.b.ctx(), crate::pci::regs::COMMAND_STATUS, 1, 1);
    assert!(r.ide.decodes(0) && r.ide.decodes(1));
    r.ide.reset(&mut r.b.ctx(), ResetKind::Hard);
    r.ide
        .config_write(&mut r.b.ctx(), crate::pci::regs::COMMAND_STATUS, 1, 1);
    assert!(!r.ide.decodes(0) && !r.ide.decodes(1));
}

#[test]
fn firmware_finds_the_master_and_no_slave() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    for (device, status) in [(0xA0, DRDY | DSC), (0xB0, 0)] {
        r.out(regs::DEVICE, device);
        r.out(2, 0x55);
        r.out(3, 0xAA);
        assert_eq!((r.inp(6), r.inp(2), r.inp(3)), (device, 0x55, 0xAA));
        r.out(regs::CONTROL, regs::SRST | regs::NIEN);
        r.out(regs::CONTROL, regs::NIEN);
        r.out(regs::DEVICE, device);
        assert_eq!(r.inp(7), status);
    }
}

#[test]
fn diagnostic_selects_device_0_and_interrupts() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.out(regs::DEVICE, DEV);
    r.out(7, c::EXECUTE_DEVICE_DIAGNOSTIC);
    assert_eq!(r.interrupts(), 1);
    assert_eq!((r.inp(1), r.inp(6), r.inp(7)), (1, 0xA0, DRDY | DSC));
}

#[test]
fn power_modes_are_told_and_a_read_wakes_the_disk() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    let mode = |r: &mut Rig| {
        r.out(7, c::CHECK_POWER_MODE);
        r.inp(2)
    };
    assert_eq!(mode(&mut r), 0xFF);
    r.out(7, c::STANDBY_IMMEDIATE);
    assert_eq!(mode(&mut r), 0);
    r.command28(c::READ_VERIFY, 0, 8);
    assert_eq!((r.inp(7), mode(&mut r)), (DRDY | DSC, 0xFF));
}

#[test]
fn commands_that_do_not_exist_are_aborted() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    for code in [
        0x00,
        c::DEVICE_RESET,
        c::IDENTIFY_PACKET_DEVICE,
        c::PACKET,
        0xB0,
        0xFF,
    ] {
        r.out(7, code);
        assert_eq!(
            (r.inp(7), r.inp(1)),
            (DRDY | DSC | ERR, ABRT),
            "{code:02X}h"
        );
    }
}

#[test]
fn native_maximum_is_the_last_sector() {
    let mut r = Rig::with_disk(&Medium::of_sectors(0x1234));
    r.command28(c::READ_NATIVE_MAX, 0, 0);
    assert_eq!((r.inp(3), r.inp(4), r.inp(5)), (0x33, 0x12, 0));
    r.command48(c::READ_NATIVE_MAX_EXT, 0, 0);
    assert_eq!((r.inp(3), r.inp(4), r.inp(5)), (0x33, 0x12, 0));
}

#[test]
fn transfer_mode_is_shown_in_identify() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.out(1, 3);
    r.out(2, 0x45);
    r.out(7, c::SET_FEATURES);
    let id = r.identify(c::IDENTIFY_DEVICE);
    assert_eq!((id[63], id[88]), (0x0007, 0x203F));
    r.out(1, 3);
    r.out(2, 0x47);
    r.out(7, c::SET_FEATURES);
    assert_eq!(r.inp(7) & ERR, ERR);
}

#[test]
fn seek_outside_the_disk_is_not_found() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.command28(c::SEEK, 63, 0);
    assert_eq!(r.inp(7), DRDY | DSC);
    r.command28(c::SEEK, 64, 0);
    assert_eq!(r.inp(1), IDNF);
}

#[test]
fn given_geometry_is_told() {
    let geometry = Geometry {
        cylinders: 306,
        heads: 4,
        sectors: 17,
    };
    let identity = DiskIdentity {
        geometry: Some(geometry),
        ..disk_identity()
    };
    let medium = Medium::of_sectors(306 * 4 * 17);
    let drive = Drive::Disk(identity, Box::new(medium));
    let mut r = Rig::new([Some(drive), None, None, None]);
    let id = r.identify(c::IDENTIFY_DEVICE);
    assert_eq!((id[1], id[3], id[6]), (306, 4, 17));
}

#[test]
fn drained_state_has_nothing_under_way() {
    let medium = Medium::of_sectors(64);
    medium.store().held = true;
    let mut r = Rig::with_disk(&medium);
    r.command28(c::READ_SECTORS, 5, 1);
    assert!(r.ide.save().is_err());
    r.ide.drain(&mut r.b.ctx());
    let saved = r.ide.save().unwrap();
    let mut copy = Rig::with_disk(&Medium::of_sectors(64));
    copy.ide.restore(&mut copy.b.ctx(), &saved).unwrap();
    assert_eq!(copy.data(512), medium.sector(5));
}

#[test]
fn half_written_sector_goes_on_after_restore() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.command28(c::WRITE_SECTORS, 3, 1);
    r.send(&[7; 200]);
    let saved = r.ide.save().unwrap();
    let other = Medium::of_sectors(64);
    let mut copy = Rig::with_disk(&other);
    copy.ide.restore(&mut copy.b.ctx(), &saved).unwrap();
    copy.send(&[7; 312]);
    assert_eq!(other.sector(3), [7; 512]);
}

#[test]
fn media_come_back_with_their_places() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::new([disk(&medium), None, cd(&medium), None]);
    medium.store().held = true;
    r.command28(c::READ_SECTORS, 5, 1);
    let places: Vec<usize> = r.ide.take_media().iter().map(|&(place, _)| place).collect();
    assert_eq!(places, [0, 2]);
    assert!(medium.store().answers.is_empty());
    assert!(r.ide.take_media().iter().all(|(_, m)| m.info().is_none()));
}
