//! A host that fails at every single change, in every way: nothing but what was being written is in doubt, and as soon
//! as the host works again so does the image.

mod common;

use std::collections::BTreeSet;

use common::*;
use vmwb_block::qcow2::{self, CreateOptions};
use vmwb_block::{Image, ImageError};

const SECTORS: u64 = 300;

/// A run of requests, the same for every fault.
fn requests(seed: u64) -> Vec<Op> {
    let mut random = Random::new(seed);
    let mut all: Vec<Op> = (0..24).map(|_| Op::random(&mut random, SECTORS)).collect();
    all.push(Op::Flush);
    all
}

fn sector_of(content: &[u8], sector: usize) -> &[u8] {
    &content[sector * SECTOR..(sector + 1) * SECTOR]
}

/// Runs the requests with a fault. A request that fails is repeated until it succeeds, or until the image is stopped.
fn run(file: &SimFile, requests: &[Op], fault: Fault) -> Option<ImageError> {
    let mut image = open(file).unwrap();
    let mut known = content(&mut image);
    file.fail(Some(fault));
    let mut stopped = None;
    for op in requests {
        // Where the request may have changed something before it failed.
        let mut doubtful = BTreeSet::new();
        let mut done = carry_out(&mut image, op);
        while let Err(error) = &done {
            doubtful.extend(changed(op));
            if error.code() == "lost" {
                break;
            }
            done = carry_out(&mut image, op);
        }
        let now = content(&mut image);
        for sector in 0..usize::try_from(SECTORS).unwrap() {
            if !changed(op).contains(&sector) && !doubtful.contains(&sector) {
                assert_eq!(
                    sector_of(&now, sector),
                    sector_of(&known, sector),
                    "{fault:?}"
                );
            }
        }
        match op {
            Op::Write {
                sector,
                sectors,
                fill,
            } if done.is_ok() => {
                let range = changed(op).start * SECTOR..changed(op).end * SECTOR;
                assert!(now[range] == data(*sector, *sectors, *fill), "{fault:?}");
            }
            _ => {}
        }
        known = now;
        if let Err(error) = done {
            stopped = Some(error);
            break;
        }
    }
    file.fail(None);
    if stopped.is_none() {
        drop(image);
        let report = qcow2::check(file).unwrap();
        assert!(report.is_sound(), "{fault:?}: {report:?}");
        assert!(content(&mut open(file).unwrap()) == known, "{fault:?}");
    }
    stopped
}

/// How many changes a run makes.
fn changes(options: &CreateOptions, requests: &[Op]) -> u64 {
    let file = new_image(SECTORS * SECTOR as u64, options);
    let never = Fault {
        after: u64::MAX / 2,
        times: 0,
        error: libc::EIO,
        short: false,
        syncs: true,
    };
    let mut image: Image = open(&file).unwrap();
    file.fail(Some(never));
    for op in requests {
        carry_out(&mut image, op).unwrap();
    }
    file.changes()
}

#[test]
fn failure_of_any_write_harms_nothing_else() {
    for (seed, options) in layouts().iter().enumerate() {
        let requests = requests(seed as u64);
        let count = changes(options, &requests);
        assert!(count > 20);
        for (after, error, short) in
            (0..count).flat_map(|after| [(after, libc::ENOSPC, false), (after, libc::EIO, true)])
        {
            let file = new_image(SECTORS * SECTOR as u64, options);
            let fault = Fault {
                after,
                times: 1 + after % 3,
                error,
                short,
                syncs: false,
            };
            let stopped = run(&file, &requests, fault);
            assert!(stopped.is_none(), "{fault:?}: {stopped:?}");
        }
    }
}

#[test]
fn failure_to_make_durable_stops_the_image_and_keeps_what_was_flushed() {
    let options = &layouts()[0];
    let requests = requests(77);
    let count = changes(options, &requests);
    let mut stopped = 0;
    for after in 0..count {
        let file = new_image(SECTORS * SECTOR as u64, options);
        let fault = Fault {
            after,
            times: 1,
            error: libc::EIO,
            short: false,
            syncs: true,
        };
        if let Some(error) = run(&file, &requests, fault) {
            assert_eq!(error.code(), "lost");
            stopped += 1;
            // What the host has now, it has kept by chance.
            for seed in 0..4 {
                let cut = SimFile::new(file.cut(&mut Random::new(seed)));
                let report = qcow2::check(&cut).unwrap();
                assert!(report.is_sound(), "{fault:?}: {report:?}");
            }
        }
    }
    assert!(stopped > 3);
}

#[test]
fn full_disk_is_told_as_such() {
    let file = new_image(1 << 20, &CreateOptions::default());
    let mut image = open(&file).unwrap();
    file.fail(Some(Fault {
        after: 0,
        times: 1,
        error: libc::ENOSPC,
        short: false,
        syncs: false,
    }));
    let full = image.write(0, &[1; 512]).unwrap_err();
    assert!(full.is_full() && full.code() == "disk_full", "{full}");
    image.write(0, &[1; 512]).unwrap();
    image.flush().unwrap();
}
