//! Random hostile states: no panic, no run that does not come back, no growing memory. And a corpus of states that once
//! did harm, which stays.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use vmwb_conformance::hostile;
use vmwb_conformance::image::{Image, Machine};
use vmwb_conformance::samples::{first_seed, samples};

const STATES: u64 = 600;
/// Instructions that each state runs for.
const BUDGET: u64 = 3000;
/// No state may take longer: a hundred times what the slowest takes.
const PATIENCE: Duration = Duration::from_secs(5);

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn hostile_states_come_back_in_time_and_leave_no_memory_behind() {
    let mut machine = Machine::new("max").unwrap();
    let mut slowest = (Duration::ZERO, 0);
    let mut middle = 0;
    let count = samples(STATES);
    for n in 0..count {
        let seed = first_seed() + n;
        // Printed before, so that a crash is known by the last line.
        println!("VMWB_SEED={seed} VMWB_SAMPLES=1");
        let started = Instant::now();
        machine.run_hostile(&hostile::image(seed), BUDGET).unwrap();
        slowest = slowest.max((started.elapsed(), seed));
        if n == count / 2 {
            middle = resident_kib();
        }
    }
    assert!(
        slowest.0 < PATIENCE,
        "seed {} took {:?}",
        slowest.1,
        slowest.0
    );
    let grown = resident_kib().saturating_sub(middle);
    assert!(grown < 16 << 10, "{grown} KiB more than half way through");
}

#[test]
fn corpus_of_states_that_did_harm_does_none() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    let mut machine = Machine::new("max").unwrap();
    for name in names {
        let image: Image = serde_json::from_str(&fs::read_to_string(&name).unwrap()).unwrap();
        let started = Instant::now();
        machine.run_hostile(&image, BUDGET).unwrap();
        machine.run(&image).unwrap();
        assert!(started.elapsed() < PATIENCE, "{}", name.display());
    }
}
