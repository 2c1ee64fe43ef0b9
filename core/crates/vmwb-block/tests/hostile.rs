//! Images that want to do harm: whatever is in a file, it is refused with a sentence or opened, in bounded time and
//! memory, and nothing panics.

mod common;

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use common::*;
use proptest::prelude::*;
use vmwb_block::qcow2::{self, CreateOptions};
use vmwb_block::{Image, ImageFormat, Layer};

/// What a hostile image may cost (RELIABILITY: 5 s, 256 MiB).
const MOST_TIME: Duration = Duration::from_secs(5);
const MOST_KIB: u64 = 256 << 10;

fn corpus() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

/// Time that this thread has spent on a processor, whatever else the host does (proc(5)).
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Everything that can be done with a file that somebody gave us.
fn use_everything(bytes: Vec<u8>, seed: u64) {
    let file = SimFile::new(bytes);
    let started = busy();
    drop(qcow2::backing_name(&file));
    drop(qcow2::info(&file));
    drop(qcow2::check(&file));
    for read_only in [true, false] {
        for below in [None, Some(SimFile::new(vec![7; 5000]))] {
            let mut chain = vec![layer(ImageFormat::Qcow2, &file)];
            chain.extend(below.iter().map(|below| layer(ImageFormat::Raw, below)));
            if let Ok(mut image) = Image::open(chain, read_only) {
                use_image(&mut image, seed);
            }
        }
    }
    let repaired = qcow2::repair(&file);
    drop(qcow2::check(&file));
    if repaired.is_ok_and(|r| r.after.is_sound())
        && let Ok(mut image) = open(&file)
    {
        use_image(&mut image, seed);
    }
    let used = busy() - started;
    assert!(used < MOST_TIME, "{used:?}");
}

fn use_image(image: &mut Image, seed: u64) {
    let mut random = Random::new(seed);
    let sectors = (image.bytes() / SECTOR as u64).min(1 << 20);
    if sectors == 0 {
        return;
    }
    for _ in 0..30 {
        let failed = carry_out(image, &Op::random(&mut random, sectors)).err();
        let said = failed.map_or_else(|| "Well.".to_owned(), |error| error.to_string());
        assert!(said.ends_with('.'), "{said}");
    }
    drop(image.flush());
}

/// One change of an image.
#[derive(Debug, Clone)]
enum Mutation {
    Byte(usize, u8),
    Word(usize, u64),
    Cut(usize),
    Copy(usize, usize),
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let header_or_any = prop_oneof![0..112usize, 0..2048usize, 0..60_000usize];
    let word = prop_oneof![
        any::<u64>(),
        (0..64u32).prop_map(|bit| 1 << bit),
        (0..100u64).prop_map(|n| n * 512),
        (0..100u64).prop_map(|n| (n * 512) | (1 << 63)),
        Just(u64::MAX),
        Just(0),
    ];
    let one = prop_oneof![
        (header_or_any.clone(), any::<u8>()).prop_map(|(at, byte)| Mutation::Byte(at, byte)),
        (header_or_any.clone(), word).prop_map(|(at, word)| Mutation::Word(at & !7, word)),
        (0..60_000usize).prop_map(Mutation::Cut),
        (header_or_any.clone(), header_or_any)
            .prop_map(|(from, to)| Mutation::Copy(from & !7, to & !7)),
    ];
    proptest::collection::vec(one, 1..6)
}

fn mutate(bytes: &mut Vec<u8>, mutation: &Mutation) {
    let mut put = |at: usize, new: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + new.len()) {
            place.copy_from_slice(new);
        }
    };
    match *mutation {
        Mutation::Byte(at, byte) => put(at, &[byte]),
        Mutation::Word(at, word) => put(at, &word.to_be_bytes()),
        Mutation::Cut(len) => bytes.truncate(len.max(1)),
        Mutation::Copy(from, to) => {
            let word: Vec<u8> = bytes.iter().skip(from).take(8).copied().collect();
            if let Some(place) = bytes.get_mut(to..to + word.len()) {
                place.copy_from_slice(&word);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("VMWB_FUZZ_CASES").map_or(600, |n| n.parse().unwrap()),
        ..ProptestConfig::default()
    })]

    #[test]
    fn image_that_was_changed_anywhere_never_harms(
        image in 0..10usize,
        mutations in mutations(),
        seed in any::<u64>(),
    ) {
        let images = corpus();
        let mut bytes = images[image % images.len()].clone();
        for mutation in &mutations {
            mutate(&mut bytes, mutation);
        }
        use_everything(bytes, seed);
    }
}

#[test]
fn file_of_no_or_little_length_is_no_image() {
    for len in [0, 1, 4, 71, 104, 512] {
        let mut bytes = b"QFI\xfb\0\0\0\x03".to_vec();
        bytes.resize(len, 0);
        assert!(open(&SimFile::new(bytes.clone())).is_err());
        use_everything(bytes, 1);
    }
    assert_eq!(
        open(&SimFile::new(vec![0; 4096])).unwrap_err().code(),
        "wrong_format"
    );
}

/// The most memory that this process has had, in KiB (proc(5)).
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// An image with the longest L1 table there can be, whose entries all refer to tables in one hole of 8 TiB.
fn image_full_of_holes() -> File {
    const CLUSTER: u64 = 2 << 20;
    const ENTRIES: u64 = (32 << 20) / 8;
    let file = tempfile::tempfile().unwrap();
    let options = CreateOptions {
        cluster_bytes: CLUSTER,
        ..CreateOptions::default()
    };
    qcow2::create(&file, 1 << 40, &options).unwrap();
    let l1_at = 8 * CLUSTER;
    let tables_at = l1_at + (32 << 20);
    let l1: Vec<u8> = (0..ENTRIES)
        .flat_map(|n| ((tables_at + n * CLUSTER) | 1 << 63).to_be_bytes())
        .collect();
    file.set_len(tables_at + ENTRIES * CLUSTER).unwrap();
    file.write_all_at(&l1, l1_at).unwrap();
    file.write_all_at(&u32::try_from(ENTRIES).unwrap().to_be_bytes(), 36)
        .unwrap();
    file.write_all_at(&l1_at.to_be_bytes(), 40).unwrap();
    file
}

#[test]
fn huge_tables_full_of_holes_cost_little_time_and_memory() {
    let file = image_full_of_holes();
    let started = busy();
    let chain = vec![Layer {
        format: ImageFormat::Qcow2,
        file: Box::new(file.try_clone().unwrap()),
    }];
    let mut image = Image::open(chain, false).unwrap();
    image.read(0, 4 << 20, &mut vec![]).unwrap();
    drop(image);
    drop(qcow2::check(&file));
    let used = busy() - started;
    assert!(used < MOST_TIME, "{used:?}");
    assert!(peak_kib() < MOST_KIB, "{} KiB", peak_kib());
}
