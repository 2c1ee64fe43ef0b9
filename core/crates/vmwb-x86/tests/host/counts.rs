//! What was compared how often, for the report: a file beside the others in `$VMWB_COUNTS`, when that is set.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use vmwb_x86::isa::FORMS;

/// Writes the counts of forms, by their number, that were compared with `oracle`.
pub fn record(oracle: &str, counts: &[(usize, u64)]) {
    let Ok(folder) = env::var("VMWB_COUNTS") else {
        return;
    };
    let mut text = format!("{{\"oracle\": {oracle:?}, \"forms\": {{");
    for (n, (form, count)) in counts.iter().enumerate() {
        let f = &FORMS[*form];
        let comma = if n == 0 { "" } else { ", " };
        let name = format!("{} [{}]", f.asm, f.encoding);
        write!(text, "{comma}{name:?}: {count}").unwrap();
    }
    text.push_str("}}\n");
    let file: String = oracle
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    fs::create_dir_all(&folder).unwrap();
    fs::write(Path::new(&folder).join(format!("{file}.json")), text).unwrap();
}
