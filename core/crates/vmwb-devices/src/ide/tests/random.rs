//! Random guests: ports, bus master, configuration, tables in memory, media that answer late or fail.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Port(u16, AccessSize, u32, bool),
    /// A command with random registers on a random drive.
    Command(u16, u8, [u8; 6]),
    /// A command packet.
    Packet(u8, [u8; 12]),
    Data(u16, u8, bool),
    Master(u8, AccessSize, u32),
    Config(u8, u32),
    /// A region of the table: slot, address, count and flags.
    Region(u8, u32, u32),
    Hold(bool),
    Fail,
    Serve,
    Change(bool, bool),
    Reset,
    /// Drained, saved and restored into itself.
    Save,
}

fn size() -> impl Strategy<Value = AccessSize> {
    prop_oneof![
        4 => Just(AccessSize::Byte),
        3 => Just(AccessSize::Word),
        2 => Just(AccessSize::Dword)
    ]
}

fn channel() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0u16), Just(0x10)]
}

fn ata() -> impl Strategy<Value = u8> {
    prop_oneof![
        3 => any::<u8>(),
        6 => prop::sample::select(vec![
            c::READ_SECTORS, c::READ_DMA, c::READ_DMA_EXT, c::WRITE_DMA, c::WRITE_SECTORS, c::READ_MULTIPLE,
            c::WRITE_MULTIPLE, c::READ_VERIFY, c::DATA_SET_MANAGEMENT, c::IDENTIFY_DEVICE, c::PACKET, c::SET_FEATURES,
            c::FLUSH_CACHE, c::DEVICE_RESET, c::EXECUTE_DEVICE_DIAGNOSTIC,
        ])
    ]
}

fn operation() -> impl Strategy<Value = u8> {
    use crate::ide::regs::packet as p;
    prop_oneof![
        1 => any::<u8>(),
        6 => prop::sample::select(vec![
            p::READ_10, p::READ_12, p::READ_CD, p::READ_CD_MSF, p::MODE_SENSE_10, p::MODE_SELECT_6, p::READ_TOC,
            p::GET_CONFIGURATION, p::GET_EVENT_STATUS, p::START_STOP_UNIT, p::REQUEST_SENSE, p::TEST_UNIT_READY,
            p::READ_TRACK_INFORMATION, p::READ_SUB_CHANNEL, p::GET_PERFORMANCE,
        ])
    ]
}

/// Small numbers, so that addresses often lie on the media.
fn small() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0u8), 3 => 0u8..8, 1 => any::<u8>()]
}

fn address() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..0x20_0000, 1 => Just(0x1000u32), 1 => Just(0xA_0000u32), 1 => any::<u32>()]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0u16..0x20, size(), any::<u32>(), any::<bool>()).prop_map(|(o, s, v, w)| Step::Port(o, s, v, w)),
        6 => (channel(), ata(), prop::array::uniform6(small())).prop_map(|(o, code, r)| Step::Command(o, code, r)),
        6 => (operation(), prop::array::uniform12(small()))
            .prop_map(|(op, mut cdb)| { let features = cdb[0]; cdb[0] = op; Step::Packet(features, cdb) }),
        4 => (channel(), any::<u8>(), any::<bool>()).prop_map(|(o, n, w)| Step::Data(o, n, w)),
        6 => (0u8..20, size(), address()).prop_map(|(o, s, v)| Step::Master(o, s, v)),
        1 => (0u8..64, any::<u32>()).prop_map(|(register, value)| Step::Config(register * 4, value)),
        6 => (0u8..8, address(), any::<u32>()).prop_map(|(slot, a, c)| Step::Region(slot, a, c)),
        2 => any::<bool>().prop_map(Step::Hold),
        1 => Just(Step::Fail),
        2 => Just(Step::Serve),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(full, force)| Step::Change(full, force)),
        1 => Just(Step::Reset),
        1 => Just(Step::Save),
    ]
}

struct World {
    r: Rig,
    media: [Medium; 3],
}

impl World {
    fn new() -> Self {
        let media = [
            Medium::of_sectors(4096),
            Medium::of_sectors(401),
            Medium::of_sectors(70),
        ];
        let drives = [disk(&media[0]), None, cd(&media[1]), disk(&media[2])];
        let r = Rig::new(drives);
        Self { r, media }
    }

    fn packet(&mut self, features: u8, cdb: &[u8; 12]) {
        let r = &mut self.r;
        r.out(0x16, 0);
        r.out(0x11, features);
        r.out(0x17, c::PACKET);
        for pair in cdb.chunks(2) {
            let value = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
            r.ide
                .pio_write(&mut r.b.ctx(), 0x10, AccessSize::Word, value);
        }
    }

    fn command(&mut self, base: u16, code: u8, registers: [u8; 6]) {
        for (register, value) in (1u16..).zip(registers) {
            let value = if register == regs::DEVICE {
                value & DEV | LBA
            } else {
                value
            };
            self.r.out(base | register, value);
        }
        self.r.out(base | regs::STATUS_COMMAND, code);
    }

    fn region(&mut self, slot: u8, address: u32, count: u32) {
        let entry = u64::from(address) | u64::from(count) << 32;
        let at = GuestAddress(0x1000 + 8 * u64::from(slot));
        self.r.b.memory.write(at, &entry.to_le_bytes()).unwrap();
    }

    fn change(&mut self, full: bool, force: bool) {
        let medium: Box<dyn BlockBackend> = if full {
            Box::new(self.media[1].clone())
        } else {
            Box::new(NoMedium::default())
        };
        let ctx = &mut self.r.b.ctx();
        let _ = self.r.ide.change_medium(ctx, 2, medium, force);
        let _ = self.r.ide.take_ejected();
    }

    fn save(&mut self) {
        self.hold(false);
        self.r.ide.drain(&mut self.r.b.ctx());
        let saved = self.r.ide.save().expect("a drained controller is saved");
        self.r
            .ide
            .restore(&mut self.r.b.ctx(), &saved)
            .expect("what was saved is taken back");
        assert_eq!(self.r.ide.save().expect("saves"), saved);
    }

    fn hold(&mut self, held: bool) {
        self.media.iter().for_each(|m| m.store().held = held);
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Port(offset, size, value, true) => {
                let ctx = &mut self.r.b.ctx();
                self.r.ide.pio_write(ctx, offset, size, value);
            }
            Step::Port(offset, size, ..) => {
                let _ = self.r.ide.pio_read(&mut self.r.b.ctx(), offset, size);
            }
            Step::Command(base, code, registers) => self.command(base, code, registers),
            Step::Packet(features, cdb) => self.packet(features, &cdb),
            Step::Data(base, count, write) => {
                for n in 0..u32::from(count) * 8 {
                    let ctx = &mut self.r.b.ctx();
                    if write {
                        self.r.ide.pio_write(ctx, base, AccessSize::Dword, n);
                    } else {
                        let _ = self.r.ide.pio_read(ctx, base, AccessSize::Dword);
                    }
                }
            }
            Step::Master(offset, size, value) => {
                self.r.bm_write(u64::from(offset), size, u64::from(value));
            }
            Step::Config(register, value) => {
                let ctx = &mut self.r.b.ctx();
                self.r.ide.config_write(ctx, register, value, u32::MAX);
                // Most of the time the controller is one that can be used.
                if value & 3 != 0 {
                    self.r.ide.set_up(ctx, BASE);
                }
            }
            Step::Region(slot, address, count) => self.region(slot, address, count),
            Step::Hold(held) => self.hold(held),
            Step::Fail => {
                let error = BlockError::Host("the disk broke".to_owned());
                self.media[0].store().errors.push_back(error);
            }
            Step::Serve => self.r.serve(),
            Step::Change(full, force) => self.change(full, force),
            Step::Reset => self.r.ide.reset(&mut self.r.b.ctx(), ResetKind::Hard),
            Step::Save => self.save(),
        }
        let _ = self.r.b.take_lines();
    }
}

proptest! {
    #[test]
    fn no_guest_breaks_the_controller(steps in prop::collection::vec(step(), 1..150)) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
            for medium in &world.media {
                prop_assert!(medium.store().answers.len() <= 9);
            }
        }
        // Whatever happened, a reset gives a working disk.
        world.media[0].store().errors.clear();
        world.save();
        world.r.ide.reset(&mut world.r.b.ctx(), ResetKind::Hard);
        world.r.ide.set_up(&mut world.r.b.ctx(), BASE);
        world.r.command28(c::READ_SECTORS, 17, 1);
        prop_assert_eq!(world.r.data(512), world.media[0].sector(17));
    }
}
