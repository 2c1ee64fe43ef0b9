//! Bochs VBE modes.

use super::*;

/// Switches a mode on as a driver does.
fn mode(b: &mut Bench, vga: &mut Vga, width: u16, height: u16, bpp: u16) {
    for (register, value) in [(4, 0), (1, width), (2, height), (3, bpp), (4, 0x41)] {
        set_vbe(b, vga, register, value);
    }
}

fn size(vga: &Vga) -> (u32, u32) {
    (vga.mode().width, vga.mode().height)
}

#[test]
fn driver_finds_identification_memory_and_largest_values() {
    let (mut b, mut vga) = adapter();
    assert_eq!(get_vbe(&mut b, &mut vga, 0), 0xB0C5);
    set_vbe(&mut b, &mut vga, 0, 0xB0C0);
    assert_eq!(get_vbe(&mut b, &mut vga, 0), 0xB0C0);
    set_vbe(&mut b, &mut vga, 0, 0xB0C6);
    assert_eq!(get_vbe(&mut b, &mut vga, 0), 0xB0C0);
    set_vbe(&mut b, &mut vga, 4, 2);
    let largest = [1, 2, 3, 10].map(|register| get_vbe(&mut b, &mut vga, register));
    assert_eq!(largest, [2560, 1600, 32, 256]);
    assert!(vga.text().is_some());
}

#[test]
fn data_port_is_at_1cfh_and_1d0h() {
    let (mut b, mut vga) = adapter();
    let (index, other) = (DISPI_PORT_OFFSET, DISPI_PORT_OFFSET + 2);
    vga.pio_write(&mut b.ctx(), index, AccessSize::Word, 1);
    vga.pio_write(&mut b.ctx(), other, AccessSize::Word, 1024);
    assert_eq!(vga.pio_read(&mut b.ctx(), other, AccessSize::Word), 1024);
    assert_eq!(vga.pio_read(&mut b.ctx(), index, AccessSize::Word), 1);
    assert_eq!(vga.pio_read(&mut b.ctx(), other, AccessSize::Byte), 0xFF);
}

#[test]
fn pixels_of_every_depth_have_their_colours() {
    let shown = [
        (8, vec![4]),
        (15, vec![0x1F, 0x7C]),
        (16, vec![0x1F, 0xF8]),
        (24, vec![9, 8, 7]),
    ]
    .into_iter()
    .chain([(32, vec![9, 8, 7, 0xFF])])
    .map(|(bpp, bytes)| {
        let (mut b, mut vga) = adapter();
        mode(&mut b, &mut vga, 640, 480, bpp);
        // Pixel 3 of line 2.
        let pixel_bytes = u64::from(bpp.div_ceil(8));
        vga.vram.write((2 * 640 + 3) * pixel_bytes, &bytes);
        let rows = picture(&vga);
        assert_eq!((size(&vga), rows[2][2], rows[2][4]), ((640, 480), 0, 0));
        rows[2][3]
    })
    .collect::<Vec<u32>>();
    assert_eq!(
        shown,
        [
            0x00AA_0000,
            0x00FF_00FF,
            0x00FF_00FF,
            0x0007_0809,
            0x0007_0809
        ]
    );
}

#[test]
fn green_of_565_has_six_bits() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 640, 480, 16);
    vga.vram.write(0, &0x0420u16.to_le_bytes());
    assert_eq!(picture(&vga)[0][0], 0x0000_8600 & 0xFF00);
}

#[test]
fn sixteen_colours_lie_in_planes_and_reach_over_banks() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 1024, 768, 4);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0b0101);
    // Address 10000h + 200: line 513, byte 72.
    set_vbe(&mut b, &mut vga, 5, 1);
    let at = 513 * 128 + 72 - 0x1_0000;
    poke(&mut b, &mut vga, at, 0x40);
    let rows = picture(&vga);
    assert_eq!(
        (size(&vga), rows[513][576], rows[513][577]),
        ((1024, 768), 0, 0x00AA_00AA)
    );
    assert_eq!(peek(&mut b, &mut vga, at), 0x40);
}

#[test]
fn bank_of_the_window_moves_through_the_memory() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 1024, 768, 32);
    set_vbe(&mut b, &mut vga, 5, 47);
    vga.mmio_write(&mut b.ctx(), 0xFFFC, AccessSize::Dword, 0x0012_3456);
    assert_eq!(picture(&vga)[767][1023], 0x0012_3456);
    assert_eq!(
        vga.mmio_read(&mut b.ctx(), 0xFFFC, AccessSize::Dword),
        0x0012_3456
    );
    // Beyond the window nothing answers.
    assert_eq!(
        vga.mmio_read(&mut b.ctx(), 0xFFFE, AccessSize::Dword),
        0xFFFF_0012
    );
    // Which accesses a bank is for stands above its number.
    let banks = [0xC021, 0x4022, 256].map(|value| {
        set_vbe(&mut b, &mut vga, 5, value);
        get_vbe(&mut b, &mut vga, 5)
    });
    assert_eq!(banks, [0x21, 0x22, 0]);
}

#[test]
fn offsets_and_virtual_width_move_the_picture() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 640, 480, 8);
    set_vbe(&mut b, &mut vga, 6, 1000);
    set_vbe(&mut b, &mut vga, 8, 100);
    set_vbe(&mut b, &mut vga, 9, 200);
    vga.vram.write(201 * 1000 + 105, &[4]);
    assert_eq!(picture(&vga)[1][5], 0x00AA_0000);
    let height = u32::try_from(VIDEO_BYTES).unwrap() / 1000;
    assert_eq!(get_vbe(&mut b, &mut vga, 7), height);
}

#[test]
fn virtual_width_that_does_not_fit_the_memory_is_left_out() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 2560, 1600, 32);
    set_vbe(&mut b, &mut vga, 6, 4096);
    assert_eq!(
        (size(&vga), get_vbe(&mut b, &mut vga, 6)),
        ((2560, 1600), 2560)
    );
}

#[test]
fn switching_on_clears_the_picture_unless_told_not_to() {
    let (mut b, mut vga) = adapter();
    vga.vram.write(1000, &[1]);
    mode(&mut b, &mut vga, 640, 480, 8);
    vga.vram.write(1001, &[2]);
    set_vbe(&mut b, &mut vga, 4, 0);
    set_vbe(&mut b, &mut vga, 4, 0xC1);
    let mut bytes = [0; 2];
    vga.vram.read(1000, &mut bytes);
    assert_eq!(bytes, [0, 2]);
}

#[test]
fn impossible_sizes_and_depths_are_left_out() {
    let (mut b, mut vga) = adapter();
    for (register, value) in [(1, 0), (1, 2561), (2, 0), (2, 1601), (3, 12), (3, 64)] {
        set_vbe(&mut b, &mut vga, register, value);
    }
    let values = [1, 2, 3].map(|register| get_vbe(&mut b, &mut vga, register));
    assert_eq!(values, [640, 480, 8]);
    set_vbe(&mut b, &mut vga, 3, 24);
    set_vbe(&mut b, &mut vga, 3, 0);
    assert_eq!(get_vbe(&mut b, &mut vga, 3), 8);
}

#[test]
fn dac_of_8_bits_keeps_the_colours_and_takes_finer_ones() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 640, 480, 8);
    vga.vram.write(0, &[4, 200]);
    set_vbe(&mut b, &mut vga, 4, 0x61);
    assert_eq!(picture(&vga)[0][0], 0x00AA_0000);
    b.out(&mut vga, port::DAC_WRITE, 200);
    for component in [0x81, 0x42, 0x23] {
        b.out(&mut vga, port::DAC_DATA, component);
    }
    assert_eq!(picture(&vga)[0][1], 0x0081_4223);
    set_vbe(&mut b, &mut vga, 4, 0x41);
    assert_eq!(
        (vga.dac.palette[4], vga.dac.palette[200]),
        ([42, 0, 0], [0x20, 0x10, 8])
    );
}

#[test]
fn switched_off_mode_leaves_the_vgas_own() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 640, 480, 8);
    assert!(vga.text().is_none());
    set_vbe(&mut b, &mut vga, 4, 0);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 6, 0x0E);
    assert_eq!(
        (size(&vga), vga.text().map(|t| t.columns)),
        ((720, 400), Some(80))
    );
}

#[test]
fn pixel_written_past_the_device_changes_its_line_only() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 1024, 768, 32);
    assert_eq!(changes(&mut vga), [(0, 768)]);
    assert!(changes(&mut vga).is_empty());
    vga.vram.write(4096 * 10 + 8, &[1, 2, 3, 4]);
    assert_eq!(changes(&mut vga), [(10, 11)]);
    assert!(changes(&mut vga).is_empty());
    // Memory that does not show.
    vga.vram.write(4096 * 768, &[1]);
    assert!(changes(&mut vga).is_empty());
}

#[test]
fn picture_that_reaches_over_the_end_of_the_memory_begins_anew_there() {
    let (mut b, mut vga) = adapter();
    mode(&mut b, &mut vga, 640, 480, 8);
    set_vbe(&mut b, &mut vga, 9, u16::MAX);
    vga.vram.clear(VIDEO_BYTES);
    changes(&mut vga);
    let start = 0xFFFF * 640 % VIDEO_BYTES;
    vga.vram.write(start + 640 * 3, &[4]);
    assert_eq!(picture(&vga)[3][0], 0x00AA_0000);
    assert!(
        changes(&mut vga)
            .iter()
            .any(|&(start, end)| (start..end).contains(&3))
    );
}
