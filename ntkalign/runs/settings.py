"""What a run is asked to do, checked before anything is computed.

A setting is declared once: its name, type, default, what is allowed, and what help says of it.
Flags of the command line are made from the same declarations (:mod:`ntkalign.cli.flags`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, no_type_check

from ntkalign import rules
from ntkalign.data.own_file import is_file
from ntkalign.errors import InputError, unknown_name
from ntkalign.flow.options import ENGINES
from ntkalign.networks import activations
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.networks.family import SCALED, UNSCALED, NetworkFamily
from ntkalign.networks.kinds import FAMILIES, NetworkKind
from ntkalign.networks.normalisation import Norm
from ntkalign.networks.shared_outputs import INITIAL_OUTPUTS
from ntkalign.rules import NORMAL, Rule
from ntkalign.values import (
    folder,
    name_of,
    one_of,
    optional,
    real,
    setting,
    several,
    text,
    whole,
)  # fmt: skip

MIN_WIDTHS, MIN_SEEDS = 3, 2
MIN_TOLERANCE, MAX_TOLERANCE = 1e-14, 0.01
SMALLEST_SHARE = 1e-6
SHORTEST, LONGEST = 1e-9, 1e12
"""Times of training."""
LARGEST_BIAS = 1e6
"""Beyond it flows multiply what float64 does not hold; as with inputs."""
SEEDS_END = 2**32  # what a random key can be folded with
MOST_STEPS = 1000
"""Of a sequence: each is a product after the other, and all of them are kept."""
MOST_LAYERS, MOST_SEEDS, MOST_POINTS, MOST_DIMENSIONS = 1000, 100_000, 1_000_000, 10_000_000
"""No machine holds more; what the machine at hand holds is a matter of the run's own guard."""


def _activation(name: str, given: Any) -> Activation:
    if not isinstance(given, str | Activation) and not callable(given):
        raise InputError(
            name, given, must="be a name or an elementwise function", got=repr(given),
            because="units apply it", do="pass tanh, say",
        )  # fmt: skip
    return activations.lookup(given)


def _network(name: str, given: Any) -> str:
    return str(one_of(FAMILIES, "only these are defined")(name, given))


def _rule(name: str, given: Any) -> Rule:
    if not isinstance(given, str | Rule):
        raise InputError(
            name, given, must="be names or rules", got=repr(given),
            because="each is run by itself", do="pass ('align-ada',), say",
        )  # fmt: skip
    return rules.lookup(given)


_A_NUMBER = "it is a number of dimensions", "pass a number of 1 or more", MOST_DIMENSIONS
_SIZES = "a layer has at least one unit", "pass 64,128,256, say"
_SCALES = "they scale widths", "pass 4,1,2, say"
_STRIDES = "windows move by it", "pass 2,2, say"
_SHARE = real(
    f"lie between {SMALLEST_SHARE:g} and 1 - {SMALLEST_SHARE:g}",
    lambda v: SMALLEST_SHARE <= v <= 1 - SMALLEST_SHARE,
    "it is a share, and several looks divide what it leaves",
    "pass 0.95, say",
)
_TOLERANCE = real(
    f"lie between {MIN_TOLERANCE:g} and {MAX_TOLERANCE:g}",
    lambda v: MIN_TOLERANCE <= v <= MAX_TOLERANCE,
    "float64 has 16 digits, and the quantities measured are smaller than one",
    "pass 1e-6, say",
)
_TIME = real(
    f"be positive and finite, from {SHORTEST:g} to {LONGEST:g}",
    lambda v: SHORTEST <= v <= LONGEST,
    "training runs forward from 0, and float64 tells no other times apart",
    "pass 10, or leave it out",
)


@no_type_check  # of what is given: checks here say more, and take more; values are what is declared
@dataclass(frozen=True)
class Settings:
    """What decides the numbers of a run: every instance is checked, and all values are plain.

    Names are looked up: ``activation`` is an :class:`Activation` (or a name, or an elementwise
    function of one's own), ``rules`` are :class:`Rule` objects (or names). What each setting is, is
    said beside it.

    Raises:
        InputError: for the first that cannot be run; one line that says what was given, what is
            allowed and what to do.
    """

    data: str = setting(
        None, optional(text),
        "training data (None: digits, for rnn add); two image sets need the folder they lie in",
        "digits|sphere|add|cifar10|kmnist|FILE.npz",
    )  # fmt: skip
    data_dir: Path | None = setting(
        None, optional(folder), "folder of the original image files", "DIR"
    )
    network: str = setting(
        "mlp", _network,
        "architecture: fully connected, recurrent, or convolutional", "|".join(FAMILIES),
    )  # fmt: skip
    points: int = setting(
        8, whole(2, "alignment compares pairs of points", "pass 16, say", MOST_POINTS),
        "P, number of training points", "P",
    )  # fmt: skip
    inputs: int | None = setting(
        None, optional(whole(1, *_A_NUMBER)),
        "d, input dimensions of generated data (sphere: 32)", "D",
    )  # fmt: skip
    outputs: int | None = setting(
        None, optional(whole(1, *_A_NUMBER)),
        "C, output dimensions (sphere: 2), or classes kept of an image set", "C",
    )  # fmt: skip
    steps: int | None = setting(
        None, optional(whole(1, "it is the length of sequences", "pass 4, say")),
        "K, steps of the sequences of rnn (None: 4, or as many as a file has)", "K",
    )  # fmt: skip
    depth: int = setting(
        3, whole(2, "a network needs a hidden layer", "pass 3, say", MOST_LAYERS),
        "N, number of weight layers (always 3 of rnn)", "N",
    )  # fmt: skip
    activation: Any = setting(
        "tanh", _activation, f"nonlinearity: {', '.join(ACTIVATIONS)}", "NAME"
    )
    widths: tuple[int, ...] = setting(
        None, optional(several(whole(1, *_SIZES), *_SIZES)),
        "hidden units m, or channels of cnn; at least three, increasing (None: "
        + "; ".join(",".join(map(str, kind.usual.widths)) for kind in FAMILIES.values()) + ")",
        "M,M,M…",
    )  # fmt: skip
    multipliers: tuple[int, ...] = setting(
        (), several(whole(1, *_SCALES), *_SCALES),
        "hidden widths relative to one another; none: all equal", "K,K…",
    )  # fmt: skip
    strides: tuple[int, ...] = setting(
        (), several(whole(1, *_STRIDES), *_STRIDES),
        "stride of each convolution of cnn; none: all 2", "S,S…",
    )  # fmt: skip
    norm: str = setting(
        Norm.NONE.value, one_of([norm.value for norm in Norm], "only these are defined"),
        "batch norm of cnn, outside the theory: none, per position, per channel",
        "|".join(norm.value for norm in Norm),
    )  # fmt: skip
    readout: str = setting(
        SCALED, one_of((SCALED, UNSCALED), "only these are defined"),
        "readout of rnn: with its factor 1/√m, or as (61) is printed, outside the theory",
        f"{SCALED}|{UNSCALED}",
    )  # fmt: skip
    seeds: int = setting(
        None, optional(whole(MIN_SEEDS, "intervals come from seeds", "pass 8, say", MOST_SEEDS)),
        "networks per width (None: 16, of cnn 10)", "S",
    )  # fmt: skip
    first_seed: int = setting(
        0, whole(0, "seeds count from 0", "pass 0"), "number of the first seed", "K"
    )
    time: float | None = setting(
        None, optional(_TIME),
        "training time in units where the rate η is 1 (None: the linearised loss falls tenfold)",
        "T",
    )  # fmt: skip
    rules: tuple[Any, ...] = setting(
        ("align-zero", "align-ada", "align-prop"),
        several(_rule, "rules are compared by name", "pass align-zero,align-ada, say"),
        "rules compared with gradient descent", "NAME,NAME…",
    )  # fmt: skip
    bias_std: float = setting(
        0.0, real(f"be at least 0 and at most {LARGEST_BIAS:g}",
                  lambda v: 0 <= v <= LARGEST_BIAS, "it is a standard deviation",
                  "pass 0 or 0.1, say"),
        "standard deviation of the biases at time 0", "B",
    )  # fmt: skip
    initial_outputs: str = setting(
        "shared", one_of(INITIAL_OUTPUTS, "only these are defined"),
        "at time 0: shared by all widths of a seed (the law of each network is unchanged, and "
        "exponents are less noisy), drawn independently, or subtracted (zero)",
        "|".join(INITIAL_OUTPUTS),
    )  # fmt: skip
    engine: str = setting(
        "auto", one_of(ENGINES, "only these are built in"),
        "of the flow: auto is spectral, and dense where that does not converge",
        "|".join(ENGINES),
    )  # fmt: skip
    tolerance: float | None = setting(
        None, optional(_TOLERANCE),
        "of the flow: relative error (spectral), or a step's local error (dense) (None: as small "
        "as every measured number needs to be known to a third of a per cent)", "TOL",
    )  # fmt: skip
    confidence: float = setting(0.95, _SHARE, "coverage of the intervals, a share", "SHARE")
    output_exponent: float = setting(
        0.0,
        real(
            "lie between -2 and 2",
            lambda v: abs(v) <= 2,
            "it is a power of the width",
            "leave it out",
        ),
        "output scale m^output_exponent (0 in the theory)",
    )
    bottleneck: int = setting(
        4, whole(1, "it is a number of units", "pass 4"),
        "width kept by the middle hidden layer of the control family",
    )  # fmt: skip

    def __post_init__(self) -> None:
        for declared in fields(self):
            value = declared.metadata["check"](declared.name, getattr(self, declared.name))
            object.__setattr__(self, declared.name, value)
        for name in ("data", "widths", "seeds", "tolerance"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(self.kind.usual, name))
        object.__setattr__(self, "rules", tuple(dict.fromkeys(self.rules)))
        _check_rules([r.name for r in self.rules])
        _check_widths(self.widths)
        if self.first_seed + self.seeds > SEEDS_END:
            raise InputError(
                "first_seed", self.first_seed, must=f"be at most {SEEDS_END - self.seeds}",
                got=repr(self.first_seed), because="seeds are 32-bit numbers", do="pass 0",
            )  # fmt: skip
        self._check_network()
        _ = self.family  # refuses what is no family of networks

    @property
    def paired(self) -> bool:
        """Whether networks of one seed share noise across widths."""
        return self.initial_outputs == "shared"

    @property
    def every_seed(self) -> range:
        """The seeds."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def kind(self) -> NetworkKind:
        """What is declared of such networks."""
        return FAMILIES[self.network]

    @property
    def family(self) -> NetworkFamily:
        """The networks under test."""
        family: NetworkFamily = self.kind.of(self)
        if family.kind != self.network:
            raise InputError(
                "network", self.network, must="be the kind of its family",
                got=f"a family of kind {family.kind}", because="results are kept by it",
                do=f'give the family the line kind = "{self.network}"',
            )  # fmt: skip
        return family

    def _check_network(self) -> None:
        """Refuse settings that the network does not have: they would be ignored."""
        for name, neutral in _OF_SOME.items():
            if getattr(self, name) != neutral and name not in self.kind.takes:
                networks = [kind.name for kind in FAMILIES.values() if name in kind.takes]
                have = "has" if len(networks) == 1 else "have"
                raise InputError(
                    name, getattr(self, name), must="be left out for this network",
                    got=f"it for network {self.network}",
                    because=f"only {' and '.join(networks)} {have} it",
                    do=f"leave it out, or pass network {networks[0]}",
                )  # fmt: skip
        if (self.steps or 0) > MOST_STEPS:
            raise InputError(
                "steps", self.steps, must=f"be at most {MOST_STEPS}", got=repr(self.steps),
                because="flows keep every step", do="pass 4, say",
            )  # fmt: skip

    def as_json(self) -> dict[str, object]:
        """All settings as plain values; of files and folders their names."""
        plain = {f.name: _plain(getattr(self, f.name)) for f in fields(self)}
        return plain | {"data": name_of(self.data) if is_file(self.data) else self.data}


_OF_SOME: dict[str, Any] = {
    "steps": None,
    "readout": SCALED,
    "strides": (),
    "norm": Norm.NONE.value,
    "multipliers": (),
    "depth": 3,
    "activation": ACTIVATIONS["tanh"],
    "bias_std": 0.0,
    "output_exponent": 0.0,
}
"""Settings that only some networks have, and what they are where they say nothing."""
PRESETS: dict[str, Mapping[str, Any]] = {
    "quick": {"seeds": 6},
    "standard": {},
    "deep": {},
}
"""What each preset changes about the defaults of :class:`Settings`, beside widths."""


def preset(name: str, network: str) -> dict[str, Any]:
    """What a preset changes about the defaults, for a kind of network.

    Args:
        name: of the preset.
        network: a registered kind; the widths of another are left to be refused.

    Returns:
        Settings by name.

    Raises:
        InputError: if there is no such preset.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS, "only these are defined")
    kind = FAMILIES.get(network)
    return {**PRESETS[name], "widths": None if kind is None else kind.usual.of_preset(name)}


def _check_rules(names: list[str]) -> None:
    if not names or names == [NORMAL.name]:
        raise InputError(
            "rules", tuple(names), must="name a rule other than normal",
            got=",".join(names) or "none",
            because="rules are compared with gradient descent, which always runs",
            do="pass align-zero,align-ada,align-prop",
        )  # fmt: skip
    if len(set(names)) < len(names):
        raise InputError(
            "rules", tuple(names), must="have distinct names", got="a name twice",
            because="results are kept by name", do="rename one of them",
        )  # fmt: skip


def _check_widths(widths: tuple[int, ...]) -> None:
    if any(b <= a for a, b in itertools.pairwise(widths)):
        raise InputError(
            "widths", widths, must="increase", got="one that does not exceed the one before",
            because="an exponent is read off growing widths", do="sort them and drop repeats",
        )  # fmt: skip
    if len(widths) < MIN_WIDTHS:
        raise InputError(
            "widths", widths, must=f"be at least {MIN_WIDTHS} widths", got=str(len(widths)),
            because="two points lie on any power law", do="pass 64,128,256, say",
        )  # fmt: skip


def _plain(value: object) -> object:
    if isinstance(value, Activation | Rule):
        return value.name
    if isinstance(value, Path):
        return name_of(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value
