//! Which device answers which port: ranges only, no behaviour.

use vmwb_hw::AccessSize;

/// A device of the board, as the port map names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDevice {
    /// 8259A pair.
    Pic,
    /// 8254 and port 61h.
    Pit,
    /// MC146818A.
    Rtc,
    /// Serial port number n.
    Uart(u8),
    /// 8042.
    Keyboard,
    /// Reset, A20, POST code.
    SysCtl,
    /// Coprocessor error latch.
    Coprocessor,
    /// PCI configuration.
    Pci,
    /// Power management.
    Acpi,
    /// IDE.
    Ide,
    /// Floppy controller.
    Fdc,
    /// DMA controllers.
    Dma,
    /// Firmware configuration.
    FwCfg,
    /// VGA.
    Vga,
    /// Debug exit.
    DebugExit,
    /// Debug console.
    DebugConsole,
}

/// How a device takes accesses wider than a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// Split into bytes at ascending ports, as the ISA bus does for 8-bit devices.
    Bytes,
    /// Passed on whole.
    Any,
}

/// A range of ports of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub first: u16,
    /// Number of ports.
    pub count: u16,
    /// Who answers.
    pub device: PortDevice,
    /// The device's own offset of the first port.
    pub offset: u16,
    /// Wide accesses.
    pub width: Width,
}

/// Where an access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortTarget {
    /// Who answers.
    pub device: PortDevice,
    /// At which of its offsets.
    pub offset: u16,
}

/// What a port reads where nobody answers. The status registers of the IDE controller that a bare board lacks read as those
/// of channels without drives do: kernels wait there until the busy bit is clear, many of them without end.
#[must_use]
pub fn nobody(port: u16) -> u32 {
    match port {
        0x177 | 0x1F7 | 0x376 | 0x3F6 => 0,
        _ => 0xFF,
    }
}

/// All 65,536 ports.
#[derive(Debug)]
pub struct PortMap {
    ranges: Vec<PortRange>,
    /// Index into `ranges` plus 1; 0: nobody.
    owner: Box<[u8]>,
}

const PORTS: usize = 1 << 16;

impl PortMap {
    /// A map of these ranges; where two overlap, the later one has the port.
    #[must_use]
    pub fn new(ranges: Vec<PortRange>) -> Self {
        let mut owner = vec![0u8; PORTS].into_boxed_slice();
        for (i, r) in ranges.iter().enumerate() {
            let n = u8::try_from(i + 1).expect("a board has fewer than 255 port ranges");
            let first = usize::from(r.first);
            owner[first..(first + usize::from(r.count)).min(PORTS)].fill(n);
        }
        Self { ranges, owner }
    }

    fn range(&self, port: u16) -> Option<&PortRange> {
        let n = usize::from(self.owner[usize::from(port)]);
        self.ranges.get(n.checked_sub(1)?)
    }

    /// Who answers an access of this width as a whole. `None`: split it into bytes; for a byte: nobody.
    #[must_use]
    pub fn whole(&self, port: u16, size: AccessSize) -> Option<PortTarget> {
        let r = self.range(port)?;
        (size == AccessSize::Byte || r.width == Width::Any).then(|| PortTarget {
            device: r.device,
            offset: r.offset + (port - r.first),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, count: u16, device: PortDevice, offset: u16, width: Width) -> PortRange {
        PortRange {
            first,
            count,
            device,
            offset,
            width,
        }
    }

    #[test]
    fn whole_gives_the_devices_own_offset() {
        let map = PortMap::new(vec![range(0xA0, 2, PortDevice::Pic, 2, Width::Bytes)]);
        let target = map.whole(0xA1, AccessSize::Byte);
        assert_eq!(
            target,
            Some(PortTarget {
                device: PortDevice::Pic,
                offset: 3
            })
        );
        assert_eq!(map.whole(0xA0, AccessSize::Word), None);
        assert_eq!(map.whole(0xA2, AccessSize::Byte), None);
    }

    #[test]
    fn later_range_has_the_port_and_wide_devices_take_whole_accesses() {
        let map = PortMap::new(vec![
            range(0xCF8, 8, PortDevice::Pci, 0, Width::Any),
            range(0xCF9, 1, PortDevice::SysCtl, 1, Width::Bytes),
        ]);
        let of = |port, size| map.whole(port, size).map(|t| t.device);
        assert_eq!(of(0xCF8, AccessSize::Dword), Some(PortDevice::Pci));
        assert_eq!(of(0xCF9, AccessSize::Byte), Some(PortDevice::SysCtl));
        assert_eq!(of(0xCFA, AccessSize::Byte), Some(PortDevice::Pci));
    }

    #[test]
    fn last_port_belongs_to_its_range() {
        let map = PortMap::new(vec![range(0xFFFE, 4, PortDevice::Vga, 0, Width::Bytes)]);
        assert!(map.whole(0xFFFF, AccessSize::Byte).is_some());
    }
}
