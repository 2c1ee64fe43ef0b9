//! What can go wrong while a thread locks itself in.

use std::io;

/// A thread could not be locked in although the kernel offers it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Landlock's answer.
    #[error("The files could not be locked away ({0}).")]
    Files(#[from] landlock::RulesetError),
    /// The filter could not be built or installed.
    #[error("The filter of system calls could not be installed ({0}).")]
    Filter(#[from] seccompiler::Error),
    /// A list of a role could not be turned into a filter.
    #[error("The list of system calls makes no filter ({0}).")]
    List(#[from] seccompiler::BackendError),
    /// The kernel refused something else.
    #[error("The sandbox could not be prepared ({0}).")]
    Refused(#[source] io::Error),
}
