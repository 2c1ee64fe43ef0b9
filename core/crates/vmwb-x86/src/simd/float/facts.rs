//! What can be said cheaply about operands and results: the facts the short way of arithmetic rests on.

/// Facts about operands and results of one format.
macro_rules! format_facts {
    ($module:ident, $float:ty, $bits:ty) => {
        pub(crate) mod $module {
            pub(crate) const SIGN: $bits = 1 << (<$bits>::BITS - 1);
            pub(crate) const INFINITY: $bits = <$float>::INFINITY.to_bits();
            const SMALLEST: $bits = <$float>::MIN_POSITIVE.to_bits();

            #[inline(always)]
            pub(crate) fn is_denormal(a: $bits) -> bool {
                (a & !SIGN).wrapping_sub(1) < SMALLEST - 1
            }

            #[inline(always)]
            pub(crate) fn is_zero(a: $bits) -> bool {
                a << 1 == 0
            }

            #[inline(always)]
            pub(crate) fn is_finite(a: $bits) -> bool {
                a & !SIGN < INFINITY
            }

            /// Neither a NaN nor denormal.
            #[inline(always)]
            pub(crate) fn is_ordinary(a: $bits) -> bool {
                !is_denormal(a) & (a & !SIGN <= INFINITY)
            }

            /// Finite and at least twice the smallest normal number.
            #[inline(always)]
            pub(crate) fn is_clear_of_limits(a: $bits) -> bool {
                (a & !SIGN).wrapping_sub(2 * SMALLEST) < INFINITY - 2 * SMALLEST
            }

            #[inline(always)]
            pub(crate) fn is_quiet_sum(a: $bits, b: $bits, r: $bits) -> bool {
                !is_denormal(a) & !is_denormal(b) & !is_denormal(r) & is_finite(r)
            }

            #[inline(always)]
            pub(crate) fn is_clear_product(a: $bits, b: $bits, r: $bits) -> bool {
                !is_denormal(a) & !is_denormal(b) & is_clear_of_limits(r)
            }

            #[inline(always)]
            pub(crate) fn is_quiet_product(a: $bits, b: $bits, r: $bits) -> bool {
                let explained = is_zero(r) & (is_zero(a) | is_zero(b));
                !is_denormal(a) & !is_denormal(b) & (is_clear_of_limits(r) | explained)
            }

            #[inline(always)]
            pub(crate) fn is_quiet_quotient(a: $bits, b: $bits, r: $bits) -> bool {
                let explained = is_zero(r) & is_zero(a);
                !is_denormal(a) & !is_denormal(b) & (is_clear_of_limits(r) | explained)
            }

            /// The operand is the second one, as in the two-operand form.
            #[inline(always)]
            pub(crate) fn is_quiet_root(_: $bits, b: $bits, r: $bits) -> bool {
                !is_denormal(b) & is_finite(r)
            }

            /// Knuth's two-sum: the rounding error of `x + y`, which is itself a number of the format.
            #[inline]
            pub(crate) fn is_exact_sum(a: $bits, b: $bits, r: $bits) -> bool {
                let (x, y, s) = (
                    <$float>::from_bits(a),
                    <$float>::from_bits(b),
                    <$float>::from_bits(r),
                );
                let rest = s - x;
                (x - (s - rest)) + (y - rest) == 0.0
            }

            #[inline]
            pub(crate) fn is_exact_difference(a: $bits, b: $bits, r: $bits) -> bool {
                is_exact_sum(a, b ^ SIGN, r)
            }

            #[inline(always)]
            pub(crate) fn add(a: $bits, b: $bits) -> $bits {
                (<$float>::from_bits(a) + <$float>::from_bits(b)).to_bits()
            }

            #[inline(always)]
            pub(crate) fn sub(a: $bits, b: $bits) -> $bits {
                (<$float>::from_bits(a) - <$float>::from_bits(b)).to_bits()
            }

            #[inline(always)]
            pub(crate) fn mul(a: $bits, b: $bits) -> $bits {
                (<$float>::from_bits(a) * <$float>::from_bits(b)).to_bits()
            }

            #[inline(always)]
            pub(crate) fn div(a: $bits, b: $bits) -> $bits {
                (<$float>::from_bits(a) / <$float>::from_bits(b)).to_bits()
            }

            #[inline(always)]
            pub(crate) fn sqrt(_: $bits, b: $bits) -> $bits {
                <$float>::from_bits(b).sqrt().to_bits()
            }
        }
    };
}

format_facts!(single, f32, u32);
format_facts!(double, f64, u64);

/// Whether a result is exactly the product, quotient or root, where double precision holds any single product.
pub(crate) mod single_exact {
    fn product(a: u32, b: u32) -> f64 {
        f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b))
    }

    pub(crate) fn is_product(a: u32, b: u32, r: u32) -> bool {
        product(a, b) == f64::from(f32::from_bits(r))
    }

    pub(crate) fn is_quotient(a: u32, b: u32, r: u32) -> bool {
        product(r, b) == f64::from(f32::from_bits(a))
    }

    pub(crate) fn is_root(_: u32, b: u32, r: u32) -> bool {
        product(r, r) == f64::from(f32::from_bits(b))
    }
}

/// The same for double precision: proved only when the significands are short enough to multiply exactly.
pub(crate) mod double_exact {
    use super::double;

    /// Zeros at the end of the 53-bit significand of a normal number.
    fn trailing_zeros(a: u64) -> u32 {
        (a | 1 << 52).trailing_zeros()
    }

    pub(crate) fn is_product(a: u64, b: u64, r: u64) -> bool {
        double::is_zero(r) || trailing_zeros(a) + trailing_zeros(b) >= 53
    }

    pub(crate) fn is_quotient(a: u64, b: u64, r: u64) -> bool {
        is_product(r, b, r) && f64::from_bits(r) * f64::from_bits(b) == f64::from_bits(a)
    }

    pub(crate) fn is_root(_: u64, b: u64, r: u64) -> bool {
        is_product(r, r, r) && f64::from_bits(r) * f64::from_bits(r) == f64::from_bits(b)
    }
}
