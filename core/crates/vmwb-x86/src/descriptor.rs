//! Segment descriptors and their loading (SDM volume 3, sections 3.4, 3.5 and 5).

use crate::cpu::{Cpu, Res, Segment, Stop, seg, vector};

/// A descriptor as it stands in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptor {
    pub(crate) low: u64,
    /// Upper half of 16-byte system descriptors in long mode; its low 32 bits belong to base or offset.
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

    /// 64-bit code (L without D).
    pub(crate) fn is_code64(self) -> bool {
        self.is_code() && self.low >> 53 & 3 == 1
    }
    /// L and D both set: reserved in long mode.
    pub(crate) fn bad_size(self) -> bool {
        self.low >> 53 & 3 == 3
    }
    /// Writable data.
    pub(crate) fn is_stack(self) -> bool {
        self.is_user() && self.kind() & 0b1010 == 0b0010
    }

    /// The type field of the upper half of a 16-byte descriptor, which must be zero (SDM volume 3, section 5.8.3.1).
    pub(crate) fn bad_upper_half(self) -> bool {
        self.high >> 40 & 0x1F != 0
    }

    // Gates.
    /// Parameters that a call gate copies.
    pub(crate) fn gate_parameters(self) -> u64 {
        self.low >> 32 & 0x1F
    }
    pub(crate) fn gate_selector(self) -> u16 {
        (self.low >> 16) as u16
    }
    pub(crate) fn gate_offset(self) -> u64 {
        self.low & 0xFFFF | (self.low >> 32) & 0xFFFF_0000 | self.high << 32
    }
}

/// Attributes of every segment in virtual-8086 mode: present, DPL 3, writable data, accessed.
pub(crate) const V86_ATTR: u16 = 0xF3;
/// What loading a segment register in real mode makes of its access byte: present, writable data, accessed.
const REAL_ATTR: u16 = 0x93;

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
            self.system_read(at.wrapping_add(8), 8)?
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
        self.plain_end[n] = s.plain_end(self.real_segments());
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
        let s = if self.real_segments() {
            self.real_segment(n, selector)
        } else {
            self.segment_for(n, selector, vector::GP)?
        };
        self.set_segment(n, s);
        self.update_mode();
        Ok(())
    }

    /// What a selector means to the 8086. In real mode limit and size stay what they were loaded with in protected mode:
    /// "unreal mode" lives on it.
    pub(crate) fn real_segment(&self, n: usize, selector: u16) -> Segment {
        let (limit, attr) = if self.v86() {
            (0xFFFF, V86_ATTR)
        } else {
            (self.seg[n].limit, self.seg[n].attr & !0xFF | REAL_ATTR)
        };
        Segment {
            selector,
            base: u64::from(selector) << 4,
            limit,
            attr,
        }
    }

    /// What a selector gives in ES, SS, DS, FS or GS in protected mode, after its checks. `bad`: #GP, or #TS in a task
    /// switch.
    ///
    /// # Errors
    /// `bad`, #NP or #SS with the selector.
    pub(crate) fn segment_for(&mut self, n: usize, selector: u16, bad: u8) -> Res<Segment> {
        if selector & !3 == 0 {
            // A null selector is not allowed in SS, but for 64-bit mode below ring 3 with a matching RPL.
            let null_ss = self.code64() && self.cpl < 3 && (selector & 3) as u8 == self.cpl;
            if n == seg::SS && !null_ss {
                return Err(self.raise_code(bad, 0));
            }
            return Ok(self.null_segment(n, selector));
        }
        let mut d = self.descriptor(selector, bad, false)?;
        let rpl = (selector & 3) as u8;
        if n == seg::SS {
            if !d.is_stack() || rpl != self.cpl || d.dpl() != self.cpl {
                return Err(self.selector_fault(bad, selector));
            }
            if !d.present() {
                return Err(self.selector_fault(vector::SS, selector));
            }
        } else {
            let readable = d.is_user() && (!d.is_code() || d.kind() & 2 != 0);
            let conforming_code = d.is_code() && d.conforming();
            if !readable || (!conforming_code && (rpl > d.dpl() || self.cpl > d.dpl())) {
                return Err(self.selector_fault(bad, selector));
            }
            if !d.present() {
                return Err(self.selector_fault(vector::NP, selector));
            }
        }
        self.mark_accessed(selector, &mut d)?;
        Ok(d.segment(selector))
    }

    /// A segment register that holds a null selector. AMD's processors leave the bases of FS and GS as they are (AMD64
    /// manual volume 2, section 4.5.3), Intel's clear them.
    pub(crate) fn null_segment(&self, n: usize, selector: u16) -> Segment {
        let keeps_base = self.amd && self.long_mode() && n >= seg::FS;
        Segment {
            selector,
            base: if keeps_base { self.seg[n].base } else { 0 },
            limit: 0,
            attr: if n == seg::SS {
                u16::from(self.cpl) << 5
            } else {
                0
            },
        }
    }

    /// Takes over a code segment at privilege `cpl`; the descriptor has been checked.
    pub(crate) fn set_code_segment(&mut self, selector: u16, d: Descriptor, cpl: u8) {
        let s = d.segment(selector & !3 | u16::from(cpl));
        self.set_segment(seg::CS, s);
        self.cpl = cpl;
        self.update_mode();
    }
}
