//! Random requests on images of every layout, compared with a vector of bytes.

mod common;

use common::*;
use proptest::prelude::*;
use vmwb_block::qcow2::{self, CreateOptions};
use vmwb_block::{Image, ImageFormat};

/// Applies a request to the model. What a discard leaves is asked of the image, and may be the old bytes or zeros.
fn model(model: &mut [u8], image: &mut Image, op: &Op) {
    let range = changed(op).start * SECTOR..changed(op).end * SECTOR;
    match *op {
        Op::Write {
            sector,
            sectors,
            fill,
        } => model[range].copy_from_slice(&data(sector, sectors, fill)),
        Op::Zero { .. } => model[range].fill(0),
        Op::Discard { .. } => {
            let mut now = vec![];
            image
                .read(range.start as u64, range.len(), &mut now)
                .unwrap();
            for (known, now) in model[range].chunks_mut(SECTOR).zip(now.chunks(SECTOR)) {
                assert!(now == known || now.iter().all(|&b| b == 0));
                known.copy_from_slice(now);
            }
        }
        _ => {}
    }
}

/// Runs requests on a chain, compares all the time, and checks the image at the end.
fn run(file: &SimFile, open: impl Fn() -> Image, start: Vec<u8>, seed: u64, count: usize) {
    let mut random = Random::new(seed);
    let mut known = start;
    let mut image = open();
    assert_eq!(content(&mut image), known);
    for step in 0..count {
        let op = Op::random(&mut random, (known.len() / SECTOR) as u64);
        let read = carry_out(&mut image, &op).unwrap();
        model(&mut known, &mut image, &op);
        if let Op::Read { sector, .. } = op {
            let from = usize::try_from(sector).unwrap() * SECTOR;
            assert!(
                read == known[from..from + read.len()],
                "seed {seed}, step {step}"
            );
        }
        if random.below(40) == 0 {
            image.flush().unwrap();
            drop(image);
            image = open();
        }
    }
    assert!(content(&mut image) == known, "seed {seed}");
    image.flush().unwrap();
    let report = qcow2::check(file).unwrap();
    assert!(report.is_sound(), "seed {seed}: {report:?}");
    drop(image);
    assert!(content(&mut open()) == known, "seed {seed}");
    let mut image = open();
    image.flush().unwrap();
}

#[test]
fn image_of_every_layout_reads_back_what_was_written() {
    for (seed, options) in layouts().iter().enumerate() {
        let bytes = 1_000_448;
        let file = new_image(bytes, options);
        let start = vec![0; usize::try_from(bytes).unwrap()];
        run(&file, || open(&file).unwrap(), start, seed as u64, 600);
    }
}

#[test]
fn overlay_of_every_layout_shows_what_is_below_until_it_is_written() {
    for (seed, options) in layouts().into_iter().enumerate() {
        let below = SimFile::new(data(0, 1200, 9));
        let options = CreateOptions {
            backing: Some(qcow2::Backing {
                name: "base.raw".to_owned(),
                format: Some("raw".to_owned()),
            }),
            ..options
        };
        // Longer than what is below.
        let bytes = 1_000_448;
        let file = new_image(bytes, &options);
        let mut start = below.content();
        start.resize(usize::try_from(bytes).unwrap(), 0);
        let chain = || {
            vec![
                layer(ImageFormat::Qcow2, &file),
                layer(ImageFormat::Raw, &below),
            ]
        };
        let open = || Image::open(chain(), false).unwrap();
        run(&file, open, start, 100 + seed as u64, 600);
        assert_eq!(below.content(), data(0, 1200, 9));
    }
}

#[test]
fn image_that_outgrows_its_refcount_table_moves_it() {
    // With 512-byte clusters and 64-bit counts a table of one cluster reaches 2 MiB.
    let options = CreateOptions {
        cluster_bytes: 512,
        refcount_bits: 64,
        ..CreateOptions::default()
    };
    let file = new_image(16 << 20, &options);
    let before = qcow2::check(&file).unwrap();
    let mut image = open(&file).unwrap();
    let all = data(0, 32768, 3);
    for (at, part) in (0..).step_by(100 * SECTOR).zip(all.chunks(100 * SECTOR)) {
        image.write(at, part).unwrap();
    }
    image.flush().unwrap();
    drop(image);
    let report = qcow2::check(&file).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!(
        (before.allocated_clusters, report.allocated_clusters),
        (0, 32768)
    );
    assert!(content(&mut open(&file).unwrap()) == all);
}

#[test]
fn room_that_is_given_up_is_used_again() {
    let file = new_image(1 << 20, &CreateOptions::default());
    let mut image = open(&file).unwrap();
    for _ in 0..20 {
        image.write(0, &data(0, 2048, 1)).unwrap();
        image.flush().unwrap();
        image.discard(0, 1 << 20).unwrap();
        image.flush().unwrap();
    }
    assert_eq!(content(&mut image), vec![0; 1 << 20]);
    drop(image);
    assert!(file.content().len() < 3 << 20);
    let report = qcow2::check(&file).unwrap();
    assert!(
        report.is_sound() && report.allocated_clusters == 0,
        "{report:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_requests_on_any_layout_agree_with_the_model(
        seed in any::<u64>(),
        layout in 0..6usize,
        sectors in 1..3000u64,
    ) {
        let bytes = sectors * SECTOR as u64;
        let file = new_image(bytes, &layouts()[layout]);
        let start = vec![0; usize::try_from(bytes).unwrap()];
        run(&file, || open(&file).unwrap(), start, seed, 60);
    }
}
