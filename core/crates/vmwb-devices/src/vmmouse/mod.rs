//! The absolute pointer of VMware machines, which stock guests know. Sources: see [`regs`].
//!
//! Owns a queue of packets and nothing else of the backdoor. A call is an `IN EAX, DX` at port 5658h with a magic number
//! in EAX; it reads and writes registers of the processor, which the processor hands over ([`VmMouse::backdoor`]). There
//! is no interrupt: after [`VmMouse::position`] or [`VmMouse::movement`], and while a driver leaves packets behind, the
//! board lets the PS/2 mouse send a report (`pointer_nudge`), and the driver then looks here.
//!
//! | ECX | Call |
//! |---|---|
//! | 10 | version: 6 in EAX, the magic in EBX, the product in ECX |
//! | 39 | takes EBX words (1 to 6) from the queue into EAX, EBX, ECX, EDX, ESI, EDI |
//! | 40 | EAX: error in the high half, words in the queue in the low one |
//! | 41 | EBX: enable, disable, positions, movement |
//! | 86 | restrict to a privilege level: accepted without effect |
//!
//! | Left out | Why |
//! |---|---|
//! | Every other command of the backdoor | answered with all ones in EAX, as an old product would |
//! | Restriction of the caller | the device does not see who calls; nothing here tells more than where the pointer is |
//!
//! | Threat | Answer |
//! |---|---|
//! | A guest that does not read | positions replace each other; at most 64 packets wait, further ones are dropped |
//! | Reads of more than there is | the pointer is switched off with an error, as its drivers expect |
//! | Restored queue | its length is checked |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::VmMouseV1;

use std::collections::VecDeque;

use vmwb_hw::{Ctx, Device, Payload, ResetKind, SnapshotError};

use regs::{
    COMMAND, DISABLE, ENABLE, GET_VERSION, LEFT, MAGIC, MAX_PACKETS, MIDDLE, PACKET_WORDS,
    POINTER_COMMAND, POINTER_DATA, POINTER_RESTRICT, POINTER_STATUS, POINTER_VERSION, PRODUCT,
    REGISTERS, RELATIVE, REQUEST_ABSOLUTE, REQUEST_RELATIVE, RIGHT, STATUS_ERROR, UNKNOWN, VERSION,
    register::{EAX, EBX, ECX},
};

/// The pointer. See the module for its calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VmMouse {
    enabled: bool,
    absolute: bool,
    queue: VecDeque<u32>,
}

impl VmMouse {
    /// A pointer that no driver has switched on.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a driver listens.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Whether a driver listens for positions: only then can the host's pointer and the guest's be one.
    #[must_use]
    pub fn absolute(&self) -> bool {
        self.enabled && self.absolute
    }

    /// A call: EAX, EBX, ECX, EDX, ESI, EDI with the magic in EAX. The answer replaces them. Says whether a driver has
    /// fetched a packet and left another one: it is to be interrupted once more, for drivers that fetch one at a time.
    #[must_use]
    pub fn backdoor(&mut self, registers: &mut [u32; REGISTERS]) -> bool {
        let command = registers[ECX] & COMMAND;
        self.call(command, registers);
        command == POINTER_DATA && self.queue.len() >= PACKET_WORDS
    }

    fn call(&mut self, command: u32, registers: &mut [u32; REGISTERS]) {
        match command {
            GET_VERSION => {
                (registers[EAX], registers[EBX], registers[ECX]) = (VERSION, MAGIC, PRODUCT);
            }
            POINTER_DATA => self.data(registers),
            POINTER_STATUS => registers[EAX] = self.status(),
            POINTER_COMMAND => match registers[EBX] {
                ENABLE => {
                    self.enabled = true;
                    self.queue = VecDeque::from([POINTER_VERSION]);
                }
                DISABLE => self.disable(),
                REQUEST_RELATIVE | REQUEST_ABSOLUTE => {
                    self.absolute = registers[EBX] == REQUEST_ABSOLUTE;
                }
                _ => registers[EAX] = UNKNOWN,
            },
            POINTER_RESTRICT => {}
            _ => registers[EAX] = UNKNOWN,
        }
    }

    fn status(&self) -> u32 {
        let words = u32::try_from(self.queue.len()).unwrap_or(0);
        if self.enabled { words } else { STATUS_ERROR }
    }

    fn data(&mut self, registers: &mut [u32; REGISTERS]) {
        let words = usize::try_from(registers[EBX]).unwrap_or(usize::MAX);
        if words == 0 || words > registers.len() || words > self.queue.len() {
            self.disable();
            return;
        }
        for (register, word) in registers.iter_mut().zip(self.queue.drain(..words)) {
            *register = word;
        }
    }

    fn disable(&mut self) {
        *self = Self::new();
    }

    /// The pointer is at `x`, `y` (0 to 65535 over the screen's width and height), its wheel turns away from the user;
    /// `buttons` bit 0 left, 1 right, 2 middle are down. Says whether a driver has news to fetch.
    pub fn position(&mut self, x: u16, y: u16, wheel: i32, buttons: u8) -> bool {
        if !self.absolute() {
            return false;
        }
        let buttons = encoded(buttons);
        let (x, y) = (u32::from(x), u32::from(y));
        if wheel == 0 && self.replace_last(buttons, x, y) {
            return true;
        }
        self.push([buttons, x, y, wheel_word(wheel)])
    }

    /// The mouse moves by counts, to the right and downwards, for a driver that listens. Otherwise as
    /// [`VmMouse::position`].
    pub fn movement(&mut self, dx: i32, dy: i32, wheel: i32, buttons: u8) -> bool {
        let word = |n: i32| u32::from_le_bytes(n.to_le_bytes());
        let buttons = encoded(buttons) | RELATIVE;
        let packet = [
            buttons,
            word(dx),
            word(dy.saturating_neg()),
            wheel_word(wheel),
        ];
        self.enabled && self.push(packet)
    }

    /// A position that was not fetched yet and differs in nothing else gives way to the new one.
    fn replace_last(&mut self, buttons: u32, x: u32, y: u32) -> bool {
        let whole =
            self.queue.len() >= PACKET_WORDS && self.queue.len().is_multiple_of(PACKET_WORDS);
        let last = self.queue.len().saturating_sub(PACKET_WORDS);
        let same = whole && self.queue[last] == buttons && self.queue[last + 3] == 0;
        if same {
            (self.queue[last + 1], self.queue[last + 2]) = (x, y);
        }
        same
    }

    fn push(&mut self, packet: [u32; PACKET_WORDS]) -> bool {
        if self.queue.len() + PACKET_WORDS <= MAX_PACKETS * PACKET_WORDS {
            self.queue.extend(packet);
        }
        true
    }
}

/// On this wire the wheel counts towards the user.
fn wheel_word(wheel: i32) -> u32 {
    let turns = -wheel.clamp(-127, 127);
    u32::from_le_bytes(turns.to_le_bytes())
}

fn encoded(buttons: u8) -> u32 {
    [LEFT, RIGHT, MIDDLE]
        .iter()
        .enumerate()
        .filter(|(n, _)| buttons & 1 << n != 0)
        .fold(0, |all, (_, bit)| all | bit)
}

impl Device for VmMouse {
    fn name(&self) -> &str {
        "vmmouse"
    }

    fn reset(&mut self, _ctx: &mut Ctx<'_>, _kind: ResetKind) {
        self.disable();
    }

    fn save(&self) -> Result<Payload, SnapshotError> {
        Payload::encode(self.name(), &VmMouseV1::from(self))
    }

    fn restore(&mut self, _ctx: &mut Ctx<'_>, payload: &Payload) -> Result<(), SnapshotError> {
        *self = Self::try_from(payload.decode::<VmMouseV1>()?)?;
        Ok(())
    }
}
