//! Saved state of the PCI bus.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};

use super::{CONFIG_DWORDS, PciHost, regs};

/// Version 1. Frozen: a change is a new type with an upgrade from this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciV1 {
    /// CONFIG_ADDRESS.
    pub config_address: u32,
    /// Every function of the bus, by ascending place.
    pub functions: Vec<PciFunctionV1>,
}

/// One function's configuration space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PciFunctionV1 {
    /// Slot in bits 7:3, function in bits 2:0.
    pub devfn: u8,
    /// 64 double words.
    pub registers: Vec<u32>,
}

impl Schema for PciV1 {
    const KIND: &'static str = "pci";
    const VERSION: u32 = 1;
}

impl PciHost {
    pub(super) fn to_v1(&self) -> PciV1 {
        let function = |(devfn, f): &(u8, Box<dyn super::PciFunction>)| PciFunctionV1 {
            devfn: *devfn,
            registers: f.registers().to_vec(),
        };
        PciV1 {
            config_address: self.config_address,
            functions: self.functions.iter().map(function).collect(),
        }
    }

    pub(super) fn take_v1(&mut self, s: &PciV1) -> Result<(), SnapshotError> {
        let damaged = |reason: String| SnapshotError::damaged("pci", reason);
        if s.config_address & !regs::ADDRESS_WRITABLE != 0 {
            return Err(damaged(
                "the configuration address has reserved bits".to_owned(),
            ));
        }
        if s.functions.len() != self.functions.len() {
            let (found, have) = (s.functions.len(), self.functions.len());
            return Err(damaged(format!(
                "it has {found} functions, this machine {have}"
            )));
        }
        for ((devfn, function), saved) in self.functions.iter_mut().zip(&s.functions) {
            let registers = <&[u32; CONFIG_DWORDS]>::try_from(saved.registers.as_slice()).ok();
            let taken =
                saved.devfn == *devfn && registers.is_some_and(|r| function.set_registers(r));
            if !taken {
                return Err(damaged(format!(
                    "function {:02x}.{} is another device",
                    *devfn >> 3,
                    *devfn & 7
                )));
            }
        }
        self.config_address = s.config_address;
        Ok(())
    }
}
