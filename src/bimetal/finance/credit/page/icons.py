"""The icon of the page, drawn here: a dial of two metals, as SVG and as PNG of any size."""

import struct
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["icon_png", "icon_svg"]

NAVY, COPPER, SILVER, WHITE = "#12355b", "#e0a055", "#9fd0dc", "#ffffff"
RADIUS, WIDTH = 0.29, 0.085  # of the arcs, as shares of the side: all within the safe zone of 80 %
CENTRE = (0.5, 0.6)
TIP = (0.635, 0.405)  # of the needle
_SAMPLES = 4  # a pixel is the mean of 16: the only smoothing


def icon_svg() -> str:
    """Return the icon as SVG, 512 by 512."""
    (x, y), r, (tx, ty) = CENTRE, RADIUS, TIP
    top = f"{512 * x:.1f} {512 * (y - r):.1f}"
    arcs = (
        (COPPER, f"M{512 * (x - r):.1f} {512 * y:.1f} A{512 * r:.1f} {512 * r:.1f} 0 0 1 {top}"),
        (SILVER, f"M{top} A{512 * r:.1f} {512 * r:.1f} 0 0 1 {512 * (x + r):.1f} {512 * y:.1f}"),
        (WHITE, f"M{512 * x:.1f} {512 * y:.1f} L{512 * tx:.1f} {512 * ty:.1f}"),
    )
    paths = "".join(
        f'<path d="{d}" fill="none" stroke="{color}" stroke-width="{512 * WIDTH * (0.6 if color == WHITE else 1):.1f}" '
        f'stroke-linecap="{"round" if color == WHITE else "butt"}"/>'
        for color, d in arcs
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512">'
        f'<rect width="512" height="512" rx="96" fill="{NAVY}"/>{paths}'
        f'<circle cx="{512 * x:.1f}" cy="{512 * y:.1f}" r="26" fill="{WHITE}"/></svg>\n'
    )


@lru_cache(maxsize=8)
def icon_png(size: int, is_round: bool = False) -> bytes:
    """Return the icon as PNG, `size` by `size`.

    Parameters
    ----------
    size : int
        Of a side, in pixels.
    is_round : bool, default False
        Whether the corners are round and clear; systems that cut icons themselves want them full.

    Examples
    --------
    >>> icon_png(8)[1:4]
    b'PNG'
    """
    n = size * _SAMPLES
    along = (np.arange(n, dtype=np.float32) + np.float32(0.5)) / np.float32(n)
    x, y = along[None, :], along[:, None]
    dx, dy = x - np.float32(CENTRE[0]), y - np.float32(CENTRE[1])
    distance = np.hypot(dx, dy)
    arc = (np.abs(distance - RADIUS) < WIDTH / 2) & (dy < 0)
    shade = np.ones((n, n), np.uint8)
    shade[arc & (dx < 0)] = 2
    shade[arc & (dx >= 0)] = 3
    shade[(_near_needle(dx, dy) < WIDTH * 0.3) | (distance < 26 / 512)] = 4
    if is_round:
        shade[_beyond_corners(x, y)] = 0
    return _png(_smoothed(shade, size))


def _smoothed(shade: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return pixels (size, size, 4) of numbers of colours: each the mean of its samples."""
    pixels = np.zeros((size, size, 4))
    for number, color in enumerate((NAVY, COPPER, SILVER, WHITE), 1):
        cells = (shade == number).reshape(size, _SAMPLES, size, _SAMPLES)
        pixels += cells.mean(axis=(1, 3))[..., None] * [*bytes.fromhex(color[1:]), 255]
    opaque = np.maximum(pixels[..., 3:], 1) / 255
    pixels[..., :3] /= opaque  # colours of a pixel at the edge are not darkened by what is clear
    return np.minimum(pixels.round(), 255).astype(np.uint8)


def _near_needle(dx: NDArray[np.float32], dy: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the distance of each point, measured from the centre, from the needle."""
    ax, ay = np.float32(TIP[0] - CENTRE[0]), np.float32(TIP[1] - CENTRE[1])
    along = np.clip((dx * ax + dy * ay) / (ax * ax + ay * ay), 0, 1)
    distance: NDArray[np.float32] = np.hypot(dx - along * ax, dy - along * ay)
    return distance


def _beyond_corners(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.bool_]:
    r = 96 / 512
    out = [np.maximum(np.abs(v - 0.5) - (0.5 - r), 0) for v in (x, y)]
    beyond: NDArray[np.bool_] = np.hypot(*out) > r
    return beyond


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """Write (height, width, 4) pixels: a header, one deflated block of lines, an end."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
