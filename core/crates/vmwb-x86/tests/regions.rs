//! Memory beside RAM as the processor sees it: ROM, video memory, shadow RAM, address line 20, code in device memory, and
//! what two processors of one memory owe each other.

mod system;

use std::sync::Arc;

use system::{CODE, DATA, End, Rig, TABLES};
use vmwb_hw::{GuestAddress, GuestMemory, RegionId, RegionKind, RegionSpec};
use vmwb_mem::PAGE_BYTES;
use vmwb_x86::Vcpu;
use vmwb_x86::cpu::{cr0, seg};

const ROM: RegionId = RegionId(0);
const VIDEO: RegionId = RegionId(1);
const ROM_BYTES: u64 = 128 * 1024;
const ROM_AT: u64 = (4 << 30) - ROM_BYTES;
const VIDEO_AT: u64 = 0xE000_0000;
/// HLT.
const HLT: u8 = 0xF4;
/// The two bytes of a jump to itself: ends a run that goes on later.
const JMP: u8 = 0xEB;
const SELF: u8 = 0xFE;

/// 8 MiB of RAM, a firmware ROM at the end of the first 4 GiB, 64 KiB of video memory.
fn memory() -> Arc<GuestMemory> {
    let spec = |bytes, kind| RegionSpec { bytes, kind };
    let regions = [
        spec(ROM_BYTES, RegionKind::Rom),
        spec(0x1_0000, RegionKind::Video),
    ];
    let m = GuestMemory::with_regions(8 << 20, &regions).unwrap();
    m.place(ROM, Some(GuestAddress(ROM_AT))).unwrap();
    m.place(VIDEO, Some(GuestAddress(VIDEO_AT))).unwrap();
    m.set_firmware(Some(ROM)).unwrap();
    Arc::new(m)
}

fn load(m: &GuestMemory, at: u64, code: &[u8]) {
    m.region_load(ROM, at - ROM_AT, code).unwrap();
}

fn dirty(m: &GuestMemory) -> Vec<u64> {
    let mut pages = Vec::new();
    m.take_dirty(VIDEO, |page| pages.push(page)).unwrap();
    pages
}

/// Runs from an offset in the code segment to a jump to itself at another.
fn to(rig: &mut Rig, from: u64, end: u64) {
    rig.c().rip = from;
    assert_eq!((rig.go(2000), rig.c().rip), (End::Budget, end));
}

/// Moves the code segment.
fn code_at(rig: &mut Rig, base: u64) {
    rig.c().seg[seg::CS].base = base;
    rig.changed();
}

/// The real-mode rig with a data segment that starts at a physical address.
fn with_data(m: Arc<GuestMemory>, base: u64) -> Rig {
    let mut rig = Rig::real_on(m);
    rig.c().seg[seg::DS].base = base;
    rig.c().seg[seg::ES].base = base;
    rig.changed();
    rig
}

#[test]
fn reset_runs_the_rom_at_the_top_of_four_gib() {
    let m = memory();
    // jmp F000:E05Bh, as every PC has it; there, after the far jump, the alias below 1 MiB runs.
    load(&m, 0xFFFF_FFF0, &[0xEA, 0x5B, 0xE0, 0x00, 0xF0]);
    load(&m, 0xFFFF_E05B, &[0xB8, 0x34, 0x12, HLT]);
    let mut rig = Rig::real_on(m);
    rig.cpu.reset();
    // A model's signature stands in EDX (SDM volume 3, table 10-1).
    assert_ne!(rig.c().r[2] & 0xF00, 0);
    assert_eq!(rig.go(100), End::Halt(0xF_E05F));
    assert_eq!(
        (rig.c().r[0], rig.c().seg[seg::CS].base),
        (0x1234, 0xF_0000)
    );
}

#[test]
fn writes_to_a_rom_are_lost() {
    let m = memory();
    load(&m, ROM_AT, &[7, 0xFF]);
    let mut rig = with_data(Arc::clone(&m), ROM_AT);
    // mov byte [0], 9; inc byte [1]; mov ax, [0]; rep stosb over 16; mov bx, [0]; hlt
    let end = rig.run(&[
        0xC6, 0x06, 0, 0, 9, 0xFE, 0x06, 1, 0, 0xA1, 0, 0, 0x50, 0xB9, 16, 0, 0x31, 0xFF, 0xF3,
        0xAA, 0x8B, 0x1E, 0, 0, 0x58, HLT,
    ]);
    assert_eq!(end, End::Halt(CODE + 26));
    assert_eq!((rig.c().r[0], rig.c().r[3]), (0xFF07, 0xFF07));
    assert!(rig.bus.stores.is_empty() && rig.bus.loads.is_empty());
}

#[test]
fn firmware_copies_itself_into_shadow_ram_and_runs_there() {
    let m = memory();
    // mov byte cs:[0x100], 42h; mov al, cs:[0x100]; jmp $
    let code = [0x2E, 0xC6, 0x06, 0, 1, 0x42, 0x2E, 0xA0, 0, 1, JMP, SELF];
    load(&m, 0xFFFF_0000, &code);
    let mut rig = with_data(Arc::clone(&m), 0xF_0000);
    code_at(&mut rig, 0xF_0000);
    to(&mut rig, 0, 10);
    assert_eq!(rig.c().r[0] & 0xFF, 0);
    // Reads from the ROM, writes to RAM: rep movsb onto itself copies.
    m.set_shadow([0x20, 0, 0, 0, 0, 0, 0]);
    code_at(&mut rig, CODE);
    // mov cx, 200h; xor si, si; xor di, di; rep movsb; jmp $
    rig.write(
        CODE,
        &[0xB9, 0, 2, 0x31, 0xF6, 0x31, 0xFF, 0xF3, 0xA4, JMP, SELF],
    );
    to(&mut rig, 0, 9);
    // RAM both ways: the same code runs from the copy, and its write is seen.
    m.set_shadow([0x30, 0, 0, 0, 0, 0, 0]);
    code_at(&mut rig, 0xF_0000);
    to(&mut rig, 0, 10);
    assert_eq!(rig.c().r[0] & 0xFF, 0x42);
}

#[test]
fn shadow_opened_by_an_instruction_holds_for_the_next_one() {
    let m = memory();
    load(&m, 0xFFFE_0000, &[1]);
    m.write(GuestAddress(0xE_0000), &[2]).unwrap();
    let mut rig = with_data(Arc::clone(&m), 0xE_0000);
    rig.bus.act = Some((m, |m, value| {
        m.set_shadow([0, 0, 0, 0, 0, value as u8, 0]);
    }));
    // mov bl, [0]; mov al, 11h; out 10h, al; mov bh, [0]; hlt
    let end = rig.run(&[
        0x8A, 0x1E, 0, 0, 0xB0, 0x11, 0xE6, 0x10, 0x8A, 0x3E, 0, 0, HLT,
    ]);
    assert_eq!((end, rig.c().r[3] & 0xFFFF), (End::Halt(CODE + 13), 0x0201));
}

#[test]
fn code_of_a_region_that_moves_is_run_where_it_is() {
    let m = memory();
    m.region_write(VIDEO, 0, &[0xFE, 0xC0, JMP, SELF]).unwrap();
    let mut rig = Rig::real_on(Arc::clone(&m));
    code_at(&mut rig, VIDEO_AT);
    to(&mut rig, 0, 2);
    m.place(VIDEO, Some(GuestAddress(0xD000_0000))).unwrap();
    code_at(&mut rig, 0xD000_0000);
    to(&mut rig, 0, 2);
    assert_eq!(rig.c().r[0] & 0xFF, 2);
    // Where it was is nothing now: FFh FFh is no instruction.
    code_at(&mut rig, VIDEO_AT);
    rig.bus.memory = |_| 0xFF;
    rig.c().rip = 0;
    assert_eq!(rig.go(10), End::Vector(6, 0));
}

#[test]
fn written_pages_of_video_memory_are_told_again_after_each_taking() {
    let m = memory();
    let mut rig = with_data(Arc::clone(&m), VIDEO_AT);
    // mov [0], ax three times; mov [3000h], ax; jmp $
    let code = [0xA3, 0, 0, 0xA3, 2, 0, 0xA3, 4, 0, 0xA3, 0, 0x30, JMP, SELF];
    rig.write(CODE, &code);
    for _ in 0..4 {
        to(&mut rig, 0, 12);
        assert_eq!(dirty(&m), [0, 3]);
        assert_eq!(dirty(&m), Vec::<u64>::new());
    }
    // A page that is only read stays clean: mov ax, [1000h]; jmp $
    rig.write(CODE, &[0xA1, 0, 0x10, JMP, SELF]);
    to(&mut rig, 0, 3);
    assert_eq!(dirty(&m), Vec::<u64>::new());
}

#[test]
fn string_instructions_mark_every_page_that_they_fill() {
    let m = memory();
    let mut rig = with_data(Arc::clone(&m), VIDEO_AT);
    // mov cx, 2001h; mov di, 0FFFh; rep stosb; hlt
    let end = rig.run(&[0xB9, 1, 0x20, 0xBF, 0xFF, 0x0F, 0xF3, 0xAA, HLT]);
    assert_eq!((end, dirty(&m)), (End::Halt(CODE + 9), vec![0, 1, 2]));
}

#[test]
fn accessed_bits_in_video_memory_mark_the_page() {
    let m = memory();
    let mut rig = Rig::real_on(Arc::clone(&m));
    // 32-bit paging with the directory in video memory's page 2, one table behind it.
    m.region_write(VIDEO, 0x2000, &(VIDEO_AT + 0x3003).to_le_bytes()[..4])
        .unwrap();
    for n in 0..1024u64 {
        let entry = ((n * PAGE_BYTES) | 3).to_le_bytes();
        m.region_write(VIDEO, 0x3000 + 4 * n, &entry[..4]).unwrap();
    }
    assert_eq!(dirty(&m), [2, 3]);
    rig.write(CODE, &[HLT]);
    let c = rig.c();
    c.cr3 = VIDEO_AT + 0x2000;
    c.cr0 |= cr0::PE | cr0::PG;
    rig.changed();
    assert_eq!(rig.go(10), End::Halt(CODE + 1));
    assert_eq!(dirty(&m), [2, 3]);
    let mut entry = [0; 1];
    m.region_read(VIDEO, 0x3000 + 4 * (CODE >> 12), &mut entry)
        .unwrap();
    assert_eq!(entry[0], 0x23);
}

#[test]
fn closed_address_line_20_wraps_at_one_mib() {
    let m = memory();
    m.write(GuestAddress(0), &[0x11]).unwrap();
    m.write(GuestAddress(0x10_0000), &[0x22]).unwrap();
    let mut rig = with_data(Arc::clone(&m), 0xF_FFF0);
    rig.put(0, 0x11, 1);
    rig.bus.act = Some((m, |m, value| m.set_a20(value & 1 != 0)));
    // mov bl, [10h]; mov al, 0; out 10h, al; mov bh, [10h]; mov al, 1; out 10h, al; mov cl, [10h]; hlt
    let end = rig.run(&[
        0x8A, 0x1E, 0x10, 0, 0xB0, 0, 0xE6, 0x10, 0x8A, 0x3E, 0x10, 0, 0xB0, 1, 0xE6, 0x10, 0x8A,
        0x0E, 0x10, 0, HLT,
    ]);
    assert_eq!(end, End::Halt(CODE + 21));
    assert_eq!((rig.c().r[3] & 0xFFFF, rig.c().r[1] & 0xFF), (0x1122, 0x22));
}

#[test]
fn closed_address_line_20_holds_for_page_tables_and_behind_them() {
    let m = memory();
    let mut rig = Rig::protected_on(Arc::clone(&m));
    rig.page32();
    rig.write(0x8000, &[0x11]);
    rig.write(0x10_8000, &[0x22]);
    // mov al, [108000h]; jmp $
    rig.write(CODE, &[0xA0, 0, 0x80, 0x10, 0, JMP, SELF]);
    to(&mut rig, CODE, CODE + 5);
    assert_eq!(rig.c().r[0] & 0xFF, 0x22);
    // The directory at 300000h is looked for at 200000h now, and its tables, at 500000h and 501000h, at 400000h.
    for n in 0..2 {
        rig.put(0x20_0000 + 4 * n, (0x50_0000 + 0x1000 * n) | 7, 4);
        for i in 0..512 {
            let entry = rig.get(TABLES + 0x1000 + 0x1000 * n + 8 * i, 8);
            rig.put(0x40_0000 + 0x1000 * n + 8 * i, entry, 8);
        }
    }
    m.set_a20(false);
    rig.c().cr3 = 0x30_0000;
    rig.changed();
    to(&mut rig, CODE, CODE + 5);
    assert_eq!(rig.c().r[0] & 0xFF, 0x11);
}

#[test]
fn code_in_device_memory_is_fetched_over_the_bus() {
    let mut rig = Rig::real();
    // mov al, 5 | add al, [B8010h] through CS | hlt
    rig.bus.memory = |at| {
        let code = [0xB0, 5, 0x2E, 0x02, 0x06, 0x10, 0, HLT];
        let n = (at - 0xB_8000) as usize;
        u64::from(*code.get(n).unwrap_or(&3))
    };
    code_at(&mut rig, 0xB_8000);
    rig.c().rip = 0;
    assert_eq!(rig.go(10), End::Halt(0xB_8008));
    assert_eq!(rig.c().r[0] & 0xFF, 8);
    assert_eq!(rig.cpu.retired(), 3);
    // Only the bytes of the instructions were fetched, and the operand.
    let loads: Vec<u64> = rig.bus.loads.iter().map(|l| l.0 - 0xB_8000).collect();
    assert_eq!(loads, [0, 1, 2, 3, 4, 5, 6, 0x10, 7]);
}

#[test]
fn instruction_that_crosses_from_ram_into_a_device_runs() {
    let mut rig = Rig::real();
    rig.bus.memory = |at| if at == 0xA_0000 { 0x77 } else { u64::from(HLT) };
    // mov al, imm8 at 9FFFFh
    rig.write(0x9_FFFF, &[0xB0]);
    code_at(&mut rig, 0x9_8000);
    rig.c().rip = 0x7FFF;
    assert_eq!(rig.go(1), End::Budget);
    assert_eq!(rig.c().r[0] & 0xFF, 0x77);
}

#[test]
fn transfer_by_a_device_into_running_code_is_seen_by_the_next_instruction() {
    let m = memory();
    let mut rig = Rig::real_on(Arc::clone(&m));
    rig.bus.act = Some((m, |m, _| {
        m.write(GuestAddress(CODE + 0x103), &[0x66]).unwrap()
    }));
    // The called code is decoded first: call 100h; out 10h, al; call 100h; hlt | 100h: nop; nop; mov al, 55h; ret
    rig.write(CODE + 0x100, &[0x90, 0x90, 0xB0, 0x55, 0xC3]);
    let end = rig.run(&[0xE8, 0xFD, 0, 0xE6, 0x10, 0xE8, 0xF8, 0, HLT]);
    assert_eq!((end, rig.c().r[0] & 0xFF), (End::Halt(CODE + 9), 0x66));
}

/// Two processors on one memory.
fn two() -> (Rig, Rig) {
    let m = memory();
    let mut first = Rig::real_on(Arc::clone(&m));
    let second = Rig::real_on(m);
    first.changed();
    (first, second)
}

#[test]
fn code_that_another_processor_writes_is_decoded_anew() {
    let (mut a, mut b) = two();
    // 2000:0100h on A: mov al, imm8; jmp $. B has written there before, at full speed.
    let poke = |rig: &mut Rig, value: u8| {
        rig.c().seg[seg::DS].base = CODE + 0x101;
        rig.changed();
        // mov byte [0], value; jmp $
        rig.write(CODE + 0x800, &[0xC6, 0x06, 0, 0, value, JMP, SELF]);
        to(rig, 0x800, 0x805);
    };
    let run = |rig: &mut Rig| {
        to(rig, 0x100, 0x102);
        rig.c().r[0] & 0xFF
    };
    a.write(CODE + 0x100, &[0xB0, 1, JMP, SELF]);
    poke(&mut b, 2);
    poke(&mut b, 3);
    assert_eq!(run(&mut a), 3);
    poke(&mut b, 4);
    assert_eq!(run(&mut a), 4);
    poke(&mut b, 5);
    assert_eq!((run(&mut a), run(&mut b)), (5, 5));
}

#[test]
fn page_table_that_another_processor_writes_is_stale_at_the_next_load_of_cr3() {
    let m = memory();
    let mut a = Rig::protected_on(Arc::clone(&m));
    a.page32();
    let mut b = Rig::real_on(Arc::clone(&m));
    a.write(DATA, &[1]);
    a.write(DATA + 0x1000, &[2]);
    // mov al, [30000h]; mov ebx, cr3; mov cr3, ebx; mov ah, [30000h]; jmp $
    let code = [
        0xA0, 0, 0, 3, 0, 0x0F, 0x20, 0xDB, 0x0F, 0x22, 0xDB, 0x8A, 0x25, 0, 0, 3, 0, JMP, SELF,
    ];
    a.write(CODE, &code);
    to(&mut a, CODE, CODE + 17);
    assert_eq!(a.c().r[0] & 0xFFFF, 0x0101);
    // B changes the entry of 30000h to lead to 31000h: mov byte [1], 10h; jmp $
    b.c().seg[seg::DS].base = TABLES + 0x1000 + 4 * (DATA >> 12);
    b.changed();
    b.write(CODE + 0x800, &[0xC6, 0x06, 1, 0, 0x10, JMP, SELF]);
    to(&mut b, 0x800, 0x805);
    to(&mut a, CODE, CODE + 17);
    assert_eq!(a.c().r[0] & 0xFF00, 0x0200);
}
