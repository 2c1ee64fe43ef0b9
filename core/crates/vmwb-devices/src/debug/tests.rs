use std::sync::{Arc, Mutex};

use proptest::prelude::*;

use super::*;
use crate::testbench::Bench;

#[derive(Debug, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl CharBackend for Log {
    fn write(&mut self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }
}

#[test]
fn exit_port_written_in_any_width_asks_for_the_end_with_that_value() {
    let mut b = Bench::new();
    let mut d = DebugExit::new();
    let sizes = [AccessSize::Byte, AccessSize::Word, AccessSize::Dword];
    let asked = sizes.map(|size| {
        d.pio_write(&mut b.ctx(), 0, size, 0x1234_5678);
        b.power.take()
    });
    let want = [0x78, 0x5678, 0x1234_5678].map(|v| Some(PowerRequest::DebugExit(v)));
    assert_eq!(asked, want);
}

#[test]
fn exit_port_beyond_its_ports_does_nothing() {
    let mut b = Bench::new();
    DebugExit::new().pio_write(&mut b.ctx(), 4, AccessSize::Byte, 1);
    assert_eq!(b.power, None);
}

#[test]
fn console_bytes_reach_the_backend_in_order() {
    let (mut b, seen) = (Bench::new(), Arc::default());
    let mut d = DebugConsole::new(Box::new(Log(Arc::clone(&seen))));
    b.out(&mut d, 0, b'o');
    b.out(&mut d, 1, b'k');
    assert_eq!(*seen.lock().unwrap(), b"ok");
}

#[test]
fn firmware_that_finds_nothing_to_boot_is_noticed_once_until_the_reset() {
    let mut b = Bench::new();
    let mut d = DebugConsole::new(Box::new(Log::default()));
    let mut says = |d: &mut DebugConsole, port: u16, text: &[u8]| {
        text.iter().for_each(|&byte| b.out(d, port, byte));
        d.take_nothing_boots()
    };
    assert!(!says(&mut d, 1, b"Booting from Hard Disk...\n"));
    assert!(!says(&mut d, 1, b"There is: No bootable device.\nNo boot"));
    assert!(!says(&mut d, 0, b"No bootable device.\n"));
    assert!(says(&mut d, 1, b"able device.  Retrying in 60 seconds.\n"));
    assert!(!says(&mut d, 1, b"No bootable device.\n"));
    assert!(!says(&mut d, 1, b"No bootable"));
    d.reset(&mut Bench::new().ctx(), ResetKind::Hard);
    assert!(!says(&mut d, 1, b" device.\nNo bootable\n device.\n"));
    assert!(says(&mut d, 1, b"No bootable device.\n"));
}

#[test]
fn console_read_tells_that_it_is_there() {
    let mut b = Bench::new();
    let mut d = DebugConsole::new(Box::new(Log::default()));
    assert_eq!(b.inp(&mut d, 0), 0xE9);
}

#[test]
fn saved_then_restored_is_accepted_and_the_other_kind_refused() {
    let mut b = Bench::new();
    let saved = DebugExit::new().save().unwrap();
    assert!(DebugExit::new().restore(&mut b.ctx(), &saved).is_ok());
    let mut console = DebugConsole::new(Box::new(Log::default()));
    assert!(console.restore(&mut b.ctx(), &saved).is_err());
}

proptest! {
    #[test]
    fn random_accesses_never_panic(offset: u16, value: u32) {
        let mut b = Bench::new();
        let mut d = DebugConsole::new(Box::new(Log::default()));
        b.out(&mut d, offset, value.to_le_bytes()[0]);
        d.pio_write(&mut b.ctx(), offset, AccessSize::Dword, value);
        let _ = d.pio_read(&mut b.ctx(), offset, AccessSize::Word);
    }
}
