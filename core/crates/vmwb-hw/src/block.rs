//! Drives: what a disk controller asks of the medium behind it.
//!
//! A request is handed over and answered later, because the medium is a file of the host and may be slow. Who answers
//! is another thread; the device sees answers only when the board lets it look ([`BlockClient::serve_replies`]).

use std::fmt::Debug;

use thiserror::Error;

use crate::clock::Nanos;
use crate::device::{Ctx, Device};

/// Longest read or write of one request, in bytes: 4 MiB. Devices split what is longer.
pub const MAX_REQUEST_BYTES: u32 = 4 << 20;
/// Most requests of one device that are under way at once. A device keeps further ones waiting in the guest's own queue.
pub const MAX_IN_FLIGHT: usize = 64;

/// What a device asks of its medium. Offsets and lengths are in bytes and multiples of 512.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockRequest {
    /// Reads; the answer has so many bytes.
    Read {
        /// First byte.
        offset: u64,
        /// Length, at most [`MAX_REQUEST_BYTES`].
        len: u32,
    },
    /// Writes. Durable only after a later flush.
    Write {
        /// First byte.
        offset: u64,
        /// Data, at most [`MAX_REQUEST_BYTES`].
        data: Vec<u8>,
    },
    /// Makes everything durable that was answered before.
    Flush,
    /// The content of the range is no longer needed; it reads as anything afterwards, zeros where the format can say so.
    Discard {
        /// First byte.
        offset: u64,
        /// Length.
        len: u64,
    },
    /// The range reads as zeros afterwards.
    WriteZeroes {
        /// First byte.
        offset: u64,
        /// Length.
        len: u64,
    },
}

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlockError {
    /// Part of the range lies behind the end of the medium.
    #[error("the range lies outside the medium")]
    OutOfRange,
    /// The medium is write-protected.
    #[error("the medium is write-protected")]
    ReadOnly,
    /// There is no medium.
    #[error("there is no medium in the drive")]
    NoMedium,
    /// The host's disk is full: the guest may try again later.
    #[error("the host's disk is full")]
    NoSpace,
    /// The host could not carry it out, with its words.
    #[error("the host's file failed: {0}")]
    Host(String),
}

/// Answer to one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockReply {
    /// The tag of its request.
    pub tag: u64,
    /// Data of a read, else empty.
    pub result: Result<Vec<u8>, BlockError>,
}

/// A medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockInfo {
    /// Size in bytes, a multiple of 512.
    pub bytes: u64,
    /// Whether writes are refused.
    pub read_only: bool,
}

/// A drive's medium, as its device sees it. No method waits but [`BlockBackend::wait_reply`].
pub trait BlockBackend: Debug + Send {
    /// The medium; `None`: the drive is empty.
    fn info(&self) -> Option<BlockInfo>;
    /// Hands a request over. Its answer carries `tag`, which the device chooses. Requests under way may be carried out
    /// in any order, but a flush covers every write that was answered before it was handed over.
    fn submit(&mut self, now: Nanos, tag: u64, request: BlockRequest);
    /// The next answer that has arrived at this virtual time.
    fn take_reply(&mut self, now: Nanos) -> Option<BlockReply>;
    /// Requests without an answer taken.
    fn in_flight(&self) -> usize;
    /// In a deterministic machine, the virtual time of the next answer (request time plus a fixed latency); else `None`:
    /// the board is told when one has arrived.
    fn next_reply(&self) -> Option<Nanos>;
    /// Waits for the next answer whatever the time, before a state is saved; `None` when nothing is under way.
    fn wait_reply(&mut self) -> Option<BlockReply>;
}

/// A device with drives.
pub trait BlockClient: Device {
    /// Takes and handles every answer that has arrived (see [`BlockBackend::take_reply`]).
    fn serve_replies(&mut self, ctx: &mut Ctx<'_>);
    /// Waits for the answers of all requests under way and handles them: the saved state then has none.
    fn drain(&mut self, ctx: &mut Ctx<'_>);
    /// Earliest [`BlockBackend::next_reply`] of its drives.
    fn next_reply(&self) -> Option<Nanos>;
}

/// An empty drive: every request is answered with [`BlockError::NoMedium`].
#[derive(Debug, Default)]
pub struct NoMedium {
    waiting: std::collections::VecDeque<u64>,
}

impl BlockBackend for NoMedium {
    fn info(&self) -> Option<BlockInfo> {
        None
    }

    fn submit(&mut self, _now: Nanos, tag: u64, _request: BlockRequest) {
        self.waiting.push_back(tag);
    }

    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        let tag = self.waiting.pop_front()?;
        Some(BlockReply {
            tag,
            result: Err(BlockError::NoMedium),
        })
    }

    fn in_flight(&self) -> usize {
        self.waiting.len()
    }

    fn next_reply(&self) -> Option<Nanos> {
        None
    }

    fn wait_reply(&mut self) -> Option<BlockReply> {
        self.take_reply(Nanos(0))
    }
}
