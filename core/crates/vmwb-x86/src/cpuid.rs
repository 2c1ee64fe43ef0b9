//! Processor models and CPUID. What a model announces is there in full; what it does not raises #UD.
//! Source: SDM volume 2, CPUID; AMD64 manual volume 3, appendix E.
//!
//! A model is one row of [`TABLE`]: a real processor's signature with the features that this core has of it. Where there
//! is a choice, the signature is that of the processor for which systems need the fewest work-arounds.

use crate::vcpu::CpuConfig;

/// Processor models that can be chosen, the default first.
pub const MODELS: &[&str] = &[
    "x86-64-v1",
    "486",
    "pentium",
    "pentium3",
    "core2",
    "x86-64-v2",
    "max",
];

/// How a model describes its caches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caches {
    /// Not at all.
    None,
    /// Leaf 2 (EAX, EBX, ECX, EDX), and leaf 4 without its end.
    Intel([u32; 4], &'static [[u32; 4]]),
    /// Leaves 8000_0005h and 8000_0006h.
    Amd([u32; 4], [u32; 4]),
}

/// One processor model.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    vendor: [u8; 12],
    /// Family, model, stepping as leaf 1 gives them.
    pub(crate) signature: u32,
    /// Brand index of leaf 1, for processors without a brand string.
    brand_index: u32,
    max_basic: u32,
    /// Highest extended leaf; 0 without any.
    max_extended: u32,
    /// Whether it says that it runs under a hypervisor; the first processors have no such bit.
    hypervisor: bool,
    /// Bits of a physical address.
    pub phys_bits: u32,
    caches: Caches,
    features: &'static [&'static [&'static str]],
    /// EBX of leaf 8000_0008h, EAX and ECX of leaf 8000_0021h.
    immunities: [u32; 3],
}

impl Model {
    /// Whether it is one of AMD's: where the manuals differ it follows theirs.
    #[must_use]
    pub fn is_amd(&self) -> bool {
        self.vendor == AMD
    }

    /// Processors of the machine that are cores of one package. Models from before the first with several cores have a
    /// package each.
    fn cores(&self, config: &CpuConfig) -> u32 {
        if self.max_extended >= 0x8000_0008 {
            u32::from(config.processors.max(1))
        } else {
            1
        }
    }

    /// A leaf 4 of this machine: cores of the package, and how many share the cache; those of level 1 are private.
    fn shared(&self, config: &CpuConfig, mut leaf: Leaf) -> Leaf {
        let most = self.cores(config).next_power_of_two() - 1;
        let sharing = if leaf[0] >> 5 & 7 > 1 { most } else { 0 };
        leaf[0] |= most << 26 | sharing << 14;
        leaf
    }

    /// Last-branch records that it keeps: a stack of four since the Core family, one in P6 and AMD's processors, none
    /// before (SDM volume 3, table 17-4).
    #[must_use]
    pub(crate) fn branch_records(&self) -> u8 {
        match (self.is_amd(), self.family(), self.signature >> 4 & 15) {
            (false, 6, 15) => 4,
            (true, _, _) | (false, 6, _) => 1,
            _ => 0,
        }
    }

    /// Performance counters of a model that has RDPMC: AMD's have four, Intel's two (SDM volume 2, RDPMC).
    #[must_use]
    pub(crate) fn performance_counters(&self) -> u64 {
        if self.is_amd() { 4 } else { 2 }
    }

    /// Whether it has IA32_MISC_ENABLE: Intel's processors since the Pentium M (SDM volume 4).
    #[must_use]
    pub(crate) fn has_misc_enable(&self) -> bool {
        !self.is_amd() && self.family() == 6 && self.signature >> 4 & 15 >= 13
    }

    /// Its family, the extended one included.
    #[must_use]
    pub fn family(&self) -> u32 {
        let family = self.signature >> 8 & 15;
        family
            + if family == 15 {
                self.signature >> 20 & 0xFF
            } else {
                0
            }
    }
}

const INTEL: [u8; 12] = *b"GenuineIntel";
const AMD: [u8; 12] = *b"AuthenticAMD";

/// 64 KiB of L1 in 2 ways and 512 KiB of L2 in 16, 64-byte lines; TLBs of 32 and 512 entries.
const K8_CACHES: Caches = Caches::Amd(
    [0xFF08_FF08, 0xFF20_FF20, 0x4002_0140, 0x4002_0140],
    [0, 0x4200_4200, 0x0200_8140, 0],
);
/// 32 KiB of L1 in 8 ways, 512 KiB of L2 in 8 ways; TLBs of 64 and 2048 entries.
const ZEN_CACHES: Caches = Caches::Amd(
    [0xFF40_FF40, 0xFF40_FF40, 0x2008_0140, 0x2008_0140],
    [0x5800_6800, 0x6800_6800, 0x0200_6140, 0],
);

const F_486: &[&str] = &["fpu"];
const F_VME: &[&str] = &["vme"];
const F_PENTIUM: &[&str] = &[
    "de", "pse", "tsc", "msr", "mce", "cx8", "apic", "mmx", "rdpmc",
];
const F_PENTIUM3: &[&str] = &[
    "pae", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36", "fxsr", "sse", "nopl",
];
const F_64: &[&str] = &[
    "clfsh", "sse2", "sse3", "syscall", "nx", "lm", "cx16", "lahf64",
];
const F_V2: &[&str] = &["ssse3", "sse4_1", "sse4_2", "popcnt", "x2apic"];
const F_MAX: &[&str] = &[
    "pclmul",
    "movbe",
    "aes",
    "xsave",
    "xsaveopt",
    "rdrand",
    "fsgsbase",
    "bmi1",
    "bmi2",
    "erms",
    "rdseed",
    "adx",
    "sha",
    "abm",
    "prefetchw",
    "smep",
    "smap",
    "umip",
    "pcid",
    "invpcid",
    "pdpe1gb",
    "tsc_deadline",
];
const F_RDTSCP: &[&str] = &["rdtscp"];

/// XSAVEERPTR (FXSAVE always saves the error pointers), SSB_NO, BTC_NO; LFENCE serializes, SRSO_NO, SRSO_USER_KERNEL_NO;
/// TSA_SQ_NO, TSA_L1_NO: nothing here is executed speculatively, so that systems can leave their work-arounds out.
const NOT_SPECULATIVE: [u32; 3] = [
    1 << 2 | 1 << 26 | 1 << 29,
    1 << 2 | 1 << 29 | 1 << 30,
    1 << 1 | 1 << 2,
];

static TABLE: [Model; 7] = [
    // Family 0Fh, model 6Bh, stepping 1: a K8 processor, as the first x86-64 machines had. AMD's K8 needs none of the
    // work-arounds for speculative execution that kernels slow later processors down with.
    Model {
        name: "x86-64-v1",
        vendor: AMD,
        signature: 0x0006_0FB1,
        brand_index: 0,
        max_basic: 1,
        max_extended: 0x8000_0008,
        hypervisor: true,
        phys_bits: crate::mmu::PHYS_BITS,
        caches: K8_CACHES,
        features: &[F_486, F_PENTIUM, F_PENTIUM3, F_64, F_RDTSCP],
        immunities: [0; 3],
    },
    // The write-back enhanced DX4, the last 486 of Intel's and one of those with CPUID.
    Model {
        name: "486",
        vendor: INTEL,
        signature: 0x0000_0480,
        brand_index: 0,
        max_basic: 1,
        max_extended: 0,
        hypervisor: false,
        phys_bits: 32,
        caches: Caches::None,
        features: &[F_486, F_VME],
        immunities: [0; 3],
    },
    // P55C, the Pentium with MMX.
    Model {
        name: "pentium",
        vendor: INTEL,
        signature: 0x0000_0543,
        brand_index: 0,
        max_basic: 1,
        max_extended: 0,
        hypervisor: false,
        phys_bits: 32,
        caches: Caches::None,
        features: &[F_486, F_VME, F_PENTIUM],
        immunities: [0; 3],
    },
    // Coppermine, stepping D0: 16 KiB of L1 each, 256 KiB of L2.
    Model {
        name: "pentium3",
        vendor: INTEL,
        signature: 0x0000_068A,
        brand_index: 2,
        max_basic: 2,
        max_extended: 0,
        hypervisor: true,
        phys_bits: 36,
        caches: Caches::Intel([0x0302_0101, 0, 0, 0x0C04_0882], &[]),
        features: &[F_486, F_VME, F_PENTIUM, F_PENTIUM3],
        immunities: [0; 3],
    },
    // Conroe, stepping G0: 32 KiB of L1 each in 8 ways, 4 MiB of L2 in 16.
    Model {
        name: "core2",
        vendor: INTEL,
        signature: 0x0000_06FB,
        brand_index: 0,
        max_basic: 10,
        max_extended: 0x8000_0008,
        hypervisor: true,
        phys_bits: 36,
        caches: Caches::Intel(
            [0x05B0_B101, 0x0056_57F0, 0, 0x2CB4_3049],
            &[
                [0x121, 0x01C0_003F, 63, 1],
                [0x122, 0x01C0_003F, 63, 1],
                [0x143, 0x03C0_003F, 4095, 1],
            ],
        ),
        features: &[F_486, F_VME, F_PENTIUM, F_PENTIUM3, F_64, &["ssse3"]],
        immunities: [0; 3],
    },
    // Family 19h, model 21h: of the processors with these features, those of this family let a kernel leave out most,
    // by features that tell what they are immune to.
    Model {
        name: "x86-64-v2",
        vendor: AMD,
        signature: 0x00A2_0F12,
        brand_index: 0,
        max_basic: 7,
        max_extended: 0x8000_0021,
        hypervisor: true,
        phys_bits: crate::mmu::PHYS_BITS,
        caches: ZEN_CACHES,
        features: &[F_486, F_VME, F_PENTIUM, F_PENTIUM3, F_64, F_RDTSCP, F_V2],
        immunities: NOT_SPECULATIVE,
    },
    // The same with all that this core has.
    Model {
        name: "max",
        vendor: AMD,
        signature: 0x00A2_0F12,
        brand_index: 0,
        max_basic: 13,
        max_extended: 0x8000_0021,
        hypervisor: true,
        phys_bits: crate::mmu::PHYS_BITS,
        caches: ZEN_CACHES,
        features: &[
            F_486, F_VME, F_PENTIUM, F_PENTIUM3, F_64, F_RDTSCP, F_V2, F_MAX,
        ],
        immunities: NOT_SPECULATIVE,
    },
];

/// Where CPUID announces a feature: leaf, register (0 EAX to 3 EDX), bit. Names that are not here are announced by the
/// family alone.
const BITS: &[(&str, u32, usize, u32)] = &[
    ("fpu", 1, 3, 0),
    ("vme", 1, 3, 1),
    ("de", 1, 3, 2),
    ("pse", 1, 3, 3),
    ("tsc", 1, 3, 4),
    ("msr", 1, 3, 5),
    ("pae", 1, 3, 6),
    ("mce", 1, 3, 7),
    ("cx8", 1, 3, 8),
    ("apic", 1, 3, 9),
    ("sep", 1, 3, 11),
    ("mtrr", 1, 3, 12),
    ("pge", 1, 3, 13),
    ("mca", 1, 3, 14),
    ("cmov", 1, 3, 15),
    ("pat", 1, 3, 16),
    ("pse36", 1, 3, 17),
    ("clfsh", 1, 3, 19),
    ("mmx", 1, 3, 23),
    ("fxsr", 1, 3, 24),
    ("sse", 1, 3, 25),
    ("sse2", 1, 3, 26),
    ("sse3", 1, 2, 0),
    ("pclmul", 1, 2, 1),
    ("monitor", 1, 2, 3),
    ("ssse3", 1, 2, 9),
    ("cx16", 1, 2, 13),
    ("pcid", 1, 2, 17),
    ("sse4_1", 1, 2, 19),
    ("sse4_2", 1, 2, 20),
    ("x2apic", 1, 2, 21),
    ("movbe", 1, 2, 22),
    ("popcnt", 1, 2, 23),
    ("tsc_deadline", 1, 2, 24),
    ("aes", 1, 2, 25),
    ("xsave", 1, 2, 26),
    ("rdrand", 1, 2, 30),
    ("fsgsbase", 7, 1, 0),
    ("bmi1", 7, 1, 3),
    ("smep", 7, 1, 7),
    ("bmi2", 7, 1, 8),
    ("erms", 7, 1, 9),
    ("invpcid", 7, 1, 10),
    ("rdseed", 7, 1, 18),
    ("adx", 7, 1, 19),
    ("smap", 7, 1, 20),
    ("sha", 7, 1, 29),
    ("umip", 7, 2, 2),
    ("syscall", 0x8000_0001, 3, 11),
    ("nx", 0x8000_0001, 3, 20),
    ("pdpe1gb", 0x8000_0001, 3, 26),
    ("rdtscp", 0x8000_0001, 3, 27),
    ("lm", 0x8000_0001, 3, 29),
    ("lahf64", 0x8000_0001, 2, 0),
    ("abm", 0x8000_0001, 2, 5),
    ("prefetchw", 0x8000_0001, 2, 8),
];

/// Features that the family alone announces, or a leaf of their own.
#[cfg(test)]
const WITHOUT_BIT: &[&str] = &["nopl", "rdpmc", "xsaveopt"];

/// Bits of leaf 1's EDX that AMD repeats in leaf 8000_0001h: all but SEP, CLFSH, SSE and SSE2.
const AMD_REPEATS: u32 = !(1 << 11 | 1 << 19 | 1 << 25 | 1 << 26);

const APIC_BIT: u32 = 1 << 9;
/// The package has several logical processors.
const HTT_BIT: u32 = 1 << 28;
/// They are cores, whatever HTT says.
const CMP_LEGACY_BIT: u32 = 1 << 1;
const OSXSAVE_BIT: u32 = 1 << 27;
const HYPERVISOR_BIT: u32 = 1 << 31;

/// The features of one model, by the names that the instruction table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    model: &'static Model,
}

impl Features {
    /// Features of a model; `None` for a name that is not in [`MODELS`].
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        let model = TABLE.iter().find(|m| m.name == model)?;
        Some(Self { model })
    }

    /// Whether the feature is announced; the empty name stands for the base set. It searches a list of some seventy
    /// names: ask where something is set up, not where it runs.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        name.is_empty()
            || self
                .model
                .features
                .iter()
                .any(|group| group.contains(&name))
    }

    /// The model.
    #[must_use]
    pub fn model(self) -> &'static Model {
        self.model
    }
}

/// EAX, EBX, ECX, EDX.
pub type Leaf = [u32; 4];

/// What CPUID is asked, and what of the processor's state shows in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// EAX.
    pub function: u32,
    /// ECX.
    pub index: u32,
    /// The local APIC is enabled in IA32_APIC_BASE.
    pub apic_enabled: bool,
    /// CR4.OSXSAVE.
    pub osxsave: bool,
    /// XCR0.
    pub xcr0: u64,
    /// Number of the local APIC.
    pub apic_id: u32,
}

fn word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
}

fn vendor_leaf(max: u32, vendor: &[u8; 12]) -> Leaf {
    [max, word(vendor), word(&vendor[8..]), word(&vendor[4..])]
}

/// The feature bits of a leaf.
fn announced(features: Features, leaf: u32) -> Leaf {
    let mut out = [0; 4];
    for &(name, of, register, bit) in BITS {
        if of == leaf && features.has(name) {
            out[register] |= 1 << bit;
        }
    }
    out
}

/// Signature and feature flags of a model (EAX and EDX of leaf 1), as tables for systems repeat them; zeros for a model
/// that is not known or has no CPUID.
#[must_use]
pub fn identity(model: &str) -> (u32, u32) {
    Features::of(model).map_or((0, 0), |features| {
        (features.model.signature, announced(features, 1)[3])
    })
}

/// One leaf.
#[must_use]
pub fn leaf(config: &CpuConfig, features: Features, query: Query) -> Leaf {
    let m = features.model;
    let function = match query.function {
        0x4000_0000 if m.hypervisor => {
            return vendor_leaf(0x4000_0000, b"VMWorkbench ");
        }
        f if f <= m.max_basic => f,
        f if f >= 0x8000_0000 && f <= m.max_extended => f,
        // Beyond the highest leaf Intel's processors answer with the highest basic one, AMD's with zeros.
        _ if m.vendor == INTEL => m.max_basic,
        _ => return [0; 4],
    };
    match function {
        0 => vendor_leaf(m.max_basic, &m.vendor),
        1 => {
            let mut out = announced(features, 1);
            out[0] = m.signature;
            let flush_line = if features.has("clfsh") { 8 << 8 } else { 0 };
            let cores = m.cores(config);
            let count = if features.has("mmx") { cores << 16 } else { 0 };
            out[1] = query.apic_id << 24 | count | flush_line | m.brand_index;
            if cores > 1 {
                out[3] |= HTT_BIT;
            }
            if m.hypervisor {
                out[2] |= HYPERVISOR_BIT;
            }
            if query.osxsave && features.has("xsave") {
                out[2] |= OSXSAVE_BIT;
            }
            if !query.apic_enabled {
                out[3] &= !APIC_BIT;
            }
            out
        }
        2 | 4 => match (m.caches, function) {
            (Caches::Intel(descriptors, _), 2) => descriptors,
            (Caches::Intel(_, list), _) => {
                let cache = list.get(query.index as usize).copied();
                cache.map_or([0; 4], |leaf| m.shared(config, leaf))
            }
            _ => [0; 4],
        },
        7 if query.index == 0 => announced(features, 7),
        11 => topology(m.cores(config), query),
        13 if features.has("xsave") => extended_state(features, query),
        0x8000_0000 if m.vendor == AMD => vendor_leaf(m.max_extended, &m.vendor),
        0x8000_0000 => [m.max_extended, 0, 0, 0],
        0x8000_0001 => {
            let mut out = announced(features, function);
            if m.vendor == AMD {
                let basic = leaf(
                    config,
                    features,
                    Query {
                        function: 1,
                        ..query
                    },
                );
                out[0] = m.signature;
                out[3] |= basic[3] & AMD_REPEATS;
                if m.cores(config) > 1 {
                    out[2] |= CMP_LEGACY_BIT;
                }
            }
            out
        }
        0x8000_0002..=0x8000_0004 => brand(config, function),
        0x8000_0005 | 0x8000_0006 => match (m.caches, function) {
            (Caches::Amd(l1, _), 0x8000_0005) => l1,
            (Caches::Amd(_, l2), _) => l2,
            // L2 of Intel's processors: 4 MiB, 16 ways, 64-byte lines.
            (_, 0x8000_0006) => [0, 0, 0x1000_8040, 0],
            _ => [0; 4],
        },
        // The time-stamp counter runs at a constant rate in all states.
        0x8000_0007 => [0, 0, 0, 1 << 8],
        0x8000_0008 => {
            let cores = if m.is_amd() { m.cores(config) } else { 1 };
            let sizes = id_bits(cores) << 12 | (cores - 1);
            [m.phys_bits | 48 << 8, m.immunities[0], sizes, 0]
        }
        0x8000_0021 => [m.immunities[1], 0, m.immunities[2], 0],
        _ => [0; 4],
    }
}

/// Bits of an APIC id that number the cores of a package.
fn id_bits(cores: u32) -> u32 {
    cores.next_power_of_two().trailing_zeros()
}

/// Leaf 11: levels of the topology: one thread a core, so many cores a package.
fn topology(cores: u32, query: Query) -> Leaf {
    const THREADS: u32 = 1;
    const CORES: u32 = 2;
    let level = |kind: u32| kind << 8 | query.index;
    match query.index {
        0 => [0, 1, level(THREADS), query.apic_id],
        1 => [id_bits(cores), cores, level(CORES), query.apic_id],
        n => [0, 0, n & 0xFF, query.apic_id],
    }
}

/// Leaf 13: state components of XSAVE.
fn extended_state(features: Features, query: Query) -> Leaf {
    use crate::exec::helpers::{AREA_BYTES, component};
    match query.index {
        // Both components lie in the legacy region: the size does not depend on XCR0.
        0 => [component::ALL as u32, AREA_BYTES, AREA_BYTES, 0],
        1 => [u32::from(features.has("xsaveopt")), 0, 0, 0],
        _ => [0; 4],
    }
}

fn brand(config: &CpuConfig, function: u32) -> Leaf {
    let mut name = [0u8; 48];
    let brand = format!("VM Workbench {}", config.model);
    let n = brand.len().min(47);
    name[..n].copy_from_slice(&brand.as_bytes()[..n]);
    let at = (function as usize - 0x8000_0002) * 16;
    std::array::from_fn(|i| word(&name[at + 4 * i..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::FEATURES;

    fn ask(model: &str, function: u32, index: u32) -> Leaf {
        let config = CpuConfig {
            model: model.to_owned(),
            ..CpuConfig::default()
        };
        ask_of(&config, 0, function, index)
    }

    fn ask_of(config: &CpuConfig, apic_id: u32, function: u32, index: u32) -> Leaf {
        let query = Query {
            function,
            index,
            apic_enabled: true,
            osxsave: true,
            xcr0: 3,
            apic_id,
        };
        leaf(config, Features::of(&config.model).unwrap(), query)
    }

    #[test]
    fn every_feature_has_a_bit_or_is_known_to_have_none() {
        let known = |f: &str| BITS.iter().any(|b| b.0 == f) || WITHOUT_BIT.contains(&f);
        assert!(
            TABLE
                .iter()
                .flat_map(|m| m.features)
                .flat_map(|g| *g)
                .all(|f| known(f))
        );
        let unknown: Vec<_> = FEATURES.iter().filter(|f| !known(f)).collect();
        assert_eq!(unknown, [&""; 0]);
    }

    #[test]
    fn table_and_list_of_names_agree() {
        assert!(TABLE.iter().map(|m| m.name).eq(MODELS.iter().copied()));
    }

    #[test]
    fn first_model_answers_as_it_always_did() {
        // Frozen: a state that was saved on it must find the same processor.
        assert_eq!(
            ask("x86-64-v1", 0, 0),
            [1, 0x6874_7541, 0x444D_4163, 0x6974_6E65]
        );
        assert_eq!(
            ask("x86-64-v1", 1, 0),
            [0x0006_0FB1, 0x0001_0800, 0x8000_2001, 0x078B_FBFD]
        );
        assert_eq!(
            ask("x86-64-v1", 0x8000_0001, 0),
            [0x0006_0FB1, 0, 1, 0x2993_FBFD]
        );
        assert_eq!(ask("x86-64-v1", 7, 0), [0; 4]);
    }

    #[test]
    fn second_level_announces_all_that_it_means() {
        // x86-64 psABI, table 3.1: CMPXCHG16B, LAHF-SAHF, POPCNT, SSE3, SSE4.1, SSE4.2, SSSE3.
        let f = Features::of("x86-64-v2").unwrap();
        let needed = [
            "cx16", "lahf64", "popcnt", "sse3", "sse4_1", "sse4_2", "ssse3",
        ];
        assert!(needed.iter().all(|n| f.has(n)));
        let ecx = ask("x86-64-v2", 1, 0)[2];
        assert_eq!(ecx & 0x0098_2201, 0x0098_2201);
    }

    #[test]
    fn leaves_beyond_the_highest_follow_the_vendor() {
        assert_eq!(ask("pentium3", 0x8000_0000, 0), ask("pentium3", 2, 0));
        assert_eq!(ask("x86-64-v2", 0x1000, 0), [0; 4]);
        assert_eq!(ask("486", 1, 0), [0x480, 0, 0, 3]);
    }

    #[test]
    fn families_are_those_of_the_processors() {
        let families = ["x86-64-v1", "486", "pentium", "pentium3", "max"]
            .map(|m| Features::of(m).unwrap().model().family());
        assert_eq!(families, [0x0F, 4, 5, 6, 0x19]);
    }

    #[test]
    fn osxsave_shows_what_the_system_has_set() {
        assert_ne!(ask("max", 1, 0)[2] & OSXSAVE_BIT, 0);
        assert_eq!(ask("x86-64-v2", 1, 0)[2] & OSXSAVE_BIT, 0);
        assert_eq!(ask("max", 13, 0), [3, 576, 576, 0]);
    }

    #[test]
    fn several_processors_are_cores_of_one_package_where_the_model_had_such() {
        let of = |model: &str| CpuConfig {
            model: model.to_owned(),
            number: 2,
            processors: 3,
            ..CpuConfig::default()
        };
        let amd = of("x86-64-v1");
        assert_eq!(ask_of(&amd, 2, 1, 0)[1], 0x0203_0800);
        assert_ne!(ask_of(&amd, 2, 1, 0)[3] & HTT_BIT, 0);
        assert_eq!(ask_of(&amd, 2, 0x8000_0001, 0)[2] & 2, 2);
        assert_eq!(ask_of(&amd, 2, 0x8000_0008, 0)[2], 0x2002);
        let intel = of("core2");
        // Level 1 private, level 2 of all: four ids each, as a power of two.
        assert_eq!(ask_of(&intel, 2, 4, 0)[0], 3 << 26 | 0x121);
        assert_eq!(ask_of(&intel, 2, 4, 2)[0], 3 << 26 | 3 << 14 | 0x143);
        let newest = of("max");
        assert_eq!(ask_of(&newest, 2, 11, 0), [0, 1, 0x100, 2]);
        assert_eq!(ask_of(&newest, 2, 11, 1), [2, 3, 0x201, 2]);
        assert_eq!(ask_of(&newest, 2, 11, 2), [0, 0, 2, 2]);
        let single = of("pentium3");
        assert_eq!(ask_of(&single, 2, 1, 0)[1], 0x0201_0002);
        assert_eq!(ask_of(&single, 2, 1, 0)[3] & HTT_BIT, 0);
    }

    #[test]
    fn brand_string_is_terminated() {
        assert_eq!(ask("x86-64-v1", 0x8000_0004, 0)[3] >> 24, 0);
    }
}
