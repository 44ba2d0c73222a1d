"""The table of verdicts in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ntkalign.claims.claim import MAIN
from ntkalign.claims.verdicts import Finding
from ntkalign.networks.kinds import FAMILIES, size_of
from ntkalign.quantities.catalogue import AT_THE_KINK, STEPS
from ntkalign.report.rows import rows
from ntkalign.runs.record import Verification
from ntkalign.statistics.corrections import EDGE
from ntkalign.statistics.judgement import FAMILY_LEVEL
from ntkalign.statistics.samples import LEAST_WIDTHS

COLOURS = {"holds": "green", "refuted": "red", "undecided": "yellow"}
CONTROL_COLOURS = {"holds": "red", "refuted": "green", "undecided": "yellow"}


def print_verdicts(result: Verification, console: Console) -> None:
    """Print the claims, the controls and one line that sums up."""
    config = result.config
    console.print(
        Text(str(config["data"]), style="bold") + f": {config['points']} points, {held_out(config)}"
        f"{networks(config)}, {seeds(config)}, time {config['time']:g}",
        highlight=False,
    )
    console.print(Text(regime(result)))
    console.print(_table("Claims", result.claims, control=False))
    if result.controls:
        console.print(_table("Controls, which must not hold", result.controls, control=True))
    console.print(Text(summary(result)))
    for line in warnings(result):
        console.print(Text(line, style="bold red"))


def held_out(config: dict[str, object]) -> str:
    """How many points are only predicted, with a comma after it; nothing if there are none."""
    return f"{config['held_out']} more held out, " if config.get("held_out") else ""


def points(config: dict[str, object]) -> str:
    """The data, and what a point is."""
    steps, inputs = config.get("steps"), config.get("inputs")
    each = f"{steps} steps of " if steps else ""
    size = f"{inputs} inputs, " if inputs else "images, "
    outputs = f"{config['outputs']} outputs"
    return f"{config['data']} ({config['points']} points, {held_out(config)}{each}{size}{outputs})"


def networks(config: dict[str, object]) -> str:
    """The architecture and its widths."""
    kind = FAMILIES[str(config.get("network", "mlp"))]
    norm, readout = config.get("norm", "none"), config.get("readout", "scaled")
    strides = config.get("strides")
    more = f", strides {_list(strides)}" if strides else ""
    more += f", batch norm per {norm}" if norm != "none" else ""
    more += ", readout without its factor 1/√m" if readout != "scaled" else ""
    parts = [kind.title] if kind.title else []
    parts += [f"depth {config['depth']}"] if "depth" in kind.takes else []
    parts += [f"{config['activation']}"] if "activation" in kind.takes else []
    times = config.get("multipliers")
    sizes = f"{kind.size.name}s {_list(config['widths'])}" + (
        f" × ({_list(times)})" if times else ""
    )
    return f"{', '.join(parts)}{more}, {sizes}"


def seeds(config: dict[str, object]) -> str:
    """How many networks a width has, and what those of one seed share."""
    network = str(config.get("network", "mlp"))
    ours = FAMILIES.is_built_in(FAMILIES.get(network))
    how = {
        "shared": ", each with the same initial outputs at all widths",
        "zero": ", initial outputs subtracted" + " (the paper does not do this)" * ours,
    }
    text = f"{config['seeds']} seeds" + how.get(str(config.get("initial_outputs")), "")
    return size_of(network).say(text)


def trained(result: Verification) -> str:
    """How long networks were trained, or that none was."""
    if not result.table["quantity"].isin(STEPS).any():
        return "nothing is trained"
    return f"gradient flow to time {result.config['time']:g} (η = 1)"


def partial_line(result: Verification) -> str:
    """That a run is not whole, and what is missing; nothing if it is."""
    return result.settings.kind.size.say(str(result.partial)) if result.partial else ""


def regime(result: Verification) -> str:
    """How far training moves the networks, and whether that is little enough for the theory."""
    return result.settings.kind.size.say(_regime(result))


def _regime(result: Verification) -> str:
    found = result.regime
    if found is None:
        return "Regime: how far training moves the networks was not measured."
    text = f"Regime: {found.where}"
    if result.conduct.relaxations is not None:
        text += f"; T is {result.conduct.relaxations:.3g} times the fastest relaxation"
    lazy = f"the lazy regime (both at most {EDGE:.0%})"
    if not found.inside:
        text += f". No width is in {lazy}"
    elif found.inside != found.widths:
        text += f". In {lazy} are widths from {found.inside[0]} on"
    else:
        return f"{text}. All widths are in {lazy}."
    if found.suffices:
        longest = found.longest(len(found.widths))
        text += f" (up to a time of {longest:g}, all)" if longest is not None else ""
        return text + "."
    text += f"; nothing about trained networks is refuted by fewer than {LEAST_WIDTHS} such widths"
    wanted = ", ".join(map(str, found.wanted))
    text += f": add {wanted}" if wanted else f": {found.remedy}"
    longest = found.longest(LEAST_WIDTHS)
    if longest is not None:
        text += f", or pass a time of at most {longest:g}"
    return text + "."


def summary(result: Verification) -> str:
    """How many claims got which verdict."""
    count = Counter(f.verdict for f in result.claims)
    outside = sum(not f.assumptions_met for f in result.claims)
    text = (
        f"{len(result.claims)} statements (one per rule and layer): {count['holds']} hold, "
        f"{count['refuted']} refuted as stated, {count['undecided']} undecided"
    )
    tested = sum(f.adjusted_p is not None for f in result.claims)
    if tested:
        text += (
            f"; {tested} tested at once, so that the chance of any false refutation is at most "
            f"{FAMILY_LEVEL * result.spend:.2g}"
        )
    looks = result.config.get("looks", 1)
    if isinstance(looks, int) and looks > 1:
        text += f"; after {looks} looks, of which this one may spend 1/{2**looks} of every error"
    if outside:
        text += f"; {outside} outside the paper's assumptions"
    if result.controls:
        caught = Counter(f.verdict for f in result.controls)
        text += (
            f". Controls: {caught['refuted']} of {len(result.controls)} refuted, as they must be, "
            f"{caught['undecided']} undecided, {caught['holds']} passed"
        )
    return text


def warnings(result: Verification) -> list[str]:
    """What makes the verdicts less than they seem."""
    lines = [
        f"control passed as converging: {row.first.question.claim.id}, {row.rule}"
        f"{', layers ' * bool(row.layers)}{row.layers}: the check proves nothing"
        for row in rows(result.passed_controls)
    ]
    lines += result.conduct.remarks
    if result.config.get("no_prediction"):
        lines.append(f"no infinite-width prediction: {result.config['no_prediction']}")
    table = result.table
    kinks = table[(table["quantity"] == AT_THE_KINK) & (table["family"] == MAIN)]["value"]
    if len(kinks):
        lines.append(
            f"{kinks.max():.0%} of the preactivations are exactly 0 at time 0, where inputs and "
            f"biases are: if {result.config['activation']} has a kink there, slopes jump in every "
            "network, however wide, as soon as biases move; a bias_std above 0 avoids it"
        )
    failures = result.failures
    say = result.settings.kind.size.say
    lines += [f"failed: {say(line)}" for line in failures[:5]]
    if len(failures) > 5:
        lines.append(f"failed: and {len(failures) - 5} more, see measurements.csv")
    return lines


def _table(title: str, findings: Iterable[Finding], *, control: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", pad_edge=False, box=None)
    headings = ("claim", "rule", "layers", "stated", "measured exponent", "p", "verdict")
    for name in headings:
        table.add_column(name)
    for row in rows(findings):
        claim, verdict = row.first.question.claim, row.first.verdict
        colours = CONTROL_COLOURS if control else COLOURS
        colour = colours[verdict]
        note = row.tightness or ("" if control else row.assumptions)
        table.add_row(
            *map(Text, (claim.id, row.rule, row.layers, claim.stated, row.exponent, row.p_value)),
            Text(verdict + (f", {note}" if note else ""), style=colour),
        )  # fmt: skip
    return table


def _list(values: object) -> str:
    return ", ".join(map(str, values)) if isinstance(values, list) else str(values)
