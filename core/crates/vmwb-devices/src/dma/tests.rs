//! Tests of the DMA controllers.

use proptest::prelude::*;
use vmwb_hw::TimerId;

use super::regs::FIRST;
use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

/// A device that gives `source` and keeps what it is sent, at most `room` bytes a request.
#[derive(Debug, Default)]
struct Peer {
    source: Vec<u8>,
    sunk: Vec<u8>,
    room: usize,
    terminals: usize,
    /// Whether its channel was open, each time that it was told.
    told: Vec<bool>,
}

impl Peer {
    fn giving(source: &[u8]) -> Self {
        Self {
            source: source.to_vec(),
            ..Self::default()
        }
    }

    fn taking(room: usize) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }
}

impl DmaPeer for Peer {
    fn dma_request(&self) -> bool {
        !self.source.is_empty() || self.room != 0
    }
    fn dma_open(&mut self, open: bool) {
        self.told.push(open);
    }
    fn dma_read(&mut self, _ctx: &mut Ctx<'_>, out: &mut [u8], terminal: bool) -> usize {
        let n = out.len().min(self.source.len());
        out[..n].copy_from_slice(&self.source[..n]);
        self.source.drain(..n);
        self.terminals += usize::from(terminal && n == out.len());
        n
    }
    fn dma_write(&mut self, _ctx: &mut Ctx<'_>, bytes: &[u8], terminal: bool) -> usize {
        let n = bytes.len().min(self.room);
        self.sunk.extend(&bytes[..n]);
        self.room -= n;
        self.terminals += usize::from(terminal && n == bytes.len());
        n
    }
}

fn word(b: &mut Bench, d: &mut Dma, offset: u16, value: u16) {
    for byte in value.to_le_bytes() {
        b.out(d, offset, byte);
    }
}

/// Programs channel 2 as a floppy driver does: page, address, count in bytes, and opens it.
fn channel_2(b: &mut Bench, d: &mut Dma, mode: u8, address: u32, bytes: u16) {
    let [a, mid, page, _] = address.to_le_bytes();
    b.out(d, 0x0A, 0x06);
    b.out(d, 0x0C, 0);
    word(b, d, 0x04, u16::from_le_bytes([a, mid]));
    word(b, d, 0x05, bytes - 1);
    b.out(d, 0x0B, mode | 2);
    b.out(d, PAGES + 1, page);
    b.out(d, 0x0A, 0x02);
}

fn memory(b: &Bench, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    b.memory.read(GuestAddress(at), &mut bytes).expect("RAM");
    bytes
}

struct DmaSubject;

impl Subject for DmaSubject {
    type Dev = Dma;
    fn build(_b: &mut Bench) -> Dma {
        Dma::new()
    }
    fn mutate(d: &mut Dma, b: &mut Bench) {
        channel_2(b, d, 0x54, 0x1_2345, 8);
        d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&[1, 2, 3]));
        b.out(d, 0x04, 0x77);
        b.out(d, SECOND + 0x10, 0x04);
        b.out(d, SECOND + 0x12, 0x07);
        b.out(d, SECOND + 0x1C, 0);
        b.out(d, PAGES + 0xB, 0x0E);
        d.transfer(&mut b.ctx(), 5, &mut Peer::giving(&[1]));
    }
    fn access(d: &mut Dma, b: &mut Bench, a: Access) {
        let [_, spread, channel, kind] = a.value.to_le_bytes();
        let offset = if a.offset < 8 {
            u16::from(spread & 0x3F)
        } else {
            a.offset
        };
        pio_access(d, b, Access { offset, ..a });
        let mut peer = if kind & 1 == 0 {
            Peer::giving(&[kind; 300])
        } else {
            Peer::taking(300)
        };
        d.transfer(&mut b.ctx(), channel & 0xF, &mut peer);
    }
    fn deadline(_d: &mut Dma, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(conforms, DmaSubject);

#[test]
fn device_to_memory_moves_the_count_and_reports_it_once() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x44, 0x1_0100, 4);
    let mut peer = Peer::giving(&[1, 2, 3, 4, 5]);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!(memory(&b, 0x1_0100, 5), [1, 2, 3, 4, 0]);
    assert_eq!((peer.source.len(), peer.terminals), (1, 1));
    assert_eq!(b.inp(&mut d, 0x08), 0x44);
    assert_eq!(b.inp(&mut d, 0x08), 0x40);
    assert_eq!(b.inp(&mut d, 0x0F), 0x0F);
}

#[test]
fn memory_to_device_pauses_where_the_device_does() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    let bytes: Vec<u8> = (0..=255).collect();
    b.memory.write(GuestAddress(0x8000), &bytes).expect("RAM");
    channel_2(&mut b, &mut d, 0x48, 0x8000, 256);
    let mut peer = Peer::taking(100);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!((peer.sunk.len(), peer.terminals), (100, 0));
    peer.room = 1000;
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!((peer.sunk, peer.terminals), (bytes, 1));
}

#[test]
fn masked_or_disabled_channel_moves_nothing_and_shows_the_request() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x44, 0x8000, 4);
    b.out(&mut d, 0x0A, 0x06);
    let mut peer = Peer::giving(&[9; 4]);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    b.out(&mut d, 0x0E, 0);
    b.out(&mut d, 0x08, 0x04);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!((peer.source.len(), b.inp(&mut d, 0x08)), (4, 0x40));
}

#[test]
fn address_wraps_inside_its_page() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x44, 0x1_FFFE, 4);
    d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&[1, 2, 3, 4]));
    assert_eq!(memory(&b, 0x1_FFFE, 2), [1, 2]);
    assert_eq!(memory(&b, 0x1_0000, 2), [3, 4]);
    assert_eq!(memory(&b, 0x2_0000, 2), [0, 0]);
}

#[test]
fn decrement_counts_down_and_wraps_upwards() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x64, 0x1_0001, 4);
    d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&[1, 2, 3, 4]));
    assert_eq!(memory(&b, 0x1_0000, 2), [2, 1]);
    assert_eq!(memory(&b, 0x1_FFFE, 2), [4, 3]);
}

#[test]
fn autoinit_starts_over_and_stays_open() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x54, 0x8000, 2);
    for bytes in [[1, 2], [3, 4]] {
        d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&bytes));
    }
    assert_eq!(memory(&b, 0x8000, 3), [3, 4, 0]);
    assert_eq!(b.inp(&mut d, 0x0F), 0x0B);
}

#[test]
fn device_is_told_whether_its_channel_moves_data() {
    let (mut b, mut d, mut peer) = (Bench::new(), Dma::new(), Peer::default());
    for (mode, masked) in [
        (0x44, true),
        (0x44, false),
        (0x48, false),
        (0x40, false),
        (0xC4, false),
    ] {
        channel_2(&mut b, &mut d, mode, 0x1000, 16);
        if masked {
            b.out(&mut d, 0x0A, 0x06);
        }
        d.transfer(&mut b.ctx(), 2, &mut peer);
    }
    assert_eq!(peer.told, [false, true, true, false, false]);
}

#[test]
fn verify_counts_and_leaves_memory_alone() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x40, 0x8000, 2);
    let mut peer = Peer::giving(&[1, 2]);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!(memory(&b, 0x8000, 2), [0, 0]);
    assert_eq!((peer.terminals, b.inp(&mut d, 0x08)), (1, 0x04));
}

#[test]
fn word_channel_counts_in_words_over_128_kib() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    word(&mut b, &mut d, SECOND + 4, 0xFFFF);
    word(&mut b, &mut d, SECOND + 6, 1);
    b.out(&mut d, SECOND + 0x16, 0x45);
    b.out(&mut d, PAGES + 0xB, 0x05);
    b.out(&mut d, SECOND + 0x14, 0x01);
    let mut peer = Peer::giving(&[1, 2, 3, 4]);
    d.transfer(&mut b.ctx(), 5, &mut peer);
    assert_eq!(memory(&b, 0x5_FFFE, 2), [1, 2]);
    assert_eq!(memory(&b, 0x4_0000, 2), [3, 4]);
    assert_eq!(peer.terminals, 1);
}

#[test]
fn word_channel_counting_down_keeps_the_bytes_of_a_word() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    word(&mut b, &mut d, SECOND + 4, 0x0101);
    word(&mut b, &mut d, SECOND + 6, 1);
    b.out(&mut d, SECOND + 0x16, 0x65);
    b.out(&mut d, SECOND + 0x14, 0x01);
    d.transfer(&mut b.ctx(), 5, &mut Peer::giving(&[1, 2, 3, 4]));
    assert_eq!(memory(&b, 0x200, 4), [3, 4, 1, 2]);
}

#[test]
fn memory_that_is_not_there_reads_as_ones_and_swallows() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x48, 0xF0_0000, 2);
    let mut peer = Peer::taking(2);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert_eq!(peer.sunk, [0xFF, 0xFF]);
    channel_2(&mut b, &mut d, 0x44, 0xF0_0000, 2);
    let mut peer = Peer::giving(&[1, 2]);
    d.transfer(&mut b.ctx(), 2, &mut peer);
    assert!(peer.source.is_empty());
}

#[test]
fn current_address_and_count_read_back_by_the_flip_flop() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x44, 0x1234, 0x100);
    d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&[0; 16]));
    b.out(&mut d, 0x0C, 0);
    assert_eq!([b.inp(&mut d, 4), b.inp(&mut d, 4)], [0x44, 0x12]);
    assert_eq!([b.inp(&mut d, 5), b.inp(&mut d, 5)], [0xEF, 0x00]);
}

#[test]
fn master_clear_masks_all_and_keeps_addresses() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x44, 0x5678, 4);
    b.out(&mut d, FIRST + 0x0D, 0);
    assert_eq!(b.inp(&mut d, 0x0F), 0x0F);
    assert_eq!([b.inp(&mut d, 4), b.inp(&mut d, 4)], [0x78, 0x56]);
}

#[test]
fn software_request_in_block_mode_runs_to_terminal_count() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    channel_2(&mut b, &mut d, 0x84, 0x8000, 4);
    b.out(&mut d, 0x09, 0x06);
    assert_eq!(b.inp(&mut d, 0x08), 0x04);
    b.out(&mut d, 0x0C, 0);
    assert_eq!([b.inp(&mut d, 5), b.inp(&mut d, 5)], [0xFF, 0xFF]);
}

#[test]
fn second_controller_shows_each_register_twice_and_pages_are_kept() {
    let (mut b, mut d) = (Bench::new(), Dma::new());
    b.out(&mut d, SECOND + 0x1F, 0x05);
    assert_eq!(b.inp(&mut d, SECOND + 0x1E), 0x05);
    b.out(&mut d, PAGES + 4, 0xA5);
    assert_eq!(b.inp(&mut d, PAGES + 4), 0xA5);
}

proptest! {
    #[test]
    fn transfer_moves_exactly_what_the_chip_would(
        address in 0u32..0x2_0000,
        bytes in 1u16..0x400,
        down in any::<bool>(),
        pieces in prop::collection::vec(1usize..300, 1..8),
    ) {
        let (mut b, mut d) = (Bench::new(), Dma::new());
        channel_2(&mut b, &mut d, if down { 0x64 } else { 0x44 }, address, bytes);
        let mut expected = std::collections::BTreeMap::new();
        let (page, mut at, mut value) = (address & !0xFFFF, address & 0xFFFF, 0u8);
        let mut left = usize::from(bytes);
        for piece in pieces {
            let source: Vec<u8> = (0..piece).map(|n| value.wrapping_add(n.to_le_bytes()[0])).collect();
            d.transfer(&mut b.ctx(), 2, &mut Peer::giving(&source));
            for &byte in source.iter().take(left) {
                expected.insert(page | at, byte);
                at = if down { at.wrapping_sub(1) } else { at + 1 } & 0xFFFF;
            }
            left -= piece.min(left);
            value = value.wrapping_add(91);
        }
        prop_assert!(expected.iter().all(|(&at, &byte)| memory(&b, at.into(), 1) == [byte]));
        prop_assert_eq!(b.inp(&mut d, 0x08) & 0x04 != 0, left == 0);
    }
}
