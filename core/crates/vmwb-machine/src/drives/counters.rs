//! What a drive has done so far.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Counters of one drive, written by the threads of its media, one after another.
#[derive(Debug, Default)]
pub struct DriveCounters {
    reads: AtomicU64,
    read_bytes: AtomicU64,
    writes: AtomicU64,
    written_bytes: AtomicU64,
    flushes: AtomicU64,
    failures: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DriveStats {
    /// Read requests that succeeded.
    pub reads: u64,
    /// Bytes that they gave.
    pub read_bytes: u64,
    /// Write requests that succeeded, those of zeros included.
    pub writes: u64,
    /// Bytes that they wrote; zeros that needed no writing are counted.
    pub written_bytes: u64,
    /// Flushes that succeeded.
    pub flushes: u64,
    /// Requests that failed.
    pub failures: u64,
}

impl DriveCounters {
    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> DriveStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        DriveStats {
            reads: get(&self.reads),
            read_bytes: get(&self.read_bytes),
            writes: get(&self.writes),
            written_bytes: get(&self.written_bytes),
            flushes: get(&self.flushes),
            failures: get(&self.failures),
        }
    }

    pub(super) fn read(&self, bytes: u64) {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.read_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, bytes: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn flushed(&self) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }
}
