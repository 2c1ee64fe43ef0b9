//! The firmware configuration device, by which firmware asks what it cannot find by probing. Source: QEMU,
//! docs/specs/fw_cfg.rst; stock firmware (SeaBIOS, OVMF) and Linux's `qemu_fw_cfg` know it.
//!
//! Owns a set of read-only items, given when it is built, and three registers. It adds its own signature, feature bits
//! and the directory of named items. What the items say is the board's business.
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | selector | 0 | 510h, 16 bits, write-only |
//! | data | 1 | 511h, 8 bits |
//! | DMA address, high and low half | 4, 8 | 514h, 518h, 32 bits, big-endian; a write of the low half transfers |
//!
//! | Left out | Why |
//! |---|---|
//! | Writes to items | none needs it; refused by DMA, ignored at the data port |
//! | Transfers over 64 MiB | the processor waits for a transfer: readers of more ask in parts, as they do anyway |
//!
//! | Threat | Answer |
//! |---|---|
//! | DMA to anything but RAM | the error bit; nothing else is reached |
//! | A descriptor in nowhere | no effect |
//! | Lengths up to 4 GiB | reads over the bound are refused, skips end at the item's end |
//! | A DMA over its own descriptor | the descriptor is read once, its control word is written last |
//! | Restored offset into other items | nothing is selected then |

mod content;
pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use content::{Content, ContentError, Item, MAX_FILES, Place, Source};
pub use snapshot::FwCfgV1;

use std::collections::BTreeMap;

use vmwb_hw::{
    AccessSize, Ctx, Device, GuestAddress, GuestMemory, Nanos, Payload, PioDevice, ResetKind,
    SnapshotError,
};

use crate::bits::{byte_answer, not_decoded};
use regs::{
    DATA, DMA_ACCESS_BYTES, DMA_ERROR, DMA_HIGH, DMA_LOW, DMA_READ, DMA_SELECT, DMA_SIGNATURE,
    DMA_SKIP, DMA_WRITE, MAX_DMA_BYTES, SELECTOR, WRITE_CHANNEL,
};

/// Bytes that go to memory at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// The registers: all that is saved, with a fingerprint of the items.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    /// Key of the selected item.
    selector: Option<u16>,
    /// Offset of its next byte; stops at the end.
    offset: u32,
    dma_high: u32,
}

impl State {
    fn power_on() -> Self {
        Self {
            selector: Some(regs::KEY_SIGNATURE),
            offset: 0,
            dma_high: 0,
        }
    }
}

/// What a DMA descriptor asks for.
#[derive(Debug, Clone, Copy)]
struct DmaAccess {
    control: u32,
    len_bytes: u32,
    address: u64,
}

impl DmaAccess {
    fn parse(b: &[u8; DMA_ACCESS_BYTES]) -> Self {
        let word = |at: usize| u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        Self {
            control: word(0),
            len_bytes: word(4),
            address: u64::from(word(8)) << 32 | u64::from(word(12)),
        }
    }
}

/// A transfer that could not be carried out: the guest sees the error bit.
struct Refused;

/// The device. See the module for offsets.
#[derive(Debug)]
pub struct FwCfg {
    items: BTreeMap<u16, Content>,
    fingerprint: u64,
    state: State,
}

impl FwCfg {
    /// A device that shows `items`; files get their keys in this order.
    ///
    /// # Errors
    /// [`ContentError`]: keys or names that cannot be, or are there twice.
    pub fn new(items: Vec<Item>) -> Result<Self, ContentError> {
        let (items, fingerprint) = content::arrange(items)?;
        Ok(Self {
            items,
            fingerprint,
            state: State::power_on(),
        })
    }

    fn select(&mut self, key: u16) {
        self.state.selector = Some(key & !WRITE_CHANNEL);
        self.state.offset = 0;
    }

    fn selected(&self) -> Option<&Content> {
        self.items.get(&self.state.selector?)
    }

    /// Moves on by `n` bytes, to the item's end at most.
    fn advance(&mut self, n: u32) {
        let end = self.selected().map_or(0, Content::len_bytes);
        self.state.offset = self.state.offset.saturating_add(n).min(end);
    }

    /// The next byte; zero behind the end, where nothing is selected, and where the source cannot be read.
    fn next_byte(&self) -> u8 {
        let mut byte = [0];
        let read = self
            .selected()
            .map(|content| content.read(self.state.offset, &mut byte));
        if matches!(read, Some(Ok(()))) {
            byte[0]
        } else {
            0
        }
    }

    fn transfer(&mut self, memory: &GuestMemory, descriptor: u64) {
        let mut raw = [0; DMA_ACCESS_BYTES];
        if memory.read(GuestAddress(descriptor), &mut raw).is_err() {
            return;
        }
        let control = match self.carry_out(memory, DmaAccess::parse(&raw)) {
            Ok(()) => 0,
            Err(Refused) => DMA_ERROR,
        };
        // The descriptor was RAM a moment ago; if it is not any more, there is nobody to tell.
        let _ = memory.write(GuestAddress(descriptor), &control.to_be_bytes());
    }

    fn carry_out(&mut self, memory: &GuestMemory, access: DmaAccess) -> Result<(), Refused> {
        if access.control & DMA_SELECT != 0 {
            let [_, _, low, high] = access.control.to_le_bytes();
            self.select(u16::from_le_bytes([low, high]));
        }
        if access.control & DMA_READ != 0 {
            self.copy_out(memory, access.address, access.len_bytes)
        } else if access.control & DMA_WRITE != 0 {
            Err(Refused)
        } else {
            if access.control & DMA_SKIP != 0 {
                self.advance(access.len_bytes);
            }
            Ok(())
        }
    }

    fn copy_out(
        &mut self,
        memory: &GuestMemory,
        address: u64,
        len_bytes: u32,
    ) -> Result<(), Refused> {
        if len_bytes > MAX_DMA_BYTES {
            return Err(Refused);
        }
        let (mut at, mut left) = (address, usize::try_from(len_bytes).map_err(|_| Refused)?);
        let mut buffer = vec![0; left.min(CHUNK_BYTES)];
        while left > 0 {
            let n = left.min(CHUNK_BYTES);
            let part = &mut buffer[..n];
            match self.selected() {
                Some(content) => content.read(self.state.offset, part).map_err(|_| Refused)?,
                None => part.fill(0),
            }
            memory.write(GuestAddress(at), part).map_err(|_| Refused)?;
            self.advance(u32::try_from(n).map_err(|_| Refused)?);
            at = at.checked_add(n as u64).ok_or(Refused)?;
            left -= n;
        }
        Ok(())
    }

    fn peek(&self, offset: u16, size: AccessSize) -> u32 {
        match offset {
            DATA => byte_answer(size, self.next_byte()),
            DMA_HIGH..regs::FW_CFG_PORTS => {
                let from = usize::from(offset - DMA_HIGH);
                let bytes = usize::try_from(size.bytes()).unwrap_or(1);
                let mut value = [0xFF; 4];
                for (to, &from) in value
                    .iter_mut()
                    .zip(DMA_SIGNATURE[from..].iter().take(bytes))
                {
                    *to = from;
                }
                u32::from_le_bytes(value) & not_decoded(size)
            }
            _ => not_decoded(size),
        }
    }
}

impl Device for FwCfg {
    fn name(&self) -> &str {
        "fw-cfg"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.state = State::power_on();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &FwCfgV1::new(&self.state, self.fingerprint))
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        self.state = payload.decode::<FwCfgV1>()?.into_state(self.fingerprint)?;
        Ok(())
    }
}

impl PioDevice for FwCfg {
    fn pio_read(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.peek(offset, size);
        if offset == DATA && size == AccessSize::Byte {
            self.advance(1);
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        self.peek(offset, size)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        match (offset, size) {
            (SELECTOR, AccessSize::Word) => {
                let [low, high, ..] = value.to_le_bytes();
                self.select(u16::from_le_bytes([low, high]));
            }
            (DMA_HIGH, AccessSize::Dword) => self.state.dma_high = value.swap_bytes(),
            (DMA_LOW, AccessSize::Dword) => {
                let high = u64::from(std::mem::take(&mut self.state.dma_high));
                self.transfer(ctx.memory, high << 32 | u64::from(value.swap_bytes()));
            }
            _ => {}
        }
    }
}
