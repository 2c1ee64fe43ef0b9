//! The coprocessor error latch: how a PC reports x87 errors to systems that do not set CR0.NE. Source: Intel SDM volume 1,
//! appendix D.2 (MS-DOS compatibility sub-mode), and Intel 290550-002 section 2.5.5 (PIIX3, port F0h).
//!
//! ```text
//!            FERR# falls                 write to F0h                  FERR# rises
//! idle ------------------> IRQ 13 held ---------------> IGNNE# held ---------------> idle
//! ```
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | coprocessor error | 0 | port F0h: any write releases IRQ 13 and asserts IGNNE# |
//! | coprocessor reset | 1 | port F1h: the same here; the 80287 it once reset is part of the processor now |
//!
//! | Left out | Why |
//! |---|---|
//! | a write while FERR# is idle | without an error there is nothing to ignore |
//!
//! | Threat | Answer |
//! |---|---|
//! | a guest that raises errors in a loop | one change of a line each, no queue |

mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::CoprocessorV1;

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, ResetKind, SnapshotError,
};

/// Name of the device in saved states.
pub const NAME: &str = "coprocessor";

/// Ports F0h and F1h. See the module for offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coprocessor {
    irq: IrqLine,
    /// FERR# as the processor drives it.
    error: bool,
    /// IGNNE#: the processor goes on in spite of the error.
    ignored: bool,
}

impl Coprocessor {
    /// The latch after power-on, on its interrupt line.
    #[must_use]
    pub fn new(irq: IrqLine) -> Self {
        Self {
            irq,
            error: false,
            ignored: false,
        }
    }

    /// Takes the level of FERR# (`true`: an error waits) and answers IGNNE#: whether the processor may go on.
    pub fn set_error(&mut self, ctx: &mut Ctx<'_>, error: bool) -> bool {
        if error && !self.error {
            ctx.lines.assert(self.irq);
        }
        if !error && self.error {
            if !self.ignored {
                ctx.lines.deassert(self.irq);
            }
            self.ignored = false;
        }
        self.error = error;
        self.ignored
    }
}

impl Device for Coprocessor {
    fn name(&self) -> &str {
        NAME
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        if self.error && !self.ignored {
            ctx.lines.deassert(self.irq);
        }
        *self = Self::new(self.irq);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(
            self.name(),
            &CoprocessorV1 {
                error: self.error,
                ignored: self.ignored,
            },
        )
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let v: CoprocessorV1 = payload.decode()?;
        v.check()?;
        (self.error, self.ignored) = (v.error, v.ignored);
        Ok(())
    }
}

impl PioDevice for Coprocessor {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, _now: Nanos, _offset: u16, size: AccessSize) -> u32 {
        // The latch has no readable register.
        crate::bits::byte_answer(size, u8::MAX)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, _offset: u16, _size: AccessSize, _value: u32) {
        if self.error && !self.ignored {
            self.ignored = true;
            ctx.lines.deassert(self.irq);
        }
    }
}
