//! What the kernel offers. Looks, and changes nothing.

use crate::sys;

/// What the kernel offers to lock a worker in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostSupport {
    /// Version of Landlock's interface, 0 without Landlock (landlock(7)).
    pub landlock_abi: u32,
    /// Whether system calls can be filtered by thread (seccomp(2)).
    pub seccomp: bool,
}

impl HostSupport {
    /// Asks the running kernel.
    #[must_use]
    pub fn ask() -> Self {
        Self {
            landlock_abi: sys::landlock_abi(),
            seccomp: filters_calls(),
        }
    }
}

/// Whether the kernel filters system calls with all the actions that the lists use.
pub(crate) fn filters_calls() -> bool {
    [libc::SECCOMP_RET_TRAP, libc::SECCOMP_RET_ERRNO]
        .into_iter()
        .all(sys::has_action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_that_no_kernel_has_is_not_found() {
        assert!(!sys::has_action(0x1234_0000));
    }

    #[test]
    fn host_of_the_tests_filters_system_calls() {
        assert!(HostSupport::ask().seccomp);
    }
}
