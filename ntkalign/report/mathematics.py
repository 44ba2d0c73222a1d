r"""Mathematics in pages: LaTeX as MathML, which browsers typeset offline, without scripts or fonts.

Texts of this package that hold mathematics put it between dollars, as quantities do in their
symbols and claims in their formulas: ``spectrum of $\Sigma_l/m_{l-1}$``. Words that are not ours,
such as the name of a rule, go through :func:`words` first, so that a dollar in them is a dollar.

latex2mathml does the translation; what is mended afterwards is how it looks and what a screen
reader says of it: names of several letters are one identifier and upright, norms have an opening
and a closing bar, limits of max and sup stand below them in displays, and operators in indices are
set tight, as TeX does it.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree

from latex2mathml.converter import convert_to_element
from markupsafe import Markup, escape

BAR = "‖"
LIMITS = ("max", "min", "sup", "inf")
SCRIPTS = ("msub", "msup", "msubsup", "munder", "mover", "munderover")
ACCENTS = {"~": "\u0303", "^": "\u0302", "¯": "\u0304", "˙": "\u0307"}
ONE_LETTER = re.compile(r"\\mathrm\{([A-Za-z])\}")
"""Upright, which latex2mathml forgets."""
PUNCTUATION = re.compile(r"[.,;:)\]]+")
MATHEMATICS = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$")


def mathml(latex: str, *, display: bool = False, alt: str = "") -> str:
    """A formula as a MathML element.

    Args:
        latex: without dollars.
        display: whether it stands on a line of its own.
        alt: what it is called where MathML is not shown; the formula in one line if empty.

    Returns:
        The element; nothing of the formula is left as LaTeX.

    Raises:
        ValueError: if it cannot be translated.
    """
    try:
        root = convert_to_element(
            ONE_LETTER.sub(r"\\operatorname{\1}", latex), display="block" if display else "inline"
        )
        _read_entities(root)
        _merge_names(root)
        linear = one_line(root)
    except Exception as error:  # latex2mathml has many kinds, and builds incomplete elements
        raise ValueError(f"no mathematics: {latex!r} ({type(error).__name__})") from None
    if "\\" in linear or "$" in linear:
        raise ValueError(f"no mathematics: {latex!r} (not understood: {linear})")
    _open_and_close(root, latex)
    _put_limits_below(root)
    _tighten_scripts(root)
    root.attrib.pop("xmlns", None)  # HTML knows the element
    root.set("alttext", alt or linear)
    return ElementTree.tostring(root, encoding="unicode")


def words(text: str) -> str:
    """A text that is no mathematics, whatever is in it, for use beside some that is."""
    return text.replace("\\", r"\\").replace("$", r"\$")


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """Words and mathematics in turn, and whether each is mathematics."""
    end = 0
    for found in MATHEMATICS.finditer(text):
        yield _plain(text[end : found.start()]), False
        yield found.group(1), True
        end = found.end()
    yield _plain(text[end:]), False


def typeset(text: str, *, display: bool = False) -> Markup:
    """A text with mathematics as HTML: words escaped, formulas as MathML.

    Args:
        text: with mathematics between dollars.
        display: whether it stands on a line of its own; one with words is set like words.

    Returns:
        HTML; a formula that cannot be translated is shown as it was written.
    """
    display = display and not any(part for part, is_formula in pieces(text) if not is_formula)
    html, formula = Markup(""), Markup("")
    for part, is_formula in pieces(text):
        if is_formula:
            formula = _formula(part, display)
            continue
        mark = PUNCTUATION.match(part)
        if formula and mark:  # no line begins with it
            formula = Markup('<span class="together">{}{}</span>').format(formula, mark[0])
            part = part[mark.end() :]
        html += formula + escape(part)
        formula = Markup("")
    return html


def translates(text: str) -> bool:
    """Whether every formula of a text can be typeset, and there is one."""
    formulas = [part for part, is_formula in pieces(text) if is_formula]
    try:
        return bool([mathml(formula) for formula in formulas])
    except ValueError:
        return False


def power(exponent: float, symbol: str = "m") -> str:
    """m^p as LaTeX, or another symbol's; simple fractions as such."""
    ratio = Fraction(exponent).limit_denominator(12)
    if abs(float(ratio) - exponent) > 1e-9:
        return f"{symbol}^{{{exponent:g}}}"
    return f"{symbol}^{{{ratio}}}"


def one_line(element: ElementTree.Element) -> str:
    """MathML in one line of text, such as z_l^t."""
    tag, text = element.tag, (element.text or "").strip(" ")
    inside = [one_line(child) for child in element]
    if tag in ("msub", "munder"):
        return f"{inside[0]}_{_group(inside[1])}"
    if tag == "msup":
        return f"{inside[0]}^{_group(inside[1])}"
    if tag in ("msubsup", "munderover"):
        return f"{inside[0]}_{_group(inside[1])}^{_group(inside[2])}"
    if tag == "mover":
        accent = ACCENTS.get(inside[1], f"^{inside[1]}")
        return unicodedata.normalize("NFC", inside[0] + accent)
    if tag == "mfrac":
        return f"{_group(inside[0])}/{_group(inside[1])}"
    if tag == "msqrt":
        return f"√{_group(''.join(inside))}"
    if tag == "mspace":
        return " "
    if tag == "mo" and text in ("=", "→", "↛", "≤", "−", "+", "∝"):
        return f" {text} "
    return text + "".join(inside)


def _plain(part: str) -> str:
    return part.replace(r"\$", "$").replace(r"\\", "\\")


def _formula(latex: str, display: bool) -> Markup:
    try:
        return Markup(mathml(latex, display=display))
    except ValueError:
        return escape(f"${latex}$")


def _group(text: str) -> str:
    text = re.sub("^− ", "−", text.strip())
    return text if len(text) == 1 or text.isalnum() else f"({text})"


def _read_entities(root: ElementTree.Element) -> None:
    """Characters instead of their numbers, which would be escaped once more."""
    for element in root.iter():
        element.text = element.text and html.unescape(element.text)


def _merge_names(element: ElementTree.Element) -> None:
    """Letters that are upright are one name: op, and not o times p."""
    for child in element:
        _merge_names(child)
    for child in list(element):
        letters = list(child)
        if child.tag == "mrow" and letters and all(map(_is_upright, letters)):
            name = ElementTree.Element("mi")
            name.text = "".join(letter.text or "" for letter in letters)
            if len(name.text) == 1:
                name.set("mathvariant", "normal")
            element[list(element).index(child)] = name


def _is_upright(element: ElementTree.Element) -> bool:
    return element.tag == "mi" and element.get("mathvariant") == "normal"


def _open_and_close(root: ElementTree.Element, latex: str) -> None:
    """Bars of norms open and close in the order in which they are written."""
    bars = [e for e in root.iter("mo") if e.text == BAR]
    opened = False
    for bar, written in zip(bars, re.findall(r"\\[lr]Vert|\\\||\\Vert", latex), strict=False):
        opened = not opened if written in (r"\|", r"\Vert") else written == r"\lVert"
        bar.set("form", "prefix" if opened else "postfix")
        bar.set("fence", "true")
        bar.set("stretchy", "false")


def _put_limits_below(root: ElementTree.Element) -> None:
    for element in root.iter():
        if element.tag == "mo" and (element.text or "").isalpha():  # max, E
            element.set("form", "prefix")
            element.set("lspace", "0")
            element.set("rspace", "0.17em")
        if element.tag == "msub" and element[0].tag == "mo" and element[0].text in LIMITS:
            element.tag = "munder"
            element[0].set("movablelimits", "true")


def _tighten_scripts(root: ElementTree.Element) -> None:
    for element in root.iter():
        if element.tag == "mo" and element.text == "/":
            element.set("lspace", "0.05em")
            element.set("rspace", "0.05em")
        if element.tag == "mi" and re.fullmatch("[Α-Ω]", element.text or ""):
            element.set("mathvariant", "normal")  # as TeX has them
        if element.tag in SCRIPTS:
            for script in list(element)[1:]:
                for sign in script.iter("mo"):
                    sign.set("lspace", "0")
                    sign.set("rspace", "0")
    for row in root.iter("mrow"):  # a sign at the beginning is no operation
        for before, after in pairwise([None, *row]):
            if after.tag == "mo" and after.text in ("−", "-", "+") and _opens(before):
                after.set("form", "prefix")


def _opens(element: ElementTree.Element | None) -> bool:
    return element is None or (element.tag == "mo" and element.text in ("(", "[", "=", ","))
