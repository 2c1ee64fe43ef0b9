//! What an image asks of the host: one file that is open already.
//!
//! Every access of an image goes through this trait, so that tests can put a file in its place that fails, or that loses
//! power.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use crate::sys;

/// Zeros that are written where the host cannot make holes, at once.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// A file of the host. Offsets and lengths are in bytes. Nothing of it moves a file position.
pub trait HostFile: Debug + Send {
    /// Its size.
    ///
    /// # Errors
    /// The host's answer.
    fn size_bytes(&self) -> io::Result<u64>;

    /// Fills the whole buffer; what lies behind the end of the file reads as zeros.
    ///
    /// # Errors
    /// The host's answer; the buffer then has anything.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;

    /// Appends `len` bytes to a buffer, like [`HostFile::read_at`].
    ///
    /// # Errors
    /// The host's answer; the buffer may then have grown by anything up to `len`.
    fn append_at(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()>;

    /// Writes all of the data; the file grows as far as needed. Durable only after [`HostFile::sync`].
    ///
    /// # Errors
    /// The host's answer; any part of the data may have been written.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Cuts the file, or lets it grow by zeros.
    ///
    /// # Errors
    /// The host's answer.
    fn set_size(&self, bytes: u64) -> io::Result<()>;

    /// Makes everything durable that was written before: data, and what is needed to find it again.
    ///
    /// # Errors
    /// The host's answer: what was written since the last success may be lost, even if a later call succeeds.
    fn sync(&self) -> io::Result<()>;

    /// Gives the range back to the host, so that it reads as zeros; the size stays.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the host has no holes; otherwise its answer.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The first byte at or behind `offset` that is not in a hole; `None`: only holes follow. A host that does not know
    /// answers `offset`.
    ///
    /// # Errors
    /// The host's answer.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// Keeps others from writing the file, or with `write` from using it at all, until it is closed.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`]: somebody has it; [`io::ErrorKind::PermissionDenied`]: `write` is asked of a handle
    /// that is open for reading only; otherwise the host's answer.
    fn claim(&self, write: bool) -> io::Result<()>;

    /// Makes the range read as zeros, with holes where the host has them.
    ///
    /// # Errors
    /// The host's answer; any part of the range may be zeros then.
    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        match self.punch(offset, len) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {}
            done => return done,
        }
        let mut at = offset;
        let end = offset.saturating_add(len);
        while at < end {
            let part = usize::try_from(end - at).map_or(ZEROS.len(), |n| n.min(ZEROS.len()));
            self.write_at(at, &ZEROS[..part])?;
            at += part as u64;
        }
        Ok(())
    }
}

impl HostFile for File {
    fn size_bytes(&self) -> io::Result<u64> {
        // Not its metadata: a block device has its size here only.
        (&*self).seek(SeekFrom::End(0))
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < out.len() {
            match FileExt::read_at(self, &mut out[done..], offset + done as u64) {
                Ok(0) => {
                    out[done..].fill(0);
                    break;
                }
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn append_at(&self, offset: u64, len: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let end = out.len() + len;
        out.reserve(len);
        while out.len() < end {
            let at = offset + (len - (end - out.len())) as u64;
            match sys::append(self, at, end - out.len(), out) {
                Ok(0) => out.resize(end, 0),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_all_at(data, offset)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        sys::punch(self, offset, len)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        sys::next_data(self, offset)
    }

    fn claim(&self, write: bool) -> io::Result<()> {
        sys::lock(self, write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_with(bytes: &[u8]) -> File {
        let file = tempfile::tempfile().unwrap();
        HostFile::write_at(&file, 0, bytes).unwrap();
        file
    }

    #[test]
    fn read_behind_the_end_gives_zeros() {
        let file = file_with(&[7; 700]);
        let mut out = [1; 1024];
        HostFile::read_at(&file, 512, &mut out).unwrap();
        assert!(out[..188].iter().all(|&b| b == 7) && out[188..].iter().all(|&b| b == 0));
    }

    #[test]
    fn append_keeps_what_was_there_and_pads_with_zeros() {
        let file = file_with(&[7; 700]);
        let mut out = vec![9; 3];
        file.append_at(600, 200, &mut out).unwrap();
        assert_eq!(out, [vec![9; 3], vec![7; 100], vec![0; 100]].concat());
    }

    #[test]
    fn punched_range_reads_as_zeros_and_the_size_stays() {
        let file = file_with(&[7; 8192]);
        file.zero(100, 5000).unwrap();
        let mut out = vec![];
        file.append_at(0, 8192, &mut out).unwrap();
        assert_eq!(out, [vec![7; 100], vec![0; 5000], vec![7; 3092]].concat());
        assert_eq!(file.size_bytes().unwrap(), 8192);
    }

    #[test]
    fn next_data_skips_a_hole() {
        let file = file_with(&[]);
        file.set_size(4 << 20).unwrap();
        HostFile::write_at(&file, 2 << 20, &[1; 4096]).unwrap();
        assert_eq!(file.next_data(0).unwrap(), Some(2 << 20));
        assert_eq!(file.next_data(3 << 20).unwrap(), None);
    }

    #[test]
    fn claim_of_a_writer_keeps_every_other_handle_out() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let writer = named.reopen().unwrap();
        writer.claim(true).unwrap();
        for write in [false, true] {
            let busy = named.reopen().unwrap().claim(write).unwrap_err();
            assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
        }
        drop(writer);
        named.reopen().unwrap().claim(true).unwrap();
    }

    #[test]
    fn claim_of_a_reader_is_shared_with_readers_only() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let reader = File::open(named.path()).unwrap();
        reader.claim(false).unwrap();
        named.reopen().unwrap().claim(false).unwrap();
        let busy = named.reopen().unwrap().claim(true).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::ResourceBusy);
    }

    #[test]
    fn claim_for_writing_of_a_handle_for_reading_is_refused() {
        let named = tempfile::NamedTempFile::new().unwrap();
        let refused = File::open(named.path()).unwrap().claim(true).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
    }
}
