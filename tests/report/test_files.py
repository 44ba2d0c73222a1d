"""A report that is read back is the one that was written, whatever its claims are called."""

from __future__ import annotations

import json
from html import escape

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkalign import InputError, Settings, Verification
from ntkalign.cells.cell import Row
from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.claim import MAIN, Claim, Kind, Question
from ntkalign.claims.theory import PROPOSITION_2
from ntkalign.claims.verdicts import Finding, JudgingTerms, correct_findings, judge_question
from ntkalign.report import load_report, write_report
from ntkalign.report.files import _claim, _entry
from ntkalign.report.pages import literal
from ntkalign.runs.environment import Environment
from ntkalign.runs.record import Conduct
from ntkalign.runs.table import table_of

WIDTHS = (8, 16, 32)
NAMES = st.text(st.characters(exclude_categories=("C",), exclude_characters=","), min_size=1).map(
    str.strip
).filter(lambda text: text and text.isprintable())  # fmt: skip
ENVIRONMENT = Environment(seconds=1.0, peak_memory_mib=1, device="cpu")


def table(claim, rule="align-ada"):
    rng = np.random.default_rng(0)
    rows = [
        Row(MAIN, m, s, rule, None, quantity, None, m**-0.5 * rng.uniform(0.9, 1.1), 1e-9, "ok")
        for m in WIDTHS
        for s in range(4)
        for quantity in filter(None, (claim.quantity, claim.companion))
    ]
    return table_of(rows)


def finding(claim, rule="align-ada", control=False):
    question = Question(claim, MAIN, rule, None, control)
    return judge_question(
        question, table(claim, rule), assumptions_met=True, terms=JudgingTerms(paired=True)
    )


def unmeasured(claim):
    return Finding(
        Question(claim, MAIN, "align-ada"), "undecided", "nothing was measured", None, True, None,
        (), (), None, None,
    )  # fmt: skip


def result(*findings, data):
    settings = Settings(widths=WIDTHS, seeds=4, time=1.0, inputs=2, outputs=1)
    return Verification(
        settings, Conduct(), ENVIRONMENT, correct_findings(findings), data, command={"out": "x"}
    )


@given(NAMES, NAMES, st.text(), st.sampled_from((Kind.BOUND, Kind.VANISHES, Kind.PERSISTS)))
def test_any_claim_comes_back_as_it_was(id, quantity, statement, kind):
    exponent = -0.5 if kind is Kind.BOUND else None
    claim = Claim(id, "(1)", statement, quantity, kind, exponent, companion="other", symbol="$S$")
    assert _claim(json.loads(json.dumps(_entry(unmeasured(claim))))) == claim


@pytest.mark.parametrize("id", CLAIMS)
def test_a_registered_claim_comes_back_as_itself(id):
    for claim in CLAIMS[id].claims:
        entry = _entry(unmeasured(claim))
        assert _claim(entry) is claim
        old = {
            k: v for k, v in entry.items() if k not in ("kind", "companion", "symbol", "formula")
        }
        assert _claim(old) is claim  # a report of before these keys
        changed = _claim(entry | {"statement": "it was stated otherwise then"})
        assert changed.statement == "it was stated otherwise then"


def test_an_old_report_of_an_unknown_claim_is_refused():
    with pytest.raises(KeyError, match="mine about divergence"):
        _claim({"id": "mine", "quantity": "divergence"})


@pytest.mark.parametrize("name", ["a [bold] claim", "$x", "../up", "a|b", "_hidden", "<b>", "Ω"])
def test_names_print_as_they_are_and_are_read_back(tmp_path, name):
    claim = Claim(name, "[1]", f"{name} vanishes", f"q {name}", Kind.VANISHES, symbol=r"$\frac")
    twin = Claim(name.replace("[", "("), "", "another", f"q {name}", Kind.VANISHES)
    claims = (claim,) if twin.id == name else (claim, twin)
    written = result(*(finding(c, name) for c in claims), data=table(claim, name))
    folder = tmp_path / "report"
    write_report(written, folder)
    stored = json.loads((folder / "report.json").read_text())
    assert {entry["id"] for entry in stored["claims"]} == {c.id for c in claims}
    assert len(list((folder / "plots").glob("*.svg"))) == len(claims)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]  # nothing beside it
    assert f"\n| {literal(name)} | −0." in (folder / "report.md").read_text()
    assert f'<th scope="row">{escape(name)}</th>' in (folder / "report.html").read_text()
    again = load_report(folder)
    write_report(again, folder)
    assert json.loads((folder / "report.json").read_text()) == stored


def test_a_verdict_without_data_is_drawn_and_written_as_one(tmp_path):
    kept = finding(PROPOSITION_2)
    page = write_report(
        result(kept, unmeasured(PROPOSITION_2), data=table(PROPOSITION_2)), tmp_path
    ).read_text()
    assert "nothing was measured" in page
    stored = json.loads((tmp_path / "report.json").read_text())
    assert [c["verdict"] for c in stored["claims"]] == [kept.verdict, "undecided"]
    assert stored["claims"][1]["values"] == stored["claims"][1]["widths"] == []


def test_a_report_with_an_unknown_kind_of_claim_is_refused(tmp_path):
    write_report(result(finding(PROPOSITION_2), data=table(PROPOSITION_2)), tmp_path)
    path = tmp_path / "report.json"
    path.write_text(path.read_text().replace('"kind": "bound"', '"kind": "guess"'))
    with pytest.raises(InputError, match=r"DIR .* got a damaged one \(KeyError: 'GUESS'\)"):
        load_report(tmp_path)


DAMAGE = {
    "config of another type": lambda r: r | {"config": []},
    "no config": lambda r: {k: v for k, v in r.items() if k != "config"},
    "environment of another type": lambda r: r | {"environment": []},
    "versions of another type": lambda r: r | {"environment": r["environment"] | {"versions": 3}},
    "no claims": lambda r: r | {"claims": [], "controls": []},
    "claims of another type": lambda r: r | {"claims": {}},
    "a claim of another type": lambda r: r | {"claims": [3]},
    "a kind that is none": lambda r: r | {"claims": [r["claims"][0] | {"kind": 3}]},
    "a curve of another length": lambda r: r | {"infinite_width_loss": [1.0]},
    "another schema": lambda r: r | {"schema": 2},
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_report_is_refused_in_one_line(damage, tmp_path, monkeypatch):
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    claim = CLAIMS["proposition-2"].claims[0]
    write_report(result(finding(claim), data=table(claim)), tmp_path)
    load_report(tmp_path)  # whole, it can be read
    path = tmp_path / "report.json"
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text()))))
    with pytest.raises(InputError, match=r"^DIR \(.*\) must hold report\.json and .*; got ") as e:
        load_report(tmp_path)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [("layer", "1.5"), ("layer", "9" * 20), ("width", "9" * 20), ("seed", "x"), ("value", "x")],
)
def test_numbers_that_are_none_are_refused_in_one_line(column, value, tmp_path, monkeypatch):
    monkeypatch.setattr("ntkalign.report.files.scaling_plots", lambda findings, folder: {})
    claim = CLAIMS["proposition-2"].claims[0]
    write_report(result(finding(claim), data=table(claim)), tmp_path)
    path = tmp_path / "measurements.csv"
    header, first, *rest = path.read_text().splitlines()
    cells = first.split(",")
    cells[header.split(",").index(column)] = value
    path.write_text("\n".join([header, ",".join(cells), *rest]) + "\n")
    with pytest.raises(InputError, match=r"got something unreadable") as e:
        load_report(tmp_path)
    assert "\n" not in str(e.value)
