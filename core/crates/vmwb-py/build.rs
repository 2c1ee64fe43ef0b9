//! Gives the module its build hash: a hash of the version and of every source file of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    collect(&crates, &mut files);
    files.sort();
    let mut hash = Fnv::new();
    hash.add(env!("CARGO_PKG_VERSION").as_bytes());
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        hash.add(&fs::read(file).unwrap_or_default());
    }
    println!("cargo::rustc-env=VMWB_BUILD_HASH={:016x}", hash.0);
}

fn collect(dir: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if entry.file_name() != "target" && entry.file_name() != "tests" {
                collect(&path, into);
            }
        } else if path.extension().is_some_and(|e| e == "rs" || e == "toml") {
            into.push(path);
        }
    }
}

/// FNV-1a of 64 bits: tells builds apart, protects nothing.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xCBF2_9CE4_8422_2325)
    }

    fn add(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = (self.0 ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3);
        }
    }
}
