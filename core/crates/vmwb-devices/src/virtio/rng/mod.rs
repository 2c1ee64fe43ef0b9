//! The virtio entropy device. Source: Virtual I/O Device specification 1.2, section 5.4.
//!
//! One queue; every buffer is filled from a [`RandomSource`], up to 4 KiB of it. No configuration, no features.
//!
//! | Threat | Answer |
//! |---|---|
//! | Giant buffers | 4 KiB each; the used length says so |
//! | A buffer without room | the device asks for a reset |

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::VirtioRngV1;

use vmwb_hw::{Ctx, IrqLine, RandomSource, SnapshotError};

use super::{QueueFault, QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};

/// Most bytes for one buffer.
const MAX_FILL: u64 = 4096;
/// Entries of the queue.
const QUEUE_SIZE: u16 = 16;

/// A virtio entropy device.
pub type VirtioRng = VirtioPci<Rng>;

/// What is behind the queue. See the module's head.
#[derive(Debug)]
pub struct Rng {
    source: Box<dyn RandomSource>,
    /// Numbers drawn since power-on.
    drawn: u64,
}

impl Rng {
    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..len.div_ceil(8) {
            bytes.extend(self.source.number(self.drawn).to_le_bytes());
            self.drawn = self.drawn.wrapping_add(1);
        }
        bytes.truncate(usize::try_from(len).unwrap_or(0));
        bytes
    }
}

impl VirtioFunction for Rng {
    const TYPE: u16 = 4;
    // No class fits.
    const CLASS: u32 = 0x00_FF00;
    const CHANGING_FEATURES: u64 = 0;
    type Saved = VirtioRngV1;

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<QueueSpec> {
        vec![QueueSpec {
            size: QUEUE_SIZE,
            max_chain_bytes: u64::from(u32::MAX),
        }]
    }

    fn config(&self, _transport: &Transport) -> Vec<u8> {
        Vec::new()
    }

    fn config_write(&mut self, _transport: &Transport, _offset: usize, _bytes: &[u8]) {}

    fn serve(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize) {
        for _ in 0..t.size(queue) {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            let len = chain.writable_bytes().min(MAX_FILL);
            if len == 0 {
                t.fail(ctx, queue, QueueFault::BadRequest);
                break;
            }
            let bytes = self.bytes(len);
            if t.fill(ctx, queue, &chain, 0, &bytes) {
                t.push(ctx, queue, &chain, u32::try_from(len).unwrap_or(0));
            }
        }
        t.signal(ctx, queue);
    }

    fn reset_queue(&mut self, _queue: usize) {}

    fn reset(&mut self) {}

    fn bus_reset(&mut self) {
        self.drawn = 0;
    }

    fn save(&self, transport: TransportV1) -> Result<VirtioRngV1, SnapshotError> {
        Ok(VirtioRngV1 {
            transport,
            drawn: self.drawn,
        })
    }

    fn restore(&mut self, saved: VirtioRngV1) -> Result<TransportV1, SnapshotError> {
        self.drawn = saved.drawn;
        Ok(saved.transport)
    }
}

impl VirtioPci<Rng> {
    /// An entropy device as after power-on. `name` is its instance name, `irq` its interrupt pin.
    #[must_use]
    pub fn new(name: &str, irq: IrqLine, source: Box<dyn RandomSource>) -> Self {
        Self::with(name, irq, Rng { source, drawn: 0 })
    }
}
