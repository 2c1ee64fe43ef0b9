//! Tests of the firmware configuration device.

use std::io;

use proptest::prelude::*;
use vmwb_hw::TimerId;

use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

/// 1 MiB in which each byte is the low byte of its offset; offset 4096 and the bytes behind it cannot be read.
#[derive(Debug)]
struct Ramp;

impl Source for Ramp {
    fn len_bytes(&self) -> u32 {
        1 << 20
    }
    fn read(&self, offset: u32, out: &mut [u8]) -> io::Result<()> {
        if offset >= 4096 {
            return Err(io::Error::other("gone"));
        }
        for (i, byte) in (offset..).zip(out) {
            *byte = i.to_le_bytes()[0];
        }
        Ok(())
    }
}

fn device() -> FwCfg {
    FwCfg::new(vec![
        Item::key(0x05, 2u16.to_le_bytes().to_vec()),
        Item::file("etc/first", vec![1, 2, 3, 4, 5]),
        Item::key(0x8002, vec![1]),
        Item::file("etc/ramp", Content::Source(Box::new(Ramp))),
    ])
    .unwrap()
}

const FIRST: u16 = 0x20;
const RAMP: u16 = 0x21;

struct FwCfgSubject;

impl Subject for FwCfgSubject {
    type Dev = FwCfg;
    fn build(_b: &mut Bench) -> FwCfg {
        device()
    }
    fn mutate(d: &mut FwCfg, b: &mut Bench) {
        select(d, b, FIRST);
        b.inp(d, DATA);
        out32(d, b, DMA_HIGH, 0x0100_0000);
    }
    fn access(d: &mut FwCfg, b: &mut Bench, a: Access) {
        // Both ends of the ports: the strategy seldom reaches offset 8.
        let offset = if a.value & 1 == 0 { a.offset } else { DMA_LOW };
        pio_access(d, b, Access { offset, ..a });
    }
    fn deadline(_d: &mut FwCfg, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, FwCfgSubject);

fn select(d: &mut FwCfg, b: &mut Bench, key: u16) {
    d.pio_write(&mut b.ctx(), SELECTOR, AccessSize::Word, u32::from(key));
}

fn out32(d: &mut FwCfg, b: &mut Bench, offset: u16, value: u32) {
    d.pio_write(&mut b.ctx(), offset, AccessSize::Dword, value);
}

fn bytes(d: &mut FwCfg, b: &mut Bench, n: usize) -> Vec<u8> {
    (0..n).map(|_| b.inp(d, DATA)).collect()
}

const DESCRIPTOR: u64 = 0x8000;

/// Starts a transfer and gives the control word that stands there afterwards.
fn dma(d: &mut FwCfg, b: &mut Bench, control: u32, len_bytes: u32, address: u64) -> u32 {
    let mut raw = Vec::new();
    raw.extend(control.to_be_bytes());
    raw.extend(len_bytes.to_be_bytes());
    raw.extend(address.to_be_bytes());
    b.memory.write(GuestAddress(DESCRIPTOR), &raw).unwrap();
    out32(d, b, DMA_LOW, 0x8000u32.swap_bytes());
    b.memory
        .read_u32(GuestAddress(DESCRIPTOR))
        .unwrap()
        .swap_bytes()
}

fn memory(b: &Bench, at: u64, n: usize) -> Vec<u8> {
    let mut out = vec![0; n];
    b.memory.read(GuestAddress(at), &mut out).unwrap();
    out
}

#[test]
fn power_on_shows_the_signature_then_zeros() {
    let (mut b, mut d) = (Bench::new(), device());
    assert_eq!(bytes(&mut d, &mut b, 6), b"QEMU\0\0");
}

#[test]
fn identity_announces_both_interfaces() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, 1);
    assert_eq!(bytes(&mut d, &mut b, 4), [3, 0, 0, 0]);
}

#[test]
fn directory_lists_files_with_size_key_and_name() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, 0x19);
    let dir = bytes(&mut d, &mut b, 4 + 2 * 64);
    assert_eq!(dir[..12], [0, 0, 0, 2, 0, 0, 0, 5, 0, 0x20, 0, 0]);
    assert_eq!(&dir[12..22], b"etc/first\0");
    assert_eq!(dir[68..76], [0, 0x10, 0, 0, 0, 0x21, 0, 0]);
}

#[test]
fn selection_starts_at_the_beginning_and_the_write_channel_is_the_same_item() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, FIRST);
    assert_eq!(bytes(&mut d, &mut b, 3), [1, 2, 3]);
    select(&mut d, &mut b, FIRST | WRITE_CHANNEL);
    assert_eq!(bytes(&mut d, &mut b, 6), [1, 2, 3, 4, 5, 0]);
}

#[test]
fn keys_that_nobody_gave_read_zeros() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, 0x0D);
    assert_eq!(bytes(&mut d, &mut b, 2), [0, 0]);
}

#[test]
fn dma_signature_reads_in_any_width() {
    let (mut b, mut d) = (Bench::new(), device());
    let high = d.pio_read(&mut b.ctx(), DMA_HIGH, AccessSize::Dword);
    let low = d.pio_read(&mut b.ctx(), DMA_LOW, AccessSize::Word);
    assert_eq!(high.to_le_bytes(), *b"QEMU");
    assert_eq!(low, u32::from(u16::from_le_bytes(*b" C")));
}

#[test]
fn dma_select_and_read_copies_and_fills_up_with_zeros() {
    let (mut b, mut d) = (Bench::new(), device());
    b.memory.write(GuestAddress(0x9000), &[9; 8]).unwrap();
    let control = u32::from(FIRST) << 16 | DMA_SELECT | DMA_READ;
    assert_eq!(dma(&mut d, &mut b, control, 7, 0x9000), 0);
    assert_eq!(memory(&b, 0x9000, 8), [1, 2, 3, 4, 5, 0, 0, 9]);
}

#[test]
fn dma_skip_then_read_continues_there() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, FIRST);
    assert_eq!(dma(&mut d, &mut b, DMA_SKIP, 3, 0), 0);
    assert_eq!(dma(&mut d, &mut b, DMA_READ, 2, 0x9000), 0);
    assert_eq!(memory(&b, 0x9000, 2), [4, 5]);
    assert_eq!(dma(&mut d, &mut b, DMA_SKIP, u32::MAX, 0), 0);
    assert_eq!(bytes(&mut d, &mut b, 1), [0]);
}

#[test]
fn dma_write_is_refused() {
    let (mut b, mut d) = (Bench::new(), device());
    let control = u32::from(FIRST) << 16 | DMA_SELECT | DMA_WRITE;
    assert_eq!(dma(&mut d, &mut b, control, 1, 0x9000), DMA_ERROR);
    assert_eq!(bytes(&mut d, &mut b, 1), [1]);
}

#[test]
fn dma_to_what_is_no_ram_sets_the_error_bit() {
    let (mut b, mut d) = (Bench::new(), device());
    for address in [0xA_0000, 2 << 20, u64::MAX - 1] {
        assert_eq!(dma(&mut d, &mut b, DMA_READ, 4, address), DMA_ERROR);
    }
}

#[test]
fn dma_longer_than_the_bound_is_refused() {
    let (mut b, mut d) = (Bench::new(), device());
    assert_eq!(
        dma(&mut d, &mut b, DMA_READ, MAX_DMA_BYTES + 1, 0x10_0000),
        DMA_ERROR
    );
}

#[test]
fn dma_of_a_source_that_fails_half_way_is_refused() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, RAMP);
    assert_eq!(dma(&mut d, &mut b, DMA_READ, 4096, 0x9000), 0);
    assert_eq!(memory(&b, 0x9FFE, 2), [0xFE, 0xFF]);
    assert_eq!(dma(&mut d, &mut b, DMA_READ, 1, 0x9000), DMA_ERROR);
    assert_eq!(bytes(&mut d, &mut b, 1), [0]);
}

#[test]
fn dma_over_its_own_descriptor_ends_with_the_control_word() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, FIRST);
    assert_eq!(dma(&mut d, &mut b, DMA_READ, 5, DESCRIPTOR), 0);
    assert_eq!(memory(&b, DESCRIPTOR, 5), [0, 0, 0, 0, 5]);
}

#[test]
fn dma_address_above_four_gib_is_used_once() {
    let (mut b, mut d) = (Bench::new(), device());
    out32(&mut d, &mut b, DMA_HIGH, 1u32.swap_bytes());
    b.memory.write(GuestAddress(DESCRIPTOR), &[7; 16]).unwrap();
    out32(&mut d, &mut b, DMA_LOW, 0x8000u32.swap_bytes());
    // Nothing lies at 4 GiB + 8000h.
    assert_eq!(memory(&b, DESCRIPTOR, 4), [7; 4]);
    assert_eq!(dma(&mut d, &mut b, DMA_SKIP, 0, 0), 0);
}

#[test]
fn accesses_of_other_widths_change_nothing() {
    let (mut b, mut d) = (Bench::new(), device());
    b.out(&mut d, SELECTOR, 1);
    b.out(&mut d, DATA, 1);
    d.pio_write(&mut b.ctx(), DMA_LOW, AccessSize::Word, 0x80);
    assert_eq!(d.pio_read(&mut b.ctx(), SELECTOR, AccessSize::Word), 0xFFFF);
    assert_eq!(bytes(&mut d, &mut b, 4), *b"QEMU");
}

#[test]
fn restored_beside_other_items_nothing_is_selected() {
    let (mut b, mut d) = (Bench::new(), device());
    select(&mut d, &mut b, FIRST);
    b.inp(&mut d, DATA);
    let saved = d.save().unwrap();
    let mut other = FwCfg::new(vec![Item::file("etc/first", vec![6, 7, 8])]).unwrap();
    other.restore(&mut b.ctx(), &saved).unwrap();
    assert_eq!(bytes(&mut other, &mut b, 2), [0, 0]);
    select(&mut other, &mut b, FIRST);
    assert_eq!(bytes(&mut other, &mut b, 2), [6, 7]);
}

#[test]
fn items_that_cannot_be_are_refused() {
    let refused = |items| FwCfg::new(items).unwrap_err();
    let item = |key| Item::key(key, vec![0]);
    for key in [0x00, 0x01, 0x19, 0x20, 0x4005, 0x8020] {
        assert_eq!(refused(vec![item(key)]), ContentError::BadKey(key));
    }
    let twice = vec![item(5), item(5)];
    assert!(matches!(refused(twice), ContentError::Twice(_)));
    let twice = vec![Item::file("a", vec![]), Item::file("a", vec![])];
    assert!(matches!(refused(twice), ContentError::Twice(_)));
    for name in ["", "a b", &"x".repeat(56)] {
        let items = vec![Item::file(name, vec![])];
        assert_eq!(refused(items), ContentError::BadName);
    }
    let many = (0..=MAX_FILES)
        .map(|n| Item::file(&format!("f{n}"), vec![]))
        .collect();
    assert_eq!(refused(many), ContentError::TooManyFiles);
}

proptest! {
    #[test]
    fn random_dma_never_panics_and_keeps_to_ram(
        control: u32, len_bytes in prop_oneof![0u32..0x20_0000, any::<u32>()],
        address in prop_oneof![0u64..0x30_0000, any::<u64>()], at in 0u32..0x21_0000, raw: [u8; 16],
    ) {
        let (mut b, mut d) = (Bench::new(), device());
        dma(&mut d, &mut b, control, len_bytes, address);
        let _ = b.memory.write(GuestAddress(u64::from(at)), &raw);
        out32(&mut d, &mut b, DMA_LOW, at.swap_bytes());
        d.save().unwrap();
    }
}
