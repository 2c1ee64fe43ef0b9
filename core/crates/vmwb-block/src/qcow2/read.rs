//! Reading the medium.

use std::io::Read;

use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

use crate::error::ImageError;
use crate::to_usize;

use super::Qcow2;
use super::entry::{Mapping, l2_place};
use super::header::Compression;

/// Largest window of zstd that memory is taken for: nothing larger is of use for a cluster of 2 MiB.
const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// Where a run of bytes of the medium is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// In the file from this offset on.
    File(u64),
    Zeros,
    /// In the image below.
    Below,
    /// In the compressed cluster of this entry.
    Compressed {
        entry: u64,
        offset: u64,
        bytes: u64,
    },
}

impl Qcow2 {
    /// Appends `len` bytes of the medium; the range lies inside.
    pub fn read(
        &mut self,
        mut offset: u64,
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), ImageError> {
        let end = offset + len as u64;
        out.reserve(len);
        while offset < end {
            let (extent, bytes) = self.extent(offset, end - offset)?;
            let part = to_usize(bytes);
            match extent {
                Extent::Zeros => out.resize(out.len() + part, 0),
                Extent::File(at) => self
                    .file
                    .append_at(at, part, out)
                    .map_err(ImageError::host("read"))?,
                Extent::Below => self.read_below(offset, part, out)?,
                Extent::Compressed {
                    entry,
                    offset: at,
                    bytes,
                } => {
                    let within = to_usize(offset & (self.header.geometry.cluster_bytes() - 1));
                    let cluster = self.inflate(entry, at, bytes)?;
                    out.extend_from_slice(&cluster[within..within + part]);
                }
            }
            offset += bytes;
        }
        Ok(())
    }

    /// What the image below has, and zeros behind its end.
    fn read_below(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), ImageError> {
        let end = out.len() + len;
        if let Some(below) = &mut self.below {
            let there = below.bytes().saturating_sub(offset).min(len as u64);
            if there != 0 {
                below.read(offset, to_usize(there), out)?;
            }
        }
        out.resize(end, 0);
        Ok(())
    }

    /// Where the bytes from `offset` on are, and how many of them, at most `most`, lie there in a row.
    fn extent(&mut self, offset: u64, most: u64) -> Result<(Extent, u64), ImageError> {
        let geometry = self.header.geometry;
        let cluster_bytes = geometry.cluster_bytes();
        let within = offset & (cluster_bytes - 1);
        let in_table = geometry.l2_reach() - offset % geometry.l2_reach();
        let most = most.min(in_table);
        let place = l2_place(self.l1[to_usize(offset / geometry.l2_reach())], geometry)?;
        if place.offset == 0 {
            return Ok((self.not_here(), most));
        }
        let table = self.l2.load(&*self.file, place.offset)?;
        let zero_flag = self.header.has_zero_flag();
        let first = to_usize(offset / cluster_bytes % geometry.l2_entries());
        let not_here = if self.below.is_some() {
            Extent::Below
        } else {
            Extent::Zeros
        };
        let decode = |index: usize| -> Result<Extent, ImageError> {
            let entry = table.entry(index);
            Ok(match Mapping::of(entry, geometry, zero_flag)? {
                Mapping::Unallocated => not_here,
                Mapping::Zero { .. } => Extent::Zeros,
                Mapping::Data(place) => Extent::File(place.offset),
                Mapping::Compressed { offset, bytes } => Extent::Compressed {
                    entry,
                    offset,
                    bytes,
                },
            })
        };
        let extent = decode(first)?;
        let mut bytes = cluster_bytes - within;
        let mut index = first;
        while bytes < most {
            index += 1;
            let goes_on = match (extent, decode(index)?) {
                (Extent::File(at), Extent::File(next)) => {
                    next == at + (index - first) as u64 * cluster_bytes
                }
                (Extent::Compressed { .. }, _) => false,
                (one, other) => one == other,
            };
            if !goes_on {
                break;
            }
            bytes += cluster_bytes;
        }
        let extent = match extent {
            Extent::File(at) => Extent::File(at + within),
            other => other,
        };
        Ok((extent, bytes.min(most)))
    }

    fn not_here(&self) -> Extent {
        if self.below.is_some() {
            Extent::Below
        } else {
            Extent::Zeros
        }
    }

    /// Content of a compressed cluster.
    fn inflate(&mut self, entry: u64, offset: u64, bytes: u64) -> Result<&[u8], ImageError> {
        if self
            .inflated
            .as_ref()
            .is_none_or(|(known, _)| *known != entry)
        {
            // At most two clusters, by the width of the entry's field.
            let mut packed = Vec::new();
            self.file
                .append_at(offset, to_usize(bytes), &mut packed)
                .map_err(ImageError::host("read"))?;
            let mut cluster = vec![0; to_usize(self.header.geometry.cluster_bytes())];
            let whole = match self.header.compression {
                Compression::Zlib => unpack_zlib(&packed, &mut cluster),
                Compression::Zstd => unpack_zstd(&packed, &mut cluster),
            };
            if !whole {
                return Err(ImageError::damaged(format!(
                    "the compressed cluster at {offset:#x} cannot be unpacked"
                )));
            }
            self.inflated = Some((entry, cluster));
        }
        let (_, cluster) = self.inflated.as_ref().expect("it has just been put there");
        Ok(cluster)
    }
}

/// Unpacks a cluster: raw deflate, without zlib's header and checksum. What follows its end in the file belongs to
/// others, and more than a cluster never comes out.
fn unpack_zlib(packed: &[u8], cluster: &mut [u8]) -> bool {
    let mut state = Box::<DecompressorOxide>::default();
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (_, _, len) = decompress(&mut state, packed, cluster, 0, flags);
    len == cluster.len()
}

/// Unpacks a cluster that is one frame of zstd.
fn unpack_zstd(packed: &[u8], cluster: &mut [u8]) -> bool {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW_BYTES);
    StreamingDecoder::new_with_decoder(packed, decoder)
        .is_ok_and(|mut frame| frame.read_exact(cluster).is_ok())
}
