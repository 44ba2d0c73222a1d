"""Which questions a run asks: each claim of every rule and layer that it speaks of, then controls.

Whoever names a claim gets an answer about it or an error: an id that is unknown, another command's,
or about rules that the run does not have, is never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from ntkalign.claims.catalogue import CLAIMS, choose
from ntkalign.claims.claim import (
    BOTTLENECK,
    COMPARED,
    CONTROLS,
    MAIN,
    Claim,
    Control,
    Place,
    Question,
)
from ntkalign.claims.proof import FALSE_STEPS
from ntkalign.errors import InputError
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import KERNELS, PROOF, VERIFY, Layers


@runtime_checkable
class NamedRule(Protocol):
    """What matters of a learning rule here."""

    @property
    def name(self) -> str:
        """How tables call it."""
        ...

    @property
    def control(self) -> bool:
        """Whether it must not be found to follow gradient descent."""
        ...


@runtime_checkable
class Shape(Protocol):
    """What matters of a family of networks here."""

    @property
    def depth(self) -> int:
        """N, the number of weight layers."""
        ...

    @property
    def kind(self) -> str:
        """Of network: "mlp", "rnn" or "cnn"."""
        ...

    @property
    def bottleneck_layer(self) -> int:
        """The hidden layer that a bottleneck narrows."""
        ...


@dataclass(frozen=True)
class _Run:
    """The rules of a run, by name."""

    family: Shape
    compared: tuple[str, ...]
    controls: tuple[str, ...]

    def rules(self, named: Iterable[str]) -> tuple[str, ...]:
        """Those that are named and run; gradient descent always does, and is not compared."""
        stand_for = {
            COMPARED: tuple(name for name in self.compared if name != "normal"),
            CONTROLS: self.controls,
        }
        running = {"normal", *self.compared, *self.controls}
        names = (name for entry in named for name in stand_for.get(entry, (entry,)))
        return tuple(dict.fromkeys(name for name in names if name in running))

    def claims(self, claim: Claim) -> Iterator[Question]:
        for rule in self.rules(claim.rules):
            for layer in _layers(claim).of(self.family.depth):
                yield Question(claim, MAIN, rule, layer)

    def controls_of(self, claim: Claim, control: Control) -> Iterator[Question]:
        for rule in self.rules(control.rules):
            for layer in self._places(claim, control.place):
                yield Question(claim, control.family, rule, layer, control=True)

    def _places(self, claim: Claim, place: Place) -> tuple[int | None, ...]:
        if _layers(claim) is Layers.WHOLE:
            return (None,)
        if place is Place.HIDDEN:
            inside = Layers.HIDDEN if _layers(claim) is Layers.EVERY else _layers(claim)
            return inside.of(self.family.depth)
        return (self.family.bottleneck_layer + (place is Place.ABOVE_NECK),)


def questions(
    family: Shape,
    rules: Sequence[NamedRule],
    *,
    controls: Sequence[NamedRule],
    only: Iterable[str] = (),
) -> list[Question]:
    """All questions that ``ntkalign verify`` answers.

    Args:
        family: the networks under test.
        rules: the rules compared with gradient descent; those marked as controls are asked
            about as controls.
        controls: the rules that every report has as controls.
        only: ids of the claims to ask about; all if empty.

    Returns:
        The claims' own questions, then their controls; each part in the catalogue's order.

    Raises:
        InputError: if an id is unknown, or none of the rules is one that its claim speaks of.
    """
    run = _Run(
        family,
        tuple(rule.name for rule in rules if not rule.control),
        tuple(dict.fromkeys(r.name for r in (*controls, *rules) if r.control)),
    )
    return _ask(run, only, VERIFY)


def kernel_questions(family: Shape, only: Iterable[str] = ()) -> list[Question]:
    """All questions of ``ntkalign kernels``: each claim, and the same of a fixed bottleneck.

    Args:
        family: the networks under test.
        only: ids of the claims to ask about; all if empty.

    Returns:
        The claims' own questions, then their controls.

    Raises:
        InputError: if an id is unknown, or its claim speaks of no rule that kernels describe.
    """
    return _ask(_Run(family, ("align-zero",), ()), only, KERNELS)


def proof_questions(
    family: Shape, rules: Sequence[NamedRule], only: Iterable[str] = ()
) -> list[Question]:
    """All questions of ``ntkalign proof``: what the paper states, then each step of its proofs.

    Args:
        family: the networks under test.
        rules: the rules compared with gradient descent.
        only: ids of the claims to ask about, the paper's or steps; all if empty.

    Returns:
        The paper's own statements without their controls, and the steps; those that are false on
        purpose are the controls.

    Raises:
        InputError: if an id is unknown, or none of the rules is one that its claim speaks of.
    """
    chosen = [only] if isinstance(only, str) else list(only)
    steps = [id for id in chosen if id in CLAIMS and CLAIMS[id].command == PROOF]
    stated = [id for id in chosen if id not in steps]
    run = _Run(family, tuple(rule.name for rule in rules if not rule.control), ())
    asked = []
    if stated or not chosen:
        asked += [q for q in _ask(run, stated, VERIFY) if not q.control]
    if steps or not chosen:
        asked += [
            replace(q, control=True) if q.claim in FALSE_STEPS else q
            for q in _ask(run, steps, PROOF)
        ]
    return sorted(asked, key=lambda question: question.control)


def _ask(run: _Run, only: Iterable[str], command: str) -> list[Question]:
    chosen = list(only) if not isinstance(only, str) else [only]
    claims = choose(",".join(chosen), command, run.family.kind)
    asked = [question for claim in claims for question in run.claims(claim)]
    asked += [
        question
        for family in (MAIN, BOTTLENECK)
        for claim in claims
        for control in claim.controls
        if control.family == family
        for question in run.controls_of(claim, control)
    ]
    heard = {question.claim for question in asked}
    for claim in claims if chosen else ():
        if claim not in heard:
            named = ", ".join(rule for rule in claim.rules if rule != COMPARED)
            raise InputError(
                "rules", run.compared, must=f"include one that is asked about by {claim.id}",
                got="none of them", because=f"it speaks of {named or 'rules that are no controls'}",
                do=f"add {named or 'align-ada, say'}, or ask for other claims",
            )  # fmt: skip
    return asked


def _layers(claim: Claim) -> Layers:
    return claim.layers or QUANTITIES.lookup(claim.quantity, "quantity").layers
