"""What a person sees of a verification: the terminal, plots, and the files of a report."""

from ntkalign.report.files import load_report, write_report
from ntkalign.report.terminal import print_verdicts

__all__ = ["load_report", "print_verdicts", "write_report"]
