//! Debug registers, single steps, RF, shadows, alignment checks: SDM volume 3, chapters 6 and 18.

mod system;

use system::{CODE, CODE0, DATA, DATA0, End, HANDLERS, Rig, STACKS};
use vmwb_x86::cpu::{cr0, cr4, flag, vector};

const DB: End = End::Vector(vector::DB, 0);
const DR6: u64 = 0xFFFF_0FF0;
const BS: u64 = 1 << 14;
const BD: u64 = 1 << 13;

/// A breakpoint of kind `rw` and length `len` (fields of DR7) in DR0, enabled globally.
fn breakpoint(rig: &mut Rig, at: u64, rw: u64, len: u64) {
    let c = rig.c();
    c.dr[0] = at;
    c.dr[7] = 0x402 | rw << 16 | len << 18;
    rig.changed();
}

#[test]
fn single_step_traps_behind_each_instruction() {
    let mut rig = Rig::protected();
    rig.c().set_flags(flag::TF | 2);
    assert_eq!(rig.run(&[0x43, 0x43]), DB);
    assert_eq!(
        (rig.c().r[3], rig.stack(0), rig.c().dr[6]),
        (1, CODE + 1, DR6 | BS)
    );
    // The pushed flags have TF, the handler's do not, and RF is clear: a trap.
    assert_eq!(
        (rig.stack(2), rig.c().flags() & flag::TF),
        (flag::TF | 2, 0)
    );
}

#[test]
fn popf_that_sets_tf_is_followed_by_one_instruction() {
    let mut rig = Rig::protected();
    // push 102h; popf; inc ebx; inc ebx
    assert_eq!(rig.run(&[0x68, 2, 1, 0, 0, 0x9D, 0x43, 0x43]), DB);
    assert_eq!((rig.c().r[3], rig.stack(0)), (1, CODE + 7));
}

#[test]
fn an_iteration_of_a_string_instruction_is_a_step() {
    let mut rig = Rig::protected();
    let c = rig.c();
    (c.r[1], c.r[7]) = (5, DATA);
    c.set_flags(flag::TF | 2);
    assert_eq!(rig.run(&[0xF3, 0xAA]), DB);
    assert_eq!((rig.c().r[1], rig.stack(0)), (4, CODE));
}

/// Runs with TF and IA32_DEBUGCTL.BTF set.
fn run_by_branches(rig: &mut Rig, code: &[u8]) -> End {
    let c = rig.c();
    c.set_flags(flag::TF | 2);
    c.msr.debugctl = 2;
    rig.run(code)
}

#[test]
fn single_step_on_branches_traps_behind_a_taken_one() {
    let mut rig = Rig::protected();
    // inc ebx; jz +1 (not taken); inc ebx; jmp +1; inc ebx; inc ebx
    let code = [0x43, 0x74, 1, 0x43, 0xEB, 1, 0x43, 0x43];
    assert_eq!(run_by_branches(&mut rig, &code), DB);
    assert_eq!(
        (rig.c().r[3], rig.stack(0), rig.c().dr[6]),
        (2, CODE + 7, DR6 | BS)
    );
    // The exception ends it: from here on each instruction is stepped again.
    assert_eq!(rig.c().msr.debugctl, 0);
}

#[test]
fn single_step_on_branches_knows_jumps_to_the_next_instruction_and_indirect_ones() {
    let mut rig = Rig::protected();
    assert_eq!(run_by_branches(&mut rig, &[0xEB, 0, 0x43]), DB);
    assert_eq!((rig.c().r[3], rig.stack(0)), (0, CODE + 2));
    let mut rig = Rig::protected();
    rig.c().r[1] = 1;
    rig.c().r[0] = CODE + 7;
    // loop +2 (not taken); call eax
    assert_eq!(run_by_branches(&mut rig, &[0xE2, 2, 0x43, 0xFF, 0xD0]), DB);
    assert_eq!((rig.c().r[3], rig.stack(0)), (1, CODE + 7));
}

#[test]
fn single_step_on_branches_does_not_trap_behind_string_instructions() {
    let mut rig = Rig::protected();
    let c = rig.c();
    (c.r[1], c.r[7]) = (3, DATA);
    // rep stosb; ud2
    assert_eq!(
        run_by_branches(&mut rig, &[0xF3, 0xAA, 0x0F, 0x0B]),
        End::Vector(vector::UD, 0)
    );
    assert_eq!((rig.c().r[1], rig.c().msr.debugctl), (0, 2));
}

#[test]
fn int_n_is_not_stepped_into() {
    let mut rig = Rig::protected();
    rig.c().set_flags(flag::TF | 2);
    assert_eq!(rig.run(&[0xCD, 0x40]), End::Vector(0x40, 0));
    assert_eq!(rig.stack(2), flag::TF | 2);
}

#[test]
fn a_load_of_ss_is_not_stepped_but_the_instruction_behind_it() {
    let mut rig = Rig::protected();
    rig.c().r[0] = u64::from(DATA0);
    rig.c().set_flags(flag::TF | 2);
    // mov ss, ax; inc ebx; inc ebx
    assert_eq!(rig.run(&[0x8E, 0xD0, 0x43, 0x43]), DB);
    assert_eq!((rig.c().r[3], rig.stack(0)), (1, CODE + 3));
}

#[test]
fn icebp_is_a_trap_without_bits() {
    let mut rig = Rig::protected();
    assert_eq!(rig.run(&[0xF1]), DB);
    assert_eq!((rig.stack(0), rig.c().dr[6]), (CODE + 1, DR6));
}

#[test]
fn an_instruction_breakpoint_is_a_fault_before_it_and_rf_goes_over_it() {
    let mut rig = Rig::protected();
    breakpoint(&mut rig, CODE + 1, 0, 0);
    // The handler: or dword [esp+8], 10000h; iret
    rig.write(
        HANDLERS + 16,
        &[0x41, 0x81, 0x4C, 0x24, 8, 0, 0, 1, 0, 0xCF],
    );
    assert_eq!(rig.run(&[0x43, 0x43, 0x43, 0xF4]), End::Halt(CODE + 4));
    let c = rig.c();
    assert_eq!(
        (c.r[1], c.r[3], c.dr[6], c.flags() & flag::RF),
        (1, 3, DR6 | 1, 0)
    );
}

#[test]
fn an_instruction_breakpoint_strikes_code_that_was_decoded_before() {
    let mut rig = Rig::protected();
    // l: inc ebx; jmp l
    rig.write(CODE, &[0x43, 0xEB, 0xFD]);
    assert_eq!(rig.go(1000), End::Budget);
    breakpoint(&mut rig, CODE + 1, 0, 0);
    assert_eq!(rig.go(1000), DB);
    assert_eq!(rig.stack(0), CODE + 1);
}

#[test]
fn a_load_of_ss_suspends_the_instruction_breakpoint_behind_it_on_intels_processors() {
    let run = |model: &str| {
        let mut rig = Rig::protected_as(model);
        rig.c().r[0] = u64::from(DATA0);
        breakpoint(&mut rig, CODE + 2, 0, 0);
        rig.run(&[0x8E, 0xD0, 0x43, 0xF4])
    };
    assert_eq!(run("pentium3"), End::Halt(CODE + 4));
    assert_eq!(run("max"), DB);
}

/// A rig whose #DB handler is `inc ecx; iret`, and whose `mov ss, [DATA]` meets a data breakpoint.
fn watched_load_of_ss() -> Rig {
    let mut rig = Rig::protected();
    rig.put(DATA, u64::from(DATA0), 2);
    breakpoint(&mut rig, DATA, 3, 1);
    rig.write(HANDLERS + 16, &[0x41, 0xCF]);
    rig
}

#[test]
fn a_data_breakpoint_that_a_load_of_ss_held_back_comes_with_icebp() {
    let mut rig = watched_load_of_ss();
    // mov ss, [DATA]; icebp; hlt
    let end = rig.run(&[0x8E, 0x15, 0, 0, 3, 0, 0xF1, 0xF4]);
    assert_eq!(
        (end, rig.c().r[1], rig.c().dr[6]),
        (End::Halt(CODE + 8), 1, DR6 | 1)
    );
}

#[test]
fn a_data_breakpoint_that_a_load_of_ss_held_back_comes_behind_int_n() {
    let mut rig = watched_load_of_ss();
    // mov ss, [DATA]; int 1; hlt: the handler runs for the breakpoint at its own entry, then for INT.
    let end = rig.run(&[0x8E, 0x15, 0, 0, 3, 0, 0xCD, 1, 0xF4]);
    assert_eq!((end, rig.c().r[1]), (End::Halt(CODE + 9), 2));
    // mov ss, [DATA]; int3: #DB before the first instruction of the handler of #BP.
    let mut rig = watched_load_of_ss();
    let end = rig.run(&[0x8E, 0x15, 0, 0, 3, 0, 0xCC]);
    assert_eq!((end, rig.c().r[1]), (End::Vector(vector::BP, 0), 1));
    assert_eq!(rig.stack(0), CODE + 7);
}

#[test]
fn a_new_debug_exception_leaves_all_bits_of_dr6_but_the_breakpoints() {
    let mut rig = Rig::protected();
    let c = rig.c();
    c.dr[6] = DR6 | BD | 1 << 15 | 0xF;
    c.set_flags(flag::TF | 2);
    assert_eq!(rig.run(&[0x43, 0x43]), DB);
    assert_eq!(rig.c().dr[6], DR6 | BD | 1 << 15 | BS);
}

#[test]
fn sysret_that_sets_tf_traps_before_the_first_instruction() {
    for model in ["max", "core2"] {
        let mut rig = Rig::long_as(model);
        let c = rig.c();
        c.efer |= 1;
        c.msr.star = u64::from(CODE0 + 8) << 48;
        (c.r[1], c.r[11]) = (CODE + 0x100, flag::TF | 2);
        rig.changed();
        assert_eq!(rig.run(&[0x48, 0x0F, 0x07]), DB, "{model}");
        assert_eq!((rig.stack(0), rig.c().dr[6]), (CODE + 0x100, DR6 | BS));
        assert_eq!(rig.stack(2), flag::TF | 2);
    }
}

#[test]
fn a_fault_in_a_repeated_comparison_finds_the_flags_of_its_vendor() {
    let flags = |model: &str, code: &[u8]| {
        let mut rig = Rig::protected_as(model);
        rig.page32();
        rig.put(system::TABLES + 0x1000 + 4 * ((DATA >> 12) + 1), 0, 4);
        let c = rig.c();
        (c.r[1], c.r[6], c.r[7]) = (100, DATA, DATA + 0xFFE);
        c.set_flags(flag::CF | flag::OF | 2);
        rig.changed();
        assert_eq!(rig.run(code), End::Vector(vector::PF, 0), "{model}");
        assert_eq!((rig.c().r[1], rig.c().r[7]), (98, DATA + 0x1000));
        rig.stack(3) & 0x8D5
    };
    // repe cmpsb; repe scasb of zeros with AL = 0
    for code in [[0xF3, 0xA6], [0xF3, 0xAE]] {
        assert_eq!(flags("pentium3", &code), flag::CF | flag::OF);
        assert_eq!(flags("max", &code), flag::ZF | flag::PF);
    }
}

#[test]
fn data_breakpoints_trap_behind_writes_or_any_access() {
    let run = |rw: u64, len: u64, at: u64, code: &[u8]| {
        let mut rig = Rig::protected();
        breakpoint(&mut rig, at, rw, len);
        let end = rig.run(&[code, &[0x43, 0xF4]].concat());
        (end, rig.c().r[3], rig.c().dr[6])
    };
    let (read, write) = ([0xA1, 0, 0, 3, 0], [0xA3, 0, 0, 3, 0]);
    let (hit, miss) = ((DB, 0, DR6 | 1), (End::Halt(CODE + 7), 1, DR6));
    assert_eq!(run(1, 3, DATA, &write), hit);
    assert_eq!(run(1, 3, DATA, &read), miss);
    assert_eq!(run(3, 3, DATA, &read), hit);
    // One byte inside the access, one behind it; a length that ignores the low bits of its address.
    assert_eq!(run(3, 0, DATA + 3, &read), hit);
    assert_eq!(run(3, 0, DATA + 4, &read), miss);
    assert_eq!(run(3, 3, DATA + 3, &read), hit);
    // Elsewhere in the page.
    assert_eq!(run(3, 3, DATA + 0x800, &write), miss);
    // A push.
    assert_eq!(run(1, 3, STACKS[0] - 4, &[0x0F, 0x1F, 0x40, 0, 0x50]).0, DB);
}

#[test]
fn a_data_breakpoint_on_a_load_of_ss_waits_for_the_next_instruction() {
    let mut rig = Rig::protected();
    rig.put(DATA, u64::from(DATA0), 2);
    breakpoint(&mut rig, DATA, 3, 1);
    // mov ss, [DATA]; inc ebx; inc ebx
    assert_eq!(rig.run(&[0x8E, 0x15, 0, 0, 3, 0, 0x43, 0x43]), DB);
    assert_eq!((rig.c().r[3], rig.c().dr[6]), (1, DR6 | 1));
}

#[test]
fn a_data_breakpoint_stops_a_string_instruction_behind_the_iteration() {
    let mut rig = Rig::protected();
    let c = rig.c();
    (c.r[1], c.r[7]) = (0x10, DATA);
    breakpoint(&mut rig, DATA + 5, 1, 0);
    assert_eq!(rig.run(&[0xF3, 0xAA, 0xF4]), DB);
    assert_eq!(
        (rig.c().r[1], rig.c().r[7], rig.stack(0)),
        (0xA, DATA + 6, CODE)
    );
}

#[test]
fn port_breakpoints_need_cr4_de() {
    let run = |bits: u64, port: u64| {
        let mut rig = Rig::protected().cr4(bits);
        breakpoint(&mut rig, port, 2, 0);
        rig.run(&[0xE6, 0x80, 0xF4])
    };
    assert_eq!(run(cr4::DE, 0x80), DB);
    assert_eq!(run(cr4::DE, 0x81), End::Halt(CODE + 3));
    assert_eq!(run(0, 0x80), End::Halt(CODE + 3));
}

#[test]
fn debug_registers_are_guarded_by_cpl_gd_and_de() {
    // mov eax, dr7; mov dr7, eax
    let (read, write) = ([0x0F, 0x21, 0xF8, 0xF4], [0x0F, 0x23, 0xF8, 0xF4]);
    assert_eq!(Rig::protected().run(&read), End::Halt(CODE + 4));
    let mut user = Rig::protected();
    assert_eq!(user.ring3().run(&read), End::Vector(vector::GP, 0));
    let mut guarded = Rig::protected();
    guarded.c().dr[7] |= 1 << 13;
    assert_eq!(guarded.run(&write), DB);
    assert_eq!(
        (guarded.c().dr[6], guarded.c().dr[7], guarded.stack(0)),
        (DR6 | BD, 0x400, CODE)
    );
    // DR4 and DR5 are aliases without CR4.DE.
    assert_eq!(
        Rig::protected().run(&[0x0F, 0x21, 0xE0, 0xF4]),
        End::Halt(CODE + 4)
    );
    let mut de = Rig::protected().cr4(cr4::DE);
    assert_eq!(
        de.run(&[0x0F, 0x21, 0xE0, 0xF4]),
        End::Vector(vector::UD, 0)
    );
}

#[test]
fn debug_registers_keep_their_fixed_bits() {
    let mut rig = Rig::protected();
    rig.c().r[0] = 0xFFFF_DFFF;
    // mov dr6, eax; mov ebx, dr6; xor eax, eax; mov dr7, eax; mov ecx, dr7; hlt
    let end = rig.run(&[
        0x0F, 0x23, 0xF0, 0x0F, 0x21, 0xF3, 0x31, 0xC0, 0x0F, 0x23, 0xF8, 0x0F, 0x21, 0xF9, 0xF4,
    ]);
    assert_eq!(
        (end, rig.c().r[3], rig.c().r[1]),
        (End::Halt(CODE + 15), 0xFFFF_CFFF, 0x400)
    );
    // In 64-bit mode their upper halves must be zero.
    let mut long = Rig::long();
    long.c().r[0] = 1 << 32;
    assert_eq!(long.run(&[0x0F, 0x23, 0xF8]), End::Vector(vector::GP, 0));
}

#[test]
fn a_fault_pushes_rf_and_a_trap_does_not() {
    let mut fault = Rig::protected();
    assert_eq!(fault.run(&[0x0F, 0x0B]), End::Vector(vector::UD, 0));
    assert_eq!(fault.stack(2) & flag::RF, flag::RF);
    let mut trap = Rig::protected();
    assert_eq!(trap.run(&[0xCC]), End::Vector(vector::BP, 0));
    assert_eq!(trap.stack(2) & flag::RF, 0);
}

#[test]
fn an_interrupt_inside_a_string_instruction_pushes_rf() {
    let mut rig = Rig::protected();
    let c = rig.c();
    (c.r[1], c.r[7]) = (0x100, DATA);
    c.set_flags(flag::IF | 2);
    rig.write(CODE, &[0xF3, 0xAA, 0xF4]);
    assert_eq!(rig.go(0x10), End::Budget);
    rig.bus.pending = Some(0x40);
    assert_eq!(rig.go(100), End::Vector(0x40, 0));
    assert_eq!(
        (rig.stack(0), rig.stack(2)),
        (CODE, flag::RF | flag::IF | 2)
    );
}

// ---- alignment ----

fn aligned(ring3: bool, am: bool, ac: bool, code: &[u8]) -> End {
    let mut rig = Rig::protected();
    if ring3 {
        rig.ring3();
    }
    let c = rig.c();
    c.set_flags(2 | if ac { flag::AC } else { 0 });
    if am {
        c.cr0 |= cr0::AM;
    }
    rig.changed();
    rig.run(&[code, &[0xCC]].concat())
}

#[test]
fn alignment_is_checked_at_ring_3_with_am_and_ac() {
    let fine = End::Vector(vector::BP, 0);
    let ac = End::Vector(vector::AC, 0);
    let odd = [0xA1, 1, 0, 3, 0];
    assert_eq!(aligned(true, true, true, &odd), ac);
    assert_eq!(aligned(false, true, true, &odd), fine);
    assert_eq!(aligned(true, false, true, &odd), fine);
    assert_eq!(aligned(true, true, false, &odd), fine);
    assert_eq!(aligned(true, true, true, &[0xA1, 4, 0, 3, 0]), fine);
    // A word on an odd byte, a byte anywhere, a store, a push on an odd stack.
    assert_eq!(aligned(true, true, true, &[0x66, 0xA3, 1, 0, 3, 0]), ac);
    assert_eq!(aligned(true, true, true, &[0xA2, 1, 0, 3, 0]), fine);
    assert_eq!(aligned(true, true, true, &[0x4C, 0x50]), ac);
}

// ---- HLT ----

#[test]
fn hlt_below_ring_0_is_gp() {
    let mut rig = Rig::protected();
    assert_eq!(rig.ring3().run(&[0xF4]), End::Vector(vector::GP, 0));
}

#[test]
fn a_single_stepped_hlt_goes_on_with_the_trap() {
    let mut rig = Rig::protected();
    rig.c().set_flags(flag::TF | 2);
    assert_eq!(rig.run(&[0xF4]), DB);
    assert_eq!(rig.stack(0), CODE + 1);
}

#[test]
fn into_and_bound_raise_their_vectors() {
    let mut rig = Rig::protected();
    rig.c().set_flags(flag::OF | 2);
    assert_eq!(rig.run(&[0xCE]), End::Vector(vector::OF, 0));
    assert_eq!(rig.stack(0), CODE + 1);
    let mut bound = Rig::protected();
    bound.c().r[0] = 5;
    assert_eq!(
        bound.run(&[0x62, 0x05, 0, 0, 3, 0]),
        End::Vector(vector::BR, 0)
    );
    assert_eq!(bound.stack(0), CODE);
}
