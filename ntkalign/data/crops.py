"""Crops of an image: at random for training, in the centre for measuring.

As in the paper's code (and most of those who train on ImageNet): a rectangle of 8 to 100 % of the
area and a shape between 3:4 and 4:3, scaled to a square, flipped half of the time; and for
measuring the short side scaled to 8/7 of the crop (256 for 224) and the square in the centre.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

SHARES = (0.08, 1.0)
"""Of the area, uniformly."""
RATIOS = (3 / 4, 4 / 3)
"""Width to height, uniformly in the logarithm."""
TRIES = 10
MARGIN = 256 / 224

Box = tuple[int, int, int, int]


def random_crop(picture: Image.Image, size: int, rng: np.random.Generator) -> Image.Image:
    """A rectangle at random, scaled to a square, and flipped half of the time."""
    box = random_box(picture.width, picture.height, rng)
    crop = picture.crop(box).resize((size, size), Image.Resampling.BILINEAR)
    return crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else crop


def random_box(width: int, height: int, rng: np.random.Generator) -> Box:
    """A rectangle in an image; the largest one in the centre if ten tries do not fit.

    Args:
        width: of the image.
        height: of the image.
        rng: what decides.

    Returns:
        Left, top, right, bottom.
    """
    for _ in range(TRIES):
        area = width * height * rng.uniform(*SHARES)
        ratio = math.exp(rng.uniform(math.log(RATIOS[0]), math.log(RATIOS[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = width, height
    if width / height < RATIOS[0]:
        h = max(1, min(height, round(width / RATIOS[0])))
    elif width / height > RATIOS[1]:
        w = max(1, min(width, round(height * RATIOS[1])))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def centre(picture: Image.Image, size: int) -> Image.Image:
    """The square in the centre, after the short side is scaled to a little more than it."""
    short = round(size * MARGIN)
    width, height = picture.size
    if width <= height:
        scaled = (short, max(short, int(short * height / width)))
    else:
        scaled = (max(short, int(short * width / height)), short)
    picture = picture.resize(scaled, Image.Resampling.BILINEAR)
    left, top = (round((length - size) / 2) for length in scaled)
    return picture.crop((left, top, left + size, top + size))
