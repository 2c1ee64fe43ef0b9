//! Segment descriptors and their loading (SDM volume 3, sections 3.4, 3.5 and 5).

use crate::cpu::{Cpu, Res, Segment, Stop, seg, vector};

/// A descriptor as it stands in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) low: u64,
    /// Upper half of 16-byte system descriptors in long mode.
    pub(crate) high: u64,
}

impl Descriptor {
    pub(crate) fn segment(self, selector: u16) -> Segment {
        let d = self.low;
        let raw_limit = (d & 0xFFFF | (d >> 32) & 0xF_0000) as u32;
        let attr = ((d >> 40) & 0xF0FF) as u16;
        let limit = if attr & 0x8000 != 0 {
            raw_limit << 12 | 0xFFF
        } else {
            raw_limit
        };
        let base = (d >> 16) & 0xFF_FFFF | (d >> 32) & 0xFF00_0000 | self.high << 32;
        Segment {
            selector,
            base,
            limit,
            attr,
        }
    }

    pub(crate) fn kind(self) -> u8 {
        ((self.low >> 40) & 0xF) as u8
    }
    pub(crate) fn is_user(self) -> bool {
        self.low >> 44 & 1 != 0
    }
    pub(crate) fn dpl(self) -> u8 {
        ((self.low >> 45) & 3) as u8
    }
    pub(crate) fn present(self) -> bool {
        self.low >> 47 & 1 != 0
    }
    pub(crate) fn is_code(self) -> bool {
        self.is_user() && self.kind() & 8 != 0
    }
    pub(crate) fn conforming(self) -> bool {
        self.kind() & 4 != 0
    }

    // Gates.
    pub(crate) fn gate_selector(self) -> u16 {
        (self.low >> 16) as u16
    }
    pub(crate) fn gate_offset(self) -> u64 {
        self.low & 0xFFFF | (self.low >> 32) & 0xFFFF_0000 | self.high << 32
    }
}

fn error_code(selector: u16) -> u32 {
    u32::from(selector & !3)
}

impl Cpu {
    /// Address of a descriptor in the GDT or LDT, when `bytes` of it lie inside the limit.
    pub(crate) fn descriptor_address(&self, selector: u16, bytes: u32) -> Option<u64> {
        let offset = u32::from(selector & !7);
        let (base, limit) = if selector & 4 == 0 {
            (self.gdtr.base, u32::from(self.gdtr.limit))
        } else if self.ldtr.present() {
            (self.ldtr.base, self.ldtr.limit)
        } else {
            return None;
        };
        (offset + bytes - 1 <= limit).then(|| base.wrapping_add(u64::from(offset)))
    }

    /// Reads a descriptor. System descriptors have 16 bytes in long mode when `system` asks for it.
    ///
    /// # Errors
    /// The exception `bad` with the selector when it lies outside its table.
    pub(crate) fn descriptor(&mut self, selector: u16, bad: u8, system: bool) -> Res<Descriptor> {
        let bytes = if system && self.long_mode() { 16 } else { 8 };
        let Some(at) = self.descriptor_address(selector, bytes) else {
            return Err(self.raise_code(bad, error_code(selector)));
        };
        let low = self.system_read(at, 8)?;
        let high = if bytes == 16 {
            self.system_read(at.wrapping_add(8), 8)? & 0xFFFF_FFFF
        } else {
            0
        };
        Ok(Descriptor { low, high })
    }

    pub(crate) fn selector_fault(&mut self, vector: u8, selector: u16) -> Stop {
        self.raise_code(vector, error_code(selector))
    }

    /// Sets the accessed bit of a code or data descriptor.
    pub(crate) fn mark_accessed(&mut self, selector: u16, d: &mut Descriptor) -> Res {
        if d.low >> 40 & 1 == 0
            && let Some(at) = self.descriptor_address(selector, 8)
        {
            d.low |= 1 << 40;
            let byte = d.low >> 40 & 0xFF;
            self.system_write(at.wrapping_add(5), 1, byte)?;
        }
        Ok(())
    }

    /// Sets a segment register with its hidden part and what depends on it.
    pub(crate) fn set_segment(&mut self, n: usize, s: Segment) {
        self.seg[n] = s;
        match n {
            seg::FS => self.r[crate::cpu::slot::FS_BASE] = s.base,
            seg::GS => self.r[crate::cpu::slot::GS_BASE] = s.base,
            _ => {}
        }
    }

    /// Sets the base of FS or GS (MSR, SWAPGS).
    pub(crate) fn set_segment_base(&mut self, n: usize, base: u64) {
        let s = Segment {
            base,
            ..self.seg[n]
        };
        self.set_segment(n, s);
    }

    /// Loads ES, SS, DS, FS or GS as MOV, POP and LxS do.
    ///
    /// # Errors
    /// #GP, #NP, #SS with the selector.
    pub(crate) fn load_segment(&mut self, n: usize, selector: u16) -> Res {
        if !self.protected() || self.v86() {
            let attr = if self.v86() { 0xF3 } else { self.seg[n].attr };
            let limit = if self.v86() {
                0xFFFF
            } else {
                self.seg[n].limit
            };
            self.set_segment(
                n,
                Segment {
                    selector,
                    base: u64::from(selector) << 4,
                    limit,
                    attr,
                },
            );
            self.update_mode();
            return Ok(());
        }
        if selector & !3 == 0 {
            // A null selector is not allowed in SS, but for 64-bit mode below ring 3 with a matching RPL.
            let null_ss = self.code64() && self.cpl < 3 && (selector & 3) as u8 == self.cpl;
            if n == seg::SS && !null_ss {
                return Err(self.gp(0));
            }
            // Bases of FS and GS survive a null load on this model, as on other AMD processors.
            let base = if self.long_mode() && n >= seg::FS {
                self.seg[n].base
            } else {
                0
            };
            let attr = if n == seg::SS {
                u16::from(self.cpl) << 5
            } else {
                0
            };
            self.set_segment(
                n,
                Segment {
                    selector,
                    base,
                    limit: 0,
                    attr,
                },
            );
            self.update_mode();
            return Ok(());
        }
        let mut d = self.descriptor(selector, vector::GP, false)?;
        let rpl = (selector & 3) as u8;
        if n == seg::SS {
            let writable_data = d.is_user() && d.kind() & 0b1010 == 0b0010;
            if !writable_data || rpl != self.cpl || d.dpl() != self.cpl {
                return Err(self.selector_fault(vector::GP, selector));
            }
            if !d.present() {
                return Err(self.selector_fault(vector::SS, selector));
            }
        } else {
            let readable = d.is_user() && (!d.is_code() || d.kind() & 2 != 0);
            let conforming_code = d.is_code() && d.conforming();
            if !readable || (!conforming_code && (rpl > d.dpl() || self.cpl > d.dpl())) {
                return Err(self.selector_fault(vector::GP, selector));
            }
            if !d.present() {
                return Err(self.selector_fault(vector::NP, selector));
            }
        }
        self.mark_accessed(selector, &mut d)?;
        self.set_segment(n, d.segment(selector));
        self.update_mode();
        Ok(())
    }

    /// Takes over a code segment at privilege `cpl`; the descriptor has been checked.
    pub(crate) fn set_code_segment(&mut self, selector: u16, d: Descriptor, cpl: u8) {
        let s = d.segment(selector & !3 | u16::from(cpl));
        self.set_segment(seg::CS, s);
        self.cpl = cpl;
        self.update_mode();
    }
}
