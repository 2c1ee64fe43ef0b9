//! Real mode: SDM volume 3, chapter 21.1, and what chapter 10.9 says about switching in and out of it.

mod system;

use system::{CODE, DATA, End, HANDLERS, Rig, descriptor};
use vmwb_x86::Vcpu;
use vmwb_x86::cpu::{TableRegister, cr0, flag, seg, vector};

const GP: End = End::Vector(vector::GP, 0);
const SS: End = End::Vector(vector::SS, 0);

fn at(code: &[u8], ip: u64) -> Rig {
    let mut rig = Rig::real();
    rig.write(CODE + ip, code);
    rig.c().rip = ip;
    rig
}

#[test]
fn a_word_at_the_last_byte_of_a_segment_is_gp_and_of_the_stack_is_ss() {
    // mov ax, [0FFFFh]; mov ax, ss:[0FFFFh]
    let data = Rig::real().run(&[0xA1, 0xFF, 0xFF]);
    let stack = Rig::real().run(&[0x36, 0xA1, 0xFF, 0xFF]);
    assert_eq!((data, stack), (GP, SS));
}

#[test]
fn the_last_bytes_of_a_segment_are_reached() {
    let mut rig = Rig::real();
    rig.put(DATA + 0xFFFE, 0x1234, 2);
    // mov ax, [0FFFEh]; mov bl, [0FFFFh]; hlt
    let end = rig.run(&[0xA1, 0xFE, 0xFF, 0x8A, 0x1E, 0xFF, 0xFF, 0xF4]);
    assert_eq!(
        (end, rig.c().r[0], rig.c().r[3]),
        (End::Halt(CODE + 8), 0x1234, 0x12)
    );
}

#[test]
fn a_32_bit_address_beyond_64_kib_is_gp() {
    let mut rig = Rig::real();
    rig.c().r[3] = 0x1_0000;
    // mov al, [ebx]
    assert_eq!(rig.run(&[0x67, 0x8A, 0x03]), GP);
}

#[test]
fn an_exception_pushes_no_error_code_and_the_address_of_the_instruction() {
    let mut rig = at(&[0xA1, 0xFF, 0xFF], 0x10);
    rig.c().set_flags(flag::CF | flag::FIXED);
    assert_eq!(rig.go(100), GP);
    assert_eq!(
        (
            rig.stack(0),
            rig.stack(1),
            rig.stack(2) & 0xFF,
            rig.c().r[4]
        ),
        (0x10, CODE >> 4, 3, 0x8000 - 6)
    );
}

#[test]
fn an_interrupt_saves_and_iret_restores_and_flags_change_between() {
    let mut rig = Rig::real();
    // Handler of 21h: pushf; pop bx; iret
    rig.write(HANDLERS + 16 * 0x21, &[0x9C, 0x5B, 0xCF]);
    // sti; std; int 21h; pushf; pop ax; cli; hlt
    let end = rig.run(&[0xFB, 0xFD, 0xCD, 0x21, 0x9C, 0x58, 0xFA, 0xF4]);
    let wanted = flag::IF | flag::DF | flag::FIXED;
    assert_eq!(end, End::Halt(CODE + 8));
    assert_eq!(
        (rig.c().r[0] & 0xFFF, rig.c().r[3] & 0xFFF),
        (wanted, flag::DF | flag::FIXED)
    );
}

#[test]
fn a_vector_behind_the_limit_of_the_table_is_gp_then_double_fault_then_shutdown() {
    let limited = |limit| {
        let mut rig = Rig::real();
        rig.c().idtr = TableRegister { base: 0, limit };
        rig.run(&[0xCD, 0x40])
    };
    // Room for vector 13, for vector 8 only, for none of them.
    assert_eq!(
        (limited(4 * 14 - 1), limited(4 * 13 - 1), limited(4 * 8 - 1)),
        (GP, End::Vector(vector::DF, 0), End::Shutdown(vector::GP))
    );
}

#[test]
fn the_vector_table_lies_where_idtr_says() {
    let mut rig = Rig::real();
    rig.put(0x700 + 4 * 5, HANDLERS + 16 * 7, 4);
    rig.c().idtr = TableRegister {
        base: 0x700,
        limit: 0x3FF,
    };
    assert_eq!(rig.run(&[0xCD, 5]), End::Vector(7, 0));
}

#[test]
fn a_stack_without_room_for_the_frame_shuts_the_processor_down() {
    let mut rig = Rig::real();
    rig.c().r[4] = 1;
    // INT 21h: #SS, whose own delivery faults, and so does the double fault's.
    assert_eq!(rig.run(&[0xCD, 0x21]), End::Shutdown(vector::SS));
}

#[test]
fn push_at_offset_1_is_ss_and_leaves_sp() {
    let mut rig = Rig::real();
    rig.put(4 * 12, (CODE + 0x100) << 12 & 0xFFFF_0000 | 0x100, 4);
    rig.c().r[4] = 1;
    assert_eq!(rig.run(&[0x50]), End::Shutdown(vector::SS));
    assert_eq!(rig.c().r[4], 1);
}

#[test]
fn sp_wraps_between_two_words() {
    let mut rig = Rig::real();
    rig.c().r[4] = 0;
    // push ax (0 -> FFFE); pop bx; hlt
    let end = rig.run(&[0xB8, 0x34, 0x12, 0x50, 0x5B, 0xF4]);
    assert_eq!(
        (end, rig.get(0xFFFE, 2), rig.c().r[3]),
        (End::Halt(CODE + 6), 0x1234, 0x1234)
    );
    assert_eq!(rig.c().r[4], 0);
}

#[test]
fn running_past_the_end_of_the_segment_is_gp_at_the_next_address() {
    // nop at FFFFh
    let mut rig = at(&[0x90], 0xFFFF);
    assert_eq!(rig.go(100), GP);
    assert_eq!((rig.stack(0), rig.cpu.retired()), (0, 2));
}

#[test]
fn an_instruction_that_crosses_the_limit_is_gp_at_itself() {
    // mov ax, imm16 at FFFEh: its last byte lies at 10000h
    let mut rig = at(&[0xB8, 1, 2], 0xFFFE);
    assert_eq!(rig.go(100), GP);
    assert_eq!((rig.stack(0), rig.c().r[0]), (0xFFFE, 0));
}

#[test]
fn an_instruction_that_ends_at_the_limit_runs() {
    let mut rig = at(&[0xB8, 1, 2], 0xFFFD);
    assert_eq!(
        (rig.go(1), rig.c().r[0], rig.c().rip),
        (End::Budget, 0x201, 0x1_0000)
    );
}

#[test]
fn code_shared_by_two_segments_obeys_the_limit_of_each() {
    // The same bytes at 2000:FFFE (crossing the limit) and 2FFF:000E (not).
    let mut rig = at(&[0xB8, 1, 2, 0xF4], 0xFFFE);
    // The handler of #GP loops, so that the processor can go on elsewhere.
    rig.write(HANDLERS + 16 * 13, &[0xEB, 0xFE]);
    assert_eq!(
        (rig.go(100), rig.c().rip),
        (End::Budget, HANDLERS + 16 * 13)
    );
    rig.c().seg[seg::CS].selector = 0x2FFF;
    rig.c().seg[seg::CS].base = 0x2_FFF0;
    rig.c().rip = 0xE;
    rig.changed();
    assert_eq!(
        (rig.go(100), rig.c().r[0]),
        (End::Halt(CODE + 0x1_0002), 0x201)
    );
}

#[test]
fn a_short_jump_wraps_at_64_kib() {
    // jmp +0Eh at FFF0h: to 0000h
    let mut rig = at(&[0xEB, 0x0E], 0xFFF0);
    rig.write(CODE, &[0xF4]);
    assert_eq!(rig.go(100), End::Halt(CODE + 1));
}

#[test]
fn a_32_bit_jump_behind_the_limit_is_gp_at_the_jump() {
    // jmp dword +12345h; call dword +12345h; and by register
    for code in [
        &[0x66, 0xE9, 0x45, 0x23, 1, 0][..],
        &[0x66, 0xE8, 0x45, 0x23, 1, 0],
        &[0x66, 0xFF, 0xE3],
        &[0x66, 0xFF, 0xD3],
    ] {
        let mut rig = at(code, 0x40);
        rig.c().r[3] = 0x1_2345;
        assert_eq!(rig.go(100), GP);
        assert_eq!((rig.stack(0), rig.c().r[4]), (0x40, 0x8000 - 6));
    }
}

#[test]
fn a_loop_behind_the_limit_leaves_its_count() {
    // a32 o32 loop -80h at 10h: EIP would be negative
    let mut rig = at(&[0x66, 0x67, 0xE2, 0x80], 0x10);
    rig.c().r[1] = 5;
    assert_eq!((rig.go(100), rig.c().r[1]), (GP, 5));
}

#[test]
fn far_transfers_load_the_base_from_the_selector() {
    // jmp 2100:0005, where: call 2200:0010; hlt, where: retf
    let mut rig = Rig::real();
    rig.write(0x2_1005, &[0x9A, 0x10, 0, 0, 0x22, 0xF4]);
    rig.write(0x2_2010, &[0xCB]);
    let end = rig.run(&[0xEA, 5, 0, 0, 0x21]);
    assert_eq!((end, rig.selector(seg::CS)), (End::Halt(0x2_100B), 0x2100));
    assert_eq!(rig.c().r[4], 0x8000);
}

#[test]
fn retf_imm_and_lds_work_on_8086_segments() {
    // push cs; call near; ...: push 2300h; push 7; retf 2 leads to 2300:0007 and drops a word more
    let mut rig = Rig::real();
    rig.write(0x2_3007, &[0xC5, 0x1E, 0, 1, 0xF4]);
    rig.put(DATA + 0x100, 0x4567_0089, 4);
    let end = rig.run(&[0x6A, 0, 0x68, 0, 0x23, 0x6A, 7, 0xCA, 2, 0]);
    assert_eq!(end, End::Halt(0x2_300C));
    let c = rig.c();
    assert_eq!(
        (c.r[3], c.seg[seg::DS].base, c.r[4]),
        (0x89, 0x4_5670, 0x8000)
    );
}

#[test]
fn prefixes_give_32_bit_operands_and_addresses() {
    let mut rig = Rig::real();
    rig.put(DATA + 0x40, 0x1234_5678, 4);
    rig.c().r[3] = 0x10;
    // mov eax, [ebx*4]; hlt
    let end = rig.run(&[0x66, 0x67, 0x8B, 0x04, 0x9D, 0, 0, 0, 0, 0xF4]);
    assert_eq!((end, rig.c().r[0]), (End::Halt(CODE + 10), 0x1234_5678));
}

#[test]
fn unreal_mode_keeps_the_4_gib_limit_behind_a_visit_to_protected_mode() {
    let mut rig = Rig::real();
    rig.write(0x808, &descriptor(0, 0xF_FFFF, 0x92, 0xC).to_le_bytes());
    rig.write(0x900, &[0x0F, 0, 0, 8, 0, 0]);
    rig.put(0x30_0000, 0xABCD, 2);
    rig.c().r[3] = 0x30_0000;
    let code = [
        0x31, 0xC0, 0x8E, 0xD8, // xor ax, ax; mov ds, ax
        0x0F, 0x01, 0x16, 0, 9, // lgdt [900h]
        0x0F, 0x20, 0xC0, 0x0C, 1, 0x0F, 0x22, 0xC0, // mov eax, cr0; or al, 1; mov cr0, eax
        0xB9, 8, 0, 0x8E, 0xD9, // mov cx, 8; mov ds, cx
        0x24, 0xFE, 0x0F, 0x22, 0xC0, // and al, FEh; mov cr0, eax
        0x31, 0xC9, 0x8E, 0xD9, // xor cx, cx; mov ds, cx
        0x67, 0x8B, 0x13, 0xF4, // mov dx, [ebx]; hlt
    ];
    let end = rig.run(&code);
    assert_eq!(
        (end, rig.c().r[2]),
        (End::Halt(CODE + code.len() as u64), 0xABCD)
    );
    let ds = rig.c().seg[seg::DS];
    assert_eq!((ds.base, ds.limit, ds.selector), (0, u32::MAX, 0));
}

#[test]
fn lmsw_enters_protected_mode_and_cannot_leave_it() {
    let mut rig = Rig::real();
    // mov ax, 1; lmsw ax; xor ax, ax; lmsw ax; smsw bx; hlt
    let end = rig.run(&[
        0xB8, 1, 0, 0x0F, 0x01, 0xF0, 0x31, 0xC0, 0x0F, 0x01, 0xF0, 0x0F, 0x01, 0xE3, 0xF4,
    ]);
    assert_eq!((end, rig.c().r[3] & 1), (End::Halt(CODE + 15), 1));
}

#[test]
fn the_code_segment_goes_on_with_its_cached_base_after_pe_is_set() {
    let mut rig = Rig::real();
    // mov eax, cr0; inc ax; mov cr0, eax; mov ax, cs; hlt
    let end = rig.run(&[0x0F, 0x20, 0xC0, 0x40, 0x0F, 0x22, 0xC0, 0x8C, 0xC8, 0xF4]);
    assert_eq!(
        (end, rig.c().r[0] & 0xFFFF),
        (End::Halt(CODE + 10), CODE >> 4)
    );
    assert_eq!((rig.c().cpl, rig.c().cr0 & cr0::PE), (0, 1));
}

#[test]
fn instructions_of_protected_mode_are_undefined() {
    // sldt ax; str ax; lldt ax; ltr ax; verr ax; lar ax, bx; arpl ax, bx
    for code in [
        &[0x0F, 0x00, 0xC0][..],
        &[0x0F, 0x00, 0xC8],
        &[0x0F, 0x00, 0xD0],
        &[0x0F, 0x00, 0xD8],
        &[0x0F, 0x00, 0xE0],
        &[0x0F, 0x02, 0xC3],
        &[0x63, 0xD8],
    ] {
        assert_eq!(Rig::real().run(code), End::Vector(vector::UD, 0));
    }
}

#[test]
fn iret_with_32_bit_operands_restores_all_but_vm_vif_vip() {
    let mut rig = Rig::real();
    rig.c().r[4] = 0x7000;
    rig.put(0x7000, 0x80, 4);
    rig.put(0x7004, CODE >> 4, 4);
    rig.put(0x7008, 0xFFFF_FFFF & !flag::TF & !flag::IF, 4);
    rig.write(CODE + 0x80, &[0xF4]);
    assert_eq!(rig.run(&[0x66, 0xCF]), End::Halt(CODE + 0x81));
    let kept = flag::VM | flag::VIF | flag::VIP;
    let f = rig.c().flags();
    assert_eq!(
        (f & kept, f & (flag::IOPL | flag::NT | flag::AC | flag::ID)),
        (0, flag::IOPL | flag::NT | flag::AC | flag::ID)
    );
}

#[test]
fn rep_movs_wraps_the_index_and_stops_at_the_limit() {
    let mut rig = Rig::real();
    rig.put(DATA + 0xFFFE, 0xBBAA, 2);
    rig.c().r[6] = 0xFFFE;
    rig.c().r[7] = 0x100;
    rig.c().r[1] = 3;
    // rep movsb; hlt: the source runs around the end byte by byte
    assert_eq!(rig.run(&[0xF3, 0xA4, 0xF4]), End::Halt(CODE + 3));
    assert_eq!(
        (rig.get(DATA + 0x100, 2), rig.c().r[6], rig.c().r[7]),
        (0xBBAA, 1, 0x103)
    );
    let mut words = Rig::real();
    words.c().r[6] = 0xFFFD;
    words.c().r[1] = 3;
    // rep movsw: the second word crosses the end; what was done stays done
    assert_eq!(
        (words.run(&[0xF3, 0xA5]), words.c().r[1], words.c().r[6]),
        (GP, 2, 0xFFFF)
    );
}

#[test]
fn reset_starts_at_the_top_of_the_4_gib() {
    let rig = Rig::real();
    let mut cpu = rig.cpu;
    cpu.reset();
    let c = cpu.cpu();
    assert_eq!(
        (c.seg[seg::CS].base, c.rip, c.seg[seg::CS].selector),
        (0xFFFF_0000, 0xFFF0, 0xF000)
    );
    assert_eq!(
        (c.cr0, c.dr[6], c.dr[7], c.flags()),
        (0x6000_0010, 0xFFFF_0FF0, 0x400, 2)
    );
}

#[test]
fn a_guest_that_faults_for_ever_still_uses_its_budget_up() {
    let mut rig = Rig::real();
    // #UD leads to an invalid opcode, whose stack wraps around inside its own segment.
    rig.put(4 * 6, 0x2000 << 16, 4);
    rig.c().seg[seg::SS].base = 0x4_0000;
    rig.changed();
    rig.write(CODE, &[0x0F, 0xFF]);
    assert_eq!((rig.go(500), rig.cpu.retired()), (End::Budget, 500));
}

// ---- operands of several parts ----

/// A data segment whose last 16 and first 16 bytes hold `end` and `start`.
fn around(end: [u8; 16], start: [u8; 16], code: &[u8]) -> (End, Rig) {
    let mut rig = Rig::real();
    rig.write(DATA + 0xFFF0, &end);
    rig.write(DATA, &start);
    let end = rig.run(code);
    (end, rig)
}

#[test]
fn a_far_pointer_goes_around_the_end_of_the_segment_between_offset_and_selector() {
    let mut end = [0; 16];
    end[14..].copy_from_slice(&[0x34, 0x12]);
    let mut start = [0; 16];
    start[..2].copy_from_slice(&[0x78, 0x56]);
    // les ax, [0FFFEh]; hlt
    let (ended, mut rig) = around(end, start, &[0xC4, 0x06, 0xFE, 0xFF, 0xF4]);
    assert_eq!(
        (ended, rig.c().r[0], rig.selector(seg::ES)),
        (End::Halt(CODE + 5), 0x1234, 0x5678)
    );
    // Inside the offset it does not: les eax, [0FFFEh]
    let code = [0x66, 0xC4, 0x06, 0xFE, 0xFF, 0xF4];
    assert_eq!(around(end, start, &code).0, GP);
    // jmp far [0FFFEh], to 5678h:1234h
    let mut rig = Rig::real();
    rig.write(DATA + 0xFFF0, &end);
    rig.write(DATA, &start);
    rig.write(0x5_6780 + 0x1234, &[0xF4]);
    let ended = rig.run(&[0xFF, 0x2E, 0xFE, 0xFF]);
    assert_eq!(ended, End::Halt(0x5_6780 + 0x1235));
}

#[test]
fn bounds_go_around_the_end_of_the_segment_one_by_one() {
    // 3 at FFFEh, 5 at 0: bound ax, [0FFFEh]; hlt
    let bound = |index: u8, at: u8| {
        let mut end = [0; 16];
        end[14] = 3;
        let mut start = [0; 16];
        start[0] = 5;
        around(end, start, &[0xB8, index, 0, 0x62, 0x06, at, 0xFF, 0xF4]).0
    };
    let br = End::Vector(vector::BR, 0);
    assert_eq!([bound(5, 0xFE), bound(6, 0xFE)], [End::Halt(CODE + 8), br]);
    // The upper bound at FFFFh has no room.
    assert_eq!(bound(5, 0xFD), GP);
}

#[test]
fn a_table_register_is_loaded_around_the_end_of_the_segment() {
    let mut end = [0; 16];
    end[14..].copy_from_slice(&[0xFF, 0x07]);
    let mut start = [0; 16];
    start[..4].copy_from_slice(&[0, 0x10, 0x20, 0]);
    // lgdt [0FFFEh]; sgdt [0FFFEh]; hlt
    let code = [
        0x0F, 0x01, 0x16, 0xFE, 0xFF, 0x0F, 0x01, 0x06, 0xFE, 0xFF, 0xF4,
    ];
    let (ended, mut rig) = around(end, start, &code);
    assert_eq!(ended, End::Halt(CODE + 11));
    assert_eq!((rig.c().gdtr.limit, rig.c().gdtr.base), (0x7FF, 0x20_1000));
    assert_eq!(rig.get(DATA, 4), 0x20_1000);
}

#[test]
fn x87_operands_go_around_the_end_of_the_segment_between_their_parts() {
    // 1.0 with its exponent at 0: fninit; fld tbyte [0FFF8h]; fistp word [20h]; hlt
    let mut end = [0; 16];
    end[15] = 0x80;
    let mut start = [0; 16];
    start[..2].copy_from_slice(&[0xFF, 0x3F]);
    let load = [
        0xDB, 0xE3, 0xDB, 0x2E, 0xF8, 0xFF, 0xDF, 0x1E, 0x20, 0, 0xF4,
    ];
    let (ended, rig) = around(end, start, &load);
    assert_eq!((ended, rig.get(DATA + 0x20, 2)), (End::Halt(CODE + 11), 1));
    // fninit; fld1; fstp tbyte [0FFF8h]; hlt
    let store = [0xDB, 0xE3, 0xD9, 0xE8, 0xDB, 0x3E, 0xF8, 0xFF, 0xF4];
    let (ended, rig) = around([0x55; 16], [0x55; 16], &store);
    assert_eq!(ended, End::Halt(CODE + 9));
    assert_eq!(
        (rig.get(DATA + 0xFFF8, 8), rig.get(DATA, 8)),
        (1 << 63, 0x5555_5555_5555_3FFF)
    );
    // The environment: fninit; fnstenv [0FFFCh]; hlt
    let (ended, rig) = around(
        [0x55; 16],
        [0x55; 16],
        &[0xDB, 0xE3, 0xD9, 0x36, 0xFC, 0xFF, 0xF4],
    );
    assert_eq!(ended, End::Halt(CODE + 7));
    assert_eq!(
        (rig.get(DATA + 0xFFFC, 4), rig.get(DATA, 8)),
        (0x037F, 0xFFFF)
    );
    // FXSAVE: an aligned area from FF00h on. fninit; fxsave [0FF00h]; hlt
    let mut rig = Rig::real();
    rig.write(DATA, &[0x55; 256]);
    let end = rig.run(&[0xDB, 0xE3, 0x0F, 0xAE, 0x06, 0, 0xFF, 0xF4]);
    assert_eq!(
        (end, rig.get(DATA + 0xFF00, 2)),
        (End::Halt(CODE + 8), 0x037F)
    );
}

#[test]
fn code_runs_on_behind_64_kib_where_the_segment_does_and_branches_do_not_lead_there() {
    let run = |at: u64, code: &[u8]| {
        let mut rig = Rig::real();
        rig.c().seg[seg::CS].limit = 0x2_FFFF;
        rig.changed();
        rig.write(CODE + 0x1_0000, &[0x43, 0xEB, 0x10]); // inc bx; jmp +10h
        rig.write(CODE + 0x13, &[0xF4]);
        rig.write(CODE + at, code);
        rig.c().rip = at;
        (rig.go(10), rig.c().r[3])
    };
    // nop at FFFFh; then at 10000h; the jump to 10013h is cut to 13h.
    assert_eq!(run(0xFFFF, &[0x90]), (End::Halt(CODE + 0x14), 1));
    // jmp +11h at FFFEh.
    assert_eq!(run(0xFFFE, &[0xEB, 0x13]), (End::Halt(CODE + 0x14), 0));
}
