//! ROUNDPS and its kin, and the dot products DPPS and DPPD (SSE4.1).

use super::super::Unmasked;
use super::super::lanes::{Lanes, u32x4, u64x2};
use super::super::mxcsr::{PE, conclude, rounding};
use super::super::soft::{self, DOUBLE, Kind, Lane, SINGLE};
use super::{addpd, addps, mulpd, mulps};
use crate::fpu::Rounding;

/// The control byte takes the rounding mode from MXCSR.
const FROM_MXCSR: u8 = 1 << 2;
/// The control byte keeps an inexact result from being reported.
const QUIET: u8 = 1 << 3;

fn round(kind: Kind, a: u64, control: u8, mxcsr: u32) -> Lane {
    let mode = if control & FROM_MXCSR != 0 {
        rounding(mxcsr)
    } else {
        Rounding::from_bits(control.into())
    };
    let lane = soft::round_to_integral(kind, a, mode, mxcsr);
    let hidden = if control & QUIET != 0 { PE } else { 0 };
    Lane {
        bits: lane.bits,
        flags: lane.flags & !hidden,
    }
}

/// ROUNDSS: the whole number next to a single, as the control byte says.
pub fn roundss(a: u32, control: u8, mxcsr: &mut u32) -> Result<u32, Unmasked> {
    let lane = round(SINGLE, a.into(), control, *mxcsr);
    conclude(lane.bits as u32, lane.flags, mxcsr)
}

/// ROUNDSD: the same for a double.
pub fn roundsd(a: u64, control: u8, mxcsr: &mut u32) -> Result<u64, Unmasked> {
    let lane = round(DOUBLE, a, control, *mxcsr);
    conclude(lane.bits, lane.flags, mxcsr)
}

/// ROUNDPS: four singles.
pub fn roundps(a: u128, control: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let kept = *mxcsr;
    let (lanes, flags) = soft::each(u32x4(a).map(u64::from), [0; 4], kept, |_, a, _| {
        round(SINGLE, a, control, kept)
    });
    conclude(lanes.map(|bits| bits as u32).join(), flags, mxcsr)
}

/// ROUNDPD: two doubles.
pub fn roundpd(a: u128, control: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let kept = *mxcsr;
    let (lanes, flags) = soft::each(u64x2(a), [0; 2], kept, |_, a, _| {
        round(DOUBLE, a, control, kept)
    });
    conclude(lanes.join(), flags, mxcsr)
}

/// DPPS: the products that bits 7:4 of the control byte choose, summed in pairs, to the lanes that bits 3:0 choose. An
/// unmasked exception in one step ends the instruction before the next (SDM volume 2, DPPS).
pub fn dpps(a: u128, b: u128, control: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    // A lane that is not chosen is not multiplied: zeros take its place and report nothing.
    let chosen = |v: u128| {
        let mut lanes = u32x4(v);
        (0..4)
            .filter(|i| control >> (4 + i) & 1 == 0)
            .for_each(|i| lanes[i] = 0);
        lanes.join()
    };
    let p = u32x4(mulps(chosen(a), chosen(b), mxcsr)?);
    let pairs = u32x4(addps(
        [p[0], p[2], 0, 0].join(),
        [p[1], p[3], 0, 0].join(),
        mxcsr,
    )?);
    let sum = u32x4(addps(pairs[0].into(), pairs[1].into(), mxcsr)?)[0];
    let lanes: [u32; 4] = std::array::from_fn(|i| if control >> i & 1 != 0 { sum } else { 0 });
    Ok(lanes.join())
}

/// DPPD: the same for two doubles, with bits 5:4 and 1:0.
pub fn dppd(a: u128, b: u128, control: u8, mxcsr: &mut u32) -> Result<u128, Unmasked> {
    let chosen = |v: u128| {
        let mut lanes = u64x2(v);
        (0..2)
            .filter(|i| control >> (4 + i) & 1 == 0)
            .for_each(|i| lanes[i] = 0);
        lanes.join()
    };
    let p = u64x2(mulpd(chosen(a), chosen(b), mxcsr)?);
    let sum = u64x2(addpd(p[0].into(), p[1].into(), mxcsr)?)[0];
    let lanes: [u64; 2] = std::array::from_fn(|i| if control >> i & 1 != 0 { sum } else { 0 });
    Ok(lanes.join())
}

#[cfg(test)]
mod tests {
    use super::super::super::mxcsr::{FLAGS, IE, RESET, unmasked};
    use super::*;

    #[test]
    fn rounding_keeps_the_sign_of_zero_and_reports_by_control() {
        let mut mxcsr = RESET;
        let minus = (-0.25f64).to_bits();
        assert_eq!(roundsd(minus, 8, &mut mxcsr), Ok((-0.0f64).to_bits()));
        assert_eq!(mxcsr & FLAGS, 0);
        assert_eq!(roundsd(minus, 1, &mut mxcsr), Ok((-1.0f64).to_bits()));
        assert_eq!(mxcsr & FLAGS, PE);
    }

    #[test]
    fn rounding_mode_comes_from_mxcsr_when_the_control_says_so() {
        let mut mxcsr = RESET | 2 << 13;
        assert_eq!(roundss(0.5f32.to_bits(), 4, &mut mxcsr), Ok(1f32.to_bits()));
        assert_eq!(roundss(0.5f32.to_bits(), 0, &mut mxcsr), Ok(0));
        assert_eq!(roundss(2.5f32.to_bits(), 0, &mut mxcsr), Ok(2f32.to_bits()));
        assert_eq!(
            roundss(8_388_609f32.to_bits(), 3, &mut mxcsr),
            Ok(8_388_609f32.to_bits())
        );
    }

    #[test]
    fn signaling_nan_is_quieted_and_invalid() {
        let mut mxcsr = RESET;
        assert_eq!(roundss(0x7F80_0001, 8, &mut mxcsr), Ok(0x7FC0_0001));
        assert_eq!(mxcsr & FLAGS, IE);
        let mut strict = RESET & !(IE << 7);
        assert_eq!(roundss(0x7F80_0001, 8, &mut strict), Err(Unmasked));
        assert_eq!(unmasked(strict & FLAGS, strict), IE);
    }

    #[test]
    fn dot_product_leaves_lanes_out_that_are_not_chosen() {
        let mut mxcsr = RESET;
        let v = [1f32, 2.0, 3.0, f32::NAN].map(f32::to_bits).join();
        let sum = dpps(v, v, 0x71, &mut mxcsr).unwrap();
        assert_eq!((sum, mxcsr & FLAGS), (u128::from(14f32.to_bits()), 0));
    }
}
