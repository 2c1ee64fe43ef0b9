//! Kernels of a few bytes that run: by multiboot, and by the 16-bit entry under a BIOS.

use std::fs::File;
use std::io::Write;

use vmwb_devices::fwcfg::Place;

use super::tests::find_event;
use crate::board::acpi_input;
use crate::boot::{KERNEL_ROM, tiny_kernel};
use crate::firmware::{BootDevice, FirmwareInput, contents};
use crate::machine::{Machine, MachineFiles, MachineOptions};
use crate::power::PowerCommand;
use crate::spec::{BootSpec, MachineSpec};

fn file_of(bytes: &[u8]) -> File {
    let mut f = tempfile::tempfile().unwrap();
    f.write_all(bytes).unwrap();
    f
}

fn spec(append: &str) -> MachineSpec {
    MachineSpec {
        deterministic: true,
        pace: false,
        debug_exit_port: Some(0x501),
        ..MachineSpec::new("booted", 4, append)
    }
}

fn exit_value(spec: MachineSpec, files: MachineFiles) -> u64 {
    let m = Machine::new(spec, files, MachineOptions::default()).unwrap();
    m.power(PowerCommand::Start).unwrap();
    let exit = find_event(&m, "debug_exit", None).expect("the guest ends the run");
    exit["value"].as_u64().unwrap()
}

#[test]
fn multiboot_kernel_reads_its_command_line_and_its_module() {
    let kernel = multiboot(&[
        &[0x3D, 0x02, 0xB0, 0xAD, 0x2B], // cmp eax, 2BADB002h
        &[0x75, 14],                     // jne out
        &[0x8B, 0x73, 16],               // mov esi, [ebx + command line]
        &[0x0F, 0xB6, 0x46, 7],          // movzx eax, byte [esi + 7], behind "kernel "
        &[0x8B, 0x7B, 24],               // mov edi, [ebx + modules]
        &[0x8B, 0x3F],                   // mov edi, [edi]
        &[0x02, 0x07],                   // add al, [edi]
        &[0x66, 0xBA, 0x01, 0x05],       // out: mov dx, 501h
        &[0xEF, 0xF4],                   // out dx, eax; hlt
    ]);
    let files = MachineFiles {
        kernel: Some(kernel),
        initrd: Some(file_of(&[1])),
        ..MachineFiles::default()
    };
    assert_eq!(exit_value(spec("A"), files), 0x42);
}

#[test]
fn multiboot_kernel_that_wants_a_picture_draws_into_it() {
    let draw: [&[u8]; 7] = [
        &[0x8B, 0x7B, 88],                     // mov edi, [ebx + frame buffer]
        &[0x03, 0x7B, 96],                     // add edi, [ebx + pitch]
        &[0xC7, 0x07, 0x56, 0x34, 0x12, 0x00], // mov dword [edi], 00123456h
        &[0x8B, 0x43, 100],                    // mov eax, [ebx + width]
        &[0x03, 0x07],                         // add eax, [edi]
        &[0x66, 0xBA, 0x01, 0x05],             // mov dx, 501h
        &[0xEF, 0xF4],                         // out dx, eax; hlt
    ];
    let drawn = |width: u32, height: u32| {
        let files = MachineFiles {
            kernel: Some(multiboot_with(4, &[0, width, height, 32], &draw)),
            ..MachineFiles::default()
        };
        exit_value(spec(""), files)
    };
    assert_eq!(drawn(800, 600), 0x12_3456 + 800);
    // No preference, and what the adapter has not.
    assert_eq!(drawn(0, 0), 0x12_3456 + 1024);
    assert_eq!(drawn(5000, 5000), 0x12_3456 + 1024);
}

/// A multiboot kernel without ELF, whose code follows its header.
fn multiboot(code: &[&[u8]]) -> File {
    multiboot_with(0, &[], code)
}

/// The same with these flags, and these words behind the header's addresses.
fn multiboot_with(flags: u32, more: &[u32], code: &[&[u8]]) -> File {
    let flags = flags | 1 << 16;
    let entry = 0x10_0020 + 4 * u32::try_from(more.len()).unwrap();
    let words = [
        0x1BAD_B002,
        flags,
        0u32.wrapping_sub(0x1BAD_B002 + flags),
        0x10_0000,
        0x10_0000,
        0,
        0,
        entry,
    ];
    let words = words.iter().chain(more);
    let mut kernel: Vec<u8> = words.flat_map(|w| w.to_le_bytes()).collect();
    kernel.extend(code.concat());
    file_of(&kernel)
}

/// `spec`, whose kernel has modules with these lines.
fn with_modules(lines: &[&str]) -> MachineSpec {
    let mut spec = spec("");
    spec.boot = BootSpec::Kernel {
        append: String::new(),
        modules: lines.iter().map(ToString::to_string).collect(),
    };
    spec
}

#[test]
fn multiboot_kernel_finds_the_ram_disk_and_then_every_module_with_its_line() {
    let kernel = multiboot(&[
        &[0x8B, 0x43, 20],               // mov eax, [ebx + count of modules]
        &[0xC1, 0xE0, 4],                // shl eax, 4
        &[0x8B, 0x7B, 24],               // mov edi, [ebx + modules]
        &[0x8B, 0x77, 16],               // mov esi, [edi + 16]: the second
        &[0x02, 0x06],                   // add al, [esi]
        &[0x8B, 0x77, 40],               // mov esi, [edi + 40]: the third's line
        &[0x02, 0x46, 1],                // add al, [esi + 1]
        &[0x0F, 0xB6, 0xC0],             // movzx eax, al
        &[0x66, 0xBA, 0x01, 0x05, 0xEF], // mov dx, 501h; out dx, eax
        &[0xF4],                         // hlt
    ]);
    let files = MachineFiles {
        kernel: Some(kernel),
        initrd: Some(file_of(&[1])),
        modules: vec![file_of(&[2]), file_of(&[3])],
        ..MachineFiles::default()
    };
    // Three modules, 2 in the second, "b" in the third's line.
    let expected = 3 * 16 + 2 + u64::from(b'b');
    assert_eq!(exit_value(with_modules(&["one", "ab"]), files), expected);
}

#[test]
fn modules_without_a_line_each_are_refused() {
    let files = MachineFiles {
        kernel: Some(multiboot(&[&[0xF4]])),
        modules: vec![file_of(&[2])],
        ..MachineFiles::default()
    };
    let refused = Machine::new(with_modules(&[]), files, MachineOptions::default());
    let sentence = refused.unwrap_err().to_string();
    assert!(
        sentence.contains("1 modules; its definition has 0"),
        "{sentence}"
    );
}

/// A BIOS that does nothing but fetch the kernel's option ROM and call its boot entry.
fn bios(rom_key: u16) -> Vec<u8> {
    let code: [&[u8]; 9] = [
        &[0xFA, 0xFC, 0x31, 0xC0, 0x8E, 0xC0], // cli; cld; xor ax, ax; mov es, ax
        &[0xBF, 0x00, 0x06],                   // mov di, 600h
        &[0x0E, 0x1F],                         // push cs; pop ds
        &[0xBE, 35, 0],                        // mov si, the descriptor below
        &[0xB9, 8, 0, 0xF3, 0xA5],             // mov cx, 8; rep movsw
        &[0x66, 0xB8, 0, 0, 6, 0],             // mov eax, 600h, big-endian
        &[0xBA, 0x18, 0x05],                   // mov dx, 518h
        &[0x66, 0xEF],                         // out dx, eax
        &[0xEA, 0x40, 0x00, 0x00, 0x80],       // jmp 8000:0040
    ];
    let mut image = code.concat();
    // Select and read 2 KiB to 80000h.
    image.extend((u32::from(rom_key) << 16 | 0b1010).to_be_bytes());
    image.extend(2048u32.to_be_bytes());
    image.extend(0x8_0000u64.to_be_bytes());
    image.resize(64 << 10, 0);
    let start = image.len() - 16;
    image[start..start + 5].copy_from_slice(&[0xEA, 0x00, 0x00, 0x00, 0xF0]);
    image
}

#[test]
fn kernel_under_a_bios_enters_its_setup_code_with_line_and_flags() {
    let mut spec = spec("");
    spec.boot = BootSpec::Firmware {
        order: Vec::new(),
        menu: false,
        menu_wait_ms: 0,
        append: "A".to_owned(),
    };
    // The ROM is the last of the files.
    let told = FirmwareInput {
        acpi: acpi_input(&spec, 4 << 20),
        ram_above_4g: 0,
        uuid: [0; 16],
        cpu: ("", 0),
        boot_order: &[BootDevice::Rom(KERNEL_ROM.to_owned())],
        disks: &[],
        menu_wait_ms: None,
    };
    let named = contents(&told)
        .into_iter()
        .filter(|item| matches!(item.place, Place::Name(_)));
    let rom_key = 0x20 + u16::try_from(named.count()).unwrap();

    let mut kernel = tiny_kernel(&[0xF4; 16], 1);
    let setup: [&[u8]; 6] = [
        &[0xB8, 0x00, 0x1E, 0x8E, 0xC0], // mov ax, 1E00h; mov es, ax
        &[0x26, 0xA0, 0x00, 0x00],       // mov al, [es:0], the line
        &[0x02, 0x06, 0x11, 0x02],       // add al, [211h], the flags
        &[0xB4, 0x00],                   // mov ah, 0
        &[0xBA, 0x01, 0x05],             // mov dx, 501h
        &[0xEF, 0xF4],                   // out dx, ax; hlt
    ];
    let setup = setup.concat();
    kernel[0x268..0x268 + setup.len()].copy_from_slice(&setup);
    let files = MachineFiles {
        kernel: Some(file_of(&kernel)),
        firmware: Some(file_of(&bios(rom_key))),
        ..MachineFiles::default()
    };
    assert_eq!(exit_value(spec, files), u64::from(b'A') + 0x81);
}
