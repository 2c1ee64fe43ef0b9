//! SSE floating point in integers: one lane at a time, bit-exact (SDM vol. 1, chapters 4 and 11).
//!
//! The whole arithmetic on hosts other than x86-64, and everywhere for what a host instruction cannot show (an unmasked
//! underflow). Every function takes MXCSR for its rounding control, FTZ, DAZ and masks, and returns the lane's own flags;
//! it sets nothing.

use super::mxcsr::{DAZ, DE, FTZ, IE, OE, OM, PE, UE, UM, ZE, reported, rounding, unmasked};
use crate::fpu::exact::{Exact, Format};
use crate::fpu::{Relation, Rounding};

/// A floating-point format as SSE lays it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    format: Format,
    exponent_bits: u32,
}

/// Single precision, in the low 32 bits of a lane.
pub(crate) const SINGLE: Kind = Kind {
    format: Format::SINGLE,
    exponent_bits: 8,
};
/// Double precision.
pub(crate) const DOUBLE: Kind = Kind {
    format: Format::DOUBLE,
    exponent_bits: 11,
};

/// Result bits and the flags of this lane alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub bits: u64,
    pub flags: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Zero,
    Denormal,
    Normal,
    Infinity,
    QuietNan,
    SignalingNan,
}

impl Kind {
    const fn fraction_bits(self) -> u32 {
        self.format.precision - 1
    }

    const fn sign(self) -> u64 {
        1 << (self.fraction_bits() + self.exponent_bits)
    }

    const fn infinity(self) -> u64 {
        ((1 << self.exponent_bits) - 1) << self.fraction_bits()
    }

    const fn quiet(self) -> u64 {
        1 << (self.fraction_bits() - 1)
    }

    const fn indefinite(self) -> u64 {
        self.sign() | self.infinity() | self.quiet()
    }

    const fn invalid(self) -> Lane {
        Lane {
            bits: self.indefinite(),
            flags: IE,
        }
    }

    const fn is_negative(self, bits: u64) -> bool {
        bits & self.sign() != 0
    }

    fn class(self, bits: u64) -> Class {
        let field = bits & self.infinity();
        let fraction = bits & ((1 << self.fraction_bits()) - 1);
        if field == self.infinity() {
            match fraction {
                0 => Class::Infinity,
                _ if fraction & self.quiet() != 0 => Class::QuietNan,
                _ => Class::SignalingNan,
            }
        } else if field != 0 {
            Class::Normal
        } else if fraction != 0 {
            Class::Denormal
        } else {
            Class::Zero
        }
    }

    /// The operand as the operation sees it: with DAZ a denormal is a zero of its sign.
    fn operand(self, bits: u64, mxcsr: u32) -> u64 {
        if mxcsr & DAZ != 0 && self.class(bits) == Class::Denormal {
            bits & self.sign()
        } else {
            bits
        }
    }

    /// The value of a finite lane that is not zero.
    fn exact(self, bits: u64) -> Exact {
        let field = (bits & self.infinity()) >> self.fraction_bits();
        let fraction = bits & ((1 << self.fraction_bits()) - 1);
        let hidden = u64::from(field != 0) << self.fraction_bits();
        let exponent = field.max(1) as i32 - self.format.max_exponent;
        Exact::from_u64(
            self.is_negative(bits),
            exponent,
            (hidden | fraction) << (63 - self.fraction_bits()),
        )
    }

    fn denormal_flag(self, operands: &[u64]) -> u32 {
        if operands
            .iter()
            .any(|&bits| self.class(bits) == Class::Denormal)
        {
            DE
        } else {
            0
        }
    }

    /// A zero, for a sum that cancels.
    fn cancelled(self, mxcsr: u32) -> u64 {
        if rounding(mxcsr) == Rounding::Down {
            self.sign()
        } else {
            0
        }
    }

    /// The result when a NaN takes part: the first operand that is one, quieted (SDM vol. 1, table 4-7).
    fn propagate(self, a: u64, b: u64) -> Option<Lane> {
        let classes = [self.class(a), self.class(b)];
        let nan = |class| matches!(class, Class::QuietNan | Class::SignalingNan);
        let bits = if nan(classes[0]) {
            a
        } else if nan(classes[1]) {
            b
        } else {
            return None;
        };
        let flags = if classes.contains(&Class::SignalingNan) {
            IE
        } else {
            0
        };
        Some(Lane {
            bits: bits | self.quiet(),
            flags,
        })
    }

    /// Rounds; `before` holds flags found in the operands.
    fn deliver(self, x: Exact, before: u32, mxcsr: u32) -> Lane {
        let sign = if x.negative { self.sign() } else { 0 };
        if unmasked(before, mxcsr) != 0 {
            return Lane {
                bits: sign,
                flags: before,
            };
        }
        let rounded = x.round(self.format, rounding(mxcsr));
        let mut flags = before;
        if rounded.tiny && mxcsr & (FTZ | UM) == FTZ | UM {
            return Lane {
                bits: sign,
                flags: flags | UE | PE,
            };
        }
        if rounded.overflow {
            flags |= OE;
        }
        if rounded.tiny && (rounded.cut.inexact || mxcsr & UM == 0) {
            flags |= UE;
        }
        // An unmasked overflow or underflow hands over the result with the exponent wrapped: that one's rounding counts
        // (SDM volume 1, sections 4.9.1.4 and 4.9.1.5).
        let wrapped = (rounded.overflow && mxcsr & OM == 0) || (rounded.tiny && mxcsr & UM == 0);
        let inexact = if wrapped {
            rounded.unbounded.inexact
        } else {
            rounded.cut.inexact
        };
        if inexact {
            flags |= PE;
        }
        Lane {
            bits: sign | self.pack(rounded.cut.exponent, rounded.cut.significand),
            flags,
        }
    }

    fn pack(self, exponent: i32, significand: u64) -> u64 {
        crate::fpu::pack_ieee(exponent, significand, self.format)
    }
}

/// `a + b`
pub(crate) fn add(kind: Kind, a: u64, b: u64, mxcsr: u32) -> Lane {
    sum(kind, a, b, 0, mxcsr)
}

/// `a - b`
pub(crate) fn sub(kind: Kind, a: u64, b: u64, mxcsr: u32) -> Lane {
    sum(kind, a, b, kind.sign(), mxcsr)
}

fn sum(kind: Kind, a: u64, b: u64, flip: u64, mxcsr: u32) -> Lane {
    if let Some(lane) = kind.propagate(a, b) {
        return lane;
    }
    let a = kind.operand(a, mxcsr);
    let b = kind.operand(b, mxcsr) ^ flip;
    let before = kind.denormal_flag(&[a, b]);
    match (kind.class(a), kind.class(b)) {
        (Class::Infinity, Class::Infinity) if a != b => kind.invalid(),
        (Class::Infinity, _) => Lane {
            bits: a,
            flags: before,
        },
        (_, Class::Infinity) => Lane {
            bits: b,
            flags: before,
        },
        (Class::Zero, Class::Zero) if a == b => Lane { bits: a, flags: 0 },
        (Class::Zero, Class::Zero) => Lane {
            bits: kind.cancelled(mxcsr),
            flags: 0,
        },
        (Class::Zero, _) => kind.deliver(kind.exact(b), before, mxcsr),
        (_, Class::Zero) => kind.deliver(kind.exact(a), before, mxcsr),
        _ => match kind.exact(a).add(kind.exact(b)) {
            Some(x) => kind.deliver(x, before, mxcsr),
            None => Lane {
                bits: kind.cancelled(mxcsr),
                flags: before,
            },
        },
    }
}

/// `a * b`
pub(crate) fn mul(kind: Kind, a: u64, b: u64, mxcsr: u32) -> Lane {
    if let Some(lane) = kind.propagate(a, b) {
        return lane;
    }
    let (a, b) = (kind.operand(a, mxcsr), kind.operand(b, mxcsr));
    let before = kind.denormal_flag(&[a, b]);
    let sign = (a ^ b) & kind.sign();
    match (kind.class(a), kind.class(b)) {
        (Class::Infinity, Class::Zero) | (Class::Zero, Class::Infinity) => kind.invalid(),
        (Class::Infinity, _) | (_, Class::Infinity) => Lane {
            bits: sign | kind.infinity(),
            flags: before,
        },
        (Class::Zero, _) | (_, Class::Zero) => Lane {
            bits: sign,
            flags: before,
        },
        _ => kind.deliver(kind.exact(a).mul(kind.exact(b)), before, mxcsr),
    }
}

/// `a / b`
pub(crate) fn div(kind: Kind, a: u64, b: u64, mxcsr: u32) -> Lane {
    if let Some(lane) = kind.propagate(a, b) {
        return lane;
    }
    let (a, b) = (kind.operand(a, mxcsr), kind.operand(b, mxcsr));
    let before = kind.denormal_flag(&[a, b]);
    let sign = (a ^ b) & kind.sign();
    match (kind.class(a), kind.class(b)) {
        (Class::Infinity, Class::Infinity) | (Class::Zero, Class::Zero) => kind.invalid(),
        (Class::Infinity, _) => Lane {
            bits: sign | kind.infinity(),
            flags: before,
        },
        (_, Class::Infinity) | (Class::Zero, _) => Lane {
            bits: sign,
            flags: before,
        },
        (_, Class::Zero) => Lane {
            bits: sign | kind.infinity(),
            flags: ZE,
        },
        _ => kind.deliver(kind.exact(a).div(kind.exact(b)), before, mxcsr),
    }
}

/// Square root.
pub(crate) fn sqrt(kind: Kind, a: u64, mxcsr: u32) -> Lane {
    if let Some(lane) = kind.propagate(a, 0) {
        return lane;
    }
    let a = kind.operand(a, mxcsr);
    match (kind.class(a), kind.is_negative(a)) {
        (Class::Zero, _) | (Class::Infinity, false) => Lane { bits: a, flags: 0 },
        (_, true) => kind.invalid(),
        _ => kind.deliver(kind.exact(a).sqrt(), kind.denormal_flag(&[a]), mxcsr),
    }
}

/// Relation of two lanes and the flags of finding it; `quiet_signals` makes a quiet NaN invalid too.
pub(crate) fn compare(
    kind: Kind,
    a: u64,
    b: u64,
    quiet_signals: bool,
    mxcsr: u32,
) -> (Relation, u32) {
    let (a, b) = (kind.operand(a, mxcsr), kind.operand(b, mxcsr));
    let classes = [kind.class(a), kind.class(b)];
    if classes.contains(&Class::SignalingNan) {
        return (Relation::Unordered, IE);
    }
    if classes.contains(&Class::QuietNan) {
        return (Relation::Unordered, if quiet_signals { IE } else { 0 });
    }
    let key = |bits: u64| {
        let magnitude = (bits & !kind.sign()) as i64;
        if kind.is_negative(bits) {
            -magnitude
        } else {
            magnitude
        }
    };
    let relation = match key(a).cmp(&key(b)) {
        std::cmp::Ordering::Less => Relation::Less,
        std::cmp::Ordering::Equal => Relation::Equal,
        std::cmp::Ordering::Greater => Relation::Greater,
    };
    (relation, kind.denormal_flag(&[a, b]))
}

/// From one format to the other.
pub(crate) fn convert(from: Kind, to: Kind, a: u64, mxcsr: u32) -> Lane {
    let a = from.operand(a, mxcsr);
    let sign = if from.is_negative(a) { to.sign() } else { 0 };
    match from.class(a) {
        Class::Zero => Lane {
            bits: sign,
            flags: 0,
        },
        Class::Infinity => Lane {
            bits: sign | to.infinity(),
            flags: 0,
        },
        class @ (Class::QuietNan | Class::SignalingNan) => {
            let payload = (a & !from.sign() & !from.infinity()) << (63 - from.fraction_bits());
            let fraction = payload >> (63 - to.fraction_bits());
            let flags = if class == Class::SignalingNan { IE } else { 0 };
            Lane {
                bits: sign | to.infinity() | to.quiet() | fraction,
                flags,
            }
        }
        Class::Normal | Class::Denormal => {
            to.deliver(from.exact(a), from.denormal_flag(&[a]), mxcsr)
        }
    }
}

/// From a signed integer.
pub(crate) fn from_integer(kind: Kind, n: i64, mxcsr: u32) -> Lane {
    if n == 0 {
        return Lane { bits: 0, flags: 0 };
    }
    kind.deliver(Exact::from_u64(n < 0, 63, n.unsigned_abs()), 0, mxcsr)
}

/// To a signed integer of `width` bits (32 or 64), sign-extended. Out of range or NaN: IE and the most negative one.
pub(crate) fn to_integer(kind: Kind, a: u64, width: u32, mode: Rounding, mxcsr: u32) -> (i64, u32) {
    let a = kind.operand(a, mxcsr);
    let indefinite = (-1i64 << (width - 1), IE);
    match kind.class(a) {
        Class::Zero => return (0, 0),
        Class::Normal | Class::Denormal => {}
        _ => return indefinite,
    }
    let negative = kind.is_negative(a);
    let limit = (1u64 << (width - 1)) - u64::from(!negative);
    match kind.exact(a).to_integer(mode) {
        Some((magnitude, inexact, _)) if magnitude <= limit => {
            let value = if negative {
                (magnitude as i64).wrapping_neg()
            } else {
                magnitude as i64
            };
            (value, if inexact { PE } else { 0 })
        }
        _ => indefinite,
    }
}

/// The nearest whole number by `mode`, in the same format. A denormal operand is not reported (SDM volume 2, ROUNDPD).
pub(crate) fn round_to_integral(kind: Kind, a: u64, mode: Rounding, mxcsr: u32) -> Lane {
    if let Some(lane) = kind.propagate(a, 0) {
        return lane;
    }
    let a = kind.operand(a, mxcsr);
    let fraction_bits = kind.fraction_bits();
    let exponent = ((a & kind.infinity()) >> fraction_bits) as i32 - kind.format.max_exponent;
    // From here on there is no fraction; zeros and infinities are whole as well.
    if matches!(kind.class(a), Class::Zero) || exponent >= fraction_bits as i32 {
        return Lane { bits: a, flags: 0 };
    }
    let sign = a & kind.sign();
    let (magnitude, inexact, _) = kind
        .exact(a)
        .to_integer(mode)
        .expect("the magnitude is below 2^52");
    let bits = if magnitude == 0 {
        sign
    } else {
        let whole = Exact::from_u64(sign != 0, 63, magnitude).round(kind.format, Rounding::Zero);
        sign | kind.pack(whole.cut.exponent, whole.cut.significand)
    };
    Lane {
        bits,
        flags: if inexact { PE } else { 0 },
    }
}

/// The operand as an operation sees it: with DAZ a denormal is a zero of its sign.
#[inline]
pub(crate) fn operand(kind: Kind, bits: u64, mxcsr: u32) -> u64 {
    kind.operand(bits, mxcsr)
}

/// Lane by lane (`f` gets the lane's number), with the flags of the whole instruction.
pub(crate) fn each<const N: usize>(
    a: [u64; N],
    b: [u64; N],
    mxcsr: u32,
    f: impl Fn(usize, u64, u64) -> Lane,
) -> ([u64; N], u32) {
    let lanes: [Lane; N] = std::array::from_fn(|i| f(i, a[i], b[i]));
    let flags = lanes.iter().fold(0, |flags, lane| flags | lane.flags);
    (lanes.map(|lane| lane.bits), reported(flags, mxcsr))
}

#[cfg(test)]
mod tests {
    use super::super::mxcsr::RESET;
    use super::*;

    fn d(x: f64) -> u64 {
        x.to_bits()
    }

    #[test]
    fn add_rounds_by_control() {
        let tiny = 2f64.powi(-60);
        assert_eq!(
            add(DOUBLE, d(1.0), d(tiny), RESET),
            Lane {
                bits: d(1.0),
                flags: PE
            }
        );
        let up = RESET | 2 << 13;
        assert_eq!(
            add(DOUBLE, d(1.0), d(tiny), up),
            Lane {
                bits: d(1.0) + 1,
                flags: PE
            }
        );
    }

    #[test]
    fn first_nan_wins_quieted() {
        let signaling = 0x7FF0_0000_0000_0001;
        let lane = mul(DOUBLE, signaling, d(f64::NAN), RESET);
        assert_eq!(
            lane,
            Lane {
                bits: 0x7FF8_0000_0000_0001,
                flags: IE
            }
        );
    }

    #[test]
    fn flush_to_zero_sets_ue_and_pe() {
        let lane = mul(SINGLE, 0x0080_0000, 0x3F00_0000, RESET | FTZ);
        assert_eq!(
            lane,
            Lane {
                bits: 0,
                flags: UE | PE
            }
        );
        let lane = mul(SINGLE, 0x0080_0000, 0x3F00_0000, RESET);
        assert_eq!(
            lane,
            Lane {
                bits: 0x0040_0000,
                flags: 0
            }
        );
    }

    #[test]
    fn unmasked_underflow_reports_an_exact_tiny_result() {
        assert_eq!(mul(SINGLE, 0x0080_0000, 0x3F00_0000, RESET & !UM).flags, UE);
    }

    #[test]
    fn to_integer_out_of_range_is_indefinite() {
        assert_eq!(
            to_integer(DOUBLE, d(3e9), 32, Rounding::Nearest, RESET),
            (i64::from(i32::MIN), IE)
        );
        assert_eq!(
            to_integer(DOUBLE, d(-2.5), 32, Rounding::Nearest, RESET),
            (-2, PE)
        );
    }

    #[test]
    fn convert_double_to_single_rounds_to_even() {
        let lane = convert(DOUBLE, SINGLE, d(1.0 + 2f64.powi(-24)), RESET);
        assert_eq!(
            lane,
            Lane {
                bits: u64::from(1f32.to_bits()),
                flags: PE
            }
        );
    }
}
