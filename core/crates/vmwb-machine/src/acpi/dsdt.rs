//! The differentiated system description table: what the board has that cannot be found by probing.

use super::aml::{
    Aml, Space, and, arg0, buffer, device, dma, dword_field, eisa_id, fixed_memory, give,
    high_memory_window, integer, io, irq, memory_window, method, name, or, package, path,
    pci_config_bytes, pci_interrupts, processor, resource_template, scope, store, string, when,
    word_window,
};
use super::{AcpiInput, HPET_BYTES, low32};
use vmwb_devices::fwcfg::regs::{FW_CFG_PORT, FW_CFG_PORTS};

/// Least first address of the PCI memory window.
const PCI_MEMORY_START: u64 = 0x1000_0000;
/// Last address of the PCI memory window: below the IOAPIC.
const PCI_MEMORY_END: u32 = 0xFEBF_FFFF;
/// PCI slots that have interrupt routes.
const PCI_SLOTS: u32 = 32;
/// Global system interrupts that PIRQA to PIRQD are routed to.
pub const PIRQ_GSI: [u8; 4] = [10, 11, 10, 11];
/// Interrupts that they may be routed to.
const PIRQ_CHOICE: [u8; 2] = [10, 11];
/// First PIRQ route register of the ISA bridge.
const PIRQ_ROUTE: u8 = 0x60;
/// PIRQ route register: not routed.
const PIRQ_DISABLED: u32 = 0x80;
/// PIRQ route register: the interrupt.
const PIRQ_LINE: u32 = 0x0F;
/// Where the interrupt stands in [`pci_interrupts`] of one line.
const INTERRUPT_FIELD: u32 = 5;
/// Interrupt and channel of the floppy controller.
const FLOPPY_IRQ: u8 = 6;
const FLOPPY_DMA: u8 = 2;
/// Channel that joins the two DMA controllers.
const CASCADE_DMA: u8 = 4;
/// `_STA`: present, decoding and working; shown.
const PRESENT: u32 = 0b1111;
/// `_STA`: as [`PRESENT`], but not shown to the user.
const HIDDEN: u32 = 0b1011;
/// `_STA` of a link that is not routed: present and working.
const NOT_ROUTED: u32 = 0b1001;

/// The table's body: AML without the header.
pub fn build(input: &AcpiInput) -> Aml {
    let processors: Vec<Aml> = (0..input.cpus)
        .map(|n| processor(&format!("CPU{n:X}"), n))
        .collect();
    let mut terms = vec![
        name("_HID", &eisa_id("PNP0A03")),
        name("_UID", &integer(0)),
        name("_CRS", &pci_windows(input)),
        device("ISA", &isa(input)),
        link_state(),
    ];
    terms.extend((0..4).map(link));
    terms.push(name("_PRT", &interrupt_routes()));
    if input.parts.fw_cfg {
        let ports = io(FW_CFG_PORT, low8(FW_CFG_PORTS));
        terms.push(device(
            "FWCF",
            &[
                name("_HID", &string("QEMU0002")),
                name("_STA", &integer(HIDDEN)),
                name("_CRS", &resource_template(&[ports])),
            ],
        ));
    }
    let mut board = vec![device("PCI0", &terms)];
    if let Some(hpet) = input.parts.hpet {
        board.push(simple_device(
            "HPET",
            "PNP0103",
            &[fixed_memory(hpet.address, HPET_BYTES)],
        ));
    }
    let s3 = input.pm.slp_typ_s3.map(|kind| name("\\_S3", &sleep(kind)));
    [
        s3.unwrap_or_default(),
        name("\\_S5", &sleep(input.pm.slp_typ_s5)),
        scope("\\_PR", &processors),
        scope("\\_SB", &board),
    ]
    .concat()
}

/// What a sleep state is entered with.
fn sleep(kind: u8) -> Aml {
    package(&[integer(u32::from(kind)), integer(0), integer(0), integer(0)])
}

fn low8(value: u16) -> u8 {
    u8::try_from(value).expect("a device has few ports")
}

fn isa(input: &AcpiInput) -> Vec<Aml> {
    let mut isa = vec![
        name("_ADR", &integer(0x0001_0000)),
        pci_config_bytes("PIRQ", PIRQ_ROUTE, &["PRQA", "PRQB", "PRQC", "PRQD"]),
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
                io(input.pm.base, 0x40),
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
                    name("_STA", &integer(PRESENT)),
                    name("_CRS", &resource_template(&[io(base, 8), irq(line)])),
                ],
            ));
        }
    }
    if input.parts.dma {
        isa.push(simple_device(
            "DMAC",
            "PNP0200",
            &[
                io(0x00, 0x10),
                io(0x81, 3),
                io(0x87, 1),
                io(0x89, 3),
                io(0x8F, 1),
                io(0xC0, 0x20),
                dma(CASCADE_DMA, true),
            ],
        ));
    }
    if let Some(drives) = input.parts.floppy {
        isa.push(floppy(drives));
    }
    isa
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

/// The floppy controller, and which of its drives there are (`_FDE`: five double words, the last for tapes).
fn floppy(drives: [bool; 2]) -> Aml {
    const NEVER_A_TAPE: u32 = 2;
    let present = |at: usize| u32::from(drives[at]);
    let table = [present(0), present(1), 0, 0, NEVER_A_TAPE].map(u32::to_le_bytes);
    let resources = [
        io(0x3F2, 4),
        io(0x3F7, 1),
        irq(FLOPPY_IRQ),
        dma(FLOPPY_DMA, false),
    ];
    device(
        "FDC0",
        &[
            name("_HID", &eisa_id("PNP0700")),
            name("_CRS", &resource_template(&resources)),
            name("_FDE", &buffer(table.as_flattened())),
        ],
    )
}

fn pci_windows(input: &AcpiInput) -> Aml {
    let memory_start = low32(input.low_end.max(PCI_MEMORY_START));
    let mut windows = vec![
        word_window(Space::Bus, 0, 0xFF),
        io(0xCF8, 8),
        word_window(Space::Io, 0, 0x0CF7),
        word_window(Space::Io, 0x0D00, 0xFFFF),
        memory_window(0xA_0000, 0xB_FFFF),
        memory_window(memory_start, PCI_MEMORY_END),
    ];
    if let Some((first, last)) = input.high_pci {
        windows.push(high_memory_window(first, last));
    }
    resource_template(&windows)
}

fn link_name(n: u32) -> String {
    format!("LNK{}", letter(n))
}

fn route_register(n: u32) -> Aml {
    // A name of several parts is not searched for in the scopes around it.
    path(&format!("\\_SB.PCI0.ISA.PRQ{}", letter(n)))
}

fn letter(n: u32) -> char {
    ["A", "B", "C", "D"][(n % 4) as usize]
        .chars()
        .next()
        .expect("it has one character")
}

/// Every pin of every slot: pins rotate over the four PIRQs by slot number, as the PIIX board does.
fn interrupt_routes() -> Aml {
    let mut routes = Vec::new();
    for slot in 1..PCI_SLOTS {
        for pin in 0..4u32 {
            routes.push(package(&[
                integer(slot << 16 | 0xFFFF),
                integer(pin),
                path(&link_name(slot + pin + 3)),
                integer(0),
            ]));
        }
    }
    package(&routes)
}

/// `IQST (route)`, a link's `_STA`; `IQCR (route)`, its `_CRS`.
fn link_state() -> Aml {
    let state = method(
        "IQST",
        1,
        &[
            when(
                &and(&arg0(), &integer(PIRQ_DISABLED)),
                &[give(&integer(NOT_ROUTED))],
            ),
            give(&integer(HIDDEN)),
        ],
    );
    let resources = method(
        "IQCR",
        1,
        &[
            name("BUF", &resource_template(&[pci_interrupts(&[0])])),
            dword_field(&path("BUF"), INTERRUPT_FIELD, "LINE"),
            store(&and(&arg0(), &integer(PIRQ_LINE)), &path("LINE")),
            give(&path("BUF")),
        ],
    );
    [state, resources].concat()
}

/// The interrupt link of PIRQ `n`: the guest sees and changes the ISA bridge's route register through it.
fn link(n: u32) -> Aml {
    let register = route_register(n);
    let of_register = |function: &str| give(&[path(function), register.clone()].concat());
    device(
        &link_name(n),
        &[
            name("_HID", &eisa_id("PNP0C0F")),
            name("_UID", &integer(n + 1)),
            name("_PRS", &resource_template(&[pci_interrupts(&PIRQ_CHOICE)])),
            method("_STA", 0, &[of_register("IQST")]),
            method("_CRS", 0, &[of_register("IQCR")]),
            method(
                "_DIS",
                0,
                &[or(&register, &integer(PIRQ_DISABLED), &register)],
            ),
            method(
                "_SRS",
                1,
                &[
                    dword_field(&arg0(), INTERRUPT_FIELD, "LINE"),
                    store(&path("LINE"), &register),
                ],
            ),
        ],
    )
}
