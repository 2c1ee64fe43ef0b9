//! CPUID leaves and the set of announced features. What is announced is implemented in full; what is not raises #UD.
//! Source: SDM volume 2, CPUID; AMD64 manual volume 3, appendix E.

use crate::vcpu::CpuConfig;

/// Processor models that can be chosen.
pub const MODELS: &[&str] = &["x86-64-v1"];

/// Announced features, by the names that the instruction table uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    names: &'static [&'static str],
}

/// x86-64-v1 with SSE3, CX16, LAHF and RDTSCP.
const X86_64_V1: &[&str] = &[
    "fpu", "tsc", "msr", "cx8", "sep", "cmov", "clfsh", "mmx", "fxsr", "sse", "sse2", "syscall",
    "cx16", "rdtscp", "sse3", "de", "pse", "pae", "mce", "apic", "mtrr", "pge", "mca", "pat",
    "pse36", "nx", "lm", "lahf64",
];

impl Features {
    /// Features of a model; `None` for a name that is not in [`MODELS`].
    #[must_use]
    pub fn of(model: &str) -> Option<Self> {
        (model == "x86-64-v1").then_some(Self { names: X86_64_V1 })
    }

    /// Whether the feature is announced; the empty name stands for the base set.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        name.is_empty() || self.names.contains(&name)
    }
}

/// EAX, EBX, ECX, EDX.
pub type Leaf = [u32; 4];

/// Family 15, model 6Bh, stepping 1: a K8 processor, as the first x86-64 machines had. AMD's K8 needs none of the
/// work-arounds for speculative execution that kernels slow later processors down with.
const SIGNATURE: u32 = 0x0006_0FB1;

/// Whether the model is one of AMD's: where the manuals differ it follows theirs.
pub(crate) fn is_amd(config: &CpuConfig) -> bool {
    leaf(config, 0, false, 0)[1] == text(b"Auth")
}

fn text(s: &[u8; 4]) -> u32 {
    u32::from_le_bytes(*s)
}

/// One leaf. `os_fxsr` etc. are not needed: no leaf of this model depends on CR4 but APIC presence.
#[must_use]
pub fn leaf(config: &CpuConfig, function: u32, apic_enabled: bool, apic_id: u32) -> Leaf {
    // FPU DE PSE TSC MSR PAE MCE CX8 - SEP MTRR PGE MCA CMOV PAT PSE36 - CLFSH MMX FXSR SSE SSE2; bit 9 is the APIC.
    const EDX1: u32 = 1
        | 1 << 2
        | 1 << 3
        | 1 << 4
        | 1 << 5
        | 1 << 6
        | 1 << 7
        | 1 << 8
        | 1 << 11
        | 1 << 12
        | 1 << 13
        | 1 << 14
        | 1 << 15
        | 1 << 16
        | 1 << 17
        | 1 << 19
        | 1 << 23
        | 1 << 24
        | 1 << 25
        | 1 << 26;
    // SSE3, CX16, and bit 31: running under a hypervisor.
    const ECX1: u32 = 1 | 1 << 13 | 1 << 31;
    // The extended leaf repeats most of EDX1 (not SEP, SSE, SSE2, CLFSH) and adds SYSCALL, NX, RDTSCP, LM.
    const EDX81: u32 =
        (EDX1 & !(1 << 11 | 1 << 19 | 1 << 25 | 1 << 26)) | 1 << 11 | 1 << 20 | 1 << 27 | 1 << 29;
    let apic = u32::from(apic_enabled) << 9;
    match function {
        0 => [1, text(b"Auth"), text(b"cAMD"), text(b"enti")],
        1 => [
            SIGNATURE,
            apic_id << 24 | 1 << 16 | 8 << 8,
            ECX1,
            EDX1 | apic,
        ],
        0x4000_0000 => [0x4000_0000, text(b"VMWo"), text(b"rkbe"), text(b"nch ")],
        0x8000_0000 => [0x8000_0008, text(b"Auth"), text(b"cAMD"), text(b"enti")],
        // LAHF in 64-bit mode.
        0x8000_0001 => [SIGNATURE, 0, 1, EDX81 | apic],
        0x8000_0002..=0x8000_0004 => {
            let mut name = [0u8; 48];
            let brand = format!("VM Workbench {}", config.model);
            let n = brand.len().min(47);
            name[..n].copy_from_slice(&brand.as_bytes()[..n]);
            let at = (function as usize - 0x8000_0002) * 16;
            std::array::from_fn(|i| {
                let p = at + 4 * i;
                u32::from_le_bytes([name[p], name[p + 1], name[p + 2], name[p + 3]])
            })
        }
        // L1: 64 KiB, 64-byte lines, 2-way; TLBs of 32 entries.
        0x8000_0005 => [0xFF08_FF08, 0xFF20_FF20, 0x4002_0140, 0x4002_0140],
        // L2: 512 KiB, 16-way.
        0x8000_0006 => [0, 0x4200_4200, 0x0200_8140, 0],
        // The time-stamp counter runs at a constant rate in all states.
        0x8000_0007 => [0, 0, 0, 1 << 8],
        0x8000_0008 => [crate::mmu::PHYS_BITS | 48 << 8, 0, 0, 0],
        _ => [0; 4],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::FEATURES;

    #[test]
    fn every_feature_of_the_model_is_known_to_the_table_or_to_cpuid_alone() {
        const NO_INSTRUCTION: [&str; 13] = [
            "cx16", "de", "pse", "pae", "mce", "apic", "mtrr", "pge", "mca", "pat", "pse36", "nx",
            "lm",
        ];
        assert!(
            X86_64_V1
                .iter()
                .all(|f| FEATURES.contains(f) || NO_INSTRUCTION.contains(f) || *f == "lahf64")
        );
    }

    #[test]
    fn brand_string_is_terminated() {
        let l = leaf(&CpuConfig::default(), 0x8000_0004, true, 0);
        assert_eq!(l[3] >> 24, 0);
    }
}
