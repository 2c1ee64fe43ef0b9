//! The evil worker: what somebody would try who has taken over a thread of a worker.
//!
//! Each attempt is one system call, or the few that belong together, made past every library. The tests make them from
//! locked threads, and from one that is not, which shows that it is the sandbox that refuses.

use std::io;

use crate::sys;

/// One way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Read a file of the host; also another machine's.
    OpenFile,
    /// Make a file outside the bundle.
    CreateFile,
    /// Remove a file outside the bundle.
    RemoveFile,
    /// Become another program.
    Exec,
    /// The same, by a descriptor.
    ExecAt,
    /// Make a process.
    Fork,
    /// Make a process by the newest call for it.
    Clone3,
    /// Make a socket for the network.
    InetSocket,
    /// Connect to a socket of this host.
    ConnectUnix,
    /// Make a socket that can send to any address.
    DatagramPair,
    /// Take a process over.
    Ptrace,
    /// Read another process's memory.
    ReadMemory,
    /// Write another process's memory.
    WriteMemory,
    /// Signal another process.
    Signal,
    /// Get a handle of another process.
    PidHandle,
    /// Let the kernel make calls that no filter sees.
    IoUring,
    /// Load a program into the kernel.
    Bpf,
    /// Get new powers in a name space of one's own.
    Unshare,
    /// Make memory that is code.
    ExecutableMemory,
}

impl Attempt {
    /// All attempts with their names.
    pub const ALL: [(&'static str, Self); 19] = [
        ("open_file", Self::OpenFile),
        ("create_file", Self::CreateFile),
        ("remove_file", Self::RemoveFile),
        ("exec", Self::Exec),
        ("exec_at", Self::ExecAt),
        ("fork", Self::Fork),
        ("clone3", Self::Clone3),
        ("inet_socket", Self::InetSocket),
        ("connect_unix", Self::ConnectUnix),
        ("datagram_pair", Self::DatagramPair),
        ("ptrace", Self::Ptrace),
        ("read_memory", Self::ReadMemory),
        ("write_memory", Self::WriteMemory),
        ("signal", Self::Signal),
        ("pid_handle", Self::PidHandle),
        ("io_uring", Self::IoUring),
        ("bpf", Self::Bpf),
        ("unshare", Self::Unshare),
        ("executable_memory", Self::ExecutableMemory),
    ];

    /// The attempt of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(n, _)| *n == name).map(|&(_, a)| a)
    }

    /// Makes the attempt on the calling thread. `path` is a file or socket to reach, `pid` a process, `address` a place
    /// of 8 bytes in its memory. Coming back without an error means that it got out.
    ///
    /// # Errors
    /// The kernel's refusal. A trapped call does not come back.
    pub fn make(self, path: &str, pid: i32, address: u64) -> io::Result<()> {
        sys::attempt(self, path, pid, address)
    }
}
