//! Instructions that a guest can make last long, because they empty soft TLBs: behind each the bus is asked whether the run
//! shall end, so that a guest which carries out nothing else does not keep anybody waiting.

mod system;

use system::{CODE, Rig};
use vmwb_x86::{Exit, Vcpu};

/// How a run of an endless loop around an instruction ends when the bus wants attention, and after how many instructions.
fn loops(instruction: &[u8]) -> (Exit, u64) {
    let mut rig = Rig::protected();
    let back = 0u8.wrapping_sub(u8::try_from(instruction.len() + 2).unwrap());
    rig.write(CODE, &[instruction, &[0xEB, back]].concat());
    // Decoding the code takes long, too.
    assert_eq!(rig.cpu.run(&mut rig.bus, 10), Exit::Budget);
    rig.bus.attention = true;
    let before = rig.cpu.retired();
    let exit = rig.cpu.run(&mut rig.bus, 1000);
    (exit, rig.cpu.retired() - before)
}

#[test]
fn bus_is_asked_behind_what_may_take_long_and_else_not() {
    let long: [(&str, &[u8]); 3] = [
        ("mov cr3, eax", &[0x0F, 0x22, 0xD8]),
        ("invlpg [eax]", &[0x0F, 0x01, 0x38]),
        ("mov dr7, eax", &[0x0F, 0x23, 0xF8]),
    ];
    for (name, bytes) in long {
        assert_eq!(loops(bytes), (Exit::Attention, 1), "{name}");
    }
    assert_eq!(loops(&[0x90]), (Exit::Budget, 1000));
}
