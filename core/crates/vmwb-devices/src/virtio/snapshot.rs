//! The transport's part of every virtio device's saved state. Frozen: a change is a new type with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::Transport;
use super::queue::Queue;
use super::regs::{
    CAP_WINDOW, F_VERSION_1, ISR_CONFIG, ISR_QUEUE, NO_VECTOR, STATUS_DRIVER_BITS,
    STATUS_DRIVER_OK, STATUS_FEATURES_OK, STATUS_NEEDS_RESET,
};
use crate::pci::{CONFIG_DWORDS, MsiV1, MsixV1, PciFunction};

/// Registers of one virtio function but the device's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportV1 {
    /// PCI configuration space, 64 double words.
    pub config: Vec<u32>,
    /// MSI-X table and pending bits.
    pub msix: MsixV1,
    /// Features that the driver has written.
    pub accepted: u64,
    /// `device_feature_select`.
    pub device_feature_select: u32,
    /// `driver_feature_select`.
    pub driver_feature_select: u32,
    /// `config_msix_vector`.
    pub config_vector: u16,
    /// `device_status`.
    pub status: u8,
    /// `config_generation`.
    pub generation: u8,
    /// `queue_select`.
    pub queue_select: u16,
    /// Every queue of the device.
    pub queues: Vec<QueueV1>,
    /// Interrupt status.
    pub isr: u8,
}

/// Version 2 of every virtio device: MSI. Frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtioV2<T> {
    /// What version 1 knew; its configuration space has the MSI capability as well.
    pub base: T,
    /// MSI.
    pub msi: MsiV1,
}

impl<T: Schema> Schema for VirtioV2<T> {
    const KIND: &'static str = T::KIND;
    const VERSION: u32 = 2;
}

/// One queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueV1 {
    /// Entries.
    pub size: u16,
    /// In use.
    pub enabled: bool,
    /// Address of the descriptors.
    pub desc: u64,
    /// Address of the available ring.
    pub driver: u64,
    /// Address of the used ring.
    pub device: u64,
    /// MSI-X vector, FFFFh: none.
    pub vector: u16,
    /// Next available entry to take.
    pub next_avail: u16,
    /// Next used entry to fill.
    pub next_used: u16,
    /// Used index when the driver was last told.
    pub signalled: u16,
}

impl From<&Queue> for QueueV1 {
    fn from(q: &Queue) -> Self {
        Self {
            size: q.size,
            enabled: q.enabled,
            desc: q.desc,
            driver: q.driver,
            device: q.device,
            vector: q.vector,
            next_avail: q.next_avail,
            next_used: q.next_used,
            signalled: q.signalled,
        }
    }
}

impl Transport {
    pub(super) fn to_v1(&self) -> TransportV1 {
        TransportV1 {
            config: self.config.registers().to_vec(),
            msix: self.msix.to_v1(),
            accepted: self.accepted,
            device_feature_select: self.device_feature_select,
            driver_feature_select: self.driver_feature_select,
            config_vector: self.config_vector,
            status: self.status,
            generation: self.generation,
            queue_select: self.queue_select,
            queues: self.queues.iter().map(QueueV1::from).collect(),
            isr: self.isr,
        }
    }

    /// Takes saved registers over, for the device of this `kind`, whose driver may have agreed on `changing` features
    /// that it does not offer now. Without `msi` they are of a function that had no such capability: it has one now.
    pub(super) fn take(
        &mut self,
        kind: &str,
        mut s: TransportV1,
        msi: Option<&MsiV1>,
        changing: u64,
    ) -> Result<(), SnapshotError> {
        match msi {
            Some(saved) => self.msi.take_v1(kind, saved)?,
            None => self.msi.add_to(&mut s.config, CAP_WINDOW),
        }
        self.take_v1(kind, &s, changing)
    }

    fn take_v1(&mut self, kind: &str, s: &TransportV1, changing: u64) -> Result<(), SnapshotError> {
        let check = |holds: bool, reason: &str| {
            if holds {
                Ok(())
            } else {
                Err(SnapshotError::damaged(kind, reason))
            }
        };
        let registers = <&[u32; CONFIG_DWORDS]>::try_from(s.config.as_slice()).ok();
        let taken = registers.is_some_and(|r| self.config.set_registers(r));
        check(taken, "its configuration space is another device's")?;
        self.msix.take_v1(kind, &s.msix)?;
        let vectors = self.msix.vectors();
        let exists = |vector: u16| vector < vectors || vector == NO_VECTOR;
        check(exists(s.config_vector), "a vector does not exist")?;
        let known = STATUS_DRIVER_BITS | STATUS_NEEDS_RESET;
        check(s.status & !known == 0, "its status has unknown bits")?;
        let agreed = s.accepted & F_VERSION_1 != 0 && s.accepted & !(self.offered | changing) == 0;
        check(
            s.status & STATUS_FEATURES_OK == 0 || agreed,
            "it agreed on features that this device does not have",
        )?;
        check(
            s.status & STATUS_DRIVER_OK == 0 || s.status & STATUS_FEATURES_OK != 0,
            "its driver was ready before it agreed on features",
        )?;
        check(
            s.isr & !(ISR_QUEUE | ISR_CONFIG) == 0,
            "its interrupt status has unknown bits",
        )?;
        check(
            s.queues.len() == self.queues.len(),
            "it has another number of queues",
        )?;
        for (queue, q) in self.queues.iter_mut().zip(&s.queues) {
            let fits = q.size.is_power_of_two() && q.size <= queue.max_size && exists(q.vector);
            check(fits, "a queue is not one of this device")?;
            *queue = Queue {
                max_size: queue.max_size,
                max_chain_bytes: queue.max_chain_bytes,
                size: q.size,
                enabled: q.enabled,
                desc: q.desc,
                driver: q.driver,
                device: q.device,
                vector: q.vector,
                next_avail: q.next_avail,
                next_used: q.next_used,
                signalled: q.signalled,
            };
        }
        self.accepted = s.accepted;
        self.offered |= s.accepted & changing;
        self.device_feature_select = s.device_feature_select;
        self.driver_feature_select = s.driver_feature_select;
        self.config_vector = s.config_vector;
        self.status = s.status;
        self.generation = s.generation;
        self.queue_select = s.queue_select;
        self.isr = s.isr;
        self.line = self.level();
        Ok(())
    }
}
