use super::*;
use crate::conformance::{Access, Subject, conformance};
use crate::testbench::Bench;

impl Bench {
    fn apic_write(&mut self, apic: &mut Lapic, offset: u64, value: u32) {
        apic.mmio_write(&mut self.ctx(), offset, AccessSize::Dword, u64::from(value));
    }

    fn apic_read(&mut self, apic: &mut Lapic, offset: u64) -> u32 {
        u32::try_from(apic.mmio_read(&mut self.ctx(), offset, AccessSize::Dword)).unwrap()
    }
}

/// A unit that software has enabled.
fn enabled() -> (Bench, Lapic) {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(timer);
    b.apic_write(&mut apic, regs::SVR, 0x1FF);
    (b, apic)
}

fn take(apic: &mut Lapic) -> Option<u8> {
    Lapic::acknowledge(apic)
}

struct Worked;

impl Subject for Worked {
    type Dev = Lapic;

    fn build(bench: &mut Bench) -> Lapic {
        let timer = bench.timer();
        Lapic::new(timer)
    }

    fn mutate(apic: &mut Lapic, b: &mut Bench) {
        for (offset, value) in [
            (regs::SVR, 0x1FE),
            (regs::ID, 0x0100_0000),
            (regs::LDR, 0x0200_0000),
            (regs::DFR, 0x0FFF_FFFF),
            (regs::DIVIDE, 0b1010),
            (regs::LVT + 0x30, regs::DELIVERY_EXTINT),
            (regs::LVT, 0xEC),
            (regs::INITIAL_COUNT, 1_000_000),
            (regs::ICR_HIGH, 0x0300_0000),
            (regs::ICR_LOW, regs::ICR_SELF | 5),
            (regs::TPR, 0x20),
        ] {
            b.apic_write(apic, offset, value);
        }
        apic.deliver(0x41, true);
        let _ = take(apic);
        apic.deliver(0x51, false);
        apic.set_lint1(true);
        apic.signal_nmi();
        b.apic_write(apic, regs::ESR, 0);
        apic.deliver(3, false);
    }

    fn access(apic: &mut Lapic, b: &mut Bench, a: Access) {
        let offset = u64::from(a.offset) * 0x10 % 0x1020;
        let _ = apic.mmio_peek(b.now, offset + 1, a.size);
        if a.write {
            apic.mmio_write(&mut b.ctx(), offset, a.size, u64::from(a.value));
            let picks = REGISTERS[usize::from(a.offset) % REGISTERS.len()];
            b.apic_write(apic, picks, a.value);
            apic.deliver(a.value.to_le_bytes()[1], a.value & 1 != 0);
        } else {
            let peeked = apic.mmio_peek(b.now, offset, a.size);
            assert_eq!(peeked, apic.mmio_read(&mut b.ctx(), offset, a.size));
            let _ = (take(apic), apic.take_eoi(), apic.take_nmi());
        }
    }

    fn deadline(apic: &mut Lapic, b: &mut Bench, timer: TimerId) {
        apic.on_deadline(&mut b.ctx(), timer);
    }
}

const REGISTERS: [u64; 9] = [
    regs::SVR,
    regs::LVT,
    regs::INITIAL_COUNT,
    regs::DIVIDE,
    regs::EOI,
    regs::TPR,
    regs::ICR_LOW,
    regs::LVT + 0x50,
    regs::ESR,
];

conformance!(lapic_conformance, Worked);

#[test]
fn version_register_tells_14h_with_six_entries() {
    let (mut b, mut apic) = enabled();
    assert_eq!(b.apic_read(&mut apic, regs::VERSION), 0x0005_0014);
}

#[test]
fn message_to_a_disabled_unit_is_lost() {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(timer);
    apic.deliver(0x40, false);
    assert_eq!(apic.pending_vector(), None);
}

#[test]
fn higher_vector_is_taken_first_and_the_lower_waits_for_eoi() {
    let (mut b, mut apic) = enabled();
    apic.deliver(0x31, false);
    apic.deliver(0x52, false);
    assert_eq!((take(&mut apic), apic.pending_vector()), (Some(0x52), None));
    b.apic_write(&mut apic, regs::EOI, 0);
    assert_eq!(take(&mut apic), Some(0x31));
}

#[test]
fn vector_of_the_same_class_does_not_interrupt() {
    let (_, mut apic) = enabled();
    apic.deliver(0x51, false);
    let _ = take(&mut apic);
    apic.deliver(0x5F, false);
    assert_eq!(apic.pending_vector(), None);
}

#[test]
fn task_priority_holds_back_its_class_and_below() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::TPR, 0x50);
    apic.deliver(0x5F, false);
    assert_eq!(apic.pending_vector(), None);
    apic.set_cr8(4);
    assert_eq!((apic.cr8(), apic.pending_vector()), (4, Some(0x5F)));
}

#[test]
fn end_of_a_level_interrupt_is_reported_once() {
    let (mut b, mut apic) = enabled();
    apic.deliver(0x61, true);
    let _ = take(&mut apic);
    b.apic_write(&mut apic, regs::EOI, 0);
    assert_eq!((apic.take_eoi(), apic.take_eoi()), (Some(0x61), None));
}

#[test]
fn end_of_an_edge_interrupt_is_not_reported() {
    let (mut b, mut apic) = enabled();
    apic.deliver(0x61, false);
    let _ = take(&mut apic);
    b.apic_write(&mut apic, regs::EOI, 0);
    assert_eq!(apic.take_eoi(), None);
}

#[test]
fn one_shot_timer_interrupts_once_at_its_time() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b0011);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1000);
    b.run_until(&mut apic, Nanos(15_999));
    assert_eq!(
        (
            apic.pending_vector(),
            b.apic_read(&mut apic, regs::CURRENT_COUNT)
        ),
        (None, 1)
    );
    b.run_until(&mut apic, Nanos(16_000));
    assert_eq!(
        (take(&mut apic), b.apic_read(&mut apic, regs::CURRENT_COUNT)),
        (Some(0x40), 0)
    );
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn periodic_timer_reloads_without_drift() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b1011);
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_PERIODIC);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1_000_000);
    b.run_until(&mut apic, Nanos(5_500_000));
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 500_000);
    assert_eq!(b.scheduler.next(), Some(Nanos(6_000_000)));
}

#[test]
fn periodic_timer_of_one_nanosecond_wakes_at_the_least_distance() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b1011);
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_PERIODIC);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1);
    b.run_until(&mut apic, Nanos(1));
    assert_eq!(b.scheduler.next(), Some(Nanos(1 + MIN_WAKE_NS)));
}

#[test]
fn masked_timer_counts_without_a_deadline() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b1011);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1_000_000);
    b.now = Nanos(400_000);
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 600_000);
    assert_eq!(b.scheduler.next(), None);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    assert_eq!(b.scheduler.next(), Some(Nanos(1_000_000)));
}

#[test]
fn deadline_passed_but_not_served_is_delivered_before_the_timer_changes() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1000);
    b.now = Nanos(5000);
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_MASKED);
    assert_eq!((take(&mut apic), b.scheduler.next()), (Some(0x40), None));
}

#[test]
fn divisor_changed_on_the_way_goes_on_from_the_count() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b1011);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1000);
    b.now = Nanos(600);
    b.apic_write(&mut apic, regs::DIVIDE, 0);
    assert_eq!(b.scheduler.next(), Some(Nanos(600 + 800)));
}

#[test]
fn self_ipi_arrives_and_ipi_to_others_does_not() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::ICR_LOW, regs::ICR_OTHERS | 0x40);
    assert_eq!(apic.pending_vector(), None);
    b.apic_write(&mut apic, regs::ICR_LOW, regs::ICR_SELF | 0x41);
    assert_eq!(take(&mut apic), Some(0x41));
}

#[test]
fn init_and_startup_to_an_absent_processor_are_accepted() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::ICR_HIGH, 0x0100_0000);
    b.apic_write(&mut apic, regs::ICR_LOW, 0x0000_C500);
    b.apic_write(&mut apic, regs::ICR_LOW, 0x0000_0699);
    assert_eq!(
        (b.apic_read(&mut apic, regs::ICR_LOW), apic.pending_vector()),
        (0x0000_0699, None)
    );
}

#[test]
fn destination_modes_match_as_the_manual_says() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LDR, 0x0200_0000);
    let flat = [
        apic.accepts(0, false),
        apic.accepts(1, false),
        apic.accepts(6, true),
        apic.accepts(4, true),
    ];
    b.apic_write(&mut apic, regs::DFR, 0x0FFF_FFFF);
    b.apic_write(&mut apic, regs::LDR, 0x3200_0000);
    let cluster = [
        apic.accepts(0x36, true),
        apic.accepts(0x26, true),
        apic.accepts(0xFF, true),
    ];
    assert_eq!(
        (flat, cluster),
        ([true, false, true, false], [true, false, true])
    );
}

#[test]
fn illegal_vector_shows_in_esr_after_a_write_to_it() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LVT + 0x50, 0xFE);
    apic.deliver(7, false);
    assert_eq!(b.apic_read(&mut apic, regs::ESR), 0);
    b.apic_write(&mut apic, regs::ESR, 0);
    assert_eq!(
        (b.apic_read(&mut apic, regs::ESR), take(&mut apic)),
        (regs::ESR_RECEIVE_ILLEGAL, Some(0xFE))
    );
}

#[test]
fn virtual_wire_takes_the_8259_and_nmi() {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(timer);
    assert!(!apic.accepts_extint());
    apic.set_virtual_wire();
    apic.set_lint1(true);
    assert_eq!(
        (apic.accepts_extint(), apic.take_nmi(), apic.take_nmi()),
        (true, true, false)
    );
}

#[test]
fn lint0_in_fixed_mode_delivers_its_vector_on_each_edge() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LVT + 0x30, 0x30);
    apic.set_lint0(true);
    apic.set_lint0(true);
    assert_eq!((take(&mut apic), apic.pending_vector()), (Some(0x30), None));
}

#[test]
fn apic_base_refuses_x2apic_and_reserved_bits() {
    let (mut b, mut apic) = enabled();
    let reset = apic.apic_base();
    assert!(!apic.set_apic_base(&mut b.ctx(), reset | regs::BASE_X2APIC));
    assert!(!apic.set_apic_base(&mut b.ctx(), reset | 1 << 50));
    assert_eq!(apic.apic_base(), 0xFEE0_0900);
}

#[test]
fn apic_base_disabled_resets_the_unit_and_lets_the_8259_through() {
    let (mut b, mut apic) = enabled();
    assert!(apic.set_apic_base(&mut b.ctx(), 0xFEE0_0000));
    assert_eq!((apic.mmio_base(), apic.accepts_extint()), (None, true));
    assert!(apic.set_apic_base(&mut b.ctx(), 0xFED0_0800));
    assert_eq!(
        (apic.mmio_base(), b.apic_read(&mut apic, regs::SVR)),
        (Some(0xFED0_0000), 0xFF)
    );
}

#[test]
fn saved_state_with_reserved_bits_is_refused() {
    let (_, apic) = enabled();
    let mut v = apic.to_v1();
    v.lvt[0] |= 1 << 30;
    assert!(Lapic::new(TimerId(0)).take_v1(&v).is_err());
}
