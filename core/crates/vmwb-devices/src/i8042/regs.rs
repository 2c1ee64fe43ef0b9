//! Registers, bits and commands of the 8042 keyboard controller, the AT keyboard and the PS/2 mouse. Sources: IBM
//! PS/2 Hardware Interface Technical Reference (1988), "Keyboard and Auxiliary Device Controller", "Keyboard", "Mouse".

/// Offset of the data port (60h).
pub const DATA: u16 = 0;
/// Offset of the status (read) and command (write) port (64h).
pub const STATUS_COMMAND: u16 = 4;

/// Status: output buffer full.
pub const STATUS_OBF: u8 = 1;
/// Status: system flag, self-test passed. It stays when firmware writes a command byte without [`MODE_SYS`], for systems
/// that look whether there is a controller.
pub const STATUS_SYS: u8 = 1 << 2;
/// Status: the last byte written was a command.
pub const STATUS_COMMAND_LAST: u8 = 1 << 3;
/// Status: the keyboard is not locked.
pub const STATUS_UNLOCKED: u8 = 1 << 4;
/// Status: the output buffer holds a byte of the mouse.
pub const STATUS_AUX: u8 = 1 << 5;

/// Command byte: interrupt for the keyboard's bytes.
pub const MODE_KBD_INT: u8 = 1;
/// Command byte: interrupt for the mouse's bytes.
pub const MODE_AUX_INT: u8 = 1 << 1;
/// Command byte: system flag.
pub const MODE_SYS: u8 = 1 << 2;
/// Command byte: keyboard interface off.
pub const MODE_KBD_OFF: u8 = 1 << 4;
/// Command byte: mouse interface off.
pub const MODE_AUX_OFF: u8 = 1 << 5;
/// Command byte: scan codes are translated to set 1.
pub const MODE_TRANSLATE: u8 = 1 << 6;
/// Command byte as a BIOS leaves it: a directly booted kernel meets it so.
pub const MODE_POWER_ON: u8 = MODE_KBD_INT | MODE_SYS | MODE_AUX_OFF | MODE_TRANSLATE;

/// Output port: 0 resets the machine.
pub const OUTPUT_NO_RESET: u8 = 1;
/// Output port: address line 20 is open.
pub const OUTPUT_A20: u8 = 1 << 1;
/// Output port: IRQ 1.
pub const OUTPUT_KBD_FULL: u8 = 1 << 4;
/// Output port: IRQ 12.
pub const OUTPUT_AUX_FULL: u8 = 1 << 5;
/// Output port: clock and data of the keyboard, idle.
pub const OUTPUT_IDLE: u8 = 0xC0;
/// Input port: the keyboard is not locked, the display is a colour one.
pub const INPUT_PORT: u8 = 0x80;
/// Test inputs: both clocks idle.
pub const TEST_INPUTS: u8 = 0x03;

/// Time that a scan code takes to arrive once the byte before it was read, in nanoseconds: 11 bits at 10 to 16.7 kHz take
/// 0.66 to 1.1 ms (PS/2 Technical Reference, "Keyboard", clocking).
pub const SCAN_CODE_NS: u64 = 1_000_000;

/// Commands of the controller.
pub mod command {
    /// First of those that read the controller's memory; the first byte is the command byte.
    pub const READ_MEMORY: u8 = 0x20;
    /// Last of those that read the controller's memory.
    pub const READ_MEMORY_LAST: u8 = 0x3F;
    /// First of those that write the controller's memory.
    pub const WRITE_MEMORY: u8 = 0x60;
    /// Last of those that write the controller's memory.
    pub const WRITE_MEMORY_LAST: u8 = 0x7F;
    /// Asks whether a password is installed.
    pub const TEST_PASSWORD: u8 = 0xA4;
    /// Switches the mouse interface off.
    pub const AUX_OFF: u8 = 0xA7;
    /// Switches the mouse interface on.
    pub const AUX_ON: u8 = 0xA8;
    /// Tests the mouse interface.
    pub const AUX_TEST: u8 = 0xA9;
    /// Self-test.
    pub const SELF_TEST: u8 = 0xAA;
    /// Tests the keyboard interface.
    pub const KBD_TEST: u8 = 0xAB;
    /// Switches the keyboard interface off.
    pub const KBD_OFF: u8 = 0xAD;
    /// Switches the keyboard interface on.
    pub const KBD_ON: u8 = 0xAE;
    /// Reads the input port.
    pub const READ_INPUT: u8 = 0xC0;
    /// Reads the output port.
    pub const READ_OUTPUT: u8 = 0xD0;
    /// Writes the output port.
    pub const WRITE_OUTPUT: u8 = 0xD1;
    /// Puts a byte into the output buffer, as if from the keyboard.
    pub const WRITE_KBD_BUFFER: u8 = 0xD2;
    /// Puts a byte into the output buffer, as if from the mouse.
    pub const WRITE_AUX_BUFFER: u8 = 0xD3;
    /// Sends a byte to the mouse.
    pub const WRITE_AUX: u8 = 0xD4;
    /// Closes address line 20 (a later addition of compatible controllers).
    pub const A20_OFF: u8 = 0xDD;
    /// Opens address line 20.
    pub const A20_ON: u8 = 0xDF;
    /// Reads the test inputs.
    pub const READ_TEST: u8 = 0xE0;
    /// First of those that pulse output port bits that are 0 in the command.
    pub const PULSE: u8 = 0xF0;

    /// No password is installed.
    pub const NO_PASSWORD: u8 = 0xF1;
    /// Self-test passed.
    pub const SELF_TEST_OK: u8 = 0x55;
    /// Interface test passed.
    pub const INTERFACE_OK: u8 = 0x00;
}

/// Commands that both the keyboard and the mouse know, and their answers.
pub mod device {
    /// Command taken.
    pub const ACK: u8 = 0xFA;
    /// Command not understood.
    pub const RESEND_PLEASE: u8 = 0xFE;
    /// Basic assurance test passed.
    pub const BAT_OK: u8 = 0xAA;

    /// Reads the identity.
    pub const IDENTIFY: u8 = 0xF2;
    /// Typematic rate of the keyboard, sample rate of the mouse.
    pub const SET_RATE: u8 = 0xF3;
    /// Starts scanning or reporting.
    pub const ENABLE: u8 = 0xF4;
    /// Stops scanning or reporting.
    pub const DISABLE: u8 = 0xF5;
    /// Sets defaults.
    pub const DEFAULTS: u8 = 0xF6;
    /// Sends the last byte again.
    pub const RESEND: u8 = 0xFE;
    /// Reset with basic assurance test.
    pub const RESET: u8 = 0xFF;
}

/// Commands of the keyboard alone.
pub mod keyboard {
    /// Sets the lights.
    pub const SET_LEDS: u8 = 0xED;
    /// Echo.
    pub const ECHO: u8 = 0xEE;
    /// Selects or reads the scan code set.
    pub const SCAN_SET: u8 = 0xF0;
    /// First of those that set the type of all keys (set 3).
    pub const ALL_KEYS: u8 = 0xF7;
    /// Last of those.
    pub const ALL_KEYS_LAST: u8 = 0xFA;
    /// First of those that set the type of one key (set 3).
    pub const ONE_KEY: u8 = 0xFB;
    /// Last of those.
    pub const ONE_KEY_LAST: u8 = 0xFD;
    /// Identity: 101 or 102 keys, MF II.
    pub const IDENTITY: [u8; 2] = [0xAB, 0x83];
    /// Lights that exist: scroll lock, num lock, caps lock.
    pub const LEDS: u8 = 0x07;
    /// Bytes of the scan code buffer.
    pub const BUFFER_BYTES: usize = 16;
    /// What takes the place of the first key that found no room, in sets 2 and 3.
    pub const OVERRUN: u8 = 0x00;
    /// The same in set 1.
    pub const OVERRUN_SET1: u8 = 0xFF;
}

/// Commands of the mouse alone.
pub mod mouse {
    /// Scaling 1:1.
    pub const SCALE_1: u8 = 0xE6;
    /// Scaling 2:1.
    pub const SCALE_2: u8 = 0xE7;
    /// Sets the resolution.
    pub const SET_RESOLUTION: u8 = 0xE8;
    /// Reads the status.
    pub const STATUS: u8 = 0xE9;
    /// Reports as things happen.
    pub const STREAM: u8 = 0xEA;
    /// Reads one report.
    pub const READ_DATA: u8 = 0xEB;
    /// Ends wrap mode.
    pub const WRAP_END: u8 = 0xEC;
    /// Sends every byte back.
    pub const WRAP: u8 = 0xEE;
    /// Reports when asked.
    pub const REMOTE: u8 = 0xF0;
    /// Identity: a standard mouse.
    pub const IDENTITY: u8 = 0x00;
    /// Resolution at reset: 4 counts a millimetre.
    pub const DEFAULT_RESOLUTION: u8 = 2;
    /// Reports a second at reset.
    pub const DEFAULT_RATE: u8 = 100;

    /// Status: remote mode.
    pub const STATUS_REMOTE: u8 = 1 << 6;
    /// Status: reporting is on.
    pub const STATUS_ENABLED: u8 = 1 << 5;
    /// Status: scaling 2:1.
    pub const STATUS_SCALE_2: u8 = 1 << 4;

    /// Report: always set.
    pub const REPORT_ALWAYS: u8 = 1 << 3;
    /// Report: X is negative.
    pub const REPORT_X_SIGN: u8 = 1 << 4;
    /// Report: Y is negative.
    pub const REPORT_Y_SIGN: u8 = 1 << 5;
    /// Buttons: left, right, middle.
    pub const BUTTONS: u8 = 0x07;
    /// Buttons with the two at the side, which only the Explorer protocol reports.
    pub const ALL_BUTTONS: u8 = 0x1F;
    /// Identity with a wheel (IntelliMouse).
    pub const WHEEL: u8 = 0x03;
    /// Sample rates that, set one after another, switch the wheel on.
    pub const WHEEL_KNOCK: [u8; 3] = [200, 100, 80];
    /// Identity with a wheel and five buttons (IntelliMouse Explorer).
    pub const EXPLORER: u8 = 0x04;
    /// Sample rates that switch to five buttons.
    pub const EXPLORER_KNOCK: [u8; 3] = [200, 200, 80];
}
