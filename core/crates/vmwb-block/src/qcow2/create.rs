//! Making a new image.

use crate::error::ImageError;
use crate::host::HostFile;
use crate::image::{SECTOR_BYTES, round_up};
use crate::to_usize;

use super::header::{
    Backing, EXT_BACKING_FORMAT, Geometry, LAZY_REFCOUNTS, MAGIC, MAX_L1_BYTES, MAX_NAME_BYTES,
    MAX_REFTABLE_BYTES, V3_LONG_BYTES,
};
use super::refcount::set_in_block;

/// How an image is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateOptions {
    /// Size of a cluster: a power of two from 512 bytes to 2 MiB.
    pub cluster_bytes: u64,
    /// Width of a reference count: a power of two from 1 to 64 bits.
    pub refcount_bits: u32,
    /// Version of the format, 2 (with counts of 16 bits) or 3.
    pub version: u32,
    /// Other programs may write counts late. We do not.
    pub lazy_refcounts: bool,
    /// The image that it is based on.
    pub backing: Option<Backing>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            cluster_bytes: 64 << 10,
            refcount_bits: 16,
            version: 3,
            lazy_refcounts: false,
            backing: None,
        }
    }
}

impl CreateOptions {
    fn geometry(&self) -> Result<Geometry, ImageError> {
        let wrong = |what: &str| Err(ImageError::BadArgument(what.to_owned()));
        if !self.cluster_bytes.is_power_of_two() || !(512..=2 << 20).contains(&self.cluster_bytes) {
            return wrong("The size of a cluster must be a power of two from 512 bytes to 2 MiB.");
        }
        if !self.refcount_bits.is_power_of_two() || self.refcount_bits > 64 {
            return wrong(
                "The width of a reference count must be a power of two from 1 to 64 bits.",
            );
        }
        match self.version {
            2 if self.refcount_bits != 16 || self.lazy_refcounts => {
                return wrong(
                    "Version 2 of the format has reference counts of 16 bits only, and never late ones.",
                );
            }
            2 | 3 => {}
            _ => return wrong("The version of the format must be 2 or 3."),
        }
        Ok(Geometry {
            cluster_bits: self.cluster_bytes.trailing_zeros(),
            refcount_order: self.refcount_bits.trailing_zeros(),
        })
    }
}

/// Makes an empty image of a medium of so many bytes (rounded up to whole sectors) in a file; what was in it is lost.
///
/// # Errors
/// The options make no sense together; the file is in use or cannot be written: it is then no image.
pub fn create(file: &dyn HostFile, bytes: u64, options: &CreateOptions) -> Result<(), ImageError> {
    let geometry = options.geometry()?;
    let too_large = || ImageError::TooLarge {
        what: format!("a medium of {bytes} bytes with clusters of this size"),
    };
    let bytes = round_up(bytes, SECTOR_BYTES).ok_or_else(too_large)?;
    let l1_entries = geometry.l1_entries(bytes);
    if l1_entries * 8 > MAX_L1_BYTES {
        return Err(too_large());
    }
    let plan = Plan::new(geometry, l1_entries).ok_or_else(too_large)?;
    let header = header(bytes, l1_entries, &plan, geometry, options)?;
    crate::image::claim(file, true)?;
    let written = || ImageError::host("written");
    file.set_size(0).map_err(written())?;
    file.set_size(plan.end << geometry.cluster_bits)
        .map_err(written())?;
    let mut table = Vec::new();
    for block in 0..plan.blocks {
        let offset = (plan.first_block + block) << geometry.cluster_bits;
        table.extend(offset.to_be_bytes());
        let mut counts = vec![0; to_usize(geometry.cluster_bytes())];
        let used = plan.end.saturating_sub(block * geometry.block_entries());
        for entry in 0..used.min(geometry.block_entries()) {
            set_in_block(&mut counts, geometry.refcount_order, to_usize(entry), 1);
        }
        file.write_at(offset, &counts).map_err(written())?;
    }
    file.write_at(plan.table << geometry.cluster_bits, &table)
        .map_err(written())?;
    // The header last: until then the file is no image.
    file.sync().map_err(ImageError::host("stored"))?;
    file.write_at(0, &header).map_err(written())?;
    file.sync().map_err(ImageError::host("stored"))
}

/// Where everything is, in clusters: the header, the refcount table, its blocks, the L1 table.
struct Plan {
    table: u64,
    table_clusters: u64,
    first_block: u64,
    blocks: u64,
    l1: u64,
    end: u64,
}

impl Plan {
    fn new(geometry: Geometry, l1_entries: u64) -> Option<Self> {
        let l1_clusters = geometry.clusters(l1_entries * 8).max(1);
        let (mut table_clusters, mut blocks) = (1, 1);
        loop {
            let end = 1 + table_clusters + blocks + l1_clusters;
            let more_blocks = end.div_ceil(geometry.block_entries());
            let more_clusters = geometry.clusters(more_blocks * 8);
            if table_clusters << geometry.cluster_bits > MAX_REFTABLE_BYTES {
                return None;
            }
            if more_blocks <= blocks && more_clusters <= table_clusters {
                return Some(Self {
                    table: 1,
                    table_clusters,
                    first_block: 1 + table_clusters,
                    blocks,
                    l1: 1 + table_clusters + blocks,
                    end,
                });
            }
            blocks = blocks.max(more_blocks);
            table_clusters = table_clusters.max(more_clusters);
        }
    }
}

fn header(
    bytes: u64,
    l1_entries: u64,
    plan: &Plan,
    geometry: Geometry,
    options: &CreateOptions,
) -> Result<Vec<u8>, ImageError> {
    let at = |cluster: u64| (cluster << geometry.cluster_bits).to_be_bytes();
    let word = |value: u64| {
        u32::try_from(value)
            .expect("tables have been bounded")
            .to_be_bytes()
    };
    let mut header = Vec::new();
    header.extend(MAGIC);
    header.extend(options.version.to_be_bytes());
    // Where the backing image's name is, is filled in below.
    header.extend([0; 12]);
    header.extend(geometry.cluster_bits.to_be_bytes());
    header.extend(bytes.to_be_bytes());
    header.extend([0; 4]);
    header.extend(word(l1_entries));
    header.extend(at(plan.l1));
    header.extend(at(plan.table));
    header.extend(word(plan.table_clusters));
    header.extend([0; 12]);
    if options.version == 3 {
        header.extend([0; 8]);
        let compatible = if options.lazy_refcounts {
            LAZY_REFCOUNTS
        } else {
            0
        };
        header.extend(compatible.to_be_bytes());
        header.extend([0; 8]);
        header.extend(geometry.refcount_order.to_be_bytes());
        header.extend(word(V3_LONG_BYTES as u64));
        header.resize(V3_LONG_BYTES, 0);
    }
    if let Some(backing) = &options.backing {
        let name = backing.name.as_bytes();
        if let Some(format) = &backing.format {
            header.extend(EXT_BACKING_FORMAT.to_be_bytes());
            header.extend(word(format.len() as u64));
            header.extend(format.as_bytes());
            header.resize(header.len().next_multiple_of(8), 0);
        }
        // The end of the extensions.
        header.extend([0; 8]);
        let fits = header.len() as u64 + name.len() as u64 <= geometry.cluster_bytes();
        if name.is_empty() || name.len() as u64 > MAX_NAME_BYTES || !fits {
            return Err(ImageError::BadArgument(
                "The name of the image that it is based on is empty or too long.".to_owned(),
            ));
        }
        let offset = header.len() as u64;
        header[8..16].copy_from_slice(&offset.to_be_bytes());
        header[16..20].copy_from_slice(&word(name.len() as u64));
        header.extend(name);
    } else {
        header.extend([0; 8]);
    }
    Ok(header)
}
