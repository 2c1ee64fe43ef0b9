//! Cached traces against one instruction at a time, over random programs in each mode.
//!
//! `VMWB_SEED=n VMWB_SAMPLES=1` repeats the program that a failure names.

use std::sync::Arc;

use vmwb_conformance::bus::TestBus;
use vmwb_conformance::image::{Image, set_registers};
use vmwb_conformance::lockstep::{Agreement, Pace, Plan, Side, run};
use vmwb_conformance::program::{self, MODES, Mode};
use vmwb_conformance::samples::{first_seed, samples};
use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::{CpuConfig, Interpreter, Vcpu};

/// Programs for each mode.
const PROGRAMS: u64 = 40;
const INSTRUCTIONS: u64 = 20_000;

fn side(image: &Image, pace: Pace) -> Side<Interpreter> {
    let memory = Arc::new(GuestMemory::new(2 << 20).unwrap());
    for (at, bytes) in &image.memory {
        memory.write(GuestAddress(*at), &bytes.0).unwrap();
    }
    let config = CpuConfig {
        model: image.model.clone(),
        ..CpuConfig::default()
    };
    let mut cpu = Interpreter::new(Arc::clone(&memory), config).unwrap();
    cpu.reset();
    set_registers(&mut cpu, &image.registers);
    let bus = TestBus {
        keep: true,
        ..TestBus::default()
    };
    Side {
        cpu,
        memory,
        bus,
        pace,
    }
}

fn agree(mode: Mode, seed: u64) -> Agreement {
    let image = program::image(mode, seed);
    let (mut a, mut b) = (side(&image, Pace::Whole), side(&image, Pace::Single));
    let plan = Plan {
        seed,
        instructions: INSTRUCTIONS,
        longest: 3000,
        vectors: vec![0x20, 0x31, 0x42],
        memory: vec![(0, 0xA_0000)],
    };
    run(&mut a, &mut b, &plan).unwrap_or_else(|d| panic!("{mode:?} VMWB_SEED={seed}: {d}"))
}

#[test]
fn cached_traces_do_what_single_steps_do() {
    let mut sums = Vec::new();
    for mode in MODES {
        let all: Vec<_> = (0..samples(PROGRAMS))
            .map(|n| agree(mode, first_seed() + n))
            .collect();
        let instructions: u64 = all.iter().map(|a| a.instructions).sum();
        let stops: u64 = all.iter().map(|a| a.stops).sum();
        println!(
            "{mode:?}: {} programs, {instructions} instructions, {stops} stops",
            all.len()
        );
        sums.push((mode, instructions / all.len() as u64));
    }
    let short: Vec<_> = sums
        .iter()
        .filter(|(_, each)| *each < INSTRUCTIONS / 4)
        .collect();
    assert!(short.is_empty(), "programs end early: {short:?}");
}

#[test]
fn disagreement_is_found_and_named() {
    let image = program::image(Mode::Protected, 1);
    let (mut a, mut b) = (side(&image, Pace::Whole), side(&image, Pace::Single));
    b.cpu.cpu_mut().r[7] ^= 1;
    let plan = Plan {
        seed: 1,
        instructions: 1000,
        longest: 10,
        vectors: Vec::new(),
        memory: Vec::new(),
    };
    let found = run(&mut a, &mut b, &plan).unwrap_err();
    assert_eq!(found.agreed_at, 0);
    assert!(found.what.contains("gpr"), "{found}");
}
