//! Shutdowns on purpose. A processor that meets a triple fault shuts down, and a PC's chipset answers that with the reset
//! of the processor (PIIX3 datasheet 290550, pin INIT). Where that is a system's way to start anew, or the 80286's way out
//! of protected mode, it happens here too. Any other triple fault is a system's end: whoever looks for the reason wants a
//! sentence, not a machine that starts again and again.
//!
//! | On purpose | Who does so |
//! |---|---|
//! | The clock's memory tells the BIOS where to go on after the reset | OS/2 1.x and other systems of the 80286 |
//! | A software interrupt behind the load of an interrupt table without a gate | MINIX, many small systems |
//! | Nothing at all is mapped any more | 386BSD and its children |

use vmwb_hw::GuestMemory;
use vmwb_x86::CpuStop;

use super::Powered;
use crate::debug::Space;

/// Codes by which the BIOS goes on at an address of the guest's choice instead of starting anew (IBM PC AT Technical
/// Reference, "BIOS", shutdown byte): with and without an end of interrupt, from the move of a block, by IRET and RETF.
const RETURN_CODES: [u8; 5] = [0x05, 0x09, 0x0A, 0x0B, 0x0C];
/// Last byte of the first gate: a shorter table has none.
const FIRST_GATE_END: u16 = 7;
/// CR0: paging.
const PAGING: u64 = 1 << 31;
/// Where the page directory begins, in CR3.
const DIRECTORY: u64 = !0xFFF;
const PAGE_BYTES: usize = 4096;

/// Bytes before the software interrupt among which the load of the table stands.
const LOOK_BACK: usize = 16;

/// Whether the instruction that begins so is INT3, INT n, INTO or INT1.
fn is_software_interrupt(opcode: u8) -> bool {
    matches!(opcode, 0xCC | 0xCD | 0xCE | 0xF1)
}

/// Whether there is a LIDT among these bytes: 0Fh 01h with 3 in the middle of the third and an operand in memory.
fn has_lidt(code: &[u8]) -> bool {
    code.windows(3)
        .any(|bytes| matches!(bytes, [0x0F, 0x01, operand] if operand >> 3 & 7 == 3 && operand >> 6 != 3))
}

impl Powered {
    /// Whether the guest has shut its processor down in order to have it reset.
    pub(super) fn shut_down_on_purpose(&mut self, memory: &GuestMemory, stop: &CpuStop) -> bool {
        if !matches!(stop, CpuStop::TripleFault { .. }) {
            return false;
        }
        RETURN_CODES.contains(&self.board.shutdown_code())
            || self.interrupts_itself(memory)
            || self.has_unmapped_all(memory)
    }

    /// Loaders leave no gates either: who calls a BIOS or a system that is not there has not loaded such a table itself.
    fn interrupts_itself(&mut self, memory: &GuestMemory) -> bool {
        let Some(registers) = self.vcpu.inspect().map(|door| door.registers()) else {
            return false;
        };
        let mut code = [0; LOOK_BACK + 1];
        let from = registers.linear_rip.wrapping_sub(LOOK_BACK as u64);
        let peeked = self.peek(memory, Space::Linear, from, &mut code);
        let [before @ .., opcode] = &code;
        registers.idtr.limit < FIRST_GATE_END
            && peeked.is_ok_and(|bytes| bytes == code.len())
            && is_software_interrupt(*opcode)
            && has_lidt(before)
    }

    /// An empty page directory alone may be a mistake on the way into paging. Who runs where no memory is without paging
    /// has been there for longer.
    fn has_unmapped_all(&mut self, memory: &GuestMemory) -> bool {
        let Some(registers) = self.vcpu.inspect().map(|door| door.registers()) else {
            return false;
        };
        let mut here = [0];
        let mut directory = [0xFF; PAGE_BYTES];
        let at = registers.cr3 & DIRECTORY;
        registers.cr0 & PAGING != 0
            && matches!(
                self.peek(memory, Space::Physical, registers.linear_rip, &mut here),
                Ok(0)
            )
            && matches!(
                self.peek(memory, Space::Physical, at, &mut directory),
                Ok(PAGE_BYTES)
            )
            && directory.iter().all(|&byte| byte == 0)
    }
}
