//! Segmentation in protected mode: SDM volume 3, chapters 3.4 and 5.

mod system;

use system::{
    B16, B32, CODE, CODE_R, CODE0, CODE3, DATA, DATA_W, DATA0, DATA3, DPL3, End, FREE, G32, GDT,
    LDT, LDT_SELECTOR, Rig, STACKS, TSS_SELECTOR, TSS2_SELECTOR, descriptor,
};
use vmwb_x86::cpu::{flag, seg, vector};

fn gp(code: u16) -> End {
    End::Vector(vector::GP, u32::from(code))
}
const STACK_FAULT: End = End::Vector(vector::SS, 0);
const FREE2: u16 = FREE + 8;

/// Loads `selector` into DS by MOV DS, AX at the rig's privilege.
fn load_ds(rig: &mut Rig, selector: u16) -> End {
    rig.c().r[0] = u64::from(selector);
    rig.run(&[0x8E, 0xD8, 0xF4])
}

/// Loads DS with a descriptor in FREE, then runs the bytes.
fn with_ds(d: u64, code: &[u8]) -> End {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, d);
    rig.c().r[0] = u64::from(FREE);
    rig.run(&[&[0x8E, 0xD8], code, &[0xF4]].concat())
}

fn halt(after: u64) -> End {
    End::Halt(CODE + after)
}

/// mov al, [disp32]
fn read8(at: u32) -> Vec<u8> {
    [&[0xA0][..], &at.to_le_bytes()].concat()
}
/// mov eax, [disp32]
fn read32(at: u32) -> Vec<u8> {
    [&[0xA1][..], &at.to_le_bytes()].concat()
}
/// mov [disp32], eax
fn write32(at: u32) -> Vec<u8> {
    [&[0xA3][..], &at.to_le_bytes()].concat()
}

#[test]
fn limits_count_to_the_last_byte_of_an_access() {
    let d = descriptor(DATA as u32, 0xFF, DATA_W, B32);
    assert_eq!(with_ds(d, &read32(0xFC)), halt(8));
    assert_eq!(with_ds(d, &read32(0xFD)), gp(0));
    assert_eq!(with_ds(d, &write32(0xFD)), gp(0));
    assert_eq!(with_ds(d, &read8(0xFF)), halt(8));
    assert_eq!(with_ds(d, &read32(0xFFFF_FFFF)), gp(0));
}

#[test]
fn granularity_multiplies_the_limit() {
    let d = descriptor(0, 0, DATA_W, G32);
    assert_eq!(with_ds(d, &read32(0xFFC)), halt(8));
    assert_eq!(with_ds(d, &read32(0xFFD)), gp(0));
}

#[test]
fn expand_down_segments_reach_from_above_the_limit_to_64_kib_or_4_gib() {
    let down = DATA_W | 4;
    let narrow = descriptor(0x10_0000, 0xFFF, down, B16);
    assert_eq!(with_ds(narrow, &read8(0xFFF)), gp(0));
    assert_eq!(with_ds(narrow, &read8(0x1000)), halt(8));
    assert_eq!(with_ds(narrow, &read32(0xFFFC)), halt(8));
    assert_eq!(with_ds(narrow, &read32(0xFFFD)), gp(0));
    let wide = descriptor(0x10_0000, 0xFFF, down, B32);
    assert_eq!(with_ds(wide, &read32(0xFFFD)), halt(8));
    assert_eq!(with_ds(wide, &read32(0xFFF)), gp(0));
}

#[test]
fn types_decide_what_may_be_read_and_written() {
    let flat = |access| descriptor(0, 0xF_FFFF, access, G32);
    let at = DATA as u32;
    // Read-only data: no writes. Readable code: reads only.
    assert_eq!(with_ds(flat(0x90), &read32(at)), halt(8));
    assert_eq!(with_ds(flat(0x90), &write32(at)), gp(0));
    assert_eq!(with_ds(flat(CODE_R), &read32(at)), halt(8));
    assert_eq!(with_ds(flat(CODE_R), &write32(at)), gp(0));
    // Execute-only code cannot be loaded, and not be read through CS.
    assert_eq!(with_ds(flat(0x98), &read32(at)), gp(FREE));
    let mut rig = Rig::protected();
    rig.c().seg[seg::CS].attr = 0xC099;
    rig.changed();
    assert_eq!(rig.run(&[&[0x2E][..], &read32(at)].concat()), gp(0));
}

#[test]
fn a_null_selector_loads_and_its_use_is_gp() {
    for null in 0..4 {
        let mut rig = Rig::protected();
        assert_eq!(load_ds(&mut rig, null), halt(3));
        assert_eq!(rig.selector(seg::DS), null);
    }
    assert_eq!(with_ds(0, &[]), gp(FREE));
    let mut rig = Rig::protected();
    rig.c().r[0] = 0;
    assert_eq!(rig.run(&[&[0x8E, 0xD8][..], &read32(0)].concat()), gp(0));
}

#[test]
fn loads_of_data_segments_check_table_type_privilege_and_presence_in_this_order() {
    let outside = 0x100;
    assert_eq!(load_ds(&mut Rig::protected(), outside), gp(outside));
    // A system descriptor.
    assert_eq!(
        load_ds(&mut Rig::protected(), TSS_SELECTOR),
        gp(TSS_SELECTOR)
    );
    // No LDT.
    assert_eq!(load_ds(&mut Rig::protected(), 0xC), gp(0xC));
    let at_ring3 = |selector: u16, d: u64| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        load_ds(rig.ring3(), selector)
    };
    let flat = |access| descriptor(0, 0xF_FFFF, access, G32);
    // DPL below CPL, before presence.
    assert_eq!(at_ring3(FREE | 3, flat(0x12)), gp(FREE));
    // Not present: #NP.
    let absent = u32::from(FREE);
    assert_eq!(
        at_ring3(FREE | 3, flat(0x72)),
        End::Vector(vector::NP, absent)
    );
    // Conforming readable code may be loaded whatever its DPL.
    assert_eq!(at_ring3(FREE, flat(0x9E)), gp(0));
    // (HLT at ring 3 is #GP(0): the load itself went well.)
    assert_eq!(at_ring3(FREE, flat(0x9A)), gp(FREE));
    // RPL above DPL.
    let mut rig = Rig::protected();
    assert_eq!(load_ds(&mut rig, DATA0 | 3), gp(DATA0));
}

#[test]
fn the_accessed_bit_is_set_in_the_table() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0, 0xFFF, DATA_W, B32));
    assert_eq!(load_ds(&mut rig, FREE), halt(3));
    assert_eq!(rig.get(GDT + u64::from(FREE) + 5, 1), u64::from(DATA_W | 1));
    assert_eq!(rig.c().seg[seg::DS].attr & 0xFF, u16::from(DATA_W | 1));
}

#[test]
fn descriptors_of_the_ldt_are_found_by_ti() {
    let mut rig = Rig::protected();
    rig.descriptor(LDT_SELECTOR, descriptor(LDT as u32, 0xF, 0x82, 0));
    rig.put(LDT + 8, descriptor(DATA as u32, 0xFFF, DATA_W, B32), 8);
    rig.put(DATA + 4, 0x1234, 4);
    // mov ax, LDT; lldt ax; mov ax, 0Ch; mov ds, ax; mov ebx, [4]; hlt
    let end = rig.run(&[
        0x66,
        0xB8,
        LDT_SELECTOR as u8,
        0,
        0x0F,
        0,
        0xD0,
        0x66,
        0xB8,
        0xC,
        0,
        0x8E,
        0xD8,
        0x8B,
        0x1D,
        4,
        0,
        0,
        0,
        0xF4,
    ]);
    assert_eq!((end, rig.c().r[3]), (halt(20), 0x1234));
    // Behind its limit.
    let mut rig2 = Rig::protected();
    rig2.descriptor(LDT_SELECTOR, descriptor(LDT as u32, 0xF, 0x82, 0));
    let end = rig2.run(&[
        0x66,
        0xB8,
        LDT_SELECTOR as u8,
        0,
        0x0F,
        0,
        0xD0,
        0x66,
        0xB8,
        0x14,
        0,
        0x8E,
        0xD8,
    ]);
    assert_eq!(end, gp(0x14));
}

#[test]
fn loads_of_ss_demand_writable_data_of_the_same_privilege() {
    let load_ss = |selector: u16, d: u64| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        rig.c().r[0] = u64::from(selector);
        rig.run(&[0x8E, 0xD0, 0x90, 0xF4])
    };
    let flat = |access| descriptor(0, 0xF_FFFF, access, G32);
    assert_eq!(load_ss(0, 0), gp(0));
    assert_eq!(load_ss(FREE, flat(DATA_W)), halt(4));
    assert_eq!(load_ss(FREE, flat(0x90)), gp(FREE));
    assert_eq!(load_ss(FREE, flat(CODE_R)), gp(FREE));
    assert_eq!(load_ss(FREE | 1, flat(DATA_W)), gp(FREE));
    assert_eq!(load_ss(FREE, flat(DATA_W | DPL3)), gp(FREE));
    assert_eq!(
        load_ss(FREE, flat(0x12)),
        End::Vector(vector::SS, u32::from(FREE))
    );
}

#[test]
fn the_stack_segments_size_bit_decides_how_wide_the_stack_pointer_is() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0x4_0000, 0xFFFF, DATA_W, B16));
    rig.c().r[0] = u64::from(FREE);
    rig.c().r[4] = 0x1234_0002;
    // mov ss, ax; nop; push eax (2 -> FFFE wraps and crosses the limit): #SS on the handler's own stack, so a shutdown
    rig.c().r[3] = 0xAABB_CCDD;
    let end = rig.run(&[0x8E, 0xD0, 0x90, 0x66, 0x53, 0xF4]);
    assert_eq!((end, rig.c().r[4]), (halt(6), 0x1234_0000));
    assert_eq!(rig.get(0x4_0000, 2), 0xCCDD);
    // With B set it is ESP that counts, and it lies beyond the limit.
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0x4_0000, 0xFFFF, DATA_W, B32));
    rig.c().r[0] = u64::from(FREE);
    rig.c().r[4] = 0x1234_0002;
    assert_eq!(
        rig.run(&[0x8E, 0xD0, 0x90, 0x53]),
        End::Shutdown(vector::SS)
    );
}

#[test]
fn an_expand_down_stack_faults_at_its_limit() {
    let mut rig = Rig::protected();
    // Handlers at ring 0 use this stack too: leave them room by raising the fault from ring 3.
    rig.descriptor(FREE, descriptor(0, 0x8FFF, DATA_W | DPL3 | 4, B32));
    rig.ring3();
    rig.c().r[0] = u64::from(FREE | 3);
    rig.c().r[4] = 0x9008;
    // mov ss, ax; push; push; push: the third would reach 8FFC
    assert_eq!(rig.run(&[0x8E, 0xD0, 0x50, 0x50, 0x50]), STACK_FAULT);
    assert_eq!((rig.stack(1), rig.stack(4)), (CODE + 4, 0x9000));
}

#[test]
fn stack_relative_accesses_raise_ss_and_others_gp() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0, 0xFFFF, DATA_W | DPL3, B32));
    rig.ring3();
    rig.c().r[0] = u64::from(FREE | 3);
    rig.c().r[5] = 0x1_0000;
    // mov ss, ax; mov eax, [ebp]
    assert_eq!(rig.run(&[0x8E, 0xD0, 0x8B, 0x45, 0]), STACK_FAULT);
}

#[test]
fn code_runs_to_its_limit_in_protected_mode_too() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(CODE as u32, 0xFF, CODE_R, B32));
    rig.write(CODE + 0xFE, &[0x90, 0x90]);
    // jmp FREE:FE
    let far = [0xEA, 0xFE, 0, 0, 0, FREE as u8, 0];
    assert_eq!(rig.run(&far), gp(0));
    assert_eq!((rig.stack(1), rig.stack(2)), (0x100, u64::from(FREE)));
}

#[test]
fn far_jumps_check_the_target_in_the_manuals_order() {
    let jump = |selector: u16, d: u64, offset: u32| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        let s = selector.to_le_bytes();
        rig.run(&[&[0xEA][..], &offset.to_le_bytes(), &s].concat())
    };
    let flat = |access| descriptor(0, 0xF_FFFF, access, G32);
    assert_eq!(jump(3, 0, 0), gp(0));
    assert_eq!(jump(0x100, 0, 0), gp(0x100));
    assert_eq!(jump(FREE, flat(DATA_W), 0), gp(FREE));
    // RPL above CPL; DPL above CPL for plain code.
    assert_eq!(jump(FREE | 1, flat(CODE_R), 0), gp(FREE));
    assert_eq!(jump(FREE, flat(CODE_R | DPL3), 0), gp(FREE));
    assert_eq!(
        jump(FREE, flat(0x1A), 0),
        End::Vector(vector::NP, u32::from(FREE))
    );
    // Behind the limit.
    let short = descriptor(0, 0xFFF, CODE_R, B32);
    assert_eq!(jump(FREE, short, 0x1000), gp(0));
    // An LDT descriptor and an interrupt gate are no targets.
    assert_eq!(jump(FREE, descriptor(0, 0, 0x82, 0), 0), gp(FREE));
    assert_eq!(jump(FREE, descriptor(0, 0, 0x8E, 0), 0), gp(FREE));
}

#[test]
fn conforming_code_runs_at_the_callers_privilege() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0, 0xF_FFFF, 0x9E, G32));
    rig.write(CODE + 0x100, &[0x8C, 0xC8, 0xF4]);
    rig.ring3();
    let far = [0xEA, 0, 1, 2, 0, FREE as u8, 0];
    assert_eq!(rig.run(&far), gp(0));
    // RPL becomes CPL.
    assert_eq!(
        (rig.c().r[0], rig.stack(2)),
        (u64::from(FREE | 3), u64::from(FREE | 3))
    );
    // A conforming segment of a lower privilege is not for a higher one.
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0, 0xF_FFFF, 0x9E | DPL3, G32));
    assert_eq!(rig.run(&far), gp(FREE));
}

#[test]
fn far_return_to_an_outer_ring_drops_segments_of_the_inner() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0, 0xF_FFFF, 0x9E, G32));
    let sp = STACKS[0] - 0x20;
    for (i, v) in [
        CODE + 0x200,
        u64::from(CODE3),
        0x55,
        STACKS[3],
        u64::from(DATA3),
    ]
    .into_iter()
    .enumerate()
    {
        rig.put(sp + 4 * i as u64, v, 4);
    }
    rig.c().r[4] = sp;
    // DS of ring 0 goes, ES of ring 3 and FS of conforming code stay.
    let c = rig.c();
    c.seg[seg::ES].selector = DATA3;
    c.seg[seg::ES].attr = 0xC0F3;
    c.seg[seg::FS].selector = FREE;
    c.seg[seg::FS].attr = 0xC09F;
    rig.changed();
    rig.write(CODE + 0x200, &[0xF4]);
    // retf 4
    assert_eq!(rig.run(&[0xCA, 4, 0]), gp(0));
    assert_eq!(
        (
            rig.selector(seg::DS),
            rig.selector(seg::ES),
            rig.selector(seg::FS)
        ),
        (0, DATA3, FREE)
    );
    // The outer stack pointer has the parameters dropped too.
    assert_eq!(
        (rig.stack(1), rig.stack(2), rig.stack(4)),
        (CODE + 0x200, u64::from(CODE3), STACKS[3] + 4)
    );
}

#[test]
fn far_return_checks_code_then_stack_then_offset() {
    let back = |ip: u64, cs: u16, ss: u16, d: u64| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        let sp = STACKS[0] - 0x40;
        for (i, v) in [ip, u64::from(cs), STACKS[3], u64::from(ss)]
            .into_iter()
            .enumerate()
        {
            rig.put(sp + 4 * i as u64, v, 4);
        }
        rig.c().r[4] = sp;
        rig.run(&[0xCB])
    };
    let flat = |access| descriptor(0, 0xF_FFFF, access, G32);
    assert_eq!(back(0, 0, DATA3, 0), gp(0));
    assert_eq!(back(0, DATA0, DATA3, 0), gp(DATA0));
    // DPL and RPL differ.
    assert_eq!(back(0, CODE0 | 3, DATA3, 0), gp(CODE0));
    assert_eq!(
        back(0, FREE | 3, DATA3, flat(0x7A)),
        End::Vector(vector::NP, u32::from(FREE))
    );
    assert_eq!(back(0, CODE3, 0, 0), gp(0));
    assert_eq!(back(0, CODE3, DATA0 | 3, 0), gp(DATA0));
    assert_eq!(
        back(0, CODE3, FREE | 3, flat(0x72)),
        End::Vector(vector::SS, u32::from(FREE))
    );
    let short = descriptor(0, 0xFFF, CODE_R | DPL3, B32);
    assert_eq!(back(0x1000, FREE | 3, 0, short), gp(0));
    assert_eq!(back(0x1000, FREE | 3, DATA3, short), gp(0));
}

#[test]
fn lar_lsl_verr_and_verw_answer_by_zf() {
    // lar ecx, eax; setz bl; lsl edx, eax; setz bh; verr ax; setz ch; verw ax; setz cl is done apart
    let ask = |ring3: bool, selector: u16, d: u64| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        rig.descriptor(CODE0, descriptor(0, 0xF_FFFF, CODE_R | 1, G32));
        if ring3 {
            rig.ring3();
        }
        rig.c().r[0] = u64::from(selector);
        rig.run(&[
            0x0F, 0x02, 0xF0, 0x0F, 0x94, 0xC3, 0x0F, 0x03, 0xD0, 0x0F, 0x94, 0xC7, 0x0F, 0, 0xE0,
            0x0F, 0x94, 0xC1, 0x0F, 0, 0xE8, 0x0F, 0x94, 0xC5, 0xF4,
        ]);
        let c = rig.c();
        let zf = (c.r[3] & 1, c.r[3] >> 8 & 1, c.r[1] & 1, c.r[1] >> 8 & 1);
        (zf, c.r[6], c.r[2])
    };
    let data = descriptor(0, 0x1_2345, DATA_W, G32);
    assert_eq!(
        ask(false, FREE, data),
        ((1, 1, 1, 1), 0x00C1_9200, 0x1234_5FFF)
    );
    // Ring 3 does not see it, nor does anybody through a null selector or one outside the table.
    assert_eq!(ask(true, FREE, data).0, (0, 0, 0, 0));
    assert_eq!(ask(false, FREE | 3, data).0, (0, 0, 0, 0));
    assert_eq!(ask(false, 0, data).0, (0, 0, 0, 0));
    assert_eq!(ask(false, 0x100, data).0, (0, 0, 0, 0));
    // Conforming code is seen from everywhere; execute-only is not readable.
    let conforming = descriptor(0, 0xFFF, 0x9C, B32);
    assert_eq!(
        ask(true, FREE, conforming),
        ((1, 1, 0, 0), 0x0040_9C00, 0xFFF)
    );
    // A call gate has rights but no limit; an interrupt gate neither.
    assert_eq!(ask(false, FREE, descriptor(0, 0, 0x8C, 0)).0, (1, 0, 0, 0));
    assert_eq!(ask(false, FREE, descriptor(0, 0, 0x8E, 0)).0, (0, 0, 0, 0));
    // A TSS, busy or not, has both.
    assert_eq!(ask(false, TSS_SELECTOR, 0).0, (1, 1, 0, 0));
}

#[test]
fn ltr_and_lldt_check_privilege_table_type_and_presence() {
    let load = |opcode: u8, selector: u16, d: u64| {
        let mut rig = Rig::protected();
        rig.descriptor(FREE, d);
        rig.c().r[0] = u64::from(selector);
        rig.run(&[0x0F, 0, opcode, 0xF4])
    };
    let (lldt, ltr) = (0xD0, 0xD8);
    assert_eq!(load(ltr, 0, 0), gp(0));
    assert_eq!(load(ltr, FREE | 4, 0), gp(FREE | 4));
    // Busy, then not present.
    assert_eq!(load(ltr, FREE, descriptor(0, 103, 0x8B, 0)), gp(FREE));
    assert_eq!(
        load(ltr, FREE, descriptor(0, 103, 9, 0)),
        End::Vector(vector::NP, u32::from(FREE))
    );
    assert_eq!(load(ltr, FREE, descriptor(0, 103, 0x89, 0)), halt(4));
    assert_eq!(load(lldt, 3, 0), halt(4));
    assert_eq!(load(lldt, FREE, descriptor(0, 7, 0x89, 0)), gp(FREE));
    assert_eq!(
        load(lldt, FREE, descriptor(0, 7, 2, 0)),
        End::Vector(vector::NP, u32::from(FREE))
    );
    let mut user = Rig::protected();
    assert_eq!(user.ring3().run(&[0x0F, 0, 0xD8]), gp(0));
}

#[test]
fn ltr_marks_the_descriptor_busy() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(0x5000, 103, 0x89, 0));
    rig.c().r[0] = u64::from(FREE);
    rig.run(&[0x0F, 0, 0xD8, 0xF4]);
    assert_eq!(
        (rig.get(GDT + u64::from(FREE) + 5, 1), rig.c().tr.base),
        (0x8B, 0x5000)
    );
}

#[test]
fn pop_of_a_segment_faults_before_the_stack_pointer_moves() {
    let mut rig = Rig::protected();
    // push 100h; pop ds
    assert_eq!(rig.run(&[0x68, 0, 1, 0, 0, 0x1F]), gp(0x100));
    assert_eq!((rig.stack(1), rig.stack(4)), (CODE + 5, 0x100));
}

#[test]
fn a_16_bit_code_segment_runs_16_bit_code() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(CODE as u32, 0xFFFF, CODE_R, B16));
    rig.descriptor(FREE2, descriptor(DATA as u32, 0xFFFF, DATA_W, B16));
    rig.put(DATA + 0x22, 0x7788, 2);
    // mov ax, FREE2; mov ds, ax; mov bx, 20h; mov dx, [bx+2]; hlt
    rig.write(
        CODE + 0x100,
        &[
            0xB8,
            FREE2 as u8,
            0,
            0x8E,
            0xD8,
            0xBB,
            0x20,
            0,
            0x8B,
            0x57,
            2,
            0xF4,
        ],
    );
    let end = rig.run(&[0xEA, 0, 1, 0, 0, FREE as u8, 0]);
    assert_eq!((end, rig.c().r[2]), (halt(0x10C), 0x7788));
}

#[test]
fn string_instructions_check_both_segments() {
    let mut rig = Rig::protected();
    rig.descriptor(FREE, descriptor(DATA as u32, 0xFF, DATA_W, B32));
    rig.c().r[0] = u64::from(FREE);
    (rig.c().r[1], rig.c().r[7]) = (0x200, 0);
    // mov es, ax; rep stosb: stops at the limit with what was done
    assert_eq!(rig.run(&[0x8E, 0xC0, 0xF3, 0xAA]), gp(0));
    assert_eq!(
        (rig.c().r[7], rig.c().r[1], rig.get(DATA + 0xFF, 2)),
        (0x100, 0x100, 0x60)
    );
}

#[test]
fn segment_loads_in_64_bit_mode_ignore_what_is_not_used() {
    let mut rig = Rig::long();
    // xor eax, eax; mov ss, ax (null is fine at ring 0); mov ds, ax; mov ebx, [30000h]; hlt
    rig.put(DATA, 0x99, 4);
    let end = rig.run(&[
        0x31, 0xC0, 0x8E, 0xD0, 0x8E, 0xD8, 0x8B, 0x1C, 0x25, 0, 0, 3, 0, 0xF4,
    ]);
    assert_eq!((end, rig.c().r[3]), (halt(14), 0x99));
    // A null SS at ring 3 is not.
    let mut user = Rig::long();
    user.ring3().c().r[0] = 0;
    assert_eq!(user.run(&[0x8E, 0xD0]), gp(0));
}

#[test]
fn non_canonical_addresses_are_gp_and_through_the_stack_ss() {
    let mut rig = Rig::long();
    rig.c().r[3] = 1 << 47;
    assert_eq!(rig.run(&[0x8B, 0x03]), gp(0));
    let mut stack = Rig::long();
    stack.ring3().c().r[5] = 1 << 47;
    assert_eq!(stack.run(&[0x8B, 0x45, 0]), STACK_FAULT);
    // A jump there is #GP at the jump.
    let mut jump = Rig::long();
    jump.c().r[3] = 1 << 47;
    assert_eq!(jump.run(&[0xFF, 0xE3]), gp(0));
    assert_eq!(jump.stack(1), CODE);
}

#[test]
fn flags_of_arpl_tell_whether_rpl_was_raised() {
    let mut rig = Rig::protected();
    (rig.c().r[0], rig.c().r[3]) = (0x11, 0x12);
    // arpl ax, bx; hlt
    assert_eq!(rig.run(&[0x63, 0xD8, 0xF4]), halt(3));
    assert_eq!((rig.c().r[0], rig.c().flags() & flag::ZF), (0x12, flag::ZF));
}

#[test]
fn the_last_linear_address_can_be_jumped_to() {
    let mut rig = Rig::long();
    rig.c().r[3] = u64::MAX;
    // jmp rbx: a page fault of the fetch there
    assert_eq!(rig.run(&[0xFF, 0xE3]), End::Vector(vector::PF, 0));
    assert_eq!((rig.stack(1), rig.c().cr2), (u64::MAX, u64::MAX));
}

// ---- selectors on the stack ----

#[test]
fn a_selector_takes_16_bits_of_a_32_bit_stack_slot_on_intels_processors_and_all_of_it_on_amds() {
    let push = |model: &str| {
        let mut rig = Rig::protected_as(model);
        rig.put(STACKS[0] - 4, 0xDEAD_BEEF, 4);
        // push es; hlt
        assert_eq!(rig.run(&[0x06, 0xF4]), End::Halt(CODE + 2));
        (rig.stack(0), rig.c().r[4])
    };
    let at = STACKS[0] - 4;
    assert_eq!(push("pentium3"), (0xDEAD_0000 | u64::from(DATA0), at));
    assert_eq!(push("max"), (u64::from(DATA0), at));
    // A slot whose upper half lies behind the stack segment's limit: pop es; hlt
    let pop = |model: &str| {
        let mut rig = Rig::protected_as(model);
        let c = rig.c();
        c.seg[seg::SS].limit = (STACKS[1] + 1) as u32;
        c.r[4] = STACKS[1];
        rig.changed();
        rig.put(STACKS[1], u64::from(DATA0), 2);
        rig.run(&[0x07, 0xF4])
    };
    assert_eq!(pop("pentium3"), End::Halt(CODE + 2));
    assert_eq!(pop("max"), End::Vector(vector::SS, 0));
}

#[test]
fn arpl_that_changes_nothing_writes_nothing() {
    // arpl [DATA], ax; hlt with a read-only DS and RPL 1 at DATA
    let run = |rpl: u64| {
        let mut rig = Rig::protected();
        let c = rig.c();
        c.seg[seg::DS].attr &= !2;
        c.r[0] = rpl;
        rig.changed();
        rig.put(DATA, 1, 2);
        rig.run(&[0x63, 0x05, 0, 0, 3, 0, 0xF4])
    };
    assert_eq!(run(1), End::Halt(CODE + 7));
    assert_eq!(run(2), gp(0));
}

#[test]
fn ltr_and_lldt_refuse_a_base_that_is_not_canonical() {
    let load = |kind: u8, high: u64, modrm: u8| {
        let mut rig = Rig::long();
        rig.descriptor(TSS2_SELECTOR, descriptor(0x5000, 0x67, kind, 0));
        rig.descriptor(TSS2_SELECTOR + 8, high);
        rig.c().r[0] = u64::from(TSS2_SELECTOR);
        rig.run(&[0x0F, 0x00, modrm, 0xF4])
    };
    for (kind, modrm) in [(0x89, 0xD8), (0x82, 0xD0)] {
        assert_eq!(load(kind, 0xFFFF_8000, modrm), End::Halt(CODE + 4));
        assert_eq!(load(kind, 0x8000, modrm), gp(TSS2_SELECTOR));
        // Not present goes first.
        let absent = End::Vector(vector::NP, u32::from(TSS2_SELECTOR));
        assert_eq!(load(kind & 0x7F, 0x8000, modrm), absent);
    }
}
