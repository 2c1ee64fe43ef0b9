//! The evil worker's system calls, past every library.

use std::ffi::CString;
use std::io;

use libc::{c_int, c_long, syscall};

use crate::attempts::Attempt;

/// Makes an attempt. A process that it makes ends at once.
pub(crate) fn attempt(attempt: Attempt, path: &str, pid: i32, address: u64) -> io::Result<()> {
    let path = CString::new(path)?;
    // SAFETY: every pointer that is passed is to memory of ours that lives through the call, or null; addresses of the
    // other process are looked up there by the kernel. A new process ends at once and touches nothing.
    let rc = unsafe {
        match attempt {
            Attempt::OpenFile => open(&path, libc::O_RDONLY),
            Attempt::CreateFile => open(&path, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL),
            Attempt::RemoveFile => syscall(libc::SYS_unlinkat, libc::AT_FDCWD, path.as_ptr(), 0),
            Attempt::Exec => {
                let arguments = [path.as_ptr(), std::ptr::null()];
                syscall(
                    libc::SYS_execve,
                    path.as_ptr(),
                    arguments.as_ptr(),
                    &arguments[1],
                )
            }
            Attempt::ExecAt => {
                let arguments = [path.as_ptr(), std::ptr::null()];
                let here = libc::AT_FDCWD;
                syscall(
                    libc::SYS_execveat,
                    here,
                    path.as_ptr(),
                    arguments.as_ptr(),
                    &arguments[1],
                    0,
                )
            }
            Attempt::Fork => leave(syscall(
                libc::SYS_clone,
                c_long::from(libc::SIGCHLD),
                0,
                0,
                0,
                0,
            )),
            Attempt::Clone3 => {
                let mut arguments: libc::clone_args = std::mem::zeroed();
                arguments.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
                leave(syscall(
                    libc::SYS_clone3,
                    &raw const arguments,
                    size_of::<libc::clone_args>(),
                ))
            }
            Attempt::InetSocket => syscall(libc::SYS_socket, libc::AF_INET, libc::SOCK_STREAM, 0),
            Attempt::ConnectUnix => connect(&path),
            Attempt::DatagramPair => {
                let mut ends = [0 as c_int; 2];
                syscall(
                    libc::SYS_socketpair,
                    libc::AF_UNIX,
                    libc::SOCK_DGRAM,
                    0,
                    ends.as_mut_ptr(),
                )
            }
            Attempt::Ptrace => syscall(libc::SYS_ptrace, libc::PTRACE_SEIZE, pid, 0, 0),
            Attempt::ReadMemory => copy(libc::SYS_process_vm_readv, pid, address),
            Attempt::WriteMemory => copy(libc::SYS_process_vm_writev, pid, address),
            Attempt::Signal => syscall(libc::SYS_kill, pid, libc::SIGCONT),
            Attempt::PidHandle => syscall(libc::SYS_pidfd_open, pid, 0),
            Attempt::IoUring => {
                let mut parameters = [0u64; 15];
                syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr())
            }
            Attempt::Bpf => {
                // BPF_MAP_CREATE of an array of one element: type 2, key and value of 4 bytes.
                let map = [2u32, 4, 4, 1, 0, 0, 0, 0];
                syscall(libc::SYS_bpf, 0, map.as_ptr(), size_of_val(&map))
            }
            Attempt::Unshare => syscall(libc::SYS_unshare, libc::CLONE_NEWUSER),
            Attempt::ExecutableMemory => {
                let rights = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
                let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                syscall(libc::SYS_mmap, 0, 4096, rights, kind, -1, 0)
            }
        }
    };
    if rc < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// # Safety
/// None beyond the system call's own.
unsafe fn open(path: &CString, flags: c_int) -> c_long {
    // SAFETY: the path is a C string that lives through the call.
    unsafe {
        syscall(
            libc::SYS_openat,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            0o600,
        )
    }
}

/// Ends a process that was made; gives the answer in the one that made it.
///
/// # Safety
/// `answer` is that of a call that makes a process as a copy of this one.
unsafe fn leave(answer: c_long) -> c_long {
    if answer == 0 {
        // SAFETY: ends this process, which nobody has shared anything with yet.
        unsafe { libc::_exit(0) };
    }
    answer
}

/// # Safety
/// None beyond the system calls' own.
unsafe fn connect(path: &CString) -> c_long {
    // SAFETY: all-zero bytes are a valid address; its path stays closed by a zero byte because it is cut shorter.
    unsafe {
        let mut address: libc::sockaddr_un = std::mem::zeroed();
        address.sun_family = libc::AF_UNIX.unsigned_abs().try_into().unwrap_or(0);
        for (to, &from) in address.sun_path.iter_mut().take(107).zip(path.as_bytes()) {
            *to = from.cast_signed();
        }
        let socket = syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0);
        if socket < 0 {
            return socket;
        }
        syscall(
            libc::SYS_connect,
            socket,
            &raw const address,
            size_of::<libc::sockaddr_un>(),
        )
    }
}

/// Moves eight bytes between this process and another.
///
/// # Safety
/// `call` is `process_vm_readv` or `process_vm_writev`; both only touch the eight bytes here.
unsafe fn copy(call: c_long, pid: i32, address: u64) -> c_long {
    let mut here = [0u8; 8];
    let local = libc::iovec {
        iov_base: here.as_mut_ptr().cast(),
        iov_len: here.len(),
    };
    let remote = libc::iovec {
        iov_base: std::ptr::with_exposed_provenance_mut(usize::try_from(address).unwrap_or(0)),
        iov_len: here.len(),
    };
    // SAFETY: both vectors live through the call; the other address is only used by the kernel, in the other process.
    // The seventh argument goes over the stack, where only a whole word is whole.
    unsafe {
        syscall(
            call,
            c_long::from(pid),
            &raw const local,
            1usize,
            &raw const remote,
            1usize,
            0usize,
        )
    }
}
