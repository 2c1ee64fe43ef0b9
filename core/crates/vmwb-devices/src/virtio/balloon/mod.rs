//! The virtio memory balloon. Source: Virtual I/O Device specification 1.2, section 5.5.
//!
//! Owns the target that the host wishes for and the size that the driver reports. Pages that the driver puts into the
//! balloon go back to the host at once and read as zeros; when it takes them out they are ordinary RAM again, and the
//! host gives memory when they are touched.
//!
//! | Configuration offset | Field |
//! |---|---|
//! | 0 | `num_pages`: pages of 4 KiB that the balloon shall hold |
//! | 4 | `actual`: pages that it holds, written by the driver |
//!
//! | Left out | Why |
//! |---|---|
//! | Statistics, free page hints and reports | nothing reads them yet |
//! | MUST_TELL_HOST | a page may be used again without notice: it is only empty |
//!
//! | Threat | Answer |
//! |---|---|
//! | Page numbers that are no RAM | ignored |
//! | Giant lists | 64 KiB a request; runs of pages go back in one call, at most 4,096 of them a notification: the pages of others stay |
//! | A guest that balloons its own kernel away | hurts itself alone |

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::VirtioBalloonV1;

use vmwb_hw::{Ctx, GuestMemory, IrqLine, SnapshotError};

use super::{QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};

/// Feature: the driver may take pages back when its guest has no memory left.
const F_DEFLATE_ON_OOM: u64 = 1 << 2;
/// Queue of pages that go into the balloon.
const INFLATE: usize = 0;
/// Entries of each queue.
const QUEUE_SIZE: u16 = 128;
/// Most bytes of one list of pages.
const MAX_CHAIN_BYTES: u64 = 64 << 10;
/// Most runs of pages that go back for one notification. Drivers of Linux, FreeBSD and Windows send at most 1,024 pages and
/// wait for them; a full ring of scattered ones would keep the machine busy for seconds.
const MAX_RUNS: usize = 4096;
/// Offset of `actual`.
const ACTUAL: usize = 4;

/// A virtio balloon.
pub type VirtioBalloon = VirtioPci<Balloon>;

/// What is behind the queues. See the module's head.
#[derive(Debug, Default)]
pub struct Balloon {
    /// Pages that the host wishes to have.
    target: u32,
    /// Pages that the driver says it has given.
    actual: u32,
}

/// Gives the pages of a list of 32-bit numbers back to the host, in at most `runs_left` runs, which it counts down.
fn give_back(memory: &GuestMemory, list: &[u8], runs_left: &mut usize) {
    let (numbers, _) = list.as_chunks::<4>();
    let mut pages: Vec<u64> = numbers
        .iter()
        .map(|&n| u64::from(u32::from_le_bytes(n)))
        .filter(|&page| memory.is_ram_page(page))
        .collect();
    pages.sort_unstable();
    pages.dedup();
    for run in pages.chunk_by(|a, b| a + 1 == *b).take(*runs_left) {
        *runs_left -= 1;
        // A run across a hole or a refusal of the host costs nothing but the memory that stays.
        let _ = memory.discard(run[0], run.len() as u64);
    }
}

impl VirtioFunction for Balloon {
    const TYPE: u16 = 5;
    // No class fits.
    const CLASS: u32 = 0x00_FF00;
    const CHANGING_FEATURES: u64 = 0;
    type Saved = VirtioBalloonV1;

    fn features(&self) -> u64 {
        F_DEFLATE_ON_OOM
    }

    fn queues(&self) -> Vec<QueueSpec> {
        let spec = QueueSpec {
            size: QUEUE_SIZE,
            max_chain_bytes: MAX_CHAIN_BYTES,
        };
        vec![spec; 2]
    }

    fn config(&self, _transport: &Transport) -> Vec<u8> {
        [self.target.to_le_bytes(), self.actual.to_le_bytes()].concat()
    }

    fn config_write(&mut self, _transport: &Transport, offset: usize, bytes: &[u8]) {
        let mut value = self.actual.to_le_bytes();
        for (at, &byte) in (offset..).zip(bytes) {
            let slot = at.checked_sub(ACTUAL).and_then(|at| value.get_mut(at));
            if let Some(slot) = slot {
                *slot = byte;
            }
        }
        self.actual = u32::from_le_bytes(value);
    }

    fn serve(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize) {
        let mut runs_left = MAX_RUNS;
        for _ in 0..t.size(queue) {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            if queue == INFLATE {
                let len = usize::try_from(chain.readable_bytes()).unwrap_or(0);
                let mut list = vec![0; len];
                let read = chain.read(ctx.memory, 0, &mut list);
                if t.check(ctx, queue, read).is_none() {
                    break;
                }
                give_back(ctx.memory, &list, &mut runs_left);
            }
            t.push(ctx, queue, &chain, 0);
        }
        t.signal(ctx, queue);
    }

    fn reset_queue(&mut self, _queue: usize) {}

    fn reset(&mut self) {
        self.actual = 0;
    }

    fn bus_reset(&mut self) {}

    fn save(&self, transport: TransportV1) -> Result<VirtioBalloonV1, SnapshotError> {
        Ok(VirtioBalloonV1 {
            transport,
            target: self.target,
            actual: self.actual,
        })
    }

    fn restore(&mut self, saved: VirtioBalloonV1) -> Result<TransportV1, SnapshotError> {
        self.target = saved.target;
        self.actual = saved.actual;
        Ok(saved.transport)
    }
}

impl VirtioPci<Balloon> {
    /// An empty balloon that nobody wants pages of. `name` is its instance name, `irq` its interrupt pin.
    #[must_use]
    pub fn new(name: &str, irq: IrqLine) -> Self {
        Self::with(name, irq, Balloon::default())
    }

    /// Wishes for `pages` pages of 4 KiB in the balloon. The wish outlives resets of the machine.
    pub fn set_target(&mut self, ctx: &mut Ctx<'_>, pages: u32) {
        if self.function.target != pages {
            self.function.target = pages;
            self.transport.config_changed(ctx);
        }
    }

    /// Pages of 4 KiB that the guest's driver says are in the balloon.
    #[must_use]
    pub fn actual(&self) -> u32 {
        self.function.actual
    }
}
