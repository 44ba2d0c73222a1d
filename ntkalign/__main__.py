"""``python -m ntkalign``."""

from ntkalign.cli.main import entry

entry()
