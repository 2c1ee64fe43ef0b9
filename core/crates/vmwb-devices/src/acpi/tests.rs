use super::*;
use crate::conformance::{Access, Subject, conformance, pio_access};
use crate::testbench::Bench;

const SCI: IrqLine = IrqLine(SCI_GSI);

fn block() -> (Bench, AcpiPm) {
    let mut b = Bench::new();
    let timer = b.timer();
    (b, AcpiPm::new(SCI, timer, PmTimerWidth::Bits24))
}

fn out16(b: &mut Bench, pm: &mut AcpiPm, offset: u16, value: u16) {
    pm.pio_write(&mut b.ctx(), offset, AccessSize::Word, u32::from(value));
}

fn in16(b: &mut Bench, pm: &mut AcpiPm, offset: u16) -> u16 {
    u16::try_from(pm.pio_read(&mut b.ctx(), offset, AccessSize::Word)).unwrap()
}

/// A block that a system has taken over, with these enables.
fn taken_over(enable: u16) -> (Bench, AcpiPm) {
    let (mut b, mut pm) = block();
    b.out(&mut pm, OFFSET_SMI_COMMAND, ACPI_ENABLE);
    out16(&mut b, &mut pm, regs::PM1_ENABLE, enable);
    (b, pm)
}

struct Worked;

impl Subject for Worked {
    type Dev = AcpiPm;

    fn build(bench: &mut Bench) -> AcpiPm {
        let timer = bench.timer();
        AcpiPm::new(SCI, timer, PmTimerWidth::Bits24)
    }

    fn mutate(pm: &mut AcpiPm, b: &mut Bench) {
        b.out(pm, OFFSET_SMI_COMMAND, ACPI_ENABLE);
        b.out(pm, OFFSET_SMI_STATUS, 0x5A);
        out16(b, pm, regs::PM1_ENABLE, regs::PWRBTN | regs::TMR);
        out16(b, pm, regs::PM1_CONTROL, 3 << regs::SLP_TYP_SHIFT);
        out16(b, pm, regs::GPE0_ENABLE, 0x1234);
        pm.press_power_button(&mut b.ctx());
        pm.reset(&mut b.ctx(), ResetKind::Sleep);
        pm.wake(&mut b.ctx(), Waker::Key);
    }

    fn access(pm: &mut AcpiPm, b: &mut Bench, a: Access) {
        pio_access(pm, b, a);
        pio_access(
            pm,
            b,
            Access {
                offset: OFFSET_SMI_COMMAND,
                value: 0xF0 | a.value & 1,
                ..a
            },
        );
    }

    fn deadline(pm: &mut AcpiPm, b: &mut Bench, timer: TimerId) {
        pm.on_deadline(&mut b.ctx(), timer);
    }
}

conformance!(acpi_conformance, Worked);

#[test]
fn smi_command_switches_sci_enable() {
    let (mut b, mut pm) = block();
    b.out(&mut pm, OFFSET_SMI_COMMAND, ACPI_ENABLE);
    assert_eq!(in16(&mut b, &mut pm, regs::PM1_CONTROL), regs::SCI_EN);
    b.out(&mut pm, OFFSET_SMI_COMMAND, ACPI_DISABLE);
    assert_eq!(in16(&mut b, &mut pm, regs::PM1_CONTROL), 0);
}

#[test]
fn power_button_before_the_system_is_up_is_told() {
    let (mut b, mut pm) = block();
    assert!(!pm.press_power_button(&mut b.ctx()));
    assert_eq!(b.take_lines(), []);
}

#[test]
fn power_button_raises_the_sci_until_its_status_is_cleared() {
    let (mut b, mut pm) = taken_over(regs::PWRBTN);
    assert!(pm.press_power_button(&mut b.ctx()));
    assert_eq!(b.take_lines(), [(9, true)]);
    out16(&mut b, &mut pm, regs::PM1_STATUS, regs::PWRBTN);
    assert_eq!(
        (b.take_lines(), in16(&mut b, &mut pm, regs::PM1_STATUS)),
        (vec![(9, false)], 0)
    );
}

#[test]
fn soft_off_asks_for_power_off() {
    let (mut b, mut pm) = taken_over(0);
    out16(
        &mut b,
        &mut pm,
        regs::PM1_CONTROL,
        u16::from(SLP_TYP_S5) << regs::SLP_TYP_SHIFT | regs::SLP_EN,
    );
    assert_eq!(b.power, Some(PowerRequest::PowerOff));
}

#[test]
fn sleep_type_written_first_then_enable_by_byte_asks_for_power_off() {
    let (mut b, mut pm) = taken_over(0);
    b.out(&mut pm, regs::PM1_CONTROL + 1, SLP_TYP_S5 << 2);
    assert_eq!(b.power, None);
    b.out(&mut pm, regs::PM1_CONTROL + 1, SLP_TYP_S5 << 2 | 0x20);
    assert_eq!(b.power, Some(PowerRequest::PowerOff));
}

#[test]
fn sleep_type_0_of_the_piix4_asks_for_power_off() {
    let (mut b, mut pm) = taken_over(0);
    out16(&mut b, &mut pm, regs::PM1_CONTROL, regs::SLP_EN);
    assert_eq!(b.power, Some(PowerRequest::PowerOff));
}

#[test]
fn other_sleep_types_do_nothing() {
    let (mut b, mut pm) = taken_over(0);
    for kind in [2, 3, 4, 6, 7] {
        let value = kind << regs::SLP_TYP_SHIFT | regs::SLP_EN;
        out16(&mut b, &mut pm, regs::PM1_CONTROL, value);
    }
    assert_eq!(b.power, None);
}

/// A system that has gone to sleep with these enables; its SCI was asserted.
fn sleeping(enable: u16) -> (Bench, AcpiPm) {
    let (mut b, mut pm) = taken_over(enable | regs::PWRBTN);
    pm.press_power_button(&mut b.ctx());
    let value = u16::from(SLP_TYP_S3) << regs::SLP_TYP_SHIFT | regs::SLP_EN;
    out16(&mut b, &mut pm, regs::PM1_CONTROL, value);
    assert_eq!(b.power.take(), Some(PowerRequest::Sleep));
    b.take_lines();
    pm.reset(&mut b.ctx(), ResetKind::Sleep);
    (b, pm)
}

#[test]
fn sleep_releases_the_sci_and_stops_the_timer() {
    let (mut b, pm) = sleeping(regs::TMR);
    assert!(pm.is_asleep());
    assert_eq!(b.take_lines(), [(9, false)]);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn wakers_tell_themselves_in_the_status() {
    for (waker, cause) in [
        (Waker::PowerButton, regs::PWRBTN),
        (Waker::Clock, regs::RTC),
        (Waker::Key, 0),
    ] {
        let (mut b, mut pm) = sleeping(regs::RTC);
        out16(&mut b, &mut pm, regs::PM1_STATUS, regs::PWRBTN);
        assert!(pm.wake(&mut b.ctx(), waker));
        assert!(!pm.is_asleep());
        let status = in16(&mut b, &mut pm, regs::PM1_STATUS);
        assert_eq!(status, regs::WAK | cause, "{waker:?}");
        let wanted = cause != 0;
        assert_eq!(b.take_lines().last(), Some(&(9, wanted)), "{waker:?}");
        assert!(!pm.wake(&mut b.ctx(), waker), "it is awake");
    }
}

#[test]
fn clock_wakes_only_who_asked_for_it() {
    let (mut b, mut pm) = sleeping(0);
    assert!(!pm.wake(&mut b.ctx(), Waker::Clock));
    assert!(pm.is_asleep());
    pm.reset(&mut b.ctx(), ResetKind::Hard);
    assert!(!pm.is_asleep());
}

#[test]
fn sleep_is_saved() {
    let (_, pm) = sleeping(regs::RTC);
    let (mut b, mut copy) = block();
    copy.restore(&mut b.ctx(), &pm.save().unwrap()).unwrap();
    assert!(copy.wake(&mut b.ctx(), Waker::Clock));
}

#[test]
fn state_of_version_1_is_awake() {
    let golden = include_bytes!("../../tests/golden/acpi-v1.cbor");
    let (mut b, mut pm) = sleeping(0);
    let payload = Payload {
        name: "acpi".to_owned(),
        kind: "acpi".to_owned(),
        version: 1,
        bytes: golden.to_vec(),
    };
    pm.restore(&mut b.ctx(), &payload).unwrap();
    assert!(!pm.is_asleep());
    assert_eq!(pm.to_v2().base.gpe_enable, 0x1234);
}

#[test]
fn sci_enable_cannot_be_written_directly() {
    let (mut b, mut pm) = block();
    out16(&mut b, &mut pm, regs::PM1_CONTROL, regs::SCI_EN);
    assert_eq!(in16(&mut b, &mut pm, regs::PM1_CONTROL), 0);
}

#[test]
fn timer_counts_3_579_545_a_second_and_wraps_at_24_bits() {
    let (mut b, mut pm) = block();
    b.now = Nanos(1_000_000_000);
    let second = pm.pio_read(&mut b.ctx(), regs::PM_TIMER, AccessSize::Dword);
    b.now = Nanos::at_tick((1 << 24) + 5, PM_TIMER_HZ);
    let wrapped = pm.pio_read(&mut b.ctx(), regs::PM_TIMER, AccessSize::Dword);
    assert_eq!((second, wrapped), (3_579_545, 5));
}

#[test]
fn timer_of_32_bits_does_not_wrap_at_24() {
    let mut b = Bench::new();
    let timer = b.timer();
    let pm = AcpiPm::new(SCI, timer, PmTimerWidth::Bits32);
    let at = Nanos::at_tick((1 << 24) + 5, PM_TIMER_HZ);
    assert_eq!(
        pm.pio_peek(at, regs::PM_TIMER, AccessSize::Dword),
        (1 << 24) + 5
    );
}

#[test]
fn timer_status_interrupts_when_the_top_bit_changes_and_again_after_it_is_cleared() {
    let (mut b, mut pm) = taken_over(regs::TMR);
    let half = Nanos::at_tick(1 << 23, PM_TIMER_HZ);
    assert_eq!(b.scheduler.next(), Some(half));
    b.run_until(&mut pm, half);
    assert_eq!(b.take_lines(), [(9, true)]);
    out16(&mut b, &mut pm, regs::PM1_STATUS, regs::TMR);
    assert_eq!(b.take_lines(), [(9, false)]);
    assert_eq!(
        b.scheduler.next(),
        Some(Nanos::at_tick(1 << 24, PM_TIMER_HZ))
    );
}

#[test]
fn timer_without_its_enable_has_no_deadline() {
    let (b, _) = taken_over(regs::PWRBTN);
    assert_eq!(b.scheduler.next(), None);
}

#[test]
fn saved_state_with_reserved_bits_is_refused() {
    let (_, mut pm) = block();
    let mut v = pm.to_v2();
    v.base.enable = 0x8000;
    assert!(pm.take_v2(&v).is_err());
}
