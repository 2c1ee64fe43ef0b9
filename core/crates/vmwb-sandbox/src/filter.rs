//! From a role's lists to filters in the kernel (seccomp(2)).

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use crate::error::SandboxError;
use crate::roles::{Lists, Role, Rules};

/// What an unknown call is answered with, as by a kernel that does not have it.
const NOT_KNOWN: SeccompAction = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());

/// Installs the filters of a role on the calling thread.
pub(crate) fn install(role: Role) -> Result<(), SandboxError> {
    for program in programs(role)? {
        apply_filter(&program)?;
    }
    Ok(())
}

/// The filters, in the order in which they go in: the last one forbids to install more. Where they disagree, the
/// strictest counts (seccomp(2)): a trap before an error, an error before leave.
fn programs(role: Role) -> Result<[BpfProgram; 2], SandboxError> {
    let Lists {
        mut allowed,
        done_without,
        ways_out,
    } = Lists::of(role)?;
    if role == Role::Control {
        return Ok([
            compile(ways_out, SeccompAction::Allow, SeccompAction::Trap)?,
            compile(allowed, NOT_KNOWN, SeccompAction::Allow)?,
        ]);
    }
    allowed.extend(done_without.clone());
    Ok([
        compile(done_without, SeccompAction::Allow, NOT_KNOWN)?,
        compile(allowed, SeccompAction::Trap, SeccompAction::Allow)?,
    ])
}

fn compile(
    rules: Rules,
    otherwise: SeccompAction,
    listed: SeccompAction,
) -> Result<BpfProgram, SandboxError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, listed, arch)?.try_into()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_has_filters_that_fit_into_the_kernel() {
        for role in Role::ALL {
            let programs = programs(role).unwrap();
            // BPF_MAXINSNS of linux/bpf_common.h.
            assert!(programs.iter().all(|p| !p.is_empty() && p.len() < 4096));
        }
    }
}
