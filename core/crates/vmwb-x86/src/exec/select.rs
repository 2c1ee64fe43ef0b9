//! Which handler an instruction gets: expanded from the description, one [`Select`] a form.

use super::helpers;
use super::interp::{
    branch, checked_helper, ending_helper, go_to, leave, straight, straight_helper,
};
use super::operations::{am, kind};
use super::ops::{Branch, Straight};
use super::sem;
use crate::cpu::{Cpu, Why};
use crate::trace::{Handler, Op};

/// Handlers of one form, by operand size (1, 2, 4, 8 bytes), form (register or memory) and addressing.
#[derive(Debug)]
pub(crate) struct Select {
    /// Register form; the addressing matters for stack operations only.
    pub(crate) reg: [[Handler; 4]; 3],
    /// Memory form.
    pub(crate) mem: [[Handler; 4]; 3],
    /// The operation uses the stack: its addressing must fit both.
    pub(crate) stack: bool,
    pub(crate) is_helper: bool,
}

macro_rules! sizes {
    ($f:ident, $s:ident, $kind:expr, $am:expr) => {
        [
            $f::<$s, 1, { $kind }, { $am }>,
            $f::<$s, 2, { $kind }, { $am }>,
            $f::<$s, 4, { $kind }, { $am }>,
            $f::<$s, 8, { $kind }, { $am }>,
        ]
    };
}

impl Select {
    const fn straight<S: Straight, const REG: u8, const MEM: u8>() -> Self {
        Self {
            reg: [
                sizes!(straight, S, REG, am::A64),
                if S::STACK {
                    sizes!(straight, S, REG, am::A32)
                } else {
                    sizes!(straight, S, REG, am::A64)
                },
                if S::STACK {
                    sizes!(straight, S, REG, am::GENERAL)
                } else {
                    sizes!(straight, S, REG, am::A64)
                },
            ],
            mem: [
                sizes!(straight, S, MEM, am::A64),
                sizes!(straight, S, MEM, am::A32),
                sizes!(straight, S, MEM, am::GENERAL),
            ],
            stack: S::STACK,
            is_helper: false,
        }
    }

    const fn branch<S: Branch, const REG: u8, const MEM: u8>() -> Self {
        Self {
            reg: [
                sizes!(branch, S, REG, am::A64),
                if S::STACK {
                    sizes!(branch, S, REG, am::A32)
                } else {
                    sizes!(branch, S, REG, am::A64)
                },
                if S::STACK {
                    sizes!(branch, S, REG, am::GENERAL)
                } else {
                    sizes!(branch, S, REG, am::A64)
                },
            ],
            mem: [
                sizes!(branch, S, MEM, am::A64),
                sizes!(branch, S, MEM, am::A32),
                sizes!(branch, S, MEM, am::GENERAL),
            ],
            stack: S::STACK,
            is_helper: false,
        }
    }

    const fn helper(h: Handler) -> Self {
        Self {
            reg: [[h; 4]; 3],
            mem: [[h; 4]; 3],
            stack: false,
            is_helper: true,
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/select.rs"));
