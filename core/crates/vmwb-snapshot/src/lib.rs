//! Versioned payloads of saved state.
//!
//! A device never saves its live struct: it fills a frozen payload type (`PicV1`) and hands it over as a [`Payload`]:
//! kind, version and a CBOR map with field names. A newer build reads older versions through upgrade functions that
//! chain; a version it does not know is refused by name. Payloads come from files and are hostile: [`Payload::decode`]
//! bounds what it accepts, and every device checks the values it takes.
//!
//! This crate knows payloads and their container; it does not know devices, and it opens no files.
#![forbid(unsafe_code)]

mod container;
mod payload;

pub use container::{Container, ContainerIndex, FORMAT_VERSION, IndexEntry, MAX_CONTAINER_BYTES};
pub use payload::{MAX_PAYLOAD_BYTES, Payload, Schema, SnapshotError};
