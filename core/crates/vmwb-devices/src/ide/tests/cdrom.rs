//! A CD drive: packets, data, media.

use super::*;
use crate::ide::regs::{BM_INTERRUPT, BM_READ, packet as p};

const IDLE: u8 = DRDY | DSC;
const LIMIT: u16 = 0xF000;

/// A secondary master as primary, to share the rig's offsets.
fn drive(medium: &Medium) -> Rig {
    Rig::new([cd(medium), None, None, None])
}

/// A drive whose power-on attention has been seen.
fn awake(medium: &Medium) -> Rig {
    let mut r = drive(medium);
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x29, 0));
    r
}

fn start(r: &mut Rig, cdb: &[u8], features: u8, limit: u16) {
    let [low, high] = limit.to_le_bytes();
    let mut packet = [0; 12];
    packet[..cdb.len()].copy_from_slice(cdb);
    r.out(1, features);
    r.out(4, low);
    r.out(5, high);
    r.out(7, c::PACKET);
    assert_eq!((r.alt() & (BSY | DRQ), r.inp(2)), (DRQ, 1));
    let _ = r.interrupts();
    r.send(&packet);
}

/// All blocks of a command's data.
fn blocks(r: &mut Rig) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while r.inp(7) & DRQ != 0 {
        assert_eq!((r.interrupts(), r.inp(2)), (1, 2));
        let bytes = usize::from(r.inp(4)) | usize::from(r.inp(5)) << 8;
        let mut block = r.data(bytes.next_multiple_of(2));
        block.truncate(bytes);
        out.push(block);
    }
    assert_eq!((r.interrupts(), r.inp(2)), (1, 3));
    out
}

fn data(r: &mut Rig, cdb: &[u8]) -> Vec<u8> {
    start(r, cdb, 0, LIMIT);
    let out = blocks(r).concat();
    assert_eq!(r.inp(7), IDLE);
    out
}

/// Sense of a command that fails.
fn check(r: &mut Rig, cdb: &[u8]) -> (u8, u8, u8) {
    start(r, cdb, 0, LIMIT);
    assert_eq!(r.inp(7), IDLE | ERR);
    let key = r.inp(1) >> 4;
    let sense = data(r, &[p::REQUEST_SENSE, 0, 0, 0, 18]);
    assert_eq!(key, sense[2]);
    (sense[2], sense[12], sense[13])
}

fn ok(r: &mut Rig, cdb: &[u8]) {
    start(r, cdb, 0, LIMIT);
    assert_eq!((r.inp(7), r.inp(2)), (IDLE, 3));
}

#[test]
fn signature_is_shown_and_identify_device_aborts_with_it() {
    let mut r = drive(&Medium::of_sectors(400));
    assert_eq!((r.inp(4), r.inp(5), r.inp(7)), (0x14, 0xEB, 0));
    r.out(4, 0);
    r.out(7, c::IDENTIFY_DEVICE);
    assert_eq!((r.inp(7), r.inp(4), r.inp(5)), (IDLE | ERR, 0x14, 0xEB));
    let id = r.identify(c::IDENTIFY_PACKET_DEVICE);
    assert_eq!((id[0], id[63]), (0x85C0, 0x0407));
}

#[test]
fn inquiry_leaves_the_attention_of_the_reset() {
    let mut r = drive(&Medium::of_sectors(400));
    let inquiry = data(&mut r, &[p::INQUIRY, 0, 0, 0, 36]);
    assert_eq!((inquiry[0], inquiry[1]), (5, 0x80));
    assert_eq!(&inquiry[8..], b"VMWB    DVD-ROM         1.0 ");
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x29, 0));
    ok(&mut r, &[p::TEST_UNIT_READY]);
}

#[test]
fn attention_of_the_reset_is_told_to_who_asks_alone() {
    let medium = Medium::of_sectors(400);
    let mut r = drive(&medium);
    let read = [p::READ_10, 0, 0, 0, 0, 3, 0, 0, 1];
    assert_eq!(data(&mut r, &read), medium.range(3 * 2048, 2048));
    ok(&mut r, &[p::TEST_UNIT_READY]);
    // A new medium is told to everybody.
    let next = Box::new(Medium::of_sectors(800));
    let ctx = &mut r.b.ctx();
    assert!(r.ide.change_medium(ctx, 0, next, false).is_ok());
    assert_eq!(check(&mut r, &read), (6, 0x28, 0));
}

#[test]
fn read_comes_in_blocks_of_the_byte_count_limit() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 3, 0, 0, 3], 0, 2048);
    let got = blocks(&mut r);
    assert_eq!(got.len(), 3);
    assert_eq!(got.concat(), medium.range(3 * 2048, 3 * 2048));
}

#[test]
fn odd_limit_is_rounded_down_and_the_rest_is_short() {
    let mut r = awake(&Medium::of_sectors(400));
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1], 0, 1501);
    let got: Vec<usize> = blocks(&mut r).iter().map(Vec::len).collect();
    assert_eq!(got, [1500, 548]);
}

#[test]
fn odd_limit_holds_for_data_that_fit() {
    let mut r = awake(&Medium::of_sectors(400));
    start(&mut r, &[p::INQUIRY, 0, 0, 0, 17], 0, 17);
    let got: Vec<usize> = blocks(&mut r).iter().map(Vec::len).collect();
    assert_eq!(got, [17]);
}

#[test]
fn blocks_are_cut_between_sectors_where_the_limit_lets_them() {
    let medium = Medium::of_sectors(400);
    for (limit, sectors) in [(0, 31), (0xFFFF, 31), (0xFFFE, 31), (5000, 2)] {
        let mut r = awake(&medium);
        start(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 40], 0, limit);
        let got = blocks(&mut r);
        assert_eq!(got[0].len(), sectors * 2048);
        assert!(got.iter().all(|block| block.len() % 2048 == 0));
        assert_eq!(got.concat(), medium.range(0, 40 * 2048));
    }
    let mut r = awake(&medium);
    start(&mut r, &[p::READ_CD, 0, 0, 0, 0, 0, 0, 0, 3, 0xF8], 0, 5000);
    let raw: Vec<usize> = blocks(&mut r).iter().map(Vec::len).collect();
    assert_eq!(raw, [2 * 2352, 2352]);
}

/// Who reads the status behind the data gets the interrupt of the end all the same.
#[test]
fn status_read_behind_the_data_does_not_take_the_interrupt_of_the_end() {
    let mut r = awake(&Medium::of_sectors(400));
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1], 0, 2048);
    assert_eq!(r.interrupts(), 1);
    let _ = r.data(2048);
    assert_eq!((r.interrupts(), r.inp(7)), (0, IDLE | BSY));
    assert_eq!((r.interrupts(), r.inp(2), r.inp(7)), (1, 3, IDLE));
}

#[test]
fn long_read_goes_in_pieces() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    let got = data(&mut r, &[p::READ_12, 0, 0, 0, 0, 1, 0, 0, 0, 90]);
    assert_eq!(got, medium.range(2048, 90 * 2048));
    assert_eq!(medium.store().requests.len(), 3);
}

#[test]
fn read_by_dma_fills_memory() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    r.table(&[(0x8000, 4096)]);
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 7, 0, 0, 2], 1, 0);
    r.start_master(BM_READ);
    assert_eq!((r.bm_read(2), r.inp(7), r.inp(2)), (BM_INTERRUPT, IDLE, 3));
    assert_eq!(r.memory(0x8000, 4096), medium.range(7 * 2048, 4096));
}

#[test]
fn last_part_of_a_sector_counts_and_is_filled_up() {
    let medium = Medium::of_sectors(401);
    let mut r = awake(&medium);
    let capacity = data(&mut r, &[p::READ_CAPACITY]);
    assert_eq!(capacity, [0, 0, 0, 100, 0, 0, 8, 0]);
    let last = data(&mut r, &[p::READ_10, 0, 0, 0, 0, 100, 0, 0, 1]);
    assert_eq!(last[..512], medium.sector(400)[..]);
    assert!(last.len() == 2048 && last[512..].iter().all(|&b| b == 0));
    assert_eq!(
        check(&mut r, &[p::READ_10, 0, 0, 0, 0, 100, 0, 0, 2]),
        (5, 0x21, 0)
    );
}

#[test]
fn raw_sector_has_sync_header_and_data() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    let raw = data(&mut r, &[p::READ_CD, 0, 0, 0, 0, 75, 0, 0, 1, 0xF8]);
    assert_eq!(raw.len(), 2352);
    assert_eq!(
        raw[..12],
        [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0]
    );
    assert_eq!(raw[12..16], [0, 3, 0, 1]);
    assert_eq!(raw[16..2064], medium.range(75 * 2048, 2048)[..]);
    let plain = data(&mut r, &[p::READ_CD, 0, 0, 0, 0, 75, 0, 0, 1, 0x10]);
    assert_eq!(plain, medium.range(75 * 2048, 2048));
    let by_msf = data(&mut r, &[p::READ_CD_MSF, 0, 0, 0, 3, 0, 0, 3, 1, 0x10]);
    assert_eq!(by_msf, plain);
}

#[test]
fn tables_of_contents_in_three_formats() {
    let mut r = awake(&Medium::of_sectors(400));
    let toc = data(&mut r, &[p::READ_TOC, 0, 0, 0, 0, 0, 0, 0, 64]);
    assert_eq!(
        toc,
        [
            0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xAA, 0, 0, 0, 0, 100
        ]
    );
    let msf = data(&mut r, &[p::READ_TOC, 2, 0, 0, 0, 0, 0xAA, 0, 64]);
    assert_eq!(msf, [0, 10, 1, 1, 0, 0x14, 0xAA, 0, 0, 0, 3, 25]);
    let sessions = data(&mut r, &[p::READ_TOC, 0, 1, 0, 0, 0, 0, 0, 64]);
    assert_eq!(sessions, [0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0]);
    let old = data(&mut r, &[p::READ_TOC, 0, 0, 0, 0, 0, 0, 0, 12, 0x40]);
    assert_eq!(old, sessions);
    let full = data(&mut r, &[p::READ_TOC, 0, 2, 0, 0, 0, 0, 0, 64]);
    assert_eq!(
        (full.len(), full[7], full[18], full[29]),
        (48, 0xA0, 0xA1, 0xA2)
    );
}

#[test]
fn mode_pages_and_their_bounds() {
    let mut r = awake(&Medium::of_sectors(400));
    let page = data(&mut r, &[p::MODE_SENSE_10, 0, 0x2A, 0, 0, 0, 0, 0, 255]);
    assert_eq!(
        (page.len(), page[1], page[2], page[8], page[9]),
        (28, 26, 1, 0x2A, 0x12)
    );
    let cut = data(&mut r, &[p::MODE_SENSE_6, 0, 0x3F, 0, 20]);
    assert_eq!((cut.len(), cut[0]), (20, 55));
    let device = data(&mut r, &[p::MODE_SENSE_10, 0, 0x0D, 0, 0, 0, 0, 0, 255]);
    assert_eq!(device[8..], [0x0D, 6, 0, 0, 0, 60, 0, 75]);
    assert_eq!(check(&mut r, &[p::MODE_SENSE_10, 0, 0xEA]), (5, 0x39, 0));
    assert_eq!(check(&mut r, &[p::MODE_SENSE_10, 0, 0x05]), (5, 0x24, 0));
}

#[test]
fn mode_select_takes_our_pages_alone() {
    let mut r = awake(&Medium::of_sectors(400));
    let mut select = |page: u8| {
        start(
            &mut r,
            &[p::MODE_SELECT_10, 0x10, 0, 0, 0, 0, 0, 0, 16],
            0,
            LIMIT,
        );
        assert_eq!((r.inp(7) & DRQ, r.inp(2)), (DRQ, 0));
        r.send(&[0, 0, 0, 0, 0, 0, 0, 0, page, 6, 0, 5, 0, 0, 0, 0]);
        r.inp(7)
    };
    assert_eq!((select(1), select(5)), (IDLE, IDLE | ERR));
    assert_eq!(select(0x0D), IDLE);
}

#[test]
fn empty_drive_says_so() {
    let drive = Drive::CdRom(cd_identity(), Box::new(NoMedium::default()));
    let mut r = Rig::new([Some(drive), None, None, None]);
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x29, 0));
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (2, 0x3A, 1));
    assert_eq!(
        check(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1]),
        (2, 0x3A, 1)
    );
    let config = data(&mut r, &[p::GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 8]);
    assert_eq!(config[6..8], [0, 0]);
}

#[test]
fn guest_ejects_and_loads() {
    let mut r = awake(&Medium::of_sectors(400));
    ok(&mut r, &[p::START_STOP_UNIT, 0, 0, 0, 2]);
    assert_eq!(
        (r.ide.take_ejected(), r.ide.take_ejected()),
        (Some(0), None)
    );
    assert_eq!(r.ide.tray_open(0), Some(true));
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (2, 0x3A, 2));
    ok(&mut r, &[p::START_STOP_UNIT, 0, 0, 0, 3]);
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x28, 0));
    ok(&mut r, &[p::TEST_UNIT_READY]);
}

#[test]
fn tray_stays_open_over_a_reset_but_not_over_power_on() {
    let mut r = awake(&Medium::of_sectors(400));
    ok(&mut r, &[p::START_STOP_UNIT, 0, 0, 0, 2]);
    r.ide.reset(&mut r.b.ctx(), ResetKind::Hard);
    assert_eq!(
        (r.ide.tray_open(0), r.ide.take_ejected()),
        (Some(true), Some(0))
    );
    r.ide.reset(&mut r.b.ctx(), ResetKind::PowerOn);
    assert_eq!(r.ide.tray_open(0), Some(false));
}

/// A medium that is only asked for its size.
#[derive(Debug)]
struct Dvd;

impl BlockBackend for Dvd {
    fn info(&self) -> Option<BlockInfo> {
        Some(BlockInfo {
            bytes: 405_001 * 2048,
            read_only: true,
        })
    }
    fn submit(&mut self, _now: Nanos, _tag: u64, _request: BlockRequest) {}
    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        None
    }
    fn in_flight(&self) -> usize {
        0
    }
    fn next_reply(&self) -> Option<Nanos> {
        None
    }
    fn wait_reply(&mut self) -> Option<BlockReply> {
        None
    }
}

#[test]
fn disc_structure_is_a_dvds_alone() {
    let command = [p::READ_DISC_STRUCTURE, 0, 0, 0, 0, 0, 0, 0, 8, 4];
    let mut r = awake(&Medium::of_sectors(400));
    assert_eq!(check(&mut r, &command), (5, 0x30, 2));
    let old = r.ide.change_medium(&mut r.b.ctx(), 0, Box::new(Dvd), false);
    assert!(old.is_ok());
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x28, 0));
    let layer = data(&mut r, &command);
    assert_eq!((layer.len(), &layer[..2], layer[9]), (2052, &[8, 2][..], 3));
}

#[test]
fn prevented_removal_refuses_guest_and_user_unless_forced() {
    let mut r = awake(&Medium::of_sectors(400));
    ok(&mut r, &[p::PREVENT_ALLOW, 0, 0, 0, 1]);
    assert_eq!(
        check(&mut r, &[p::START_STOP_UNIT, 0, 0, 0, 2]),
        (5, 0x53, 2)
    );
    let empty = || Box::new(NoMedium::default());
    let refused = r.ide.change_medium(&mut r.b.ctx(), 0, empty(), false);
    assert!(matches!(refused, Err(ChangeRefused::Locked(0, _))));
    let event = data(&mut r, &[p::GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8]);
    assert_eq!(event[2..6], [4, 0x10, 1, 2]);
    let forced = r.ide.change_medium(&mut r.b.ctx(), 0, empty(), true);
    assert!(forced.is_ok_and(|old| old.info().is_some()));
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (2, 0x3A, 1));
}

#[test]
fn new_medium_is_told_once_by_attention_and_event() {
    let mut r = awake(&Medium::of_sectors(400));
    let new = Medium::of_sectors(800);
    let old = r.ide.change_medium(&mut r.b.ctx(), 0, Box::new(new), false);
    assert!(old.is_ok());
    let event = data(&mut r, &[p::GET_EVENT_STATUS, 1, 0, 0, 0x10, 0, 0, 0, 8]);
    assert_eq!(event[4..6], [2, 2]);
    assert_eq!(check(&mut r, &[p::READ_CAPACITY]), (6, 0x28, 0));
    let capacity = data(&mut r, &[p::READ_CAPACITY]);
    assert_eq!(capacity[..4], [0, 0, 0, 199]);
}

#[test]
fn medium_taken_away_fails_the_command_that_reads_it() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    medium.store().held = true;
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1], 0, LIMIT);
    assert_eq!(r.alt() & BSY, BSY);
    let empty = Box::new(NoMedium::default());
    assert!(r.ide.change_medium(&mut r.b.ctx(), 0, empty, false).is_ok());
    assert_eq!((r.interrupts(), r.inp(7)), (1, IDLE | ERR));
}

#[test]
fn medium_of_a_disk_cannot_be_changed() {
    let mut r = Rig::with_disk(&Medium::of_sectors(64));
    let empty = || Box::new(NoMedium::default());
    for unit in [0, 1, 9] {
        let refused = r.ide.change_medium(&mut r.b.ctx(), unit, empty(), true);
        assert!(matches!(refused, Err(ChangeRefused::NotRemovable(..))));
    }
}

#[test]
fn unreadable_sector_is_a_medium_error() {
    let medium = Medium::of_sectors(400);
    let mut r = awake(&medium);
    medium.store().errors = [BlockError::Host("bad".to_owned())].into();
    assert_eq!(
        check(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1]),
        (3, 0x11, 0)
    );
}

#[test]
fn device_reset_ends_a_command_and_keeps_the_lock() {
    let mut r = awake(&Medium::of_sectors(400));
    ok(&mut r, &[p::PREVENT_ALLOW, 0, 0, 0, 1]);
    start(&mut r, &[p::READ_10, 0, 0, 0, 0, 0, 0, 0, 1], 0, LIMIT);
    r.out(7, c::DEVICE_RESET);
    assert_eq!((r.inp(7), r.inp(4), r.inp(5)), (0, 0x14, 0xEB));
    assert_eq!(
        check(&mut r, &[p::START_STOP_UNIT, 0, 0, 0, 2]),
        (5, 0x53, 2)
    );
}

#[test]
fn information_commands_describe_one_track_of_one_session() {
    let mut r = awake(&Medium::of_sectors(400));
    let disc = data(&mut r, &[p::READ_DISC_INFORMATION, 0, 0, 0, 0, 0, 0, 0, 34]);
    assert_eq!(disc[..8], [0, 32, 0x0E, 1, 1, 1, 1, 0x20]);
    let track = data(
        &mut r,
        &[p::READ_TRACK_INFORMATION, 1, 0, 0, 0, 1, 0, 0, 36],
    );
    assert_eq!((track[2], track[27]), (1, 100));
    let config = data(&mut r, &[p::GET_CONFIGURATION, 0, 0, 0, 0, 0, 0, 0, 255]);
    assert_eq!((usize::from(config[3]) + 4, config[7]), (config.len(), 8));
    let mechanism = data(&mut r, &[p::MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0, 8]);
    assert_eq!(mechanism.len(), 8);
    let position = data(&mut r, &[p::READ_SUB_CHANNEL, 2, 0x40, 1, 0, 0, 0, 0, 16]);
    assert_eq!(position[..6], [0, 0x15, 0, 12, 1, 0x14]);
    let speed = data(&mut r, &[p::GET_PERFORMANCE, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(speed.len(), 24);
    assert_eq!(check(&mut r, &[0xF7]), (5, 0x20, 0));
}

/// What was asked of a [`Zeros`], by tag and length, and how many bytes it has given.
#[derive(Debug, Default)]
struct Asked {
    waiting: VecDeque<(u64, u32)>,
    given: u64,
}

/// A disc of 8 GiB of zeros. Answers come to who waits for them.
#[derive(Debug, Clone, Default)]
struct Zeros(Arc<Mutex<Asked>>);

impl BlockBackend for Zeros {
    fn info(&self) -> Option<BlockInfo> {
        Some(BlockInfo {
            bytes: 8 << 30,
            read_only: true,
        })
    }
    fn submit(&mut self, _now: Nanos, tag: u64, request: BlockRequest) {
        let BlockRequest::Read { len, .. } = request else {
            unreachable!("a CD drive only reads")
        };
        self.0.lock().unwrap().waiting.push_back((tag, len));
    }
    fn take_reply(&mut self, _now: Nanos) -> Option<BlockReply> {
        None
    }
    fn in_flight(&self) -> usize {
        self.0.lock().unwrap().waiting.len()
    }
    fn next_reply(&self) -> Option<Nanos> {
        None
    }
    fn wait_reply(&mut self) -> Option<BlockReply> {
        let mut asked = self.0.lock().unwrap();
        let (tag, len) = asked.waiting.pop_front()?;
        asked.given += u64::from(len);
        let result = Ok(vec![0; usize::try_from(len).unwrap()]);
        Some(BlockReply { tag, result })
    }
}

#[test]
fn command_for_a_whole_disc_fails_when_a_state_is_saved_and_is_not_read_to_its_end() {
    let disc = Zeros::default();
    let mut r = Rig::new([
        Some(Drive::CdRom(cd_identity(), Box::new(disc.clone()))),
        None,
        None,
        None,
    ]);
    assert_eq!(check(&mut r, &[p::TEST_UNIT_READY]), (6, 0x29, 0));
    // Memory is a table without an end: regions of 64 KiB at address 0.
    r.bm_write(4, AccessSize::Dword, 0x1_0000);
    let whole = [p::READ_12, 0, 0, 0, 0, 0, 0, 0x40, 0, 0];
    start(&mut r, &whole, 1, 0);
    r.start_master(BM_READ);
    r.ide.drain(&mut r.b.ctx());
    assert!((256 << 20..260 << 20).contains(&disc.0.lock().unwrap().given));
    assert_eq!(r.inp(7), IDLE | ERR);
    let sense = data(&mut r, &[p::REQUEST_SENSE, 0, 0, 0, 18]);
    assert_eq!((sense[2], sense[12]), (3, 0x11));
}
