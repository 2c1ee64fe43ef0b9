//! Random ports, memory and states: nothing panics, nothing is drawn beyond the picture, a restored adapter goes on alike.

use super::*;
use proptest::prelude::*;

/// One thing that a guest may do.
#[derive(Debug, Clone, Copy)]
enum Act {
    Port(u16, u8),
    /// A register of an index and data pair: 0 sequencer, 1 graphics, 2 CRTC.
    Register(u8, u8, u8),
    Attribute(u8, u8),
    Vbe(u16, u16),
    Write(u32, u64),
    Read(u32),
    Config(u8, u32),
    Direct(u64, u8),
    Draw(u32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u16..0x30, any::<u8>()).prop_map(|(at, value)| Act::Port(at, value)),
        8 => (0u8..3, 0u8..0x19, any::<u8>()).prop_map(|(f, at, value)| Act::Register(f, at, value)),
        3 => (0u8..0x15, any::<u8>()).prop_map(|(at, value)| Act::Attribute(at, value)),
        4 => (0u16..12, prop_oneof![0u16..3000, any::<u16>()]).prop_map(|(r, v)| Act::Vbe(r, v)),
        2 => prop::sample::select(vec![0x41u16, 0xC1, 0])
            .prop_map(|enable| Act::Vbe(4, enable)),
        6 => (0u32..0x2_0008, any::<u64>()).prop_map(|(at, value)| Act::Write(at, value)),
        4 => (0u32..0x2_0008).prop_map(Act::Read),
        1 => (0u8..64, any::<u32>()).prop_map(|(r, value)| Act::Config(r * 4, value)),
        2 => (0..VIDEO_BYTES, any::<u8>()).prop_map(|(at, value)| Act::Direct(at, value)),
        1 => (0u32..1700).prop_map(Act::Draw),
    ]
}

fn sizes(n: u64) -> AccessSize {
    [
        AccessSize::Byte,
        AccessSize::Word,
        AccessSize::Dword,
        AccessSize::Qword,
    ][usize::try_from(n % 4).unwrap()]
}

/// Does it; gives what was read, or a sum of what was drawn.
fn perform(b: &mut Bench, vga: &mut Vga, act: Act) -> u64 {
    b.now = b.now.plus(7_000);
    match act {
        Act::Port(at, value) => {
            b.out(vga, at, value);
            u64::from(b.inp(vga, at))
        }
        Act::Register(file, at, value) => {
            let ports = [
                port::SEQUENCER_INDEX,
                port::GRAPHICS_INDEX,
                port::CRTC_INDEX,
            ];
            set(b, vga, ports[usize::from(file)], at, value);
            0
        }
        Act::Attribute(at, value) => {
            set_attribute(b, vga, at, value);
            0
        }
        Act::Vbe(register, value) => {
            set_vbe(b, vga, register, value);
            u64::from(get_vbe(b, vga, register))
        }
        Act::Write(at, value) => {
            vga.mmio_write(&mut b.ctx(), u64::from(at), sizes(value), value);
            0
        }
        Act::Read(at) => vga.mmio_read(&mut b.ctx(), u64::from(at), sizes(u64::from(at) / 3)),
        Act::Config(register, value) => {
            vga.config_write(&mut b.ctx(), register, value, u32::MAX);
            u64::from(vga.config_read(register))
        }
        Act::Direct(at, value) => {
            vga.vram.write(at, &[value]);
            0
        }
        Act::Draw(first) => draw_guarded(vga, first),
    }
}

/// Draws some lines into a buffer with a guard on the right; gives a sum of the picture.
fn draw_guarded(vga: &Vga, first: u32) -> u64 {
    const GUARD: u32 = 0xDEAD_BEEF;
    let ScanoutMode { width, height } = vga.mode();
    assert!((1..=MAX_WIDTH).contains(&width) && (1..=MAX_HEIGHT).contains(&height));
    let width = usize::try_from(width).unwrap();
    let stride = width + 3;
    let mut pixels = vec![GUARD; stride * 3];
    vga.draw(first, &mut pixels, stride);
    assert!(pixels.chunks(stride).all(|row| row[width..] == [GUARD; 3]));
    let cells = vga.text().map_or(0, |t| t.cells.len());
    pixels.iter().fold(cells as u64, |sum, &p| {
        sum.wrapping_mul(31).wrapping_add(u64::from(p))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_guests_never_panic_and_restored_ones_go_on_alike(
        before in prop::collection::vec(act(), 1..120),
        after in prop::collection::vec(act(), 1..60),
    ) {
        let (mut b, mut vga) = adapter();
        before.iter().for_each(|&a| { perform(&mut b, &mut vga, a); });
        let _ = changes(&mut vga);
        let mut copy = build();
        let mut bytes = vec![0; usize::try_from(VIDEO_BYTES).unwrap()];
        vga.vram.read(0, &mut bytes);
        copy.vram.write(0, &bytes);
        let mut copy_bench = Bench::new();
        copy_bench.now = b.now;
        copy.restore(&mut copy_bench.ctx(), &vga.save().unwrap()).unwrap();
        for &a in &after {
            prop_assert_eq!(perform(&mut b, &mut vga, a), perform(&mut copy_bench, &mut copy, a));
        }
        prop_assert_eq!(copy.save().unwrap(), vga.save().unwrap());
        prop_assert_eq!(draw_guarded(&copy, 0), draw_guarded(&vga, 0));
    }

    /// What the changed lines leave out looks as it did: drawing only those gives the whole picture.
    #[test]
    fn lines_that_are_not_changes_look_as_before(
        before in prop::collection::vec(act(), 1..60),
        after in prop::collection::vec(act(), 1..12),
    ) {
        let (mut b, mut vga) = adapter();
        before.iter().for_each(|&a| { perform(&mut b, &mut vga, a); });
        let mut kept = picture(&vga);
        let _ = changes(&mut vga);
        after.iter().for_each(|&a| { perform(&mut b, &mut vga, a); });
        let now = picture(&vga);
        for run in changes(&mut vga) {
            let [start, end] = <[u32; 2]>::from(run).map(|line| usize::try_from(line).unwrap());
            kept.resize(now.len(), Vec::new());
            kept[start..end].clone_from_slice(&now[start..end]);
        }
        prop_assert!(kept == now);
    }

    #[test]
    fn any_registers_draw_without_panic(
        crtc: [u8; 25], seq: [u8; 5], gfx: [u8; 9], attr: [u8; 21], first in 0u32..1700,
    ) {
        let mut vga = build();
        vga.crtc = crtc;
        vga.sequencer = seq;
        vga.graphics = gfx;
        vga.attribute = attr;
        draw_guarded(&vga, first);
        changes(&mut vga);
        set_planes(&vga, 77, 0x1234_5678);
        changes(&mut vga);
        let cells = vga.text().map_or(0, |t| t.cells.len() - usize::from(t.columns) * usize::from(t.rows));
        prop_assert_eq!(cells, 0);
    }
}
