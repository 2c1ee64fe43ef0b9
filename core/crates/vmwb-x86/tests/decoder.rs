//! The decoder against iced-x86: whatever it takes for an instruction has the same length there.

use iced_x86::{Decoder, DecoderOptions};
use proptest::prelude::*;
use vmwb_x86::decode::{CodeSize, decode};

fn agrees(bytes: &[u8], size: CodeSize, bits: u32) -> Result<(), TestCaseError> {
    let Ok(ours) = decode(bytes, size) else {
        return Ok(());
    };
    let theirs = Decoder::new(bits, bytes, DecoderOptions::NONE).decode();
    prop_assert!(
        theirs.is_invalid() || theirs.len() == usize::from(ours.len),
        "{}: {} bytes, there {}",
        ours.form().asm,
        ours.len,
        theirs.len()
    );
    Ok(())
}

/// Bytes that begin like instructions: some prefixes, an opcode of any map, then anything.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let prefix = prop::sample::select(vec![0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x64, 0x48, 0x41]);
    let map = prop::sample::select(vec![vec![], vec![0x0F], vec![0x0F, 0x38], vec![0x0F, 0x3A]]);
    (
        prop::collection::vec(prefix, 0..3),
        map,
        prop::collection::vec(any::<u8>(), 15),
    )
        .prop_map(|(p, m, rest)| [p, m, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn instructions_have_the_length_that_iced_gives_them(bytes in likely()) {
        agrees(&bytes, CodeSize::Bits64, 64)?;
        agrees(&bytes, CodeSize::Bits32, 32)?;
        agrees(&bytes, CodeSize::Bits16, 16)?;
    }
}
