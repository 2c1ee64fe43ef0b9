//! Ports for test guests and firmware: an exit port and a debug console.
//!
//! [`DebugExit`]: a write of value V to its port (any width, offset 0 to 3) ends the run with V; the machine has it only
//! when its definition names a port. [`DebugConsole`]: bytes written to E9h or 402h go to the host; reading E9h gives
//! E9h, which tells a guest that the port exists. Firmware writes its log to 402h; the one line of it that matters to
//! whoever waits for a guest is noticed: SeaBIOS says there, as on the screen, that nothing could be booted.
//!
//! | Threat | Answer |
//! |---|---|
//! | A flood of bytes | the backend never blocks and drops what does not fit |
//! | A guest that writes the firmware's line | it is told once until the next reset |

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

/// What SeaBIOS writes in a line of its own when it has tried everything that it could boot from (its src/boot.c,
/// `boot_fail`; the end of the line says whether it will try again).
const NOTHING_BOOTS: &[u8] = b"No bootable device.";

/// The debug console. Offset 0 = E9h, offset 1 = 402h.
///
/// Where it is in a line of the firmware's is not saved: at worst a line that a suspension cuts in two is not noticed.
#[derive(Debug)]
pub struct DebugConsole {
    backend: Box<dyn CharBackend>,
    /// Bytes of this line that are those of [`NOTHING_BOOTS`]; `None`: it is another line.
    in_line: Option<usize>,
    nothing_boots: Notice,
}

/// Something to be told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    No,
    Waiting,
    Told,
}

impl DebugConsole {
    /// A console whose bytes go to `backend`.
    #[must_use]
    pub fn new(backend: Box<dyn CharBackend>) -> Self {
        Self {
            backend,
            in_line: Some(0),
            nothing_boots: Notice::No,
        }
    }

    /// Whether the firmware has said that nothing could be booted: true once until the next reset.
    pub fn take_nothing_boots(&mut self) -> bool {
        let waits = self.nothing_boots == Notice::Waiting;
        if waits {
            self.nothing_boots = Notice::Told;
        }
        waits
    }

    /// Reads along in the firmware's log.
    fn firmware_says(&mut self, byte: u8) {
        let Some(&expected) = self.in_line.and_then(|at| NOTHING_BOOTS.get(at)) else {
            self.in_line = (byte == b'\n').then_some(0);
            return;
        };
        self.in_line = match (self.in_line, byte) {
            (_, b'\n') => Some(0),
            (Some(at), _) if byte == expected => Some(at + 1),
            _ => None,
        };
        if self.in_line == Some(NOTHING_BOOTS.len()) && self.nothing_boots == Notice::No {
            self.nothing_boots = Notice::Waiting;
        }
    }
}

impl Device for DebugConsole {
    fn name(&self) -> &str {
        "debug-console"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.in_line = Some(0);
        self.nothing_boots = Notice::No;
    }

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
            let [byte, ..] = value.to_le_bytes();
            self.backend.write(&[byte]);
            if offset == regs::FIRMWARE_OFFSET {
                self.firmware_says(byte);
            }
        }
    }
}
