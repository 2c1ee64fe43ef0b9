//! Saved state: the driver's part, which puts board, processor, inputs and RAM together.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Instant;

use vmwb_snapshot::{Container, MAX_CONTAINER_BYTES, Payload, SnapshotError};

use super::stats::Statistics;
use super::{Driver, Powered};
use crate::error::MachineError;
use crate::mailbox::SaveFiles;
use crate::power::PowerState;
use crate::ram;
use crate::state::{InputV1, MachineV1};

impl Driver {
    /// Takes over a saved state; the machine is paused afterwards.
    ///
    /// # Errors
    /// What is wrong with the state.
    pub fn restore(&mut self, state: &[u8], ram: &File) -> Result<(), MachineError> {
        let mut from = Container::from_bytes(state)?;
        let saved: MachineV1 = from.take("machine")?.decode()?;
        saved.check(&self.parts.spec)?;
        let mut board = self.new_board()?;
        let mut vcpu = self.new_processors()?;
        vcpu.restore(&mut from)?;
        let retired = vcpu.retired();
        board.restore(retired, &mut from)?;
        let inputs: InputV1 = from.take("input")?.decode()?;
        from.finish()?;
        self.parts.mailbox.restore_inputs(inputs.waiting)?;
        ram::restore(&self.parts.memory, ram)?;
        self.parts.mailbox.set_retired(retired);
        let statistics = Statistics::new(retired);
        self.powered = Some(Powered {
            board,
            vcpu,
            statistics,
            board_messages: 0,
            pointer_absolute: false,
            asleep: false,
            speaker: super::Speaker::default(),
        });
        self.update_display(Instant::now());
        Ok(())
    }

    /// Carries out a save; the machine is suspended afterwards, or paused again when it failed.
    pub(super) fn save(&mut self, files: &SaveFiles) -> Result<(), MachineError> {
        if self.parts.mailbox.power() != PowerState::Suspending {
            return Err(MachineError::WrongState(
                "The machine was switched off meanwhile.",
            ));
        }
        let result = self.write_state(files);
        let state = if result.is_ok() {
            PowerState::Suspended
        } else {
            PowerState::Paused
        };
        self.parts.mailbox.arrive(state);
        result
    }

    fn write_state(&mut self, files: &SaveFiles) -> Result<(), MachineError> {
        let Some(powered) = &mut self.powered else {
            return Err(MachineError::WrongState(
                "The machine is off; there is nothing to save.",
            ));
        };
        let mut into = Container::new();
        into.push(Payload::encode(
            "machine",
            &MachineV1::of(&self.parts.spec),
        )?);
        powered.vcpu.save(&mut into)?;
        powered.board.save(powered.vcpu.retired(), &mut into)?;
        let waiting = self.parts.mailbox.waiting_inputs();
        into.push(Payload::encode("input", &InputV1 { waiting })?);
        let bytes = into.to_bytes()?;
        crate::state::write_all(&files.devices, &bytes)?;
        ram::save(&self.parts.memory, &files.ram)
    }
}

/// Reads a whole state file, bounded.
///
/// # Errors
/// It is larger than any real one, or cannot be read.
pub fn read_state(file: &File) -> Result<Vec<u8>, MachineError> {
    let host = || MachineError::host("The saved state could not be read");
    let len = file.metadata().map_err(host())?.len();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_CONTAINER_BYTES {
        return Err(
            SnapshotError::NotAContainer("it is larger than any real one".to_owned()).into(),
        );
    }
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, 0).map_err(host())?;
    Ok(bytes)
}
