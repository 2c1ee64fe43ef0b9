use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;
use vmwb_hw::TimerId;

const CARD: PciAddress = PciAddress {
    slot: 3,
    function: 0,
};

fn card() -> Box<ConfigSpace> {
    let mut space = ConfigSpace::new(0x1234_5678, 0x0200_0001, 0);
    space.add_bar(0, BarKind::Memory, 0x1000).unwrap();
    space.add_bar(1, BarKind::Io, 32).unwrap();
    Box::new(space)
}

fn host() -> PciHost {
    let mut host = PciHost::new(0x600);
    host.functions.push((CARD.devfn(), card()));
    host
}

/// Base address of the card.
fn bar(host: &PciHost, bar: usize) -> Option<BarWindow> {
    host.functions[host.find(CARD.devfn()).unwrap()].1.bar(bar)
}

fn select(b: &mut Bench, host: &mut PciHost, at: PciAddress, register: u8) {
    let address = 1 << 31 | u32::from(at.devfn()) << 8 | u32::from(register);
    host.pio_write(&mut b.ctx(), 0, AccessSize::Dword, address);
}

fn read(b: &mut Bench, host: &mut PciHost, at: PciAddress, register: u8) -> u32 {
    select(b, host, at, register);
    host.pio_read(&mut b.ctx(), 4, AccessSize::Dword)
}

fn write(b: &mut Bench, host: &mut PciHost, at: PciAddress, register: u8, value: u32) {
    select(b, host, at, register);
    host.pio_write(&mut b.ctx(), 4, AccessSize::Dword, value);
}

struct Worked;

impl Subject for Worked {
    type Dev = PciHost;

    fn build(_bench: &mut Bench) -> PciHost {
        host()
    }

    fn mutate(host: &mut PciHost, b: &mut Bench) {
        write(
            b,
            host,
            PciAddress::ISA_BRIDGE,
            regs::PIRQ_ROUTE,
            0x0B0A_0B0A,
        );
        write(b, host, CARD, regs::BAR0, 0xF000_0000);
        write(b, host, CARD, regs::COMMAND_STATUS, 3);
        // As in states of before the bit was set from power-on.
        write(b, host, PciAddress::POWER_MANAGEMENT, regs::DEVACTB, 0);
        select(b, host, CARD, regs::COMMAND_STATUS);
    }

    fn access(host: &mut PciHost, b: &mut Bench, a: Access) {
        pio_access(host, b, a);
        select(
            b,
            host,
            [CARD, PciAddress::ISA_BRIDGE][usize::from(a.offset & 1)],
            a.value.to_le_bytes()[2],
        );
        pio_access(
            host,
            b,
            Access {
                offset: 4 + a.offset % 4,
                ..a
            },
        );
    }

    fn deadline(_host: &mut PciHost, _b: &mut Bench, _timer: TimerId) {}
}

conformance!(pci_conformance, Worked);

#[test]
fn chipset_functions_answer_with_their_identities() {
    let (mut b, mut h) = (Bench::new(), host());
    let places = [
        PciAddress::HOST_BRIDGE,
        PciAddress::ISA_BRIDGE,
        PciAddress::POWER_MANAGEMENT,
    ];
    let ids = places.map(|at| read(&mut b, &mut h, at, 0));
    assert_eq!(ids, [0x1237_8086, 0x7000_8086, 0x7113_8086]);
    assert_eq!(
        read(&mut b, &mut h, PciAddress::HOST_BRIDGE, regs::SUBSYSTEM),
        0x1100_1AF4
    );
}

#[test]
fn absent_function_and_other_buses_read_all_ones() {
    let (mut b, mut h) = (Bench::new(), host());
    assert_eq!(
        read(
            &mut b,
            &mut h,
            PciAddress {
                slot: 9,
                function: 0
            },
            0
        ),
        u32::MAX
    );
    h.pio_write(&mut b.ctx(), 0, AccessSize::Dword, 0x8001_0000);
    assert_eq!(h.pio_read(&mut b.ctx(), 4, AccessSize::Dword), u32::MAX);
}

#[test]
fn address_register_keeps_what_mechanism_1_probing_writes() {
    let (mut b, mut h) = (Bench::new(), host());
    h.pio_write(&mut b.ctx(), 0, AccessSize::Dword, 0x8000_0000);
    assert_eq!(h.pio_read(&mut b.ctx(), 0, AccessSize::Dword), 0x8000_0000);
    h.pio_write(&mut b.ctx(), 3, AccessSize::Byte, 1);
    assert_eq!(h.pio_read(&mut b.ctx(), 0, AccessSize::Dword), 0x8000_0000);
}

#[test]
fn data_window_disabled_reads_all_ones() {
    let (mut b, mut h) = (Bench::new(), host());
    h.pio_write(&mut b.ctx(), 0, AccessSize::Dword, 0);
    assert_eq!(h.pio_read(&mut b.ctx(), 4, AccessSize::Word), 0xFFFF);
}

#[test]
fn bytes_and_words_reach_their_lanes() {
    let (mut b, mut h) = (Bench::new(), host());
    select(&mut b, &mut h, PciAddress::HOST_BRIDGE, 0);
    assert_eq!(h.pio_read(&mut b.ctx(), 6, AccessSize::Word), 0x1237);
    assert_eq!(h.pio_read(&mut b.ctx(), 7, AccessSize::Byte), 0x12);
    assert_eq!(h.pio_read(&mut b.ctx(), 7, AccessSize::Word), 0xFF12);
    select(&mut b, &mut h, PciAddress::ISA_BRIDGE, regs::PIRQ_ROUTE);
    h.pio_write(&mut b.ctx(), 5, AccessSize::Byte, 0x0B);
    assert_eq!(h.pio_read(&mut b.ctx(), 4, AccessSize::Dword), 0x8080_0B80);
}

#[test]
fn bar_written_with_ones_tells_its_size() {
    let (mut b, mut h) = (Bench::new(), host());
    write(&mut b, &mut h, CARD, regs::BAR0, u32::MAX);
    write(&mut b, &mut h, CARD, regs::BAR0 + 4, u32::MAX);
    write(&mut b, &mut h, CARD, regs::BAR0 + 8, u32::MAX);
    let sizes = [0, 4, 8].map(|at| read(&mut b, &mut h, CARD, regs::BAR0 + at));
    assert_eq!(sizes, [0xFFFF_F000, 0xFFFF_FFE1, 0]);
}

#[test]
fn bar_decodes_only_while_the_command_register_lets_it() {
    let (mut b, mut h) = (Bench::new(), host());
    write(&mut b, &mut h, CARD, regs::BAR0, 0xF000_0FFF);
    assert_eq!(bar(&h, 0), None);
    write(
        &mut b,
        &mut h,
        CARD,
        regs::COMMAND_STATUS,
        regs::COMMAND_MEMORY,
    );
    let window = BarWindow {
        kind: BarKind::Memory,
        base: 0xF000_0000,
        len_bytes: 0x1000,
    };
    assert_eq!((bar(&h, 0), bar(&h, 1)), (Some(window), None));
}

#[test]
fn pirq_route_follows_the_isa_bridge() {
    let (mut b, mut h) = (Bench::new(), host());
    assert_eq!(h.pirq_route(0), None);
    write(
        &mut b,
        &mut h,
        PciAddress::ISA_BRIDGE,
        regs::PIRQ_ROUTE,
        0x8B01_0B0A,
    );
    assert_eq!(
        [0, 1, 2, 3, 4].map(|p| h.pirq_route(p)),
        [Some(10), Some(11), None, None, None]
    );
}

#[test]
fn interrupt_pins_rotate_with_the_slots() {
    let pirqs = [1, 2, 3, 4, 5].map(|slot| PciAddress { slot, function: 0 }.pirq(0));
    assert_eq!(pirqs, [0, 1, 2, 3, 0]);
}

#[test]
fn bar_of_an_odd_size_is_refused() {
    let mut space = ConfigSpace::new(0, 0, 0);
    assert_eq!(
        space.add_bar(0, BarKind::Memory, 24),
        Err(BarError::BadSize(24))
    );
    assert_eq!(
        space.add_bar(6, BarKind::Memory, 32),
        Err(BarError::NoSuchBar(6))
    );
}

#[test]
fn power_management_shows_its_block_from_power_on() {
    let (mut b, mut h) = (Bench::new(), host());
    assert_eq!(
        read(&mut b, &mut h, PciAddress::POWER_MANAGEMENT, regs::PM_BASE),
        0x601
    );
    assert_eq!(
        read(&mut b, &mut h, PciAddress::POWER_MANAGEMENT, regs::PM_MISC),
        1
    );
}

#[test]
fn saved_bus_of_another_machine_is_refused() {
    let mut b = Bench::new();
    let saved = host().save().unwrap();
    assert!(PciHost::new(0x600).restore(&mut b.ctx(), &saved).is_err());
}

#[test]
fn attribute_map_of_the_host_bridge_acts_on_memory() {
    let rom = vmwb_hw::RegionSpec {
        bytes: 128 * 1024,
        kind: vmwb_hw::RegionKind::Rom,
    };
    let mut b = Bench::new();
    b.memory = vmwb_hw::GuestMemory::with_regions(2 << 20, &[rom]).unwrap();
    b.memory.set_firmware(Some(vmwb_hw::RegionId(0))).unwrap();
    let mut h = host();
    let writable =
        |b: &Bench| [0xC0, 0xDC, 0xE4, 0xF0].map(|p| b.memory.view(p).writable() == Some(p));
    h.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!(writable(&b), [false; 4]);
    // PAM0 to PAM2 in the upper three bytes: F0000h and C0000h; then PAM4's upper half and PAM5's: DC000h, E4000h.
    write(
        &mut b,
        &mut h,
        PciAddress::HOST_BRIDGE,
        regs::PAM,
        0x0003_3000,
    );
    assert_eq!(writable(&b), [true, false, false, true]);
    write(
        &mut b,
        &mut h,
        PciAddress::HOST_BRIDGE,
        regs::PAM + 4,
        0x0030_3000,
    );
    assert_eq!(writable(&b), [true; 4]);
    let saved = h.save().unwrap();
    h.reset(&mut b.ctx(), ResetKind::Hard);
    assert_eq!(writable(&b), [false; 4]);
    host().restore(&mut b.ctx(), &saved).unwrap();
    assert_eq!(writable(&b), [true; 4]);
}

#[test]
fn smram_is_seen_while_open_and_never_again_once_locked() {
    let (mut b, mut h) = (Bench::new(), host());
    let mut set = |b: &mut Bench, value: u32| {
        write(b, &mut h, PciAddress::HOST_BRIDGE, regs::SMRAM, value << 16);
        let seen = b.memory.view(0xA0).writable().is_some();
        (
            seen,
            read(b, &mut h, PciAddress::HOST_BRIDGE, regs::SMRAM) >> 16,
        )
    };
    assert_eq!(set(&mut b, 0x42), (false, 0x42));
    assert_eq!(set(&mut b, 0x4A), (true, 0x4A));
    assert_eq!(set(&mut b, 0x0A), (false, 0x0A));
    assert_eq!(set(&mut b, 0x5A), (false, 0x1A));
    assert_eq!(set(&mut b, 0x4A), (false, 0x1A));
}

#[test]
fn power_management_says_that_smm_was_set_up_before() {
    let (mut b, mut h) = (Bench::new(), host());
    let devactb = read(&mut b, &mut h, PciAddress::POWER_MANAGEMENT, regs::DEVACTB);
    assert_eq!(devactb, 1 << 25);
}
