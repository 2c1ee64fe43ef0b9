//! Registers, keys and structures of the firmware configuration device (QEMU, docs/specs/fw_cfg.rst).

/// First port of selector and data.
pub const FW_CFG_PORT: u16 = 0x510;
/// Ports of the whole device, the two unused ones between data and DMA included.
pub const FW_CFG_PORTS: u16 = 12;

/// Offset of the selector: 16 bits, write-only.
pub const SELECTOR: u16 = 0;
/// Offset of the data register: 8 bits.
pub const DATA: u16 = 1;
/// Offset of the DMA address, high half: 32 bits, big-endian.
pub const DMA_HIGH: u16 = 4;
/// Offset of the DMA address, low half; a write starts the transfer.
pub const DMA_LOW: u16 = 8;
/// What a read of the DMA address gives, byte after byte.
pub const DMA_SIGNATURE: [u8; 8] = *b"QEMU CFG";

/// Selector: the old write channel, which selects the same item.
pub const WRITE_CHANNEL: u16 = 0x4000;
/// Selector: items that are only for this architecture.
pub const ARCH_LOCAL: u16 = 0x8000;

/// Key of the device's signature.
pub const KEY_SIGNATURE: u16 = 0x00;
/// Key of the feature bits.
pub const KEY_ID: u16 = 0x01;
/// Key of the file directory.
pub const KEY_FILE_DIR: u16 = 0x19;
/// Key of the first file; the others follow.
pub const KEY_FIRST_FILE: u16 = 0x20;

/// Contents of [`KEY_SIGNATURE`].
pub const SIGNATURE: [u8; 4] = *b"QEMU";
/// Contents of [`KEY_ID`]: selector and data register, DMA.
pub const FEATURES: u32 = 0b11;

/// Bytes of one entry of the file directory.
pub const DIR_ENTRY_BYTES: usize = 64;
/// Bytes of a file's name there, the closing NUL included.
pub const NAME_BYTES: usize = 56;

/// Bytes of the structure that a DMA address points to: control, length, address, all big-endian.
pub const DMA_ACCESS_BYTES: usize = 16;
/// DMA control: something went wrong.
pub const DMA_ERROR: u32 = 1 << 0;
/// DMA control: copy into memory.
pub const DMA_READ: u32 = 1 << 1;
/// DMA control: move on without a copy.
pub const DMA_SKIP: u32 = 1 << 2;
/// DMA control: select the item of the upper 16 bits first.
pub const DMA_SELECT: u32 = 1 << 3;
/// DMA control: copy from memory, which no item allows.
pub const DMA_WRITE: u32 = 1 << 4;

/// Longest copy of one DMA access, in bytes: 64 MiB. It takes as long as it takes, and the processor waits.
pub const MAX_DMA_BYTES: u32 = 64 << 20;
