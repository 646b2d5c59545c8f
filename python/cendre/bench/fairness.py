"""Fairness: how long tickers wait for their turn beside fan-outs whose children end at once, under each policy; a table's worth of figures, and an SVG.

Four tickers give others their turn (`sleep(0)`) and note the processor time that passes until they have theirs again: a machine where others
work too does not shift it. Beside them tasks gather children without a pause, for one second. Under `family` the JSON also says for how long (by the clock) things ran out of
turn in one outer step at most: the promise is the budget and the step that was running when it ended. The collector is off meanwhile, since its pauses are longer than any of this.
Invariant: this file measures and draws; nothing fails by a number. Read docs/tasks.md, "Fairness".
"""

import asyncio
import gc
import math
import time
from xml.sax.saxutils import escape

# children of a fan-out -> how many tasks fan out
FANS = {10: 8, 1000: 8, 100_000: 1}
QUANTILES = (0.5, 0.9, 0.99, 1.0)
WIDTH, LEFT, RIGHT, TOP, STEP = 900, 190, 150, 70, 22
STYLE = """
text { font-family: "DejaVu Sans", Arial, sans-serif; font-size: 12px; fill: #1f2430 } .small { font-size: 11px; fill: #596070 }
.title { font-size: 15px; font-weight: 600 } .grid { stroke: #d8dce4 } .back { fill: #ffffff } .bar { stroke: #8a93a3; stroke-width: 2 }
.q0 { fill: #2f7fbf } .q1 { fill: #6a9f3f } .q2 { fill: #d9a400 } .q3 { fill: #c8551b }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ef } .small { fill: #a5adbb } .grid { stroke: #3a4150 } .back { fill: #171a21 } .bar { stroke: #a5adbb }
.q0 { fill: #62b0ee } .q1 { fill: #9ccc6a } .q2 { fill: #f2c94c } .q3 { fill: #f08a4b } }
"""


async def child(n):
    return n


async def measure(children, parents, seconds=1.0):
    """Quantiles of the tickers' delay in ms, children in a second, and ms out of turn in an outer step at most (None: not under `family`)."""
    delays, stop, made = [], [], [0]

    async def ticker():
        while not stop:
            before = time.thread_time()
            await asyncio.sleep(0)
            delays.append((time.thread_time() - before) * 1e3)

    async def fans_out():
        # By the clock as well: under asyncio's eager factory nobody else ever has a turn.
        while not stop and time.perf_counter() < end:
            await asyncio.gather(*[child(i) for i in range(children)])
            made[0] += children

    try:
        from cendre import aio
        family = aio.policy() == "family"
    except ImportError:
        family = False
    tasks = [asyncio.create_task(ticker()) for _ in range(4)]
    gc.collect()
    gc.disable()
    begin, spent = time.perf_counter(), time.thread_time()
    end = begin + seconds
    tasks += [asyncio.create_task(fans_out()) for _ in range(parents)]
    await asyncio.sleep(0)  # Until here the tasks would be started as children of this one.
    if family:
        aio.reset_stats()
    while time.perf_counter() < end:
        await asyncio.sleep(0.05)
    stop.append(True)
    await asyncio.gather(*tasks)
    spent = time.thread_time() - spent
    gc.enable()
    delays.sort()
    quantiles = [delays[min(len(delays) - 1, int(q * len(delays)))] for q in QUANTILES]
    return {"ms": quantiles, "ticks": len(delays), "children_per_s": made[0] / spent,
            "out_of_turn_ms": aio.stats()["longest_early_us"] / 1e3 if family else None}


def draw(figures):
    """The SVG: for each number of children and configuration a bar from the middle delay to the largest, on a logarithmic axis."""
    rows = [(children, name, f) for children, by_name in figures.items() for name, f in by_name.items()]
    values = [max(v, 0.01) for _, _, f in rows for v in f["ms"]]
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))

    def x(ms):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(max(ms, 0.01)) - first) / max(last - first, 1)

    height = TOP + STEP * (len(rows) + len(figures)) + 40
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        "<title>Delay of tickers beside fan-outs</title>",
        f"<style>{STYLE}</style>", f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        '<text class="title" x="16" y="24">How long tickers wait for their turn beside fan-outs whose children end at once (ms of processor time)</text>',
    ]
    for i, q in enumerate(QUANTILES):
        name = "the largest" if q == 1 else "the middle" if q == 0.5 else f"{q:.0%}"
        out.append(f'<circle class="q{i}" cx="{21 + 110 * i}" cy="42" r="4"/><text class="small" x="{30 + 110 * i}" y="46">{name}</text>')
    out.append(f'<text class="small" x="{WIDTH - RIGHT + 10}" y="46">children a second</text>')
    for power in range(first, last + 1):
        at = x(10.0**power)
        out.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 36}"/>'
                   f'<text class="small" text-anchor="middle" x="{at:.1f}" y="{height - 20}">{10.0**power:g}</text>')
    y, before = TOP, None
    for children, name, f in rows:
        if children != before:
            y, before = y + STEP, children
            out.append(f'<text x="16" y="{y - 6}">gathers of {escape(str(children))}</text>')
        out.append(f'<text class="small" text-anchor="end" x="{LEFT - 10}" y="{y + 12}">{escape(name)}</text>'
                   f'<line class="bar" x1="{x(f["ms"][0]):.1f}" x2="{x(f["ms"][-1]):.1f}" y1="{y + 8}" y2="{y + 8}"/>')
        out += [f'<circle class="q{i}" cx="{x(ms):.1f}" cy="{y + 8}" r="4"/>' for i, ms in enumerate(f["ms"])]
        out.append(f'<text class="small" x="{WIDTH - RIGHT + 10}" y="{y + 12}">{f["children_per_s"]:,.0f}</text>')
        y += STEP
    out.append("</svg>")
    return "\n".join(out) + "\n"
