"""A quantity and a claim of one's own, from their records to a report that is read back."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ntkalign import InputError, Settings, verify
from ntkalign.claims.catalogue import CLAIMS, register
from ntkalign.claims.claim import COMPARED, MAIN, Claim, Control, Kind
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.quantities.quantity import Layers, Quantity
from ntkalign.quantities.series import ROUNDING
from ntkalign.report import load_report, write_report

SETTINGS = Settings(
    data="sphere", points=3, inputs=4, outputs=2, depth=2, widths=(6, 12, 24), seeds=2, time=1.0,
    rules=("align-ada",), tolerance=1e-5,
)  # fmt: skip
QUANTITY = "largest [bold] output"


def largest_output(seen):
    """The largest output, and its difference from the linearised network's."""
    sizes = np.abs(np.asarray(seen.flow.output)).max(axis=(1, 2))
    apart = np.abs(np.asarray(seen.flow.output - seen.references["linearised"].output))
    return {
        (None, QUANTITY): (sizes, ROUNDING * sizes),
        (None, "output-apart"): (apart.max(axis=(1, 2)), ROUNDING * sizes),
    }


@pytest.fixture
def own(own_records):
    for name, symbol in ((QUANTITY, r"$\max_x|f^t|$"), ("output-apart", r"$\frac")):
        QUANTITIES.register(
            Quantity(name, symbol, Layers.WHOLE, largest_output, references=("linearised",))
        )
    controls = (Control(MAIN, ("last-layer",)),)
    kinds = {QUANTITY: Kind.PERSISTS, "output-apart": Kind.VANISHES}
    for quantity, kind in kinds.items():
        register(
            Claim(f"mine/{quantity}", "(my 1)", f"[red] of {quantity}", quantity, kind,
                  rules=("normal", COMPARED), controls=controls)
        )  # fmt: skip
    return [f"mine/{quantity}" for quantity in kinds]


def test_it_is_measured_judged_drawn_and_read_back(own, tmp_path, monkeypatch):
    result = verify(SETTINGS, claims=own)
    assert {f.question.claim.id for f in result.findings} == set(own)
    assert {f.question.rule for f in result.claims} == {"normal", "align-ada"}
    assert {f.question.rule for f in result.controls} == {"last-layer"}
    assert set(result.table["status"]) == {"ok"}
    assert all(f.rate is not None for f in result.claims)
    page = write_report(result, tmp_path).read_text()
    assert "[red] of largest [bold] output" in page
    before = json.loads((tmp_path / "report.json").read_text())

    # a colleague has the report and none of the records
    monkeypatch.setattr(CLAIMS, "_things", {k: v for k, v in CLAIMS.items() if k not in own})
    built_in = {name: q for name, q in QUANTITIES.items() if QUANTITIES.is_built_in(q)}
    monkeypatch.setattr(QUANTITIES, "_things", built_in)
    again = load_report(tmp_path)
    assert [f.question.claim.symbol for f in again.claims[:1]] == [r"$\max_x|f^t|$"]
    write_report(again, tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == before


def test_its_results_are_not_looked_up_later(own, tmp_path):
    first = verify(SETTINGS, claims=own, cells=tmp_path)
    second = verify(SETTINGS, claims=own, cells=tmp_path)
    assert first.table.equals(second.table)
    assert second.environment.networks_reused == 0


@pytest.mark.usefixtures("own")
def test_what_it_does_not_return_is_said():
    def forgets(seen):
        return {}

    QUANTITIES.register(Quantity("forgotten", "f", Layers.HIDDEN, forgets))
    register(Claim("mine/forgotten", "", "it decays", "forgotten", Kind.VANISHES))
    with pytest.raises(InputError, match=r"quantity \(forgotten\) must be measured for the layers"):
        verify(SETTINGS, claims=["mine/forgotten"])
