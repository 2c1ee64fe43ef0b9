//! What instructions raise at privilege level 3 that are privileged, undefined, or both: which goes first. Expected are the
//! manuals' answers where a processor of AMD's, asked in user mode, gave the same.

mod system;

use system::{CODE, End, Rig};
use vmwb_x86::cpu::{cr4, efer, vector};

fn at_ring_3(code: &[u8]) -> u8 {
    let mut rig = Rig::long_as("max").cr4(cr4::OSXSAVE);
    rig.c().efer |= efer::SCE;
    rig.ring3();
    match rig.run(&[code, &[0xCC]].concat()) {
        End::Vector(v, _) => v,
        other => panic!("{code:02x?} ended in {other:?}"),
    }
}

#[test]
fn privileged_instructions_are_gp_at_ring_3() {
    let codes: [&[u8]; 25] = [
        &[0x0F, 0x20, 0xC0],                   // mov rax, cr0
        &[0x44, 0x0F, 0x20, 0xC0],             // mov rax, cr8
        &[0x0F, 0x22, 0xE0],                   // mov cr4, rax
        &[0x0F, 0x21, 0xC0],                   // mov rax, dr0
        &[0x0F, 0x21, 0xE0],                   // mov rax, dr4 (DR6)
        &[0x0F, 0x23, 0xE8],                   // mov dr5, rax (DR7)
        &[0xB9, 5, 0, 0, 0, 0x0F, 0x01, 0xD0], // xgetbv of a register that is not there
        &[0x31, 0xC9, 0x0F, 0x01, 0xD1],       // xsetbv
        &[0x0F, 0x01, 0xF8],                   // swapgs
        &[0x0F, 0x33],                         // rdpmc
        &[0x0F, 0x32],                         // rdmsr
        &[0x0F, 0x30],                         // wrmsr
        &[0x0F, 0x08],                         // invd
        &[0x0F, 0x09],                         // wbinvd
        &[0x0F, 0x07],                         // sysret
        &[0x0F, 0x35],                         // sysexit
        &[0x48, 0x0F, 0x35],                   // sysexit with REX.W
        &[0x0F, 0x06],                         // clts
        &[0xF4],                               // hlt
        &[0x0F, 0x01, 0x38],                   // invlpg
        &[0x0F, 0x01, 0xF0],                   // lmsw
        &[0x0F, 0x01, 0x10],                   // lgdt
        &[0x0F, 0x00, 0xD0],                   // lldt
        &[0x0F, 0x00, 0xD8],                   // ltr
        &[0x66, 0x0F, 0x38, 0x82, 0x00],       // invpcid
    ];
    for code in codes {
        assert_eq!(at_ring_3(code), vector::GP, "{code:02x?}");
    }
}

#[test]
fn undefined_instructions_are_ud_at_ring_3_privileged_or_not() {
    let codes: [&[u8]; 41] = [
        &[0x0F, 0x20, 0xC8],       // mov rax, cr1
        &[0x0F, 0x20, 0xE8],       // mov rax, cr5
        &[0x0F, 0x22, 0xF8],       // mov cr7, rax
        &[0x44, 0x0F, 0x20, 0xC8], // mov rax, cr9
        &[0x44, 0x0F, 0x21, 0xC0], // mov rax, dr8
        &[0xF0, 0x0F, 0x20, 0xE8], // lock mov rax, cr5
        &[0x0F, 0x24, 0xC0],       // mov eax, tr0
        &[0x0F, 0x26, 0xC0],       // mov tr0, eax
        &[0x0F, 0x04],
        &[0x0F, 0x0A],
        &[0x0F, 0xAA],       // rsm
        &[0x0F, 0x34],       // sysenter
        &[0x0F, 0x01, 0xC8], // monitor
        &[0x0F, 0x01, 0xC9], // mwait
        &[0x0F, 0x01, 0xCA], // clac
        &[0x0F, 0x01, 0xCB], // stac
        &[0xF0, 0xF4],       // lock hlt
        &[0x0F, 0x00, 0xF0],
        &[0x0F, 0x01, 0xE8],
        &[0x66, 0x0F, 0xAE, 0xE8], // lfence with 66
        &[0x66, 0x0F, 0xAE, 0xF0], // mfence with 66
        &[0x66, 0x0F, 0xAE, 0xF8], // sfence with 66
        &[0xF2, 0x0F, 0xAE, 0xE8], // lfence with F2
        &[0xF3, 0x0F, 0xAE, 0xF8], // sfence with F3
        &[0x0F, 0x0D, 0xC8],       // prefetchw of a register
        &[0x0F, 0x0E],             // femms
        &[0x0F, 0x0F, 0xC0, 0x9E], // pfadd
        &[0x0F, 0x37],             // getsec
        &[0x0F, 0xB9, 0xC0],
        &[0x0F, 0xFF, 0xC0],
        &[0x66, 0x0F, 0x0B],
        &[0xF0, 0x90],             // lock nop
        &[0xF0, 0x87, 0xC0],       // lock xchg of registers
        &[0x0F, 0xC7, 0xC8],       // cmpxchg8b of a register
        &[0xF0, 0x0F, 0xA3, 0x00], // lock bt
        &[0x8F, 0xC8],
        &[0xC6, 0xC8, 0x00],
        &[0xFF, 0xF8],
        &[0xFE, 0xD0],
        &[0xD6],       // salc in 64-bit code
        &[0x8D, 0xC0], // lea of a register
    ];
    for code in codes {
        assert_eq!(at_ring_3(code), vector::UD, "{code:02x?}");
    }
}

#[test]
fn debug_registers_4_and_5_are_undefined_with_cr4_de_at_ring_0() {
    let run = |bits: u64| Rig::long().cr4(bits).run(&[0x0F, 0x21, 0xE0, 0xF4]);
    assert_eq!(run(0), End::Halt(CODE + 4));
    assert_eq!(run(cr4::DE), End::Vector(vector::UD, 0));
}
