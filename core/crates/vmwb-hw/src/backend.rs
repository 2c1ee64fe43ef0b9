//! The host's face of devices: where characters go, where interrupts and random numbers come from.

use std::fmt::Debug;

/// Where a serial port's characters go. Input comes through the machine's input queue, stamped, not from here.
pub trait CharBackend: Debug + Send {
    /// Takes bytes that the guest has sent. Never blocks; drops what does not fit.
    fn write(&mut self, bytes: &[u8]);
}

/// A port with nothing behind it.
#[derive(Debug, Default)]
pub struct NullChar;

impl CharBackend for NullChar {
    fn write(&mut self, _bytes: &[u8]) {}
}

/// Where a device's random numbers come from.
pub trait RandomSource: Debug + Send {
    /// Number `index` of those that the device has drawn since power-on, which it counts and saves. A deterministic
    /// machine derives the number from its seed and `index` alone; any other takes the host's.
    fn number(&mut self, index: u64) -> u64;
}

/// What a vCPU asks its interrupt controllers between two instructions.
pub trait LocalInterrupts {
    /// Whether a maskable interrupt waits that the vCPU would take with IF = 1.
    fn pending(&self) -> bool;
    /// Acknowledges the highest one and gives its vector.
    fn acknowledge(&mut self) -> Option<u8>;
}
