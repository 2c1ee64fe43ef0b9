//! The differentiated system description table: what the board has that cannot be found by probing.

use super::aml::{
    Aml, Space, device, eisa_id, integer, io, irq, memory_window, name, package, resource_template,
    scope, string, word_window,
};

/// What the description depends on.
#[derive(Debug, Clone, Copy)]
pub struct DsdtInput {
    /// Serial ports: I/O base and interrupt, 0 where there is none.
    pub serial_ports: [(u16, u8); 4],
    /// First address of the PCI memory window (end of low RAM).
    pub pci_memory_start: u32,
    /// Sleep type of soft-off.
    pub slp_typ_s5: u8,
    /// First port of the power management block.
    pub pm_base: u16,
}

/// Last address of the PCI memory window: below the IOAPIC.
const PCI_MEMORY_END: u32 = 0xFEBF_FFFF;
/// PCI slots that have interrupt routes.
const PCI_SLOTS: u32 = 32;
/// Global system interrupts that PIRQA to PIRQD are routed to.
pub const PIRQ_GSI: [u8; 4] = [10, 11, 10, 11];

/// The table's body: AML without the header.
pub fn build(input: &DsdtInput) -> Aml {
    let s5 = package(&[
        integer(u32::from(input.slp_typ_s5)),
        integer(0),
        integer(0),
        integer(0),
    ]);
    let mut isa = vec![
        name("_ADR", &integer(0x0001_0000)),
        simple_device("KBD", "PNP0303", &[io(0x60, 1), io(0x64, 1), irq(1)]),
        simple_device("MOU", "PNP0F13", &[irq(12)]),
        simple_device("RTC", "PNP0B00", &[io(0x70, 2), irq(8)]),
        simple_device("PIC", "PNP0000", &[io(0x20, 2), io(0xA0, 2), irq(2)]),
        simple_device("TMR", "PNP0100", &[io(0x40, 4), irq(0)]),
        simple_device("SPKR", "PNP0800", &[io(0x61, 1)]),
        simple_device(
            "MBRD",
            "PNP0C02",
            &[
                io(0x4D0, 2),
                io(0x92, 1),
                io(0xB2, 2),
                io(input.pm_base, 0x40),
            ],
        ),
    ];
    for (n, (base, line)) in (1u32..).zip(input.serial_ports) {
        if base != 0 {
            isa.push(device(
                &format!("COM{n}"),
                &[
                    name("_HID", &eisa_id("PNP0501")),
                    name("_UID", &integer(n)),
                    name("_STA", &integer(0xF)),
                    name("_CRS", &resource_template(&[io(base, 8), irq(line)])),
                ],
            ));
        }
    }
    let pci = device(
        "PCI0",
        &[
            name("_HID", &eisa_id("PNP0A03")),
            name("_UID", &integer(0)),
            name("_CRS", &pci_windows(input.pci_memory_start)),
            name("_PRT", &interrupt_routes()),
            device("ISA", &isa),
        ],
    );
    let processor = device(
        "CPU0",
        &[name("_HID", &string("ACPI0007")), name("_UID", &integer(0))],
    );
    [name("\\_S5", &s5), scope("\\_SB", &[processor, pci])].concat()
}

fn simple_device(device_name: &str, id: &str, resources: &[Aml]) -> Aml {
    device(
        device_name,
        &[
            name("_HID", &eisa_id(id)),
            name("_CRS", &resource_template(resources)),
        ],
    )
}

fn pci_windows(memory_start: u32) -> Aml {
    resource_template(&[
        word_window(Space::Bus, 0, 0xFF),
        io(0xCF8, 8),
        word_window(Space::Io, 0, 0x0CF7),
        word_window(Space::Io, 0x0D00, 0xFFFF),
        memory_window(0xA_0000, 0xB_FFFF),
        memory_window(memory_start, PCI_MEMORY_END),
    ])
}

/// Every pin of every slot: pins rotate over the four PIRQs by slot number, as the PIIX board does.
fn interrupt_routes() -> Aml {
    let mut routes = Vec::new();
    for slot in 1..PCI_SLOTS {
        for pin in 0..4u32 {
            let gsi = PIRQ_GSI[((slot + pin + 3) % 4) as usize];
            routes.push(package(&[
                integer(slot << 16 | 0xFFFF),
                integer(pin),
                integer(0),
                integer(u32::from(gsi)),
            ]));
        }
    }
    package(&routes)
}
