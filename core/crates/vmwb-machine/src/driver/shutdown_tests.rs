//! Shutdowns against the real processor: 32-bit guests of a few bytes, without firmware, where the reset of the processor
//! is a reset of the machine.

use std::fs::File;
use std::io::Write;

use super::tests::find_event;
use crate::boot::tiny_kernel;
use crate::machine::{Machine, MachineFiles, MachineOptions};
use crate::power::{PowerCommand, PowerState};
use crate::spec::MachineSpec;

/// lidt [100180h], where zeros are: no gate is in reach.
const NO_GATES: [u8; 7] = [0x0F, 0x01, 0x1D, 0x80, 0x01, 0x10, 0x00];
/// ud2
const UNDEFINED: [u8; 2] = [0x0F, 0x0B];
/// mov edi, 200000h; mov cr3, edi
const DIRECTORY: [u8; 8] = [0xBF, 0x00, 0x00, 0x20, 0x00, 0x0F, 0x22, 0xDF];
/// mov eax, cr0; or eax, 80000000h; mov cr0, eax
const PAGING_ON: [u8; 11] = [
    0x0F, 0x20, 0xC0, 0x0D, 0x00, 0x00, 0x00, 0x80, 0x0F, 0x22, 0xC0,
];

/// A machine that runs 32-bit code from 100000h on.
fn machine(code: &[&[u8]]) -> Machine {
    let mut image = code.concat();
    image.resize(0x200, 0);
    let mut kernel: File = tempfile::tempfile().unwrap();
    kernel.write_all(&tiny_kernel(&image, 0)).unwrap();
    let spec = MachineSpec {
        deterministic: true,
        pace: false,
        ..MachineSpec::new("shut-down", 4, "")
    };
    let files = MachineFiles {
        kernel: Some(kernel),
        ..MachineFiles::default()
    };
    let m = Machine::new(spec, files, MachineOptions::default()).unwrap();
    m.power(PowerCommand::Start).unwrap();
    m
}

fn resets(code: &[&[u8]]) {
    let m = machine(code);
    assert!(find_event(&m, "guest_reset", None).is_some());
    assert_eq!(m.state(), PowerState::Running);
}

fn crashes(code: &[&[u8]], vector: u8) {
    let m = machine(code);
    let event = find_event(&m, "crashed", None).expect("the guest cannot run on");
    let stop = &event["stop"];
    assert_eq!(
        (&stop["reason"], &stop["vector"]),
        (&"triple_fault".into(), &vector.into())
    );
}

#[test]
fn software_interrupt_without_any_gate_resets_the_processor() {
    for interrupt in [&[0xCC][..], &[0xCD, 0x21]] {
        resets(&[&NO_GATES, interrupt]);
    }
}

#[test]
fn fault_without_any_gate_is_told() {
    crashes(&[&NO_GATES, &UNDEFINED], 6);
}

#[test]
fn call_of_a_bios_that_is_not_there_is_told() {
    // int 10h, with the table that the loader left; vector 13, because there is no gate.
    crashes(&[&[0xCD, 0x10]], 13);
}

#[test]
fn triple_fault_with_a_code_of_return_resets_the_processor() {
    // mov al, 8Fh; out 70h, al; mov al, code; out 71h, al
    let code = |code: u8| [0xB0, 0x8F, 0xE6, 0x70, 0xB0, code, 0xE6, 0x71];
    resets(&[&NO_GATES, &code(0x0A), &UNDEFINED]);
    crashes(&[&NO_GATES, &code(0x04), &UNDEFINED], 6);
}

#[test]
fn guest_that_unmaps_all_resets_the_processor() {
    let map = [
        // mov dword [edi], 83h; mov dword [edi + FE0h], 83h: 4 MiB at 0 and at FE000000h
        0xC7, 0x07, 0x83, 0x00, 0x00, 0x00, 0xC7, 0x87, 0xE0, 0x0F, 0x00, 0x00, 0x83, 0x00, 0x00,
        0x00, // mov eax, cr4; or al, 10h; mov cr4, eax
        0x0F, 0x20, 0xE0, 0x0C, 0x10, 0x0F, 0x22, 0xE0,
    ];
    let unmap = [
        // mov eax, FE100032h; jmp eax: to the next instruction
        0xB8, 0x32, 0x00, 0x10, 0xFE, 0xFF, 0xE0,
        // xor eax, eax; mov [200FE0h], eax; mov [edi], eax; mov cr3, edi
        0x31, 0xC0, 0xA3, 0xE0, 0x0F, 0x20, 0x00, 0x89, 0x07, 0x0F, 0x22, 0xDF,
    ];
    resets(&[&DIRECTORY, &map, &PAGING_ON, &unmap]);
}

#[test]
fn paging_switched_on_over_an_empty_directory_is_told() {
    crashes(&[&DIRECTORY, &PAGING_ON], 14);
}
