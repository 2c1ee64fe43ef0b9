//! What every device must pass: one set of tests, applied to each by [`conformance!`].
//!
//! A device takes part by implementing [`Subject`]: how to build it, how to bring it into a state that differs from
//! power-on in every part, how to access it. The golden files under `tests/golden` hold the payload of exactly that
//! state: they are kept for ever, so a payload type that changes without a new version fails here.

use std::path::PathBuf;

use proptest::prelude::*;
use vmwb_hw::{AccessSize, Device, Payload, PioDevice, ResetKind, TimerId};

use crate::testbench::Bench;

/// One random access.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    pub offset: u16,
    pub size: AccessSize,
    pub value: u32,
    pub write: bool,
    /// Virtual time that passes before it, in nanoseconds.
    pub after_ns: u32,
}

/// A device under conformance test.
pub(crate) trait Subject {
    type Dev: Device;
    /// A device as the board would build it. Called with a fresh bench: timers come out in the same order each time.
    fn build(bench: &mut Bench) -> Self::Dev;
    /// Brings the device into a worked state, always the same.
    fn mutate(device: &mut Self::Dev, bench: &mut Bench);
    /// One access, inside or outside the decoded offsets; peeks as well.
    fn access(device: &mut Self::Dev, bench: &mut Bench, access: Access);
    /// One of the device's timers is due.
    fn deadline(device: &mut Self::Dev, bench: &mut Bench, timer: TimerId);
}

/// An access through ports, for [`Subject::access`].
pub(crate) fn pio_access(device: &mut dyn PioDevice, bench: &mut Bench, a: Access) {
    let peeked = device.pio_peek(bench.now, a.offset, a.size);
    assert_eq!(
        peeked,
        device.pio_peek(bench.now, a.offset, a.size),
        "peek has a side effect"
    );
    if a.write {
        device.pio_write(&mut bench.ctx(), a.offset, a.size, a.value);
    } else {
        let read = device.pio_read(&mut bench.ctx(), a.offset, a.size);
        assert_eq!(peeked, read, "peek and read differ at offset {}", a.offset);
    }
}

fn access_strategy() -> impl Strategy<Value = Access> {
    let size = prop_oneof![
        8 => Just(AccessSize::Byte),
        1 => Just(AccessSize::Word),
        1 => Just(AccessSize::Dword)
    ];
    let offset = prop_oneof![9 => 0u16..8, 1 => any::<u16>()];
    let after = prop_oneof![6 => 0u32..2_000, 3 => 0u32..100_000, 1 => 0u32..2_000_000_000];
    (offset, size, any::<u32>(), any::<bool>(), after).prop_map(
        |(offset, size, value, write, after_ns)| Access {
            offset,
            size,
            value,
            write,
            after_ns,
        },
    )
}

fn worked<S: Subject>() -> (Bench, S::Dev) {
    let mut bench = Bench::new();
    let mut device = S::build(&mut bench);
    S::mutate(&mut device, &mut bench);
    (bench, device)
}

fn restored<S: Subject>(payload: &Payload) -> (Bench, S::Dev) {
    let mut bench = Bench::new();
    let mut device = S::build(&mut bench);
    device
        .restore(&mut bench.ctx(), payload)
        .expect("a payload just saved is accepted");
    (bench, device)
}

pub(crate) fn worked_differs_from_power_on<S: Subject>() {
    let mut bench = Bench::new();
    let built = S::build(&mut bench).save().expect("saves");
    let (_, device) = worked::<S>();
    assert_ne!(
        device.save().expect("saves").bytes,
        built.bytes,
        "the worked state is no test"
    );
}

pub(crate) fn round_trip<S: Subject>() {
    let (_, device) = worked::<S>();
    let saved = device.save().expect("saves");
    let (_, copy) = restored::<S>(&saved);
    assert_eq!(copy.save().expect("saves"), saved);
}

pub(crate) fn mutate_then_restore<S: Subject>() {
    let mut bench = Bench::new();
    let mut device = S::build(&mut bench);
    let saved = device.save().expect("saves");
    S::mutate(&mut device, &mut bench);
    device.restore(&mut bench.ctx(), &saved).expect("restores");
    assert_eq!(device.save().expect("saves"), saved);
}

pub(crate) fn restore_rearms_timers<S: Subject>() {
    let (bench, device) = worked::<S>();
    let (copy, _) = restored::<S>(&device.save().expect("saves"));
    assert_eq!(copy.scheduler.next(), bench.scheduler.next());
}

pub(crate) fn restore_drives_no_line<S: Subject>() {
    let (_, device) = worked::<S>();
    let (mut copy, _) = restored::<S>(&device.save().expect("saves"));
    assert_eq!(copy.take_lines(), []);
}

pub(crate) fn power_on_reset<S: Subject>() {
    let (mut bench, mut device) = worked::<S>();
    let mut fresh = Bench::new();
    let built = S::build(&mut fresh).save().expect("saves");
    device.reset(&mut bench.ctx(), ResetKind::PowerOn);
    assert_eq!(device.save().expect("saves"), built);
    assert_eq!(
        bench.scheduler.next(),
        None,
        "a reset device has no deadline"
    );
}

pub(crate) fn reset_releases_lines<S: Subject>() {
    let (mut bench, mut device) = worked::<S>();
    device.reset(&mut bench.ctx(), ResetKind::Hard);
    let mut last = std::collections::BTreeMap::new();
    last.extend(bench.take_lines());
    assert!(
        last.values().all(|&level| !level),
        "a line stays asserted after reset: {last:?}"
    );
}

pub(crate) fn truncated_payload_is_refused<S: Subject>() {
    let saved = worked::<S>().1.save().expect("saves");
    for len in 0..saved.bytes.len() {
        let mut bench = Bench::new();
        let mut device = S::build(&mut bench);
        let cut = Payload {
            bytes: saved.bytes[..len].to_vec(),
            ..saved.clone()
        };
        assert!(
            device.restore(&mut bench.ctx(), &cut).is_err(),
            "cut at {len}"
        );
    }
}

pub(crate) fn other_version_or_kind_is_refused<S: Subject>() {
    let saved = worked::<S>().1.save().expect("saves");
    let mut bench = Bench::new();
    let mut device = S::build(&mut bench);
    let newer = Payload {
        version: saved.version + 1,
        ..saved.clone()
    };
    let other = Payload {
        kind: "other".to_owned(),
        ..saved
    };
    assert!(device.restore(&mut bench.ctx(), &newer).is_err());
    assert!(device.restore(&mut bench.ctx(), &other).is_err());
}

fn drive<S: Subject>(bench: &mut Bench, device: &mut S::Dev, accesses: &[Access]) {
    for &a in accesses {
        bench.now = bench.now.plus(u64::from(a.after_ns));
        // A guest may arm deadlines much denser than its accesses: a late machine delivers each timer once.
        while let Some(timer) = bench.scheduler.pop_due(bench.now) {
            S::deadline(device, bench, timer);
            let next = bench.scheduler.deadline(timer);
            assert!(
                next.is_none_or(|at| at > bench.now),
                "a served deadline lies in the past"
            );
        }
        S::access(device, bench, a);
    }
}

pub(crate) fn random_traffic<S: Subject>() {
    proptest!(|(accesses in prop::collection::vec(access_strategy(), 1..200))| {
        let mut bench = Bench::new();
        let mut device = S::build(&mut bench);
        drive::<S>(&mut bench, &mut device, &accesses);
        let saved = device.save().expect("saves");
        let (_, copy) = restored::<S>(&saved);
        prop_assert_eq!(copy.save().expect("saves"), saved);
    });
}

pub(crate) fn restored_copy_behaves_alike<S: Subject>() {
    let config = ProptestConfig {
        cases: 64,
        ..ProptestConfig::default()
    };
    let before = prop::collection::vec(access_strategy(), 1..60);
    let after = prop::collection::vec(access_strategy(), 1..60);
    proptest!(config, |(before in before, after in after)| {
        let mut bench = Bench::new();
        let mut device = S::build(&mut bench);
        drive::<S>(&mut bench, &mut device, &before);
        let mut copy_bench = Bench::new();
        let mut copy = S::build(&mut copy_bench);
        copy_bench.now = bench.now;
        copy_bench.copy_memory(&bench);
        copy.restore(&mut copy_bench.ctx(), &device.save().expect("saves")).expect("restores");
        let _ = bench.take_lines();
        drive::<S>(&mut bench, &mut device, &after);
        drive::<S>(&mut copy_bench, &mut copy, &after);
        prop_assert_eq!(copy.save().expect("saves"), device.save().expect("saves"));
        prop_assert_eq!(copy_bench.take_lines(), bench.take_lines());
        prop_assert_eq!(copy_bench.scheduler.next(), bench.scheduler.next());
    });
}

pub(crate) fn mutated_payload_never_panics<S: Subject>() {
    let saved = worked::<S>().1.save().expect("saves");
    let len = saved.bytes.len();
    let flips = prop::collection::vec((0..len, any::<u8>()), 1..6);
    let accesses = prop::collection::vec(access_strategy(), 0..40);
    proptest!(|(flips in flips, accesses in accesses)| {
        let mut bytes = saved.bytes.clone();
        for (at, value) in flips {
            bytes[at] = value;
        }
        let mut bench = Bench::new();
        let mut device = S::build(&mut bench);
        let payload = Payload { bytes, ..saved.clone() };
        if device.restore(&mut bench.ctx(), &payload).is_ok() {
            drive::<S>(&mut bench, &mut device, &accesses);
        }
    });
}

fn golden_path(payload: &Payload) -> PathBuf {
    let file = format!("{}-v{}.cbor", payload.kind, payload.version);
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
}

pub(crate) fn golden_payload<S: Subject>() {
    let saved = worked::<S>().1.save().expect("saves");
    let path = golden_path(&saved);
    let golden = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(
        saved.bytes,
        golden,
        "{} no longer holds what this build saves",
        path.display()
    );
    let (_, copy) = restored::<S>(&Payload {
        bytes: golden,
        ..saved.clone()
    });
    assert_eq!(copy.save().expect("saves"), saved);
}

/// Writes the golden file of a new payload version; an existing file is never replaced.
pub(crate) fn write_golden<S: Subject>() {
    let saved = worked::<S>().1.save().expect("saves");
    let path = golden_path(&saved);
    assert!(!path.exists(), "{} is kept for ever", path.display());
    std::fs::write(&path, &saved.bytes).expect("the golden file is written");
}

/// Applies every conformance test to one [`Subject`], in a module of its own.
macro_rules! conformance {
    ($module:ident, $subject:ty) => {
        mod $module {
            use super::*;
            use crate::conformance as c;

            #[test]
            fn worked_state_differs_from_power_on() {
                c::worked_differs_from_power_on::<$subject>();
            }
            #[test]
            fn saved_then_restored_saves_the_same() {
                c::round_trip::<$subject>();
            }
            #[test]
            fn mutated_then_restored_equals_the_saved() {
                c::mutate_then_restore::<$subject>();
            }
            #[test]
            fn restored_arms_the_same_deadlines() {
                c::restore_rearms_timers::<$subject>();
            }
            #[test]
            fn restored_drives_no_line() {
                c::restore_drives_no_line::<$subject>();
            }
            #[test]
            fn power_on_reset_gives_the_built_state() {
                c::power_on_reset::<$subject>();
            }
            #[test]
            fn hard_reset_releases_lines() {
                c::reset_releases_lines::<$subject>();
            }
            #[test]
            fn truncated_payload_is_refused() {
                c::truncated_payload_is_refused::<$subject>();
            }
            #[test]
            fn other_version_or_kind_is_refused() {
                c::other_version_or_kind_is_refused::<$subject>();
            }
            #[test]
            fn random_traffic_never_panics() {
                c::random_traffic::<$subject>();
            }
            #[test]
            fn restored_copy_behaves_alike() {
                c::restored_copy_behaves_alike::<$subject>();
            }
            #[test]
            fn mutated_payload_never_panics() {
                c::mutated_payload_never_panics::<$subject>();
            }
            #[test]
            fn golden_payload_is_still_written_and_read() {
                c::golden_payload::<$subject>();
            }
            #[test]
            #[ignore = "writes the golden file of a new payload version"]
            fn write_golden() {
                c::write_golden::<$subject>();
            }
        }
    };
}
pub(crate) use conformance;
