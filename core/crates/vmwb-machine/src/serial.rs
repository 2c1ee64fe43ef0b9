//! The outside of serial ports: client sockets, and the thread that moves their characters.
//!
//! The guest's UART writes into a buffer of its port ([`PortOutput`]); the driver calls [`SerialHub::flush`] now and
//! then, and the thread hands the characters to every client of the port. What clients send goes to the machine's input
//! queue through an [`InputSink`]. A slow client costs the guest nothing: it has [`BACKLOG_BYTES`] of room, then it
//! loses the oldest characters.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use vmwb_hw::CharBackend;

use crate::confine::{self, Role};
use crate::sys::{EventFd, Interest, Ready, poll};

/// Characters that wait for one slow client.
pub const BACKLOG_BYTES: usize = 1 << 20;
/// Characters that the guest may write between two flushes before the oldest are lost.
const UNFLUSHED_BYTES: usize = 1 << 20;
/// Most clients of one machine.
const MAX_CLIENTS: usize = 64;
const READ_BYTES: usize = 4096;
/// How long a guest that ends waits for its last output to be handed over.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);
/// How often a full input queue is tried again.
const RETRY: Duration = Duration::from_millis(20);

/// Where characters from clients go. `false`: no room now, offer them again.
pub trait InputSink: Send {
    /// Takes characters for a port.
    fn offer(&self, port: u8, data: &[u8]) -> bool;
}

/// What a guest has written to one port and nobody has fetched yet. A ring, so that one which is full moves nothing to
/// lose its oldest.
#[derive(Debug, Clone, Default)]
pub struct PortOutput(Arc<Mutex<VecDeque<u8>>>);

impl PortOutput {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().expect("no holder of this lock panics")).into()
    }

    fn is_empty(&self) -> bool {
        self.0
            .lock()
            .expect("no holder of this lock panics")
            .is_empty()
    }
}

impl CharBackend for PortOutput {
    fn write(&mut self, bytes: &[u8]) {
        let mut buffer = self.0.lock().expect("no holder of this lock panics");
        if buffer.len() + bytes.len() > UNFLUSHED_BYTES {
            let excess = (buffer.len() + bytes.len() - UNFLUSHED_BYTES).min(buffer.len());
            buffer.drain(..excess);
        }
        buffer.extend(bytes);
    }
}

struct Client {
    port: u8,
    socket: UnixStream,
    backlog: VecDeque<u8>,
    /// Read from the client and not taken by the input queue yet.
    unread: Vec<u8>,
    input_ended: bool,
}

struct Shared {
    ports: Vec<PortOutput>,
    wake: EventFd,
    arrivals: Mutex<Vec<Client>>,
    closing: AtomicBool,
    /// How often it was asked to hand everything over, and which of these are done.
    asked: AtomicU64,
    done: Mutex<u64>,
    turned: Condvar,
}

/// All serial ports of a machine. Dropping it ends the thread.
pub struct SerialHub {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for SerialHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialHub")
            .field("ports", &self.shared.ports.len())
            .finish_non_exhaustive()
    }
}

/// The driver's end of the hub.
#[derive(Clone)]
pub struct SerialFlush(Arc<Shared>);

impl fmt::Debug for SerialFlush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SerialFlush").finish_non_exhaustive()
    }
}

impl SerialFlush {
    /// Whether the guest has written since the last flush.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.0.ports.iter().any(|p| !p.is_empty())
    }

    /// Hands what the guest has written to the thread.
    pub fn flush(&self) {
        self.0.wake.signal();
    }

    /// Returns when everything that the guest has written so far stands in the sockets, as far as they take it, or
    /// after a second: whoever is told afterwards that the guest stands still finds its last words there.
    pub fn drain(&self) {
        let ticket = self.0.asked.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.wake.signal();
        let done = self.0.done.lock().expect("no holder of this lock panics");
        let waited = self
            .0
            .turned
            .wait_timeout_while(done, DRAIN_PATIENCE, |done| *done < ticket)
            .expect("no holder of this lock panics");
        drop(waited);
    }

    /// What the guest's UART of this port writes into.
    #[must_use]
    pub fn output(&self, port: u8) -> PortOutput {
        self.0
            .ports
            .get(usize::from(port))
            .cloned()
            .unwrap_or_default()
    }
}

impl SerialHub {
    /// Starts the thread for `ports` ports, locked in when it has a role.
    ///
    /// # Errors
    /// The host has no descriptor or thread to give.
    pub fn new(ports: u8, sink: Box<dyn InputSink>, role: Option<Role>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            ports: (0..ports).map(|_| PortOutput::default()).collect(),
            wake: EventFd::new()?,
            arrivals: Mutex::new(Vec::new()),
            closing: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            done: Mutex::new(0),
            turned: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        let work = move || serve(&for_thread, sink.as_ref());
        let thread = confine::spawn("vmwb-serial", role, work)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// The driver's end.
    #[must_use]
    pub fn flusher(&self) -> SerialFlush {
        SerialFlush(Arc::clone(&self.shared))
    }

    /// A new stream socket of `port`: reads give the guest's output from now on, writes are its input. `None` when
    /// there is no such port.
    ///
    /// # Errors
    /// The host has no socket to give.
    pub fn open(&self, port: u8) -> io::Result<Option<UnixStream>> {
        if usize::from(port) >= self.shared.ports.len() {
            return Ok(None);
        }
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let client = Client {
            port,
            socket: ours,
            backlog: VecDeque::new(),
            unread: Vec::new(),
            input_ended: false,
        };
        let mut arrivals = self
            .shared
            .arrivals
            .lock()
            .expect("no holder of this lock panics");
        if arrivals.len() >= MAX_CLIENTS {
            return Err(io::Error::other("too many consoles are open; close some"));
        }
        arrivals.push(client);
        drop(arrivals);
        self.shared.wake.signal();
        Ok(Some(theirs))
    }
}

impl Drop for SerialHub {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.signal();
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported on its own; there is nothing to add here.
            drop(thread.join());
        }
    }
}

/// The thread: waits for flushes and for clients, moves characters.
fn serve(shared: &Shared, sink: &dyn InputSink) {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let stuck = clients.iter().any(|c| !c.unread.is_empty());
        let mut interests = vec![Interest {
            fd: shared.wake.raw(),
            read: true,
            write: false,
        }];
        interests.extend(clients.iter().map(|c| Interest {
            fd: c.socket.as_raw_fd(),
            read: c.unread.is_empty() && !c.input_ended,
            write: !c.backlog.is_empty(),
        }));
        let Ok(ready) = poll(&interests, stuck.then_some(RETRY)) else {
            return;
        };
        if ready[0].read {
            shared.wake.clear();
        }
        let closing = shared.closing.load(Ordering::Acquire);
        // Read before the output is taken: what was written before the question is in it.
        let asked = shared.asked.load(Ordering::Acquire);
        let arrived = std::mem::take(
            &mut *shared
                .arrivals
                .lock()
                .expect("no holder of this lock panics"),
        );
        let output: Vec<Vec<u8>> = shared.ports.iter().map(PortOutput::take).collect();
        clients.extend(arrived);
        let mut states = ready[1..].to_vec();
        states.resize(clients.len(), Ready::default());
        let mut states = states.into_iter();
        clients.retain_mut(|client| {
            let state = states.next().unwrap_or_default();
            let bytes = &output[usize::from(client.port)];
            client.send(bytes).is_ok() && client.receive(state, sink)
        });
        *shared.done.lock().expect("no holder of this lock panics") = asked;
        shared.turned.notify_all();
        if closing {
            return;
        }
    }
}

impl Client {
    /// Sends as much as the socket takes, keeps the rest.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.backlog.extend(bytes);
        if self.backlog.len() > BACKLOG_BYTES {
            let excess = self.backlog.len() - BACKLOG_BYTES;
            self.backlog.drain(..excess);
        }
        while !self.backlog.is_empty() {
            let (front, _) = self.backlog.as_slices();
            match self.socket.write(front) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => drop(self.backlog.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads what is there and offers it. `false`: the client is gone.
    fn receive(&mut self, ready: Ready, sink: &dyn InputSink) -> bool {
        if ready.read && self.unread.is_empty() && !self.input_ended {
            let mut buffer = [0; READ_BYTES];
            match self.socket.read(&mut buffer) {
                Ok(0) => self.input_ended = true,
                Ok(n) => self.unread.extend_from_slice(&buffer[..n]),
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                Err(_) => return false,
            }
        }
        if !self.unread.is_empty() && sink.offer(self.port, &self.unread) {
            self.unread.clear();
        }
        !(ready.gone && self.input_ended)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    struct Forward(Sender<(u8, Vec<u8>)>);

    impl InputSink for Forward {
        fn offer(&self, port: u8, data: &[u8]) -> bool {
            self.0.send((port, data.to_vec())).is_ok()
        }
    }

    fn hub(ports: u8) -> (SerialHub, Receiver<(u8, Vec<u8>)>) {
        let (tx, rx) = channel();
        (
            SerialHub::new(ports, Box::new(Forward(tx)), None).unwrap(),
            rx,
        )
    }

    #[test]
    fn output_of_a_port_reaches_every_client_of_it() {
        let (hub, _rx) = hub(2);
        let mut clients = [hub.open(0).unwrap().unwrap(), hub.open(0).unwrap().unwrap()];
        let flush = hub.flusher();
        flush.output(0).write(b"hello");
        flush.output(1).write(b"other");
        flush.flush();
        let read = clients.each_mut().map(|c| {
            let mut b = [0; 5];
            c.read_exact(&mut b).unwrap();
            b
        });
        assert_eq!(read, [*b"hello"; 2]);
    }

    #[test]
    fn output_before_a_drain_waits_in_the_sockets_after_it() {
        let (hub, _rx) = hub(1);
        let mut client = hub.open(0).unwrap().unwrap();
        client.set_nonblocking(true).unwrap();
        let flush = hub.flusher();
        for words in [*b"first", *b"later"] {
            flush.output(0).write(&words);
            flush.drain();
            let mut read = [0; 5];
            client.read_exact(&mut read).unwrap();
            assert_eq!(read, words);
        }
    }

    #[test]
    fn input_of_a_client_reaches_the_sink_with_its_port() {
        let (hub, rx) = hub(2);
        hub.open(1).unwrap().unwrap().write_all(b"ls\n").unwrap();
        assert_eq!(rx.recv().unwrap(), (1, b"ls\n".to_vec()));
    }

    #[test]
    fn port_that_does_not_exist_gives_no_socket() {
        assert!(hub(1).0.open(1).unwrap().is_none());
    }

    #[test]
    fn drop_ends_the_thread_and_closes_the_clients() {
        let (hub, _rx) = hub(1);
        let mut client = hub.open(0).unwrap().unwrap();
        hub.flusher().output(0).write(b"last words");
        drop(hub);
        let mut all = Vec::new();
        client.read_to_end(&mut all).unwrap();
        assert_eq!(all, b"last words");
    }

    #[test]
    fn output_nobody_reads_is_bounded() {
        let mut out = PortOutput::default();
        (0..40).for_each(|_| out.write(&[7; 65_536]));
        assert_eq!(out.take().len(), UNFLUSHED_BYTES);
    }
}
