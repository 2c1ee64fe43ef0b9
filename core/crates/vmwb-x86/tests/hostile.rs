//! Guests made of random bytes in every mode, with random tables under them: whatever they are, a run comes back with a
//! budget used up, a halt or a named stop, and the processor's state can be saved and restored.

mod system;

use std::panic::AssertUnwindSafe;

use system::{CODE, GDT, IDT, LDT, Rig, TSS, TSS2};
use vmwb_x86::Vcpu;

/// Marsaglia's xorshift: the same images in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| (self.next() >> 24) as u8).collect()
    }
}

/// Instructions that matter here stand in the code more often than chance would have them.
const SEEDS: [&[u8]; 24] = [
    &[0xCF],
    &[0x66, 0xCF],
    &[0xCB],
    &[0xCA, 4, 0],
    &[0xCD, 0x21],
    &[0xCC],
    &[0xF1],
    &[0x8E, 0xD0],
    &[0x8E, 0xD8],
    &[0x0F, 0x22, 0xC0],
    &[0x0F, 0x22, 0xD8],
    &[0x0F, 0x22, 0xE0],
    &[0x0F, 0x23, 0xF8],
    &[0x0F, 0x00, 0xD8],
    &[0x0F, 0x00, 0xD0],
    &[0x0F, 0x30],
    &[0x0F, 0x05],
    &[0x0F, 0x34],
    &[0x9D],
    &[0xFB],
    &[0xEA, 0, 0, 0, 0, 0x38, 0],
    &[0x9A, 0, 0, 0, 0, 0x60, 0],
    &[0xF3, 0xA4],
    &[0x0F, 0x01, 0xF0],
];

fn rigs() -> [Rig; 7] {
    let mut user = Rig::protected();
    user.ring3();
    let mut paged = Rig::protected();
    paged.page32();
    let mut long_user = Rig::long();
    long_user.ring3();
    [
        Rig::real(),
        Rig::v86(3),
        Rig::protected(),
        user,
        paged,
        Rig::long(),
        long_user,
    ]
}

fn spoil(rig: &mut Rig, dice: &mut Dice) {
    let mut code = Vec::new();
    while code.len() < 0x800 {
        let n = (dice.next() % 6) as usize;
        code.extend(dice.bytes(n));
        code.extend(SEEDS[(dice.next() % SEEDS.len() as u64) as usize]);
    }
    rig.write(CODE, &code);
    for table in [
        GDT,
        IDT,
        LDT,
        TSS,
        TSS2,
        system::TABLES,
        system::TABLES + 0x3000,
    ] {
        // A few entries of each, so that some still lead somewhere.
        for _ in 0..dice.next() % 4 {
            let at = table + (dice.next() & 0xF8);
            let bytes = dice.bytes(8);
            rig.write(at, &bytes);
        }
    }
    for n in 0..16 {
        rig.c().r[n] = dice.next() >> (dice.next() & 63);
    }
    let flags = dice.next() & 0x24_7FD5 | rig.c().flags() & 1 << 17 | 2;
    rig.c().set_flags(flags);
    if dice.next() & 3 == 0 {
        for n in 0..4 {
            rig.c().dr[n] = CODE + dice.next() % 0x800;
        }
        rig.c().dr[7] = dice.next() & 0xFFFF_0000 | 0x4AA;
    }
    rig.changed();
}

#[test]
fn random_guests_in_every_mode_come_back() {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for round in 0..60 {
        for (mode, mut rig) in rigs().into_iter().enumerate() {
            spoil(&mut rig, &mut dice);
            let run = std::panic::catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..8 {
                    let before = rig.cpu.retired();
                    rig.cpu.run(&mut rig.bus, 500);
                    assert!(rig.cpu.retired() - before <= 500);
                    rig.bus.pending = Some(0x40);
                }
                let state = rig.cpu.save().unwrap();
                rig.cpu.restore(&state).unwrap();
            }));
            assert!(run.is_ok(), "mode {mode} of round {round}");
        }
    }
}
