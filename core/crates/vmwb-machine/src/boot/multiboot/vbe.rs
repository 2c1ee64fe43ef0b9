//! What the BIOS would have said of a picture: the two blocks of the VBE that kernels from before multiboot's own fields
//! read. Source: VESA BIOS Extension 3.0, functions 00h and 01h.

use vmwb_devices::vga::LinearPicture;

const CONTROLLER_BYTES: usize = 512;
const MODE_BYTES: usize = 256;
const VERSION: u16 = 0x0300;
const UNIT_BYTES: u64 = 64 << 10;
/// Supported by the hardware, with information, in colour, graphics, without windows, with a linear frame buffer.
const ATTRIBUTES: u16 = 0b1101_1011;
const DIRECT_COLOUR: u8 = 6;

/// First bit and number of bits of red, green and blue.
pub fn colour_fields(bits: u16) -> [(u8, u8); 3] {
    match bits {
        15 => [(10, 5), (5, 5), (0, 5)],
        16 => [(11, 5), (5, 6), (0, 5)],
        _ => [(16, 8), (8, 8), (0, 8)],
    }
}

/// The controller's and the mode's block; zeros without a picture.
pub fn tables(picture: Option<&LinearPicture>) -> (Vec<u8>, Vec<u8>) {
    let (mut controller, mut mode) = (vec![0; CONTROLLER_BYTES], vec![0; MODE_BYTES]);
    let Some(picture) = picture else {
        return (controller, mode);
    };
    let word = |block: &mut [u8], at: usize, value: u16| {
        block[at..at + 2].copy_from_slice(&value.to_le_bytes());
    };
    controller[..4].copy_from_slice(b"VESA");
    word(&mut controller, 4, VERSION);
    let units = u16::try_from(picture.memory_bytes / UNIT_BYTES).unwrap_or(u16::MAX);
    word(&mut controller, 18, units);

    let pitch = u16::try_from(picture.pitch_bytes).unwrap_or(u16::MAX);
    word(&mut mode, 0, ATTRIBUTES);
    for at in [16, 50] {
        word(&mut mode, at, pitch);
    }
    word(&mut mode, 18, picture.width);
    word(&mut mode, 20, picture.height);
    // Size of a character, one plane, bits, one bank, kind, no bank size.
    let bits = u8::try_from(picture.bits).unwrap_or(32);
    mode[22..29].copy_from_slice(&[8, 16, 1, bits, 1, DIRECT_COLOUR, 0]);
    let fields = colour_fields(picture.bits);
    for start in [31, 54] {
        for (place, (position, size)) in mode[start..].chunks_exact_mut(2).zip(fields) {
            place.copy_from_slice(&[size, position]);
        }
    }
    mode[40..44].copy_from_slice(&picture.base.to_le_bytes());
    (controller, mode)
}
