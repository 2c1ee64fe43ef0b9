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
//! | Sectors beyond the end, lengths that are no sectors, data over 16 MiB | IOERR; nothing reaches the backend |
//! | A reset while requests are under way | their answers are dropped, and nothing is taken from the ring before the last has come, so that an old write never lands after a new one |
//! | Buffers of a read that are not RAM | found when the answer comes; the device asks for a reset |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::VirtioBlkV1;

use vmwb_hw::{
    BlockBackend, BlockClient, BlockReply, BlockRequest, Ctx, IrqLine, MAX_IN_FLIGHT,
    MAX_REQUEST_BYTES, Nanos, NoMedium, SnapshotError,
};

use super::{Chain, QueueFault, QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};
use regs::{
    CONFIG_BYTES, F_BLK_SIZE, F_CONFIG_WCE, F_DISCARD, F_FLUSH, F_GEOMETRY, F_RO, F_SEG_MAX,
    F_SIZE_MAX, F_TOPOLOGY, F_WRITE_ZEROES, HEAD_BYTES, ID_BYTES, MAX_DATA_BYTES,
    MAX_RANGE_SECTORS, MAX_RANGES, QUEUE_SIZE, RANGE_BYTES, RANGE_UNMAP, S_IOERR, S_OK, S_UNSUPP,
    SECTOR_BYTES, SEG_MAX, SIZE_MAX, T_DISCARD, T_FLUSH, T_GET_ID, T_IN, T_OUT, T_WRITE_ZEROES,
    WRITEBACK,
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

/// What a chain asks for, checked.
enum Job {
    /// Answered at once.
    Done { status: u8, data: Vec<u8> },
    /// Goes to the backend.
    Submit {
        parts: Vec<BlockRequest>,
        bytes: u64,
        is_read: bool,
        is_write: bool,
    },
}

impl Job {
    fn failed(status: u8) -> Self {
        Self::Done {
            status,
            data: Vec::new(),
        }
    }

    fn parts(&self) -> usize {
        match self {
            Self::Done { .. } => 0,
            Self::Submit { parts, .. } => parts.len(),
        }
    }
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

    /// The byte range of `sectors` from `sector`, when the medium has them.
    fn range(&self, sector: u64, sectors: u64) -> Option<(u64, u64)> {
        let end = sector.checked_add(sectors)?;
        (end <= self.sectors()).then_some((sector * SECTOR_BYTES, sectors * SECTOR_BYTES))
    }

    /// What `chain` asks for; a fault when it is no request at all.
    fn job(&self, ctx: &Ctx<'_>, features: u64, chain: &Chain) -> Result<Job, QueueFault> {
        if chain.writable_bytes() == 0 {
            return Err(QueueFault::BadRequest);
        }
        let mut head = [0; 16];
        chain.read(ctx.memory, 0, &mut head)?;
        let [t0, t1, t2, t3, _, _, _, _, s @ ..] = head;
        let sector = u64::from_le_bytes(s);
        let (out, inp) = (
            chain.readable_bytes() - HEAD_BYTES,
            chain.writable_bytes() - 1,
        );
        match u32::from_le_bytes([t0, t1, t2, t3]) {
            T_IN => Ok(self.read_job(sector, inp)),
            T_OUT => self.write_job(ctx, chain, sector, out),
            T_FLUSH if features & F_FLUSH != 0 => Ok(Job::Submit {
                parts: vec![BlockRequest::Flush],
                bytes: 0,
                is_read: false,
                is_write: false,
            }),
            T_GET_ID => {
                let len = ID_BYTES.min(usize::try_from(inp).unwrap_or(ID_BYTES));
                Ok(Job::Done {
                    status: S_OK,
                    data: self.id[..len].to_vec(),
                })
            }
            T_DISCARD if features & F_DISCARD != 0 => self.ranges_job(ctx, chain, out, true),
            T_WRITE_ZEROES if features & F_WRITE_ZEROES != 0 => {
                self.ranges_job(ctx, chain, out, false)
            }
            _ => Ok(Job::failed(S_UNSUPP)),
        }
    }

    /// The medium's bytes that a read or write of `len` moves.
    fn data_range(&self, sector: u64, len: u64) -> Option<(u64, u64)> {
        let whole = len.is_multiple_of(SECTOR_BYTES) && len <= MAX_DATA_BYTES;
        self.range(sector, len / SECTOR_BYTES).filter(|_| whole)
    }

    fn read_job(&self, sector: u64, len: u64) -> Job {
        let Some((offset, len)) = self.data_range(sector, len) else {
            return Job::failed(S_IOERR);
        };
        let parts = parts(offset, len)
            .map(|(offset, len)| BlockRequest::Read { offset, len })
            .collect();
        Job::Submit {
            parts,
            bytes: len,
            is_read: true,
            is_write: false,
        }
    }

    fn write_job(
        &self,
        ctx: &Ctx<'_>,
        chain: &Chain,
        sector: u64,
        len: u64,
    ) -> Result<Job, QueueFault> {
        let Some((start, len)) = self.data_range(sector, len) else {
            return Ok(Job::failed(S_IOERR));
        };
        if self.is_read_only() {
            return Ok(Job::failed(S_IOERR));
        }
        let mut list = Vec::new();
        for (offset, len) in parts(start, len) {
            let mut data = vec![0; usize::try_from(len).expect("at most 4 MiB")];
            chain.read(ctx.memory, HEAD_BYTES + (offset - start), &mut data)?;
            list.push(BlockRequest::Write { offset, data });
        }
        Ok(Job::Submit {
            parts: list,
            bytes: len,
            is_read: false,
            is_write: true,
        })
    }

    fn ranges_job(
        &self,
        ctx: &Ctx<'_>,
        chain: &Chain,
        len: u64,
        discard: bool,
    ) -> Result<Job, QueueFault> {
        let count = len / RANGE_BYTES;
        if !len.is_multiple_of(RANGE_BYTES) || count > u64::from(MAX_RANGES) || self.is_read_only()
        {
            return Ok(Job::failed(S_IOERR));
        }
        let mut list = Vec::new();
        for n in 0..count {
            let mut raw = [0; 16];
            chain.read(ctx.memory, HEAD_BYTES + n * RANGE_BYTES, &mut raw)?;
            let [a, b, c, d, e, f, g, h, n0, n1, n2, n3, f0, f1, f2, f3] = raw;
            let flags = u32::from_le_bytes([f0, f1, f2, f3]);
            let allowed = if discard { 0 } else { RANGE_UNMAP };
            if flags & !allowed != 0 {
                return Ok(Job::failed(S_UNSUPP));
            }
            let sector = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
            let sectors = u64::from(u32::from_le_bytes([n0, n1, n2, n3]));
            let Some((offset, len)) = self.range(sector, sectors) else {
                return Ok(Job::failed(S_IOERR));
            };
            if len > 0 {
                list.push(if discard {
                    BlockRequest::Discard { offset, len }
                } else {
                    BlockRequest::WriteZeroes { offset, len }
                });
            }
        }
        Ok(Job::Submit {
            parts: list,
            bytes: 0,
            is_read: false,
            is_write: !discard,
        })
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

/// `len` bytes from `offset` in parts that a backend takes.
fn parts(offset: u64, len: u64) -> impl Iterator<Item = (u64, u32)> {
    (0..len.div_ceil(PART_BYTES)).map(move |n| {
        let start = n * PART_BYTES;
        let part = (len - start).min(PART_BYTES);
        (offset + start, u32::try_from(part).expect("at most 4 MiB"))
    })
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

impl VirtioPci<Blk> {
    /// Gives the medium back and leaves none behind. For the end of the machine: the guest is not told.
    pub fn take_medium(&mut self) -> Box<dyn BlockBackend> {
        std::mem::replace(
            &mut self.function.backend,
            Box::new(vmwb_hw::NoMedium::default()),
        )
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
