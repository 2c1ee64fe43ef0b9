//! Data that a CD drive answers with: inquiry, mode pages, tables of contents, configuration.

use vmwb_hw::BlockInfo;

use super::action::Action;
use super::cdrom::{CdRom, MSF_OFFSET, PACKET_BYTES, sectors};
use super::regs::packet as p;
use super::sense::Sense;

type Cdb = [u8; PACKET_BYTES];

/// Control and ADR of a data track, position in the sub-channel's Q.
const DATA_TRACK: u8 = 0x14;
/// The lead-out's track number.
const LEAD_OUT: u8 = 0xAA;
/// Sectors of the longest CD (90 minutes); longer media are DVDs.
const MAX_CD_SECTORS: u32 = 90 * 60 * 75;
/// Speed in kilobytes a second (24 times).
const SPEED: u16 = 4_234;
const PROFILE_CD_ROM: u16 = 0x08;
const PROFILE_DVD_ROM: u16 = 0x10;

pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

pub(super) fn be24(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]])
}

pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Answer of at most `bytes` bytes.
pub(super) fn allocate(mut data: Vec<u8>, bytes: usize) -> Action {
    data.truncate(bytes);
    if data.is_empty() {
        Action::Done
    } else {
        Action::Answer(data)
    }
}

fn bcd(n: u8) -> u8 {
    (n / 10 % 10) << 4 | (n % 10)
}

/// Minute, second, frame of a sector.
pub(super) fn msf(sector: u32) -> [u8; 3] {
    let frames = u64::from(sector) + u64::from(MSF_OFFSET);
    let byte = |n: u64| u8::try_from(n).unwrap_or(u8::MAX);
    [
        byte(frames / (60 * 75)),
        byte(frames / 75 % 60),
        byte(frames % 75),
    ]
}

fn address(sector: u32, as_msf: bool) -> [u8; 4] {
    if as_msf {
        let [m, s, f] = msf(sector);
        [0, m, s, f]
    } else {
        sector.to_be_bytes()
    }
}

fn text(out: &mut Vec<u8>, width: usize, text: &str) {
    let clean = text
        .bytes()
        .map(|b| if b.is_ascii_graphic() { b } else { b' ' });
    out.extend(clean.chain(std::iter::repeat(b' ')).take(width));
}

/// Puts the length of what follows the first two bytes there.
fn with_length(mut data: Vec<u8>) -> Vec<u8> {
    let length = u16::try_from(data.len() - 2).unwrap_or(u16::MAX);
    data[..2].copy_from_slice(&length.to_be_bytes());
    data
}

/// SPC-3, section 6.4: a removable CD/DVD device with packets by ATAPI.
pub(super) fn inquiry(cd: &CdRom, cdb: &Cdb) -> Result<Action, Sense> {
    if cdb[1] & 1 != 0 || cdb[2] != 0 {
        return Err(Sense::BAD_FIELD);
    }
    let mut data = vec![0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0];
    text(&mut data, 8, &cd.identity.vendor);
    text(&mut data, 16, &cd.identity.product);
    text(&mut data, 4, &cd.identity.firmware);
    Ok(allocate(data, usize::from(be16(cdb, 3))))
}

fn page_recovery() -> Vec<u8> {
    vec![0x01, 0x06, 0, 5, 0, 0, 0, 0]
}

/// Page 0Dh (SFF-8020i, section 9.8.6.3): the spindle's time is the drive's own; 60 seconds, 75 frames.
fn page_device() -> Vec<u8> {
    vec![0x0D, 0x06, 0, 0, 0, 60, 0, 75]
}

fn page_audio() -> Vec<u8> {
    vec![0x0E, 0x0E, 4, 0, 0, 0, 0, 75, 1, 0xFF, 2, 0xFF, 0, 0, 0, 0]
}

/// Page 2Ah (MMC-3, section 6.3.11): reads CD-R, CD-RW and DVD-ROM; mode 2 and several sessions; tray, eject, lock.
fn page_capabilities(cd: &CdRom) -> Vec<u8> {
    let [high, low] = SPEED.to_be_bytes();
    let locked = u8::from(cd.state.locked) << 1;
    vec![
        0x2A,
        0x12,
        0x0B,
        0,
        0x70,
        0,
        0x29 | locked,
        0,
        high,
        low,
        0,
        2,
        2,
        0,
        high,
        low,
        0,
        0,
        0,
        0,
    ]
}

pub(super) fn mode_sense(
    cd: &CdRom,
    cdb: &Cdb,
    medium: Option<BlockInfo>,
) -> Result<Action, Sense> {
    let (control, page) = (cdb[2] >> 6, cdb[2] & 0x3F);
    if control == 3 {
        return Err(Sense::NOT_SAVED);
    }
    let mut pages = match page {
        0x01 => vec![page_recovery()],
        0x0D => vec![page_device()],
        0x0E => vec![page_audio()],
        0x2A => vec![page_capabilities(cd)],
        0x3F => vec![
            page_recovery(),
            page_device(),
            page_audio(),
            page_capabilities(cd),
        ],
        _ => return Err(Sense::BAD_FIELD),
    };
    if control == 1 {
        // What could be changed: nothing.
        pages.iter_mut().for_each(|page| page[2..].fill(0));
    }
    // SFF-8020i, table 99: type of the medium, or the door.
    let kind = match medium {
        Some(_) => 0x01,
        None if cd.state.tray_open => 0x71,
        None => 0x70,
    };
    let body = pages.concat();
    let data = if cdb[0] == p::MODE_SENSE_10 {
        let mut data = vec![0, 0, kind, 0, 0, 0, 0, 0];
        data.extend(body);
        with_length(data)
    } else {
        let mut data = vec![u8::try_from(body.len() + 3).unwrap_or(u8::MAX), kind, 0, 0];
        data.extend(body);
        data
    };
    let room = if cdb[0] == p::MODE_SENSE_10 {
        usize::from(be16(cdb, 7))
    } else {
        usize::from(cdb[4])
    };
    Ok(allocate(data, room))
}

pub(super) fn capacity(have: u32) -> Action {
    let mut data = have.saturating_sub(1).to_be_bytes().to_vec();
    data.extend(2048u32.to_be_bytes());
    Action::Answer(data)
}

/// READ TOC/PMA/ATIP (MMC-5, section 6.30); the format may stand where SFF-8020i has it.
pub(super) fn toc(cdb: &Cdb, have: u32) -> Result<Action, Sense> {
    let as_msf = cdb[1] & 2 != 0;
    let format = match cdb[2] & 0x0F {
        0 => cdb[9] >> 6,
        n => n,
    };
    let first = cdb[6];
    let entry = |track: u8, sector: u32| {
        let [a, b, c, d] = address(sector, as_msf);
        [0, DATA_TRACK, track, 0, a, b, c, d]
    };
    let mut data = vec![0, 0, 1, 1];
    match format {
        0 => {
            if first > 1 && first != LEAD_OUT {
                return Err(Sense::BAD_FIELD);
            }
            if first <= 1 {
                data.extend(entry(1, 0));
            }
            data.extend(entry(LEAD_OUT, have));
        }
        1 => data.extend(entry(1, 0)),
        2 => {
            let full =
                |point: u8, [m, s, f]: [u8; 3]| [1, DATA_TRACK, 0, point, 0, 0, 0, 0, m, s, f];
            data.extend(full(0xA0, [1, 0, 0]));
            data.extend(full(0xA1, [1, 0, 0]));
            data.extend(full(0xA2, msf(have)));
            data.extend(full(1, msf(0)));
        }
        _ => return Err(Sense::BAD_FIELD),
    }
    Ok(allocate(with_length(data), usize::from(be16(cdb, 7))))
}

/// READ HEADER (SFF-8020i, section 9.8.13): mode 1.
pub(super) fn header(cdb: &Cdb, have: u32) -> Result<Action, Sense> {
    let sector = be32(cdb, 2);
    if sector >= have {
        return Err(Sense::OUT_OF_RANGE);
    }
    let mut data = vec![1, 0, 0, 0];
    data.extend(address(sector, cdb[1] & 2 != 0));
    Ok(allocate(data, usize::from(be16(cdb, 7))))
}

/// READ SUB-CHANNEL (MMC-5, section 6.28): no audio is ever played.
pub(super) fn sub_channel(cdb: &Cdb, _have: u32) -> Result<Action, Sense> {
    const NO_AUDIO_STATUS: u8 = 0x15;
    let mut body = Vec::new();
    if cdb[2] & 0x40 != 0 {
        match cdb[3] {
            1 => {
                let start = address(0, cdb[1] & 2 != 0);
                body.extend([1, DATA_TRACK, 1, 1]);
                body.extend(start);
                body.extend([0; 4]);
            }
            // No catalogue number, no recording code.
            kind @ (2 | 3) => {
                body = vec![0; 20];
                body[0] = kind;
            }
            _ => return Err(Sense::BAD_FIELD),
        }
    }
    let [high, low] = u16::try_from(body.len()).unwrap_or(0).to_be_bytes();
    let mut data = vec![0, NO_AUDIO_STATUS, high, low];
    data.extend(body);
    Ok(allocate(data, usize::from(be16(cdb, 7))))
}

/// READ DISC INFORMATION (MMC-5, section 6.26): complete, one session, one track.
pub(super) fn disc_information(cdb: &Cdb, _have: u32) -> Result<Action, Sense> {
    if cdb[1] & 7 != 0 {
        return Err(Sense::BAD_FIELD);
    }
    let mut data = vec![0; 34];
    data[2..8].copy_from_slice(&[0x0E, 1, 1, 1, 1, 0x20]);
    // Lead-in and last possible lead-out: none.
    data[16..24].fill(0xFF);
    Ok(allocate(with_length(data), usize::from(be16(cdb, 7))))
}

/// READ TRACK INFORMATION (MMC-5, section 6.31).
pub(super) fn track_information(cdb: &Cdb, have: u32) -> Result<Action, Sense> {
    let wanted = be32(cdb, 2);
    let exists = match cdb[1] & 3 {
        0 => wanted < have,
        1 | 2 => wanted == 1,
        _ => false,
    };
    if !exists {
        return Err(Sense::BAD_FIELD);
    }
    let mut data = vec![0; 36];
    data[2..7].copy_from_slice(&[1, 1, 0, 4, 1]);
    data[24..28].copy_from_slice(&have.to_be_bytes());
    Ok(allocate(with_length(data), usize::from(be16(cdb, 7))))
}

/// GET CONFIGURATION (MMC-5, section 6.6).
pub(super) fn configuration(cdb: &Cdb, medium: Option<BlockInfo>) -> Action {
    let current = match medium {
        None => 0,
        Some(info) if sectors(info) > MAX_CD_SECTORS => PROFILE_DVD_ROM,
        Some(_) => PROFILE_CD_ROM,
    };
    let is = |profile: u16| u8::from(current == profile);
    let [dvd_high, dvd_low] = PROFILE_DVD_ROM.to_be_bytes();
    let [cd_high, cd_low] = PROFILE_CD_ROM.to_be_bytes();
    let cd = is(PROFILE_CD_ROM);
    let dvd = is(PROFILE_DVD_ROM);
    // (feature, version, persistent, current, data)
    let features: [(u16, u8, bool, bool, Vec<u8>); 9] = [
        // Profile list.
        (
            0x0000,
            0,
            true,
            true,
            vec![dvd_high, dvd_low, dvd, 0, cd_high, cd_low, cd, 0],
        ),
        // Core: ATAPI; removable medium: tray, eject, lock.
        (0x0001, 2, true, true, vec![0, 0, 0, 2, 1, 0, 0, 0]),
        (0x0003, 0, true, true, vec![0x29, 0, 0, 0]),
        // Random readable: 2,048 bytes, one block.
        (0x0010, 0, false, current != 0, vec![0, 0, 8, 0, 0, 1, 0, 0]),
        // Multi-read, CD read, DVD read.
        (0x001D, 0, false, cd != 0, vec![]),
        (0x001E, 2, false, cd != 0, vec![0, 0, 0, 0]),
        (0x001F, 0, false, dvd != 0, vec![]),
        // Power management, time-out.
        (0x0100, 0, true, true, vec![]),
        (0x0105, 0, true, true, vec![]),
    ];
    let (kind, from) = (cdb[1] & 3, be16(cdb, 2));
    let mut data = vec![0; 8];
    data[6..8].copy_from_slice(&current.to_be_bytes());
    for (code, version, persistent, active, body) in features {
        let wanted = match kind {
            0 => code >= from,
            1 => code >= from && active,
            _ => code == from,
        };
        if wanted {
            data.extend(code.to_be_bytes());
            data.push(version << 2 | u8::from(persistent) << 1 | u8::from(active));
            data.push(u8::try_from(body.len()).unwrap_or(0));
            data.extend(body);
        }
    }
    let length = u32::try_from(data.len() - 4).unwrap_or(0);
    data[..4].copy_from_slice(&length.to_be_bytes());
    allocate(data, usize::from(be16(cdb, 7)))
}

/// READ DISC STRUCTURE (MMC-5, section 6.27): the physical format of a DVD of one layer, no copy protection.
pub(super) fn disc_structure(cdb: &Cdb, have: u32) -> Result<Action, Sense> {
    const FIRST_SECTOR: u32 = 0x3_0000;
    const LAYER_BYTES: usize = 2048;
    if have <= MAX_CD_SECTORS {
        return Err(Sense::WRONG_MEDIUM);
    }
    let mut data = vec![0; 4];
    match cdb[7] {
        0 => {
            // DVD-ROM, 120 mm, no least rate; one embossed layer.
            data.extend([0x01, 0x0F, 0x01, 0x00]);
            data.extend(FIRST_SECTOR.to_be_bytes());
            data.extend(FIRST_SECTOR.saturating_add(have - 1).to_be_bytes());
            data.resize(4 + LAYER_BYTES, 0);
        }
        1 => data.extend([0; 4]),
        _ => return Err(Sense::BAD_FIELD),
    }
    Ok(allocate(with_length(data), usize::from(be16(cdb, 8))))
}

/// GET PERFORMANCE (MMC-5, section 6.8), nominal performance alone.
pub(super) fn performance(cdb: &Cdb, have: u32) -> Result<Action, Sense> {
    if cdb[10] != 0 {
        return Err(Sense::BAD_FIELD);
    }
    let speed = u32::from(SPEED).to_be_bytes();
    let mut data = vec![0; 8];
    data[..4].copy_from_slice(&20u32.to_be_bytes());
    data.extend(0u32.to_be_bytes());
    data.extend(speed);
    data.extend(have.saturating_sub(1).to_be_bytes());
    data.extend(speed);
    let room = 8 + 16 * usize::from(be16(cdb, 8));
    Ok(allocate(data, room))
}

/// MECHANISM STATUS (MMC-5, section 6.9): no changer.
pub(super) fn mechanism_status(cd: &CdRom, cdb: &Cdb) -> Action {
    let open = u8::from(cd.state.tray_open) << 4;
    allocate(vec![0, open, 0, 0, 0, 1, 0, 0], usize::from(be16(cdb, 8)))
}

/// Sectors of user data as the selected parts of raw mode-1 sectors (ECMA-130, section 14). The correction bytes are
/// zero: nothing is ever misread.
pub(super) fn raw_sectors(user: &[u8], first: u32, parts: u8) -> Vec<u8> {
    let count = user.len() / 2048;
    let mut out = Vec::with_capacity(count * super::cdrom::part_bytes(parts));
    for (sector, data) in (first..).zip(user.chunks_exact(2048)) {
        if parts & 0x80 != 0 {
            out.push(0);
            out.extend([0xFF; 10]);
            out.push(0);
        }
        if parts & 0x20 != 0 {
            out.extend(msf(sector).map(bcd));
            out.push(1);
        }
        if parts & 0x10 != 0 {
            out.extend_from_slice(data);
        }
        if parts & 0x08 != 0 {
            out.extend([0; 288]);
        }
    }
    out
}
