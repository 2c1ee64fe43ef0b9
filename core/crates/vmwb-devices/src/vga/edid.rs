//! What the monitor says of itself: one block of VESA E-EDID 1.4 with the modes that guests should offer.

/// Bytes of the block.
pub(super) const EDID_BYTES: usize = 128;

/// A mode in full: pixels and lines, what follows them until the sync pulse, the pulse, and the whole blanking.
struct Timing {
    /// Units of 10 kHz.
    clock: u16,
    x: [u16; 4],
    y: [u16; 4],
    /// Bit 1: positive horizontal sync, bit 2: positive vertical sync.
    polarity: u8,
}

/// 1024 by 768, the preferred one; 1920 by 1080; 2560 by 1600 with reduced blanking (VESA DMT 1.0 rev. 13).
const TIMINGS: [Timing; 3] = [
    Timing {
        clock: 6500,
        x: [1024, 24, 136, 320],
        y: [768, 3, 6, 38],
        polarity: 0,
    },
    Timing {
        clock: 14850,
        x: [1920, 88, 44, 280],
        y: [1080, 4, 5, 45],
        polarity: 6,
    },
    Timing {
        clock: 26850,
        x: [2560, 48, 32, 160],
        y: [1600, 3, 6, 46],
        polarity: 2,
    },
];

/// Header, maker and product (made-up), date, version, digital input of 8 bits a colour, gamma 2.2, sRGB.
const HEAD: [u8; 35] = [
    0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x00, 0x5A, 0xE2, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x24, 0x01, 0x04, 0xA0, 0x00, 0x00, 0x78, 0x06, 0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26,
    0x0F, 0x50, 0x54,
];
/// Established: 640 by 480, 800 by 600, 1024 by 768, all of 60 Hz.
const ESTABLISHED: [u8; 3] = [0x21, 0x08, 0x00];
/// Standard, of 60 Hz: 1280 by 1024, by 800, by 720; 1440 by 900; 1600 by 1200, by 900; 1680 by 1050; 1920 by 1200.
const STANDARD: [u8; 16] = [
    0x81, 0x80, 0x81, 0x00, 0x81, 0xC0, 0x95, 0x00, 0xA9, 0x40, 0xA9, 0xC0, 0xB3, 0x00, 0xD1, 0x00,
];
/// The display's name, as a descriptor.
const NAME: [u8; 18] = *b"\0\0\0\xFC\0VM Workbench\n";

/// Low byte of a value, and its bits from 8 on.
fn split(value: u16) -> (u8, u8) {
    let [low, high] = value.to_le_bytes();
    (low, high)
}

fn detailed(t: &Timing) -> [u8; 18] {
    let [clock_low, clock_high] = t.clock.to_le_bytes();
    let [
        (x, x_high),
        (front, front_high),
        (pulse, pulse_high),
        (blank, blank_high),
    ] = t.x.map(split);
    let [
        (y, y_high),
        (y_front, _),
        (y_pulse, _),
        (y_blank, y_blank_high),
    ] = t.y.map(split);
    [
        clock_low,
        clock_high,
        x,
        blank,
        x_high << 4 | blank_high,
        y,
        y_blank,
        y_high << 4 | y_blank_high,
        front,
        pulse,
        y_front << 4 | y_pulse,
        front_high << 6 | pulse_high << 4,
        0,
        0,
        0,
        0,
        0,
        0x18 | t.polarity,
    ]
}

/// The block.
pub(super) fn edid() -> [u8; EDID_BYTES] {
    let mut block = [0; EDID_BYTES];
    let timings = TIMINGS.iter().flat_map(detailed);
    let parts = HEAD
        .into_iter()
        .chain(ESTABLISHED)
        .chain(STANDARD)
        .chain(timings)
        .chain(NAME)
        .chain([0]);
    for (byte, value) in block.iter_mut().zip(parts) {
        *byte = value;
    }
    let sum = block.iter().fold(0u8, |sum, &byte| sum.wrapping_add(byte));
    block[EDID_BYTES - 1] = sum.wrapping_neg();
    block
}
