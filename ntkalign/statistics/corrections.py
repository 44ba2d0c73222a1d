"""What corrections to scaling are allowed for, given how far from the limit's regime one is.

A law is m^p (1 + correction), and the correction is not known. Allowed for are

    log(1 + a (m/m₁)^−ω),   ω ∈ {½, 1},   a from 0 to 1: the next order of an expansion in 1/√m;
                            with ε known, a from −1¼ ε₁ to 2ε₁ if that is more than 1
    κ log(1 − ε(m)),        κ from −k to 1¼ k: the quantity is of order ε^k, and crosses over
                            where ε is large

ε(m) is the expansion parameter, measured at each width: the share by which training moves a
network. With x the ratio of what is moved to what is not, ε = x/(1 + x): a quantity that is x^k in
the limit and levels off as ε^k does has the second kind of correction with κ = k, and one that
falls faster at first, as (1 + x)^k, has it with κ = −k. The quarter is a margin.

Before a quantity is said to decay too slowly, a = −¼ is always allowed for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ntkalign.errors import InputError
from ntkalign.statistics.samples import checked_per_width, real_number, shown

SIZES, DECAYS = (0.25, 0.5, 1.0), (0.5, 1.0)
"""Sizes a and decays ω that are always allowed for."""
OPPOSITE = -0.25
"""The least a before a quantity is said to decay too slowly, whatever ε."""
POSITIVE, MARGIN = 2.0, 1.25
"""With ε known: a up to POSITIVE·ε₁ if that is more, and down to −MARGIN·ε₁; κ from −k to MARGIN·k.
The margin is for what levels off otherwise than ε does, by a logarithm say: there a claim that is
true looks wrong."""
LARGEST = 0.99
"""ε is taken for no more than this: where networks have moved by all they are, nothing is known."""
EDGE = 0.5
"""The largest ε of a width that is in the regime of an expansion: what is left out is no more than
half of what is kept."""


@dataclass(frozen=True)
class Expansion:
    """What a quantity is expanded in.

    Args:
        parameter: ε at each width.
        order: k, where the quantity is of order ε^k in the limit.

    Raises:
        InputError: if one is not finite, or negative.
    """

    parameter: tuple[float, ...]
    order: float = 1.0

    def __post_init__(self) -> None:
        known = checked_per_width("expansion", self.parameter, "corrections grow with it")
        object.__setattr__(self, "parameter", tuple(float(e) for e in known))
        order = real_number(self.order)
        if order is None or not (math.isfinite(order) and order >= 0):
            raise InputError(
                "order", self.order, must="be a finite number, at least 0", got=shown(self.order),
                because="the quantity is of that order in ε", do="pass 1 for O(m^-0.5), say",
            )  # fmt: skip
        object.__setattr__(self, "order", order)

    @property
    def outside(self) -> int:
        """How many widths, from the smallest on, have to go so that ε is at most EDGE."""
        large = [i for i, e in enumerate(self.parameter) if e > EDGE]
        return 1 + large[-1] if large else 0

    def after(self, skip: int) -> Expansion:
        """Without the first widths."""
        return Expansion(self.parameter[skip:], self.order)


def powers(relative: np.ndarray, sizes: Sequence[float]) -> Float[np.ndarray, "corrections widths"]:
    """log(1 + a (m/m₁)^−ω) for each a and ω."""
    return np.array([np.log1p(a * relative**-w) for a in sizes for w in DECAYS])


def allowed(
    relative: np.ndarray, expansion: Expansion | None, skip: int = 0
) -> Float[np.ndarray, "corrections widths"]:
    """The corrections that intervals allow for, at all widths but the first few; extremes of them.

    Args:
        relative: m/m₁ at the widths that are left.
        expansion: of all widths; None if it is unknown.
        skip: how many are left out.

    Returns:
        One row for each.
    """
    if expansion is None:
        return powers(relative, SIZES)
    first = expansion.parameter[0]
    least = -min(MARGIN * first, LARGEST)
    sizes = (*SIZES, max(SIZES[-1], POSITIVE * min(first, LARGEST)), least / 2, least)
    crossing = np.log1p(-np.minimum(expansion.parameter[skip:], LARGEST))
    kappas = [share * expansion.order for share in (-1.0, -0.5, MARGIN / 2, MARGIN)]
    return np.vstack([powers(relative, sizes), [k * crossing for k in kappas]])


def before_refuting(relative: np.ndarray) -> Float[np.ndarray, "corrections widths"]:
    """What is allowed for besides before a quantity is said to decay too slowly."""
    return powers(relative, (OPPOSITE,))
