"""A plan of runs that train in a moment."""

from __future__ import annotations

from dataclasses import replace

from ntkalign.data.training_sets import Part, TrainingSet
from ntkalign.experiments.catalogue import TABLE7, TABLE8
from ntkalign.experiments.experiment import Experiment
from ntkalign.experiments.options import Options
from ntkalign.experiments.plan import Item, Plan, make_plans
from tests.training import small


def item(name: str = "normal", width: int = 3, **changes) -> Item:
    experiment = TABLE8 if name == "recurrent" else TABLE7
    run = small.run(name, **changes)
    return Item(experiment, experiment.series[0], width, run.learner.rule.name, run)


def planned(experiment: Experiment, options: Options) -> Plan:
    """The plan of an experiment that has one series."""
    (found,) = make_plans(experiment, options)
    return found


def plan(*items: Item) -> Plan:
    """Of images, or what stands for them."""
    train, test = (Part(*part) for part in small.points(items[0].run))
    return Plan(
        items[0].experiment, items[0].series, Options(), TrainingSet("some", train, test), items
    )


def with_epochs(of: Plan, epochs: int) -> Plan:
    items = tuple(replace(i, run=replace(i.run, epochs=epochs)) for i in of.items)
    return replace(of, items=items)
