//! Says clearly when the bindings underneath were configured for another Python than 3.14.
//!
//! pyo3-ffi declares its structs for the Python that it finds ($PYO3_PYTHON, or python3 on PATH). With another one this
//! crate would fail with twenty errors about fields, or, worse, compile for a layout that no supported interpreter has.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Set by pyo3-ffi's build script for the crates that depend on it: its configuration, hex encoded.
    let hex = std::env::var("DEP_PYTHON_PYO3_CONFIG").unwrap_or_default();
    let text: String =
        hex.as_bytes().chunks(2).filter_map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()).map(char::from).collect();
    let value = |key: &str| {
        let line = text.lines().find(|l| l.starts_with(key));
        line.and_then(|l| l.split_once('=')).map_or("", |(_, v)| v.trim())
    };
    let version = value("version=");
    let free_threaded = text.contains("Py_GIL_DISABLED");
    if version != "3.14" || value("implementation=") != "CPython" || free_threaded {
        println!(
            "cargo::error=cendre needs CPython 3.14 with the GIL to build against, but pyo3-ffi found {} {version}{}. \
             Set PYO3_PYTHON to a python3.14.",
            value("implementation="),
            if free_threaded { " (free-threaded)" } else { "" }
        );
    }
}
