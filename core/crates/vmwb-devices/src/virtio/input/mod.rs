//! The virtio input device, as an absolute pointer: a tablet. Source: Virtual I/O Device specification 1.2, section 5.8.
//!
//! Owns where the pointer is, what the driver has been told of it, and the events on their way. Position, buttons and
//! wheel come in by [`VirtioTablet::pointer`]; each change becomes one report that ends in SYN. A guest that does not
//! fetch its events loses what lies between, never the last position and the buttons' last state.
//!
//! | Configuration offset | Field |
//! |---|---|
//! | 0, 1 | `select`, `subsel`: written by the driver |
//! | 2 | `size` of what is selected, 0: nothing |
//! | 8 | the data: name, serial number, identity, codes of KEY, REL and ABS, ranges of X and Y (0 to 32,767) |
//!
//! It has no INPUT_PROP bits: with buttons and no touch, evdev's users (libinput, Xorg) take it for an absolute mouse.
//!
//! | Left out | Why |
//! |---|---|
//! | A virtio keyboard | the i8042's is in every guest |
//! | Status events | a pointer has no lamps; they are handed back |
//!
//! | Threat | Answer |
//! |---|---|
//! | A guest that fetches no events | at most 256 wait |
//! | Buffers that are too short | the device asks for a reset |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{PointerV1, VirtioInputV1};

use std::collections::VecDeque;

use vmwb_hw::{Ctx, IrqLine, SnapshotError};

use super::{QueueFault, QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};
use regs::{
    ABS_X, ABS_Y, AXIS_MAX, BTN_LEFT, BUS_VIRTUAL, BUTTONS, CFG_ABS_INFO, CFG_EV_BITS,
    CFG_ID_DEVIDS, CFG_ID_NAME, CFG_ID_SERIAL, CONFIG_BYTES, CONFIG_DATA, EV_ABS, EV_KEY, EV_REL,
    EV_SYN, EVENT_BYTES, MAX_REPORT, MAX_WAITING, QUEUE_SIZE, REL_WHEEL,
};

const NAME: &[u8] = b"VM Workbench Tablet";
/// Vendor, product, version of the identity.
const IDENTITY: [u16; 3] = [0x1AF4, 3, 1];
/// Queue of events to the driver.
const EVENTS: usize = 0;

/// A virtio tablet.
pub type VirtioTablet = VirtioPci<Tablet>;

/// Position and buttons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Pointer {
    x: u16,
    y: u16,
    buttons: u8,
}

/// One event as the guest sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Event {
    kind: u16,
    code: u16,
    value: u32,
}

/// What is behind the queues. See the module's head.
#[derive(Debug, Default)]
pub struct Tablet {
    select: u8,
    subsel: u8,
    /// Where the pointer is.
    now: Pointer,
    /// Wheel steps that have not become events.
    wheel: i32,
    /// What the events so far say.
    told: Pointer,
    waiting: VecDeque<Event>,
}

impl Tablet {
    /// What is selected in the configuration.
    fn selected(&self) -> Vec<u8> {
        match (self.select, self.subsel) {
            (CFG_ID_NAME, 0) => NAME.to_vec(),
            (CFG_ID_SERIAL, 0) => b"1".to_vec(),
            (CFG_ID_DEVIDS, 0) => [BUS_VIRTUAL]
                .iter()
                .chain(&IDENTITY)
                .flat_map(|n| n.to_le_bytes())
                .collect(),
            (CFG_EV_BITS, kind) => bitmap(u16::from(kind)),
            (CFG_ABS_INFO, axis) if u16::from(axis) <= ABS_Y => {
                let info = [0, u32::from(AXIS_MAX), 0, 0, 0];
                info.iter().flat_map(|n| n.to_le_bytes()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Makes one report of what has changed, when there is room for it.
    fn report(&mut self) {
        if self.waiting.len() + MAX_REPORT > MAX_WAITING {
            return;
        }
        let (now, told) = (self.now, self.told);
        let mut events = Vec::with_capacity(MAX_REPORT);
        for (code, new, old) in [(ABS_X, now.x, told.x), (ABS_Y, now.y, told.y)] {
            if new != old {
                events.push((EV_ABS, code, u32::from(new)));
            }
        }
        for button in 0..BUTTONS {
            let (new, old) = (now.buttons >> button & 1, told.buttons >> button & 1);
            if new != old {
                events.push((EV_KEY, BTN_LEFT + button, u32::from(new)));
            }
        }
        if self.wheel != 0 {
            events.push((EV_REL, REL_WHEEL, self.wheel.cast_unsigned()));
        }
        if !events.is_empty() {
            events.push((EV_SYN, 0, 0));
        }
        self.told = now;
        self.wheel = 0;
        let event = |(kind, code, value)| Event { kind, code, value };
        self.waiting.extend(events.into_iter().map(event));
    }

    /// Moves events into the driver's buffers.
    fn deliver(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        // A driver that comes up later is told where the pointer is then.
        if !t.is_running() {
            return;
        }
        self.report();
        for _ in 0..t.size(EVENTS) {
            let Some(&event) = self.waiting.front() else {
                break;
            };
            let Some(chain) = t.pop(ctx, EVENTS) else {
                break;
            };
            if chain.writable_bytes() < EVENT_BYTES as u64 {
                t.fail(ctx, EVENTS, QueueFault::BadRequest);
                break;
            }
            self.waiting.pop_front();
            if t.fill(ctx, EVENTS, &chain, 0, &event.bytes()) {
                t.push(ctx, EVENTS, &chain, 8);
            }
            if self.waiting.is_empty() {
                // What found no room before.
                self.report();
            }
        }
        t.signal(ctx, EVENTS);
    }
}

impl Event {
    fn bytes(self) -> [u8; EVENT_BYTES] {
        let mut bytes = [0; EVENT_BYTES];
        bytes[..2].copy_from_slice(&self.kind.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.code.to_le_bytes());
        bytes[4..].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }
}

/// The codes of an event type, one bit each; empty for types that there are not.
fn bitmap(kind: u16) -> Vec<u8> {
    let codes = match kind {
        EV_KEY => BTN_LEFT..BTN_LEFT + BUTTONS,
        EV_REL => REL_WHEEL..REL_WHEEL + 1,
        EV_ABS => ABS_X..ABS_Y + 1,
        _ => 0..0,
    };
    let mut bits = vec![0; usize::from(codes.end.div_ceil(8))];
    for code in codes {
        bits[usize::from(code / 8)] |= 1 << (code % 8);
    }
    bits
}

impl VirtioFunction for Tablet {
    const TYPE: u16 = 18;
    // Input device, other.
    const CLASS: u32 = 0x09_8000;
    const CHANGING_FEATURES: u64 = 0;
    type Saved = VirtioInputV1;

    fn features(&self) -> u64 {
        0
    }

    fn queues(&self) -> Vec<QueueSpec> {
        let spec = QueueSpec {
            size: QUEUE_SIZE,
            max_chain_bytes: 4096,
        };
        vec![spec; 2]
    }

    fn config(&self, _transport: &Transport) -> Vec<u8> {
        let data = self.selected();
        let mut image = vec![0; CONFIG_BYTES];
        image[..2].copy_from_slice(&[self.select, self.subsel]);
        image[2] = u8::try_from(data.len()).unwrap_or(0);
        image[CONFIG_DATA..CONFIG_DATA + data.len()].copy_from_slice(&data);
        image
    }

    fn config_write(&mut self, _transport: &Transport, offset: usize, bytes: &[u8]) {
        for (at, &byte) in (offset..).zip(bytes) {
            match at {
                0 => self.select = byte,
                1 => self.subsel = byte,
                _ => {}
            }
        }
    }

    fn serve(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize) {
        if queue == EVENTS {
            self.deliver(ctx, t);
            return;
        }
        for _ in 0..t.size(queue) {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            t.push(ctx, queue, &chain, 0);
        }
        t.signal(ctx, queue);
    }

    fn reset_queue(&mut self, _queue: usize) {}

    fn reset(&mut self) {
        // The pointer stays where it is; a new driver hears of it anew.
        self.select = 0;
        self.subsel = 0;
        self.wheel = 0;
        self.told = Pointer::default();
        self.waiting.clear();
    }

    fn bus_reset(&mut self) {
        self.now = Pointer::default();
    }

    fn save(&self, transport: TransportV1) -> Result<VirtioInputV1, SnapshotError> {
        Ok(self.to_v1(transport))
    }

    fn restore(&mut self, saved: VirtioInputV1) -> Result<TransportV1, SnapshotError> {
        self.take_v1(saved)
    }
}

impl VirtioPci<Tablet> {
    /// A tablet as after power-on. `name` is its instance name, `irq` its interrupt pin.
    #[must_use]
    pub fn new(name: &str, irq: IrqLine) -> Self {
        Self::with(name, irq, Tablet::default())
    }

    /// The pointer is at `x`, `y` (0 to 32,767 over the whole screen, cut to that), with these buttons down (bit 0 left,
    /// 1 right, 2 middle), and the wheel has moved by `wheel` steps (positive: away from the user).
    pub fn pointer(&mut self, ctx: &mut Ctx<'_>, (x, y): (u16, u16), buttons: u8, wheel: i32) {
        let tablet = &mut self.function;
        tablet.now = Pointer {
            x: x.min(AXIS_MAX),
            y: y.min(AXIS_MAX),
            buttons: buttons & 7,
        };
        if self.transport.is_running() {
            tablet.wheel = tablet.wheel.saturating_add(wheel);
        }
        tablet.deliver(ctx, &mut self.transport);
    }

    /// Whether a driver in the guest listens: the guest then follows this pointer.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.transport.is_running()
    }
}
