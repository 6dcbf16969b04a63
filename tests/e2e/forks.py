"""Commands of the program as forks of a process that has imported it: a start is mostly imports.

Each is a process of its own, with its own environment and files, and runs the ``main`` that the
installed program runs. What that program is started by is tried by daemons and demos.
"""

from __future__ import annotations

import multiprocessing
import os
import pkgutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from multiprocessing.context import ForkServerContext
from pathlib import Path

import s3fanout
from s3fanout.cli.main import main


def run_fork(
    arguments: Sequence[str], *, env: Mapping[str, str], within_s: float
) -> tuple[int, str, str]:
    """Run ``s3fanout ARGUMENTS`` to its end: exit code, standard output, standard error.

    Raises:
        TimeoutError: It did not end; it was killed.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("out", "err")]
        process = _context().Process(target=_become, args=(list(arguments), dict(env), files))
        process.start()
        process.join(within_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"s3fanout {arguments} did not end within {within_s} s")
        out, err = (file.read_text("utf-8") for file in files)
        return process.exitcode, out, err


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    modules = pkgutil.walk_packages(s3fanout.__path__, f"{s3fanout.__name__}.")
    context.set_forkserver_preload([__name__, *(module.name for module in modules)])
    return context


def _become(arguments: list[str], env: dict[str, str], files: list[Path]) -> None:
    """Be the program, from here on."""
    os.environ.clear()
    os.environ.update(env)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
    sys.stdout, sys.stderr = (
        open(at, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - to the end of the process
        for at in (1, 2)
    )
    sys.argv = ["s3fanout", *arguments]
    main()
