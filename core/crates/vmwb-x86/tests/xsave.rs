//! XSAVE, XRSTOR, XGETBV, XSETBV, FSGSBASE, RDRAND: what depends on control registers, and images of which hosts fill in
//! parts of their own.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod host;

use host::guest::Guest;
use host::{DATA, End, State};
use vmwb_x86::cpu::vector;

const XSAVE: &[u8] = &[0x0F, 0xAE, 0x27];
const XSAVEOPT: &[u8] = &[0x0F, 0xAE, 0x37];
const XRSTOR: &[u8] = &[0x0F, 0xAE, 0x2F];
const XGETBV: &[u8] = &[0x0F, 0x01, 0xD0];
const XSETBV: &[u8] = &[0x0F, 0x01, 0xD1];
/// RDFSBASE RCX and WRFSBASE RCX.
const RDFSBASE: &[u8] = &[0xF3, 0x48, 0x0F, 0xAE, 0xC1];
const WRFSBASE: &[u8] = &[0xF3, 0x48, 0x0F, 0xAE, 0xD1];
const AREA: usize = 0x400;
const HEADER: usize = AREA + 512;

/// A guest whose system has enabled both components, with RDI at the area and EDX:EAX asking for `components`.
fn guest(components: u64) -> (Guest, State) {
    let mut guest = Guest::new();
    guest.cpu_mut().xcr0 = 3;
    let mut state = State::new();
    state.gpr[7] = DATA + AREA as u64;
    state.gpr[0] = components;
    for i in 0..16 {
        state.set_xmm(i, 0x1111 * (i as u128 + 1));
    }
    state.fx[4] = 0xFF;
    state.set_st(0, 1 << 63, 0x3FFF);
    state.set_mxcsr(0x3F80);
    (guest, state)
}

fn word(data: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(data[at..at + 8].try_into().unwrap())
}

#[test]
fn saved_state_comes_back_by_component() {
    let (mut g, before) = guest(3);
    let mut s = before.clone();
    assert_eq!(g.run(XSAVE, &mut s), End::Next);
    assert_eq!(word(&g.data(), HEADER), 3);
    let mut other = State::new();
    (other.gpr[7], other.gpr[0]) = (before.gpr[7], 2);
    assert_eq!(g.run(XRSTOR, &mut other), End::Next);
    assert_eq!(
        (other.xmm(15), other.mxcsr(), other.fx[4]),
        (before.xmm(15), 0x3F80, 0)
    );
    other.gpr[0] = 1;
    assert_eq!(g.run(XRSTOR, &mut other), End::Next);
    assert_eq!((other.fx[4], other.st(0)), (0xFF, before.st(0)));
}

#[test]
fn component_that_is_not_in_the_image_is_initialized() {
    let (mut g, mut s) = guest(3);
    g.set_data(HEADER, &[0; 24]);
    g.set_data(AREA + 24, &0x1F80u32.to_le_bytes());
    assert_eq!(g.run(XRSTOR, &mut s), End::Next);
    assert_eq!((s.xmm(3), s.fx[4], s.get16(0)), (0, 0, 0x37F));
    assert_eq!((s.st(0), s.mxcsr()), ((0, 0), 0x1F80));
}

#[test]
fn components_that_were_not_asked_for_keep_their_bits_in_the_header() {
    let (mut g, mut s) = guest(2);
    g.set_data(HEADER, &[1, 0, 0, 0, 0, 0, 0, 0]);
    g.set_data(AREA, &[0xAA; 24]);
    assert_eq!(g.run(XSAVE, &mut s), End::Next);
    let data = g.data();
    assert_eq!(
        (word(&data, HEADER), word(&data, AREA)),
        (3, 0xAAAA_AAAA_AAAA_AAAA)
    );
}

#[test]
fn optimized_save_leaves_initial_components_out() {
    let (mut g, mut s) = guest(3);
    for i in 0..16 {
        s.set_xmm(i, 0);
    }
    s.set_mxcsr(0x1F80);
    g.set_data(AREA + 160, &[0xAA; 16]);
    assert_eq!(g.run(XSAVEOPT, &mut s), End::Next);
    let data = g.data();
    assert_eq!(
        (word(&data, HEADER), word(&data, AREA + 160)),
        (1, 0xAAAA_AAAA_AAAA_AAAA)
    );
}

#[test]
fn images_that_cannot_be_are_refused() {
    // A component that XCR0 does not have; the compacted form; a reserved bit of MXCSR; an address off 64 bytes.
    let (mut g, mut s) = guest(3);
    g.set_data(HEADER, &[4]);
    assert_eq!(g.run(XRSTOR, &mut s), End::Fault(vector::GP));
    g.set_data(HEADER, &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]);
    assert_eq!(g.run(XRSTOR, &mut s), End::Fault(vector::GP));
    g.set_data(HEADER + 15, &[0]);
    g.set_data(AREA + 24, &[0, 0, 1, 0]);
    assert_eq!(g.run(XRSTOR, &mut s), End::Fault(vector::GP));
    s.gpr[7] += 16;
    assert_eq!(g.run(XSAVE, &mut s), End::Fault(vector::GP));
}

#[test]
fn xcr0_keeps_x87_and_takes_no_unknown_component() {
    let (mut g, mut s) = guest(3);
    s.gpr[1] = 0;
    assert_eq!(g.run(XGETBV, &mut s), End::Next);
    assert_eq!((s.gpr[0], s.gpr[2]), (3, 0));
    for (value, end) in [
        (1, End::Next),
        (2, End::Fault(vector::GP)),
        (7, End::Fault(vector::GP)),
    ] {
        s.gpr[0] = value;
        assert_eq!(g.run(XSETBV, &mut s), end);
    }
    assert_eq!(g.cpu_mut().xcr0, 1);
    s.gpr[1] = 1;
    assert_eq!(g.run(XGETBV, &mut s), End::Fault(vector::GP));
}

#[test]
fn without_their_control_bits_they_do_not_exist() {
    let (mut g, mut s) = guest(3);
    g.cpu_mut().cr4 &= !(1 << 16 | 1 << 18);
    g.cpu_mut().registers_changed();
    let ends = [XSAVE, XSAVEOPT, XRSTOR, XGETBV, XSETBV, RDFSBASE, WRFSBASE];
    assert_eq!(ends.map(|i| g.run(i, &mut s)), [End::Fault(vector::UD); 7]);
}

#[test]
fn segment_base_is_written_when_canonical() {
    let (mut g, mut s) = guest(0);
    s.gpr[1] = 0x7FFF_1234_5678_9ABC;
    assert_eq!(g.run(WRFSBASE, &mut s), End::Fault(vector::GP));
    s.gpr[1] = 0x0000_7234_5678_9ABC;
    assert_eq!(g.run(WRFSBASE, &mut s), End::Next);
    s.gpr[1] = 0;
    assert_eq!(g.run(RDFSBASE, &mut s), End::Next);
    assert_eq!(s.gpr[1], 0x0000_7234_5678_9ABC);
}

#[test]
fn random_number_comes_with_carry_and_clears_the_other_flags() {
    let (mut g, mut s) = guest(0);
    s.flags |= 0x8D4;
    // RDRAND ECX: the bus of these tests counts instructions.
    assert_eq!(g.run(&[0x0F, 0xC7, 0xF1], &mut s), End::Next);
    assert_eq!(s.flags & 0x8D5, 1);
    assert_eq!(s.gpr[1] >> 32, 0);
}
