//! The two 8237A DMA controllers of a PC with their page registers. Sources: Intel 231466-005 (8237A), 290550-002
//! section 2.5.1 (PIIX3).
//!
//! Owns addresses, counts and modes of eight channels. It knows no device: the board names a channel and hands over
//! what sits on it ([`Dma::transfer`]), which then moves as much as both sides allow, at once.
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | controller 1, channels 0 to 3, bytes | 00h to 0Fh | ports 00h to 0Fh |
//! | controller 2, channels 4 to 7, words | 10h to 2Fh | ports C0h to DFh, each register twice |
//! | page registers | 31h to 3Fh | ports 81h to 8Fh; port 80h belongs to `sysctl` |
//!
//! | Left out | Why |
//! |---|---|
//! | Memory to memory, compressed timing, DREQ and DACK levels | the chipset wires them off; the command bits are kept |
//! | Priorities, one byte a bus cycle | a transfer is not cut into cycles; single, demand and block differ only in software requests |
//! | Channel 4's mask in the way of channels 0 to 3 | the cascade is always open, also before firmware opens it |
//! | High page registers (4xxh) | not in this chipset: addresses have 24 bits |
//!
//! | Threat | Answer |
//! |---|---|
//! | Addresses outside RAM | the memory refuses; such bytes read as ones and are dropped |
//! | Autoinit without end | a call ends at terminal count, after at most 128 KiB |
//! | Wraps | addresses stay in their 64 KiB (words: 128 KiB) page, as on the chip |
//! | Restored state | masks and status keep to four bits, the page registers are 16 |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{ChannelV1, ControllerV1, DmaV1};

use vmwb_hw::{
    AccessSize, Ctx, Device, DmaPeer, GuestAddress, Nanos, Payload, PioDevice, ResetKind,
    SnapshotError,
};

use crate::bits::{byte_answer, low};
use regs::{
    ALL, CHANNEL, CLEAR_FLIP_FLOP, CLEAR_MASKS, COMMAND_DISABLE, DMA_BYTES, MASK_ALL, MASK_ONE,
    MASTER_CLEAR, MODE, MODE_AUTOINIT, MODE_BLOCK, MODE_CASCADE, MODE_DECREMENT, MODE_ILLEGAL,
    MODE_READ_MEMORY, MODE_SERVICE, MODE_TYPE, MODE_WRITE_MEMORY, PAGE_OF_CHANNEL, PAGE_REGISTERS,
    PAGES, REQUEST, SECOND, SET, STATUS_COMMAND,
};

/// Most bytes that move between memory and device in one piece.
const CHUNK_BYTES: usize = 4096;

/// One channel: what the processor wrote, and where the transfer stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Channel {
    mode: u8,
    base_address: u16,
    base_count: u16,
    address: u16,
    count: u16,
}

impl Channel {
    /// Units to go until terminal count.
    fn units(&self) -> u32 {
        u32::from(self.count) + 1
    }

    /// Units until the address wraps.
    fn units_to_wrap(&self) -> u32 {
        if self.mode & MODE_DECREMENT != 0 {
            u32::from(self.address) + 1
        } else {
            0x1_0000 - u32::from(self.address)
        }
    }

    /// Counts `units` moved. Says whether that was terminal count.
    fn advance(&mut self, units: u32) -> bool {
        let [a, b, ..] = units.to_le_bytes();
        let step = u16::from_le_bytes([a, b]);
        self.address = if self.mode & MODE_DECREMENT != 0 {
            self.address.wrapping_sub(step)
        } else {
            self.address.wrapping_add(step)
        };
        let terminal = units >= self.units();
        self.count = self.count.wrapping_sub(step);
        terminal
    }
}

/// One 8237A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Controller {
    channels: [Channel; 4],
    command: u8,
    /// Software requests, one bit a channel.
    requests: u8,
    mask: u8,
    /// Levels of the DREQ lines as last seen.
    dreq: u8,
    /// Channels that have reached terminal count since the status was read.
    reached: u8,
    /// The next byte of an address or a count is the high one.
    high: bool,
}

impl Controller {
    fn power_on() -> Self {
        Self {
            channels: [Channel::default(); 4],
            command: 0,
            requests: 0,
            mask: ALL,
            dreq: 0,
            reached: 0,
            high: false,
        }
    }

    fn peek(&self, register: u8) -> u8 {
        let channel = &self.channels[usize::from(register >> 1 & CHANNEL)];
        match register {
            STATUS_COMMAND => self.reached | (self.dreq | self.requests) << 4,
            MASTER_CLEAR => 0,
            MASK_ALL => self.mask,
            REQUEST..=MASK_ALL => u8::MAX,
            _ => {
                let value = if register & 1 == 0 {
                    channel.address
                } else {
                    channel.count
                };
                value.to_le_bytes()[usize::from(self.high)]
            }
        }
    }

    /// What a read changes.
    fn consume(&mut self, register: u8) {
        match register {
            STATUS_COMMAND => self.reached = 0,
            0..STATUS_COMMAND => self.high = !self.high,
            _ => {}
        }
    }

    fn write(&mut self, register: u8, value: u8) {
        let bit = 1 << (value & CHANNEL);
        let put = |bits: u8| {
            if value & SET != 0 {
                bits | bit
            } else {
                bits & !bit
            }
        };
        match register {
            STATUS_COMMAND => self.command = value,
            REQUEST => {
                self.requests = put(self.requests);
                self.serve_software_requests();
            }
            MASK_ONE => self.mask = put(self.mask),
            MODE => self.channels[usize::from(value & CHANNEL)].mode = value & !CHANNEL,
            CLEAR_FLIP_FLOP => self.high = false,
            MASTER_CLEAR => {
                let (channels, dreq) = (self.channels, self.dreq);
                *self = Self {
                    channels,
                    dreq,
                    ..Self::power_on()
                };
            }
            CLEAR_MASKS => self.mask = 0,
            MASK_ALL => self.mask = value & ALL,
            _ => self.write_channel(register, value),
        }
    }

    fn write_channel(&mut self, register: u8, value: u8) {
        let high = self.high;
        self.high = !high;
        let channel = &mut self.channels[usize::from(register >> 1 & CHANNEL)];
        let set = |word: &mut u16| {
            let mut bytes = word.to_le_bytes();
            bytes[usize::from(high)] = value;
            *word = u16::from_le_bytes(bytes);
        };
        if register & 1 == 0 {
            set(&mut channel.base_address);
            channel.address = channel.base_address;
        } else {
            set(&mut channel.base_count);
            channel.count = channel.base_count;
        }
    }

    /// A software request in block mode runs to terminal count, whatever the mask. No device answers it, so no byte
    /// reaches memory.
    fn serve_software_requests(&mut self) {
        for n in 0..4 {
            let block = self.channels[n].mode & MODE_SERVICE == MODE_BLOCK;
            if self.requests & 1 << n != 0 && block && self.command & COMMAND_DISABLE == 0 {
                let units = self.channels[n].units();
                self.channels[n].advance(units);
                self.terminal_count(n);
            }
        }
    }

    fn terminal_count(&mut self, n: usize) {
        let channel = &mut self.channels[n];
        if channel.mode & MODE_AUTOINIT != 0 {
            channel.address = channel.base_address;
            channel.count = channel.base_count;
        } else {
            self.mask |= 1 << n;
        }
        self.reached |= 1 << n;
        self.requests &= !(1 << n);
    }

    /// The channel may move data for a device.
    fn serves(&self, n: usize) -> bool {
        let mode = self.channels[n].mode;
        self.command & COMMAND_DISABLE == 0
            && self.mask & 1 << n == 0
            && mode & MODE_SERVICE != MODE_CASCADE
            && mode & MODE_TYPE != MODE_ILLEGAL
    }

    fn reaches_memory(&self, n: usize) -> bool {
        let kind = self.channels[n].mode & MODE_TYPE;
        matches!(kind, MODE_READ_MEMORY | MODE_WRITE_MEMORY)
    }

    fn set_dreq(&mut self, n: usize, level: bool) {
        let bit = 1 << n;
        self.dreq = if level {
            self.dreq | bit
        } else {
            self.dreq & !bit
        };
    }
}

/// Both controllers and the page registers. See the module for offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dma {
    controllers: [Controller; 2],
    pages: [u8; PAGE_REGISTERS],
}

/// Where a register stands.
enum Place {
    Controller(usize, u8),
    Page(usize),
    Nowhere,
}

fn place(offset: u16) -> Place {
    let register = low(u32::from(offset));
    match offset {
        0..SECOND => Place::Controller(0, register),
        SECOND..PAGES => Place::Controller(1, (register - low(u32::from(SECOND))) >> 1),
        PAGES..DMA_BYTES => Place::Page(usize::from(offset - PAGES)),
        _ => Place::Nowhere,
    }
}

impl Default for Dma {
    fn default() -> Self {
        Self::new()
    }
}

impl Dma {
    /// Controllers as after reset: every channel is masked.
    #[must_use]
    pub fn new() -> Self {
        Self {
            controllers: [Controller::power_on(); 2],
            pages: [0; PAGE_REGISTERS],
        }
    }

    /// Moves data between memory and the device on `channel` (0 to 3 by bytes, 5 to 7 by words) for as long as the
    /// device requests it, the channel is open and terminal count is not reached. Other channels do nothing.
    ///
    /// The board calls it whenever the device's request may have risen or the channel may have been opened: after an
    /// access to either of them, and after the device's deadlines and replies.
    pub fn transfer(&mut self, ctx: &mut Ctx<'_>, channel: u8, peer: &mut dyn DmaPeer) {
        if channel == 4 || channel > 7 {
            return;
        }
        let (unit, n) = (channel >> 2, usize::from(channel & CHANNEL));
        let page = self.pages[PAGE_OF_CHANNEL[usize::from(channel)]];
        let controller = &mut self.controllers[usize::from(unit)];
        peer.dma_open(controller.serves(n) && controller.reaches_memory(n));
        while peer.dma_request() && controller.serves(n) {
            let moved = move_chunk(ctx, &mut controller.channels[n], unit, page, peer);
            let Some(units) = moved else { break };
            if controller.channels[n].advance(units) {
                controller.terminal_count(n);
                break;
            }
        }
        controller.set_dreq(n, peer.dma_request());
    }
}

/// Address of the unit at `address`: words count in units of 2 bytes, and bit 0 of their page is not used.
fn physical(unit: u8, page: u8, address: u16) -> u64 {
    if unit == 0 {
        u64::from(page) << 16 | u64::from(address)
    } else {
        u64::from(page & !1) << 16 | u64::from(address) << 1
    }
}

/// Moves one piece that is contiguous in memory. `unit` is 0 for bytes, 1 for words. Says how many units moved; `None`
/// when the device pauses.
fn move_chunk(
    ctx: &mut Ctx<'_>,
    channel: &mut Channel,
    unit: u8,
    page: u8,
    peer: &mut dyn DmaPeer,
) -> Option<u32> {
    let unit_bytes = 1usize << unit;
    let most = channel.units().min(channel.units_to_wrap());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let units = most.min(CHUNK_BYTES / unit_bytes);
    let terminal = u32::try_from(units).is_ok_and(|units| units == channel.units());
    let mut buffer = [u8::MAX; CHUNK_BYTES];
    let chunk = &mut buffer[..units * unit_bytes];
    let down = channel.mode & MODE_DECREMENT != 0;
    let memory = ctx.memory;
    // Where a piece of so many units lies, and its first byte's address.
    let start = |units: usize| {
        let back = u16::try_from(units - 1).unwrap_or(u16::MAX);
        let first = channel.address.wrapping_sub(if down { back } else { 0 });
        GuestAddress(physical(unit, page, first))
    };
    let moved = if channel.mode & MODE_TYPE == MODE_READ_MEMORY {
        read_memory(memory, start(units), chunk);
        if down {
            turn(chunk, unit_bytes);
        }
        peer.dma_write(ctx, chunk, terminal).min(chunk.len()) / unit_bytes
    } else {
        let given = peer.dma_read(ctx, chunk, terminal).min(chunk.len()) / unit_bytes;
        let given_bytes = &mut chunk[..given * unit_bytes];
        // In a verify transfer the bus strobes nothing: the bytes reach no memory.
        if given != 0 && channel.mode & MODE_TYPE == MODE_WRITE_MEMORY {
            if down {
                turn(given_bytes, unit_bytes);
            }
            // What is not RAM swallows it.
            let _ = memory.write(start(given), given_bytes);
        }
        given
    };
    u32::try_from(moved).ok().filter(|&units| units != 0)
}

fn read_memory(memory: &vmwb_hw::GuestMemory, at: GuestAddress, out: &mut [u8]) {
    if memory.read(at, out).is_err() {
        out.fill(u8::MAX);
    }
}

/// Turns the order of the units round, not that of the bytes in a word.
fn turn(bytes: &mut [u8], unit_bytes: usize) {
    bytes.reverse();
    for word in bytes.chunks_exact_mut(unit_bytes) {
        word.reverse();
    }
}

impl Device for Dma {
    fn name(&self) -> &str {
        "dma"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        *self = Self::new();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &DmaV1::from(self))
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        *self = Self::try_from(payload.decode::<DmaV1>()?)?;
        Ok(())
    }
}

impl PioDevice for Dma {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        if let (Place::Controller(n, register), AccessSize::Byte) = (place(offset), size) {
            self.controllers[n].consume(register);
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = match place(offset) {
            Place::Controller(n, register) => self.controllers[n].peek(register),
            Place::Page(n) => self.pages[n],
            Place::Nowhere => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        match place(offset) {
            Place::Controller(n, register) => self.controllers[n].write(register, low(value)),
            Place::Page(n) => self.pages[n] = low(value),
            Place::Nowhere => {}
        }
    }
}
