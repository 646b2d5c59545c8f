"""Draws the ratios as an SVG: one line a row, a dot with its 95 % interval for each feature, on a logarithmic axis.

Written by hand as text, since a plot of dots and bars needs no library. Colours follow the reader's light or dark theme.
Invariant: the file depends on the results only.
"""
import math
from xml.sax.saxutils import escape

from .registry import PLAIN

LEFT, RIGHT, TOP, STEP = 190, 150, 64, 26
WIDTH = 900
STYLE = """
text { font-family: "DejaVu Sans", Arial, sans-serif; font-size: 12px; fill: #1f2430 } .small { font-size: 11px; fill: #596070 } .title { font-size: 15px; font-weight: 600 }
.grid { stroke: #d8dce4 } .one { stroke: #596070; stroke-width: 1.5 } .goal { stroke: #596070; stroke-width: 2 } .back { fill: #ffffff }
.hooks { stroke: #8a93a3; fill: #8a93a3 } .compile { stroke: #2f7fbf; fill: #2f7fbf } .full { stroke: #c8551b; fill: #c8551b }
.cold { fill-opacity: 0; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ef } .small { fill: #a5adbb } .grid { stroke: #3a4150 } .one, .goal { stroke: #a5adbb } .back { fill: #171a21 }
.compile { stroke: #62b0ee; fill: #62b0ee } .full { stroke: #f08a4b; fill: #f08a4b } }
"""


def ticks(low, high):
    """Powers of two from the last one not above `low` to the first one not below `high`."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    return [2.0**power for power in range(first, last + 1)]


def draw(results, features):
    """The text of the SVG for the rows that have ratios."""
    others = [feature for feature in features if feature is not PLAIN]
    shown = [r for r in results if r.row.kind == "program" and any((f.name, "warm") in r.figures for f in others)]
    bounds = [b for r in shown for f in others if (e := r.figures.get((f.name, "warm"))) for b in (e.low, e.high)]
    bounds += [cold.median for r in shown if (cold := r.figures.get((others[-1].name, "cold")))]
    bounds += [goal.value for r in shown for goal in r.row.goals if goal.kind == "at least"]
    axis = ticks(min([0.9, *bounds]), max([2.0, *bounds]))
    span = math.log2(axis[-1] / axis[0])
    right = WIDTH - RIGHT

    def x(value):
        return LEFT + (right - LEFT) * math.log2(value / axis[0]) / span

    height = TOP + STEP * max(len(shown), 1) + 40
    bottom = height - 36
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">',
        "<title>Speed against plain CPython</title>",
        "<desc>For each row of cendre bench: times as fast as plain CPython after warm-up, with the 95 % interval; a ring is the first seconds.</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="back" width="{WIDTH}" height="{height}"/>',
        '<text class="title" x="16" y="24">Times as fast as plain CPython, after warm-up (median, 95 % interval)</text>',
    ]
    at = 16
    for feature in others:
        out.append(f'<circle class="{feature.name}" cx="{at + 5}" cy="40" r="4"/><text class="small" x="{at + 14}" y="44">'
                   f"{escape(feature.title)}</text>")
        at += 40 + 7 * len(feature.title)
    out.append(f'<line class="goal" x1="{at + 5}" x2="{at + 5}" y1="34" y2="46"/>'
               f'<text class="small" x="{at + 14}" y="44">goal</text>')
    if others:
        out.append(f'<circle class="{others[-1].name} cold" cx="{at + 65}" cy="40" r="4.5"/>'
                   f'<text class="small" x="{at + 76}" y="44">first seconds, {escape(others[-1].title)}</text>')
    for value in axis:
        kind = "one" if value == 1 else "grid"
        out.append(f'<line class="{kind}" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{TOP - 8}" y2="{bottom}"/>')
        out.append(f'<text class="small" text-anchor="middle" x="{x(value):.1f}" y="{bottom + 16}">{value:g}×</text>')
    if not shown:
        out.append(f'<text x="{LEFT}" y="{TOP + 14}">nothing but plain CPython was measured</text>')
    for number, result in enumerate(shown):
        y = TOP + STEP * number + STEP / 2
        out.append(f'<text text-anchor="end" x="{LEFT - 12}" y="{y + 4:.1f}">{escape(result.row.name)}</text>')
        for goal in result.row.goals:
            if goal.kind == "at least":
                at = x(goal.value)
                out.append(f'<line class="goal" x1="{at:.1f}" x2="{at:.1f}" y1="{y - 9:.1f}" y2="{y + 9:.1f}"/>')
        measured = [(f, e) for f in others if (e := result.figures.get((f.name, "warm")))]
        for place, (feature, estimate) in enumerate(measured):
            # features a little below each other, so that equal ones can be told apart
            here = y + (place - (len(measured) - 1) / 2) * 6
            out.append(f'<line class="{feature.name}" x1="{x(estimate.low):.1f}" x2="{x(estimate.high):.1f}" '
                       f'y1="{here:.1f}" y2="{here:.1f}"/>')
            out.append(f'<circle class="{feature.name}" cx="{x(estimate.median):.1f}" cy="{here:.1f}" r="3.5"/>')
        if cold := result.figures.get((others[-1].name, "cold")):
            out.append(f'<circle class="{others[-1].name} cold" cx="{x(cold.median):.1f}" cy="{y:.1f}" r="4.5"/>')
        if measured:
            out.append(f'<text class="small" x="{right + 12}" y="{y + 4:.1f}">'
                       f"{measured[-1][1].median:.2f}× {escape(measured[-1][0].title)}</text>")
    out.append("</svg>")
    return "\n".join(out) + "\n"


def write_svg(path, results, features):
    """Writes the plot."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(draw(results, features))
