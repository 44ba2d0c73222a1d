"""``python -m tests.jax_versions``: kernels and neural-tangents on several releases of JAX.

Runs the tests of ``ntkalign.kernels`` on the oldest release that it supports, the pinned and the
newest one (or on the releases given), each in an environment of its own under ``build/``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "jax"
OURS = ("--requirements", "pyproject.toml", "--extra", "dev")
RELEASES = {
    "oldest": (*OURS, "jax==0.4.36", "numpy==2.1.*", "scipy==1.14.*"),
    "pinned": ("--requirements", "requirements.txt"),
    "newest": (*OURS, "--upgrade"),
}
TESTS = (
    "tests/kernels/test_adapter.py",
    "tests/kernels/test_kernels.py",
    "tests/cells/test_kernels.py",
)
VERSIONS = """
import sys, jax, numpy, scipy
print(f"JAX {jax.__version__}, NumPy {numpy.__version__}, SciPy {scipy.__version__}, "
      f"Python {sys.version.split()[0]}")
"""


def main(names: list[str]) -> int:
    """Test on each release; the number of those that failed."""
    return sum(_test(name) for name in names or RELEASES)


def _test(name: str) -> bool:
    """Whether the tests fail on a release, by its name above or its number."""
    python = FOLDER / name / "bin" / "python"
    if not python.exists():
        _uv("venv", "--python", sys.executable, str(FOLDER / name))
    _uv("pip", "install", "--python", str(python), *RELEASES.get(name, (*OURS, f"jax=={name}")))
    versions = _run(python, "-W", "ignore", "-c", VERSIONS).stdout.strip()
    start = time.perf_counter()
    # equinox warns on some releases between the oldest and the pinned one
    warnings = "filterwarnings=error\nignore::DeprecationWarning:equinox.*"
    done = _run(python, "-m", "pytest", "-n", "2", "-o", warnings, *TESTS)
    counts = re.findall(r"\d+ (?:passed|failed|skipped|error\w*)", done.stdout)
    seconds = time.perf_counter() - start
    print(f"{name}: {versions}: {', '.join(counts) or 'no tests ran'}, {seconds:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", flush=True)
    return done.returncode != 0


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, *arguments, "--quiet"], cwd=ROOT, check=True)


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
