//! PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: SSE4.2's comparisons of short strings. Source: SDM volume 2, section 4.1.

use super::lanes::{Lanes, u8x16, u16x8};

/// Result of a comparison before it becomes an index or a mask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparison {
    /// IntRes2: one bit an element of the second operand.
    pub bits: u32,
    /// Elements of a register: 8 or 16.
    pub elements: u32,
    /// The first operand is shorter than a register.
    pub first_ends: bool,
    /// The second operand is shorter than a register.
    pub second_ends: bool,
}

impl Comparison {
    /// CF, ZF, SF and OF as EFLAGS bits; AF and PF are clear.
    #[must_use]
    pub fn eflags(self) -> u64 {
        u64::from(self.bits != 0)
            | u64::from(self.second_ends) << 6
            | u64::from(self.first_ends) << 7
            | u64::from(self.bits & 1) << 11
    }

    /// The index form's result: the lowest or, by bit 6 of the control byte, the highest set bit; the number of elements
    /// without one.
    #[must_use]
    pub fn index(self, control: u8) -> u32 {
        match (self.bits, control & 0x40 != 0) {
            (0, _) => self.elements,
            (bits, false) => bits.trailing_zeros(),
            (bits, true) => 31 - bits.leading_zeros(),
        }
    }

    /// The mask form's result: the bits, or by bit 6 of the control byte elements of all ones.
    #[must_use]
    pub fn mask(self, control: u8) -> u128 {
        let set = |i: usize| self.bits >> i & 1 != 0;
        match (control & 0x40 != 0, self.elements) {
            (false, _) => u128::from(self.bits),
            (true, 16) => {
                std::array::from_fn::<u8, 16, _>(|i| if set(i) { 0xFF } else { 0 }).join()
            }
            (true, _) => {
                std::array::from_fn::<u16, 8, _>(|i| if set(i) { 0xFFFF } else { 0 }).join()
            }
        }
    }
}

/// The elements of a register, widened by their sign or with zeros.
fn elements(v: u128, control: u8) -> [i32; 16] {
    let (bytes, words) = (u8x16(v), u16x8(v));
    std::array::from_fn(|i| match control & 3 {
        0 => i32::from(bytes[i]),
        1 => i32::from(words[i % 8]),
        2 => i32::from(bytes[i] as i8),
        _ => i32::from(words[i % 8] as i16),
    })
}

fn count(control: u8) -> usize {
    if control & 1 == 0 { 16 } else { 8 }
}

/// Length of an operand that ends at its first zero element.
#[must_use]
pub fn implicit_length(v: u128, control: u8) -> usize {
    let n = count(control);
    let e = elements(v, control);
    e[..n].iter().position(|&x| x == 0).unwrap_or(n)
}

/// Length of an operand from a register: its magnitude, at most a whole operand.
#[must_use]
pub fn explicit_length(register: i64, control: u8) -> usize {
    let n = count(control);
    usize::try_from(register.unsigned_abs()).map_or(n, |len| len.min(n))
}

/// Compares `a` (the first operand, of `len_a` valid elements) with `b`.
#[must_use]
pub fn compare(a: u128, len_a: usize, b: u128, len_b: usize, control: u8) -> Comparison {
    let n = count(control);
    let (x, y) = (elements(a, control), elements(b, control));
    let mode = control >> 2 & 3;
    // Table 4-7: what a comparison counts for that has an invalid element.
    let related = |i: usize, j: usize, holds: bool| match (i < len_a, j < len_b, mode) {
        (true, true, _) => holds,
        (false, false, 2 | 3) | (false, true, 3) => true,
        _ => false,
    };
    let bit = |j: usize| match mode {
        // Equal to any element of the first operand.
        0 => (0..n).any(|i| related(i, j, x[i] == y[j])),
        // In any range of the first operand, whose bounds alternate.
        1 => (0..n / 2).any(|i| {
            related(2 * i, j, x[2 * i] <= y[j]) && related(2 * i + 1, j, x[2 * i + 1] >= y[j])
        }),
        // Equal element by element.
        2 => related(j, j, x[j] == y[j]),
        // The first operand begins here as a part of the second.
        _ => (0..n - j).all(|i| related(i, i + j, x[i] == y[i + j])),
    };
    let first: u32 = (0..n).map(|j| u32::from(bit(j)) << j).sum();
    let all = u32::MAX >> (32 - n);
    let valid = u32::MAX.checked_shr(32 - len_b as u32).unwrap_or(0);
    let bits = match control >> 4 & 3 {
        1 => first ^ all,
        3 => first ^ valid,
        _ => first,
    };
    Comparison {
        bits,
        elements: n as u32,
        first_ends: len_a < n,
        second_ends: len_b < n,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &[u8]) -> u128 {
        let mut bytes = [0; 16];
        bytes[..s.len()].copy_from_slice(s);
        u128::from_le_bytes(bytes)
    }

    fn implicit(a: &[u8], b: &[u8], control: u8) -> Comparison {
        let (a, b) = (text(a), text(b));
        let (la, lb) = (implicit_length(a, control), implicit_length(b, control));
        compare(a, la, b, lb, control)
    }

    #[test]
    fn equal_any_finds_the_first_of_a_set() {
        let c = implicit(b"aeiou", b"xyzebra", 0);
        assert_eq!((c.index(0), c.eflags()), (3, 0xC1));
    }

    #[test]
    fn ranges_find_what_is_in_none_with_negative_polarity() {
        let c = implicit(b"azAZ", b"Hello7", 0x34);
        assert_eq!(c.index(0x34), 5);
    }

    #[test]
    fn ordered_finds_a_part_and_one_that_runs_out() {
        assert_eq!(implicit(b"na", b"banana", 0x0C).bits & 0x3F, 0b010100);
        assert_eq!(implicit(b"na", b"banan", 0x0C).bits & 0x1F, 0b00100);
    }

    #[test]
    fn equal_each_of_equal_strings_is_all_ones() {
        assert_eq!(implicit(b"same", b"same", 0x08).bits, 0xFFFF);
        assert_eq!(implicit(b"same", b"sane", 0x18).index(0), 2);
    }

    #[test]
    fn explicit_length_is_a_magnitude_and_saturates() {
        assert_eq!(explicit_length(-5, 0), 5);
        assert_eq!(explicit_length(i64::MIN, 1), 8);
    }
}
