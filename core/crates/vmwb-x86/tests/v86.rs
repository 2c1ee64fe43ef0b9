//! Virtual-8086 mode, its extensions, protected-mode virtual interrupts, and the I/O permission bitmap:
//! SDM volume 3, chapter 21; volume 1, chapter 19.5.

mod system;

use system::{
    CODE, CODE_R, CODE0, CODE3, DATA, DPL3, End, FREE, G32, Rig, STACKS, TSS, descriptor, gate,
};
use vmwb_x86::Vcpu;
use vmwb_x86::cpu::{cr4, flag, seg, vector};

const GP: End = End::Vector(vector::GP, 0);
const CS: u64 = CODE >> 4;

#[test]
fn iret_enters_it_and_an_interrupt_leaves_it_with_nine_words() {
    let mut rig = Rig::protected();
    let frame = [
        0x20,
        CS,
        flag::VM | flag::AC | 0x3202,
        0xF000,
        0x1000,
        0x1111,
        0x2222,
        0x3333,
        0x4444,
    ];
    let sp = STACKS[0] - 0x80;
    for (i, v) in frame.into_iter().enumerate() {
        rig.put(sp + 4 * i as u64, v, 4);
    }
    rig.c().r[4] = sp;
    rig.write(CODE + 0x20, &[0xCC]);
    assert_eq!(rig.run(&[0xCF]), End::Vector(vector::BP, 0));
    let seen: Vec<u64> = (0..9).map(|n| rig.stack(n)).collect();
    let mut wanted = frame;
    wanted[0] = 0x21;
    assert_eq!(seen, wanted);
    // ES, DS, FS and GS are null, and the stack is the one of the TSS.
    assert_eq!(
        [seg::ES, seg::DS, seg::FS, seg::GS].map(|n| rig.selector(n)),
        [0; 4]
    );
    assert_eq!((rig.c().r[4], rig.c().cpl), (STACKS[0] - 36, 0));
    assert_eq!(rig.c().flags() & flag::VM, 0);
}

#[test]
fn iret_to_an_offset_behind_64_kib_is_gp() {
    let mut rig = Rig::protected();
    let sp = STACKS[0] - 0x80;
    for (i, v) in [0x1_0000, CS, flag::VM | 2, 0xF000, 0, 0, 0, 0, 0]
        .into_iter()
        .enumerate()
    {
        rig.put(sp + 4 * i as u64, v, 4);
    }
    rig.c().r[4] = sp;
    assert_eq!(rig.run(&[0xCF]), GP);
    assert_eq!(rig.stack(1), CODE);
}

#[test]
fn segments_are_selectors_times_16_with_64_kib() {
    let mut rig = Rig::v86(3);
    rig.put(0x1234 * 16 + 8, 0x77, 1);
    // mov ax, 1234h; mov es, ax; mov bl, es:[8]; mov ax, [0FFFFh]
    let end = rig.run(&[
        0xB8, 0x34, 0x12, 0x8E, 0xC0, 0x26, 0x8A, 0x1E, 8, 0, 0xA1, 0xFF, 0xFF,
    ]);
    assert_eq!((end, rig.c().r[3] & 0xFF), (GP, 0x77));
    assert_eq!((rig.stack(1), rig.stack(2), rig.stack(6)), (10, CS, 0x1234));
}

#[test]
fn below_iopl_3_the_instructions_on_flags_fault_into_the_monitor() {
    // cli; sti; pushf; popf; int 21h; iret
    for code in [
        &[0xFA][..],
        &[0xFB],
        &[0x9C],
        &[0x9D],
        &[0xCD, 0x21],
        &[0xCF],
    ] {
        assert_eq!(Rig::v86(2).run(code), GP, "{code:?}");
    }
    // INT3 and INTO are not sensitive to IOPL.
    assert_eq!(Rig::v86(0).run(&[0xCC]), End::Vector(vector::BP, 0));
    let mut into = Rig::v86(0);
    into.c().set_flags(flag::VM | flag::OF | 2);
    assert_eq!(into.run(&[0xCE]), End::Vector(vector::OF, 0));
}

#[test]
fn with_iopl_3_they_run_and_iopl_stays() {
    let mut rig = Rig::v86(3);
    // cli; pushf; pop ax; sti; push 0; popf; pushf; pop bx; int3
    let end = rig.run(&[0xFA, 0x9C, 0x58, 0xFB, 0x6A, 0, 0x9D, 0x9C, 0x5B, 0xCC]);
    assert_eq!(end, End::Vector(vector::BP, 0));
    assert_eq!(
        (rig.c().r[0] & 0xFFFF, rig.c().r[3] & 0xFFFF),
        (0x3002, 0x3002)
    );
    // INT n goes through the IDT; its gate's DPL must be 3.
    assert_eq!(Rig::v86(3).run(&[0xCD, 0x21]), End::Vector(0x21, 0));
    let mut closed = Rig::v86(3);
    closed.gate(0x21, gate(CODE0, 0, 0x8E, 0));
    assert_eq!(
        closed.run(&[0xCD, 0x21]),
        End::Vector(vector::GP, 0x21 * 8 + 2)
    );
}

#[test]
fn iret_stays_inside_and_leaves_iopl_and_vm() {
    let mut rig = Rig::v86(3);
    rig.write(0x8_0000 + 0x10, &[0xCC]);
    // push 202h; push 8000h; push 10h; iret
    let end = rig.run(&[0x68, 2, 2, 0x68, 0, 0x80, 0x6A, 0x10, 0xCF]);
    assert_eq!(end, End::Vector(vector::BP, 0));
    assert_eq!(
        (rig.stack(0), rig.stack(1), rig.stack(2)),
        (0x11, 0x8000, flag::VM | 0x3202)
    );
}

#[test]
fn a_handler_must_be_plain_code_of_ring_0() {
    let mut rig = Rig::v86(3);
    rig.gate(0x21, gate(CODE3, 0, 0xEE, 0));
    assert_eq!(
        rig.run(&[0xCD, 0x21]),
        End::Vector(vector::GP, u32::from(CODE3 & !3))
    );
    let mut conforming = Rig::v86(3);
    conforming.descriptor(FREE, descriptor(0, 0xF_FFFF, CODE_R | 4 | DPL3, G32));
    conforming.gate(0x21, gate(FREE, 0, 0xEE, 0));
    assert_eq!(
        conforming.run(&[0xCD, 0x21]),
        End::Vector(vector::GP, u32::from(FREE))
    );
}

#[test]
fn privileged_and_protected_mode_instructions_fault() {
    // hlt; mov eax, cr0; lgdt [0]; clts
    for code in [
        &[0xF4][..],
        &[0x0F, 0x20, 0xC0],
        &[0x0F, 0x01, 0x16, 0, 0],
        &[0x0F, 0x06],
    ] {
        assert_eq!(Rig::v86(3).run(code), GP, "{code:?}");
    }
    // sldt ax; lar ax, bx
    for code in [&[0x0F, 0x00, 0xC0][..], &[0x0F, 0x02, 0xC3]] {
        assert_eq!(
            Rig::v86(3).run(code),
            End::Vector(vector::UD, 0),
            "{code:?}"
        );
    }
}

#[test]
fn a_saved_state_in_the_mode_is_taken_over() {
    let mut rig = Rig::v86(3);
    rig.write(CODE, &[0x40, 0x40, 0xCC]);
    assert_eq!(rig.go(1), End::Budget);
    let state = rig.cpu.save().unwrap();
    let mut other = Rig::v86(0);
    other.write(CODE, &[0x40, 0x40, 0xCC]);
    other.cpu.restore(&state).unwrap();
    assert_eq!(other.go(100), End::Vector(vector::BP, 0));
    assert_eq!((other.c().r[0], other.stack(0)), (2, 3));
}

// ---- virtual-mode extensions ----

const IO_BASE: u64 = 0x88;

/// The mode with CR4.VME at IOPL 0, every INT n redirected to the program but the one given.
fn vme(monitors: Option<u8>) -> Rig {
    let rig = Rig::v86(0).cr4(cr4::VME);
    rig.put(TSS + 102, IO_BASE, 2);
    if let Some(v) = monitors {
        rig.put(TSS + IO_BASE - 32 + u64::from(v >> 3), 1 << (v & 7), 1);
    }
    rig
}

#[test]
fn cli_and_sti_change_the_virtual_flag() {
    let mut rig = vme(None);
    // sti; int3: IF stays clear
    assert_eq!(rig.run(&[0xFB, 0xCC]), End::Vector(vector::BP, 0));
    assert_eq!(rig.stack(2) & (flag::VIF | flag::IF), flag::VIF);
    let mut off = vme(None);
    off.c().set_flags(flag::VM | flag::VIF | flag::IF | 2);
    assert_eq!(off.run(&[0xFA, 0xCC]), End::Vector(vector::BP, 0));
    assert_eq!(off.stack(2) & (flag::VIF | flag::IF), flag::IF);
}

#[test]
fn sti_with_a_virtual_interrupt_pending_is_gp() {
    let mut rig = vme(None);
    rig.c().set_flags(flag::VM | flag::VIP | 2);
    assert_eq!(rig.run(&[0xFB]), GP);
}

#[test]
fn a_virtual_interrupt_that_is_pending_and_enabled_goes_to_the_monitor_at_once() {
    let mut rig = vme(None);
    rig.c().set_flags(flag::VM | flag::VIP | flag::VIF | 2);
    assert_eq!((rig.run(&[0x43]), rig.stack(1), rig.c().r[3]), (GP, 0, 0));
}

#[test]
fn pushf_shows_vif_as_if_and_iopl_3_and_popf_takes_it_back() {
    let mut rig = vme(None);
    // sti; pushf; pop ax; push 0; popf; pushf; pop bx; int3
    let end = rig.run(&[0xFB, 0x9C, 0x58, 0x6A, 0, 0x9D, 0x9C, 0x5B, 0xCC]);
    assert_eq!(end, End::Vector(vector::BP, 0));
    assert_eq!(
        (rig.c().r[0] & 0xFFFF, rig.c().r[3] & 0xFFFF),
        (0x3202, 0x3002)
    );
    assert_eq!(rig.stack(2) & (flag::VIF | flag::IOPL), 0);
    // With 32-bit operands they are the monitor's.
    assert_eq!(vme(None).run(&[0x66, 0x9C]), GP);
    assert_eq!(vme(None).run(&[0x66, 0x9D]), GP);
    // TF may not be set.
    assert_eq!(vme(None).run(&[0x68, 2, 1, 0x9D]), GP);
}

#[test]
fn int_n_goes_to_the_programs_own_vector() {
    let mut rig = vme(None);
    rig.put(4 * 0x21, 0x8000 << 16 | 0x30, 4);
    rig.write(0x8_0030, &[0xCC]);
    rig.c().set_flags(flag::VM | flag::VIF | 2);
    assert_eq!(rig.run(&[0xCD, 0x21]), End::Vector(vector::BP, 0));
    assert_eq!(
        (rig.stack(0), rig.stack(1), rig.stack(3)),
        (0x31, 0x8000, 0xF000 - 6)
    );
    assert_eq!(rig.stack(2) & flag::VIF, 0);
    // IP, CS, FLAGS with VIF in the place of IF and IOPL 3.
    let words: Vec<u64> = (0..3).map(|n| rig.get(0xF000 - 6 + 2 * n, 2)).collect();
    assert_eq!(words, vec![2, CS, 0x3202]);
}

#[test]
fn int_n_that_the_bitmap_gives_to_the_monitor_is_gp() {
    assert_eq!(vme(Some(0x21)).run(&[0xCD, 0x21]), GP);
    // At IOPL 3 it goes through the IDT.
    let mut rig = vme(Some(0x21));
    rig.c().set_flags(flag::VM | 0x3002);
    assert_eq!(rig.run(&[0xCD, 0x21]), End::Vector(0x21, 0));
}

#[test]
fn iret_takes_if_from_the_frame_to_vif() {
    let mut rig = vme(None);
    rig.write(0x8_0010, &[0xCC]);
    // push 202h; push 8000h; push 10h; iret
    let end = rig.run(&[0x68, 2, 2, 0x68, 0, 0x80, 0x6A, 0x10, 0xCF]);
    assert_eq!(
        (end, rig.stack(2)),
        (End::Vector(vector::BP, 0), flag::VM | flag::VIF | 2)
    );
}

#[test]
fn protected_mode_virtual_interrupts_serve_ring_3() {
    let pvi = |code: &[u8], flags: u64| {
        let mut rig = Rig::protected().cr4(cr4::PVI);
        rig.ring3().c().set_flags(flags | 2);
        (rig.run(code), rig.stack(2) & (flag::IF | flag::VIF))
    };
    assert_eq!(
        pvi(&[0xFB, 0xCC], 0),
        (End::Vector(vector::BP, 0), flag::VIF)
    );
    assert_eq!(
        pvi(&[0xFA, 0xCC], flag::VIF | flag::IF),
        (End::Vector(vector::BP, 0), flag::IF)
    );
    assert_eq!(pvi(&[0xFB], flag::VIP).0, GP);
    // Without it both fault below IOPL.
    assert_eq!(Rig::protected().ring3().run(&[0xFB]), GP);
}

// ---- ports ----

/// in al, 60h at ring 3 with an I/O bitmap that opens the ports of `open`.
fn bitmap(rig: &mut Rig, limit: u32, open: &[u64]) {
    rig.put(TSS + 102, IO_BASE, 2);
    (0..0x40).for_each(|n| rig.put(TSS + IO_BASE + n, 0xFF, 1));
    for &port in open {
        let at = TSS + IO_BASE + port / 8;
        let byte = rig.get(at, 1) & !(1 << (port % 8));
        rig.put(at, byte, 1);
    }
    rig.c().tr.limit = limit;
}

#[test]
fn ports_below_iopl_need_every_bit_of_the_access_clear() {
    let access = |code: &[u8], open: &[u64]| {
        let mut rig = Rig::protected();
        bitmap(&mut rig, 0xFFF, open);
        rig.ring3().run(&[code, &[0xCC]].concat())
    };
    let fine = End::Vector(vector::BP, 0);
    assert_eq!(access(&[0xE4, 0x60], &[0x60]), fine);
    assert_eq!(access(&[0xE4, 0x60], &[]), GP);
    assert_eq!(access(&[0x66, 0xE5, 0x67], &[0x67]), GP);
    assert_eq!(access(&[0x66, 0xE5, 0x67], &[0x67, 0x68]), fine);
    assert_eq!(access(&[0xE5, 0x60], &[0x60, 0x61, 0x62]), GP);
    assert_eq!(access(&[0xE7, 0x60], &[0x60, 0x61, 0x62, 0x63]), fine);
}

#[test]
fn the_bitmap_ends_at_the_limit_and_only_32_bit_tasks_have_one() {
    let access = |limit: u32, kind: u16| {
        let mut rig = Rig::protected();
        bitmap(&mut rig, limit, &[0x60]);
        rig.c().tr.attr = kind;
        rig.ring3().run(&[0xE4, 0x60, 0xCC])
    };
    let last = IO_BASE as u32 + 0x60 / 8;
    // Two bytes are always read.
    assert_eq!(access(last + 1, 0x8B), End::Vector(vector::BP, 0));
    assert_eq!(access(last, 0x8B), GP);
    // A 16-bit TSS has no bitmap (and, read as one, no stack for the handler either).
    assert_eq!(access(0xFFF, 0x83), End::Shutdown(vector::GP));
}

#[test]
fn with_iopl_3_ring_3_uses_every_port_but_virtual_8086_code_asks_the_bitmap() {
    let mut rig = Rig::protected();
    rig.ring3().c().set_flags(0x3002);
    assert_eq!(rig.run(&[0xE6, 0x80, 0xCC]), End::Vector(vector::BP, 0));
    assert_eq!(rig.bus.out.len(), 1);
    assert_eq!((rig.bus.out[0].0, rig.bus.out[0].1), (0x80, 0));
    assert_eq!(Rig::v86(3).run(&[0xE6, 0x80]), GP);
    let mut open = Rig::v86(0);
    bitmap(&mut open, 0xFFF, &[0x80]);
    assert_eq!(open.run(&[0xE6, 0x80, 0xCC]), End::Vector(vector::BP, 0));
    assert_eq!(open.stack(1), CS);
}

#[test]
fn string_io_asks_the_bitmap_each_time_and_goes_in_a_run_where_there_is_none() {
    for (flags, runs) in [(0x0002, &[][..]), (0x3002, &[5])] {
        let mut rig = Rig::protected();
        rig.bus.run_at_most = usize::MAX;
        bitmap(&mut rig, 0xFFF, &[0x60]);
        let c = rig.ring3().c();
        c.set_flags(flags);
        (c.r[1], c.r[2], c.r[7]) = (5, 0x60, DATA);
        let end = rig.run(&[0xF3, 0x6C, 0xCC]);
        assert_eq!((end, rig.c().r[1]), (End::Vector(vector::BP, 0), 0));
        assert_eq!(rig.bus.runs, runs);
    }
}

#[test]
fn string_io_is_checked_before_its_memory() {
    let mut rig = Rig::protected();
    rig.ring3().c().r[7] = 0xFFFF_FFFF;
    rig.c().seg[seg::ES].limit = 0;
    rig.changed();
    assert_eq!(rig.run(&[0x6C]), GP);
}

/// MOV EAX, magic; MOV EDX, 5658h; IN EAX, DX; INT3, with `in_form` as the IN.
fn backdoor_call(magic: u32, in_form: &[u8]) -> Vec<u8> {
    let mut code = vec![0xB8];
    code.extend(magic.to_le_bytes());
    code.extend([0xBA, 0x58, 0x56, 0, 0]);
    code.extend(in_form);
    code.push(0xCC);
    code
}

#[test]
fn backdoor_answers_in_six_registers_at_ring_3_without_permission() {
    let mut rig = Rig::protected();
    rig.bus.backdoor = Some(|r| *r = [1, 2, 3, r[0], r[3], 6]);
    let end = rig.ring3().run(&backdoor_call(0x564D_5868, &[0xED]));
    assert_eq!(end, End::Vector(vector::BP, 0));
    let r = rig.c().r;
    let seen = [r[0], r[3], r[1], r[2], r[6], r[7]];
    assert_eq!(seen, [1, 2, 3, 0x564D_5868, 0x5658, 6]);
}

#[test]
fn backdoor_without_its_magic_its_width_or_a_board_that_has_one_is_a_port() {
    let access = |magic: u32, in_form: &[u8], board: bool| {
        let mut rig = Rig::protected();
        rig.bus.backdoor = board.then_some(|r| *r = [0; 6]);
        rig.ring3().run(&backdoor_call(magic, in_form))
    };
    assert_eq!(access(0x564D_5869, &[0xED], true), GP);
    assert_eq!(access(0x564D_5868, &[0x66, 0xED], true), GP);
    assert_eq!(access(0x564D_5868, &[0xEC], true), GP);
    assert_eq!(access(0x564D_5868, &[0xED], false), GP);
}
