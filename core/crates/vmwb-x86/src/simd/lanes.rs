//! Registers as arrays of lanes, and back. Lane 0 is the low end, as in guest memory.

const _: () = assert!(
    cfg!(target_endian = "little"),
    "lanes are reinterpreted in place: the host must be little-endian"
);

macro_rules! views {
    ($($name:ident: $register:ty => [$lane:ty; $count:literal];)+) => {
        $(
            #[inline(always)]
            #[allow(unnecessary_transmutes, reason = "one text for byte lanes, which have a safe way, and the others")]
            pub(crate) fn $name(register: $register) -> [$lane; $count] {
                // SAFETY: both types have the same size and no invalid patterns, and the host is little-endian (above).
                unsafe { std::mem::transmute::<$register, [$lane; $count]>(register) }
            }

            impl Lanes<$register> for [$lane; $count] {
                #[inline(always)]
                #[allow(unnecessary_transmutes, reason = "as above")]
                fn join(self) -> $register {
                    // SAFETY: both types have the same size and no invalid patterns, and the host is little-endian.
                    unsafe { std::mem::transmute::<[$lane; $count], $register>(self) }
                }
            }
        )+
    };
}

/// Lanes that make up a register.
pub(crate) trait Lanes<R> {
    /// Puts the lanes together.
    fn join(self) -> R;
}

views! {
    u8x16: u128 => [u8; 16];
    i8x16: u128 => [i8; 16];
    u16x8: u128 => [u16; 8];
    i16x8: u128 => [i16; 8];
    u32x4: u128 => [u32; 4];
    i32x4: u128 => [i32; 4];
    u64x2: u128 => [u64; 2];
    u8x8: u64 => [u8; 8];
    i8x8: u64 => [i8; 8];
    u16x4: u64 => [u16; 4];
    i16x4: u64 => [i16; 4];
    u32x2: u64 => [u32; 2];
    i32x2: u64 => [i32; 2];
}

/// The one quadword of an MMX register.
#[inline(always)]
pub(crate) fn u64x1(register: u64) -> [u64; 1] {
    [register]
}

impl Lanes<u64> for [u64; 1] {
    #[inline(always)]
    fn join(self) -> u64 {
        self[0]
    }
}

impl Lanes<u128> for [f64; 2] {
    #[inline(always)]
    fn join(self) -> u128 {
        self.map(f64::to_bits).join()
    }
}

/// Applies `f` to each pair of lanes.
#[inline(always)]
pub(crate) fn zip<T: Copy, U, const N: usize>(
    a: [T; N],
    b: [T; N],
    f: impl Fn(T, T) -> U,
) -> [U; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}
