//! The sandbox's door for the worker, and for the tests that try to leave it.

use std::os::fd::AsFd;

use pyo3::prelude::*;
use serde_json::json;
use vmwb_machine::{MachineError, file_of_handle};
use vmwb_sandbox::{Attempt, HostSupport, Role, SandboxError, lock_control, lock_thread};

use crate::{coded, core_error};

fn refused(error: &SandboxError) -> PyErr {
    coded("sandbox", &error.to_string())
}

/// What the kernel offers to lock a worker in, as JSON.
#[pyfunction]
pub fn host_sandbox_json() -> String {
    let host = HostSupport::ask();
    json!({ "landlock_abi": host.landlock_abi, "seccomp": host.seccomp }).to_string()
}

/// Locks the calling thread, and those that it makes from now on, into the folder behind the handle.
#[pyfunction]
pub fn lock_down(bundle: i32) -> PyResult<String> {
    let directory = file_of_handle(bundle).map_err(|e| core_error(&e))?;
    // Asked before, because afterwards the question is refused.
    let host = HostSupport::ask();
    let locked = lock_control(directory.as_fd()).map_err(|e| refused(&e))?;
    let told = json!({
        "files": locked.files.as_str(),
        "landlock_abi": host.landlock_abi,
        "calls": locked.calls,
    });
    Ok(told.to_string())
}

/// Tries to leave the sandbox; the evil worker of the tests.
#[pyfunction]
pub fn attempt_escape(
    py: Python<'_>,
    role: &str,
    attempt: &str,
    path: &str,
    pid: i32,
    address: u64,
) -> PyResult<i32> {
    let attempt = Attempt::named(attempt)
        .ok_or_else(|| core_error(&MachineError::NotFound("There is no such attempt.".into())))?;
    let errno = |r: std::io::Result<()>| r.err().map_or(0, |e| e.raw_os_error().unwrap_or(-1));
    let locked = match role {
        "driver" => Role::Driver,
        "device" => Role::Device,
        "drive" => Role::Drive,
        // The calling thread, as it is.
        _ => return Ok(errno(attempt.make(path, pid, address))),
    };
    let outcome = py.detach(|| {
        std::thread::scope(|scope| {
            let evil =
                scope.spawn(|| lock_thread(locked).map(|_| attempt.make(path, pid, address)));
            evil.join()
        })
    });
    match outcome {
        Ok(Ok(made)) => Ok(errno(made)),
        Ok(Err(error)) => Err(refused(&error)),
        Err(_) => Err(coded("sandbox", "The evil thread ended early.")),
    }
}
