//! How a command's data move: between medium, buffer and the host, in pieces.
//!
//! ```text
//!  start --> Backend (BSY) <---------------------------+
//!              | answer                                | next piece, write
//!              +--> In, Out (DRQ; port) --- piece done +--> finish or fail
//!              +--> Dma (DRQ; bus master) --- done ----+
//! ```

use vmwb_hw::{AccessSize, BlockError, BlockReply, BlockRequest, Ctx};

use super::action::{Action, Format, Protocol};
use super::answers::raw_sectors;
use super::busmaster::{Direction, Progress};
use super::cdrom::{CD_SECTOR_BYTES, USER_DATA, part_bytes};
use super::channel::Channel;
use super::disk::SECTOR_BYTES;
use super::regs::{ABRT, BSY, DRQ, IDNF, UNC, command as c, packet as p};
use super::sense::Sense;
use super::{LOOKS, PAUSES};

/// Longest piece of a transfer through the data port: read ahead at once, or gathered before it is written.
pub(super) const PIO_PIECE_BYTES: u64 = 64 << 10;
/// Longest piece of a transfer by DMA.
pub(super) const DMA_PIECE_BYTES: u64 = 1 << 20;
/// Most bytes that a command goes on to read while a state is saved or the machine ends. A packet may ask for the whole
/// disc, and zeros in memory are a bus master's table without an end. Drivers ask for a hundredth of this at a time.
const MAX_DRAIN_BYTES: u64 = 256 << 20;
/// Abandoned requests of one drive that may still be under way before the next has to wait.
const MAX_ABANDONED: usize = 8;

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The medium works.
    Backend,
    /// The host writes a command packet.
    Packet,
    /// The host reads a block.
    In,
    /// The host writes a block.
    Out,
    /// The bus master transfers.
    Dma,
}

/// What is transferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    /// Data of the drive's own, all in the buffer.
    Answer,
    Read(Format),
    Write {
        durable: bool,
    },
    Parameters,
    Verify,
    Flush,
    /// Ranges (offset, length) still to be discarded.
    Discard(Vec<(u64, u64)>),
}

/// A command under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) unit: usize,
    /// ATA command or packet operation code.
    pub(super) opcode: u8,
    pub(super) is_packet: bool,
    pub(super) protocol: Protocol,
    pub(super) phase: Phase,
    pub(super) flow: Flow,
    pub(super) buffer: Vec<u8>,
    /// Next byte of the buffer.
    pub(super) pos: usize,
    /// End of the block that the host is transferring.
    pub(super) block_end: usize,
    /// Medium: first byte of the current piece.
    pub(super) offset: u64,
    /// Medium: length of the current piece.
    pub(super) piece: u64,
    /// Medium: bytes after the current piece.
    pub(super) rest: u64,
    /// Tag of the request under way.
    pub(super) tag: u64,
    /// A request that waits until abandoned ones are answered.
    pub(super) queued: Option<BlockRequest>,
}

impl Job {
    fn new(unit: usize, opcode: u8, is_packet: bool, protocol: Protocol, phase: Phase) -> Self {
        Self {
            unit,
            opcode,
            is_packet,
            protocol,
            phase,
            flow: Flow::Answer,
            buffer: Vec::new(),
            pos: 0,
            block_end: 0,
            offset: 0,
            piece: 0,
            rest: 0,
            tag: 0,
            queued: None,
        }
    }

    pub(super) fn ata(unit: usize, opcode: u8, protocol: Protocol) -> Self {
        Self::new(unit, opcode, false, protocol, Phase::Backend)
    }

    pub(super) fn packet(unit: usize, protocol: Protocol) -> Self {
        Self::new(unit, c::PACKET, true, protocol, Phase::Packet)
    }

    fn is_ext(&self) -> bool {
        matches!(
            self.opcode,
            c::READ_SECTORS_EXT
                | c::READ_DMA_EXT
                | c::READ_MULTIPLE_EXT
                | c::WRITE_SECTORS_EXT
                | c::WRITE_DMA_EXT
                | c::WRITE_MULTIPLE_EXT
                | c::WRITE_DMA_FUA_EXT
                | c::WRITE_MULTIPLE_FUA_EXT
                | c::READ_VERIFY_EXT
        )
    }

    /// Goes on to the next piece of the medium.
    fn next_piece(&mut self) {
        self.offset += self.piece;
        let longest = if self.protocol.dma {
            DMA_PIECE_BYTES
        } else {
            PIO_PIECE_BYTES
        };
        self.piece = self.rest.min(longest);
        self.rest -= self.piece;
        self.pos = 0;
    }

    fn to_host(&self) -> bool {
        matches!(self.flow, Flow::Answer | Flow::Read(_))
    }

    /// The drive is busy between two blocks, or before the end, until the host looks.
    pub(super) fn pauses(&self) -> bool {
        matches!(self.phase, Phase::In | Phase::Out) && self.pos == self.block_end
    }

    /// Bytes of the next block: the rest of the buffer, or as much as the host's limit lets. What is cut is cut between
    /// sectors where the limit lets that, for drivers that take whole sectors only, and always into even blocks.
    fn next_block_bytes(&self) -> usize {
        let (left, limit) = (self.buffer.len() - self.pos, self.protocol.block_bytes);
        if left <= limit {
            return left;
        }
        let sector = match self.flow {
            Flow::Read(Format::Cd) => part_bytes(USER_DATA),
            Flow::Read(Format::CdParts(parts)) => part_bytes(parts),
            _ => 2,
        };
        let unit = if limit < sector { 2 } else { sector };
        (limit - limit % unit).clamp(2, left)
    }
}

impl Channel {
    /// Begins what a command asks for.
    pub(super) fn start(&mut self, ctx: &mut Ctx<'_>, at: usize, action: Action, mut job: Job) {
        let is_packet = job.is_packet;
        match action {
            Action::Done => {
                self.job = Some(Box::new(job));
                self.finish(ctx, at, true);
                return;
            }
            Action::Fail(error) => return self.fail(ctx, at, error, false),
            Action::Check(sense) => {
                self.job = Some(Box::new(job));
                return self.check(ctx, at, sense);
            }
            Action::Answer(data) => {
                job.flow = Flow::Answer;
                job.buffer = data;
                job.pos = 0;
            }
            Action::Read {
                offset,
                bytes,
                format,
            } => {
                job.flow = Flow::Read(format);
                (job.offset, job.rest) = (offset, bytes);
            }
            Action::Write {
                offset,
                bytes,
                durable,
            } => {
                job.flow = Flow::Write { durable };
                (job.offset, job.rest) = (offset, bytes);
            }
            Action::Parameters(bytes) => {
                job.flow = Flow::Parameters;
                job.rest = bytes as u64;
            }
            Action::Verify { offset, bytes } => {
                job.flow = Flow::Verify;
                (job.offset, job.rest) = (offset, bytes);
            }
            Action::Flush => job.flow = Flow::Flush,
        }
        let flow = job.flow.clone();
        self.job = Some(Box::new(job));
        match flow {
            Flow::Answer => self.offer(ctx, true),
            Flow::Read(_) | Flow::Verify => self.fetch(ctx),
            // The first block of an ATA command is written without an interrupt (section 9.6).
            Flow::Write { .. } | Flow::Parameters => self.make_room(ctx, is_packet),
            Flow::Flush | Flow::Discard(_) => self.submit(ctx, BlockRequest::Flush),
        }
    }

    fn check(&mut self, ctx: &mut Ctx<'_>, at: usize, sense: Sense) {
        if let Some(cd) = self.units[at].as_cdrom() {
            cd.state.sense = sense;
        }
        self.fail(ctx, at, sense.error(), false);
    }

    fn submit(&mut self, ctx: &mut Ctx<'_>, request: BlockRequest) {
        let Some(job) = self.job.as_mut() else { return };
        job.tag = self.next_tag;
        self.next_tag = self.next_tag.wrapping_add(1);
        job.phase = Phase::Backend;
        let unit = &mut self.units[job.unit];
        unit.regs.status = unit.idle_status() | BSY;
        if unit.backend.in_flight() < MAX_ABANDONED {
            unit.backend.submit(ctx.now, job.tag, request);
        } else {
            job.queued = Some(request);
        }
    }

    /// Reads the next piece of the medium.
    fn fetch(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_mut() else { return };
        job.next_piece();
        let end = self.units[job.unit]
            .backend
            .info()
            .map_or(0, |info| info.bytes);
        // A CD's last sector may lie partly behind the end.
        let bytes = match job.flow {
            Flow::Read(Format::Cd | Format::CdParts(_)) => {
                job.piece.min(end.saturating_sub(job.offset))
            }
            _ => job.piece,
        };
        let request = BlockRequest::Read {
            offset: job.offset,
            len: u32::try_from(bytes).unwrap_or(0),
        };
        self.submit(ctx, request);
    }

    /// Makes room for the next piece that the host writes.
    fn make_room(&mut self, ctx: &mut Ctx<'_>, interrupt: bool) {
        let Some(job) = self.job.as_mut() else { return };
        job.next_piece();
        job.buffer = vec![0; usize::try_from(job.piece).unwrap_or(0)];
        self.offer(ctx, interrupt);
    }

    /// Lets the host transfer the buffer.
    fn offer(&mut self, ctx: &mut Ctx<'_>, interrupt: bool) {
        let Some(job) = self.job.as_mut() else { return };
        if job.protocol.dma {
            job.phase = Phase::Dma;
            let unit = &mut self.units[job.unit];
            unit.regs.status = unit.idle_status() | DRQ;
            if job.is_packet {
                unit.regs.show_reason(job.to_host(), false);
            }
            self.run_dma(ctx);
        } else {
            self.next_block(ctx, interrupt);
        }
    }

    /// Opens the next block of the buffer at the data port.
    fn next_block(&mut self, ctx: &mut Ctx<'_>, interrupt: bool) {
        let Some(job) = self.job.as_mut() else { return };
        job.block_end = job.pos + job.next_block_bytes();
        let to_host = job.to_host();
        job.phase = if to_host { Phase::In } else { Phase::Out };
        let (at, bytes) = (job.unit, job.block_end - job.pos);
        let unit = &mut self.units[at];
        unit.regs.status = unit.idle_status() | DRQ;
        if job.is_packet {
            let shown = u16::try_from(bytes).unwrap_or(u16::MAX);
            unit.regs.show_packet_phase(shown, to_host, false);
        }
        if interrupt {
            self.interrupt(ctx, at);
        }
    }

    /// What the data port shows, without side effects: the block's next bytes, zeros behind its end.
    pub(super) fn peek_data(&self, size: AccessSize) -> u32 {
        let Some(job) = self.job.as_ref().filter(|job| self.is_open(job, Phase::In)) else {
            return 0;
        };
        // In a pause the next access begins the next block.
        let end = if job.pauses() {
            job.pos + job.next_block_bytes()
        } else {
            job.block_end
        };
        let rest = &job.buffer[job.pos..end];
        let mut bytes = [0; 4];
        let width = rest.len().min(port_bytes(size));
        bytes[..width].copy_from_slice(&rest[..width]);
        u32::from_le_bytes(bytes)
    }

    fn is_open(&self, job: &Job, phase: Phase) -> bool {
        job.phase == phase && job.unit == self.selected()
    }

    pub(super) fn data_was_read(&mut self, ctx: &mut Ctx<'_>, size: AccessSize) {
        let at = self.selected();
        let Some(job) = self.job.as_mut() else { return };
        if job.phase != Phase::In || job.unit != at {
            return;
        }
        job.pos = job.block_end.min(job.pos + port_bytes(size));
        if job.pos < job.block_end {
            return;
        }
        // Packet commands end with an interrupt of their own (section 9.8), others with the last block's.
        if job.pos < job.buffer.len() || job.rest == 0 && job.is_packet {
            self.block_moved(ctx);
        } else if job.rest > 0 {
            self.fetch(ctx);
        } else {
            self.complete(ctx, false);
        }
    }

    /// A block is through and the next interrupt follows. While the host has not read the status since the last one, it
    /// would be no edge, and the host may mean that one when it reads: the drive stays busy until then, as a real one
    /// does for its own time (the AT driver of MINIX 1 reads the status behind each sector's data).
    fn block_moved(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_ref() else { return };
        let unit = &mut self.units[job.unit];
        if unit.interrupt {
            unit.regs.status = unit.idle_status() | BSY;
        } else {
            self.go_on(ctx);
        }
    }

    /// The drive that is busy between two blocks until the host looks.
    pub(super) fn pausing(&self) -> Option<usize> {
        let job = self.job.as_ref().filter(|job| job.pauses())?;
        Some(job.unit)
    }

    /// Ends the pause between two blocks.
    pub(super) fn go_on(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_ref() else { return };
        if job.pos < job.buffer.len() {
            self.next_block(ctx, true);
        } else {
            self.complete(ctx, true);
        }
    }

    pub(super) fn data_written(&mut self, ctx: &mut Ctx<'_>, size: AccessSize, value: u32) {
        let at = self.selected();
        let Some(job) = self.job.as_mut() else { return };
        if !matches!(job.phase, Phase::Out | Phase::Packet) || job.unit != at {
            return;
        }
        let width = port_bytes(size).min(job.block_end - job.pos);
        job.buffer[job.pos..job.pos + width].copy_from_slice(&value.to_le_bytes()[..width]);
        job.pos += width;
        if job.pos < job.block_end {
            return;
        }
        if job.phase == Phase::Packet {
            if let Some(job) = self.job.take() {
                self.packet_arrived(ctx, *job);
            }
        } else if job.pos < job.buffer.len() {
            self.block_moved(ctx);
        } else {
            self.taken(ctx);
        }
    }

    /// Reads of the data port that only take bytes of the block: all that fit into `out` but the block's last. Gives how
    /// many.
    pub(super) fn read_run(&mut self, size: AccessSize, out: &mut [u8]) -> usize {
        let at = self.selected();
        let Some(job) = self.job.as_mut() else {
            return 0;
        };
        if job.phase != Phase::In || job.unit != at {
            return 0;
        }
        let (units, bytes) = run_of(job, size, out.len());
        out[..bytes].copy_from_slice(&job.buffer[job.pos..job.pos + bytes]);
        job.pos += bytes;
        units
    }

    /// As [`Channel::read_run`], for writes.
    pub(super) fn write_run(&mut self, size: AccessSize, data: &[u8]) -> usize {
        let at = self.selected();
        let Some(job) = self.job.as_mut() else {
            return 0;
        };
        if !matches!(job.phase, Phase::Out | Phase::Packet) || job.unit != at {
            return 0;
        }
        let (units, bytes) = run_of(job, size, data.len());
        job.buffer[job.pos..job.pos + bytes].copy_from_slice(&data[..bytes]);
        job.pos += bytes;
        units
    }

    /// The bus master may have got further: transfers as much as it lets.
    pub(super) fn run_dma(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_mut() else { return };
        if job.phase != Phase::Dma {
            return;
        }
        let to_host = job.to_host();
        let direction = if to_host {
            Direction::ToMemory
        } else {
            Direction::FromMemory
        };
        let progress =
            self.bus_master
                .transfer(ctx.memory, &mut job.buffer, &mut job.pos, direction);
        let (at, rest) = (job.unit, job.rest);
        match progress {
            Progress::Waits => {}
            // The drive is told as well, so that the guest need not wait for a time-out.
            Progress::Fault => self.abort(ctx, at),
            Progress::Done if !to_host => self.taken(ctx),
            Progress::Done if rest > 0 => self.fetch(ctx),
            Progress::Done => self.complete(ctx, true),
        }
    }

    /// The host has filled the buffer.
    fn taken(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_mut() else { return };
        let data = std::mem::take(&mut job.buffer);
        (job.pos, job.block_end) = (0, 0);
        if job.flow == Flow::Parameters {
            return self.parameters(ctx, &data);
        }
        let offset = job.offset;
        self.submit(ctx, BlockRequest::Write { offset, data });
    }

    /// Parameter data have arrived.
    fn parameters(&mut self, ctx: &mut Ctx<'_>, data: &[u8]) {
        let Some(job) = self.job.as_mut() else { return };
        let (at, ten) = (job.unit, job.opcode == p::MODE_SELECT_10);
        if let Some(cd) = self.units[at].as_cdrom() {
            return match cd.take_mode_pages(ten, data) {
                Ok(()) => self.finish(ctx, at, true),
                Err(sense) => self.check(ctx, at, sense),
            };
        }
        match self.units[at].as_disk().and_then(|d| d.trim_ranges(data)) {
            Some(ranges) => {
                job.flow = Flow::Discard(ranges);
                self.next_discard(ctx);
            }
            None => self.fail(ctx, at, ABRT, false),
        }
    }

    fn next_discard(&mut self, ctx: &mut Ctx<'_>) {
        let Some(job) = self.job.as_mut() else { return };
        let at = job.unit;
        let Flow::Discard(ranges) = &mut job.flow else {
            return;
        };
        match ranges.pop() {
            Some((offset, len)) => self.submit(ctx, BlockRequest::Discard { offset, len }),
            None => self.finish(ctx, at, true),
        }
    }

    /// Takes what the media have answered, and hands over what waited.
    pub(super) fn serve(&mut self, ctx: &mut Ctx<'_>) {
        loop {
            let reply = (0..2).find_map(|at| {
                let reply = self.units[at].backend.take_reply(ctx.now)?;
                Some((at, reply))
            });
            let Some((at, reply)) = reply else { break };
            self.answered(ctx, at, reply);
        }
    }

    /// Takes as long as an access does, and takes what the medium answers meanwhile.
    pub(super) fn look_for_answer(&mut self, ctx: &mut Ctx<'_>) {
        for _ in 0..LOOKS {
            self.serve(ctx);
            if !self.waits_for_medium() {
                break;
            }
            (0..PAUSES).for_each(|_| std::hint::spin_loop());
        }
    }

    /// Waits for all media.
    pub(super) fn drain(&mut self, ctx: &mut Ctx<'_>) {
        let mut read_bytes = 0;
        loop {
            let reply = (0..2).find_map(|at| Some((at, self.units[at].backend.wait_reply()?)));
            let Some((at, reply)) = reply else { break };
            read_bytes += reply.result.as_ref().map_or(0, |data| data.len() as u64);
            self.answered(ctx, at, reply);
            if read_bytes > MAX_DRAIN_BYTES && self.waits_for_medium() {
                // A driver that means it tries again.
                let error = BlockError::Host("the command was cut short".to_owned());
                self.medium_failed(ctx, &error);
            }
        }
        if let Some(at) = self.pausing() {
            // A pause is not saved: the next interrupt comes now, with an edge of its own.
            self.units[at].interrupt = false;
            self.drive_line(ctx);
            self.go_on(ctx);
        }
    }

    /// Whether the medium works for the command under way.
    pub(super) fn waits_for_medium(&self) -> bool {
        self.job
            .as_ref()
            .is_some_and(|job| job.phase == Phase::Backend)
    }

    fn answered(&mut self, ctx: &mut Ctx<'_>, at: usize, reply: BlockReply) {
        let Some(job) = self.job.as_mut() else { return };
        if job.phase != Phase::Backend || job.unit != at {
            return;
        }
        if let Some(request) = job.queued.take() {
            // This answer made room.
            let unit = &mut self.units[at];
            return unit.backend.submit(ctx.now, job.tag, request);
        }
        if job.tag != reply.tag {
            return;
        }
        let data = match reply.result {
            Ok(data) => data,
            Err(error) => return self.medium_failed(ctx, &error),
        };
        match job.flow {
            Flow::Read(format) => self.piece_read(ctx, format, data),
            Flow::Verify if job.rest > 0 => self.fetch(ctx),
            Flow::Write { .. } if job.rest > 0 => self.make_room(ctx, true),
            Flow::Write { durable: true } => {
                job.flow = Flow::Flush;
                self.submit(ctx, BlockRequest::Flush);
            }
            Flow::Discard(_) => self.next_discard(ctx),
            _ => self.complete(ctx, true),
        }
    }

    fn piece_read(&mut self, ctx: &mut Ctx<'_>, format: Format, mut data: Vec<u8>) {
        let Some(job) = self.job.as_mut() else { return };
        let wanted = usize::try_from(job.piece).unwrap_or(0);
        let whole = match format {
            Format::Disk => data.len() == wanted,
            Format::Cd | Format::CdParts(_) => data.len() <= wanted,
        };
        if !whole {
            let error = BlockError::Host("an answer of the wrong length".to_owned());
            return self.medium_failed(ctx, &error);
        }
        data.resize(wanted, 0);
        if let Format::CdParts(parts) = format {
            let first = u32::try_from(job.offset / CD_SECTOR_BYTES).unwrap_or(0);
            data = raw_sectors(&data, first, parts);
            debug_assert_eq!(data.len() / part_bytes(parts), wanted / 2048);
        }
        job.buffer = data;
        job.pos = 0;
        self.offer(ctx, true);
    }

    /// The command's last piece is done: ATA commands show the last sector and that none is left.
    fn complete(&mut self, ctx: &mut Ctx<'_>, interrupt: bool) {
        let Some(job) = self.job.as_ref() else { return };
        let at = job.unit;
        let moved = matches!(job.flow, Flow::Read(_) | Flow::Write { .. } | Flow::Verify)
            || job.flow == Flow::Flush && job.piece > 0;
        if moved && !job.is_packet {
            let last = (job.offset + job.piece) / SECTOR_BYTES - 1;
            self.show_place(at, last, 0);
        }
        self.finish(ctx, at, interrupt);
    }

    fn show_place(&mut self, at: usize, sector: u64, left: u64) {
        let Some(geometry) = self.units[at].as_disk().map(|d| d.state.geometry) else {
            return;
        };
        let ext = self.job.as_ref().is_some_and(|job| job.is_ext());
        let regs = &mut self.units[at].regs;
        regs.show_sector(sector, ext, geometry);
        regs.show_count(left, ext);
    }

    /// The medium of a drive was taken away: a command that uses it fails.
    pub(super) fn medium_is_gone(&mut self, ctx: &mut Ctx<'_>, at: usize) {
        let uses = |job: &Job| {
            job.unit == at && (job.phase == Phase::Backend || matches!(job.flow, Flow::Read(_)))
        };
        if self.job.as_deref().is_some_and(uses) {
            self.medium_failed(ctx, &BlockError::NoMedium);
        }
    }

    fn medium_failed(&mut self, ctx: &mut Ctx<'_>, error: &BlockError) {
        let Some(job) = self.job.as_ref() else { return };
        let at = job.unit;
        let reading = matches!(job.flow, Flow::Read(_) | Flow::Verify);
        if job.is_packet {
            let sense = match error {
                BlockError::NoMedium => Sense::NO_MEDIUM,
                BlockError::OutOfRange => Sense::OUT_OF_RANGE,
                _ => Sense::READ_ERROR,
            };
            return self.check(ctx, at, sense);
        }
        let (first, left) = (job.offset, job.piece + job.rest);
        if left > 0 {
            self.show_place(at, first / SECTOR_BYTES, left / SECTOR_BYTES);
        }
        let (bits, fault) = match error {
            BlockError::OutOfRange => (IDNF, false),
            BlockError::NoSpace | BlockError::Host(_) if reading => (UNC, false),
            // What cannot be written is the drive's fault, not the medium's.
            BlockError::NoSpace | BlockError::Host(_) => (ABRT, true),
            BlockError::ReadOnly | BlockError::NoMedium => (ABRT, false),
        };
        self.fail(ctx, at, bits, fault);
    }
}

/// Whole units of the block before its last, at most `room` bytes: how many, and their bytes.
fn run_of(job: &Job, size: AccessSize, room: usize) -> (usize, usize) {
    let unit = port_bytes(size);
    let before_last = (job.block_end - job.pos).saturating_sub(1);
    let units = room.min(before_last) / unit;
    (units, units * unit)
}

/// Bytes that one access to the data port moves.
fn port_bytes(size: AccessSize) -> usize {
    match size {
        AccessSize::Byte => 1,
        AccessSize::Word => 2,
        AccessSize::Dword | AccessSize::Qword => 4,
    }
}
