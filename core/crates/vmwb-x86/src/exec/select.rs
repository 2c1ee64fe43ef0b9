//! Which handler an instruction gets: expanded from the description, one [`Select`] a form, and the pairs of an
//! instruction and a conditional branch behind it that share a handler.

use super::helpers;
use super::interp::{
    branch, branch_slow, checked_helper, ending_helper, go_to, leave, pair, straight,
    straight_helper, straight_slow,
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
    pub(crate) reg: Table,
    /// Memory form.
    pub(crate) mem: Table,
    /// Both once more, leaving the arithmetic flags alone.
    pub(crate) quiet: Option<[Table; 2]>,
    /// The operation uses the stack: its addressing must fit both, and its operand is addressed as if it had an index.
    pub(crate) stack: bool,
    pub(crate) is_helper: bool,
    /// Row of [`PAIRS`] plus one; 0 when the form leads no pair.
    pub(crate) leads: u8,
    /// Condition of a conditional branch in the order of its encoding, else [`NO_CONDITION`].
    pub(crate) condition: u8,
}

/// Handlers by addressing ([`am`]) and operand size (1, 2, 4, 8 bytes).
pub(crate) type Table = [[Handler; 4]; am::COUNT];

/// What [`Select::condition`] is for everything but conditional branches.
pub(crate) const NO_CONDITION: u8 = 16;

macro_rules! sizes {
    ($f:ident, $s:ident, $kind:expr, $am:expr $(, $flags:literal)?) => {
        [
            $f::<$s, 1, { $kind }, { $am } $(, $flags)?>,
            $f::<$s, 2, { $kind }, { $am } $(, $flags)?>,
            $f::<$s, 4, { $kind }, { $am } $(, $flags)?>,
            $f::<$s, 8, { $kind }, { $am } $(, $flags)?>,
        ]
    };
}

/// Handlers by addressing and size; the addressing of register forms matters when the stack is used. Segmented ones
/// are slow from the start.
macro_rules! tables {
    ($f:ident, $slow:ident, $s:ident, $reg:expr, $mem:expr $(, $flags:literal)?) => {
        (
            [
                sizes!($f, $s, $reg, am::A64 $(, $flags)?),
                if $s::STACK {
                    sizes!($f, $s, $reg, am::A32 $(, $flags)?)
                } else {
                    sizes!($f, $s, $reg, am::A64 $(, $flags)?)
                },
                if $s::STACK {
                    sizes!($slow, $s, $reg, am::GENERAL)
                } else {
                    sizes!($f, $s, $reg, am::A64 $(, $flags)?)
                },
                sizes!($f, $s, $reg, am::A64 $(, $flags)?),
                sizes!($f, $s, $reg, am::A64 $(, $flags)?),
            ],
            [
                sizes!($f, $s, $mem, am::A64 $(, $flags)?),
                sizes!($f, $s, $mem, am::A32 $(, $flags)?),
                sizes!($slow, $s, $mem, am::GENERAL),
                if $s::STACK {
                    sizes!($f, $s, $mem, am::A64 $(, $flags)?)
                } else {
                    sizes!($f, $s, $mem, am::BASE64 $(, $flags)?)
                },
                if $s::STACK {
                    sizes!($f, $s, $mem, am::A32 $(, $flags)?)
                } else {
                    sizes!($f, $s, $mem, am::BASE32 $(, $flags)?)
                },
            ],
        )
    };
}

impl Select {
    const fn of((reg, mem): (Table, Table), stack: bool) -> Self {
        Self {
            reg,
            mem,
            quiet: None,
            stack,
            is_helper: false,
            leads: 0,
            condition: NO_CONDITION,
        }
    }

    const fn straight<S: Straight, const REG: u8, const MEM: u8>() -> Self {
        Self::of(
            tables!(straight, straight_slow, S, REG, MEM, true),
            S::STACK,
        )
    }

    /// A form with handlers that leave the flags alone, beside those that do not.
    const fn quiet<S: Straight, const REG: u8, const MEM: u8>() -> Self {
        let (reg, mem) = tables!(straight, straight_slow, S, REG, MEM, false);
        Self {
            quiet: Some([reg, mem]),
            ..Self::straight::<S, REG, MEM>()
        }
    }

    const fn branch<S: Branch, const REG: u8, const MEM: u8>() -> Self {
        Self::of(tables!(branch, branch_slow, S, REG, MEM), S::STACK)
    }

    /// The form may lead a pair, as this row of [`PAIRS`].
    const fn leads(self, row: u8) -> Self {
        Self { leads: row, ..self }
    }

    /// A conditional branch, which may follow in a pair.
    const fn condition(self, condition: u8) -> Self {
        Self { condition, ..self }
    }

    const fn helper(h: Handler) -> Self {
        Self {
            reg: [[h; 4]; am::COUNT],
            mem: [[h; 4]; am::COUNT],
            quiet: None,
            stack: false,
            is_helper: true,
            leads: 0,
            condition: NO_CONDITION,
        }
    }
}

/// Handlers of one pair, by operand size; words are too rare to be worth one.
#[derive(Debug)]
pub(crate) struct Pair {
    rr: [Option<Handler>; 4],
    ri: [Option<Handler>; 4],
    rm: PairTable,
    mr: PairTable,
    mi: PairTable,
}

/// Handlers of pairs with a memory operand, by addressing; segmented ones are too rare to be worth one.
type PairTable = [[Option<Handler>; 4]; am::COUNT];

macro_rules! pair_sizes {
    ($s:ident, $j:ident, $kind:expr, $am:expr) => {
        [
            Some(pair::<$s, $j, 1, { $kind }, { $am }> as Handler),
            None,
            Some(pair::<$s, $j, 4, { $kind }, { $am }> as Handler),
            Some(pair::<$s, $j, 8, { $kind }, { $am }> as Handler),
        ]
    };
}

macro_rules! pair_table {
    ($s:ident, $j:ident, $kind:expr) => {
        [
            pair_sizes!($s, $j, $kind, am::A64),
            pair_sizes!($s, $j, $kind, am::A32),
            [None; 4],
            pair_sizes!($s, $j, $kind, am::BASE64),
            pair_sizes!($s, $j, $kind, am::BASE32),
        ]
    };
}

impl Pair {
    const NONE: Self = Self {
        rr: [None; 4],
        ri: [None; 4],
        rm: [[None; 4]; am::COUNT],
        mr: [[None; 4]; am::COUNT],
        mi: [[None; 4]; am::COUNT],
    };

    const fn registers<S: Straight, J: Branch>() -> Self {
        Self {
            rr: pair_sizes!(S, J, kind::RR, am::A64),
            ri: pair_sizes!(S, J, kind::RI, am::A64),
            ..Self::NONE
        }
    }

    /// For TEST, which has no form with memory as its second operand.
    const fn no_load<S: Straight, J: Branch>() -> Self {
        Self {
            mr: pair_table!(S, J, kind::MR),
            mi: pair_table!(S, J, kind::MI),
            ..Self::registers::<S, J>()
        }
    }

    const fn all<S: Straight, J: Branch>() -> Self {
        Self {
            rm: pair_table!(S, J, kind::RM),
            ..Self::no_load::<S, J>()
        }
    }

    /// The handler for an operand kind of [`kind`], an addressing and the logarithm of the operand size.
    pub(crate) fn handler(&self, operands: u8, addressing: u8, size_log: usize) -> Option<Handler> {
        let by_addressing = |t: &PairTable| t[usize::from(addressing)][size_log];
        match operands {
            kind::RR => self.rr[size_log],
            kind::RI => self.ri[size_log],
            kind::RM => by_addressing(&self.rm),
            kind::MR => by_addressing(&self.mr),
            kind::MI => by_addressing(&self.mi),
            _ => None,
        }
    }
}

/// Pairs by what leads ([`Select::leads`]) and by condition in the order of its encoding: those that compilers emit.
pub(crate) static PAIRS: [[Pair; 16]; 3] = [
    [
        Pair::NONE,
        Pair::NONE,
        Pair::all::<sem::Cmp, sem::Jb>(),
        Pair::all::<sem::Cmp, sem::Jnb>(),
        Pair::all::<sem::Cmp, sem::Jz>(),
        Pair::all::<sem::Cmp, sem::Jnz>(),
        Pair::all::<sem::Cmp, sem::Jbe>(),
        Pair::all::<sem::Cmp, sem::Jnbe>(),
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::all::<sem::Cmp, sem::Jl>(),
        Pair::all::<sem::Cmp, sem::Jnl>(),
        Pair::all::<sem::Cmp, sem::Jle>(),
        Pair::all::<sem::Cmp, sem::Jnle>(),
    ],
    [
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::no_load::<sem::Test, sem::Jz>(),
        Pair::no_load::<sem::Test, sem::Jnz>(),
        Pair::NONE,
        Pair::NONE,
        Pair::registers::<sem::Test, sem::Js>(),
        Pair::registers::<sem::Test, sem::Jns>(),
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::registers::<sem::Test, sem::Jle>(),
        Pair::registers::<sem::Test, sem::Jnle>(),
    ],
    [
        Pair::NONE,
        Pair::NONE,
        Pair::registers::<sem::Sub, sem::Jb>(),
        Pair::registers::<sem::Sub, sem::Jnb>(),
        Pair::registers::<sem::Sub, sem::Jz>(),
        Pair::registers::<sem::Sub, sem::Jnz>(),
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
        Pair::NONE,
    ],
];

include!(concat!(env!("OUT_DIR"), "/select.rs"));
