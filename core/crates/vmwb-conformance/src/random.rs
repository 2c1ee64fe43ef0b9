//! Random numbers that a seed repeats (splitmix64, Steele, Lea and Flood 2014).

/// The generator; its only state is the seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// 32 random bits.
    pub fn bits32(&mut self) -> u32 {
        u32::try_from(self.bits() >> 32).expect("half of 64 bits")
    }

    /// 16 random bits.
    pub fn bits16(&mut self) -> u16 {
        u16::try_from(self.bits() >> 48).expect("a quarter of 64 bits")
    }

    /// A random byte.
    pub fn byte(&mut self) -> u8 {
        u8::try_from(self.bits() >> 56).expect("an eighth of 64 bits")
    }

    /// Below `n`, which is not 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// An index below `n`, which is not 0.
    pub fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.bits() % n as u64).expect("below a usize")
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of the values.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}
