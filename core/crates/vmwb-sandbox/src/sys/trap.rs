//! Last words of a process whose thread made a call that its role may not make.
//!
//! The kernel sends SIGSYS to the thread (seccomp(2), `SECCOMP_RET_TRAP`); the call itself has not happened. The handler
//! writes one line to standard error, which is the machine's log, and makes a trapped call again: a SIGSYS inside its
//! own handler ends the process, whatever the thread has become.

use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;

use crate::roles::Role;

/// `SYS_SECCOMP` of asm-generic/siginfo.h: the signal comes from a filter.
const FROM_FILTER: libc::c_int = 1;
/// Offset of `si_syscall` in `siginfo_t` of 64-bit Linux: three ints, padding, then the address of the call.
const SI_SYSCALL_OFFSET: usize = 24;
/// What `vmwb` looks for in the log of a machine whose worker is gone.
const MARK: &[u8] = b"error The worker was stopped by its own sandbox: its ";

thread_local! {
    /// Role of this thread, by its place in `Role::ALL`; threads that inherit their filters are control threads.
    static ROLE: Cell<u8> = const { Cell::new(2) };
}

/// Sets the process's handler, and notes the calling thread's role for its words.
pub(crate) fn tell_of_refusals(role: Role) -> io::Result<()> {
    let place = Role::ALL.iter().position(|&r| r == role).unwrap_or(2);
    ROLE.set(u8::try_from(place).unwrap_or(2));
    // SAFETY: all-zero bytes are a valid `sigaction` with an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = handle;
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler has the three arguments of SA_SIGINFO, lives for ever, and makes only calls that may be made
    // in a signal handler (signal-safety(7)).
    let rc = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

extern "C" fn handle(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel hands a whole siginfo_t to a handler with SA_SIGINFO; for this code it holds the call's number.
    let (code, call) = unsafe {
        let call = info
            .cast::<u8>()
            .add(SI_SYSCALL_OFFSET)
            .cast::<libc::c_int>();
        ((*info).si_code, call.read())
    };
    if code == FROM_FILTER {
        let line = Line::about(usize::from(ROLE.get()), call);
        // SAFETY: the buffer is the line's own. There is nobody to tell of a failure.
        unsafe { libc::write(libc::STDERR_FILENO, line.bytes.as_ptr().cast(), line.len) };
    }
    // SAFETY: no list has this call. On a thread without a filter it fails, and the process is ended otherwise.
    unsafe {
        libc::syscall(libc::SYS_ptrace, -1, 0, 0, 0);
        libc::_exit(128 + libc::SIGSYS);
    }
}

/// A line of text without any allocation.
struct Line {
    bytes: [u8; 160],
    len: usize,
}

impl Line {
    fn about(role: usize, call: libc::c_int) -> Self {
        let mut line = Self {
            bytes: [0; 160],
            len: 0,
        };
        line.add(MARK);
        line.add(
            Role::ALL
                .get(role)
                .map_or("control", |r| r.name())
                .as_bytes(),
        );
        line.add(b" thread made the system call ");
        line.add_number(call.unsigned_abs());
        line.add(b", which it may not make.\n");
        line
    }

    fn add(&mut self, text: &[u8]) {
        for &byte in text {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn add_number(&mut self, number: u32) {
        let mut digits = [0u8; 10];
        let mut rest = number;
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        let (_, digits) = digits.split_at(first);
        self.add(digits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_role_and_call() {
        let line = Line::about(0, 59);
        let text = std::str::from_utf8(&line.bytes[..line.len]).unwrap();
        assert_eq!(
            text,
            "error The worker was stopped by its own sandbox: its driver thread made the system call 59, which it may \
             not make.\n"
        );
    }

    #[test]
    fn longest_line_fits() {
        let line = Line::about(2, i32::MIN);
        assert!(line.bytes[..line.len].ends_with(b"2147483648, which it may not make.\n"));
    }
}
