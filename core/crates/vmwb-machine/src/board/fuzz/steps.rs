//! What a hostile guest does: single accesses to places that matter, and the short sequences that bring a device to where
//! it reads descriptors, so that programs get there often.

use proptest::collection::vec;
use proptest::prelude::*;
use vmwb_hw::{AccessSize, ResetKind};
use vmwb_x86::CpuBus;

use super::pc::Pc;
use crate::input::Input;
use crate::spec::{CONSOLE_PORT, DriveSlot};

/// Slots and functions that there are, as configuration addresses have them.
const FUNCTIONS: [u32; 11] = [
    0x00, 0x08, 0x09, 0x0B, 0x10, 0x20, 0x28, 0x60, 0x68, 0x70, 0x78,
];
/// Of them, the virtio devices.
const VIRTIO: std::ops::Range<usize> = 5..11;
/// First ports and numbers of ports.
const PORTS: [(u16, u16); 26] = [
    (0x00, 0x20),
    (0x20, 2),
    (0x40, 4),
    (0x60, 8),
    (0x70, 2),
    (0x80, 0x13),
    (0xA0, 2),
    (0xB2, 2),
    (0xC0, 0x20),
    (0xE9, 1),
    (0xF0, 2),
    (0x170, 8),
    (0x1CE, 4),
    (0x1F0, 8),
    (0x2E8, 8),
    (0x2F8, 8),
    (0x376, 1),
    (0x3B0, 0x30),
    (0x3E8, 8),
    (0x3F0, 16),
    (0x402, 1),
    (0x4D0, 2),
    (0x501, 4),
    (0x510, 12),
    (0x600, 0x40),
    (0xC000, 0x20),
];
/// Where programs keep rings and tables.
const TABLES: u64 = 0x1000;

/// One thing that happens.
#[derive(Debug, Clone)]
pub enum Step {
    Out(u16, AccessSize, u32),
    In(u16, AccessSize),
    /// A string instruction at a port: what is written, or how many bytes are read.
    OutRun(u16, AccessSize, Vec<u8>),
    InRun(u16, AccessSize, usize),
    Write(u64, AccessSize, u64),
    Read(u64, AccessSize),
    Poke(u64, Vec<u8>),
    Config(usize, u8, u32),
    /// Behind a base address: device, base address, offset.
    Bar(usize, u8, u64, AccessSize, Option<u64>),
    /// An ATA command: channel, unit, features, count, block, command.
    Ata(bool, u8, u8, u8, u64, u8),
    /// A packet command: channel, unit, by DMA, bytes a block, packet.
    Packet(bool, u8, bool, u16, [u8; 12]),
    /// Channel, table, command.
    BusMaster(bool, u64, u8),
    /// Descriptors of the bus master: place, address, length, last.
    Prd(u64, Vec<(u64, u16, bool)>),
    /// Motors, rate, then a command.
    Floppy(u8, u8, Vec<u8>),
    /// Channel, address, count, page, mode.
    Dma(u8, u16, u16, u8, u8),
    /// Device, features, queue, size, rings.
    Virtio(usize, u64, u16, u16, [u64; 3]),
    /// Table, number, address, length, flags, next.
    Descriptor(u64, u16, u64, u32, u16, u16),
    /// Ring, number, head, index.
    Offer(u64, u16, u16, u16),
    Kick(usize, u16),
    /// A descriptor of the firmware configuration's DMA, in words as the device reads them.
    FwCfg(u64, [u32; 4]),
    /// Registers of the Bochs VBE interface, in order.
    Vbe(Vec<(u16, u16)>),
    /// VGA registers: index port, index, value.
    Vga(u16, u8, u8),
    Pass(u64),
    Reset(ResetKind),
    Save,
    Picture,
    Acknowledge,
    Current(usize),
    Cr8(u8),
    ApicBase(u64),
    X2Apic(u32, u64),
    Deadline(u64),
    Ferr(bool),
    Backdoor([u32; 6]),
    Nmi,
    Medium(DriveSlot, Option<usize>, bool),
    Input(Input),
}

fn size() -> impl Strategy<Value = AccessSize> {
    prop_oneof![
        Just(AccessSize::Byte),
        Just(AccessSize::Word),
        Just(AccessSize::Dword)
    ]
}

fn wide() -> impl Strategy<Value = AccessSize> {
    prop_oneof![3 => size(), 1 => Just(AccessSize::Qword)]
}

fn port() -> impl Strategy<Value = u16> {
    let known = (0..PORTS.len(), any::<u16>()).prop_map(|(n, at)| PORTS[n].0 + at % PORTS[n].1);
    prop_oneof![20 => known, 1 => any::<u16>()]
}

fn value() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..4_u32,
        4 => any::<u8>().prop_map(u32::from),
        1 => any::<u16>().prop_map(u32::from),
        1 => any::<u32>(),
        1 => Just(u32::MAX)
    ]
}

/// Addresses that matter: tables and buffers, the devices' own, the ends of memory.
fn address() -> impl Strategy<Value = u64> {
    prop_oneof![
        12 => 0..0x8000_u64,
        2 => 0xA_0000..0xC_0000_u64,
        2 => 0xC_0000..0x10_0000_u64,
        2 => (0..0x400_u64).prop_map(|at| 0xFEE0_0000 + at),
        1 => (0..0x40_u64).prop_map(|at| 0xFEC0_0000 + at),
        2 => (0..0x400_u64).prop_map(|at| 0xFED0_0000 + at),
        2 => (0..0x100_0000_u64).prop_map(|at| 0xFD00_0000 + at),
        1 => (0..0x1000_u64).prop_map(|at| 0xFEBF_0000 + at),
        2 => (VIRTIO, 0..0x9000_u64).prop_map(|(n, at)| virtio_base(FUNCTIONS[n]) + at),
        2 => (0..16_u64).prop_map(|at| (4 << 20) - 8 + at),
        1 => (0..16_u64).prop_map(|at| (1 << 32) - 8 + at),
        1 => any::<u32>().prop_map(u64::from),
        1 => any::<u64>(),
    ]
}

/// Where a virtio device's registers are placed; its MSI-X table lies 8000h behind.
fn virtio_base(device: u32) -> u64 {
    0xE000_0000 | u64::from(device) << 16
}

fn table() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (0..8_u64).prop_map(|n| TABLES + n * 0x800),
        1 => address()
    ]
}

fn length() -> impl Strategy<Value = u32> {
    prop_oneof![
        4 => 0..64_u32,
        2 => Just(512),
        1 => Just(4096),
        1 => 0..0x2_0000_u32,
        1 => any::<u32>()
    ]
}

fn function() -> impl Strategy<Value = usize> {
    0..FUNCTIONS.len()
}

fn base_value() -> impl Strategy<Value = u32> {
    prop_oneof![
        2 => Just(u32::MAX),
        2 => 0..0x30_u32,
        4 => address().prop_map(|at| u32::try_from(at & 0xFFFF_FFFF).unwrap()),
        2 => port().prop_map(u32::from),
    ]
}

fn config() -> impl Strategy<Value = Step> {
    let register = prop_oneof![
        2 => Just(0x04_u8),
        4 => (0..8_u8).prop_map(|n| 0x10 + 4 * n),
        2 => (0x14..0x20_u8).prop_map(|n| n * 4),
        2 => (0..64_u8).prop_map(|n| n * 4),
    ];
    (function(), register, prop_oneof![base_value(), value()])
        .prop_map(|(n, register, value)| Step::Config(n, register, value))
}

fn disk_steps() -> impl Strategy<Value = Step> {
    let block = prop_oneof![4 => 0..0x800_u64, 1 => any::<u64>()];
    let count = prop_oneof![4 => 0..4_u8, 1 => any::<u8>()];
    let command = prop_oneof![
        3 => proptest::sample::select(vec![
            0x20_u8, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0x40, 0xC4, 0xC5, 0xC6, 0xC8, 0xCA, 0xE7, 0xEC, 0xA1, 0xEF,
            0x06, 0x08, 0x91, 0xF8, 0x3D, 0xCE
        ]),
        1 => any::<u8>()
    ];
    let ata = (any::<bool>(), 0..2_u8, any::<u8>(), count, block, command)
        .prop_map(|(c, unit, f, n, block, command)| Step::Ata(c, unit, f, n, block, command));
    let operation = prop_oneof![
        3 => proptest::sample::select(vec![
            0x00_u8, 0x03, 0x12, 0x1B, 0x1E, 0x25, 0x28, 0x2B, 0x42, 0x43, 0x46, 0x4A, 0x51, 0x52, 0x5A, 0xA8, 0xAC, 0xAD, 0xBD,
            0xBE, 0xB9, 0x44
        ]),
        1 => any::<u8>()
    ];
    let byte = || prop_oneof![3 => 0..4_u8, 1 => any::<u8>()];
    let packet = (
        operation,
        proptest::array::uniform11(byte()),
        any::<bool>(),
        any::<bool>(),
        0..2_u8,
        any::<u16>(),
    )
        .prop_map(|(operation, rest, channel, dma, unit, limit)| {
            let mut packet = [operation; 12];
            packet[1..].copy_from_slice(&rest);
            Step::Packet(channel, unit, dma, limit, packet)
        });
    let prd = (table(), vec((address(), any::<u16>(), any::<bool>()), 1..5))
        .prop_map(|(at, entries)| Step::Prd(at, entries));
    let master = (
        any::<bool>(),
        table(),
        prop_oneof![Just(1), Just(9), any::<u8>()],
    )
        .prop_map(|(c, table, command)| Step::BusMaster(c, table, command));
    prop_oneof![ata, packet, prd, master]
}

fn floppy_steps() -> impl Strategy<Value = Step> {
    let command = prop_oneof![
        3 => proptest::sample::select(vec![0xE6_u8, 0xC5, 0x4D, 0x4A, 0x07, 0x08, 0x0F, 0x03, 0x13, 0x42, 0x56, 0xF6, 0x8F]),
        1 => any::<u8>()
    ];
    let byte = || prop_oneof![4 => 0..3_u8, 1 => any::<u8>()];
    let floppy = (any::<u8>(), 0..4_u8, command, vec(byte(), 0..9)).prop_map(
        |(motors, rate, command, rest)| Step::Floppy(motors, rate, [vec![command], rest].concat()),
    );
    let dma = (
        0..8_u8,
        any::<u16>(),
        prop_oneof![Just(511), any::<u16>()],
        prop_oneof![3 => Just(0), 1 => any::<u8>()],
        any::<u8>(),
    )
        .prop_map(|(c, address, count, page, mode)| Step::Dma(c, address, count, page, mode));
    prop_oneof![2 => floppy, 1 => dma]
}

fn virtio_steps() -> impl Strategy<Value = Step> {
    let start = (
        VIRTIO,
        prop_oneof![Just(0_u64), Just(u64::MAX), any::<u64>()],
        0..4_u16,
        prop_oneof![4 => Just(16_u16), 1 => any::<u16>()],
        [table(), table(), table()],
    )
        .prop_map(|(n, features, queue, size, rings)| {
            Step::Virtio(n, features, queue, size, rings)
        });
    let descriptor = (table(), 0..16_u16, address(), length(), 0..8_u16, 0..18_u16).prop_map(
        |(table, n, at, len, flags, next)| Step::Descriptor(table, n, at, len, flags, next),
    );
    let offer = (table(), 0..16_u16, 0..16_u16, 0..20_u16)
        .prop_map(|(ring, n, head, index)| Step::Offer(ring, n, head, index));
    let kick = (VIRTIO, 0..4_u16).prop_map(|(n, queue)| Step::Kick(n, queue));
    prop_oneof![1 => start, 2 => descriptor, 1 => offer, 2 => kick]
}

fn display_steps() -> impl Strategy<Value = Step> {
    let vbe = vec(
        (
            0..12_u16,
            prop_oneof![3 => 0..0x100_u16, 2 => 0..2561_u16, 1 => any::<u16>()],
        ),
        1..8,
    )
    .prop_map(Step::Vbe);
    let vga = (
        proptest::sample::select(vec![0x3C4_u16, 0x3CE, 0x3D4, 0x3C0, 0x3B4]),
        0..0x20_u8,
        any::<u8>(),
    )
        .prop_map(|(port, index, value)| Step::Vga(port, index, value));
    prop_oneof![1 => vbe, 2 => vga, 1 => Just(Step::Picture)]
}

fn processor_steps() -> impl Strategy<Value = Step> {
    let base = prop_oneof![
        Just(0xFEE0_0900_u64),
        Just(0xFEE0_0D00),
        address().prop_map(|at| at & !0xFFF | 0x900),
        any::<u64>()
    ];
    prop_oneof![
        3 => Just(Step::Acknowledge),
        2 => (0..2_usize).prop_map(Step::Current),
        1 => (0..16_u8).prop_map(Step::Cr8),
        1 => base.prop_map(Step::ApicBase),
        2 => (0x800..0x840_u32, any::<u64>()).prop_map(|(msr, value)| Step::X2Apic(msr, value)),
        1 => prop_oneof![0..2_000_000_u64, any::<u64>()].prop_map(Step::Deadline),
        1 => any::<bool>().prop_map(Step::Ferr),
        1 => proptest::array::uniform6(value()).prop_map(|mut registers| {
            registers[0] = 0x564D_5868;
            Step::Backdoor(registers)
        }),
        1 => Just(Step::Nmi),
    ]
}

fn outside_steps() -> impl Strategy<Value = Step> {
    let key = (1..0x80_u16, any::<bool>()).prop_map(|(code, down)| Input::Key { code, down });
    let serial = (
        prop_oneof![0..4_u8, Just(CONSOLE_PORT)],
        vec(any::<u8>(), 0..200),
    )
        .prop_map(|(port, data)| Input::Serial { port, data });
    let motion = (any::<i32>(), any::<i32>(), any::<i32>(), any::<u8>()).prop_map(
        |(dx, dy, wheel, buttons)| Input::Motion {
            dx,
            dy,
            wheel,
            buttons,
        },
    );
    let position = (any::<u16>(), any::<u16>(), any::<i32>(), any::<u8>()).prop_map(
        |(x, y, wheel, buttons)| Input::Position {
            x,
            y,
            wheel,
            buttons,
        },
    );
    let input = prop_oneof![key, serial, motion, position, Just(Input::PowerButton)];
    let slot = prop_oneof![
        (0..4_u8).prop_map(DriveSlot::Ide),
        (0..2_u8).prop_map(DriveSlot::Floppy),
        Just(DriveSlot::Virtio(0))
    ];
    let bytes = prop_oneof![Just(None), Just(Some(1440 << 10)), Just(Some(512))];
    prop_oneof![
        3 => input.prop_map(Step::Input),
        1 => (slot, bytes, any::<bool>()).prop_map(|(slot, bytes, force)| Step::Medium(slot, bytes, force)),
    ]
}

fn plain_steps() -> impl Strategy<Value = Step> {
    let option = || prop::option::of(prop_oneof![0..16_u64, any::<u64>()]);
    let bar = (
        function(),
        0..6_u8,
        prop_oneof![0..0x40_u64, 0..0x4000_u64],
        wide(),
        option(),
    )
        .prop_map(|(n, bar, at, size, value)| Step::Bar(n, bar, at, size, value));
    let fw_cfg = (address(), proptest::array::uniform4(value()))
        .prop_map(|(at, words)| Step::FwCfg(at, words));
    prop_oneof![
        6 => (port(), size(), value()).prop_map(|(port, size, value)| Step::Out(port, size, value)),
        4 => (port(), size()).prop_map(|(port, size)| Step::In(port, size)),
        1 => (port(), size(), vec(any::<u8>(), 4..600)).prop_map(|(port, size, data)| Step::OutRun(port, size, data)),
        1 => (port(), size(), 4..600_usize).prop_map(|(port, size, len)| Step::InRun(port, size, len)),
        4 => (address(), wide(), value()).prop_map(|(at, size, value)| Step::Write(at, size, value.into())),
        3 => (address(), wide()).prop_map(|(at, size)| Step::Read(at, size)),
        1 => (address(), vec(any::<u8>(), 1..40)).prop_map(|(at, bytes)| Step::Poke(at, bytes)),
        4 => bar,
        1 => fw_cfg,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let reset =
        proptest::sample::select(vec![ResetKind::PowerOn, ResetKind::Hard, ResetKind::Sleep]);
    prop_oneof![
        16 => plain_steps(),
        4 => config(),
        8 => disk_steps(),
        6 => floppy_steps(),
        12 => virtio_steps(),
        4 => display_steps(),
        5 => processor_steps(),
        4 => outside_steps(),
        8 => prop_oneof![4 => 0..200_000_u64, 1 => 0..20_000_000_u64].prop_map(Step::Pass),
        1 => reset.prop_map(Step::Reset),
        2 => Just(Step::Save),
    ]
}

/// A program, with devices switched on and placed as firmware would, half of the time.
pub fn program() -> impl Strategy<Value = Vec<Step>> {
    (any::<bool>(), vec(step(), 1..120)).prop_map(|(placed, steps)| {
        let first = if placed { placing() } else { Vec::new() };
        [first, steps].concat()
    })
}

/// Base addresses where [`address`] looks for them, decoding and bus mastering on.
fn placing() -> Vec<Step> {
    let mut steps = vec![
        Step::Config(2, 0x20, 0xC000),
        Step::Config(4, 0x10, 0xFD00_0000),
    ];
    for n in VIRTIO {
        let base = u32::try_from(virtio_base(FUNCTIONS[n])).unwrap();
        steps.extend([
            Step::Config(n, 0x20, base),
            Step::Config(n, 0x14, base + 0x8000),
        ]);
    }
    steps.extend((0..FUNCTIONS.len()).map(|n| Step::Config(n, 0x04, 7)));
    steps
}

impl Pc {
    /// Carries out one step.
    pub fn carry_out(&mut self, step: &Step) {
        match step.clone() {
            Step::Out(port, size, value) => self.out(port, size, value),
            Step::In(port, size) => {
                self.input(port, size);
            }
            Step::OutRun(port, size, data) => {
                let units = self.board.pio_write_run(port, size, &data);
                assert!(units * usize::try_from(size.bytes()).unwrap() <= data.len());
                self.out(port, size, 0);
            }
            Step::InRun(port, size, len) => {
                let units = self.board.pio_read_run(port, size, &mut vec![0; len]);
                assert!(units * usize::try_from(size.bytes()).unwrap() <= len);
                self.input(port, size);
            }
            Step::Write(at, size, value) => self.write(at, size, value),
            Step::Read(at, size) => self.read(at, size),
            Step::Poke(at, bytes) => self.poke(at, &bytes),
            Step::Config(n, register, value) => self.config(FUNCTIONS[n], register, value),
            Step::Bar(n, bar, at, size, value) => {
                let place = self.bar(FUNCTIONS[n], bar);
                self.behind(place, at, size, value);
            }
            Step::Ata(..) | Step::Packet(..) | Step::BusMaster(..) | Step::Prd(..) => {
                self.disk_step(step);
            }
            Step::Floppy(motors, rate, command) => {
                self.outb(0x3F2, motors | 0x0C);
                self.outb(0x3F7, rate);
                command.iter().for_each(|&byte| self.outb(0x3F5, byte));
            }
            Step::Dma(channel, address, count, page, mode) => {
                self.dma(channel, address, count, page, mode);
            }
            Step::Virtio(..) | Step::Descriptor(..) | Step::Offer(..) | Step::Kick(..) => {
                self.virtio_step(step);
            }
            Step::FwCfg(at, words) => {
                let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
                self.poke(at, &bytes);
                let [.., a, b, c, d] = at.to_be_bytes();
                self.out(0x518, AccessSize::Dword, u32::from_le_bytes([a, b, c, d]));
            }
            Step::Vbe(registers) => {
                for (index, value) in registers {
                    self.out(0x1CE, AccessSize::Word, index.into());
                    self.out(0x1D0, AccessSize::Word, value.into());
                }
            }
            Step::Vga(port, index, value) => {
                self.outb(port, index);
                self.outb(if port == 0x3C0 { port } else { port + 1 }, value);
            }
            Step::Pass(ns) => self.pass(ns),
            Step::Reset(kind) => self.board.reset(kind, self.now),
            Step::Save => self.save(),
            Step::Picture => self.picture(),
            Step::Acknowledge => self.acknowledge(),
            other => self.processor_step(other),
        }
    }

    fn processor_step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Current(n) => self.set_current(n),
            Step::Cr8(value) => self.board.set_cr8(value, now),
            Step::ApicBase(value) => {
                self.board.set_apic_base(value);
            }
            Step::X2Apic(msr, value) => {
                self.board.x2apic_write(msr, value, now);
                self.board.x2apic_read(msr, now);
            }
            Step::Deadline(value) => self.board.set_tsc_deadline(value, 0, now),
            Step::Ferr(active) => {
                self.board.set_ferr(active, now);
            }
            Step::Backdoor(mut registers) => {
                self.board.backdoor(&mut registers, now);
            }
            Step::Nmi => {
                self.board.raise_nmi(now);
            }
            Step::Medium(slot, bytes, force) => self.change_medium(slot, bytes, force),
            Step::Input(input) => self.board.deliver(input, now),
            other => unreachable!("{other:?} is no step of a processor"),
        }
        self.pass(1);
    }

    fn disk_step(&mut self, step: &Step) {
        let base = |secondary: &bool| if *secondary { 0x170 } else { 0x1F0 };
        match step {
            Step::Ata(channel, unit, features, count, block, command) => {
                let port = base(channel);
                let bytes = block.to_le_bytes();
                self.outb(port + 6, 0xE0 | unit << 4 | bytes[3] & 0xF);
                for high in [3, 0] {
                    self.outb(port + 1, *features);
                    self.outb(port + 2, if high == 3 { 0 } else { *count });
                    (0..3_u16).for_each(|n| self.outb(port + 3 + n, bytes[usize::from(n) + high]));
                }
                self.outb(port + 7, *command);
            }
            Step::Packet(channel, unit, dma, limit, packet) => {
                let port = base(channel);
                let [low, high] = limit.to_le_bytes();
                self.outb(port + 6, 0xA0 | unit << 4);
                self.outb(port + 1, u8::from(*dma));
                self.outb(port + 4, low);
                self.outb(port + 5, high);
                self.outb(port + 7, 0xA0);
                for word in packet.chunks(2) {
                    let word = u16::from_le_bytes([word[0], word[1]]);
                    self.out(port, AccessSize::Word, word.into());
                }
            }
            Step::BusMaster(channel, table, command) => {
                let place = self.bar(0x09, 4);
                let at = if *channel { 8 } else { 0 };
                self.behind(place, at + 4, AccessSize::Dword, Some(table & 0xFFFF_FFFC));
                self.behind(place, at, AccessSize::Byte, Some((*command).into()));
            }
            Step::Prd(at, entries) => {
                let bytes: Vec<u8> = entries
                    .iter()
                    .flat_map(|(address, len, last)| {
                        let address = address & 0xFFFF_FFFE;
                        let last = u64::from(*last) << 63;
                        (address | u64::from(*len) << 32 | last).to_le_bytes()
                    })
                    .collect();
                self.poke(*at, &bytes);
            }
            other => unreachable!("{other:?} is no step of a disk"),
        }
    }

    fn dma(&mut self, channel: u8, address: u16, count: u16, page: u8, mode: u8) {
        const PAGES: [u16; 8] = [0x87, 0x83, 0x81, 0x82, 0x8F, 0x8B, 0x89, 0x8A];
        let n = channel & 3;
        let (base, step) = if channel < 4 { (0, 1) } else { (0xC0, 2) };
        let port = |register: u16| base + step * register;
        self.outb(port(0xC), 0);
        self.outb(port(0xB), mode & !3 | n);
        for (register, value) in [(u16::from(n) * 2, address), (u16::from(n) * 2 + 1, count)] {
            value
                .to_le_bytes()
                .into_iter()
                .for_each(|byte| self.outb(port(register), byte));
        }
        self.outb(PAGES[usize::from(channel)], page);
        self.outb(port(0xA), n);
    }

    fn virtio_step(&mut self, step: &Step) {
        match *step {
            Step::Virtio(n, features, queue, size, rings) => {
                let place = self.bar(FUNCTIONS[n], 4);
                let mut common = |at, size, value| self.behind(place, at, size, Some(value));
                common(0x14, AccessSize::Byte, 0);
                common(0x14, AccessSize::Byte, 3);
                for (half, bits) in [(0, features & 0xFFFF_FFFF), (1, features >> 32 | 1)] {
                    common(0x08, AccessSize::Dword, half);
                    common(0x0C, AccessSize::Dword, bits);
                }
                common(0x14, AccessSize::Byte, 11);
                common(0x16, AccessSize::Word, queue.into());
                common(0x18, AccessSize::Word, size.into());
                for (at, ring) in [0x20, 0x28, 0x30].into_iter().zip(rings) {
                    common(at, AccessSize::Dword, ring & 0xFFFF_FFFF);
                    common(at + 4, AccessSize::Dword, ring >> 32);
                }
                common(0x1C, AccessSize::Word, 1);
                common(0x14, AccessSize::Byte, 15);
            }
            Step::Descriptor(table, n, at, len, flags, next) => {
                let mut bytes = at.to_le_bytes().to_vec();
                bytes.extend(len.to_le_bytes());
                bytes.extend(flags.to_le_bytes());
                bytes.extend(next.to_le_bytes());
                self.poke(table.saturating_add(16 * u64::from(n)), &bytes);
            }
            Step::Offer(ring, n, head, index) => {
                self.poke(
                    ring.saturating_add(4 + 2 * u64::from(n)),
                    &head.to_le_bytes(),
                );
                self.poke(ring.saturating_add(2), &index.to_le_bytes());
            }
            Step::Kick(n, queue) => {
                let place = self.bar(FUNCTIONS[n], 4);
                let at = 0x3000 + 4 * u64::from(queue);
                self.behind(place, at, AccessSize::Word, Some(queue.into()));
            }
            ref other => unreachable!("{other:?} is no step of a driver"),
        }
    }
}
