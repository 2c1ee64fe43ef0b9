//! From a request in guest memory to what the backend is asked: everything in it is checked here.

use vmwb_hw::{BlockRequest, Ctx};

use super::regs::{
    F_DISCARD, F_FLUSH, F_WRITE_ZEROES, HEAD_BYTES, ID_BYTES, MAX_DATA_BYTES, MAX_RANGE_SECTORS,
    MAX_RANGES, RANGE_BYTES, RANGE_UNMAP, S_IOERR, S_OK, S_UNSUPP, SECTOR_BYTES, T_DISCARD,
    T_FLUSH, T_GET_ID, T_IN, T_OUT, T_WRITE_ZEROES,
};
use super::{Blk, PART_BYTES};
use crate::virtio::{Chain, QueueFault};

/// What a chain asks for, checked.
pub(super) enum Job {
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

    /// Requests to the backend that it takes.
    pub fn parts(&self) -> usize {
        match self {
            Self::Done { .. } => 0,
            Self::Submit { parts, .. } => parts.len(),
        }
    }
}

impl Blk {
    /// The byte range of `sectors` from `sector`, when the medium has them.
    fn range(&self, sector: u64, sectors: u64) -> Option<(u64, u64)> {
        let end = sector.checked_add(sectors)?;
        if end > self.sectors() {
            return None;
        }
        Some((sector * SECTOR_BYTES, sectors * SECTOR_BYTES))
    }

    /// What `chain` asks for; a fault when it is no request at all.
    pub(super) fn job(
        &self,
        ctx: &Ctx<'_>,
        features: u64,
        chain: &Chain,
    ) -> Result<Job, QueueFault> {
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
            // Longer ones would keep the medium busy for as long as the driver likes.
            let fits = sectors <= u64::from(MAX_RANGE_SECTORS);
            let Some((offset, len)) = self.range(sector, sectors).filter(|_| fits) else {
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
}

/// `len` bytes from `offset` in parts that a backend takes.
fn parts(offset: u64, len: u64) -> impl Iterator<Item = (u64, u32)> {
    (0..len.div_ceil(PART_BYTES)).map(move |n| {
        let start = n * PART_BYTES;
        let part = (len - start).min(PART_BYTES);
        (offset + start, u32::try_from(part).expect("at most 4 MiB"))
    })
}
