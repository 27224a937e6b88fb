"""A small SVG of points, and the straight line through them: enough for the docs, without a plotting library."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 60, 20, 30, 50
COLOURS = ("#1f6feb", "#d29922", "#8250df")


@dataclass(frozen=True, slots=True)
class Series:
    """Points (x, y) under one name; line: draw the straight line of least squares too."""

    name: str
    points: Sequence[tuple[float, float]]
    line: bool = False


def scatter(series: Sequence[Series], x_label: str, y_label: str) -> str:
    """Return the SVG; both axes begin at 0."""
    x_step, x_top = _steps(max(x for one in series for x, _ in one.points))
    y_step, y_top = _steps(max(y for one in series for _, y in one.points))

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + x / x_top * (WIDTH - LEFT - RIGHT)
        return round(across, 1), round(HEIGHT - BOTTOM - y / y_top * (HEIGHT - TOP - BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for number in range(floor(x_top / x_step + 0.5) + 1):
        x, y = at(number * x_step, 0)
        parts.append(f'<text x="{x}" y="{y + 18}" text-anchor="middle">{number * x_step:g}</text>')
    for number in range(floor(y_top / y_step + 0.5) + 1):
        x, y = at(0, number * y_step)
        parts.append(f'<line x1="{x}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="#ddd"/>')
        parts.append(f'<text x="{x - 8}" y="{y + 4}" text-anchor="end">{number * y_step:g}</text>')
    for number, (one, colour) in enumerate(zip(series, COLOURS, strict=False)):
        for point in one.points:
            x, y = at(*point)
            parts.append(f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>')
        if one.line:
            slope, base = least_squares(one.points)
            (x1, y1), (x2, y2) = at(0, base), at(x_top, slope * x_top + base)
            parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-dasharray="4"/>')
        parts.append(f'<text x="{LEFT + 10}" y="{TOP + 16 * number}" fill="{colour}">{escape(one.name)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>'
    )
    return "\n".join([*parts, "</svg>"]) + "\n"


def least_squares(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and intercept of the line of least squares."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return slope, mean_y - slope * mean_x


def _steps(most: float) -> tuple[float, float]:
    """Return a round step and the axis' end, for about five steps up to most."""
    rough = (most or 1.0) / 5
    power = 10.0 ** floor(log10(rough))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= rough)
    return step, step * ceil((most or 1.0) / step)
