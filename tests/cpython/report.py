"""The report of a run: figures a mode, then what differs.

Invariant: says only what is in the store; a module that was not run in a mode is named as missing, not left out.
"""

import outcomes

# None: what the suite counts apart.
COLUMNS = ("modules", "tests", "passed", "skipped by the test", "fail in plain CPython too", "by design", None, "differ", "passed the second time")


def write(store, modules, configs, subject, path, version):
    """Writes it as Markdown."""
    columns = [c or subject.apart_title for c in COLUMNS]
    text = [f"# {subject.title} under cendre", "", f"Python {version.split(' [')[0]}, {len(modules)} modules.", ""]
    text += ["| mode | " + " | ".join(columns) + " |", "|" + "---|" * (len(COLUMNS) + 1)]
    details, compiled = [], {}
    for config in configs:
        name = "-".join(config)
        counts, missing = dict.fromkeys(columns, 0), []
        compiled[name] = dict.fromkeys(("compiled", "left", "left_forced"), 0)
        for module in modules:
            plain, got = _load(store, ("plain",), module), _load(store, config, module)
            if plain is None or got is None:
                missing.append(module)
                continue
            for stats in got["compiled"]:
                for key in compiled[name] if stats else ():
                    compiled[name][key] += stats[key]
            c = outcomes.compare(plain, got, subject.by_design, subject.apart(module))
            row = (1, len(plain["tests"]), c.passed, c.skipped_by_test, c.fails_plain, len(c.by_design), len(c.apart), len(c.differs), len(c.flaky))
            for column, n in zip(columns, row, strict=True):
                counts[column] += n
            for kind, tests in (("differs", c.differs), ("by design", c.by_design), (subject.apart_title, c.apart), ("passed the second time", c.flaky)):
                for test, have in tests.items():
                    why = have if isinstance(have, str) else f"{have['outcome']}: {have['why']}"
                    details.append((name, kind, test, why))
        text.append(f"| {name} | " + " | ".join(str(counts[c]) for c in columns) + " |")
        if missing:
            details.append((name, "not run", f"{len(missing)} modules", " ".join(m.removeprefix("test.") for m in missing)))
    text += ["", "Compiled in the test processes themselves, their children not counted:", ""]
    for name, stats in compiled.items():
        text.append(f"- {name}: " + ", ".join(f"{n} {key.replace('_', ' ')}" for key, n in stats.items()))
    for name, kind, test, why in details:
        text += ["", f"## {name}, {kind}: {test}", "", "    " + why.strip().replace("\n", "\n    ")]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(text) + "\n", encoding="utf-8")


def _load(store, config, module):
    keep, store.keep = store.keep, True
    try:
        return store.get(config, module, None)
    finally:
        store.keep = keep
