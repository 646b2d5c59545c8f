//! Runs the filetests under tests/filetests/{parse,verify,run}. Those of passes run in `cendre-passes`.
//!
//! `CENDRE_BLESS=1 cargo test -p cendre-ir` writes what comes out into the files; read the diff before committing it.

use cendre_ir::filetest::run_dir;
use std::path::Path;

#[test]
fn filetests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/filetests");
    for (dir, least) in [("parse", 5), ("verify", 20), ("run", 5)] {
        let (count, failures) = run_dir(&root.join(dir), &|name, _| Err(format!("no pass `{name}` here")));
        assert!(failures.is_empty(), "{} of {count} files fail:\n{}", failures.len(), failures.join("\n\n"));
        assert!(count >= least, "{count} files in {dir}: are they where they should be?");
    }
}
