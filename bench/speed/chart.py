"""The chart of a run, as SVG: what each proxy does in a second, readable on light and on dark pages."""

from collections.abc import Mapping
from html import escape
from typing import Any

from bench.speed.rounds import title

_WIDTH = 760
_LABELS = 230
"""Where bars begin."""

_BAR, _GAP, _HEADING, _MARGIN = 20, 7, 38, 14
_LONGEST = _WIDTH - _LABELS - 90

_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2328; }
  .heading { font-weight: 600; font-size: 15px; }
  .bar { fill: #8c959f; }
  .ours { fill: #0969da; }
  .ours-label { font-weight: 600; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .bar { fill: #6e7681; }
    .ours { fill: #58a6ff; }
  }
"""

_PANELS = {
    "small_get": ("Small GET (1 KB), requests a second on one core", 1.0),
    "get_10m": ("Download of 10 MB, MiB a second", 10.0),
    "upload_1m": ("Upload of 1 MB, MiB a second", 1.0),
}
"""With what a request counts for."""


def drawn(figures: Mapping[str, Any]) -> str:
    """One panel for each of three workloads; in each, the fastest on top."""
    parts: list[str] = []
    y = _MARGIN
    for workload, (heading, unit) in _PANELS.items():
        parts.append(f'<text class="heading" x="{_MARGIN}" y="{y + 17}">{heading}</text>')
        y += _HEADING
        rates = sorted(figures[workload].items(), key=lambda each: -each[1])
        most = rates[0][1]
        for name, rate in rates:
            parts += _bar(name, y, rate / most, f"{rate * unit:,.0f}")
            y += _BAR + _GAP
        y += _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" role="img">\n'
        f"<title>Watchword beside other proxies</title>\n<style>{_STYLE}</style>\n"
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _bar(name: str, y: int, share: float, figure: str) -> list[str]:
    ours = name.startswith("watchword")
    length = max(1.0, share * _LONGEST)
    label = ' class="ours-label"' if ours else ""
    middle = y + _BAR - 5
    return [
        f'<text{label} x="{_LABELS - 10}" y="{middle}" text-anchor="end">{escape(title(name))}</text>',
        f'<rect class="{"ours" if ours else "bar"}" x="{_LABELS}" y="{y}" width="{length:.1f}" '
        f'height="{_BAR}" rx="3"/>',
        f'<text{label} x="{_LABELS + length + 8:.1f}" y="{middle}">{figure}</text>',
    ]
