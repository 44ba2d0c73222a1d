"""What a command asks for, checked once: an experiment's own values where nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, no_type_check

from ntkalign.data.add_task import SEEDS_END
from ntkalign.data.training_sets import PRECISIONS
from ntkalign.errors import InputError
from ntkalign.experiments.experiment import SCALES, Series
from ntkalign.rules import RULES, VARIANTS
from ntkalign.values import (
    Check,
    folder,
    one_of,
    optional,
    positive,
    setting,
    several,
    text,
    whole,
)  # fmt: skip

_COUNT = whole(1, "it counts something", "pass a positive number")


OWN = ("widths", "rules", "rates", "epochs", "batch", "train", "test", "seed")
"""What a series says where nothing is asked."""


def _several(check: Check, example: str) -> Check:
    """None, or at least one of them, each once."""
    each = several(check, "each is trained", f"pass {example}, say")

    def check_all(name: str, given: Any) -> tuple[Any, ...] | None:
        if given is None:
            return None
        values = tuple(dict.fromkeys(each(name, given)))
        if not values:
            raise InputError(
                name, values, must="not be empty", got="nothing",
                because="nothing would be trained", do=f"pass {example}, or leave it out",
            )  # fmt: skip
        return values

    return check_all


def _seed(name: str, given: Any) -> int:
    seed = whole(0, "it is the seed of a generator", "pass 99, the paper's")(name, given)
    if seed >= SEEDS_END:
        raise InputError(
            name, seed, must=f"be at most {SEEDS_END - 1}", got=str(seed),
            because="the paper's generator takes no larger one", do="pass 99, the paper's",
        )  # fmt: skip
    return seed


def _rule(name: str, given: Any) -> str:
    return RULES.lookup(text(name, given), "rules").name


@no_type_check  # of what is given: checks here say more, and take more; values are what is declared
@dataclass(frozen=True)
class Options:
    """What is asked of experiments; None is the experiment's own value.

    Raises:
        InputError: if an option cannot be used.
    """

    data_dir: Path | None = setting(
        None, optional(folder), "folder of the images, or of a folder for each set", "DIR"
    )
    widths: tuple[int, ...] | None = setting(
        None, _several(_COUNT, "8,16"), "filters or hidden units; none: the experiment's", "M,M…"
    )
    rules: tuple[str, ...] | None = setting(
        None, _several(_rule, "normal,align-ada"), "learning rules; none: the experiment's",
        "NAME,NAME…",
    )  # fmt: skip
    rates: tuple[float, ...] | None = setting(
        None, _several(positive("it is a learning rate", "pass 1, say"), "1,2,5"),
        "learning rates, as the released code's; none: the experiment's", "η,η…",
    )  # fmt: skip
    epochs: int | None = setting(
        None, optional(_COUNT), "passes over the training points; none: the experiment's", "E"
    )
    train: int | None = setting(
        None,
        optional(_COUNT),
        "the first N training points, in file order (of ImageNet evenly spread); none: all",
        "N",
    )
    test: int | None = setting(
        None,
        optional(_COUNT),
        "the first N images of the files are the test part (ImageNet has its own); none: 5000",
        "N",
    )
    batch: int | None = setting(
        None, optional(_COUNT), "points of a minibatch; none: the experiment's", "B"
    )
    seed: tuple[int, ...] | None = setting(
        None, _several(_seed, "99"),
        "of weights and of the order of minibatches, one run each; none: the experiment's, 99",
        "K,K…",
    )  # fmt: skip
    scale: str = setting(
        "paper", one_of(SCALES, "only these are defined"),
        "small is what two cores do in minutes", "|".join(SCALES),
    )  # fmt: skip
    variant: str = setting(
        "published", one_of(VARIANTS, "only these are defined"),
        "rules as the released code has them, or as the equations are written",
        "|".join(VARIANTS),
    )  # fmt: skip
    log_steps: int = setting(
        0, whole(0, "it is a number of minibatches", "pass 20, say"),
        "record losses and updates of the first K minibatches", "K",
    )  # fmt: skip
    precision: str = setting(
        "float32", one_of(PRECISIONS, "networks are trained in one of them"), "of everything",
        "|".join(PRECISIONS),
    )  # fmt: skip

    def __post_init__(self) -> None:
        for option in fields(self):
            value = option.metadata["check"](option.name, getattr(self, option.name))
            object.__setattr__(self, option.name, value)

    def of(self, series: Series) -> Options:
        """The options with the series' own values where nothing is asked, or nothing may be.

        Returns:
            Options in which only ``data_dir``, ``train`` and ``test`` may be None.
        """
        own = {name: getattr(series, name) for name in OWN}
        if self.scale == "small":
            own |= series.small or {}
        kept = {n: v for n, v in own.items() if n in series.fixed or getattr(self, n) is None}
        return replace(self, **kept)
