"""Draws bars as SVG: readable on a light and on a dark page, without a library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, LABEL, ROW, TITLE = 760, 190, 26, 40
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 14px; }
.bar { fill: #8c959f; }
.ours { fill: #2f6feb; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .bar { fill: #6e7681; }
  .ours { fill: #58a6ff; }
}
"""


def bars(charts: Sequence[tuple[str, str, Sequence[tuple[str, float]]]]) -> str:
    """Return one picture of several charts: (title, unit, [(name, value)]). Bars of hajimi are marked."""
    parts: list[str] = []
    y = 0
    for title, unit, rows in charts:
        parts.append(f'<text class="title" x="0" y="{y + 22}">{escape(title)}</text>')
        y += TITLE
        most = max((value for _, value in rows), default=1.0) or 1.0
        for name, value in rows:
            length = max(2.0, value / most * (WIDTH - LABEL - 110))
            kind = "bar ours" if name.startswith("hajimi") else "bar"
            parts.append(f'<text x="0" y="{y + 16}">{escape(name)}</text>')
            parts.append(
                f'<rect class="{kind}" x="{LABEL}" y="{y + 3}" width="{length:.1f}" height="{ROW - 8}" rx="2"/>'
            )
            parts.append(f'<text x="{LABEL + length + 8:.1f}" y="{y + 16}">{value:.3g} {escape(unit)}</text>')
            y += ROW
        y += 10
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">'
    return f"{head}\n<style>{STYLE}</style>\n" + "\n".join(parts) + "\n</svg>\n"
