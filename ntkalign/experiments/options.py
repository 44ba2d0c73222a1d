"""What a command asks for, checked once: an experiment's own values where nothing is asked."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ntkalign.data.training_sets import PRECISIONS
from ntkalign.errors import InputError
from ntkalign.experiments.experiment import SCALES, Experiment
from ntkalign.rules import RULES, VARIANTS
from ntkalign.values import folder, one_of, optional, positive, several, text, whole

_COUNT = whole(1, "it counts something", "pass a positive number")


def _unique(name: str, values: tuple[Any, ...] | None) -> tuple[Any, ...] | None:
    if values is not None and not values:
        raise InputError(
            name, values, must="not be empty", got="nothing", because="nothing would be trained",
            do="leave it out for the experiment's own",
        )  # fmt: skip
    return None if values is None else tuple(dict.fromkeys(values))


def _rule(name: str, given: Any) -> str:
    return RULES.lookup(text(name, given), "rules").name


_CHECKS = {
    "data_dir": optional(folder),
    "widths": optional(several(_COUNT, "they are widths", "pass 8,16, say")),
    "rules": optional(several(_rule, "they are names of rules", "pass normal,align-ada, say")),
    "rates": optional(
        several(positive("it is a learning rate", "pass 1, say"), "they are rates", "pass 1,2,5")
    ),
    "epochs": optional(_COUNT),
    "train": optional(_COUNT),
    "test": optional(_COUNT),
    "batch": optional(_COUNT),
    "seed": whole(0, "it is the seed of a generator", "pass 99, the paper's"),
    "scale": one_of(SCALES, "only these are defined"),
    "variant": one_of(VARIANTS, "only these are defined"),
    "precision": one_of(PRECISIONS, "networks are trained in one of them"),
    "log_steps": whole(0, "it is a number of minibatches", "pass 20, say"),
    "workers": whole(1, "somebody has to train", "pass 1"),
}


@dataclass(frozen=True)
class Options:
    """What is asked of experiments; None is the experiment's own value.

    Args:
        data_dir: the folder of the images, or of folders of image sets.
        widths: numbers of filters or of hidden units.
        rules: names of learning rules.
        rates: learning rates, as the released code's.
        epochs: passes over the training points.
        train: the first so many training points, in file order.
        test: the first so many images of the training files are measured on.
        batch: points of a minibatch.
        seed: of the weights and of the order of minibatches.
        scale: "paper", or "small" for what two cores do in minutes.
        variant: the rules as the released code has them, or as the equations are written.
        precision: of everything.
        log_steps: so many first minibatches leave their loss and the norms of their updates.
        workers: runs that are trained side by side.

    Raises:
        InputError: if an option cannot be used.
    """

    data_dir: Path | None = None
    widths: tuple[int, ...] | None = None
    rules: tuple[str, ...] | None = None
    rates: tuple[float, ...] | None = None
    epochs: int | None = None
    train: int | None = None
    test: int | None = None
    batch: int | None = None
    seed: int = 99
    scale: str = "paper"
    variant: str = "published"
    precision: str = "float32"
    log_steps: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        for option in fields(self):
            value = _CHECKS[option.name](option.name, getattr(self, option.name))
            if option.name in ("widths", "rules", "rates"):
                value = _unique(option.name, value)
            object.__setattr__(self, option.name, value)
        if self.seed >= 2**32:
            raise InputError(
                "seed", self.seed, must="be less than 2^32", got=str(self.seed),
                because="the paper's generator takes no larger one", do="pass 99, the paper's",
            )  # fmt: skip

    def of(self, experiment: Experiment) -> Options:
        """The options with the experiment's own values where nothing is asked.

        Returns:
            Options in which only ``data_dir``, ``train`` and ``test`` may be None.
        """
        own = {name: getattr(experiment, name) for name in ("widths", "rules", "rates", "epochs", "batch")}  # fmt: skip
        if self.scale == "small":
            own |= experiment.small
        return replace(self, **{n: v for n, v in own.items() if getattr(self, n) is None})
