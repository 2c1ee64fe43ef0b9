//! Landlock: which files a thread can still reach by a path.

use std::os::fd::BorrowedFd;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::error::SandboxError;

/// The newest interface that this program has been tried on. Older kernels give what they have.
const TRIED: ABI = ABI::V7;

/// What Landlock does for a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilesLocked {
    /// Files, network and signals, all that the tried interface has.
    Full,
    /// What an older kernel offers of it.
    Partial,
    /// The kernel has no Landlock.
    No,
}

impl FilesLocked {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::No => "no",
        }
    }
}

/// What a worker does in its bundle: read, and write new files and folders. No links, no devices, no sockets; nothing
/// in it is executed, and nothing is moved in or out.
fn bundle_rights() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
}

/// Restricts the calling thread: nothing can be opened but what is below `bundle`, no TCP port be bound or connected,
/// no socket of the abstract name space and no process outside be reached. Sets "no new privileges" in any case.
pub(crate) fn restrict(bundle: Option<BorrowedFd<'_>>) -> Result<FilesLocked, SandboxError> {
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(TRIED))?
        .handle_access(AccessNet::from_all(TRIED))?
        .scope(Scope::from_all(TRIED))?
        .create()?;
    let ruleset = match bundle {
        Some(directory) => ruleset.add_rule(PathBeneath::new(directory, bundle_rights()))?,
        None => ruleset,
    };
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => FilesLocked::Full,
        RulesetStatus::PartiallyEnforced => FilesLocked::Partial,
        RulesetStatus::NotEnforced => FilesLocked::No,
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, read, rename, write};
    use std::os::fd::AsFd;
    use std::thread;

    use super::*;

    #[test]
    fn thread_with_a_bundle_reaches_that_and_nothing_else() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [bundle, other] = dirs.each_ref().map(tempfile::TempDir::path);
        write(other.join("machine.json"), "{}").unwrap();
        let directory = File::open(bundle).unwrap();
        thread::scope(|scope| {
            let tried = scope.spawn(|| {
                assert_ne!(restrict(Some(directory.as_fd())).unwrap(), FilesLocked::No);
                create_dir(bundle.join(".new")).unwrap();
                write(bundle.join(".new/ram.bin"), "x").unwrap();
                rename(bundle.join(".new"), bundle.join("state")).unwrap();
                read(bundle.join("state/ram.bin")).unwrap();
                [
                    read(other.join("machine.json")).map(drop),
                    write(other.join("new"), "x"),
                    rename(bundle.join("state"), other.join("state")),
                    std::os::unix::fs::symlink("/", bundle.join("link")),
                ]
                .map(|r| r.map_err(|e| e.kind()))
            });
            let refused = tried.join().unwrap();
            assert!(refused.iter().all(Result::is_err), "{refused:?}");
        });
    }

    #[test]
    fn thread_without_a_bundle_opens_nothing() {
        let tried = thread::spawn(|| {
            restrict(None).unwrap();
            [File::open("/etc/passwd").is_err(), File::open("/").is_err()]
        });
        assert_eq!(tried.join().unwrap(), [true; 2]);
    }
}
