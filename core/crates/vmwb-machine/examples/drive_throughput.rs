//! How fast a drive reads and writes a file that the host has in its cache, without any guest:
//!
//! `cargo run --release -p vmwb-machine --example drive_throughput -- FILE raw|qcow2 read|write REQUEST_KIB [IN_FLIGHT]`
//!
//! `qemu-img bench` measures the same of QEMU's block layer. The file is changed by `write`.

use std::env;
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use vmwb_hw::{BlockRequest, Nanos};
use vmwb_machine::drives::{self, DriveOptions, ImageFile};

/// Bytes that are moved.
const TOTAL: u64 = 2 << 30;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, format, direction, kib, rest @ ..] = arguments.as_slice() else {
        return Err("FILE raw|qcow2 read|write REQUEST_KIB [IN_FLIGHT]".into());
    };
    let request_bytes = kib.parse::<u32>()? << 10;
    let most = rest.first().map_or(Ok(4), |text| text.parse::<usize>())?;
    let file = File::options().read(true).write(true).open(path)?;
    let options = DriveOptions {
        name: "vmwb-drive0".to_owned(),
        read_only: false,
        deterministic: false,
        confined: true,
        waker: Box::new(|| ()),
        counters: Arc::default(),
    };
    let chain = vec![ImageFile {
        format: format.parse()?,
        file,
    }];
    let mut drive = drives::open(chain, options)?.backend;
    let bytes = drive.info().ok_or("the drive is empty")?.bytes;
    let places = (bytes / u64::from(request_bytes)).max(1);
    let request = |number: u64| {
        let offset = number % places * u64::from(request_bytes);
        match direction.as_str() {
            "read" => BlockRequest::Read {
                offset,
                len: request_bytes,
            },
            _ => BlockRequest::Write {
                offset,
                data: vec![1; request_bytes as usize],
            },
        }
    };
    let started = Instant::now();
    let count = TOTAL / u64::from(request_bytes);
    let mut submitted = 0;
    for _ in 0..count {
        while submitted < count && drive.in_flight() < most {
            drive.submit(Nanos(0), submitted, request(submitted));
            submitted += 1;
        }
        drive.wait_reply().ok_or("an answer is missing")?.result?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let mib = (count * u64::from(request_bytes)) as f64 / f64::from(1 << 20);
    println!("{:.0} MiB/s", mib / seconds);
    Ok(())
}
