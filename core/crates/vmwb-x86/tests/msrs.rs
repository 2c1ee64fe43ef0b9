//! Which model has which model-specific register: SDM volume 4; AMD's BIOS and kernel developer's guides.

mod system;

use system::{CODE, End, Rig};
use vmwb_x86::cpu::vector;

const GP: End = End::Vector(vector::GP, 0);
const WRITTEN: End = End::Halt(CODE + 3);

/// EDX:EAX after RDMSR; `None` for #GP.
fn read(model: &str, n: u32) -> Option<u64> {
    let mut rig = Rig::protected_as(model);
    rig.c().r[1] = u64::from(n);
    let end = rig.run(&[0x0F, 0x32, 0xF4]);
    let c = rig.c();
    (end == End::Halt(CODE + 3)).then(|| c.r[0] & 0xFFFF_FFFF | c.r[2] << 32)
}

/// What becomes of a WRMSR of zero.
fn write(model: &str, n: u32) -> End {
    let mut rig = Rig::protected_as(model);
    rig.c().r[1] = u64::from(n);
    rig.run(&[0x0F, 0x30, 0xF4])
}

#[test]
fn registers_of_the_first_machine_check_read_zero_where_there_is_one() {
    for model in ["pentium", "pentium3", "core2", "max"] {
        assert_eq!([0, 1].map(|n| read(model, n)), [Some(0); 2], "{model}");
        assert_eq!([0, 1].map(|n| write(model, n)), [WRITTEN; 2], "{model}");
    }
}

#[test]
fn registers_of_p6_are_intels_since_p6() {
    let registers = [0x17, 0x2A, 0xC1, 0xC2, 0x186, 0x187];
    for model in ["pentium3", "core2"] {
        assert_eq!(registers.map(|n| read(model, n)), [Some(0); 6], "{model}");
        // The platform's number is fused; an update is only written.
        assert_eq!([0x2A, 0x79, 0x186].map(|n| write(model, n)), [WRITTEN; 3]);
        assert_eq!((write(model, 0x17), read(model, 0x79)), (GP, None));
    }
    for model in ["pentium", "x86-64-v1", "max"] {
        assert_eq!(registers.map(|n| read(model, n)), [None; 6], "{model}");
        assert_eq!(write(model, 0x79), GP);
    }
}

#[test]
fn microcode_has_a_revision_since_p6_and_at_amd() {
    let models = ["pentium", "pentium3", "core2", "x86-64-v1", "max"];
    let expected = [None, Some(0), Some(0), Some(0), Some(0)];
    assert_eq!(models.map(|m| read(m, 0x8B)), expected);
}

#[test]
fn fast_strings_are_on_where_there_is_a_register_that_says_so() {
    let models = ["pentium", "pentium3", "core2", "x86-64-v1", "max"];
    let expected = [None, None, Some(0x1801), None, None];
    assert_eq!(models.map(|m| read(m, 0x1A0)), expected);
}

#[test]
fn amds_registers_are_amds() {
    let registers = [
        0xC001_0010,
        0xC001_0015,
        0xC001_001F,
        0xC001_0055,
        0xC001_0000,
    ];
    assert!(registers.iter().all(|&n| read("x86-64-v1", n).is_some()));
    assert_eq!(registers.map(|n| read("core2", n)), [None; 5]);
    assert_eq!(write("core2", 0xC001_0020), GP);
}

#[test]
fn counters_read_zero_by_rdpmc_as_far_as_there_are_any() {
    for (model, counters) in [("pentium3", 2), ("core2", 2), ("x86-64-v1", 4), ("max", 4)] {
        let read = |n: u64| {
            let mut rig = Rig::protected_as(model);
            (rig.c().r[0], rig.c().r[1], rig.c().r[2]) = (7, n, 7);
            let end = rig.run(&[0x0F, 0x33, 0xF4]);
            let c = rig.c();
            (end == WRITTEN).then_some((c.r[0], c.r[2]))
        };
        assert_eq!(read(counters - 1), Some((0, 0)), "{model}");
        assert_eq!(read(counters), None, "{model}");
    }
}
