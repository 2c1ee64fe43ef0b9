//! Instructions of the 8086 to the 486 that 64-bit mode no longer has, undocumented ones among them, and LOCK.
//! Expected results: SDM volume 2, instruction pages; of what the manual does not have, what processors do.

mod system;

use system::{CODE, DATA, End, Rig};

const DE: End = End::Vector(0, 0);
const OF: End = End::Vector(4, 0);
const BR: End = End::Vector(5, 0);
const UD: End = End::Vector(6, 0);

/// Runs code and a HLT behind it in real mode with AX = `ax`; AX and the arithmetic flags behind it.
fn ax_after(code: &[u8], ax: u64, flags: u64) -> (u64, u64) {
    let mut rig = Rig::real();
    rig.c().r[0] = ax;
    rig.c().set_flags(2 | flags);
    let end = rig.run(&[code, &[0xF4]].concat());
    assert_eq!(end, End::Halt(CODE + code.len() as u64 + 1));
    (rig.c().r[0], rig.c().flags() & 0x8D5)
}

#[test]
fn aam_and_aad_take_any_base_and_aam_of_zero_divides() {
    assert_eq!(ax_after(&[0xD4, 0x10], 0x00A7, 0).0, 0x0A07);
    assert_eq!(ax_after(&[0xD4, 7], 0x0030, 0).0, 0x0606);
    assert_eq!(ax_after(&[0xD5, 0x10], 0x0A07, 0).0, 0x00A7);
    assert_eq!(Rig::real().run(&[0xD4, 0]), DE);
}

#[test]
fn salc_spreads_the_carry() {
    assert_eq!(ax_after(&[0xD6], 0x1234, 1), (0x12FF, 1));
    assert_eq!(ax_after(&[0xD6], 0x1234, 0), (0x1200, 0));
}

#[test]
fn aliases_do_what_their_originals_do() {
    // 82 /0 is ADD Eb,Ib; D0 /6 is SHL; F6 /1 is TEST.
    assert_eq!(ax_after(&[0x82, 0xC0, 0x80], 0x80, 0), (0x00, 0x845));
    assert_eq!(ax_after(&[0xD0, 0xF0], 0xC1, 0).0, 0x82);
    assert_eq!(ax_after(&[0xF6, 0xC8, 0x80], 0x81, 1), (0x81, 0x80));
}

#[test]
fn byte_swap_of_16_bits_clears() {
    assert_eq!(ax_after(&[0x0F, 0xC8], 0xABCD_1234, 0).0, 0xABCD_0000);
    assert_eq!(ax_after(&[0x66, 0x0F, 0xC8], 0x1234_5678, 0).0, 0x7856_3412);
}

#[test]
fn bound_compares_signed_and_into_asks_for_overflow() {
    let bound = |index: u64| {
        let mut rig = Rig::real();
        rig.put(DATA + 0x10, 0x0005_FFFB, 4);
        rig.c().r[0] = index;
        rig.run(&[0x62, 0x06, 0x10, 0, 0xF4])
    };
    assert_eq!([bound(5), bound(0xFFFB)], [End::Halt(CODE + 5); 2]);
    assert_eq!([bound(6), bound(0xFFFA)], [BR; 2]);
    let into = |flags| {
        let mut rig = Rig::real();
        rig.c().set_flags(flags);
        rig.run(&[0xCE, 0xF4])
    };
    assert_eq!([into(2), into(0x802)], [End::Halt(CODE + 2), OF]);
}

#[test]
fn far_loads_of_a_register_and_protected_instructions_in_real_mode_are_undefined() {
    // LES AX,AX; LDS AX,AX; ARPL; SLDT; LAR; BOUND AX,AX.
    let codes: [&[u8]; 6] = [
        &[0xC4, 0xC0],
        &[0xC5, 0xC0],
        &[0x63, 0xC0],
        &[0x0F, 0, 0xC0],
        &[0x0F, 2, 0xC0],
        &[0x62, 0xC0],
    ];
    assert_eq!(codes.map(|c| Rig::real().run(c)), [UD; 6]);
}

#[test]
fn xlat_adds_al_in_the_address_size_and_takes_an_override() {
    let mut rig = Rig::real();
    rig.c().r[0] = 0xFF;
    rig.c().r[3] = 0xFFFF;
    rig.put(0xFE, 0x5A, 1);
    // SS: XLAT; SS has base 0.
    assert_eq!(rig.run(&[0x36, 0xD7, 0xF4]), End::Halt(CODE + 3));
    assert_eq!(rig.c().r[0], 0x5A);
}

#[test]
fn enter_copies_the_frames_of_outer_levels() {
    let mut rig = Rig::real();
    rig.c().r[5] = 0x9000;
    rig.put(0x8FFE, 0x1111, 2);
    rig.put(0x8FFC, 0x2222, 2);
    // ENTER 16, 3.
    assert_eq!(rig.run(&[0xC8, 16, 0, 3, 0xF4]), End::Halt(CODE + 5));
    let words = [0x7FFE, 0x7FFC, 0x7FFA, 0x7FF8].map(|at| rig.get(at, 2));
    assert_eq!(words, [0x9000, 0x1111, 0x2222, 0x7FFE]);
    assert_eq!((rig.c().r[5], rig.c().r[4]), (0x7FFE, 0x7FF8 - 16));
}

#[test]
fn enter_with_32_bit_operands_on_a_16_bit_stack_takes_all_of_esp() {
    let frame = |code: &[u8]| {
        let mut rig = Rig::real();
        rig.c().r[4] = 0xABCD_8000;
        assert_eq!(rig.run(code), End::Halt(CODE + code.len() as u64));
        (rig.c().r[5], rig.c().r[4])
    };
    // O32 ENTER 8, 0; then O32 LEAVE.
    let enter = [0x66, 0xC8, 8, 0, 0, 0xF4];
    assert_eq!(frame(&enter), (0xABCD_7FFC, 0xABCD_7FF4));
    let leave = [0x66, 0xC8, 8, 0, 0, 0x66, 0xC9, 0xF4];
    assert_eq!(frame(&leave), (0, 0xABCD_8000));
}

#[test]
fn icebp_is_a_debug_trap_and_undefined_opcodes_are_faults() {
    let mut rig = Rig::real();
    assert_eq!(rig.run(&[0xF1]), End::Vector(1, 0));
    assert_eq!(rig.stack(0), 1);
    let codes: [&[u8]; 5] = [
        &[0x0F, 0x0B],
        &[0x0F, 0xB9, 0xC0],
        &[0x0F, 0xFF, 0xC0],
        &[0x0F, 0xAA],
        &[0xFE, 0xF0],
    ];
    for code in codes {
        let mut rig = Rig::real();
        assert_eq!(rig.run(code), UD);
        assert_eq!(rig.stack(0), 0);
    }
}

#[test]
fn lock_is_for_a_read_modify_write_of_memory_only() {
    // ADD [0],AL; XCHG [0],AX; INC WORD [0]; CMPXCHG [0],AX; BTS [0],AX.
    let allowed: [&[u8]; 5] = [
        &[0xF0, 0x00, 0x06, 0, 0, 0xF4],
        &[0xF0, 0x87, 0x06, 0, 0, 0xF4],
        &[0xF0, 0xFF, 0x06, 0, 0, 0xF4],
        &[0xF0, 0x0F, 0xB1, 0x06, 0, 0, 0xF4],
        &[0xF0, 0x0F, 0xAB, 0x06, 0, 0, 0xF4],
    ];
    for code in allowed {
        assert_eq!(Rig::real().run(code), End::Halt(CODE + code.len() as u64));
    }
    // ADD AL,[0]; ADD AX,AX; CMP [0],AL; MOV [0],AL; NOP; BT [0],AX; SHL WORD [0],1; PUSH [0].
    let refused: [&[u8]; 8] = [
        &[0xF0, 0x02, 0x06, 0, 0],
        &[0xF0, 0x01, 0xC0],
        &[0xF0, 0x38, 0x06, 0, 0],
        &[0xF0, 0x88, 0x06, 0, 0],
        &[0xF0, 0x90],
        &[0xF0, 0x0F, 0xA3, 0x06, 0, 0],
        &[0xF0, 0xD1, 0x26, 0, 0],
        &[0xF0, 0xFF, 0x36, 0, 0],
    ];
    assert_eq!(refused.map(|c| Rig::real().run(c)), [UD; 8]);
}

#[test]
fn read_modify_write_of_a_missing_page_faults_as_a_write() {
    // BTS, RCL, SHLD, CMPXCHG [600000],EAX or so; BT and CLFLUSH read.
    let faults = [
        (&[0x0F, 0xAB, 0x05, 0, 0, 0x60, 0][..], 2),
        (&[0xD1, 0x15, 0, 0, 0x60, 0][..], 2),
        (&[0x0F, 0xA5, 0x05, 0, 0, 0x60, 0][..], 2),
        (&[0x0F, 0xB1, 0x05, 0, 0, 0x60, 0][..], 2),
        (&[0x0F, 0xA3, 0x05, 0, 0, 0x60, 0][..], 0),
        (&[0x0F, 0xAE, 0x3D, 0, 0, 0x60, 0][..], 0),
    ];
    for (code, error) in faults {
        let mut rig = Rig::protected();
        rig.page32();
        // The page-table entry of 600000h.
        rig.put(system::TABLES + 0x1000 + 4 * 0x600, 0, 4);
        rig.changed();
        assert_eq!(rig.run(code), End::Vector(14, error), "{code:02x?}");
    }
}

#[test]
fn hints_of_every_kind_are_no_operations() {
    let codes: [&[u8]; 5] = [
        &[0x0F, 0x0D, 0x06, 0, 0, 0xF4],
        &[0x0F, 0x18, 0x06, 0, 0, 0xF4],
        &[0x0F, 0x1D, 0xC0, 0xF4],
        &[0xF3, 0x0F, 0x1E, 0xFA, 0xF4],
        &[0x66, 0x0F, 0x1F, 0x44, 0x00, 0xF4],
    ];
    for code in codes {
        assert_eq!(Rig::real().run(code), End::Halt(CODE + code.len() as u64));
    }
}
