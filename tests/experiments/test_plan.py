"""The plan: which runs, in which order, from which points, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from ntkalign import InputError
from ntkalign.experiments.catalogue import EXPERIMENTS, TABLE6, TABLE7, TABLE8
from ntkalign.experiments.options import Options
from ntkalign.experiments.plan import make_plans, nominal_operations
from ntkalign.rules import ALIGN_ADA, NORMAL
from tests.data import made
from tests.experiments.small import planned


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twenty images of KMNIST."""
    folder = tmp_path_factory.mktemp("sets")
    (folder / "kmnist").mkdir()
    made.kmnist(folder / "kmnist")
    return folder


def test_runs_are_all_combinations_narrow_networks_first():
    asked = Options(widths=(2, 4), rules=("normal", "dfa"), rates=(0.1, 0.2), seed=(99, 5))
    plan = planned(TABLE8, asked)
    assert [(i.width, i.rule, i.run.rate, i.run.seed) for i in plan.items] == [
        (w, r, rate, seed)
        for w in (2, 4)
        for r in ("normal", "dfa")
        for rate in (0.1, 0.2)
        for seed in (99, 5)
    ]
    for item in plan.items:
        assert item.run.learner.network.width == item.width
        assert item.run.learner.rule.name == item.rule
        assert item.experiment is TABLE8
    assert str(plan.items[7]) == "table8 ×2 dfa η=0.2 seed 5"


def test_the_paper_s_add_task():
    plan = planned(TABLE8, Options())
    assert len(plan.items) == 4 * 10
    run = plan.items[0].run
    assert (run.epochs, run.rate, run.seed, run.precision) == (200, 0.001, 99, "float32")
    assert run.learner.optimiser.name == "sgd"
    assert run.learner.loss.name == "square-over-time"
    assert run.learner.network.slots == run.order.batch == 50
    assert (run.order.seed, run.order.steps, run.order.test) == (99, 6, 100)
    assert run.order.legacy
    assert run.legacy
    assert run.order.evaluates_train
    assert plan.points.train.x.shape == (300, 100, 1)
    assert plan.points.train.x.dtype == np.float32


def test_images_come_from_the_folder_or_one_in_it(folder):
    for place in (folder, folder / "kmnist"):
        plan = planned(TABLE7, Options(data_dir=place, test=8, train=10, batch=4, widths=(2,)))
        assert (len(plan.points.train), len(plan.points.test)) == (10, 8)
        run = plan.items[0].run
        assert (run.order.train, run.order.test, run.order.batch, run.order.steps) == (10, 8, 4, 2)
        assert not run.order.evaluates_train
        network = run.learner.network
        assert (network.image, network.filters, network.strides) == (
            (28, 28, 1), (2, 2, 2), (1, 2, 2),
        )  # fmt: skip
    everything = planned(TABLE7, Options(data_dir=folder, test=8, batch=4))
    assert len(everything.points.train) == 12


def test_the_network_of_cifar10_is_the_papers(tmp_path):
    made.cifar_bin(tmp_path / "data_batch_1.bin", 12)
    plan = planned(TABLE6, Options(data_dir=tmp_path, test=4, batch=4, widths=(3,)))
    network = plan.items[0].run.learner.network
    assert network.strides == (1, 1, 1, 2, 1, 2, 1)
    assert [layer.outputs[1] for layer in network.maps[:-1]] == [32, 32, 32, 16, 16, 8, 8]
    assert network.filters == (3,) * 7
    assert network.outputs == 10


def test_the_first_sequences_are_taken_and_no_more_than_there_are():
    plan = planned(TABLE8, Options(train=60, test=50, batch=20))
    whole = planned(TABLE8, Options())
    np.testing.assert_array_equal(plan.points.train.x, whole.points.train.x[:60])
    np.testing.assert_array_equal(plan.points.test.y, whole.points.test.y[:50])
    assert plan.items[0].run.order.steps == 3
    assert plan.items[0].run.learner.network.slots == 20
    for name, most in (("train", 300), ("test", 100)):
        with pytest.raises(
            InputError,
            match=rf"{name} \({most + 1}\) must be at most {most}; got {most + 1}; because the "
            rf"Add task has no more sequences; do: pass {most} or less",
        ):
            planned(TABLE8, Options(**{name: most + 1}))


@pytest.mark.parametrize(("options", "name"), [({"batch": 101}, "test"), ({"train": 9}, "train")])
def test_a_batch_that_is_larger_than_a_part_is_refused(options, name):
    with pytest.raises(InputError, match=rf"batch \(\d+\) must be at most .* {name} points"):
        planned(TABLE8, Options(**options))


def test_without_a_folder_images_are_refused():
    with pytest.raises(InputError, match=r"\(None\) must be the folder of the kmnist files"):
        planned(TABLE7, Options())


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_seed_decides_the_weights_and_the_order(precision):
    plans = [planned(TABLE8, Options(seed=(s,), widths=(2,), precision=precision)) for s in (99, 5)]
    weights, orders = [], []
    for plan in plans:
        run = plan.items[0].run
        state, _ = run.learner.start(run.seed, precision)
        weights.append(jax.tree.leaves(state.parameters)[1])
        orders.append(next(run.order.epochs()).train)
        assert plan.points.train.x.dtype == precision
    assert (weights[0] != weights[1]).any()
    assert (orders[0] != orders[1]).any()
    np.testing.assert_array_equal(plans[0].points.train.x, plans[1].points.train.x)


def test_rules_are_those_of_the_variant():
    for variant, feedback in (("published", ALIGN_ADA.published), ("written", ALIGN_ADA.feedback)):
        plan = planned(TABLE8, Options(variant=variant, rules=("align-ada", "normal")))
        ada, normal = plan.items[:2]
        assert ada.run.learner.rule.feedback is feedback
        assert normal.run.learner.rule.feedback is NORMAL.feedback


def test_costs_grow_with_what_is_done():
    rules = ("normal", "align-prop", "fa", "dfa", "last-layer", "align-zero", "align-ada", "w-star")
    plan = planned(TABLE8, Options(rules=rules))
    by = {(i.width, i.rule): i.operations for i in plan.items}
    widths = TABLE8.series[0].widths
    for rule in ("normal", "align-zero"):
        costs = [by[width, rule] for width in widths]
        assert costs == sorted(costs)
        assert 3.5 < costs[-1] / costs[-2] < 4  # weights are n × n
    assert len({by[64, rule] for rule in rules[:5]}) == 1  # no frozen network
    assert by[64, "w-star"] > by[64, "align-ada"] == by[64, "align-zero"] > by[64, "normal"]
    assert plan.operations == sum(by.values())
    item = plan.items[0]
    longer = replace(item, run=replace(item.run, epochs=3 * item.run.epochs))
    assert longer.operations == pytest.approx(3 * item.operations)


def test_a_cost_without_points_is_that_of_the_plan_with_the_papers():
    (series,) = TABLE8.series
    assert nominal_operations(series, "paper") == pytest.approx(
        planned(TABLE8, Options()).operations
    )
    small = planned(TABLE8, Options(scale="small"))
    assert nominal_operations(series, "small") == pytest.approx(small.operations)
    more = replace(series, rates=(1.0, 2.0, 5.0), seed=(1, 2))
    assert nominal_operations(more, "paper") == 6 * nominal_operations(series, "paper")


def test_a_cost_without_points_reads_none_and_leaves_out_what_the_scale_does(folder):
    first, *_, last = EXPERIMENTS["table9"].series
    assert nominal_operations(first, "paper") > nominal_operations(first, "small") > 0
    assert nominal_operations(last, "small") == 0
    (series,) = TABLE7.series
    asked = Options(data_dir=folder, train=8, test=4, batch=4, scale="small", epochs=4)
    few = planned(TABLE7, asked).operations
    assert nominal_operations(series, "small") / few == pytest.approx(2000 / 8, rel=0.05)
    for experiment in EXPERIMENTS.values():
        assert sum(nominal_operations(s, "paper") for s in experiment.series) > 0


def test_a_series_says_how_fine_its_curve_is():
    (series,) = TABLE8.series
    experiment = replace(TABLE8, series=(replace(series, curve=10),))
    assert {item.run.curve for item in planned(experiment, Options()).items} == {10}
    assert {item.run.curve for item in planned(TABLE8, Options()).items} == {0}


def test_products_of_a_wide_network_are_counted():
    """2 n² a step forwards, twice that backwards, and an evaluation; activities cost little."""
    item = planned(TABLE8, Options(widths=(2**20,), rules=("normal",), epochs=1)).items[0]
    sequences = 3 * 300 + (100 + 300)
    assert item.operations == pytest.approx(sequences * 100 * 2 * 2**40, rel=0.01)


def test_sizes_that_no_series_has_are_refused_and_one_that_has_is_chosen(tmp_path):
    made.cifar_bin(tmp_path / "data_batch_1.bin", 90)
    with pytest.raises(InputError, match=r"train \(46\) must be one of 45, 150, .*, 45000; got 46"):
        make_plans(EXPERIMENTS["table9"], Options(data_dir=tmp_path, train=46))
    with pytest.raises(InputError, match=r"train \(1500\) must be one of 45, 150, 450; got 1500"):
        make_plans(EXPERIMENTS["table9"], Options(data_dir=tmp_path, train=1500, scale="small"))
    asked = Options(data_dir=tmp_path, train=45, test=45)
    (plan,) = make_plans(EXPERIMENTS["table9"], asked)
    assert (plan.name, len(plan.points.train), plan.items[0].run.order.batch) == (
        "table9/45", 45, 45,
    )  # fmt: skip


def test_few_images_begin_behind_the_whole_test_part_of_which_as_few_are_measured_on(tmp_path):
    """As the code does: the first n of the training images, and of the test part the first n."""
    images = made.cifar_bin(tmp_path / "data_batch_1.bin", 150)
    asked = Options(data_dir=tmp_path, train=45, test=100)
    loaded = {}
    (plan,) = make_plans(EXPERIMENTS["table9"], asked, loaded)
    order = plan.items[0].run.order
    assert (order.train, order.test) == (45, 45)
    scaled = images / 255
    np.testing.assert_allclose(plan.points.train.x, scaled[100:145], atol=1e-6)
    np.testing.assert_allclose(plan.points.test.x, scaled[:45], atol=1e-6)
    (whole,) = make_plans(TABLE6, replace(asked, batch=45), loaded)  # which cuts nothing
    assert (len(whole.points.train), len(whole.points.test)) == (45, 100)
    few = Options(data_dir=tmp_path, train=45, test=50)
    with pytest.raises(InputError, match=r"batch \(45\) must be at most 20"):
        make_plans(EXPERIMENTS["table9"], replace(few, test=20))


def test_what_an_experiment_is_about_cannot_be_changed(folder):
    with pytest.raises(InputError, match=r"rules \(normal\) must be w-star; got normal; because"):
        make_plans(EXPERIMENTS["table4"], Options(data_dir=folder, rules=("normal",)))
    asked = Options(data_dir=folder, rates=(1.0, 5.0), train=8, test=4, batch=4)
    with pytest.raises(InputError, match=r"rates \(1\.0,5\.0\) must be one; got 2; because table4"):
        make_plans(EXPERIMENTS["table4"], asked)
    (plan,) = make_plans(EXPERIMENTS["table4"], replace(asked, rates=(5.0,), epochs=3))
    assert {item.run.scored for item in plan.items} == {(1, 2, 3)}
