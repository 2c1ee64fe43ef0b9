//! Classes of instructions, from the one description of the instruction set.

use serde::{Serialize, Serializer};

use crate::isa::{Class, Form};

/// A set of classes of one instruction. None at all: it only computes in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InsnClasses(u8);

const NAMES: [(&str, u8); 6] = [
    ("privileged", 1 << 0),
    ("sensitive", 1 << 1),
    ("control", 1 << 2),
    ("memory", 1 << 3),
    ("io", 1 << 4),
    ("float", 1 << 5),
];

/// Transfers of control that no operand shows.
const TRANSFERS: [&str; 18] = [
    "call", "jmp", "ret", "iret", "int", "int1", "int3", "into", "syscall", "sysret", "sysenter",
    "sysexit", "call far", "jmp far", "ret far", "hlt", "bound", "rsm",
];

/// Instructions that use memory which no ModRM operand shows.
const STACK: [&str; 15] = [
    "push", "pop", "pusha", "popa", "pushf", "popf", "enter", "leave", "call", "ret", "iret",
    "xlat", "call far", "ret far", "maskmovq",
];

impl InsnClasses {
    /// Privileged: it traps outside the privilege that its form names.
    pub const PRIVILEGED: Self = Self(1 << 0);
    /// Sensitive in the sense of Popek and Goldberg (1974), whether or not it traps.
    pub const SENSITIVE: Self = Self(1 << 1);
    /// It can transfer control.
    pub const CONTROL: Self = Self(1 << 2);
    /// It reads or writes memory.
    pub const MEMORY: Self = Self(1 << 3);
    /// It reads or writes a port.
    pub const IO: Self = Self(1 << 4);
    /// x87, MMX or SSE.
    pub const FLOAT: Self = Self(1 << 5);

    /// Whether the set has all classes of another.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The names of the classes.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        NAMES
            .iter()
            .filter(|n| self.0 & n.1 != 0)
            .map(|n| n.0)
            .collect()
    }

    fn with(self, other: Self, when: bool) -> Self {
        Self(self.0 | if when { other.0 } else { 0 })
    }
}

impl Serialize for InsnClasses {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.names().serialize(serializer)
    }
}

impl Form {
    /// The classes of an instruction of this form; `memory`: its ModRM byte or offset names memory.
    #[must_use]
    pub fn classes(&self, memory: bool) -> InsnClasses {
        let has = |classes: &[Class]| self.operands.iter().any(|o| classes.contains(&o.class));
        let name = self.mnemonic;
        let string = has(&[Class::X]);
        let io = matches!(name, "in" | "out" | "ins" | "outs");
        // LEA and hints compute an address and leave memory alone.
        let address_only = matches!(name, "lea" | "nop" | "invlpg") || name.starts_with("prefetch");
        let vector = [
            Class::P,
            Class::Q,
            Class::N,
            Class::V,
            Class::W,
            Class::U,
            Class::St0,
            Class::Sti,
        ];
        let escape = matches!(
            self.encoding.as_bytes(),
            [b'D', b'8'..=b'9' | b'A'..=b'F', ..]
        );
        InsnClasses::default()
            .with(InsnClasses::PRIVILEGED, !self.privilege.is_empty())
            .with(InsnClasses::SENSITIVE, !self.sensitive.is_empty())
            .with(
                InsnClasses::CONTROL,
                has(&[Class::J, Class::A]) || TRANSFERS.contains(&name),
            )
            .with(
                InsnClasses::MEMORY,
                memory && !address_only || string || STACK.contains(&name),
            )
            .with(InsnClasses::IO, io)
            .with(InsnClasses::FLOAT, has(&vector) || escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::FORMS;

    fn names(asm: &str, memory: bool) -> Vec<&'static str> {
        let form = FORMS.iter().find(|f| f.asm == asm).unwrap();
        form.classes(memory).names()
    }

    #[test]
    fn classes_of_popf_say_sensitive_and_not_privileged() {
        assert_eq!(names("popf", false), ["sensitive", "memory"]);
    }

    #[test]
    fn classes_of_lea_leave_memory_out() {
        assert!(names("lea Gv,M", true).is_empty());
        assert_eq!(names("add Ev,Gv", true), ["memory"]);
        assert!(names("add Ev,Gv", false).is_empty());
    }

    #[test]
    fn classes_find_transfers_floats_and_privilege() {
        assert_eq!(names("wrmsr", false), ["privileged", "sensitive"]);
        assert_eq!(names("fldpi", false), ["float"]);
        assert!(names("syscall", false).contains(&"control"));
        assert!(
            FORMS
                .iter()
                .filter(|f| f.mnemonic.starts_with("loop"))
                .all(|f| f.classes(false).contains(InsnClasses::CONTROL))
        );
    }
}
