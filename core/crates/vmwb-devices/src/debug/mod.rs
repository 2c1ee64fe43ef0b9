//! Ports for test guests and firmware: an exit port and a debug console.
//!
//! [`DebugExit`]: a write of value V to its port (any width, offset 0 to 3) ends the run with V; the machine has it only
//! when its definition names a port. [`DebugConsole`]: bytes written to E9h or 402h go to the host; reading E9h gives
//! E9h, which tells a guest that the port exists.
//!
//! | Threat | Answer |
//! |---|---|
//! | A flood of bytes | the backend never blocks and drops what does not fit |

mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

use vmwb_hw::{
    AccessSize, CharBackend, Ctx, Device, Nanos, Payload, PioDevice, PowerRequest, ResetKind,
    SnapshotError,
};

use crate::bits::not_decoded;

pub use regs::{CONSOLE_PORT, DEBUG_EXIT_BYTES, FIRMWARE_CONSOLE_PORT};
pub use snapshot::{DebugConsoleV1, DebugExitV1};

/// The exit port.
#[derive(Debug, Default)]
pub struct DebugExit;

impl DebugExit {
    /// The port, which has no state.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}

impl Device for DebugExit {
    fn name(&self) -> &str {
        "debug-exit"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {}

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &DebugExitV1 {})
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        payload.decode::<DebugExitV1>().map(|_| ())
    }
}

impl PioDevice for DebugExit {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        if offset < DEBUG_EXIT_BYTES {
            0
        } else {
            not_decoded(size)
        }
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if offset < DEBUG_EXIT_BYTES {
            *ctx.power = Some(PowerRequest::DebugExit(value & not_decoded(size)));
        }
    }
}

/// The debug console. Offset 0 = E9h, offset 1 = 402h.
#[derive(Debug)]
pub struct DebugConsole {
    backend: Box<dyn CharBackend>,
}

impl DebugConsole {
    /// A console whose bytes go to `backend`.
    #[must_use]
    pub fn new(backend: Box<dyn CharBackend>) -> Self {
        Self { backend }
    }
}

impl Device for DebugConsole {
    fn name(&self) -> &str {
        "debug-console"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {}

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &DebugConsoleV1 {})
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        payload.decode::<DebugConsoleV1>().map(|_| ())
    }
}

impl PioDevice for DebugConsole {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        if offset < regs::CONSOLE_OFFSETS && size == AccessSize::Byte {
            regs::CONSOLE_PRESENT
        } else {
            not_decoded(size)
        }
    }

    fn pio_write(&mut self, _ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if offset < regs::CONSOLE_OFFSETS && size == AccessSize::Byte {
            self.backend.write(&value.to_le_bytes()[..1]);
        }
    }
}
