//! The debugger against the real processor: a 64-bit guest of a few bytes.

use std::fs::File;
use std::io::Write;

use serde_json::{Value, json};

use super::tests::find_event;
use crate::boot::tiny_kernel;
use crate::machine::{Machine, MachineFiles, MachineOptions};
use crate::power::{PowerCommand, PowerState};
use crate::spec::MachineSpec;

/// Where the 64-bit entry of the kernel comes to lie (boot protocol: 200h behind the load address).
const ENTRY: u64 = 0x10_0200;

/// l: inc eax; inc ebx; mov [rip + 0x100], eax; jmp l
const LOOP: [u8; 12] = [
    0xFF, 0xC0, 0xFF, 0xC3, 0x89, 0x05, 0x00, 0x01, 0x00, 0x00, 0xEB, 0xF4,
];
/// Linear address that [`LOOP`] writes to.
const WRITTEN: u64 = ENTRY + 10 + 0x100;

fn kernel(code: &[u8]) -> File {
    let mut image = vec![0xF4; 0x200];
    image.extend_from_slice(code);
    image.resize(0x600, 0xF4);
    let mut f = tempfile::tempfile().unwrap();
    f.write_all(&tiny_kernel(&image, 1)).unwrap();
    f
}

fn machine(code: &[u8]) -> Machine {
    let spec = MachineSpec {
        deterministic: true,
        pace: false,
        ..MachineSpec::new("debugged", 4, "")
    };
    let files = MachineFiles {
        kernel: Some(kernel(code)),
        ..MachineFiles::default()
    };
    Machine::new(spec, files, MachineOptions::default()).unwrap()
}

fn ask(m: &Machine, request: Value) -> Value {
    let answer = m.debug(&request.to_string());
    serde_json::from_str(&answer.unwrap_or_else(|e| panic!("{request}: {e}"))).unwrap()
}

fn refusal(m: &Machine, request: Value) -> (&'static str, String) {
    let e = m.debug(&request.to_string()).unwrap_err();
    (e.code(), e.to_string())
}

fn wait(m: &Machine, kind: &str, state: Option<&str>) -> Value {
    find_event(m, kind, state).unwrap_or_else(|| {
        panic!(
            "no event {kind} {state:?}; {}",
            m.debug(r#"{"do":"status"}"#).unwrap()
        )
    })
}

fn paused(code: &[u8]) -> Machine {
    let m = machine(code);
    m.power(PowerCommand::Start).unwrap();
    let _ = wait(&m, "power", Some("running"));
    m.power(PowerCommand::Pause).unwrap();
    let _ = wait(&m, "power", Some("paused"));
    m
}

#[test]
fn breakpoint_pauses_with_its_reason_and_resume_comes_round_again() {
    let m = paused(&LOOP);
    ask(&m, json!({"do": "breakpoints", "add": [ENTRY + 2]}));
    let mut counts = Vec::new();
    for _ in 0..3 {
        m.power(PowerCommand::Resume).unwrap();
        let stop = wait(&m, "debug_stop", None);
        assert_eq!(
            (&stop["reason"], &stop["rip"]),
            (&json!("breakpoint"), &json!(ENTRY + 2))
        );
        while m.state() != PowerState::Paused {
            std::thread::yield_now();
        }
        let status = ask(&m, json!({"do": "status"}));
        assert_eq!(status["stop"]["address"], ENTRY + 2);
        counts.push(status["retired"].as_u64().unwrap());
    }
    assert_eq!((counts[1] - counts[0], counts[2] - counts[1]), (4, 4));
}

#[test]
fn watchpoint_pauses_behind_the_write() {
    let m = paused(&LOOP);
    let watch = json!({"address": WRITTEN, "length": 4, "kind": "write"});
    ask(&m, json!({"do": "watchpoints", "add": [watch]}));
    m.power(PowerCommand::Resume).unwrap();
    let stop = wait(&m, "debug_stop", None);
    assert_eq!(
        (&stop["reason"], &stop["address"], &stop["rip"]),
        (&json!("watchpoint"), &json!(WRITTEN), &json!(ENTRY + 10))
    );
}

#[test]
fn step_runs_exactly_so_many_instructions_and_stays_paused() {
    let m = paused(&LOOP);
    let before = ask(&m, json!({"do": "status"}));
    let after = ask(&m, json!({"do": "step", "count": 1001}));
    let count = |v: &Value| v["retired"].as_u64().unwrap();
    assert_eq!(count(&after) - count(&before), 1001);
    assert_eq!(
        (m.state(), &after["state"]),
        (PowerState::Paused, &json!("paused"))
    );
}

#[test]
fn registers_and_memory_are_set_only_while_the_guest_stands_still() {
    let m = paused(&LOOP);
    ask(
        &m,
        json!({"do": "set_register", "name": "rbx", "value": "0x77"}),
    );
    ask(
        &m,
        json!({"do": "set_register", "name": "rip", "value": ENTRY.to_string()}),
    );
    // nop; nop over the first instruction
    ask(
        &m,
        json!({"do": "write_memory", "space": "linear", "address": ENTRY, "data": "9090"}),
    );
    ask(&m, json!({"do": "step", "count": 3}));
    assert_eq!(ask(&m, json!({"do": "registers"}))["general"][3], 0x78);
    let data = ask(
        &m,
        json!({"do": "read_memory", "space": "physical", "address": ENTRY, "length": 4}),
    );
    assert_eq!(data["data"], "9090ffc3");
    m.power(PowerCommand::Resume).unwrap();
    let _ = wait(&m, "power", Some("running"));
    for request in [
        json!({"do": "step", "count": 1}),
        json!({"do": "set_register", "name": "rax", "value": "1"}),
        json!({"do": "write_memory", "space": "linear", "address": ENTRY, "data": "90"}),
    ] {
        assert_eq!(refusal(&m, request).0, "wrong_state");
    }
    // Looking is allowed while it runs.
    assert_eq!(ask(&m, json!({"do": "registers"}))["mode"], "long64");
}

#[test]
fn disassembly_walk_and_tables_show_what_the_loader_made() {
    let m = paused(&LOOP);
    let lines = ask(
        &m,
        json!({"do": "disassemble", "address": ENTRY, "count": 4}),
    );
    let texts: Vec<_> = (0..4)
        .map(|n| lines["lines"][n]["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        (texts[0].as_str(), texts[3].as_str()),
        ("inc eax", "jmp 0x100200")
    );
    let walk = ask(&m, json!({"do": "walk", "address": ENTRY}));
    assert_eq!(
        (&walk["physical"], &walk["leads_to"]),
        (&json!(ENTRY), &json!("ram"))
    );
    assert!(walk["host"].as_u64().unwrap() % 4096 == ENTRY % 4096);
    assert_eq!(walk["entries"][0]["table"], "pml4");
    let gdt = ask(
        &m,
        json!({"do": "descriptors", "table": "gdt", "count": 16}),
    );
    assert_eq!(gdt["descriptors"][2]["kind"], "64-bit code");
}

#[test]
fn rom_is_shown_as_what_it_is_and_not_written() {
    // jmp $; nop at the reset vector, in a BIOS of 64 KiB.
    let mut image = vec![0; 0x1_0000];
    image[0xFFF0..0xFFF3].copy_from_slice(&[0xEB, 0xFE, 0x90]);
    let mut bios = tempfile::tempfile().unwrap();
    bios.write_all(&image).unwrap();
    let spec = MachineSpec {
        deterministic: true,
        pace: false,
        boot: serde_json::from_value(json!({"kind": "firmware"})).unwrap(),
        ..MachineSpec::new("debugged", 4, "")
    };
    let files = MachineFiles {
        firmware: Some(bios),
        ..MachineFiles::default()
    };
    let m = Machine::new(spec, files, MachineOptions::default()).unwrap();
    m.power(PowerCommand::Start).unwrap();
    let _ = wait(&m, "power", Some("running"));
    m.power(PowerCommand::Pause).unwrap();
    let _ = wait(&m, "power", Some("paused"));
    let walk = ask(&m, json!({"do": "walk", "address": 0xFFFF_FFF1_u64}));
    assert_eq!(walk["leads_to"], "rom");
    let read =
        |at: u64| json!({"do": "read_memory", "space": "physical", "address": at, "length": 3});
    // At the top of 4 GiB, and at its alias below 1 MiB.
    assert_eq!(ask(&m, read(0xFFFF_FFF0))["data"], "ebfe90");
    assert_eq!(ask(&m, read(0xF_FFF0))["data"], "ebfe90");
    let lines = ask(&m, json!({"do": "disassemble", "count": 1}));
    assert_eq!(lines["lines"][0]["address"], 0xFFFF_FFF0_u64);
    let write = json!({"do": "write_memory", "space": "physical", "address": 0xFFFF_FFF0_u64, "data": "00"});
    assert_eq!(refusal(&m, write).0, "bad_argument");
}

#[test]
fn device_memory_is_looked_at_without_an_effect_and_not_written() {
    let m = paused(&LOOP);
    // The version register of the local APIC, at 30h.
    let version =
        json!({"do": "read_memory", "space": "physical", "address": 0xFEE0_0030_u64, "length": 4});
    assert_ne!(ask(&m, version)["data"], "ffffffff");
    let write = json!({"do": "write_memory", "space": "physical", "address": 0xFEE0_0030_u64, "data": "00"});
    assert_eq!(refusal(&m, write).0, "bad_argument");
    let nothing =
        json!({"do": "read_memory", "space": "physical", "address": 0xF000_0000_u64, "length": 1});
    assert_eq!(refusal(&m, nothing).0, "not_found");
}

#[test]
fn trace_asked_for_before_power_on_begins_with_the_first_instruction() {
    let m = machine(&LOOP);
    ask(
        &m,
        json!({"do": "trace_start", "classes": ["instruction"], "limit": 1_000_000}),
    );
    m.power(PowerCommand::Start).unwrap();
    while ask(&m, json!({"do": "status"}))["retired"]
        .as_u64()
        .unwrap_or(0)
        < 2
    {
        std::thread::yield_now();
    }
    m.power(PowerCommand::PowerOff).unwrap();
    let _ = wait(&m, "power", Some("off"));
    let read = ask(&m, json!({"do": "trace_read", "limit": 2}));
    let lines: Vec<Value> = read["lines"]
        .as_str()
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["retired"], &lines[0]["address"]),
        (&json!(0), &json!(ENTRY))
    );
    assert_eq!(
        (&read["next"], &lines[1]["form"]),
        (&json!(3), &json!("inc Ev"))
    );
}

#[test]
fn trace_is_read_in_parts_and_bounded() {
    let m = paused(&LOOP);
    ask(
        &m,
        json!({"do": "trace_start", "classes": ["instruction"], "limit": 100}),
    );
    ask(&m, json!({"do": "step", "count": 250}));
    let read = ask(&m, json!({"do": "trace_read", "limit": 1000}));
    assert_eq!(
        (&read["first"], &read["end"], &read["next"]),
        (&json!(151), &json!(251), &json!(251))
    );
    assert_eq!(read["lines"].as_str().unwrap().lines().count(), 100);
    let rest = ask(&m, json!({"do": "trace_read", "from": 249, "limit": 1000}));
    assert_eq!(rest["lines"].as_str().unwrap().lines().count(), 2);
    assert_eq!(ask(&m, json!({"do": "trace_stop"}))["classes"], json!([]));
}

#[test]
fn wrong_requests_are_refused_and_change_nothing() {
    let m = paused(&LOOP);
    for request in [
        json!({"do": "read_memory", "space": "linear", "address": 0, "length": 70_000}),
        json!({"do": "disassemble", "count": 5000}),
        json!({"do": "disassemble", "count": 1, "bits": 8}),
        json!({"do": "descriptors", "table": "gdt", "count": 5000}),
        json!({"do": "step", "count": 2_000_000}),
        json!({"do": "trace_start", "classes": ["moods"], "limit": 1}),
        json!({"do": "trace_start", "classes": ["mode"], "limit": 2_000_000}),
        json!({"do": "set_register", "name": "cr3", "value": "0"}),
        json!({"do": "set_register", "name": "rax", "value": "many"}),
        json!({"do": "breakpoints", "add": vec![1; 2000].iter().enumerate().map(|(n, _)| n).collect::<Vec<_>>()}),
    ] {
        let (code, sentence) = refusal(&m, request);
        assert_eq!(code, "bad_argument");
        assert!(sentence.ends_with('.'), "{sentence}");
    }
    assert_eq!(
        ask(&m, json!({"do": "breakpoints"}))["breakpoints"],
        json!([])
    );
}

#[test]
fn machine_that_is_off_has_nothing_to_look_at() {
    let m = machine(&LOOP);
    assert_eq!(refusal(&m, json!({"do": "registers"})).0, "wrong_state");
    assert_eq!(ask(&m, json!({"do": "status"}))["state"], "off");
}

#[test]
fn statistics_count_exceptions_by_vector() {
    // ud2 without a table: a triple fault
    let m = machine(&[0x0F, 0x0B]);
    m.power(PowerCommand::Start).unwrap();
    let _ = wait(&m, "crashed", None);
    let stats: Value = serde_json::from_str(&m.stats().unwrap()).unwrap();
    assert_eq!(stats["exits"]["exceptions"], 1);
}

/// Where the handler of [`halting`] lies.
const HANDLER: u64 = ENTRY + 0x180;
/// Where its loop goes on behind HLT.
const AWAKE: u64 = ENTRY + 0x100;

/// 64-bit code that lets the PIT interrupt it through vector 20h, whose gate it builds at 5200h, and halts for ever.
fn halting() -> Vec<u8> {
    let mut code = vec![
        // out 0x43, 0x34; out 0x40, 0; out 0x40, 0x10: channel 0, mode 2, every 4096 ticks
        0xB0, 0x34, 0xE6, 0x43, 0xB0, 0x00, 0xE6, 0x40, 0xB0, 0x10, 0xE6, 0x40,
    ];
    for (port, value) in [
        // ICW1 to ICW4 of the first 8259: vectors from 20h; only line 0 is let through.
        (0x20u8, 0x11u8),
        (0x21, 0x20),
        (0x21, 0x04),
        (0x21, 0x01),
        (0x21, 0xFE),
    ] {
        code.extend([0xB0, value, 0xE6, port]);
    }
    // mov dword [0x5200], low; mov dword [0x5204], high; then the upper half, zero
    let handler = u32::try_from(HANDLER).unwrap();
    let gate = [
        (handler & 0xFFFF) | 0x10 << 16,
        (handler & 0xFFFF_0000) | 0x8E00,
        0,
        0,
    ];
    for (n, value) in gate.iter().enumerate() {
        code.extend([0xC7, 0x04, 0x25]);
        code.extend((0x5200 + 4 * u32::try_from(n).unwrap()).to_le_bytes());
        code.extend(value.to_le_bytes());
    }
    // mov word [0x4FF0], 0xFFF; mov qword [0x4FF2], 0x5000; lidt [0x4FF0]
    code.extend([0x66, 0xC7, 0x04, 0x25, 0xF0, 0x4F, 0, 0, 0xFF, 0x0F]);
    code.extend([0x48, 0xC7, 0x04, 0x25, 0xF2, 0x4F, 0, 0, 0, 0x50, 0, 0]);
    code.extend([0x0F, 0x01, 0x1C, 0x25, 0xF0, 0x4F, 0, 0]);
    // mov rsp, 0x9000; sti; jmp to the HLT
    code.extend([0x48, 0xC7, 0xC4, 0x00, 0x90, 0, 0, 0xFB]);
    code.resize(0xFF, 0x90);
    // hlt; jmp back to it
    code.extend([0xF4, 0xEB, 0xFD]);
    code.resize(0x180, 0x90);
    // The handler: mov al, 0x20; out 0x20, al (end of interrupt); iretq
    code.extend([0xB0, 0x20, 0xE6, 0x20, 0x48, 0xCF]);
    code
}

#[test]
fn step_of_a_halted_processor_lets_time_run_to_its_interrupt() {
    let m = machine(&halting());
    step_into_halt(&m);
    let before = ask(&m, json!({"do": "status"}));
    assert_eq!(
        (&before["halted"], &before["address"]),
        (&json!(true), &json!(AWAKE))
    );
    let woken = ask(&m, json!({"do": "step", "count": 1}));
    let time = |v: &Value| v["virtual_ns"].as_u64().unwrap();
    assert_eq!(woken["retired"], before["retired"]);
    assert_eq!(
        (&woken["halted"], &woken["address"]),
        (&json!(false), &json!(HANDLER))
    );
    assert!(time(&woken) > time(&before));
    let back = ask(&m, json!({"do": "step", "count": 3}));
    assert_eq!(back["address"], AWAKE);
}

/// Runs to the HLT of [`halting`] and steps onto it.
fn step_into_halt(m: &Machine) {
    m.power(PowerCommand::Start).unwrap();
    let _ = wait(m, "power", Some("running"));
    m.power(PowerCommand::Pause).unwrap();
    let _ = wait(m, "power", Some("paused"));
    while ask(m, json!({"do": "status"}))["halted"] != true {
        ask(m, json!({"do": "step", "count": 1}));
    }
}
