//! The processors of a machine: one thread runs them in turn.
//!
//! ```text
//!   processor 0 --10,000 instructions--> 1 --> 2 --> 0 ...     HLT and PAUSE end a turn early; who sleeps is passed over
//! ```
//! Retired instructions are counted for the whole machine: each processor goes on from where the last one stopped, so a
//! stamp is a place in the one order in which everything happened. Whose turn it is and what is left of it belong to the
//! saved state: a run does not depend on where it was interrupted.
//!
//! Old and small systems spin without PAUSE, and the one who has the lock waits for its turn meanwhile. Each turn begins
//! with [`PROBE`] instructions: a processor that stands where it stood, with the same registers, waits for another one
//! and passes its turn on. Then turns are short for a while, so that they do not all end inside what the lock guards.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};
use vmwb_snapshot::{Container, Payload};
use vmwb_x86::cpu::Counters;
use vmwb_x86::observe::Classes;
use vmwb_x86::{Activity, BootState, CpuStop, Exit, Inspect, Vcpu};

use crate::board::{Board, Signal};

/// Instructions of one turn.
pub const TURN: u64 = 10_000;
/// Instructions after which a loop that only waits is at the same place: a multiple of the lengths 1 to 6, and of 8, 10,
/// 12, 15 and 20.
pub const PROBE: u64 = 120;
/// Turns that are short after a processor was found waiting.
const SHORT_TURNS: u32 = 100;
/// Shortest of them; they differ by as much, so that they keep no step with a loop of the guest.
const SHORT_TURN: u64 = 500;

/// Saved turn of a machine with several processors, of versions up to 0.1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnV1 {
    /// Whose turn it is.
    pub processor: u8,
    /// Instructions that are left of it.
    pub left: u64,
}

impl Schema for TurnV1 {
    const KIND: &'static str = "turn";
    const VERSION: u32 = 1;
}

/// Saved turn of a machine with several processors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnV2 {
    /// Whose turn it is.
    pub processor: u8,
    /// Instructions that are left of it.
    pub left: u64,
    /// Of them, those that are left of its probe; 0: it is over.
    pub probe_left: u64,
    /// Fingerprint of the processor at the probe's begin.
    pub mark: u64,
    /// Turns to come that are short.
    pub short_turns: u32,
}

impl Schema for TurnV2 {
    const KIND: &'static str = "turn";
    const VERSION: u32 = 2;
}

impl From<TurnV1> for TurnV2 {
    fn from(old: TurnV1) -> Self {
        Self {
            processor: old.processor,
            left: old.left,
            probe_left: 0,
            mark: 0,
            short_turns: 0,
        }
    }
}

/// What is left of the current turn.
#[derive(Debug)]
struct Turn {
    left: u64,
    probe_left: u64,
    mark: u64,
}

impl Turn {
    fn of(length: u64) -> Self {
        Self {
            left: length,
            probe_left: PROBE,
            mark: 0,
        }
    }
}

/// The processors, 1 to 8.
#[derive(Debug)]
pub struct Processors {
    all: Vec<Box<dyn Vcpu>>,
    /// Instructions that the machine has retired.
    retired: u64,
    /// Of them, each processor's since power-on or the restored state.
    own: Vec<u64>,
    current: usize,
    turn: Turn,
    short_turns: u32,
    /// The one that a debugger looks at: that of the last stop, or the one that was chosen.
    focus: usize,
    /// The one that holds the recorder of trace events.
    recording: usize,
    /// A debugger steps the processor in focus; the others stand still.
    alone: bool,
}

impl Processors {
    /// These processors, in their reset state. There is at least one.
    #[must_use]
    pub fn new(mut all: Vec<Box<dyn Vcpu>>) -> Self {
        assert!(!all.is_empty(), "a machine has a processor");
        all.iter_mut().for_each(|vcpu| vcpu.reset());
        Self {
            retired: all[0].retired(),
            own: vec![0; all.len()],
            all,
            current: 0,
            turn: Turn::of(TURN),
            short_turns: 0,
            focus: 0,
            recording: 0,
            alone: false,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// Instructions that the machine has retired since power-on.
    #[must_use]
    pub fn retired(&self) -> u64 {
        self.retired
    }

    /// Instructions that each has retired since power-on or the restored state, and what it does.
    pub fn shares(&self) -> impl Iterator<Item = (u64, Activity)> {
        let activities = self.all.iter().map(|vcpu| vcpu.activity());
        self.own.iter().copied().zip(activities)
    }

    /// What all have counted together.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.all
            .iter()
            .fold(Counters::default(), |sum, vcpu| sum.plus(&vcpu.counters()))
    }

    /// Resets all; the machine goes on counting.
    pub fn reset(&mut self) {
        self.all.iter_mut().for_each(|vcpu| vcpu.reset());
        (self.current, self.turn, self.short_turns) = (0, Turn::of(TURN), 0);
    }

    /// The entry state of a direct boot, of the first processor.
    pub fn set_boot_state(&mut self, state: BootState) {
        self.all[0].set_boot_state(state);
    }

    /// Runs until exactly `budget` more instructions have retired, whoever retired them, or something ends it earlier.
    /// `Halted`: every processor sleeps.
    pub fn run(&mut self, board: &mut Board, budget: u64) -> Exit {
        if self.all.len() == 1 {
            return self.run_one(0, board, budget);
        }
        if self.alone {
            return self.run_one(self.focus, board, budget);
        }
        let mut left = budget;
        let mut asleep = 0;
        while asleep < self.all.len() {
            let n = self.current;
            if self.all[n].activity() != Activity::Running && !board.wakes(n) {
                asleep += 1;
                self.pass_on();
                continue;
            }
            if left == 0 {
                return Exit::Budget;
            }
            let before = self.retired;
            let piece = left.min(self.piece());
            let exit = self.run_one(n, board, piece);
            let done = self.retired - before;
            left -= done;
            let probed = self.advance(done);
            if done > 0 {
                asleep = 0;
            }
            match exit {
                Exit::Budget if probed && self.waits(board) => {
                    self.short_turns = SHORT_TURNS;
                    self.pass_on();
                }
                Exit::Budget if self.turn.left > 0 => {}
                Exit::Budget | Exit::Yielded => self.pass_on(),
                Exit::Halted | Exit::Stopped(CpuStop::HaltedForGood { .. }) => {
                    asleep += usize::from(done == 0);
                    self.pass_on();
                }
                Exit::Attention => {
                    // Somebody's call may end a run where the probe or the turn ends: it goes on as it would have without.
                    if probed && self.waits(board) {
                        self.short_turns = SHORT_TURNS;
                        self.pass_on();
                    } else if self.turn.left == 0 {
                        self.pass_on();
                    }
                    return exit;
                }
                Exit::Debug(_) | Exit::Stopped(_) => {
                    self.focus = n;
                    return exit;
                }
            }
        }
        self.sleep()
    }

    /// Most instructions that the current processor may run before somebody looks; marks where its probe begins.
    fn piece(&mut self) -> u64 {
        if self.turn.probe_left == 0 {
            return self.turn.left;
        }
        if self.turn.probe_left == PROBE {
            self.turn.mark = self.all[self.current].fingerprint();
        }
        self.turn.probe_left
    }

    /// Takes what has run from the turn; `true`: its probe is over.
    fn advance(&mut self, done: u64) -> bool {
        let probed = self.turn.probe_left > 0 && self.turn.probe_left <= done;
        self.turn.probe_left = self.turn.probe_left.saturating_sub(done);
        self.turn.left -= done;
        probed
    }

    /// Whether the current processor, whose probe is over, is where it was, and another one could run.
    fn waits(&self, board: &Board) -> bool {
        let n = self.current;
        let runs = |m: usize| self.all[m].activity() == Activity::Running || board.wakes(m);
        self.all[n].fingerprint() == self.turn.mark
            && (0..self.all.len()).any(|m| m != n && runs(m))
    }

    /// The next processor's turn begins.
    fn pass_on(&mut self) {
        self.current = (self.current + 1) % self.all.len();
        let length = if self.short_turns == 0 {
            TURN
        } else {
            self.short_turns -= 1;
            // From the count, so that a run repeats.
            let scattered = self.retired.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            SHORT_TURN + scattered % SHORT_TURN
        };
        self.turn = Turn::of(length);
    }

    /// How a run ends in which every processor sleeps: one that only others could wake waits for ever when none can.
    fn sleep(&self) -> Exit {
        let may_wake = |vcpu: &dyn Vcpu| vcpu.activity() == Activity::Halted;
        if self.all.iter().any(|vcpu| may_wake(&**vcpu)) {
            return Exit::Halted;
        }
        let rip = self.all[0].linear_rip();
        Exit::Stopped(CpuStop::HaltedForGood { rip })
    }

    fn run_one(&mut self, n: usize, board: &mut Board, budget: u64) -> Exit {
        if self.all.len() > 1 {
            board.set_current(n);
            self.hand_recorder(n);
            self.all[n].count_from(self.retired);
        }
        let exit = self.all[n].run(board, budget);
        let now = self.all[n].retired();
        self.own[n] += now.saturating_sub(self.retired);
        self.retired = now;
        while let Some((to, signal)) = board.take_signal(now) {
            self.signal(to, signal);
        }
        exit
    }

    fn signal(&mut self, to: usize, signal: Signal) {
        let Some(vcpu) = self.all.get_mut(to) else {
            return;
        };
        match signal {
            Signal::Init => {
                vcpu.count_from(self.retired);
                vcpu.init();
            }
            Signal::StartUp(page) => vcpu.start_up(page),
        }
    }

    // --- debuggers -----------------------------------------------------------------------------------------------

    /// The processor that a debugger looks at.
    #[must_use]
    pub fn focus(&self) -> usize {
        self.focus
    }

    /// Lets debuggers look at another processor; `false`: there is none of this number.
    pub fn set_focus(&mut self, processor: usize) -> bool {
        let exists = processor < self.all.len();
        if exists {
            self.focus = processor;
        }
        exists
    }

    /// Lets only the processor in focus run, or all again.
    pub fn set_alone(&mut self, alone: bool) {
        self.alone = alone;
    }

    /// Where the processor in focus is: linear address of its next instruction.
    #[must_use]
    pub fn linear_rip(&self) -> u64 {
        self.all[self.focus].linear_rip()
    }

    /// The debugger's door of the processor in focus.
    pub fn inspect(&mut self) -> Option<&mut dyn Inspect> {
        self.all[self.focus].inspect()
    }

    /// The doors of all processors.
    pub fn doors(&mut self) -> impl Iterator<Item = &mut dyn Inspect> {
        self.all.iter_mut().filter_map(|vcpu| vcpu.inspect())
    }

    /// The door behind which the one recorder is: the processors hand it on with their turns.
    pub fn recorder_door(&mut self) -> Option<&mut dyn Inspect> {
        self.all[self.recording].inspect()
    }

    fn hand_recorder(&mut self, to: usize) {
        if to == self.recording {
            return;
        }
        let recording = |door: &&mut dyn Inspect| door.recorder().classes() != Classes::NONE;
        let Some(door) = self.recorder_door().filter(recording) else {
            return;
        };
        let mut recorder = door.take_recorder();
        recorder.hand_to(u8::try_from(to).unwrap_or(u8::MAX));
        self.recording = to;
        if let Some(door) = self.recorder_door() {
            door.give_recorder(recorder);
        }
    }

    // --- saved state ---------------------------------------------------------------------------------------------

    /// Adds the state of every processor.
    ///
    /// # Errors
    /// Only when something cannot be encoded.
    pub fn save(&mut self, into: &mut Container) -> Result<(), SnapshotError> {
        for (n, vcpu) in self.all.iter_mut().enumerate() {
            vcpu.count_from(self.retired);
            let mut payload = vcpu.save()?;
            payload.name = format!("cpu.{n}");
            into.push(payload);
        }
        if self.all.len() > 1 {
            let turn = TurnV2 {
                processor: u8::try_from(self.current).unwrap_or(0),
                left: self.turn.left,
                probe_left: self.turn.probe_left,
                mark: self.turn.mark,
                short_turns: self.short_turns,
            };
            into.push(Payload::encode("turn", &turn)?);
        }
        Ok(())
    }

    /// Takes over saved processors. States of versions up to 0.3 hold the one processor under its engine's name.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn restore(&mut self, from: &mut Container) -> Result<(), SnapshotError> {
        let single = self.all.len() == 1;
        for (n, vcpu) in self.all.iter_mut().enumerate() {
            let payload = match from.take(&format!("cpu.{n}")) {
                Err(SnapshotError::Missing(_)) if single => from.take(&vcpu.save()?.name)?,
                other => other?,
            };
            vcpu.restore(&payload)?;
        }
        self.retired = self.all[0].retired();
        if !single {
            let payload = from.take("turn")?;
            let turn = match payload.version {
                1 => payload.decode::<TurnV1>()?.into(),
                _ => payload.decode::<TurnV2>()?,
            };
            self.take_turn(&turn)?;
        }
        Ok(())
    }

    fn take_turn(&mut self, saved: &TurnV2) -> Result<(), SnapshotError> {
        let &TurnV2 {
            processor,
            left,
            probe_left,
            mark,
            short_turns,
        } = saved;
        let processor = usize::from(processor);
        let sound = processor < self.all.len()
            && (1..=TURN).contains(&left)
            && probe_left <= PROBE.min(left)
            && short_turns <= SHORT_TURNS;
        if !sound {
            return Err(SnapshotError::damaged(
                TurnV2::KIND,
                "it is no processor's turn",
            ));
        }
        (self.current, self.short_turns) = (processor, short_turns);
        self.turn = Turn {
            left,
            probe_left,
            mark,
        };
        Ok(())
    }
}
