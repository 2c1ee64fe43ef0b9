//! One channel: two drives on a cable, their registers as the host sees them, interrupt line and resets.
//!
//! The transfer of data, the other half of this type, is in `transfer.rs`.

use vmwb_hw::{AccessSize, Ctx, IrqLine, ResetKind};

use super::busmaster::BusMaster;
use super::cdrom::{CdRom, PACKET_BYTES};
use super::regs::{
    ABRT, BM_INTERRUPT, BSY, CONTROL, CONTROL_KEPT, COUNT, DATA, DEV, DEVICE, DEVICE_FIXED, DF,
    DRQ, ERR, ERROR_FEATURES, HOB, LBA_HIGH, LBA_LOW, NIEN, SRST, STATUS_COMMAND, command as c,
};
use super::transfer::{Flow, Job, Phase};
use super::unit::{Drive, Kind, Unit};

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) irq: IrqLine,
    pub(super) units: [Unit; 2],
    /// Device Control.
    pub(super) control: u8,
    /// Level of the interrupt line.
    pub(super) line: bool,
    pub(super) bus_master: BusMaster,
    /// The command under way; there is at most one on a cable.
    pub(super) job: Option<Box<Job>>,
    /// Tag of the next request: answers to abandoned ones carry older tags.
    pub(super) next_tag: u64,
}

impl Channel {
    pub(super) fn new(irq: IrqLine, drives: [Option<Drive>; 2]) -> Self {
        Self {
            irq,
            units: drives.map(Unit::new),
            control: 0,
            line: false,
            bus_master: BusMaster::default(),
            job: None,
            next_tag: 0,
        }
    }

    pub(super) fn selected(&self) -> usize {
        // Both drives see every write to Device.
        usize::from(self.units[0].regs.device & DEV != 0)
    }

    pub(super) fn status(&self) -> u8 {
        let unit = &self.units[self.selected()];
        if self.control & SRST != 0 && unit.present() {
            return BSY;
        }
        // Nobody answers for an absent drive: with another on the cable that one drives 00h (section 9.16), without
        // any the lines are low.
        if unit.present() { unit.regs.status } else { 0 }
    }

    /// What a byte register reads, without side effects.
    pub(super) fn peek_register(&self, register: u16) -> u8 {
        if !self.units.iter().any(Unit::present) {
            // Nobody drives the lines. The status is never busy nor ready, so that nobody waits for it or takes it for a
            // drive's; the others read as nobody's, so that no signature and no written value is found in them.
            return match register {
                STATUS_COMMAND | CONTROL => 0,
                _ => u8::MAX,
            };
        }
        let regs = &self.units[self.selected()].regs;
        let depth = usize::from(self.control & HOB != 0);
        match register {
            ERROR_FEATURES => regs.error,
            COUNT => regs.count[depth],
            LBA_LOW..=LBA_HIGH => regs.lba[usize::from(register - LBA_LOW)][depth],
            DEVICE => regs.device,
            STATUS_COMMAND | CONTROL => self.status(),
            _ => u8::MAX,
        }
    }

    pub(super) fn read(&mut self, ctx: &mut Ctx<'_>, register: u16, size: AccessSize) -> u32 {
        if register == DATA {
            self.end_pause(ctx);
            let value = self.peek_data(size);
            self.data_was_read(ctx, size);
            return value;
        }
        let value = self.peek_register(register);
        if register == STATUS_COMMAND {
            let at = self.selected();
            self.units[at].interrupt = false;
            self.drive_line(ctx);
        }
        if matches!(register, STATUS_COMMAND | CONTROL) {
            self.end_pause(ctx);
        }
        u32::from(value)
    }

    /// A drive that is busy between two blocks until the host looks goes on. Who looks sees it busy once.
    fn end_pause(&mut self, ctx: &mut Ctx<'_>) {
        if self.pausing().is_some() {
            self.go_on(ctx);
        }
    }

    pub(super) fn write(&mut self, ctx: &mut Ctx<'_>, register: u16, size: AccessSize, value: u32) {
        let byte = value.to_le_bytes()[0];
        self.end_pause(ctx);
        match register {
            DATA => return self.data_written(ctx, size, value),
            CONTROL => return self.write_control(ctx, byte),
            _ => {}
        }
        self.control &= !HOB;
        if register == STATUS_COMMAND {
            return self.command(ctx, byte);
        }
        // A busy drive does not see its registers written (section 7.2).
        if self.status() & (BSY | DRQ) != 0 {
            return;
        }
        for unit in &mut self.units {
            match register {
                DEVICE => unit.regs.device = byte | DEVICE_FIXED,
                _ => unit.regs.host_writes(register, byte),
            }
        }
        if register == DEVICE {
            self.drive_line(ctx);
        }
    }

    fn write_control(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        let was = self.control;
        self.control = value & CONTROL_KEPT;
        if was & !self.control & SRST != 0 || self.control & !was & SRST != 0 {
            self.soft_reset();
        }
        self.drive_line(ctx);
    }

    /// Both drives drop what they do and show their signatures; what SET FEATURES chose stays.
    fn soft_reset(&mut self) {
        self.job = None;
        for unit in &mut self.units {
            unit.show_signature();
        }
    }

    /// Power-on or reset line.
    pub(super) fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        self.job = None;
        self.control = 0;
        self.bus_master = BusMaster::default();
        for unit in &mut self.units {
            unit.reset(kind);
        }
        self.drive_line(ctx);
    }

    /// The selected drive wants the host's attention.
    pub(super) fn interrupt(&mut self, ctx: &mut Ctx<'_>, unit: usize) {
        self.units[unit].interrupt = true;
        self.drive_line(ctx);
    }

    /// Brings the line to the level of the selected drive's request. A rising edge is kept by the bus master.
    pub(super) fn drive_line(&mut self, ctx: &mut Ctx<'_>) {
        let unit = &self.units[self.selected()];
        let level = unit.interrupt && unit.present() && self.control & (NIEN | SRST) == 0;
        if level == self.line {
            return;
        }
        self.line = level;
        if level {
            self.bus_master.status |= BM_INTERRUPT;
        }
        ctx.lines.set(self.irq, level);
    }

    fn command(&mut self, ctx: &mut Ctx<'_>, code: u8) {
        if self.control & SRST != 0 {
            return;
        }
        if code == c::EXECUTE_DEVICE_DIAGNOSTIC {
            return self.diagnose(ctx);
        }
        let at = self.selected();
        if code == c::DEVICE_RESET && self.units[at].is_packet() {
            return self.device_reset(ctx, at);
        }
        let unit = &mut self.units[at];
        if !unit.present() || unit.regs.status & (BSY | DRQ) != 0 {
            return;
        }
        unit.interrupt = false;
        unit.regs.error = 0;
        unit.regs.status = unit.idle_status();
        match &mut unit.kind {
            Kind::Absent => {}
            Kind::Disk(disk) => {
                let (action, protocol) = disk.execute(code, &mut unit.regs);
                self.start(ctx, at, action, Job::ata(at, code, protocol));
            }
            Kind::CdRom(_) if code == c::PACKET => self.wait_for_packet(at),
            Kind::CdRom(cd) => {
                let action = cd.execute(code, &mut unit.regs);
                let job = Job::ata(at, code, super::action::Protocol::PIO);
                self.start(ctx, at, action, job);
            }
        }
        self.drive_line(ctx);
    }

    /// Both drives show their signatures; device 0 is then selected and reports (section 8.11).
    fn diagnose(&mut self, ctx: &mut Ctx<'_>) {
        if self.status() & (BSY | DRQ) != 0 || !self.units.iter().any(Unit::present) {
            return;
        }
        self.soft_reset();
        self.interrupt(ctx, 0);
    }

    /// Section 8.10: no interrupt; the tray and the lock stay as they are.
    fn device_reset(&mut self, ctx: &mut Ctx<'_>, at: usize) {
        if self.job.as_ref().is_some_and(|job| job.unit == at) {
            self.job = None;
        }
        let device = self.units[at].regs.device;
        self.units[at].show_signature();
        self.units[at].regs.device = device;
        self.drive_line(ctx);
    }

    /// The drive takes 12 bytes of command next, without an interrupt.
    fn wait_for_packet(&mut self, at: usize) {
        let regs = &mut self.units[at].regs;
        let mut job = Job::packet(at, CdRom::protocol(regs));
        job.buffer = vec![0; PACKET_BYTES];
        job.block_end = PACKET_BYTES;
        regs.show_reason(false, true);
        regs.status |= DRQ;
        self.job = Some(Box::new(job));
    }

    /// A command packet is complete.
    pub(super) fn packet_arrived(&mut self, ctx: &mut Ctx<'_>, mut job: Job) {
        let cdb: [u8; PACKET_BYTES] = std::array::from_fn(|i| job.buffer[i]);
        let at = job.unit;
        let medium = self.units[at].backend.info();
        let Some(cd) = self.units[at].as_cdrom() else {
            return;
        };
        let action = cd.packet(&cdb, medium);
        job.opcode = cdb[0];
        job.flow = Flow::Answer;
        job.phase = Phase::Backend;
        self.start(ctx, at, action, job);
    }

    /// The command has succeeded; `interrupt` unless the last data block already brought one.
    pub(super) fn finish(&mut self, ctx: &mut Ctx<'_>, at: usize, interrupt: bool) {
        let packet = self.job.take().is_some_and(|job| job.is_packet);
        let unit = &mut self.units[at];
        unit.regs.status = unit.idle_status();
        if packet {
            unit.regs.show_reason(true, true);
        }
        if interrupt {
            self.interrupt(ctx, at);
        }
    }

    /// The command has failed with this Error register.
    pub(super) fn fail(&mut self, ctx: &mut Ctx<'_>, at: usize, error: u8, fault: bool) {
        let packet = self.job.take().is_some_and(|job| job.is_packet);
        let unit = &mut self.units[at];
        let fault = if fault { DF } else { 0 };
        unit.regs.status = unit.idle_status() | ERR | fault;
        unit.regs.error = error;
        if packet {
            unit.regs.show_reason(true, true);
        }
        self.interrupt(ctx, at);
    }

    /// A command that cannot go on for a reason outside the drive.
    pub(super) fn abort(&mut self, ctx: &mut Ctx<'_>, at: usize) {
        let mut error = ABRT;
        if self.job.as_ref().is_some_and(|job| job.is_packet)
            && let Some(cd) = self.units[at].as_cdrom()
        {
            cd.state.sense = super::sense::Sense::ABORTED;
            error = cd.state.sense.error();
        }
        self.fail(ctx, at, error, false);
    }
}
