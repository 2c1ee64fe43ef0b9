//! QEMU as oracle: it finds nothing wrong with what we wrote, reads the same from it, and we read what it wrote
//! (qemu-img and qemu-io of the package qemu-utils).

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::*;
use vmwb_block::qcow2::{self, Backing, CreateOptions};
use vmwb_block::{Image, ImageFormat, Layer};

fn qemu(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

fn succeed(program: &str, arguments: &[&str]) {
    let done = qemu(program, arguments);
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {arguments:?}: {said}");
}

fn open(paths: &[(&Path, ImageFormat)]) -> Image {
    let chain = paths
        .iter()
        .enumerate()
        .map(|(place, &(path, format))| Layer {
            format,
            file: Box::new(
                File::options()
                    .read(true)
                    .write(place == 0)
                    .open(path)
                    .unwrap(),
            ),
        })
        .collect();
    Image::open(chain, false).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn in_folder(folder: &tempfile::TempDir, name: &str) -> PathBuf {
    folder.path().join(name)
}

/// What QEMU reads from an image.
fn as_qemu_reads(folder: &tempfile::TempDir, image: &Path, options: &[&str]) -> Vec<u8> {
    let raw = in_folder(folder, "as-qemu-reads.raw");
    let arguments = [
        &["convert", "-f", "qcow2", "-O", "raw"],
        options,
        &[text(image), text(&raw)],
    ]
    .concat();
    succeed("qemu-img", &arguments);
    std::fs::read(raw).unwrap()
}

#[test]
fn images_that_we_make_and_write_are_sound_and_the_same_to_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let base = in_folder(&folder, "base.raw");
    std::fs::write(&base, data(0, 1200, 9)).unwrap();
    for (seed, options) in layouts().into_iter().enumerate() {
        for backed in [false, true] {
            let path = in_folder(&folder, &format!("{seed}-{backed}.qcow2"));
            let backing = backed.then(|| Backing {
                name: "base.raw".to_owned(),
                format: Some("raw".to_owned()),
            });
            let options = CreateOptions {
                backing,
                lazy_refcounts: options.version == 3,
                ..options.clone()
            };
            let bytes = 1_000_448;
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path);
            qcow2::create(&file.unwrap(), bytes, &options).unwrap();
            let mut chain = vec![(path.as_path(), ImageFormat::Qcow2)];
            chain.extend(backed.then_some((base.as_path(), ImageFormat::Raw)));
            let mut image = open(&chain);
            let mut random = Random::new(seed as u64);
            for _ in 0..300 {
                carry_out(&mut image, &Op::random(&mut random, bytes / 512)).unwrap();
            }
            image.flush().unwrap();
            let known = content(&mut image);
            drop(image);
            succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
            assert!(as_qemu_reads(&folder, &path, &[]) == known, "{options:?}");
        }
    }
}

#[test]
fn images_that_qemu_makes_and_writes_read_the_same_and_stay_sound() {
    let folder = tempfile::tempdir().unwrap();
    for (number, options) in [
        "cluster_size=512",
        "cluster_size=64k,refcount_bits=1",
        "cluster_size=2M,preallocation=metadata",
        "cluster_size=4k,compat=0.10",
        "cluster_size=4k,lazy_refcounts=on,refcount_bits=64",
    ]
    .into_iter()
    .enumerate()
    {
        let path = in_folder(&folder, &format!("{number}.qcow2"));
        let create = [
            "create",
            "-q",
            "-f",
            "qcow2",
            "-o",
            options,
            text(&path),
            "8M",
        ];
        succeed("qemu-img", &create);
        let write = [
            &["-f", "qcow2"],
            &["-c", "write -P 3 1000k 300k", "-c", "write -P 4 7M 1M"][..],
            &[
                "-c",
                "write -z 1100k 70k",
                "-c",
                "discard 7500k 64k",
                text(&path),
            ][..],
        ]
        .concat();
        succeed("qemu-io", &write);
        let theirs = as_qemu_reads(&folder, &path, &[]);
        let mut image = open(&[(&path, ImageFormat::Qcow2)]);
        assert!(content(&mut image) == theirs, "{options}");
        let mut random = Random::new(number as u64);
        for _ in 0..200 {
            carry_out(&mut image, &Op::random(&mut random, 16384)).unwrap();
        }
        image.flush().unwrap();
        let ours = content(&mut image);
        drop(image);
        succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
        assert!(as_qemu_reads(&folder, &path, &[]) == ours, "{options}");
    }
}

#[test]
fn snapshots_that_qemu_made_are_the_same_to_it_after_our_writes() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_folder(&folder, "snapshots.qcow2");
    let create = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        "cluster_size=1k",
        text(&path),
        "1M",
    ];
    succeed("qemu-img", &create);
    let mut expected = vec![];
    for (name, pattern) in [("one", "11"), ("two", "22")] {
        let write = format!("write -P {pattern} 100k 300k");
        succeed("qemu-io", &["-f", "qcow2", "-c", &write, text(&path)]);
        succeed("qemu-img", &["snapshot", "-c", name, text(&path)]);
        expected.push((name, as_qemu_reads(&folder, &path, &["-l", name])));
    }
    let mut image = open(&[(&path, ImageFormat::Qcow2)]);
    let mut random = Random::new(3);
    for _ in 0..300 {
        carry_out(&mut image, &Op::random(&mut random, 2048)).unwrap();
    }
    image.flush().unwrap();
    let ours = content(&mut image);
    drop(image);
    succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
    assert!(as_qemu_reads(&folder, &path, &[]) == ours);
    for (name, content) in expected {
        assert!(as_qemu_reads(&folder, &path, &["-l", name]) == content);
        succeed("qemu-img", &["snapshot", "-d", name, text(&path)]);
    }
    succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
    // Clusters that are ours alone again, without the flag that says so in every table.
    let mut image = open(&[(&path, ImageFormat::Qcow2)]);
    for _ in 0..100 {
        carry_out(&mut image, &Op::random(&mut random, 2048)).unwrap();
    }
    image.flush().unwrap();
    drop(image);
    succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
}

#[test]
fn image_that_we_repair_is_sound_to_qemu() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_folder(&folder, "dirty.qcow2");
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/dirty.qcow2");
    std::fs::copy(corpus, &path).unwrap();
    assert!(!qemu("qemu-img", &["check", text(&path)]).status.success());
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let repaired = qcow2::repair(&file).unwrap();
    drop(file);
    assert!(repaired.after.is_sound());
    succeed("qemu-img", &["check", "-f", "qcow2", text(&path)]);
}

#[test]
fn qemu_keeps_off_an_image_that_we_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = in_folder(&folder, "locked.qcow2");
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path);
    qcow2::create(&file.unwrap(), 1 << 20, &CreateOptions::default()).unwrap();
    let image = open(&[(&path, ImageFormat::Qcow2)]);
    let info = ["info", "-f", "qcow2", text(&path)];
    let refused = qemu("qemu-img", &info);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lock"));
    drop(image);
    succeed("qemu-img", &info);
}
