//! Expands `isa/*.toml`, the one description of the instruction set, into `isa.rs`: the table of forms, the opcode maps
//! that the decoder looks into, and the selection of handlers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    enc: String,
    asm: String,
    sem: Option<String>,
    run: Option<String>,
    #[serde(default)]
    r: String,
    #[serde(default)]
    w: String,
    #[serde(default)]
    u: String,
    #[serde(default)]
    only: String,
    #[serde(default)]
    osz: String,
    #[serde(default)]
    lock: bool,
    #[serde(default)]
    ends: bool,
    #[serde(default)]
    check: bool,
    #[serde(default)]
    rexb0: bool,
    #[serde(default)]
    skip: bool,
    #[serde(default, rename = "priv")]
    privileged: String,
    #[serde(default)]
    sens: String,
    #[serde(default)]
    cpuid: String,
    #[serde(default)]
    fault: String,
}

#[derive(Deserialize)]
struct File {
    form: Vec<Row>,
}

/// Encoding of one form, taken apart.
struct Enc {
    map: usize,
    opcode: u8,
    /// Opcodes covered: 8 for `+r`, else 1.
    span: u8,
    prefix: &'static str,
    modrm: bool,
    /// `/digit`.
    digit: Option<u8>,
    /// A ModRM byte that is part of the opcode.
    exact: Option<u8>,
    /// Bits of it that count: with `+r` the low three are free.
    exact_mask: u8,
    vex: bool,
    w1: bool,
}

fn parse_enc(text: &str) -> Enc {
    let mut prefix = "Any";
    let mut bytes = Vec::new();
    let (mut modrm, mut digit, mut span) = (false, None, 1);
    let (mut vex, mut w1) = (false, false);
    for word in text.split_whitespace() {
        match word {
            "NP" => prefix = "None",
            "NR" => prefix = "NoRep",
            "VEX" => vex = true,
            "W1" => w1 = true,
            "/r" => modrm = true,
            w if w.starts_with('/') => {
                modrm = true;
                digit = Some(
                    w[1..]
                        .parse()
                        .unwrap_or_else(|_| panic!("bad digit in '{text}'")),
                );
            }
            w => {
                let (hex, plus) = w.strip_suffix("+r").map_or((w, false), |h| (h, true));
                if plus {
                    span = 8;
                }
                bytes.push(
                    u8::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("bad byte in '{text}'")),
                );
            }
        }
    }
    if bytes.len() > 1 && matches!(bytes[0], 0x66 | 0xF2 | 0xF3) {
        prefix = match bytes.remove(0) {
            0x66 => "P66",
            0xF2 => "PF2",
            _ => "PF3",
        };
    }
    let (map, skipped) = match (vex, bytes.as_slice()) {
        (false, [0x0F, 0x38, ..]) => (2, 2),
        (false, [0x0F, 0x3A, ..]) => (3, 2),
        (true, [0x0F, 0x38, ..]) => (4, 2),
        (true, [0x0F, 0x3A, ..]) => (5, 2),
        (false, [0x0F, ..]) => (1, 1),
        (false, _) => (0, 0),
        (true, _) => panic!("no VEX map for '{text}'"),
    };
    let rest = &bytes[skipped..];
    let opcode = rest[0];
    let exact = rest.get(1).copied();
    // `+r` belongs to the last byte: the opcode, or the ModRM byte that stands for one.
    let exact_mask = if exact.is_some() && span == 8 {
        span = 1;
        0xF8
    } else {
        0xFF
    };
    Enc {
        map,
        opcode,
        span,
        prefix,
        modrm: modrm || exact.is_some(),
        digit,
        exact,
        exact_mask,
        vex,
        w1,
    }
}

/// `Class` and `Width` of an operand in the notation of SDM appendix A.
fn operand(text: &str) -> (String, &'static str) {
    let fixed = match text {
        "AL" => Some(("Acc", "B")),
        "AX" => Some(("Acc", "W")),
        "rAX" => Some(("Acc", "V")),
        "CL" => Some(("Cl", "B")),
        "DX" => Some(("Dx", "W")),
        "1" => Some(("One", "B")),
        "ES" => Some(("Sreg0", "W")),
        "CS" => Some(("Sreg1", "W")),
        "SS" => Some(("Sreg2", "W")),
        "DS" => Some(("Sreg3", "W")),
        "FS" => Some(("Sreg4", "W")),
        "GS" => Some(("Sreg5", "W")),
        "M" => Some(("M", "None")),
        "ST0" => Some(("St0", "T")),
        "STi" => Some(("Sti", "T")),
        "Is" => Some(("Is", "B")),
        _ => None,
    };
    if let Some((c, w)) = fixed {
        return (c.to_owned(), w);
    }
    let (class, width) = text.split_at(1);
    let width = match width {
        "b" => "B",
        "w" => "W",
        "d" => "D",
        "q" => "Q",
        "v" => "V",
        "y" => "Y",
        "z" => "Z",
        "p" => "P",
        "a" => "A",
        "t" => "T",
        "dq" => "Dq",
        other => panic!("unknown operand width '{other}' in '{text}'"),
    };
    assert!(
        "EGIMOZJSCDRAXPQNVWUB".contains(class),
        "unknown operand class in '{text}'"
    );
    (class.to_owned(), width)
}

/// Where a generic semantics finds its operands: kinds for the register form and for the memory form.
fn kinds(ops: &[(String, &'static str)]) -> (&'static str, &'static str) {
    let class = |i: usize| ops.get(i).map_or("", |o| o.0.as_str());
    match (class(0), class(1)) {
        ("E" | "M", "G" | "Cl") => ("RR", "MR"),
        ("G", "E" | "M" | "R") => ("RR", "RM"),
        ("E", "I" | "Is" | "One") => ("RI", "MI"),
        ("Z" | "Acc", "I" | "Is") => ("RI", "RI"),
        ("Acc", "O") => ("RM", "RM"),
        ("O", "Acc") => ("MR", "MR"),
        ("Z", "Acc") => ("RR", "RR"),
        ("E" | "M", "") => ("R", "M"),
        ("Z", "") => ("R", "R"),
        ("I" | "Is" | "J", "") => ("I", "I"),
        ("", "") => ("NONE", "NONE"),
        other => panic!("no operand kind for {other:?}"),
    }
}

const BRANCHES: [&str; 5] = ["call", "jmp", "call_ind", "jmp_ind", "ret"];

/// Conditions in the order of their encoding.
const CONDITIONS: [&str; 16] = [
    "o", "no", "b", "nb", "z", "nz", "be", "nbe", "s", "ns", "p", "np", "l", "nl", "le", "nle",
];

/// Semantics with handlers that leave the flags alone, for where nobody sees them.
const QUIET: [&str; 13] = [
    "add", "sub", "and", "or", "xor", "neg", "shl", "shr", "sar", "rol", "ror", "imul2", "imul3",
];

/// Semantics that share a handler with a conditional branch behind them: the rows of `PAIRS`.
const LEADS: [&str; 3] = ["cmp", "test", "sub"];

fn condition(sem: &str) -> Option<usize> {
    let name = sem.strip_prefix('j')?;
    CONDITIONS.iter().position(|c| *c == name)
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|p| p[..1].to_uppercase() + &p[1..])
        .collect()
}

fn flags(text: &str) -> u32 {
    const BITS: [(char, u32); 9] = [
        ('c', 0),
        ('p', 2),
        ('a', 4),
        ('z', 6),
        ('s', 7),
        ('t', 8),
        ('i', 9),
        ('d', 10),
        ('o', 11),
    ];
    text.chars()
        .map(|c| {
            1 << BITS
                .iter()
                .find(|b| b.0 == c)
                .unwrap_or_else(|| panic!("unknown flag '{c}'"))
                .1
        })
        .sum()
}

fn helper_kind(row: &Row) -> &'static str {
    match (row.ends, row.check) {
        (true, _) => "ending",
        (false, true) => "checked",
        (false, false) => "straight",
    }
}

fn main() {
    let dir = Path::new("isa");
    println!("cargo:rerun-if-changed=isa");
    println!("cargo:rerun-if-changed=build.rs");
    // Handlers end in sibling calls, which the compiler makes of them only when it optimizes.
    println!("cargo:rustc-check-cfg=cfg(chained)");
    if env::var("OPT_LEVEL").is_ok_and(|level| level != "0") {
        println!("cargo:rustc-cfg=chained");
    }
    let mut names: Vec<_> = fs::read_dir(dir)
        .expect("isa/ is there")
        .map(|e| e.expect("readable entry").path())
        .collect();
    names.sort();
    let mut rows = Vec::new();
    for name in names
        .iter()
        .filter(|n| n.extension().is_some_and(|e| e == "toml"))
    {
        let text = fs::read_to_string(name).expect("readable table");
        let file: File =
            toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", name.display()));
        rows.extend(file.form);
    }

    let mut out = String::new();
    let mut maps: Vec<BTreeMap<u8, Vec<(u32, usize)>>> = vec![BTreeMap::new(); 6];
    let mut helpers = BTreeSet::new();
    let mut features = BTreeSet::new();
    let count = rows.len();
    let _ = writeln!(
        out,
        "/// All forms, in the order of the tables.\npub static FORMS: [Form; {count}] = ["
    );
    for (index, row) in rows.iter().enumerate() {
        let enc = parse_enc(&row.enc);
        let (mnemonic, args) = row.asm.rsplit_once(' ').unwrap_or((&row.asm, ""));
        let (mnemonic, args) = match args {
            "far" => (row.asm.as_str(), ""),
            other => (mnemonic, other),
        };
        let ops: Vec<_> = args
            .split(',')
            .filter(|a| !a.is_empty())
            .map(operand)
            .collect();
        let modrm = enc.modrm;
        // More specific encodings are tried first.
        let rank = u32::from(enc.exact.is_none()) * 8
            + u32::from(matches!(enc.prefix, "Any" | "NoRep")) * 4
            + u32::from(enc.digit.is_none()) * 2
            + u32::from(!row.rexb0 && !enc.w1);
        for n in 0..enc.span {
            maps[enc.map]
                .entry(enc.opcode + n)
                .or_default()
                .push((rank, index));
        }
        if !row.cpuid.is_empty() {
            features.insert(row.cpuid.clone());
        }
        let mut operands = String::new();
        for i in 0..3 {
            let (c, w) = ops.get(i).map_or(("None", "None"), |o| (o.0.as_str(), o.1));
            let _ = write!(
                operands,
                "Operand {{ class: Class::{c}, width: Width::{w} }}, "
            );
        }
        let faults: Vec<_> = row.fault.split_whitespace().collect();
        let _ = writeln!(
            out,
            "Form {{ mnemonic: {mnemonic:?}, asm: {:?}, encoding: {:?}, operands: [{operands}], prefix: Prefix::{}, modrm: {modrm}, digit: {:?}, \
             exact: {:?}, exact_mask: {}, vex: {}, w1: {}, skip: {}, rexb0: {}, reads: {}, writes: {}, undefined: {}, only: Only::{}, osz: OperandSize::{}, lock: {}, \
             ends: {}, privilege: {:?}, sensitive: {:?}, feature: {:?}, faults: &{faults:?} }},",
            row.asm,
            row.enc,
            enc.prefix,
            enc.digit,
            enc.exact,
            enc.exact_mask,
            enc.vex,
            enc.w1,
            row.skip,
            row.rexb0,
            flags(&row.r),
            flags(&row.w),
            flags(&row.u),
            match row.only.as_str() {
                "" => "Any",
                "64" => "Mode64",
                "32" => "Not64",
                other => panic!("unknown mode '{other}'"),
            },
            match row.osz.as_str() {
                "" => "Normal",
                "d64" => "Default64",
                "f64" => "Force64",
                other => panic!("unknown osz '{other}'"),
            },
            row.lock,
            row.ends,
            row.privileged,
            row.sens,
            row.cpuid,
        );
        match (&row.sem, &row.run) {
            (Some(_), None) => {}
            (None, Some(run)) => {
                helpers.insert((run.clone(), helper_kind(row)));
            }
            _ => panic!("'{}' needs either sem or run", row.asm),
        }
    }
    out.push_str("];\n\n");

    let mut candidates = Vec::new();
    let mut ranges = String::new();
    for map in &mut maps {
        ranges.push('[');
        for opcode in 0..=255u8 {
            let start = candidates.len();
            if let Some(list) = map.get_mut(&opcode) {
                list.sort_unstable();
                candidates.extend(list.iter().map(|&(_, i)| i));
            }
            let _ = write!(ranges, "({start}, {}), ", candidates.len() - start);
        }
        ranges.push_str("],\n");
    }
    let _ = writeln!(
        out,
        "/// Forms of each opcode, the more specific first.\npub static CANDIDATES: [u16; {}] = {candidates:?};",
        candidates.len()
    );
    let _ = writeln!(
        out,
        "/// Range of [`CANDIDATES`] (start, count) of each opcode in the maps 0 (one byte), 1 (0F), 2 (0F 38), 3 (0F 3A), 4 (VEX 0F 38), 5 (VEX 0F 3A).\npub static MAPS: [[(u16, u8); 256]; 6] = [{ranges}];"
    );
    let _ = writeln!(
        out,
        "/// Names of all features that some form needs.\npub static FEATURES: &[&str] = &{features:?};",
        features = features.iter().collect::<Vec<_>>()
    );
    let dest = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("isa.rs");
    fs::write(dest, out).expect("writable OUT_DIR");

    let mut out = String::new();
    for (run, kind) in &helpers {
        let _ = writeln!(out, "{kind}_helper!(h_{run}_{kind}, helpers::{run});");
    }
    let _ = writeln!(out, "pub(crate) static SELECT: [Select; {count}] = [");
    for row in &rows {
        if let Some(run) = &row.run {
            let _ = writeln!(out, "Select::helper(h_{run}_{}),", helper_kind(row));
            continue;
        }
        let sem = row.sem.as_deref().expect("checked above");
        let args = row.asm.rsplit_once(' ').map_or("", |a| a.1);
        let ops: Vec<_> = args
            .split(',')
            .filter(|a| !a.is_empty())
            .map(operand)
            .collect();
        let (reg, mem) = kinds(&ops);
        let condition = condition(sem);
        let make = match sem {
            _ if condition.is_some() || BRANCHES.contains(&sem) => "branch",
            _ if QUIET.contains(&sem) => "quiet",
            _ => "straight",
        };
        let mut more = String::new();
        if let Some(row) = LEADS.iter().position(|l| *l == sem) {
            let _ = write!(more, ".leads({})", row + 1);
        }
        if let Some(condition) = condition {
            let _ = write!(more, ".condition({condition})");
        }
        let _ = writeln!(
            out,
            "Select::{make}::<sem::{}, {{ kind::{reg} }}, {{ kind::{mem} }}>(){more},",
            camel(sem)
        );
    }
    out.push_str("];\n");
    let dest = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("select.rs");
    fs::write(dest, out).expect("writable OUT_DIR");
}
