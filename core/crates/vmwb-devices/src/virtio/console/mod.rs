//! The virtio console. Source: Virtual I/O Device specification 1.2, section 5.3.
//!
//! Owns each port's bytes on their way to the guest; what the guest sends goes to the port's [`CharBackend`] at once.
//! A port without a name is a console, always open at this end. A port with a name is a channel for a program in the
//! guest (`org.qemu.guest_agent.0` ...), open when both ends say so. One console port alone makes a plain device;
//! anything else offers MULTIPORT.
//!
//! | Queue | What it carries |
//! |---|---|
//! | 0, 1 | port 0: to the guest, from it |
//! | 2, 3 | control messages: to the driver, from it |
//! | 2 + 2n, 3 + 2n | port n |
//!
//! | Left out | Why |
//! |---|---|
//! | The console's size and its changes | drivers and devices in the field disagree on the order of columns and rows |
//! | Ports added or removed while the machine runs | a machine's channels are fixed |
//!
//! | Threat | Answer |
//! |---|---|
//! | The guest floods a port | handed on in pieces of 4 KiB; the backend drops what it has no room for |
//! | The guest floods the control queue | what is due to the driver is flags, not a list of messages |
//! | The host floods the guest | 4 KiB wait a port; [`VirtioConsole::room`] says how many more |
//! | Messages for ports that do not exist | ignored |

pub mod regs;
mod snapshot;
#[cfg(test)]
mod tests;

pub use snapshot::{ConsolePortV1, VirtioConsoleV1};

use std::collections::VecDeque;

use vmwb_hw::{CharBackend, Ctx, IrqLine, SnapshotError};

use super::{Chain, QueueFault, QueueSpec, Transport, TransportV1, VirtioFunction, VirtioPci};
use regs::{
    CONFIG_BYTES, CONSOLE_PORT, CONTROL_BYTES, CONTROL_RX, CONTROL_TX, DEVICE_READY, EMERG_WRITE,
    F_EMERG_WRITE, F_MULTIPORT, INPUT_BYTES, MAX_CHAIN_BYTES, MAX_NAME_BYTES, MAX_PORT_COUNT,
    MAX_PORTS, PORT_ADD, PORT_NAME, PORT_OPEN, PORT_READY, QUEUE_SIZE,
};

/// Bytes that are copied at a time.
const PIECE_BYTES: usize = 4096;

/// A virtio console with its ports.
pub type VirtioConsole = VirtioPci<Console>;

/// What a port is, for [`VirtioConsole::new`].
#[derive(Debug)]
pub struct ConsolePort {
    /// Name that the guest finds the port by, up to 64 bytes; `None`: a console.
    pub name: Option<String>,
    /// Where the guest's bytes go.
    pub backend: Box<dyn CharBackend>,
}

/// Control messages that are due to the driver: one flag each.
const DUE: [(u8, u16); 4] = [
    (1, PORT_ADD),
    (2, CONSOLE_PORT),
    (4, PORT_NAME),
    (8, PORT_OPEN),
];
/// All of them.
const DUE_MASK: u8 = 15;

fn due(event: u16) -> u8 {
    DUE.iter()
        .find(|&&(_, e)| e == event)
        .map_or(0, |&(flag, _)| flag)
}

#[derive(Debug)]
struct Port {
    name: Option<String>,
    backend: Box<dyn CharBackend>,
    /// Somebody listens at this end. Not saved: whoever comes after a restore says so again.
    host_open: bool,
    state: PortState,
}

/// What is saved of a port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct PortState {
    /// Bytes to the guest, oldest first.
    input: VecDeque<u8>,
    /// The driver has set the port up.
    ready: bool,
    /// A program in the guest has opened it.
    guest_open: bool,
    /// Control messages to send.
    due: u8,
}

impl Port {
    fn is_open_here(&self) -> bool {
        self.name.is_none() || self.host_open
    }

    fn is_open_there(&self) -> bool {
        self.name.is_none() || self.state.guest_open
    }
}

/// What is behind the queues. See the module's head.
#[derive(Debug)]
pub struct Console {
    ports: Vec<Port>,
}

fn input_queue(port: usize) -> usize {
    if port == 0 { 0 } else { 2 + 2 * port }
}

/// The port whose data `queue` carries; the control queues carry none.
fn port_of(queue: usize) -> Option<usize> {
    match queue {
        0 | 1 => Some(0),
        CONTROL_RX | CONTROL_TX => None,
        _ => Some(queue / 2 - 1),
    }
}

impl Console {
    fn is_multiport(&self) -> bool {
        self.ports.len() != 1 || self.ports[0].name.is_some()
    }

    /// Moves waiting bytes into the buffers that the driver has for the port.
    fn pump_input(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, port: usize) {
        let queue = input_queue(port);
        let Some(port) = self.ports.get_mut(port) else {
            return;
        };
        let input = &mut port.state.input;
        while !input.is_empty() {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            let room = usize::try_from(chain.writable_bytes()).unwrap_or(usize::MAX);
            if room == 0 {
                t.fail(ctx, queue, QueueFault::BadRequest);
                break;
            }
            let bytes: Vec<u8> = input.drain(..room.min(input.len())).collect();
            if t.fill(ctx, queue, &chain, 0, &bytes) {
                t.push(ctx, queue, &chain, u32::try_from(bytes.len()).unwrap_or(0));
            }
        }
        t.signal(ctx, queue);
    }

    /// Hands on what the guest has sent to the port.
    fn pump_output(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize, port: usize) {
        let Some(port) = self.ports.get_mut(port) else {
            return;
        };
        for _ in 0..t.size(queue) {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            let sent = if port.is_open_here() {
                send(ctx, &chain, port.backend.as_mut())
            } else {
                Ok(())
            };
            if t.check(ctx, queue, sent).is_none() {
                break;
            }
            t.push(ctx, queue, &chain, 0);
        }
        t.signal(ctx, queue);
    }

    /// Sends control messages that are due, as far as the driver has buffers.
    fn pump_control(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        if t.negotiated() & F_MULTIPORT == 0 {
            return;
        }
        for (number, port) in (0..).zip(&mut self.ports) {
            for (flag, event) in DUE {
                if port.state.due & flag == 0 {
                    continue;
                }
                let Some(chain) = t.pop(ctx, CONTROL_RX) else {
                    break;
                };
                port.state.due &= !flag;
                let message = message(number, port, event);
                if !t.fill(ctx, CONTROL_RX, &chain, 0, &message) {
                    break;
                }
                let len = u32::try_from(message.len()).unwrap_or(0);
                t.push(ctx, CONTROL_RX, &chain, len);
            }
        }
        t.signal(ctx, CONTROL_RX);
    }

    /// Takes the driver's control messages.
    fn take_control(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport) {
        if t.negotiated() & F_MULTIPORT == 0 {
            return;
        }
        for _ in 0..t.size(CONTROL_TX) {
            let Some(chain) = t.pop(ctx, CONTROL_TX) else {
                break;
            };
            let Some(raw) = t.fetch::<8>(ctx, CONTROL_TX, &chain, 0) else {
                break;
            };
            t.push(ctx, CONTROL_TX, &chain, 0);
            let [i0, i1, i2, i3, e0, e1, v0, v1] = raw;
            let event = u16::from_le_bytes([e0, e1]);
            let on = u16::from_le_bytes([v0, v1]) != 0;
            if event == DEVICE_READY && on {
                self.ports
                    .iter_mut()
                    .for_each(|p| p.state.due |= due(PORT_ADD));
            }
            let number = usize::try_from(u32::from_le_bytes([i0, i1, i2, i3])).ok();
            if let Some(port) = number.and_then(|n| self.ports.get_mut(n)) {
                port.told(event, on);
            }
        }
        t.signal(ctx, CONTROL_TX);
        self.pump_control(ctx, t);
    }
}

impl Port {
    /// The driver says something of this port.
    fn told(&mut self, event: u16, on: bool) {
        match event {
            PORT_READY => {
                self.state.ready = on;
                if on {
                    let kind = if self.name.is_some() {
                        PORT_NAME
                    } else {
                        CONSOLE_PORT
                    };
                    self.state.due |= due(kind);
                    if self.is_open_here() {
                        self.state.due |= due(PORT_OPEN);
                    }
                }
            }
            PORT_OPEN => {
                self.state.guest_open = on;
                if !self.is_open_there() {
                    // What was meant for the program that has gone is not for the next one.
                    self.state.input.clear();
                }
            }
            _ => {}
        }
    }
}

/// A control message to the driver.
fn message(number: u32, port: &Port, event: u16) -> Vec<u8> {
    let value: u16 = match event {
        CONSOLE_PORT => 1,
        PORT_OPEN => u16::from(port.is_open_here()),
        _ => 0,
    };
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.extend(event.to_le_bytes());
    bytes.extend(value.to_le_bytes());
    debug_assert_eq!(bytes.len() as u64, CONTROL_BYTES);
    if event == PORT_NAME {
        bytes.extend(port.name.as_deref().unwrap_or("").bytes());
    }
    bytes
}

/// Hands a chain's bytes to the backend, piece by piece.
fn send(ctx: &Ctx<'_>, chain: &Chain, backend: &mut dyn CharBackend) -> Result<(), QueueFault> {
    let mut piece = [0; PIECE_BYTES];
    let mut offset = 0;
    while offset < chain.readable_bytes() {
        let left = chain.readable_bytes() - offset;
        let len = usize::try_from(left).map_or(PIECE_BYTES, |n| n.min(PIECE_BYTES));
        chain.read(ctx.memory, offset, &mut piece[..len])?;
        backend.write(&piece[..len]);
        offset += len as u64;
    }
    Ok(())
}

impl VirtioFunction for Console {
    const TYPE: u16 = 3;
    // Simple communication controller, other.
    const CLASS: u32 = 0x07_8000;
    const CHANGING_FEATURES: u64 = 0;
    type Saved = VirtioConsoleV1;

    fn features(&self) -> u64 {
        let ports = if self.is_multiport() { F_MULTIPORT } else { 0 };
        ports | F_EMERG_WRITE
    }

    fn queues(&self) -> Vec<QueueSpec> {
        let count = if self.is_multiport() {
            2 * (self.ports.len() + 1)
        } else {
            2
        };
        let spec = QueueSpec {
            size: QUEUE_SIZE,
            max_chain_bytes: MAX_CHAIN_BYTES,
        };
        vec![spec; count]
    }

    fn config(&self, _transport: &Transport) -> Vec<u8> {
        let mut image = vec![0; CONFIG_BYTES];
        let ports = u32::try_from(self.ports.len()).unwrap_or(1);
        image[MAX_PORTS..MAX_PORTS + 4].copy_from_slice(&ports.to_le_bytes());
        image
    }

    fn config_write(&mut self, _transport: &Transport, offset: usize, bytes: &[u8]) {
        if let (EMERG_WRITE, [character, ..]) = (offset, bytes)
            && let Some(port) = self.ports.first_mut()
        {
            port.backend.write(&[*character]);
        }
    }

    fn serve(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize) {
        match (queue, port_of(queue)) {
            (CONTROL_RX, _) => self.pump_control(ctx, t),
            (CONTROL_TX, _) => self.take_control(ctx, t),
            (_, Some(port)) if queue == input_queue(port) => self.pump_input(ctx, t, port),
            (_, Some(port)) => self.pump_output(ctx, t, queue, port),
            _ => {}
        }
    }

    fn reset_queue(&mut self, _queue: usize) {}

    fn reset(&mut self) {
        for port in &mut self.ports {
            port.state = PortState::default();
        }
    }

    fn bus_reset(&mut self) {}

    fn save(&self, transport: TransportV1) -> Result<VirtioConsoleV1, SnapshotError> {
        Ok(self.to_v1(transport))
    }

    fn restore(&mut self, saved: VirtioConsoleV1) -> Result<TransportV1, SnapshotError> {
        self.take_v1(saved)
    }
}

impl VirtioPci<Console> {
    /// A console as after power-on. `name` is its instance name, `irq` its interrupt pin. At least one port, at most 31
    /// (what is more is left out); names are cut to 64 bytes.
    #[must_use]
    pub fn new(name: &str, irq: IrqLine, ports: Vec<ConsolePort>) -> Self {
        let ports = ports.into_iter().take(MAX_PORT_COUNT).map(|p| Port {
            name: p.name.map(|name| {
                let end = name.floor_char_boundary(MAX_NAME_BYTES.min(name.len()));
                name[..end].to_owned()
            }),
            backend: p.backend,
            host_open: false,
            state: PortState::default(),
        });
        let console = Console {
            ports: ports.collect(),
        };
        Self::with(name, irq, console)
    }

    /// How many bytes [`VirtioConsole::receive`] would take for this port now; none for a port with a name that nobody in
    /// the guest has open. The answer changes with the guest's accesses.
    #[must_use]
    pub fn room(&self, port: usize) -> usize {
        match self.function.ports.get(port) {
            Some(p) if p.is_open_there() => INPUT_BYTES.saturating_sub(p.state.input.len()),
            _ => 0,
        }
    }

    /// Takes as many `bytes` for the port's guest as there is room for and says how many.
    pub fn receive(&mut self, ctx: &mut Ctx<'_>, port: usize, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(self.room(port));
        if let Some(p) = self.function.ports.get_mut(port) {
            p.state.input.extend(&bytes[..taken]);
        }
        self.function.pump_input(ctx, &mut self.transport, port);
        taken
    }

    /// Whether a program in the guest has the port open; a console always is.
    #[must_use]
    pub fn is_guest_open(&self, port: usize) -> bool {
        self.function
            .ports
            .get(port)
            .is_some_and(Port::is_open_there)
    }

    /// Says that somebody listens at this end of the port, or no longer does. What a guest sends to a port with a name
    /// that is closed here is lost.
    pub fn set_open(&mut self, ctx: &mut Ctx<'_>, port: usize, open: bool) {
        let Some(p) = self.function.ports.get_mut(port) else {
            return;
        };
        if p.host_open != open {
            p.host_open = open;
            if p.state.ready && p.name.is_some() {
                p.state.due |= due(PORT_OPEN);
                self.function.pump_control(ctx, &mut self.transport);
            }
        }
    }
}
