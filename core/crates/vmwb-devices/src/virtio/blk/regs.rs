//! Features, configuration and requests of the block device (Virtual I/O Device specification 1.2, section 5.2).

/// Feature: `size_max` is there.
pub const F_SIZE_MAX: u64 = 1 << 1;
/// Feature: `seg_max` is there.
pub const F_SEG_MAX: u64 = 1 << 2;
/// Feature: the geometry is there.
pub const F_GEOMETRY: u64 = 1 << 4;
/// Feature: read-only.
pub const F_RO: u64 = 1 << 5;
/// Feature: `blk_size` is there.
pub const F_BLK_SIZE: u64 = 1 << 6;
/// Feature: flushes.
pub const F_FLUSH: u64 = 1 << 9;
/// Feature: the topology is there.
pub const F_TOPOLOGY: u64 = 1 << 10;
/// Feature: the cache mode can be switched.
pub const F_CONFIG_WCE: u64 = 1 << 11;
/// Feature: discards.
pub const F_DISCARD: u64 = 1 << 13;
/// Feature: writes of zeros.
pub const F_WRITE_ZEROES: u64 = 1 << 14;

/// Length of the configuration as far as its fields are offered.
pub const CONFIG_BYTES: usize = 60;
/// Offset of `writeback`.
pub const WRITEBACK: usize = 32;

/// Request: read.
pub const T_IN: u32 = 0;
/// Request: write.
pub const T_OUT: u32 = 1;
/// Request: flush.
pub const T_FLUSH: u32 = 4;
/// Request: identification.
pub const T_GET_ID: u32 = 8;
/// Request: discard.
pub const T_DISCARD: u32 = 11;
/// Request: write zeros.
pub const T_WRITE_ZEROES: u32 = 13;

/// Status: done.
pub const S_OK: u8 = 0;
/// Status: failed.
pub const S_IOERR: u8 = 1;
/// Status: not supported.
pub const S_UNSUPP: u8 = 2;

/// Bytes of a sector, whatever the block size.
pub const SECTOR_BYTES: u64 = 512;
/// Bytes of a request's head.
pub const HEAD_BYTES: u64 = 16;
/// Bytes of the identification.
pub const ID_BYTES: usize = 20;
/// Bytes of one range to discard or to fill with zeros.
pub const RANGE_BYTES: u64 = 16;
/// Flag of such a range: it may be unmapped.
pub const RANGE_UNMAP: u32 = 1;

/// Entries of the queue.
pub const QUEUE_SIZE: u16 = 256;
/// Most buffers of data in one request: the queue's entries without head and status.
pub const SEG_MAX: u32 = 254;
/// Most bytes of one buffer. With [`SEG_MAX`] it bounds what a request may move.
pub const SIZE_MAX: u32 = 64 << 10;
/// Most bytes that one request moves.
pub const MAX_DATA_BYTES: u64 = SEG_MAX as u64 * SIZE_MAX as u64;
/// Most ranges of one discard or write of zeros.
pub const MAX_RANGES: u32 = 16;
/// Most sectors that a driver puts into one range: 4 GiB.
pub const MAX_RANGE_SECTORS: u32 = 1 << 23;
