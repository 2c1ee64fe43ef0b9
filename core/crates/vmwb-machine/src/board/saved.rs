//! The board's own saved state: what waits between the outside and the devices.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use vmwb_devices::coprocessor;
use vmwb_hw::{Payload, Schema, SnapshotError};
use vmwb_snapshot::Container;

use super::Board;
use super::inputs::{MAX_PENDING_KEYS, MAX_PENDING_SERIAL};
use super::lines::LinesV1;

/// Saved state of the board.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoardV1 {
    /// Serial characters that wait for room, one list a port.
    pub pending_serial: Vec<Vec<u8>>,
    /// Keys that wait for room: set-1 make code and whether it goes down.
    pub pending_keys: Vec<(u16, bool)>,
}

impl Schema for BoardV1 {
    const KIND: &'static str = "board";
    const VERSION: u32 = 1;
}

/// Saved state of the guest's address space that no device owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressSpaceV1 {
    /// Address line 20 is open.
    pub a20: bool,
}

impl Schema for AddressSpaceV1 {
    const KIND: &'static str = "address_space";
    const VERSION: u32 = 1;
}

impl Board {
    /// Adds the state of every device, of the clock and of the board itself. The clock stands still.
    ///
    /// # Errors
    /// Only when something cannot be encoded.
    pub fn save(&mut self, retired: u64, into: &mut Container) -> Result<(), SnapshotError> {
        self.drain_drives(retired);
        for device in self.devices.all() {
            into.push(device.save()?);
        }
        into.push(self.clock.save(retired)?);
        let own = BoardV1 {
            pending_serial: self
                .pending_serial
                .iter()
                .map(|q| q.iter().copied().collect())
                .collect(),
            pending_keys: self.pending_keys.iter().copied().collect(),
        };
        into.push(Payload::encode("board", &own)?);
        into.push(Payload::encode("lines", &self.devices.irq.save_lines())?);
        let space = AddressSpaceV1 {
            a20: self.common.memory.a20(),
        };
        into.push(Payload::encode(AddressSpaceV1::KIND, &space)?);
        Ok(())
    }

    /// Takes over a saved state into a board that was just built from the same definition.
    ///
    /// # Errors
    /// What is wrong with it; the board is then useless.
    pub fn restore(&mut self, retired: u64, from: &mut Container) -> Result<(), SnapshotError> {
        self.clock.restore(&from.take("clock")?, retired)?;
        let now = self.clock.now(retired);
        let mut ctx = self.common.ctx(now);
        for device in self.devices.all() {
            match from.take(device.name()) {
                Ok(payload) => device.restore(&mut ctx, &payload)?,
                // States of versions up to 0.2 have no latch: it stays as after power-on.
                Err(SnapshotError::Missing(_)) if device.name() == coprocessor::NAME => {}
                Err(other) => return Err(other),
            }
        }
        let a20 = match from.take(AddressSpaceV1::KIND) {
            Ok(payload) => payload.decode::<AddressSpaceV1>()?.a20,
            // In states of versions up to 0.2 the line could not be closed.
            Err(SnapshotError::Missing(_)) => true,
            Err(other) => return Err(other),
        };
        self.common.memory.set_a20(a20);
        let own: BoardV1 = from.take("board")?.decode()?;
        if own.pending_serial.len() != self.pending_serial.len() {
            return Err(SnapshotError::damaged(
                BoardV1::KIND,
                "it has other serial ports",
            ));
        }
        if own
            .pending_serial
            .iter()
            .any(|q| q.len() > MAX_PENDING_SERIAL)
            || own.pending_keys.len() > MAX_PENDING_KEYS
        {
            return Err(SnapshotError::damaged(
                BoardV1::KIND,
                "more input waits than can",
            ));
        }
        self.pending_serial = own.pending_serial.into_iter().map(VecDeque::from).collect();
        self.pending_keys = own.pending_keys.into();
        self.event_timers = self.devices.event_timers_lead();
        let lines = match from.take("lines") {
            Ok(payload) => Some(payload.decode::<LinesV1>()?),
            // States of versions up to 0.3 have none: no two devices shared an input.
            Err(SnapshotError::Missing(_)) => None,
            Err(other) => return Err(other),
        };
        let routes = self.devices.pirq_routes();
        self.devices.irq.restore_lines(lines.as_ref(), routes);
        // Lines are saved by the controllers that see them; what devices reported while they were restored is old news.
        self.common.lines.drain();
        self.common.lines.drain_messages();
        self.common.power = None;
        self.windows.rebuild(&self.devices);
        self.settle(now, None);
        Ok(())
    }
}
