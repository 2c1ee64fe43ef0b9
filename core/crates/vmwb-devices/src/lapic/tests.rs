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

fn config(number: u8, timer: TimerId) -> LapicConfig {
    LapicConfig {
        number,
        timer,
        tsc_hz: 2_000_000_000,
        x2apic: true,
        tsc_deadline: true,
    }
}

/// A unit in x2APIC mode, of processor 33, that software has enabled.
fn extended() -> (Bench, Lapic) {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(config(33, timer));
    let base = apic.apic_base() | regs::BASE_X2APIC;
    assert!(apic.set_apic_base(&mut b.ctx(), base));
    assert!(apic.msr_write(&mut b.ctx(), 0x80F, 0x1FF));
    (b, apic)
}

/// A unit that software has enabled.
fn enabled() -> (Bench, Lapic) {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(config(0, timer));
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
        Lapic::new(config(0, timer))
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
        b.apic_write(apic, regs::LVT, 0xEC | regs::LVT_TSC_DEADLINE);
        apic.set_tsc_deadline(&mut b.ctx(), 77_000, 1_000);
        b.apic_write(apic, regs::LVT + 0x30, 0x61 | regs::LVT_LEVEL);
        apic.set_lint0(true);
        apic.signal_init();
        apic.signal_startup(0x9A);
    }

    fn access(apic: &mut Lapic, b: &mut Bench, a: Access) {
        let offset = u64::from(a.offset) * 0x10 % 0x1020;
        let _ = apic.mmio_peek(b.now, offset + 1, a.size);
        if a.write {
            apic.mmio_write(&mut b.ctx(), offset, a.size, u64::from(a.value));
            let picks = REGISTERS[usize::from(a.offset) % REGISTERS.len()];
            b.apic_write(apic, picks, a.value);
            apic.deliver(a.value.to_le_bytes()[1], a.value & 1 != 0);
            let value = u64::from(a.value);
            apic.set_tsc_deadline(&mut b.ctx(), value << 3, value >> 9);
            let msr = 0x7F0 + u32::from(a.offset) % 0x60;
            let _ = apic.msr_write(&mut b.ctx(), msr, value);
            let base = apic.apic_base() & !0xC00 | value & 0xC00;
            let _ = a.value & 7 == 0 && apic.set_apic_base(&mut b.ctx(), base);
            apic.set_lint0(a.value & 2 != 0);
        } else {
            let peeked = apic.mmio_peek(b.now, offset, a.size);
            assert_eq!(peeked, apic.mmio_read(&mut b.ctx(), offset, a.size));
            let _ = apic.msr_read(b.now, 0x800 + u32::from(a.offset));
            let _ = (take(apic), apic.take_eoi(), apic.take_nmi());
            let _ = (apic.take_ipi(), apic.take_signal(&mut b.ctx()));
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
    let mut apic = Lapic::new(config(0, timer));
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
fn timer_changes_between_one_shot_and_periodic_without_losing_its_count() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::DIVIDE, 0b1011);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1_000);
    b.run_until(&mut apic, Nanos(600));
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_PERIODIC);
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 400);
    b.run_until(&mut apic, Nanos(1_500));
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 500);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.run_until(&mut apic, Nanos(2_500));
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 0);
    // At zero it stays there, whatever the mode.
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_PERIODIC);
    b.run_until(&mut apic, Nanos(9_000));
    assert_eq!(b.apic_read(&mut apic, regs::CURRENT_COUNT), 0);
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

fn sent(kind: IpiKind, vector: u8, target: IpiTarget) -> Option<Ipi> {
    Some(Ipi {
        kind,
        vector,
        target,
    })
}

#[test]
fn shorthands_name_the_sender_all_and_the_others() {
    let (mut b, mut apic) = enabled();
    for (shorthand, target) in [
        (regs::ICR_SELF, IpiTarget::Myself),
        (regs::ICR_ALL, IpiTarget::All),
        (regs::ICR_OTHERS, IpiTarget::Others),
    ] {
        b.apic_write(&mut apic, regs::ICR_LOW, shorthand | 0x41);
        assert_eq!(apic.take_ipi(), sent(IpiKind::Fixed, 0x41, target));
        assert_eq!(apic.take_ipi(), None);
    }
}

#[test]
fn init_and_startup_are_sent_and_the_old_deassertion_is_not() {
    let (mut b, mut apic) = enabled();
    let to = IpiTarget::Destination(Destination {
        id: 1,
        logical: false,
    });
    b.apic_write(&mut apic, regs::ICR_HIGH, 0x0100_0000);
    b.apic_write(&mut apic, regs::ICR_LOW, 0x0000_C500);
    assert_eq!(apic.take_ipi(), sent(IpiKind::Init, 0, to));
    b.apic_write(&mut apic, regs::ICR_LOW, 0x0000_8500);
    assert_eq!(apic.take_ipi(), None);
    b.apic_write(&mut apic, regs::ICR_LOW, 0x0000_0699);
    assert_eq!(apic.take_ipi(), sent(IpiKind::StartUp, 0x99, to));
}

#[test]
fn init_by_shorthand_never_reaches_the_sender() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::ICR_LOW, regs::ICR_ALL | 0x500);
    b.apic_write(&mut apic, regs::ICR_LOW, regs::ICR_SELF | 0x610);
    assert_eq!(apic.take_ipi(), None);
}

#[test]
fn destination_modes_match_as_the_manual_says() {
    let (mut b, mut apic) = enabled();
    let takes = |apic: &Lapic, id, logical| apic.accepts(Destination::narrow(id, logical));
    b.apic_write(&mut apic, regs::LDR, 0x0200_0000);
    let flat = [(0, false), (1, false), (6, true), (4, true)].map(|(n, l)| takes(&apic, n, l));
    b.apic_write(&mut apic, regs::DFR, 0x0FFF_FFFF);
    b.apic_write(&mut apic, regs::LDR, 0x3200_0000);
    let cluster = [0x36, 0x26, 0xFF].map(|n| takes(&apic, n, true));
    assert_eq!(
        (flat, cluster),
        ([true, false, true, false], [true, false, true])
    );
    let far = Destination {
        id: 0x100,
        logical: false,
    };
    assert!(!apic.accepts(far));
}

#[test]
fn x2apic_ids_are_wide_and_the_logical_one_is_derived() {
    let (b, apic) = extended();
    assert_eq!(apic.msr_read(b.now, 0x802), Some(33));
    assert_eq!(apic.msr_read(b.now, 0x80D), Some(0x0002_0002));
    let takes = [
        (33, false),
        (0x2100_0000, false),
        (0x0002_0006, true),
        (0x0001_0002, true),
        (u32::MAX, false),
    ]
    .map(|(id, logical)| apic.accepts(Destination { id, logical }));
    assert_eq!(takes, [true, false, true, false, true]);
}

#[test]
fn x2apic_state_machine_refuses_the_shortcuts() {
    let (mut b, mut apic) = enabled();
    let base = apic.apic_base();
    let (x2, off) = (base | regs::BASE_X2APIC, base & !regs::BASE_ENABLE);
    assert!(!apic.set_apic_base(&mut b.ctx(), off | regs::BASE_X2APIC));
    assert!(apic.set_apic_base(&mut b.ctx(), x2));
    assert_eq!(apic.mmio_base(), None);
    assert!(!apic.set_apic_base(&mut b.ctx(), base));
    assert!(apic.set_apic_base(&mut b.ctx(), off));
    assert!(!apic.set_apic_base(&mut b.ctx(), x2));
    assert!(apic.set_apic_base(&mut b.ctx(), base));
    assert_eq!(apic.mmio_base(), Some(LAPIC_BASE));
}

#[test]
fn x2apic_registers_refuse_reserved_bits_and_wrong_directions() {
    let (mut b, mut apic) = extended();
    let refused = [
        (0x802, 0),
        (0x808, 0x100),
        (0x80B, 1),
        (0x80E, 0),
        (0x80F, 1 << 12),
        (0x828, 1),
        (0x831, 0),
        (0x832, 1 << 19),
        (0x838, 1 << 32),
        (0x839, 0),
        (0x83F, 0x100),
        (0x840, 0),
        (0x7FF, 0),
    ];
    assert!(
        refused
            .iter()
            .all(|&(n, v)| !apic.msr_write(&mut b.ctx(), n, v))
    );
    let unreadable = [0x809, 0x80B, 0x80E, 0x82F, 0x831, 0x83F, 0x840];
    assert!(
        unreadable
            .iter()
            .all(|&n| apic.msr_read(b.now, n).is_none())
    );
    let outside = Lapic::new(config(0, TimerId(0)));
    assert_eq!(outside.msr_read(b.now, 0x802), None);
}

#[test]
fn x2apic_command_is_one_write_of_64_bits() {
    let (mut b, mut apic) = extended();
    assert!(apic.msr_write(&mut b.ctx(), 0x830, 0x0000_0123_0000_0841));
    let to = Destination {
        id: 0x123,
        logical: true,
    };
    let ipi = sent(IpiKind::Fixed, 0x41, IpiTarget::Destination(to));
    assert_eq!(
        (apic.take_ipi(), apic.msr_read(b.now, 0x830)),
        (ipi, Some(0x0000_0123_0000_0841))
    );
    assert!(apic.msr_write(&mut b.ctx(), 0x83F, 0x77));
    assert_eq!(
        apic.take_ipi(),
        sent(IpiKind::Fixed, 0x77, IpiTarget::Myself)
    );
}

#[test]
fn init_keeps_mode_and_id_and_comes_before_the_startup_that_follows() {
    let (mut b, mut apic) = extended();
    apic.signal_startup(0x11);
    apic.signal_init();
    apic.signal_startup(0x9A);
    let told = [
        apic.take_signal(&mut b.ctx()),
        apic.take_signal(&mut b.ctx()),
        apic.take_signal(&mut b.ctx()),
    ];
    assert_eq!(
        told,
        [Some(Signal::Init), Some(Signal::StartUp(0x9A)), None]
    );
    assert_eq!(apic.msr_read(b.now, 0x80F), Some(0xFF));
    assert_eq!(apic.msr_read(b.now, 0x802), Some(33));
}

#[test]
fn messages_pass_a_unit_that_the_base_register_disables() {
    let (mut b, mut apic) = enabled();
    assert!(apic.set_apic_base(&mut b.ctx(), 0xFEE0_0000));
    apic.signal_nmi();
    apic.signal_init();
    apic.signal_startup(1);
    assert!(!apic.has_nmi() && !apic.has_signal());
    assert!(!apic.accepts(Destination::narrow(0xFF, false)));
}

#[test]
fn tsc_deadline_interrupts_once_when_the_guests_counter_reaches_it() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_TSC_DEADLINE);
    b.now = Nanos(1_000);
    // The counter stands at 2,000 and the guest has added 500: 1,500 more counts are 750 ns.
    apic.set_tsc_deadline(&mut b.ctx(), 4_000, 500);
    assert_eq!(b.scheduler.next(), Some(Nanos(1_750)));
    assert_eq!(apic.tsc_deadline(Nanos(1_749)), 4_000);
    b.run_until(&mut apic, Nanos(1_750));
    assert_eq!((take(&mut apic), apic.tsc_deadline(b.now)), (Some(0x40), 0));
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn tsc_deadline_in_the_past_interrupts_at_once_and_zero_disarms() {
    let (mut b, mut apic) = enabled();
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_TSC_DEADLINE);
    b.now = Nanos(1_000);
    apic.set_tsc_deadline(&mut b.ctx(), 1_999, 0);
    assert_eq!((take(&mut apic), b.scheduler.next()), (Some(0x40), None));
    apic.set_tsc_deadline(&mut b.ctx(), 9_999, 0);
    apic.set_tsc_deadline(&mut b.ctx(), 0, 0);
    assert_eq!((apic.pending_vector(), b.scheduler.next()), (None, None));
}

#[test]
fn timer_modes_disarm_each_other() {
    let (mut b, mut apic) = enabled();
    apic.set_tsc_deadline(&mut b.ctx(), 9_999, 0);
    assert_eq!(b.scheduler.next(), None);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1_000);
    b.apic_write(&mut apic, regs::LVT, 0x40 | regs::LVT_TSC_DEADLINE);
    b.apic_write(&mut apic, regs::INITIAL_COUNT, 1_000);
    assert_eq!(
        (
            b.scheduler.next(),
            b.apic_read(&mut apic, regs::CURRENT_COUNT)
        ),
        (None, 0)
    );
    apic.set_tsc_deadline(&mut b.ctx(), 9_999, 0);
    b.apic_write(&mut apic, regs::LVT, 0x40);
    assert_eq!((b.scheduler.next(), apic.tsc_deadline(b.now)), (None, 0));
}

#[test]
fn level_at_lint0_interrupts_again_after_its_end_until_it_falls() {
    let (mut b, mut apic) = enabled();
    let entry = regs::LVT + 0x30;
    apic.set_lint0(true);
    b.apic_write(&mut apic, entry, 0x30 | regs::LVT_LEVEL);
    assert_eq!((take(&mut apic), apic.pending_vector()), (Some(0x30), None));
    assert_ne!(b.apic_read(&mut apic, entry) & regs::LVT_REMOTE_IRR, 0);
    b.apic_write(&mut apic, regs::EOI, 0);
    assert_eq!((take(&mut apic), apic.take_eoi()), (Some(0x30), None));
    apic.set_lint0(false);
    b.apic_write(&mut apic, regs::EOI, 0);
    assert_eq!(take(&mut apic), None);
}

#[test]
fn version_1_is_read_as_a_unit_without_what_came_later() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/lapic-v1.cbor");
    let old = Payload {
        name: "lapic".to_owned(),
        kind: "lapic".to_owned(),
        version: 1,
        bytes: std::fs::read(path).unwrap(),
    };
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(config(0, timer));
    apic.restore(&mut b.ctx(), &old).unwrap();
    let now = apic.to_v2();
    assert_eq!(now, LapicV2::from(old.decode::<LapicV1>().unwrap()));
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
    let mut apic = Lapic::new(config(0, timer));
    assert!(!Lapic::new(config(1, timer)).accepts_extint());
    apic.set_virtual_wire();
    apic.set_lint1(true);
    assert_eq!(
        (apic.accepts_extint(), apic.take_nmi(), apic.take_nmi()),
        (true, true, false)
    );
}

#[test]
fn bios_that_only_enables_the_unit_still_gets_the_8259() {
    let mut b = Bench::new();
    let timer = b.timer();
    let mut apic = Lapic::new(config(0, timer));
    assert!(apic.accepts_extint());
    b.apic_write(&mut apic, regs::SVR, 0x1FF);
    assert!(apic.accepts_extint());
    b.apic_write(&mut apic, regs::SVR, 0xFF);
    b.apic_write(&mut apic, regs::SVR, 0x1FF);
    assert!(!apic.accepts_extint());
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
fn apic_base_refuses_reserved_bits_and_modes_that_are_not_there() {
    let mut b = Bench::new();
    let timer = b.timer();
    let old = LapicConfig {
        x2apic: false,
        ..config(0, timer)
    };
    let mut apic = Lapic::new(old);
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
    let mut v = apic.to_v2();
    v.base.lvt[0] |= 1 << 30;
    assert!(Lapic::new(config(0, TimerId(0))).take_v2(&v).is_err());
    let other = apic.to_v2();
    assert!(Lapic::new(config(1, TimerId(0))).take_v2(&other).is_err());
}
