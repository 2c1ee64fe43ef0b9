//! Packed decimal: FBLD and FBSTP (SDM vol. 1, 4.7): 18 digits, two to a byte, the sign in the last byte.

use super::convert::from_i64;
use super::status::IE;
use super::value::{Class, inexact_status};
use super::{Env, F80, Outcome};

/// The packed BCD indefinite.
const INDEFINITE: [u8; 10] = [0, 0, 0, 0, 0, 0, 0, 0xC0, 0xFF, 0xFF];
const LIMIT: u64 = 1_000_000_000_000_000_000;

/// FBLD: exact. Nibbles above 9 count as what they are (the SDM leaves them undefined).
#[must_use]
pub fn from_bcd(bytes: [u8; 10]) -> F80 {
    let magnitude = bytes[..9].iter().rev().fold(0i64, |sum, byte| {
        sum * 100 + i64::from(byte >> 4) * 10 + i64::from(byte & 15)
    });
    let value = from_i64(magnitude);
    if bytes[9] & 0x80 != 0 {
        value.negated()
    } else {
        value
    }
}

/// FBSTP: rounds to an integer. More than 18 digits, infinite or NaN: IE and the indefinite.
#[must_use]
pub fn to_bcd(a: F80, env: Env) -> Outcome<[u8; 10]> {
    let rounded = match a.class() {
        Class::Zero => Some((0, false, false)),
        Class::Normal | Class::Denormal => a.exact().to_integer(env.rounding),
        _ => None,
    };
    let Some((mut magnitude, inexact, up)) = rounded.filter(|r| r.0 < LIMIT) else {
        return Outcome::new(INDEFINITE, IE);
    };
    let mut bytes = [0; 10];
    for byte in &mut bytes[..9] {
        let pair = (magnitude % 100) as u8;
        *byte = ((pair / 10) << 4) | (pair % 10);
        magnitude /= 100;
    }
    bytes[9] = if a.is_negative() { 0x80 } else { 0 };
    Outcome::new(bytes, inexact_status(inexact, up))
}

#[cfg(test)]
mod tests {
    use super::super::status::PE;
    use super::super::{convert::from_f64, convert::from_i64};
    use super::*;

    const NEAREST: Env = Env::from_control_word(0x037F);

    #[test]
    fn to_bcd_of_a_number_writes_its_digits() {
        let outcome = to_bcd(from_i64(-1_234_567_890), NEAREST);
        assert_eq!(
            outcome,
            Outcome::new([0x90, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0x80], 0)
        );
        assert_eq!(from_bcd(outcome.value), from_i64(-1_234_567_890));
    }

    #[test]
    fn to_bcd_beyond_18_digits_is_indefinite() {
        let last = 999_999_999_999_999_999;
        assert_eq!(to_bcd(from_i64(last), NEAREST).status, 0);
        assert_eq!(
            to_bcd(from_i64(last + 1), NEAREST),
            Outcome::new(INDEFINITE, IE)
        );
    }

    #[test]
    fn to_bcd_of_a_fraction_rounds() {
        let value = from_f64(2.5f64.to_bits(), NEAREST).value;
        assert_eq!(
            to_bcd(value, NEAREST),
            Outcome::new([2, 0, 0, 0, 0, 0, 0, 0, 0, 0], PE)
        );
    }
}
