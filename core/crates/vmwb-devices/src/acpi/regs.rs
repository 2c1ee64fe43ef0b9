//! Ports, offsets and bits of the ACPI power-management block (ACPI specification 6.5, section 4.8 "ACPI Register
//! Model"; places as in the PIIX4, datasheet 290562, section 7.2).

/// First port of the power-management block.
pub const PM_BASE: u16 = 0x600;
/// Ports of the block.
pub const PM_BYTES: u16 = 0x40;
/// Port of the PM1 status register (PM1a_EVT_BLK; the enable register follows).
pub const PM1_EVENT_PORT: u16 = PM_BASE;
/// Length of the PM1 event block in bytes.
pub const PM1_EVENT_BYTES: u8 = 4;
/// Port of the PM1 control register (PM1a_CNT_BLK).
pub const PM1_CONTROL_PORT: u16 = PM_BASE + 0x04;
/// Length of the PM1 control block in bytes.
pub const PM1_CONTROL_BYTES: u8 = 2;
/// Port of the PM timer (PM_TMR_BLK).
pub const PM_TIMER_PORT: u16 = PM_BASE + 0x08;
/// Length of the timer block in bytes.
pub const PM_TIMER_BYTES: u8 = 4;
/// Port of the general-purpose event block (GPE0_BLK): two bytes of status, two of enable; no event is wired.
pub const GPE0_PORT: u16 = PM_BASE + 0x0C;
/// Length of the general-purpose event block in bytes.
pub const GPE0_BYTES: u8 = 4;
/// SMI command port (SMI_CMD) and the status port behind it.
pub const SMI_COMMAND_PORT: u16 = 0xB2;
/// Value that a system writes to SMI_CMD to take ACPI over.
pub const ACPI_ENABLE: u8 = 0xF1;
/// Value that gives ACPI back to the firmware.
pub const ACPI_DISABLE: u8 = 0xF0;
/// Global system interrupt of the SCI: level, active high.
pub const SCI_GSI: u8 = 9;
/// SLP_TYP of soft-off (S5), as the `\_S5` package tells it.
pub const SLP_TYP_S5: u8 = 5;
/// SLP_TYP of suspend to RAM (S3), as the `\_S3` package tells it.
pub const SLP_TYP_S3: u8 = 1;
/// SLP_TYP of soft-off on the PIIX4 (82371AB datasheet, PMCNTRL), which programs write that read no tables: SeaBIOS for
/// APM, and many small systems.
pub(super) const SLP_TYP_SOFT_OFF: u8 = 0;
/// Frequency of the PM timer in Hz.
pub const PM_TIMER_HZ: u64 = 3_579_545;

/// Offset that [`super::AcpiPm`] decodes for SMI_CMD; the block's own offsets are those from [`PM_BASE`].
pub const OFFSET_SMI_COMMAND: u16 = PM_BYTES;
/// Offset of the status port B3h behind SMI_CMD.
pub const OFFSET_SMI_STATUS: u16 = PM_BYTES + 1;

/// Offset of the PM1 status register.
pub(super) const PM1_STATUS: u16 = 0x00;
/// Offset of the PM1 enable register.
pub(super) const PM1_ENABLE: u16 = 0x02;
/// Offset of the PM1 control register.
pub(super) const PM1_CONTROL: u16 = 0x04;
/// Offset of the PM timer.
pub(super) const PM_TIMER: u16 = 0x08;
/// Offset of the general-purpose event enables.
pub(super) const GPE0_ENABLE: u16 = 0x0E;

/// Status and enable: the timer's top bit has changed.
pub(super) const TMR: u16 = 1 << 0;
/// Status and enable: the firmware wants the global lock released.
pub(super) const GBL: u16 = 1 << 5;
/// Status and enable: the power button was pressed.
pub(super) const PWRBTN: u16 = 1 << 8;
/// Status and enable: the sleep button was pressed.
pub(super) const SLPBTN: u16 = 1 << 9;
/// Status and enable: the clock's alarm.
pub(super) const RTC: u16 = 1 << 10;
/// Status: the system slept and was woken.
pub(super) const WAK: u16 = 1 << 15;
/// Bits of the status register that stay until a one is written to them.
pub(super) const STATUS_STICKY: u16 = PWRBTN | SLPBTN | RTC | GBL | WAK;
/// Bits of the enable register.
pub(super) const ENABLE_WRITABLE: u16 = TMR | GBL | PWRBTN | SLPBTN | RTC;

/// Control: events raise the SCI. Set through SMI_CMD only.
pub(super) const SCI_EN: u16 = 1 << 0;
/// Control: where SLP_TYP begins.
pub(super) const SLP_TYP_SHIFT: u32 = 10;
/// Control: enter the sleep state; write only, reads 0.
pub(super) const SLP_EN: u16 = 1 << 13;
/// Control: bits that a guest can write and read back: BM_RLD and SLP_TYP.
pub(super) const CONTROL_WRITABLE: u16 = 1 << 1 | 7 << SLP_TYP_SHIFT;
