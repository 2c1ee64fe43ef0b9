//! A trial of the operations trait: the same semantics that the interpreter executes, translated into host code.
//!
//! Twenty forms in one pass, without register allocation, to see that [`Ops`] is cut so that a translator can implement
//! it, and what that would give (ADR 0004). Tests only; x86-64 hosts only. It is not the translator.
//!
//! Guest registers and lazy flags stay in [`Cpu`], whose address is in RDI; values live in host registers that are handed
//! out in turn and are all free again at the next instruction. Code that cannot go on (a TLB miss) returns 1.

use std::mem::offset_of;

use super::ops::{Branch, Cond, Ops, Shift, Straight};
use super::sem;
use crate::cpu::{Cpu, size_mask, slot};
use crate::tlb::{TLB_ENTRIES, TlbEntry};
use crate::trace::Op;

/// RAX RCX RDX RSI R8 to R15: RDI has the processor, RBX RBP RSP are left alone.
const POOL: [u8; 12] = [0, 1, 2, 6, 8, 9, 10, 11, 12, 13, 14, 15];

/// Host instructions on two registers: `op r/m64, r64`.
mod alu {
    pub const ADD: u8 = 0x01;
    pub const OR: u8 = 0x09;
    pub const AND: u8 = 0x21;
    pub const SUB: u8 = 0x29;
    pub const XOR: u8 = 0x31;
    pub const MOV: u8 = 0x89;
}

/// Where the operands of a form are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    RegReg,
    RegImm,
    RegMem,
    MemReg,
    Reg,
}

/// Code of a run of instructions, as it grows.
#[derive(Debug)]
struct Emit {
    code: Vec<u8>,
    used: usize,
    kind: Kind,
    size: u8,
    op: Op,
    /// Host address of a memory destination between `modify_dst` and `write_back`.
    at: V,
    /// Where jumps to the early end have their displacement.
    misses: Vec<usize>,
}

/// A host register that holds a value, zero-extended from the operand size.
type V = u8;

impl Emit {
    fn fresh(&mut self) -> V {
        self.used += 1;
        POOL[self.used - 1]
    }

    fn rex(&mut self, wide: bool, reg: u8, rm: u8) {
        self.code
            .push(0x40 | u8::from(wide) << 3 | (reg >> 3) << 2 | rm >> 3);
    }

    fn rr(&mut self, op: u8, dst: V, src: V) {
        self.rex(true, src, dst);
        self.code.extend([op, 0xC0 | (src & 7) << 3 | dst & 7]);
    }

    /// `op reg, [base + disp]`, or the other way round, as the opcode says.
    fn rm(&mut self, opcode: &[u8], wide: bool, reg: u8, base: u8, disp: i32) {
        self.rex(wide, reg, base);
        self.code.extend(opcode);
        self.code.push(0x80 | (reg & 7) << 3 | base & 7);
        if base & 7 == 4 {
            self.code.push(0x24);
        }
        self.code.extend(disp.to_le_bytes());
    }

    fn load(&mut self, base: u8, disp: i32, size: u8) -> V {
        let v = self.fresh();
        match size {
            1 => self.rm(&[0x0F, 0xB6], false, v, base, disp),
            2 => self.rm(&[0x0F, 0xB7], false, v, base, disp),
            4 => self.rm(&[0x8B], false, v, base, disp),
            _ => self.rm(&[0x8B], true, v, base, disp),
        }
        v
    }

    fn store(&mut self, base: u8, disp: i32, size: u8, v: V) {
        match size {
            1 => self.rm(&[0x88], false, v, base, disp),
            2 => {
                self.code.push(0x66);
                self.rm(&[0x89], false, v, base, disp);
            }
            4 => self.rm(&[0x89], false, v, base, disp),
            _ => self.rm(&[0x89], true, v, base, disp),
        }
    }

    fn copy(&mut self, x: V) -> V {
        let v = self.fresh();
        self.rr(alu::MOV, v, x);
        v
    }

    fn two(&mut self, op: u8, x: V, y: V) -> V {
        let v = self.copy(x);
        self.rr(op, v, y);
        v
    }

    /// Shifts in place: 4 left, 5 right, 7 right with sign.
    fn shift_by(&mut self, digit: u8, v: V, n: u8) {
        self.rex(true, 0, v);
        self.code.extend([0xC1, 0xC0 | digit << 3 | v & 7, n]);
    }

    fn number(&mut self, n: u64) -> V {
        let v = self.fresh();
        self.rex(true, 0, v);
        self.code.push(0xB8 | v & 7);
        self.code.extend(n.to_le_bytes());
        v
    }

    fn cut(&mut self, v: V) -> V {
        if self.size < 8 {
            let n = 64 - 8 * self.size;
            self.shift_by(4, v, n);
            self.shift_by(5, v, n);
        }
        v
    }

    fn guest(&mut self, offset: u8, size: u8) -> V {
        self.load(7, i32::from(offset), size)
    }

    fn set_guest(&mut self, offset: u8, v: V) {
        let size = if self.size == 4 { 8 } else { self.size };
        self.store(7, i32::from(offset), size, v);
    }

    fn field(&mut self, offset: usize) -> V {
        self.load(7, offset as i32, 8)
    }

    fn set_field(&mut self, offset: usize, v: V) {
        self.store(7, offset as i32, 8, v);
    }

    /// Frees all registers but one, which takes the place of the first freed.
    fn keep(&mut self, mark: usize, v: V) -> V {
        self.used = mark;
        let kept = self.fresh();
        if kept != v {
            self.rr(alu::MOV, kept, v);
        }
        kept
    }

    /// The host address of the memory operand; leaves unless the TLB has the page.
    fn host_address(&mut self, write: bool) -> V {
        let mark = self.used;
        let at = self.effective_address();
        let entry = self.copy(at);
        self.shift_by(5, entry, 12);
        let mask = self.number(TLB_ENTRIES as u64 - 1);
        self.rr(alu::AND, entry, mask);
        self.shift_by(4, entry, size_of::<TlbEntry>().ilog2() as u8);
        let table = self.field(offset_of!(Cpu, tlb));
        self.rr(alu::ADD, entry, table);
        let page = self.copy(at);
        let last = self.number(u64::from(self.size) - 1);
        self.rr(alu::ADD, page, last);
        self.shift_by(5, page, 12);
        self.shift_by(4, page, 12);
        let tag = if write {
            offset_of!(TlbEntry, write)
        } else {
            offset_of!(TlbEntry, read)
        };
        self.rm(&[0x3B], true, page, entry, tag as i32); // cmp page, tag
        self.code.extend([0x0F, 0x85, 0, 0, 0, 0]); // jne
        self.misses.push(self.code.len() - 4);
        let addend = self.load(entry, offset_of!(TlbEntry, addend) as i32, 8);
        self.rr(alu::ADD, at, addend);
        self.keep(mark, at)
    }

    /// One bit as a value of 0 or 1.
    fn bit_of(&mut self, v: V, bit: u8) -> V {
        let v = self.copy(v);
        self.shift_by(5, v, bit);
        let one = self.number(1);
        self.rr(alu::AND, v, one);
        v
    }

    fn set_lazy(&mut self, r: V, carries: Option<V>) {
        let mark = self.used;
        let n = 64 - 8 * self.size;
        let result = self.copy(r);
        if n > 0 {
            self.shift_by(4, result, n);
            self.shift_by(7, result, n);
        }
        self.set_field(offset_of!(Cpu, cc_res), result);
        let aux = match carries {
            None => self.number(0),
            Some(carries) => {
                let top = self.copy(carries);
                if n > 0 {
                    self.shift_by(4, top, n);
                }
                let mask = self.number(3 << 62);
                self.rr(alu::AND, top, mask);
                let eight = self.number(8);
                self.rr(alu::AND, eight, carries);
                self.rr(alu::OR, top, eight);
                top
            }
        };
        self.set_field(offset_of!(Cpu, cc_aux), aux);
        self.used = mark;
    }
}

impl Ops for Emit {
    type V = V;
    type B = V;
    type Stop = ();
    type Flow = V;

    fn constant(&mut self, v: u64) -> V {
        self.number(v)
    }
    fn imm(&mut self) -> V {
        self.number(self.op.imm64() & size_mask(self.size))
    }
    fn imm64(&mut self) -> V {
        self.number(self.op.disp & size_mask(self.size))
    }
    fn effective_address(&mut self) -> V {
        let a = self.guest(self.op.base, 8);
        let i = self.guest(self.op.index, 8);
        self.shift_by(4, i, self.op.scale);
        self.rr(alu::ADD, a, i);
        let d = self.number(self.op.disp);
        self.rr(alu::ADD, a, d);
        a
    }

    fn read_dst(&mut self) -> Result<V, ()> {
        self.modify_dst()
    }
    fn modify_dst(&mut self) -> Result<V, ()> {
        if self.kind == Kind::MemReg {
            let at = self.host_address(true);
            self.at = at;
            return Ok(self.load(at, 0, self.size));
        }
        Ok(self.guest(self.op.dst, self.size))
    }
    fn write_back(&mut self, v: V) {
        if self.kind == Kind::MemReg {
            self.store(self.at, 0, self.size, v);
        } else {
            self.set_guest(self.op.dst, v);
        }
    }
    fn write_dst(&mut self, v: V) -> Result<(), ()> {
        if self.kind == Kind::MemReg {
            let at = self.host_address(true);
            self.store(at, 0, self.size, v);
        } else {
            self.set_guest(self.op.dst, v);
        }
        Ok(())
    }
    fn read_src(&mut self) -> Result<V, ()> {
        match self.kind {
            Kind::RegImm => Ok(self.imm()),
            Kind::RegMem => {
                let at = self.host_address(false);
                Ok(self.load(at, 0, self.size))
            }
            _ => Ok(self.guest(self.op.src, self.size)),
        }
    }
    fn read_src_sized<const BYTES: u8>(&mut self) -> Result<V, ()> {
        Ok(self.guest(self.op.src, BYTES))
    }
    fn write_src_reg(&mut self, v: V) {
        self.set_guest(self.op.src, v);
    }

    fn add(&mut self, x: V, y: V) -> V {
        let v = self.two(alu::ADD, x, y);
        self.cut(v)
    }
    fn sub(&mut self, x: V, y: V) -> V {
        let v = self.two(alu::SUB, x, y);
        self.cut(v)
    }
    fn and(&mut self, x: V, y: V) -> V {
        self.two(alu::AND, x, y)
    }
    fn or(&mut self, x: V, y: V) -> V {
        self.two(alu::OR, x, y)
    }
    fn xor(&mut self, x: V, y: V) -> V {
        self.two(alu::XOR, x, y)
    }
    fn not(&mut self, x: V) -> V {
        let ones = self.number(size_mask(self.size));
        self.rr(alu::XOR, ones, x);
        ones
    }
    fn sign_extend<const BYTES: u8>(&mut self, x: V) -> V {
        let v = self.copy(x);
        self.shift_by(4, v, 64 - 8 * BYTES);
        self.shift_by(7, v, 64 - 8 * BYTES);
        self.cut(v)
    }
    fn sign_extend_half(&mut self, _x: V) -> V {
        unreachable!("not among the forms of the trial")
    }
    fn sign_fill(&mut self, _x: V) -> V {
        unreachable!("not among the forms of the trial")
    }
    fn byte_swap(&mut self, _x: V) -> V {
        unreachable!("not among the forms of the trial")
    }
    fn carry(&mut self) -> V {
        let aux = self.field(offset_of!(Cpu, cc_aux));
        self.shift_by(5, aux, 63);
        aux
    }
    fn multiply_signed(&mut self, _x: V, _y: V) -> V {
        unreachable!("not among the forms of the trial")
    }
    fn shift(&mut self, _kind: Shift, _x: V, _count: V) -> V {
        unreachable!("not among the forms of the trial")
    }

    fn flags_add(&mut self, x: V, y: V, r: V) {
        // (x & y) | ((x | y) & !r)
        let not_r = self.not(r);
        let either = self.two(alu::OR, x, y);
        self.rr(alu::AND, either, not_r);
        let both = self.two(alu::AND, x, y);
        self.rr(alu::OR, both, either);
        self.set_lazy(r, Some(both));
    }
    fn flags_sub(&mut self, x: V, y: V, r: V) {
        // (!x & y) | (!(x ^ y) & r)
        let not_x = self.not(x);
        self.rr(alu::AND, not_x, y);
        let same = self.two(alu::XOR, x, y);
        let same = self.not(same);
        self.rr(alu::AND, same, r);
        self.rr(alu::OR, not_x, same);
        self.set_lazy(r, Some(not_x));
    }
    fn flags_logic(&mut self, r: V) {
        self.set_lazy(r, None);
    }
    fn flags_inc(&mut self, _x: V, _r: V) {
        unreachable!("not among the forms of the trial")
    }
    fn flags_dec(&mut self, _x: V, _r: V) {
        unreachable!("not among the forms of the trial")
    }

    fn cond(&mut self, c: Cond) -> V {
        let (res, aux) = (
            self.field(offset_of!(Cpu, cc_res)),
            self.field(offset_of!(Cpu, cc_aux)),
        );
        match c {
            Cond::B => self.bit_of(aux, 63),
            Cond::Z | Cond::Nz => {
                let v = self.number(0);
                self.rr(0x39, res, v); // cmp
                let set = if c == Cond::Z { 0x94 } else { 0x95 };
                self.rex(false, 0, v);
                self.code.extend([0x0F, set, 0xC0 | v & 7]);
                v
            }
            Cond::L => {
                // SF (bit 63 of the result, corrected by bit 16) against OF (bit 63 against bit 62).
                let sign = self.bit_of(res, 63);
                let fix = self.bit_of(aux, 16);
                self.rr(alu::XOR, sign, fix);
                let of = self.copy(aux);
                self.shift_by(4, of, 1);
                self.rr(alu::XOR, of, aux);
                self.shift_by(5, of, 63);
                self.rr(alu::XOR, sign, of);
                sign
            }
            _ => unreachable!("not among the forms of the trial"),
        }
    }
    fn choose(&mut self, c: V, x: V, y: V) -> V {
        let v = self.copy(y);
        self.rr(0x85, c, c); // test
        self.rex(true, v, x);
        self.code.extend([0x0F, 0x45, 0xC0 | (v & 7) << 3 | x & 7]); // cmovne
        v
    }
    fn as_value(&mut self, c: V) -> V {
        c
    }

    fn reg(&mut self, n: usize) -> V {
        self.guest(u8::try_from(8 * n).unwrap(), self.size)
    }
    fn set_reg(&mut self, n: usize, v: V) {
        self.set_guest(u8::try_from(8 * n).unwrap(), v);
    }

    fn push(&mut self, _v: V) -> Result<(), ()> {
        unreachable!("not among the forms of the trial")
    }
    fn peek_stack(&mut self) -> Result<V, ()> {
        unreachable!("not among the forms of the trial")
    }
    fn drop_stack(&mut self) {
        unreachable!("not among the forms of the trial")
    }
    fn drop_stack_imm(&mut self) {
        unreachable!("not among the forms of the trial")
    }
    fn leave(&mut self) -> Result<V, ()> {
        unreachable!("not among the forms of the trial")
    }

    fn next_rip(&mut self) -> V {
        self.field(8 * slot::PAGE)
    }
    fn jump(&mut self) -> V {
        self.number(1)
    }
    fn jump_if(&mut self, c: V) -> V {
        c
    }
    fn jump_to(&mut self, target: V) -> Result<V, ()> {
        Ok(target)
    }
}

/// A form of the trial: its name, its bytes in 64-bit mode, and how its semantics is emitted.
struct Form {
    name: &'static str,
    bytes: &'static [u8],
    kind: Kind,
    apply: fn(&mut Emit) -> Option<V>,
}

fn straight<S: Straight>(e: &mut Emit) -> Option<V> {
    S::apply(e).expect("emitting does not fail");
    None
}

fn branch<S: Branch>(e: &mut Emit) -> Option<V> {
    Some(S::apply(e).expect("emitting does not fail"))
}

macro_rules! forms {
    ($($name:literal $bytes:expr, $kind:ident $how:ident $sem:ident;)*) => {
        [$(Form { name: $name, bytes: &$bytes, kind: Kind::$kind, apply: $how::<sem::$sem> },)*]
    };
}

/// The data page is at RBP.
const FORMS: [Form; 20] = forms! {
    "add rax, rcx"         [0x48, 0x01, 0xC8], RegReg straight Add;
    "add edx, 5"           [0x83, 0xC2, 0x05], RegImm straight Add;
    "add eax, [rbp+8]"     [0x03, 0x45, 0x08], RegMem straight Add;
    "add [rbp+16], cx"     [0x66, 0x01, 0x4D, 0x10], MemReg straight Add;
    "adc rdx, rbx"         [0x48, 0x11, 0xDA], RegReg straight Adc;
    "sub ecx, esi"         [0x29, 0xF1], RegReg straight Sub;
    "sbb al, bl"           [0x18, 0xD8], RegReg straight Sbb;
    "cmp rsi, rdx"         [0x48, 0x39, 0xD6], RegReg straight Cmp;
    "and ebx, [rbp+32]"    [0x23, 0x5D, 0x20], RegMem straight And;
    "or r8, 0x55"          [0x49, 0x83, 0xC8, 0x55], RegImm straight Or;
    "xor r9d, r8d"         [0x45, 0x31, 0xC1], RegReg straight Xor;
    "test dx, dx"          [0x66, 0x85, 0xD2], RegReg straight Test;
    "neg r10"              [0x49, 0xF7, 0xDA], Reg straight Neg;
    "mov rdi, [rbp+64]"    [0x48, 0x8B, 0x7D, 0x40], RegMem straight Mov;
    "mov [rbp+72], eax"    [0x89, 0x45, 0x48], MemReg straight Mov;
    "lea r11, [rax+rcx*4]" [0x4C, 0x8D, 0x1C, 0x88], RegMem straight Lea;
    "movsx r12, cl"        [0x4C, 0x0F, 0xBE, 0xE1], RegReg straight Movsx8;
    "xchg r13, r14"        [0x4D, 0x87, 0xF5], RegReg straight Xchg;
    "cmovl r15, rax"       [0x4C, 0x0F, 0x4C, 0xF8], RegReg straight Cmovl;
    "jz +0"                [0x74, 0x00], Reg branch Jz;
};

/// Translates instructions one behind the other. What the last branch among them decided is returned, times two.
fn translate(forms: &[&Form]) -> Vec<u8> {
    let mut e = Emit {
        // push r12 to r15
        code: vec![0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57],
        used: 0,
        kind: Kind::Reg,
        size: 0,
        op: crate::translate::lower_one(FORMS[0].bytes, crate::trace::mode::BITS64),
        at: 0,
        misses: Vec::new(),
    };
    let mut flow = None;
    for f in forms {
        e.op = crate::translate::lower_one(f.bytes, crate::trace::mode::BITS64);
        (e.used, e.kind, e.size) = (0, f.kind, e.op.size());
        flow = (f.apply)(&mut e);
    }
    // pop r15 to r12; ret
    const END: [u8; 9] = [0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0xC3];
    match flow {
        Some(v) => {
            e.rr(alu::MOV, 0, v);
            e.shift_by(4, 0, 1);
        }
        None => e.code.extend([0x31, 0xC0]), // xor eax, eax
    }
    e.code.extend(END);
    let miss = e.code.len();
    e.code.extend([0xB8, 1, 0, 0, 0]); // mov eax, 1
    e.code.extend(END);
    for at in e.misses {
        let distance = (miss - at - 4) as u32;
        e.code[at..at + 4].copy_from_slice(&distance.to_le_bytes());
    }
    e.code
}

mod tests {
    use std::sync::Arc;

    use vmwb_hw::{AccessSize, GuestAddress, GuestMemory};

    use super::*;
    use crate::cpu::RBP;
    use crate::{BootState, CpuBus, CpuConfig, Interpreter, Vcpu};

    const CODE: u64 = 0x10_0000;
    const DATA: u64 = 0x20_0000;
    const TABLES: u64 = 0x1000;

    /// The forms of the trial touch no device.
    #[derive(Debug)]
    struct NoDevices;

    impl CpuBus for NoDevices {
        fn pio_read(&mut self, _port: u16, _size: AccessSize, _retired: u64) -> u32 {
            unreachable!("no form of the trial does I/O")
        }
        fn pio_write(&mut self, _port: u16, _size: AccessSize, _value: u32, _retired: u64) {
            unreachable!("no form of the trial does I/O")
        }
        fn pio_read_run(&mut self, _port: u16, _size: AccessSize, _out: &mut [u8]) -> usize {
            unreachable!("no form of the trial does I/O")
        }
        fn pio_write_run(&mut self, _port: u16, _size: AccessSize, _data: &[u8]) -> usize {
            unreachable!("no form of the trial does I/O")
        }
        fn backdoor(&mut self, _registers: &mut [u32; 6], _retired: u64) -> bool {
            unreachable!("no form of the trial does I/O")
        }
        fn mmio_read(&mut self, addr: GuestAddress, _size: AccessSize, _retired: u64) -> u64 {
            unreachable!("{addr:?} is not RAM")
        }
        fn mmio_write(&mut self, addr: GuestAddress, _size: AccessSize, _v: u64, _retired: u64) {
            unreachable!("{addr:?} is not RAM")
        }
        fn interrupt_pending(&self) -> bool {
            false
        }
        fn acknowledge_interrupt(&mut self, _retired: u64) -> Option<u8> {
            None
        }
        fn take_nmi(&mut self) -> bool {
            false
        }
        fn tsc(&mut self, retired: u64) -> u64 {
            retired
        }
        fn random(&mut self, _retired: u64) -> u64 {
            0
        }
        fn set_ferr(&mut self, _active: bool, _retired: u64) -> bool {
            false
        }
        fn cr8(&self) -> u8 {
            0
        }
        fn set_cr8(&mut self, _value: u8, _retired: u64) {}
        fn apic_base(&self) -> u64 {
            0
        }
        fn set_apic_base(&mut self, _value: u64) -> bool {
            false
        }
        fn x2apic_read(&mut self, _msr: u32, _retired: u64) -> Option<u64> {
            None
        }
        fn x2apic_write(&mut self, _msr: u32, _value: u64, _retired: u64) -> bool {
            false
        }
        fn tsc_deadline(&mut self, _retired: u64) -> u64 {
            0
        }
        fn set_tsc_deadline(&mut self, _value: u64, _offset: u64, _retired: u64) {}
        fn attention(&self) -> bool {
            false
        }
    }

    /// Executable memory with one function in it.
    struct Function {
        page: *mut libc::c_void,
        bytes: usize,
    }

    impl Function {
        fn new(code: &[u8]) -> Self {
            let bytes = code.len().next_multiple_of(4096);
            // SAFETY: a new private mapping; the copy fits; it is made executable before anybody calls it.
            unsafe {
                let page = libc::mmap(
                    std::ptr::null_mut(),
                    bytes,
                    libc::PROT_READ | libc::PROT_WRITE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                    -1,
                    0,
                );
                assert_ne!(page, libc::MAP_FAILED);
                std::ptr::copy_nonoverlapping(code.as_ptr(), page.cast(), code.len());
                let done = libc::mprotect(page, bytes, libc::PROT_READ | libc::PROT_EXEC);
                assert_eq!(done, 0);
                Self { page, bytes }
            }
        }

        fn call(&self, cpu: &mut Cpu) -> u64 {
            // SAFETY: the page holds a function of this signature made by `translate`, which touches nothing but the
            // processor it is given and the RAM that its TLB names.
            unsafe {
                let f: extern "sysv64" fn(*mut Cpu) -> u64 = std::mem::transmute(self.page);
                f(cpu)
            }
        }
    }

    impl Drop for Function {
        fn drop(&mut self) {
            // SAFETY: mapped in `new`.
            unsafe { libc::munmap(self.page, self.bytes) };
        }
    }

    fn machine(code: &[u8]) -> (Arc<GuestMemory>, Interpreter) {
        let memory = Arc::new(GuestMemory::new(8 << 20).unwrap());
        let put = |at: u64, v: u64| memory.write(GuestAddress(at), &v.to_le_bytes()).unwrap();
        put(TABLES, (TABLES + 0x1000) | 7);
        put(TABLES + 0x1000, (TABLES + 0x2000) | 7);
        (0..4).for_each(|n| put(TABLES + 0x2000 + 8 * n, n << 21 | 0x87));
        memory.write(GuestAddress(CODE), code).unwrap();
        let mut cpu = Interpreter::new(Arc::clone(&memory), CpuConfig::default()).unwrap();
        cpu.set_boot_state(BootState::Long64 {
            rip: CODE,
            rsi: 0,
            rsp: 0,
            cr3: TABLES,
            gdt: (0, 0),
        });
        (memory, cpu)
    }

    /// Reproducible numbers of all widths (splitmix64).
    fn number(state: &mut u64) -> u64 {
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) >> (*state >> 56 & 0x3F)
    }

    fn scramble(memory: &GuestMemory, cpu: &mut Cpu, random: &mut u64) {
        (0..16).for_each(|n| cpu.r[n] = number(random));
        cpu.r[RBP] = DATA;
        cpu.set_flags(number(random) & 0x8D5);
        let page: Vec<u8> = (0..16).flat_map(|_| number(random).to_le_bytes()).collect();
        memory.write(GuestAddress(DATA), &page).unwrap();
    }

    fn data(memory: &GuestMemory) -> [u8; 128] {
        let mut page = [0; 128];
        memory.read(GuestAddress(DATA), &mut page).unwrap();
        page
    }

    fn seen(memory: &GuestMemory, c: &Cpu) -> ([u64; 16], u64, [u8; 128]) {
        let mut gpr = [0; 16];
        gpr.copy_from_slice(&c.r[..16]);
        (gpr, c.arith_flags(), data(memory))
    }

    #[test]
    fn every_form_of_the_trial_does_the_same_executed_and_emitted() {
        let mut random = 1;
        for form in &FORMS {
            let function = Function::new(&translate(&[form]));
            let (memory, mut cpu) = machine(form.bytes);
            for round in 0..500 {
                scramble(&memory, cpu.cpu_mut(), &mut random);
                let (gpr, flags, page) = seen(&memory, cpu.cpu());
                let z = cpu.cpu().zf();
                cpu.cpu_mut().rip = CODE;
                cpu.run(&mut NoDevices, 1);
                let executed = seen(&memory, cpu.cpu());
                memory.write(GuestAddress(DATA), &page).unwrap();
                let c = cpu.cpu_mut();
                c.r[..16].copy_from_slice(&gpr);
                c.set_flags(flags);
                let end = function.call(c);
                assert_eq!(
                    end,
                    if form.name.starts_with('j') {
                        2 * u64::from(z)
                    } else {
                        0
                    }
                );
                assert_eq!(seen(&memory, cpu.cpu()), executed, "{} {round}", form.name);
            }
        }
    }

    /// Repetitions of the two tests below, whose times are the figure in ADR 0004.
    const ROUNDS: u64 = 200_000;

    /// What both tests must come to: the sum of the registers after [`ROUNDS`] times all forms from the same start.
    fn start() -> (Arc<GuestMemory>, Interpreter, u64) {
        let code: Vec<u8> = FORMS.iter().flat_map(|f| f.bytes).copied().collect();
        let back = -(code.len() as i32 + 5);
        let whole = [&code[..], &[0xE9], &back.to_le_bytes()].concat();
        let (memory, mut cpu) = machine(&whole);
        scramble(&memory, cpu.cpu_mut(), &mut 7);
        // One round fills the TLB.
        cpu.run(&mut NoDevices, FORMS.len() as u64 + 1);
        (memory, cpu, FORMS.len() as u64 + 1)
    }

    #[test]
    fn all_forms_in_a_loop_give_the_same_executed_and_emitted() {
        let (memory, mut cpu, instructions) = start();
        let before = std::time::Instant::now();
        cpu.run(&mut NoDevices, ROUNDS * instructions);
        let executed = (before.elapsed(), seen(&memory, cpu.cpu()));

        let (memory, mut cpu, _) = start();
        let function = Function::new(&translate(&FORMS.iter().collect::<Vec<_>>()));
        let before = std::time::Instant::now();
        for _ in 0..ROUNDS {
            function.call(cpu.cpu_mut());
        }
        let emitted = (before.elapsed(), seen(&memory, cpu.cpu()));
        println!("executed {:?}, emitted {:?}", executed.0, emitted.0);
        assert_eq!(executed.1, emitted.1);
    }
}
