//! From bytes to traces: decodes a straight run of one page and lowers each instruction to an operation.

use crate::cpu::{Cpu, seg, slot};
use crate::decode::{CodeSize, DecodeError, Insn, decode_with};
use crate::exec::interp::{check_tail, left_trace, through};
use crate::exec::operations::{am, kind};
use crate::exec::select::{NO_CONDITION, PAIRS, SELECT};
use crate::isa::{Class, FORMS, Form, Width};
use crate::trace::{MAX_TRACE, Op, Trace, granules, mode, opflag};

/// What building a trace gave.
pub(crate) enum Built {
    /// A trace, in the cache.
    Trace(*mut Trace),
    /// The first instruction does not end within the bytes that there are.
    Truncated,
    /// The first instruction is not one: #UD.
    Invalid,
    /// It is longer than 15 bytes: #GP.
    TooLong,
}

pub(crate) fn code_size(m: u32) -> CodeSize {
    match m & mode::SIZE {
        mode::BITS64 => CodeSize::Bits64,
        mode::BITS32 => CodeSize::Bits32,
        _ => CodeSize::Bits16,
    }
}

const ZERO: u8 = (slot::ZERO * 8) as u8;

/// Byte offset of a general register; byte registers 4 to 7 without REX are AH to BH.
fn reg_offset(n: u8, bytes: u8, rex: bool) -> u8 {
    if bytes == 1 && !rex && (4..8).contains(&n) {
        (n - 4) * 8 + 1
    } else {
        n * 8
    }
}

fn width_bytes(w: Width, opsize: u8) -> u8 {
    match w {
        Width::B => 1,
        Width::W => 2,
        Width::D => 4,
        Width::Q => 8,
        Width::Y => opsize.max(4),
        Width::Z => opsize.min(4),
        _ => opsize,
    }
}

/// Size that the form's semantics works on.
fn form_size(f: &Form, i: &Insn) -> u8 {
    use Class::{A, Acc, I, Is, J, None, S, Sreg0, Sreg1, Sreg2, Sreg3, Sreg4, Sreg5};
    let [first, second, _] = &f.operands;
    if f.operands.iter().any(|o| o.width == Width::Y) {
        // CRC32 has a source that may be narrower than its destination.
        let narrow = second.width == Width::V;
        return i.opsize.max(if narrow { 2 } else { 4 });
    }
    match (first.class, first.width) {
        // OUT: the accumulator says how wide.
        (I | Class::Dx, _) if second.class == Acc => width_bytes(second.width, i.opsize),
        // Immediates that are pushed have the operand size; INT n and the like do not care.
        (None | J | A | I | Is | S | Sreg0 | Sreg1 | Sreg2 | Sreg3 | Sreg4 | Sreg5, _) => i.opsize,
        (_, Width::None | Width::P | Width::A | Width::T | Width::Dq) => i.opsize,
        (_, width) => width_bytes(width, i.opsize),
    }
}

/// What `refine` needs to know of a lowered instruction.
#[derive(Debug, Clone, Copy)]
struct Note {
    form: u16,
    /// As in [`am`].
    addressing: u8,
    /// Has a memory operand that it accesses.
    accesses: bool,
    size_log: u8,
    /// A shift or rotate by a count that may be zero changes no flags then.
    may_keep_flags: bool,
}

/// Lowers one instruction at `offset` of its page.
fn lower(i: &Insn, offset: u16, m: u32) -> (Op, Note) {
    let f = i.form();
    let select = &SELECT[usize::from(i.form)];
    let size = form_size(f, i);
    let mut op = Op {
        run: through,
        disp: 0,
        imm: i.imm as i32,
        dst: ZERO,
        src: ZERO,
        base: ZERO,
        index: ZERO,
        flags: size.trailing_zeros() as u16
            | (i.addrsize.trailing_zeros() as u16) << opflag::ASIZE_SHIFT
            | (i.rep as u16) << opflag::REP_SHIFT
            | (i.seg as u16) << opflag::SEG_SHIFT,
        offset,
        scale: 0,
        len: i.len,
        rest: 0,
        extra: i.imm2,
    };
    let mut registers = 0;
    for o in &f.operands {
        let bytes = width_bytes(o.width, i.opsize);
        let place = match o.class {
            Class::G => Some(reg_offset(i.reg, bytes, i.rex)),
            Class::E | Class::R if i.mem.is_none() || o.class == Class::R => {
                Some(reg_offset(i.rm, bytes, i.rex))
            }
            Class::Z => Some(reg_offset(i.rm, bytes, i.rex)),
            Class::B => Some(i.vvvv * 8),
            Class::Acc => Some(0),
            Class::Cl => {
                op.extra = 1;
                Some((crate::cpu::RCX * 8) as u8)
            }
            Class::Dx => {
                op.extra = 1;
                None
            }
            Class::S | Class::C | Class::D => Some(i.reg),
            Class::P => Some(i.reg & 7),
            Class::V => Some(i.reg),
            Class::Q | Class::N if i.mem.is_none() => Some(i.rm & 7),
            Class::W | Class::U if i.mem.is_none() => Some(i.rm),
            Class::Sti => Some(i.rm & 7),
            Class::St0 => Some(0),
            Class::Sreg0 => Some(seg::ES as u8),
            Class::Sreg1 => Some(seg::CS as u8),
            Class::Sreg2 => Some(seg::SS as u8),
            Class::Sreg3 => Some(seg::DS as u8),
            Class::Sreg4 => Some(seg::FS as u8),
            Class::Sreg5 => Some(seg::GS as u8),
            // A memory operand keeps its position, so that the register stays the other one.
            Class::E | Class::M | Class::O | Class::Q | Class::W => None,
            _ => continue,
        };
        if o.class == Class::Cl && registers > 1 {
            continue;
        }
        match (registers, place) {
            (0, Some(p)) => op.dst = p,
            (1, Some(p)) => op.src = p,
            (2, Some(p)) => op.extra = p,
            _ => {}
        }
        registers += 1;
    }
    match f.operands[0].class {
        Class::A => op.disp = i.imm,
        Class::Z | Class::Acc if f.mnemonic == "mov" && f.operands[1].width == Width::V => {
            op.disp = i.imm
        }
        _ => {}
    }
    let bits64 = m & mode::SIZE == mode::BITS64;
    let flat = bits64 || m & mode::FLAT != 0;
    let stack_am = if bits64 {
        am::A64
    } else if m & (mode::FLAT | mode::STACK32) == mode::FLAT | mode::STACK32 {
        am::A32
    } else {
        am::GENERAL
    };
    let mut addressing = if select.stack { stack_am } else { am::A64 };
    if let Some(mem) = &i.mem {
        op.flags |= opflag::MEM;
        op.disp = mem.disp as u64;
        op.base = mem.base.map_or(ZERO, |n| n * 8);
        op.index = mem.index.map_or(ZERO, |n| n * 8);
        op.scale = mem.scale;
        if mem.rip {
            // Counts from the linear page, so that the trace does not depend on it.
            op.base = (slot::PAGE * 8) as u8;
            op.disp = op.disp.wrapping_add(u64::from(offset) + u64::from(i.len));
        }
        let lea = f.mnemonic == "lea";
        // CS is no data segment: outside 64-bit mode nothing may be written through it, and perhaps nothing read.
        let flat_segment = flat && i.seg < seg::FS as u8 && (bits64 || i.seg != seg::CS as u8);
        let mem_am = if lea {
            match i.addrsize {
                8 => am::A64,
                4 => am::A32,
                _ => am::GENERAL,
            }
        } else if bits64 && i.seg >= seg::FS as u8 {
            if i.addrsize == 8 && mem.index.is_none() {
                // The segment base takes the place of the index.
                op.index = ((if i.seg == seg::FS as u8 {
                    slot::FS_BASE
                } else {
                    slot::GS_BASE
                }) * 8) as u8;
                am::A64
            } else {
                am::GENERAL
            }
        } else if flat_segment && i.addrsize == 8 {
            am::A64
        } else if flat_segment && i.addrsize == 4 {
            am::A32
        } else {
            am::GENERAL
        };
        if select.is_helper {
            // Helpers add the base themselves.
            if op.index == (slot::FS_BASE * 8) as u8 || op.index == (slot::GS_BASE * 8) as u8 {
                op.index = ZERO;
            }
        }
        addressing = if select.stack && stack_am != mem_am {
            am::GENERAL
        } else {
            mem_am
        };
        if addressing == am::GENERAL && mem.index.is_none() {
            op.index = ZERO;
        }
        if op.index == ZERO {
            addressing = match addressing {
                am::A64 => am::BASE64,
                am::A32 => am::BASE32,
                other => other,
            };
        }
    }
    let table = if i.mem.is_some() {
        &select.mem
    } else {
        &select.reg
    };
    let size_log = size.trailing_zeros() as u8;
    op.run = table[usize::from(addressing)][usize::from(size_log)];
    // A near call that leads behind the limit takes its push back.
    if f.operands[0].class == Class::J && select.stack {
        op.extra = 1;
    }
    let is_shift = matches!(f.mnemonic, "rol" | "ror" | "shl" | "sal" | "shr" | "sar");
    let note = Note {
        form: i.form,
        addressing,
        accesses: i.mem.is_some() && f.mnemonic != "lea",
        size_log,
        may_keep_flags: is_shift
            && (f.operands[1].class == Class::Cl || i.imm & if size == 8 { 63 } else { 31 } == 0),
    };
    (op, note)
}

/// Lowers the instruction that the bytes begin with.
#[cfg(test)]
pub(crate) fn lower_one(bytes: &[u8], m: u32) -> Op {
    lower(&crate::decode::decode(bytes, code_size(m)).unwrap(), 0, m).0
}

/// Operand kind of a form with two operands, as the handlers of pairs are sorted.
fn operand_kind(f: &Form, in_memory: bool) -> u8 {
    let [first, second, _] = &f.operands;
    match (first.class, second.class) {
        (_, Class::I | Class::Is) if in_memory => kind::MI,
        (_, Class::I | Class::Is) => kind::RI,
        (Class::G, _) if in_memory => kind::RM,
        _ if in_memory => kind::MR,
        _ => kind::RR,
    }
}

/// Replaces handlers by better ones, now that it is known what follows what: a compare and the branch behind it share
/// one, and flags that are overwritten before anybody can see them are not computed. Flags can be seen wherever the trace
/// can be left: at branches, at whatever accesses memory, at helpers.
fn refine(ops: &mut [Op], notes: &[Note]) {
    const FLAGS: u32 = crate::cpu::flag::ARITH as u32;
    let mut live = FLAGS;
    let mut condition = NO_CONDITION;
    for (op, note) in ops.iter_mut().zip(notes).rev() {
        let select = &SELECT[usize::from(note.form)];
        let f = &FORMS[usize::from(note.form)];
        let size_log = usize::from(note.size_log);
        let sets = (f.writes | f.undefined) & FLAGS;
        if condition != NO_CONDITION
            && let Some(row) = select.leads.checked_sub(1)
        {
            let pair = &PAIRS[usize::from(row)][usize::from(condition)];
            let operands = operand_kind(f, note.accesses);
            if let Some(both) = pair.handler(operands, note.addressing, size_log) {
                op.run = both;
            }
        } else if sets & live == 0
            && let Some(quiet) = &select.quiet
        {
            op.run = quiet[usize::from(note.accesses)][usize::from(note.addressing)][size_log];
        }
        let leaves = note.accesses
            || select.is_helper
            || select.stack
            || f.ends
            || select.condition != NO_CONDITION;
        live = match (leaves, note.may_keep_flags) {
            (true, _) => FLAGS,
            (false, true) => live,
            (false, false) => live & !sets | f.reads & FLAGS,
        };
        condition = select.condition;
    }
}

impl Cpu {
    /// Decodes a trace at a physical address. `window` holds the bytes from there to the page end, `tail` those of the
    /// next page when they were needed.
    pub(crate) fn build_trace(
        &mut self,
        phys: u64,
        window: &[u8],
        tail: Option<&[u8]>,
        m: u32,
    ) -> Built {
        let size = code_size(m);
        let first_offset = phys & 0xFFF;
        let mut ops: [std::mem::MaybeUninit<Op>; MAX_TRACE + 2] =
            [const { std::mem::MaybeUninit::uninit() }; MAX_TRACE + 2];
        let mut notes = [const { std::mem::MaybeUninit::uninit() }; MAX_TRACE];
        let mut count = 0usize;
        let mut at = 0usize;
        let mut tail_bytes: &[u8] = &[];
        let most = if m & mode::ALONE != 0 { 1 } else { MAX_TRACE };
        let mut ended = false;
        while count < most && at < window.len() {
            let joined;
            let bytes = match tail {
                Some(t) if count == 0 => {
                    joined = [&window[at..], t].concat();
                    &joined[..]
                }
                _ => &window[at..],
            };
            let insn = match decode_with(bytes, size, |form| self.form_ok[usize::from(form)]) {
                Ok(i) if self.form_ok[usize::from(i.form)] => i,
                Ok(_) | Err(DecodeError::Invalid) => {
                    if count == 0 {
                        return Built::Invalid;
                    }
                    break;
                }
                Err(DecodeError::TooLong) => {
                    if count == 0 {
                        return Built::TooLong;
                    }
                    break;
                }
                Err(DecodeError::Truncated) => {
                    if count == 0 {
                        return Built::Truncated;
                    }
                    break;
                }
            };
            let offset = (first_offset as usize + at) as u16;
            if count > 0 && self.points.breaks_at(u64::from(offset)) {
                break;
            }
            let (op, note) = lower(&insn, offset, m);
            ops[count].write(op);
            notes[count].write(note);
            count += 1;
            at += usize::from(insn.len);
            if at > window.len() {
                let in_next = at - window.len();
                tail_bytes = &tail.expect("only a joined window is longer")[..in_next];
                at = window.len();
                ended |= insn.form().ends;
                if !insn.form().ends {
                    // The operation behind goes to the byte after the instruction, in the next page.
                    let next = (offset as usize + usize::from(insn.len)) as u16;
                    ops[count].write(end_op(next));
                }
                break;
            }
            if insn.form().ends {
                ended = true;
                break;
            }
        }
        let mut total = count;
        if !ended {
            if tail_bytes.is_empty() {
                ops[count].write(end_op((first_offset as usize + at) as u16));
            }
            total += 1;
        }
        // SAFETY: the first `total` operations and `count` notes were written above.
        let (ops, notes) = unsafe {
            (
                std::slice::from_raw_parts_mut(ops.as_mut_ptr().cast::<Op>(), total),
                std::slice::from_raw_parts(notes.as_ptr().cast::<Note>(), count),
            )
        };
        refine(&mut ops[..count], notes);
        for (n, op) in ops[..count].iter_mut().enumerate() {
            op.rest = (count - n) as u8;
        }
        let mut checked = [ops[0]; 3];
        let ops = if tail_bytes.is_empty() || m & mode::ALONE != 0 {
            &*ops
        } else {
            // The one instruction, and what ends the trace if it does not.
            checked[0].run = check_tail;
            checked[1..=total].copy_from_slice(ops);
            &checked[..=total]
        };
        if !self.traces.has_room() {
            self.drop_traces();
        }
        self.counters.traces += 1;
        let covered = granules(first_offset, at as u64);
        let t = self
            .traces
            .insert(Trace::new(phys, m, covered, tail_bytes), ops);
        self.revoke_writes(phys >> 12);
        Built::Trace(t)
    }

    /// Throws all traces away, and what points to them.
    pub(crate) fn drop_traces(&mut self) {
        self.traces.clear();
        self.spaces.clear_jumps();
        self.took_long();
        self.link_from = std::ptr::null_mut();
    }

    /// Forgets the trace of one address; its first operation leaves from now on.
    pub(crate) fn drop_trace_at(&mut self, phys: u64) {
        self.counters.invalidated += self.traces.invalidate(phys, 1, left_trace);
    }
}

fn end_op(offset: u16) -> Op {
    Op {
        run: through,
        disp: 0,
        imm: 0,
        dst: ZERO,
        src: ZERO,
        base: ZERO,
        index: ZERO,
        flags: 0,
        offset,
        scale: 0,
        len: 0,
        rest: 0,
        extra: 0,
    }
}
