//! Features, configuration and control messages of the console device (Virtual I/O Device specification 1.2,
//! section 5.3).

/// Feature: several ports and control messages.
pub const F_MULTIPORT: u64 = 1 << 1;
/// Feature: characters can be sent through the configuration.
pub const F_EMERG_WRITE: u64 = 1 << 2;

/// Length of the configuration.
pub const CONFIG_BYTES: usize = 12;
/// Offset of `max_nr_ports`.
pub const MAX_PORTS: usize = 4;
/// Offset of `emerg_wr`.
pub const EMERG_WRITE: usize = 8;

/// Queue of control messages to the driver.
pub const CONTROL_RX: usize = 2;
/// Queue of control messages from the driver.
pub const CONTROL_TX: usize = 3;
/// Bytes of a control message without its tail.
pub const CONTROL_BYTES: u64 = 8;

/// Message: the driver is ready for control messages.
pub const DEVICE_READY: u16 = 0;
/// Message: a port is there.
pub const PORT_ADD: u16 = 1;
/// Message: the driver has set a port up.
pub const PORT_READY: u16 = 3;
/// Message: a port is a console.
pub const CONSOLE_PORT: u16 = 4;
/// Message: a port's other end has been opened (1) or closed (0).
pub const PORT_OPEN: u16 = 6;
/// Message: a port's name follows.
pub const PORT_NAME: u16 = 7;

/// Entries of each queue.
pub const QUEUE_SIZE: u16 = 64;
/// Most bytes of one request.
pub const MAX_CHAIN_BYTES: u64 = 1 << 20;
/// Most ports of one device.
pub const MAX_PORT_COUNT: usize = 31;
/// Longest name of a port, in bytes.
pub const MAX_NAME_BYTES: usize = 64;
/// Bytes to the guest that wait in one port.
pub const INPUT_BYTES: usize = 4096;
