//! A small machine for tests of modes and system architecture: tables in memory, one instruction or a few as bytes, and
//! the exception that ends them.
//!
//! Every vector's handler is one HLT at an address that tells the vector; interrupts are off, so that the processor stops
//! there, and the frame stands on its stack. A run therefore ends in [`End::Vector`], or at a HLT of the test's own.

#![allow(dead_code, reason = "each test file uses a part")]

use std::sync::Arc;

use vmwb_hw::{GuestAddress, GuestMemory};
use vmwb_x86::cpu::{Cpu, Segment, TableRegister, cr0, cr4, efer, seg};
use vmwb_x86::{BootState, CpuConfig, CpuStop, Exit, Interpreter, Vcpu};

#[path = "../host/bus.rs"]
mod bus;

use bus::TestBus;

pub const GDT: u64 = 0x1000;
pub const IDT: u64 = 0x2000;
pub const LDT: u64 = 0x3800;
/// The current task's TSS, and another one.
pub const TSS: u64 = 0x4000;
pub const TSS2: u64 = 0x5000;
/// Handlers: 16 bytes a vector.
pub const HANDLERS: u64 = 0x6000;
/// Tops of the stacks of rings 0 to 3.
pub const STACKS: [u64; 4] = [0x9000, 0xA000, 0xB000, 0xC000];
pub const CODE: u64 = 0x2_0000;
pub const DATA: u64 = 0x3_0000;
pub const TABLES: u64 = 0x10_0000;

/// Selectors that every rig has: flat code and data of rings 0 and 3, the TSS, and room from FREE on.
pub const CODE0: u16 = 0x08;
pub const DATA0: u16 = 0x10;
pub const CODE3: u16 = 0x1B;
pub const DATA3: u16 = 0x23;
pub const TSS_SELECTOR: u16 = 0x28;
/// Two slots, for 16-byte descriptors.
pub const TSS2_SELECTOR: u16 = 0x38;
pub const LDT_SELECTOR: u16 = 0x48;
pub const FREE: u16 = 0x60;
/// Limit of the GDT.
pub const GDT_LIMIT: u16 = 0xFF;

/// Access bytes.
pub const CODE_R: u8 = 0x9A;
pub const DATA_W: u8 = 0x92;
pub const DPL3: u8 = 0x60;
/// Flags: granularity and size.
pub const G32: u8 = 0xC;
pub const B16: u8 = 0;
pub const B32: u8 = 4;
pub const G64: u8 = 0xA;

/// A descriptor (SDM volume 3, figure 3-8).
pub fn descriptor(base: u32, limit: u32, access: u8, flags: u8) -> u64 {
    let (base, limit) = (u64::from(base), u64::from(limit));
    limit & 0xFFFF
        | (base & 0xFF_FFFF) << 16
        | u64::from(access) << 40
        | (limit >> 16 & 0xF) << 48
        | u64::from(flags) << 52
        | (base >> 24) << 56
}

/// A gate; `kind` with P and DPL.
pub fn gate(selector: u16, offset: u32, kind: u8, parameters: u8) -> u64 {
    u64::from(offset & 0xFFFF)
        | u64::from(selector) << 16
        | u64::from(parameters) << 32
        | u64::from(kind) << 40
        | u64::from(offset >> 16) << 48
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In the handler of this vector, with this error code (0 where the vector has none).
    Vector(u8, u32),
    /// At a HLT elsewhere; its address behind it.
    Halt(u64),
    /// Triple fault, with the vector that began it.
    Shutdown(u8),
    /// The budget was used up.
    Budget,
}

fn has_error_code(v: u8) -> bool {
    matches!(v, 8 | 10..=14 | 17)
}

pub struct Rig {
    pub memory: Arc<GuestMemory>,
    pub cpu: Interpreter,
    pub bus: TestBus,
}

impl Rig {
    fn bare_as(model: &str) -> Self {
        Self::bare_on(Arc::new(GuestMemory::new(8 << 20).unwrap()), model)
    }

    fn bare_on(memory: Arc<GuestMemory>, model: &str) -> Self {
        let config = CpuConfig {
            model: model.to_owned(),
            ..CpuConfig::default()
        };
        let cpu = Interpreter::new(Arc::clone(&memory), config).unwrap();
        let rig = Self {
            memory,
            cpu,
            bus: TestBus {
                port: |_| u32::MAX,
                memory: |_| u64::MAX,
                ..TestBus::default()
            },
        };
        (0..256).for_each(|v| rig.write(HANDLERS + 16 * v, &[0xF4]));
        rig
    }

    /// Real mode: CS = 2000h, DS = ES = 3000h, SS:SP = 0:8000h, the vectors at 0 leading to 0:HANDLERS.
    pub fn real() -> Self {
        Self::real_on(Arc::new(GuestMemory::new(8 << 20).unwrap()))
    }

    /// [`Rig::real`] on memory that may have regions, with a processor of its own.
    pub fn real_on(memory: Arc<GuestMemory>) -> Self {
        let mut rig = Self::bare_on(memory, &CpuConfig::default().model);
        (0..256).for_each(|v| rig.put(4 * v, HANDLERS + 16 * v, 4));
        rig.cpu.set_boot_state(BootState::Real16 {
            cs: (CODE >> 4) as u16,
            ip: 0,
            ss: 0,
            sp: 0x8000,
            data: (DATA >> 4) as u16,
            dx: 0,
        });
        rig
    }

    /// 32-bit protected mode at ring 0 with flat segments, no paging, all vectors through 32-bit interrupt gates that
    /// every ring may use.
    pub fn protected() -> Self {
        Self::protected_on(Arc::new(GuestMemory::new(8 << 20).unwrap()))
    }

    /// [`Rig::protected`] with another processor model.
    pub fn protected_as(model: &str) -> Self {
        Self::protected_with(Arc::new(GuestMemory::new(8 << 20).unwrap()), model)
    }

    /// [`Rig::protected`] on memory that may have regions, with a processor of its own.
    pub fn protected_on(memory: Arc<GuestMemory>) -> Self {
        Self::protected_with(memory, &CpuConfig::default().model)
    }

    fn protected_with(memory: Arc<GuestMemory>, model: &str) -> Self {
        let mut rig = Self::bare_on(memory, model);
        rig.flat_gdt(descriptor(TSS as u32, 0xFFF, 0x8B, 0));
        (0..256).for_each(|v| rig.gate(v as u8, gate(CODE0, HANDLERS as u32 + 16 * v, 0xEE, 0)));
        // 32-bit TSS: ESP0, SS0, ESP1, SS1, ESP2, SS2, and no I/O bitmap.
        rig.put(TSS + 4, STACKS[0], 4);
        rig.put(TSS + 8, u64::from(DATA0), 4);
        rig.put(TSS + 102, 0xFFFF, 2);
        rig.cpu.set_boot_state(BootState::Protected32 {
            eip: CODE as u32,
            esi: 0,
            ebx: 0,
            eax: 0,
            esp: STACKS[0] as u32,
            gdt: (GDT as u32, GDT_LIMIT),
        });
        rig.load_tables(0xFFF, 2047);
        rig.flat_segments(0xC09B);
        rig
    }

    /// Ring 0's flat data in all segments but CS, whose attributes say which code it is.
    fn flat_segments(&mut self, code: u16) {
        let c = self.cpu.cpu_mut();
        c.seg = [Segment {
            selector: DATA0,
            ..c.seg[seg::DS]
        }; 6];
        c.seg[seg::CS] = Segment {
            selector: CODE0,
            base: 0,
            limit: u32::MAX,
            attr: code,
        };
        self.changed();
    }

    /// 64-bit mode at ring 0, the first 8 MiB mapped to themselves by 4-KiB pages for every ring (see [`Rig::pte`]).
    pub fn long() -> Self {
        Self::long_as(&CpuConfig::default().model)
    }

    /// [`Rig::long`] with another processor model.
    pub fn long_as(model: &str) -> Self {
        let mut rig = Self::bare_as(model);
        rig.flat_gdt(descriptor(TSS as u32, 0xFFF, 0x8B, 0));
        rig.descriptor(CODE0, descriptor(0, 0xF_FFFF, CODE_R | 1, G64));
        rig.descriptor(CODE3, descriptor(0, 0xF_FFFF, CODE_R | DPL3 | 1, G64));
        rig.map();
        for v in 0..256 {
            rig.put(
                IDT + 16 * v,
                gate(CODE0, (HANDLERS + 16 * v) as u32, 0xEE, 0),
                8,
            );
        }
        // 64-bit TSS: RSP0 to RSP2, IST1.
        for n in 0..3 {
            rig.put(TSS + 4 + 8 * n, STACKS[n as usize], 8);
        }
        rig.put(TSS + 36, STACKS[3], 8);
        rig.put(TSS + 102, 0xFFFF, 2);
        rig.cpu.set_boot_state(BootState::Long64 {
            rip: CODE,
            rsi: 0,
            rsp: STACKS[0],
            cr3: TABLES,
            gdt: (GDT, GDT_LIMIT),
        });
        rig.load_tables(0xFFF, 4095);
        rig.flat_segments(0xA09B);
        rig
    }

    fn flat_gdt(&mut self, tss: u64) {
        self.descriptor(CODE0, descriptor(0, 0xF_FFFF, CODE_R | 1, G32));
        self.descriptor(DATA0, descriptor(0, 0xF_FFFF, DATA_W | 1, G32));
        self.descriptor(CODE3, descriptor(0, 0xF_FFFF, CODE_R | DPL3 | 1, G32));
        self.descriptor(DATA3, descriptor(0, 0xF_FFFF, DATA_W | DPL3 | 1, G32));
        self.descriptor(TSS_SELECTOR, tss);
    }

    fn load_tables(&mut self, tss_limit: u32, idt_limit: u16) {
        let c = self.cpu.cpu_mut();
        c.gdtr = TableRegister {
            base: GDT,
            limit: GDT_LIMIT,
        };
        c.idtr = TableRegister {
            base: IDT,
            limit: idt_limit,
        };
        c.tr = Segment {
            selector: TSS_SELECTOR,
            base: TSS,
            limit: tss_limit,
            attr: 0x8B,
        };
        c.ldtr = Segment::default();
    }

    /// Page tables of 4 levels at [`TABLES`], the last four being page tables for 8 MiB.
    fn map(&mut self) {
        self.put(TABLES, (TABLES + 0x1000) | 7, 8);
        self.put(TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
        for n in 0..4 {
            self.put(
                TABLES + 0x2000 + 8 * n,
                (TABLES + 0x3000 + 0x1000 * n) | 7,
                8,
            );
        }
        (0..2048).for_each(|n| self.put(TABLES + 0x3000 + 8 * n, n << 12 | 7, 8));
    }

    /// Address of the page-table entry of a linear address below 8 MiB in [`Rig::long`].
    pub fn pte(linear: u64) -> u64 {
        TABLES + 0x3000 + 8 * (linear >> 12)
    }

    pub fn c(&mut self) -> &mut Cpu {
        self.cpu.cpu_mut()
    }

    /// Call after registers were set that something is derived from.
    pub fn changed(&mut self) {
        self.cpu.cpu_mut().registers_changed();
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.memory.write(GuestAddress(at), bytes).unwrap();
    }

    pub fn put(&self, at: u64, v: u64, bytes: usize) {
        self.write(at, &v.to_le_bytes()[..bytes]);
    }

    pub fn get(&self, at: u64, bytes: usize) -> u64 {
        let mut v = [0; 8];
        self.memory.read(GuestAddress(at), &mut v[..bytes]).unwrap();
        u64::from_le_bytes(v)
    }

    pub fn descriptor(&self, selector: u16, d: u64) {
        self.put(GDT + u64::from(selector & !7), d, 8);
    }

    pub fn gate(&self, vector: u8, d: u64) {
        self.put(IDT + 8 * u64::from(vector), d, 8);
    }

    /// Makes a flat ring 3 of the current mode current.
    pub fn ring3(&mut self) -> &mut Self {
        let long = self.c().efer & efer::LMA != 0;
        let c = self.c();
        c.cpl = 3;
        for n in [seg::SS, seg::DS, seg::ES, seg::FS, seg::GS] {
            c.seg[n].selector = DATA3;
            c.seg[n].attr = 0xC0F3;
        }
        c.seg[seg::CS].selector = CODE3;
        c.seg[seg::CS].attr = if long { 0xA0FB } else { 0xC0FB };
        c.r[4] = STACKS[3];
        self.changed();
        self
    }

    /// 32-bit paging of 4-KiB pages, the first 8 MiB mapped to themselves for every ring.
    pub fn page32(&mut self) -> &mut Self {
        for n in 0..2 {
            self.put(TABLES + 4 * n, (TABLES + 0x1000 + 0x1000 * n) | 7, 4);
        }
        (0..2048).for_each(|n| self.put(TABLES + 0x1000 + 4 * n, n << 12 | 7, 4));
        let c = self.c();
        c.cr3 = TABLES;
        c.cr0 |= cr0::PG;
        self.changed();
        self
    }

    /// Virtual-8086 mode under the protected-mode rig: the segments of [`Rig::real`], SS:SP = 0:F000h.
    pub fn v86(iopl: u64) -> Self {
        let mut rig = Self::protected();
        let c = rig.c();
        let real = |selector: u16| Segment {
            selector,
            base: u64::from(selector) << 4,
            limit: 0xFFFF,
            attr: 0xF3,
        };
        c.seg = [real((DATA >> 4) as u16); 6];
        c.seg[seg::CS] = real((CODE >> 4) as u16);
        c.seg[seg::SS] = real(0);
        c.cpl = 3;
        c.set_flags(1 << 17 | iopl << 12 | 2);
        c.rip = 0;
        c.r[4] = 0xF000;
        rig.changed();
        rig
    }

    /// With CR4 bits on top, checked by nobody.
    pub fn cr4(mut self, bits: u64) -> Self {
        self.c().cr4 |= bits;
        self.changed();
        self
    }

    /// Puts bytes where CS:RIP is and runs them.
    pub fn run(&mut self, code: &[u8]) -> End {
        let at = self.cpu.linear_rip();
        self.write(at, code);
        self.go(10_000)
    }

    /// Runs on for at most so many instructions.
    pub fn go(&mut self, budget: u64) -> End {
        match self.cpu.run(&mut self.bus, budget) {
            Exit::Stopped(CpuStop::HaltedForGood { .. }) => {
                let at = self.cpu.linear_rip() - 1;
                // An inspector's state goes on: the HLT has run.
                if (HANDLERS..HANDLERS + 0x1000).contains(&at) {
                    let v = ((at - HANDLERS) / 16) as u8;
                    let c = self.cpu.cpu();
                    let protected = c.cr0 & cr0::PE != 0;
                    let error = if protected && has_error_code(v) {
                        self.stack(0) as u32
                    } else {
                        0
                    };
                    End::Vector(v, error)
                } else {
                    End::Halt(at + 1)
                }
            }
            Exit::Stopped(CpuStop::TripleFault { vector, .. }) => End::Shutdown(vector),
            Exit::Budget => End::Budget,
            other => panic!("unexpected end of the run: {other:?}"),
        }
    }

    /// The n-th item from the top of the stack: 2 bytes in real mode, 4 in protected mode, 8 in 64-bit mode.
    pub fn stack(&self, n: u64) -> u64 {
        let c = self.cpu.cpu();
        let bytes = if c.cr0 & cr0::PE == 0 {
            2
        } else if c.efer & efer::LMA != 0 {
            8
        } else {
            4
        };
        let sp = if c.seg[seg::SS].attr & 0x4000 != 0 || bytes == 8 {
            c.r[4]
        } else {
            c.r[4] & 0xFFFF
        };
        let base = if bytes == 8 { 0 } else { c.seg[seg::SS].base };
        self.get(base + sp + n * bytes, bytes as usize)
    }

    pub fn selector(&self, n: usize) -> u16 {
        self.cpu.cpu().seg[n].selector
    }
}

/// Bits of CR4 that tests of paging use together.
pub const PAE: u64 = cr4::PAE;
