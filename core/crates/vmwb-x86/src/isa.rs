//! The table of instruction forms, expanded from `isa/*.toml`. Data only: the decoder, the debugger, the test generators
//! and the selection of handlers read it.

/// How an operand is encoded (Intel SDM volume 2, appendix A.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Class {
    None,
    /// ModRM: general register or memory.
    E,
    /// ModRM.reg: general register.
    G,
    /// Immediate.
    I,
    /// Immediate byte, sign-extended to the operand size.
    Is,
    /// ModRM: memory only.
    M,
    /// Memory by an offset in the instruction.
    O,
    /// Register in the low three bits of the opcode.
    Z,
    /// Branch displacement.
    J,
    /// ModRM.reg: segment register.
    S,
    /// ModRM.reg: control register.
    C,
    /// ModRM.reg: debug register.
    D,
    /// ModRM: general register only.
    R,
    /// VEX.vvvv: general register.
    B,
    /// Far pointer in the instruction.
    A,
    /// String operand.
    X,
    /// AL, AX, EAX, RAX.
    Acc,
    Cl,
    Dx,
    One,
    Sreg0,
    Sreg1,
    Sreg2,
    Sreg3,
    Sreg4,
    Sreg5,
    /// ModRM.reg: MMX register.
    P,
    /// ModRM: MMX register or memory.
    Q,
    /// ModRM: MMX register only.
    N,
    /// ModRM.reg: XMM register.
    V,
    /// ModRM: XMM register or memory.
    W,
    /// ModRM: XMM register only.
    U,
    /// Top of the x87 stack.
    St0,
    /// x87 stack register in ModRM.rm.
    Sti,
}

/// Width of an operand (appendix A.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Width {
    None,
    B,
    W,
    D,
    Q,
    /// Operand size: 2, 4 or 8 bytes.
    V,
    /// 4 or 8 bytes.
    Y,
    /// 2 bytes with a 16-bit operand size, else 4.
    Z,
    /// Far pointer.
    P,
    /// Pair of operands (BOUND).
    A,
    /// 10 bytes.
    T,
    /// 16 bytes.
    Dq,
}

/// One operand of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operand {
    /// Where it is.
    pub class: Class,
    /// How wide it is.
    pub width: Width,
}

/// Mandatory prefix of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Prefix {
    Any,
    /// Neither F2 nor F3; 66 is an operand-size prefix.
    NoRep,
    None,
    P66,
    PF2,
    PF3,
}

/// Modes in which a form exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Only {
    Any,
    Mode64,
    Not64,
}

/// Operand size in 64-bit mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum OperandSize {
    Normal,
    Default64,
    Force64,
}

/// One instruction form.
#[derive(Debug)]
pub struct Form {
    /// Mnemonic in lower case.
    pub mnemonic: &'static str,
    /// Mnemonic and operands.
    pub asm: &'static str,
    /// Encoding as written in the table.
    pub encoding: &'static str,
    /// Operands in Intel order.
    pub operands: [Operand; 3],
    /// Mandatory prefix.
    pub prefix: Prefix,
    /// Whether a ModRM byte follows.
    pub modrm: bool,
    /// ModRM.reg that selects the form.
    pub digit: Option<u8>,
    /// A whole ModRM byte that selects the form.
    pub exact: Option<u8>,
    /// Bits of that byte that count.
    pub exact_mask: u8,
    /// Encoded with a VEX prefix.
    pub vex: bool,
    /// Only with REX.W.
    pub w1: bool,
    /// Processors that do not announce the feature ignore the mandatory prefix and run the next form that fits.
    pub skip: bool,
    /// Only without REX.B.
    pub rexb0: bool,
    /// Flags read, as EFLAGS bits.
    pub reads: u32,
    /// Flags written.
    pub writes: u32,
    /// Flags left undefined.
    pub undefined: u32,
    /// Modes.
    pub only: Only,
    /// Operand size in 64-bit mode.
    pub osz: OperandSize,
    /// LOCK allowed with a memory destination.
    pub lock: bool,
    /// A trace ends after it.
    pub ends: bool,
    /// What makes it privileged; empty when nothing does.
    pub privilege: &'static str,
    /// What makes it sensitive (Popek and Goldberg 1974); empty when nothing does.
    pub sensitive: &'static str,
    /// CPUID feature that announces it; empty for the base set.
    pub feature: &'static str,
    /// Exceptions beside those of the operands.
    pub faults: &'static [&'static str],
}

include!(concat!(env!("OUT_DIR"), "/isa.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn form(asm: &str) -> &'static Form {
        FORMS.iter().find(|f| f.asm == asm).unwrap()
    }

    #[test]
    fn popf_and_sidt_are_sensitive_yet_not_privileged() {
        assert!(
            ["popf", "sidt M"]
                .iter()
                .all(|a| form(a).privilege.is_empty() && !form(a).sensitive.is_empty())
        );
    }

    #[test]
    fn every_privileged_form_is_sensitive() {
        assert!(
            FORMS
                .iter()
                .filter(|f| !f.privilege.is_empty())
                .all(|f| !f.sensitive.is_empty() || f.feature == "monitor")
        );
    }
}
