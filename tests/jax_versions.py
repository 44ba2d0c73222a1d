"""``python -m tests.jax_versions``: the adapter to neural-tangents on several releases of JAX.

Runs ``tests/test_adapter.py`` on the oldest release that it supports, the pinned and the newest one
(or on the releases given), each in an environment of its own under ``build/``. The rest of ntkalign
needs the pinned release, so that the tests run beside a copy of the adapter and the errors alone.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "jax"
RELEASES = {
    "oldest": ["jax==0.4.36", "numpy==2.1.*", "scipy==1.14.*"],
    "pinned": ["jax", "--constraints", str(ROOT / "requirements.txt")],
    "newest": ["jax", "--upgrade"],
}
COPIED = ("ntkalign/errors.py", "ntkalign/kernels/adapter.py", "tests/test_adapter.py")
STRICT = {
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
}
VERSIONS = """
import sys, jax, numpy, scipy
print(f"JAX {jax.__version__}, NumPy {numpy.__version__}, SciPy {scipy.__version__}, "
      f"Python {sys.version.split()[0]}")
"""


def main(names: list[str]) -> int:
    """Test on each release; the number of those that failed."""
    copy = _copy()
    return sum(_test(name, copy) for name in names or RELEASES)


def _copy() -> Path:
    """A folder with just what the tests need, its packages empty but for that."""
    folder = FOLDER / "copy"
    shutil.rmtree(folder, ignore_errors=True)
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name in ("ntkalign", "ntkalign/kernels"):
        (folder / name / "__init__.py").touch()
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    return folder


def _test(name: str, copy: Path) -> bool:
    """Whether the tests fail on a release, by its name above or its number."""
    python = FOLDER / name / "bin" / "python"
    if not python.exists():
        _uv("venv", "--python", sys.executable, str(FOLDER / name))
    releases = RELEASES.get(name, [f"jax=={name}"])
    _uv("pip", "install", "--python", str(python), *releases, "scipy", "frozendict", "pytest")
    _uv("pip", "install", "--python", str(python), "--no-deps", "neural-tangents==0.6.5")
    versions = _run(python, "-W", "ignore", "-c", VERSIONS).stdout.strip()
    start = time.perf_counter()
    options = ("-q", "-p", "no:cacheprovider", "tests/test_adapter.py")
    done = _run(python, "-m", "pytest", *options, cwd=copy)
    counts = re.findall(r"\d+ (?:passed|failed|skipped|error\w*)", done.stdout)
    seconds = time.perf_counter() - start
    print(f"{name}: {versions}: {', '.join(counts) or 'no tests ran'}, {seconds:.0f} s", flush=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", flush=True)
    return done.returncode != 0


def _uv(*arguments: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, *arguments, "--quiet"], cwd=ROOT, check=True)


def _run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **STRICT},
        capture_output=True,
        text=True,
        check=False,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
