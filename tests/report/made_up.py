"""Runs that nobody trained: tables of power laws, judged as real ones are."""

from __future__ import annotations

import numpy as np

from ntkalign import Settings, Verification
from ntkalign.cells.cell import Row
from ntkalign.claims.claim import BOTTLENECK, MAIN, Question
from ntkalign.claims.verdicts import JudgingTerms, correct_findings, judge_question
from ntkalign.runs.environment import Environment
from ntkalign.runs.record import Conduct
from ntkalign.runs.sweep import networks_of
from ntkalign.runs.table import table_of

WIDTHS, SEEDS = (64, 256, 1024), 8
ENVIRONMENT = Environment({"ntkalign": "0"}, seconds=1.0, peak_memory_mib=1, device="cpu")


def rows(question, exponent, *, spread=0.02, error=1e-9, status="ok"):
    """What is measured where a quantity goes as m^p, typically exactly; its companion as well."""
    q, rng, count = question, np.random.default_rng(0), networks_of(question.family, SEEDS)
    return [
        Row(q.family, m, s, q.rule, q.layer, name, None,
            float(m**exponent * noise), error, status)
        for name in filter(None, (q.claim.quantity, q.claim.companion))
        for m in WIDTHS
        for s, noise in enumerate(np.exp(spread * rng.permutation(np.linspace(-1, 1, count))))
    ]  # fmt: skip


def ask(claim, *, rule="normal", layer=None, control=False, neck=False):
    """A question."""
    return Question(claim, BOTTLENECK if neck else MAIN, rule, layer, control)


def run(*answers, met=True, more=(), conduct=None, **settings):
    """A run whose questions have been answered.

    Args:
        answers: questions, each with the exponent of what is asked about, and how it is measured.
        met: whether the assumptions are.
        more: rows of the table that belong to no question.
        conduct: of the run.
        settings: of the run, where they are not a small one's.
    """
    table = table_of([*(row for q, p, *how in answers for row in rows(q, p, **dict(*how))), *more])
    terms = JudgingTerms(paired=False)
    findings = correct_findings(
        judge_question(q, table, assumptions_met=met and q.family == MAIN, terms=terms)
        for q, *_ in answers
    )
    given = {"widths": WIDTHS, "seeds": SEEDS, "time": 1.0, "inputs": 2, "outputs": 1, **settings}
    return Verification(
        Settings(**given), conduct or Conduct(), ENVIRONMENT, findings, table, command={"out": "x"}
    )


class _Blank:
    """Stands in for the templates."""

    def get_template(self, name):
        return self

    def render(self, view):
        return ""


def leave_pages_empty(monkeypatch):
    """Reports have their table and their JSON alone: no plots are drawn, pages are empty."""
    place = "ntkalign.report.files"
    monkeypatch.setattr(f"{place}.scaling_plots", lambda findings, folder: {})
    for name in ("training_curve", "over_training"):
        monkeypatch.setattr(f"{place}.{name}", lambda result, folder: None)
    monkeypatch.setattr(f"{place}.document", lambda *args, **kwargs: {})
    monkeypatch.setattr(f"{place}.templates", _Blank)
