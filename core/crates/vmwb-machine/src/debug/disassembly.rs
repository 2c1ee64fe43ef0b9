//! Instructions as text. iced-x86 formats them here and nowhere else; it takes no part in running a guest.

use iced_x86::{Decoder, DecoderOptions, Formatter, NasmFormatter};
use serde::Serialize;

use super::to_hex;

/// Longest instruction, in bytes.
pub const MAX_INSN_BYTES: usize = 15;

/// One instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Linear address.
    pub address: u64,
    /// Its bytes, as hexadecimal digits.
    pub bytes: String,
    /// Its text; `(bad)` for what is no instruction.
    pub text: String,
}

/// Disassembles at most `count` instructions. `offset` is RIP of the first byte: branch targets count from there, while
/// lines are numbered by linear address.
#[must_use]
pub fn disassemble(bytes: &[u8], bits: u32, linear: u64, offset: u64, count: usize) -> Vec<Line> {
    let mut decoder = Decoder::with_ip(bits, bytes, offset, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    formatter
        .options_mut()
        .set_space_after_operand_separator(true);
    formatter.options_mut().set_hex_prefix("0x");
    formatter.options_mut().set_hex_suffix("");
    formatter.options_mut().set_uppercase_hex(false);
    formatter.options_mut().set_branch_leading_zeros(false);
    formatter.options_mut().set_show_branch_size(false);
    let mut lines = Vec::new();
    while lines.len() < count && decoder.can_decode() {
        let at = decoder.position();
        let insn = decoder.decode();
        // An instruction that the bytes end in is not shown: it may be sound.
        if insn.is_invalid() && bytes.len() - at < MAX_INSN_BYTES && !lines.is_empty() {
            break;
        }
        let mut text = String::new();
        let len = if insn.is_invalid() {
            text.push_str("(bad)");
            // The next byte may begin one.
            let next = decoder.set_position(at + 1);
            decoder.set_ip(offset.wrapping_add(at as u64 + 1));
            if next.is_err() {
                break;
            }
            1
        } else {
            formatter.format(&insn, &mut text);
            insn.len()
        };
        lines.push(Line {
            address: linear.wrapping_add(at as u64),
            bytes: to_hex(&bytes[at..at + len]),
            text,
        });
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disassemble_numbers_lines_by_linear_address_and_targets_by_offset() {
        // nop; jmp $ in real mode at F000:FFF0
        let lines = disassemble(&[0x90, 0xEB, 0xFE], 16, 0xFFFF_FFF0, 0xFFF0, 8);
        assert_eq!(lines.len(), 2);
        assert_eq!(
            (lines[1].address, lines[1].bytes.as_str()),
            (0xFFFF_FFF1, "ebfe")
        );
        assert!(lines[1].text.contains("fff1"), "{}", lines[1].text);
    }

    #[test]
    fn disassemble_shows_what_is_no_instruction() {
        let lines = disassemble(&[0x06, 0x90], 64, 0, 0, 2);
        assert_eq!(
            (lines[0].text.as_str(), lines[0].bytes.as_str()),
            ("(bad)", "06")
        );
    }
}
