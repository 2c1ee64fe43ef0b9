//! ISA DMA: what a device on a channel of the board's 8237 pair looks like to it.

use crate::device::Ctx;

/// A device on an ISA DMA channel. The board joins it with the controller: neither names the other.
pub trait DmaPeer {
    /// Level of its DREQ line.
    fn dma_request(&self) -> bool;

    /// Told before each look at the device whether its channel is open and moves data between it and memory (a verify
    /// transfer does not).
    fn dma_open(&mut self, open: bool);

    /// Device to memory: fills `out` from its front and says how many bytes it gave; 0 pauses the transfer. On a 16-bit
    /// channel the answer is even. With `terminal`, the last byte of `out` comes with terminal count (TC).
    fn dma_read(&mut self, ctx: &mut Ctx<'_>, out: &mut [u8], terminal: bool) -> usize;

    /// Memory to device: takes bytes from the front of `bytes` and says how many; 0 pauses the transfer. On a 16-bit
    /// channel the answer is even. With `terminal`, the last byte comes with terminal count (TC).
    fn dma_write(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8], terminal: bool) -> usize;
}
