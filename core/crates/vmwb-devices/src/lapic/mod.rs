//! The local APIC of one processor, in xAPIC mode (registers in memory) and x2APIC mode (model-specific registers).
//!
//! It is a register model: the board gives it interrupt messages ([`Lapic::deliver`] and its kin), asks it what the
//! processor should take ([`Lapic::pending_vector`], [`Lapic::take_nmi`], [`Lapic::take_signal`]), carries its
//! interprocessor interrupts to the other units ([`Lapic::take_ipi`]) and passes the vectors of finished level interrupts
//! ([`Lapic::take_eoi`]) to the I/O APIC. It knows neither other units nor the 8259.
//!
//! Timer: the bus clock is 1 GHz, so one undivided count is one nanosecond of virtual time. Counts are derived from
//! time when they are read; only a timer that would interrupt has a deadline.
//!
//! | Registers | Omitted |
//! |---|---|
//! | ID, version 14h, TPR, PPR, EOI, LDR, DFR, SVR, ISR, TMR, IRR, ESR, ICR, SELF IPI, 6 LVT entries, timer, TSC deadline | SMI (there is no such mode: passed to the board, which tells the user), remote read, focus processors, CMCI, EOI-broadcast suppression (none announced) |
//!
//! | Threat | Answer |
//! |---|---|
//! | A periodic timer of a few nanoseconds | wake-ups at least [`MIN_WAKE_NS`] apart; interrupts in between coalesce, as in IRR |
//! | Vectors below 16, unknown registers | recorded in ESR, otherwise ignored |
//! | Model-specific registers that do not exist, reserved bits | refused: the guest gets #GP |
//! | Odd widths and offsets | reads give zeros, writes are ignored |
//!
//! Source: Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller (APIC)".

mod delivery;
mod regs;
mod snapshot;
#[cfg(test)]
mod tests;
mod timer;
mod x2apic;

use vmwb_hw::{
    AccessSize, Ctx, Device, LocalInterrupts, MmioDevice, Nanos, Payload, ResetKind, SnapshotError,
    Timed, TimerId,
};

pub use delivery::{Destination, Ipi, IpiKind, IpiTarget, Signal};
pub use snapshot::{LapicV1, LapicV2};
use timer::Countdown;

/// Guest-physical address of the register page after power-on.
pub const LAPIC_BASE: u64 = 0xFEE0_0000;
/// Size of the register page in bytes.
pub const LAPIC_BYTES: u64 = regs::PAGE_BYTES;
/// Frequency of the timer's bus clock in Hz.
pub const LAPIC_TIMER_HZ: u64 = 1_000_000_000;
/// Shortest distance of two wake-ups of a periodic timer, in nanoseconds.
pub const MIN_WAKE_NS: u64 = 10_000;

/// One bit for each of 256 vectors, as the ISR, TMR and IRR hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct VectorSet([u32; 8]);

impl VectorSet {
    fn set(&mut self, vector: u8, on: bool) {
        let bit = 1 << (vector & 31);
        let word = &mut self.0[usize::from(vector >> 5)];
        *word = if on { *word | bit } else { *word & !bit };
    }

    fn contains(self, vector: u8) -> bool {
        self.0[usize::from(vector >> 5)] & 1 << (vector & 31) != 0
    }

    fn highest(self) -> Option<u8> {
        (0u8..8)
            .rev()
            .find(|&i| self.0[usize::from(i)] != 0)
            .map(|i| {
                let bit = 31 - self.0[usize::from(i)].leading_zeros();
                i * 32 + u8::try_from(bit).expect("a bit number of a u32")
            })
    }
}

/// What a unit is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LapicConfig {
    /// Number of its processor and its APIC id after reset; processor 0 is the bootstrap processor.
    pub number: u8,
    /// Its slot of the scheduler.
    pub timer: TimerId,
    /// Rate of the processor's time-stamp counter in Hz.
    pub tsc_hz: u64,
    /// The processor has x2APIC mode.
    pub x2apic: bool,
    /// The timer has a TSC-deadline mode.
    pub tsc_deadline: bool,
}

impl LapicConfig {
    fn base_after_reset(self) -> u64 {
        regs::BASE_RESET | if self.number == 0 { regs::BASE_BSP } else { 0 }
    }
}

/// The local APIC. See the module's head.
#[derive(Debug)]
pub struct Lapic {
    config: LapicConfig,
    name: String,
    apic_base: u64,
    id: u32,
    tpr: u8,
    ldr: u32,
    dfr: u32,
    svr: u32,
    isr: VectorSet,
    tmr: VectorSet,
    irr: VectorSet,
    esr: u32,
    esr_pending: u32,
    icr_low: u32,
    icr_high: u32,
    lvt: [u32; regs::LVT_ENTRIES],
    initial_count: u32,
    divide: u32,
    countdown: Countdown,
    /// IA32_TSC_DEADLINE; 0 while it is not armed.
    tsc_deadline: u64,
    deadline: Option<Nanos>,
    lint: [bool; 2],
    /// A level-triggered interrupt of LINT0 has not ended yet.
    remote_irr: bool,
    nmi: bool,
    /// Collected by the board after the access that it came with; never saved.
    smi: bool,
    init: bool,
    startup: Option<u8>,
    ipi: Option<Ipi>,
    eoi: Option<u8>,
}

/// The local vector table as a reset leaves it: masked, but for LINT0 of the first processor's unit, where the 8259's INTR
/// arrives. A masked one (SDM, "Local APIC State After Power-Up or Reset") would ask more of a BIOS than some do that enable
/// the unit to start further processors and go on with the 8259; KVM and QEMU begin so, too.
fn lvt_after_reset(number: u8) -> [u32; regs::LVT_ENTRIES] {
    let mut lvt = [regs::LVT_MASKED; regs::LVT_ENTRIES];
    if number == 0 {
        lvt[regs::LVT_LINT0] = regs::DELIVERY_EXTINT;
    }
    lvt
}

impl Lapic {
    /// A unit in its power-on state.
    #[must_use]
    pub fn new(config: LapicConfig) -> Self {
        let name = match config.number {
            0 => "lapic".to_owned(),
            n => format!("lapic.{n}"),
        };
        Self {
            config,
            name,
            apic_base: config.base_after_reset(),
            id: u32::from(config.number) << 24,
            tpr: 0,
            ldr: 0,
            dfr: u32::MAX,
            svr: 0xFF,
            isr: VectorSet::default(),
            tmr: VectorSet::default(),
            irr: VectorSet::default(),
            esr: 0,
            esr_pending: 0,
            icr_low: 0,
            icr_high: 0,
            lvt: lvt_after_reset(config.number),
            initial_count: 0,
            divide: 0,
            countdown: Countdown::default(),
            tsc_deadline: 0,
            deadline: None,
            lint: [false; 2],
            remote_irr: false,
            nmi: false,
            smi: false,
            init: false,
            startup: None,
            ipi: None,
            eoi: None,
        }
    }

    /// Puts the unit into virtual wire mode, as firmware leaves it: enabled, LINT0 from the 8259, LINT1 for NMI
    /// (MultiProcessor Specification 1.4, section 3.6.2.2). For direct boot, which has no firmware; call after reset.
    pub fn set_virtual_wire(&mut self) {
        self.svr = regs::SVR_ENABLE | 0xFF;
        self.lvt[regs::LVT_LINT0] = regs::DELIVERY_EXTINT;
        self.lvt[regs::LVT_LINT1] = regs::DELIVERY_NMI;
    }

    /// IA32_APIC_BASE.
    #[must_use]
    pub fn apic_base(&self) -> u64 {
        self.apic_base
    }

    /// Writes IA32_APIC_BASE. `false` (the guest gets #GP) for reserved bits and for the transitions that SDM volume 3,
    /// section "x2APIC State Transitions", forbids. Disabling the unit brings it to its reset state.
    pub fn set_apic_base(&mut self, ctx: &mut Ctx<'_>, value: u64) -> bool {
        let mut known = regs::BASE_ADDRESS | regs::BASE_ENABLE | regs::BASE_BSP;
        if self.config.x2apic {
            known |= regs::BASE_X2APIC;
        }
        let (enable, extended) = (
            value & regs::BASE_ENABLE != 0,
            value & regs::BASE_X2APIC != 0,
        );
        // Extended mode is entered from xAPIC mode alone, and left through the disabled state alone.
        let wrong = if extended {
            !enable || !self.is_enabled()
        } else {
            enable && self.is_x2apic()
        };
        if value & !known != 0 || wrong {
            return false;
        }
        let (was_enabled, was_x2apic) = (self.is_enabled(), self.is_x2apic());
        let bsp = self.config.base_after_reset() & regs::BASE_BSP;
        self.apic_base = value & !regs::BASE_BSP | bsp;
        if was_enabled && !enable {
            self.reset_registers(ctx);
            self.id = u32::from(self.config.number) << 24;
        }
        if extended && !was_x2apic {
            // The destination lies elsewhere in the register from now on.
            self.icr_high = 0;
        }
        true
    }

    /// Every register as after power-on but IA32_APIC_BASE and ID: what INIT does.
    fn reset_registers(&mut self, ctx: &mut Ctx<'_>) {
        let (apic_base, id, lint) = (self.apic_base, self.id, self.lint);
        *self = Self::new(self.config);
        (self.apic_base, self.id, self.lint) = (apic_base, id, lint);
        ctx.scheduler.disarm(self.config.timer);
    }

    /// Guest-physical address of the register page; `None` while the unit is disabled in IA32_APIC_BASE or has its
    /// registers elsewhere.
    #[must_use]
    pub fn mmio_base(&self) -> Option<u64> {
        (self.is_enabled() && !self.is_x2apic()).then_some(self.apic_base & regs::BASE_ADDRESS)
    }

    fn is_x2apic(&self) -> bool {
        self.apic_base & regs::BASE_X2APIC != 0
    }

    fn is_enabled(&self) -> bool {
        self.apic_base & regs::BASE_ENABLE != 0
    }

    fn is_software_enabled(&self) -> bool {
        self.is_enabled() && self.svr & regs::SVR_ENABLE != 0
    }

    /// Whether the 8259's INTR reaches the processor: through LINT0 as ExtINT, or directly while the unit is disabled.
    #[must_use]
    pub fn accepts_extint(&self) -> bool {
        let lint0 = self.lvt[regs::LVT_LINT0];
        !self.is_enabled()
            || lint0 & (regs::LVT_MASKED | regs::DELIVERY_MASK) == regs::DELIVERY_EXTINT
    }

    /// The vector that the processor would take now with IF = 1: the highest requested one above the processor priority.
    #[must_use]
    pub fn pending_vector(&self) -> Option<u8> {
        self.irr.highest().filter(|v| v >> 4 > self.ppr() >> 4)
    }

    /// Interrupt acknowledge: the vector goes from requested to in service.
    pub fn acknowledge(&mut self) -> Option<u8> {
        let vector = self.pending_vector()?;
        self.irr.set(vector, false);
        self.isr.set(vector, true);
        Some(vector)
    }

    /// The vector of a level interrupt that the guest has just ended. The board asks after each write to the unit and
    /// tells the I/O APIC.
    pub fn take_eoi(&mut self) -> Option<u8> {
        self.eoi.take()
    }

    /// Task priority as CR8 shows it, 0 to 15.
    #[must_use]
    pub fn cr8(&self) -> u8 {
        self.tpr >> 4
    }

    /// Writes CR8; bits above 3 are ignored (the processor has refused them).
    pub fn set_cr8(&mut self, value: u8) {
        self.tpr = value << 4;
    }

    /// Processor priority (SDM, "Task and Processor Priorities").
    fn ppr(&self) -> u8 {
        let in_service = self.isr.highest().unwrap_or(0);
        if self.tpr >> 4 >= in_service >> 4 {
            self.tpr
        } else {
            in_service & 0xF0
        }
    }

    fn end_interrupt(&mut self) {
        if let Some(vector) = self.isr.highest() {
            self.isr.set(vector, false);
            if self.tmr.contains(vector) {
                self.eoi = Some(vector);
            }
            self.end_of_lint0(vector);
        }
    }

    /// Records an error and raises the error interrupt.
    fn report(&mut self, bit: u32) {
        self.esr_pending |= bit;
        let [vector, ..] = self.lvt[regs::LVT_ERROR].to_le_bytes();
        // An error vector below 16 would be an error again; it is recorded, not delivered.
        if self.lvt[regs::LVT_ERROR] & regs::LVT_MASKED == 0 && vector >= 16 {
            self.deliver(vector, false);
        }
    }

    /// `None`: there is no such register.
    fn register(&self, now: Nanos, offset: u64) -> Option<u32> {
        let word = |base: u64| {
            usize::try_from((offset - base) / regs::STRIDE).expect("an offset below 1000h")
        };
        Some(match offset {
            regs::ID => self.id,
            regs::VERSION => regs::VERSION_VALUE,
            regs::TPR => u32::from(self.tpr),
            regs::PPR => u32::from(self.ppr()),
            regs::APR | regs::EOI => 0,
            regs::LDR => self.ldr,
            regs::DFR => self.dfr,
            regs::SVR => self.svr,
            regs::ISR..regs::TMR => self.isr.0[word(regs::ISR)],
            regs::TMR..regs::IRR => self.tmr.0[word(regs::TMR)],
            regs::IRR..regs::ESR => self.irr.0[word(regs::IRR)],
            regs::ESR => self.esr,
            regs::ICR_LOW => self.icr_low,
            regs::ICR_HIGH => self.icr_high,
            regs::LVT..regs::INITIAL_COUNT => {
                let entry = word(regs::LVT);
                let remote = entry == regs::LVT_LINT0 && self.remote_irr;
                self.lvt[entry] | if remote { regs::LVT_REMOTE_IRR } else { 0 }
            }
            regs::INITIAL_COUNT => self.initial_count,
            regs::CURRENT_COUNT => self.current_count(now),
            regs::DIVIDE => self.divide,
            _ => return None,
        })
    }

    fn write_register(&mut self, ctx: &mut Ctx<'_>, offset: u64, value: u32) {
        self.catch_up(ctx);
        match offset {
            regs::ID => self.id = value & 0xFF00_0000,
            regs::TPR => self.tpr = value.to_le_bytes()[0],
            regs::EOI => self.end_interrupt(),
            regs::LDR => self.ldr = value & 0xFF00_0000,
            regs::DFR => self.dfr = value | 0x0FFF_FFFF,
            regs::SVR => {
                self.svr = value & regs::SVR_WRITABLE;
                if !self.is_software_enabled() {
                    self.lvt
                        .iter_mut()
                        .for_each(|entry| *entry |= regs::LVT_MASKED);
                }
                self.arm(ctx);
            }
            regs::ESR => self.esr = std::mem::take(&mut self.esr_pending),
            regs::ICR_LOW => {
                self.icr_low = value & regs::ICR_WRITABLE;
                self.send_ipi();
            }
            regs::ICR_HIGH => self.icr_high = value & 0xFF00_0000,
            regs::LVT..regs::INITIAL_COUNT => {
                let entry =
                    usize::try_from((offset - regs::LVT) / regs::STRIDE).expect("one of six");
                self.write_lvt(ctx, entry, value);
            }
            // SDM, "TSC-Deadline Mode": writes to the initial count are ignored.
            regs::INITIAL_COUNT if self.is_deadline_mode() => {}
            regs::INITIAL_COUNT => {
                self.initial_count = value;
                self.countdown = Countdown {
                    count: value,
                    at: ctx.now,
                };
                self.arm(ctx);
            }
            regs::DIVIDE => {
                self.rebase(ctx.now);
                self.divide = value & regs::DIVIDE_WRITABLE;
                self.arm(ctx);
            }
            regs::VERSION | regs::APR | regs::PPR | regs::CURRENT_COUNT | regs::ISR..regs::ESR => {}
            _ => self.report(regs::ESR_ILLEGAL_REGISTER),
        }
    }

    fn write_lvt(&mut self, ctx: &mut Ctx<'_>, entry: usize, value: u32) {
        let mut value = value & self.lvt_writable(entry);
        if !self.is_software_enabled() {
            // SDM, "Local APIC State After It Has Been Software Disabled": the mask bits cannot be cleared.
            value |= regs::LVT_MASKED;
        }
        match entry {
            regs::LVT_TIMER => self.write_timer_entry(ctx, value),
            regs::LVT_LINT0 => {
                self.lvt[entry] = value;
                // A level that waited for the mask to go.
                if self.lint[0] && value & regs::LVT_LEVEL != 0 {
                    self.raise_lint(0);
                }
            }
            _ => self.lvt[entry] = value,
        }
    }

    fn lvt_writable(&self, entry: usize) -> u32 {
        let deadline = entry == regs::LVT_TIMER && self.config.tsc_deadline;
        regs::LVT_WRITABLE[entry] | if deadline { regs::LVT_TSC_DEADLINE } else { 0 }
    }
}

impl LocalInterrupts for Lapic {
    fn pending(&self) -> bool {
        self.pending_vector().is_some()
    }

    fn acknowledge(&mut self) -> Option<u8> {
        Self::acknowledge(self)
    }
}

impl Device for Lapic {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, _kind: ResetKind) {
        *self = Self::new(self.config);
        ctx.scheduler.disarm(self.config.timer);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &self.to_v2())
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let state = match payload.version {
            1 => payload.decode::<LapicV1>()?.into(),
            _ => payload.decode::<LapicV2>()?,
        };
        self.take_v2(&state)?;
        ctx.scheduler.set(self.config.timer, self.deadline);
        Ok(())
    }
}

impl MmioDevice for Lapic {
    fn mmio_read(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize) -> u64 {
        if offset < regs::PAGE_BYTES && self.register(ctx.now, offset & !0xF).is_none() {
            self.report(regs::ESR_ILLEGAL_REGISTER);
        }
        self.mmio_peek(ctx.now, offset, size)
    }

    fn mmio_peek(&self, now: Nanos, offset: u64, size: AccessSize) -> u64 {
        // A register is the first four bytes of its 16; the rest reads as zero.
        let value = self
            .register(now, offset & !0xF)
            .filter(|_| offset < regs::PAGE_BYTES)
            .unwrap_or(0);
        let shift = u32::try_from(8 * (offset & 0xF)).expect("below 128");
        u64::from(value).checked_shr(shift).unwrap_or(0) & size.ones()
    }

    fn mmio_write(&mut self, ctx: &mut Ctx<'_>, offset: u64, size: AccessSize, value: u64) {
        // SDM, "The Local APIC Block Diagram": registers are written as aligned 32-bit words.
        if offset >= regs::PAGE_BYTES || offset & 0xF != 0 || size < AccessSize::Dword {
            return;
        }
        let value = u32::try_from(value & u64::from(u32::MAX)).expect("masked to 32 bits");
        self.write_register(ctx, offset, value);
    }
}

impl Timed for Lapic {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, timer: TimerId) {
        if timer != self.config.timer {
            return;
        }
        self.expire();
        self.arm(ctx);
    }
}
