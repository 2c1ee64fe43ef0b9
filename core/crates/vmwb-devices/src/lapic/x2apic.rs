//! x2APIC mode: the registers as model-specific registers 800h to 83Fh (SDM volume 3, "Extended XAPIC (x2APIC)").

use vmwb_hw::{Ctx, Nanos};

use super::{Ipi, IpiKind, IpiTarget, Lapic, regs};

/// What the register with this number is in the page; `None`: there is none.
fn offset_of(msr: u32) -> Option<u64> {
    let n = msr.checked_sub(regs::X2APIC_FIRST).filter(|&n| n < 0x40)?;
    Some(u64::from(n) * regs::STRIDE)
}

impl Lapic {
    /// Reads a register by its number (800h to 83Fh). `None` (the guest gets #GP): outside x2APIC mode, and where there
    /// is no register or none that can be read.
    #[must_use]
    pub fn msr_read(&self, now: Nanos, msr: u32) -> Option<u64> {
        let offset = offset_of(msr).filter(|_| self.is_x2apic())?;
        match offset {
            regs::ID => Some(u64::from(self.config.number)),
            regs::LDR => Some(u64::from(self.x2apic_ldr())),
            regs::ICR_LOW => Some(u64::from(self.icr_high) << 32 | u64::from(self.icr_low)),
            // Write only, or not in this mode.
            regs::EOI | regs::APR | regs::DFR | regs::ICR_HIGH | regs::SELF_IPI => None,
            _ => self.register(now, offset).map(u64::from),
        }
    }

    /// Writes a register by its number. `false` (the guest gets #GP): as [`Lapic::msr_read`], and for reserved bits.
    pub fn msr_write(&mut self, ctx: &mut Ctx<'_>, msr: u32, value: u64) -> bool {
        let Some(offset) = offset_of(msr).filter(|_| self.is_x2apic()) else {
            return false;
        };
        let [low, high] = [value, value >> 32]
            .map(|half| u32::try_from(half & u64::from(u32::MAX)).expect("masked to 32 bits"));
        let allowed = match offset {
            regs::TPR | regs::SELF_IPI => 0xFF,
            regs::EOI | regs::ESR => 0,
            regs::SVR => regs::SVR_WRITABLE,
            regs::ICR_LOW => regs::ICR_WRITABLE,
            regs::LVT..regs::INITIAL_COUNT => {
                let entry =
                    usize::try_from((offset - regs::LVT) / regs::STRIDE).expect("one of six");
                self.lvt_writable(entry) | regs::DELIVERY_STATUS | regs::LVT_REMOTE_IRR
            }
            regs::INITIAL_COUNT => u32::MAX,
            regs::DIVIDE => regs::DIVIDE_WRITABLE,
            // Read only, or no register of this mode.
            _ => return false,
        };
        if low & !allowed != 0 || (high != 0 && offset != regs::ICR_LOW) {
            return false;
        }
        match offset {
            regs::ICR_LOW => {
                self.icr_high = high;
                self.write_register(ctx, offset, low);
            }
            regs::SELF_IPI => self.send_to_self(low.to_le_bytes()[0]),
            _ => self.write_register(ctx, offset, low),
        }
        true
    }

    fn send_to_self(&mut self, vector: u8) {
        if vector < 16 {
            return self.report(regs::ESR_SEND_ILLEGAL);
        }
        self.ipi = Some(Ipi {
            kind: IpiKind::Fixed,
            vector,
            target: IpiTarget::Myself,
        });
    }
}
