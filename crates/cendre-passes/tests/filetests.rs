//! Runs the filetests under tests/filetests/passes: `; test: passes NAME` with a pass's name or `pipeline`, and `plain` behind it
//! for "nothing is known about classes". `CENDRE_BLESS=1 cargo test -p cendre-passes` writes what comes out into the files.

use cendre_ir::filetest::run_dir;
use cendre_ir::{Function, ObjId};
use cendre_passes::{Classes, PASSES, run_one, run_with};
use std::path::Path;

/// The classes of the test world.
fn classes() -> Classes {
    Classes {
        int: Some(ObjId(1)),
        float: Some(ObjId(2)),
        bool_: Some(ObjId(3)),
        leaves: vec![ObjId(4)],
        fixed: (5..=10).map(ObjId).collect(),
    }
}

fn transform(name: &str, f: &mut Function) -> Result<(), String> {
    let (name, classes) = match name.strip_suffix(" plain") {
        Some(name) => (name, Classes::default()),
        None => (name, classes()),
    };
    if name == "pipeline" {
        run_with(f, &classes);
    } else if PASSES.iter().any(|p| p.0 == name) {
        run_one(f, name, &classes);
    } else {
        return Err(format!("no pass `{name}`"));
    }
    Ok(())
}

#[test]
fn filetests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/filetests/passes");
    let (count, failures) = run_dir(&root, &transform);
    assert!(failures.is_empty(), "{} of {count} files fail:\n{}", failures.len(), failures.join("\n\n"));
    assert!(count >= 8, "{count} files: are they where they should be?");
}
