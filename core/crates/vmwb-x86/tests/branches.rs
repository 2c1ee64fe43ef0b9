//! Last-branch records: SDM volume 3, chapter 17; AMD64 manual volume 2, section 13.1.

mod system;

use system::{CODE, End, HANDLERS, Rig};
use vmwb_x86::cpu::{flag, seg, vector};

/// mov ecx, 1D9h; mov eax, 1; xor edx, edx; wrmsr
const RECORD: [u8; 14] = [
    0xB9, 0xD9, 1, 0, 0, 0xB8, 1, 0, 0, 0, 0x31, 0xD2, 0x0F, 0x30,
];
/// Where the code behind [`RECORD`] begins.
const AT: u64 = CODE + RECORD.len() as u64;
const GP: End = End::Vector(vector::GP, 0);

/// Runs code with recording switched on by the guest.
fn run(rig: &mut Rig, code: &[u8]) -> End {
    rig.run(&[&RECORD, code].concat())
}

/// The records, from the latest back, as sources and targets.
fn records(rig: &mut Rig) -> [(u64, u64); 4] {
    let b = rig.c().msr.branches;
    std::array::from_fn(|n| {
        let r = b.stack[(usize::from(b.top) + 4 - n) % 4];
        (r.from, r.to)
    })
}

/// EDX:EAX after RDMSR.
fn read(model: &str, n: u32) -> Result<u64, End> {
    let mut rig = Rig::protected_as(model);
    rig.c().r[1] = u64::from(n);
    match rig.run(&[0x0F, 0x32, 0xF4]) {
        End::Halt(_) => Ok(rig.c().r[0] & 0xFFFF_FFFF | rig.c().r[2] << 32),
        end => Err(end),
    }
}

/// What becomes of WRMSR.
fn write(model: &str, n: u32, v: u32) -> End {
    let mut rig = Rig::protected_as(model);
    (rig.c().r[1], rig.c().r[0]) = (u64::from(n), u64::from(v));
    rig.run(&[0x0F, 0x30, 0xF4])
}

#[test]
fn taken_branches_are_recorded_and_others_are_not() {
    let mut rig = Rig::protected_as("core2");
    // cmp eax, eax; jnz +1; jz +1; nop; jmp +0; call +0; hlt
    let code = [
        0x39, 0xC0, 0x75, 1, 0x74, 1, 0x90, 0xEB, 0, 0xE8, 0, 0, 0, 0, 0xF4,
    ];
    assert_eq!(run(&mut rig, &code), End::Halt(AT + 15));
    assert_eq!(
        records(&mut rig),
        [
            (AT + 9, AT + 14),
            (AT + 7, AT + 9),
            (AT + 4, AT + 7),
            (0, 0)
        ]
    );
}

#[test]
fn the_stack_of_records_wraps_and_guests_read_it() {
    let mut rig = Rig::protected_as("core2");
    // mov ecx, 6; l: loop l: five taken; then mov ecx, 1C9h; rdmsr; mov ebx, eax; lea ecx, [ebx+40h]; rdmsr; hlt
    let code = [
        0xB9, 6, 0, 0, 0, 0xE2, 0xFE, 0xB9, 0xC9, 1, 0, 0, 0x0F, 0x32, 0x89, 0xC3, 0x8D, 0x4B,
        0x40, 0x0F, 0x32, 0xF4,
    ];
    assert_eq!(run(&mut rig, &code), End::Halt(AT + 22));
    assert_eq!((rig.c().r[3], rig.c().r[0]), (1, AT + 5));
    assert_eq!(records(&mut rig), [(AT + 5, AT + 5); 4]);
}

#[test]
fn one_record_is_kept_by_p6_and_amds_processors() {
    for model in ["pentium3", "x86-64-v1", "max"] {
        let mut rig = Rig::protected_as(model);
        // jmp +0; jmp +0; mov ecx, 1DBh; rdmsr; mov ebx, eax; inc ecx; rdmsr; hlt
        let code = [
            0xEB, 0, 0xEB, 0, 0xB9, 0xDB, 1, 0, 0, 0x0F, 0x32, 0x89, 0xC3, 0x41, 0x0F, 0x32, 0xF4,
        ];
        assert_eq!(run(&mut rig, &code), End::Halt(AT + 17));
        assert_eq!((rig.c().r[3], rig.c().r[0]), (AT + 2, AT + 4), "{model}");
    }
}

#[test]
fn an_exception_keeps_the_branch_before_it_aside() {
    let mut rig = Rig::protected_as("core2");
    // jmp +0; ud2
    assert_eq!(
        run(&mut rig, &[0xEB, 0, 0x0F, 0x0B]),
        End::Vector(vector::UD, 0)
    );
    let handler = HANDLERS + 16 * u64::from(vector::UD);
    assert_eq!(records(&mut rig)[..2], [(AT + 2, handler), (AT, AT + 2)]);
    let aside = rig.c().msr.branches.interrupted;
    assert_eq!((aside.from, aside.to), (AT, AT + 2));
}

#[test]
fn a_branch_that_faults_is_recorded_as_its_exception_only() {
    let mut rig = Rig::protected_as("core2");
    // jmp far 0:0
    let code = [0xEA, 0, 0, 0, 0, 0, 0];
    assert_eq!(run(&mut rig, &code), GP);
    let handler = HANDLERS + 16 * u64::from(vector::GP);
    assert_eq!(records(&mut rig)[..2], [(AT, handler), (0, 0)]);
}

#[test]
fn software_interrupts_and_their_return_are_recorded() {
    let mut rig = Rig::protected_as("core2");
    rig.write(HANDLERS + 16 * 0x40, &[0xCF]);
    // int 40h; hlt
    assert_eq!(run(&mut rig, &[0xCD, 0x40, 0xF4]), End::Halt(AT + 3));
    let handler = HANDLERS + 16 * 0x40;
    assert_eq!(records(&mut rig)[..2], [(handler, AT + 2), (AT, handler)]);
    let mut rig = Rig::protected_as("core2");
    rig.c().set_flags(flag::OF | 2);
    // into behind wrmsr, whose xor clears OF: mov al, 7Fh; inc al; into
    assert_eq!(
        run(&mut rig, &[0xB0, 0x7F, 0xFE, 0xC0, 0xCE]),
        End::Vector(vector::OF, 0)
    );
    assert_eq!(records(&mut rig)[0].0, AT + 4);
}

#[test]
fn interrupts_are_recorded_from_where_they_return_to() {
    let mut rig = Rig::protected_as("core2");
    let c = rig.c();
    c.msr.debugctl = 1;
    c.set_flags(flag::IF | 2);
    rig.bus.pending = Some(0x40);
    assert_eq!(rig.run(&[0xF4]), End::Vector(0x40, 0));
    assert_eq!(records(&mut rig)[0], (CODE, HANDLERS + 16 * 0x40));
    let mut rig = Rig::protected_as("core2");
    rig.c().msr.debugctl = 1;
    rig.bus.nmi = true;
    assert_eq!(rig.run(&[0xF4]), End::Vector(vector::NMI, 0));
    assert_eq!(records(&mut rig)[0], (CODE, HANDLERS + 32));
}

#[test]
fn a_debug_exception_ends_recording_and_is_no_record() {
    for (code, flags) in [(&[0xEB, 0, 0xF1][..], 2), (&[0xEB, 0, 0x90], flag::TF | 2)] {
        let mut rig = Rig::protected_as("core2");
        rig.c().msr.debugctl = 1;
        rig.c().set_flags(flags);
        assert_eq!(rig.run(code), End::Vector(vector::DB, 0));
        assert_eq!(rig.c().msr.debugctl, 0);
        assert_eq!(records(&mut rig)[..2], [(CODE, CODE + 2), (0, 0)]);
    }
}

#[test]
fn a_move_that_general_detect_meets_ends_recording() {
    let mut rig = Rig::protected();
    let c = rig.c();
    (c.msr.debugctl, c.dr[7]) = (3, 0x2400);
    // mov eax, dr0
    assert_eq!(rig.run(&[0x0F, 0x21, 0xC0]), End::Vector(vector::DB, 0));
    assert_eq!(rig.c().msr.debugctl, 0);
}

#[test]
fn records_are_linear_in_the_core_family_and_offsets_in_the_others() {
    for (model, base) in [("core2", CODE), ("pentium3", 0)] {
        let mut rig = Rig::protected_as(model);
        let c = rig.c();
        c.msr.debugctl = 1;
        (c.seg[seg::CS].base, c.rip) = (CODE, 0);
        rig.changed();
        // jmp +0; hlt
        assert_eq!(rig.run(&[0xEB, 0, 0xF4]), End::Halt(CODE + 3));
        assert_eq!(records(&mut rig)[0].1, base + 2);
    }
}

#[test]
fn models_have_the_registers_of_their_family_alone() {
    assert_eq!(read("pentium", 0x1D9), Err(GP));
    assert_eq!(write("pentium", 0x1D9, 0), GP);
    assert_eq!(
        [0x1D9, 0x1DB, 0x1DE].map(|n| read("pentium3", n)),
        [Ok(0); 3]
    );
    assert_eq!([0x40, 0x60, 0x1C9].map(|n| read("max", n)), [Err(GP); 3]);
    assert_eq!(
        [0x40, 0x63, 0x1C9, 0x1DD].map(|n| read("core2", n)),
        [Ok(0); 4]
    );
    assert_eq!([0x44, 0x64, 0x1DB].map(|n| read("core2", n)), [Err(GP); 3]);
}

#[test]
fn only_the_stack_of_records_can_be_written() {
    let done = End::Halt(CODE + 3);
    assert_eq!([0x40, 0x63, 0x1C9].map(|n| write("core2", n, 3)), [done; 3]);
    assert_eq!(
        [(0x1C9, 4), (0x1DD, 0), (0x1DB, 0)].map(|(n, v)| write("core2", n, v)),
        [GP; 3]
    );
    assert_eq!(
        [0x1DB, 0x1DC, 0x1DD, 0x1DE].map(|n| write("max", n, 0)),
        [GP; 4]
    );
    // The pins are P6's and AMD's.
    assert_eq!(
        ["pentium3", "max"].map(|m| write(m, 0x1D9, 0x3F)),
        [done; 2]
    );
    assert_eq!(write("max", 0x1D9, 0x40), GP);
    assert_eq!(write("core2", 0x1D9, 4), GP);
}
