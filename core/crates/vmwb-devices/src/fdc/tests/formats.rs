//! Which images are disks, and what is on them.

use super::*;

#[test]
fn format_of_every_size_gives_its_geometry_back() {
    let plain = [
        160, 180, 320, 360, 720, 800, 1200, 1440, 1600, 1680, 1920, 2880,
    ];
    let sizes = plain.map(|kib: u64| kib << 10).into_iter();
    // 82 and 83 cylinders of 18 and 21 sectors.
    let long = [(82, 18), (83, 18), (82, 21), (83, 21)].map(|(c, s): (u64, u64)| c * 2 * s * 512);
    let mut sizes = sizes.chain(long);
    assert!(sizes.all(|bytes| {
        FloppyFormat::of_size(bytes)
            .is_ok_and(|f| f.bytes() == bytes && DriveType::for_format(f).accepts(f))
    }));
}

#[test]
fn format_of_odd_size_is_refused_with_a_sentence() {
    let odd = [0, 1_000_000, 1_474_561, HD + 512, 4 << 20];
    assert!(odd.iter().all(|&bytes| {
        let sentence = format!("{bytes} bytes fits no PC format");
        FloppyFormat::of_size(bytes).is_err_and(|e| e.to_string().contains(&sentence))
    }));
    assert_eq!(FloppyFormat::of_size(1_296_384), FloppyFormat::of_size(HD));
}

#[test]
fn cmos_bytes_name_the_drives() {
    let drives = [DriveType::D1440K, DriveType::D1200K];
    assert_eq!(
        (cmos_drive_types(drives), cmos_equipment(drives)),
        (0x42, 0x41)
    );
    assert_eq!(cmos_equipment([DriveType::None; 2]), 0);
}

#[test]
fn image_that_ends_early_reads_as_zeros_and_takes_no_write_behind_its_end() {
    let disk = Disk::of(HD - 512);
    let mut r = Rig::with(DriveType::D1440K, disk.clone());
    r.seek(79);
    r.b.memory
        .write(GuestAddress(0x1_0000), &[0x55; 1024])
        .expect("RAM");
    r.program_dma(0x44, 1024);
    let read = r.run(&[0xE6, 4, 79, 1, 17, 2, 18, 0x1B, 0xFF]);
    assert_eq!(read[..3], [0x04, 0, 0]);
    assert_eq!(r.memory(1024), [disk.sector(2878), vec![0; 512]].concat());
    r.program_dma(0x48, 512);
    let write = r.run(&[0xC5, 4, 79, 1, 18, 2, 18, 0x1B, 0xFF]);
    assert_eq!(write[..3], [0x44, 0x20, 0x20]);
}

#[test]
fn disk_of_odd_size_is_there_and_unreadable() {
    let mut r = Rig::with(DriveType::D1440K, Disk::of(HD + 512));
    assert_eq!(r.run(&[0x4A, 0])[..2], [0x40, 0x01]);
}
