//! The bus master.

use super::*;
use crate::ide::regs::{ABRT, BM_ACTIVE, BM_ERROR, BM_INTERRUPT, BM_READ, IDNF};

#[test]
fn read_fills_the_regions_and_ends_inactive_with_an_interrupt() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x8000, 512), (0x2_0000, 1536)]);
    r.command28(c::READ_DMA, 4, 4);
    assert_eq!((r.alt(), r.interrupts()), (DRDY | DSC | DRQ, 0));
    r.start_master(BM_READ);
    assert_eq!(r.bm_read(2), BM_INTERRUPT);
    assert_eq!((r.interrupts(), r.inp(7)), (1, DRDY | DSC));
    assert_eq!(r.memory(0x8000, 512), medium.sector(4));
    assert_eq!(r.memory(0x2_0000, 1536), medium.range(5 * 512, 1536));
    r.bm_write(2, AccessSize::Byte, 0x64);
    assert_eq!(r.bm_read(2), 0x60);
}

#[test]
fn start_before_the_command_works_alike() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x8000, 512)]);
    r.start_master(BM_READ);
    assert_eq!(r.bm_read(2), BM_ACTIVE);
    r.command28(c::READ_DMA, 4, 1);
    assert_eq!(r.bm_read(2), BM_INTERRUPT);
    assert_eq!(r.memory(0x8000, 512), medium.sector(4));
}

#[test]
fn write_takes_the_regions_in_order() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.b.memory.write(GuestAddress(0x8000), &[1; 256]).unwrap();
    r.b.memory.write(GuestAddress(0x9000), &[2; 768]).unwrap();
    r.table(&[(0x8000, 256), (0x9000, 768)]);
    r.command28(c::WRITE_DMA, 6, 2);
    r.start_master(0);
    assert_eq!(medium.range(6 * 512, 256), [1; 256]);
    assert_eq!(medium.range(6 * 512 + 256, 768), [2; 768]);
    assert_eq!((r.bm_read(2), r.inp(7)), (BM_INTERRUPT, DRDY | DSC));
}

#[test]
fn count_zero_is_64_kib_and_large_commands_go_in_pieces() {
    let medium = Medium::of_sectors(3000);
    let mut r = Rig::with_disk(&medium);
    let regions: Vec<(u32, u16)> = (0..17)
        .map(|_| (0x10_0000, 0))
        .chain([(0x10_0000, 0x8000)])
        .collect();
    r.table(&regions);
    r.command48(c::READ_DMA_EXT, 0, 2240);
    r.start_master(BM_READ);
    assert_eq!((r.bm_read(2), r.inp(7)), (BM_INTERRUPT, DRDY | DSC));
    assert_eq!(medium.store().requests.len(), 2);
    assert_eq!(r.memory(0x10_0000, 0x8000), medium.range(17 << 16, 0x8000));
}

#[test]
fn table_longer_than_the_command_stays_active() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.table(&[(0x8000, 512), (0x9000, 512)]);
    r.command28(c::READ_DMA, 0, 1);
    r.start_master(BM_READ);
    assert_eq!(r.bm_read(2), BM_ACTIVE | BM_INTERRUPT);
    r.bm_write(0, AccessSize::Byte, 0);
    assert_eq!(r.bm_read(2), BM_INTERRUPT);
}

#[test]
fn table_shorter_than_the_command_stops_and_a_second_one_goes_on() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x8000, 512)]);
    r.command28(c::READ_DMA, 0, 2);
    r.start_master(BM_READ);
    assert_eq!((r.bm_read(2), r.alt()), (0, DRDY | DSC | DRQ));
    r.bm_write(0, AccessSize::Byte, 0);
    r.table(&[(0x9000, 512)]);
    r.start_master(BM_READ);
    assert_eq!((r.bm_read(2), r.alt()), (BM_INTERRUPT, DRDY | DSC));
    assert_eq!(r.memory(0x9000, 512), medium.sector(1));
}

#[test]
fn region_or_table_outside_ram_stops_with_an_error() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.table(&[(0xFFFF_F000, 512)]);
    r.command28(c::READ_DMA, 0, 1);
    r.start_master(BM_READ);
    assert_eq!(r.bm_read(2), BM_ERROR | BM_INTERRUPT);
    assert_eq!((r.inp(7), r.inp(1)), (DRDY | DSC | ERR, ABRT));
    r.bm_write(0, AccessSize::Byte, 0);
    r.bm_write(2, AccessSize::Byte, 6);
    r.bm_write(4, AccessSize::Dword, 0xFFFF_FFFC);
    r.command28(c::WRITE_DMA, 0, 1);
    r.start_master(0);
    assert_eq!(r.bm_read(2), BM_ERROR | BM_INTERRUPT);
}

#[test]
fn nothing_moves_until_pci_lets_the_function_be_master() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.ide
        .config_write(&mut r.b.ctx(), COMMAND_STATUS, COMMAND_IO, 0xFFFF);
    r.table(&[(0x8000, 512)]);
    r.command28(c::READ_DMA, 2, 1);
    r.start_master(BM_READ);
    assert_eq!((r.bm_read(2), r.alt()), (BM_ACTIVE, DRDY | DSC | DRQ));
    let both = COMMAND_IO | COMMAND_MASTER;
    r.ide
        .config_write(&mut r.b.ctx(), COMMAND_STATUS, both, 0xFFFF);
    assert_eq!((r.bm_read(2), r.alt()), (BM_INTERRUPT, DRDY | DSC));
    assert_eq!(r.memory(0x8000, 512), medium.sector(2));
}

#[test]
fn stopped_while_the_medium_works_moves_nothing() {
    let medium = Medium::of_sectors(64);
    medium.store().held = true;
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x8000, 512)]);
    r.command28(c::READ_DMA, 2, 1);
    r.start_master(BM_READ);
    r.bm_write(0, AccessSize::Byte, 0);
    medium.store().held = false;
    r.serve();
    assert_eq!(r.memory(0x8000, 512), [0; 512]);
    assert_eq!(r.alt(), DRDY | DSC | DRQ);
}

#[test]
fn table_over_itself_ends() {
    let medium = Medium::of_sectors(512);
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x1000, 16), (0x1000, 0)]);
    r.command48(c::READ_DMA_EXT, 0, 512);
    r.start_master(BM_READ);
    assert_eq!(r.inp(7) & BSY, 0);
}

#[test]
fn forced_write_is_flushed() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.table(&[(0x8000, 512)]);
    r.command48(c::WRITE_DMA_FUA_EXT, 3, 1);
    r.start_master(0);
    assert_eq!(medium.store().requests.last(), Some(&BlockRequest::Flush));
    assert_eq!(r.inp(3), 3);
}

#[test]
fn trim_discards_its_ranges() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    let mut list = [0u8; 512];
    list[..8].copy_from_slice(&(4u64 | 2 << 48).to_le_bytes());
    list[8..16].copy_from_slice(&(9u64 | 1 << 48).to_le_bytes());
    r.b.memory.write(GuestAddress(0x8000), &list).unwrap();
    r.table(&[(0x8000, 512)]);
    r.out(1, 1);
    r.command48(c::DATA_SET_MANAGEMENT, 0, 1);
    r.start_master(0);
    assert_eq!((r.inp(7), r.bm_read(2)), (DRDY | DSC, BM_INTERRUPT));
    assert_eq!(medium.range(4 * 512, 1024), [0; 1024]);
    assert_eq!(medium.sector(9), [0; 512]);
    assert_ne!(medium.sector(6), [0; 512]);
}

#[test]
fn trim_outside_the_disk_discards_nothing() {
    let medium = Medium::of_sectors(64);
    let mut r = Rig::with_disk(&medium);
    r.b.memory
        .write(GuestAddress(0x8000), &(60u64 | 5 << 48).to_le_bytes())
        .unwrap();
    r.table(&[(0x8000, 512)]);
    r.out(1, 1);
    r.command48(c::DATA_SET_MANAGEMENT, 0, 1);
    r.start_master(0);
    assert_eq!(r.inp(1), ABRT);
    assert_ne!(medium.sector(60), [0; 512]);
}

#[test]
fn address_behind_the_end_starts_no_transfer() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    r.table(&[(0x8000, 512)]);
    r.start_master(BM_READ);
    r.command28(c::READ_DMA, 63, 2);
    assert_eq!((r.inp(1), r.bm_read(2)), (IDNF, BM_ACTIVE | BM_INTERRUPT));
}
