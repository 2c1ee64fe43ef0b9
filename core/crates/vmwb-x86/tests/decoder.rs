//! The decoder against iced-x86: the same bytes are instructions, of the same name and length, in all three code sizes.

use std::collections::BTreeSet;

use iced_x86::CpuidFeature as Theirs;
use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use proptest::prelude::*;
use vmwb_x86::decode::{CodeSize, decode};

const MODES: [(CodeSize, u32); 3] = [
    (CodeSize::Bits64, 64),
    (CodeSize::Bits32, 32),
    (CodeSize::Bits16, 16),
];

/// Features whose instructions the table holds. Whatever belongs to none of these is rightly unknown to it.
const FEATURES: &[Theirs] = &[
    Theirs::INTEL8086,
    Theirs::INTEL186,
    Theirs::INTEL286,
    Theirs::INTEL386,
    Theirs::INTEL486,
    Theirs::X64,
    Theirs::FPU,
    Theirs::FPU287,
    Theirs::FPU387,
    Theirs::CPUID,
    Theirs::ADX,
    Theirs::AES,
    Theirs::BMI1,
    Theirs::BMI2,
    Theirs::CLFSH,
    Theirs::CMOV,
    Theirs::CMPXCHG16B,
    Theirs::CX8,
    Theirs::FSGSBASE,
    Theirs::FXSR,
    Theirs::LZCNT,
    Theirs::MMX,
    Theirs::MOVBE,
    Theirs::MSR,
    Theirs::PAUSE,
    Theirs::PCLMULQDQ,
    Theirs::POPCNT,
    Theirs::PREFETCHW,
    Theirs::RDRAND,
    Theirs::RDSEED,
    Theirs::RDPMC,
    Theirs::RDTSCP,
    Theirs::SEP,
    Theirs::SSE,
    Theirs::SSE2,
    Theirs::SHA,
    Theirs::SSE3,
    Theirs::SSE4_1,
    Theirs::SSE4_2,
    Theirs::SSSE3,
    Theirs::SYSCALL,
    Theirs::TSC,
    Theirs::XSAVE,
    Theirs::XSAVEOPT,
];

/// Names that both sides give differently to the same thing: theirs, ours.
const NAMES: &[(&[&str], &str)] = &[
    (&["wbnoinvd"], "wbinvd"),
    // Hints that are NOPs here.
    (
        &[
            "cldemote",
            "endbr32",
            "endbr64",
            "prefetchit0",
            "prefetchit1",
            "rdsspd",
            "rdsspq",
            "reservednop",
        ],
        "nop",
    ),
    (&["prefetch", "prefetchwt1"], "prefetchw"),
    // One name here for all operand sizes.
    (&["cwde", "cdqe"], "cbw"),
    (&["cdq", "cqo"], "cwd"),
    (&["cmpxchg16b"], "cmpxchg8b"),
    (&["fxrstor64"], "fxrstor"),
    (&["fxsave64"], "fxsave"),
    (&["xrstor64"], "xrstor"),
    (&["xsave64"], "xsave"),
    (&["xsaveopt64"], "xsaveopt"),
    (&["iretd", "iretq"], "iret"),
    (&["jecxz", "jrcxz"], "jcxz"),
    (&["movq"], "movd"),
    (&["pcmpestri64"], "pcmpestri"),
    (&["pcmpestrm64"], "pcmpestrm"),
    (&["pextrq"], "pextrd"),
    (&["pinsrq"], "pinsrd"),
    (&["popad"], "popa"),
    (&["popfd", "popfq"], "popf"),
    (&["pushad"], "pusha"),
    (&["pushfd", "pushfq"], "pushf"),
    (&["sysexitq"], "sysexit"),
    (&["sysretq"], "sysret"),
    // Other words.
    (&["retf"], "ret far"),
    (&["xlatb"], "xlat"),
    (&["loope"], "loopz"),
    (&["loopne"], "loopnz"),
    (&["pause"], "xchg"),
];

/// Conditions, which iced names by relation and the table by flags.
const CONDITIONS: [(&str, &str); 6] = [
    ("ae", "nb"),
    ("a", "nbe"),
    ("e", "z"),
    ("ne", "nz"),
    ("ge", "nl"),
    ("g", "nle"),
];

fn same_name(ours: &str, theirs: &Instruction) -> bool {
    let name = format!("{:?}", theirs.mnemonic()).to_lowercase();
    let by_condition = |stem: &str| {
        let condition = name.strip_prefix(stem);
        let found = CONDITIONS.iter().find(|(c, _)| condition == Some(c));
        found.is_some_and(|(_, flags)| ours.strip_prefix(stem) == Some(flags))
    };
    ours == name
        || (theirs.is_string_instruction() && ours == &name[..name.len() - 1])
        || NAMES
            .iter()
            .any(|(list, here)| *here == ours && list.contains(&name.as_str()))
        || ["j", "set", "cmov"].into_iter().any(by_condition)
}

/// Encodings that one side takes and the other does not, on purpose.
fn tolerated(ours: Option<&str>, theirs: &Instruction) -> bool {
    match ours {
        // Which segment, control and debug registers exist is checked when the instruction runs; MONITOR and MWAIT are
        // announced by no model.
        Some(name) => theirs.is_invalid() && ["mov", "monitor", "mwait"].contains(&name),
        // Fences by other ModRM bytes than those that assemblers write; a prefetch of a register.
        None => {
            theirs
                .cpuid_features()
                .iter()
                .any(|f| !FEATURES.contains(f))
                || [Mnemonic::Lfence, Mnemonic::Mfence, Mnemonic::Sfence]
                    .contains(&theirs.mnemonic())
        }
    }
}

/// What is wrong with our reading of `bytes`, if anything.
fn difference(bytes: &[u8], size: CodeSize, bits: u32) -> Option<String> {
    let theirs = Decoder::new(bits, bytes, DecoderOptions::NONE).decode();
    let ours = decode(bytes, size).ok();
    let name = ours.map(|i| i.form().mnemonic);
    let agree = match ours {
        Some(i) if !theirs.is_invalid() => {
            theirs.len() == usize::from(i.len) && same_name(i.form().mnemonic, &theirs)
        }
        Some(_) => false,
        None => theirs.is_invalid(),
    };
    (!agree && !tolerated(name, &theirs)).then(|| {
        let length = ours.map_or(0, |i| i.len);
        format!(
            "{bits}-bit {bytes:02x?}: {name:?} of {length}, there {:?} of {}",
            theirs.mnemonic(),
            theirs.len()
        )
    })
}

#[test]
fn every_opcode_and_modrm_byte_is_what_iced_takes_it_for() {
    const PREFIXES: [&[u8]; 7] = [
        &[],
        &[0x66],
        &[0xF2],
        &[0xF3],
        &[0x66, 0xF2],
        &[0x66, 0xF3],
        &[0x67],
    ];
    const REXES: [&[u8]; 3] = [&[], &[0x48], &[0x41]];
    const MAPS: [&[u8]; 4] = [&[], &[0x0F], &[0x0F, 0x38], &[0x0F, 0x3A]];
    let mut wrong = BTreeSet::new();
    for (size, bits) in MODES {
        let rexes = if bits == 64 { &REXES[..] } else { &REXES[..1] };
        for (prefix, rex, map) in PREFIXES
            .iter()
            .flat_map(|p| rexes.iter().map(move |r| (p, r)))
            .flat_map(|(p, r)| MAPS.iter().map(move |m| (p, r, m)))
        {
            for word in 0..=u16::MAX {
                let mut bytes = [prefix, *rex, *map, &word.to_le_bytes()].concat();
                bytes.extend_from_slice(&[0x24, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
                wrong.extend(difference(&bytes, size, bits));
            }
        }
    }
    let first: Vec<_> = wrong.iter().take(20).collect();
    assert!(
        first.is_empty(),
        "{} encodings differ: {first:#?}",
        wrong.len()
    );
}

/// Bytes that begin like instructions: some prefixes, an opcode of any map, then anything.
fn likely() -> impl Strategy<Value = Vec<u8>> {
    let prefix = prop::sample::select(vec![0x66, 0x67, 0xF0, 0xF2, 0xF3, 0x26, 0x64, 0x48, 0x41]);
    let map = prop::sample::select(vec![vec![], vec![0x0F], vec![0x0F, 0x38], vec![0x0F, 0x3A]]);
    (
        prop::collection::vec(prefix, 0..4),
        map,
        prop::collection::vec(any::<u8>(), 15),
    )
        .prop_map(|(p, m, rest)| [p, m, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn instructions_behind_many_prefixes_have_the_length_that_iced_gives_them(bytes in likely()) {
        for (size, bits) in MODES {
            let Ok(ours) = decode(&bytes, size) else { continue };
            let theirs = Decoder::new(bits, &bytes, DecoderOptions::NONE).decode();
            prop_assert!(
                theirs.is_invalid() || theirs.len() == usize::from(ours.len),
                "{}: {} bytes, there {}",
                ours.form().asm,
                ours.len,
                theirs.len()
            );
        }
    }
}
