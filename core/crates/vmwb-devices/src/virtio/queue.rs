//! One split virtqueue: descriptors and rings in guest memory (specification 1.2, section 2.7).
//!
//! Everything in memory is the guest's and hostile. Each value is read once and checked before it is used; what a chain
//! says is copied out ([`Chain`]) and never looked up again. A chain is bounded in descriptors and bytes, and who serves
//! a queue takes at most as many chains at a time as the queue has entries: a ring that refills itself, through a buffer
//! that lies over it, does not keep the device busy.

use thiserror::Error;
use vmwb_hw::{GuestAddress, GuestMemory};

use super::regs::{
    AVAIL_NO_INTERRUPT, DESC_BYTES, DESC_INDIRECT, DESC_NEXT, DESC_WRITE, F_EVENT_IDX,
    F_INDIRECT_DESC, MAX_INDIRECT, NO_VECTOR,
};

/// How a driver broke a queue. The device then asks for a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum QueueFault {
    /// The rings or the descriptors are not in RAM.
    #[error("its rings lie outside the guest's memory")]
    RingOutsideRam,
    /// A buffer is not in RAM.
    #[error("a buffer lies outside the guest's memory")]
    BufferOutsideRam,
    /// More chains are available than the queue has entries.
    #[error("its available index jumped")]
    IndexJump,
    /// A descriptor's number is not below the queue's (or table's) size.
    #[error("a descriptor's number lies outside the table")]
    BadDescriptor,
    /// The chain has more descriptors than it may.
    #[error("its descriptors form a loop or an over-long chain")]
    EndlessChain,
    /// The chain has more bytes than the device takes.
    #[error("one request has more bytes than the device takes")]
    TooManyBytes,
    /// A table was not agreed on, is nested, not alone or has a broken length.
    #[error("a table of descriptors is not what it may be")]
    BadTable,
    /// A buffer for the device to read follows one to write.
    #[error("a buffer to read follows a buffer to write")]
    WrongOrder,
    /// The request has not the parts that this device's requests have.
    #[error("a request lacks what every request of this device has")]
    BadRequest,
}

/// A piece of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    addr: u64,
    len: u32,
}

/// One request of the driver: buffers to read, then buffers to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    head: u16,
    segments: Vec<Segment>,
    /// How many of them are to be read.
    readable: usize,
    readable_bytes: u64,
    writable_bytes: u64,
}

impl Chain {
    /// Bytes to read.
    #[must_use]
    pub fn readable_bytes(&self) -> u64 {
        self.readable_bytes
    }

    /// Bytes to write.
    #[must_use]
    pub fn writable_bytes(&self) -> u64 {
        self.writable_bytes
    }

    /// Reads `out.len()` bytes from `offset` of the buffers to read.
    ///
    /// # Errors
    /// [`QueueFault::BadRequest`] when they have fewer, [`QueueFault::BufferOutsideRam`].
    pub fn read(
        &self,
        memory: &GuestMemory,
        offset: u64,
        out: &mut [u8],
    ) -> Result<(), QueueFault> {
        let mut rest = out;
        for (addr, len) in pieces(&self.segments[..self.readable], offset, rest.len())? {
            let (now, later) = rest.split_at_mut(len);
            memory
                .read(GuestAddress(addr), now)
                .map_err(|_| QueueFault::BufferOutsideRam)?;
            rest = later;
        }
        Ok(())
    }

    /// Writes `bytes` at `offset` of the buffers to write.
    ///
    /// # Errors
    /// As [`Chain::read`]; part may then be written.
    pub fn write(&self, memory: &GuestMemory, offset: u64, bytes: &[u8]) -> Result<(), QueueFault> {
        let mut rest = bytes;
        for (addr, len) in pieces(&self.segments[self.readable..], offset, rest.len())? {
            let (now, later) = rest.split_at(len);
            memory
                .write(GuestAddress(addr), now)
                .map_err(|_| QueueFault::BufferOutsideRam)?;
            rest = later;
        }
        Ok(())
    }

    /// The buffers to write, as address and length.
    pub fn writable(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.segments[self.readable..]
            .iter()
            .map(|s| (s.addr, s.len))
    }
}

/// The pieces that `len` bytes from `offset` lie in.
fn pieces(
    segments: &[Segment],
    offset: u64,
    len: usize,
) -> Result<impl Iterator<Item = (u64, usize)> + '_, QueueFault> {
    let total: u64 = segments.iter().map(|s| u64::from(s.len)).sum();
    let end = offset.checked_add(len as u64);
    if end.is_none_or(|end| end > total) {
        return Err(QueueFault::BadRequest);
    }
    let (mut skip, mut left) = (offset, len);
    let pieces = segments.iter().filter_map(move |s| {
        let inside = u64::from(s.len).saturating_sub(skip);
        let start = skip.min(u64::from(s.len));
        skip -= start;
        let taken = usize::try_from(inside).map_or(left, |n| n.min(left));
        left -= taken;
        (taken > 0).then_some((s.addr + start, taken))
    });
    Ok(pieces)
}

/// Registers and positions of one queue: all that is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Queue {
    /// Largest size that a driver may choose.
    pub max_size: u16,
    /// Most bytes of one chain.
    pub max_chain_bytes: u64,
    /// Entries, a power of two.
    pub size: u16,
    pub enabled: bool,
    /// Addresses of descriptors, available ring, used ring.
    pub desc: u64,
    pub driver: u64,
    pub device: u64,
    /// MSI-X vector.
    pub vector: u16,
    /// Next entry of the available ring to take.
    pub next_avail: u16,
    /// Next entry of the used ring to fill.
    pub next_used: u16,
    /// Used index when the driver was last told or found not to want to be.
    pub signalled: u16,
}

impl Queue {
    pub fn new(max_size: u16, max_chain_bytes: u64) -> Self {
        Self {
            max_size,
            max_chain_bytes,
            size: max_size,
            enabled: false,
            desc: 0,
            driver: 0,
            device: 0,
            vector: NO_VECTOR,
            next_avail: 0,
            next_used: 0,
            signalled: 0,
        }
    }

    pub fn reset(&mut self) {
        *self = Self::new(self.max_size, self.max_chain_bytes);
    }

    /// Takes the next chain; `None` when the driver has none left.
    pub fn pop(
        &mut self,
        memory: &GuestMemory,
        features: u64,
    ) -> Result<Option<Chain>, QueueFault> {
        let index = ring_u16(memory, self.driver, 2)?;
        let waiting = index.wrapping_sub(self.next_avail);
        if waiting > self.size {
            return Err(QueueFault::IndexJump);
        }
        if waiting == 0 {
            self.ask_for_notification(memory, features)?;
            return Ok(None);
        }
        let entry = 4 + 2 * u64::from(self.next_avail % self.size);
        let head = ring_u16(memory, self.driver, entry)?;
        let chain = self.walk(memory, features, head)?;
        self.next_avail = self.next_avail.wrapping_add(1);
        if waiting == 1 {
            // Whoever serves a full ring stops here and does not ask again.
            self.ask_for_notification(memory, features)?;
        }
        Ok(Some(chain))
    }

    /// The driver shall tell of the very next chain (section 2.7.10).
    fn ask_for_notification(&self, memory: &GuestMemory, features: u64) -> Result<(), QueueFault> {
        if features & F_EVENT_IDX == 0 {
            return Ok(());
        }
        let event = 4 + 8 * u64::from(self.size);
        ring_write(memory, self.device, event, &self.next_avail.to_le_bytes())
    }

    /// Leaves the chain taken last in the ring.
    pub fn put_back(&mut self) {
        self.next_avail = self.next_avail.wrapping_sub(1);
    }

    fn walk(&self, memory: &GuestMemory, features: u64, head: u16) -> Result<Chain, QueueFault> {
        let mut chain = Chain {
            head,
            segments: Vec::with_capacity(4),
            readable: 0,
            readable_bytes: 0,
            writable_bytes: 0,
        };
        let mut number = head;
        loop {
            if number >= self.size {
                return Err(QueueFault::BadDescriptor);
            }
            let mut raw = [0; 16];
            let at = DESC_BYTES * u64::from(number);
            ring_read(memory, self.desc, at, &mut raw)?;
            let d = Descriptor::from(raw);
            if d.flags & DESC_INDIRECT != 0 {
                // A table stands alone or at a chain's end (section 2.7.5.3.1).
                let allowed = features & F_INDIRECT_DESC != 0 && d.flags & DESC_NEXT == 0;
                if !allowed {
                    return Err(QueueFault::BadTable);
                }
                self.walk_table(memory, &mut chain, d)?;
                return Ok(chain);
            }
            if chain.segments.len() >= usize::from(self.size) {
                return Err(QueueFault::EndlessChain);
            }
            self.add(&mut chain, d)?;
            if d.flags & DESC_NEXT == 0 {
                return Ok(chain);
            }
            number = d.next;
        }
    }

    fn walk_table(
        &self,
        memory: &GuestMemory,
        chain: &mut Chain,
        table: Descriptor,
    ) -> Result<(), QueueFault> {
        let bytes = usize::try_from(table.len).map_err(|_| QueueFault::BadTable)?;
        let whole = table.len.is_multiple_of(16) && table.len != 0;
        if !whole || bytes / 16 > MAX_INDIRECT {
            return Err(QueueFault::BadTable);
        }
        // One copy: entries that change meanwhile change nothing.
        let mut raw = vec![0; bytes];
        ring_read(memory, table.addr, 0, &mut raw)?;
        let (entries, _) = raw.as_chunks::<16>();
        let mut number = 0;
        for _ in 0..entries.len() {
            let d = entries.get(number).ok_or(QueueFault::BadDescriptor)?;
            let d = Descriptor::from(*d);
            if d.flags & DESC_INDIRECT != 0 {
                return Err(QueueFault::BadTable);
            }
            self.add(chain, d)?;
            if d.flags & DESC_NEXT == 0 {
                return Ok(());
            }
            number = usize::from(d.next);
        }
        Err(QueueFault::EndlessChain)
    }

    fn add(&self, chain: &mut Chain, d: Descriptor) -> Result<(), QueueFault> {
        d.addr
            .checked_add(u64::from(d.len))
            .ok_or(QueueFault::BufferOutsideRam)?;
        if d.flags & DESC_WRITE != 0 {
            chain.writable_bytes += u64::from(d.len);
        } else if chain.readable < chain.segments.len() {
            return Err(QueueFault::WrongOrder);
        } else {
            chain.readable += 1;
            chain.readable_bytes += u64::from(d.len);
        }
        if chain.readable_bytes + chain.writable_bytes > self.max_chain_bytes {
            return Err(QueueFault::TooManyBytes);
        }
        chain.segments.push(Segment {
            addr: d.addr,
            len: d.len,
        });
        Ok(())
    }

    /// Hands a chain back, with `written` bytes in its buffers.
    pub fn push(
        &mut self,
        memory: &GuestMemory,
        chain: &Chain,
        written: u32,
    ) -> Result<(), QueueFault> {
        let mut element = [0; 8];
        element[..2].copy_from_slice(&chain.head.to_le_bytes());
        element[4..].copy_from_slice(&written.to_le_bytes());
        let entry = 4 + 8 * u64::from(self.next_used % self.size);
        ring_write(memory, self.device, entry, &element)?;
        self.next_used = self.next_used.wrapping_add(1);
        ring_write(memory, self.device, 2, &self.next_used.to_le_bytes())
    }

    /// Whether the driver wants to hear of what was handed back since the last call (section 2.7.7).
    pub fn wants_interrupt(
        &mut self,
        memory: &GuestMemory,
        features: u64,
    ) -> Result<bool, QueueFault> {
        let (old, new) = (self.signalled, self.next_used);
        if old == new {
            return Ok(false);
        }
        self.signalled = new;
        if features & F_EVENT_IDX == 0 {
            return Ok(ring_u16(memory, self.driver, 0)? & AVAIL_NO_INTERRUPT == 0);
        }
        let event = ring_u16(memory, self.driver, 4 + 2 * u64::from(self.size))?;
        let passed = new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old);
        Ok(passed)
    }
}

/// One descriptor as it stands in memory.
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

impl From<[u8; 16]> for Descriptor {
    fn from(raw: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, l0, l1, l2, l3, f0, f1, n0, n1] = raw;
        Self {
            addr: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            len: u32::from_le_bytes([l0, l1, l2, l3]),
            flags: u16::from_le_bytes([f0, f1]),
            next: u16::from_le_bytes([n0, n1]),
        }
    }
}

fn ring_read(
    memory: &GuestMemory,
    base: u64,
    offset: u64,
    out: &mut [u8],
) -> Result<(), QueueFault> {
    let at = GuestAddress(base).checked_add(offset);
    at.and_then(|at| memory.read(at, out).ok())
        .ok_or(QueueFault::RingOutsideRam)
}

fn ring_u16(memory: &GuestMemory, base: u64, offset: u64) -> Result<u16, QueueFault> {
    let mut value = [0; 2];
    ring_read(memory, base, offset, &mut value)?;
    Ok(u16::from_le_bytes(value))
}

fn ring_write(
    memory: &GuestMemory,
    base: u64,
    offset: u64,
    bytes: &[u8],
) -> Result<(), QueueFault> {
    let at = GuestAddress(base).checked_add(offset);
    at.and_then(|at| memory.write(at, bytes).ok())
        .ok_or(QueueFault::RingOutsideRam)
}
