//! The ACPI power-management block: PM1 events and control, PM timer, power button, SMI command port.
//!
//! Tables are the loader's business; it takes ports and values from the constants here. The reset register is port CF9h,
//! another device's.
//!
//! Offsets that [`AcpiPm`] decodes: 00h to 3Fh are ports 600h to 63Fh, 40h and 41h are ports B2h and B3h.
//!
//! | Registers | Omitted |
//! |---|---|
//! | PM1 status, enable, control; PM timer of 24 or 32 bits; GPE0 (present, no event wired); SMI_CMD; S3 and S5 | sleep states S1, S2, S4 (SLP_EN with their types does nothing), system management mode, C-states |
//!
//! The timer's status bit is derived from time: it is set when the counter's top bit has changed since the guest last
//! cleared it. There is a deadline only while the guest wants that interrupt.
//!
//! A sleeping system ([`ResetKind::Sleep`]) keeps status and enables: they say what wakes it ([`AcpiPm::wake`]), and told it
//! when it is awake again.
//!
//! | Threat | Answer |
//! |---|---|
//! | A flood of enables and disables | state only, one deadline, one line |

mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

use vmwb_hw::{
    AccessSize, Ctx, Device, IrqLine, Nanos, Payload, PioDevice, PowerRequest, ResetKind, Schema,
    SnapshotError, Timed, TimerId,
};

pub use regs::{
    ACPI_DISABLE, ACPI_ENABLE, GPE0_BYTES, GPE0_PORT, OFFSET_SMI_COMMAND, OFFSET_SMI_STATUS,
    PM_BASE, PM_BYTES, PM_TIMER_BYTES, PM_TIMER_HZ, PM_TIMER_PORT, PM1_CONTROL_BYTES,
    PM1_CONTROL_PORT, PM1_EVENT_BYTES, PM1_EVENT_PORT, SCI_GSI, SLP_TYP_S3, SLP_TYP_S5,
    SMI_COMMAND_PORT,
};
pub use snapshot::{AcpiPmV1, AcpiPmV2};

/// Width of the PM timer; the FADT's flag TMR_VAL_EXT must agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PmTimerWidth {
    /// 24 bits: TMR_VAL_EXT clear, as on the PIIX4.
    Bits24,
    /// 32 bits: TMR_VAL_EXT set.
    Bits32,
}

impl PmTimerWidth {
    fn bits(self) -> u32 {
        match self {
            Self::Bits24 => 24,
            Self::Bits32 => 32,
        }
    }
}

/// What ends a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waker {
    /// The power button.
    PowerButton,
    /// The clock's alarm: only of a system that has enabled it (PM1 enable, RTC_EN).
    Clock,
    /// A key or a button of the mouse.
    Key,
}

/// The power-management block. See the module's head.
#[derive(Debug)]
pub struct AcpiPm {
    sci: IrqLine,
    timer: TimerId,
    width: PmTimerWidth,
    status: u16,
    enable: u16,
    control: u16,
    gpe_enable: u16,
    smi_command: u8,
    smi_status: u8,
    /// Half periods of the timer that had passed when TMR_STS was last cleared.
    cleared_half: u64,
    sci_level: bool,
    deadline: Option<Nanos>,
    asleep: bool,
}

impl AcpiPm {
    /// The block in its power-on state: ACPI not enabled. `sci` is the line of its interrupt ([`SCI_GSI`], level),
    /// `timer` its slot of the scheduler.
    #[must_use]
    pub fn new(sci: IrqLine, timer: TimerId, width: PmTimerWidth) -> Self {
        Self {
            sci,
            timer,
            width,
            status: 0,
            enable: 0,
            control: 0,
            gpe_enable: 0,
            smi_command: 0,
            smi_status: 0,
            cleared_half: 0,
            sci_level: false,
            deadline: None,
            asleep: false,
        }
    }

    /// Whether the system sleeps in its RAM (S3).
    #[must_use]
    pub fn is_asleep(&self) -> bool {
        self.asleep
    }

    /// Wakes a sleeping system, which finds in its status what woke it. `false`: it does not sleep, or not so that this
    /// would wake it.
    pub fn wake(&mut self, ctx: &mut Ctx<'_>, waker: Waker) -> bool {
        let cause = match waker {
            Waker::PowerButton => regs::PWRBTN,
            Waker::Clock => regs::RTC,
            Waker::Key => 0,
        };
        let wanted = waker != Waker::Clock || self.enable & regs::RTC != 0;
        let wakes = self.asleep && wanted;
        if wakes {
            self.asleep = false;
            self.status |= regs::WAK | cause;
            self.update(ctx);
        }
        wakes
    }

    /// Presses the power button. `true` when the guest is interrupted by it; `false` when its system has not enabled the
    /// button (yet), so that only the status bit is set and nothing else will happen.
    pub fn press_power_button(&mut self, ctx: &mut Ctx<'_>) -> bool {
        self.status |= regs::PWRBTN;
        self.update(ctx);
        self.control & regs::SCI_EN != 0 && self.enable & regs::PWRBTN != 0
    }

    fn half_periods(&self, now: Nanos) -> u64 {
        now.ticks(PM_TIMER_HZ) >> (self.width.bits() - 1)
    }

    fn counter(&self, now: Nanos) -> u32 {
        let mask = u64::from(u32::MAX >> (32 - self.width.bits()));
        u32::try_from(now.ticks(PM_TIMER_HZ) & mask).expect("masked to at most 32 bits")
    }

    fn status_at(&self, now: Nanos) -> u16 {
        let elapsed = self.half_periods(now) != self.cleared_half;
        self.status | if elapsed { regs::TMR } else { 0 }
    }

    /// Drives the SCI as status and enables ask for, and arms the deadline of the timer's status bit.
    fn update(&mut self, ctx: &mut Ctx<'_>) {
        let status = self.status_at(ctx.now);
        let enabled = self.control & regs::SCI_EN != 0;
        let level = enabled && !self.asleep && status & self.enable & regs::ENABLE_WRITABLE != 0;
        if level != self.sci_level {
            self.sci_level = level;
            ctx.lines.set(self.sci, level);
        }
        self.arm(ctx);
    }

    fn arm(&mut self, ctx: &mut Ctx<'_>) {
        let waits = self.control & regs::SCI_EN != 0
            && !self.asleep
            && self.enable & regs::TMR != 0
            && self.status_at(ctx.now) & regs::TMR == 0;
        let next = (self.half_periods(ctx.now) + 1) << (self.width.bits() - 1);
        self.deadline = waits.then(|| Nanos::at_tick(next, PM_TIMER_HZ));
        ctx.scheduler.set(self.timer, self.deadline);
    }

    /// The 16-bit register at an even offset of the block.
    fn word(&self, now: Nanos, offset: u16) -> u16 {
        let [t0, t1, t2, t3] = self.counter(now).to_le_bytes();
        match offset {
            regs::PM1_STATUS => self.status_at(now),
            regs::PM1_ENABLE => self.enable,
            regs::PM1_CONTROL => self.control,
            regs::PM_TIMER => u16::from_le_bytes([t0, t1]),
            0x0A => u16::from_le_bytes([t2, t3]),
            regs::GPE0_ENABLE => self.gpe_enable,
            // GPE0 status (no event is wired), GPE1 and what the PIIX4 has for notebooks.
            _ => 0,
        }
    }

    /// Writes the bits of `mask` of the register at an even offset.
    fn write_word(&mut self, ctx: &mut Ctx<'_>, offset: u16, value: u16, mask: u16) {
        let merge = |old: u16, writable: u16| old & !(writable & mask) | value & writable & mask;
        match offset {
            regs::PM1_STATUS => {
                let clear = value & mask;
                self.status &= !(clear & regs::STATUS_STICKY);
                if clear & regs::TMR != 0 {
                    self.cleared_half = self.half_periods(ctx.now);
                }
            }
            regs::PM1_ENABLE => self.enable = merge(self.enable, regs::ENABLE_WRITABLE),
            regs::PM1_CONTROL => {
                self.control = merge(self.control, regs::CONTROL_WRITABLE);
                let sleep = value & mask & regs::SLP_EN != 0;
                let kind = self.control >> regs::SLP_TYP_SHIFT & 7;
                let off = [SLP_TYP_S5, regs::SLP_TYP_SOFT_OFF].map(u16::from);
                if sleep && off.contains(&kind) {
                    *ctx.power = Some(PowerRequest::PowerOff);
                } else if sleep && kind == u16::from(SLP_TYP_S3) {
                    *ctx.power = Some(PowerRequest::Sleep);
                }
            }
            regs::GPE0_ENABLE => self.gpe_enable = merge(self.gpe_enable, u16::MAX),
            _ => {}
        }
        self.update(ctx);
    }

    fn smi(&mut self, ctx: &mut Ctx<'_>, command: u8) {
        self.smi_command = command;
        match command {
            ACPI_ENABLE => self.control |= regs::SCI_EN,
            ACPI_DISABLE => self.control &= !regs::SCI_EN,
            _ => {}
        }
        self.update(ctx);
    }
}

impl Device for AcpiPm {
    fn name(&self) -> &str {
        "acpi"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        if kind == ResetKind::Sleep {
            self.asleep = true;
            self.status &= !regs::WAK;
            self.update(ctx);
            return;
        }
        if self.sci_level {
            ctx.lines.deassert(self.sci);
        }
        ctx.scheduler.disarm(self.timer);
        *self = Self::new(self.sci, self.timer, self.width);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v2())
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let saved = match payload.version {
            AcpiPmV1::VERSION => AcpiPmV2::from(payload.decode::<AcpiPmV1>()?),
            _ => payload.decode::<AcpiPmV2>()?,
        };
        self.take_v2(&saved)?;
        ctx.scheduler.set(self.timer, self.deadline);
        Ok(())
    }
}

impl PioDevice for AcpiPm {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        self.pio_peek(ctx.now, offset, size)
    }

    fn pio_peek(&self, now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let byte = |at: u16| match at {
            OFFSET_SMI_COMMAND => self.smi_command,
            OFFSET_SMI_STATUS => self.smi_status,
            _ if at < PM_BYTES => self.word(now, at & !1).to_le_bytes()[usize::from(at & 1)],
            _ => 0xFF,
        };
        match size {
            AccessSize::Byte => u32::from(byte(offset)),
            AccessSize::Word => u32::from(u16::from_le_bytes([
                byte(offset),
                byte(offset.saturating_add(1)),
            ])),
            AccessSize::Dword | AccessSize::Qword => {
                u32::from_le_bytes([0, 1, 2, 3].map(|i| byte(offset.saturating_add(i))))
            }
        }
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        let [low, next, high, top] = value.to_le_bytes();
        match (offset, size) {
            (OFFSET_SMI_COMMAND, _) => {
                if size > AccessSize::Byte {
                    self.smi_status = next;
                }
                self.smi(ctx, low);
            }
            (OFFSET_SMI_STATUS, _) => self.smi_status = low,
            (PM_BYTES.., _) => {}
            (_, AccessSize::Byte) => {
                let shift = 8 * u32::from(offset & 1);
                self.write_word(ctx, offset & !1, u16::from(low) << shift, 0xFF << shift);
            }
            // The block decodes naturally aligned words and double words.
            (_, _) if offset & 1 != 0 => {}
            (_, AccessSize::Word) => {
                self.write_word(ctx, offset, u16::from_le_bytes([low, next]), u16::MAX)
            }
            (_, AccessSize::Dword | AccessSize::Qword) => {
                self.write_word(ctx, offset, u16::from_le_bytes([low, next]), u16::MAX);
                self.write_word(ctx, offset + 2, u16::from_le_bytes([high, top]), u16::MAX);
            }
        }
    }
}

impl Timed for AcpiPm {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, timer: TimerId) {
        if timer == self.timer {
            self.update(ctx);
        }
    }
}
