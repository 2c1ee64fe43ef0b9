use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use vmwb_block::{HostFile, qcow2};
use vmwb_hw::{BlockError, BlockReply, BlockRequest, MAX_IN_FLIGHT};

use super::*;
use crate::error::MachineError;

const KIB: usize = 1024;

fn options(deterministic: bool, waker: Waker) -> DriveOptions {
    DriveOptions {
        name: "vmwb-drive0".to_owned(),
        read_only: false,
        deterministic,
        confined: false,
        waker,
        counters: Arc::default(),
    }
}

fn image_file(file: &tempfile::NamedTempFile) -> ImageFile {
    ImageFile {
        format: ImageFormat::Raw,
        file: file.reopen().unwrap(),
    }
}

fn disk(content: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all_at(content, 0).unwrap();
    file
}

/// A drive, and where its waker tells of answers.
fn drive(file: &tempfile::NamedTempFile) -> (OpenDrive, Receiver<()>) {
    let (tell, told) = channel();
    let waker = Box::new(move || tell.send(()).unwrap());
    let drive = open(vec![image_file(file)], options(false, waker)).unwrap();
    (drive, told)
}

fn read(offset: u64, len: u32) -> BlockRequest {
    BlockRequest::Read { offset, len }
}

fn answer(drive: &mut OpenDrive, request: BlockRequest) -> Result<Vec<u8>, BlockError> {
    drive.backend.submit(Nanos(0), 1, request);
    drive.backend.wait_reply().unwrap().result
}

#[test]
fn written_bytes_read_back_and_lie_in_the_file() {
    let file = disk(&[0; 8 * KIB]);
    let (mut drive, _told) = drive(&file);
    let write = BlockRequest::Write {
        offset: 512,
        data: vec![7; 1024],
    };
    assert_eq!(answer(&mut drive, write), Ok(vec![]));
    let expected = [vec![0; 512], vec![7; 1024], vec![0; 512]].concat();
    assert_eq!(answer(&mut drive, read(0, 2048)), Ok(expected.clone()));
    assert_eq!(answer(&mut drive, BlockRequest::Flush), Ok(vec![]));
    drop(drive);
    let mut all = vec![];
    file.reopen().unwrap().read_to_end(&mut all).unwrap();
    assert_eq!(all[..2048], expected);
}

#[test]
fn answers_come_in_order_with_their_tags_and_wake() {
    let (mut drive, told) = drive(&disk(&[3; 64 * KIB]));
    let tags: Vec<u64> = (100..100 + MAX_IN_FLIGHT as u64).collect();
    for &tag in &tags {
        drive.backend.submit(Nanos(0), tag, read(0, 512));
    }
    assert_eq!(drive.backend.in_flight(), MAX_IN_FLIGHT);
    assert_eq!(drive.backend.next_reply(), None);
    for &tag in &tags {
        told.recv().unwrap();
        let reply = drive.backend.take_reply(Nanos(0)).unwrap();
        assert_eq!((reply.tag, reply.result), (tag, Ok(vec![3; 512])));
    }
    assert_eq!(drive.backend.take_reply(Nanos(0)), None);
    assert_eq!(drive.backend.wait_reply(), None);
}

#[test]
fn requests_beyond_the_bound_are_refused_without_waiting() {
    let (mut drive, _told) = drive(&disk(&[3; 64 * KIB]));
    for tag in 0..=MAX_IN_FLIGHT as u64 {
        drive.backend.submit(Nanos(0), tag, read(0, 512));
    }
    let replies: Vec<BlockReply> = std::iter::from_fn(|| drive.backend.wait_reply()).collect();
    assert_eq!(replies.len(), MAX_IN_FLIGHT + 1);
    let refused: Vec<u64> = replies
        .iter()
        .filter(|r| r.result.is_err())
        .map(|r| r.tag)
        .collect();
    assert_eq!(refused, [MAX_IN_FLIGHT as u64]);
}

#[test]
fn range_outside_and_read_only_are_told_apart() {
    let file = disk(&[3; 64 * KIB]);
    let read_only = DriveOptions {
        read_only: true,
        ..options(false, Box::new(|| ()))
    };
    let mut drive = open(vec![image_file(&file)], read_only).unwrap();
    assert_eq!(
        answer(&mut drive, read(64 * KIB as u64, 512)),
        Err(BlockError::OutOfRange)
    );
    assert_eq!(
        answer(&mut drive, read(0, u32::MAX)),
        Err(BlockError::OutOfRange)
    );
    let write = BlockRequest::Write {
        offset: 0,
        data: vec![0; 512],
    };
    assert_eq!(answer(&mut drive, write), Err(BlockError::ReadOnly));
    assert!(drive.backend.info().unwrap().read_only);
}

#[test]
fn deterministic_answer_is_there_at_its_time_and_not_before() {
    let file = disk(&[3; 64 * KIB]);
    let waker = Box::new(|| panic!("nobody is to be woken"));
    let mut drive = open(vec![image_file(&file)], options(true, waker)).unwrap();
    let backend = &mut drive.backend;
    backend.submit(Nanos(1000), 1, read(0, 512));
    backend.submit(Nanos(2000), 2, read(512, 512));
    assert_eq!(backend.next_reply(), Some(Nanos(1000 + LATENCY.0)));
    assert_eq!(backend.take_reply(Nanos(999 + LATENCY.0)), None);
    assert_eq!(backend.take_reply(Nanos(1000 + LATENCY.0)).unwrap().tag, 1);
    assert_eq!(backend.take_reply(Nanos(1000 + LATENCY.0)), None);
    assert_eq!(backend.next_reply(), Some(Nanos(2000 + LATENCY.0)));
    assert_eq!(backend.wait_reply().unwrap().tag, 2);
    assert_eq!((backend.next_reply(), backend.in_flight()), (None, 0));
}

#[test]
fn image_of_another_machine_is_refused_until_that_is_gone() {
    let file = disk(&[3; 64 * KIB]);
    let (first, _told) = drive(&file);
    let again = || open(vec![image_file(&file)], options(false, Box::new(|| ())));
    assert_eq!(again().unwrap_err().code(), "in_use");
    drop(first);
    again().unwrap();
}

#[test]
fn locked_in_thread_does_everything_that_a_drive_does() {
    let file = disk(&[3; 700]);
    let confined = DriveOptions {
        confined: true,
        ..options(false, Box::new(|| ()))
    };
    let mut drive = open(vec![image_file(&file)], confined).unwrap();
    let write = BlockRequest::Write {
        offset: 512,
        data: vec![9; 512],
    };
    assert_eq!(answer(&mut drive, write), Ok(vec![]));
    let zeroes = BlockRequest::WriteZeroes {
        offset: 0,
        len: 512,
    };
    assert_eq!(answer(&mut drive, zeroes), Ok(vec![]));
    let discard = BlockRequest::Discard {
        offset: 0,
        len: 512,
    };
    assert_eq!(answer(&mut drive, discard), Ok(vec![]));
    assert_eq!(answer(&mut drive, BlockRequest::Flush), Ok(vec![]));
    assert_eq!(
        answer(&mut drive, read(0, 1024)),
        Ok([vec![0; 512], vec![9; 512]].concat())
    );
}

#[test]
fn locked_in_thread_does_everything_that_qcow2_needs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let image = file.reopen().unwrap();
    let small = qcow2::CreateOptions {
        cluster_bytes: 512,
        ..qcow2::CreateOptions::default()
    };
    qcow2::create(&image, 4 << 20, &small).unwrap();
    drop(image);
    let confined = DriveOptions {
        confined: true,
        ..options(false, Box::new(|| ()))
    };
    let chain = vec![ImageFile {
        format: ImageFormat::Qcow2,
        file: file.reopen().unwrap(),
    }];
    let mut drive = open(chain, confined).unwrap();
    // So much that the refcount table moves, and then all of it is given up and punched out.
    let (offset, data) = (0, vec![7; 4 << 20]);
    assert_eq!(
        answer(&mut drive, BlockRequest::Write { offset, data }),
        Ok(vec![])
    );
    assert_eq!(answer(&mut drive, BlockRequest::Flush), Ok(vec![]));
    assert_eq!(answer(&mut drive, read(1 << 20, 512)), Ok(vec![7; 512]));
    let len = 4 << 20;
    assert_eq!(
        answer(&mut drive, BlockRequest::Discard { offset, len }),
        Ok(vec![])
    );
    assert_eq!(answer(&mut drive, BlockRequest::Flush), Ok(vec![]));
    assert_eq!(answer(&mut drive, read(1 << 20, 512)), Ok(vec![0; 512]));
    drop(drive);
    let report = qcow2::check(&file.reopen().unwrap()).unwrap();
    assert!(
        report.is_sound() && report.leaked_clusters == 0,
        "{report:?}"
    );
}

#[test]
fn counters_tell_what_was_done() {
    let counters = Arc::<DriveCounters>::default();
    let counted = DriveOptions {
        counters: Arc::clone(&counters),
        ..options(false, Box::new(|| ()))
    };
    let file = disk(&[3; 64 * KIB]);
    let mut drive = open(vec![image_file(&file)], counted).unwrap();
    answer(&mut drive, read(0, 2048)).unwrap();
    let write = BlockRequest::Write {
        offset: 0,
        data: vec![0; 1024],
    };
    answer(&mut drive, write).unwrap();
    answer(&mut drive, BlockRequest::Flush).unwrap();
    answer(&mut drive, read(1 << 30, 512)).unwrap_err();
    let expected = DriveStats {
        reads: 1,
        read_bytes: 2048,
        writes: 1,
        written_bytes: 1024,
        flushes: 1,
        failures: 1,
    };
    assert_eq!(counters.stats(), expected);
}

/// A file that fails as it is told.
#[derive(Debug)]
struct Failing(File, Arc<Mutex<Option<i32>>>);

impl Failing {
    fn check(&self) -> io::Result<()> {
        let failure = *self.1.lock().unwrap();
        failure.map_or(Ok(()), |n| Err(io::Error::from_raw_os_error(n)))
    }
}

impl HostFile for Failing {
    fn size_bytes(&self) -> io::Result<u64> {
        self.0.size_bytes()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        HostFile::read_at(&self.0, offset, out)
    }
    fn append_at(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        self.0.append_at(offset, len, out)
    }
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        HostFile::write_at(&self.0, offset, data)
    }
    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.0.set_size(bytes)
    }
    fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.0.sync()
    }
    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        self.0.punch(offset, len)
    }
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        self.0.next_data(offset)
    }
    fn claim(&self, write: bool) -> io::Result<()> {
        self.0.claim(write)
    }
}

#[test]
fn failures_of_the_host_are_told_to_the_guest() {
    let failure = Arc::new(Mutex::new(None));
    let file = Failing(disk(&[3; 64 * KIB]).into_file(), Arc::clone(&failure));
    let layer = Layer {
        format: ImageFormat::Raw,
        file: Box::new(file),
    };
    let make = move || Image::open(vec![layer], false);
    let mut drive = open_with(make, options(false, Box::new(|| ()))).unwrap();
    let write = || BlockRequest::Write {
        offset: 0,
        data: vec![0; 512],
    };
    *failure.lock().unwrap() = Some(libc::ENOSPC);
    assert_eq!(answer(&mut drive, write()), Err(BlockError::NoSpace));
    *failure.lock().unwrap() = Some(libc::EIO);
    let failed = answer(&mut drive, write()).unwrap_err();
    assert!(matches!(&failed, BlockError::Host(said) if !said.is_empty()));
    assert!(answer(&mut drive, BlockRequest::Flush).is_err());
    *failure.lock().unwrap() = None;
    assert_eq!(answer(&mut drive, write()), Ok(vec![]));
}

#[test]
fn image_that_is_refused_says_why() {
    let refused = open(vec![], options(false, Box::new(|| ()))).unwrap_err();
    assert_eq!(refused.code(), "bad_argument");
}

#[test]
fn floppy_image_of_odd_size_is_refused_although_its_sectors_are_rounded() {
    let check = |bytes: usize| {
        let file = disk(&vec![0; bytes]);
        let raw = raw_bytes(&image_file(&file));
        check_size(DriveKind::Floppy, &drive(&file).0, raw).map_err(|e| (e.code(), e.to_string()))
    };
    assert_eq!((check(360 * KIB), check(1_296_384)), (Ok(()), Ok(())));
    let (code, sentence) = check(1_474_559).unwrap_err();
    assert_eq!(code, "wrong_format");
    assert!(sentence.contains("1474559 bytes"));
}

#[test]
fn medium_without_a_sector_is_refused_by_its_kind() {
    let check = |kind, content: &[u8]| {
        let file = disk(content);
        let raw = raw_bytes(&image_file(&file));
        check_size(kind, &drive(&file).0, raw).map_err(|e| (e.code(), e.to_string()))
    };
    let (code, sentence) = check(DriveKind::Cdrom, &[0; 2047]).unwrap_err();
    assert_eq!(code, "wrong_format");
    assert!(
        sentence.starts_with("A CD image of 2047 bytes"),
        "{sentence}"
    );
    let (code, sentence) = check(DriveKind::Disk, &[]).unwrap_err();
    assert_eq!(code, "wrong_format");
    assert!(
        sentence.starts_with("The disk image is empty"),
        "{sentence}"
    );
    assert_eq!(check(DriveKind::Cdrom, &[0; 2048]), Ok(()));
    assert_eq!(check(DriveKind::Disk, &[0; 1]), Ok(()));
}

#[test]
fn refusal_of_a_machine_names_the_drive() {
    let source = DriveError::NoSectors;
    let error = MachineError::Drive {
        slot: "ide0".to_owned(),
        source,
    };
    assert_eq!(error.code(), "wrong_format");
    assert!(
        error
            .to_string()
            .starts_with("Drive ide0: The disk image is empty")
    );
}
