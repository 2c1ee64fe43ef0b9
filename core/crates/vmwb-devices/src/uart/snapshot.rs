//! Saved state of a serial port. Frozen: a change is a new version with an upgrade.

use serde::{Deserialize, Serialize};
use vmwb_hw::{Nanos, Schema, SnapshotError};

use super::regs::{FCR_ENABLE, FCR_KEPT, FIFO_BYTES, IER_MASK, LSR_BI, LSR_OE, MCR_MASK};
use super::{Received, State};

/// Version 1 of a 16550A.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UartV1 {
    /// Divisor latch.
    pub divisor: u16,
    /// Interrupt enable register.
    pub ier: u8,
    /// FIFO control register: enable, DMA mode and trigger.
    pub fcr: u8,
    /// Line control register.
    pub lcr: u8,
    /// Modem control register.
    pub mcr: u8,
    /// Modem status register.
    pub msr: u8,
    /// Scratch register.
    pub scr: u8,
    /// LSR bits OE and BI that wait to be read.
    pub line_errors: u8,
    /// Received characters, oldest first; at most 16.
    pub rx: Vec<u8>,
    /// Which of `rx` are breaks, one each.
    pub rx_breaks: Vec<bool>,
    /// The transmitter's interrupt waits.
    pub thre_pending: bool,
    /// The FIFO's time-out has come.
    pub timeout_pending: bool,
    /// When the time-out comes, in nanoseconds of virtual time.
    pub timeout_at_ns: Option<u64>,
    /// Until when the last batch of input takes the wire, in nanoseconds of virtual time.
    pub wire_free_at_ns: Option<u64>,
    /// Level of the interrupt line.
    pub line: bool,
}

impl Schema for UartV1 {
    const KIND: &'static str = "uart";
    const VERSION: u32 = 1;
}

impl From<&State> for UartV1 {
    fn from(s: &State) -> Self {
        Self {
            divisor: s.divisor,
            ier: s.ier,
            fcr: s.fcr,
            lcr: s.lcr,
            mcr: s.mcr,
            msr: s.msr,
            scr: s.scr,
            line_errors: s.line_errors,
            rx: s.rx.iter().map(|r| r.data).collect(),
            rx_breaks: s.rx.iter().map(|r| r.is_break).collect(),
            thre_pending: s.thre_pending,
            timeout_pending: s.timeout_pending,
            timeout_at_ns: s.timeout_at.map(|at| at.0),
            wire_free_at_ns: s.wire_free_at.map(|at| at.0),
            line: s.line,
        }
    }
}

fn check(holds: bool, reason: &str) -> Result<(), SnapshotError> {
    if holds {
        Ok(())
    } else {
        Err(SnapshotError::damaged(UartV1::KIND, reason))
    }
}

impl TryFrom<UartV1> for State {
    type Error = SnapshotError;

    fn try_from(v: UartV1) -> Result<Self, SnapshotError> {
        let capacity = if v.fcr & FCR_ENABLE != 0 {
            FIFO_BYTES
        } else {
            1
        };
        check(
            v.rx.len() <= capacity,
            "more characters wait than the FIFO holds",
        )?;
        check(
            v.rx.len() == v.rx_breaks.len(),
            "characters and breaks differ in number",
        )?;
        check(v.fcr & !FCR_KEPT == 0, "FCR has bits that do not exist")?;
        check(v.ier & !IER_MASK == 0, "IER has bits that do not exist")?;
        check(v.mcr & !MCR_MASK == 0, "MCR has bits that do not exist")?;
        check(
            v.line_errors & !(LSR_OE | LSR_BI) == 0,
            "LSR has errors that do not exist",
        )?;
        let rx = v.rx.into_iter().zip(v.rx_breaks);
        Ok(Self {
            divisor: v.divisor,
            ier: v.ier,
            fcr: v.fcr,
            lcr: v.lcr,
            mcr: v.mcr,
            msr: v.msr,
            scr: v.scr,
            line_errors: v.line_errors,
            rx: rx
                .map(|(data, is_break)| Received { data, is_break })
                .collect(),
            thre_pending: v.thre_pending,
            timeout_pending: v.timeout_pending,
            timeout_at: v.timeout_at_ns.map(Nanos),
            wire_free_at: v.wire_free_at_ns.map(Nanos),
            line: v.line,
        })
    }
}
