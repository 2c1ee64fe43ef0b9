//! Inputs from outside on their way to devices. What finds no room waits in the board; beyond a bound it is lost, as
//! with real hardware.

use std::collections::VecDeque;

use vmwb_devices::virtio::input::VirtioTablet;
use vmwb_devices::vmmouse::VmMouse;
use vmwb_hw::Nanos;

use super::Board;
use crate::input::Input;

/// Serial characters that wait in the board for room in one UART.
pub(super) const MAX_PENDING_SERIAL: usize = 2 << 20;
/// Keys that wait in the board for room in the keyboard.
pub(super) const MAX_PENDING_KEYS: usize = 8192;

impl Board {
    /// Brings an input from outside to its device. What finds no room waits here; beyond a bound it is lost, as with
    /// real hardware.
    pub fn deliver(&mut self, input: Input, retired: u64) {
        let now = self.clock.now(retired);
        match input {
            Input::Key { code, down } => {
                if self.pending_keys.len() < MAX_PENDING_KEYS {
                    self.pending_keys.push_back((code, down));
                }
            }
            Input::Serial { port, data } => {
                if let Some(queue) = self.pending_serial.get_mut(usize::from(port))
                    && queue.len() + data.len() <= MAX_PENDING_SERIAL
                {
                    queue.extend(data);
                }
            }
            Input::Motion {
                dx,
                dy,
                wheel,
                buttons,
            } => self.pointer_moves(now, (dx, dy), wheel, buttons),
            Input::Position {
                x,
                y,
                wheel,
                buttons,
            } => self.pointer_is_at(now, (x, y), wheel, buttons),
            Input::PowerButton => {
                let mut ctx = self.common.ctx(now);
                let heard = self.devices.acpi.press_power_button(&mut ctx);
                if !heard {
                    self.messages.push(
                        "the guest does not listen to the power button: nothing may happen"
                            .to_owned(),
                    );
                }
            }
        }
        self.feed_keys(now);
        for n in 0..self.pending_serial.len() {
            self.feed_serial(now, n);
        }
        self.settle(now, None);
    }

    /// Serial characters that wait for the guest, over all ports.
    #[must_use]
    pub fn waiting_serial_bytes(&self) -> usize {
        self.pending_serial.iter().map(VecDeque::len).sum()
    }

    /// Whether the guest takes positions of the pointer; else it takes movements only.
    #[must_use]
    pub fn pointer_is_absolute(&self) -> bool {
        let tablet = self.devices.virtio.input.as_ref();
        let vmmouse = self.devices.pc.as_ref().map(|pc| &pc.vmmouse);
        tablet.is_some_and(VirtioTablet::is_in_use) || vmmouse.is_some_and(VmMouse::absolute)
    }

    fn pointer_moves(&mut self, now: Nanos, (dx, dy): (i32, i32), wheel: i32, buttons: u8) {
        let mut ctx = self.common.ctx(now);
        let vmmouse = self.devices.pc.as_mut().map(|pc| &mut pc.vmmouse);
        if vmmouse.is_some_and(|m| m.enabled() && m.movement(dx, dy, wheel, buttons)) {
            self.devices.keyboard.pointer_nudge(&mut ctx);
        } else {
            let keyboard = &mut self.devices.keyboard;
            keyboard.pointer_motion(&mut ctx, dx, dy, wheel, buttons);
        }
    }

    fn pointer_is_at(&mut self, now: Nanos, (x, y): (u16, u16), wheel: i32, buttons: u8) {
        let mut ctx = self.common.ctx(now);
        if let Some(tablet) = self.devices.virtio.input.as_mut().filter(|t| t.is_in_use()) {
            // The tablet counts half as far as a position of the host's.
            tablet.pointer(&mut ctx, (x / 2, y / 2), buttons, wheel);
            return;
        }
        let vmmouse = self.devices.pc.as_mut().map(|pc| &mut pc.vmmouse);
        if vmmouse.is_some_and(|m| m.position(x, y, wheel, buttons)) {
            self.devices.keyboard.pointer_nudge(&mut ctx);
        }
    }

    pub(super) fn feed_serial(&mut self, now: Nanos, n: usize) {
        let (Some(queue), Some(uart)) = (
            self.pending_serial.get_mut(n),
            self.devices.uarts.get_mut(n),
        ) else {
            return;
        };
        if queue.is_empty() || !uart.wants_input() {
            return;
        }
        let bytes: Vec<u8> = queue.iter().copied().take(uart.room()).collect();
        let mut ctx = self.common.ctx(now);
        let taken = uart.receive(&mut ctx, &bytes);
        queue.drain(..taken);
    }

    pub(super) fn feed_keys(&mut self, now: Nanos) {
        while !self.pending_keys.is_empty() && self.devices.keyboard.wants_keys() {
            let Some((code, down)) = self.pending_keys.pop_front() else {
                return;
            };
            let mut ctx = self.common.ctx(now);
            self.devices.keyboard.key(&mut ctx, code, down);
        }
    }
}
