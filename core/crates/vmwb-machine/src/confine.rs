//! The machine's threads, which lock themselves in before they do anything, if the embedder wants that.

use std::io;
use std::panic;
use std::sync::Once;
use std::sync::mpsc::channel;
use std::thread::{Builder, JoinHandle};

pub use vmwb_sandbox::Role;
use vmwb_sandbox::lock_thread;

/// Set once a process has a thread that is locked in.
static BRIEF_PANICS: Once = Once::new();

/// Starts a thread. With a role it is locked in, for good, before `work` begins; panics of the process
/// are told without a backtrace from then on.
///
/// # Errors
/// The host has no thread to give, or does not let it be locked in; `work` has not begun then.
pub fn spawn(
    name: &str,
    role: Option<Role>,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let thread = Builder::new().name(name.to_owned());
    let Some(role) = role else {
        return thread.spawn(work);
    };
    // A backtrace is read from files, and whoever tries to open one is refused. The panic itself is told all the same.
    BRIEF_PANICS.call_once(|| panic::set_hook(Box::new(|panic| eprintln!("{panic}"))));
    let (tell, told) = channel();
    let thread = thread.spawn(move || {
        let locked = lock_thread(role);
        let begin = locked.is_ok();
        // Whoever waits for this lives until it is there.
        drop(tell.send(locked));
        if begin {
            work();
        }
    })?;
    match told.recv() {
        Ok(Ok(_)) => Ok(thread),
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::Error::other("the thread ended early")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn thread_without_a_role_is_free() {
        let (tell, told) = channel();
        let work = move || tell.send(File::open("/").is_ok()).unwrap();
        spawn("free", None, work).unwrap().join().unwrap();
        assert!(told.recv().unwrap());
    }

    #[test]
    fn thread_with_a_role_has_its_filters_before_its_work() {
        let (tell, told) = channel();
        let work = move || {
            tell.send(()).unwrap();
            std::thread::park();
        };
        let thread = spawn("locked", Some(Role::Driver), work).unwrap();
        told.recv().unwrap();
        let locked = std::fs::read_dir("/proc/self/task")
            .unwrap()
            .map(|t| std::fs::read_to_string(t.unwrap().path().join("status")).unwrap())
            .find(|s| s.contains("Name:\tlocked\n"))
            .unwrap();
        thread.thread().unpark();
        thread.join().unwrap();
        // Its calls are filtered, and nothing that is executed gives new powers (proc(5)).
        assert!(locked.contains("NoNewPrivs:\t1\n"), "{locked}");
        assert!(locked.contains("Seccomp:\t2\n"), "{locked}");
    }

    #[test]
    fn thread_with_a_role_gives_memory_back_to_the_host() {
        for role in [Role::Driver, Role::Device, Role::Drive] {
            let (tell, told) = channel();
            // Pieces that the C library takes from the thread's own heap (below 128 KiB), which shrinks at the end.
            let work = move || {
                let pieces: Vec<Vec<u8>> = (0..400).map(|_| vec![1; 100 << 10]).collect();
                let bytes = pieces.iter().map(Vec::len).sum::<usize>();
                drop(pieces);
                tell.send(bytes).unwrap();
            };
            spawn("locked", Some(role), work).unwrap().join().unwrap();
            assert_eq!(told.recv().unwrap(), 400 * (100 << 10));
        }
    }
}
