//! Filetests: `.cir` texts with what is expected of them in comments. Shared by the test runners of this crate and of the passes.
//!
//! A file begins with `; test: COMMAND`: `parse`, `verify`, `run` or `passes NAME`. In every file whose functions parse, printing
//! gives the text back. `CENDRE_BLESS=1` writes what came out into the files. Formats: docs/internals/ir.md, "Filetests".
//! Invariant: a file that expects nothing fails (a test that cannot fail is none).

use crate::function::Function;
use crate::interp::{End, Literal, TestWorld, Val, World, run};
use crate::parse::parse_all;
use crate::verify::verify;
use std::path::{Path, PathBuf};

/// Applies the pass that a `passes` file names.
pub type Transform<'a> = &'a dyn Fn(&str, &mut Function) -> Result<(), String>;

/// Runs all `.cir` files below a directory; answers how many there were, and what failed.
pub fn run_dir(dir: &Path, transform: Transform<'_>) -> (usize, Vec<String>) {
    let bless = std::env::var("CENDRE_BLESS").is_ok_and(|v| v == "1");
    let mut files = Vec::new();
    let mut failures = Vec::new();
    if let Err(e) = collect(dir, &mut files) {
        failures.push(format!("{}: {e}", dir.display()));
    }
    files.sort();
    for path in &files {
        if let Err(e) = run_file(path, transform, bless) {
            failures.push(format!("{}:\n{e}", path.display()));
        }
    }
    (files.len(), failures)
}

fn collect(dir: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|e| e == "cir") {
            out.push(path);
        }
    }
    Ok(())
}

/// Runs one file.
pub fn run_file(path: &Path, transform: Transform<'_>, bless: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    let got = check(&text, transform)?;
    if got == text {
        return Ok(());
    }
    if bless {
        return std::fs::write(path, got).map_err(|e| e.to_string());
    }
    Err(diff(&text, &got))
}

/// The file as it should read: equal to `text` if the test passes.
pub fn check(text: &str, transform: Transform<'_>) -> Result<String, String> {
    let command = text.lines().next().and_then(|l| l.strip_prefix("; test: ")).ok_or("the first line must be `; test: COMMAND`")?;
    let (command, rest) = command.split_once(' ').unwrap_or((command, ""));
    let sections = split(text);
    let mut out = String::new();
    let mut expectations = 0;
    for section in &sections {
        out.push_str(&section.before);
        let expected = match command {
            "parse" => match parse_all(&section.code) {
                Err(e) => {
                    out.push_str(&section.code);
                    vec![format!("; error: {e}")]
                }
                Ok(fs) => {
                    out.push_str(&print_back(&section.code, &fs[0]));
                    vec!["; ok".to_owned()]
                }
            },
            "verify" | "run" | "passes" => {
                let mut all = parse_all(&section.code).map_err(|e| format!("(within the function) {e}"))?;
                let Some(f) = all.pop() else { return Err("no function".into()) };
                out.push_str(&print_back(&section.code, &f));
                let errors = verify(&f).err().unwrap_or_default();
                let errors: Vec<String> = errors.iter().map(|e| format!("; error: {e}")).collect();
                match command {
                    "verify" if errors.is_empty() => vec!["; ok".to_owned()],
                    "verify" => errors,
                    _ if !errors.is_empty() => return Err(errors.join("\n")),
                    "run" => runs(&f, section, text)?,
                    _ => passes(&f, rest, section, text, transform)?,
                }
            }
            _ => return Err(format!("unknown command `{command}`")),
        };
        expectations += expected.len();
        for line in expected {
            out.push_str(&line);
            out.push('\n');
        }
        out.push_str(&section.after);
    }
    if expectations == 0 {
        return Err("the file expects nothing".into());
    }
    Ok(out)
}

/// A function of a file: the lines before it, its text, its expectations, other lines behind them.
#[derive(Default)]
struct Section {
    before: String,
    code: String,
    runs: Vec<String>,
    after: String,
}

/// Expectations are written anew in full, so they are not kept, but for the calls of `; run:`.
fn split(text: &str) -> Vec<Section> {
    let mut out: Vec<Section> = Vec::new();
    let mut s = Section::default();
    let mut inside = false;
    let mut begun = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with("function") {
            if begun {
                out.push(std::mem::take(&mut s));
            }
            (inside, begun) = (true, true);
        }
        // Expectations never belong to a function, also where its `}` is missing.
        let expectation = line.starts_with("; error:") || line.starts_with("; ok") || line.starts_with(";> ");
        if inside && !expectation {
            s.code.push_str(line);
            inside = !line.starts_with('}');
        } else if !begun {
            s.before.push_str(line);
        } else if let Some(call) = line.strip_prefix("; run: ") {
            s.runs.push(call.trim_end().to_owned());
        } else if !expectation {
            s.after.push_str(line);
        }
    }
    if begun {
        out.push(s);
    }
    out
}

/// The function printed, with the comments of its text put back: equal to the text if the printer agrees with it.
fn print_back(code: &str, f: &Function) -> String {
    let printed = f.to_string();
    let stripped: Vec<&str> = code.lines().map(|l| l.split_once(';').map_or(l, |(a, _)| a).trim_end()).collect();
    if printed.lines().eq(stripped.iter().copied().filter(|l| !l.is_empty())) { code.to_owned() } else { printed }
}

/// `; let` and `; answer` lines: anywhere in the file, for all of its functions.
fn world(text: &str) -> Result<TestWorld, String> {
    let mut w = TestWorld::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("; let #") {
            let (id, value) = rest.split_once('=').ok_or("`; let #1 = value` expected")?;
            w.define(id.trim().parse().map_err(|_| format!("bad id: {line}"))?, Literal::parse(value)?.0);
        } else if let Some(rest) = line.strip_prefix("; answer ") {
            let (name, answers) = rest.split_once(':').ok_or("`; answer NAME: values` expected")?;
            w.script(name.trim(), answers)?;
        }
    }
    Ok(w)
}

fn runs(f: &Function, section: &Section, text: &str) -> Result<Vec<String>, String> {
    if section.runs.is_empty() {
        return Err(format!("function {:?} has no `; run:` line", f.name));
    }
    section.runs.iter().map(|line| Ok(format!("; run: {}", run_line(f, line, world(text)?)?.0))).collect()
}

/// Runs what a `; run:` line says; the line with the outcome, and what the world was asked for.
fn run_line(f: &Function, line: &str, mut w: TestWorld) -> Result<(String, Vec<String>), String> {
    let (name, rest) = line.split_once('(').ok_or("`; run: f(arguments)` expected")?;
    if name.trim() != f.name {
        return Err(format!("`; run:` names {name}, the function is {}", f.name));
    }
    let (args, mut rest) = Literal::items(rest, ')')?;
    let mut head = format!("{}({})", f.name, crate::interp::join(&args));
    let mut entry = f.entries.first().ok_or("no entry")?.block;
    if let Some(r) = rest.trim_start().strip_prefix("at ") {
        let (unit, r) = r.split_once(' ').unwrap_or((r, ""));
        let e = f.entries.iter().find(|e| Ok(e.unit) == unit.parse());
        entry = e.ok_or_else(|| format!("no entry at {unit}"))?.block;
        head.push_str(&format!(" at {unit}"));
        rest = r;
    }
    let mut stack = Vec::new();
    if let Some(r) = rest.trim_start().strip_prefix("stack=[") {
        stack = Literal::items(r, ']')?.0;
        head.push_str(&format!(" stack=[{}]", crate::interp::join(&stack)));
    }
    let locals: Vec<Val> = args.iter().map(|a| w.make(a)).collect();
    let stack: Vec<Val> = stack.iter().map(|a| w.make(a)).collect();
    let outcome = run(f, &mut w, entry, locals, stack, 100_000)?;
    let show = |w: &TestWorld, vs: &[Val]| vs.iter().map(|v| w.show(*v).to_string()).collect::<Vec<_>>().join(", ");
    let mut held = outcome.locals.clone();
    let locals = show(&w, &outcome.locals);
    let text = match &outcome.end {
        End::Returned(v) => {
            held.push(*v);
            format!("== {}", w.show(*v))
        }
        End::Raised(r) => {
            held.push(Val::Obj(*r));
            format!("raised {} locals=[{locals}]", w.show(Val::Obj(*r)))
        }
        End::Left { unit, resume, stack } => {
            held.extend(stack);
            format!("left {unit}/{resume} stack=[{}] locals=[{locals}]", show(&w, stack))
        }
        End::Yielded { value, resume, stack } => {
            held.push(*value);
            held.extend(stack);
            format!("yielded {} at {resume} stack=[{}] locals=[{locals}]", w.show(*value), show(&w, stack))
        }
    };
    let mut line = format!("{head} {text}");
    // The outcome owned what it shows; with that gone nothing may be left.
    for v in held {
        if let Val::Obj(r) = v {
            w.release(r)?;
        }
    }
    if !w.live().is_empty() {
        line.push_str(&format!(" leaks {}", crate::interp::join(&w.live())));
    }
    Ok((line, w.log))
}

/// Runs a pass; expects its output, and the same outcomes before and after.
fn passes(f: &Function, name: &str, section: &Section, text: &str, transform: Transform<'_>) -> Result<Vec<String>, String> {
    let mut after = f.clone();
    transform(name, &mut after)?;
    if let Err(errors) = verify(&after) {
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        return Err(format!("after {name}:\n{}\n{after}", errors.join("\n")));
    }
    let mut out = Vec::new();
    for line in &section.runs {
        let (old, new) = (run_line(f, line, world(text)?)?, run_line(&after, line, world(text)?)?);
        if old != new {
            return Err(format!("{name} changes what the function does:\n{}", diff(&format!("{old:#?}"), &format!("{new:#?}"))));
        }
        out.push(format!("; run: {}", old.0));
    }
    if after.to_string() == f.to_string() {
        out.push(";> unchanged".to_owned());
    } else {
        out.extend(after.to_string().lines().map(|l| format!(";> {l}")));
    }
    Ok(out)
}

/// Lines that differ, with a few around them: `-` expected, `+` came out.
pub fn diff(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    // Longest common subsequence; files are small.
    let mut len = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            len[i][j] = if a[i] == b[j] { len[i + 1][j + 1] + 1 } else { len[i + 1][j].max(len[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines: Vec<(char, &str)> = Vec::new();
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            lines.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if i < a.len() && (j == b.len() || len[i + 1][j] >= len[i][j + 1]) {
            lines.push(('-', a[i]));
            i += 1;
        } else {
            lines.push(('+', b[j]));
            j += 1;
        }
    }
    let near = |n: usize| lines[n.saturating_sub(3)..(n + 4).min(lines.len())].iter().any(|l| l.0 != ' ');
    let shown: Vec<String> = (0..lines.len()).filter(|n| near(*n)).map(|n| format!("{} {}", lines[n].0, lines[n].1)).collect();
    shown.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "; test: run\nfunction \"f\" nlocals=0 stack=1 {\nentry 0 bb0\nbb0:\n  v0: Int64 = const.int 2\n  fs0 = 0/0\n  v1: Object = box.int v0 fs0\n  fs1 = 1/1\n  return v1 fs1\n}\n; run: f() == 2\n";

    fn nothing(_: &str, _: &mut Function) -> Result<(), String> {
        Ok(())
    }

    #[test]
    fn a_wrong_expectation_fails() {
        assert_eq!(check(GOOD, &nothing).as_deref(), Ok(GOOD));
        let wrong = GOOD.replace("== 2", "== 3");
        assert_eq!(check(&wrong, &nothing).as_deref(), Ok(GOOD));
        assert!(diff(&wrong, GOOD).contains("- ; run: f() == 3\n+ ; run: f() == 2"));
    }

    #[test]
    fn a_file_without_expectation_fails() {
        assert!(check(&GOOD.replace("; run: f() == 2\n", ""), &nothing).is_err());
        assert!(check("; test: parse\n", &nothing).is_err());
    }

    #[test]
    fn another_spelling_is_not_the_identity() {
        let spelt = GOOD.replace("const.int 2", "const.int   2");
        assert_eq!(check(&spelt, &nothing).as_deref(), Ok(GOOD));
    }

    #[test]
    fn a_leak_and_a_wrong_pass_are_seen() {
        let leak = GOOD.replace("  fs1", "  own v1\n  fs1");
        assert!(check(&leak, &nothing).is_ok_and(|t| t.contains("== 2 leaks 2")));
        let passes = GOOD.replace("test: run", "test: passes wrong");
        let wrong = |_: &str, f: &mut Function| {
            f.insts[0].imm = crate::function::Imm::Int(3);
            Ok(())
        };
        assert!(check(&passes, &wrong).is_err_and(|e| e.contains("changes what the function does")));
    }
}
