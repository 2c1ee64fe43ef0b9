//! Processor models: every instruction that a model does not announce raises #UD, and every one that it announces does
//! not, in 32-bit code.

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpuid::{Features, MODELS};
use vmwb_x86::{BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

#[path = "host/bus.rs"]
mod bus;

use bus::TestBus;

const CODE: u32 = 0x1000;

/// One instruction of each feature that 32-bit code can have, on registers only.
const INSTRUCTIONS: &[(&str, &[u8])] = &[
    ("tsc", &[0x0F, 0x31]),
    ("msr", &[0x0F, 0x32]),
    ("cx8", &[0x0F, 0xC7, 0x0D, 0, 0x20, 0, 0]),
    ("cmov", &[0x0F, 0x44, 0xC1]),
    ("nopl", &[0x0F, 0x1F, 0xC0]),
    ("mmx", &[0x0F, 0xEF, 0xC1]),
    ("fxsr", &[0x0F, 0xAE, 0x05, 0, 0x20, 0, 0]),
    ("sse", &[0x0F, 0x58, 0xC1]),
    ("sse2", &[0x66, 0x0F, 0x58, 0xC1]),
    ("sse3", &[0xF2, 0x0F, 0x7C, 0xC1]),
    ("ssse3", &[0x66, 0x0F, 0x38, 0, 0xC1]),
    ("sse4_1", &[0x66, 0x0F, 0x38, 0x17, 0xC1]),
    ("sse4_2", &[0x66, 0x0F, 0x38, 0x37, 0xC1]),
    ("popcnt", &[0xF3, 0x0F, 0xB8, 0xC1]),
    ("movbe", &[0x0F, 0x38, 0xF0, 0x05, 0, 0x20, 0, 0]),
    ("aes", &[0x66, 0x0F, 0x38, 0xDC, 0xC1]),
    ("pclmul", &[0x66, 0x0F, 0x3A, 0x44, 0xC1, 0]),
    ("sha", &[0x0F, 0x38, 0xC8, 0xC1]),
    ("adx", &[0x66, 0x0F, 0x38, 0xF6, 0xC1]),
    ("bmi1", &[0xC4, 0xE2, 0x70, 0xF2, 0xC3]),
    ("bmi2", &[0xC4, 0xE3, 0x7B, 0xF0, 0xC3, 1]),
    ("rdrand", &[0x0F, 0xC7, 0xF0]),
    ("rdseed", &[0x0F, 0xC7, 0xF8]),
    ("xsave", &[0x0F, 0xAE, 0x25, 0, 0x20, 0, 0]),
];

fn processor(model: &str, code: &[u8]) -> Interpreter {
    let memory = Arc::new(GuestMemory::new(2 << 20).unwrap());
    memory.write(GuestAddress(CODE.into()), code).unwrap();
    let config = CpuConfig {
        model: model.to_owned(),
        ..CpuConfig::default()
    };
    let mut cpu = Interpreter::new(memory, config).unwrap();
    cpu.set_boot_state(BootState::Protected32 {
        eip: CODE,
        esi: 0,
        ebx: 0,
        eax: 0,
        esp: 0x8000,
        gdt: (0x4000, 0x1F),
    });
    let c = cpu.cpu_mut();
    // OSFXSR, OSXMMEXCPT, OSXSAVE; ECX names the MSR of the time-stamp counter.
    c.cr4 |= 1 << 9 | 1 << 10 | 1 << 18;
    c.r[1] = 0x10;
    c.registers_changed();
    cpu
}

/// Whether the instruction runs: there is no IDT, so that an exception ends the run and names its vector.
fn runs(model: &str, code: &[u8]) -> bool {
    match processor(model, code).run(&mut TestBus::default(), 1) {
        Exit::Budget => true,
        Exit::Stopped(CpuStop::TripleFault { vector: 6, .. }) => false,
        other => panic!("{model} {code:02x?}: {other:?}"),
    }
}

#[test]
fn announced_instructions_run_and_hidden_ones_are_undefined() {
    let wrong: Vec<_> = MODELS
        .iter()
        .flat_map(|m| INSTRUCTIONS.iter().map(move |i| (m, i)))
        .filter(|(model, (feature, code))| {
            runs(model, code) != Features::of(model).unwrap().has(feature)
        })
        .map(|(model, (feature, _))| (*model, *feature))
        .collect();
    assert_eq!(wrong, []);
}

#[test]
fn count_of_zeros_is_a_scan_where_it_is_hidden() {
    // LZCNT EAX, ECX with ECX = 10h: 27 leading zeros, or bit 4.
    let result = |model| {
        let mut cpu = processor(model, &[0xF3, 0x0F, 0xBD, 0xC1]);
        assert_eq!(cpu.run(&mut TestBus::default(), 1), Exit::Budget);
        cpu.cpu().r[0]
    };
    assert_eq!((result("max"), result("x86-64-v2")), (27, 4));
}

#[test]
fn vex_prefix_in_real_mode_is_undefined() {
    let mut cpu = processor("max", &[0xC4, 0xE2, 0x70, 0xF2, 0xC3]);
    let c = cpu.cpu_mut();
    c.cr0 &= !1;
    c.registers_changed();
    let end = cpu.run(&mut TestBus::default(), 1);
    assert!(matches!(
        end,
        Exit::Stopped(CpuStop::TripleFault { vector: 6, .. })
    ));
}
