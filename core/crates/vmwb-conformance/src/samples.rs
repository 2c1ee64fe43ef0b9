//! How much a test does: a sample by default, as much as the environment asks for in a soak.

use std::env;

/// `VMWB_SAMPLES` when it is set, else `default`.
///
/// # Panics
/// When it is set to something that is no number.
#[must_use]
pub fn samples(default: u64) -> u64 {
    number("VMWB_SAMPLES").unwrap_or(default)
}

/// First seed: `VMWB_SEED`, else 1. A failure prints the seed that repeats it.
///
/// # Panics
/// When it is set to something that is no number.
#[must_use]
pub fn first_seed() -> u64 {
    number("VMWB_SEED").unwrap_or(1)
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}
