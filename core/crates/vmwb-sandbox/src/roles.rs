//! The roles of threads, and the list of system calls of each.
//!
//! A list has what its threads were seen to call (by tracing whole lives of workers) and what the C library or the
//! kernel may put in its place. It may not grow beyond [`Role::calls_max`]; a test holds it to that.

use std::collections::BTreeMap;
use std::mem::size_of;

use libc::{
    AF_UNIX, CLONE_THREAD, F_ADD_SEALS, F_DUPFD, F_DUPFD_CLOEXEC, F_GET_SEALS, F_GETFD, F_GETFL,
    F_OFD_GETLK, F_OFD_SETLK, F_SETFD, F_SETFL, FIOCLEX, FIONBIO, FIONREAD, PR_GET_NAME,
    PR_SET_NAME, PROT_EXEC, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, TCGETS, c_long,
};
use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, SeccompCmpOp, SeccompCondition, SeccompRule};

/// What a thread of a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The state driver: runs the processor, serves the devices, writes and reads saved states.
    Driver,
    /// Moves bytes between devices and sockets that are open already.
    Device,
    /// Reads and writes the image files of one drive.
    Drive,
    /// The embedder's threads: clients, the bundle, the log.
    Control,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Driver, Self::Device, Self::Control, Self::Drive];

    /// Its name, as in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Driver => "driver",
            Self::Device => "device",
            Self::Drive => "drive",
            Self::Control => "control",
        }
    }

    /// How many system calls its list may have at most.
    #[must_use]
    pub fn calls_max(self) -> usize {
        match self {
            Self::Driver => 20,
            Self::Device => 35,
            Self::Drive => 21,
            Self::Control => 80,
        }
    }
}

/// Rules by number of the call; a call without rules is meant whatever its arguments.
pub(crate) type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The lists of a role.
#[derive(Debug)]
pub(crate) struct Lists {
    /// What it may call.
    pub allowed: Rules,
    /// What libraries try and can do without: refused as unknown.
    pub done_without: Rules,
    /// Control only: what ends the process, while all else that is not allowed is refused as unknown.
    pub ways_out: Rules,
}

/// Memory, locks, time and the end of a thread: what every thread needs.
const EVERY_THREAD: &[c_long] = &[
    libc::SYS_futex,
    libc::SYS_munmap,
    libc::SYS_madvise,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getrandom,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_exit,
];

/// Loading a kernel again, and writing a state: files that are open already.
const DRIVER: &[c_long] = &[
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fallocate,
];

/// Waiting for sockets, and moving bytes.
const DEVICE: &[c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_recvfrom,
    libc::SYS_shutdown,
];

/// Image files that are open already. fcntl(2), for their locks only, comes with its rules.
const DRIVE: &[c_long] = &[
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_ftruncate,
    libc::SYS_fdatasync,
    libc::SYS_fallocate,
];

/// What a C library tries on a thread of the core and can do without.
const DONE_WITHOUT: &[c_long] = &[
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_membarrier,
    libc::SYS_gettid,
    // Rust: is a descriptor open that is to be closed (debug builds); the stack for a signal at a thread's end.
    libc::SYS_fcntl,
    libc::SYS_sigaltstack,
    // The C library: how the host counts memory (/proc/sys/vm/overcommit_memory), asked once when a thread's own heap is
    // to shrink. Without an answer it gives pages back in another way.
    libc::SYS_openat,
];

/// What Python's interpreter, its event loop, and the worker on it call.
const CONTROL: &[c_long] = &[
    // Threads and signals.
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_getres,
    libc::SYS_exit_group,
    libc::SYS_uname,
    libc::SYS_getrusage,
    // Waiting.
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_eventfd2,
    // Sockets that are there, and clients that come.
    libc::SYS_accept4,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    // Files of the bundle.
    libc::SYS_openat,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_flock,
    // For the images that are put into drives while the machine runs: the threads of those drives are made here, and what
    // is refused here is refused there.
    libc::SYS_fdatasync,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_mkdirat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    libc::SYS_unlinkat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    libc::SYS_dup,
];

/// Calls that lead out of a worker, or into another process. Nothing honest in it makes one.
const WAYS_OUT: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_fork,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_vfork,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_kcmp,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_open_by_handle_at,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_kexec_load,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
];

impl Lists {
    /// Gives the lists of a role.
    pub(crate) fn of(role: Role) -> Result<Self, BackendError> {
        let mut allowed = plain(EVERY_THREAD);
        // Nothing that a thread writes may become code. A translator will need its own door for that.
        for call in [libc::SYS_mmap, libc::SYS_mprotect] {
            allowed.insert(call, vec![rule(&[arg(2, MaskedEq(bits(PROT_EXEC)), 0)])?]);
        }
        let mut lists = Self {
            allowed,
            done_without: plain(DONE_WITHOUT),
            ways_out: Rules::new(),
        };
        match role {
            Role::Driver => lists.allowed.extend(plain(DRIVER)),
            Role::Device => {
                lists.allowed.extend(plain(DEVICE));
                lists.allowed.insert(libc::SYS_sendto, without_address()?);
            }
            Role::Drive => {
                lists.allowed.extend(plain(DRIVE));
                // Locks of handles; Rust asks for the flags of a descriptor that is to be closed (debug builds).
                let commands = [F_OFD_SETLK, F_OFD_GETLK, F_GETFL, F_GETFD].map(bits);
                lists.allowed.insert(libc::SYS_fcntl, one_of(1, &commands)?);
                lists.done_without.remove(&libc::SYS_fcntl);
            }
            Role::Control => {
                lists.allowed.extend(plain(CONTROL));
                lists.allowed.extend(control_rules()?);
                lists.done_without.clear();
                lists.ways_out = plain(WAYS_OUT);
                // A new process; clone3 hides its flags from a filter and is refused as unknown, so that the C library
                // takes this one for its threads.
                let process = rule(&[arg(0, MaskedEq(bits(CLONE_THREAD)), 0)])?;
                lists.ways_out.insert(libc::SYS_clone, vec![process]);
            }
        }
        Ok(lists)
    }
}

/// What the control thread may call with certain arguments only.
fn control_rules() -> Result<Rules, BackendError> {
    let fcntl = [
        F_DUPFD,
        F_DUPFD_CLOEXEC,
        F_GETFD,
        F_SETFD,
        F_GETFL,
        F_SETFL,
        F_ADD_SEALS,
        F_GET_SEALS,
        // Locks of images, likewise.
        F_OFD_SETLK,
        F_OFD_GETLK,
    ];
    // Every bit of a socket's type but the two that do not matter.
    let kind = MaskedEq(bits(!(SOCK_CLOEXEC | SOCK_NONBLOCK)));
    Ok(Rules::from([
        (libc::SYS_sendto, without_address()?),
        (
            libc::SYS_clone,
            vec![rule(&[arg(
                0,
                MaskedEq(bits(CLONE_THREAD)),
                bits(CLONE_THREAD),
            )])?],
        ),
        (libc::SYS_fcntl, one_of(1, &fcntl.map(bits))?),
        (
            libc::SYS_ioctl,
            one_of(1, &[TCGETS, FIOCLEX, FIONBIO, FIONREAD])?,
        ),
        (
            libc::SYS_prctl,
            one_of(0, &[PR_SET_NAME, PR_GET_NAME].map(bits))?,
        ),
        // A signal to a thread of this process: how the C library ends a process that is beyond help.
        (
            libc::SYS_tgkill,
            one_of(0, &[u64::from(std::process::id())])?,
        ),
        // Streams between us and a client; a datagram socket could be sent to an address.
        (
            libc::SYS_socketpair,
            vec![rule(&[
                arg(0, Eq, bits(AF_UNIX)),
                arg(1, kind, bits(SOCK_STREAM)),
            ])?],
        ),
    ]))
}

/// An argument that has one of these values.
fn one_of(index: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|&v| rule(&[arg(index, Eq, v)])).collect()
}

/// Sending to the other end only.
fn without_address() -> Result<Vec<SeccompRule>, BackendError> {
    debug_assert_eq!(size_of::<usize>(), 8);
    Ok(vec![SeccompRule::new(vec![SeccompCondition::new(
        4, Qword, Eq, 0,
    )?])?])
}

/// A condition on the lower 32 bits of an argument.
fn arg(index: u8, op: SeccompCmpOp, value: u64) -> (u8, SeccompCmpOp, u64) {
    (index, op, value)
}

fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, BackendError> {
    let conditions = conditions
        .iter()
        .map(|(index, op, value)| SeccompCondition::new(*index, Dword, op.clone(), *value))
        .collect::<Result<_, _>>()?;
    SeccompRule::new(conditions)
}

/// The bits of a C `int` as the kernel sees them in an argument.
fn bits(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}

fn plain(calls: &[c_long]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_keeps_its_promised_length() {
        let lengths = Role::ALL.map(|role| Lists::of(role).unwrap().allowed.len());
        let most = Role::ALL.map(Role::calls_max);
        assert!(
            lengths.iter().zip(most).all(|(&n, most)| n <= most),
            "{lengths:?}, at most {most:?}"
        );
    }

    #[test]
    fn control_allows_what_the_threads_of_drives_do_that_it_makes() {
        let control = Lists::of(Role::Control).unwrap().allowed;
        let drive = Lists::of(Role::Drive).unwrap().allowed;
        let missing: Vec<_> = drive.keys().filter(|c| !control.contains_key(c)).collect();
        // Only disks are discarded from, and no disk is put into a machine that runs.
        assert_eq!(missing, [&libc::SYS_fallocate]);
        let commands = |of: &Rules| format!("{:?}", of[&libc::SYS_fcntl]);
        for command in [F_OFD_SETLK, F_OFD_GETLK, F_GETFL, F_GETFD] {
            let only = one_of(1, &[bits(command)]).unwrap();
            let shown = format!("{:?}", only[0]);
            assert!(commands(&control).contains(&shown), "{shown}");
            assert!(commands(&drive).contains(&shown), "{shown}");
        }
    }

    #[test]
    fn no_list_allows_a_way_out() {
        for role in Role::ALL {
            let allowed = Lists::of(role).unwrap().allowed;
            let out: Vec<_> = WAYS_OUT
                .iter()
                .filter(|&c| allowed.contains_key(c))
                .collect();
            assert!(out.is_empty(), "{role:?}: {out:?}");
        }
    }

    #[test]
    fn threads_of_the_core_open_nothing_and_make_no_thread() {
        let calls = [
            libc::SYS_openat,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_socketpair,
            libc::SYS_sendmsg,
        ];
        for role in [Role::Driver, Role::Device, Role::Drive] {
            let allowed = Lists::of(role).unwrap().allowed;
            assert!(calls.iter().all(|c| !allowed.contains_key(c)), "{role:?}");
        }
    }

    #[test]
    fn what_is_done_without_is_not_allowed_too() {
        for role in Role::ALL {
            let lists = Lists::of(role).unwrap();
            assert!(
                lists
                    .done_without
                    .keys()
                    .all(|c| !lists.allowed.contains_key(c)),
                "{role:?}"
            );
        }
    }
}
