//! `vmwb-conform`: test images come in on standard input, one JSON object to a line; what became of each goes out the
//! same way. The tests under `tests/conformance/` hold the other end. `vmwb-conform --forms` lists all instruction forms.

use std::io::{BufRead, Write};

use vmwb_conformance::image::{Image, Machine, form_name};
use vmwb_x86::isa::FORMS;

fn main() -> anyhow::Result<()> {
    if std::env::args().nth(1).as_deref() == Some("--forms") {
        let names: Vec<_> = FORMS.iter().map(form_name).collect();
        println!("{}", serde_json::to_string(&names)?);
        return Ok(());
    }
    let mut machine = Machine::new("")?;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let image: Image = serde_json::from_str(&line?)?;
        if machine.model() != image.model {
            machine = Machine::new(&image.model)?;
        }
        serde_json::to_writer(&mut out, &machine.run(&image)?)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(())
}
