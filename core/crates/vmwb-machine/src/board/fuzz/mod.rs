//! Hostile guests against a whole board: random but structured programs of accesses to ports, device memory, PCI
//! configuration space and descriptors in RAM, with inputs, media, resets and saved states between them.
//!
//! Every program runs twice: once on one board to its end, once on boards that are saved and restored into new ones (on
//! new memory) wherever the program says so. Both must end in the same saved state, with the same memory. So a program
//! shows panics, arithmetic that overflows, deadlines that do not come to rest, and what a saved state leaves out.
//!
//! `VMWB_FUZZ_CASES` sets how many programs there are.

mod pc;
mod steps;

use proptest::prelude::*;

use pc::{Pc, differences};
use steps::{Step, program};

fn cases() -> u32 {
    std::env::var("VMWB_FUZZ_CASES").map_or(96, |n| n.parse().unwrap())
}

fn run(program: &[Step], restores: bool) -> Pc {
    let mut pc = Pc::new(restores);
    program.iter().for_each(|step| pc.carry_out(step));
    pc.finish();
    pc
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn hostile_guest_breaks_no_board_and_goes_on_after_a_restore_as_without(program in program()) {
        let (whole, restored) = (run(&program, false), run(&program, true));
        for (a, b) in whole.states.iter().zip(&restored.states) {
            prop_assert_eq!(differences(a, b), [""; 0]);
        }
        prop_assert_eq!(whole.memory_hash(), restored.memory_hash());
        prop_assert_eq!(&*whole.printed.0.lock().unwrap(), &*restored.printed.0.lock().unwrap());
    }
}
