"""The code of the functions as one zip: this package's own modules and the wheels they import.

The same commit makes the same package on every machine: wheels come from ``lambda.txt`` beside this
module, each held to its hash, and entries are sorted, with fixed times and modes. What compression
makes of them may differ between zlib and its successors, so a package is known by the digest of
what is in it, not of the zip.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import s3fanout
from s3fanout.model.errors import Misconfigured

Architecture = Literal["arm64", "x86_64"]

ARCHITECTURE: Architecture = "arm64"
PYTHON = "3.13"
"""Newest runtime that Lambda offers on both architectures and every wheel is built for."""

LOCK = Path(__file__).with_name("lambda.txt")

_OWN = ("adapters", "awslambda", "decide", "engine", "intake", "model", "ports")
"""Layers that run in a function; the command line, the daemon and this layer stay at home."""

_PLATFORMS: dict[Architecture, tuple[str, ...]] = {
    "arm64": ("manylinux2014_aarch64", "manylinux_2_28_aarch64", "manylinux_2_34_aarch64"),
    "x86_64": ("manylinux2014_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64"),
}
"""Lambda's Python 3.12 and newer run on Amazon Linux 2023, which has glibc 2.34 (AWS, "Lambda
runtimes", read 2026-11)."""

_NEEDLESS = (".pyi", ".pyx", ".pxd", ".c", ".h", ".hash", ".typed", "/RECORD", "/WHEEL")
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Package:
    """The zip that Lambda is given.

    Attributes:
        content: Its bytes.
        sha256: Hex digest of names, modes and contents of its entries: equal code, equal digest.
        size: Bytes of the zip.
    """

    content: bytes
    sha256: str
    size: int


def build_package(architecture: Architecture = ARCHITECTURE, python: str = PYTHON) -> Package:
    """Fetch the wheels (through pip, unless they are in the user's cache) and make the zip.

    Args:
        architecture: Of the function.
        python: Version of its runtime, as in ``3.13``.

    Raises:
        Misconfigured: pip is missing, or could not get a wheel for this platform.
    """
    entries = _own_modules()
    for wheel in _wheels(architecture, python):
        entries |= _wheel_files(wheel)
    return _zip(entries)


def _wheels(architecture: Architecture, python: str) -> list[Path]:
    """The wheels, from the user's cache if all are there and what the lock says."""
    lock = LOCK.read_text("utf-8")
    wanted = hashlib.sha256(f"{lock} {architecture} {python}".encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "s3fanout"
    folder = cache / f"wheels-{wanted}"
    found = sorted(folder.glob("*.whl"))
    if len(found) == lock.count("==") and all(_is_locked(wheel, lock) for wheel in found):
        return found
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as fresh:
        _download(Path(fresh), architecture, python)
        folder.mkdir(exist_ok=True)
        for wheel in Path(fresh).glob("*.whl"):
            wheel.replace(folder / wheel.name)
    return sorted(folder.glob("*.whl"))


def _is_locked(wheel: Path, lock: str) -> bool:
    return f"--hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}" in lock


def _own_modules() -> dict[str, bytes]:
    root = Path(s3fanout.__file__).parent
    paths = [root / "__init__.py"]
    for layer in _OWN:
        paths += root.joinpath(layer).rglob("*.py")
    return {f"s3fanout/{path.relative_to(root).as_posix()}": path.read_bytes() for path in paths}


def _download(folder: Path, architecture: Architecture, python: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation=cp"]
    command += [f"--platform={name}" for name in _PLATFORMS[architecture]]
    command += [f"--python-version={python}", f"--dest={folder}", f"--requirement={LOCK}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode != 0:
        reason = (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]
        raise Misconfigured(
            f"pip could not fetch the function's libraries reason={reason!r}",
            hint="install pip beside s3fanout, and let it reach a package index",
        )


def _wheel_files(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if not name.endswith(("/", *_NEEDLESS))
        }


def _zip(entries: dict[str, bytes]) -> Package:
    digest = hashlib.sha256()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in sorted(entries):
            content = entries[name]
            mode = 0o755 if PurePosixPath(name).suffix == ".so" else 0o644
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.create_system = 3  # Unix: the mode below counts
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=6)
            for part in (name.encode(), str(mode).encode(), content):
                digest.update(len(part).to_bytes(8, "big") + part)
    content = out.getvalue()
    return Package(content, digest.hexdigest(), len(content))
