"""Trained networks, kept apart from what was measured of them: a new quantity trains nothing.

A flow is all that was found of a trajectory: its panels, or the change of all parameters. It is
kept as plain values and exact arrays, nothing that runs when it is read; the network at time 0 is
drawn again, and what is measured of a flow that was read is the same to the last bit. This takes
much room (every flow of each rule, at all nodes), so it is done only if it is asked for.

The file is an SQLite database, written by the workers themselves: one record for each network, rule
and rung of the ladder, there in whole or not at all, with a digest that is checked when it is read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from ntkalign.cells.specification import Specification
from ntkalign.databases import is_damage, set_aside, transaction
from ntkalign.files import CannotWriteError
from ntkalign.flow.dense import DenseFlow
from ntkalign.flow.problem import Problem
from ntkalign.flow.spectral.collocation import Panel
from ntkalign.flow.spectral.crossings import Crossed
from ntkalign.flow.spectral.panels import SolvedPanel, SolvedPanels
from ntkalign.flow.spectral.relaxation import Relaxation
from ntkalign.flow.spectral.spectral_flow import SpectralFlow
from ntkalign.flow.trajectory import Effort, Flow, Outcome
from ntkalign.networks.layers import Layer
from ntkalign.precision import in_float64
from ntkalign.rules import RULES, Rule

FILE = "trained.sqlite"
_TABLES = (
    "CREATE TABLE IF NOT EXISTS flows (name TEXT PRIMARY KEY, text TEXT, digest TEXT)",
    "CREATE TABLE IF NOT EXISTS arrays "
    "(name TEXT, number INTEGER, content BLOB, PRIMARY KEY (name, number))",
)
_SEEN = "feedback", "activity", "preactivations"

Arrays = list[np.ndarray]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Which:
    """Which flow of a network: all that decides it beside the network.

    Attributes:
        rule: that trains.
        ladder: the tolerances of the flows that it was made from, its own the last.
        instead: whether it stands in for one of the spectral engine, as a companion.
    """

    rule: Rule
    ladder: tuple[float, ...]
    instead: bool = False

    def __str__(self) -> str:
        return json.dumps([self.rule.name, self.ladder, self.instead])


@dataclass(frozen=True)
class Trained:
    """Where trained networks are kept and looked for.

    Attributes:
        path: of the file.
        context: what trains: code, packages, devices, switches.
        fresh: only keep, and find nothing.
    """

    path: Path
    context: str
    fresh: bool = False

    def find(
        self, specification: Specification, problem: Problem, which: Which, among: tuple[Rule, ...]
    ) -> Flow | None:
        """A flow of a network.

        Args:
            specification: of the network.
            problem: the network at time 0.
            which: of its flows.
            among: rules that the dense engine compiles together with its own.

        Returns:
            The flow; None if it is not there, or not what was written.
        """
        name = self._name(specification, which)
        if name is None or self.fresh or not self.path.exists():
            return None
        try:
            with self._opened() as connection:
                found = connection.execute(
                    "SELECT text, digest FROM flows WHERE name = ?", (name,)
                ).fetchone()
                contents = [
                    content
                    for (content,) in connection.execute(
                        "SELECT content FROM arrays WHERE name = ? ORDER BY number", (name,)
                    )
                ]
        except sqlite3.Error as error:
            aside = f"set aside as {set_aside(self.path).name}, and its" if is_damage(error) else ""
            log.warning("%s cannot be read (%s): it is %s networks are trained again",
                        self.path, error, aside or "left as it is, and")  # fmt: skip
            return None
        if found is None:
            return None
        text, digest = found
        if digest != _digest(name, text, contents):
            log.warning("%s: a trained network is damaged, and trained again", self.path)
            return None
        told = json.loads(text)
        arrays = [
            np.frombuffer(content, dtype).reshape(shape)
            for content, (dtype, shape) in zip(contents, told["arrays"], strict=True)
        ]
        return _flow(told["flow"], arrays, problem, which.rule, among)

    def keep(self, specification: Specification, which: Which, flow: Flow) -> None:
        """Keep a flow; when this returns, it is on the disk.

        Args:
            specification: of the network.
            which: of its flows; one by a rule of the user's own is not kept.
            flow: itself.

        Raises:
            CannotWriteError: if it cannot be written; all that was there is as it was.
        """
        name = self._name(specification, which)
        if name is None:
            return
        arrays: Arrays = []
        told = _told(flow, arrays)
        shapes = [(array.dtype.str, array.shape) for array in arrays]
        text = json.dumps({"flow": told, "arrays": shapes})
        contents = [array.tobytes() for array in arrays]
        try:
            with self._opened() as connection, transaction(connection):
                for table in ("flows", "arrays"):
                    connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))
                connection.executemany(
                    "INSERT INTO arrays VALUES (?, ?, ?)",
                    ((name, number, content) for number, content in enumerate(contents)),
                )
                connection.execute(
                    "INSERT INTO flows VALUES (?, ?, ?)",
                    (name, text, _digest(name, text, contents)),
                )
        except (sqlite3.Error, OverflowError) as error:
            reason = OSError(errno.EIO, " ".join(str(error).split()))
            raise CannotWriteError(self.path, reason) from error

    def _name(self, specification: Specification, which: Which) -> str | None:
        """What a flow is called; None if code of the user's own takes part."""
        if not (specification.built_in and RULES.is_built_in(which.rule)):
            return None
        plain = specification.as_json()
        del plain["experiment"], plain["tolerance"]  # what is measured trains nothing
        text = json.dumps([plain, str(which), self.context], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self.path.is_symlink():
            raise sqlite3.OperationalError("it is a symbolic link")
        with contextlib.closing(
            sqlite3.connect(self.path, isolation_level=None, timeout=300)
        ) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            for table in _TABLES:
                connection.execute(table)
            yield connection


def _digest(name: str, text: str, contents: Sequence[bytes]) -> str:
    found = hashlib.sha256(json.dumps([name, text, list(map(len, contents))]).encode())
    for content in contents:
        found.update(content)
    return found.hexdigest()


def _told(flow: Flow, arrays: Arrays) -> dict[str, Any]:
    """A flow as plain values, its arrays as numbers in a list."""

    def put(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, tuple):
            return [put(part) for part in value]
        arrays.append(np.ascontiguousarray(value))
        return len(arrays) - 1

    told: dict[str, Any] = {
        "outcome": flow.outcome.name, "effort": vars(flow.effort),
        "delta": put(flow.delta), "output": put(flow.output),
    }  # fmt: skip
    if isinstance(flow, DenseFlow):
        return told | {"change": [put(tuple(layer)) for layer in flow.change]}
    assert isinstance(flow, SpectralFlow)
    solution = flow.solution
    return told | {
        "tolerance": flow.relaxation.tolerance,
        "solution": [solution.outcome.name, solution.iterations, solution.columns],
        "panels": [
            {
                "panel": [p.panel.begin, p.panel.end, p.panel.nodes, p.panel.tau],
                "estimate": p.estimate, "unsettled": p.unsettled,
                "crossed": put(p.crossed), "error": put(p.error), "output": put(p.output),
                "history": put(p.base.history),
                "memory": [[list(key), put(known)] for key, known in p.memory.items()],
            }
            | {name: put(getattr(p, name)) for name in _SEEN}
            for p in solution.panels
        ],
    }  # fmt: skip


@in_float64
def _flow(
    told: dict[str, Any], arrays: Arrays, problem: Problem, rule: Rule, among: tuple[Rule, ...]
) -> Flow:
    """A flow of a network that was drawn again."""

    def get(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(get(part) for part in value)
        return None if value is None else jnp.asarray(arrays[value])

    common: dict[str, Any] = {
        "problem": problem, "rule": rule, "delta": arrays[told["delta"]],
        "output": arrays[told["output"]], "outcome": Outcome[told["outcome"]],
        "effort": Effort(**told["effort"]),
    }  # fmt: skip
    if "change" in told:
        change = tuple(Layer(*get(layer)) for layer in told["change"])
        return DenseFlow(
            **common, change=change, among=among if rule in among else (rule,)
        )  # as it was compiled
    relaxation = Relaxation(
        problem.initial, rule, problem.constants(rule), problem.y, told["tolerance"]
    )
    outcome, iterations, columns = told["solution"]
    panels = tuple(
        SolvedPanel(
            panel=Panel(*panel["panel"]),
            # a solved panel is asked for the weights' change before it, nothing else of its start
            base=replace(relaxation.first, history=get(panel["history"])),
            error=arrays[panel["error"]],
            output=arrays[panel["output"]],
            memory={tuple(key): get(known) for key, known in panel["memory"]},
            estimate=panel["estimate"],
            unsettled=panel["unsettled"],
            crossed=tuple(Crossed(*layer) for layer in get(panel["crossed"])),
            **{name: get(panel[name]) for name in _SEEN},
        )
        for panel in told["panels"]
    )
    solution = SolvedPanels(rule, panels, Outcome[outcome], iterations, columns)
    return SpectralFlow(**common, relaxation=relaxation, solution=solution)
