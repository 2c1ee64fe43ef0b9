//! The floppy controller, an Intel 82077AA in PC-AT mode, with two drives. Source: Intel 290166-007.
//!
//! Owns registers, commands and the drives' heads; the disks lie behind [`BlockBackend`]s. A disk is recognised by the
//! size of its image ([`FloppyFormat::of_size`]). Sectors are read and written one at a time; the data then wait for the
//! DMA controller ([`DmaPeer`]; the board joins the two on channel 2) or for the processor.
//!
//! ```text
//! command bytes -> wait (seek, search) -> disk (request under way) <-> host (512 bytes wait) -> result bytes
//!       \-> seek in the background -> SENSE INTERRUPT STATUS
//! ```
//!
//! | Registers | Offset | |
//! |---|---|---|
//! | DOR, TDR | 2, 3 | ports 3F2h, 3F3h |
//! | MSR, DSR | 4 | port 3F4h |
//! | FIFO | 5 | port 3F5h |
//! | DIR, CCR | 7 | port 3F7h |
//!
//! | Left out | Why |
//! |---|---|
//! | SRA, SRB (offsets 0 and 1) | PS/2 mode only |
//! | SCAN commands, FM, other sector sizes than 512, deleted marks on the disk | an image cannot hold them: invalid command, or no address mark |
//! | Formatting to another geometry | the image has one: the command fails |
//! | Speed of the disk, spin-up, head load | a sector takes as long as the host; seeks take the specified step rate, at most 60 ms |
//! | Power down | the chip wakes by itself; the bit has no effect |
//! | FIFO threshold | kept; without DMA there is one interrupt a byte |
//!
//! | Threat | Answer |
//! |---|---|
//! | Command and data bytes without end (as in CVE-2015-3456) | every phase has its own bounded buffer; bytes in a phase that takes none are dropped |
//! | Data that nobody moves | overrun after 500 ms |
//! | Answers for requests from before a reset or a change of the disk | tags are never used twice; others are ignored |
//! | Disk changed under a command | the command ends without an address mark |
//! | Restored state | every length and index is checked; a request that was under way is made again |

mod command;
mod drive;
mod format;
pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfer;

pub use format::{
    DriveType, FloppyFormat, NotAFloppy, SECTOR_BYTES, cmos_drive_types, cmos_equipment,
};
pub use snapshot::{DriveV1, FdcV1, FdcV2, PhaseV1, SeekV1, StepV1, TransferV1};

use vmwb_hw::{
    AccessSize, BlockBackend, BlockClient, BlockReply, Ctx, Device, DmaPeer, IrqLine, Nanos,
    NoMedium, Payload, PioDevice, ResetKind, SnapshotError, Timed, TimerId,
};

use crate::bits::{byte_answer, low};
use drive::Drive;
use regs::{
    CONFIG_EFIFO, CONFIG_LOCKED, CONFIG_NO_POLL, DIR_CCR, DIR_CHANGED, DOR, DOR_DMA_GATE,
    DOR_DRIVE, DOR_MOTOR, DOR_NO_RESET, DSR_RESET, FIFO, MSR_BUSY, MSR_DIO, MSR_DSR, MSR_NON_DMA,
    MSR_RQM, PERPENDICULAR_GAPS, RATE, SHORT_NS, SPECIFY_NON_DMA, ST0_POLLED, TDR, TDR_MASK,
    TRANSFER_RESULT_BYTES,
};
use transfer::{Step, Transfer};

/// Drives that the controller can address; two of them can exist.
const UNITS: usize = 4;
/// Drives that can exist.
pub const DRIVES: usize = 2;

/// A head on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seek {
    until: Nanos,
    /// Cylinder number at the end.
    cylinder: u8,
    /// Steps to take, inwards when positive.
    steps: i16,
    recalibrate: bool,
}

/// What the controller is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Takes a command; its bytes so far.
    Command(Vec<u8>),
    /// Carries one out.
    Execution(Transfer),
    /// Gives the result: its bytes, and how many were read.
    Result(Vec<u8>, usize),
}

/// All that is saved besides the drives'.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    dor: u8,
    tdr: u8,
    rate: u8,
    /// CONFIGURE's second byte and PRETRK.
    config: u8,
    pretrk: u8,
    locked: bool,
    specify: [u8; 2],
    perpendicular: u8,
    /// Last EOT or sector count, for DUMPREG.
    last_eot: u8,
    /// Cylinder numbers as the controller counts them.
    pcn: [u8; UNITS],
    seeks: [Option<Seek>; UNITS],
    /// Sides that the last SEEK of each drive has named, by bit: ST0 shows them when it has ended.
    sides: u8,
    /// ST0 that SENSE INTERRUPT STATUS has still to tell, by drive.
    sense: [Option<u8>; UNITS],
    /// When the interrupt of a reset comes.
    reset_done: Option<Nanos>,
    phase: Phase,
    /// An interrupt waits.
    interrupt: bool,
    /// Level of the interrupt line.
    line: bool,
    /// The DMA channel is open, as last told. Not saved: it is told again before it matters.
    dma_open: bool,
}

impl State {
    /// As a reset of the machine leaves it, at a data rate.
    fn power_on(rate: u8) -> Self {
        Self {
            dor: 0,
            tdr: 0,
            rate,
            config: CONFIG_EFIFO,
            pretrk: 0,
            locked: false,
            specify: [0; 2],
            perpendicular: 0,
            last_eot: 0,
            pcn: [0; UNITS],
            seeks: [None; UNITS],
            sides: 0,
            sense: [None; UNITS],
            reset_done: None,
            phase: Phase::Command(Vec::new()),
            interrupt: false,
            line: false,
            dma_open: false,
        }
    }

    fn in_reset(&self) -> bool {
        self.dor & DOR_NO_RESET == 0
    }

    /// The processor moves the data. A driver that specifies that, and opens a DMA channel for them nevertheless, means
    /// the channel: a widely copied tutorial writes the bit the wrong way round, and its systems were seen to work on
    /// machines that do not look at it.
    fn non_dma(&self) -> bool {
        self.specify[1] & SPECIFY_NON_DMA != 0 && !self.dma_open
    }

    fn motor(&self, unit: u8) -> bool {
        self.dor & DOR_MOTOR << unit != 0
    }

    /// What both software resets do. LOCK keeps the FIFO, its threshold and PRETRK; implied seeks go off and polling
    /// goes on all the same (sections 5.2.7 and 5.2.10), so that each reset interrupts.
    fn software_reset(&mut self) {
        if self.locked {
            self.config &= CONFIG_LOCKED;
        } else {
            (self.config, self.pretrk) = (CONFIG_EFIFO, 0);
        }
        self.perpendicular &= !PERPENDICULAR_GAPS;
        self.seeks = [None; UNITS];
        self.sense = [None; UNITS];
        self.reset_done = None;
        self.phase = Phase::Command(Vec::new());
        self.interrupt = false;
    }

    fn msr(&self) -> u8 {
        if self.in_reset() {
            return 0;
        }
        let phase = match &self.phase {
            Phase::Command(bytes) if bytes.is_empty() => MSR_RQM,
            Phase::Command(_) => MSR_RQM | MSR_BUSY,
            Phase::Result(..) => MSR_RQM | MSR_DIO | MSR_BUSY,
            Phase::Execution(t) if self.non_dma() && matches!(t.step, Step::Host { .. }) => {
                let direction = if t.kind.to_host() { MSR_DIO } else { 0 };
                MSR_RQM | MSR_NON_DMA | MSR_BUSY | direction
            }
            Phase::Execution(_) => MSR_BUSY,
        };
        let seeking = (0..).zip(&self.seeks).filter(|(_, s)| s.is_some());
        seeking.fold(phase, |msr, (n, _)| msr | 1 << n)
    }

    /// Earliest of what the controller waits for.
    fn deadline(&self) -> Option<Nanos> {
        let step = match &self.phase {
            Phase::Execution(t) => t.step.until(),
            _ => None,
        };
        let seeks = self.seeks.iter().flatten().map(|s| s.until);
        seeks.chain(self.reset_done).chain(step).min()
    }
}

/// The controller with its drives. See the module for offsets.
#[derive(Debug)]
pub struct Fdc {
    timer: TimerId,
    irq: IrqLine,
    drives: [Drive; DRIVES],
    state: State,
    /// Tag of the last request; never used twice.
    tag: u64,
    /// Drive and tag of the request under way.
    awaited: Option<(usize, u64)>,
}

impl Fdc {
    /// A controller with drives of these kinds and the media in them ([`NoMedium`]: empty). `irq` is line 6 of a PC.
    #[must_use]
    pub fn new(
        timer: TimerId,
        irq: IrqLine,
        drives: [(DriveType, Box<dyn BlockBackend>); DRIVES],
    ) -> Self {
        let rate = drives[0].0.usual_rate();
        Self {
            timer,
            irq,
            drives: drives.map(|(kind, backend)| Drive::new(kind, backend)),
            state: State::power_on(rate),
            tag: 0,
            awaited: None,
        }
    }

    /// The kinds of its drives, for CMOS memory ([`cmos_drive_types`]).
    #[must_use]
    pub fn drive_types(&self) -> [DriveType; DRIVES] {
        [self.drives[0].kind, self.drives[1].kind]
    }

    /// Whether the motor of a drive (0 or 1) turns: its light on a front panel.
    #[must_use]
    pub fn motor_on(&self, unit: usize) -> bool {
        unit < DRIVES && self.state.dor & DOR_MOTOR << unit != 0
    }

    /// Puts another medium into drive 0 or 1 ([`NoMedium`]: takes it out) and gives the old one back. A command under
    /// way on that drive ends without an address mark. A drive that does not exist gives the new one back.
    pub fn change_medium(
        &mut self,
        ctx: &mut Ctx<'_>,
        unit: usize,
        backend: Box<dyn BlockBackend>,
    ) -> Box<dyn BlockBackend> {
        let Some(drive) = self.drives.get_mut(unit) else {
            return backend;
        };
        let old = std::mem::replace(&mut drive.backend, backend);
        drive.look();
        drive.changed = true;
        self.abort_on(ctx, unit);
        self.update(ctx);
        old
    }

    /// Gives the media of all drives back, with their places, and leaves none behind. For the end of the machine: the guest
    /// is not told.
    pub fn take_media(&mut self) -> Vec<(usize, Box<dyn BlockBackend>)> {
        let drives = self.drives.iter_mut().enumerate();
        drives
            .filter(|(_, drive)| drive.kind != DriveType::None)
            .map(|(unit, drive)| {
                let empty: Box<dyn BlockBackend> = Box::new(NoMedium::default());
                (unit, std::mem::replace(&mut drive.backend, empty))
            })
            .collect()
    }

    fn drive(&self, unit: u8) -> Option<&Drive> {
        let drive = self.drives.get(usize::from(unit))?;
        (drive.kind != DriveType::None).then_some(drive)
    }

    /// Raises the interrupt: a new edge, even if an older one was not acknowledged.
    fn raise(&mut self, ctx: &mut Ctx<'_>) {
        if self.state.line {
            self.state.line = false;
            ctx.lines.deassert(self.irq);
        }
        self.state.interrupt = true;
    }

    /// Ends the interrupt; another seek that has ended meanwhile raises it anew.
    fn acknowledge(&mut self, ctx: &mut Ctx<'_>) {
        self.state.interrupt = false;
        let mut ended = self.state.sense.iter().flatten();
        if ended.any(|st0| st0 & ST0_POLLED != ST0_POLLED) {
            self.raise(ctx);
        }
    }

    /// The reset is through: polling finds that all drives have changed.
    fn end_reset(&mut self, ctx: &mut Ctx<'_>) {
        self.state.reset_done = None;
        if self.state.config & CONFIG_NO_POLL == 0 {
            self.state.sense = [0, 1, 2, 3].map(|n| Some(ST0_POLLED | n));
            self.raise(ctx);
        }
    }

    /// Brings the line to its level and arms the next deadline.
    fn update(&mut self, ctx: &mut Ctx<'_>) {
        let level = self.state.interrupt && self.state.dor & DOR_DMA_GATE != 0;
        if level != self.state.line {
            self.state.line = level;
            ctx.lines.set(self.irq, level);
        }
        ctx.scheduler.set(self.timer, self.state.deadline());
    }

    fn write_dor(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        let was_in_reset = self.state.in_reset();
        self.state.dor = value;
        if self.state.in_reset() {
            self.state.software_reset();
            self.awaited = None;
        } else if was_in_reset {
            self.state.reset_done = Some(ctx.now.plus(SHORT_NS));
        }
    }

    fn write_dsr(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        self.state.rate = value & RATE;
        if value & DSR_RESET != 0 && !self.state.in_reset() {
            self.state.software_reset();
            self.awaited = None;
            self.state.reset_done = Some(ctx.now.plus(SHORT_NS));
        }
    }

    fn read_fifo(&mut self, ctx: &mut Ctx<'_>) {
        if self.state.in_reset() {
            return;
        }
        let non_dma = self.state.non_dma();
        match &mut self.state.phase {
            Phase::Result(bytes, read) => {
                *read += 1;
                let (first, done) = (*read == 1, *read >= bytes.len());
                // Only commands on the disk interrupt when they end, and only they have seven bytes.
                let ends_interrupt = first && bytes.len() == TRANSFER_RESULT_BYTES;
                if done {
                    self.state.phase = Phase::Command(Vec::new());
                }
                if ends_interrupt {
                    self.acknowledge(ctx);
                }
            }
            Phase::Execution(_) if non_dma => self.processor_read(ctx),
            _ => {}
        }
    }

    fn peek_fifo(&self) -> u8 {
        match &self.state.phase {
            Phase::Result(bytes, read) => bytes.get(*read).copied().unwrap_or(0),
            Phase::Execution(t) if self.state.non_dma() => t.byte_for_host().unwrap_or(0),
            _ => 0,
        }
    }

    fn write_fifo(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        if self.state.in_reset() {
            return;
        }
        let non_dma = self.state.non_dma();
        match &mut self.state.phase {
            Phase::Command(bytes) => {
                bytes.push(value);
                if bytes.len() >= command::length(bytes[0]) {
                    let bytes = std::mem::take(bytes);
                    self.execute(ctx, &bytes);
                }
            }
            Phase::Execution(_) if non_dma => self.processor_write(ctx, value),
            _ => {}
        }
    }

    /// The change line of the selected drive.
    fn dir(&self) -> u8 {
        let changed = self
            .drive(self.state.dor & DOR_DRIVE)
            .is_some_and(|d| d.changed);
        if changed { DIR_CHANGED } else { 0 }
    }

    fn reply(&mut self, ctx: &mut Ctx<'_>, unit: usize, reply: BlockReply) {
        if self.awaited == Some((unit, reply.tag)) {
            self.awaited = None;
            self.request_done(ctx, reply.result);
        }
    }
}

impl Device for Fdc {
    fn name(&self) -> &str {
        "fdc"
    }

    fn reset(&mut self, ctx: &mut Ctx<'_>, kind: ResetKind) {
        if self.state.line {
            ctx.lines.deassert(self.irq);
        }
        // The heads stay where they are; only the chip is reset.
        let pcn = self.state.pcn;
        self.state = State::power_on(self.drives[0].kind.usual_rate());
        self.awaited = None;
        match kind {
            ResetKind::Hard | ResetKind::Sleep => self.state.pcn = pcn,
            ResetKind::PowerOn => {
                for drive in &mut self.drives {
                    (drive.head, drive.changed) = (0, true);
                }
            }
        }
        ctx.scheduler.disarm(self.timer);
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &FdcV2::from(self))
    }

    fn restore(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        let saved = match payload.version {
            1 => FdcV2::from(payload.decode::<FdcV1>()?),
            _ => payload.decode::<FdcV2>()?,
        };
        for (drive, v) in self.drives.iter_mut().zip(&saved.base.drives) {
            if v.head > drive.kind.last_cylinder() {
                return Err(SnapshotError::damaged(
                    "fdc",
                    "a head stands beyond its drive",
                ));
            }
            (drive.head, drive.changed) = (v.head, v.changed);
            drive.look();
        }
        self.state = State::try_from(saved)?;
        self.awaited = None;
        self.ask_again(ctx);
        ctx.scheduler.set(self.timer, self.state.deadline());
        Ok(())
    }
}

impl PioDevice for Fdc {
    fn pio_read(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize) -> u32 {
        let value = self.pio_peek(ctx.now, offset, size);
        if offset == FIFO && size == AccessSize::Byte {
            self.read_fifo(ctx);
            self.update(ctx);
        }
        value
    }

    fn pio_peek(&self, _now: Nanos, offset: u16, size: AccessSize) -> u32 {
        let value = match offset {
            DOR => self.state.dor,
            TDR => self.state.tdr,
            MSR_DSR => self.state.msr(),
            FIFO => self.peek_fifo(),
            DIR_CCR => self.dir(),
            _ => u8::MAX,
        };
        byte_answer(size, value)
    }

    fn pio_write(&mut self, ctx: &mut Ctx<'_>, offset: u16, size: AccessSize, value: u32) {
        if size != AccessSize::Byte {
            return;
        }
        let value = low(value);
        match offset {
            DOR => self.write_dor(ctx, value),
            TDR => self.state.tdr = value & TDR_MASK,
            MSR_DSR => self.write_dsr(ctx, value),
            FIFO => self.write_fifo(ctx, value),
            DIR_CCR => self.state.rate = value & RATE,
            _ => {}
        }
        self.update(ctx);
    }
}

impl Timed for Fdc {
    fn on_deadline(&mut self, ctx: &mut Ctx<'_>, _timer: TimerId) {
        if self.state.reset_done.is_some_and(|at| at <= ctx.now) {
            self.end_reset(ctx);
        }
        self.seeks_due(ctx);
        self.step_due(ctx);
        self.update(ctx);
    }
}

impl BlockClient for Fdc {
    fn serve_replies(&mut self, ctx: &mut Ctx<'_>) {
        for unit in 0..DRIVES {
            while let Some(reply) = self.drives[unit].backend.take_reply(ctx.now) {
                self.reply(ctx, unit, reply);
            }
        }
        self.update(ctx);
    }

    fn drain(&mut self, ctx: &mut Ctx<'_>) {
        for unit in 0..DRIVES {
            while let Some(reply) = self.drives[unit].backend.wait_reply() {
                self.reply(ctx, unit, reply);
            }
        }
        self.update(ctx);
    }

    fn next_reply(&self) -> Option<Nanos> {
        let next = self.drives.iter().filter_map(|d| d.backend.next_reply());
        next.min()
    }
}

impl DmaPeer for Fdc {
    fn dma_request(&self) -> bool {
        let open = self.state.dor & (DOR_DMA_GATE | DOR_NO_RESET) == DOR_DMA_GATE | DOR_NO_RESET;
        open && !self.state.non_dma()
            && matches!(&self.state.phase, Phase::Execution(t) if matches!(t.step, Step::Host { .. }))
    }

    fn dma_open(&mut self, open: bool) {
        self.state.dma_open = open;
    }

    fn dma_read(&mut self, ctx: &mut Ctx<'_>, out: &mut [u8], terminal: bool) -> usize {
        if !self.dma_request() {
            return 0;
        }
        let given = self.give(ctx, out, terminal);
        self.update(ctx);
        given
    }

    fn dma_write(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8], terminal: bool) -> usize {
        if !self.dma_request() {
            return 0;
        }
        let taken = self.take(ctx, bytes, terminal);
        self.update(ctx);
        taken
    }
}

/// Two empty places, for a board without floppy drives.
#[must_use]
pub fn no_drives() -> [(DriveType, Box<dyn BlockBackend>); DRIVES] {
    [0, 1].map(|_| {
        (
            DriveType::None,
            Box::new(NoMedium::default()) as Box<dyn BlockBackend>,
        )
    })
}
