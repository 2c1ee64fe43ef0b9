//! Events of a machine: a bounded queue and an eventfd that is readable while events wait.
//!
//! Power and error events are never dropped. Of events that a guest can repeat at will (display, speaker, pointer, trays,
//! resets, sleep, nothing to boot) only the latest of a kind waits. Log lines are dropped, and counted, when nobody drains the
//! queue.

use std::collections::VecDeque;
use std::io;
use std::sync::Mutex;

use serde::Serialize;
use vmwb_x86::CpuStop;
use vmwb_x86::inspect::DebugStop;

use crate::power::PowerState;
use crate::sys::EventFd;

/// Most log events that wait.
const MAX_WAITING_LOGS: usize = 512;

/// How urgent a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// Rare state changes.
    Info,
    /// Abnormal, but the guest goes on.
    Warn,
    /// Something the user asked for failed.
    Error,
}

/// Why a guest cannot run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CrashReason {
    /// Its processor stopped.
    Cpu(CpuStop),
    /// Something around it failed.
    Host(HostFailure),
}

/// Why a guest cannot run on although its processor could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum HostFailure {
    /// Kernel or initial RAM disk could not be loaded again.
    BootFailed {
        /// The loader's sentence.
        detail: String,
    },
    /// The emulator has a defect.
    EmulatorFailed {
        /// What it said last.
        detail: String,
    },
}

/// The facts of a crash: what a sentence in any language is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Crash {
    /// Why the guest cannot run on.
    #[serde(flatten)]
    pub reason: CrashReason,
    /// Linear address where the processor stood; `None`: there was no processor yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
    /// The first bytes there, in hexadecimal, if the processor took them for no valid instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    /// Model of the processor that took them so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_model: Option<String>,
    /// Number of the processor, in a machine of several of which one stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<usize>,
}

impl Crash {
    /// A crash of which nothing but the reason is known.
    #[must_use]
    pub fn because(reason: CrashReason) -> Self {
        Self {
            reason,
            address: None,
            bytes: None,
            cpu_model: None,
            processor: None,
        }
    }

    /// The English sentence for the user: of an invalid instruction with its bytes, of several processors with the one that
    /// it was.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = match &self.reason {
            CrashReason::Cpu(stop) => stop.sentence(),
            CrashReason::Host(HostFailure::BootFailed { detail }) => detail.clone(),
            CrashReason::Host(HostFailure::EmulatorFailed { detail }) => format!(
                "The emulator failed inside itself ({detail}, guest at {:#x}). This is a defect of the program; please \
                 report it.",
                self.address.unwrap_or(0)
            ),
        };
        if let (CrashReason::Cpu(stop), Some(address)) = (&self.reason, self.address)
            && stop.rip() != address
        {
            sentence.push_str(&format!(" The linear address is {address:#x}."));
        }
        if let (Some(bytes), Some(model)) = (&self.bytes, &self.cpu_model) {
            sentence.push_str(&format!(
                " The bytes there, {bytes}, are no valid instruction of the processor model {model}."
            ));
        }
        if let Some(processor) = self.processor {
            sentence.push_str(&format!(" It was processor {processor}."));
        }
        if matches!(self.reason, CrashReason::Cpu(_)) {
            sentence.push_str(" Start the machine again.");
        }
        sentence
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The power state changed.
    Power {
        /// New state.
        state: PowerState,
    },
    /// The guest switched the machine off.
    GuestPowerOff,
    /// The guest reset the machine.
    GuestReset,
    /// The guest cannot run on.
    Crashed {
        /// Why, for programs and other languages.
        stop: Crash,
        /// Why, for the user.
        sentence: String,
    },
    /// The firmware found nothing that it could boot, and waits.
    NoBootDevice {
        /// What that is and what to do, for the user.
        sentence: String,
    },
    /// The guest went to sleep in its RAM (ACPI S3), or woke.
    Sleep {
        /// Whether it sleeps now.
        asleep: bool,
    },
    /// A debugger's breakpoint or watchpoint stopped the machine, which is paused now.
    DebugStop {
        /// Why.
        #[serde(flatten)]
        stop: DebugStop,
        /// Linear address of the next instruction.
        rip: u64,
        /// Number of the processor that came there.
        processor: usize,
    },
    /// The guest opened the tray of a CD drive.
    Ejected {
        /// Name of its slot.
        slot: String,
    },
    /// The guest began, or ceased, to take positions of the pointer instead of movements.
    Pointer {
        /// Whether it takes positions.
        absolute: bool,
    },
    /// The tone of the PC speaker changed. Not every change is told: at most fifty a second, the last always.
    Speaker {
        /// Its frequency in Hz (18 to 596,591); `None`: silence.
        hz: Option<u32>,
    },
    /// The guest wrote to the debug exit port.
    DebugExit {
        /// What it wrote.
        value: u32,
    },
    /// A line for the log.
    Log {
        /// How urgent.
        level: LogLevel,
        /// The line.
        message: String,
    },
    /// The size of the picture changed.
    Display {
        /// Pixels across.
        width: u32,
        /// Lines.
        height: u32,
        /// Generation of the framebuffer's mode.
        generation: u64,
    },
}

impl Event {
    /// Whether this one makes an earlier one that still waits superfluous.
    fn replaces(&self, earlier: &Self) -> bool {
        match (self, earlier) {
            (Self::Display { .. }, Self::Display { .. })
            | (Self::Speaker { .. }, Self::Speaker { .. })
            | (Self::Pointer { .. }, Self::Pointer { .. })
            | (Self::NoBootDevice { .. }, Self::NoBootDevice { .. })
            | (Self::Sleep { .. }, Self::Sleep { .. })
            | (Self::GuestReset, Self::GuestReset) => true,
            (Self::Ejected { slot }, Self::Ejected { slot: other }) => slot == other,
            _ => false,
        }
    }
}

#[derive(Debug, Serialize)]
struct Stamped<'a> {
    seq: u64,
    retired: u64,
    #[serde(flatten)]
    event: &'a Event,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(u64, u64, Event)>,
    next_seq: u64,
    logs: usize,
    dropped_logs: u64,
}

/// The queue. Shared between the driver, which writes, and the embedder, which drains.
#[derive(Debug)]
pub struct EventQueue {
    queue: Mutex<Queue>,
    handle: EventFd,
}

impl EventQueue {
    /// An empty queue.
    ///
    /// # Errors
    /// The host has no descriptor to give.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Queue::default()),
            handle: EventFd::new()?,
        })
    }

    /// Descriptor that is readable while events wait.
    #[must_use]
    pub fn handle(&self) -> i32 {
        self.handle.raw()
    }

    /// Adds an event; `retired` is its stamp.
    pub fn push(&self, retired: u64, event: Event) {
        let mut q = self.queue.lock().expect("no holder of this lock panics");
        match event {
            Event::Log { .. } if q.logs >= MAX_WAITING_LOGS => {
                q.dropped_logs += 1;
                return;
            }
            Event::Log { .. } => q.logs += 1,
            _ => q.waiting.retain(|(_, _, earlier)| !event.replaces(earlier)),
        }
        q.next_seq += 1;
        let seq = q.next_seq;
        q.waiting.push_back((seq, retired, event));
        drop(q);
        self.handle.signal();
    }

    /// Takes all events out, each as a JSON object, and clears the descriptor.
    #[must_use]
    pub fn drain(&self) -> Vec<String> {
        self.handle.clear();
        let mut q = self.queue.lock().expect("no holder of this lock panics");
        if q.dropped_logs > 0 {
            let message = format!("{} log lines were dropped here", q.dropped_logs);
            q.dropped_logs = 0;
            q.next_seq += 1;
            let (seq, retired) = (q.next_seq, q.waiting.back().map_or(0, |e| e.1));
            q.waiting.push_back((
                seq,
                retired,
                Event::Log {
                    level: LogLevel::Warn,
                    message,
                },
            ));
        }
        q.logs = 0;
        std::mem::take(&mut q.waiting)
            .into_iter()
            .map(|(seq, retired, event)| {
                serde_json::to_string(&Stamped {
                    seq,
                    retired,
                    event: &event,
                })
                .expect("an event has only strings and numbers")
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::sys::{Interest, poll};

    fn readable(q: &EventQueue) -> bool {
        let interest = Interest {
            fd: q.handle(),
            read: true,
            write: false,
        };
        poll(&[interest], Some(std::time::Duration::ZERO)).unwrap()[0].read
    }

    #[test]
    fn handle_is_readable_exactly_while_events_wait() {
        let q = EventQueue::new().unwrap();
        assert!(!readable(&q));
        q.push(7, Event::GuestReset);
        assert!(readable(&q));
        assert_eq!(q.drain(), [r#"{"seq":1,"retired":7,"kind":"guest_reset"}"#]);
        assert!(!readable(&q));
    }

    #[test]
    fn display_events_keep_only_the_latest() {
        let q = EventQueue::new().unwrap();
        q.push(
            0,
            Event::Display {
                width: 640,
                height: 480,
                generation: 1,
            },
        );
        q.push(
            0,
            Event::Power {
                state: PowerState::Running,
            },
        );
        q.push(
            0,
            Event::Display {
                width: 720,
                height: 400,
                generation: 2,
            },
        );
        let all = q.drain();
        assert_eq!(all.len(), 2);
        assert!(all[1].contains(r#""generation":2"#));
    }

    #[test]
    fn speaker_events_keep_only_the_latest() {
        let q = EventQueue::new().unwrap();
        for hz in [Some(880), Some(440), None] {
            q.push(5, Event::Speaker { hz });
        }
        let waiting = r#"{"seq":3,"retired":5,"kind":"speaker","hz":null}"#;
        assert_eq!(q.drain(), [waiting]);
    }

    #[test]
    fn sentence_names_the_linear_address_only_where_it_differs() {
        let mut crash = Crash::because(CrashReason::Cpu(CpuStop::TripleFault {
            rip: 0x10_0000,
            vector: 6,
        }));
        crash.address = Some(0x10_0000);
        crash.bytes = Some("0f 0b".to_owned());
        crash.cpu_model = Some("max".to_owned());
        assert!(crash.sentence().contains(" The bytes there, 0f 0b, "));
        assert!(!crash.sentence().contains("linear"));
        crash.address = Some(0x20_0000);
        assert_eq!(crash.sentence().matches("linear address").count(), 1);
        assert!(crash.sentence().contains("The linear address is 0x200000."));
    }

    #[test]
    fn what_a_guest_repeats_waits_once_and_its_end_is_told_behind_it() {
        let q = EventQueue::new().unwrap();
        let ejected = |slot: &str| Event::Ejected {
            slot: slot.to_owned(),
        };
        for n in 0..1000 {
            q.push(n, Event::GuestReset);
            q.push(n, ejected("ide0"));
            q.push(n, ejected("ide1"));
            q.push(
                n,
                Event::Pointer {
                    absolute: n % 2 == 1,
                },
            );
            q.push(
                n,
                Event::NoBootDevice {
                    sentence: n.to_string(),
                },
            );
        }
        for asleep in [true, false, true] {
            q.push(1000, Event::Sleep { asleep });
        }
        q.push(1000, Event::GuestPowerOff);
        let all = q.drain();
        assert_eq!(all.len(), 7);
        assert!(all[3].contains(r#""absolute":true"#) && all[4].contains("999"));
        assert!(all[5].contains(r#""asleep":true"#));
        assert!(all[6].contains("guest_power_off"));
    }

    #[test]
    fn log_flood_is_bounded_and_counted() {
        let q = EventQueue::new().unwrap();
        (0..MAX_WAITING_LOGS + 9).for_each(|_| {
            q.push(
                0,
                Event::Log {
                    level: LogLevel::Info,
                    message: "x".to_owned(),
                },
            );
        });
        let all = q.drain();
        assert_eq!(all.len(), MAX_WAITING_LOGS + 1);
        assert!(all.last().unwrap().contains("9 log lines were dropped"));
    }

    #[test]
    fn crashed_event_carries_reason_and_sentence() {
        let q = EventQueue::new().unwrap();
        let reason = CrashReason::Cpu(CpuStop::TripleFault {
            rip: 0x1000,
            vector: 13,
        });
        let stop = Crash::because(reason);
        let sentence = stop.sentence();
        q.push(1, Event::Crashed { stop, sentence });
        let v: serde_json::Value = serde_json::from_str(&q.drain()[0]).unwrap();
        assert_eq!(v["kind"], "crashed");
        assert_eq!(
            v["stop"],
            json!({"reason": "triple_fault", "rip": 0x1000, "vector": 13})
        );
    }

    #[test]
    fn crash_with_all_its_facts_has_them_as_fields_and_in_its_sentence() {
        let crash = Crash {
            reason: CrashReason::Cpu(CpuStop::TripleFault { rip: 5, vector: 6 }),
            address: Some(0x7C05),
            bytes: Some("0f ff".to_owned()),
            cpu_model: Some("486".to_owned()),
            processor: Some(1),
        };
        let fields = json!({
            "reason": "triple_fault", "rip": 5, "vector": 6, "address": 0x7C05, "bytes": "0f ff",
            "cpu_model": "486", "processor": 1,
        });
        assert_eq!(serde_json::to_value(&crash).unwrap(), fields);
        let sentence = crash.sentence();
        assert!(
            sentence.ends_with(
                " The bytes there, 0f ff, are no valid instruction of the processor model 486. It was \
                 processor 1. Start the machine again."
            ),
            "{sentence}"
        );
    }

    #[test]
    fn failure_of_the_host_tells_its_detail_as_a_field() {
        let detail = "broken".to_owned();
        let crash = Crash {
            address: Some(0x10),
            ..Crash::because(CrashReason::Host(HostFailure::EmulatorFailed { detail }))
        };
        let fields = json!({"reason": "emulator_failed", "detail": "broken", "address": 0x10});
        assert_eq!(serde_json::to_value(&crash).unwrap(), fields);
        assert!(crash.sentence().contains("(broken, guest at 0x10)"));
    }
}
