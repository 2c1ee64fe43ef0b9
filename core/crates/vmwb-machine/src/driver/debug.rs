//! The driver's part of the debugger: it carries requests out between two slices, in its own thread like everything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use vmwb_hw::{AccessSize, GuestAddress, GuestMemory, RegionKind};
use vmwb_mem::PageView;
use vmwb_x86::inspect::{DebugStop, Watchpoint};
use vmwb_x86::observe::{Classes, MAX_CAPACITY, Recorder};
use vmwb_x86::{Exit, Inspect};

use super::{Driver, Powered};
use crate::debug::descriptors::{is_wide, view};
use crate::debug::disassembly::{MAX_INSN_BYTES, disassemble};
use crate::debug::{
    DebugRequest, MAX_DESCRIPTORS, MAX_LINES, MAX_MEMORY_BYTES, MAX_STEPS, MAX_TRACE_BYTES, Space,
    Table, bad, bounded, from_hex, number, to_hex,
};
use crate::error::MachineError;
use crate::events::Event;
use crate::power::{PowerCommand, PowerState, decide};

const PAGE: u64 = 4096;
/// Longest time that a request to step may take when the processor waits in HLT.
const STEP_PATIENCE: Duration = Duration::from_secs(2);
/// Longest time that it may take at all, whatever the guest's instructions cost: nobody else is answered meanwhile, and
/// whoever asked gives up after five seconds.
const STEPS_PATIENCE: Duration = Duration::from_secs(4);

/// What the driver keeps for debuggers besides what the processor does.
#[derive(Debug, Default)]
pub(super) struct DebugState {
    /// A recording that begins with the next power-on.
    armed: Option<(Classes, usize)>,
    /// What the last power-on recorded, once it is over.
    finished: Recorder,
    /// Why the machine stands still, if a debugger is why.
    stop: Option<DebugStop>,
}

type Answer = Result<Value, MachineError>;

impl Powered {
    fn door(&mut self) -> Result<&mut dyn Inspect, MachineError> {
        self.vcpu.inspect().ok_or_else(no_door)
    }

    fn recorder_door(&mut self) -> Result<&mut dyn Inspect, MachineError> {
        self.vcpu.recorder_door().ok_or_else(no_door)
    }

    /// Reads without any effect; gives how many bytes there were before the first that cannot be read.
    pub(super) fn peek(
        &mut self,
        memory: &GuestMemory,
        space: Space,
        address: u64,
        out: &mut [u8],
    ) -> Result<usize, MachineError> {
        let mut done = 0;
        while done < out.len() {
            let at = address.wrapping_add(done as u64);
            let n = usize::try_from(PAGE - at % PAGE)
                .unwrap_or(1)
                .min(out.len() - done);
            let physical = match space {
                Space::Physical => Some(at),
                Space::Linear => self.door()?.page_walk(at).physical,
            };
            let Some(physical) = physical else { break };
            let part = &mut out[done..done + n];
            if memory.peek(GuestAddress(physical), part) {
                done += n;
                continue;
            }
            let read = self.peek_device(physical, part);
            done += read;
            if read < n {
                break;
            }
        }
        Ok(done)
    }

    /// Device memory as its device would show it, without telling the device.
    fn peek_device(&mut self, physical: u64, out: &mut [u8]) -> usize {
        let retired = self.vcpu.retired();
        self.board.set_current(self.vcpu.focus());
        let mut done = 0;
        while done < out.len() {
            let at = physical + done as u64;
            // Registers of four bytes are looked at whole, as their devices know them.
            let (size, n) = if at.is_multiple_of(4) && out.len() - done >= 4 {
                (AccessSize::Dword, 4)
            } else {
                (AccessSize::Byte, 1)
            };
            let Some(value) = self.board.peek(GuestAddress(at), size, retired) else {
                break;
            };
            out[done..done + n].copy_from_slice(&value.to_le_bytes()[..n]);
            done += n;
        }
        done
    }

    fn peek_u64(&mut self, memory: &GuestMemory, linear: u64) -> Result<Option<u64>, MachineError> {
        let mut bytes = [0; 8];
        let n = self.peek(memory, Space::Linear, linear, &mut bytes)?;
        Ok((n == 8).then(|| u64::from_le_bytes(bytes)))
    }

    fn descriptors(
        &mut self,
        memory: &GuestMemory,
        table: Table,
        first: u32,
        count: u32,
    ) -> Answer {
        bounded("descriptors", count, MAX_DESCRIPTORS)?;
        let r = self.door()?.registers();
        let long = r.efer >> 10 & 1 != 0;
        let (base, limit) = match table {
            Table::Gdt => (r.gdtr.base, u32::from(r.gdtr.limit)),
            Table::Idt => (r.idtr.base, u32::from(r.idtr.limit)),
            Table::Ldt => (r.ldtr.base, r.ldtr.limit),
        };
        let step = if table == Table::Idt && long { 16 } else { 8 };
        let mut rows = Vec::new();
        let mut index = first;
        while rows.len() < count as usize {
            let Some(offset) = index
                .checked_mul(step)
                .filter(|o| o.checked_add(step - 1).is_some_and(|last| last <= limit))
            else {
                break;
            };
            let at = base.wrapping_add(u64::from(offset));
            let Some(low) = self.peek_u64(memory, at)? else {
                break;
            };
            let wide = long && (table == Table::Idt || is_wide(low));
            let high = if wide {
                self.peek_u64(memory, at.wrapping_add(8))?
            } else {
                None
            };
            rows.push(json!(view(index, low, high)));
            // A wide descriptor takes two places of the GDT.
            index = index.saturating_add(if wide && step == 8 { 2 } else { 1 });
        }
        Ok(json!({ "base": base, "limit": limit, "descriptors": rows }))
    }

    fn disassemble(
        &mut self,
        memory: &GuestMemory,
        address: Option<u64>,
        count: u32,
        bits: Option<u32>,
    ) -> Answer {
        let count = bounded("instructions", count, MAX_LINES)? as usize;
        let door = self.door()?;
        let bits = bits.unwrap_or_else(|| door.code_bits());
        if !matches!(bits, 16 | 32 | 64) {
            return Err(bad("Code has 16, 32 or 64 bits."));
        }
        let r = door.registers();
        let linear = address.unwrap_or(r.linear_rip);
        let base = r.linear_rip.wrapping_sub(r.rip);
        let mut bytes = vec![0; count * MAX_INSN_BYTES];
        let n = self.peek(memory, Space::Linear, linear, &mut bytes)?;
        let offset = linear.wrapping_sub(base);
        let offset = if bits == 64 {
            offset
        } else {
            offset & 0xFFFF_FFFF
        };
        let lines = disassemble(&bytes[..n], bits, linear, offset, count);
        if lines.is_empty() && count > 0 {
            return Err(unreadable(Space::Linear, linear));
        }
        Ok(json!({ "bits": bits, "lines": lines }))
    }

    fn write_memory(
        &mut self,
        memory: &GuestMemory,
        space: Space,
        address: u64,
        data: &[u8],
    ) -> Answer {
        // All or nothing: find every page first.
        let mut parts = Vec::new();
        let mut done = 0;
        while done < data.len() {
            let at = address.wrapping_add(done as u64);
            let n = usize::try_from(PAGE - at % PAGE)
                .unwrap_or(1)
                .min(data.len() - done);
            let physical = match space {
                Space::Physical => Some(at),
                Space::Linear => self.door()?.page_walk(at).physical,
            };
            let place = physical.and_then(|p| {
                let backing = memory.view(p / PAGE).writable()?;
                Some(backing * PAGE + p % PAGE)
            });
            let Some(place) = place else {
                return Err(bad(format!(
                    "There is no RAM at {at:#x}; a debugger does not write to ROMs and devices."
                )));
            };
            parts.push((place, done, n));
            done += n;
        }
        for (place, from, n) in parts {
            memory.load_state(place, &data[from..from + n])?;
        }
        Ok(json!({ "address": address, "length": data.len() }))
    }
}

fn no_door() -> MachineError {
    bad("The engine of this machine has no door for debuggers.")
}

/// What a backing page is, in the words of the protocol.
fn kind_of(memory: &GuestMemory, backing: u64) -> &'static str {
    match memory.region_of(backing) {
        Some((_, RegionKind::Rom)) => "rom",
        Some((_, RegionKind::Video)) => "video_memory",
        None => {
            let at = backing * PAGE;
            let ram = memory
                .ranges()
                .iter()
                .any(|r| (r.start..r.end).contains(&at));
            if ram { "ram" } else { "no_memory" }
        }
    }
}

fn unreadable(space: Space, address: u64) -> MachineError {
    let why = match space {
        Space::Linear => "it is not mapped, or leads to no memory",
        Space::Physical => "there is neither RAM nor a device",
    };
    MachineError::NotFound(format!("Nothing can be read at {address:#x}: {why}."))
}

fn inspect_error(e: &vmwb_x86::inspect::InspectError) -> MachineError {
    let mut sentence = e.to_string();
    if let Some(first) = sentence.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    sentence.push('.');
    bad(sentence)
}

impl Driver {
    /// Carries out one request and gives its answer as JSON.
    pub(super) fn debug(&mut self, request: DebugRequest) -> Result<String, MachineError> {
        if request.changes_guest() {
            decide(self.parts.mailbox.power(), PowerCommand::Step)
                .map_err(MachineError::WrongState)?;
        }
        let answer = match request {
            DebugRequest::TraceStart { classes, limit } => self.trace_start(&classes, limit),
            DebugRequest::TraceStop => self.trace_stop(),
            DebugRequest::TraceRead { from, limit } => self.trace_read(from, limit),
            DebugRequest::Status => self.debug_status(),
            DebugRequest::Step { count } => self.step(count),
            other => self.look(other),
        };
        answer.map(|value| value.to_string())
    }

    /// Requests that need a processor and let it stand where it is.
    fn look(&mut self, request: DebugRequest) -> Answer {
        let memory = std::sync::Arc::clone(&self.parts.memory);
        let Some(p) = &mut self.powered else {
            return Err(MachineError::WrongState(
                "The machine is off; start it first.",
            ));
        };
        match request {
            DebugRequest::Processor { number } => {
                let count = p.vcpu.count();
                if !p.vcpu.set_focus(number as usize) {
                    return Err(bad(format!(
                        "There is no processor {number}; this machine has {count}, counted from 0."
                    )));
                }
                Ok(json!({ "processor": number, "processors": count }))
            }
            DebugRequest::Registers => {
                p.board.set_current(p.vcpu.focus());
                let r = p.door()?.registers();
                let mut value = json!(r);
                value["cr8"] = vmwb_x86::CpuBus::cr8(&p.board).into();
                Ok(value)
            }
            DebugRequest::SetRegister { name, value } => {
                let value = number(&value)?;
                p.door()?
                    .set_register(&name, value)
                    .map_err(|e| inspect_error(&e))?;
                Ok(json!({ "name": name }))
            }
            DebugRequest::ReadMemory {
                space,
                address,
                length,
            } => {
                let length = bounded("bytes", length, MAX_MEMORY_BYTES)?;
                let mut bytes = vec![0; length as usize];
                let n = p.peek(&memory, space, address, &mut bytes)?;
                if n == 0 && length > 0 {
                    return Err(unreadable(space, address));
                }
                Ok(json!({ "address": address, "data": to_hex(&bytes[..n]) }))
            }
            DebugRequest::WriteMemory {
                space,
                address,
                data,
            } => p.write_memory(&memory, space, address, &from_hex(&data)?),
            DebugRequest::Walk { address } => {
                let walk = p.door()?.page_walk(address);
                let backing = walk.physical.and_then(|at| match memory.view(at / PAGE) {
                    PageView::Memory { read, .. } => Some(read),
                    PageView::Device => None,
                });
                let host = backing.and_then(|page| {
                    let at = walk.physical? % PAGE;
                    Some(memory.backing_ptr(page)? as u64 + at)
                });
                let retired = p.vcpu.retired();
                p.board.set_current(p.vcpu.focus());
                let device = walk
                    .physical
                    .filter(|_| host.is_none())
                    .and_then(|at| p.board.peek(GuestAddress(at), AccessSize::Byte, retired));
                let leads_to = match (walk.physical, backing, device) {
                    (None, ..) => "nothing",
                    (_, Some(page), _) => kind_of(&memory, page),
                    (_, None, Some(_)) => "device",
                    _ => "no_memory",
                };
                let mut value = json!(walk);
                value["leads_to"] = leads_to.into();
                value["host"] = json!(host);
                Ok(value)
            }
            DebugRequest::Disassemble {
                address,
                count,
                bits,
            } => p.disassemble(&memory, address, count, bits),
            DebugRequest::Descriptors {
                table,
                first,
                count,
            } => p.descriptors(&memory, table, first, count),
            DebugRequest::Breakpoints { add, remove, clear } => {
                let door = p.door()?;
                let mut list: Vec<u64> = if clear {
                    Vec::new()
                } else {
                    door.breakpoints().to_vec()
                };
                list.retain(|a| !remove.contains(a));
                list.extend(add);
                for door in p.vcpu.doors() {
                    door.set_breakpoints(&list).map_err(|e| inspect_error(&e))?;
                }
                Ok(json!({ "breakpoints": p.door()?.breakpoints() }))
            }
            DebugRequest::Watchpoints { add, remove, clear } => {
                let door = p.door()?;
                let mut list: Vec<Watchpoint> = if clear {
                    Vec::new()
                } else {
                    door.watchpoints().to_vec()
                };
                list.retain(|w| !remove.contains(w));
                for w in add {
                    if !list.contains(&w) {
                        list.push(w);
                    }
                }
                for door in p.vcpu.doors() {
                    door.set_watchpoints(&list).map_err(|e| inspect_error(&e))?;
                }
                Ok(json!({ "watchpoints": p.door()?.watchpoints() }))
            }
            DebugRequest::Nmi => {
                let retired = p.vcpu.retired();
                if p.board.raise_nmi(retired) {
                    Ok(json!({}))
                } else {
                    Err(MachineError::WrongState(
                        "The guest has masked non-maskable interrupts (port 70h, bit 7): none was sent.",
                    ))
                }
            }
            DebugRequest::Status
            | DebugRequest::Step { .. }
            | DebugRequest::TraceStart { .. }
            | DebugRequest::TraceStop
            | DebugRequest::TraceRead { .. } => {
                unreachable!("`debug` takes these before it comes here")
            }
        }
    }

    fn debug_status(&mut self) -> Answer {
        let state = self.parts.mailbox.power();
        let mut value = json!({
            "state": state.name(),
            "stop": (state == PowerState::Paused).then_some(self.debug.stop).flatten(),
        });
        if let Some(p) = &mut self.powered {
            let retired = p.vcpu.retired();
            value["retired"] = retired.into();
            value["virtual_ns"] = p.board.clock().now(retired).0.into();
            value["address"] = p.vcpu.linear_rip().into();
            value["processor"] = p.vcpu.focus().into();
            value["processors"] = p.vcpu.count().into();
            if let Some(door) = p.vcpu.inspect() {
                let r = door.registers();
                value["rip"] = r.rip.into();
                value["mode"] = json!(r.mode);
                value["cpl"] = r.cpl.into();
                value["halted"] = r.halted.into();
            }
        }
        Ok(value)
    }

    // --- running -------------------------------------------------------------------------------------------------

    /// Single steps of a paused machine, which stays paused unless its guest ends.
    fn step(&mut self, count: u32) -> Answer {
        let count = bounded("steps", count, MAX_STEPS)?;
        let stepped = catch_unwind(AssertUnwindSafe(|| self.steps(count)));
        match stepped {
            Ok(answer) => answer,
            Err(panic) => {
                self.emulator_failed(panic.as_ref());
                self.debug_status()
            }
        }
    }

    fn steps(&mut self, count: u32) -> Answer {
        let Some(p) = &mut self.powered else {
            return Err(MachineError::WrongState(
                "The machine is off; start it first.",
            ));
        };
        p.vcpu.set_alone(true);
        let door = p.door()?;
        door.pass_breakpoint();
        door.set_stepping(true);
        self.debug.stop = None;
        self.run_on();
        let begun = Instant::now();
        let end = begun + STEP_PATIENCE;
        let mut left = count;
        while left > 0 && begun.elapsed() < STEPS_PATIENCE {
            let before = self.powered.as_ref().map_or(0, |p| p.vcpu.retired());
            let exit = self.run_slice(1);
            match exit.and_then(|exit| self.settle_run(exit)) {
                // The guest's end has been told.
                None | Some(Exit::Stopped(_)) => break,
                Some(Exit::Halted) if !self.retired_since(before) => {
                    if !self.wait_in_step(end) {
                        break;
                    }
                    continue;
                }
                Some(Exit::Debug(DebugStop::Delivered)) => {}
                Some(Exit::Debug(stop)) => {
                    self.debug.stop = Some(stop);
                    break;
                }
                Some(Exit::Budget | Exit::Attention | Exit::Halted | Exit::Yielded) => {}
            }
            left -= 1;
        }
        if let Some(p) = &mut self.powered {
            p.vcpu.set_alone(false);
            p.door()?.set_stepping(false);
            self.stand_still();
        }
        self.debug_status()
    }

    fn retired_since(&self, before: u64) -> bool {
        self.powered
            .as_ref()
            .is_some_and(|p| p.vcpu.retired() != before)
    }

    /// The processor to be stepped waits in HLT: lets time run to the next deadline. Gives whether the step goes on; it does
    /// not when nothing will wake the processor before `end`, or somebody asks for something else.
    fn wait_in_step(&mut self, end: Instant) -> bool {
        let host_now = Instant::now();
        let Some(p) = &mut self.powered else {
            return false;
        };
        let retired = p.vcpu.retired();
        let now = p.board.clock().now(retired);
        let Some(deadline) = p.board.next_deadline().filter(|_| host_now < end) else {
            return false;
        };
        if self.parts.spec.deterministic {
            p.board.clock_mut().advance_to(deadline, retired);
            return true;
        }
        let wake = host_now + Duration::from_nanos(deadline.since(now));
        self.parts.mailbox.sleep(Some(wake.min(end)));
        wake <= end && Instant::now() >= wake
    }

    /// The processor came to a breakpoint or watchpoint while the machine ran.
    pub(super) fn stopped_by_debugger(&mut self, stop: DebugStop) {
        self.debug.stop = Some(stop);
        let at = self.powered.as_ref();
        let (rip, processor) = at.map_or((0, 0), |p| (p.vcpu.linear_rip(), p.vcpu.focus()));
        self.stand_still();
        self.update_display(Instant::now());
        let event = Event::DebugStop {
            stop,
            rip,
            processor,
        };
        self.parts.mailbox.arrive_because(event, PowerState::Paused);
    }

    /// A paused machine is about to run on: past the breakpoint that it may stand at.
    pub(super) fn leave_breakpoint(&mut self) {
        self.debug.stop = None;
        if let Some(door) = self.powered.as_mut().and_then(|p| p.vcpu.inspect()) {
            door.pass_breakpoint();
        }
    }

    // --- traces --------------------------------------------------------------------------------------------------

    /// A new processor is there: a recording that was asked for before begins with its first instruction.
    pub(super) fn begin_recording(&mut self) {
        if let Some((classes, capacity)) = self.debug.armed.take()
            && let Some(door) = self.powered.as_mut().and_then(|p| p.vcpu.recorder_door())
        {
            door.start_recording(classes, capacity);
        }
    }

    /// The processor is about to go: what it recorded stays.
    pub(super) fn keep_recording(&mut self) {
        if let Some(door) = self.powered.as_mut().and_then(|p| p.vcpu.recorder_door()) {
            self.debug.finished = door.take_recorder();
        }
    }

    fn trace_start(&mut self, classes: &[String], limit: u32) -> Answer {
        let most = u32::try_from(MAX_CAPACITY).unwrap_or(u32::MAX);
        let limit = bounded("events are kept", limit, most)?;
        if limit == 0 {
            return Err(bad("A trace keeps at least one event."));
        }
        let set = Classes::parse(classes.iter().map(String::as_str)).map_err(|name| {
            bad(format!(
                "There are no trace events '{name}'; there are: {}, default, all.",
                Classes::all_names().join(", ")
            ))
        })?;
        self.debug.finished = Recorder::new();
        match self.powered.as_mut() {
            Some(p) => p.recorder_door()?.start_recording(set, limit as usize),
            None => self.debug.armed = Some((set, limit as usize)),
        }
        Ok(json!({ "classes": set.names(), "limit": limit }))
    }

    fn trace_stop(&mut self) -> Answer {
        self.debug.armed = None;
        if let Some(p) = &mut self.powered {
            p.recorder_door()?.stop_recording();
        }
        self.trace_read(u64::MAX, 0)
    }

    fn trace_read(&mut self, from: u64, limit: u32) -> Answer {
        let recorder = match self.powered.as_mut() {
            Some(p) => p.recorder_door()?.recorder(),
            None => &self.debug.finished,
        };
        let mut lines = String::new();
        let mut next = from.clamp(recorder.first_seq(), recorder.next_seq());
        for traced in recorder.since(from).take(limit as usize) {
            let line =
                serde_json::to_string(traced).expect("an event has only strings and numbers");
            if !lines.is_empty() && lines.len() + line.len() >= MAX_TRACE_BYTES {
                break;
            }
            lines.push_str(&line);
            lines.push('\n');
            next = traced.seq + 1;
        }
        Ok(json!({
            "classes": recorder.classes().names(),
            "first": recorder.first_seq(),
            "end": recorder.next_seq(),
            "next": next,
            "lines": lines,
        }))
    }
}
