//! Inputs from outside on their way to devices. What finds no room waits in the board; beyond a bound it is lost, as
//! with real hardware.

use std::collections::VecDeque;

use vmwb_devices::acpi::Waker;
use vmwb_devices::virtio::input::VirtioTablet;
use vmwb_devices::vmmouse::VmMouse;
use vmwb_hw::Nanos;

use super::Board;
use crate::input::Input;
use crate::spec::CONSOLE_PORT;

/// Serial characters that wait in the board for room in one UART.
pub(super) const MAX_PENDING_SERIAL: usize = 2 << 20;
/// Keys that wait in the board for room in the keyboard.
pub(super) const MAX_PENDING_KEYS: usize = 8192;

/// What this input means to a guest that sleeps: keys and buttons wake it, the pointer on its way does not.
fn waker(input: &Input) -> Option<Waker> {
    match *input {
        Input::PowerButton => Some(Waker::PowerButton),
        Input::Key { down: true, .. } => Some(Waker::Key),
        Input::Motion { buttons, .. } | Input::Position { buttons, .. } if buttons != 0 => {
            Some(Waker::Key)
        }
        _ => None,
    }
}

impl Board {
    /// Brings an input from outside to its device. What finds no room waits here; beyond a bound it is lost, as with
    /// real hardware. A guest that sleeps gets none; it may be woken.
    pub fn deliver(&mut self, input: Input, retired: u64) {
        let now = self.clock.now(retired);
        if self.is_asleep() {
            if let Some(waker) = waker(&input) {
                self.wake(now, waker);
            }
            return;
        }
        match input {
            Input::Key { code, down } => {
                if self.pending_keys.len() < MAX_PENDING_KEYS {
                    self.pending_keys.push_back((code, down));
                }
            }
            Input::Serial { port, data } => {
                let place = self.queue_of(port);
                if let Some(queue) = self.pending_serial.get_mut(place)
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
        self.feed_console(now);
        self.settle(now, None);
    }

    /// Raises the chipset's non-maskable interrupt, as a button on the board would: an edge at LINT1 of every processor.
    /// `false`: the guest has masked it (port 70h, bit 7), and nothing happens.
    pub fn raise_nmi(&mut self, retired: u64) -> bool {
        if self.devices.rtc.nmi_masked() {
            return false;
        }
        for lapic in &mut self.devices.irq.lapics {
            lapic.set_lint1(true);
            lapic.set_lint1(false);
        }
        let now = self.clock.now(retired);
        self.settle(now, None);
        true
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

    /// Where the characters for a port wait; no list has the number that a port gets which is not there.
    fn queue_of(&self, port: u8) -> usize {
        let ports = self.devices.uarts.len();
        match usize::from(port) {
            n if n < ports => n,
            _ if port == CONSOLE_PORT => ports,
            _ => usize::MAX,
        }
    }

    /// Hands the virtio console as many characters as it has room for.
    pub(super) fn feed_console(&mut self, now: Nanos) {
        let (Some(queue), Some(console)) = (
            self.pending_serial.get_mut(self.devices.uarts.len()),
            self.devices.virtio.console.as_mut(),
        ) else {
            return;
        };
        if !queue.is_empty() {
            let bytes: Vec<u8> = queue.iter().copied().take(console.room(0)).collect();
            let taken = console.receive(&mut self.common.ctx(now), 0, &bytes);
            queue.drain(..taken);
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
