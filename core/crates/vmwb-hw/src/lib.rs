//! Traits that join the rooms of the core: what a device, a backend, an interrupt line, a clock looks like from outside.
//!
//! Rules that every device keeps:
//! * A device is a register model. It does no I/O, takes no locks, reads no host clock and no host randomness: time
//!   comes in through [`Ctx::now`], and the same calls in the same order give the same answers.
//! * A device never calls another device. It reports line changes and deadlines through [`Ctx`]; the board applies
//!   them after the device has returned.
//! * Everything a guest writes is hostile: buffers are bounded, no guest value makes a device panic or allocate.
#![forbid(unsafe_code)]

mod backend;
mod block;
mod clock;
mod device;
mod dma;
mod scanout;

pub use backend::{CharBackend, LocalInterrupts, NullChar, RandomSource};
pub use block::{
    BlockBackend, BlockClient, BlockError, BlockInfo, BlockReply, BlockRequest, MAX_IN_FLIGHT,
    MAX_REQUEST_BYTES, NoMedium,
};
pub use clock::{Nanos, Scheduler, TimerId, muldiv};
pub use device::{
    AccessSize, Ctx, Device, IrqLine, LineChange, LineChanges, MmioDevice, MsiMessage, PioDevice,
    PowerRequest, ResetKind, Timed,
};
pub use dma::DmaPeer;
pub use scanout::{LineSet, MAX_SCANOUT, Scanout, ScanoutMode, TextCell, TextScreen};
pub use vmwb_mem::{GuestAddress, GuestMemory, MemError, RegionId, RegionKind, RegionSpec};
pub use vmwb_snapshot::{Payload, Schema, SnapshotError};
