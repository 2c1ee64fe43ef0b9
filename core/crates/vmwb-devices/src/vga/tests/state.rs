//! Saved state beside what every device is tested for.

use super::super::snapshot::unpack;
use super::*;
use crate::bytes::Bytes;
use proptest::prelude::*;
use vmwb_hw::GuestAddress;

#[test]
fn saved_plane_of_the_wrong_length_is_refused() {
    let golden = include_bytes!("../../../tests/golden/vga-v1.cbor");
    let mut payload = Payload {
        name: "vga".to_owned(),
        kind: VgaV1::KIND.to_owned(),
        version: 1,
        bytes: golden.to_vec(),
    };
    let mut state: VgaV1 = payload.decode().unwrap();
    state.planes[2] = Bytes(literals(&[0; 100]));
    payload = Payload::encode("vga", &state).unwrap();
    let (mut b, mut vga) = adapter();
    assert!(vga.restore(&mut b.ctx(), &payload).is_err());
}

#[test]
fn run_of_packed_bytes_unpacks() {
    assert_eq!(unpack(&[0, 7, 131, 9], 6), Some(vec![7, 9, 9, 9, 9, 9]));
}

#[test]
fn runs_that_would_grow_without_end_are_refused() {
    let bomb: Vec<u8> = [255, 0].repeat(100_000);
    assert_eq!(unpack(&bomb, 65_536), None);
}

#[test]
fn state_of_version_1_brings_its_planes_into_display_memory() {
    let golden = include_bytes!("../../../tests/golden/vga-v1.cbor");
    let payload = Payload {
        name: "vga".to_owned(),
        kind: VgaV1::KIND.to_owned(),
        version: 1,
        bytes: golden.to_vec(),
    };
    let (mut b, mut vga) = adapter();
    vga.restore(&mut b.ctx(), &payload).unwrap();
    assert_eq!(vga.vram.word(0x7000), 0x8142_2418);
    assert_eq!(vga.text().unwrap().cells[81].character, b'x');
    assert_eq!(
        (vga.graphics[8], vga.dac.palette[7][0], vga.attribute_index),
        (0xF0, 0x15, 0x31)
    );
}

/// Bytes as the planes of version 1: literals only.
fn literals(bytes: &[u8]) -> Vec<u8> {
    let chunks = bytes.chunks(128);
    chunks
        .flat_map(|c| std::iter::once(u8::try_from(c.len() - 1).unwrap()).chain(c.iter().copied()))
        .collect()
}

#[test]
fn restored_picture_is_a_change() {
    let (mut b, mut vga) = adapter();
    let saved = vga.save().unwrap();
    changes(&mut vga);
    vga.restore(&mut b.ctx(), &saved).unwrap();
    assert_eq!(changes(&mut vga), [(0, 400)]);
}

#[test]
fn restored_base_address_shows_the_memory_there_again() {
    let (mut b, mut vga) = adapter();
    vga.config_write(&mut b.ctx(), 0x10, 0xE000_0000, u32::MAX);
    vga.config_write(&mut b.ctx(), 0x04, 2, 0xFFFF);
    let saved = vga.save().unwrap();
    let memory = memory(VIDEO_BYTES);
    let mut copy = Vga::new(Arc::clone(&memory), RegionId(0), vec![0x55, 0xAA, 1, 2]).unwrap();
    copy.restore(&mut b.ctx(), &saved).unwrap();
    assert_eq!(
        memory.placement(RegionId(0)),
        Some(GuestAddress(0xE000_0000))
    );
}

#[test]
fn state_with_impossible_values_is_refused() {
    let spoil: [fn(&mut VgaV2); 9] = [
        |s| s.palette.0.truncate(700),
        |s| s.palette.0[5] = 0x40,
        |s| s.dac_component = 3,
        |s| s.sequencer[1] = 0xFF,
        |s| s.dispi.x_res = 0,
        |s| s.dispi.y_res = 1601,
        |s| s.dispi.bpp = 12,
        |s| s.dispi.bank = 256,
        |s| s.config[0] = 1,
    ];
    let refused = spoil.map(|spoil| {
        let mut vga = build();
        let mut state = vga.to_v2();
        spoil(&mut state);
        vga.take_v2(&state).is_err()
    });
    assert_eq!(refused, [true; 9]);
}

proptest! {
    #[test]
    fn packed_bytes_unpack_to_the_same(bytes in prop::collection::vec(0u8..3, 0..600)) {
        prop_assert_eq!(unpack(&literals(&bytes), bytes.len()), Some(bytes));
    }
}
