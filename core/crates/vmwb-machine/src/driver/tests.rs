//! The driver with a scripted processor: what a guest does is a list of steps, what must happen is told by events.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vmwb_hw::{AccessSize, GuestMemory, Payload, Schema, SnapshotError};
use vmwb_x86::cpu::Counters;
use vmwb_x86::{Activity, BootState, CpuBus, CpuConfig, CpuStop, Exit, Inspect, Vcpu};

use super::VcpuFactory;
use crate::boot::tiny_kernel;
use crate::input::{Delivery, Input};
use crate::machine::{Machine, MachineFiles, MachineOptions, StateFiles};
use crate::mailbox::SaveFiles;
use crate::power::{PowerCommand, PowerState};
use crate::spec::MachineSpec;
use crate::sys::{Interest, poll};

const PATIENCE: Duration = Duration::from_secs(20);
const COM1: u16 = 0x3F8;
const LINE_STATUS: u16 = COM1 + 5;
const PM1_CONTROL: u16 = 0x604;
/// SLP_EN with the sleep type of soft-off.
const SOFT_OFF: u32 = 0x2000 | 5 << 10;

/// One step of a scripted guest; each is one instruction but `Spin`.
#[derive(Debug, Clone)]
enum Step {
    Out(u16, AccessSize, u32),
    Print(&'static str),
    Spin(u64),
    Halt,
    /// Reads COM1 until a character is there, prints it.
    Echo,
    /// Goes back to a step.
    Goto(usize),
    Panic,
    Stop,
}

#[derive(Debug)]
struct Script {
    steps: Arc<Vec<Step>>,
    at: usize,
    spun: u64,
    halted: bool,
    retired: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct ScriptV1 {
    at: usize,
    spun: u64,
    halted: bool,
    retired: u64,
}

impl Schema for ScriptV1 {
    const KIND: &'static str = "script";
    const VERSION: u32 = 1;
}

impl Script {
    /// `None`: the step is not over.
    fn step(&mut self, bus: &mut dyn CpuBus, left: u64) -> Option<Exit> {
        let n = self.retired;
        match self.steps[self.at].clone() {
            Step::Out(port, size, value) => bus.pio_write(port, size, value, n),
            Step::Print(text) => {
                text.bytes()
                    .for_each(|b| bus.pio_write(COM1, AccessSize::Byte, u32::from(b), n));
            }
            Step::Spin(count) => {
                let run = (count - self.spun).min(left);
                self.spun += run;
                self.retired += run;
                if self.spun < count {
                    return None;
                }
                self.spun = 0;
                self.at += 1;
                return None;
            }
            Step::Halt => {
                self.halted = true;
                self.at += 1;
                self.retired += 1;
                return Some(Exit::Halted);
            }
            Step::Echo => {
                self.retired += 1;
                if bus.pio_read(LINE_STATUS, AccessSize::Byte, n) & 1 == 0 {
                    return None;
                }
                let byte = bus.pio_read(COM1, AccessSize::Byte, n);
                bus.pio_write(COM1, AccessSize::Byte, byte, n);
                self.at += 1;
                return None;
            }
            Step::Goto(to) => {
                self.at = to;
                self.retired += 1;
                return None;
            }
            Step::Panic => panic!("scripted"),
            Step::Stop => {
                return Some(Exit::Stopped(CpuStop::TripleFault {
                    rip: 0x1234,
                    vector: 6,
                }));
            }
        }
        self.at += 1;
        self.retired += 1;
        bus.attention().then_some(Exit::Attention)
    }
}

impl Vcpu for Script {
    fn reset(&mut self) {
        (self.at, self.spun, self.halted) = (0, 0, false);
    }
    fn init(&mut self) {
        self.reset();
    }
    fn start_up(&mut self, _page: u8) {}
    fn activity(&self) -> Activity {
        if self.halted {
            Activity::Halted
        } else {
            Activity::Running
        }
    }
    fn count_from(&mut self, retired: u64) {
        self.retired = retired;
    }
    fn set_boot_state(&mut self, _state: BootState) {}
    fn run(&mut self, bus: &mut dyn CpuBus, budget: u64) -> Exit {
        let end = self.retired + budget;
        while self.retired < end {
            if bus.interrupt_pending() {
                let _ = bus.acknowledge_interrupt(self.retired);
                self.halted = false;
            }
            if self.halted {
                return Exit::Halted;
            }
            if let Some(exit) = self.step(bus, end - self.retired) {
                return exit;
            }
        }
        Exit::Budget
    }
    fn retired(&self) -> u64 {
        self.retired
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
    fn inspect(&mut self) -> Option<&mut dyn Inspect> {
        None
    }
    fn linear_rip(&self) -> u64 {
        self.at as u64
    }
    fn fingerprint(&self) -> u64 {
        self.at as u64
    }
    fn save(&self) -> Result<Payload, SnapshotError> {
        let Self {
            at,
            spun,
            halted,
            retired,
            ..
        } = *self;
        Payload::encode(
            "script",
            &ScriptV1 {
                at,
                spun,
                halted,
                retired,
            },
        )
    }
    fn restore(&mut self, payload: &Payload) -> Result<(), SnapshotError> {
        let s: ScriptV1 = payload.decode()?;
        (self.at, self.spun, self.halted, self.retired) = (s.at, s.spun, s.halted, s.retired);
        Ok(())
    }
}

fn factory(steps: &[Step]) -> VcpuFactory {
    let steps = Arc::new(steps.to_vec());
    Box::new(move |_memory: Arc<GuestMemory>, _config: &CpuConfig| {
        let steps = Arc::clone(&steps);
        let script = Script {
            steps,
            at: 0,
            spun: 0,
            halted: false,
            retired: 0,
        };
        Ok(Box::new(script) as Box<dyn Vcpu>)
    })
}

fn kernel() -> File {
    let mut f = tempfile::tempfile().unwrap();
    f.write_all(&tiny_kernel(&[0xF4; 32], 1)).unwrap();
    f
}

fn spec() -> MachineSpec {
    MachineSpec {
        debug_exit_port: Some(0x501),
        ..MachineSpec::new("scripted", 4, "")
    }
}

fn exact_spec() -> MachineSpec {
    MachineSpec {
        deterministic: true,
        pace: false,
        ..spec()
    }
}

fn files() -> MachineFiles {
    MachineFiles {
        kernel: Some(kernel()),
        ..MachineFiles::default()
    }
}

fn free(factory: VcpuFactory) -> MachineOptions {
    MachineOptions {
        factory,
        confined: false,
    }
}

fn confined(factory: VcpuFactory) -> MachineOptions {
    MachineOptions {
        factory,
        confined: true,
    }
}

fn machine(spec: MachineSpec, steps: &[Step]) -> Machine {
    Machine::new(spec, files(), confined(factory(steps))).unwrap()
}

/// Waits until an event of this kind (and, for power, this state) comes; `None` when patience ends.
pub(super) fn find_event(machine: &Machine, kind: &str, state: Option<&str>) -> Option<Value> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let interest = Interest {
            fd: machine.event_handle(),
            read: true,
            write: false,
        };
        poll(&[interest], Some(Duration::from_secs(1))).unwrap();
        let found = machine
            .drain_events()
            .iter()
            .map(|e| serde_json::from_str::<Value>(e).unwrap())
            .find(|e| e["kind"] == kind && state.is_none_or(|s| e["state"] == s));
        if found.is_some() {
            return found;
        }
    }
    None
}

/// The same, for an event that must come.
fn event(machine: &Machine, kind: &str, state: Option<&str>) -> Value {
    find_event(machine, kind, state).unwrap_or_else(|| panic!("no event {kind} {state:?}"))
}

fn off(machine: &Machine) {
    let _ = event(machine, "power", Some("off"));
}

/// Everything that comes out of COM1 until the machine is closed.
fn output_of(machine: Machine, mut console: impl Read) -> String {
    machine.close();
    let mut all = String::new();
    console.read_to_string(&mut all).unwrap();
    all
}

#[test]
fn guest_prints_and_switches_off_is_told_in_order() {
    let m = machine(
        spec(),
        &[
            Step::Print("hello"),
            Step::Out(PM1_CONTROL, AccessSize::Word, SOFT_OFF),
            Step::Spin(1),
        ],
    );
    let console = m.console(0).unwrap();
    m.power(PowerCommand::Start).unwrap();
    off(&m);
    assert_eq!(m.state(), PowerState::Off);
    assert_eq!(output_of(m, console), "hello");
}

#[test]
fn guest_debug_exit_gives_its_value() {
    let m = machine(
        spec(),
        &[Step::Out(0x501, AccessSize::Dword, 42), Step::Spin(1)],
    );
    m.power(PowerCommand::Start).unwrap();
    assert_eq!(event(&m, "debug_exit", None)["value"], 42);
}

#[test]
fn triple_fault_crashes_with_its_sentence_and_start_works_again() {
    let m = machine(spec(), &[Step::Stop]);
    m.power(PowerCommand::Start).unwrap();
    let crashed = event(&m, "crashed", None);
    assert_eq!(crashed["stop"]["reason"], "triple_fault");
    assert!(
        crashed["sentence"]
            .as_str()
            .unwrap()
            .contains("triple fault")
    );
    assert_eq!(crashed["stop"]["vector"], 6);
    assert_eq!(crashed["stop"]["rip"], 0x1234);
    assert!(crashed["stop"]["address"].is_u64());
    assert!(crashed["stop"].get("processor").is_none());
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "crashed", None);
}

#[test]
fn panic_in_the_emulator_is_a_crash_of_the_guest_not_of_the_process() {
    let m = machine(spec(), &[Step::Panic]);
    m.power(PowerCommand::Start).unwrap();
    let crashed = event(&m, "crashed", None);
    assert!(crashed["sentence"].as_str().unwrap().contains("scripted"));
    assert_eq!(crashed["stop"]["reason"], "emulator_failed");
    assert_eq!(crashed["stop"]["detail"], "scripted");
    m.power(PowerCommand::PowerOff).unwrap();
    off(&m);
}

#[test]
fn guest_reset_loads_the_kernel_again() {
    // The keyboard controller's pulse; the second time round the script is where it was.
    let m = machine(
        spec(),
        &[Step::Out(0x64, AccessSize::Byte, 0xFE), Step::Spin(1)],
    );
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "guest_reset", None);
    let _ = event(&m, "guest_reset", None);
    m.power(PowerCommand::PowerOff).unwrap();
    off(&m);
}

#[test]
fn pause_stops_the_guest_and_resume_lets_it_run_on() {
    let m = machine(spec(), &[Step::Spin(1000), Step::Goto(0)]);
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "power", Some("running"));
    m.power(PowerCommand::Pause).unwrap();
    let _ = event(&m, "power", Some("paused"));
    let retired = |m: &Machine| {
        serde_json::from_str::<Value>(&m.stats().unwrap()).unwrap()["retired"]
            .as_u64()
            .unwrap()
    };
    let stopped = retired(&m);
    assert_eq!(retired(&m), stopped);
    m.power(PowerCommand::Resume).unwrap();
    let _ = event(&m, "power", Some("running"));
    let end = Instant::now() + PATIENCE;
    while retired(&m) == stopped && Instant::now() < end {}
    assert!(retired(&m) > stopped);
}

#[test]
fn input_from_a_console_reaches_the_guest() {
    let m = machine(
        spec(),
        &[
            Step::Echo,
            Step::Echo,
            Step::Out(0x501, AccessSize::Byte, 1),
            Step::Spin(1),
        ],
    );
    let mut console = m.console(0).unwrap();
    m.power(PowerCommand::Start).unwrap();
    console.write_all(b"ok").unwrap();
    off(&m);
    assert_eq!(output_of(m, console), "ok");
}

#[test]
fn halted_guest_costs_no_processor_time() {
    let m = machine(spec(), &[Step::Halt, Step::Goto(0)]);
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "power", Some("running"));
    let stats = |m: &Machine| serde_json::from_str::<Value>(&m.stats().unwrap()).unwrap();
    let end = Instant::now() + PATIENCE;
    while stats(&m)["wall_seconds"].as_f64().unwrap() < 0.5 && Instant::now() < end {
        // Waits on the guest's own time: an event that never comes, for a tenth of a second.
        let interest = Interest {
            fd: m.event_handle(),
            read: true,
            write: false,
        };
        let _ = m.drain_events();
        poll(&[interest], Some(Duration::from_millis(100))).unwrap();
    }
    assert!(stats(&m)["cpu_seconds"].as_f64().unwrap() < 0.05);
}

fn run_exactly(replay: Option<Vec<Delivery>>) -> (String, u64, Vec<Delivery>) {
    let steps = [
        Step::Print("a"),
        Step::Spin(3_333_333),
        Step::Echo,
        Step::Spin(777),
        Step::Echo,
        Step::Out(0x501, AccessSize::Byte, 1),
        Step::Spin(1),
    ];
    let m = machine(exact_spec(), &steps);
    let console = m.console(0).unwrap();
    m.record_inputs();
    let live = replay.is_none();
    m.replay_inputs(replay.unwrap_or_default());
    m.power(PowerCommand::Start).unwrap();
    let keys: &[u8] = if live { b"xy" } else { b"" };
    for &key in keys {
        m.inject(Input::Serial {
            port: 0,
            data: vec![key],
        })
        .unwrap();
    }
    let exit = event(&m, "debug_exit", None);
    let log = m.take_recording();
    (
        output_of(m, console),
        exit["retired"].as_u64().unwrap(),
        log,
    )
}

#[test]
fn deterministic_run_with_its_recorded_inputs_repeats_exactly() {
    let (text, retired, log) = run_exactly(None);
    let (again, retired_again, log_again) = run_exactly(Some(log.clone()));
    assert_eq!((text.as_str(), again.as_str()), ("axy", "axy"));
    assert_eq!((retired, log), (retired_again, log_again));
}

#[test]
fn saved_machine_goes_on_in_a_new_one_where_it_was() {
    let steps = [
        Step::Print("before "),
        Step::Echo,
        Step::Print(" after"),
        Step::Out(0x501, AccessSize::Byte, 9),
        Step::Spin(1),
    ];
    let m = machine(exact_spec(), &steps);
    let mut console = m.console(0).unwrap();
    m.power(PowerCommand::Start).unwrap();
    let mut first = [0; 7];
    console.read_exact(&mut first).unwrap();
    m.power(PowerCommand::Pause).unwrap();
    let _ = event(&m, "power", Some("paused"));
    let (devices, ram) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    let files_of = || SaveFiles {
        devices: devices.try_clone().unwrap(),
        ram: ram.try_clone().unwrap(),
    };
    m.save(files_of()).unwrap();
    assert_eq!(m.state(), PowerState::Suspended);
    m.close();
    let state = StateFiles {
        devices: devices.try_clone().unwrap(),
        ram: ram.try_clone().unwrap(),
    };
    let m = Machine::restore(exact_spec(), files(), &state, free(factory(&steps))).unwrap();
    let mut console = m.console(0).unwrap();
    m.power(PowerCommand::Resume).unwrap();
    console.write_all(b"!").unwrap();
    assert_eq!(event(&m, "debug_exit", None)["value"], 9);
    assert_eq!(output_of(m, console), "! after");
}

#[test]
fn save_of_a_running_machine_is_refused() {
    let m = machine(spec(), &[Step::Spin(1000), Step::Goto(0)]);
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "power", Some("running"));
    let files = SaveFiles {
        devices: tempfile::tempfile().unwrap(),
        ram: tempfile::tempfile().unwrap(),
    };
    assert_eq!(m.save(files).unwrap_err().code(), "wrong_state");
}

#[test]
fn restore_of_damaged_or_foreign_state_is_refused() {
    let m = machine(spec(), &[Step::Spin(1000), Step::Goto(0)]);
    m.power(PowerCommand::Start).unwrap();
    let _ = event(&m, "power", Some("running"));
    m.power(PowerCommand::Pause).unwrap();
    let _ = event(&m, "power", Some("paused"));
    let (devices, ram) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    m.save(SaveFiles {
        devices: devices.try_clone().unwrap(),
        ram: ram.try_clone().unwrap(),
    })
    .unwrap();
    let restore = |spec: MachineSpec| {
        let state = StateFiles {
            devices: devices.try_clone().unwrap(),
            ram: ram.try_clone().unwrap(),
        };
        Machine::restore(spec, files(), &state, free(factory(&[Step::Spin(1)])))
    };
    assert!(restore(spec()).is_ok());
    let more = MachineSpec {
        serial_ports: 2,
        ..spec()
    };
    assert_eq!(restore(more).unwrap_err().code(), "bad_state");
    let len = devices.metadata().unwrap().len();
    devices.write_all_at(&[0x5A], len - 3).unwrap();
    assert_eq!(restore(spec()).unwrap_err().code(), "bad_state");
    devices.set_len(5).unwrap();
    assert_eq!(restore(spec()).unwrap_err().code(), "bad_state");
}

#[test]
fn close_twice_is_harmless_and_refuses_later_requests() {
    let m = machine(spec(), &[Step::Spin(1000), Step::Goto(0)]);
    m.power(PowerCommand::Start).unwrap();
    m.close();
    m.close();
    assert_eq!(
        m.power(PowerCommand::PowerOff).unwrap_err().code(),
        "closed"
    );
    assert_eq!(m.stats().unwrap_err().code(), "closed");
}

#[test]
fn machine_without_a_kernel_is_refused_by_name() {
    let refused =
        Machine::new(spec(), MachineFiles::default(), confined(factory(&[]))).unwrap_err();
    assert_eq!(refused.code(), "no_kernel");
}
