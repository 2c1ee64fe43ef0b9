//! Tests of guest memory.

use super::*;
use crate::layout::{PageView, RegionId};
use crate::watch::{MAX_CPUS, NotedWrite};

fn mark(m: &GuestMemory, page: u64, flags: u32) {
    m.page_flags(page)
        .unwrap()
        .fetch_or(flags, Ordering::Relaxed);
}

#[test]
fn new_size_out_of_range_is_refused() {
    let refused = [0, 1 << 20, (2 << 20) + 1, 10 << 40];
    assert!(
        refused
            .iter()
            .all(|&n| matches!(GuestMemory::new(n), Err(MemError::BadSize(_))))
    );
}

#[test]
fn write_across_the_end_of_ram_is_refused_and_writes_nothing() {
    let m = GuestMemory::new(2 << 20).unwrap();
    assert!(m.write(GuestAddress((2 << 20) - 2), &[1, 2, 3]).is_err());
    assert_eq!(m.read_u32(GuestAddress((2 << 20) - 4)).unwrap(), 0);
}

#[test]
fn legacy_window_is_not_ram() {
    let m = GuestMemory::new(2 << 20).unwrap();
    assert!(m.write(GuestAddress(0x9_FFFF), &[0, 0]).is_err());
    assert!(m.page_ptr(0xB8).is_none() && m.page_ptr(0xC0).is_some());
}

#[test]
fn write_to_a_marked_page_is_noted_until_taken() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let cpu = m.attach_cpu().unwrap();
    mark(&m, 0x100, PageFlags::code_of(cpu));
    m.write(GuestAddress(0xF_FFFF), &[1, 2]).unwrap();
    assert_eq!(m.take_noted_writes(cpu), [NotedWrite { page: 0x100 }]);
    assert!(m.take_noted_writes(cpu).is_empty());
}

#[test]
fn ram_above_three_gib_continues_at_four() {
    let m = GuestMemory::new(4 << 30).unwrap();
    m.write(
        GuestAddress(5 << 30)
            .checked_add(0)
            .map(|a| GuestAddress(a.0 - 8))
            .unwrap(),
        &[9; 8],
    )
    .unwrap();
    assert!(m.read_u64(GuestAddress(LOW_END)).is_err());
    assert_eq!(
        m.read_u64(GuestAddress((5 << 30) - 8)).unwrap(),
        0x0909_0909_0909_0909
    );
}

const ROM: RegionId = RegionId(0);
const VIDEO: RegionId = RegionId(1);
const MIB: u64 = 1 << 20;
const ROM_AT: u64 = (4 << 30) - 256 * 1024;
const VIDEO_AT: u64 = 0xE000_0000;

/// 2 MiB of RAM, a ROM of 256 KiB whose bytes are the number of their page, 1 MiB of video memory.
fn with_regions() -> GuestMemory {
    let spec = |bytes, kind| RegionSpec { bytes, kind };
    let regions = [
        spec(256 * 1024, RegionKind::Rom),
        spec(MIB, RegionKind::Video),
    ];
    let m = GuestMemory::with_regions(2 * MIB, &regions).unwrap();
    for page in 0..64 {
        m.region_load(ROM, u64::from(page) * PAGE_BYTES, &[page; 4096])
            .unwrap();
    }
    m.place(ROM, Some(GuestAddress(ROM_AT))).unwrap();
    m.place(VIDEO, Some(GuestAddress(VIDEO_AT))).unwrap();
    m
}

/// First byte that the processor reads at a page; `None` where a device answers.
fn seen(m: &GuestMemory, page: u64) -> Option<u8> {
    let mut byte = [0];
    m.peek(GuestAddress(page * PAGE_BYTES), &mut byte)
        .then_some(byte[0])
}

/// Where the processor's writes to a page go.
fn sink(m: &GuestMemory, page: u64) -> Option<u64> {
    m.view(page).writable()
}

fn taken(m: &GuestMemory) -> Vec<u64> {
    let mut pages = Vec::new();
    m.take_dirty(VIDEO, |page| pages.push(page)).unwrap();
    pages
}

#[test]
fn regions_of_no_odd_or_too_many_bytes_are_refused() {
    let of = |bytes| {
        let kind = RegionKind::Rom;
        GuestMemory::with_regions(2 * MIB, &[RegionSpec { bytes, kind }])
    };
    let refused = [0, 4095, 65 << 20].map(|n| matches!(of(n), Err(MemError::BadRegionSize(_))));
    assert_eq!(refused, [true; 3]);
    let many = [RegionSpec {
        bytes: 4096,
        kind: RegionKind::Video,
    }; 9];
    let refused = GuestMemory::with_regions(2 * MIB, &many).unwrap_err();
    assert!(matches!(refused, MemError::TooManyRegions(9)));
}

#[test]
fn regions_are_seen_where_they_are_placed_and_nowhere_else() {
    let m = with_regions();
    let rom = ROM_AT / PAGE_BYTES;
    assert_eq!(
        [rom - 1, rom, rom + 63, rom + 64].map(|p| seen(&m, p)),
        [None, Some(0), Some(63), None]
    );
    assert_eq!(sink(&m, rom), None);
    m.place(VIDEO, None).unwrap();
    assert_eq!(
        (seen(&m, VIDEO_AT / PAGE_BYTES), m.placement(VIDEO)),
        (None, None)
    );
}

#[test]
fn place_over_ram_and_the_interrupt_controllers_changes_nothing_there() {
    let m = with_regions();
    m.place(VIDEO, Some(GuestAddress(MIB))).unwrap();
    assert_eq!(
        m.view(0x100),
        PageView::Memory {
            read: 0x100,
            write: Some(0x100)
        }
    );
    m.place(VIDEO, Some(GuestAddress(0xFEBF_F000))).unwrap();
    assert!(seen(&m, 0xF_EBFF).is_some());
    assert_eq!(seen(&m, 0xF_EC00), None);
    m.place(VIDEO, Some(GuestAddress(ROM_AT))).unwrap();
    assert_eq!(seen(&m, ROM_AT / PAGE_BYTES + 1), Some(1));
}

#[test]
fn place_between_pages_or_behind_the_address_space_is_refused() {
    let m = with_regions();
    let before = m.layout_generation();
    let refused = [0xE000_0800, !0xFFF].map(|at| {
        matches!(
            m.place(VIDEO, Some(GuestAddress(at))),
            Err(MemError::BadPlace(_))
        )
    });
    assert_eq!((refused, m.layout_generation()), ([true; 2], before));
    assert!(matches!(
        m.place(RegionId(2), None),
        Err(MemError::NoSuchRegion(2))
    ));
}

#[test]
fn layout_generation_moves_with_changes_only() {
    let m = with_regions();
    let g = m.layout_generation();
    m.place(VIDEO, Some(GuestAddress(VIDEO_AT))).unwrap();
    m.set_shadow([0; 7]);
    m.set_a20(true);
    m.set_smram_open(false);
    m.set_firmware(None).unwrap();
    assert_eq!(m.layout_generation(), g);
    m.set_firmware(Some(ROM)).unwrap();
    m.set_shadow([0x10, 0, 0, 0, 0, 0, 0]);
    m.set_a20(false);
    m.set_smram_open(true);
    assert_eq!(m.layout_generation(), g + 4);
}

#[test]
fn attribute_map_without_firmware_leaves_ram() {
    let m = with_regions();
    m.set_shadow([0; 7]);
    assert!((0xC0..0x100).all(|p| sink(&m, p) == Some(p)));
}

#[test]
fn attribute_map_sends_each_segment_where_its_bits_say() {
    let m = with_regions();
    m.set_firmware(Some(ROM)).unwrap();
    m.write(GuestAddress(0xC_0000), &[0x77; 0x4_0000]).unwrap();
    // On the bus: ones up to DFFFFh, then the ROM's last 128 KiB.
    assert_eq!(
        [0xC0, 0xDF, 0xE0, 0xFF].map(|p| (seen(&m, p), sink(&m, p))),
        [0xFF, 0xFF, 32, 63].map(|byte| (Some(byte), None))
    );
    // C4000h read only, E0000h write only, F0000h both.
    m.set_shadow([0x30, 0x10, 0, 0, 0, 0x02, 0]);
    let looked = [0xC3, 0xC4, 0xC7, 0xC8, 0xE0, 0xE3, 0xE4, 0xF0, 0xFF]
        .map(|p| (seen(&m, p).unwrap(), sink(&m, p).is_some()));
    assert_eq!(
        looked,
        [
            (0xFF, false),
            (0x77, false),
            (0x77, false),
            (0xFF, false),
            (32, true),
            (35, true),
            (36, false),
            (0x77, true),
            (0x77, true)
        ]
    );
}

#[test]
fn firmware_shorter_than_its_window_leaves_ones_below_it() {
    let spec = RegionSpec {
        bytes: 0x1_0000,
        kind: RegionKind::Rom,
    };
    let m = GuestMemory::with_regions(2 * MIB, &[spec]).unwrap();
    m.set_firmware(Some(ROM)).unwrap();
    assert_eq!(
        [0xE0, 0xEF, 0xF0].map(|p| seen(&m, p)),
        [Some(0xFF), Some(0xFF), Some(0)]
    );
    assert!(matches!(
        with_regions().set_firmware(Some(VIDEO)),
        Err(MemError::NotRom(1))
    ));
}

#[test]
fn legacy_window_is_ram_while_smram_is_open() {
    let m = with_regions();
    assert_eq!(m.view(0xA0), PageView::Device);
    m.set_smram_open(true);
    assert_eq!(sink(&m, 0xBF), Some(0xBF));
}

#[test]
fn a20_mask_clears_bit_20_while_the_line_is_closed() {
    let m = with_regions();
    assert_eq!(m.a20_mask(), u64::MAX);
    m.set_a20(false);
    assert_eq!((m.a20(), 0x10_FFEF & m.a20_mask()), (false, 0xFFEF));
}

#[test]
fn transfers_reach_video_memory_and_read_roms() {
    let m = with_regions();
    let across = GuestAddress(VIDEO_AT + 0xFFE);
    m.write(across, &[1, 2, 3, 4]).unwrap();
    let mut back = [0; 4];
    m.read(across, &mut back).unwrap();
    assert_eq!(back, [1, 2, 3, 4]);
    m.read(GuestAddress(ROM_AT + 0xFFE), &mut back).unwrap();
    assert_eq!(back, [0, 0, 1, 1]);
    assert!(m.write(GuestAddress(ROM_AT), &[1]).is_err());
    assert!(m.write(GuestAddress(VIDEO_AT + MIB - 1), &[9, 9]).is_err());
    m.region_read(VIDEO, MIB - 4, &mut back).unwrap();
    assert_eq!(back, [0; 4]);
}

#[test]
fn region_parts_beyond_the_end_and_writes_to_roms_are_refused() {
    let m = with_regions();
    let mut out = [7; 8];
    assert!(m.region_read(VIDEO, MIB - 4, &mut out).is_err());
    assert!(m.region_load(ROM, u64::MAX, &out).is_err());
    assert!(matches!(
        m.region_write(ROM, 0, &out),
        Err(MemError::ReadOnlyRegion(0))
    ));
    assert_eq!(out, [7; 8]);
}

#[test]
fn take_dirty_tells_each_written_page_once() {
    let m = with_regions();
    assert_eq!(taken(&m), Vec::<u64>::new());
    m.region_write(VIDEO, 0x2FFF, &[1, 2]).unwrap();
    m.write(GuestAddress(VIDEO_AT + MIB - 1), &[9]).unwrap();
    assert_eq!(taken(&m), [2, 3, 255]);
    assert_eq!(taken(&m), Vec::<u64>::new());
}

#[test]
fn take_dirty_revokes_the_right_to_write_unseen() {
    let m = with_regions();
    let (_, first, _) = m.region(VIDEO).unwrap();
    m.note_write(first + 5);
    m.page_flags(first + 5)
        .unwrap()
        .fetch_or(PageFlags::GRANTED, Ordering::Relaxed);
    let before = m.revocations();
    assert_eq!(taken(&m), [5]);
    assert_eq!(m.revocations(), before + 1);
    let flags = m.page_flags(first + 5).unwrap().load(Ordering::Relaxed);
    assert_eq!(flags, PageFlags::CLEAN);
}

#[test]
fn clear_all_empties_ram_and_video_memory_and_keeps_roms() {
    let m = with_regions();
    m.write(GuestAddress(0x1000), &[1]).unwrap();
    m.region_write(VIDEO, 0, &[1]).unwrap();
    m.clear_all().unwrap();
    let mut byte = [9];
    m.region_read(VIDEO, 0, &mut byte).unwrap();
    assert_eq!((byte, m.read_u32(GuestAddress(0x1000)).unwrap()), ([0], 0));
    assert_eq!(seen(&m, ROM_AT / PAGE_BYTES + 3), Some(3));
}

#[test]
fn notes_of_one_page_do_not_pile_up() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let cpu = m.attach_cpu().unwrap();
    mark(&m, 0x100, PageFlags::table_of(cpu) | PageFlags::GRANTED);
    for _ in 0..3 {
        m.write(GuestAddress(0x10_0000), &[1]).unwrap();
    }
    assert_eq!(m.take_noted_writes(cpu).len(), 1);
    m.write(GuestAddress(0x10_0000), &[1]).unwrap();
    assert_eq!(m.take_noted_writes(cpu).len(), 1);
}

#[test]
fn notes_reach_the_processors_that_marked_the_page_and_no_other() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let [a, b, c] = [0; 3].map(|_| m.attach_cpu().unwrap());
    mark(&m, 7, PageFlags::code_of(a) | PageFlags::table_of(b));
    m.note_for_others(7, a);
    let counts = |m: &GuestMemory| [a, b, c].map(|cpu| m.take_noted_writes(cpu).len());
    assert_eq!(counts(&m), [0, 1, 0]);
    m.write(GuestAddress(0x7000), &[1]).unwrap();
    assert_eq!(counts(&m), [1, 1, 0]);
}

#[test]
fn revoke_tells_the_others_when_somebody_could_write_unseen() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let a = m.attach_cpu().unwrap();
    mark(&m, 7, PageFlags::GRANTED);
    assert!(m.revoke(7, a) && !m.revoke(7, a));
    assert_eq!(m.revocations(), 0);
    let b = m.attach_cpu().unwrap();
    mark(&m, 7, PageFlags::GRANTED);
    assert!(m.revoke(7, b));
    assert_eq!(m.revocations(), 1);
}

#[test]
fn detached_processor_leaves_its_place_and_no_marks() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let cpus: Vec<_> = (0..MAX_CPUS).filter_map(|_| m.attach_cpu()).collect();
    assert_eq!((cpus.len(), m.attach_cpu()), (MAX_CPUS, None));
    mark(
        &m,
        3,
        PageFlags::code_of(cpus[5]) | PageFlags::table_of(cpus[4]),
    );
    m.write(GuestAddress(0x3000), &[1]).unwrap();
    m.detach_cpu(cpus[5]);
    let left = m.page_flags(3).unwrap().load(Ordering::Relaxed) & PageFlags::WATCHED;
    assert_eq!(left, PageFlags::table_of(cpus[4]));
    assert_eq!(m.attach_cpu(), Some(cpus[5]));
    assert!(m.take_noted_writes(cpus[5]).is_empty());
}

#[test]
fn regions_beside_ram_above_four_gib_lie_in_the_hole() {
    let spec = RegionSpec {
        bytes: MIB,
        kind: RegionKind::Video,
    };
    let m = GuestMemory::with_regions(4 << 30, &[spec]).unwrap();
    let (_, first, bytes) = m.region(RegionId(0)).unwrap();
    assert_eq!((first * PAGE_BYTES, bytes), (3 << 30, MIB));
    assert!(m.backing_ptr(first).is_some() && m.backing_ptr(0xF_0000).is_none());
    assert_eq!(m.region_of(first), Some((RegionId(0), RegionKind::Video)));
}

#[test]
fn discarded_pages_read_as_zeros_and_are_noted() {
    let m = GuestMemory::new(2 << 20).unwrap();
    m.write(GuestAddress(0x10_0FFF), &[7; 0x1002]).unwrap();
    let cpu = m.attach_cpu().unwrap();
    mark(&m, 0x101, PageFlags::table_of(cpu));
    m.discard(0x101, 1).unwrap();
    let mut around = [0; 3];
    m.read(GuestAddress(0x10_0FFF), &mut around).unwrap();
    assert_eq!(around, [7, 0, 0]);
    assert_eq!(m.take_noted_writes(cpu), vec![NotedWrite { page: 0x101 }]);
}

#[test]
fn discard_of_what_is_no_ram_is_refused() {
    let m = GuestMemory::new(2 << 20).unwrap();
    let ranges = [(0xA0, 1), (0x1FF, 2), (u64::MAX, 1), (1, u64::MAX)];
    assert!(
        ranges
            .iter()
            .all(|&(first, n)| m.discard(first, n).is_err())
    );
    assert!(m.discard(0x100, 0).is_ok());
}

#[test]
fn state_lies_in_ram_and_video_memory() {
    let m = with_regions();
    let range = |start, end| crate::RamRange { start, end };
    let video = 2 * MIB + 256 * 1024;
    assert_eq!(
        m.state_ranges(),
        [range(0, 2 * MIB), range(video, video + MIB)]
    );
    m.load_state(0xB_8000, &[1; 4]).unwrap();
    m.load_state(video + MIB - 4, &[1; 4]).unwrap();
    assert_eq!(taken(&m), [255]);
    let refused = [2 * MIB - 2, 2 * MIB, video + MIB - 2, u64::MAX - 1];
    assert!(refused.iter().all(|&at| m.load_state(at, &[1; 4]).is_err()));
    let spec = RegionSpec {
        bytes: MIB,
        kind: RegionKind::Video,
    };
    let m = GuestMemory::with_regions(2 * MIB, &[spec; 2]).unwrap();
    assert_eq!(m.state_ranges(), [range(0, 4 * MIB)]);
}
