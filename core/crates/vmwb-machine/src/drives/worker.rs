//! A drive's thread: takes requests, carries them out on the image, leaves the answers.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use vmwb_block::{Image, ImageError};
use vmwb_hw::{BlockError, BlockReply, BlockRequest, MAX_REQUEST_BYTES};

use super::Waker;
use super::counters::DriveCounters;

/// How long a drive is idle before what was written is made durable without being asked: a guest that never flushes
/// loses little when the host does.
const SETTLE: Duration = Duration::from_secs(2);

/// What the device's side and the thread share.
#[derive(Debug, Default)]
pub(super) struct Queues {
    state: Mutex<State>,
    /// Told of every request, and of the end.
    work: Condvar,
    /// Told of every answer.
    answer: Condvar,
}

#[derive(Debug, Default)]
struct State {
    requests: VecDeque<(u64, BlockRequest)>,
    replies: VecDeque<BlockReply>,
    closing: bool,
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    pub(super) fn submit(&self, tag: u64, request: BlockRequest) {
        self.lock().requests.push_back((tag, request));
        self.work.notify_one();
    }

    pub(super) fn try_reply(&self) -> Option<BlockReply> {
        self.lock().replies.pop_front()
    }

    /// Waits for an answer; there must be a request without one.
    pub(super) fn wait_reply(&self) -> BlockReply {
        let mut state = self.lock();
        loop {
            if let Some(reply) = state.replies.pop_front() {
                return reply;
            }
            state = self
                .answer
                .wait(state)
                .expect("no holder of this lock panics");
        }
    }

    /// Lets the thread end when all requests are carried out.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    fn reply(&self, reply: BlockReply) {
        self.lock().replies.push_back(reply);
        self.answer.notify_one();
    }

    fn next(&self, unsettled: bool) -> Next {
        let mut state = self.lock();
        loop {
            if let Some((tag, request)) = state.requests.pop_front() {
                return Next::Request(tag, request);
            }
            if state.closing {
                return Next::End;
            }
            if unsettled {
                let (again, timeout) = self
                    .work
                    .wait_timeout(state, SETTLE)
                    .expect("no holder of this lock panics");
                state = again;
                if timeout.timed_out() && state.requests.is_empty() && !state.closing {
                    return Next::Settle;
                }
            } else {
                state = self
                    .work
                    .wait(state)
                    .expect("no holder of this lock panics");
            }
        }
    }
}

enum Next {
    Request(u64, BlockRequest),
    /// Nothing to do for a while.
    Settle,
    End,
}

/// The thread's own things.
pub(super) struct Worker {
    pub image: Image,
    pub queues: Arc<Queues>,
    pub counters: Arc<DriveCounters>,
    /// `None`: nobody wants to be told.
    pub waker: Option<Waker>,
    /// A flush that the guest did not ask for has failed: told at the next one that it asks for, because a host tells
    /// of lost writes once.
    pub lost: Option<ImageError>,
}

impl Worker {
    /// Works until the queues are closed, then makes everything durable.
    pub(super) fn run(mut self) {
        let mut unsettled = false;
        loop {
            match self.queues.next(unsettled) {
                Next::Request(tag, request) => {
                    unsettled = match request {
                        BlockRequest::Read { .. } => unsettled,
                        BlockRequest::Flush => false,
                        _ => true,
                    };
                    let result = self.carry_out_whole(request);
                    if result.is_err() {
                        self.counters.failed();
                    }
                    self.queues.reply(BlockReply { tag, result });
                    if let Some(wake) = &self.waker {
                        wake();
                    }
                }
                Next::Settle => {
                    self.lost = self.image.flush().err().or(self.lost.take());
                    unsettled = false;
                }
                Next::End => break,
            }
        }
        // There is nobody left to tell of a failure.
        drop(self.image.flush());
    }

    /// Whoever waits for an answer gets one, whatever happens here.
    fn carry_out_whole(&mut self, request: BlockRequest) -> Result<Vec<u8>, BlockError> {
        catch_unwind(AssertUnwindSafe(|| self.carry_out(request)))
            .unwrap_or_else(|_| Err(BlockError::Host("the drive's code failed".to_owned())))
    }

    fn carry_out(&mut self, request: BlockRequest) -> Result<Vec<u8>, BlockError> {
        let done = match request {
            BlockRequest::Read { offset, len } if len <= MAX_REQUEST_BYTES => {
                let len = usize::try_from(len).map_err(|_| BlockError::OutOfRange)?;
                let mut data = Vec::with_capacity(len);
                self.image.read(offset, len, &mut data).map_err(told)?;
                self.counters.read(len as u64);
                return Ok(data);
            }
            BlockRequest::Read { .. } => return Err(BlockError::OutOfRange),
            BlockRequest::Write { offset, data } => {
                self.image.write(offset, &data).map_err(told)?;
                self.counters.wrote(data.len() as u64);
                return Ok(Vec::new());
            }
            BlockRequest::Flush => match self.lost.take() {
                Some(error) => Err(error),
                None => self.image.flush().map(|()| self.counters.flushed()),
            },
            BlockRequest::Discard { offset, len } => self.image.discard(offset, len),
            BlockRequest::WriteZeroes { offset, len } => self
                .image
                .write_zeroes(offset, len)
                .map(|()| self.counters.wrote(len)),
        };
        done.map(|()| Vec::new()).map_err(told)
    }
}

/// In the words of a drive.
fn told(error: ImageError) -> BlockError {
    match error {
        ImageError::OutOfRange => BlockError::OutOfRange,
        ImageError::ReadOnly => BlockError::ReadOnly,
        error if error.is_full() => BlockError::NoSpace,
        ImageError::Host { source, .. } => BlockError::Host(source.to_string()),
        error => BlockError::Host(error.to_string()),
    }
}
