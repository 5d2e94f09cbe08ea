"""Line charts as SVG path data: the one thing that a template cannot work out by itself."""

from collections.abc import Sequence


def line(values: Sequence[float], width: float, height: float) -> str:
    """Path data of a line through `values` (two or more), from edge to edge of a box.

    The lowest value touches the bottom and the highest the top; a flat line runs through the middle.
    """
    lowest, highest = min(values), max(values)
    spread = highest - lowest
    step = width / (len(values) - 1)
    points = []
    for place, value in enumerate(values):
        level = (value - lowest) / spread if spread else 0.5
        points.append(f"{place * step:.1f} {height * (1 - level):.1f}")
    return "M" + "L".join(points)
