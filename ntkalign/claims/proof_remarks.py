"""Why a step fails, or what it gives away, and what would repair it: chosen by what was measured.

Each remark is a function of the findings; it says nothing where they do not call for it. No number
in a remark is written down here: all are those of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator

from ntkalign.claims.proof_found import Found, Sides
from ntkalign.claims.verdicts import Finding
from ntkalign.quantities.proof_catalogue import Standing

GIVEN_AWAY = 3.0
"""A step that loses a smaller factor than this is not spoken of."""


def remarks(found: Found) -> dict[str, tuple[str, ...]]:
    """What there is to say of each step.

    Args:
        found: by a run.

    Returns:
        Remarks by the step's name.
    """
    said: dict[str, tuple[str, ...]] = {}
    for step, remark in _REMARKS:
        lines = tuple(remark(found))
        if lines:
            said[step] = said.get(step, ()) + lines
    for id in found.sides:
        name = id.removeprefix("proof/")
        lines = tuple(_lost(found.sides[id]))
        if lines:
            said[name] = said.get(name, ()) + lines
    return said


# --- Lemma 1 --------------------------------------------------------------------------------


def _first_layer(found: Found) -> Iterator[str]:
    """(20) for l = 1."""
    refuted = _verdict(found.of("lemma-1/weights", layer=1), "refuted")
    if not refuted:
        return
    yield (
        f"In layer 1 the weights' motion over √m_0 goes as {_exponents(refuted)}. (23) has the "
        "factor 1/√m_{l−1}, which for l = 1 is 1/√m_0: the number of inputs does not grow. (26) "
        "then takes 1/√min{m_1 … m_{N−1}} for all layers, so the written proof gives no decay here."
    )
    whole, above = (_judged(found.of(id)) for id in ("proof/26", "proof/26-above"))
    if whole == "refuted" and above == "holds":
        yield (
            "Repair: state (20) for l ≥ 2. Without w̃_1 the sum A(t) − A(0) falls as stated (below "
            "(26)), and w̃_1 is not needed: W_1 enters activations and Jacobians through z_1 alone, "
            "whose motion ã_1 has its own factor 1/√m_1. Or measure W_1 relative to "
            "‖W_1^0‖_op, which grows as √m_1."
        )


def _sum(found: Found) -> Iterator[str]:
    """(26)."""
    whole, above = found.of("proof/26"), found.of("proof/26-above")
    refuted = _verdict(whole, "refuted")
    if refuted:
        text = (
            f"A(t) − A(0) goes as {_exponents(refuted)}, not as m^-1/2; without w̃_1 it "
            f"goes as {_exponents(above)} (that this is O(m^-1/2) {_words(above)})."
        )
        if _judged(above) == "holds":
            text += (
                " The step that fails is the minimum in (26): it leaves out m_0, which (23) has "
                "for l = 1."
            )
        yield text


def _factor(id: str, what: str) -> Callable[[Found], Iterator[str]]:
    def remark(found: Found) -> Iterator[str]:
        own = found.of(id)
        refuted = _verdict(own, "refuted")
        if refuted:
            yield (
                f"{what} grows, as {_exponents(refuted)}: no polynomial in quantities that stay "
                "bounded can be P."
            )
        elif own and _judged(own) == "holds":
            yield f"{what} stays bounded ({_exponents(own)}), as it must if there is such a P."

    return remark


# --- Proposition 1 --------------------------------------------------------------------------


def _equality(found: Found) -> Iterator[str]:
    """(42) at small times."""
    open_ones = _verdict(found.of("proof/42"), "undecided")
    shares = [v for f in open_ones for row in f.values for v in row]
    if shares and all(map(math.isfinite, shares)) and max(shares) > 1:
        yield (
            "As t → 0 the direction of dW̃/dτ does not turn yet and both sides are equal, so that "
            "left/right is 1 up to numerical error at the first times; a smaller tolerance decides."
        )


def _limit(found: Found) -> Iterator[str]:
    """(42): limit and integral."""
    sides = found.sides["proof/41-3"]
    if not sides:
        return
    rates = [s.right.interval[1] for s in sides if s.right is not None]
    text = (
        "Exchanging limit and integral needs a bound of ‖dW̃/dτ‖ that is integrable and the same "
        "for all widths, which the text does not give."
    )
    if len(rates) == len(sides) and max(rates) < 0:
        text += (
            " It can be had from (41): the largest value over time of its last line falls with the "
            f"width in every layer ({_rates(s.right for s in sides)}), so T times it bounds the "
            "integral at every width, and no limit has to be exchanged at all: integrate the bound."
        )
    yield text


def _printed_43(found: Found) -> Iterator[str]:
    own = _verdict(found.of("proof/43-printed"), "refuted")
    if own:
        first = [v for f in own for v in f.values[0]]
        last = [v for f in own for v in f.values[-1]]
        yield (
            f"W̃^(0) is 0 (the paper says so after (39)), so the right side as printed is Δ_l: off "
            f"by {min(first):.1%} to {max(first):.1%} of ‖Σ_l/m‖ at width {own[0].widths[0]}, by "
            f"{min(last):.1%} to {max(last):.1%} at {own[0].widths[-1]}. W̃^(t) is meant."
        )


def _printed_44(found: Found) -> Iterator[str]:
    own = found.of("proof/44-printed")
    if own:
        verdict = _judged(own)
        yield (
            "With W̃^(0) = 0 the last term is 0. The inequality without it does not follow from "
            + (
                "the line before, though every network measured happens to satisfy it."
                if verdict == "holds"
                else f"the line before, and it is {verdict} on the networks measured."
            )
        )


def _reading(found: Found) -> Iterator[str]:
    """App. A's last remark."""
    own = found.of("proposition-1/interpretation")
    refuted = _verdict(own, "refuted")
    if not refuted:
        return
    layers = ", ".join(sorted({str(f.question.layer) for f in refuted}))
    gap = [f.companion for f in found.of("proposition-1") if f.question.layer != 1 and f.companion]
    names = {f.question.claim.quantity for f in refuted}
    which = "Both norms do tend" if len(names) > 1 else "One of the norms does tend"
    yield (
        f"{which} to 0 in layer{'s' * (len(layers) > 1)} {layers} "
        f"({_exponents(refuted)}). The remark argues from o(·) and O(·), which bound from above: "
        "they cannot show that something does not vanish. By (20) ‖A_l‖_op is O(1) for l ≥ 2, so "
        "‖Δ_l‖_op/√m_{l−1} = ‖A_l‖²_op/√m_{l−1} is O(m^-1/2)."
    )
    if gap and all(rate.interval[1] < 0 for rate in gap):
        score = _judged(found.of("alignment-score")) == "holds"
        yield (
            "Repair: compare the gap with ‖Δ_l‖ itself. That ratio decays, too "
            f"({_rates(gap)}){', and so does 1 − S_l' * score}: Proposition 1 does say something."
        )


# --- Proposition 2 --------------------------------------------------------------------------


def _norms(found: Found) -> Iterator[str]:
    """(49): where the rate is lost."""
    measured = [f for f in found.of("proposition-2") if f.rate is not None]
    sides = found.sides["proof/49-3"]
    losing = [s for s in sides if s.loses_rate]
    if not losing:
        return
    text = (
        f"This step loses rate: the right side falls as {_rates(s.right for s in losing)}, the "
        f"left one as {_rates(s.left for s in losing)}."
    )
    faster = [f for f in measured if f.rate is not None and f.rate.interval[1] < -0.5]
    if faster:
        text += (
            f" The outputs differ as {_exponents(faster)}, faster than the stated m^-1/2, "
            "and the argument cannot see it from here on."
        )
    yield text
    second, delta = found.of("proof/term-2"), found.of("proof/delta-2")
    rates = [f.rate for f in second if f.rate is not None]
    slow = [f.rate.interval[0] for f in delta if f.rate is not None]
    if rates and slow and max(r.interval[1] for r in rates) < min(-0.5, *slow):
        yield (
            f"Δ_2 itself falls as {_exponents(delta)}, but ∇fᵀE[Δ_2 e], which is all that moves f, "
            f"as {_exponents(second)}: between ∇f and Δ_2 signs cancel in sums over parameters, "
            "and a product of norms keeps none of that. Repair: bound the P·C × P·C kernel ∇fᵀΔ_2 "
            "instead of Δ_2, as is done for the NTK's own drift."
        )


def _gronwall(found: Found) -> Iterator[str]:
    """(55)."""
    own = [f for f in found.of("proof/gronwall") if f.values and not math.isnan(f.values[-1][0])]
    if not own:
        return
    largest = [v for f in own for v in f.values[-1]]
    yield (
        f"∫β is {min(largest):.3g} to {max(largest):.3g} at width {own[0].widths[-1]} "
        f"({_exponents(own)}; that it stays bounded {_words(own)}). The factor exp ∫β is "
        f"{_span(*(math.exp(min(v, 700.0)) for v in (min(largest), max(largest))))} there, and "
        "grows exponentially with T."
    )
    sharper = found.of("proof/55-without-exp")
    if sharper and _judged(sharper) == "holds":
        yield (
            "It is not needed on any network measured: u ≤ α holds without it. One reason may be a "
            "sign, which is not measured here: the last term of (48) is −η∇f_*ᵀE[J_* (f_* − f)], "
            "with a kernel that is close to Θ and hence positive, so that it makes f_* − f "
            "smaller; its norm in (49) counts it as growth. Repair: bound d/dt of ½E‖f_* − f‖² "
            "and use that Θ is positive semi-definite, up to what Δ_1 and Δ_2 change."
        )


def _printed_50(found: Found) -> Iterator[str]:
    own = found.of("proof/50-printed")
    if own:
        yield (
            "The last term of (49) has lost its integral sign here; (54) has it. As printed it "
            f"{'holds' if _judged(own) == 'holds' else 'is ' + _judged(own)} on the networks "
            "measured, which says little: where β(t) ≥ 1 it is true whatever the networks do."
        )


_REMARKS: tuple[tuple[str, Callable[[Found], Iterator[str]]], ...] = (
    ("23", _factor("proof/23", "√m_{l−1} w̃_l/∫max‖y − f‖")),
    ("24", _factor("proof/24", "√m_l ã_l/∫max‖y − f‖")),
    ("26", _sum),
    ("20", _first_layer),
    ("42", _equality),
    ("42-limit", _limit),
    ("43-printed", _printed_43),
    ("44-printed", _printed_44),
    ("reading", _reading),
    ("49-3", _norms),
    ("50-printed", _printed_50),
    ("55", _gronwall),
)


# --- words ----------------------------------------------------------------------------------


def _lost(sides: tuple[Sides, ...]) -> Iterator[str]:
    """By how much an inequality is loose, and whether that grows with the width."""
    own = [s for s in sides if s.ratio is not None and s.step.standing is Standing.TRUE]
    if not own or max(s.ratio or 0.0 for s in own) < GIVEN_AWAY:
        return
    ratios = [s.ratio for s in own if s.ratio is not None]
    growing = [s for s in own if s.loses_rate]
    text = f"Loose by a factor of {_span(min(ratios), max(ratios))}"
    text += " at the largest width"
    if growing:
        text += f", and the looser the wider ({_rates(s.looseness for s in growing)})"
    yield text + "."


def _span(low: float, high: float) -> str:
    """Such as 2.1 to 3, or 10^14 where both are that."""
    ends = _number(low), _number(high)
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def _number(value: float) -> str:
    return (
        f"{value:.2g}"
        if value < 100
        else f"{value:.0f}"
        if value < 1e4
        else f"10^{math.log10(value):.0f}"
    )


def _verdict(findings: Iterable[Finding], verdict: str) -> list[Finding]:
    return [f for f in findings if f.verdict == verdict]


def _judged(findings: Iterable[Finding]) -> str:
    """The worst verdict."""
    verdicts = {f.verdict for f in findings}
    return next((v for v in ("refuted", "undecided", "holds") if v in verdicts), "not measured")


def _words(findings: Iterable[Finding]) -> str:
    verdict = _judged(findings)
    return verdict if verdict == "holds" else f"is {verdict}"


def _exponents(findings: Iterable[Finding]) -> str:
    return _rates(f.rate for f in findings)


def _rates(rates: Iterable[object]) -> str:
    """Such as m^-0.98 to m^-0.49."""
    known = sorted(float(r.exponent) for r in rates if r is not None and hasattr(r, "exponent"))
    if not known:
        return "an unknown power"
    low, high = f"{known[0]:.2f}", f"{known[-1]:.2f}"
    return f"m^{low}" if low == high else f"m^{low} to m^{high}"
