//! x87 as a unit: what the comparison with the host leaves out. Operand order of the transcendental functions, images of
//! the environment in all four formats, deferred exceptions.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod host;

use std::sync::Arc;

use host::guest::{Guest, TestBus};
use host::{DATA, End, State};
use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpu::{Segment, cr0, seg, vector};
use vmwb_x86::{BootState, CpuConfig, Interpreter, Vcpu};

const FNINIT: &[u8] = &[0xDB, 0xE3];
const FLD1: &[u8] = &[0xD9, 0xE8];
const FLDZ: &[u8] = &[0xD9, 0xEE];
const FLDPI: &[u8] = &[0xD9, 0xEB];
const FADD_SELF: &[u8] = &[0xD8, 0xC0];
const FADDP: &[u8] = &[0xDE, 0xC1];
const FXCH: &[u8] = &[0xD9, 0xC9];

const ONE: (u64, u16) = (1 << 63, 0x3FFF);

/// The state after running instructions one by one from FNINIT; none may fault.
fn run(code: &[&[u8]]) -> State {
    let mut guest = Guest::new();
    let mut state = State::new();
    state.gpr[4] = DATA + 0x1000;
    let ends: Vec<_> = code.iter().map(|i| guest.run(i, &mut state)).collect();
    assert_eq!(ends, vec![End::Next; code.len()]);
    state
}

fn depth(s: &State) -> u32 {
    s.fx[4].count_ones()
}

/// ST(i) as a double.
fn number(s: &State, i: usize) -> f64 {
    let (significand, sign_exp) = s.st(i);
    let magnitude = significand as f64 * 2f64.powi(i32::from(sign_exp & 0x7FFF) - 16383 - 63);
    if sign_exp >> 15 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

#[test]
fn fyl2x_multiplies_st1_by_the_logarithm_of_st0() {
    // 3 * log2(8)
    let s = run(&[
        FLD1,
        FLD1,
        FADD_SELF,
        FADDP,
        FLD1,
        FADD_SELF,
        FADD_SELF,
        FADD_SELF,
        &[0xD9, 0xF1],
    ]);
    assert_eq!((number(&s, 0), depth(&s)), (9.0, 1));
}

#[test]
fn fyl2xp1_of_one_is_st1() {
    let s = run(&[FLDPI, FLD1, &[0xD9, 0xF9]]);
    assert_eq!((number(&s, 0), depth(&s)), (std::f64::consts::PI, 1));
}

#[test]
fn fpatan_divides_st1_by_st0() {
    // atan2(1, 0)
    let s = run(&[FLD1, FLDZ, &[0xD9, 0xF3]]);
    assert_eq!((number(&s, 0), depth(&s)), (std::f64::consts::FRAC_PI_2, 1));
}

#[test]
fn fsincos_leaves_the_cosine_on_top_of_the_sine() {
    let s = run(&[FLDZ, &[0xD9, 0xFB]]);
    assert_eq!((number(&s, 0), number(&s, 1), depth(&s)), (1.0, 0.0, 2));
}

#[test]
fn fptan_pushes_one() {
    let s = run(&[FLDPI, &[0xD9, 0xF2]]);
    assert_eq!((s.st(0), depth(&s)), (ONE, 2));
    assert!(number(&s, 1).abs() < 1e-18);
}

#[test]
fn sine_cosine_and_exponential_replace_st0() {
    assert_eq!(run(&[FLDZ, &[0xD9, 0xFF]]).st(0), ONE);
    assert_eq!(run(&[FLDZ, &[0xD9, 0xFE]]).st(0), (0, 0));
    assert_eq!(run(&[FLD1, &[0xD9, 0xF0]]).st(0), ONE);
}

#[test]
fn exchange_with_an_empty_register_flags_a_stack_fault() {
    let s = run(&[FLD1, FXCH]);
    assert_eq!(s.get16(2) & 0x41, 0x41);
}

#[test]
fn unmasked_zero_divide_is_reported_by_the_next_waiting_instruction() {
    let mut guest = Guest::new();
    let mut s = State::new();
    // All masked but zero divide.
    s.set16(0, 0x037B);
    assert_eq!(guest.run(FLD1, &mut s), End::Next);
    assert_eq!(guest.run(FLDZ, &mut s), End::Next);
    // FDIVP: no result, no pop, ES and B set.
    assert_eq!(guest.run(&[0xDE, 0xF9], &mut s), End::Next);
    assert_eq!((s.get16(2) & 0x8084, depth(&s)), (0x8084, 2));
    assert_eq!(guest.run(FLD1, &mut s), End::Fault(vector::MF));
    assert_eq!(guest.run(&[0x9B], &mut s), End::Fault(vector::MF));
    // FNCLEX does not wait.
    assert_eq!(guest.run(&[0xDB, 0xE2], &mut s), End::Next);
    assert_eq!(guest.run(FLD1, &mut s), End::Next);
}

// ---- images ----

const CODE: u32 = 0x1_0000;
const IMAGE: u64 = 0x2_0100;

/// Runs `code` in 32-bit protected mode, or in real mode, with 32-bit or 16-bit operands as the code says.
fn bare(code: &[u8], instructions: u64, real: bool) -> (Arc<GuestMemory>, Interpreter) {
    let memory = Arc::new(GuestMemory::new(4 << 20).unwrap());
    memory.write(GuestAddress(u64::from(CODE)), code).unwrap();
    let mut cpu = Interpreter::new(Arc::clone(&memory), CpuConfig::default()).unwrap();
    cpu.set_boot_state(BootState::Protected32 {
        eip: CODE,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x3_0000,
        gdt: (0x1000, 0x1F),
    });
    if real {
        let c = cpu.cpu_mut();
        c.cr0 = cr0::ET;
        let at = |selector: u16, attr| Segment {
            selector,
            base: u64::from(selector) << 4,
            limit: 0xFFFF,
            attr,
        };
        c.seg = [at(0x2000, 0x93); 6];
        c.seg[seg::CS] = at(0x1000, 0x9B);
        c.rip = 0;
        c.registers_changed();
    }
    cpu.run(&mut TestBus::default(), instructions);
    (memory, cpu)
}

fn words(memory: &GuestMemory, count: usize) -> Vec<u16> {
    let mut bytes = vec![0; 2 * count];
    memory.read(GuestAddress(IMAGE), &mut bytes).unwrap();
    bytes
        .chunks(2)
        .map(|b| u16::from_le_bytes([b[0], b[1]]))
        .collect()
}

/// TOP is 6; R7 is 1 (valid), R6 is 0 (zero), the others are empty.
const TAGS: u16 = 0b00_01_11_11_11_11_11_11;

#[test]
fn fnstenv_in_32_bit_protected_mode_has_selectors_offsets_and_opcode() {
    // fninit; fld1; fld dword [0x20000]; fnstenv [0x20100]
    let code = [
        FNINIT,
        FLD1,
        &[0xD9, 0x05, 0, 0, 2, 0],
        &[0xD9, 0x35, 0, 1, 2, 0],
    ]
    .concat();
    let (memory, cpu) = bare(&code, 4, false);
    let image = words(&memory, 14);
    assert_eq!(image[..6], [0x037F, 0xFFFF, 6 << 11, 0xFFFF, TAGS, 0xFFFF]);
    assert_eq!(image[6..], [4, 1, 0x10, 0x105, 0, 2, 0x18, 0xFFFF]);
    assert_eq!(cpu.cpu().fpu.control, 0x037F);
}

#[test]
fn fnstenv_with_16_bit_operands_in_protected_mode_has_no_opcode() {
    let code = [
        FNINIT,
        FLD1,
        &[0xD9, 0x05, 0, 0, 2, 0],
        &[0x66, 0xD9, 0x35, 0, 1, 2, 0],
    ]
    .concat();
    let (memory, _) = bare(&code, 4, false);
    assert_eq!(
        words(&memory, 8),
        [0x037F, 6 << 11, TAGS, 4, 0x10, 0, 0x18, 0]
    );
}

#[test]
fn fnstenv_in_real_mode_has_linear_addresses() {
    // 16-bit code: fninit; fld1; fld dword [0x10]; fnstenv [0x100]
    let code = [FNINIT, FLD1, &[0xD9, 0x06, 0x10, 0], &[0xD9, 0x36, 0, 1]].concat();
    let (memory, _) = bare(&code, 4, true);
    // FIP 10004h and FDP 20010h: bits 19:16 above the opcode, and alone.
    assert_eq!(
        words(&memory, 7),
        [0x037F, 6 << 11, TAGS, 4, 0x1106, 0x10, 0x2000]
    );
}

#[test]
fn fnstenv_with_32_bit_operands_in_real_mode_spreads_the_addresses() {
    let code = [
        FNINIT,
        FLD1,
        &[0xD9, 0x06, 0x10, 0],
        &[0x66, 0xD9, 0x36, 0, 1],
    ]
    .concat();
    let (memory, _) = bare(&code, 4, true);
    assert_eq!(
        words(&memory, 14)[6..],
        [4, 0xFFFF, 0x1106, 0, 0x10, 0xFFFF, 0x2000, 0]
    );
}

#[test]
fn fnstenv_masks_all_exceptions_afterwards() {
    // fninit; fldcw [0x20000] (all unmasked); fnstenv [0x20100]
    let code = [FNINIT, &[0xD9, 0x2D, 0, 0, 2, 0], &[0xD9, 0x35, 0, 1, 2, 0]].concat();
    let (memory, cpu) = bare(&code, 3, false);
    assert_eq!(
        (words(&memory, 1)[0], cpu.cpu().fpu.control),
        (0x0040, 0x007F)
    );
}

#[test]
fn frstor_brings_back_what_fnsave_stored() {
    // fninit; fld1; fldpi; fnsave [0x20100]; fldz; frstor [0x20100]
    let save = &[0xDD, 0x35, 0, 1, 2, 0][..];
    let restore = &[0xDD, 0x25, 0, 1, 2, 0][..];
    let code = [FNINIT, FLD1, FLDPI, save, FLDZ, restore].concat();
    let (_, before) = bare(&code, 3, false);
    let (_, saved) = bare(&code, 4, false);
    let (_, after) = bare(&code, 6, false);
    let (before, after) = (&before.cpu().fpu, &after.cpu().fpu);
    assert_eq!((saved.cpu().fpu.empty, saved.cpu().fpu.top), (0xFF, 0));
    assert_eq!(
        (after.st, after.top, after.empty),
        (before.st, before.top, before.empty)
    );
    assert_eq!(
        (after.ip, after.cs, after.opcode),
        (u64::from(CODE) + 4, 0x10, 0x1EB)
    );
}

#[test]
fn fldenv_takes_only_emptiness_from_the_tags_and_raises_pending() {
    // fnstenv image with IE flagged and unmasked, written by hand: fldenv [0x20100]; fnstsw ax
    let memory_image: [u32; 7] = [0x037E, 1 | 3 << 11, 0xAAAA, 0, 0, 0, 0];
    let code = [&[0xD9, 0x25, 0, 1, 2, 0][..], &[0xDF, 0xE0]].concat();
    let (memory, mut cpu) = bare(&code, 0, false);
    let bytes: Vec<u8> = memory_image.iter().flat_map(|w| w.to_le_bytes()).collect();
    memory.write(GuestAddress(IMAGE), &bytes).unwrap();
    cpu.run(&mut TestBus::default(), 2);
    let f = &cpu.cpu().fpu;
    assert_eq!(
        (f.empty, f.top, cpu.cpu().r[0] & 0xFFFF),
        (0, 3, 0x8081 | 3 << 11)
    );
}
