//! Instructions that are not worth emitting: functions of the processor and one operation, called by every engine.

mod arith;
mod control;
mod fpstate;
mod io;
mod mmx;
mod segments;
mod simd;
mod sse_float;
mod sse_integer;
mod sse_move;
mod strings;
mod system;
mod x87;
mod x87_arith;
mod x87_control;
mod x87_transfer;

pub(crate) use arith::*;
pub(crate) use control::*;
pub(crate) use fpstate::*;
pub(crate) use io::*;
pub(crate) use mmx::*;
pub(crate) use segments::*;
pub(crate) use sse_float::*;
pub(crate) use sse_integer::*;
pub(crate) use sse_move::*;
pub(crate) use strings::*;
pub(crate) use system::*;
pub(crate) use x87_arith::*;
pub(crate) use x87_control::*;
pub(crate) use x87_transfer::*;
