"""Runs a program and writes what it used: ``launcher.py RESULT PROGRAM ARGUMENT...``.

A process of its own, and a small one: Linux counts the memory of the process that starts a program
into the ``ru_maxrss`` of the program (``/bin/true`` started by 200 MiB reports 212 MiB), so the
benchmark itself must not be the one that starts it.
"""

from __future__ import annotations

import json
import os
import sys
import time

began = time.perf_counter()
pid = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(pid, 0)
wall_s = time.perf_counter() - began
with open(sys.argv[1], "w", encoding="utf-8") as result:  # noqa: PTH123 - pathlib is memory too
    cpu_s = used.ru_utime + used.ru_stime
    json.dump({"wall_s": wall_s, "cpu_s": cpu_s, "rss_mib": used.ru_maxrss / 1024}, result)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
