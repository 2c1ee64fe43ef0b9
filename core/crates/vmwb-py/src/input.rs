//! Inputs as JSON objects, as they come from the worker.

use serde_json::Value;
use vmwb_machine::MachineError;
use vmwb_machine::input::{Input, MAX_SERIAL_BYTES};

/// Longest object, in bytes: the most characters of one serial input in base64, and room for the rest.
const MAX_BYTES: usize = MAX_SERIAL_BYTES * 4 / 3 + 256;

fn bad(sentence: &str) -> MachineError {
    MachineError::BadArgument(sentence.to_owned())
}

/// Reads one input: `{"kind":"key","code":N,"down":bool}`, `{"kind":"motion","dx":N,"dy":N,"wheel":N,"buttons":N}`,
/// `{"kind":"position","x":N,"y":N,"wheel":N,"buttons":N}` or `{"kind":"serial","port":N,"data":"<base64>"}`.
///
/// # Errors
/// What is wrong with it.
pub fn parse(data: &[u8]) -> Result<Input, MachineError> {
    if data.len() > MAX_BYTES {
        return Err(bad(
            "An input has at most 64 KiB of characters; send it in pieces.",
        ));
    }
    let value: Value =
        serde_json::from_slice(data).map_err(|_| bad("An input must be one JSON object."))?;
    match value["kind"].as_str() {
        Some("key") => {
            let code = value["code"].as_u64().and_then(|c| u16::try_from(c).ok());
            match (code, value["down"].as_bool()) {
                (Some(code), Some(down)) => Ok(Input::Key { code, down }),
                _ => Err(bad(
                    "A key needs 'code', 0 to 65535, and 'down', true or false.",
                )),
            }
        }
        Some("motion") => {
            let number = |name: &str| value[name].as_i64().and_then(|n| i32::try_from(n).ok());
            match (number("dx"), number("dy"), number("wheel"), buttons(&value)) {
                (Some(dx), Some(dy), Some(wheel), Some(buttons)) => Ok(Input::Motion {
                    dx,
                    dy,
                    wheel,
                    buttons,
                }),
                _ => Err(bad(
                    "A motion needs 'dx', 'dy', 'wheel' and 'buttons', whole numbers.",
                )),
            }
        }
        Some("position") => {
            let place = |name: &str| value[name].as_u64().and_then(|n| u16::try_from(n).ok());
            let wheel = value["wheel"].as_i64().and_then(|n| i32::try_from(n).ok());
            match (place("x"), place("y"), wheel, buttons(&value)) {
                (Some(x), Some(y), Some(wheel), Some(buttons)) => Ok(Input::Position {
                    x,
                    y,
                    wheel,
                    buttons,
                }),
                _ => Err(bad(
                    "A position needs 'x' and 'y', 0 to 65535, 'wheel' and 'buttons'.",
                )),
            }
        }
        Some("serial") => {
            let port = value["port"].as_u64().and_then(|p| u8::try_from(p).ok());
            let data = value["data"].as_str().and_then(base64);
            match (port, data) {
                (Some(port), Some(data)) => Ok(Input::Serial { port, data }),
                _ => Err(bad(
                    "A serial input needs 'port' and 'data', its characters in base64.",
                )),
            }
        }
        _ => Err(bad(
            "An input's kind is 'key', 'motion', 'position' or 'serial'.",
        )),
    }
}

fn buttons(value: &Value) -> Option<u8> {
    value["buttons"].as_u64().and_then(|b| u8::try_from(b).ok())
}

/// Decodes base64 with padding (RFC 4648, section 4). `None`: it is none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(4) {
        return None;
    }
    let padding = bytes
        .iter()
        .rev()
        .take(2)
        .take_while(|&&b| b == b'=')
        .count();
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    for (i, quad) in bytes.chunks_exact(4).enumerate() {
        let last = (i + 1) * 4 == bytes.len();
        let used = if last { 4 - padding } else { 4 };
        let mut word = 0u32;
        for (n, &b) in quad.iter().enumerate() {
            word = word << 6 | if n < used { sextet(b)? } else { 0 };
        }
        out.extend_from_slice(&word.to_be_bytes()[1..used]);
    }
    Some(out)
}

fn sextet(byte: u8) -> Option<u32> {
    let value = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}
