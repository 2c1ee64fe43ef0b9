//! The container of `devices.cbor`: one CBOR array of payloads, with an index that is readable without decoding them.
//!
//! ```text
//! "VMWBSTAT" | u32 LE format version | u32 LE index length | index (JSON) | payload bytes, back to back
//! ```
//! The index names kind, version, offset, length and CRC-32 (IEEE 802.3) of each payload.

use serde::{Deserialize, Serialize};

use crate::payload::{MAX_PAYLOAD_BYTES, Payload, SnapshotError};

const MAGIC: &[u8; 8] = b"VMWBSTAT";
const HEADER_BYTES: usize = 16;
const MAX_INDEX_BYTES: usize = 1 << 20;

/// Version of the container's frame.
pub const FORMAT_VERSION: u32 = 1;
/// Largest container that is read, in bytes.
pub const MAX_CONTAINER_BYTES: usize = 256 << 20;

/// One line of the index.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct IndexEntry {
    /// Instance name.
    pub name: String,
    /// Schema kind.
    pub kind: String,
    /// Schema version.
    pub version: u32,
    /// Offset from the end of the index, in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u64,
    /// CRC-32 of the payload's bytes.
    pub crc32: u32,
}

/// What a container holds.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ContainerIndex {
    /// One entry a payload, in file order.
    pub entries: Vec<IndexEntry>,
}

/// All payloads of one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    payloads: Vec<Payload>,
}

impl Container {
    /// An empty container.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one payload. Names are unique: a second one of the same name replaces the first.
    pub fn push(&mut self, payload: Payload) {
        self.payloads.retain(|p| p.name != payload.name);
        self.payloads.push(payload);
    }

    /// Takes the payload `name` out.
    ///
    /// # Errors
    /// [`SnapshotError::Missing`] when there is none.
    pub fn take(&mut self, name: &str) -> Result<Payload, SnapshotError> {
        let at = self.payloads.iter().position(|p| p.name == name);
        at.map(|i| self.payloads.remove(i))
            .ok_or_else(|| SnapshotError::Missing(name.to_owned()))
    }

    /// Confirms that everything was taken: state that nobody imports is a defect, not a detail.
    ///
    /// # Errors
    /// [`SnapshotError::Unclaimed`] naming the first payload left.
    pub fn finish(self) -> Result<(), SnapshotError> {
        match self.payloads.into_iter().next() {
            Some(p) => Err(SnapshotError::Unclaimed(p.name)),
            None => Ok(()),
        }
    }

    /// Writes the container.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] when the index cannot be written.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SnapshotError> {
        let mut index = ContainerIndex::default();
        let mut offset = 0u64;
        for p in &self.payloads {
            let len_bytes = p.bytes.len() as u64;
            index.entries.push(IndexEntry {
                name: p.name.clone(),
                kind: p.kind.clone(),
                version: p.version,
                offset,
                len_bytes,
                crc32: crc32(&p.bytes),
            });
            offset += len_bytes;
        }
        let json = serde_json::to_vec(&index)
            .map_err(|e| SnapshotError::damaged("index", e.to_string()))?;
        let json_len =
            u32::try_from(json.len()).map_err(|_| SnapshotError::damaged("index", "too long"))?;
        let mut out =
            Vec::with_capacity(HEADER_BYTES + json.len() + usize::try_from(offset).unwrap_or(0));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&json_len.to_le_bytes());
        out.extend_from_slice(&json);
        for p in &self.payloads {
            out.extend_from_slice(&p.bytes);
        }
        Ok(out)
    }

    /// Reads the index alone.
    ///
    /// # Errors
    /// [`SnapshotError::NotAContainer`] or [`SnapshotError::NewerVersion`].
    pub fn read_index(bytes: &[u8]) -> Result<(ContainerIndex, usize), SnapshotError> {
        let bad = |why: &str| SnapshotError::NotAContainer(why.to_owned());
        if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
            return Err(bad("the signature is missing"));
        }
        if bytes.len() > MAX_CONTAINER_BYTES {
            return Err(bad("it is larger than any real one"));
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let version = word(8);
        if version != FORMAT_VERSION {
            return Err(SnapshotError::NewerVersion {
                kind: "container".to_owned(),
                found: version,
                newest: FORMAT_VERSION,
            });
        }
        let index_len = word(12) as usize;
        if index_len > MAX_INDEX_BYTES || HEADER_BYTES + index_len > bytes.len() {
            return Err(bad("the index is cut off"));
        }
        let body = HEADER_BYTES + index_len;
        let index =
            serde_json::from_slice(&bytes[HEADER_BYTES..body]).map_err(|e| bad(&e.to_string()))?;
        Ok((index, body))
    }

    /// Reads a container and checks every bound and checksum.
    ///
    /// # Errors
    /// Any [`SnapshotError`] that names what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let (index, body) = Self::read_index(bytes)?;
        let body = &bytes[body..];
        let mut container = Self::new();
        // Payloads do not share bytes: an index of thousands that all name the same ones would cost as many copies.
        let mut left = body.len();
        for e in index.entries {
            let range = usize::try_from(e.offset)
                .ok()
                .zip(usize::try_from(e.len_bytes).ok());
            let slice = range
                .filter(|&(_, len)| len <= MAX_PAYLOAD_BYTES)
                .and_then(|(at, len)| at.checked_add(len).and_then(|end| body.get(at..end)))
                .ok_or_else(|| SnapshotError::damaged(&e.kind, "it lies outside the file"))?;
            left = left
                .checked_sub(slice.len())
                .ok_or_else(|| SnapshotError::damaged(&e.kind, "it shares bytes with another"))?;
            if crc32(slice) != e.crc32 {
                return Err(SnapshotError::damaged(&e.kind, "its checksum is wrong"));
            }
            if container.payloads.iter().any(|p| p.name == e.name) {
                return Err(SnapshotError::damaged(&e.kind, "it is there twice"));
            }
            container.payloads.push(Payload {
                name: e.name,
                kind: e.kind,
                version: e.version,
                bytes: slice.to_vec(),
            });
        }
        Ok(container)
    }
}

/// CRC-32 of IEEE 802.3 (reflected polynomial EDB88320h).
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &b in bytes {
        crc ^= u32::from(b);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Schema;

    #[derive(Debug, Serialize, Deserialize, PartialEq)]
    struct ProbeV1 {
        level: u8,
    }
    impl Schema for ProbeV1 {
        const KIND: &'static str = "probe";
        const VERSION: u32 = 1;
    }

    fn sample() -> Vec<u8> {
        let mut c = Container::new();
        c.push(Payload::encode("probe.0", &ProbeV1 { level: 7 }).unwrap());
        c.push(Payload::encode("probe.1", &ProbeV1 { level: 9 }).unwrap());
        c.to_bytes().unwrap()
    }

    #[test]
    fn container_written_then_read_gives_the_same_payloads() {
        let mut c = Container::from_bytes(&sample()).unwrap();
        assert_eq!(
            c.take("probe.1").unwrap().decode::<ProbeV1>().unwrap(),
            ProbeV1 { level: 9 }
        );
        assert_eq!(
            c.take("probe.0").unwrap().decode::<ProbeV1>().unwrap(),
            ProbeV1 { level: 7 }
        );
        c.finish().unwrap();
    }

    #[test]
    fn container_with_state_nobody_took_is_refused() {
        let c = Container::from_bytes(&sample()).unwrap();
        assert!(matches!(c.finish(), Err(SnapshotError::Unclaimed(_))));
    }

    #[test]
    fn container_cut_at_any_byte_is_refused() {
        let whole = sample();
        assert!((0..whole.len()).all(|n| Container::from_bytes(&whole[..n]).is_err()));
    }

    #[test]
    fn payload_with_one_flipped_bit_is_refused() {
        let mut bytes = sample();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        assert!(matches!(
            Container::from_bytes(&bytes),
            Err(SnapshotError::Damaged { .. })
        ));
    }

    #[test]
    fn payloads_that_share_bytes_are_refused() {
        let whole = sample();
        let (mut index, body) = Container::read_index(&whole).unwrap();
        let first = index.entries[0].clone();
        index.entries.extend((2..100).map(|n| IndexEntry {
            name: format!("probe.{n}"),
            ..first.clone()
        }));
        let json = serde_json::to_vec(&index).unwrap();
        let mut bytes = whole[..12].to_vec();
        bytes.extend(u32::try_from(json.len()).unwrap().to_le_bytes());
        bytes.extend(json);
        bytes.extend(&whole[body..]);
        let refused = Container::from_bytes(&bytes).unwrap_err();
        assert!(refused.to_string().contains("shares bytes"), "{refused}");
    }

    #[test]
    fn payload_of_a_newer_version_is_refused_by_name() {
        let mut p = Payload::encode("probe.0", &ProbeV1 { level: 7 }).unwrap();
        p.version = 2;
        assert!(
            p.decode::<ProbeV1>()
                .unwrap_err()
                .to_string()
                .contains("'probe' has version 2")
        );
    }

    #[test]
    fn crc32_of_the_check_string_is_the_published_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
