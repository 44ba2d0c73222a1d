"""The documentation site: ``make docs``.

Its source is the repository itself, not this folder alone: a link that works between files of the
repository works in the site, and READMEs and reports are pages of it. Nothing is fetched, neither
while it is built nor by its pages.

Notebooks are executed; ``NTKALIGN_SHORT=1`` runs them in their short form, as CI does.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "extensions"), str(ROOT)]
# notebooks run in processes of their own, which see the package that this checkout has
os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
)
# and keep what JAX compiles; nothing of Jupyter is looked for outside the build
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".jax_cache" / "docs"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
if os.environ.get("NTKALIGN_SHORT") == "1":  # small networks: most of the time goes into compiling
    os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")
os.environ.setdefault("IPYTHONDIR", tempfile.mkdtemp(prefix="ipython"))

from ntkalign.version import __version__  # noqa: E402

project = "ntkalign"
author = "The ntkalign authors"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.doctest",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "gallery",
    "offline_math",
    "offline_pages",
]
root_doc = "docs/index"
include_patterns = [
    "*.md",
    "benchmarks/*.md",
    "docs/**",
    "examples/**/*.md",
    "figures/**/*.md",
]
exclude_patterns = [".*", "build", "dist", "docs/extensions", "docs/templates", "figures/latest"]
templates_path = ["templates"]
source_suffix = {".md": "myst-nb"}

# --- Markdown and notebooks -----------------------------------------------------------------
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = os.environ.get("NTKALIGN_NOTEBOOKS", "force")
nb_execution_cache_path = str(ROOT / "build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 1800
nb_execution_show_tb = True
nb_merge_streams = True
suppress_warnings = [
    "myst.header",  # reports begin some sections two levels down
    "myst-nb.lexer",  # notebooks that are not executed
]

# the index names some pages by a pattern, since there need be none
logging.getLogger("sphinx.sphinx.directives.other").addFilter(
    lambda record: "toctree glob pattern" not in str(record.msg)
)

# --- what is said of the code ---------------------------------------------------------------
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True}
autosummary_generate = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_maximum_signature_line_length = 90
trim_doctest_flags = True

# --- pages ----------------------------------------------------------------------------------
html_theme = "furo"
html_title = f"ntkalign {release}"
html_math_renderer = "mathml"
html_static_path = ["assets"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to_docs.html"}
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
copybutton_exclude = ".linenos, .gp, .go"
