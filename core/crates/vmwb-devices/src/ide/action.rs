//! What a command asks of the channel: the drives' models decide it, the channel carries it out.

use super::sense::Sense;

/// How a medium's bytes become the data that the host sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// As they are.
    Disk,
    /// Sectors of 2,048 bytes, the last one filled up with zeros.
    Cd,
    /// The parts of a raw sector that byte 9 of READ CD selects.
    CdParts(u8),
}

/// What happens next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// The command has succeeded.
    Done,
    /// An ATA command has failed, with this Error register.
    Fail(u8),
    /// A packet command has failed.
    Check(Sense),
    /// Data of the drive's own.
    Answer(Vec<u8>),
    /// Data of the medium.
    Read {
        offset: u64,
        bytes: u64,
        format: Format,
    },
    /// Data for the medium; durable before the command ends when asked for.
    Write {
        offset: u64,
        bytes: u64,
        durable: bool,
    },
    /// Data for the drive itself, at most [`MAX_PARAMETERS`] bytes.
    Parameters(usize),
    /// The medium is read, nothing is transferred.
    Verify { offset: u64, bytes: u64 },
    /// Everything written becomes durable.
    Flush,
}

/// Most bytes of parameter data: eight blocks of DATA SET MANAGEMENT, any list of MODE SELECT.
pub(super) const MAX_PARAMETERS: usize = 8 * 512;

/// How a command's data are transferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Protocol {
    pub(super) dma: bool,
    /// Bytes from one interrupt to the next without DMA.
    pub(super) block_bytes: usize,
}

impl Protocol {
    pub(super) const PIO: Self = Self {
        dma: false,
        block_bytes: 512,
    };
    pub(super) const DMA: Self = Self {
        dma: true,
        block_bytes: 512,
    };
}
