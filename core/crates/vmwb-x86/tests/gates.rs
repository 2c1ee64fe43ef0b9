//! Interrupts, exceptions and calls through gates: SDM volume 3, sections 5.8 and 6.10 to 6.14.

mod system;

use system::{
    B16, B32, CODE, CODE_R, CODE0, CODE3, DATA_W, DATA0, DATA3, DPL3, End, FREE, G32, GDT,
    HANDLERS, IDT, Rig, STACKS, TSS, TSS_SELECTOR, descriptor, gate,
};
use vmwb_x86::cpu::{Segment, flag, seg, vector};

fn fault(v: u8, code: u16) -> End {
    End::Vector(v, u32::from(code))
}
fn gp(code: u16) -> End {
    fault(vector::GP, code)
}

/// Bits of an error code: IDT, EXT.
const IDT_BIT: u16 = 2;
const EXT: u16 = 1;

/// Selectors of tests of their own.
const GATE: u16 = FREE;
const TARGET: u16 = FREE + 8;
const RING1: u16 = FREE + 0x10;
const STACK1: u16 = FREE + 0x18;

fn flat(access: u8) -> u64 {
    descriptor(0, 0xF_FFFF, access, G32)
}

/// INT 40h through a gate of the test's.
fn int40(d: u64, ring3: bool, setup: impl Fn(&mut Rig)) -> (End, Rig) {
    let mut rig = Rig::protected();
    rig.gate(0x40, d);
    if ring3 {
        rig.ring3();
    }
    setup(&mut rig);
    let end = rig.run(&[0xCD, 0x40]);
    (end, rig)
}

#[test]
fn int_n_checks_limit_type_dpl_and_presence_of_its_gate() {
    let code = (0x40 * 8) | IDT_BIT;
    let handler = HANDLERS as u32 + 0x400;
    let ok = gate(CODE0, handler, 0xEE, 0);
    let short_idt = |rig: &mut Rig| rig.c().idtr.limit = 0x40 * 8 + 6;
    assert_eq!(int40(ok, true, |_| ()).0, End::Vector(0x40, 0));
    assert_eq!(int40(ok, true, short_idt).0, gp(code));
    assert_eq!(int40(flat(CODE_R), true, |_| ()).0, gp(code));
    // DPL 0 for INT n at ring 3, before presence.
    assert_eq!(
        int40(gate(CODE0, handler, 0x0E, 0), true, |_| ()).0,
        gp(code)
    );
    assert_eq!(
        int40(gate(CODE0, handler, 0x6E, 0), true, |_| ()).0,
        fault(vector::NP, code)
    );
}

#[test]
fn a_fault_through_a_bad_gate_has_ext_set() {
    let mut rig = Rig::protected();
    rig.gate(6, 0);
    // #UD through an empty gate: #GP with EXT.
    assert_eq!(rig.run(&[0x0F, 0x0B]), gp((6 * 8) | IDT_BIT | EXT));
}

#[test]
fn int_n_checks_the_code_segment_of_its_gate() {
    let handler = HANDLERS as u32 + 0x400;
    let through = |selector: u16, d: u64| {
        int40(gate(selector, handler, 0xEE, 0), false, |rig| {
            rig.descriptor(TARGET, d)
        })
        .0
    };
    assert_eq!(through(0, 0), gp(0));
    assert_eq!(through(0x100, 0), gp(0x100));
    assert_eq!(through(TARGET, flat(DATA_W)), gp(TARGET));
    assert_eq!(through(TARGET, flat(CODE_R | DPL3)), gp(TARGET));
    assert_eq!(through(TARGET, flat(0x1A)), fault(vector::NP, TARGET));
    // The offset lies behind the segment's limit.
    assert_eq!(through(TARGET, descriptor(0, 0xFFF, CODE_R, B32)), gp(0));
}

#[test]
fn an_interrupt_from_ring_3_switches_the_stack() {
    let (end, mut rig) = int40(gate(CODE0, HANDLERS as u32 + 0x400, 0xEE, 0), true, |_| ());
    assert_eq!(end, End::Vector(0x40, 0));
    let frame: Vec<u64> = (0..5).map(|n| rig.stack(n)).collect();
    assert_eq!(
        frame,
        vec![CODE + 2, u64::from(CODE3), 2, STACKS[3], u64::from(DATA3)]
    );
    assert_eq!(
        (rig.c().r[4], rig.selector(seg::SS), rig.c().cpl),
        (STACKS[0] - 20, DATA0, 0)
    );
}

#[test]
fn the_inner_stack_is_checked_with_ts_and_ss() {
    let with = |ss: u16, d: u64, tss_limit: u32| {
        int40(gate(CODE0, HANDLERS as u32 + 0x400, 0xEE, 0), true, |rig| {
            rig.descriptor(STACK1, d);
            rig.put(TSS + 8, u64::from(ss), 4);
            rig.c().tr.limit = tss_limit;
            // The faults themselves need a stack: a task with ring 0 conforming code would do; here through ring 3's own.
            for v in [vector::TS, vector::SS, vector::GP] {
                rig.descriptor(TARGET, flat(0x9E));
                rig.gate(
                    v,
                    gate(TARGET, HANDLERS as u32 + 16 * u32::from(v), 0xEE, 0),
                );
            }
            // HLT is for ring 0: the handlers loop.
            (0..0x20).for_each(|v| rig.write(HANDLERS + 16 * v, &[0xEB, 0xFE]));
        })
    };
    let seen = |(end, mut rig): (End, Rig)| {
        assert_eq!(end, End::Budget);
        ((rig.c().rip - HANDLERS) / 16, rig.stack(0))
    };
    let ts = u64::from(vector::TS);
    assert_eq!(seen(with(DATA0, 0, 8)), (ts, u64::from(TSS_SELECTOR)));
    assert_eq!(seen(with(0, 0, 0xFFF)), (ts, 0));
    assert_eq!(seen(with(0x100, 0, 0xFFF)), (ts, 0x100));
    assert_eq!(seen(with(DATA3, 0, 0xFFF)), (ts, u64::from(DATA3 & !3)));
    assert_eq!(
        seen(with(STACK1 | 1, flat(DATA_W), 0xFFF)),
        (ts, u64::from(STACK1))
    );
    assert_eq!(
        seen(with(STACK1, flat(0x90), 0xFFF)),
        (ts, u64::from(STACK1))
    );
    assert_eq!(
        seen(with(STACK1, flat(0x12), 0xFFF)),
        (u64::from(vector::SS), u64::from(STACK1))
    );
    // No room for the frame.
    let small = descriptor(0, STACKS[0] as u32 - 21, DATA_W, B32);
    assert_eq!(
        seen(with(STACK1, small, 0xFFF)),
        (u64::from(vector::SS), u64::from(STACK1))
    );
}

#[test]
fn interrupt_gates_clear_if_and_trap_gates_do_not() {
    let flags = |kind: u8| {
        let (end, mut rig) = int40(
            gate(CODE0, HANDLERS as u32 + 0x400, kind, 0),
            false,
            |rig| {
                rig.write(HANDLERS + 0x400, &[0x9C, 0x58, 0xFA, 0xF4]);
                rig.c().set_flags(flag::IF | flag::NT | flag::FIXED);
            },
        );
        assert_eq!(end, End::Vector(0x40, 0));
        rig.c().r[0] & (flag::IF | flag::NT)
    };
    assert_eq!((flags(0xEE), flags(0xEF)), (0, flag::IF));
}

#[test]
fn a_16_bit_gate_pushes_words() {
    let (end, mut rig) = int40(gate(CODE0, HANDLERS as u32 + 0x400, 0xE6, 0), true, |_| ());
    assert_eq!(end, End::Vector(0x40, 0));
    let sp = rig.c().r[4];
    let words: Vec<u64> = (0..5).map(|n| rig.get(sp + 2 * n, 2)).collect();
    assert_eq!(sp, STACKS[0] - 10);
    assert_eq!(
        words,
        vec![
            (CODE + 2) & 0xFFFF,
            u64::from(CODE3),
            2,
            STACKS[3],
            u64::from(DATA3)
        ]
    );
}

#[test]
fn a_16_bit_tss_gives_16_bit_stacks() {
    let (end, mut rig) = int40(gate(CODE0, HANDLERS as u32 + 0x400, 0xEE, 0), true, |rig| {
        rig.put(TSS + 2, 0x7000, 2);
        rig.put(TSS + 4, u64::from(DATA0), 2);
        rig.c().tr.attr = 0x83;
    });
    assert_eq!((end, rig.c().r[4]), (End::Vector(0x40, 0), 0x7000 - 20));
}

#[test]
fn two_contributory_exceptions_are_a_double_fault() {
    // #GP (a write to code) whose gate is not present.
    let mut rig = Rig::protected();
    rig.gate(vector::GP, gate(CODE0, 0, 0x6E, 0));
    assert_eq!(rig.run(&[0x2E, 0xA3, 0, 0, 0, 0]), fault(vector::DF, 0));
    assert_eq!(rig.stack(1), CODE);
}

#[test]
fn a_benign_exception_in_front_is_none() {
    // #UD whose gate is not present: #NP alone.
    let mut rig = Rig::protected();
    rig.gate(vector::UD, gate(CODE0, 0, 0x6E, 0));
    assert_eq!(
        rig.run(&[0x0F, 0x0B]),
        fault(vector::NP, (6 * 8) | IDT_BIT | EXT)
    );
}

#[test]
fn a_page_fault_during_a_page_fault_is_a_double_fault_and_one_more_a_shutdown() {
    let mut rig = Rig::protected();
    rig.page32();
    // The gate of #PF lies in a page that is absent; the double fault's does not.
    rig.c().idtr.base = 0x5_0000 - 14 * 8;
    (0..14).for_each(|v| {
        let d = rig.get(IDT + 8 * v, 8);
        rig.put(0x5_0000 - 14 * 8 + 8 * v, d, 8);
    });
    rig.put(system::TABLES + 0x1000 + 4 * 0x50, 0, 4);
    rig.put(system::TABLES + 0x1000 + 4 * 0x60, 0, 4);
    rig.changed();
    // mov eax, [60000h]
    let code = [0xA1, 0, 0, 6, 0];
    assert_eq!(rig.run(&code), fault(vector::DF, 0));
    let mut worse = Rig::protected();
    worse.c().idtr.limit = 8 * 8 - 1;
    worse.page32();
    worse.put(system::TABLES + 0x1000 + 4 * 0x60, 0, 4);
    worse.changed();
    assert_eq!(worse.run(&code), End::Shutdown(vector::PF));
}

#[test]
fn iret_goes_back_to_ring_3_and_checks_like_a_far_return() {
    let back = |flags: u64, cs: u16, ss: u16| {
        let mut rig = Rig::protected();
        let sp = STACKS[0] - 0x40;
        let frame = [CODE + 0x100, u64::from(cs), flags, STACKS[3], u64::from(ss)];
        for (i, v) in frame.into_iter().enumerate() {
            rig.put(sp + 4 * i as u64, v, 4);
        }
        rig.c().r[4] = sp;
        rig.write(CODE + 0x100, &[0xCD, 0x40]);
        (rig.run(&[0xCF]), rig)
    };
    let (end, rig) = back(0x3202, CODE3, DATA3);
    assert_eq!(end, End::Vector(0x40, 0));
    assert_eq!(
        (rig.stack(1), rig.stack(2), rig.stack(3)),
        (u64::from(CODE3), 0x3202, STACKS[3])
    );
    assert_eq!(back(2, 0, DATA3).0, gp(0));
    assert_eq!(back(2, DATA0, DATA3).0, gp(DATA0));
    assert_eq!(back(2, CODE3, 0).0, gp(0));
    assert_eq!(back(2, CODE3, DATA0).0, gp(DATA0));
}

#[test]
fn a_return_to_a_16_bit_stack_leaves_the_upper_half_of_esp() {
    let mut rig = Rig::protected();
    rig.descriptor(STACK1, descriptor(0x4_0000, 0xFFFF, DATA_W | DPL3, B16));
    let sp = STACKS[0] - 0x40;
    let frame = [
        CODE + 0x100,
        u64::from(CODE3),
        2,
        0x1234_5000,
        u64::from(STACK1 | 3),
    ];
    for (i, v) in frame.into_iter().enumerate() {
        rig.put(sp + 4 * i as u64, v, 4);
    }
    rig.c().r[4] = sp;
    // mov eax, esp; int 40h
    rig.write(CODE + 0x100, &[0x89, 0xE0, 0xCD, 0x40]);
    assert_eq!(rig.run(&[0xCF]), End::Vector(0x40, 0));
    assert_eq!(rig.c().r[0], 0x5000);
}

#[test]
fn iret_at_ring_3_leaves_iopl_and_if() {
    let mut rig = Rig::protected();
    rig.ring3().c().set_flags(flag::FIXED);
    let sp = STACKS[3] - 0x20;
    for (i, v) in [CODE + 0x100, u64::from(CODE3), 0x3202 | flag::AC]
        .into_iter()
        .enumerate()
    {
        rig.put(sp + 4 * i as u64, v, 4);
    }
    rig.c().r[4] = sp;
    rig.write(CODE + 0x100, &[0xCD, 0x40]);
    assert_eq!(rig.run(&[0xCF]), End::Vector(0x40, 0));
    assert_eq!(rig.stack(2), flag::AC | flag::FIXED);
}

// ---- call gates ----

/// A far call or jump through GATE.
fn through(opcode: u8, selector: u16, d: u64, setup: impl Fn(&mut Rig)) -> (End, Rig) {
    let mut rig = Rig::protected();
    rig.descriptor(GATE, d);
    setup(&mut rig);
    let s = selector.to_le_bytes();
    let end = rig.run(&[opcode, 0x99, 0x99, 0x99, 0x99, s[0], s[1]]);
    (end, rig)
}
const CALL: u8 = 0x9A;
const JMP: u8 = 0xEA;
const ENTRY: u32 = CODE as u32 + 0x400;

fn entry(rig: &mut Rig) {
    rig.write(u64::from(ENTRY), &[0xF4]);
}

#[test]
fn a_call_gate_at_the_same_level_ignores_the_offset_of_the_pointer() {
    let (end, mut rig) = through(CALL, GATE, gate(CODE0, ENTRY, 0x8C, 0), entry);
    assert_eq!(end, End::Halt(u64::from(ENTRY) + 1));
    assert_eq!((rig.stack(0), rig.stack(1)), (CODE + 7, u64::from(CODE0)));
    let (end, mut jump) = through(JMP, GATE, gate(CODE0, ENTRY, 0x8C, 0), entry);
    assert_eq!(
        (end, jump.c().r[4]),
        (End::Halt(u64::from(ENTRY) + 1), STACKS[0])
    );
    assert_eq!(rig.c().r[4], STACKS[0] - 8);
}

#[test]
fn a_call_gate_is_checked_before_its_target() {
    let at3 = |d: u64| {
        through(CALL, GATE | 3, d, |rig| {
            rig.ring3();
        })
        .0
    };
    // DPL below CPL, before presence; DPL below RPL at ring 0.
    assert_eq!(at3(gate(CODE0, ENTRY, 0x0C, 0)), gp(GATE));
    assert_eq!(at3(gate(CODE0, ENTRY, 0x6C, 0)), fault(vector::NP, GATE));
    let none = |_: &mut Rig| ();
    assert_eq!(
        through(CALL, GATE | 3, gate(CODE0, ENTRY, 0x8C, 0), none).0,
        gp(GATE)
    );
    // The target: null, outside, data, absent, of a lower level.
    assert_eq!(at3(gate(0, ENTRY, 0xEC, 0)), gp(0));
    assert_eq!(at3(gate(0x100, ENTRY, 0xEC, 0)), gp(0x100));
    assert_eq!(at3(gate(DATA0, ENTRY, 0xEC, 0)), gp(DATA0));
    let absent = |rig: &mut Rig| rig.descriptor(TARGET, flat(0x1A));
    assert_eq!(
        through(CALL, GATE, gate(TARGET, ENTRY, 0x8C, 0), absent).0,
        fault(vector::NP, TARGET)
    );
    assert_eq!(
        through(CALL, GATE, gate(CODE3, ENTRY, 0x8C, 0), none).0,
        gp(CODE3 & !3)
    );
    // A jump may not raise the privilege.
    assert_eq!(
        through(JMP, GATE | 3, gate(CODE0, ENTRY, 0xEC, 0), |rig| {
            rig.ring3();
        })
        .0,
        gp(CODE0)
    );
}

#[test]
fn a_call_gate_inwards_copies_the_parameters_and_retf_takes_them_off_both_stacks() {
    let (end, mut rig) = through(CALL, GATE | 3, gate(CODE0, ENTRY, 0xEC, 2), |rig| {
        rig.ring3();
        rig.c().r[4] = STACKS[3] - 8;
        rig.put(STACKS[3] - 8, 0x1111, 4);
        rig.put(STACKS[3] - 4, 0x2222, 4);
        // mov eax, [esp+8]; mov ebx, [esp+12]; mov ecx, esp; retf 8
        rig.write(
            u64::from(ENTRY),
            &[
                0x8B, 0x44, 0x24, 8, 0x8B, 0x5C, 0x24, 12, 0x89, 0xE1, 0xCA, 8, 0,
            ],
        );
        rig.write(CODE + 7, &[0xCD, 0x40]);
    });
    assert_eq!(end, End::Vector(0x40, 0));
    let c = rig.c();
    assert_eq!((c.r[0], c.r[3], c.r[1]), (0x1111, 0x2222, STACKS[0] - 24));
    assert_eq!(
        (rig.stack(1), rig.stack(3), rig.stack(4)),
        (u64::from(CODE3), STACKS[3], u64::from(DATA3))
    );
}

#[test]
fn a_16_bit_call_gate_copies_words_to_an_intermediate_ring() {
    let (end, mut rig) = through(CALL, GATE | 3, gate(RING1, ENTRY, 0xE4, 1), |rig| {
        rig.descriptor(RING1, flat(CODE_R | 0x20));
        rig.descriptor(STACK1, flat(DATA_W | 0x20));
        rig.put(TSS + 12, STACKS[1], 4);
        rig.put(TSS + 16, u64::from(STACK1 | 1), 4);
        rig.ring3();
        rig.put(STACKS[3], 0x5566, 2);
        // int 40h at ring 1
        rig.c().seg[seg::CS].base = 0;
        rig.write(u64::from(ENTRY) & 0xFFFF, &[0xCD, 0x40]);
    });
    assert_eq!(end, End::Vector(0x40, 0));
    assert_eq!(
        (rig.stack(1), rig.stack(4)),
        (u64::from(RING1 | 1), u64::from(STACK1 | 1))
    );
    let sp = rig.stack(3);
    let words: Vec<u64> = (0..5).map(|n| rig.get(sp + 2 * n, 2)).collect();
    assert_eq!(sp, STACKS[1] - 10);
    assert_eq!(
        words,
        vec![
            (CODE + 7) & 0xFFFF,
            u64::from(CODE3),
            0x5566,
            STACKS[3],
            u64::from(DATA3)
        ]
    );
    assert_eq!(rig.c().cpl, 0);
}

#[test]
fn gates_set_the_accessed_bit_of_the_code_they_lead_to() {
    let (_, rig) = through(CALL, GATE, gate(TARGET, ENTRY, 0x8C, 0), |rig| {
        rig.descriptor(TARGET, flat(CODE_R));
        entry(rig);
    });
    assert_eq!(
        rig.get(GDT + u64::from(TARGET) + 5, 1),
        u64::from(CODE_R | 1)
    );
}

// ---- long mode ----

fn long_gate(rig: &Rig, v: u64, low: u64, high: u64) {
    rig.put(IDT + 16 * v, low, 8);
    rig.put(IDT + 16 * v + 8, high, 8);
}

#[test]
fn long_mode_always_pushes_ss_rsp_on_an_aligned_stack() {
    let mut rig = Rig::long();
    rig.c().r[4] = STACKS[0] - 3;
    assert_eq!(rig.run(&[0xCD, 0x40]), End::Vector(0x40, 0));
    let frame: Vec<u64> = (0..5).map(|n| rig.stack(n)).collect();
    assert_eq!(
        frame,
        vec![
            CODE + 2,
            u64::from(CODE0),
            2,
            STACKS[0] - 3,
            u64::from(DATA0)
        ]
    );
    assert_eq!(rig.c().r[4], STACKS[0] - 16 - 40);
}

#[test]
fn long_mode_takes_the_inner_stack_or_the_interrupt_stack_table() {
    let mut rig = Rig::long();
    assert_eq!(rig.ring3().run(&[0xCD, 0x40]), End::Vector(0x40, 0));
    assert_eq!((rig.c().r[4], rig.selector(seg::SS)), (STACKS[0] - 40, 0));
    let mut ist = Rig::long();
    long_gate(&ist, 0x40, gate(CODE0, HANDLERS as u32 + 0x400, 0xEE, 1), 0);
    assert_eq!(ist.run(&[0xCD, 0x40]), End::Vector(0x40, 0));
    assert_eq!(ist.c().r[4], STACKS[3] - 40);
}

#[test]
fn long_mode_wants_64_bit_code_behind_its_gates() {
    let mut rig = Rig::long();
    rig.descriptor(TARGET, flat(CODE_R));
    long_gate(&rig, 0x40, gate(TARGET, 0, 0xEE, 0), 0);
    assert_eq!(rig.run(&[0xCD, 0x40]), gp(TARGET));
    // 16-bit gates and task gates do not exist there.
    let mut old = Rig::long();
    long_gate(&old, 0x40, gate(CODE0, 0, 0xE6, 0), 0);
    assert_eq!(old.run(&[0xCD, 0x40]), gp((0x40 * 8) | IDT_BIT));
    let mut task = Rig::long();
    long_gate(&task, 0x40, gate(CODE0, 0, 0xE5, 0), 0);
    assert_eq!(task.run(&[0xCD, 0x40]), gp((0x40 * 8) | IDT_BIT));
}

#[test]
fn a_stack_or_handler_that_is_not_canonical_faults_in_the_frame() {
    let mut stack = Rig::long();
    stack.put(TSS + 4, 1 << 47, 8);
    // #SS(0) on the same stack again, so a double fault, which has its own.
    long_gate(&stack, 8, gate(CODE0, HANDLERS as u32 + 0x80, 0xEE, 1), 0);
    assert_eq!(stack.ring3().run(&[0xCD, 0x40]), fault(vector::DF, 0));
    let mut handler = Rig::long();
    long_gate(&handler, 0x40, gate(CODE0, 0, 0xEE, 0), 0x8000);
    assert_eq!(handler.run(&[0xCD, 0x40]), gp(0));
}

#[test]
fn a_64_bit_call_gate_switches_to_a_null_stack_segment() {
    let mut rig = Rig::long();
    rig.descriptor(GATE, gate(CODE0, ENTRY, 0xEC, 0));
    rig.descriptor(GATE + 8, 0);
    entry(&mut rig);
    rig.ring3();
    rig.put(0x3_0000, u64::from(GATE | 3) << 32, 6);
    // call far [30000h]
    let code = [0xFF, 0x1C, 0x25, 0, 0, 3, 0];
    assert_eq!(rig.run(&code), End::Halt(u64::from(ENTRY) + 1));
    let frame: Vec<u64> = (0..4).map(|n| rig.stack(n)).collect();
    assert_eq!(
        frame,
        vec![CODE + 7, u64::from(CODE3), STACKS[3], u64::from(DATA3)]
    );
    assert_eq!(rig.selector(seg::SS), 0);
    // The upper half's type must be zero; the target 64-bit code.
    let mut bad = Rig::long();
    bad.descriptor(GATE, gate(CODE0, ENTRY, 0x8C, 0));
    bad.descriptor(GATE + 8, 0xC << 40);
    bad.put(0x3_0000, u64::from(GATE) << 32, 6);
    assert_eq!(bad.run(&code), gp(GATE));
    let mut narrow = Rig::long();
    narrow.descriptor(GATE, gate(RING1, ENTRY, 0x8C, 0));
    narrow.descriptor(GATE + 8, 0);
    narrow.descriptor(RING1, descriptor(0, 0xFFFF, CODE_R, B16));
    narrow.put(0x3_0000, u64::from(GATE) << 32, 6);
    assert_eq!(narrow.run(&code), gp(RING1));
}

#[test]
fn compatibility_mode_runs_32_bit_code_and_comes_back_through_a_gate() {
    let mut rig = Rig::long();
    rig.descriptor(TARGET, flat(CODE_R | DPL3));
    rig.ring3();
    let c = rig.c();
    c.seg[seg::CS] = Segment {
        selector: TARGET | 3,
        base: 0,
        limit: u32::MAX,
        attr: 0xC0FB,
    };
    rig.changed();
    // inc eax (a REX prefix in 64-bit code); int 40h
    assert_eq!(rig.run(&[0x40, 0xCD, 0x40]), End::Vector(0x40, 0));
    assert_eq!(
        (rig.c().r[0], rig.stack(1), rig.stack(4)),
        (1, u64::from(TARGET | 3), u64::from(DATA3))
    );
}

#[test]
fn iret_from_64_bit_code_may_load_a_null_stack_segment_inwards_only() {
    let back = |cs: u16, ss: u16| {
        let mut rig = Rig::long();
        let sp = STACKS[0] - 0x80;
        let frame = [
            CODE + 0x100,
            u64::from(cs),
            2,
            STACKS[0] - 0x200,
            u64::from(ss),
        ];
        for (i, v) in frame.into_iter().enumerate() {
            rig.put(sp + 8 * i as u64, v, 8);
        }
        rig.c().r[4] = sp;
        rig.write(CODE + 0x100, &[0xF4]);
        (rig.run(&[0x48, 0xCF]), rig.c().r[4])
    };
    assert_eq!(back(CODE0, 0), (End::Halt(CODE + 0x101), STACKS[0] - 0x200));
    assert_eq!(back(CODE3, 0).0, gp(0));
}

#[test]
fn iret_outwards_makes_null_selectors_zero_and_keeps_the_bases_behind_them() {
    for model in ["max", "core2"] {
        let mut rig = Rig::long_as(model);
        let sp = STACKS[0] - 0x80;
        let frame = [
            CODE + 0x100,
            u64::from(CODE3),
            2,
            STACKS[3],
            u64::from(DATA3),
        ];
        for (i, v) in frame.into_iter().enumerate() {
            rig.put(sp + 8 * i as u64, v, 8);
        }
        let c = rig.c();
        c.r[4] = sp;
        let data = [seg::ES, seg::DS, seg::FS, seg::GS];
        data.into_iter().for_each(|n| c.seg[n].selector = 3);
        c.seg[seg::FS].base = 0x1234;
        // One of ring 0, as kernels leave GS that load it once, at the start.
        c.seg[seg::GS] = Segment {
            base: 0x5678,
            ..c.seg[seg::SS]
        };
        rig.changed();
        // ud2 at ring 3, whose handler finds what IRETQ left.
        rig.write(CODE + 0x100, &[0x0F, 0x0B]);
        assert_eq!(rig.run(&[0x48, 0xCF]), fault(vector::UD, 0));
        let c = rig.c();
        assert_eq!(data.map(|n| c.seg[n].selector), [0; 4], "{model}");
        assert_eq!(c.seg[seg::FS].base, 0x1234);
        assert_eq!(c.seg[seg::GS].base, 0x5678, "{model}");
    }
}

#[test]
fn nt_makes_iret_in_long_mode_gp() {
    let mut rig = Rig::long();
    rig.c().set_flags(flag::NT | flag::FIXED);
    assert_eq!(rig.run(&[0x48, 0xCF]), gp(0));
}

// ---- interrupts from outside ----

#[test]
fn an_interrupt_waits_for_the_instruction_behind_sti_and_behind_a_load_of_ss() {
    let mut rig = Rig::protected();
    rig.bus.pending = Some(0x40);
    // sti; inc ebx; inc ebx
    assert_eq!(rig.run(&[0xFB, 0x43, 0x43]), End::Vector(0x40, 0));
    assert_eq!((rig.c().r[3], rig.stack(0)), (1, CODE + 2));
    let mut stack = Rig::protected();
    stack.bus.pending = Some(0x40);
    stack.c().set_flags(flag::IF | flag::FIXED);
    stack.c().r[0] = u64::from(DATA0);
    // The interrupt comes first: then, with IF still clear in its handler, nothing more.
    assert_eq!(stack.run(&[0x8E, 0xD0, 0x43]), End::Vector(0x40, 0));
    assert_eq!(stack.stack(0), CODE);
}

#[test]
fn an_interrupt_that_comes_when_a_run_has_ended_behind_sti_waits_too() {
    let mut rig = Rig::protected();
    rig.write(CODE, &[0xFB, 0x43, 0xF4]);
    assert_eq!(rig.go(1), End::Budget);
    rig.bus.pending = Some(0x40);
    // sti | inc ebx; hlt: not between the two, or `sti; hlt` would sleep over it.
    assert_eq!(rig.go(100), End::Vector(0x40, 0));
    assert_eq!((rig.c().r[3], rig.stack(0)), (1, CODE + 2));
}

#[test]
fn nmi_is_blocked_until_iret_and_a_faulting_iret_lets_it_in_too() {
    let mut rig = Rig::protected();
    rig.bus.nmi = true;
    // The handler of vector 2: iret
    rig.write(HANDLERS + 0x20, &[0x43, 0xCF]);
    assert_eq!(rig.run(&[0x90, 0xF4]), End::Halt(CODE + 2));
    assert_eq!(rig.c().r[3], 1);
}
