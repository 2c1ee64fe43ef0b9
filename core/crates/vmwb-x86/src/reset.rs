//! States that software finds: after power-on or reset, and at the entry of a direct boot.

use crate::cpu::{
    Cpu, Fpu, Msrs, RBP, RBX, RDX, RSI, RSP, Segment, TableRegister, cr0, cr4, efer, flag, seg,
    slot,
};
use crate::vcpu::BootState;

/// Reset value of DR6 and DR7 (SDM volume 3, table 9-1).
const DR6_RESET: u64 = 0xFFFF_0FF0;
const DR7_RESET: u64 = 0x400;
/// IA32_MISC_ENABLE: fast strings; neither branch trace store nor precise event sampling (SDM volume 4, table 2-3). A
/// kernel that finds fast strings off does without REP MOVS.
const MISC_ENABLE_RESET: u64 = 1 | 1 << 11 | 1 << 12;
/// Present, read/write, accessed.
const REAL_ATTR: u16 = 0x93;

fn real_segment(selector: u16) -> Segment {
    Segment {
        selector,
        base: u64::from(selector) << 4,
        limit: 0xFFFF,
        attr: REAL_ATTR,
    }
}

fn flat(selector: u16, attr: u16) -> Segment {
    Segment {
        selector,
        base: 0,
        limit: u32::MAX,
        attr,
    }
}

impl Cpu {
    /// SDM volume 3, table 9-1, column "power up" (and the same for RESET).
    pub(crate) fn reset_state(&mut self) {
        let retired = self.retired();
        self.r = [0; slot::COUNT];
        self.r[RDX] = u64::from(self.features.model().signature);
        self.set_flags(flag::FIXED);
        self.rip = 0xFFF0;
        self.cpl = 0;
        self.seg = [real_segment(0); 6];
        self.seg[seg::CS] = Segment {
            base: 0xFFFF_0000,
            ..real_segment(0xF000)
        };
        let system = |attr| Segment {
            selector: 0,
            base: 0,
            limit: 0xFFFF,
            attr,
        };
        (self.ldtr, self.tr) = (system(0x82), system(0x8B));
        let table = TableRegister {
            base: 0,
            limit: 0xFFFF,
        };
        (self.gdtr, self.idtr) = (table, table);
        self.cr0 = cr0::CD | cr0::NW | cr0::ET;
        (self.cr2, self.cr3, self.cr4, self.efer) = (0, 0, 0, 0);
        self.dr = [0, 0, 0, 0, 0, 0, DR6_RESET, DR7_RESET];
        self.pdpte = [0; 4];
        self.msr = Msrs {
            pat: 0x0007_0406_0007_0406,
            misc_enable: MISC_ENABLE_RESET,
            ..Msrs::default()
        };
        self.fpu = Fpu::new();
        self.xcr0 = 1;
        self.ferr = false;
        (self.debug_shadow, self.pending_debug, self.fault_streak) = (false, 0, 0);
        (
            self.shadow,
            self.look,
            self.touched,
            self.nmi_blocked,
            self.halted,
        ) = (false, true, false, false, false);
        self.sti_at = u64::MAX;
        (self.awaits_startup, self.yielded) = (self.config.number != 0, false);
        self.retire_at_end = retired;
        self.budget = 0;
        self.drop_traces();
        self.registers_changed();
    }

    /// The same table, column "INIT": a reset that keeps CR0.CD and CR0.NW, x87 and SSE, XCR0, the time-stamp counter and
    /// the model-specific registers.
    pub(crate) fn init_state(&mut self) {
        let (msr, fpu) = (self.msr.clone(), self.fpu.clone());
        let (xcr0, ferr) = (self.xcr0, self.ferr);
        let caching = self.cr0 & (cr0::CD | cr0::NW);
        self.reset_state();
        (self.msr, self.fpu, self.xcr0, self.ferr) = (msr, fpu, xcr0, ferr);
        self.cr0 = cr0::ET | caching;
        self.registers_changed();
    }

    /// A start-up message.
    pub(crate) fn start_up(&mut self, page: u8) {
        if !self.awaits_startup {
            return;
        }
        self.awaits_startup = false;
        self.seg[seg::CS] = real_segment(u16::from(page) << 8);
        self.rip = 0;
        self.registers_changed();
    }

    /// Recomputes what depends on registers that were set from outside, and forgets every translation.
    pub fn registers_changed(&mut self) {
        self.r[slot::ZERO] = 0;
        self.r[slot::FS_BASE] = self.seg[seg::FS].base;
        self.r[slot::GS_BASE] = self.seg[seg::GS].base;
        self.segment_rules_changed();
        self.streak_at = self.retired();
        self.breakpoints_changed();
        self.forget_translations();
    }

    /// Recomputes what the segments allow, after a change between real and protected mode.
    pub(crate) fn segment_rules_changed(&mut self) {
        let real = self.real_segments();
        self.plain_end = self.seg.map(|s| s.plain_end(real));
    }

    /// The entry state of a direct boot, on top of the reset state.
    pub(crate) fn enter_boot_state(&mut self, state: BootState) {
        self.set_flags(flag::FIXED);
        self.cpl = 0;
        self.r[RDX] = 0;
        if !matches!(state, BootState::Real16 { .. }) {
            self.seg = [flat(0x18, 0xC093); 6];
            self.idtr = TableRegister { base: 0, limit: 0 };
        }
        match state {
            BootState::Real16 {
                cs,
                ip,
                ss,
                sp,
                data,
                dx,
            } => {
                self.seg = [real_segment(data); 6];
                self.seg[seg::CS] = real_segment(cs);
                self.seg[seg::SS] = real_segment(ss);
                self.cr0 = cr0::ET;
                self.rip = u64::from(ip);
                (self.r[RSP], self.r[RDX]) = (u64::from(sp), u64::from(dx));
                self.idtr = TableRegister {
                    base: 0,
                    limit: 0x3FF,
                };
            }
            BootState::Protected32 {
                eip,
                esi,
                ebx,
                eax,
                esp,
                gdt,
            } => {
                self.seg[seg::CS] = flat(0x10, 0xC09B);
                self.cr0 = cr0::PE | cr0::ET;
                self.rip = u64::from(eip);
                (self.r[0], self.r[RBX], self.r[RSP], self.r[RSI]) = (
                    u64::from(eax),
                    u64::from(ebx),
                    u64::from(esp),
                    u64::from(esi),
                );
                self.r[RBP] = 0;
                self.gdtr = TableRegister {
                    base: u64::from(gdt.0),
                    limit: gdt.1,
                };
            }
            BootState::Long64 {
                rip,
                rsi,
                rsp,
                cr3,
                gdt,
            } => {
                self.seg[seg::CS] = flat(0x10, 0xA09B);
                self.cr0 = cr0::PE | cr0::PG | cr0::ET;
                self.cr3 = cr3;
                self.cr4 = cr4::PAE;
                self.efer = efer::LME | efer::LMA;
                self.rip = rip;
                (self.r[RSP], self.r[RSI]) = (rsp, rsi);
                self.gdtr = TableRegister {
                    base: gdt.0,
                    limit: gdt.1,
                };
            }
        }
        self.registers_changed();
    }
}
