# SPDX-License-Identifier: MIT
"""Draws the table as bars: how many times ejabberd, on a logarithmic scale. Plain SVG, no library."""

import html
import math

LABELS, BARS, BAR, GAP, TOP = 330, 470, 9, 9, 44
COLOURS = {"tern": "#0b6e99", "prosody": "#b9a44c", "relay": "#b8b8b8"}


def chart(rows, names, ratio):
    """ratio(row, name): times ejabberd, or None."""
    names = [name for name in names if name in COLOURS]
    most = max((ratio(row, name) or 1 for row in rows for name in names), default=1)
    top = max(1, math.ceil(math.log10(most)))
    bottom = -1

    def x(value):
        share = (math.log10(max(value, 10**bottom)) - bottom) / (top - bottom)
        return LABELS + BARS * min(share, 1)

    height = TOP + len(rows) * (BAR * len(names) + GAP) + 10
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABELS + BARS + 60}" height="{height}" font-family="sans-serif" '
             f'font-size="11"><rect width="100%" height="100%" fill="#fff"/>']
    for power in range(bottom, top + 1):
        at = x(10**power)
        label = f"{10**power:g}×"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 6}" y2="{height}" stroke="{"#444" if power == 0 else "#ddd"}"/>'
                     f'<text x="{at:.1f}" y="{TOP - 10}" text-anchor="middle">{label}</text>')
    for i, name in enumerate(names):
        parts.append(f'<rect x="{10 + 90 * i}" y="8" width="10" height="10" fill="{COLOURS[name]}"/>'
                     f'<text x="{24 + 90 * i}" y="17">{name}</text>')
    y = TOP
    for row in rows:
        parts.append(f'<text x="{LABELS - 8}" y="{y + BAR * len(names) / 2 + 4}" text-anchor="end">{html.escape(row.label)}</text>')
        for name in names:
            value = ratio(row, name)
            if value:
                start, end = sorted((x(1), x(value)))
                parts.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="{BAR - 1}" '
                             f'fill="{COLOURS[name]}"/>')
            y += BAR
        y += GAP
    return "\n".join([*parts, "</svg>"]) + "\n"
