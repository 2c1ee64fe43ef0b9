//! The Linux side of the sandbox: questions to the kernel, last words of a refused call, and the evil worker's calls.
//! The only unsafe code here.
#![allow(unsafe_code)]

mod attempt;
mod trap;

pub(crate) use attempt::attempt;
pub(crate) use trap::tell_of_refusals;

/// `LANDLOCK_CREATE_RULESET_VERSION` of linux/landlock.h.
const ASK_VERSION: libc::c_ulong = 1;

/// Version of Landlock's interface, 0 when the kernel has none or it is switched off (landlock_create_ruleset(2)).
pub(crate) fn landlock_abi() -> u32 {
    let nothing = std::ptr::null::<libc::c_void>();
    // SAFETY: with this flag the call takes no structure and makes nothing; it only answers.
    let version =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0, ASK_VERSION) };
    u32::try_from(version).unwrap_or(0)
}

/// Whether the kernel's filters have an action (seccomp(2), `SECCOMP_GET_ACTION_AVAIL`).
pub(crate) fn has_action(action: u32) -> bool {
    let what = &raw const action;
    // SAFETY: the call reads four bytes, which live through it.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, what) == 0 }
}
