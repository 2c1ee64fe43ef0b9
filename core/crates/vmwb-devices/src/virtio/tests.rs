//! The transport, on a device with two queues that hands everything back.

use vmwb_hw::{AccessSize, Device, GuestAddress, ResetKind, Schema, SnapshotError};

use super::harness::{Buffer, LINE, Queued, Rig, avail_at, desc_at, used_at};
use super::regs::*;
use super::*;
use crate::pci::regs as pci;

/// Copies what it reads into what it writes, and hands chains back.
#[derive(Debug, Default)]
struct Echo;

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct EchoV1(TransportV1);

impl Schema for EchoV1 {
    const KIND: &'static str = "echo";
    const VERSION: u32 = 1;
}

impl VirtioFunction for Echo {
    const TYPE: u16 = 42;
    const CLASS: u32 = 0x00_FF00;
    const CHANGING_FEATURES: u64 = 0;
    type Saved = EchoV1;

    fn features(&self) -> u64 {
        1
    }

    fn queues(&self) -> Vec<QueueSpec> {
        vec![
            QueueSpec {
                size: 8,
                max_chain_bytes: 4096,
            };
            2
        ]
    }

    fn config(&self, _transport: &Transport) -> Vec<u8> {
        vec![1, 2, 3]
    }

    fn config_write(&mut self, _transport: &Transport, _offset: usize, _bytes: &[u8]) {}

    fn serve(&mut self, ctx: &mut Ctx<'_>, t: &mut Transport, queue: usize) {
        for _ in 0..t.size(queue) {
            let Some(chain) = t.pop(ctx, queue) else {
                break;
            };
            let len = chain.readable_bytes().min(chain.writable_bytes());
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            chain.read(ctx.memory, 0, &mut bytes).unwrap();
            if t.fill(ctx, queue, &chain, 0, &bytes) {
                t.push(ctx, queue, &chain, u32::try_from(len).unwrap());
            }
        }
        t.signal(ctx, queue);
    }

    fn reset_queue(&mut self, _queue: usize) {}

    fn reset(&mut self) {}

    fn bus_reset(&mut self) {}

    fn save(&self, transport: TransportV1) -> Result<EchoV1, SnapshotError> {
        Ok(EchoV1(transport))
    }

    fn restore(&mut self, saved: EchoV1) -> Result<TransportV1, SnapshotError> {
        Ok(saved.0)
    }
}

fn echo() -> VirtioPci<Echo> {
    VirtioPci::with("echo.0", LINE, Echo)
}

fn started(features: u64) -> Rig<Echo> {
    Rig::started(echo(), features)
}

fn round(rig: &mut Rig<Echo>) -> Queued {
    rig.request(0, &[Buffer::Out(b"ping".to_vec()), Buffer::In(4)])
}

/// A rig whose queue 0 was broken by these descriptors, chain head 0.
fn broken_by(features: u64, descriptors: &[(u64, u32, u16, u16)]) -> (Rig<Echo>, Option<String>) {
    let mut rig = started(features);
    for (at, &d) in (desc_at(0)..).step_by(16).zip(descriptors) {
        rig.write_desc(at, d);
    }
    rig.offer(0, 0);
    rig.kick(0);
    let complaint = rig.dev.take_complaint();
    (rig, complaint)
}

fn assert_broken(descriptors: &[(u64, u32, u16, u16)], why: QueueFault) {
    let (mut rig, complaint) = broken_by(u64::MAX, descriptors);
    assert!(complaint.unwrap().contains(&why.to_string()));
    assert_ne!(rig.status() & STATUS_NEEDS_RESET, 0);
    assert_eq!(rig.used(0), []);
    rig.start(u64::MAX);
    round(&mut rig);
    assert_eq!(rig.used(0).len(), 1, "a reset device works again");
}

#[test]
fn identity_and_capabilities_are_a_modern_function_s() {
    let rig = Rig::new(echo());
    let read = |r| rig.dev.config_read(r);
    assert_eq!(read(0), 0x106A_1AF4);
    assert_eq!(read(8), 0x00FF_0001);
    assert_ne!(read(4) & 1 << 20, 0);
    let mut at = u8::try_from(read(0x34)).unwrap();
    let mut kinds = Vec::new();
    while at != 0 {
        let [id, next, _, kind] = read(at).to_le_bytes();
        kinds.push((id, if id == 9 { kind } else { 0 }));
        at = next;
    }
    let virtio = [1, 3, 4, 2, 5].map(|kind| (9, kind));
    assert_eq!(kinds, [&[(0x11, 0)], &virtio[..], &[(5, 0)]].concat());
    assert_eq!(read(CAP_NOTIFY + 8), 0x3000);
    assert_eq!(read(CAP_NOTIFY + 16), 4);
}

#[test]
fn features_are_refused_without_version_1_or_beyond_the_offer() {
    let mut rig = Rig::new(echo());
    for accepted in [0_u64, 1 << 5] {
        rig.negotiate(0);
        rig.set_status(0);
        rig.write_common(DRIVER_FEATURE_SELECT, AccessSize::Dword, 0);
        rig.write_common(DRIVER_FEATURE, AccessSize::Dword, accepted);
        let high = if accepted == 0 { 0 } else { 1 };
        rig.write_common(DRIVER_FEATURE_SELECT, AccessSize::Dword, 1);
        rig.write_common(DRIVER_FEATURE, AccessSize::Dword, high);
        rig.set_status(STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
        assert_eq!(rig.status(), STATUS_ACKNOWLEDGE | STATUS_DRIVER);
    }
}

#[test]
fn agreed_features_stay_until_reset() {
    let mut rig = started(1);
    rig.write_common(DRIVER_FEATURE, AccessSize::Dword, 0);
    assert_ne!(rig.dev.transport.negotiated() & F_VERSION_1, 0);
}

#[test]
fn request_comes_back_with_its_answer_and_an_interrupt() {
    let mut rig = started(0);
    let queued = round(&mut rig);
    assert_eq!(rig.used(0), [(queued.head, 4)]);
    assert_eq!(rig.bytes(queued.buffers[1], 4), b"ping");
    assert_eq!(rig.b.take_lines(), [(LINE.0, true)]);
    assert_ne!(rig.dev.config_read(4) & 1 << 19, 0);
    assert_eq!((rig.isr(), rig.isr()), (ISR_QUEUE, 0));
    assert_eq!(rig.b.take_lines(), [(LINE.0, false)]);
}

#[test]
fn queue_index_wraps_and_every_request_comes_back() {
    let mut rig = started(u64::MAX);
    for _ in 0..40 {
        let queued = round(&mut rig);
        assert_eq!(rig.used(0), [(queued.head, 4)]);
    }
}

#[test]
fn interrupt_is_withheld_when_the_driver_asks_so() {
    let mut rig = started(0);
    let memory = &rig.b.memory;
    memory.write(GuestAddress(avail_at(0)), &[1, 0]).unwrap();
    round(&mut rig);
    assert_eq!((rig.used(0).len(), rig.isr()), (1, 0));
}

#[test]
fn event_index_decides_on_interrupt_and_notification() {
    let mut rig = started(F_EVENT_IDX);
    let at = GuestAddress(avail_at(0) + 4 + 2 * 8);
    rig.b.memory.write(at, &[2, 0]).unwrap();
    let isr: Vec<u8> = (0..4)
        .map(|_| {
            round(&mut rig);
            rig.isr()
        })
        .collect();
    assert_eq!(isr, [0, 0, ISR_QUEUE, 0]);
    assert_eq!(rig.bytes(used_at(0) + 4 + 8 * 8, 2), [4, 0]);
}

#[test]
fn full_ring_served_at_once_leaves_the_next_chain_to_be_told_of() {
    let mut rig = started(F_EVENT_IDX);
    for _ in 0..8 {
        rig.add(0, &[Buffer::In(4)]);
    }
    rig.kick(0);
    assert_eq!(rig.used(0).len(), 8);
    assert_eq!(rig.bytes(used_at(0) + 4 + 8 * 8, 2), [8, 0]);
}

#[test]
fn message_takes_the_pin_s_place_and_the_status_says_what_it_is_about() {
    let mut rig = started(0);
    rig.use_msi(0);
    round(&mut rig);
    assert_eq!((rig.messages(), rig.b.take_lines()), (vec![0x40], vec![]));
    assert_eq!(rig.isr(), ISR_QUEUE);
    rig.dev.transport.config_changed(&mut rig.b.ctx());
    assert_eq!((rig.messages(), rig.isr()), (vec![0x41], ISR_CONFIG));
    // With both switched on, MSI-X has the say.
    rig.use_msix(3);
    rig.dev.transport.config_changed(&mut rig.b.ctx());
    assert_eq!((rig.messages(), rig.isr()), (vec![], 0));
}

#[test]
fn masked_message_shows_as_pending_and_goes_when_unmasked() {
    let mut rig = started(0);
    rig.use_msi(1);
    round(&mut rig);
    assert_eq!(
        (rig.messages(), rig.dev.config_read(CAP_MSI + 20)),
        (vec![], 1)
    );
    let ctx = &mut rig.b.ctx();
    rig.dev.config_write(ctx, CAP_MSI + 16, 0, u32::MAX);
    assert_eq!(
        (rig.messages(), rig.dev.config_read(CAP_MSI + 20)),
        (vec![0x40], 0)
    );
}

#[test]
fn msix_vector_of_the_queue_carries_its_interrupt() {
    let mut rig = started(0);
    rig.use_msix(3);
    rig.write_common(QUEUE_SELECT, AccessSize::Word, 0);
    rig.write_common(QUEUE_VECTOR, AccessSize::Word, 1);
    rig.write_common(CONFIG_VECTOR, AccessSize::Word, 2);
    round(&mut rig);
    let ctx = &mut rig.b.ctx();
    rig.dev.transport.config_changed(ctx);
    assert_eq!(rig.messages(), [0x41, 0x42]);
    assert_eq!((rig.isr(), rig.b.take_lines()), (0, vec![]));
}

#[test]
fn vector_that_does_not_exist_reads_back_as_none() {
    let mut rig = started(0);
    rig.write_common(CONFIG_VECTOR, AccessSize::Word, 3);
    assert_eq!(rig.read_common(CONFIG_VECTOR, AccessSize::Word), 0xFFFF);
}

#[test]
fn queue_that_does_not_exist_has_size_0() {
    let mut rig = started(0);
    rig.write_common(QUEUE_SELECT, AccessSize::Word, 2);
    assert_eq!(rig.read_common(QUEUE_SIZE, AccessSize::Word), 0);
    rig.write_common(QUEUE_ENABLE, AccessSize::Word, 1);
    assert_eq!(rig.read_common(QUEUE_ENABLE, AccessSize::Word), 0);
}

#[test]
fn enabled_queue_stays_where_it_is() {
    let mut rig = started(0);
    rig.write_common(QUEUE_SELECT, AccessSize::Word, 0);
    rig.write_common(QUEUE_DESC, AccessSize::Dword, 0x1000);
    rig.write_common(QUEUE_SIZE, AccessSize::Word, 4);
    rig.write_common(QUEUE_ENABLE, AccessSize::Word, 0);
    let read = [
        (QUEUE_DESC, AccessSize::Qword),
        (QUEUE_SIZE, AccessSize::Word),
    ]
    .map(|(field, size)| rig.read_common(field, size));
    assert_eq!(read, [desc_at(0), 8]);
    assert_eq!(rig.read_common(QUEUE_ENABLE, AccessSize::Word), 1);
}

#[test]
fn queue_sizes_that_are_none_are_not_taken() {
    let mut rig = Rig::new(echo());
    rig.negotiate(0);
    let sizes = [0, 3, 16, 0x8000, 4].map(|size| {
        rig.write_common(QUEUE_SIZE, AccessSize::Word, size);
        rig.read_common(QUEUE_SIZE, AccessSize::Word)
    });
    assert_eq!(sizes, [8, 8, 8, 8, 4]);
}

#[test]
fn queue_reset_frees_the_queue_alone() {
    let mut rig = started(F_RING_RESET);
    rig.write_common(QUEUE_SELECT, AccessSize::Word, 0);
    rig.write_common(QUEUE_RESET, AccessSize::Word, 1);
    let state = [QUEUE_RESET, QUEUE_ENABLE].map(|f| rig.read_common(f, AccessSize::Word));
    assert_eq!(state, [0, 0]);
    round(&mut rig);
    assert_eq!(rig.used(0), []);
    rig.request(1, &[Buffer::In(4)]);
    assert_eq!(rig.used(1).len(), 1);
}

#[test]
fn nothing_is_served_before_the_driver_is_ready_and_all_of_it_then() {
    let mut rig = Rig::new(echo());
    rig.start(0);
    rig.negotiate(0);
    rig.enable(0);
    rig.write_desc(desc_at(0), (0x10_0000, 4, DESC_WRITE, 0));
    let memory = &rig.b.memory;
    memory
        .write(GuestAddress(avail_at(0) + 2), &[1, 0])
        .unwrap();
    rig.kick(0);
    assert_eq!(rig.bytes(used_at(0) + 2, 2), [0, 0]);
    rig.set_status(STATUS_DRIVER_OK);
    assert_eq!(rig.bytes(used_at(0) + 2, 2), [1, 0]);
}

#[test]
fn without_bus_mastering_requests_wait_for_it() {
    let mut rig = started(0);
    rig.dev
        .config_write(&mut rig.b.ctx(), 4, pci::COMMAND_MEMORY, 0xFFFF);
    round(&mut rig);
    assert_eq!(rig.used(0), []);
    rig.dev
        .config_write(&mut rig.b.ctx(), 4, pci::COMMAND_MASTER, 0xFFFF);
    assert_eq!(rig.used(0).len(), 1);
}

#[test]
fn no_intx_bit_holds_the_pin_down() {
    let mut rig = started(0);
    let command = pci::COMMAND_MASTER | pci::COMMAND_NO_INTX;
    rig.dev.config_write(&mut rig.b.ctx(), 4, command, 0xFFFF);
    round(&mut rig);
    assert_eq!(rig.b.take_lines(), []);
    let ctx = &mut rig.b.ctx();
    rig.dev.config_write(ctx, 4, pci::COMMAND_MASTER, 0xFFFF);
    assert_eq!(rig.b.take_lines(), [(LINE.0, true)]);
}

#[test]
fn window_in_configuration_space_reaches_the_registers() {
    let mut rig = started(0);
    for (register, value) in [
        (CAP_WINDOW + 4, 4),
        (CAP_WINDOW + 8, 0x2001),
        (CAP_WINDOW + 12, 1),
    ] {
        rig.dev
            .config_write(&mut rig.b.ctx(), register, value, u32::MAX);
    }
    assert_eq!(rig.dev.config_read(WINDOW_DATA), 2);
    rig.dev
        .config_write(&mut rig.b.ctx(), CAP_WINDOW + 8, 0x14, u32::MAX);
    rig.dev.config_write(&mut rig.b.ctx(), WINDOW_DATA, 0, 0xFF);
    assert_eq!(rig.status(), 0);
    rig.dev
        .config_write(&mut rig.b.ctx(), CAP_WINDOW + 12, 3, u32::MAX);
    assert_eq!(rig.dev.config_read(WINDOW_DATA), 0);
}

#[test]
fn indirect_table_is_followed() {
    let table = [(0x10_0000, 4, DESC_NEXT, 3), (0, 0, 0, 0), (0, 0, 0, 0)];
    let mut rig = started(F_INDIRECT_DESC);
    for (at, d) in (0x11_0000..).step_by(16).zip(table) {
        rig.write_desc(at, d);
    }
    rig.write_desc(0x11_0030, (0x10_1000, 4, DESC_WRITE, 0));
    rig.write_desc(desc_at(0), (0x11_0000, 64, DESC_INDIRECT, 0));
    rig.b
        .memory
        .write(GuestAddress(0x10_0000), b"ping")
        .unwrap();
    rig.offer(0, 0);
    rig.kick(0);
    assert_eq!(rig.used(0), [(0, 4)]);
    assert_eq!(rig.bytes(0x10_1000, 4), b"ping");
}

#[test]
fn loop_of_descriptors_breaks_the_queue() {
    let loops = [(0x10_0000, 4, DESC_NEXT, 1), (0x10_0000, 4, DESC_NEXT, 0)];
    assert_broken(&loops, QueueFault::EndlessChain);
}

#[test]
fn descriptor_numbers_outside_the_queue_break_it() {
    assert_broken(&[(0x10_0000, 4, DESC_NEXT, 8)], QueueFault::BadDescriptor);
}

#[test]
fn buffers_whose_end_overflows_break_the_queue() {
    assert_broken(
        &[(u64::MAX, 4, DESC_WRITE, 0)],
        QueueFault::BufferOutsideRam,
    );
}

#[test]
fn too_many_bytes_break_the_queue() {
    assert_broken(&[(0x10_0000, 4097, 0, 0)], QueueFault::TooManyBytes);
}

#[test]
fn reading_after_writing_breaks_the_queue() {
    let wrong = [
        (0x10_0000, 4, DESC_NEXT | DESC_WRITE, 1),
        (0x10_0000, 4, 0, 0),
    ];
    assert_broken(&wrong, QueueFault::WrongOrder);
}

#[test]
fn broken_tables_break_the_queue() {
    let tables = [
        (0x11_0000, 0, DESC_INDIRECT, 0),
        (0x11_0000, 17, DESC_INDIRECT, 0),
        (0x11_0000, 16 * 1025, DESC_INDIRECT, 0),
        (0x11_0000, 16, DESC_INDIRECT | DESC_NEXT, 1),
    ];
    for table in tables {
        assert_broken(&[table], QueueFault::BadTable);
    }
    assert_broken(
        &[(1 << 40, 16, DESC_INDIRECT, 0)],
        QueueFault::RingOutsideRam,
    );
    let (_, complaint) = broken_by(0, &[(0x11_0000, 16, DESC_INDIRECT, 0)]);
    assert!(
        complaint
            .unwrap()
            .contains(&QueueFault::BadTable.to_string())
    );
}

#[test]
fn table_that_loops_or_nests_breaks_the_queue() {
    for (entry, why) in [
        ((0x10_0000, 4, DESC_NEXT, 0), QueueFault::EndlessChain),
        ((0x10_0000, 4, DESC_NEXT, 2), QueueFault::BadDescriptor),
        ((0x10_0000, 16, DESC_INDIRECT, 0), QueueFault::BadTable),
    ] {
        let mut rig = started(F_INDIRECT_DESC);
        rig.write_desc(0x11_0000, entry);
        rig.write_desc(desc_at(0), (0x11_0000, 32, DESC_INDIRECT, 0));
        rig.offer(0, 0);
        rig.kick(0);
        assert!(rig.dev.take_complaint().unwrap().contains(&why.to_string()));
    }
}

#[test]
fn jump_of_the_available_index_breaks_the_queue() {
    let mut rig = started(0);
    let memory = &rig.b.memory;
    memory
        .write(GuestAddress(avail_at(0) + 2), &[9, 0])
        .unwrap();
    rig.kick(0);
    let complaint = rig.dev.take_complaint().unwrap();
    assert_eq!(
        complaint,
        "the guest's driver broke queue 0 of echo.0: its available index jumped; the device waits for a reset"
    );
    assert_eq!((rig.isr(), rig.dev.take_complaint()), (ISR_CONFIG, None));
}

#[test]
fn rings_outside_ram_break_the_queue() {
    let mut rig = Rig::new(echo());
    rig.negotiate(0);
    rig.write_common(QUEUE_DRIVER, AccessSize::Qword, u64::MAX - 1);
    rig.write_common(QUEUE_ENABLE, AccessSize::Word, 1);
    rig.set_status(STATUS_DRIVER_OK);
    assert!(rig.dev.take_complaint().is_some());
    assert_ne!(rig.status() & STATUS_NEEDS_RESET, 0);
}

#[test]
fn ring_that_its_own_used_entries_refill_ends() {
    // Each used index lands on the available index, one ahead of what was taken.
    let mut rig = Rig::new(echo());
    rig.negotiate(0);
    let desc: u64 = 0x10_0000;
    rig.write_desc(desc, (0x11_0000, 4, DESC_WRITE, 0));
    rig.write_common(QUEUE_DESC, AccessSize::Qword, desc);
    rig.write_common(QUEUE_DRIVER, AccessSize::Qword, 0x12_0000);
    rig.write_common(QUEUE_DEVICE, AccessSize::Qword, 0x12_0000);
    rig.write_common(QUEUE_ENABLE, AccessSize::Word, 1);
    rig.b
        .memory
        .write(GuestAddress(0x12_0002), &[8, 0])
        .unwrap();
    rig.set_status(STATUS_DRIVER_OK);
    assert_eq!(rig.status() & STATUS_DRIVER_OK, STATUS_DRIVER_OK);
}

#[test]
fn partial_and_wide_writes_reach_the_fields_they_cover() {
    let mut rig = Rig::new(echo());
    rig.negotiate(0);
    rig.write_common(QUEUE_DESC + 1, AccessSize::Byte, 0x12);
    rig.write_common(QUEUE_SELECT, AccessSize::Dword, 0x0004_0001);
    assert_eq!(rig.read_common(QUEUE_SIZE, AccessSize::Word), 4);
    rig.write_common(QUEUE_SELECT, AccessSize::Word, 0);
    assert_eq!(rig.read_common(QUEUE_DESC, AccessSize::Qword), 0x1200);
}

#[test]
fn hard_reset_takes_base_addresses_and_the_pin_back() {
    let mut rig = started(0);
    round(&mut rig);
    rig.dev.reset(&mut rig.b.ctx(), ResetKind::Hard);
    assert_eq!(rig.b.take_lines(), [(LINE.0, true), (LINE.0, false)]);
    assert_eq!(rig.dev.config_read(4) & 7, 0);
}
