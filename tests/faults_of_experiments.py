"""Faults to plant in what is made of experiments' runs: rows for the mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

CELLS = ("experiments/test_comparison",)
TRENDS = ("experiments/test_trends",)
SETTINGS = ("experiments/test_settings",)
FIGURES = ("report/test_paper_figures",)
COMMAND = ("cli/test_experiment",)
OPTIONS = ("experiments/test_options", "experiments/test_plan")

ROWS = (
    ("cell: the worst accuracy of rates and epochs", "experiments/quantities.py",
     "return [float(values.max())]", "return [float(values.min())]", CELLS),
    ("cell: the first score", "experiments/quantities.py",
     "return [float(values.iloc[-1])]", "return [float(values.iloc[0])]", CELLS),
    ("cell: the loss before the update stands beside the paper's after it",
     "experiments/quantities.py", '"epoch", "train_loss_after", **_LOSS',
     '"epoch", "train_loss", **_LOSS', CELLS),
    ("cell: the best of all seeds", "experiments/comparison.py",
     'told.groupby([*names, "seed"], sort=False)', "told.groupby(names, sort=False)", CELLS),
    ("cell: rows of the paper's table of all settings", "experiments/comparison.py",
     "table = table[table[shown.label].astype(str) == series.label]", "pass", CELLS),
    ("cell: the error of one seed for the mean of several", "experiments/comparison.py",
     "return self.spread / math.sqrt(self.trials)", "return self.spread", CELLS),
    ("cell: rows of every experiment", "experiments/comparison.py",
     'own = rows[rows["experiment"] == experiment.name_of(series)]', "own = rows", CELLS),
    ("trend: more of a loss is better", "experiments/judged_trends.py",
     "sign = 1.0 if higher(key) else -1.0", "sign = 1.0", TRENDS),
    ("trend: errors are ignored", "experiments/judged_trends.py",
     "error, freedom = _combined((own, other))", "error, freedom = 0.0, math.inf", TRENDS),
    ("trend: a handful of seeds is judged as many", "experiments/judged_trends.py",
     "freedom = cell.trials - 1 if cell.spread is not None else math.inf", "freedom = math.inf",
     TRENDS),
    ("trend: what diverged was not trained", "experiments/judged_trends.py",
     "return key, Value(-math.inf if", "return key, Value(math.nan if", TRENDS),
    ("trend: a third rule is the same two", "experiments/judged_trends.py",
     "for rules in (trend.rules, trend.than or trend.rules)", "for rules in (trend.rules,) * 2",
     TRENDS),
    ("trend: what chance makes contradicts", "experiments/judged_trends.py",
     "if pair.ahead < stdtrit(pair.freedom, CHANCE / len(pairs)) * pair.error",
     "if pair.ahead < 0", TRENDS),
    ("trend: what chance makes agrees", "experiments/judged_trends.py",
     "if behind or sum(pair.ahead for pair in pairs) < -stdtrit(freedom, CHANCE) * error:",
     "if behind:",
     TRENDS),
    ("trend: many pairs are judged as one", "experiments/judged_trends.py",
     "stdtrit(pair.freedom, CHANCE / len(pairs))", "stdtrit(pair.freedom, CHANCE)", TRENDS),
    ("trend: gaps have a sign", "experiments/judged_trends.py",
     "gap._replace(number=abs(gap.number))", "gap", TRENDS),
    ("trend: the widest of all is everybody's", "experiments/judged_trends.py",
     "rest = _rest(key, {name})\n", "rest = ()\n", TRENDS),
    ("trend: what is said generally must hold always", "experiments/judged_trends.py",
     "verdict = HOLDS if 2 * len(behind) < len(pairs)", "verdict = HOLDS if not behind", TRENDS),
    ("settings: what was not trained is not said", "experiments/settings.py",
     'return [*told, f"not trained: {\', \'.join(missing)}."] if missing else told', "return told",
     SETTINGS),
    ("settings: the epochs that were reached", "experiments/settings.py",
     '"epochs_asked", (series.epochs,)', '"epochs", (series.epochs,)', SETTINGS),
    ("settings: runs that are missing are not said", "experiments/settings.py",
     "    yield from _missing(runs)\n", "", SETTINGS),
    ("table 9: training images begin behind the cut test part", "experiments/supply.py",
     "return points.cut() if self.cut else points", "return points", OPTIONS),
    ("figure: shares as they are", "experiments/quantities.py",
     "return 100 * value if self.percent else value", "return value", FIGURES),
    ("figure: the narrowest network is solid", "report/paper_figures.py",
     "sorted(kinds, reverse=True)", "sorted(kinds)", FIGURES),
    ("figure: every network is drawn", "report/paper_figures.py",
     "if not shown.ends:", "if True:", FIGURES),
    ("figure: deviations over seeds as errors", "report/paper_figures.py",
     "quantity.as_plotted(cell.error) for", "quantity.as_plotted(cell.spread) for", FIGURES),
    ("options: what is fixed can be changed", "experiments/options.py",
     "if n in series.fixed or getattr(self, n) is None", "if getattr(self, n) is None", OPTIONS),
    ("command: nothing is refused", "cli/experiment.py",
     "            refuse_too_wide(plans)\n", "            pass\n", COMMAND),
)  # fmt: skip
