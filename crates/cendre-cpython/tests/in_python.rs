//! `layout::check` and the references inside a real interpreter.
//!
//! Holds tests that load the example `selfcheck` (built by cargo together with the tests) into the Python of
//! `$CENDRE_PYTHON`, `$PYO3_PYTHON` or PATH. Without a Python 3.14 they say so on stderr and are skipped.
//! Read: `examples/selfcheck.rs`, `docs/internals/layout.md`.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};

fn python() -> Option<OsString> {
    let python = ["CENDRE_PYTHON", "PYO3_PYTHON"].iter().find_map(std::env::var_os).unwrap_or_else(|| "python3.14".into());
    let ok = Command::new(&python)
        .args(["-I", "-c", "import sys; sys.exit(sys.version_info[:2] != (3, 14))"])
        .status()
        .is_ok_and(|s| s.success());
    if !ok {
        let text = format!("\n*** SKIPPED: {} is no Python 3.14; set CENDRE_PYTHON.\n\n", python.display());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
    ok.then_some(python)
}

/// The directory that holds `selfcheck.so`: a copy of what cargo built under the name that import wants.
fn module_dir(test: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let target = exe.parent().and_then(|deps| deps.parent()).unwrap();
    let built = target.join("examples/libselfcheck.so");
    assert!(
        built.exists(),
        "{} is missing: run `cargo test -p cendre-cpython` (without --test, which does not build examples)",
        built.display()
    );
    let dir = std::env::temp_dir().join(format!("cendre-selfcheck-{}-{test}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(built, dir.join("selfcheck.so")).unwrap();
    dir
}

/// Runs `script` with `selfcheck` on the path; `None` where there is no Python.
fn run(test: &str, flags: &[&str], script: &str) -> Option<Output> {
    let python = python()?;
    let dir = module_dir(test);
    let output = Command::new(python).env("PYTHONPATH", &dir).args(flags).args(["-c", script]).output().unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    Some(output)
}

#[track_caller]
fn passes(test: &str, flags: &[&str], script: &str) {
    if let Some(output) = run(test, flags, script) {
        assert!(
            output.status.success(),
            "{:?}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn this_python_is_accepted_wherever_the_check_runs() {
    passes(
        "accepted",
        &[],
        r"
import selfcheck, sys, threading, gc
def ok(where):
    r = selfcheck.check()
    assert r is None, (where, r)
ok('module')
(lambda x: ok('lambda'))(1)
def gen():
    ok('generator')
    try:
        1 / 0
    except ZeroDivisionError:
        ok('handler')
        yield
list(gen())
async def coro():
    ok('coroutine')
try:
    coro().send(None)
except StopIteration:
    pass
class C:
    def __init__(self):
        ok('init')
C(); C(); C()
list(map(lambda x: ok('from C'), [1, 2]))
t = threading.Thread(target=lambda: ok('thread'))
t.start(); t.join()
sys.setrecursionlimit(5000)
def deep(n):
    return ok('deep') if n == 0 else deep(n - 1)
deep(4000)
gc.disable(); ok('no gc'); gc.enable()
for _ in range(200):
    deep(5)
sys.settrace(lambda *a: None); ok('traced'); sys.settrace(None)
seen = []
sys.monitoring.use_tool_id(1, 't')
sys.monitoring.register_callback(1, sys.monitoring.events.PY_START, lambda *a: seen.append(a))
sys.monitoring.set_events(1, sys.monitoring.events.PY_START)
ok('monitored')
sys.monitoring.set_events(1, 0)
assert seen
floats = [float(i) for i in range(300)]
del floats
ok('full free list')
import contextvars
contextvars.copy_context().run(ok, 'context')
",
    );
}

/// The embedder's switches do not matter, and neither does CPython's own JIT.
#[test]
fn this_python_is_accepted_under_options() {
    for flags in [&["-I", "-S"][..], &["-X", "dev"], &["-OO"], &["-X", "importtime"]] {
        // -I ignores PYTHONPATH, so the module is found by its directory.
        let script = "import sys, os\nsys.path.insert(0, os.environ['PYTHONPATH'])\nimport selfcheck\nassert selfcheck.check() is None, selfcheck.check()";
        passes("options", flags, script);
    }
    passes(
        "jit",
        &[],
        "import os, subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import selfcheck; r = selfcheck.check(); assert r is None, r'], env={**os.environ, 'PYTHON_JIT': '1'}, check=True)",
    );
}

#[test]
fn it_leaves_nothing_behind() {
    passes(
        "leaks",
        &[],
        r"
import selfcheck, gc, sys
for _ in range(20):
    selfcheck.check()
gc.collect()
before = len(gc.get_objects()), sys.getallocatedblocks()
for _ in range(500):
    selfcheck.check()
gc.collect()
after = len(gc.get_objects()), sys.getallocatedblocks()
assert abs(after[0] - before[0]) < 20 and abs(after[1] - before[1]) < 100, (before, after)
assert sys.exc_info() == (None, None, None)
",
    );
}

/// A different layout is refused with a sentence: each published word that is compared, a type's size, a debug build.
#[test]
fn differences_are_refused() {
    passes(
        "refused",
        &[],
        r"
import selfcheck, sys, ctypes
assert selfcheck.offsets_with(0, 0) is None
words, refused = 0, []
while True:
    try:
        r = selfcheck.offsets_with(words, 8)
    except IndexError:
        break
    if r is not None:
        assert r.startswith('cendre supports CPython 3.14 (3.14.5 or later'), r
        refused.append(r)
    words += 1
assert len(refused) == 70, (len(refused), words)
assert any('interpreter_frame_stackpointer is ' in r for r in refused)

sys.gettotalrefcount = lambda: 0
r = selfcheck.check()
assert r.endswith('; this is a debug build (sys.gettotalrefcount exists)'), r
del sys.gettotalrefcount
assert selfcheck.check() is None

# Pretend that cells are bigger: tp_basicsize is the word after tp_name.
cell = type((lambda: x).__closure__[0]) if False else type((lambda x: (lambda: x))(1).__closure__[0])
size = ctypes.c_ssize_t.from_address(id(cell) + 32)
assert size.value == cell.__basicsize__
size.value += 8
r = selfcheck.check()
size.value -= 8
assert r.endswith('objects of PyCell_Type have 32 bytes, expected 24'), r
assert selfcheck.check() is None
",
    );
}

/// The self-test looks at the interpreter's own memory: what is changed there is seen.
#[test]
fn the_selftest_sees_changes_in_memory() {
    passes(
        "memory",
        &[],
        r"
import selfcheck, sys, ctypes
interp = ctypes.pythonapi.PyInterpreterState_Get
interp.restype = ctypes.c_void_p
def with_byte(offset, value, text):
    b = ctypes.c_ubyte.from_address(interp() + offset)
    old, b.value = b.value, value
    try:
        r = selfcheck.check()
    finally:
        b.value = old
    assert r is not None and text in r, r
    assert selfcheck.check() is None
with_byte(223184, 7, 'JIT switch')
with_byte(223240, 1, 'monitors')
with_byte(223144, 8, 'common constants')
with_byte(223128, 8, 'callable cache')
ts = ctypes.pythonapi.PyThreadState_Get
ts.restype = ctypes.c_void_p
limit = ctypes.c_int.from_address(ts() + 52)
assert limit.value == sys.getrecursionlimit(), limit.value
",
    );
}

#[test]
fn references_are_counted_as_cpython_counts() {
    passes(
        "refs",
        &[],
        r"
import selfcheck
start, *rest = selfcheck.stackrefs(object())
assert [n - start for n in rest] == [1, 2, 3, 3, 1, 0], (start, rest)
for immortal in (None, True, 7, 'abc', ()):
    counts = selfcheck.stackrefs(immortal)
    assert len(set(counts)) == 1 and counts[0] >= 1 << 31, counts
",
    );
}

#[test]
fn every_declared_function_is_exported() {
    let names = cendre_cpython::api::EXPORTED;
    assert!(names.len() > 90);
    let script = format!(
        "import ctypes\nexe = ctypes.CDLL(None)\nmissing = [n for n in {names:?} if not hasattr(exe, n)]\nassert not missing, missing\nassert not hasattr(exe, '_Py_no_such_function')"
    );
    passes("exports", &[], &script);
}

/// Not a benchmark: only that nobody makes the check a thousand times dearer without noticing.
#[test]
fn the_time_is_printed() {
    if let Some(output) = run("time", &[], "import selfcheck\nprint(selfcheck.time_ns(200))") {
        let text = String::from_utf8(output.stdout).unwrap();
        let ns: u64 = text.trim().parse().unwrap_or_else(|_| panic!("{text}"));
        let text = format!("layout::check: {} us\n", ns / 1000);
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
