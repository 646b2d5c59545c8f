//! The declarations against the real headers, by way of a C compiler.
//!
//! Holds the test that compiles `probe.c` with the headers of the Python in `$CENDRE_PYTHON` (or `$PYO3_PYTHON`, or
//! `python3.14` on PATH) and compares every size, offset and constant; where there is no compiler or are no headers it says
//! so on stderr, past the capture of the test harness. Invariant: this binary names no symbol of libpython.
//! Read: `docs/internals/layout.md`.

use cendre_cpython::offsets::{BIT_FIELDS, CONSTANTS, TABLES};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One number to compare: what the C program calls it, what it is for, what Rust says.
struct Expected {
    key: String,
    what: String,
    ours: i64,
}

/// Everything to compare, and the C lines that print it.
fn plan() -> (Vec<Expected>, String) {
    let (mut expected, mut c) = (Vec::new(), String::new());
    for (i, table) in TABLES.iter().enumerate() {
        let ty = table.c;
        let mut want = |line: String, key: String, what: String, ours: usize| {
            writeln!(c, "{line}").unwrap();
            expected.push(Expected { key, what, ours: ours as i64 });
        };
        let key = format!("s{i}");
        want(format!("SIZE(\"{key}\", {ty})"), key, format!("sizeof({ty})"), table.size);
        for (j, field) in table.fields.iter().enumerate() {
            if field.c.is_empty() {
                continue;
            }
            let key = format!("o{i}.{j}");
            let line = format!("OFFSET(\"{key}\", {ty}, {})", field.c);
            want(line, key, format!("offsetof({ty}, {})", field.c), field.offset);
            if field.size > 0 {
                let key = format!("f{i}.{j}");
                let line = format!("FIELD_SIZE(\"{key}\", {ty}, {})", field.c);
                want(line, key, format!("size of {ty}.{}", field.c), field.size);
            }
        }
    }
    for (i, (text, ours)) in CONSTANTS.iter().enumerate() {
        let key = format!("c{i}");
        writeln!(c, "VALUE(\"{key}\", {text})").unwrap();
        expected.push(Expected { key, what: (*text).to_string(), ours: *ours });
    }
    for (i, bits) in BIT_FIELDS.iter().enumerate() {
        let key = format!("b{i}");
        writeln!(c, "BITS(\"{key}\", {}, {}, {})", bits.c, bits.field, bits.number).unwrap();
        expected.push(Expected {
            key,
            what: format!("bit field {}.{}", bits.c, bits.field),
            ours: (bits.offset * 256) as i64 + i64::from(bits.byte),
        });
    }
    (expected, c)
}

/// The differences, one sentence each.
fn compare(expected: &[Expected], measured: &HashMap<String, i64>) -> Vec<String> {
    expected
        .iter()
        .filter_map(|e| match measured.get(&e.key) {
            None => Some(format!("{}: C printed nothing", e.what)),
            Some(c) if *c != e.ours => Some(format!("{}: C says {c}, Rust says {}", e.what, e.ours)),
            Some(_) => None,
        })
        .collect()
}

fn python() -> PathBuf {
    ["CENDRE_PYTHON", "PYO3_PYTHON"].iter().find_map(std::env::var_os).map_or_else(|| PathBuf::from("python3.14"), PathBuf::from)
}

/// Where the headers of `python` are: the answer of sysconfig, or beside an interpreter in an unpacked prefix.
fn headers(python: &Path) -> Result<PathBuf, String> {
    let script = "import sys, sysconfig; assert sys.version_info[:2] == (3, 14), sys.version; \
                  print(sysconfig.get_config_var('INCLUDEPY')); print(sys.base_prefix)";
    let output =
        Command::new(python).args(["-I", "-c", script]).output().map_err(|e| format!("{} does not start: {e}", python.display()))?;
    if !output.status.success() {
        return Err(format!("{} is no usable Python 3.14: {}", python.display(), String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut lines = text.lines().map(PathBuf::from);
    let (include, prefix) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let real = std::fs::canonicalize(python).unwrap_or_else(|_| python.to_path_buf());
    let beside = real.parent().and_then(Path::parent).map(|p| p.join("include/python3.14"));
    [Some(include), Some(prefix.join("include/python3.14")), beside]
        .into_iter()
        .flatten()
        .find(|dir| dir.join("Python.h").exists() && dir.join("internal/pycore_optimizer.h").exists())
        .ok_or_else(|| format!("the headers of {} are not installed", python.display()))
}

/// What the C compiler says. `Err` where it cannot be asked; a compiler that refuses the program is a failure.
fn measure(c_lines: &str) -> Result<HashMap<String, i64>, String> {
    let include = headers(&python())?;
    let compiler = std::env::var("CC").unwrap_or_else(|_| "gcc".into());
    if let Err(e) = Command::new(&compiler).arg("--version").output() {
        return Err(format!("{compiler} does not start: {e}"));
    }
    let dir = std::env::temp_dir().join(format!("cendre-probe-{}-{:?}", std::process::id(), std::thread::current().id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("fields.inc"), c_lines).unwrap();
    let program = dir.join("probe");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe.c");
    // Debian keeps pyconfig.h under include/<triplet>/python3.14, found from the directory above.
    let output = Command::new(&compiler)
        .args(["-std=gnu11", "-w", "-o"])
        .arg(&program)
        .arg(&source)
        .arg("-I")
        .arg(&include)
        .arg("-I")
        .arg(include.join("internal"))
        .arg("-I")
        .arg(include.parent().unwrap_or(&include))
        .arg("-I")
        .arg(&dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "the C compiler refuses the probe:\n{}", String::from_utf8_lossy(&output.stderr));
    let run = Command::new(&program).output().unwrap();
    assert!(run.status.success(), "the probe fails: {run:?}");
    std::fs::remove_dir_all(&dir).unwrap();
    let measured: HashMap<String, i64> = String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|l| l.split_once(' ').unwrap())
        .map(|(k, v)| (k.to_string(), v.parse().unwrap()))
        .collect();
    assert_eq!(measured["version"] >> 16, 0x030e, "these are not the headers of 3.14");
    assert_eq!(measured["gil"], 1, "these are the headers of a free-threaded build");
    Ok(measured)
}

fn skipped(why: &str) {
    // Not eprintln!: the harness would hide it.
    let text =
        format!("\n*** LAYOUT PROBE SKIPPED: {why}.\n*** The declarations of cendre-cpython were NOT compared with CPython's headers.\n\n");
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[test]
fn declarations_agree_with_the_headers() {
    let (expected, c) = plan();
    assert!(expected.len() > 600, "only {} numbers to compare", expected.len());
    match measure(&c) {
        Err(why) => skipped(&why),
        Ok(measured) => {
            let wrong = compare(&expected, &measured);
            assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        }
    }
}

/// The comparison is worth something: every single number, when it is wrong, is reported, and alone.
#[test]
fn every_wrong_number_is_reported() {
    let (mut expected, c) = plan();
    let measured = match measure(&c) {
        Err(why) => return skipped(&why),
        Ok(measured) => measured,
    };
    for i in 0..expected.len() {
        expected[i].ours += 4;
        let wrong = compare(&expected, &measured);
        expected[i].ours -= 4;
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(wrong[0].starts_with(&expected[i].what), "{wrong:?}");
    }
}

/// A field that the headers do not have does not slip through.
#[test]
fn an_unknown_field_is_an_error() {
    let unknown = "OFFSET(\"x\", struct _ts, no_such_field)\n";
    if let Err(why) = headers(&python()) {
        return skipped(&why);
    }
    let result = std::panic::catch_unwind(|| measure(unknown));
    match result {
        Ok(Err(why)) => skipped(&why),
        Ok(Ok(_)) => panic!("the compiler accepted a field that does not exist"),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().unwrap();
            assert!(text.contains("no_such_field"), "{text}");
        }
    }
}
