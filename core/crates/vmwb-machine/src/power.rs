//! The power-state table: which request is allowed in which state, and the sentence that refuses it otherwise.
//!
//! Policy only: nothing here starts or stops anything. The state driver asks [`decide`] and then acts. The Python side
//! has the same table; a contract test compares it with [`table_json`].
//!
//! ```text
//!           start                    pause                suspend
//!   off ----------> starting -> running <----> pausing/resuming/paused ----> suspending -> suspended
//!    ^                            |   ^                                                        |
//!    |        power_off           |   `-------------------- resuming <------ resume -----------'
//!    `------- stopping <----------+
//!                 ^               v
//!                 `----------- crashed   (start runs the machine again)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a machine is doing, as the user sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// No guest runs and no state is kept.
    Off,
    /// The guest is being loaded.
    Starting,
    /// The guest runs (or sleeps in HLT).
    Running,
    /// A pause was asked for and takes effect at the next instruction boundary.
    Pausing,
    /// The guest stands still; its time stands still with it.
    Paused,
    /// The state is being written.
    Suspending,
    /// The state is on disk and no guest runs.
    Suspended,
    /// The guest is about to run on.
    Resuming,
    /// The guest is being switched off.
    Stopping,
    /// The guest cannot run on.
    Crashed,
}

/// What somebody may ask of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerCommand {
    /// Power on.
    Start,
    /// Stand still.
    Pause,
    /// Run on.
    Resume,
    /// Write the state to disk and end the run.
    Suspend,
    /// Press the reset button.
    Reset,
    /// Press the ACPI power button: the guest decides what to do.
    PowerButton,
    /// Pull the plug.
    PowerOff,
    /// Change what stands still: a debugger's single step, a register or memory set by hand.
    Step,
}

/// Every state, in the order of the table.
pub const STATES: [PowerState; 10] = [
    PowerState::Off,
    PowerState::Starting,
    PowerState::Running,
    PowerState::Pausing,
    PowerState::Paused,
    PowerState::Suspending,
    PowerState::Suspended,
    PowerState::Resuming,
    PowerState::Stopping,
    PowerState::Crashed,
];

/// Every command, in the order of the table.
pub const COMMANDS: [PowerCommand; 8] = [
    PowerCommand::Start,
    PowerCommand::Pause,
    PowerCommand::Resume,
    PowerCommand::Suspend,
    PowerCommand::Reset,
    PowerCommand::PowerButton,
    PowerCommand::PowerOff,
    PowerCommand::Step,
];

impl PowerState {
    /// The state's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Pausing => "pausing",
            Self::Paused => "paused",
            Self::Suspending => "suspending",
            Self::Suspended => "suspended",
            Self::Resuming => "resuming",
            Self::Stopping => "stopping",
            Self::Crashed => "crashed",
        }
    }
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PowerCommand {
    /// The command's name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Suspend => "suspend",
            Self::Reset => "reset",
            Self::PowerButton => "power_button",
            Self::PowerOff => "power_off",
            Self::Step => "step",
        }
    }
}

/// Decides about one request: the state that the machine enters at once, or the sentence that refuses it.
///
/// # Errors
/// A sentence for the user that says why not, and what to do instead.
pub fn decide(state: PowerState, command: PowerCommand) -> Result<PowerState, &'static str> {
    use PowerCommand as C;
    use PowerState as S;
    match (state, command) {
        (S::Off | S::Crashed, C::Start) => Ok(S::Starting),
        (S::Suspended | S::Paused, C::Resume) => Ok(S::Resuming),
        (S::Running, C::Pause) => Ok(S::Pausing),
        (S::Running | S::Paused, C::Suspend) => Ok(S::Suspending),
        (S::Running, C::Reset | C::PowerButton) => Ok(S::Running),
        (S::Paused, C::Reset | C::Step) => Ok(S::Paused),
        (
            S::Starting
            | S::Running
            | S::Pausing
            | S::Paused
            | S::Suspended
            | S::Resuming
            | S::Crashed,
            C::PowerOff,
        ) => Ok(S::Stopping),
        (state, command) => Err(refusal(state, command)),
    }
}

fn refusal(state: PowerState, command: PowerCommand) -> &'static str {
    use PowerCommand as C;
    use PowerState as S;
    match (state, command) {
        (S::Off, C::PowerOff) => "The machine is already off.",
        (S::Off, _) => "The machine is off; start it first.",
        (S::Suspended, _) => "The machine is suspended; resume it first.",
        (S::Starting, C::Start) => "The machine is already starting.",
        (S::Starting, _) => "The machine is still starting; wait until it runs.",
        (S::Running, C::Step) => "The machine is running; pause it first.",
        (S::Running, C::Start) => "The machine is already running.",
        (S::Running, _) => "The machine is not paused.",
        (S::Pausing, C::Pause) => "The machine is already pausing.",
        (S::Pausing, _) => "The machine is pausing; wait until it is paused.",
        (S::Paused, C::Pause) => "The machine is already paused.",
        (S::Paused, _) => "The machine is paused; resume it first.",
        (S::Suspending, _) => "The machine's state is being saved; wait until it is written.",
        (S::Resuming, _) => "The machine is resuming; wait until it runs.",
        (S::Stopping, _) => "The machine is being switched off; wait until it is off.",
        (S::Crashed, _) => "The machine has crashed; start it again.",
    }
}

/// The whole table as JSON: `{"states": [...], "commands": [...], "table": {state: {command: {"to": state} |
/// {"refused": sentence}}}}`.
#[must_use]
pub fn table_json() -> String {
    let mut table = serde_json::Map::new();
    for state in STATES {
        let mut row = serde_json::Map::new();
        for command in COMMANDS {
            let cell = match decide(state, command) {
                Ok(to) => serde_json::json!({ "to": to.name() }),
                Err(sentence) => serde_json::json!({ "refused": sentence }),
            };
            row.insert(command.name().to_owned(), cell);
        }
        table.insert(state.name().to_owned(), serde_json::Value::Object(row));
    }
    serde_json::json!({
        "states": STATES.map(PowerState::name),
        "commands": COMMANDS.map(PowerCommand::name),
        "table": table,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decide_power_off_is_allowed_wherever_a_guest_exists() {
        let allowed: Vec<_> = STATES
            .into_iter()
            .filter(|&s| decide(s, PowerCommand::PowerOff).is_ok())
            .collect();
        assert_eq!(
            allowed,
            [
                PowerState::Starting,
                PowerState::Running,
                PowerState::Pausing,
                PowerState::Paused,
                PowerState::Suspended,
                PowerState::Resuming,
                PowerState::Crashed
            ]
        );
    }

    #[test]
    fn decide_start_of_a_running_machine_is_refused_with_a_sentence() {
        let refused = decide(PowerState::Running, PowerCommand::Start);
        assert_eq!(refused, Err("The machine is already running."));
    }

    #[test]
    fn table_json_names_every_state_and_command() {
        let v: serde_json::Value = serde_json::from_str(&table_json()).unwrap();
        let cells: usize = v["table"]
            .as_object()
            .unwrap()
            .values()
            .map(|r| r.as_object().unwrap().len())
            .sum();
        assert_eq!(cells, STATES.len() * COMMANDS.len());
    }

    #[test]
    fn serde_names_equal_the_names_on_the_wire() {
        let json = STATES.map(|s| serde_json::to_value(s).unwrap());
        assert_eq!(
            json.map(|v| v.as_str().unwrap().to_owned()),
            STATES.map(|s| s.name().to_owned())
        );
    }
}
