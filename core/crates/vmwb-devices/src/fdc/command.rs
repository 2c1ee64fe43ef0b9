//! Commands of the floppy controller: their lengths, and those that move no data (290166-007, section 5).

use vmwb_hw::Ctx;

use super::regs::{
    CODE, COMMAND_BYTES, CONFIG_MASK, HEAD, LONGEST_SEEK_NS, MFM, MT, PERPENDICULAR_DRIVES,
    PERPENDICULAR_GAPS, PERPENDICULAR_OW, RATE_1M, RATE_250K, RATE_300K, RECALIBRATE_STEPS,
    SHORT_NS, SK, ST0_ABNORMAL, ST0_EQUIPMENT, ST0_INVALID, ST0_POLLED, ST0_SEEK_END, ST3_ALWAYS,
    ST3_PROTECTED, ST3_TRACK0, UNIT, VERSION_82077,
    command::{
        CONFIGURE, DUMPREG, FORMAT, LOCK, PERPENDICULAR, READ, READ_DELETED, READ_ID, READ_TRACK,
        RECALIBRATE, RELATIVE_INWARDS, RELATIVE_SEEK, SEEK, SENSE_DRIVE, SENSE_INTERRUPT, SPECIFY,
        VERIFY, VERSION, WRITE, WRITE_DELETED,
    },
};
use super::{Fdc, Phase, Seek};

/// A command without the bits that vary; `None`: invalid.
fn code(first: u8) -> Option<u8> {
    let code = first & CODE;
    let varying = match code {
        READ | READ_DELETED | VERIFY => MT | MFM | SK,
        WRITE | WRITE_DELETED => MT | MFM,
        READ_TRACK => MFM | SK,
        READ_ID | FORMAT => MFM,
        LOCK => MT,
        _ => 0,
    };
    if first & !RELATIVE_INWARDS == RELATIVE_SEEK {
        return Some(RELATIVE_SEEK);
    }
    let known = matches!(
        code,
        READ | READ_DELETED
            | VERIFY
            | WRITE
            | WRITE_DELETED
            | READ_TRACK
            | READ_ID
            | FORMAT
            | LOCK
            | SPECIFY
            | SENSE_DRIVE
            | RECALIBRATE
            | SENSE_INTERRUPT
            | DUMPREG
            | SEEK
            | VERSION
            | PERPENDICULAR
            | CONFIGURE
    );
    (known && first & !CODE & !varying == 0).then_some(code)
}

/// Bytes of the command that begins so, 1 to 9; an invalid one is complete at once.
pub(super) fn length(first: u8) -> usize {
    match code(first) {
        Some(READ | READ_DELETED | VERIFY | WRITE | WRITE_DELETED | READ_TRACK) => COMMAND_BYTES,
        Some(FORMAT) => 6,
        Some(CONFIGURE) => 4,
        Some(SPECIFY | SEEK | RELATIVE_SEEK) => 3,
        Some(READ_ID | SENSE_DRIVE | RECALIBRATE | PERPENDICULAR) => 2,
        _ => 1,
    }
}

impl Fdc {
    /// Carries out a complete command.
    pub(super) fn execute(&mut self, ctx: &mut Ctx<'_>, bytes: &[u8]) {
        let arg = |n: usize| bytes.get(n).copied().unwrap_or(0);
        let code = code(arg(0));
        if code != Some(SENSE_INTERRUPT) {
            // The reports of a reset are gone with the next other command.
            for sense in &mut self.state.sense {
                *sense = sense.filter(|st0| st0 & ST0_POLLED != ST0_POLLED);
            }
        }
        self.state.phase = Phase::Command(Vec::new());
        match code {
            Some(SPECIFY) => self.state.specify = [arg(1), arg(2)],
            Some(SENSE_DRIVE) => self.sense_drive(arg(1)),
            Some(RECALIBRATE) => self.recalibrate(ctx, arg(1)),
            Some(SEEK) => self.seek(ctx, arg(1), arg(2)),
            Some(RELATIVE_SEEK) => {
                let steps = arg(2);
                let from = self.state.pcn[usize::from(arg(1) & UNIT)];
                let to = if arg(0) & RELATIVE_INWARDS != 0 {
                    from.saturating_add(steps)
                } else {
                    from.saturating_sub(steps)
                };
                self.seek(ctx, arg(1), to);
            }
            Some(SENSE_INTERRUPT) => self.sense_interrupt(ctx),
            Some(VERSION) => self.result(&[VERSION_82077]),
            Some(CONFIGURE) => {
                (self.state.config, self.state.pretrk) = (arg(2) & CONFIG_MASK, arg(3));
            }
            Some(DUMPREG) => self.dump(),
            Some(PERPENDICULAR) => self.perpendicular(arg(1)),
            Some(LOCK) => {
                self.state.locked = arg(0) & MT != 0;
                self.result(&[u8::from(self.state.locked) << 4]);
            }
            Some(_) => self.start_transfer(ctx, bytes),
            None => self.result(&[ST0_INVALID]),
        }
    }

    /// Enters the result phase.
    pub(super) fn result(&mut self, bytes: &[u8]) {
        self.state.phase = Phase::Result(bytes.to_vec(), 0);
    }

    fn sense_drive(&mut self, select: u8) {
        let unit = select & UNIT;
        let mut st3 = ST3_ALWAYS | select & (UNIT | HEAD);
        if let Some(drive) = self.drive(unit) {
            // An empty drive's sensor sees no notch.
            if drive.read_only || !drive.present {
                st3 |= ST3_PROTECTED;
            }
            if drive.head == 0 {
                st3 |= ST3_TRACK0;
            }
        }
        self.result(&[st3]);
    }

    fn sense_interrupt(&mut self, ctx: &mut Ctx<'_>) {
        if self.state.reset_done.is_some() {
            // Who asks without having waited for the interrupt of a reset is told all the same.
            self.end_reset(ctx);
        }
        let Some(unit) = self.state.sense.iter().position(Option::is_some) else {
            self.state.interrupt = false;
            return self.result(&[ST0_INVALID]);
        };
        let st0 = self.state.sense[unit].take().unwrap_or(ST0_INVALID);
        self.result(&[st0, self.state.pcn[unit]]);
        self.acknowledge(ctx);
    }

    fn dump(&mut self) {
        let s = &self.state;
        let [p0, p1, p2, p3] = s.pcn;
        let bytes = [
            p0,
            p1,
            p2,
            p3,
            s.specify[0],
            s.specify[1],
            s.last_eot,
            u8::from(s.locked) << 7 | s.perpendicular,
            s.config,
            s.pretrk,
        ];
        self.result(&bytes);
    }

    fn perpendicular(&mut self, value: u8) {
        let kept = if value & PERPENDICULAR_OW != 0 {
            value & PERPENDICULAR_DRIVES
        } else {
            self.state.perpendicular & PERPENDICULAR_DRIVES
        };
        self.state.perpendicular = kept | value & PERPENDICULAR_GAPS;
    }

    /// Time of so many steps at the specified rate: (16 - SRT) ms at 500 kbit/s, longer at slower rates.
    pub(super) fn seek_ns(&self, steps: u16) -> u64 {
        let srt = u64::from(16 - (self.state.specify[0] >> 4));
        let step_ns = match self.state.rate {
            RATE_1M => srt * 500_000,
            RATE_300K => srt * 1_666_667,
            RATE_250K => srt * 2_000_000,
            _ => srt * 1_000_000,
        };
        (u64::from(steps) * step_ns).clamp(SHORT_NS, LONGEST_SEEK_NS)
    }

    /// `select` is the command's second byte: drive and side.
    fn start_seek(&mut self, ctx: &mut Ctx<'_>, select: u8, cylinder: u8, steps: i16) {
        let until = ctx.now.plus(self.seek_ns(steps.unsigned_abs()));
        let n = usize::from(select & UNIT);
        self.state.sense[n] = None;
        self.state.sides &= !(1 << n);
        self.state.sides |= u8::from(select & HEAD != 0) << n;
        self.state.seeks[n] = Some(Seek {
            until,
            cylinder,
            steps,
            recalibrate: false,
        });
    }

    fn seek(&mut self, ctx: &mut Ctx<'_>, select: u8, cylinder: u8) {
        let steps = i16::from(cylinder) - i16::from(self.state.pcn[usize::from(select & UNIT)]);
        self.start_seek(ctx, select, cylinder, steps);
    }

    /// Steps outwards until the drive reports track 0.
    fn recalibrate(&mut self, ctx: &mut Ctx<'_>, select: u8) {
        let unit = select & UNIT;
        let steps = match self.drive(unit) {
            Some(drive) => drive.head.min(RECALIBRATE_STEPS),
            None => RECALIBRATE_STEPS,
        };
        self.start_seek(ctx, select, 0, -i16::from(steps));
        if let Some(seek) = &mut self.state.seeks[usize::from(unit)] {
            seek.recalibrate = true;
        }
    }

    /// Ends the seeks whose time has come.
    pub(super) fn seeks_due(&mut self, ctx: &mut Ctx<'_>) {
        for unit in 0..4u8 {
            let n = usize::from(unit);
            let Some(seek) = self.state.seeks[n].take_if(|seek| seek.until <= ctx.now) else {
                continue;
            };
            self.state.pcn[n] = seek.cylinder;
            if let Some(drive) = self.drives.get_mut(n) {
                drive.step(seek.steps);
            }
            let at_track_0 = self.drive(unit).is_some_and(|d| d.head == 0);
            let failed = seek.recalibrate && !at_track_0;
            let trouble = if failed {
                ST0_ABNORMAL | ST0_EQUIPMENT
            } else {
                0
            };
            let side = if self.state.sides >> n & 1 != 0 {
                HEAD
            } else {
                0
            };
            self.state.sense[n] = Some(ST0_SEEK_END | trouble | side | unit);
            self.raise(ctx);
        }
    }
}
