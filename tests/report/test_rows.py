"""Rules have titles; findings that agree share a row."""

from __future__ import annotations

from ntkalign.claims.claim import BOTTLENECK, MAIN, Question
from ntkalign.claims.theory import DISCREPANCY
from ntkalign.claims.verdicts import Finding
from ntkalign.report.rows import layer_title, rows, rule_title
from ntkalign.rules import RULES


def finding(layer, verdict="holds", family=MAIN, rule="normal"):
    question = Question(DISCREPANCY, family, rule, layer)
    return Finding(question, verdict, "", None, True, None, (), (), None, None)


def test_titles_come_from_the_rules():
    assert [rule_title(name) for name in RULES] == [
        "Normal", "Align-zero", "Align-ada", "Align-prop", "W*", "FA", "DFA", "DFA, shared",
        "last layer only", "linearised",
    ]  # fmt: skip
    assert rule_title("my-rule") == "my-rule"


def test_layers_that_agree_share_a_row():
    found = rows([finding(1), finding(2), finding(3, "refuted"), finding(5), finding(4)])
    assert [(row.layers, row.first.verdict) for row in found] == [
        ("1–2, 4–5", "holds"),
        ("3", "refuted"),
    ]
    (neck,) = rows([finding(1, family=BOTTLENECK, rule="fa")])
    assert neck.rule == "FA, bottleneck"


def test_layers_of_a_recurrent_network_are_called_what_they_are():
    names = [layer_title(layer, "rnn") for layer in (1, 2, 3)]
    assert names == ["input weights", "recurrent weights", "readout"]
    for network in ("mlp", "cnn"):
        assert [layer_title(layer, network) for layer in (1, 3)] == ["layer 1", "layer 3"]
    assert layer_title(2) == "layer 2"
