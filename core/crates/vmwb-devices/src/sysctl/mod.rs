//! System control: fast A20 and reset (port 92h), the reset control register (CF9h), the POST code (80h), and the power
//! switch that teaching systems know from Bochs (port 8900h). Source: Intel 290550-002 section 2.5.4 (PIIX3).
//!
//! Owns three bytes, and how much of a word has come. It resets nothing itself: it asks for a reset of the processor (port
//! 92h) or of everything (CF9h), or to be switched off.
//! Address line 20 has one state, which port 92h and the keyboard controller both set and show; the memory has it, and the
//! board saves it.
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | A20, fast INIT | 0 | port 92h |
//! | reset control | 1 | port CF9h, also the ACPI reset register |
//! | POST code | 2 | port 80h |
//! | power switch | 3 | port 8900h: the characters of "Shutdown" one after the other; reads FFh |
//!
//! | Left out | Why |
//! |---|---|
//! | INIT apart from a hard reset | both reset the whole machine |
//! | The page register at port 80h | its byte is the POST code here; the others are the DMA controller's |
//!
//! | Threat | Answer |
//! |---|---|
//! | Reset storms | one request an access; the machine decides when it follows |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{SysCtlV1, SysCtlV2};

use vmwb_hw::{
    AccessSize, Ctx, Device, Nanos, Payload, PioDevice, PowerRequest, ResetKind, SnapshotError,
};

use crate::bits::{byte_answer, low};
use regs::{
    PORT_92, PORT_92_A20, PORT_92_FAST_INIT, PORT_92_KEPT, POST_CODE, RESET_CONTROL, RESET_CPU,
    RESET_KEPT, SHUTDOWN, SHUTDOWN_WORD,
};

/// Ports 92h, CF9h, 80h and 8900h. See the module for offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysCtl {
    port_92: u8,
    reset_control: u8,
    post_code: u8,
    /// How many characters of the word have come: fewer than it has.
    shutdown: u8,
}

impl Default for SysCtl {
    fn default() -> Self {
        Self::new()
    }
}

impl SysCtl {
    /// The registers as after power-on: all 0, but the line is open.
    #[must_use]
    pub fn new() -> Self {
        Self {
            port_92: PORT_92_A20,
            reset_control: 0,
            post_code: 0,
            shutdown: 0,
        }
    }

    /// A character of the word that switches off. A wrong one begins anew.
    fn spell(&mut self, ctx: &mut Ctx<'_>, character: u8) {
        let expected = SHUTDOWN_WORD[usize::from(self.shutdown)];
        self.shutdown = if character == expected {
            self.shutdown + 1
        } else {
            u8::from(character == SHUTDOWN_WORD[0])
        };
        if usize::from(self.shutdown) == SHUTDOWN_WORD.len() {
            self.shutdown = 0;
            *ctx.power = Some(PowerRequest::PowerOff);
        }
    }

    /// The last byte that firmware has shown on port 80h.
    #[must_use]
    pub fn post_code(&self) -> u8 {
        self.post_code
    }
}

impl Device for SysCtl {
    fn name(&self) -> &str {
        "sysctl"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        *self = Self::new();
        ctx.memory.set_a20(true);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &SysCtlV2::from(self))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let state = match payload.version {
            1 => payload.decode::<SysCtlV1>()?.into(),
            _ => payload.decode::<SysCtlV2>()?,
        };
        *self = Self::try_from(state)?;
        // As this port knew it last; the board, which saves the line itself, has the last word.
        ctx.memory.set_a20(self.port_92 & PORT_92_A20 != 0);
        Ok(())
    }
}

impl PioDevice for SysCtl {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        // The bit follows the line, whoever moved it last.
        let line = PORT_92_A20 * u8::from(ctx.memory.a20());
        self.port_92 = self.port_92 & !PORT_92_A20 | line;
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = match offset {
            PORT_92 => self.port_92,
            RESET_CONTROL => self.reset_control,
            POST_CODE => self.post_code,
            _ => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let value = low(value);
        match offset {
            PORT_92 => {
                if value & !self.port_92 & PORT_92_FAST_INIT != 0 {
                    *ctx.power = Some(PowerRequest::ResetProcessor);
                }
                self.port_92 = value & PORT_92_KEPT;
                ctx.memory.set_a20(value & PORT_92_A20 != 0);
            }
            RESET_CONTROL => {
                if value & !self.reset_control & RESET_CPU != 0 {
                    *ctx.power = Some(PowerRequest::Reset);
                }
                self.reset_control = value & RESET_KEPT;
            }
            POST_CODE => self.post_code = value,
            SHUTDOWN => self.spell(ctx, value),
            _ => {}
        }
    }
}
