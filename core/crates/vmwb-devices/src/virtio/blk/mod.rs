//! The virtio block device. Source: Virtual I/O Device specification 1.2, section 5.2.
//!
//! Owns the requests under way; the medium is a [`BlockBackend`]. One queue. Requests go to the backend as long as it
//! has room ([`MAX_IN_FLIGHT`], 32 MiB), the rest waits in the guest's ring; a read's data goes from the backend's
//! answer straight into guest memory. A driver that did not agree on flushes, or that switched the cache to
//! write-through, gets each write's answer after a flush.
//!
//! ```text
//! ring --pop--> parts (<= 4 MiB each) --submit--> backend --reply--> all parts answered --> status, used ring
//!                                                                    \-> write-through: flush first
//! ```
//!
//! | Left out | Why |
//! |---|---|
//! | Several queues | the vCPUs share one thread |
//! | Secure erase, zones, lifetime | no medium of ours has them |
//!
//! | Threat | Answer |
//! |---|---|
//! | Sectors beyond the end, lengths that are no sectors, data over 16 MiB, ranges over 4 GiB | IOERR; nothing reaches the backend |
//! | A reset while requests are under way | their answers are dropped, and nothing is taken from the ring before the last has come, so that an old write never lands after a new one |
//! | Buffers of a read that are not RAM | found when the answer comes; the device asks for a reset |

mod job;
pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::VirtioBlkV1;

use vmwb_hw::{
    BlockBackend, BlockClient, BlockReply, BlockRequest, Ctx, IrqLine, MAX_IN_FLIGHT,
    MAX_REQUEST_BYTES, Nanos, NoMedium, SnapshotError,
};

use super::{Chain, QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};
use job::Job;
use regs::{
    CONFIG_BYTES, F_BLK_SIZE, F_CONFIG_WCE, F_DISCARD, F_FLUSH, F_GEOMETRY, F_RO, F_SEG_MAX,
    F_SIZE_MAX, F_TOPOLOGY, F_WRITE_ZEROES, ID_BYTES, MAX_RANGE_SECTORS, MAX_RANGES, QUEUE_SIZE,
    S_IOERR, S_OK, SECTOR_BYTES, SEG_MAX, SIZE_MAX, WRITEBACK,
};

/// Bytes of data under way in one device, beyond which it takes no further request.
const MAX_BYTES_IN_FLIGHT: u64 = 32 << 20;
/// Part number of the flush that follows a write.
const FLUSH_PART: u8 = u8::MAX;
const PART_BYTES: u64 = MAX_REQUEST_BYTES as u64;

/// A virtio disk.
pub type VirtioBlk = VirtioPci<Blk>;

/// One request that the backend works on.
#[derive(Debug)]
struct Request {
    chain: Chain,
    /// Bytes of data, read or written.
    bytes: u64,
    is_read: bool,
    /// A flush must follow before the driver hears of it.
    needs_flush: bool,
    parts_left: u8,
    failed: bool,
}

/// What is behind the queue. See the module's head.
#[derive(Debug)]
pub struct Blk {
    backend: Box<dyn BlockBackend>,
    id: [u8; ID_BYTES],
    /// `writeback` of the configuration.
    write_back: bool,
    /// Counts resets: part of every tag.
    epoch: u32,
    /// Answers from before the last reset that have still to come.
    stale: usize,
    requests: Vec<Option<Request>>,
    bytes_in_flight: u64,
}

/// Tag of a part: reset count, request, part.
fn tag(epoch: u32, slot: usize, part: u8) -> u64 {
    u64::from(epoch) << 32 | (slot as u64 & 0xFF_FFFF) << 8 | u64::from(part)
}

impl Blk {
    fn sectors(&self) -> u64 {
        self.backend
            .info()
            .map_or(0, |medium| medium.bytes / SECTOR_BYTES)
    }

    fn is_read_only(&self) -> bool {
        self.backend.info().is_some_and(|medium| medium.read_only)
    }

    /// Whether the driver expects every answered write to be durable (section 5.2.6.2).
    fn is_write_through(&self, features: u64) -> bool {
        features & F_FLUSH == 0 || features & F_CONFIG_WCE != 0 && !self.write_back
    }

    /// Takes requests from the ring while the backend has room, at most `budget`.
    fn take(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, budget: &mut u16) {
        let features = t.negotiated();
        while *budget > 0 {
            let free = MAX_IN_FLIGHT.saturating_sub(self.backend.in_flight());
            if self.stale > 0 || free == 0 || self.bytes_in_flight >= MAX_BYTES_IN_FLIGHT {
                break;
            }
            let Some(chain) = t.pop(ctx, 0) else {
                break;
            };
            let job = self.job(ctx, features, &chain);
            let Some(job) = t.check(ctx, 0, job) else {
                break;
            };
            if job.parts() > free && self.backend.in_flight() > 0 {
                t.put_back(0);
                break;
            }
            *budget -= 1;
            self.start(ctx, t, chain, job);
        }
    }

    fn start(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, chain: Chain, job: Job) {
        match job {
            Job::Done { status, data } => {
                t.fill(ctx, 0, &chain, 0, &data);
                finish(ctx, t, &chain, status, data.len() as u64);
            }
            Job::Submit { parts, .. } if parts.is_empty() => finish(ctx, t, &chain, S_OK, 0),
            Job::Submit {
                parts,
                bytes,
                is_read,
                is_write,
            } => {
                let request = Request {
                    chain,
                    bytes,
                    is_read,
                    needs_flush: is_write && self.is_write_through(t.negotiated()),
                    parts_left: u8::try_from(parts.len()).expect("at most 16 parts"),
                    failed: false,
                };
                self.bytes_in_flight += bytes;
                let slot = self.store(request);
                for (part, request) in (0..FLUSH_PART).zip(parts) {
                    let tag = tag(self.epoch, slot, part);
                    self.backend.submit(ctx.now, tag, request);
                }
            }
        }
    }

    fn store(&mut self, request: Request) -> usize {
        let slot = self.requests.iter().position(Option::is_none);
        let slot = slot.unwrap_or_else(|| {
            self.requests.push(None);
            self.requests.len() - 1
        });
        self.requests[slot] = Some(request);
        slot
    }

    /// Handles one answer.
    fn reply(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, reply: BlockReply) {
        let [part, s0, s1, s2, epoch @ ..] = reply.tag.to_le_bytes();
        if u32::from_le_bytes(epoch) != self.epoch {
            self.stale = self.stale.saturating_sub(1);
            return;
        }
        let slot = u32::from_le_bytes([s0, s1, s2, 0]) as usize;
        let Some(request) = self.requests.get_mut(slot).and_then(Option::as_mut) else {
            return;
        };
        match reply.result {
            Ok(data) if request.is_read => {
                let offset = u64::from(part) * PART_BYTES;
                let due = request.bytes.saturating_sub(offset).min(PART_BYTES);
                if data.len() as u64 == due {
                    t.fill(ctx, 0, &request.chain, offset, &data);
                } else {
                    request.failed = true;
                }
            }
            Ok(_) => {}
            Err(_) => request.failed = true,
        }
        request.parts_left = request.parts_left.saturating_sub(1);
        if request.parts_left > 0 {
            return;
        }
        if request.needs_flush && !request.failed {
            request.needs_flush = false;
            request.parts_left = 1;
            let tag = tag(self.epoch, slot, FLUSH_PART);
            self.backend.submit(ctx.now, tag, BlockRequest::Flush);
            return;
        }
        if let Some(done) = self.requests[slot].take() {
            self.bytes_in_flight -= done.bytes;
            let status = if done.failed { S_IOERR } else { S_OK };
            let written = if done.is_read { done.bytes } else { 0 };
            finish(ctx, t, &done.chain, status, written);
        }
    }

    /// Takes requests and answers until nothing more is to be had now; the driver is told once.
    fn work(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        self.replies(ctx, t);
        self.take(ctx, t, &mut t.size(0));
        self.replies(ctx, t);
        t.signal(ctx, 0);
    }

    fn replies(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        while let Some(reply) = self.backend.take_reply(ctx.now) {
            self.reply(ctx, t, reply);
        }
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        // What an honest guest has queued is carried out, not forgotten: nobody would tell of it after a restore.
        let mut budget = t.size(0);
        loop {
            while let Some(reply) = self.backend.wait_reply() {
                self.reply(ctx, t, reply);
            }
            self.take(ctx, t, &mut budget);
            if self.backend.in_flight() == 0 {
                break;
            }
        }
        t.signal(ctx, 0);
    }

    fn forget(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
        self.stale = self.backend.in_flight();
        self.requests.clear();
        self.bytes_in_flight = 0;
    }
}

/// Writes the status and hands the chain back. The status is the last byte of the buffers to write.
fn finish(ctx: &mut Ctx<'_>, t: &mut Transport, chain: &Chain, status: u8, data_bytes: u64) {
    if t.fill(ctx, 0, chain, chain.writable_bytes() - 1, &[status]) {
        let written = u32::try_from(data_bytes + 1).unwrap_or(u32::MAX);
        t.push(ctx, 0, chain, written);
    }
}

impl VirtioFunction for Blk {
    const TYPE: u16 = 2;
    // Mass storage, SCSI: what other virtio disks say.
    const CLASS: u32 = 0x01_0000;
    const CHANGING_FEATURES: u64 = F_RO;
    type Saved = VirtioBlkV1;

    fn features(&self) -> u64 {
        let read_only = if self.is_read_only() { F_RO } else { 0 };
        read_only
            | F_SIZE_MAX
            | F_SEG_MAX
            | F_GEOMETRY
            | F_BLK_SIZE
            | F_FLUSH
            | F_TOPOLOGY
            | F_CONFIG_WCE
            | F_DISCARD
            | F_WRITE_ZEROES
    }

    fn queues(&self) -> Vec<QueueSpec> {
        vec![QueueSpec {
            size: QUEUE_SIZE,
            // What is too much for a transfer is answered with an error, not with a broken queue (section 2.7.5).
            max_chain_bytes: u64::from(u32::MAX),
        }]
    }

    fn config(&self, t: &Transport) -> Vec<u8> {
        let sectors = self.sectors();
        let cylinders = (sectors / (16 * 63)).min(16_383);
        let mut image = vec![0; CONFIG_BYTES];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &sectors.to_le_bytes());
        put(8, &SIZE_MAX.to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(16, &u16::try_from(cylinders).unwrap_or(0).to_le_bytes());
        put(18, &[16, 63]);
        put(20, &512_u32.to_le_bytes());
        // Topology: 4-KiB physical blocks, aligned; least and best I/O in blocks of 512 bytes.
        put(24, &[3, 0]);
        put(26, &8_u16.to_le_bytes());
        put(28, &128_u32.to_le_bytes());
        put(
            WRITEBACK,
            &[u8::from(!self.is_write_through(t.negotiated()))],
        );
        put(34, &1_u16.to_le_bytes());
        put(36, &MAX_RANGE_SECTORS.to_le_bytes());
        put(40, &MAX_RANGES.to_le_bytes());
        put(44, &8_u32.to_le_bytes());
        put(48, &MAX_RANGE_SECTORS.to_le_bytes());
        put(52, &MAX_RANGES.to_le_bytes());
        put(56, &[1]);
        image
    }

    fn config_write(&mut self, t: &Transport, offset: usize, bytes: &[u8]) {
        let at = WRITEBACK.checked_sub(offset);
        if let Some(&value) = at.and_then(|at| bytes.get(at))
            && t.negotiated() & F_CONFIG_WCE != 0
        {
            self.write_back = value & 1 != 0;
        }
    }

    fn serve(&mut self, ctx: &mut Ctx<'_>, transport: &mut Transport, _queue: usize) {
        self.work(ctx, transport);
    }

    fn reset_queue(&mut self, _queue: usize) {
        self.forget();
    }

    fn reset(&mut self) {
        self.forget();
        self.write_back = true;
    }

    fn bus_reset(&mut self) {}

    fn save(&self, transport: TransportV1) -> Result<VirtioBlkV1, SnapshotError> {
        self.to_v1(transport)
    }

    fn restore(&mut self, saved: VirtioBlkV1) -> Result<TransportV1, SnapshotError> {
        self.forget();
        self.write_back = saved.write_back;
        Ok(saved.transport)
    }
}

impl VirtioPci<Blk> {
    /// A disk as after power-on. `name` is its instance name (`virtio-blk.0` ...), `irq` its interrupt pin, `serial` what
    /// the guest reads as its identification (its first 20 bytes).
    #[must_use]
    pub fn new(name: &str, irq: IrqLine, backend: Box<dyn BlockBackend>, serial: &str) -> Self {
        let mut id = [0; ID_BYTES];
        id.iter_mut()
            .zip(serial.bytes())
            .for_each(|(to, from)| *to = from);
        let blk = Blk {
            backend,
            id,
            write_back: true,
            epoch: 0,
            stale: 0,
            requests: Vec::new(),
            bytes_in_flight: 0,
        };
        Self::with(name, irq, blk)
    }

    /// Puts another medium in and gives the old one back, its requests answered; the driver is told of the new size.
    /// Whether writes are allowed is asked anew for each, but the driver learns it only at its next start.
    pub fn change_medium(
        &mut self,
        ctx: &mut Ctx<'_>,
        backend: Box<dyn BlockBackend>,
    ) -> Box<dyn BlockBackend> {
        self.function.drain(ctx, &mut self.transport);
        let old = std::mem::replace(&mut self.function.backend, backend);
        self.function.stale = 0;
        self.transport.config_changed(ctx);
        old
    }

    /// Gives the medium back when the machine is taken apart; the drive is empty afterwards. Requests under way are
    /// carried out, the guest does not hear of them.
    pub fn take_medium(&mut self) -> Box<dyn BlockBackend> {
        let blk = &mut self.function;
        while blk.backend.wait_reply().is_some() {}
        let medium = std::mem::replace(&mut blk.backend, Box::new(NoMedium::default()));
        blk.forget();
        medium
    }
}

impl BlockClient for VirtioPci<Blk> {
    fn serve_replies(&mut self, ctx: &mut Ctx<'_>) {
        self.function.work(ctx, &mut self.transport);
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>) {
        self.function.drain(ctx, &mut self.transport);
    }

    fn next_reply(&self) -> Option<Nanos> {
        self.function.backend.next_reply()
    }
}
