//! Device models of the PC: pure register models without I/O, locks or host time.
//!
//! A device is built by the board, which gives it its instance name, interrupt lines and timer slots. Every device
//! folder holds `mod.rs` (the model, its registers / omissions / threats), `regs.rs` (registers and bits named after
//! the datasheet), `snapshot.rs` (the frozen payload) and `tests.rs`. Devices never name each other.
//!
//! | Device | Built by | Ports of the PC, and the device's own offsets |
//! |---|---|---|
//! | 8259A pair | `pic::Pic::new()` | 0, 1 = 20h, 21h; 2, 3 = A0h, A1h; 4, 5 = 4D0h, 4D1h |
//! | 8254 | `pit::Pit::new(timer, irq0)` | 0-3 = 40h-43h; 4 = 61h |
//! | MC146818A | `rtc::Rtc::new(timer, irq8, start_unix_s)` | 0, 1 = 70h, 71h |
//! | 16550A | `uart::Uart::new(name, timer, irq, backend)` | 0-7 from 3F8h, 2F8h, 3E8h, 2E8h |
//! | 8042, keyboard, mouse | `i8042::I8042::new(timer, irq1, irq12)` | 0 = 60h; 4 = 64h |
//! | reset, A20 and POST ports | `sysctl::SysCtl::new()` | 0 = 92h; 1 = CF9h; 2 = 80h; 3 = 8900h |
//! | 8237A pair | `dma::Dma::new()` | 00h-0Fh = 00h-0Fh; 10h-2Fh = C0h-DFh; 31h-3Fh = 81h-8Fh |
//! | 82077AA | `fdc::Fdc::new(timer, irq6, drives)` | 2-5, 7 = 3F2h-3F5h, 3F7h; DMA channel 2 |
//! | coprocessor error latch | `coprocessor::Coprocessor::new(irq13)` | 0, 1 = F0h, F1h |
//! | PIIX4 power management | `acpi::AcpiPm::new(sci, timer, width)` | 00h-3Fh = 600h-63Fh; 40h, 41h = B2h, B3h |
//! | PCI host | `pci::PciHost::new(pm_base)` | 0-3 = CF8h-CFBh; 4-7 = CFCh-CFFh |
//! | local APIC, I/O APIC | `lapic::Lapic::new(timer)`, `ioapic::IoApic::new()` | memory FEE00000h, FEC00000h |
//! | firmware configuration | `fwcfg::FwCfg::new(items)` | 0, 1 = 510h, 511h; 4, 8 = 514h, 518h |
//! | PIIX3 IDE | `ide::Ide::new(name, irqs, drives)` | 00h-08h = 1F0h-1F7h, 3F6h; 10h-18h = 170h-177h, 376h |
//! | display | `vga::Vga::new(memory, video_region, rom)` | ports from 3B0h, 40h-42h = 1CEh-1D0h; memory from A0000h; PCI |
//! | virtio functions | `virtio::VirtioBlk::new(name, irq, backend, serial)` and its sisters | PCI, base addresses 1 and 4 |
//! | HPET | `hpet::Hpet::new(timer, legacy_lines)` | memory FED00000h |
//! | VMware's absolute pointer | `vmmouse::VmMouse::new()` | no port of its own: the processor's backdoor at 5658h |
//! | test ports | `debug::DebugExit::new()`, `debug::DebugConsole::new(backend)` | 0-3 from the spec's port; 0, 1 = E9h, 402h |
#![forbid(unsafe_code)]

pub mod acpi;
pub mod coprocessor;
pub mod debug;
pub mod dma;
pub mod fdc;
pub mod fwcfg;
pub mod hpet;
pub mod i8042;
pub mod ide;
pub mod ioapic;
pub mod lapic;
pub mod pci;
pub mod pic;
pub mod pit;
pub mod rtc;
pub mod sysctl;
pub mod uart;
pub mod vga;
pub mod virtio;
pub mod vmmouse;

mod bits;
pub mod bytes;

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testbench;
