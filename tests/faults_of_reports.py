"""Faults to plant in what pages say of findings: rows for mutants.

What it is, file, what stands there once, what is put in its place, tests that should notice.
"""

from __future__ import annotations

SENTENCES, PAGES = ("report/test_sentences",), ("report/test_document",)
MATHEMATICS = ("report/test_mathematics",)
CURVES = ("report/test_over_training",)

ROWS = (
    ("sentences: a refutation of what persists read as one of decay", "report/sentences.py",
     'how = f"it decays: {exponents}"', 'how = f"it does not tend to 0: {exponents}"', SENTENCES),
    ("sentences: outside the assumptions the paper is blamed", "report/sentences.py",
     "if all(f.assumptions_met for f in findings):", "if findings:", SENTENCES),
    ("sentences: controls that pass are not mentioned", "report/sentences.py",
     'if count["holds"]:', 'if not count["holds"]:', SENTENCES),
    ("sentences: hollow bounds are not mentioned", "report/sentences.py",
     "f.companion.interval[1] > DECAY", "f.companion.interval[1] > -DECAY * 9", SENTENCES),
    ("reasons: the largest number left out", "report/reasons.py",
     'least if least == largest else f"{least} to {largest}") + part', "least) + part", SENTENCES),
    ("sections: layers of one verdict alone are named", "report/sections.py",
     "groups.setdefault((f.verdict, f.tightness or \"\"), [])",
     "groups.setdefault((f.verdict, \"\"), [])", PAGES),
    ("pages: a user's words are markup", "report/mathematics.py",
     "html += formula + escape(part)", "html += formula + Markup(part)", MATHEMATICS),
    ("mathematics: norms open where they close", "report/mathematics.py",
     '"prefix" if opened else "postfix"', '"postfix" if opened else "prefix"', MATHEMATICS),
    ("plots: times have labels between powers of ten, however many", "report/over_training.py",
     "subs=(1, 2, 5) if right <= SHORT * left else (1,)", "subs=(1, 2, 5)", CURVES),
    ("plots: minor ticks of times have labels", "report/over_training.py",
     "axis.xaxis.set_minor_formatter(NullFormatter())", "pass", CURVES),
)  # fmt: skip
