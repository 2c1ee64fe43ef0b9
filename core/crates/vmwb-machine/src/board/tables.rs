//! What tables in memory say of a board: ACPI and SMBIOS.

use vmwb_devices::acpi as pm;
use vmwb_devices::hpet::{HPET_BASE, regs::CAPABILITIES_LOW};
use vmwb_devices::ioapic::IOAPIC_BASE;
use vmwb_devices::lapic::LAPIC_BASE;

use super::devices::SERIAL_PORTS;
use super::{Board, RESET_PORT, RESET_VALUE, low_dword};
use crate::acpi as acpi_tables;
use crate::boot::MemoryMap;
use crate::firmware::smbios::{self, SmbiosInput};
use crate::spec::{DisplayChoice, DriveSlot, MachineSpec};

impl Board {
    /// Writes the ACPI and SMBIOS tables that describe this board into memory.
    ///
    /// # Errors
    /// When the memory is too small for them.
    pub fn install_tables(&self, spec: &MachineSpec) -> Result<(), vmwb_mem::MemError> {
        let map = MemoryMap::of(&self.common.memory);
        let smbios = SmbiosInput {
            uuid: spec.uuid_bytes(),
            cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
            cpu: (&spec.cpu.model, spec.cpu.tsc_hz),
            ram: (map.low_end(), spec.ram_bytes() - map.low_end()),
        };
        smbios::install(&self.common.memory, &smbios)?;
        acpi_tables::install(&self.common.memory, &map, &acpi_input(spec, map.low_end()))
    }
}

/// What the ACPI tables say about a board of this definition, whose RAM below 4 GiB ends at `low_end`.
#[must_use]
pub fn acpi_input(spec: &MachineSpec, low_end: u64) -> acpi_tables::AcpiInput {
    let mut serial_ports = [(0, 0); 4];
    for (n, port) in SERIAL_PORTS
        .iter()
        .enumerate()
        .take(usize::from(spec.serial_ports))
    {
        serial_ports[n] = *port;
    }
    acpi_tables::AcpiInput {
        low_end,
        high_pci: None,
        pm: acpi_tables::PmHardware {
            base: pm::PM_BASE,
            event: pm::PM1_EVENT_PORT,
            control: pm::PM1_CONTROL_PORT,
            timer: pm::PM_TIMER_PORT,
            timer_32_bit: false,
            gpe0: pm::GPE0_PORT,
            gpe0_bytes: pm::GPE0_BYTES,
            smi_command: pm::SMI_COMMAND_PORT,
            acpi_enable: pm::ACPI_ENABLE,
            acpi_disable: pm::ACPI_DISABLE,
            // Whoever sleeps is woken by firmware.
            slp_typ_s3: spec.boot.has_firmware().then_some(pm::SLP_TYP_S3),
            slp_typ_s5: pm::SLP_TYP_S5,
            reset_port: RESET_PORT,
            reset_value: RESET_VALUE,
        },
        serial_ports,
        vga: spec.display == DisplayChoice::Vga,
        lapic: u32::try_from(LAPIC_BASE).expect("the local APIC lies below 4 GiB"),
        ioapic: (
            u32::try_from(IOAPIC_BASE).expect("the I/O APIC lies below 4 GiB"),
            0,
        ),
        cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX),
        cpu: vmwb_x86::cpuid::identity(&spec.cpu.model),
        parts: parts(spec),
    }
}

/// Parts that the tables describe.
fn parts(spec: &MachineSpec) -> acpi_tables::Parts {
    let floppy = |n| {
        let slot = DriveSlot::Floppy(n).to_string();
        spec.drives.iter().any(|drive| drive.slot == slot)
    };
    if !spec.is_whole_pc() {
        return acpi_tables::Parts::default();
    }
    acpi_tables::Parts {
        hpet: Some(acpi_tables::HpetHardware {
            address: u32::try_from(HPET_BASE).expect("the event timers lie below 4 GiB"),
            block_id: low_dword(CAPABILITIES_LOW),
        }),
        floppy: Some([floppy(0), floppy(1)]),
        dma: true,
        fw_cfg: spec.boot.has_firmware(),
    }
}
