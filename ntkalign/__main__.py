"""``python -m ntkalign``."""

from ntkalign.cli.main import entry

if __name__ == "__main__":
    entry()
