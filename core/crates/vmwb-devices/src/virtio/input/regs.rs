//! Configuration and events of the input device (Virtual I/O Device specification 1.2, section 5.8; event codes: Linux
//! `include/uapi/linux/input-event-codes.h`).

/// Selection: the device's name.
pub const CFG_ID_NAME: u8 = 0x01;
/// Selection: its serial number.
pub const CFG_ID_SERIAL: u8 = 0x02;
/// Selection: bus, vendor, product, version.
pub const CFG_ID_DEVIDS: u8 = 0x03;
/// Selection: codes of the event type in `subsel`, as a bitmap.
pub const CFG_EV_BITS: u8 = 0x11;
/// Selection: range of the axis in `subsel`.
pub const CFG_ABS_INFO: u8 = 0x12;
/// Length of the configuration: select, subsel, size, five reserved, 128 of data.
pub const CONFIG_BYTES: usize = 136;
/// Offset of the data.
pub const CONFIG_DATA: usize = 8;

/// Event type: the end of one report.
pub const EV_SYN: u16 = 0;
/// Event type: buttons.
pub const EV_KEY: u16 = 1;
/// Event type: relative axes.
pub const EV_REL: u16 = 2;
/// Event type: absolute axes.
pub const EV_ABS: u16 = 3;
/// Relative axis: the wheel.
pub const REL_WHEEL: u16 = 8;
/// Absolute axis: across.
pub const ABS_X: u16 = 0;
/// Absolute axis: down.
pub const ABS_Y: u16 = 1;
/// First button (left); right and middle follow.
pub const BTN_LEFT: u16 = 0x110;
/// Buttons that there are.
pub const BUTTONS: u16 = 3;
/// Largest position on both axes.
pub const AXIS_MAX: u16 = 32_767;

/// Bus of the device's identity: virtual.
pub const BUS_VIRTUAL: u16 = 6;
/// Entries of each queue.
pub const QUEUE_SIZE: u16 = 64;
/// Bytes of one event.
pub const EVENT_BYTES: usize = 8;
/// Events that wait for the guest.
pub const MAX_WAITING: usize = 256;
/// Most events of one report: two axes, three buttons, wheel, end.
pub const MAX_REPORT: usize = 7;
