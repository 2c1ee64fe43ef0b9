//! What a debugger asks of a machine: requests, as they come from the worker, and the pure parts of their answers.
//!
//! The driver carries them out (`driver::debug`); here nothing runs and nothing is changed. Every number of a request is
//! bounded before anything is allocated. `docs/debugger.md` describes requests and answers.

pub mod descriptors;
pub mod disassembly;

use serde::Deserialize;
use vmwb_x86::inspect::Watchpoint;

use crate::error::MachineError;

/// Most bytes of one request, as JSON.
pub const MAX_REQUEST_BYTES: usize = 256 << 10;
/// Most bytes of memory read or written at once.
pub const MAX_MEMORY_BYTES: u32 = 64 << 10;
/// Most instructions disassembled at once.
pub const MAX_LINES: u32 = 1024;
/// Most descriptors shown at once.
pub const MAX_DESCRIPTORS: u32 = 1024;
/// Most single steps at once.
pub const MAX_STEPS: u32 = 1_000_000;
/// Most bytes of trace lines in one answer.
pub const MAX_TRACE_BYTES: usize = 512 << 10;

/// Which addresses are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// As the guest's code uses them, after segmentation.
    Linear,
    /// After paging.
    Physical,
}

/// Tables of descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Global descriptor table.
    Gdt,
    /// Local descriptor table.
    Ldt,
    /// Interrupt descriptor table.
    Idt,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum DebugRequest {
    /// Where the machine stands, and why.
    Status,
    /// Looks at this processor from now on; a stop changes to its own.
    Processor {
        /// Its number, from 0.
        number: u32,
    },
    /// All registers.
    Registers,
    /// Sets a register; paused machines only.
    SetRegister {
        /// Its name.
        name: String,
        /// Its value, decimal or hexadecimal with 0x.
        value: String,
    },
    /// Reads memory without any effect.
    ReadMemory {
        /// Which addresses.
        space: Space,
        /// First byte.
        address: u64,
        /// Bytes.
        length: u32,
    },
    /// Writes RAM; paused machines only.
    WriteMemory {
        /// Which addresses.
        space: Space,
        /// First byte.
        address: u64,
        /// Bytes as hexadecimal digits.
        data: String,
    },
    /// The way from a linear address to the host's.
    Walk {
        /// Linear address.
        address: u64,
    },
    /// Instructions as text.
    Disassemble {
        /// Linear address; the next instruction when absent.
        address: Option<u64>,
        /// How many.
        count: u32,
        /// 16, 32 or 64; the code segment's when absent.
        bits: Option<u32>,
    },
    /// Descriptors of a table.
    Descriptors {
        /// Which table.
        table: Table,
        /// Index of the first.
        #[serde(default)]
        first: u32,
        /// How many.
        count: u32,
    },
    /// Changes the breakpoints, and gives them.
    Breakpoints {
        /// Linear addresses to add.
        #[serde(default)]
        add: Vec<u64>,
        /// Linear addresses to remove.
        #[serde(default)]
        remove: Vec<u64>,
        /// Remove all first.
        #[serde(default)]
        clear: bool,
    },
    /// Changes the watchpoints, and gives them.
    Watchpoints {
        /// To add.
        #[serde(default)]
        add: Vec<Watchpoint>,
        /// To remove: equal ones.
        #[serde(default)]
        remove: Vec<Watchpoint>,
        /// Remove all first.
        #[serde(default)]
        clear: bool,
    },
    /// Presses the board's button for non-maskable interrupts.
    Nmi,
    /// Runs so many instructions of a paused machine.
    Step {
        /// How many; a delivered exception or interrupt counts as one.
        count: u32,
    },
    /// Begins to record trace events, in any state; before power-on it begins with the first instruction.
    TraceStart {
        /// Names of classes.
        classes: Vec<String>,
        /// Events kept, the latest.
        limit: u32,
    },
    /// Ends the recording; what was recorded stays.
    TraceStop,
    /// Reads what was recorded, as JSON lines.
    TraceRead {
        /// Number of the first event wanted.
        #[serde(default)]
        from: u64,
        /// Most events.
        limit: u32,
    },
}

impl DebugRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// [`MachineError::BadArgument`] with what is wrong.
    pub fn from_json(text: &str) -> Result<Self, MachineError> {
        if text.len() > MAX_REQUEST_BYTES {
            return Err(bad(format!(
                "A debug request has at most {MAX_REQUEST_BYTES} bytes."
            )));
        }
        serde_json::from_str(text).map_err(|e| bad(format!("The debug request is wrong: {e}.")))
    }

    /// Whether it changes the guest, and so needs it to stand still.
    #[must_use]
    pub fn changes_guest(&self) -> bool {
        matches!(
            self,
            Self::SetRegister { .. } | Self::WriteMemory { .. } | Self::Step { .. }
        )
    }
}

/// The error of a wrong argument.
pub(crate) fn bad(sentence: impl Into<String>) -> MachineError {
    MachineError::BadArgument(sentence.into())
}

/// A number of a request that must not be larger than its bound.
///
/// # Errors
/// It is.
pub(crate) fn bounded(what: &str, value: u32, most: u32) -> Result<u32, MachineError> {
    if value > most {
        return Err(bad(format!("At most {most} {what} at once.")));
    }
    Ok(value)
}

/// Reads a number, decimal or hexadecimal with 0x.
///
/// # Errors
/// It is none of at most 128 bits.
pub(crate) fn number(text: &str) -> Result<u128, MachineError> {
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u128::from_str_radix(hex, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        bad(format!("'{shown}' is no number of at most 128 bits."))
    })
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, b| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{b:02x}");
            text
        })
}

/// Hexadecimal digits as bytes.
///
/// # Errors
/// They are none, or more than [`MAX_MEMORY_BYTES`].
pub(crate) fn from_hex(text: &str) -> Result<Vec<u8>, MachineError> {
    let wrong = || bad("Memory is written as pairs of hexadecimal digits.");
    if text.len() / 2 > MAX_MEMORY_BYTES as usize {
        return Err(bad(format!("At most {MAX_MEMORY_BYTES} bytes at once.")));
    }
    if !text.len().is_multiple_of(2) || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(wrong());
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).map_err(|_| wrong()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_json_reads_a_request_with_its_defaults() {
        let r = DebugRequest::from_json(r#"{"do":"breakpoints","add":[16]}"#).unwrap();
        let expected = DebugRequest::Breakpoints {
            add: vec![16],
            remove: vec![],
            clear: false,
        };
        assert_eq!(r, expected);
    }

    #[test]
    fn from_json_nonsense_is_refused_with_a_sentence() {
        for text in [
            "",
            "[]",
            r#"{"do":"dance"}"#,
            r#"{"do":"step","count":-1}"#,
            r#"{"do":"step","count":1,"x":2}"#,
            &"x".repeat(MAX_REQUEST_BYTES + 1),
        ] {
            let refused = DebugRequest::from_json(text).unwrap_err();
            assert_eq!(refused.code(), "bad_argument");
            assert!(refused.to_string().ends_with('.'));
        }
    }

    #[test]
    fn hex_round_trip_is_exact_and_nonsense_refused() {
        assert_eq!(
            from_hex(&to_hex(&[0, 0xAB, 0xFF])).unwrap(),
            [0, 0xAB, 0xFF]
        );
        assert!(["a", "zz", "+1", "éé"].iter().all(|t| from_hex(t).is_err()));
    }

    #[test]
    fn number_takes_both_bases() {
        assert_eq!((number("0x10").unwrap(), number("10").unwrap()), (16, 10));
        assert!(number("ten").is_err());
    }
}
