//! Permission and faults of MMX and SSE, which a user program on the host cannot arrange.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod host;

use host::guest::Guest;
use host::{DATA, DATA_BYTES, End, State};
use vmwb_x86::cpu::{cr0, cr4, vector};

const PXOR_XMM: &[u8] = &[0x66, 0x0F, 0xEF, 0xC1];
const PXOR_MM: &[u8] = &[0x0F, 0xEF, 0xC1];
const DIVSD: &[u8] = &[0xF2, 0x0F, 0x5E, 0xC1];
/// MOVNTI works on general registers and needs no permission.
const MOVNTI: &[u8] = &[0x0F, 0xC3, 0x07];

fn with(cr0_bits: u64, cr4_cleared: u64) -> (Guest, State) {
    let mut guest = Guest::new();
    let c = guest.cpu_mut();
    c.cr0 |= cr0_bits;
    c.cr4 &= !cr4_cleared;
    c.registers_changed();
    let mut state = State::new();
    state.gpr[7] = DATA + 0x100;
    (guest, state)
}

#[test]
fn sse_without_osfxsr_is_undefined_but_mmx_is_not() {
    let (mut guest, mut state) = with(0, cr4::OSFXSR);
    assert_eq!(guest.run(PXOR_XMM, &mut state), End::Fault(vector::UD));
    assert_eq!(guest.run(PXOR_MM, &mut state), End::Next);
    assert_eq!(guest.run(MOVNTI, &mut state), End::Next);
}

#[test]
fn emulation_makes_both_undefined_and_x87_unavailable() {
    let (mut guest, mut state) = with(cr0::EM, 0);
    assert_eq!(guest.run(PXOR_XMM, &mut state), End::Fault(vector::UD));
    assert_eq!(guest.run(PXOR_MM, &mut state), End::Fault(vector::UD));
    assert_eq!(guest.run(&[0xD9, 0xE8], &mut state), End::Fault(vector::NM));
}

#[test]
fn task_switched_flag_makes_all_units_unavailable() {
    let (mut guest, mut state) = with(cr0::TS, 0);
    let ends = [PXOR_XMM, PXOR_MM, &[0xD9, 0xE8], &[0x0F, 0x77]].map(|i| guest.run(i, &mut state));
    assert_eq!(ends, [End::Fault(vector::NM); 4]);
}

#[test]
fn unmasked_exception_without_osxmmexcpt_is_undefined() {
    let (mut guest, mut state) = with(0, cr4::OSXMMEXCPT);
    // Zero divide not masked; 1.0 / 0.0.
    state.set_mxcsr(0x1D80);
    state.set_xmm(0, u128::from(1f64.to_bits()));
    let before = state.clone();
    assert_eq!(guest.run(DIVSD, &mut state), End::Fault(vector::UD));
    assert_eq!((state.xmm(0), state.mxcsr()), (before.xmm(0), 0x1D84));
}

#[test]
fn mmx_with_a_pending_x87_exception_reports_it_first() {
    let (mut guest, mut state) = with(0, 0);
    state.set16(0, 0x037E);
    state.set16(2, 0x8081);
    assert_eq!(guest.run(PXOR_MM, &mut state), End::Fault(vector::MF));
    assert_eq!(state.fx[4], 0);
}

#[test]
fn store_that_runs_into_an_absent_page_writes_nothing() {
    let (mut guest, mut state) = with(0, 0);
    // The last mapped byte is that before 8 MiB.
    const END: u64 = 8 << 20;
    state.gpr[7] = END - 8;
    state.set_xmm(0, u128::MAX);
    // MOVUPS [RDI], XMM0, then MOVQ XMM1, [RDI].
    assert_eq!(
        guest.run(&[0x0F, 0x11, 0x07], &mut state),
        End::Fault(vector::PF)
    );
    assert_eq!(guest.run(&[0xF3, 0x0F, 0x7E, 0x0F], &mut state), End::Next);
    assert_eq!(state.xmm(1), 0);
}

#[test]
fn masked_store_touches_chosen_bytes_only() {
    let (mut guest, mut state) = with(0, 0);
    state.gpr[7] = DATA + DATA_BYTES as u64 - 16;
    state.set_xmm(0, u128::MAX);
    state.set_xmm(1, 0x80 << 8 | 0x80 << 120);
    assert_eq!(guest.run(&[0x66, 0x0F, 0xF7, 0xC1], &mut state), End::Next);
    let data = guest.data();
    assert_eq!(
        data[DATA_BYTES - 16..],
        [0, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF]
    );
}
