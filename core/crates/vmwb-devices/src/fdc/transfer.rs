//! Commands of the floppy controller that read or write the disk (290166-007, section 5.1).

use vmwb_hw::{BlockError, BlockRequest, Ctx, Nanos};

use super::drive::Id;
use super::format::SECTOR_BYTES;
use super::regs::{
    CODE, CONFIG_EIS, EC, HEAD, MFM, MT, N_512, NEXT_ID_NS, OVERRUN_NS, SEARCH_NS, SHORT_NS, SK,
    ST0_ABNORMAL, ST1_DATA, ST1_END, ST1_NO_DATA, ST1_NO_MARK, ST1_OVERRUN, ST1_PROTECTED,
    ST2_DATA, ST2_MARK, TURN_NS, UNIT, command,
};
use super::{Fdc, Phase};

/// Bytes of a sector's identity that FORMAT TRACK takes.
const ID_BYTES: usize = 4;
/// Bytes of a sector.
pub(super) const BUFFER_BYTES: usize = SECTOR_BYTES as usize;

/// What a command does with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    ReadDeleted,
    ReadTrack,
    ReadId,
    Verify,
    Write,
    WriteDeleted,
    Format,
}

impl Kind {
    pub fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            command::READ => Self::Read,
            command::READ_DELETED => Self::ReadDeleted,
            command::READ_TRACK => Self::ReadTrack,
            command::READ_ID => Self::ReadId,
            command::VERIFY => Self::Verify,
            command::WRITE => Self::Write,
            command::WRITE_DELETED => Self::WriteDeleted,
            command::FORMAT => Self::Format,
            _ => return None,
        })
    }

    pub fn code(self) -> u8 {
        match self {
            Self::Read => command::READ,
            Self::ReadDeleted => command::READ_DELETED,
            Self::ReadTrack => command::READ_TRACK,
            Self::ReadId => command::READ_ID,
            Self::Verify => command::VERIFY,
            Self::Write => command::WRITE,
            Self::WriteDeleted => command::WRITE_DELETED,
            Self::Format => command::FORMAT,
        }
    }

    /// Data go to the host.
    pub fn to_host(self) -> bool {
        matches!(self, Self::Read | Self::ReadDeleted | Self::ReadTrack)
    }

    /// The disk is written.
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::WriteDeleted | Self::Format)
    }

    /// Bytes that the host moves for one sector.
    pub fn host_bytes(self) -> usize {
        match self {
            Self::Format => ID_BYTES,
            Self::Verify | Self::ReadId => 0,
            _ => BUFFER_BYTES,
        }
    }
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The head moves or the sector comes; then the sector is begun.
    Wait { until: Nanos },
    /// The search is given up at `until`, with these ST0, ST1 and ST2.
    Fail { until: Nanos, status: [u8; 3] },
    /// A request is under way.
    Disk,
    /// Data wait for the host; an overrun at `until`.
    Host { until: Nanos },
}

impl Step {
    pub fn until(&self) -> Option<Nanos> {
        match *self {
            Self::Wait { until } | Self::Fail { until, .. } | Self::Host { until } => Some(until),
            Self::Disk => None,
        }
    }
}

/// A command under way: all of it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    pub kind: Kind,
    pub both_sides: bool,
    pub mfm: bool,
    pub skip: bool,
    /// Drive, 0 to 3.
    pub unit: u8,
    /// Side under the head, 0 or 1.
    pub side: u8,
    pub id: Id,
    pub eot: u8,
    /// Sectors that FORMAT TRACK has to write, or that VERIFY with EC has to read.
    pub left: Option<u8>,
    /// FORMAT TRACK's filler.
    pub fill: u8,
    /// To the host: a whole sector. From the host: what has come of it.
    pub buffer: Vec<u8>,
    /// Bytes of `buffer` that the host has taken.
    pub taken: usize,
    /// Terminal count has come.
    pub terminal: bool,
    /// Bits that ST1 and ST2 have at the end, whatever else.
    pub notes: [u8; 2],
    pub step: Step,
}

impl Transfer {
    /// The byte that the host reads next.
    pub fn byte_for_host(&self) -> Option<u8> {
        let waits = self.kind.to_host() && matches!(self.step, Step::Host { .. });
        self.buffer.get(self.taken).copied().filter(|_| waits)
    }

    /// Moves on to the sector after this one (table 5-6). `track`: the sectors of a track, where a command whose EOT lies
    /// beyond them goes on at the other side, and then at the next cylinder.
    fn next_id(&mut self, track: Option<u8>) -> Next {
        let beyond =
            self.both_sides && track.is_some_and(|last| self.id.r == last && self.eot > last);
        if self.id.r != self.eot && !beyond {
            self.id.r = self.id.r.wrapping_add(1);
            return Next::Here;
        }
        self.id.r = 1;
        let turn = self.both_sides && self.side == 0;
        if self.both_sides {
            self.id.h ^= 1;
            self.side ^= 1;
        }
        if turn {
            return Next::Here;
        }
        self.id.c = self.id.c.wrapping_add(1);
        if beyond { Next::Cylinder } else { Next::End }
    }
}

/// Where the sector after one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// On the same cylinder.
    Here,
    /// On the next one, and the command goes on there.
    Cylinder,
    /// The cylinder is through, and so is the command.
    End,
}

impl Fdc {
    fn transfer(&mut self) -> Option<&mut Transfer> {
        match &mut self.state.phase {
            Phase::Execution(t) => Some(t),
            _ => None,
        }
    }

    /// Begins a command that reads or writes the disk.
    pub(super) fn start_transfer(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) {
        let arg = |n: usize| bytes.get(n).copied().unwrap_or(0);
        let Some(kind) = Kind::of_code(arg(0) & CODE) else {
            return;
        };
        let format = kind == Kind::Format;
        let side = u8::from(arg(1) & HEAD != 0);
        let mut t = Transfer {
            kind,
            both_sides: arg(0) & MT != 0,
            mfm: arg(0) & MFM != 0,
            skip: arg(0) & SK != 0,
            unit: arg(1) & UNIT,
            side,
            id: Id {
                c: arg(2),
                h: arg(3),
                r: arg(4),
                n: arg(5),
            },
            eot: arg(6),
            left: None,
            fill: arg(5),
            buffer: Vec::new(),
            taken: 0,
            terminal: false,
            notes: [0; 2],
            step: Step::Disk,
        };
        if format {
            (t.left, t.id) = (Some(arg(3)), Id::default());
            self.state.last_eot = arg(3);
        } else if kind != Kind::ReadId {
            self.state.last_eot = arg(6);
        }
        if kind == Kind::Verify && arg(1) & EC != 0 {
            t.left = Some(arg(8));
        }
        let mut delay = if kind == Kind::ReadId {
            NEXT_ID_NS
        } else {
            SHORT_NS
        };
        if self.state.config & CONFIG_EIS != 0 && kind != Kind::ReadId && !format {
            delay += self.implied_seek(t.unit, t.id.c);
        }
        if kind == Kind::ReadTrack {
            t.notes[0] = self.track_note(&t);
            t.id.r = 1;
        }
        t.step = Step::Wait {
            until: ctx.now.plus(delay),
        };
        self.state.phase = Phase::Execution(t);
    }

    /// Moves the head at once and says how long that takes.
    fn implied_seek(&mut self, unit: u8, cylinder: u8) -> u64 {
        let n = usize::from(unit);
        let steps = i16::from(cylinder) - i16::from(self.state.pcn[n]);
        if steps == 0 {
            return 0;
        }
        self.state.pcn[n] = cylinder;
        if let Some(drive) = self.drives.get_mut(n) {
            drive.step(steps);
        }
        self.seek_ns(steps.unsigned_abs())
    }

    /// The head follows a command that goes on at the next cylinder, `cylinder` of the disk. Says how long that takes. From
    /// cylinder 0, where every cylinder is read (`Drive::find`), it does not move: its driver finds it where he left it.
    fn follow(&mut self, unit: u8, cylinder: u8) -> u64 {
        let n = usize::from(unit);
        let Some(drive) = self.drives.get(n).filter(|d| d.head != 0) else {
            return 0;
        };
        let double = drive
            .format
            .is_some_and(|f| drive.kind.steps_double(f) && drive.cylinder(f) + 1 == cylinder);
        let steps = if double { 2 } else { 1 };
        self.implied_seek(unit, self.state.pcn[n].saturating_add(steps))
    }

    /// Sectors of a track of the disk under the command; none when nothing but EOT could end it, without DMA.
    fn track_with_dma(&self) -> Option<u8> {
        let Phase::Execution(t) = &self.state.phase else {
            return None;
        };
        let format = self.drive(t.unit)?.format?;
        (!self.state.non_dma()).then_some(format.sectors)
    }

    /// READ TRACK reads whatever is there, and notes when that is not what was asked for.
    fn track_note(&self, t: &Transfer) -> u8 {
        let found = self
            .drive(t.unit)
            .is_some_and(|d| d.find(self.state.rate, t.side, t.id).is_ok());
        if found { 0 } else { ST1_NO_DATA }
    }

    /// Time for the wait of the command under way to end, if it has come.
    pub(super) fn step_due(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        let Some(step) = self.transfer().map(|t| t.step) else {
            return;
        };
        match step {
            Step::Wait { until } if until <= now => self.begin_sector(ctx),
            Step::Fail { until, status } if until <= now => self.finish(ctx, status),
            Step::Host { until } if until <= now => {
                self.finish(ctx, [ST0_ABNORMAL, ST1_OVERRUN, 0]);
            }
            _ => {}
        }
    }

    fn fail_after_search(&mut self, ctx: &Ctx<'_>, st1: u8, st2: u8) {
        let until = ctx.now.plus(SEARCH_NS);
        if let Some(t) = self.transfer() {
            t.step = Step::Fail {
                until,
                status: [ST0_ABNORMAL, st1, st2],
            };
        }
    }

    /// Finds the sector, then reads it or lets the host bring its data.
    fn begin_sector(&mut self, ctx: &mut Ctx<'_>) {
        let Phase::Execution(t) = &self.state.phase else {
            return;
        };
        let spinning = self.state.motor(t.unit) && t.mfm;
        let drive = self.drive(t.unit).filter(|_| spinning);
        let Some((drive, format)) = drive.and_then(|d| Some((d, d.readable(self.state.rate)?)))
        else {
            return self.fail_after_search(ctx, ST1_NO_MARK, 0);
        };
        let cylinder = drive.cylinder(format);
        let any_sector = matches!(t.kind, Kind::ReadId | Kind::Format);
        if any_sector && format.offset(cylinder, t.side, 1).is_none() {
            return self.fail_after_search(ctx, ST1_NO_MARK, 0);
        }
        if t.kind == Kind::ReadId {
            let sector_ns = TURN_NS / u64::from(format.sectors);
            let passed = ctx.now.0 % TURN_NS / sector_ns % u64::from(format.sectors);
            let id = Id {
                c: cylinder,
                h: t.side,
                r: u8::try_from(passed + 1).unwrap_or(1),
                n: N_512,
            };
            if let Some(t) = self.transfer() {
                t.id = id;
            }
            return self.finish(ctx, [0; 3]);
        }
        if t.kind.writes() && drive.read_only {
            return self.finish(ctx, [ST0_ABNORMAL, ST1_PROTECTED, 0]);
        }
        if t.kind == Kind::Format {
            return if t.left == Some(0) {
                self.finish(ctx, [0; 3])
            } else {
                self.wait_for_host(ctx)
            };
        }
        let mut wanted = t.id;
        if t.kind == Kind::ReadTrack {
            wanted = Id {
                c: cylinder,
                h: t.side,
                r: t.id.r,
                n: t.id.n,
            };
        }
        match drive.find(self.state.rate, t.side, wanted) {
            Err((st1, st2)) => self.fail_after_search(ctx, st1, st2),
            Ok(_) if t.kind.writes() => self.wait_for_host(ctx),
            // Every sector has a normal mark: with SK, a search for deleted ones passes them by.
            Ok(_) if t.kind == Kind::ReadDeleted && t.skip => self.sector_done(ctx),
            // Behind the end of the image the disk is empty.
            Ok(offset) if !drive.holds(offset) => self.sector_read(ctx, Vec::new()),
            Ok(offset) => self.submit(
                ctx,
                BlockRequest::Read {
                    offset,
                    len: SECTOR_BYTES,
                },
            ),
        }
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>, request: BlockRequest) {
        let Phase::Execution(t) = &mut self.state.phase else {
            return;
        };
        let unit = usize::from(t.unit);
        let Some(drive) = self.drives.get_mut(unit) else {
            return;
        };
        t.step = Step::Disk;
        self.tag += 1;
        self.awaited = Some((unit, self.tag));
        drive.backend.submit(ctx.now, self.tag, request);
    }

    /// Makes the request again that a saved state had under way.
    pub(super) fn ask_again(&mut self, ctx: &mut Ctx<'_>) {
        let Some(t) = self.transfer().filter(|t| t.step == Step::Disk) else {
            return;
        };
        if t.kind.writes() {
            self.write_sector(ctx);
        } else {
            self.begin_sector(ctx);
        }
    }

    fn wait_for_host(&mut self, ctx: &mut Ctx<'_>) {
        let until = ctx.now.plus(OVERRUN_NS);
        let non_dma = self.state.non_dma();
        if let Some(t) = self.transfer() {
            t.step = Step::Host { until };
            if !t.kind.to_host() {
                t.buffer.clear();
            }
            t.taken = 0;
        }
        if non_dma {
            self.raise(ctx);
        }
    }

    /// A sector's data are there; what lacks is zeros.
    fn sector_read(&mut self, ctx: &mut Ctx<'_>, mut data: Vec<u8>) {
        let Some(t) = self.transfer() else { return };
        if !t.kind.to_host() {
            return self.sector_done(ctx);
        }
        data.resize(BUFFER_BYTES, 0);
        t.buffer = data;
        self.wait_for_host(ctx);
    }

    /// The answer of the disk.
    pub(super) fn request_done(&mut self, ctx: &mut Ctx<'_>, result: Result<Vec<u8>, BlockError>) {
        let Some(t) = self.transfer().filter(|t| t.step == Step::Disk) else {
            return;
        };
        let kind = t.kind;
        match result {
            Ok(_) if kind.writes() => self.sector_done(ctx),
            Ok(data) => self.sector_read(ctx, data),
            Err(BlockError::NoMedium) => self.finish(ctx, [ST0_ABNORMAL, ST1_NO_MARK, 0]),
            Err(BlockError::ReadOnly) => self.finish(ctx, [ST0_ABNORMAL, ST1_PROTECTED, 0]),
            Err(_) => self.finish(ctx, [ST0_ABNORMAL, ST1_DATA, ST2_DATA]),
        }
    }

    /// The host reads up to `out.len()` bytes; the last comes with terminal count if `terminal`.
    pub(super) fn give(&mut self, ctx: &mut Ctx<'_>, out: &mut [u8], terminal: bool) -> usize {
        let until = ctx.now.plus(OVERRUN_NS);
        let Some(t) = self.transfer().filter(|t| t.kind.to_host()) else {
            return 0;
        };
        let n = out.len().min(t.buffer.len() - t.taken);
        out[..n].copy_from_slice(&t.buffer[t.taken..t.taken + n]);
        t.taken += n;
        t.step = Step::Host { until };
        t.terminal |= terminal && n == out.len();
        if t.terminal || t.taken == t.buffer.len() {
            self.sector_done(ctx);
        }
        n
    }

    /// The host writes bytes; the last comes with terminal count if `terminal`.
    pub(super) fn take(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8], terminal: bool) -> usize {
        let until = ctx.now.plus(OVERRUN_NS);
        let Some(t) = self.transfer().filter(|t| t.kind.writes()) else {
            return 0;
        };
        let whole = t.kind.host_bytes();
        let n = bytes.len().min(whole - t.buffer.len());
        t.buffer.extend(&bytes[..n]);
        t.step = Step::Host { until };
        t.terminal |= terminal && n == bytes.len();
        if t.terminal || t.buffer.len() == whole {
            // What terminal count cuts off is filled with zeros.
            t.buffer.resize(whole, 0);
            self.write_sector(ctx);
        }
        n
    }

    /// One byte to the processor, without DMA.
    pub(super) fn processor_read(&mut self, ctx: &mut Ctx<'_>) {
        if self.transfer().is_some_and(|t| t.byte_for_host().is_some()) {
            self.state.interrupt = false;
            self.give(ctx, &mut [0], false);
            self.ask_for_byte(ctx);
        }
    }

    /// One byte from the processor, without DMA.
    pub(super) fn processor_write(&mut self, ctx: &mut Ctx<'_>, value: u8) {
        let waits = self
            .transfer()
            .is_some_and(|t| t.kind.writes() && matches!(t.step, Step::Host { .. }));
        if waits {
            self.state.interrupt = false;
            self.take(ctx, &[value], false);
            self.ask_for_byte(ctx);
        }
    }

    fn ask_for_byte(&mut self, ctx: &mut Ctx<'_>) {
        if self
            .transfer()
            .is_some_and(|t| matches!(t.step, Step::Host { .. }))
        {
            self.raise(ctx);
        }
    }

    /// Writes what the host has brought.
    fn write_sector(&mut self, ctx: &mut Ctx<'_>) {
        let Phase::Execution(t) = &mut self.state.phase else {
            return;
        };
        let mut data = t.buffer.clone();
        if t.kind == Kind::Format {
            if let &[c, h, r, n] = t.buffer.as_slice() {
                t.id = Id { c, h, r, n };
            }
            data = vec![t.fill; BUFFER_BYTES];
        }
        let (unit, side, id) = (t.unit, t.side, t.id);
        let found = self.drive(unit).map(|d| {
            let offset = d.find(self.state.rate, side, id)?;
            // Nothing can be kept behind the end of the image.
            if d.holds(offset) {
                Ok(offset)
            } else {
                Err((ST1_DATA, ST2_DATA))
            }
        });
        match found {
            Some(Ok(offset)) => self.submit(ctx, BlockRequest::Write { offset, data }),
            Some(Err((st1, st2))) => self.finish(ctx, [ST0_ABNORMAL, st1, st2]),
            None => self.finish(ctx, [ST0_ABNORMAL, ST1_NO_MARK, 0]),
        }
    }

    /// One sector is through: ends the command or goes on with the next.
    fn sector_done(&mut self, ctx: &mut Ctx<'_>) {
        let track = self.track_with_dma();
        let Some(t) = self.transfer() else { return };
        let counted = t.left.as_mut().map(|left| {
            *left = left.wrapping_sub(1);
            *left == 0
        });
        let (kind, terminal, skipped) = (t.kind, t.terminal, t.kind == Kind::ReadDeleted && t.skip);
        if kind == Kind::Format {
            return if terminal || counted == Some(true) {
                self.finish(ctx, [0; 3])
            } else {
                self.wait_for_host(ctx)
            };
        }
        let side = t.side;
        let next = t.next_id(track);
        let (last, unit, cylinder) = (next == Next::End, t.unit, t.id.c);
        // Commands without terminal count end by themselves where the others are told off for it.
        let ends_itself = matches!(kind, Kind::Verify | Kind::ReadTrack);
        let status = if kind == Kind::ReadDeleted && !skipped {
            // A normal mark ends a command that wants deleted ones.
            [0, 0, ST2_MARK]
        } else if terminal || counted == Some(true) || (last && ends_itself) {
            [0; 3]
        } else if last {
            [ST0_ABNORMAL, ST1_END, 0]
        } else if next == Next::Cylinder {
            let until = ctx.now.plus(self.follow(unit, cylinder));
            if let Some(t) = self.transfer() {
                t.step = Step::Wait { until };
            }
            return;
        } else {
            return self.begin_sector(ctx);
        };
        // The result names the next sector, but the head that read this one.
        t.side = side;
        self.finish(ctx, status);
    }

    /// Ends a command on a drive whose disk has gone.
    pub(super) fn abort_on(&mut self, ctx: &mut Ctx<'_>, unit: usize) {
        if self.awaited.is_some_and(|(of, _)| of == unit) {
            self.awaited = None;
        }
        if self.transfer().is_some_and(|t| usize::from(t.unit) == unit) {
            self.finish(ctx, [ST0_ABNORMAL, ST1_NO_MARK, 0]);
        }
    }

    /// Enters the result phase with ST0, ST1 and ST2, and interrupts.
    fn finish(&mut self, ctx: &mut Ctx<'_>, [st0, st1, st2]: [u8; 3]) {
        let Some(t) = self.transfer() else { return };
        let [note1, note2] = t.notes;
        let Id { c, h, r, n } = t.id;
        let where_ = t.side << 2 | t.unit;
        let bytes = [st0 | where_, st1 | note1, st2 | note2, c, h, r, n];
        self.result(&bytes);
        self.raise(ctx);
    }
}
