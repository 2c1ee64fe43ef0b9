//! The processors of a machine: one thread runs them in turn.
//!
//! ```text
//!   processor 0 --10,000 instructions--> 1 --> 2 --> 0 ...     HLT and PAUSE end a turn early; who sleeps is passed over
//! ```
//! Retired instructions are counted for the whole machine: each processor goes on from where the last one stopped, so a
//! stamp is a place in the one order in which everything happened. Whose turn it is and what is left of it belong to the
//! saved state: a run does not depend on where it was interrupted.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Schema, SnapshotError};
use vmwb_snapshot::{Container, Payload};
use vmwb_x86::cpu::Counters;
use vmwb_x86::{Activity, BootState, CpuStop, Exit, Inspect, Vcpu};

use crate::board::{Board, Signal};

/// Instructions of one turn.
pub const TURN: u64 = 10_000;

/// Saved turn of a machine with several processors.
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

/// The processors, 1 to 8.
#[derive(Debug)]
pub struct Processors {
    all: Vec<Box<dyn Vcpu>>,
    /// Instructions that the machine has retired.
    retired: u64,
    /// Of them, each processor's since power-on or the restored state.
    own: Vec<u64>,
    current: usize,
    turn_left: u64,
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
            turn_left: TURN,
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
        (self.current, self.turn_left) = (0, TURN);
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
            let exit = self.run_one(n, board, left.min(self.turn_left));
            let done = self.retired - before;
            left -= done;
            self.turn_left -= done;
            if done > 0 {
                asleep = 0;
            }
            match exit {
                Exit::Budget if self.turn_left > 0 => {}
                Exit::Budget | Exit::Yielded => self.pass_on(),
                Exit::Halted | Exit::Stopped(CpuStop::HaltedForGood { .. }) => {
                    asleep += usize::from(done == 0);
                    self.pass_on();
                }
                Exit::Attention => return exit,
                Exit::Debug(_) | Exit::Stopped(_) => {
                    self.focus = n;
                    return exit;
                }
            }
        }
        self.sleep()
    }

    /// The next processor's turn begins.
    fn pass_on(&mut self) {
        self.current = (self.current + 1) % self.all.len();
        self.turn_left = TURN;
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
        let Some(mut recorder) = self.recorder_door().map(|door| door.take_recorder()) else {
            return;
        };
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
            let turn = TurnV1 {
                processor: u8::try_from(self.current).unwrap_or(0),
                left: self.turn_left,
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
            let turn: TurnV1 = from.take("turn")?.decode()?;
            let processor = usize::from(turn.processor);
            if processor >= self.all.len() || !(1..=TURN).contains(&turn.left) {
                return Err(SnapshotError::damaged(
                    TurnV1::KIND,
                    "it is no processor's turn",
                ));
            }
            (self.current, self.turn_left) = (processor, turn.left);
        }
        Ok(())
    }
}
