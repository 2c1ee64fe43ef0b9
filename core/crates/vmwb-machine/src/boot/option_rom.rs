//! The option ROM that starts a kernel's 16-bit setup code under a BIOS.
//!
//! The BIOS lists it among the things to boot from (Plug and Play BIOS specification 1.0A, section 3: a "bootstrap entry
//! vector"). When it is called it has the firmware configuration device copy everything to its place, by DMA, and jumps.
//! It is made anew for each kernel: what is copied where stands in a table at its end.

use vmwb_devices::fwcfg::regs::{
    DMA_ACCESS_BYTES, DMA_LOW, DMA_READ, DMA_SELECT, FW_CFG_PORT, MAX_DMA_BYTES,
};

use crate::acpi::sum;

/// An option ROM's length is counted in these, in bytes.
const UNIT: usize = 512;
/// Where the header points to its expansion header, and where that lies.
const PNP_POINTER: usize = 0x1A;
const PNP: u8 = 0x20;
const PNP_BYTES: usize = 32;
/// Where the code begins.
const ENTRY: usize = 0x40;
/// Address at which a DMA descriptor is put together: free while something boots.
const DESCRIPTOR: u16 = 0x0600;
/// Stack of the code: below the place of a boot sector.
const STACK: u16 = 0x7C00;

const PRODUCT: &[u8] = b"Linux kernel (16-bit entry)\0";
const FAILED: &[u8] = b"\r\nThe kernel could not be read from the host.\r\n\0";

/// One item of the configuration device and where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// Key of the item.
    pub key: u16,
    /// Its bytes.
    pub len_bytes: u32,
    /// Guest-physical address.
    pub address: u32,
}

/// Where the kernel's setup code begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Segment of the setup code: DS, ES, FS, GS and SS; CS is 20h more, IP is 0.
    pub segment: u16,
    /// SP.
    pub stack: u16,
}

/// The ROM's bytes: whole units, summing to 0.
#[must_use]
pub fn build(copies: &[Copy], entry: Entry) -> Vec<u8> {
    let descriptors = descriptors(copies);
    let count = u16::try_from(descriptors.len()).expect("there are few descriptors");
    let code_bytes = code(entry, count, 0, 0).len();
    let failed_at = ENTRY + code_bytes;
    let product_at = failed_at + FAILED.len();
    let table_at = product_at + PRODUCT.len();
    let place = |at: usize| u16::try_from(at).expect("the ROM is small");

    let mut rom = vec![0; ENTRY];
    rom[..2].copy_from_slice(&[0x55, 0xAA]);
    rom[3] = 0xCB; // initialization: far return
    rom[PNP_POINTER] = PNP;
    let pnp = expansion_header(place(product_at));
    rom[usize::from(PNP)..usize::from(PNP) + PNP_BYTES].copy_from_slice(&pnp);
    rom.extend(code(entry, count, place(table_at), place(failed_at)));
    rom.extend_from_slice(FAILED);
    rom.extend_from_slice(PRODUCT);
    rom.extend_from_slice(descriptors.as_flattened());
    // A byte for the checksum is left in any case.
    rom.resize((rom.len() + 1).next_multiple_of(UNIT), 0);
    rom[2] = u8::try_from(rom.len() / UNIT).expect("the ROM is small");
    let last = rom.len() - 1;
    rom[last] = 0u8.wrapping_sub(sum(&rom));
    rom
}

fn expansion_header(product: u16) -> [u8; PNP_BYTES] {
    let mut h = [0; PNP_BYTES];
    h[..4].copy_from_slice(b"$PnP");
    h[4..6].copy_from_slice(&[1, 2]); // revision; length in paragraphs
    h[16..18].copy_from_slice(&product.to_le_bytes());
    h[26] = u8::try_from(ENTRY).expect("the code begins early");
    h[9] = 0u8.wrapping_sub(sum(&h));
    h
}

/// The DMA descriptors: an item's first selects it, further ones go on reading.
fn descriptors(copies: &[Copy]) -> Vec<[u8; DMA_ACCESS_BYTES]> {
    let mut all = Vec::new();
    for copy in copies {
        let mut done = 0;
        while done < copy.len_bytes {
            let len = (copy.len_bytes - done).min(MAX_DMA_BYTES);
            let control = match done {
                0 => u32::from(copy.key) << 16 | DMA_SELECT | DMA_READ,
                _ => DMA_READ,
            };
            let mut descriptor = [0; DMA_ACCESS_BYTES];
            descriptor[..4].copy_from_slice(&control.to_be_bytes());
            descriptor[4..8].copy_from_slice(&len.to_be_bytes());
            descriptor[12..].copy_from_slice(&(copy.address + done).to_be_bytes());
            all.push(descriptor);
            done += len;
        }
    }
    all
}

/// The code. It runs in real mode; its table has `count` descriptors at `table`, its message of failure is at `failed`.
fn code(entry: Entry, count: u16, table: u16, failed: u16) -> Vec<u8> {
    let [table_low, table_high] = table.to_le_bytes();
    let [count_low, count_high] = count.to_le_bytes();
    let [failed_low, failed_high] = failed.to_le_bytes();
    let [at_low, at_high] = DESCRIPTOR.to_le_bytes();
    let [error_low, error_high] = (DESCRIPTOR + 3).to_le_bytes();
    let [stack_low, stack_high] = STACK.to_le_bytes();
    let [port_low, port_high] = (FW_CFG_PORT + DMA_LOW).to_le_bytes();
    let big = u32::from(DESCRIPTOR).to_be_bytes();
    let [segment_low, segment_high] = entry.segment.to_le_bytes();
    let [code_low, code_high] = (entry.segment + 0x20).to_le_bytes();
    let [sp_low, sp_high] = entry.stack.to_le_bytes();
    let lines: [&[u8]; 38] = [
        &[0xFA],                                          //  0        cli
        &[0xFC],                                          //  1        cld
        &[0x31, 0xC0],                                    //  2        xor ax, ax
        &[0x8E, 0xD0],                                    //  4        mov ss, ax
        &[0x66, 0xBC, stack_low, stack_high, 0, 0],       //  6        mov esp, STACK
        &[0x8E, 0xC0],                                    // 12        mov es, ax
        &[0x0E],                                          // 14        push cs
        &[0x1F],                                          // 15        pop ds
        &[0xBE, table_low, table_high],                   // 16        mov si, table
        &[0xB9, count_low, count_high],                   // 19        mov cx, count
        &[0xBF, at_low, at_high],                         // 22 next:  mov di, DESCRIPTOR
        &[0x51],                                          // 25        push cx
        &[0xB9, 8, 0],                                    // 26        mov cx, 8
        &[0xF3, 0xA5],                                    // 29        rep movsw
        &[0x59],                                          // 31        pop cx
        &[0x66, 0xB8, big[0], big[1], big[2], big[3]], // 32        mov eax, DESCRIPTOR, big-endian
        &[0xBA, port_low, port_high],                  // 38        mov dx, DMA address
        &[0x66, 0xEF],                                 // 41        out dx, eax
        &[0x26, 0xF6, 0x06, error_low, error_high, 0x01], // 43        test byte [es:DESCRIPTOR+3], error
        &[0x75, 24],                                      // 49        jnz fail
        &[0xE2, 0xE1],                                    // 51        loop next
        &[0xB8, segment_low, segment_high],               // 53        mov ax, segment
        &[0x8E, 0xD8],                                    // 56        mov ds, ax
        &[0x8E, 0xC0],                                    // 58        mov es, ax
        &[0x8E, 0xE0],                                    // 60        mov fs, ax
        &[0x8E, 0xE8],                                    // 62        mov gs, ax
        &[0x8E, 0xD0],                                    // 64        mov ss, ax
        &[0xBC, sp_low, sp_high],                         // 66        mov sp, stack
        &[0xEA, 0, 0, code_low, code_high],               // 69        jmp far segment + 20h : 0
        &[0x90],                                          // 74        nop
        &[0xBE, failed_low, failed_high],                 // 75 fail:  mov si, failed
        &[0xBB, 7, 0],                                    // 78        mov bx, 7
        &[0xAC],                                          // 81 more:  lodsb
        &[0x84, 0xC0],                                    // 82        test al, al
        &[0x74, 6],                                       // 84        jz done
        &[0xB4, 0x0E, 0xCD, 0x10],                        // 86        mov ah, 0Eh; int 10h
        &[0xEB, 0xF5],                                    // 90        jmp more
        &[0xFB, 0xCD, 0x18], // 92 done:  sti; int 18h: try the next device
    ];
    lines.concat()
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions, Formatter, Instruction, NasmFormatter};

    use super::*;

    const COPIES: [Copy; 2] = [
        Copy {
            key: 0x18,
            len_bytes: 0x3000,
            address: 0x1_0000,
        },
        Copy {
            key: 0x11,
            len_bytes: MAX_DMA_BYTES + 5,
            address: 0x10_0000,
        },
    ];
    const SETUP: Entry = Entry {
        segment: 0x1000,
        stack: 0xE000,
    };

    #[test]
    fn rom_is_valid_and_so_is_its_expansion_header() {
        let rom = build(&COPIES, SETUP);
        assert_eq!((rom.len(), rom[2], sum(&rom)), (512, 1, 0));
        let pnp = &rom[0x20..0x40];
        assert_eq!((&pnp[..4], sum(pnp)), (&b"$PnP"[..], 0));
        let product = usize::from(u16::from_le_bytes([pnp[16], pnp[17]]));
        assert_eq!(&rom[product..product + PRODUCT.len()], PRODUCT);
    }

    #[test]
    fn long_items_are_read_in_parts() {
        let all = descriptors(&COPIES);
        let word = |n: usize, at: usize| u32::from_be_bytes(all[n][at..at + 4].try_into().unwrap());
        let control: Vec<u32> = (0..3).map(|n| word(n, 0)).collect();
        assert_eq!(control, [0x18 << 16 | 10, 0x11 << 16 | 10, 2]);
        let lengths: Vec<u32> = (0..3).map(|n| word(n, 4)).collect();
        assert_eq!(lengths, [0x3000, MAX_DMA_BYTES, 5]);
        assert_eq!((all.len(), word(2, 12)), (3, 0x10_0000 + MAX_DMA_BYTES));
    }

    #[test]
    fn code_disassembles_to_what_its_comments_say() {
        let bytes = code(SETUP, 3, 0x123, 0x456);
        let mut decoder = Decoder::with_ip(16, &bytes, 0, DecoderOptions::NONE);
        let (mut formatter, mut instruction) = (NasmFormatter::new(), Instruction::default());
        let mut text = Vec::new();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let mut line = String::new();
            formatter.format(&instruction, &mut line);
            text.push((instruction.ip(), line));
        }
        let line = |at: u64| text.iter().find(|(ip, _)| *ip == at).unwrap().1.as_str();
        let jumps = [(49, 75), (51, 22), (84, 92), (90, 81)];
        for (at, to) in jumps {
            let target = line(at).rsplit(' ').next().unwrap().to_owned();
            let target = target.trim_end_matches('h');
            assert_eq!(u64::from_str_radix(target, 16).unwrap(), to, "{}", line(at));
        }
        assert_eq!(line(29), "rep movsw");
        assert_eq!(line(41), "out dx,eax");
        assert_eq!(line(43), "test byte [es:603h],1");
        assert_eq!(line(69), "jmp 1020h:0");
        assert_eq!(text.last().unwrap(), &(93, "int 18h".to_owned()));
    }
}
