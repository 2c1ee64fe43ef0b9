//! Task switches: SDM volume 3, chapter 8.

mod system;

use system::{
    CODE, CODE_R, CODE0, CODE3, DATA, DATA_W, DATA0, DATA3, DPL3, End, FREE, G32, GDT, HANDLERS,
    LDT, LDT_SELECTOR, Rig, STACKS, TSS, TSS_SELECTOR, TSS2, TSS2_SELECTOR, descriptor, gate,
};
use vmwb_x86::cpu::{cr0, flag, seg, vector};

fn fault(v: u8, code: u16) -> End {
    End::Vector(v, u32::from(code))
}

const TASK: u64 = CODE + 0x800;
const GATE: u16 = FREE;
const OTHER: u16 = FREE + 8;
const FAR_CALL: u8 = 0x9A;
const FAR_JMP: u8 = 0xEA;

/// 32-bit TSS fields.
const EIP: u64 = 32;
const EFLAGS: u64 = 36;
const EAX: u64 = 40;
const ESP: u64 = 56;
const ES: u64 = 72;
const CS: u64 = 76;
const SS: u64 = 80;
const DS: u64 = 84;
const LDTR: u64 = 96;
const TRAP: u64 = 100;

/// A second task at ring 0 that starts at TASK, whose first instruction is HLT.
fn two_tasks() -> Rig {
    let rig = Rig::protected();
    rig.descriptor(TSS2_SELECTOR, descriptor(TSS2 as u32, 103, 0x89, 0));
    for (at, v) in [
        (EIP, TASK),
        (EFLAGS, 2),
        (ESP, STACKS[1]),
        (CS, u64::from(CODE0)),
        (SS, u64::from(DATA0)),
        (DS, u64::from(DATA0)),
        (ES, u64::from(DATA0)),
        (102, 0xFFFF),
    ] {
        rig.put(TSS2 + at, v, 4);
    }
    (0..8).for_each(|n| {
        rig.put(
            TSS2 + EAX + 4 * n,
            if n == 4 { STACKS[1] } else { 0x100 + n },
            4,
        )
    });
    // Ring 0 of task 2, for faults.
    rig.put(TSS2 + 4, STACKS[2], 4);
    rig.put(TSS2 + 8, u64::from(DATA0), 4);
    rig.write(TASK, &[0xF4]);
    rig
}

fn far(opcode: u8, selector: u16) -> [u8; 7] {
    let s = selector.to_le_bytes();
    [opcode, 0x11, 0x22, 0x33, 0x44, s[0], s[1]]
}

fn busy(rig: &Rig, selector: u16) -> bool {
    rig.get(GDT + u64::from(selector) + 5, 1) & 2 != 0
}

#[test]
fn a_jump_saves_the_old_task_and_loads_the_new_one() {
    let mut rig = two_tasks();
    rig.c().r[0] = 0xAAAA_BBBB;
    assert_eq!(rig.run(&far(FAR_JMP, TSS2_SELECTOR)), End::Halt(TASK + 1));
    let c = rig.c();
    assert_eq!(
        (c.r[0], c.r[7], c.r[4], c.tr.selector),
        (0x100, 0x107, STACKS[1], TSS2_SELECTOR)
    );
    assert_eq!((c.cr0 & cr0::TS != 0, c.flags() & flag::NT), (true, 0));
    assert_eq!(
        (busy(&rig, TSS_SELECTOR), busy(&rig, TSS2_SELECTOR)),
        (false, true)
    );
    assert_eq!(
        (
            rig.get(TSS + EAX, 4),
            rig.get(TSS + EIP, 4),
            rig.get(TSS + CS, 2),
            rig.get(TSS2, 2)
        ),
        (0xAAAA_BBBB, CODE + 7, u64::from(CODE0), 0)
    );
}

#[test]
fn a_call_links_the_tasks_and_iret_goes_back() {
    let mut rig = two_tasks();
    // The task: inc eax; iret; then, when it is called again, hlt
    rig.write(TASK, &[0x40, 0xCF, 0xF4]);
    rig.c().r[0] = 7;
    let code = [&far(FAR_CALL, TSS2_SELECTOR)[..], &[0xF4]].concat();
    assert_eq!(rig.run(&code), End::Halt(CODE + 8));
    assert_eq!((rig.c().r[0], rig.c().tr.selector), (7, TSS_SELECTOR));
    assert_eq!(
        (rig.get(TSS2, 2), rig.get(TSS2 + EAX, 4)),
        (u64::from(TSS_SELECTOR), 0x101)
    );
    assert_eq!(rig.get(TSS2 + EIP, 4), TASK + 2);
    assert_eq!(
        (busy(&rig, TSS_SELECTOR), busy(&rig, TSS2_SELECTOR)),
        (true, false)
    );
    // NT was set while the task ran, and IRET cleared it in what it saved.
    assert_eq!(
        (
            rig.get(TSS2 + EFLAGS, 4) & flag::NT,
            rig.c().flags() & flag::NT
        ),
        (0, 0)
    );
}

#[test]
fn a_nested_task_has_nt_set_and_the_caller_stays_busy() {
    let mut rig = two_tasks();
    assert_eq!(rig.run(&far(FAR_CALL, TSS2_SELECTOR)), End::Halt(TASK + 1));
    assert_eq!(rig.c().flags() & flag::NT, flag::NT);
    assert_eq!(
        (busy(&rig, TSS_SELECTOR), busy(&rig, TSS2_SELECTOR)),
        (true, true)
    );
}

#[test]
fn the_tss_is_checked_for_privilege_state_presence_and_size() {
    let with = |selector: u16, d: u64, ring3: bool| {
        let mut rig = two_tasks();
        rig.descriptor(TSS2_SELECTOR, d);
        if ring3 {
            rig.ring3();
        }
        rig.run(&far(FAR_JMP, selector))
    };
    let tss = |access: u8, limit: u32| descriptor(TSS2 as u32, limit, access, 0);
    let s = TSS2_SELECTOR;
    assert_eq!(with(s | 3, tss(0x89, 103), true), fault(vector::GP, s));
    assert_eq!(with(s | 3, tss(0x89, 103), false), fault(vector::GP, s));
    assert_eq!(with(s, tss(0x8B, 103), false), fault(vector::GP, s));
    assert_eq!(with(s, tss(9, 103), false), fault(vector::NP, s));
    assert_eq!(with(s, tss(0x89, 102), false), fault(vector::TS, s));
    assert_eq!(with(s, tss(0x81, 42), false), fault(vector::TS, s));
    assert_eq!(with(s, tss(0x89, 103), false), End::Halt(TASK + 1));
}

#[test]
fn a_task_gate_leads_to_the_task_and_is_checked_first() {
    let with = |d: u64| {
        let mut rig = two_tasks();
        rig.descriptor(GATE, d);
        rig.run(&far(FAR_CALL, GATE))
    };
    assert_eq!(with(gate(TSS2_SELECTOR, 0, 0x85, 0)), End::Halt(TASK + 1));
    assert_eq!(with(gate(TSS2_SELECTOR, 0, 5, 0)), fault(vector::NP, GATE));
    assert_eq!(
        with(gate(TSS2_SELECTOR | 4, 0, 0x85, 0)),
        fault(vector::GP, TSS2_SELECTOR | 4)
    );
    assert_eq!(with(gate(CODE0, 0, 0x85, 0)), fault(vector::GP, CODE0));
    // A gate of DPL 3 leads ring 3 to a TSS of DPL 0.
    let mut rig = two_tasks();
    rig.descriptor(GATE, gate(TSS2_SELECTOR, 0, 0xE5, 0));
    assert_eq!(
        rig.ring3().run(&far(FAR_JMP, GATE | 3)),
        End::Halt(TASK + 1)
    );
}

#[test]
fn an_exception_through_a_task_gate_pushes_its_error_code_on_the_new_stack() {
    let mut rig = two_tasks();
    rig.gate(vector::GP, gate(TSS2_SELECTOR, 0, 0x85, 0));
    // mov cs:[0], eax
    assert_eq!(rig.run(&[0x2E, 0xA3, 0, 0, 0, 0]), End::Halt(TASK + 1));
    assert_eq!((rig.c().r[4], rig.stack(0)), (STACKS[1] - 4, 0));
    // The old task's image says where it faulted, with RF.
    assert_eq!(
        (rig.get(TSS + EIP, 4), rig.get(TSS + EFLAGS, 4)),
        (CODE, flag::RF | 2)
    );
    assert_eq!(rig.c().flags() & flag::NT, flag::NT);
}

#[test]
fn int_n_through_a_task_gate_comes_back_behind_itself() {
    let mut rig = two_tasks();
    rig.gate(0x40, gate(TSS2_SELECTOR, 0, 0xE5, 0));
    rig.write(TASK, &[0xCF]);
    assert_eq!(
        rig.ring3().run(&[0xCD, 0x40, 0xCD, 0x41]),
        End::Vector(0x41, 0)
    );
    assert_eq!((rig.stack(0), rig.stack(1)), (CODE + 4, u64::from(CODE3)));
}

#[test]
fn a_busy_task_behind_a_gate_is_gp_with_ext() {
    let mut rig = two_tasks();
    rig.descriptor(TSS2_SELECTOR, descriptor(TSS2 as u32, 103, 0x8B, 0));
    rig.gate(vector::UD, gate(TSS2_SELECTOR, 0, 0x85, 0));
    assert_eq!(rig.run(&[0x0F, 0x0B]), fault(vector::GP, TSS2_SELECTOR | 1));
}

#[test]
fn a_task_may_go_back_to_itself() {
    let mut rig = two_tasks();
    rig.put(TSS, u64::from(TSS_SELECTOR), 2);
    rig.c().set_flags(flag::NT | flag::CF | flag::FIXED);
    rig.c().r[3] = 5;
    assert_eq!(rig.run(&[0xCF, 0xF4]), End::Halt(CODE + 2));
    assert_eq!((rig.c().r[3], rig.c().flags()), (5, flag::CF | flag::FIXED));
}

#[test]
fn iret_to_a_task_that_is_not_busy_is_ts() {
    let mut rig = two_tasks();
    rig.put(TSS, u64::from(TSS2_SELECTOR), 2);
    rig.c().set_flags(flag::NT | flag::FIXED);
    assert_eq!(rig.run(&[0xCF]), fault(vector::TS, TSS2_SELECTOR));
    assert_eq!(rig.stack(1), CODE);
}

/// A switch to a task at ring 3, whose handlers have the stack of its TSS: the end, and the instruction pointer on the
/// stack, which is the new task's.
fn in_new_task(setup: impl Fn(&mut Rig)) -> (End, u64) {
    let mut rig = two_tasks();
    rig.put(TSS2 + CS, u64::from(CODE3), 2);
    [ES, SS, DS, DS + 4, DS + 8]
        .iter()
        .for_each(|at| rig.put(TSS2 + at, u64::from(DATA3), 2));
    setup(&mut rig);
    let end = rig.run(&far(FAR_JMP, TSS2_SELECTOR));
    assert_eq!(rig.c().tr.selector, TSS2_SELECTOR);
    (end, rig.stack(1))
}

#[test]
fn the_new_tasks_selectors_fault_in_its_context() {
    let set = |at: u64, v: u16| move |rig: &mut Rig| rig.put(TSS2 + at, u64::from(v), 2);
    let ts = |code: u16| (fault(vector::TS, code), TASK);
    assert_eq!(in_new_task(set(LDTR, 0x100)), ts(0x100));
    assert_eq!(in_new_task(set(LDTR, CODE0)), ts(CODE0));
    assert_eq!(in_new_task(set(LDTR, 0xC)), ts(0xC));
    assert_eq!(in_new_task(set(CS, 3)), ts(0));
    assert_eq!(in_new_task(set(CS, 0x103)), ts(0x100));
    assert_eq!(in_new_task(set(CS, DATA3)), ts(DATA3 & !3));
    assert_eq!(in_new_task(set(CS, CODE0 | 3)), ts(CODE0));
    assert_eq!(in_new_task(set(SS, 0)), ts(0));
    assert_eq!(in_new_task(set(SS, DATA0)), ts(DATA0));
    assert_eq!(in_new_task(set(SS, DATA0 | 3)), ts(DATA0));
    assert_eq!(in_new_task(set(DS, 0x100)), ts(0x100));
    assert_eq!(in_new_task(set(DS, TSS_SELECTOR)), ts(TSS_SELECTOR));
    assert_eq!(in_new_task(set(ES, DATA0)), ts(DATA0));
    let absent = |at: u64, access: u8| {
        move |rig: &mut Rig| {
            rig.descriptor(OTHER, descriptor(0, 0xF_FFFF, access, G32));
            rig.put(TSS2 + at, u64::from(OTHER | 3), 2);
        }
    };
    assert_eq!(
        in_new_task(absent(CS, 0x7A)),
        (fault(vector::NP, OTHER), TASK)
    );
    assert_eq!(
        in_new_task(absent(SS, 0x72)),
        (fault(vector::SS, OTHER), TASK)
    );
    assert_eq!(
        in_new_task(absent(DS, 0x72)),
        (fault(vector::NP, OTHER), TASK)
    );
}

#[test]
fn a_task_of_ring_0_whose_stack_is_not_there_yet_faults_on_the_one_of_its_tss() {
    let mut rig = two_tasks();
    rig.put(TSS2 + LDTR, 0x100, 2);
    assert_eq!(
        rig.run(&far(FAR_JMP, TSS2_SELECTOR)),
        fault(vector::TS, 0x100)
    );
    assert_eq!(rig.c().r[4], STACKS[2] - 24);
}

#[test]
fn an_instruction_pointer_behind_the_new_limit_is_gp_in_the_new_task() {
    let short = |rig: &mut Rig| {
        rig.descriptor(OTHER, descriptor(0, 0xFFF, CODE_R | DPL3, 4));
        rig.put(TSS2 + CS, u64::from(OTHER | 3), 2);
    };
    assert_eq!(in_new_task(short), (fault(vector::GP, 0), TASK));
}

#[test]
fn the_trap_flag_of_a_tss_is_a_debug_exception_behind_the_switch() {
    let mut rig = two_tasks();
    rig.put(TSS2 + TRAP, 1, 2);
    assert_eq!(
        rig.run(&far(FAR_JMP, TSS2_SELECTOR)),
        End::Vector(vector::DB, 0)
    );
    assert_eq!((rig.stack(0), rig.c().dr[6]), (TASK, 0xFFFF_8FF0));
}

#[test]
fn a_switch_clears_the_local_breakpoints() {
    let mut rig = two_tasks();
    rig.c().dr[7] = 0x7FF;
    rig.changed();
    rig.run(&far(FAR_JMP, TSS2_SELECTOR));
    assert_eq!(rig.c().dr[7], 0x6AA);
}

#[test]
fn a_16_bit_task_has_words_and_no_fs_and_gs() {
    let mut rig = two_tasks();
    rig.descriptor(TSS2_SELECTOR, descriptor(TSS2 as u32, 43, 0x81, 0));
    let words = [
        (14, TASK & 0xFFFF),
        (16, 2),
        (18, 0x1122),
        (26, STACKS[1]),
        (34, u64::from(DATA0)),
        (36, u64::from(OTHER)),
        (38, u64::from(DATA0)),
        (40, 0),
        (42, 0),
    ];
    words.iter().for_each(|&(at, v)| rig.put(TSS2 + at, v, 2));
    rig.descriptor(OTHER, descriptor(0, 0xF_FFFF, CODE_R, G32));
    rig.write(TASK & 0xFFFF, &[0xF4]);
    assert_eq!(
        rig.run(&far(FAR_JMP, TSS2_SELECTOR)),
        End::Halt((TASK & 0xFFFF) + 1)
    );
    let c = rig.c();
    assert_eq!((c.r[0] & 0xFFFF, c.r[4] & 0xFFFF), (0x1122, STACKS[1]));
    assert_eq!(
        (
            c.seg[seg::FS].selector,
            c.seg[seg::GS].selector,
            c.seg[seg::DS].selector
        ),
        (0, 0, 0)
    );
}

#[test]
fn the_new_task_has_its_own_page_tables_and_ldt() {
    let mut rig = two_tasks();
    rig.page32();
    // A second directory: the same, but the page of DATA leads to another frame.
    let root = system::TABLES + 0x8000;
    rig.put(root, (root + 0x1000) | 7, 4);
    (0..1024).for_each(|n| rig.put(root + 0x1000 + 4 * n, n << 12 | 7, 4));
    rig.put(root + 0x1000 + 4 * (DATA >> 12), 0x7_0007, 4);
    rig.put(0x7_0000, 0xCAFE, 4);
    rig.put(TSS2 + 28, root, 4);
    rig.descriptor(LDT_SELECTOR, descriptor(LDT as u32, 0xF, 0x82, 0));
    rig.put(LDT + 8, descriptor(DATA as u32, 0xFFF, DATA_W, 4), 8);
    rig.put(TSS2 + LDTR, u64::from(LDT_SELECTOR), 2);
    rig.put(TSS2 + DS, 0xC, 2);
    // mov eax, [0]; hlt
    rig.write(TASK, &[0xA1, 0, 0, 0, 0, 0xF4]);
    assert_eq!(rig.run(&far(FAR_JMP, TSS2_SELECTOR)), End::Halt(TASK + 6));
    assert_eq!((rig.c().r[0], rig.c().cr3), (0xCAFE, root));
}

#[test]
fn a_switch_to_a_tss_in_an_absent_page_changes_nothing() {
    let mut rig = two_tasks();
    rig.page32();
    rig.put(system::TABLES + 0x1000 + 4 * (TSS2 >> 12), 0, 4);
    rig.changed();
    assert_eq!(
        rig.run(&far(FAR_JMP, TSS2_SELECTOR)),
        End::Vector(vector::PF, 0)
    );
    assert_eq!(
        (rig.c().tr.selector, rig.c().cr2, rig.stack(1)),
        (TSS_SELECTOR, TSS2, CODE)
    );
    assert_eq!(
        (busy(&rig, TSS_SELECTOR), busy(&rig, TSS2_SELECTOR)),
        (true, false)
    );
}

#[test]
fn a_task_may_be_a_virtual_8086_one() {
    let mut rig = two_tasks();
    rig.put(TSS2 + EFLAGS, flag::VM | 2, 4);
    rig.put(TSS2 + CS, 0x2100, 2);
    rig.put(TSS2 + EIP, 0x10, 4);
    rig.put(TSS2 + DS, 0x3000, 2);
    rig.put(DATA + 4, 0x4321, 2);
    // mov ax, [4]; int3
    rig.write(0x2_1010, &[0xA1, 4, 0, 0xCC]);
    assert_eq!(
        rig.run(&far(FAR_JMP, TSS2_SELECTOR)),
        End::Vector(vector::BP, 0)
    );
    assert_eq!(
        (rig.c().r[0] & 0xFFFF, rig.stack(0), rig.stack(1)),
        (0x4321, 0x14, 0x2100)
    );
}

#[test]
fn a_double_fault_task_saves_a_guest_without_a_stack() {
    let mut rig = two_tasks();
    rig.gate(vector::DF, gate(TSS2_SELECTOR, 0, 0x85, 0));
    rig.c().seg[seg::SS].limit = 0xFFF;
    rig.changed();
    // push eax: #SS, which cannot be delivered on this stack
    assert_eq!(rig.run(&[0x50]), End::Halt(TASK + 1));
    assert_eq!((rig.stack(0), rig.get(TSS + EIP, 4)), (0, CODE));
}

#[test]
fn a_fault_of_the_new_task_while_an_exception_is_delivered_is_a_double_fault() {
    let mut rig = two_tasks();
    rig.gate(vector::GP, gate(TSS2_SELECTOR, 0, 0x85, 0));
    rig.put(TSS2 + DS, 0x100, 2);
    assert_eq!(rig.run(&[0x2E, 0xA3, 0, 0, 0, 0]), fault(vector::DF, 0));
    assert_eq!((rig.c().tr.selector, rig.stack(1)), (TSS2_SELECTOR, TASK));
    assert_eq!(HANDLERS + 0x81, rig.cpu.cpu().rip);
}
