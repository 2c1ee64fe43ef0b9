//! Registers behind the ports: protection, address flip-flop, DAC, timing.

use super::*;

#[test]
fn crtc_moves_with_the_monochrome_bit() {
    let (mut b, mut vga) = adapter();
    assert_eq!(b.inp(&mut vga, port::CRTC_INDEX_MONO), 0xFF);
    b.out(&mut vga, port::MISC_WRITE, 0x66);
    assert_eq!(get(&mut b, &mut vga, port::CRTC_INDEX_MONO, 1), 0x4F);
    assert_eq!(b.inp(&mut vga, port::CRTC_DATA), 0xFF);
}

#[test]
fn protected_crtc_registers_keep_all_but_the_line_compare_bit() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0x8E);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x01, 0x27);
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x07, 0x00);
    let read = [0x01, 0x07].map(|index| get(&mut b, &mut vga, port::CRTC_INDEX, index));
    assert_eq!(read, [0x4F, 0x0F]);
}

#[test]
fn attribute_port_takes_index_and_data_in_turn_after_status_was_read() {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::ATTRIBUTE, 0x01);
    let _ = b.inp(&mut vga, port::STATUS_1);
    b.out(&mut vga, port::ATTRIBUTE, 0x02);
    b.out(&mut vga, port::ATTRIBUTE, 0x2A);
    assert_eq!(
        (b.inp(&mut vga, port::ATTRIBUTE_READ), vga.attribute[1]),
        (0x2A, 1)
    );
}

#[test]
fn attribute_bits_that_do_not_exist_read_as_0() {
    let (mut b, mut vga) = adapter();
    let read = [0x00, 0x10, 0x11, 0x12, 0x13, 0x14].map(|index| {
        set_attribute(&mut b, &mut vga, index, 0xFF);
        let _ = b.inp(&mut vga, port::STATUS_1);
        b.out(&mut vga, port::ATTRIBUTE, index);
        b.inp(&mut vga, port::ATTRIBUTE_READ)
    });
    assert_eq!(read, [0x3F, 0xEF, 0xFF, 0x3F, 0x0F, 0x0F]);
}

#[test]
fn dac_steps_through_components_and_colours() {
    let (mut b, mut vga) = adapter();
    b.out(&mut vga, port::DAC_WRITE, 0xFF);
    for value in [1, 2, 0x43, 4] {
        b.out(&mut vga, port::DAC_DATA, value);
    }
    b.out(&mut vga, port::DAC_READ, 0xFF);
    let read = [0; 4].map(|_: u8| b.inp(&mut vga, port::DAC_DATA));
    assert_eq!((read, b.inp(&mut vga, port::DAC_READ)), ([1, 2, 3, 4], 3));
}

/// What status 1 says at these lines and dots of a 70-Hz picture of 449 lines of 900 dots.
fn status_at(b: &mut Bench, vga: &mut Vga, line: u64, dot: u64) -> u8 {
    b.now = Nanos::at_tick(line * 900 + dot, 28_322_000);
    b.inp(vga, port::STATUS_1)
}

#[test]
fn retrace_bits_follow_the_crtcs_values() {
    let (mut b, mut vga) = adapter();
    let both = regs::STATUS_BLANK | regs::STATUS_RETRACE;
    let at = [
        (399, 5),
        (399, 730),
        (400, 5),
        (411, 5),
        (412, 5),
        (413, 5),
        (414, 5),
        (449, 5),
    ];
    let status = at.map(|(line, dot)| status_at(&mut b, &mut vga, line, dot));
    assert_eq!(status, [0, 1, 1, 1, both, both, 1, 0]);
}

#[test]
fn registers_that_describe_no_picture_still_give_a_retrace_60_times_a_second() {
    let (mut b, mut vga) = adapter();
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x11, 0);
    (0..=0x18).for_each(|index| set(&mut b, &mut vga, port::CRTC_INDEX, index, 0));
    let mut edges = 0;
    let mut before = 0;
    for step in 0..100_000u64 {
        b.now = Nanos(step * 10_000);
        let now = b.inp(&mut vga, port::STATUS_1) & regs::STATUS_RETRACE;
        edges += u32::from(now > before);
        before = now;
    }
    assert_eq!(edges, 60);
}

#[test]
fn only_what_shows_is_a_change() {
    let (mut b, mut vga) = adapter();
    assert_eq!(changes(&mut vga), [(0, 400)]);
    set(&mut b, &mut vga, port::SEQUENCER_INDEX, 2, 0x0F);
    set(&mut b, &mut vga, port::GRAPHICS_INDEX, 8, 0x0F);
    b.out(&mut vga, port::DAC_WRITE, 0);
    let _ = b.inp(&mut vga, port::STATUS_1);
    assert!(changes(&mut vga).is_empty());
    set(&mut b, &mut vga, port::CRTC_INDEX, 0x0D, 80);
    assert_eq!(changes(&mut vga), [(0, 400)]);
}

#[test]
fn palette_that_is_written_as_it_was_changes_nothing() {
    let (mut b, mut vga) = adapter();
    changes(&mut vga);
    b.out(&mut vga, port::DAC_WRITE, 1);
    for component in [0, 0, 42] {
        b.out(&mut vga, port::DAC_DATA, component);
    }
    assert!(changes(&mut vga).is_empty());
    b.out(&mut vga, port::DAC_DATA, 1);
    assert_eq!(changes(&mut vga), [(0, 400)]);
}

#[test]
fn words_at_an_index_port_write_index_and_data() {
    let (mut b, mut vga) = adapter();
    vga.pio_write(&mut b.ctx(), port::GRAPHICS_INDEX, AccessSize::Word, 0x5A08);
    assert_eq!(vga.graphics[regs::GFX_BIT_MASK], 0x5A);
    assert_eq!(
        vga.pio_read(&mut b.ctx(), port::GRAPHICS_INDEX, AccessSize::Word),
        0x5A08
    );
}

#[test]
fn reset_goes_back_to_text_and_leaves_the_memory() {
    let (mut b, mut vga) = adapter();
    put(&mut b, &mut vga, 0, b'x', 7);
    mode_13h(&mut b, &mut vga);
    vga.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!(vga.text().unwrap().cells[0].character, b'x');
}
