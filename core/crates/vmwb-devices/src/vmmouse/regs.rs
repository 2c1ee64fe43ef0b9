//! The VMware backdoor as far as its pointer goes. Sources: Linux drivers/input/mouse/vmmouse.c, the X.Org driver
//! xf86-input-vmmouse, open-vm-tools lib/include/backdoor_def.h.

/// Port of the backdoor.
pub const PORT: u16 = 0x5658;
/// EAX of every call.
pub const MAGIC: u32 = 0x564D_5868;

/// Order of the registers of a call.
pub mod register {
    #![allow(missing_docs)]
    pub const EAX: usize = 0;
    pub const EBX: usize = 1;
    pub const ECX: usize = 2;
}

/// Registers that a call can answer in: EAX, EBX, ECX, EDX, ESI, EDI.
pub const REGISTERS: usize = 6;
/// Command, in the low half of ECX.
pub const COMMAND: u32 = 0xFFFF;
/// Command: version of the protocol.
pub const GET_VERSION: u32 = 10;
/// Command: takes EBX words from the queue.
pub const POINTER_DATA: u32 = 39;
/// Command: status and length of the queue.
pub const POINTER_STATUS: u32 = 40;
/// Command: what EBX says.
pub const POINTER_COMMAND: u32 = 41;
/// Command: who may use the pointer's commands.
pub const POINTER_RESTRICT: u32 = 86;

/// Answer to an unknown command, in EAX.
pub const UNKNOWN: u32 = u32::MAX;
/// Version of the protocol.
pub const VERSION: u32 = 6;
/// Product that GET_VERSION names: a workstation.
pub const PRODUCT: u32 = 4;

/// EBX of POINTER_COMMAND: switches the pointer on; its version follows in the queue.
pub const ENABLE: u32 = 0x4541_4552;
/// EBX of POINTER_COMMAND: switches the pointer off.
pub const DISABLE: u32 = 0xF5;
/// EBX of POINTER_COMMAND: asks for movement.
pub const REQUEST_RELATIVE: u32 = 0x4C45_5252;
/// EBX of POINTER_COMMAND: asks for positions.
pub const REQUEST_ABSOLUTE: u32 = 0x5342_4152;

/// First word of the queue after ENABLE.
pub const POINTER_VERSION: u32 = 0x3442_554A;
/// Status: off, or the driver has made an error.
pub const STATUS_ERROR: u32 = 0xFFFF_0000;

/// Words of a packet: buttons, X, Y, wheel.
pub const PACKET_WORDS: usize = 4;
/// Packets that wait at most.
pub const MAX_PACKETS: usize = 64;
/// Buttons: left.
pub const LEFT: u32 = 0x20;
/// Buttons: right.
pub const RIGHT: u32 = 0x10;
/// Buttons: middle.
pub const MIDDLE: u32 = 0x08;
/// Buttons: X and Y are a movement, Y upwards.
pub const RELATIVE: u32 = 1 << 16;
