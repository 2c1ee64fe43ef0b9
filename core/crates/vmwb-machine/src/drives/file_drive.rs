//! A drive as its device sees it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use vmwb_block::{Image, ImageError};
use vmwb_hw::{
    BlockBackend, BlockError, BlockInfo, BlockReply, BlockRequest, MAX_IN_FLIGHT, Nanos,
};

use super::worker::{Queues, Worker};
use super::{DriveError, DriveOptions, LATENCY};
use crate::confine::{self, Role};

/// A medium in image files.
#[derive(Debug)]
pub(super) struct FileDrive {
    info: BlockInfo,
    queues: Arc<Queues>,
    /// Requests of which no answer was taken; their virtual times of arrival in a deterministic machine, in order.
    waiting: VecDeque<Nanos>,
    /// Answers to requests that the thread never saw.
    refused: VecDeque<BlockReply>,
    deterministic: bool,
    thread: Option<JoinHandle<()>>,
}

impl FileDrive {
    /// Starts the thread, and waits until it has opened the image.
    pub(super) fn start(
        make: impl FnOnce() -> Result<Image, ImageError> + Send + 'static,
        options: DriveOptions,
    ) -> Result<Self, DriveError> {
        let queues = Arc::new(Queues::default());
        let (tell, told) = channel();
        let for_thread = Arc::clone(&queues);
        let counters = options.counters;
        let waker = (!options.deterministic).then_some(options.waker);
        let work = move || {
            let image = match make() {
                Ok(image) => image,
                Err(error) => return drop(tell.send(Err(error))),
            };
            let info = BlockInfo {
                bytes: image.bytes(),
                read_only: image.read_only(),
            };
            if tell.send(Ok(info)).is_ok() {
                Worker {
                    image,
                    queues: for_thread,
                    counters,
                    waker,
                    lost: None,
                }
                .run();
            }
        };
        let role = options.confined.then_some(Role::Drive);
        let thread = confine::spawn(&options.name, role, work).map_err(DriveError::Thread)?;
        let opened = told.recv();
        let info = match opened {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                // Its files are closed when this has returned.
                drop(thread.join());
                return Err(error.into());
            }
            Err(_) => {
                return Err(DriveError::Thread(io::Error::other("it ended early")));
            }
        };
        Ok(Self {
            info,
            queues,
            waiting: VecDeque::new(),
            refused: VecDeque::new(),
            deterministic: options.deterministic,
            thread: Some(thread),
        })
    }

    fn took(&mut self, reply: BlockReply) -> BlockReply {
        self.waiting.pop_front();
        reply
    }
}

impl BlockBackend for FileDrive {
    fn info(&self) -> Option<BlockInfo> {
        Some(self.info)
    }

    fn submit(&mut self, now: Nanos, tag: u64, request: BlockRequest) {
        if self.in_flight() >= MAX_IN_FLIGHT {
            self.refused.push_back(BlockReply {
                tag,
                result: Err(BlockError::Host("too many requests at once".to_owned())),
            });
            return;
        }
        self.waiting.push_back(now.plus(LATENCY.0));
        self.queues.submit(tag, request);
    }

    fn take_reply(&mut self, now: Nanos) -> Option<BlockReply> {
        if let Some(reply) = self.refused.pop_front() {
            return Some(reply);
        }
        let due = *self.waiting.front()?;
        let reply = if self.deterministic {
            if due > now {
                return None;
            }
            self.queues.wait_reply()
        } else {
            self.queues.try_reply()?
        };
        Some(self.took(reply))
    }

    fn in_flight(&self) -> usize {
        self.waiting.len() + self.refused.len()
    }

    fn next_reply(&self) -> Option<Nanos> {
        if !self.deterministic {
            return None;
        }
        if self.refused.is_empty() {
            self.waiting.front().copied()
        } else {
            Some(Nanos(0))
        }
    }

    fn wait_reply(&mut self) -> Option<BlockReply> {
        if let Some(reply) = self.refused.pop_front() {
            return Some(reply);
        }
        self.waiting.front()?;
        let reply = self.queues.wait_reply();
        Some(self.took(reply))
    }
}

impl Drop for FileDrive {
    fn drop(&mut self) {
        self.queues.close();
        if let Some(thread) = self.thread.take() {
            // It does not panic: what it calls is caught.
            drop(thread.join());
        }
    }
}
