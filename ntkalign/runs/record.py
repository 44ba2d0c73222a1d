"""What a run found and how, as typed values; and as the plain ones of report.json, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import pandas as pd

from ntkalign.cells.cell import OK
from ntkalign.claims.proof_map import ProofMap, proof_map
from ntkalign.claims.regime import Regime
from ntkalign.claims.verdicts import Finding, JudgingTerms
from ntkalign.errors import InputError
from ntkalign.networks.activations import ACTIVATIONS, Activation
from ntkalign.rules import RULES, Rule
from ntkalign.runs.environment import Environment
from ntkalign.runs.partial import Partial
from ntkalign.runs.settings import Settings


@dataclass(frozen=True)
class Conduct:
    """How a run went about its settings.

    Attributes:
        title: what it was about; reports of before there were several titles have none.
        no_prediction: why there is no infinite-width prediction, if one was wanted.
        held_out: points that were not trained on.
        until_decided: whether it went on while claims were undecided.
        budget: minutes after which it stopped that.
        looks: how often it looked at its data.
        spend: the share of all error probabilities that the last look used.
        relaxations: T in units of the fastest relaxation time 1/‖(η/P) Θ‖_op of a wide network:
            the exponent of Grönwall's factor, on which the bounds in the proofs rest.
        remarks: what is worth saying of the data.
    """

    title: str = "Does it hold at finite width? Boopathy & Fiete (ICML 2022), measured"
    no_prediction: str | None = None
    held_out: int = 0
    until_decided: bool = False
    budget: float | None = None
    looks: int = 1
    spend: float = 1.0
    relaxations: float | None = None
    remarks: Sequence[str] = ()


@dataclass(frozen=True)
class Verification:
    """What a run found.

    Attributes:
        settings: what was run, with the time, the inputs and the outputs that were used.
        conduct: how the run went about it.
        environment: versions, device, precision, revision, seconds, memory.
        findings: the claims, then the controls.
        table: the tidy table of measurements.
        limit_loss: the loss at the saved times at infinite width, if it was predicted.
        command: what the command line was told beyond the settings.
        partial: what is missing, if the run was stopped.
    """

    settings: Settings
    conduct: Conduct
    environment: Environment
    findings: tuple[Finding, ...]
    table: pd.DataFrame
    limit_loss: tuple[float, ...] | None = None
    command: Mapping[str, Any] = field(default_factory=dict)
    partial: Partial | None = None

    @property
    def config(self) -> dict[str, Any]:
        """Settings, conduct and command as the plain values of report.json."""
        return self.settings.as_json() | vars(self.conduct) | dict(self.command)

    @classmethod
    def from_json(
        cls, stored: Mapping[str, Any], findings: tuple[Finding, ...], table: pd.DataFrame
    ) -> Verification:
        """From the plain values of report.json, and what was judged anew.

        Returns:
            The run as it was stored, with these findings and this table.

        Raises:
            InputError: if the stored settings cannot be run.
        """
        config, loss = stored["config"], stored.get("infinite_width_loss")
        settings, conduct = _known(Settings, config), _known(Conduct, config)
        return cls(
            settings=Settings(**(settings | _with_stand_ins(settings))),
            conduct=Conduct(**conduct),
            environment=Environment.from_json(stored["environment"]),
            findings=findings,
            table=table,
            limit_loss=None if loss is None else tuple(loss),
            command={n: v for n, v in config.items() if n not in settings | conduct},
            partial=Partial.from_json(stored.get("partial")),
        )

    @property
    def title(self) -> str:
        """What the run was about."""
        return self.conduct.title

    @property
    def spend(self) -> float:
        """The share of all error probabilities that this look at the data may use."""
        return self.conduct.spend

    @property
    def claims(self) -> tuple[Finding, ...]:
        """The answers to what the paper claims."""
        return tuple(f for f in self.findings if not f.question.control)

    @property
    def controls(self) -> tuple[Finding, ...]:
        """The answers for what must not hold."""
        return tuple(f for f in self.findings if f.question.control)

    @property
    def passed_controls(self) -> tuple[Finding, ...]:
        """Controls that were found to hold: then the check proves nothing."""
        return tuple(f for f in self.controls if f.verdict == "holds")

    @cached_property
    def regime(self) -> Regime | None:
        """How far training moves the networks; None in reports of before it was measured."""
        return Regime.of(self.table)

    @cached_property
    def proof(self) -> ProofMap:
        """The paper's argument, step by step, as far as this run measured it."""
        terms = replace(JudgingTerms.of(self.config), regime=self.regime)
        return proof_map(self.findings, self.table, terms, self.settings.family.meets_assumptions)

    @property
    def failures(self) -> list[str]:
        """One line for each flow that failed: which, and why."""
        failed = self.table[self.table["status"] != OK]
        cells = failed[["family", "width", "seed", "rule", "status"]].drop_duplicates()
        return [
            f"{family} network, width {width}, seed {seed}, rule {rule}: {status}"
            for family, width, seed, rule, status in cells.itertuples(index=False)
        ]


def _known(kind: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """What is stored of a record's fields; an older report has fewer, a newer one more."""
    return {f.name: stored[f.name] for f in fields(kind) if f.name in stored}


def _with_stand_ins(settings: Mapping[str, Any]) -> dict[str, Any]:
    """For rules and activations of the user's own, of which a report has the names alone."""
    changed: dict[str, Any] = {}
    if "rules" in settings:
        changed["rules"] = tuple(
            name if name in RULES else Rule(name, _not_stored, _not_stored)
            for name in settings["rules"]
        )
    if settings.get("activation", "tanh") not in ACTIVATIONS:
        changed["activation"] = Activation(settings["activation"], _not_stored)
    return changed


def _not_stored(*args: Any) -> Any:
    raise InputError(
        "rules", "of a report", must="be given again to be run", got="its name",
        because="a report keeps no code", do="pass the Rule or the Activation",
    )  # fmt: skip
