"""Parts of one's own: registered by one call, loaded from a file, refused in one line."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ntkalign import (
    ACTIVATIONS,
    RULES,
    Activation,
    Claim,
    InputError,
    Kind,
    Layers,
    PointSet,
    Quantity,
    Rule,
    current_activity,
    register,
)
from ntkalign.claims.catalogue import CLAIMS
from ntkalign.claims.catalogue import choose as choose_claims
from ntkalign.data.catalogue import POINT_SETS
from ntkalign.plugins import load, loaded, not_loaded
from ntkalign.quantities.catalogue import QUANTITIES
from ntkalign.rules import NORMAL, current_jacobian

pytestmark = pytest.mark.usefixtures("own_records")

MINE = """
import jax.numpy as jnp
from ntkalign import Rule, current_activity, register
from ntkalign.rules import current_jacobian

HALF = jnp.ones(3) / 3

def feedback(now, start, fixed, e):
    return current_jacobian(now, start, fixed, e)

register(Rule("mine", feedback, current_activity))
"""


def rule(name):
    return Rule(name, current_jacobian, current_activity)


def quantity(name):
    return Quantity(name, "$q$", Layers.WHOLE, lambda seen: {}, relative="mine-relative")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def test_one_call_registers_parts_of_every_kind_in_any_order():
    claim = Claim("mine", "", "it decays", "mine", Kind.VANISHES)
    points = PointSet("mine", lambda count: (np.eye(count), np.eye(count)))
    activation = Activation("mine", np.tanh)
    register(claim, quantity("mine"), points, activation, rule("mine"))
    assert RULES["mine"].name == "mine"
    assert ACTIVATIONS["mine"] is activation
    assert POINT_SETS["mine"] is points
    (found,) = choose_claims(["mine"])
    assert found.symbol == "$q$"  # of the quantity, though the claim was there first
    assert found.layers is Layers.WHOLE
    assert found.companion == "mine-relative"
    for registry in (RULES, ACTIVATIONS, POINT_SETS, QUANTITIES):
        assert not registry.is_built_in(registry["mine"])


def test_all_are_registered_or_none():
    with pytest.raises(InputError, match=r"rule \(normal\) must not have the name of another one"):
        register(Activation("mine", np.tanh), rule("mine"), rule("normal"))
    assert "mine" not in RULES
    assert "mine" not in ACTIVATIONS
    with pytest.raises(InputError, match=r"quantity \(nothing\) must be one of"):
        register(quantity("mine"), Claim("mine", "", "it decays", "nothing", Kind.VANISHES))
    assert "mine" not in QUANTITIES
    assert "mine" not in CLAIMS


def test_what_is_of_no_kind_is_refused():
    with pytest.raises(
        InputError,
        match="must be one of Rule, Activation, PointSet, NetworkKind, Quantity, Claim; got an o",
    ):
        register(rule("mine"), np.tanh)
    assert "mine" not in RULES


@pytest.mark.parametrize("name", ["digits", "sphere", "add", "kmnist", "cifar10"])
def test_points_do_not_have_the_name_of_built_in_ones(name):
    with pytest.raises(InputError, match=rf"data \({name}\) must not have the name of another"):
        register(PointSet(name, lambda count: (np.eye(count), np.eye(count))))


def test_a_file_is_run_once(file):
    module = load(file)
    assert RULES["mine"].feedback is module.feedback
    assert module.HALF.dtype == np.float64  # of the scope
    assert sys.modules[module.__name__] is module
    assert module.__name__.startswith("ntkalign_plugin_mine_")
    assert load(str(file)) is module
    (plugin,) = loaded()
    assert (plugin.file, plugin.parts) == ("mine.py", (("rule", "mine"),))
    assert plugin.as_json()["parts"] == ["rule mine"]
    assert not_loaded([plugin.as_json()]) == []


def test_a_file_that_was_changed_takes_the_place_of_what_it_was(file):
    before = load(file)
    stored = loaded()[0].as_json()
    file.write_text(MINE.replace('"mine"', '"other"'))
    assert load(file) is not before
    assert "mine" not in RULES
    assert "other" in RULES
    (line,) = not_loaded([stored])
    assert line == "mine.py, which registered rule mine, has changed since"
    file.write_text(MINE.replace('"mine"', '"normal"'))
    with pytest.raises(InputError, match="normal"):
        load(file)
    assert "other" in RULES  # as it was
    assert RULES["normal"] is NORMAL


def test_two_files_may_not_register_the_same(file, tmp_path):
    load(file)
    other = tmp_path / "copy.py"
    other.write_text(MINE)
    with pytest.raises(
        InputError, match=r"copy.py\) must run to its end; got line 11: rule \(mine\)"
    ):
        load(other)
    assert [plugin.file for plugin in loaded()] == ["mine.py"]


def test_a_report_says_which_file_is_not_here():
    stored = {"file": "theirs.py", "digest": "0", "parts": ["rule a", "claim b"]}
    assert not_loaded([stored]) == ["theirs.py, which registered rule a, claim b, is not given"]


FAULTS = {
    "syntax": ("x = 1\ny = (\n", r"run to its end; got line 2: SyntaxError: '\(' was never closed"),
    "error": (
        "from ntkalign import register\n\ndef f():\n    return 1 / 0\n\nf()\n",
        r"run to its end; got line 4: ZeroDivisionError: division by zero; because it is run to",
    ),
    "exit": ("import sys\nsys.exit(3)\n", r"got line 2: SystemExit: 3;"),
    "taken": (MINE.replace('"mine"', '"fa"'), r"got line 11: rule \(fa\) must not have the name"),
    "import": (
        "import nothing_of_this_name\n",
        r"got line 1: ModuleNotFoundError: No module named",
    ),
    "nothing": ("x = 1\n", r"register something of its own; got nothing registered at its end"),
    "half": (MINE + "\nregister(3)\n", r"got line 13: part \(3\) must be one of Rule, "),
    "null": ("x = 1\0\n", r"must run to its end; got .*null bytes"),
    "no text": (b"\xff\xfe\x00", r"must run to its end; got "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_in_a_file_is_one_line_and_registers_nothing(name, tmp_path):
    text, message = FAULTS[name]
    path = tmp_path / "bad.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    before, modules = set(RULES), set(sys.modules)
    with pytest.raises(InputError, match=message) as told:
        load(path)
    assert str(told.value).startswith(f"plugin ({path}"[:80])
    assert "\n" not in str(told.value)
    assert set(RULES) == before
    assert not {m for m in set(sys.modules) - modules if m.startswith("ntkalign_plugin")}
    assert loaded() == ()


def test_what_is_no_file_is_one_line(tmp_path):
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "mine.txt").write_text(MINE)
    for name, got in {
        "missing.py": "no such file",
        "folder.py": "a folder",
        "mine.txt": "a name that ends in .txt",
        "mine": "a name that ends in nothing",
    }.items():
        with pytest.raises(
            InputError, match=rf"must be a Python file; got {got}; because it is run"
        ):
            load(tmp_path / name)
