//! Images that other programs made (tests/corpus, all by qemu-img 7.2 with small clusters), and what each is told apart
//! by.

mod common;

use common::*;
use vmwb_block::qcow2::{self, CreateOptions, backing_name};
use vmwb_block::{Image, ImageError, ImageFormat};

fn corpus(name: &str) -> SimFile {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus");
    SimFile::new(std::fs::read(format!("{folder}/{name}.qcow2")).unwrap())
}

/// What the images of the corpus have in them: 32 KiB of data, 32 KiB of zeros.
fn expected() -> Vec<u8> {
    [data(0, 64, 7), vec![0; 64 * SECTOR]].concat()
}

fn refused(name: &str) -> ImageError {
    Image::open(vec![layer(ImageFormat::Qcow2, &corpus(name))], true).unwrap_err()
}

#[test]
fn clusters_compressed_by_zlib_are_unpacked_and_written_anew() {
    use_compressed("zlib");
}

#[test]
fn clusters_compressed_by_zstd_are_unpacked_and_written_anew() {
    use_compressed("zstd");
}

fn use_compressed(kind: &str) {
    let file = corpus(&format!("compressed-{kind}"));
    assert_eq!(qcow2::info(&file).unwrap().compression, kind);
    let report = qcow2::check(&file).unwrap();
    assert_eq!(
        (report.compressed_clusters, report.allocated_clusters),
        (8, 8)
    );
    let mut image = open(&file).unwrap();
    assert!(content(&mut image) == expected());
    image.write(5 * 512, &[1; 512]).unwrap();
    image.discard(8192, 4096).unwrap();
    image.flush().unwrap();
    let mut after = expected();
    after[5 * 512..6 * 512].fill(1);
    after[8192..8192 + 4096].fill(0);
    assert!(content(&mut image) == after);
    drop(image);
    let report = qcow2::check(&file).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.leaked_clusters, report.compressed_clusters), (0, 6));
}

#[test]
fn version_2_is_read_written_and_cleared() {
    let file = corpus("version2");
    let mut image = open(&file).unwrap();
    assert!(content(&mut image) == expected());
    image.write_zeroes(512, 4096).unwrap();
    image.discard(16384, 4096).unwrap();
    image.flush().unwrap();
    let mut after = expected();
    after[512..4608].fill(0);
    after[16384..20480].fill(0);
    assert!(content(&mut image) == after);
    drop(image);
    assert!(qcow2::check(&file).unwrap().is_sound());
    assert_eq!(qcow2::info(&file).unwrap().version, 2);
}

#[test]
fn internal_snapshots_stay_as_they_were() {
    let file = corpus("snapshots");
    let names: Vec<String> = qcow2::info(&file)
        .unwrap()
        .snapshots
        .into_iter()
        .map(|s| s.name)
        .collect();
    assert_eq!(names, ["first", "second"]);
    let snapshot = |file: &SimFile, index: usize| {
        // What the image would be if the snapshot's L1 table were the medium's: only for reading.
        let mut bytes = file.content();
        let word = |bytes: &[u8], at: usize| {
            usize::try_from(u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap())).unwrap()
        };
        let mut entry = word(&bytes, 64);
        for _ in 0..index {
            let sizes = u32::from_be_bytes(bytes[entry + 12..entry + 16].try_into().unwrap());
            let extra = u32::from_be_bytes(bytes[entry + 36..entry + 40].try_into().unwrap());
            let len = 40 + extra + (sizes >> 16) + (sizes & 0xffff);
            entry += usize::try_from(len.next_multiple_of(8)).unwrap();
        }
        let l1: Vec<u8> = bytes[entry..entry + 8].to_vec();
        bytes[40..48].copy_from_slice(&l1);
        let copy = SimFile::new(bytes);
        let mut image = Image::open(vec![layer(ImageFormat::Qcow2, &copy)], true).unwrap();
        content(&mut image)
    };
    let before = [snapshot(&file, 0), snapshot(&file, 1)];
    assert!(before[0] == expected() && before[1] != before[0]);
    let mut image = open(&file).unwrap();
    let mut random = Random::new(5);
    for _ in 0..300 {
        carry_out(&mut image, &Op::random(&mut random, 128)).unwrap();
    }
    image.flush().unwrap();
    drop(image);
    assert!([snapshot(&file, 0), snapshot(&file, 1)] == before);
    let report = qcow2::check(&file).unwrap();
    assert!(
        report.is_sound() && report.leaked_clusters == 0,
        "{report:?}"
    );
}

#[test]
fn image_whose_program_died_is_repaired_when_it_is_opened() {
    let file = corpus("dirty");
    let before = qcow2::check(&file).unwrap();
    assert!(
        before.marked_dirty && before.uncounted_clusters == 32,
        "{before:?}"
    );
    let read_only = Image::open(vec![layer(ImageFormat::Qcow2, &file)], true);
    assert!(
        content(&mut read_only.unwrap())[..16384]
            .iter()
            .all(|&b| b == 5)
    );
    assert!(qcow2::check(&file).unwrap().marked_dirty);
    let mut image = open(&file).unwrap();
    assert!(content(&mut image)[..16384].iter().all(|&b| b == 5));
    image.write(16384, &[6; 4096]).unwrap();
    image.flush().unwrap();
    drop(image);
    let after = qcow2::check(&file).unwrap();
    assert!(after.is_sound() && !after.marked_dirty, "{after:?}");
    assert_eq!(after.leaked_clusters, 0);
}

#[test]
fn bitmaps_end_to_be_valid_with_the_first_write_and_keep_their_room() {
    let file = corpus("bitmaps");
    let autoclear = |file: &SimFile| file.content()[95];
    assert_eq!(
        (qcow2::info(&file).unwrap().bitmaps, autoclear(&file)),
        (1, 1)
    );
    let mut image = open(&file).unwrap();
    image.flush().unwrap();
    assert_eq!(autoclear(&file), 1);
    image.write(0, &[1; 512]).unwrap();
    image.flush().unwrap();
    drop(image);
    assert_eq!(autoclear(&file), 0);
    let report = qcow2::check(&file).unwrap();
    assert!(
        report.is_sound() && report.leaked_clusters == 0,
        "{report:?}"
    );
}

#[test]
fn compressed_cluster_that_is_garbage_is_refused() {
    for kind in ["zlib", "zstd"] {
        let mut bytes = corpus(&format!("compressed-{kind}")).content();
        let from = bytes.len() - 500;
        bytes[from..].fill(0x55);
        let mut image = open(&SimFile::new(bytes)).unwrap();
        let len = usize::try_from(image.bytes()).unwrap();
        let refused = image.read(0, len, &mut vec![]).unwrap_err();
        assert_eq!(refused.code(), "damaged", "{kind}");
    }
}

#[test]
fn features_that_are_not_there_are_refused_by_name() {
    for (name, word) in [
        ("subclusters", "subclusters"),
        ("datafile", "data file"),
        ("encrypted", "encryption"),
    ] {
        let refused = refused(name);
        assert_eq!(refused.code(), "unsupported");
        assert!(refused.to_string().contains(word), "{refused}");
    }
}

#[test]
fn unknown_feature_is_refused_by_the_name_that_the_image_has_for_it() {
    let mut bytes = corpus("subclusters").content();
    // Bit 60 in place of bit 4; then the image's own table calls it what it called bit 1.
    bytes[72..80].copy_from_slice(&(1u64 << 60).to_be_bytes());
    let open = |bytes: Vec<u8>| {
        Image::open(vec![layer(ImageFormat::Qcow2, &SimFile::new(bytes))], true).unwrap_err()
    };
    let said = open(bytes.clone()).to_string();
    assert!(said.contains("the unknown feature 60"), "{said}");
    let table = bytes.windows(11).position(|w| w == b"corrupt bit").unwrap();
    bytes[table - 1] = 60;
    let said = open(bytes).to_string();
    assert!(said.contains("the feature \"corrupt bit\""), "{said}");
}

#[test]
fn backing_name_is_told_and_never_followed() {
    let file = corpus("backing");
    let backing = backing_name(&file).unwrap().unwrap();
    assert_eq!(
        (backing.name.as_str(), backing.format.as_deref()),
        ("/etc/passwd", Some("raw"))
    );
    let missing = Image::open(vec![layer(ImageFormat::Qcow2, &file)], true).unwrap_err();
    assert_eq!(missing.code(), "backing_missing");
    assert!(missing.to_string().contains("/etc/passwd"));
    let chain = vec![
        layer(ImageFormat::Qcow2, &file),
        layer(ImageFormat::Raw, &SimFile::new(data(0, 3, 1))),
    ];
    let mut image = Image::open(chain, true).unwrap();
    let shown = [data(0, 3, 1), vec![0; 125 * SECTOR]].concat();
    assert!(content(&mut image) == shown);
}

#[test]
fn image_that_stands_alone_refuses_one_below() {
    let chain = vec![
        layer(ImageFormat::Qcow2, &corpus("version2")),
        layer(ImageFormat::Raw, &SimFile::default()),
    ];
    let refused = Image::open(chain, true).unwrap_err();
    assert_eq!(refused.code(), "backing_unexpected");
}

#[test]
fn image_that_is_marked_corrupt_is_read_and_not_written() {
    let mut bytes = corpus("bitmaps").content();
    bytes[79] |= 2;
    let file = SimFile::new(bytes);
    assert_eq!(open(&file).unwrap_err().code(), "marked_corrupt");
    let mut image = Image::open(vec![layer(ImageFormat::Qcow2, &file)], true).unwrap();
    assert_eq!(content(&mut image).len(), 128 * SECTOR);
    let repaired = qcow2::repair(&file).unwrap();
    assert!(repaired.before.marked_corrupt && !repaired.after.marked_corrupt);
    open(&file).unwrap();
}

#[test]
fn data_in_a_table_is_not_written_and_the_image_is_marked() {
    let file = new_image(1 << 20, &CreateOptions::default());
    let mut image = open(&file).unwrap();
    image.write(0, &[1; 512]).unwrap();
    image.flush().unwrap();
    drop(image);
    let mut bytes = file.content();
    let word = |bytes: &[u8], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap());
    let place = |offset: u64| usize::try_from(offset & 0x00ff_ffff_ffff_fe00).unwrap();
    let l1 = word(&bytes, 40);
    let l2 = place(word(&bytes, place(l1)));
    // The first cluster of the medium lies where the L1 table does.
    bytes[l2..l2 + 8].copy_from_slice(&(l1 | 1 << 63).to_be_bytes());
    let hostile = SimFile::new(bytes);
    let mut image = open(&hostile).unwrap();
    assert_eq!(image.write(0, &[2; 512]).unwrap_err().code(), "damaged");
    assert_eq!(
        image.write(65536, &[2; 512]).unwrap_err().code(),
        "marked_corrupt"
    );
    assert_eq!(image.flush().unwrap_err().code(), "marked_corrupt");
    drop(image);
    let info = qcow2::info(&hostile).unwrap();
    assert!(info.marked_corrupt);
    assert_eq!(
        word(&hostile.content(), place(l1)),
        word(&file.content(), place(l1))
    );
}

#[test]
fn info_says_what_create_was_told() {
    for options in layouts() {
        let file = new_image(1_000_000, &options);
        let info = qcow2::info(&file).unwrap();
        assert_eq!(info.bytes, 1_000_448);
        assert_eq!(
            (info.version, info.cluster_bytes, info.refcount_bits),
            (
                options.version,
                options.cluster_bytes,
                options.refcount_bits
            )
        );
        let report = qcow2::check(&file).unwrap();
        assert_eq!(report, qcow2::CheckReport::default());
    }
}

#[test]
fn create_refuses_what_makes_no_sense() {
    let refuse = |bytes: u64, change: fn(&mut CreateOptions)| {
        let mut options = CreateOptions::default();
        change(&mut options);
        qcow2::create(&SimFile::default(), bytes, &options)
            .unwrap_err()
            .code()
    };
    assert_eq!(refuse(1 << 20, |o| o.cluster_bytes = 1000), "bad_argument");
    assert_eq!(
        refuse(1 << 20, |o| o.cluster_bytes = 4 << 20),
        "bad_argument"
    );
    assert_eq!(refuse(1 << 20, |o| o.refcount_bits = 3), "bad_argument");
    assert_eq!(refuse(1 << 20, |o| o.version = 4), "bad_argument");
    assert_eq!(
        refuse(1 << 40, |o| o.cluster_bytes = 512),
        "image_too_large"
    );
    assert_eq!(refuse(u64::MAX, |_| ()), "image_too_large");
    let long_name = |o: &mut CreateOptions| {
        o.backing = Some(qcow2::Backing {
            name: "x".repeat(1024),
            format: None,
        });
    };
    assert_eq!(refuse(1 << 20, long_name), "bad_argument");
}
