//! What every virtio function has over PCI: configuration space, negotiation, status, queues, interrupts (specification
//! 1.2, section 4.1).
//!
//! ```text
//!  reset -> ACKNOWLEDGE -> DRIVER -> FEATURES_OK -> DRIVER_OK ----> (write 0) reset
//!                                    refused: the bit stays 0  \--> NEEDS_RESET when the driver broke a queue
//! ```
//! Queues are served only with DRIVER_OK, without NEEDS_RESET, and while the function is a bus master.

use vmwb_hw::{Ctx, IrqLine};

use super::queue::{Chain, Queue, QueueFault};
use super::regs::{
    self, CAP_COMMON, CAP_DEVICE, CAP_ISR, CAP_MSI, CAP_MSIX, CAP_NOTIFY, CAP_WINDOW, COMMON_BYTES,
    F_EVENT_IDX, F_INDIRECT_DESC, F_RING_RESET, F_VERSION_1, ISR_CONFIG, ISR_QUEUE, KIND_COMMON,
    KIND_DEVICE, KIND_ISR, KIND_NOTIFY, KIND_WINDOW, NO_VECTOR, NOTIFY_MULTIPLIER, PAGE,
    STATUS_DRIVER_BITS, STATUS_DRIVER_OK, STATUS_FEATURES_OK, STATUS_NEEDS_RESET,
};
use crate::pci::{BarKind, ConfigSpace, Msi, Msix, MsixPlace, PciFunction, regs as pci};

/// Features of the transport and the rings, offered by every function.
const TRANSPORT_FEATURES: u64 = F_INDIRECT_DESC | F_EVENT_IDX | F_VERSION_1 | F_RING_RESET;

/// What a function says of one of its queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSpec {
    /// Entries, a power of two up to 1,024.
    pub size: u16,
    /// Most bytes of one request.
    pub max_chain_bytes: u64,
}

/// What a write to the common configuration asks of the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// The whole device is reset; the transport has been.
    Reset,
    /// One queue is reset; the transport's side has been.
    QueueReset(usize),
    /// The driver is ready: what it has queued is served.
    Start,
}

/// The transport's registers. See the module's head.
#[derive(Debug)]
pub struct Transport {
    pub(super) config: ConfigSpace,
    pub(super) msix: Msix,
    pub(super) msi: Msi,
    irq: IrqLine,
    /// Features of this function with the transport's.
    pub(super) offered: u64,
    pub(super) accepted: u64,
    pub(super) device_feature_select: u32,
    pub(super) driver_feature_select: u32,
    pub(super) config_vector: u16,
    pub(super) status: u8,
    pub(super) generation: u8,
    pub(super) queue_select: u16,
    pub(super) queues: Vec<Queue>,
    pub(super) isr: u8,
    /// Level of the interrupt pin.
    pub(super) line: bool,
    /// What the driver did wrong, until somebody asks.
    fault: Option<(usize, QueueFault)>,
}

/// Adds a capability of the vendor's, `len` bytes of this `kind` (section 4.1.4).
fn capability(config: &mut ConfigSpace, (at, next): (u8, u8), len: u32, kind: u32) {
    let chain = u32::from(next) << 8;
    config.fix(at, regs::CAPABILITY_VENDOR | chain | len << 16 | kind << 24);
}

/// Adds the capability that tells where a structure of `bytes` is: on this page behind the register base address.
fn structure(config: &mut ConfigSpace, place: (u8, u8), kind: u32, (page, bytes): (u64, u32)) {
    let len = if kind == KIND_NOTIFY { 20 } else { 16 };
    capability(config, place, len, kind);
    let (at, _) = place;
    let dword = |n: u64| u32::try_from(n).expect("offsets of four pages");
    config.fix(at + 4, dword(regs::REGISTER_BAR as u64));
    config.fix(at + 8, dword(page * PAGE));
    config.fix(at + 12, bytes);
    if kind == KIND_NOTIFY {
        config.fix(at + 16, dword(NOTIFY_MULTIPLIER));
    }
}

/// Adds the virtio capabilities of a function with `queues` queues.
fn add_capabilities(config: &mut ConfigSpace, queues: u16) {
    let common = (regs::COMMON_PAGE, 0x3C);
    let notify = (regs::NOTIFY_PAGE, 4 * u32::from(queues));
    structure(config, (CAP_COMMON, CAP_ISR), KIND_COMMON, common);
    structure(config, (CAP_ISR, CAP_DEVICE), KIND_ISR, (regs::ISR_PAGE, 1));
    let device = (regs::DEVICE_PAGE, 0x1000);
    structure(config, (CAP_DEVICE, CAP_NOTIFY), KIND_DEVICE, device);
    structure(config, (CAP_NOTIFY, CAP_WINDOW), KIND_NOTIFY, notify);
    capability(config, (CAP_WINDOW, CAP_MSI), 20, KIND_WINDOW);
    config.allow(CAP_WINDOW + 4, 0xFF);
    config.allow(CAP_WINDOW + 8, u32::MAX);
    config.allow(CAP_WINDOW + 12, u32::MAX);
}

impl Transport {
    pub(super) fn new(
        device_type: u16,
        class: u32,
        irq: IrqLine,
        features: u64,
        queues: &[QueueSpec],
    ) -> Self {
        let id = regs::VENDOR | (regs::FIRST_DEVICE + u32::from(device_type)) << 16;
        let mut config = ConfigSpace::new(id, regs::REVISION | class << 8, regs::SUBSYSTEM);
        config.fix(pci::COMMAND_STATUS, pci::STATUS_CAPABILITIES);
        config.fix(pci::CAPABILITIES, u32::from(CAP_MSIX));
        config.fix(pci::INTERRUPT, 0x0100);
        let bars = [
            (regs::MSIX_BAR, regs::MSIX_BAR_BYTES),
            (regs::REGISTER_BAR, regs::REGISTER_BAR_BYTES),
        ];
        for (bar, bytes) in bars {
            config
                .add_bar(bar, BarKind::Memory, bytes)
                .expect("constants that PCI allows");
        }
        let place = MsixPlace {
            capability: CAP_MSIX,
            next: CAP_COMMON,
            bar: 1,
            table: 0,
            pending: regs::MSIX_PENDING,
        };
        let count = u16::try_from(queues.len()).expect("a device has few queues");
        let msix = Msix::new(&mut config, place, count + 1);
        add_capabilities(&mut config, count);
        let msi = Msi::new(&mut config, (CAP_MSI, 0), regs::MESSAGES);
        Self {
            config,
            msix,
            msi,
            irq,
            offered: features | TRANSPORT_FEATURES,
            accepted: 0,
            device_feature_select: 0,
            driver_feature_select: 0,
            config_vector: NO_VECTOR,
            status: 0,
            generation: 0,
            queue_select: 0,
            queues: queues
                .iter()
                .map(|q| Queue::new(q.size, q.max_chain_bytes))
                .collect(),
            isr: 0,
            line: false,
            fault: None,
        }
    }

    /// Virtio reset: registers and queues, not the PCI function.
    pub(super) fn reset(&mut self, ctx: &mut Ctx<'_>, features: u64) {
        self.offered = features | TRANSPORT_FEATURES;
        self.accepted = 0;
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.config_vector = NO_VECTOR;
        self.status = 0;
        self.queue_select = 0;
        self.queues.iter_mut().for_each(Queue::reset);
        self.isr = 0;
        self.drive(ctx);
    }

    /// Reset of the whole function, as on the bus.
    pub(super) fn bus_reset(&mut self, ctx: &mut Ctx<'_>, features: u64) {
        self.config.reset();
        self.msix.reset();
        self.msi.reset();
        self.generation = 0;
        self.fault = None;
        self.reset(ctx, features);
    }

    /// Features that both sides have agreed on, 0 before.
    #[must_use]
    pub fn negotiated(&self) -> u64 {
        if self.status & STATUS_FEATURES_OK == 0 {
            return 0;
        }
        self.accepted
    }

    /// Whether a driver is at work.
    #[must_use]
    pub fn is_running(&self) -> bool {
        let master = self.config.config_read(pci::COMMAND_STATUS) & pci::COMMAND_MASTER != 0;
        master && self.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET) == STATUS_DRIVER_OK
    }

    /// Entries of queue `queue`: as many chains are taken at most while it is served once.
    #[must_use]
    pub fn size(&self, queue: usize) -> u16 {
        self.queues.get(queue).map_or(0, |q| q.size)
    }

    /// Takes the next chain of `queue`. A broken queue makes the device ask for its reset.
    pub fn pop(&mut self, ctx: &mut Ctx<'_>, queue: usize) -> Option<Chain> {
        if !self.is_running() {
            return None;
        }
        let features = self.negotiated();
        let q = self.queues.get_mut(queue).filter(|q| q.enabled)?;
        match q.pop(ctx.memory, features) {
            Ok(chain) => chain,
            Err(fault) => {
                self.fail(ctx, queue, fault);
                None
            }
        }
    }

    /// Leaves the chain taken last from `queue` in the ring.
    pub fn put_back(&mut self, queue: usize) {
        if let Some(q) = self.queues.get_mut(queue) {
            q.put_back();
        }
    }

    /// Hands a chain back with `written` bytes in its buffers. The driver is told by [`Transport::signal`].
    pub fn push(&mut self, ctx: &mut Ctx<'_>, queue: usize, chain: &Chain, written: u32) {
        if !self.is_running() {
            return;
        }
        let Some(q) = self.queues.get_mut(queue).filter(|q| q.enabled) else {
            return;
        };
        if let Err(fault) = q.push(ctx.memory, chain, written) {
            self.fail(ctx, queue, fault);
        }
    }

    /// Tells the driver of what was handed back since the last call, if it wants to hear.
    pub fn signal(&mut self, ctx: &mut Ctx<'_>, queue: usize) {
        if !self.is_running() {
            return;
        }
        let features = self.negotiated();
        let Some(q) = self.queues.get_mut(queue).filter(|q| q.enabled) else {
            return;
        };
        let vector = q.vector;
        match q.wants_interrupt(ctx.memory, features) {
            Ok(true) => self.interrupt(ctx, vector, ISR_QUEUE),
            Ok(false) => {}
            Err(fault) => self.fail(ctx, queue, fault),
        }
    }

    /// Tells the driver that the device's configuration has changed.
    pub fn config_changed(&mut self, ctx: &mut Ctx<'_>) {
        self.generation = self.generation.wrapping_add(1);
        if self.status & STATUS_DRIVER_OK != 0 {
            self.interrupt(ctx, self.config_vector, ISR_CONFIG);
        }
    }

    /// Gives up until the driver resets the device.
    pub fn fail(&mut self, ctx: &mut Ctx<'_>, queue: usize, fault: QueueFault) {
        if self.status & STATUS_NEEDS_RESET == 0 {
            self.status |= STATUS_NEEDS_RESET;
            self.fault = Some((queue, fault));
            if self.status & STATUS_DRIVER_OK != 0 {
                self.interrupt(ctx, self.config_vector, ISR_CONFIG);
            }
        }
    }

    pub(super) fn take_fault(&mut self) -> Option<(usize, QueueFault)> {
        self.fault.take()
    }

    fn interrupt(&mut self, ctx: &mut Ctx<'_>, vector: u16, cause: u8) {
        if self.msix.is_enabled(&self.config) {
            return self.msix.raise(ctx, &self.config, vector);
        }
        // An MSI takes the pin's place; what it is about stands in the interrupt status as well.
        self.isr |= cause;
        let message = if cause == ISR_CONFIG {
            regs::MESSAGE_CONFIG
        } else {
            regs::MESSAGE_QUEUE
        };
        self.msi.raise(ctx, &self.config, message);
        self.drive(ctx);
    }

    /// The level that the interrupt pin has by the registers.
    pub(super) fn level(&self) -> bool {
        let off = self.config.config_read(pci::COMMAND_STATUS) & pci::COMMAND_NO_INTX != 0;
        let messages = self.msix.is_enabled(&self.config) || self.msi.is_enabled(&self.config);
        self.isr != 0 && !off && !messages
    }

    fn drive(&mut self, ctx: &mut Ctx<'_>) {
        let level = self.level();
        if level != self.line {
            self.line = level;
            ctx.lines.set(self.irq, level);
        }
    }

    /// Reading the interrupt status clears it.
    pub(super) fn acknowledge(&mut self, ctx: &mut Ctx<'_>) {
        self.isr = 0;
        self.drive(ctx);
    }

    /// After a write to configuration space; `true` when the function has become a bus master.
    pub(super) fn config_written(&mut self, ctx: &mut Ctx<'_>, before: u32) -> bool {
        self.msix.settle(ctx, &self.config);
        self.msi.settle(ctx, &self.config);
        self.drive(ctx);
        let after = self.config.config_read(pci::COMMAND_STATUS);
        !before & after & pci::COMMAND_MASTER != 0
    }

    fn selected(&self) -> Option<&Queue> {
        self.queues.get(usize::from(self.queue_select))
    }

    /// The common configuration as it reads now.
    pub(super) fn common(&self) -> [u8; COMMON_BYTES] {
        let mut image = [0; COMMON_BYTES];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(
            regs::DEVICE_FEATURE_SELECT,
            &self.device_feature_select.to_le_bytes(),
        );
        put(
            regs::DEVICE_FEATURE,
            &half(self.offered, self.device_feature_select),
        );
        put(
            regs::DRIVER_FEATURE_SELECT,
            &self.driver_feature_select.to_le_bytes(),
        );
        put(
            regs::DRIVER_FEATURE,
            &half(self.accepted, self.driver_feature_select),
        );
        put(regs::CONFIG_VECTOR, &self.config_vector.to_le_bytes());
        let count = u16::try_from(self.queues.len()).unwrap_or(u16::MAX);
        put(regs::NUM_QUEUES, &count.to_le_bytes());
        put(regs::DEVICE_STATUS, &[self.status]);
        put(regs::CONFIG_GENERATION, &[self.generation]);
        put(regs::QUEUE_SELECT, &self.queue_select.to_le_bytes());
        // A queue that does not exist reads as size 0 (section 4.1.4.3.1).
        if let Some(q) = self.selected() {
            put(regs::QUEUE_SIZE, &q.size.to_le_bytes());
            put(regs::QUEUE_VECTOR, &q.vector.to_le_bytes());
            put(regs::QUEUE_ENABLE, &u16::from(q.enabled).to_le_bytes());
            put(regs::QUEUE_NOTIFY_OFF, &self.queue_select.to_le_bytes());
            put(regs::QUEUE_DESC, &q.desc.to_le_bytes());
            put(regs::QUEUE_DRIVER, &q.driver.to_le_bytes());
            put(regs::QUEUE_DEVICE, &q.device.to_le_bytes());
        }
        image
    }

    /// Writes `value` to the field at `field` of the common configuration.
    pub(super) fn common_write(&mut self, field: usize, value: u64) -> Asked {
        let [a, b, c, d, ..] = value.to_le_bytes();
        let (word, dword) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([a, b, c, d]));
        match field {
            regs::DEVICE_FEATURE_SELECT => self.device_feature_select = dword,
            regs::DRIVER_FEATURE_SELECT => self.driver_feature_select = dword,
            regs::DRIVER_FEATURE => self.accept(dword),
            regs::CONFIG_VECTOR => self.config_vector = self.existing_vector(word),
            regs::DEVICE_STATUS => return self.set_status(a),
            regs::QUEUE_SELECT => self.queue_select = word,
            regs::QUEUE_RESET if word == 1 => return self.queue_reset(),
            _ => self.queue_write(field, value, word),
        }
        Asked::Nothing
    }

    fn accept(&mut self, dword: u32) {
        // Agreed is agreed: only a reset opens the question again.
        if self.status & STATUS_FEATURES_OK != 0 {
            return;
        }
        let value = u64::from(dword);
        match self.driver_feature_select {
            0 => self.accepted = self.accepted >> 32 << 32 | value,
            1 => self.accepted = self.accepted & 0xFFFF_FFFF | value << 32,
            _ => {}
        }
    }

    fn existing_vector(&self, vector: u16) -> u16 {
        if vector < self.msix.vectors() {
            vector
        } else {
            NO_VECTOR
        }
    }

    fn set_status(&mut self, value: u8) -> Asked {
        if value == 0 {
            return Asked::Reset;
        }
        let mut new = self.status | value & STATUS_DRIVER_BITS;
        let agreed = self.accepted & F_VERSION_1 != 0 && self.accepted & !self.offered == 0;
        if self.status & STATUS_FEATURES_OK == 0 && !agreed {
            new &= !STATUS_FEATURES_OK;
        }
        if new & STATUS_FEATURES_OK == 0 {
            new &= !STATUS_DRIVER_OK;
        }
        let starts = !self.status & new & STATUS_DRIVER_OK != 0;
        self.status = new;
        if starts { Asked::Start } else { Asked::Nothing }
    }

    fn queue_reset(&mut self) -> Asked {
        let at = usize::from(self.queue_select);
        if self.negotiated() & F_RING_RESET == 0 {
            return Asked::Nothing;
        }
        match self.queues.get_mut(at) {
            Some(q) => {
                q.reset();
                Asked::QueueReset(at)
            }
            None => Asked::Nothing,
        }
    }

    /// Fields of the selected queue. While it is enabled it stays where it is.
    fn queue_write(&mut self, field: usize, value: u64, word: u16) {
        let vector = self.existing_vector(word);
        let Some(q) = self.queues.get_mut(usize::from(self.queue_select)) else {
            return;
        };
        match field {
            regs::QUEUE_VECTOR => q.vector = vector,
            _ if q.enabled => {}
            regs::QUEUE_SIZE if word.is_power_of_two() && word <= q.max_size => q.size = word,
            regs::QUEUE_ENABLE => q.enabled = word == 1,
            regs::QUEUE_DESC => q.desc = value,
            regs::QUEUE_DRIVER => q.driver = value,
            regs::QUEUE_DEVICE => q.device = value,
            _ => {}
        }
    }

    /// The queue whose notification address lies at `offset` of their page.
    pub(super) fn notified(&self, offset: u64) -> Option<usize> {
        let queue = usize::try_from(offset / NOTIFY_MULTIPLIER).ok()?;
        (queue < self.queues.len()).then_some(queue)
    }

    /// Copies into a request's buffers; a broken one makes the device ask for its reset. Whether it went well.
    pub fn fill(
        &mut self,
        ctx: &mut Ctx<'_>,
        queue: usize,
        chain: &Chain,
        offset: u64,
        bytes: &[u8],
    ) -> bool {
        let done = chain.write(ctx.memory, offset, bytes);
        self.check(ctx, queue, done).is_some()
    }

    /// Reads from a request's buffers; a broken one makes the device ask for its reset.
    pub fn fetch<const N: usize>(
        &mut self,
        ctx: &mut Ctx<'_>,
        queue: usize,
        chain: &Chain,
        offset: u64,
    ) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        let done = chain.read(ctx.memory, offset, &mut bytes);
        self.check(ctx, queue, done).map(|()| bytes)
    }

    /// Passes a result on, or gives up with its fault.
    pub fn check<T>(
        &mut self,
        ctx: &mut Ctx<'_>,
        queue: usize,
        result: Result<T, QueueFault>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.fail(ctx, queue, fault);
                None
            }
        }
    }
}

/// The selected half of a feature set; none beyond 64.
fn half(features: u64, select: u32) -> [u8; 4] {
    let [a, b, c, d, e, f, g, h] = features.to_le_bytes();
    match select {
        0 => [a, b, c, d],
        1 => [e, f, g, h],
        _ => [0; 4],
    }
}
