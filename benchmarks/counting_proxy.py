"""Stands before a store and notes what is asked of it. Needs nginx."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from benchmarks.null_server import nginx_configuration
from benchmarks.processes import ToolFailed
from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, Server, closed_port, serving

_PROXY = """\
  log_format counted escape=none
    '$request_method $uri $body_bytes_sent $status $msec =$http_x_amz_copy_source_if_match '
    '?$args';
  server {{
    listen {address};
    access_log {directory}/requests counted;
    client_max_body_size 0;
    location / {{
      proxy_pass {endpoint};
      proxy_http_version 1.1;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_pass_header Server;
    }}
  }}
"""


class Copied(NamedTuple):
    """A copy that a store made, and when it had answered, in Unix seconds."""

    bucket: str
    key: str
    source_etag: str
    at_s: float


@dataclass(frozen=True, slots=True)
class CountingProxy:
    """``server`` is the store as it is seen through the proxy."""

    server: Server
    log: Path

    def requests(self) -> list[tuple[str, str, int]]:
        """Method, path and bytes of the answer of each request so far.

        Raises:
            ToolFailed: There are none: then it was not the proxy that was used.
        """
        found = [
            (method, path, int(size))
            for method, path, size, _, _, _, _ in self._lines()
            if path != "/"  # the look whether it is up
        ]
        if not found:
            raise ToolFailed("no request came through the counting proxy")
        return found

    def copies(self) -> list[Copied]:
        """Every copy by the store that was pinned to an etag and answered with 200 so far."""
        return [
            Copied(bucket, key, etag[1:].strip('"'), float(at_s))
            for method, path, _, status, at_s, etag, _ in self._lines()
            if method == "PUT" and status == "200" and etag != "="
            for bucket, _, key in [path.removeprefix("/").partition("/")]
        ]

    def _lines(self) -> Iterator[list[str]]:
        with self.log.open(encoding="utf-8") as lines:
            yield from map(str.split, lines)

    def bytes_of_objects(self, bucket: str) -> int:
        """Bytes of all answers to ``GET`` of an object so far; its tags are none of them.

        Raises:
            ToolFailed: There are none.
        """
        sizes = [
            int(size)
            for method, path, size, _, _, _, query in self._lines()
            if method == "GET"
            and path.startswith(f"/{bucket}/")
            and path != f"/{bucket}/"
            and not query.startswith("?tagging")
        ]
        if not sizes:
            raise ToolFailed("no object was read through the counting proxy")
        return sum(sizes)


@contextmanager
def counting_proxy(directory: Path, server: Server) -> Iterator[CountingProxy]:
    """Run one in an empty directory.

    Raises:
        ToolFailed: There is no nginx.
    """
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None:
        raise ToolFailed("reads are counted by nginx, which is not installed (nginx-light)")
    port = closed_port()
    configuration = directory / "nginx.conf"
    proxy = _PROXY.format(
        directory=directory, address=f"{LOOPBACK}:{port}", endpoint=server.endpoint
    )
    configuration.write_text(nginx_configuration(directory, proxy), "utf-8")
    process = LeashedProcess(
        [nginx, "-c", str(configuration), "-e", str(directory / "start.log")],
        directory=directory,
        environment={"PATH": "/usr/bin:/bin"},
        log=directory / "nginx.log",
    )
    with serving(process, port, is_ready=lambda status: status > 0):
        seen = replace(server, name="counted", endpoint=f"http://{LOOPBACK}:{port}")
        yield CountingProxy(seen, directory / "requests")
