//! Virtio 1.0 and later over PCI. Source: Virtual I/O Device (VIRTIO) specification 1.2 (OASIS, 2022).
//!
//! [`VirtioPci`] is the PCI function: it owns the [`Transport`] (registers, negotiation, queues, interrupts) and one
//! [`VirtioFunction`] (what is behind the queues). Aliases name the devices: [`VirtioBlk`], [`VirtioConsole`],
//! [`VirtioRng`], [`VirtioBalloon`], [`VirtioTablet`].
//!
//! | Base address | Offset | Structure |
//! |---|---|---|
//! | 1 | 0000h, 0800h | MSI-X table, pending bits; one vector a queue and one for the configuration |
//! | 4 | 0000h | common configuration (section 4.1.4.3) |
//! | 4 | 1000h | interrupt status |
//! | 4 | 2000h | the device's configuration |
//! | 4 | 3000h | notification addresses, 4 bytes a queue |
//!
//! | Left out | Why |
//! |---|---|
//! | The legacy interface (0.9) | every driver since 2014, SeaBIOS and the BSDs speak 1.0 |
//! | Packed rings, in-order use, notification data | optional; nothing is gained without hardware |
//! | A read of the interrupt status through the window in configuration space does not clear it | configuration reads have no side effects here; drivers use the window only for structures that they cannot map |
//!
//! | Threat | Answer |
//! |---|---|
//! | Rings and descriptors that loop, jump, lie outside RAM or change meanwhile | see `queue`; the device sets NEEDS_RESET, keeps a sentence for the log and does nothing until it is reset |
//! | A queue moved while it is in use | its addresses and its size cannot be written while it is enabled |
//! | A ring that a device's own writes refill | a queue is served for as many chains as it has entries, then the guest runs |
//! | Requests left from before a reset | see the device; nothing is written to the guest for them |

pub mod balloon;
pub mod blk;
pub mod console;
pub mod input;
mod queue;
pub mod regs;
pub mod rng;
mod snapshot;
mod transport;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod tests;

use std::fmt::Debug;

use vmwb_hw::{AccessSize, Ctx, Device, IrqLine, Nanos, Payload, ResetKind, Schema, SnapshotError};

pub use balloon::{VirtioBalloon, VirtioBalloonV1};
pub use blk::{VirtioBlk, VirtioBlkV1};
pub use console::{ConsolePort, VirtioConsole, VirtioConsoleV1};
pub use input::{VirtioInputV1, VirtioTablet};
pub use queue::{Chain, QueueFault};
pub use rng::{VirtioRng, VirtioRngV1};
pub use snapshot::{QueueV1, TransportV1, VirtioV2};
pub use transport::{QueueSpec, Transport};

use crate::pci::{ConfigSpace, PciDevice, PciFunction, regs as pci};
use regs::{
    COMMON_FIELDS, COMMON_PAGE, DEVICE_PAGE, ISR_PAGE, MSIX_BAR, MSIX_PENDING, NOTIFY_PAGE, PAGE,
    REGISTER_BAR,
};
use transport::Asked;

/// What is behind the queues of one virtio function.
pub trait VirtioFunction: Debug + Send {
    /// Device type (specification 1.2, chapter 5).
    const TYPE: u16;
    /// PCI class code, 24 bits.
    const CLASS: u32;
    /// Feature bits that come and go with what is attached: a saved driver may have agreed on one that is not offered
    /// now.
    const CHANGING_FEATURES: u64;
    /// The frozen payload, the transport's state included: version 1, and the base of [`VirtioV2`].
    type Saved: Schema;

    /// Feature bits of the device type that it offers.
    fn features(&self) -> u64;
    /// Its queues.
    fn queues(&self) -> Vec<QueueSpec>;
    /// Its configuration as it reads now.
    fn config(&self, transport: &Transport) -> Vec<u8>;
    /// The driver writes to its configuration.
    fn config_write(&mut self, transport: &Transport, offset: usize, bytes: &[u8]);
    /// The driver says that `queue` has something, or has just become ready.
    fn serve(&mut self, ctx: &mut Ctx<'_>, transport: &mut Transport, queue: usize);
    /// The driver resets one queue.
    fn reset_queue(&mut self, queue: usize);
    /// The driver resets the device.
    fn reset(&mut self);
    /// The bus or the power resets the function, after [`VirtioFunction::reset`]: also what outlives a driver.
    fn bus_reset(&mut self);
    /// The whole state.
    ///
    /// # Errors
    /// When it cannot be saved now.
    fn save(&self, transport: TransportV1) -> Result<Self::Saved, SnapshotError>;
    /// Takes saved state over and gives back the transport's.
    ///
    /// # Errors
    /// What is wrong with it.
    fn restore(&mut self, saved: Self::Saved) -> Result<TransportV1, SnapshotError>;
}

/// A virtio function on the PCI bus. See the module's head.
#[derive(Debug)]
pub struct VirtioPci<F> {
    name: String,
    transport: Transport,
    function: F,
}

impl<F: VirtioFunction> VirtioPci<F> {
    fn with(name: &str, irq: IrqLine, function: F) -> Self {
        let queues = function.queues();
        Self {
            name: name.to_owned(),
            transport: Transport::new(F::TYPE, F::CLASS, irq, function.features(), &queues),
            function,
        }
    }

    /// What the guest's driver did wrong since the last call, as a sentence for the log. At most one a reset.
    pub fn take_complaint(&mut self) -> Option<String> {
        let (queue, fault) = self.transport.take_fault()?;
        let name = &self.name;
        Some(format!(
            "the guest's driver broke queue {queue} of {name}: {fault}; the device waits for a reset"
        ))
    }

    fn serve_all(&mut self, ctx: &mut Ctx<'_>) {
        for queue in 0..self.transport.queues.len() {
            self.function.serve(ctx, &mut self.transport, queue);
        }
    }

    fn byte(&self, bar: usize, offset: u64) -> u8 {
        let (page, at) = (offset / PAGE, offset % PAGE);
        let inside = |image: &[u8]| {
            let at = usize::try_from(at).ok();
            at.and_then(|at| image.get(at).copied()).unwrap_or(0)
        };
        match (bar, page) {
            (MSIX_BAR, 0) if at < u64::from(MSIX_PENDING) => self.transport.msix.table_byte(at),
            (MSIX_BAR, 0) => self
                .transport
                .msix
                .pending_byte(at - u64::from(MSIX_PENDING)),
            (REGISTER_BAR, COMMON_PAGE) => inside(&self.transport.common()),
            (REGISTER_BAR, ISR_PAGE) => inside(&[self.transport.isr]),
            (REGISTER_BAR, DEVICE_PAGE) => inside(&self.function.config(&self.transport)),
            (REGISTER_BAR, NOTIFY_PAGE) => 0,
            _ => u8::MAX,
        }
    }

    fn common_write(&mut self, ctx: &mut Ctx<'_>, offset: u64, bytes: &[u8]) {
        let Ok(start) = usize::try_from(offset) else {
            return;
        };
        let end = start + bytes.len();
        for (field, len) in COMMON_FIELDS {
            let (from, to) = (start.max(field), end.min(field + len));
            if from >= to {
                continue;
            }
            // A partial write keeps the field's other bytes.
            let mut value = [0; 8];
            value[..len].copy_from_slice(&self.transport.common()[field..field + len]);
            value[from - field..to - field].copy_from_slice(&bytes[from - start..to - start]);
            let asked = self
                .transport
                .common_write(field, u64::from_le_bytes(value));
            match asked {
                Asked::Nothing => {}
                Asked::Reset => {
                    self.function.reset();
                    let features = self.function.features();
                    self.transport.reset(ctx, features);
                }
                Asked::QueueReset(queue) => self.function.reset_queue(queue),
                Asked::Start => self.serve_all(ctx),
            }
        }
    }

    /// The access that the window in configuration space stands for: base address, offset, width.
    fn window(&self) -> Option<(usize, u64, AccessSize)> {
        let config = &self.transport.config;
        let size = match config.config_read(regs::CAP_WINDOW + 12) {
            1 => AccessSize::Byte,
            2 => AccessSize::Word,
            4 => AccessSize::Dword,
            _ => return None,
        };
        let bar = usize::try_from(config.config_read(regs::CAP_WINDOW + 4)).ok()?;
        let offset = u64::from(config.config_read(regs::CAP_WINDOW + 8));
        let aligned = offset.is_multiple_of(size.bytes());
        (aligned && (bar == MSIX_BAR || bar == REGISTER_BAR)).then_some((bar, offset, size))
    }
}

impl<F: VirtioFunction> Device for VirtioPci<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.function.reset();
        self.function.bus_reset();
        let features = self.function.features();
        self.transport.bus_reset(ctx, features);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        let saved = VirtioV2 {
            base: self.function.save(self.transport.to_v1())?,
            msi: self.transport.msi.to_v1(),
        };
        Payload::encode(&self.name, &saved)
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let (saved, msi) = match payload.version {
            1 => (payload.decode::<F::Saved>()?, None),
            _ => {
                let VirtioV2 { base, msi } = payload.decode::<VirtioV2<F::Saved>>()?;
                (base, Some(msi))
            }
        };
        let transport = self.function.restore(saved)?;
        self.transport.take(
            F::Saved::KIND,
            transport,
            msi.as_ref(),
            F::CHANGING_FEATURES,
        )
    }
}

impl<F: VirtioFunction> PciDevice for VirtioPci<F> {
    fn config(&self) -> &ConfigSpace {
        &self.transport.config
    }

    fn config_read(&self, register: u8) -> u32 {
        let value = self.transport.config.config_read(register);
        match register {
            pci::COMMAND_STATUS if self.transport.isr != 0 => value | pci::STATUS_INTERRUPT,
            regs::WINDOW_DATA => self.window().map_or(0, |(bar, offset, size)| {
                let value = self.bar_peek(Nanos(0), bar, offset, size);
                u32::try_from(value).unwrap_or(u32::MAX)
            }),
            _ => self.transport.msi.read(register).unwrap_or(value),
        }
    }

    fn config_write(&mut self, ctx: &mut Ctx<'_>, register: u8, value: u32, mask: u32) {
        if register == regs::WINDOW_DATA {
            if let Some((bar, offset, size)) = self.window() {
                self.bar_write(ctx, bar, offset, size, u64::from(value & mask));
            }
            return;
        }
        let before = self.transport.config.config_read(pci::COMMAND_STATUS);
        self.transport.config.config_write(register, value, mask);
        if self.transport.config_written(ctx, before) {
            self.serve_all(ctx);
        }
    }

    fn bar_read(&mut self, ctx: &mut Ctx<'_>, bar: usize, offset: u64, size: AccessSize) -> u64 {
        let value = self.bar_peek(ctx.now, bar, offset, size);
        if bar == REGISTER_BAR && offset == ISR_PAGE * PAGE {
            self.transport.acknowledge(ctx);
        }
        value
    }

    fn bar_peek(&self, _now: Nanos, bar: usize, offset: u64, size: AccessSize) -> u64 {
        let mut value = [0; 8];
        for (at, byte) in (offset..offset.saturating_add(size.bytes())).zip(&mut value) {
            *byte = self.byte(bar, at);
        }
        u64::from_le_bytes(value)
    }

    fn bar_write(
        &mut self,
        ctx: &mut Ctx<'_>,
        bar: usize,
        offset: u64,
        size: AccessSize,
        value: u64,
    ) {
        let bytes = value.to_le_bytes();
        let bytes = &bytes[..usize::try_from(size.bytes()).unwrap_or(8)];
        let (page, at) = (offset / PAGE, offset % PAGE);
        match (bar, page) {
            (MSIX_BAR, 0) if at < u64::from(MSIX_PENDING) => {
                let Transport { msix, config, .. } = &mut self.transport;
                msix.table_write(ctx, config, at, bytes);
            }
            (REGISTER_BAR, COMMON_PAGE) => self.common_write(ctx, at, bytes),
            (REGISTER_BAR, DEVICE_PAGE) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                self.function.config_write(&self.transport, at, bytes);
            }
            (REGISTER_BAR, NOTIFY_PAGE) => {
                if let Some(queue) = self.transport.notified(at) {
                    self.function.serve(ctx, &mut self.transport, queue);
                }
            }
            _ => {}
        }
    }
}
