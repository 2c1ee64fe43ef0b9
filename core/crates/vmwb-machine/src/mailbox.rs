//! What the embedder and the driver's thread share: the power state, requests, waiting inputs.
//!
//! The power state changes in two places only: [`Mailbox::request`] (the table allowed it) and
//! [`Mailbox::arrive`] (the driver has done it). Both tell it by an event while they hold the lock, so that events come
//! in the order of the changes.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Instant;

use vmwb_hw::BlockBackend;

use crate::debug::DebugRequest;
use crate::error::MachineError;
use crate::events::{Event, EventQueue};
use crate::input::{Delivery, Input, InputQueue, Stamp};
use crate::power::{PowerCommand, PowerState, decide};
use crate::serial::InputSink;
use crate::spec::DriveSlot;

/// Where a state is written to.
#[derive(Debug)]
pub struct SaveFiles {
    /// Devices and processor.
    pub devices: File,
    /// RAM.
    pub ram: File,
}

/// A change of a drive's medium.
#[derive(Debug)]
pub struct MediaChange {
    /// Which drive.
    pub slot: DriveSlot,
    /// The new medium; empty: the old one is taken out.
    pub medium: Box<dyn BlockBackend>,
    /// Whether a guest that has locked the tray is overruled.
    pub force: bool,
}

/// What the driver is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Carry out a power request that the table has allowed.
    Power(PowerCommand),
    /// Write the state; the machine is paused.
    Save(SaveFiles, Sender<Result<(), MachineError>>),
    /// Statistics as JSON.
    Stats(Sender<String>),
    /// Text of the screen.
    ScreenText(Sender<Option<String>>),
    /// Another medium for a drive; the answer is the old one, to be closed by whoever asked.
    Media(
        MediaChange,
        Sender<Result<Box<dyn BlockBackend>, MachineError>>,
    ),
    /// A debugger's request; its answer is JSON.
    Debug(DebugRequest, Sender<Result<String, MachineError>>),
    /// End the thread.
    Close,
}

#[derive(Debug)]
struct Mail {
    power: PowerState,
    commands: VecDeque<Command>,
    /// Whether there are any, for whoever cannot take the lock.
    calls: Arc<AtomicBool>,
    inputs: InputQueue,
    closed: bool,
}

impl Mail {
    fn add(&mut self, command: Command) {
        self.commands.push_back(command);
        self.calls.store(true, Ordering::Relaxed);
    }

    fn take(&mut self) -> Option<Command> {
        let command = self.commands.pop_front();
        if self.commands.is_empty() {
            self.calls.store(false, Ordering::Relaxed);
        }
        command
    }
}

/// The shared part of a machine.
#[derive(Debug)]
pub struct Mailbox {
    mail: Mutex<Mail>,
    wake: Condvar,
    /// Whether mail may wait: a look without the lock, once a slice.
    flag: AtomicBool,
    /// Whether drives have answered.
    answers: AtomicBool,
    /// Instructions retired, as the driver last told.
    retired: AtomicU64,
    events: EventQueue,
}

impl Mailbox {
    /// A mailbox of a machine in this state.
    #[must_use]
    pub fn new(power: PowerState, events: EventQueue) -> Self {
        let mail = Mail {
            power,
            commands: VecDeque::new(),
            calls: Arc::default(),
            inputs: InputQueue::new(),
            closed: false,
        };
        Self {
            mail: Mutex::new(mail),
            wake: Condvar::new(),
            flag: AtomicBool::new(false),
            answers: AtomicBool::new(false),
            retired: AtomicU64::new(0),
            events,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().expect("no holder of this lock panics")
    }

    /// The event queue.
    #[must_use]
    pub fn events(&self) -> &EventQueue {
        &self.events
    }

    /// Adds an event with the current stamp.
    pub fn tell(&self, event: Event) {
        self.events
            .push(self.retired.load(Ordering::Relaxed), event);
    }

    /// Sets the stamp of later events.
    pub fn set_retired(&self, retired: u64) {
        self.retired.store(retired, Ordering::Relaxed);
    }

    /// The power state.
    #[must_use]
    pub fn power(&self) -> PowerState {
        self.lock().power
    }

    fn change(&self, mail: &mut Mail, state: PowerState) {
        if mail.power != state {
            mail.power = state;
            self.tell(Event::Power { state });
        }
    }

    fn notify(&self) {
        self.flag.store(true, Ordering::Release);
        self.wake.notify_all();
    }

    /// Asks for a change of power; its effect is told by events.
    ///
    /// # Errors
    /// [`MachineError::WrongState`] with the table's sentence; [`MachineError::Closed`].
    pub fn request(&self, command: PowerCommand) -> Result<(), MachineError> {
        let mut mail = self.lock();
        if mail.closed {
            return Err(MachineError::Closed);
        }
        let state = decide(mail.power, command).map_err(MachineError::WrongState)?;
        self.change(&mut mail, state);
        if command == PowerCommand::PowerButton {
            mail.inputs
                .push(Input::PowerButton)
                .map_err(|e| MachineError::Busy(e.to_string()))?;
        } else {
            mail.add(Command::Power(command));
        }
        self.notify();
        Ok(())
    }

    /// Starts a save: only of a paused machine.
    ///
    /// # Errors
    /// As [`Mailbox::request`].
    pub fn request_save(
        &self,
        files: SaveFiles,
        reply: Sender<Result<(), MachineError>>,
    ) -> Result<(), MachineError> {
        let mut mail = self.lock();
        if mail.closed {
            return Err(MachineError::Closed);
        }
        let state = decide(mail.power, PowerCommand::Suspend).map_err(MachineError::WrongState)?;
        if mail.power != PowerState::Paused {
            return Err(MachineError::WrongState(
                "The machine is not paused; pause it first.",
            ));
        }
        self.change(&mut mail, state);
        mail.add(Command::Save(files, reply));
        self.notify();
        Ok(())
    }

    /// Asks a question.
    ///
    /// # Errors
    /// [`MachineError::Closed`].
    pub fn ask(&self, question: Command) -> Result<(), MachineError> {
        let mut mail = self.lock();
        if mail.closed {
            return Err(MachineError::Closed);
        }
        mail.add(question);
        self.notify();
        Ok(())
    }

    /// Adds an input from outside.
    ///
    /// # Errors
    /// The machine does not run, or the queue is full.
    pub fn inject(&self, input: Input) -> Result<(), MachineError> {
        let mut mail = self.lock();
        if mail.closed {
            return Err(MachineError::Closed);
        }
        if !takes_input(mail.power) {
            return Err(MachineError::WrongState(
                "The machine does not run and takes no input; start or resume it first.",
            ));
        }
        mail.inputs
            .push(input)
            .map_err(|e| MachineError::Busy(e.to_string()))?;
        self.notify();
        Ok(())
    }

    /// Driver: the state that its work has led to. A power-off that was asked for meanwhile goes before all but itself.
    pub fn arrive(&self, state: PowerState) {
        let mut mail = self.lock();
        self.settle(&mut mail, state);
    }

    /// Driver: tells why, then the state; nobody can ask for anything in between.
    pub fn arrive_because(&self, event: Event, state: PowerState) {
        let mut mail = self.lock();
        self.tell(event);
        self.settle(&mut mail, state);
    }

    fn settle(&self, mail: &mut Mail, state: PowerState) {
        if mail.power == PowerState::Stopping && state != PowerState::Off {
            return;
        }
        if matches!(state, PowerState::Off | PowerState::Crashed) {
            mail.inputs.clear();
        }
        self.change(mail, state);
    }

    /// A drive's thread: an answer has arrived.
    pub fn drive_answered(&self) {
        self.answers.store(true, Ordering::Release);
        // Under the lock, so that the driver is either still awake and looks, or asleep and hears.
        let _mail = self.lock();
        self.wake.notify_all();
    }

    /// Driver: whether drives have answered since the last call.
    #[must_use]
    pub fn take_answers(&self) -> bool {
        self.answers.load(Ordering::Relaxed) && self.answers.swap(false, Ordering::Acquire)
    }

    /// The flag that is up while commands wait: the engine ends its run then.
    #[must_use]
    pub fn calls(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.lock().calls)
    }

    /// Driver: whether there may be commands or inputs. Cheap.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.flag.load(Ordering::Acquire)
    }

    /// Driver: the next command. When there is none, and no input, the flag goes down.
    #[must_use]
    pub fn next_command(&self) -> Option<Command> {
        let mut mail = self.lock();
        let command = mail.take();
        if command.is_none() && mail.inputs.is_empty() {
            self.flag.store(false, Ordering::Release);
        }
        command
    }

    /// Driver: the next input due at this stamp.
    #[must_use]
    pub fn next_input(&self, now: Stamp) -> Option<Input> {
        self.lock().inputs.pop(now)
    }

    /// Driver: stamp of the next recorded input.
    #[must_use]
    pub fn next_replay(&self) -> Option<Stamp> {
        self.lock().inputs.next_replay()
    }

    /// Driver: sleeps until there is mail, a drive has answered, or `until` has come.
    pub fn sleep(&self, until: Option<Instant>) {
        let mut mail = self.lock();
        let quiet = |mail: &Mail| {
            mail.commands.is_empty()
                && mail.inputs.is_empty()
                && !self.answers.load(Ordering::Acquire)
        };
        while quiet(&mail) {
            mail = match until {
                None => self.wake.wait(mail).expect("no holder of this lock panics"),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return;
                    }
                    self.wake
                        .wait_timeout(mail, left)
                        .expect("no holder of this lock panics")
                        .0
                }
            };
        }
    }

    /// Driver: sleeps until there is a command; a machine that stands still delivers no input.
    pub fn sleep_for_commands(&self) {
        let mut mail = self.lock();
        while mail.commands.is_empty() && mail.power != PowerState::Running {
            mail = self.wake.wait(mail).expect("no holder of this lock panics");
        }
    }

    /// Driver: inputs that wait, for saving.
    #[must_use]
    pub fn waiting_inputs(&self) -> Vec<Input> {
        self.lock().inputs.waiting()
    }

    /// Adds inputs of a saved state.
    ///
    /// # Errors
    /// More than fit.
    pub fn restore_inputs(&self, inputs: Vec<Input>) -> Result<(), MachineError> {
        let mut mail = self.lock();
        for input in inputs {
            mail.inputs
                .push(input)
                .map_err(|e| MachineError::Busy(e.to_string()))?;
        }
        self.notify();
        Ok(())
    }

    /// Records every delivery from now on.
    pub fn record_inputs(&self) {
        self.lock().inputs.record();
    }

    /// Deliveries recorded so far.
    #[must_use]
    pub fn take_recording(&self) -> Vec<Delivery> {
        self.lock().inputs.take_log()
    }

    /// Delivers recorded inputs at their stamps.
    pub fn replay_inputs(&self, log: Vec<Delivery>) {
        self.lock().inputs.replay(log);
    }

    /// Takes no more requests and asks the driver to end.
    pub fn close(&self) {
        let mut mail = self.lock();
        mail.closed = true;
        mail.add(Command::Close);
        self.notify();
    }
}

/// Whether inputs reach a guest in this state, now or as soon as it runs on.
fn takes_input(state: PowerState) -> bool {
    matches!(
        state,
        PowerState::Starting | PowerState::Running | PowerState::Pausing | PowerState::Resuming
    )
}

/// Characters from serial consoles go the same way as all other input.
#[derive(Debug)]
pub struct SerialInput(pub Arc<Mailbox>);

impl InputSink for SerialInput {
    fn offer(&self, port: u8, data: &[u8]) -> bool {
        match self.0.inject(Input::Serial {
            port,
            data: data.to_vec(),
        }) {
            Ok(()) => true,
            // A paused guest reads later; a full queue empties. What a dead guest would have read is dropped.
            Err(MachineError::Busy(_)) => false,
            Err(_) => !matches!(
                self.0.power(),
                PowerState::Paused | PowerState::Suspending | PowerState::Suspended
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(state: PowerState) -> Mailbox {
        Mailbox::new(state, EventQueue::new().unwrap())
    }

    #[test]
    fn request_allowed_changes_the_state_and_tells_it() {
        let m = mailbox(PowerState::Off);
        m.request(PowerCommand::Start).unwrap();
        assert_eq!(m.power(), PowerState::Starting);
        assert!(m.events().drain()[0].contains("starting"));
        assert!(m.has_mail());
    }

    #[test]
    fn request_forbidden_says_why_and_changes_nothing() {
        let m = mailbox(PowerState::Off);
        let refused = m.request(PowerCommand::Pause).unwrap_err();
        assert_eq!(
            (refused.code(), m.power()),
            ("wrong_state", PowerState::Off)
        );
        assert!(m.events().drain().is_empty());
    }

    #[test]
    fn inject_into_a_machine_that_is_off_is_refused() {
        let m = mailbox(PowerState::Off);
        assert_eq!(
            m.inject(Input::PowerButton).unwrap_err().code(),
            "wrong_state"
        );
    }

    #[test]
    fn arrive_does_not_overtake_a_power_off() {
        let m = mailbox(PowerState::Off);
        m.request(PowerCommand::Start).unwrap();
        m.request(PowerCommand::PowerOff).unwrap();
        m.arrive(PowerState::Running);
        assert_eq!(m.power(), PowerState::Stopping);
        m.arrive(PowerState::Off);
        assert_eq!(m.power(), PowerState::Off);
    }

    #[test]
    fn close_refuses_everything_after() {
        let m = mailbox(PowerState::Off);
        m.close();
        assert_eq!(m.request(PowerCommand::Start).unwrap_err().code(), "closed");
        assert!(matches!(m.next_command(), Some(Command::Close)));
    }

    #[test]
    fn answer_of_a_drive_wakes_the_driver_once() {
        let m = mailbox(PowerState::Running);
        assert!(!m.take_answers());
        m.drive_answered();
        m.sleep(None);
        assert!(m.take_answers() && !m.take_answers());
    }

    #[test]
    fn calls_are_up_exactly_while_commands_wait() {
        let m = mailbox(PowerState::Running);
        let calls = m.calls();
        let up = || calls.load(Ordering::Relaxed);
        m.inject(Input::PowerButton).unwrap();
        assert!(!up());
        m.request(PowerCommand::Pause).unwrap();
        m.close();
        assert!(up());
        assert!(m.next_command().is_some() && up());
        assert!(m.next_command().is_some() && !up());
    }

    #[test]
    fn flag_goes_down_when_everything_is_taken() {
        let m = mailbox(PowerState::Running);
        m.inject(Input::Key {
            code: 1,
            down: true,
        })
        .unwrap();
        assert!(m.next_command().is_none() && m.has_mail());
        let _ = m.next_input(Stamp {
            retired: 0,
            virtual_ns: 0,
        });
        assert!(m.next_command().is_none() && !m.has_mail());
    }
}
