"""A still of the liquid as SVG: atoms, bonds and the box in perspective."""

import html
import math
from dataclasses import dataclass

import numpy as np

from ionmelt.measure.view import DISTANCE, TILT, View

SIZE = (880, 560)


def shade(colour: str, factor: float) -> str:
    """Return a colour made lighter (factor > 0) or darker (< 0)."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    mixed = [x + (255 - x) * factor if factor > 0 else x * (1 + factor) for x in channels]
    return "#{:02x}{:02x}{:02x}".format(*(round(x) for x in mixed))


@dataclass(frozen=True)
class Projected:
    """Points seen in perspective: x and y on the picture, distance from the eye (A), and pixels per A there."""

    x: np.ndarray
    y: np.ndarray
    depth: np.ndarray
    scale: np.ndarray


def project(points: np.ndarray, box: np.ndarray) -> Projected:
    """Return points (n, 3) of a box with edges (3,), in A, as the first view shows them."""
    width, height = SIZE
    diagonal = float(np.linalg.norm(box))
    cx, sx, cy, sy = math.cos(TILT[0]), math.sin(TILT[0]), math.cos(TILT[1]), math.sin(TILT[1])
    turn = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]]) @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    turned = (points - box / 2) @ turn.T
    depth = DISTANCE * diagonal - turned[:, 2]
    scale = 0.98 * height * DISTANCE / depth  # the box's diagonal fills the height
    return Projected(width / 2 + turned[:, 0] * scale, height / 2 - turned[:, 1] * scale, depth, scale)


Shape = tuple[float, str]  # how far it is from the eye, and its SVG


def atom_shapes(view: View, seen: Projected) -> list[Shape]:
    """Return a disc for each atom."""
    shapes = []
    for i, element in enumerate(view.elements):
        radius = view.looks[element].radius_A * seen.scale[i]
        disc = f'<circle cx="{seen.x[i]:.1f}" cy="{seen.y[i]:.1f}" r="{radius:.1f}" fill="url(#a{element})"/>'
        shapes.append((float(seen.depth[i]), disc))
    return shapes


def bond_shapes(view: View, seen: Projected) -> list[Shape]:
    """Return two lines for each bond, each half in the colour of its atom."""
    x, y, depth = seen.x, seen.y, seen.depth
    shapes = []
    for i, j in view.bonds:
        width = 0.22 * (seen.scale[i] + seen.scale[j]) / 2
        for a, b in ((i, j), (j, i)):
            colour = shade(view.looks[view.elements[a]].colour, -0.25)
            half = (
                f'<line x1="{x[a]:.1f}" y1="{y[a]:.1f}" x2="{(x[a] + x[b]) / 2:.1f}" y2="{(y[a] + y[b]) / 2:.1f}" '
                f'stroke="{colour}" stroke-width="{width:.1f}"/>'
            )
            shapes.append((max(depth[a], (depth[a] + depth[b]) / 2) + 0.01, half))
    return shapes


def box_shapes(box: np.ndarray) -> list[Shape]:
    """Return a line for each edge of the box; those at the back are behind everything."""
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)], float) * box
    seen = project(corners, box)
    x, y, depth = seen.x, seen.y, seen.depth
    far = (DISTANCE + 0.3) * float(np.linalg.norm(box))
    shapes = []
    for a in range(8):
        for b in (a ^ 1, a ^ 2, a ^ 4):
            if a < b:
                line = f'<line class="box" x1="{x[a]:.1f}" y1="{y[a]:.1f}" x2="{x[b]:.1f}" y2="{y[b]:.1f}" stroke="#7a7a7a"/>'
                shapes.append((math.inf if max(depth[a], depth[b]) > far else (depth[a] + depth[b]) / 2, line))
    return shapes


def still(view: View) -> str:
    """Return the first frame as SVG, seen in perspective, the nearer atoms over the farther ones."""
    width, height = SIZE
    box = np.array(view.edges_A[0])
    seen = project(view.atoms_A[0], box)
    balls = "".join(
        f'<radialGradient id="a{element}" cx=".35" cy=".3" r=".75"><stop offset="0" stop-color="{shade(look.colour, 0.75)}"/>'
        f'<stop offset=".45" stop-color="{look.colour}"/><stop offset="1" stop-color="{shade(look.colour, -0.55)}"/>'
        "</radialGradient>"
        for element, look in sorted(view.looks.items())
    )
    shapes = bond_shapes(view, seen) + atom_shapes(view, seen) + box_shapes(box)
    body = "\n".join(text for _, text in sorted(shapes, key=lambda shape: -shape[0]))
    title = html.escape(view.title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{title}"><title>{title}</title><defs>{balls}</defs>\n'
        f'<g stroke-linecap="round">\n{body}\n</g></svg>\n'
    )
