//! Paging, and the control registers that rule it: SDM volume 3, chapters 2.5, 4 and 12.11.

mod system;

use system::{CODE, DATA, End, Rig, STACKS, TABLES, TSS2_SELECTOR, descriptor};
use vmwb_x86::cpu::{cr0, cr4, efer, flag, vector};

const GP: End = End::Vector(vector::GP, 0);

/// Page-table entry bits and error-code bits.
const P: u64 = 1;
const W: u64 = 2;
const U: u64 = 4;
const A: u64 = 0x20;
const D: u64 = 0x40;
const PS: u64 = 0x80;
const NX: u64 = 1 << 63;
const RSVD: u32 = 8;
const FETCH: u32 = 16;

fn pf(code: u32) -> End {
    End::Vector(vector::PF, code)
}

/// mov eax, [DATA] and mov [DATA], eax in 64-bit mode.
const READ: [u8; 7] = [0x8B, 0x04, 0x25, 0, 0, 3, 0];
const WRITE: [u8; 7] = [0x89, 0x04, 0x25, 0, 0, 3, 0];

/// A long-mode rig whose page at DATA has this entry.
fn long(entry: u64) -> Rig {
    let rig = Rig::long();
    rig.put(Rig::pte(DATA), entry, 8);
    rig
}

fn hlt(code: &[u8]) -> Vec<u8> {
    [code, &[0xF4]].concat()
}

const DONE: End = End::Halt(CODE + 8);

#[test]
fn absent_pages_report_write_user_and_address() {
    assert_eq!(long(0).run(&READ), pf(0));
    assert_eq!(long(0).run(&WRITE), pf(2));
    let mut user = long(0);
    assert_eq!(user.ring3().run(&WRITE), pf(6));
    assert_eq!((user.c().cr2, user.stack(1)), (DATA, CODE));
}

#[test]
fn rights_are_those_of_all_levels_together() {
    let ring3 = |entry: u64, code: &[u8]| {
        let mut rig = long(entry);
        rig.ring3().run(code)
    };
    assert_eq!(ring3(DATA | P | W, &READ), pf(5));
    assert_eq!(ring3(DATA | P | U, &WRITE), pf(7));
    let mut upper = Rig::long();
    upper.put(TABLES + 0x2000, (TABLES + 0x3000) | P | U, 8);
    assert_eq!(upper.ring3().run(&WRITE), pf(7));
}

#[test]
fn supervisor_writes_to_read_only_pages_fault_by_cr0_wp() {
    let mut off = long(DATA | P | U);
    assert_eq!(off.run(&hlt(&WRITE)), DONE);
    let mut on = long(DATA | P | U);
    on.c().cr0 |= cr0::WP;
    on.changed();
    assert_eq!(on.run(&WRITE), pf(3));
}

#[test]
fn accessed_and_dirty_bits_are_set_by_accesses_that_succeed() {
    let mut rig = long(DATA | P | W | U);
    assert_eq!(rig.run(&hlt(&READ)), DONE);
    assert_eq!(rig.get(Rig::pte(DATA), 8) & (A | D), A);
    let mut write = long(DATA | P | W | U);
    // Read first, so that a translation is cached; the write still has to set the bit.
    assert_eq!(
        write.run(&hlt(&[&READ[..], &WRITE].concat())),
        End::Halt(CODE + 15)
    );
    assert_eq!(write.get(Rig::pte(DATA), 8) & (A | D), A | D);
    assert_eq!(write.get(TABLES + 0x2000, 8) & (A | D), A);
    let mut denied = long(DATA | P | U);
    assert_eq!(denied.ring3().run(&WRITE), pf(7));
    assert_eq!(denied.get(Rig::pte(DATA), 8) & (A | D), 0);
}

#[test]
fn reserved_bits_fault_with_rsvd_in_every_format() {
    // Above the physical width of 40 bits; NX without EFER.NXE; PS in the top level.
    assert_eq!(long(DATA | 7 | 1 << 40).run(&READ), pf(1 | RSVD));
    assert_eq!(long(DATA | 7 | 1 << 51).run(&WRITE), pf(3 | RSVD));
    assert_eq!(long(DATA | 7 | NX).run(&READ), pf(1 | RSVD));
    // Bits 62:52 are software's in long mode.
    assert_eq!(long(DATA | 7 | 0x7FF << 52).run(&hlt(&READ)), DONE);
    let mut top = Rig::long();
    top.put(TABLES, (TABLES + 0x1000) | 7 | PS, 8);
    top.changed();
    // Nothing can be fetched, the handlers neither.
    assert_eq!(top.go(10), End::Shutdown(vector::PF));
}

/// A second mapping of the first 2 MiB at 40000000h, by an entry of level `level` (3: a 1-GiB page).
fn large(level: u64, entry: u64) -> End {
    let mut rig = Rig::long();
    if level == 3 {
        rig.put(TABLES + 0x1000 + 8, entry, 8);
    } else {
        rig.put(TABLES + 0x1000 + 8, (TABLES + 0x9000) | 7, 8);
        rig.put(TABLES + 0x9000, entry, 8);
    }
    rig.put(DATA, 0x77, 4);
    rig.c().r[3] = 0x4000_0000 + DATA;
    // mov eax, [rbx]; hlt
    let end = rig.run(&[0x8B, 0x03, 0xF4]);
    if end == End::Halt(CODE + 3) {
        assert_eq!(rig.c().r[0], 0x77);
    }
    end
}

#[test]
fn large_pages_translate_and_their_low_address_bits_are_reserved() {
    assert_eq!(large(2, 7 | PS), End::Halt(CODE + 3));
    // The PAT bit is bit 12 there.
    assert_eq!(large(2, 7 | PS | 1 << 12), End::Halt(CODE + 3));
    for bit in 13..21 {
        assert_eq!(large(2, 7 | PS | 1 << bit), pf(1 | RSVD));
    }
    // This model has no 1-GiB pages.
    assert_eq!(large(3, 7 | PS), pf(1 | RSVD));
}

#[test]
fn no_execute_pages_fault_on_fetch_only() {
    let with = |nxe: bool, jump: bool| {
        let mut rig = long(DATA | 7 | NX);
        rig.write(DATA, &[0xF4]);
        if nxe {
            rig.c().efer |= efer::NXE;
            rig.changed();
        }
        rig.c().r[3] = DATA;
        rig.run(if jump {
            &[0xFF, 0xE3]
        } else {
            &[0x8B, 0x03, 0xF4]
        })
    };
    assert_eq!(with(true, false), End::Halt(CODE + 3));
    assert_eq!(with(true, true), pf(1 | FETCH));
    assert_eq!(with(false, true), pf(1 | RSVD));
}

#[test]
fn smep_keeps_supervisor_mode_from_running_user_pages() {
    let mut rig = Rig::long();
    // All of the rig's pages are user pages but those that it runs on.
    for at in [CODE, system::HANDLERS, system::HANDLERS + 0x1000] {
        rig.put(Rig::pte(at), (at & !0xFFF) | P | W, 8);
    }
    rig.c().cr4 |= cr4::SMEP;
    rig.changed();
    rig.c().r[3] = DATA;
    assert_eq!(rig.run(&[0xFF, 0xE3]), pf(1 | FETCH));
    // Their data may be read.
    let mut data = Rig::long();
    data.put(Rig::pte(CODE), CODE | P | W, 8);
    data.c().cr4 |= cr4::SMEP;
    data.changed();
    assert_eq!(data.run(&hlt(&READ)), DONE);
}

/// Long mode with SMAP on; the pages that the processor itself needs are supervisor's.
fn smap(ac: bool) -> Rig {
    let mut rig = Rig::long();
    for n in 0..0x30 {
        rig.put(Rig::pte(n << 12), n << 12 | P | W, 8);
    }
    rig.c().cr4 |= cr4::SMAP;
    rig.c()
        .set_flags(flag::FIXED | if ac { flag::AC } else { 0 });
    rig.changed();
    rig
}

#[test]
fn smap_keeps_supervisor_mode_from_user_data_unless_ac_is_set() {
    assert_eq!(smap(false).run(&READ), pf(1));
    assert_eq!(smap(false).run(&WRITE), pf(3));
    assert_eq!(smap(true).run(&hlt(&READ)), DONE);
    // What was cached while AC was set does not count when it is clear: push 2; popfq; mov eax, [DATA].
    let mut rig = smap(true);
    let code = [&READ[..], &[0x6A, 2, 0x9D], &READ].concat();
    assert_eq!(rig.run(&code), pf(1));
    assert_eq!(rig.stack(1), CODE + 10);
}

#[test]
fn stac_and_clac_open_and_close_user_data_at_ring_0_only() {
    let closed = || {
        let mut rig = Rig::long_as("max");
        for n in 0..0x30 {
            rig.put(Rig::pte(n << 12), n << 12 | P | W, 8);
        }
        rig.c().cr4 |= cr4::SMAP;
        rig.changed();
        rig
    };
    let (stac, clac) = ([0x0F, 0x01, 0xCB], [0x0F, 0x01, 0xCA]);
    assert_eq!(
        closed().run(&[&stac[..], &READ, &[0xF4]].concat()),
        End::Halt(CODE + 11)
    );
    let mut again = closed();
    assert_eq!(again.run(&[&stac[..], &READ, &clac, &READ].concat()), pf(1));
    assert_eq!(again.stack(1), CODE + 13);
    let mut user = Rig::long_as("max");
    assert_eq!(user.ring3().run(&stac), End::Vector(vector::UD, 0));
    // A model without SMAP does not know them.
    assert_eq!(Rig::long().run(&stac), End::Vector(vector::UD, 0));
}

#[test]
fn invpcid_checks_its_descriptor() {
    let run = |kind: u64, pcid: u64, linear: u64| {
        let mut rig = Rig::long_as("max");
        rig.put(DATA, pcid, 8);
        rig.put(DATA + 8, linear, 8);
        rig.c().r[0] = kind;
        // invpcid rax, [DATA]; hlt
        rig.run(&[0x66, 0x0F, 0x38, 0x82, 0x04, 0x25, 0, 0, 3, 0, 0xF4])
    };
    let done = End::Halt(CODE + 11);
    assert_eq!(
        (run(0, 0, DATA), run(1, 0, 0), run(2, 0, 0), run(3, 0, 0)),
        (done, done, done, done)
    );
    // An unknown kind, reserved bits, a PCID without CR4.PCIDE, an address that is not canonical.
    assert_eq!((run(4, 0, 0), run(2, 1 << 12, 0)), (GP, GP));
    assert_eq!((run(1, 5, 0), run(0, 0, 1 << 47)), (GP, GP));
}

#[test]
fn the_largest_model_has_1_gib_pages_and_the_later_bits_of_cr4() {
    let mut rig = Rig::long_as("max");
    rig.put(TABLES + 0x1000 + 8, 7 | PS, 8);
    rig.put(DATA, 0x77, 4);
    rig.c().r[3] = 0x4000_0000 + DATA;
    assert_eq!(rig.run(&[0x8B, 0x03, 0xF4]), End::Halt(CODE + 3));
    assert_eq!(rig.c().r[0], 0x77);
    // Bits 29:13 of such a page are reserved.
    let mut bad = Rig::long_as("max");
    bad.put(TABLES + 0x1000 + 8, 7 | PS | 1 << 29, 8);
    bad.c().r[3] = 0x4000_0000 + DATA;
    assert_eq!(bad.run(&[0x8B, 0x03]), pf(1 | RSVD));
    for bit in [cr4::UMIP, cr4::PCIDE, cr4::OSXSAVE, cr4::FSGSBASE, cr4::VME] {
        assert_eq!(
            mov_cr(Rig::long_as("max"), 4, cr4::PAE | bit),
            SET,
            "{bit:#x}"
        );
    }
}

#[test]
fn intels_models_differ_in_system_calls() {
    // SYSENTER in long mode; SYSRET to an address that is not canonical is refused at ring 0.
    let mut enter = calls(Rig::long_as("core2"));
    assert_eq!(enter.ring3().run(&[0x0F, 0x34]), End::Halt(CODE + 0x401));
    assert_eq!((enter.c().r[4], enter.c().cpl), (STACKS[1], 0));
    let mut ret = calls(Rig::long_as("core2"));
    ret.c().r[1] = 1 << 47;
    assert_eq!(ret.run(&[0x48, 0x0F, 0x07]), GP);
    assert_eq!(
        (ret.stack(1), ret.stack(2)),
        (CODE, u64::from(system::CODE0))
    );
    // SYSRET loads a flat stack segment.
    let mut flat = calls(Rig::long_as("core2"));
    flat.c().seg[2].limit = 0x1234;
    flat.changed();
    flat.c().r[1] = CODE + 0x600;
    flat.write(CODE + 0x600, &[0xEB, 0xFE]);
    assert_eq!(flat.run(&[0x48, 0x0F, 0x07]), End::Budget);
    assert_eq!((flat.c().seg[2].limit, flat.c().cpl), (u32::MAX, 3));
}

#[test]
fn descriptor_tables_on_user_pages_are_closed_by_smap_even_with_ac() {
    let mut rig = smap(true);
    // The GDT moves to a user page.
    (0..8).for_each(|n| {
        let d = rig.get(system::GDT + 8 * n, 8);
        rig.put(DATA + 8 * n, d, 8);
    });
    rig.c().gdtr.base = DATA;
    // mov ds, ax: the read of the descriptor is implicit, and so are those for the page fault's gate
    rig.c().r[0] = u64::from(system::DATA0);
    assert_eq!(rig.run(&[0x8E, 0xD8]), End::Shutdown(vector::PF));
}

#[test]
fn invlpg_and_a_load_of_cr3_forget_and_nothing_else_must() {
    // mov eax, [DATA]; mov qword [PTE], entry of another frame; invlpg [DATA] or mov cr3; mov ebx, [DATA]; hlt
    for flush in [
        &[0x0F, 0x01, 0x3C, 0x25, 0, 0, 3, 0][..],
        &[0x0F, 0x20, 0xD8, 0x0F, 0x22, 0xD8],
    ] {
        let mut rig = Rig::long();
        rig.put(DATA, 1, 4);
        rig.put(0x7_0000, 2, 4);
        let pte = (Rig::pte(DATA) as u32).to_le_bytes();
        let code = [
            &READ[..],
            &[0x48, 0xC7, 0x04, 0x25],
            &pte,
            &[7, 0, 7, 0],
            flush,
            &[0x8B, 0x1C, 0x25, 0, 0, 3, 0, 0xF4],
        ]
        .concat();
        assert_eq!(rig.run(&code), End::Halt(CODE + code.len() as u64));
        assert_eq!(rig.c().r[3], 2);
    }
}

#[test]
fn an_instruction_whose_rest_lies_in_an_absent_page_faults_there() {
    let mut rig = Rig::long();
    let next = CODE + 0x1000;
    rig.put(Rig::pte(next), 0, 8);
    rig.c().rip = next - 2;
    // mov eax, imm32 with three bytes missing
    rig.write(next - 2, &[0xB8, 1]);
    assert_eq!(rig.go(10), pf(0));
    assert_eq!((rig.c().cr2, rig.stack(1)), (next, next - 2));
    // An opcode that is undefined whatever follows needs nothing of the next page.
    let mut ud = Rig::long();
    ud.put(Rig::pte(next), 0, 8);
    ud.c().rip = next - 2;
    ud.write(next - 2, &[0x0F, 0x0B]);
    assert_eq!(ud.go(10), End::Vector(vector::UD, 0));
}

#[test]
fn an_instruction_across_two_pages_follows_a_new_mapping_of_its_tail() {
    let (next, other) = (CODE + 0x1000, DATA + 0x1000);
    let low = |v: u64| (v as u32).to_le_bytes();
    // At next - 2: mov eax, imm32, three bytes of it in the next page. There: add ebx, eax; dec ecx; jnz next - 2;
    // mov qword [PTE of next], entry of the other frame; invlpg [next]; jmp next - 2.
    let back = [0xE9, 0xDC, 0xFF, 0xFF, 0xFF];
    let first = [
        &[2, 3, 4, 0x01, 0xC3, 0xFF, 0xC9, 0x75, 0xF5][..],
        &[0x48, 0xC7, 0x04, 0x25],
        &low(Rig::pte(next)),
        &low(other | 7),
        &[0x0F, 0x01, 0x3C, 0x25],
        &low(next),
        &back,
    ]
    .concat();
    let mut rig = Rig::long();
    rig.write(next - 2, &[0xB8, 1]);
    rig.write(next, &first);
    // The other frame: another tail; add ebx, eax; hlt; and the same jump.
    rig.write(other, &[5, 6, 7, 0x01, 0xC3, 0xF4]);
    rig.write(other + 29, &back);
    rig.c().rip = next - 2;
    (rig.c().r[1], rig.c().r[3]) = (3, 0);
    assert_eq!(rig.go(100), End::Halt(next + 6));
    assert_eq!(rig.c().r[3], 3 * 0x0403_0201 + 0x0706_0501);
}

#[test]
fn a_write_across_two_pages_of_which_one_is_absent_writes_nothing() {
    let mut rig = long(DATA | 7);
    rig.put(Rig::pte(DATA + 0x1000), 0, 8);
    rig.c().r[3] = DATA + 0xFFE;
    rig.c().r[0] = u64::MAX;
    assert_eq!(rig.run(&[0x89, 0x03]), pf(2));
    assert_eq!((rig.c().cr2, rig.get(DATA + 0xFFE, 2)), (DATA + 0x1000, 0));
}

// ---- 32-bit and PAE ----

/// 32-bit paging with 4-MiB pages: the second directory entry.
fn pse(entry: u64, pse_on: bool) -> End {
    let mut rig = Rig::protected();
    rig.page32();
    rig.put(TABLES + 4, entry, 4);
    rig.put(DATA, 0x99, 4);
    if pse_on {
        rig.c().cr4 |= cr4::PSE;
    }
    rig.changed();
    // mov eax, [400000h + DATA]; hlt
    let end = rig.run(&[0xA1, 0, 0, 0x43, 0, 0xF4]);
    if end == End::Halt(CODE + 6) {
        assert_eq!(rig.c().r[0], 0x99);
    }
    end
}

#[test]
fn four_mib_pages_exist_with_cr4_pse_and_reserve_bit_21() {
    assert_eq!(pse(7 | PS, true), End::Halt(CODE + 6));
    assert_eq!(pse(7 | PS | 1 << 21, true), pf(1 | RSVD));
    // Without PSE the bit says nothing: a table at address 0, whose entry is the first word of the vectors.
    assert_eq!(pse(7 | PS, false), pf(0));
}

#[test]
fn pse36_puts_frames_above_4_gib() {
    // Bits 20:13 are address bits 39:32: nothing is there, and reads give all ones.
    let mut rig = Rig::protected();
    rig.page32();
    rig.put(TABLES + 4, 7 | PS | 1 << 13, 4);
    rig.c().cr4 |= cr4::PSE;
    rig.changed();
    assert_eq!(rig.run(&[0xA1, 0, 0, 0x43, 0, 0xF4]), End::Halt(CODE + 6));
    assert_eq!(rig.c().r[0], 0xFFFF_FFFF);
}

#[test]
fn pse36_reserves_the_address_bits_that_the_processor_does_not_have() {
    // The Pentium III has 36 address bits: bit 17 of the entry would be the 37th.
    let run = |entry: u64| {
        let mut rig = Rig::protected_as("pentium3");
        rig.page32();
        rig.put(TABLES + 4, 7 | PS | entry, 4);
        rig.c().cr4 |= cr4::PSE;
        rig.changed();
        rig.run(&[0xA1, 0, 0, 0x43, 0, 0xF4])
    };
    assert_eq!(run(1 << 16), End::Halt(CODE + 6));
    assert_eq!(run(1 << 17), pf(1 | RSVD));
}

/// PAE paging of the first 4 MiB; `entry` replaces the one of DATA.
fn pae(entry: u64) -> Rig {
    let mut rig = Rig::protected();
    rig.put(TABLES, (TABLES + 0x1000) | P, 8);
    for n in 0..2 {
        rig.put(
            TABLES + 0x1000 + 8 * n,
            (TABLES + 0x2000 + 0x1000 * n) | 7,
            8,
        );
    }
    (0..1024).for_each(|n| rig.put(TABLES + 0x2000 + 8 * n, n << 12 | 7, 8));
    rig.put(TABLES + 0x2000 + 8 * (DATA >> 12), entry, 8);
    let c = rig.c();
    c.cr3 = TABLES;
    c.cr4 |= cr4::PAE;
    c.r[0] = 0x8000_0011;
    rig.changed();
    rig
}

/// mov cr0, eax; mov eax, [DATA]; hlt
const PAGE_ON: [u8; 9] = [0x0F, 0x22, 0xC0, 0xA1, 0, 0, 3, 0, 0xF4];

#[test]
fn pae_reserves_bits_62_to_40_and_the_pointers_low_bits() {
    assert_eq!(pae(DATA | 7).run(&PAGE_ON), End::Halt(CODE + 9));
    assert_eq!(pae(DATA | 7 | 1 << 62).run(&PAGE_ON), pf(1 | RSVD));
    assert_eq!(pae(DATA | 7 | 1 << 40).run(&PAGE_ON), pf(1 | RSVD));
    // A reserved bit in a pointer entry is #GP at the load.
    for bit in [1, 2, 5, 8, 40, 63] {
        let mut rig = pae(DATA | 7);
        rig.put(TABLES + 8, P | 1 << bit, 8);
        assert_eq!(rig.run(&PAGE_ON), GP);
        assert_eq!(rig.c().cr0 & cr0::PG, 0);
    }
}

#[test]
fn pae_pointers_are_read_when_cr3_is_loaded_only() {
    let mut rig = pae(DATA | 7);
    let entry = [0xC7, 0x05, 0, 0, 0x10, 0, 0, 0, 0, 0];
    // Paging on; then mov dword [TABLES], 0: the pointer in use is the one that was loaded; mov eax, [DATA]; hlt
    let code = [&[0x0F, 0x22, 0xC0][..], &entry, &[0xA1, 0, 0, 3, 0, 0xF4]].concat();
    assert_eq!(rig.run(&code), End::Halt(CODE + code.len() as u64));
}

#[test]
fn page_tables_outside_memory_or_at_themselves_end_in_an_exception() {
    let mut outside = Rig::protected();
    outside.page32();
    outside.put(TABLES + 4, 0x7FFF_F007, 4);
    outside.changed();
    // Reads of what is not there give all ones: an entry with everything set, which leads to the frame FFFFF000h.
    assert_eq!(
        outside.run(&[0xA1, 0, 0, 0x43, 0, 0xF4]),
        End::Halt(CODE + 6)
    );
    assert_eq!(outside.c().r[0], 0xFFFF_FFFF);
    // A directory that is its own table shows itself.
    let mut own = Rig::protected();
    own.page32();
    own.put(TABLES + 4, TABLES | 7, 4);
    own.changed();
    assert_eq!(
        own.run(&[0xA1, 4, 0x10, 0x40, 0, 0xF4]),
        End::Halt(CODE + 6)
    );
    assert_eq!(own.c().r[0], TABLES | 7 | A);
}

// ---- control registers ----

/// mov crN, rax in 64-bit mode, or eax in 32-bit mode.
fn mov_cr(mut rig: Rig, n: u8, v: u64) -> End {
    rig.c().r[0] = v;
    rig.run(&[0x0F, 0x22, 0xC0 | n << 3, 0xF4])
}
const SET: End = End::Halt(CODE + 4);

#[test]
fn cr0_refuses_what_cannot_be() {
    let on = 0x11;
    assert_eq!(mov_cr(Rig::protected(), 0, on), SET);
    // PG without PE; NW without CD.
    assert_eq!(mov_cr(Rig::protected(), 0, cr0::PG), GP);
    assert_eq!(mov_cr(Rig::protected(), 0, on | cr0::NW), GP);
    // In 64-bit mode: the upper half, and paging off.
    assert_eq!(mov_cr(Rig::long(), 0, on | cr0::PG | 1 << 32), GP);
    assert_eq!(mov_cr(Rig::long(), 0, on), GP);
    assert_eq!(mov_cr(Rig::long(), 0, on | cr0::PG | cr0::WP), SET);
}

#[test]
fn long_mode_needs_pae_and_no_16_bit_task() {
    let enable = |pae_on: bool, tss: u16| {
        let mut rig = Rig::long();
        let c = rig.c();
        c.cr0 &= !cr0::PG;
        c.efer = efer::LME;
        c.seg[1].attr = 0xC09B;
        c.cr4 = if pae_on { cr4::PAE } else { 0 };
        c.tr.attr = tss;
        rig.changed();
        let end = mov_cr(rig, 0, 0x8000_0011);
        // In compatibility mode the handlers of the 64-bit table are found, or those of no table: all that counts is GP.
        matches!(end, End::Halt(_))
    };
    assert!(enable(true, 0x8B));
    assert!(!enable(false, 0x8B));
    assert!(!enable(true, 0x83));
}

#[test]
fn cr4_has_the_bits_of_the_model_only() {
    assert_eq!(
        mov_cr(Rig::long(), 4, cr4::PAE | cr4::PGE | cr4::OSFXSR),
        SET
    );
    assert_eq!(mov_cr(Rig::long(), 4, 0), GP);
    for bit in [
        cr4::VME,
        cr4::UMIP,
        cr4::SMEP,
        cr4::SMAP,
        cr4::PCIDE,
        cr4::OSXSAVE,
        1 << 13,
        1 << 40,
    ] {
        assert_eq!(mov_cr(Rig::long(), 4, cr4::PAE | bit), GP, "{bit:#x}");
    }
}

#[test]
fn cr3_refuses_bits_above_the_physical_width_in_long_mode() {
    assert_eq!(mov_cr(Rig::long(), 3, TABLES | 1 << 40), GP);
    assert_eq!(mov_cr(Rig::long(), 3, TABLES | 1 << 63), GP);
    assert_eq!(mov_cr(Rig::long(), 3, TABLES | 0x18), SET);
    // With PCIDE bit 63 is a request, and not kept.
    let mut rig = Rig::long().cr4(cr4::PCIDE);
    rig.c().r[0] = TABLES | 5 | 1 << 63;
    // mov cr3, rax; mov rbx, cr3; hlt
    assert_eq!(
        rig.run(&[0x0F, 0x22, 0xD8, 0x0F, 0x20, 0xDB, 0xF4]),
        End::Halt(CODE + 7)
    );
    assert_eq!(rig.c().r[3], TABLES | 5);
}

#[test]
fn absent_control_registers_are_undefined_and_present_ones_privileged() {
    for n in [1, 5, 6, 7] {
        assert_eq!(mov_cr(Rig::protected(), n, 0), End::Vector(vector::UD, 0));
    }
    let mut rig = Rig::protected();
    assert_eq!(rig.ring3().run(&[0x0F, 0x22, 0xC0]), GP);
}

#[test]
fn umip_closes_the_stores_of_tables_to_ring_3() {
    // sgdt [eax]; sidt [eax]; sldt eax; str eax; smsw eax
    for code in [
        &[0x0F, 0x01, 0x00][..],
        &[0x0F, 0x01, 0x08],
        &[0x0F, 0x00, 0xC0],
        &[0x0F, 0x00, 0xC8],
        &[0x0F, 0x01, 0xE0],
    ] {
        let run = |bits: u64| {
            let mut rig = Rig::protected().cr4(bits);
            rig.ring3().c().r[0] = DATA;
            rig.run(&[code, &[0xCC]].concat())
        };
        assert_eq!(
            (run(cr4::UMIP), run(0)),
            (GP, End::Vector(vector::BP, 0)),
            "{code:?}"
        );
    }
}

// ---- model-specific registers ----

fn wrmsr(n: u64, v: u64) -> End {
    let mut rig = Rig::long();
    let c = rig.c();
    (c.r[1], c.r[0], c.r[2]) = (n, v & 0xFFFF_FFFF, v >> 32);
    rig.run(&[0x0F, 0x30, 0xF4])
}
const WRITTEN: End = End::Halt(CODE + 3);

#[test]
fn wrmsr_checks_memory_types_and_reserved_bits() {
    // PAT: types 2 and 3 do not exist.
    assert_eq!(wrmsr(0x277, 0x0007_0406_0007_0401), WRITTEN);
    assert_eq!(wrmsr(0x277, 2), GP);
    // Default type: types 0, 1, 4, 5, 6; bits 10 and 11.
    assert_eq!(wrmsr(0x2FF, 0xC06), WRITTEN);
    assert_eq!(wrmsr(0x2FF, 2), GP);
    assert_eq!(wrmsr(0x2FF, 1 << 12), GP);
    // Variable ranges: bits 11:8 of the base, 10:0 of the mask, and above the physical width.
    assert_eq!(wrmsr(0x200, 0x8000_0006), WRITTEN);
    assert_eq!(wrmsr(0x200, 0x106), GP);
    assert_eq!(wrmsr(0x200, 7), GP);
    assert_eq!(wrmsr(0x201, 0xFF_8000_0800), WRITTEN);
    assert_eq!(wrmsr(0x201, 0x400), GP);
    assert_eq!(wrmsr(0x201, 1 << 40), GP);
    // Fixed ranges: eight types.
    assert_eq!(wrmsr(0x250, 0x0606_0606_0606_0606), WRITTEN);
    assert_eq!(wrmsr(0x250, 0x0602_0606_0606_0606), GP);
    // Capabilities are read-only; an absent register is not there.
    assert_eq!(wrmsr(0xFE, 0), GP);
    assert_eq!(wrmsr(0x1234, 0), GP);
}

#[test]
fn wrmsr_of_machine_check_banks_takes_all_or_nothing() {
    assert_eq!(wrmsr(0x400, u64::MAX), WRITTEN);
    assert_eq!(wrmsr(0x400, 0), WRITTEN);
    // What systems leave out for errata.
    assert_eq!(wrmsr(0x40C, !(1 << 10)), WRITTEN);
    assert_eq!(wrmsr(0x404, !1), WRITTEN);
    assert_eq!(wrmsr(0x40C, 0xAAAA_AAAA_AAAA_AAAA), GP);
    assert_eq!(wrmsr(0x400, 1), GP);
    assert_eq!(wrmsr(0x401, 0), WRITTEN);
    assert_eq!(wrmsr(0x401, 1), GP);
    // There are four banks.
    assert_eq!(wrmsr(0x410, 0), GP);
}

#[test]
fn wrmsr_of_efer_refuses_reserved_bits_and_lme_under_paging() {
    let efer_msr = 0xC000_0080;
    assert_eq!(wrmsr(efer_msr, efer::LME | efer::SCE | efer::NXE), WRITTEN);
    assert_eq!(wrmsr(efer_msr, efer::LME | 2), GP);
    assert_eq!(wrmsr(efer_msr, 0), GP);
    // LMA is not written.
    assert_eq!(wrmsr(efer_msr, efer::LME), WRITTEN);
}

#[test]
fn wrmsr_of_addresses_wants_canonical_ones() {
    for n in [
        0xC000_0082,
        0xC000_0083,
        0xC000_0100,
        0xC000_0101,
        0xC000_0102,
        0x175,
        0x176,
    ] {
        assert_eq!(wrmsr(n, 1 << 47), GP, "{n:#x}");
        assert_eq!(wrmsr(n, 0xFFFF_8000_0000_0000), WRITTEN, "{n:#x}");
    }
}

// ---- fast system calls ----

/// A rig with the registers of SYSCALL and SYSENTER set: kernel selectors 08h and 10h, user selectors from 18h.
fn calls(mut rig: Rig) -> Rig {
    let c = rig.c();
    c.efer |= efer::SCE;
    c.msr.star = 0x001B_0008 << 32 | (CODE + 0x400);
    c.msr.lstar = CODE + 0x400;
    c.msr.cstar = CODE + 0x500;
    c.msr.fmask = flag::IF | flag::TF;
    c.msr.sysenter_cs = 8;
    (c.msr.sysenter_esp, c.msr.sysenter_eip) = (STACKS[1], CODE + 0x400);
    rig.write(CODE + 0x400, &[0xF4]);
    rig.write(CODE + 0x500, &[0xF4]);
    rig.changed();
    rig
}

#[test]
fn syscall_saves_rip_and_flags_and_loads_flat_segments() {
    let mut rig = calls(Rig::long());
    rig.ring3().c().set_flags(flag::IF | flag::CF | 2);
    assert_eq!(rig.run(&[0x0F, 0x05]), End::Halt(CODE + 0x401));
    let c = rig.c();
    assert_eq!(
        (c.r[1], c.r[11], c.flags()),
        (CODE + 2, flag::IF | flag::CF | 2, flag::CF | 2)
    );
    assert_eq!(
        (c.seg[1].selector, c.seg[2].selector, c.cpl, c.r[4]),
        (8, 0x10, 0, STACKS[3])
    );
}

#[test]
fn sysret_goes_back_to_64_and_32_bit_code() {
    let back = |code: &[u8]| {
        let mut rig = calls(Rig::long());
        rig.c().r[1] = CODE + 0x600;
        rig.c().r[11] = flag::IF | flag::CF | flag::RF | flag::VM;
        rig.write(CODE + 0x600, &[0xCC]);
        assert_eq!(rig.run(code), End::Vector(vector::BP, 0));
        (rig.stack(1), rig.stack(2), rig.stack(4))
    };
    let flags = flag::IF | flag::CF | 2;
    assert_eq!(back(&[0x48, 0x0F, 0x07]), (0x2B, flags, 0x23));
    assert_eq!(back(&[0x0F, 0x07]), (0x1B, flags, 0x23));
}

#[test]
fn sysret_below_ring_0_is_gp_and_without_sce_undefined() {
    let mut rig = calls(Rig::long());
    assert_eq!(rig.ring3().run(&[0x48, 0x0F, 0x07]), GP);
    assert_eq!(
        Rig::long().run(&[0x48, 0x0F, 0x07]),
        End::Vector(vector::UD, 0)
    );
    assert_eq!(Rig::long().run(&[0x0F, 0x05]), End::Vector(vector::UD, 0));
}

#[test]
fn sysret_of_amd_leaves_the_rest_of_ss_and_meets_a_bad_target_in_ring_3() {
    let mut rig = calls(Rig::long());
    rig.c().r[1] = 1 << 47;
    rig.c().seg[2].limit = 0x1234;
    rig.changed();
    assert_eq!(rig.run(&[0x48, 0x0F, 0x07]), GP);
    // The frame shows ring 3: AMD64 manual volume 3, SYSRET.
    assert_eq!((rig.stack(1), rig.stack(2)), (1 << 47, 0x2B));
}

#[test]
fn syscall_exists_in_legacy_mode_on_amd() {
    let mut rig = calls(Rig::protected());
    rig.ring3();
    assert_eq!(rig.run(&[0x0F, 0x05]), End::Halt(CODE + 0x401));
    assert_eq!((rig.c().r[1], rig.c().cpl), (CODE + 2, 0));
}

#[test]
fn sysenter_and_sysexit_go_in_and_out_of_ring_0() {
    let mut rig = calls(Rig::protected());
    rig.write(CODE + 0x400, &[0x0F, 0x35]);
    let c = rig.ring3().c();
    (c.r[1], c.r[2]) = (STACKS[2], CODE + 0x600);
    rig.write(CODE + 0x600, &[0xCC]);
    assert_eq!(rig.run(&[0x0F, 0x34]), End::Vector(vector::BP, 0));
    assert_eq!(
        (rig.stack(1), rig.stack(3), rig.stack(4)),
        (0x1B, STACKS[2], 0x23)
    );
    // Without a code segment, at ring 3, and on AMD in long mode.
    assert_eq!(Rig::protected().run(&[0x0F, 0x34]), GP);
    let mut outer = calls(Rig::protected());
    assert_eq!(outer.ring3().run(&[0x0F, 0x35]), GP);
    assert_eq!(
        calls(Rig::long()).run(&[0x0F, 0x34]),
        End::Vector(vector::UD, 0)
    );
}

#[test]
fn ltr_in_long_mode_reads_16_bytes() {
    let mut rig = Rig::long();
    rig.descriptor(TSS2_SELECTOR, descriptor(0x5000, 103, 0x89, 0));
    rig.descriptor(TSS2_SELECTOR + 8, 0xFFFF_8000);
    rig.c().r[0] = u64::from(TSS2_SELECTOR);
    assert_eq!(rig.run(&[0x0F, 0, 0xD8, 0xF4]), SET);
    assert_eq!(rig.c().tr.base, 0xFFFF_8000_0000_5000);
}
