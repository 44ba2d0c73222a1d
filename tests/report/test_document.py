"""The page as a document: whole, readable by everyone, on paper and on a telephone."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from itertools import pairwise, product

import pytest

from ntkalign.claims.claim import Claim, Kind
from ntkalign.claims.theory import PROPOSITION_1, PROPOSITION_2, WEIGHT_DRIFT
from ntkalign.report import load_report, write_report
from ntkalign.report.alt_texts import scaling_alt
from ntkalign.report.pages import anchor, setting_text, templates
from ntkalign.report.provenance import command
from ntkalign.report.sections import Line, sections
from ntkalign.report.subjects import claim_title, subjects
from ntkalign.runs.record import Conduct
from tests.report.chromium import DARK, LIGHT, draw, needs_chromium, print_out
from tests.report.made_up import ask, run

HOSTILE = "<script>alert('\"x\"')</script>"
VOID = {"meta", "link", "img", "br"}
RULES = ("normal", "align-zero", "align-ada")


def example(name="mine"):
    """A small run with claims of several layers, rules and verdicts, and one of a user's."""
    mine = Claim(name, "[1]", f"{name} is z_l^t", f"q of {name}", Kind.BOUND, -0.5)
    answers = [
        (ask(WEIGHT_DRIFT, rule=rule, layer=layer), 0.0 if layer == 1 else -0.5)
        for rule in RULES for layer in (1, 2, 3)
    ]  # fmt: skip
    answers += [
        (ask(PROPOSITION_1, layer=1), -1.0),
        (ask(PROPOSITION_2, rule="align-ada"), -0.4, {"spread": 1.5}),
        (ask(mine, rule=name), -0.5),
        (ask(PROPOSITION_2, rule="fa", control=True), 0.0),
        (ask(WEIGHT_DRIFT, layer=2, control=True, neck=True), 0.0),
    ]
    return run(*answers)


def sketched(findings, folder):
    """A wide picture in the place of each plot, which takes a second to draw."""
    folder.mkdir(parents=True)
    picture = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300"></svg>'
    claims = dict.fromkeys(f.question.claim for f in findings)
    paths = {claim: folder / f"{i}.svg" for i, claim in enumerate(claims)}
    for path in paths.values():
        path.write_text(picture)
    return paths


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("document")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ntkalign.report.files.scaling_plots", sketched)
        write_report(example(HOSTILE), folder)
    return folder


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text()


class Elements(HTMLParser):
    """Every element with its attributes and what it is in; open ones must be closed."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside, self.words = [], [], []
        self.feed(text)
        assert not self.inside

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes), tuple(self.inside)))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, text):
        if not {"style", "math"} & set(self.inside):
            self.words.append(text)

    def of(self, tag):
        return [attributes for kind, attributes, _ in self.found if kind == tag]


# --- what is in it ------------------------------------------------------------------------


def test_verdicts_come_first_then_contents_claims_reading_and_provenance(page):
    order = ["The verdicts", "Contents", "Claims, one by one", "How to read", "Provenance</h2>"]
    places = [page.index(f">{title}") for title in order]
    assert places == sorted(places)
    assert page.index("What holds") < page.index("What is refuted") < page.index("What is open")


def test_layers_share_a_row_and_reasons_are_said_once(page):
    section = page[page.index('<section class="claim" id="claim-lemma-1/weights"') :]
    section = section[: section.index("</section>")]
    assert section.count('<th scope="row">') == len(RULES) + 1  # and the control
    assert section.count("refuted</b>: layer 1<") == len(RULES)
    assert section.count("holds</b>, sharp: layers 2–3<") == len(RULES)
    assert section.count("at the stated rate") == 1
    assert section.count("it decays too slowly, if at all") == 2  # and of the control
    assert "<b>Normal, Align-zero and Align-ada, layers 2–3</b>: the exponent lies below" in section


def test_every_part_of_a_claim_is_there(page):
    for term in ("Assumptions", "Error budget", "Statistics"):
        assert page.count(f"<dt>{term}</dt>") == 4
    assert "8 networks at each of widths 64, 256, 1024; 95\u00a0% intervals" in page
    assert "p corrected for 12 verdicts (Holm)" in page
    assert "<h3>All settings</h3>" in page


def test_no_mathematics_is_left_in_characters(page):
    parsed = Elements(page.replace(HOSTILE, ""))
    text = " ".join(parsed.words)
    ours = text.replace("is z_l^t", "")  # the user's claim has no formula
    assert not re.search(r"[\w‖)][_^][\w{(]", re.sub(r"\b[a-z]+(_[a-z]+)+\b", "", ours))
    assert "\\" not in ours
    assert page.count("<math") > 20


# --- for everyone -------------------------------------------------------------------------


def test_whatever_a_user_called_it_is_shown_and_not_run(page, folder):
    parsed = Elements(page)
    assert not parsed.of("script")
    assert all(not name.startswith("on") for _, own, _ in parsed.found for name in own)
    assert page.count("&lt;script&gt;") > 4
    markdown = re.sub("`[^`\n]*`", "", (folder / "report.md").read_text())  # code is not markup
    assert r"\<script\>" in markdown
    assert not re.search(r"(?<!\\)<(?!br>|/?su[bp]>| )", markdown)


def test_nothing_is_fetched(page):
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_links_lead_somewhere_and_places_are_called_once(page):
    parsed = Elements(page)
    places = [own["id"] for _, own, _ in parsed.found if "id" in own]
    assert len(places) == len(set(places))
    assert all(place and " " not in place for place in places)
    links = [own["href"][1:] for own in parsed.of("a")]
    assert set(links) <= set(places)
    labels = [own["aria-labelledby"] for _, own, _ in parsed.found if "aria-labelledby" in own]
    assert set(labels) <= set(places)
    assert {anchor(id) for id in ("lemma-1/weights", HOSTILE)} <= set(links)


def test_tables_images_and_landmarks_are_named(page):
    parsed = Elements(page)
    assert parsed.of("html") == [{"lang": "en"}]
    assert [len(parsed.of(tag)) for tag in ("main", "header", "nav", "h1")] == [1, 1, 1, 1]
    assert parsed.of("a")[0] == {"class": "skip", "href": "#main"}
    assert all(own["scope"] in ("col", "row", "rowgroup") for own in parsed.of("th"))
    assert len(parsed.of("caption")) == len(parsed.of("table")) >= 4
    alts = [own["alt"] for own in parsed.of("img")]
    assert len(alts) == 4
    assert all(re.search(r"at width 64 and [\d.e−-]+.* at width 1024, exponent", a) for a in alts)
    headings = [int(tag[1]) for tag, *_ in parsed.found if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(headings))
    assert all(own.get("alttext") for own in parsed.of("math"))
    scrolling = [own for own in parsed.of("div") if "wide" in own.get("class", "")]
    assert scrolling
    assert all(own["tabindex"] == "0" and own["aria-label"] for own in scrolling)


def luminance(colour):
    """Of #rrggbb, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_enough_in_both_schemes():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    style = templates().get_template("style.css.j2").render()
    light, dark = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    for block in (light, dark):
        colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
        inks = ("ink", "soft", "link", "holds", "refuted", "undecided")
        pairs = [*product(inks, ("page", "panel")), ("warn-ink", "warn")]
        for ink, paper in pairs:
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
        assert contrast(colours["link"], colours["page"]) >= 3  # the ring of what has the focus
    assert ":focus-visible" in style
    used = set(re.findall(r"[^-]color: var\(--([\w-]+)\)", style))
    assert used <= {*inks, "warn-ink"}  # no other ink that is not tested


# --- in a browser -------------------------------------------------------------------------


@needs_chromium
def test_it_fits_at_every_width_in_both_schemes_without_a_word_on_the_console(folder):
    page, schemes = folder / "report.html", {}
    for scheme in (LIGHT, DARK):
        drawn = draw(page, (400, 800, 1300), scheme)
        assert not drawn.console
        assert [frame["width"] for frame in drawn.frames] == [400, 800, 1300]
        for frame in drawn.frames:
            assert frame["scroll"] <= frame["width"], frame
            assert not frame["outside"]
            assert frame["images"]
        schemes[scheme] = drawn.frames[0]
    assert schemes[LIGHT]["page"] == schemes[DARK]["ink"].replace("233, 230, 223", "255, 254, 251")
    assert schemes[DARK]["page"] == "rgb(23, 24, 26)"


@needs_chromium
def test_what_does_not_fit_is_found(tmp_path):
    page = tmp_path / "wide.html"
    page.write_text("<p style='width:900px'>wide</p><script>console.error('no')</script>")
    drawn = draw(page, (400,))
    assert drawn.frames[0]["scroll"] >= 900
    assert "width:900px" in drawn.frames[0]["outside"][0]
    assert "no" in drawn.console[0]


@needs_chromium
def test_it_prints_on_a4(folder):
    pdf = print_out(folder / "report.html")
    boxes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", pdf)
    assert 3 <= len(boxes) <= 10
    for width, height in boxes:
        assert float(width) == pytest.approx(595, abs=1)
        assert float(height) == pytest.approx(842, abs=1)


# --- its parts ----------------------------------------------------------------------------


def test_formulas_are_kept_and_looked_up_where_a_report_has_none(folder, tmp_path):
    stored = json.loads((folder / "report.json").read_text())
    assert stored["claims"][0]["formula"] == WEIGHT_DRIFT.formula
    for entry in stored["claims"] + stored["controls"]:
        del entry["formula"]
    (tmp_path / "report.json").write_text(json.dumps(stored))
    (tmp_path / "measurements.csv").write_bytes((folder / "measurements.csv").read_bytes())
    again = load_report(tmp_path)
    assert again.findings[0].question.claim == WEIGHT_DRIFT
    assert again.findings[-3].question.claim.formula == ""


def test_a_claim_without_a_formula_and_one_that_is_none_show_their_statement():
    broken = Claim("a", "", "a <b>", "a", Kind.VANISHES, formula=r"$\frac{a$", symbol=r"$\frac$")
    (section,) = sections(run((ask(broken), -1.0)), {}, {})
    (statement,) = section.statements
    assert (statement.formula, statement.symbol) == ("a <b>", r"\$\\frac\$")
    assert statement.error_budget.startswith("numerical error is at most $")
    assert statement.stated == "→ 0"


def test_titles_and_subjects_are_words():
    titles = {
        "lemma-1/jacobian": "Lemma 1: Jacobian",
        "appendix-d": "Appendix D",
        "cnn/kernel-drift": "CNN: kernel drift",
        "kernels/q": "Kernels: q",
        HOSTILE: HOSTILE.replace("/", ": "),
    }
    assert {id: claim_title(id) for id in titles} == titles
    found = example().claims
    assert subjects(found[:5], "mlp") == "Normal, layers 1–3; Align-zero, layers 1–2"
    assert subjects(found[1:2], "rnn") == "Normal, recurrent weights"
    assert subjects(found[-1:], "mlp") == "mine"


def test_cells_say_whose_they_are():
    found = example().claims
    line = Line(tuple(found[:3]), "mlp")
    assert [cell.layer for cell in line.exponents] == ["layer 1", "layer 2", "layer 3"]
    assert [cell.text for cell in line.exponents] == ["0.00", "−0.50", "−0.50"]
    assert line.relative == []
    assert [cell.text for cell in line.p_values] == ["< 0.001", "1", "1"]
    one = Line(tuple(found[1:3]), "mlp")
    assert [(cell.layer, cell.text) for cell in one.p_values] == [("", "1")]


def test_alt_texts_say_what_curves_show():
    result = example()
    own = [f for f in result.findings if f.question.claim == WEIGHT_DRIFT]
    text = scaling_alt(WEIGHT_DRIFT, own, "mlp")
    assert text.startswith("Scaling plot of weight-drift against width. Normal, layers 1–3: 1, 0.1")
    assert "exponents 0.00, −0.50, −0.50. Align-zero" in text
    assert "Control Normal, bottleneck, layer 2: 1 at width 64 and 1 at width 1024" in text


def test_the_command_makes_the_run_again():
    assert command(run((ask(WEIGHT_DRIFT, layer=1), -0.5), seeds=4, tolerance=1e-5)) == (
        "ntkalign verify --data digits --network mlp --outputs 1 --widths 64,256,1024 --seeds 4 "
        "--time 1.0 --tolerance 1e-05"
    )
    held_out = run((ask(WEIGHT_DRIFT, layer=1), -0.5), conduct=Conduct(held_out=3))
    assert command(held_out).endswith("--held-out 3")
    assert command(run((ask(WEIGHT_DRIFT, layer=1), -0.5), bottleneck=3)) == ""


def test_settings_are_words():
    values = (None, True, False, 0, 1.5, [], [1, 2], "x")
    texts = ["none", "yes", "no", "0", "1.5", "none", "1, 2", "x"]
    assert [setting_text(value) for value in values] == texts
