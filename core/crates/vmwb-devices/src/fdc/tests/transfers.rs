//! Commands that read, write and format.

use super::*;

#[test]
fn read_by_dma_ends_with_terminal_count() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 1024);
    let result = r.run(&[0xE6, 0, 0, 0, 17, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0, 0, 0, 0, 1, 1, 2]);
    assert_eq!(r.memory(1024), [disk.sector(16), disk.sector(17)].concat());
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false)]);
}

#[test]
fn read_over_both_sides_of_a_cylinder_goes_on_at_side_one() {
    let (mut r, disk) = Rig::hd();
    r.seek(3);
    r.program_dma(0x44, 36 * 512);
    let result = r.run(&[0xE6, 0, 3, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x04, 0, 0, 4, 0, 1, 2]);
    let expected: Vec<u8> = (108..144).flat_map(|n| disk.sector(n)).collect();
    assert_eq!(r.memory(36 * 512), expected);
}

#[test]
fn read_cut_short_by_terminal_count_counts_the_sector() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 100);
    let result = r.run(&[0xE6, 0, 0, 0, 5, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0, 0, 0, 0, 0, 6, 2]);
    assert_eq!(r.memory(101), [&disk.sector(4)[..100], &[0]].concat());
}

#[test]
fn read_without_terminal_count_ends_at_the_end_of_the_cylinder() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 4096);
    let result = r.run(&[0x46, 0, 0, 0, 18, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x40, 0x80, 0, 1, 0, 1, 2]);
}

#[test]
fn write_by_dma_reaches_the_disk_and_fills_with_zeros() {
    let (mut r, disk) = Rig::hd();
    let data = vec![0xA5; 600];
    r.b.memory
        .write(GuestAddress(0x1_0000), &data)
        .expect("RAM");
    r.program_dma(0x48, 600);
    let result = r.run(&[0xC5, 4, 0, 1, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(result, [0x04, 0, 0, 0, 1, 3, 2]);
    assert_eq!(disk.sector(18), [0xA5; 512]);
    assert_eq!(disk.sector(19), [vec![0xA5; 88], vec![0; 424]].concat());
}

#[test]
fn transfer_without_dma_interrupts_for_each_byte() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.command(&[0x46, 0, 0, 0, 2, 2, 2, 0x1B, 0xFF]);
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xF0);
    let mut data = vec![r.b.inp(&mut r.fdc, FIFO)];
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false), (IRQ, true)]);
    data.extend((1..512).map(|_| r.b.inp(&mut r.fdc, FIFO)));
    assert_eq!(data, disk.sector(1));
    assert_eq!(r.result(), [0x40, 0x80, 0, 1, 0, 1, 2]);
}

/// The driver of a widely copied tutorial: SPECIFY says that there is no DMA, the channel is open all the same.
#[test]
fn open_dma_channel_moves_the_data_whatever_was_specified() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.program_dma(0x54, 9216);
    r.dma.transfer(&mut r.b.ctx(), 2, &mut r.fdc);
    r.b.take_lines();
    let result = r.run(&[0xE6, 0, 0, 0, 3, 2, 3, 0x1B, 0xFF]);
    assert_eq!(result[..3], [0x44, 0x80, 0]);
    assert_eq!(r.memory(512), disk.sector(2));
    assert_eq!(r.b.take_lines(), [(IRQ, true), (IRQ, false)]);
    // A verify transfer takes no data away from the processor.
    r.program_dma(0x40, 512);
    r.dma.transfer(&mut r.b.ctx(), 2, &mut r.fdc);
    r.command(&[0x46, 0, 0, 0, 3, 2, 3, 0x1B, 0xFF]);
    r.wait();
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xF0);
}

#[test]
fn write_without_dma_takes_the_processors_bytes() {
    let (mut r, disk) = Rig::hd();
    r.run(&[0x03, 0xDF, 0x03]);
    r.run(&[0x45, 0, 0, 0, 2, 2, 2, 0x1B, 0xFF]);
    assert_eq!(r.b.inp(&mut r.fdc, MSR_DSR), 0xB0);
    r.command(&[0x77; 512]);
    r.wait();
    assert_eq!(disk.sector(1), [0x77; 512]);
    assert_eq!(r.result()[..2], [0x40, 0x80]);
}

#[test]
fn sector_or_cylinder_that_is_not_there_is_told_apart() {
    let (mut r, _) = Rig::hd();
    let missing = r.run(&[0x46, 0, 0, 0, 19, 2, 19, 0x1B, 0xFF]);
    assert_eq!(missing[..3], [0x40, 0x04, 0]);
    r.seek(3);
    let elsewhere = r.run(&[0x46, 0, 5, 0, 1, 2, 18, 0x1B, 0xFF]);
    assert_eq!(elsewhere[..3], [0x40, 0x04, 0x10]);
}

#[test]
fn data_rate_of_another_density_finds_no_mark() {
    let (mut r, _) = Rig::hd();
    r.b.out(&mut r.fdc, DIR_CCR, 2);
    assert_eq!(r.run(&[0x4A, 0])[..3], [0x40, 0x01, 0]);
    r.b.out(&mut r.fdc, DIR_CCR, 0);
    assert_eq!(r.run(&[0x4A, 4])[..5], [0x04, 0, 0, 0, 1]);
}

#[test]
fn format_writes_the_filler_to_the_sectors_it_names() {
    let (mut r, disk) = Rig::hd();
    let ids: Vec<u8> = (1..=18).flat_map(|r| [0, 0, r, 2]).collect();
    r.b.memory.write(GuestAddress(0x1_0000), &ids).expect("RAM");
    r.program_dma(0x48, 72);
    let result = r.run(&[0x4D, 0, 2, 18, 0x54, 0xF6]);
    assert_eq!(result[..3], [0, 0, 0]);
    assert_eq!(
        (disk.sector(0), disk.sector(17)),
        (vec![0xF6; 512], vec![0xF6; 512])
    );
    assert_eq!(disk.sector(18), [18; 512]);
}

#[test]
fn format_to_another_geometry_fails() {
    let (mut r, _) = Rig::hd();
    let ids = [0, 0, 19, 2];
    r.b.memory.write(GuestAddress(0x1_0000), &ids).expect("RAM");
    r.program_dma(0x48, 4);
    assert_eq!(r.run(&[0x4D, 0, 2, 1, 0x54, 0xF6])[..2], [0x40, 0x04]);
}

#[test]
fn verify_moves_no_data_and_counts_sectors() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0x56, 0x80, 0, 0, 1, 2, 18, 0x1B, 4]),
        [0, 0, 0, 0, 0, 5, 2]
    );
    assert_eq!(
        r.run(&[0x56, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0]
    );
    assert_eq!(r.memory(4), [0; 4]);
}

#[test]
fn read_track_starts_at_the_first_sector() {
    let (mut r, disk) = Rig::hd();
    r.program_dma(0x44, 18 * 512);
    assert_eq!(
        r.run(&[0x42, 0, 0, 0, 7, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0]
    );
    assert_eq!(r.memory(512), disk.sector(0));
}

#[test]
fn deleted_data_is_never_found() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 512);
    assert_eq!(
        r.run(&[0x4C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..3],
        [0, 0, 0x40]
    );
    assert_eq!(
        r.run(&[0x6C, 0, 0, 0, 1, 2, 18, 0x1B, 0xFF])[..2],
        [0x40, 0x80]
    );
}

/// SeaBIOS names the last sector that a caller of INT 13h wants, and many boot sectors want more than a track holds.
#[test]
fn read_behind_the_track_goes_on_at_the_other_side_and_the_next_cylinder() {
    for start in [0u8, 3] {
        let (mut r, disk) = Rig::hd();
        r.seek(start);
        r.program_dma(0x44, 50 * 512);
        let result = r.run(&[0xE6, 0, start, 0, 2, 2, 51, 0x1B, 0xFF]);
        assert_eq!(result, [0, 0, 0, start + 1, 0, 16, 2]);
        let first = usize::from(start) * 36 + 1;
        let expected: Vec<u8> = (first..first + 50).flat_map(|n| disk.sector(n)).collect();
        assert_eq!(r.memory(50 * 512), expected);
        // Where the head stands is known: a seek leads to the cylinder that it names.
        r.seek(7);
        r.program_dma(0x44, 512);
        assert_eq!(r.run(&[0xE6, 0, 7, 0, 1, 2, 18, 0x1B, 0xFF])[0], 0);
    }
}

#[test]
fn write_behind_the_track_goes_on_at_the_other_side() {
    let (mut r, disk) = Rig::hd();
    let data: Vec<u8> = (0..=u8::MAX).cycle().take(4 * 512).collect();
    r.b.memory
        .write(GuestAddress(0x1_0000), &data)
        .expect("RAM");
    r.program_dma(0x48, 4 * 512);
    let result = r.run(&[0xC5, 0, 0, 0, 17, 2, 20, 0x1B, 0xFF]);
    assert_eq!(result, [0x04, 0, 0, 0, 1, 3, 2]);
    let written: Vec<u8> = (16..20).flat_map(|n| disk.sector(n)).collect();
    assert_eq!(written, data);
}

#[test]
fn read_behind_the_track_follows_double_steps() {
    let disk = Disk::of(368_640);
    let mut r = Rig::with(DriveType::D1200K, disk.clone());
    r.b.out(&mut r.fdc, DIR_CCR, 1);
    // A driver that steps twice for a cylinder of the disk, and firmware that does not know of it.
    for at in [20, 10] {
        r.seek(at);
        r.program_dma(0x44, 20 * 512);
        assert_eq!(r.run(&[0xE6, 0, 10, 0, 1, 2, 20, 0x2A, 0xFF])[0], 0);
        let expected: Vec<u8> = (180..200).flat_map(|n| disk.sector(n)).collect();
        assert_eq!(r.memory(20 * 512), expected);
        assert_eq!(r.run(&[0x0E])[0], if at == 20 { 22 } else { 11 });
    }
}

#[test]
fn read_behind_the_track_of_one_side_or_behind_the_disk_finds_no_sector() {
    let (mut r, _) = Rig::hd();
    r.program_dma(0x44, 4 * 512);
    let one_side = r.run(&[0x46, 0, 0, 0, 17, 2, 20, 0x1B, 0xFF]);
    assert_eq!(one_side, [0x40, 0x04, 0, 0, 0, 19, 2]);
    r.seek(79);
    r.program_dma(0x44, 4 * 512);
    let end = r.run(&[0xE6, 4, 79, 1, 17, 2, 20, 0x1B, 0xFF]);
    assert_eq!(end[0] & 0xC0, 0x40);
}
