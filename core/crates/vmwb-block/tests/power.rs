//! Power cuts: a file keeps what was synced and a random part of what came later, torn at sectors. After each cut the
//! image is sound but for lost room, and every sector that was flushed reads back.
//!
//! `VMWB_POWER_CUTS` is the number of cuts (200 by default; the soak asks for more), `VMWB_POWER_SEED` the first seed.

mod common;

use std::env;

use common::*;
use vmwb_block::qcow2::{self, Backing, CreateOptions};
use vmwb_block::{Image, ImageFormat, Layer, OpenOptions};

const SECTORS: u64 = 1500;

/// What a sector may read as: what it was at the last flush, and what was written since.
#[derive(Debug, Clone)]
struct Allowed(Vec<Vec<u8>>);

#[derive(Debug)]
struct Medium(Vec<Allowed>);

impl Medium {
    fn new(content: &[u8]) -> Self {
        Self(
            content
                .chunks(SECTOR)
                .map(|sector| Allowed(vec![sector.to_vec()]))
                .collect(),
        )
    }

    fn note(&mut self, sector: usize, content: &[u8]) {
        self.0[sector].0.push(content.to_vec());
    }

    fn flushed(&mut self) {
        for sector in &mut self.0 {
            let last = sector.0.pop().unwrap();
            sector.0 = vec![last];
        }
    }

    fn assert_allows(&self, content: &[u8], seed: u64) {
        for (number, (allowed, now)) in self.0.iter().zip(content.chunks(SECTOR)).enumerate() {
            assert!(
                allowed.0.iter().any(|one| one == now),
                "seed {seed}: sector {number} has lost what was flushed"
            );
        }
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

fn chain(file: &SimFile, below: Option<&SimFile>) -> Vec<Layer> {
    let mut chain = vec![layer(ImageFormat::Qcow2, file)];
    chain.extend(below.map(|below| layer(ImageFormat::Raw, below)));
    chain
}

/// Carries out random requests until the power fails, and notes what the medium may be then.
fn use_image(image: &mut Image, random: &mut Random, medium: &mut Medium) {
    for _ in 0..random.below(120) {
        let op = Op::random(random, SECTORS);
        let range = changed(&op);
        let wanted = match op {
            Op::Write {
                sector,
                sectors,
                fill,
            } => data(sector, sectors, fill),
            _ => vec![0; range.len() * SECTOR],
        };
        // Each sector may have arrived when the request fails, and may not.
        for (sector, content) in range.clone().zip(wanted.chunks(SECTOR)) {
            medium.note(sector, content);
        }
        if carry_out(image, &op).is_err() {
            return;
        }
        let mut now = vec![];
        let (from, len) = ((range.start * SECTOR) as u64, range.len() * SECTOR);
        image.read(from, len, &mut now).unwrap();
        for (sector, content) in range.zip(now.chunks(SECTOR)) {
            medium.note(sector, content);
        }
        if matches!(op, Op::Flush) {
            medium.flushed();
        }
    }
}

/// One life of an image: requests, power cut in the middle of one, and again with what is left.
fn lose_power(seed: u64) {
    let mut random = Random::new(seed);
    let layouts = layouts();
    let mut options: CreateOptions = layouts[random.index(layouts.len())].clone();
    let below = (random.below(2) == 0).then(|| SimFile::new(data(0, 1000, 200)));
    options.backing = below.as_ref().map(|_| Backing {
        name: "base".to_owned(),
        format: Some("raw".to_owned()),
    });
    let mut file = new_image(SECTORS * SECTOR as u64, &options);
    for _ in 0..3 {
        let open = OpenOptions {
            read_only: false,
            cache_bytes: [0, 16 << 10, 24 << 20][random.index(3)],
        };
        let mut image = Image::open_with(chain(&file, below.as_ref()), open).unwrap();
        let mut medium = Medium::new(&content(&mut image));
        let longest = [10, 100, 1000][random.index(3)];
        file.fail(Some(Fault {
            after: random.below(longest),
            times: u64::MAX / 2,
            error: libc::EIO,
            short: true,
            syncs: true,
        }));
        use_image(&mut image, &mut random, &mut medium);
        file = SimFile::new(file.cut(&mut random));
        let report = qcow2::check(&file).unwrap();
        assert!(report.is_sound(), "seed {seed}: {report:?}");
        let mut image = Image::open(chain(&file, below.as_ref()), true).unwrap();
        medium.assert_allows(&content(&mut image), seed);
    }
}

#[test]
fn power_cut_leaves_a_sound_image_with_all_that_was_flushed() {
    let first = number("VMWB_POWER_SEED", 1);
    for seed in first..first + number("VMWB_POWER_CUTS", 200).div_ceil(3) {
        lose_power(seed);
    }
}

/// The test can fail: without the order of a flush it does.
#[test]
fn power_cut_of_a_file_that_forgets_its_syncs_is_noticed() {
    let file = new_image(SECTORS * SECTOR as u64, &CreateOptions::default());
    let before = file.content();
    let mut image = open(&file).unwrap();
    carry_out(
        &mut image,
        &Op::Write {
            sector: 0,
            sectors: 8,
            fill: 7,
        },
    )
    .unwrap();
    let mut medium = Medium::new(&content(&mut image));
    image.flush().unwrap();
    medium.flushed();
    drop(image);
    let old = content(&mut open(&SimFile::new(before)).unwrap());
    assert!(std::panic::catch_unwind(|| medium.assert_allows(&old, 0)).is_err());
}

#[test]
fn power_cut_while_a_repair_is_under_way_leaves_something_to_repair() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let layouts = layouts();
        let file = new_image(
            SECTORS * SECTOR as u64,
            &layouts[random.index(layouts.len())],
        );
        let mut image = open(&file).unwrap();
        for _ in 0..40 {
            carry_out(&mut image, &Op::random(&mut random, SECTORS)).unwrap();
        }
        image.flush().unwrap();
        let known = content(&mut image);
        drop(image);
        let leaky = SimFile::new(with_wrong_counts(file.content(), &mut random));
        let fault = Fault {
            after: random.below(6),
            times: u64::MAX / 2,
            error: libc::EIO,
            short: true,
            syncs: true,
        };
        leaky.fail(Some(fault));
        drop(qcow2::repair(&leaky));
        let cut = SimFile::new(leaky.cut(&mut random));
        let repaired = qcow2::repair(&cut).unwrap();
        assert!(repaired.after.is_sound(), "seed {seed}: {repaired:?}");
        assert_eq!(repaired.after.leaked_clusters, 0, "seed {seed}");
        assert!(content(&mut open(&cut).unwrap()) == known, "seed {seed}");
    }
}

/// Changes bytes of the first refcount block.
fn with_wrong_counts(mut image: Vec<u8>, random: &mut Random) -> Vec<u8> {
    let word = |image: &[u8], at: usize| {
        let bytes: [u8; 8] = image[at..at + 8].try_into().unwrap();
        usize::try_from(u64::from_be_bytes(bytes)).unwrap()
    };
    let block = word(&image, word(&image, 48));
    for _ in 0..10 {
        let at = block + random.index(64);
        image[at] = 0;
    }
    image
}
