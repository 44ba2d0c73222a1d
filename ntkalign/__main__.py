"""``python -m ntkalign``."""

from ntkalign.cli import entry

entry()
