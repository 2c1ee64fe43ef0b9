//! What stands for a BIOS in a direct boot: interrupt vectors that answer.
//!
//! Kernels go back to real mode and ask a BIOS, because a multiboot loader leaves the machine "as initialized by the BIOS"
//! (Multiboot Specification 0.6.96, section 3.2). Without vectors such a call would run through the zeros at address 0,
//! each of which writes memory. Here every call returns: memory and equipment are told, INT 18h and 19h start anew, and
//! whatever else fails as it does where the BIOS does not know it. A kernel that wants more needs firmware.
//! Source of what fails how: Ralf Brown's interrupt list; IBM PC/AT technical reference, "ROM BIOS".

use vmwb_mem::{GuestAddress, GuestMemory};

use super::error::BootError;

/// Segment of the code.
const SEGMENT: u16 = 0xF000;
/// Offset of the first routine.
const CODE: u16 = 0xE000;
/// Address that a processor's reset begins at, to which old programs jump to start anew.
const RESET_VECTOR: u64 = 0xF_FFF0;
const VECTORS: usize = 256;
/// Vectors that belong to programs; 0 says that none is there.
const USER_VECTORS: std::ops::Range<usize> = 0x60..0x68;

const IRET: u8 = 0xCF;
/// HLT, and a jump back to it.
const HALT: [u8; 3] = [0xF4, 0xEB, 0xFD];

/// A routine and the interrupts that lead to it.
struct Service {
    code: Vec<u8>,
    vectors: &'static [usize],
}

/// Returns a word of the BIOS data area, at this offset, in AX.
fn word(offset: u8) -> Vec<u8> {
    // push ds; push 40h; pop ds; mov ax, [offset]; pop ds; iret
    vec![0x1E, 0x6A, 0x40, 0x1F, 0xA1, offset, 0, 0x1F, IRET]
}

/// Fails: after an instruction of two bytes that sets AH, with the carry flag (most services) and the zero flag (keyboard:
/// no key) in the caller's flags.
fn refuse(set_ah: [u8; 2]) -> Vec<u8> {
    let [first, second] = set_ah;
    // push bp; mov bp, sp; or word [bp + 6], 41h; pop bp; iret
    vec![
        first, second, 0x55, 0x89, 0xE5, 0x83, 0x4E, 6, 0x41, 0x5D, IRET,
    ]
}

/// Starts anew by the chipset's reset control register.
fn reset() -> Vec<u8> {
    // mov dx, 0CF9h; mov al, 2; out dx, al; mov al, 6; out dx, al
    let mut code = vec![0xBA, 0xF9, 0x0C, 0xB0, 2, 0xEE, 0xB0, 6, 0xEE];
    code.extend(HALT);
    code
}

/// MOV AH with a number.
fn mov_ah(value: u8) -> [u8; 2] {
    [0xB4, value]
}

fn services() -> [Service; 8] {
    let service = |code, vectors| Service { code, vectors };
    [
        service(word(0x10), &[0x11]),
        service(word(0x13), &[0x12]),
        // Disks: invalid function.
        service(refuse(mov_ah(1)), &[0x13]),
        // Serial ports and printers: time-out.
        service(refuse(mov_ah(0x80)), &[0x14, 0x17]),
        // System: function not supported.
        service(refuse(mov_ah(0x86)), &[0x15]),
        // Keyboard: XOR AX, AX, no key.
        service(refuse([0x31, 0xC0]), &[0x16]),
        // Clock and PCI: function not supported.
        service(refuse(mov_ah(0x81)), &[0x1A]),
        service(reset(), &[0x18, 0x19]),
    ]
}

/// Writes the vectors at address 0 and the routines into the BIOS's area.
///
/// # Errors
/// There is no RAM.
pub fn write(memory: &GuestMemory) -> Result<(), BootError> {
    // The first routine only returns: hardware, exceptions, and video, where an unchanged AX is "not supported".
    let mut code = vec![IRET];
    let mut offsets = [CODE; VECTORS];
    for service in services() {
        let at = CODE + u16::try_from(code.len()).expect("the routines are short");
        for &vector in service.vectors {
            offsets[vector] = at;
        }
        code.extend(service.code);
    }
    let [low, high] = offsets[0x19].to_le_bytes();
    let mut table = Vec::with_capacity(4 * VECTORS);
    for (vector, offset) in offsets.into_iter().enumerate() {
        let pointer = if USER_VECTORS.contains(&vector) {
            0
        } else {
            u32::from(SEGMENT) << 16 | u32::from(offset)
        };
        table.extend(pointer.to_le_bytes());
    }
    memory.write(GuestAddress(0), &table)?;
    let linear = u64::from(SEGMENT) << 4 | u64::from(CODE);
    memory.write(GuestAddress(linear), &code)?;
    // A far jump.
    let jump = [0xEA, low, high, 0, 0xF0];
    memory.write(GuestAddress(RESET_VECTOR), &jump)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vector_leads_to_code_or_belongs_to_programs() {
        let memory = GuestMemory::new(2 << 20).unwrap();
        write(&memory).unwrap();
        let code_at = |vector: u64| {
            let pointer = memory.read_u32(GuestAddress(4 * vector)).unwrap();
            u64::from(pointer >> 16 << 4) + u64::from(pointer & 0xFFFF)
        };
        let byte = |address| {
            let mut byte = [0];
            memory.read(GuestAddress(address), &mut byte).unwrap();
            byte[0]
        };
        for vector in 0..0x60 {
            assert_ne!(byte(code_at(vector)), 0, "vector {vector:02x}h");
        }
        assert_eq!((code_at(0x60), code_at(0x67)), (0, 0));
        assert_eq!(byte(code_at(0xFF)), IRET);
        assert_eq!(byte(RESET_VECTOR), 0xEA);
        assert_eq!(code_at(0x18), code_at(0x19));
    }
}
