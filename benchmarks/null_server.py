"""A server that answers every copy at once: what remains is the client's own cost.

nginx from PATH with canned answers and a count of requests (``stub_status``). Where there is no
nginx (Debian: ``apt-get install nginx-light``), ``canned_server.py`` takes its place; it is slower
than the fastest clients, so copies/s are then a lower bound.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from s3fanout.adapters.store.leashed_process import LeashedProcess
from tests.servers.server import LOOPBACK, closed_port, serving

ETAG = "0f343b0931126a20f133d67c2b018a3b"
SIZE_BYTES = 1024
MODIFIED = "2026-11-01T00:00:00.000Z"
COPY_RESULT = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    f'<LastModified>{MODIFIED}</LastModified><ETag>"{ETAG}"</ETag></CopyObjectResult>'
)
NGINX = """\
{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  server_tokens off;
  keepalive_requests 100000000;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
{rest}
}}
"""
_SERVER = """\
  server {{
    listen {address} backlog=4096;
    default_type application/xml;
    location = /requests {{ stub_status; }}
    location ~ ^/source/?$ {{ root {directory}; try_files /listing.xml =404; }}
    location /source/ {{ add_header ETag '"{etag}"'; return 200 '{object}'; }}
    location / {{ return 200 '{result}'; }}
  }}
"""


@dataclass(frozen=True, slots=True)
class NullServer:
    """A running server.

    Attributes:
        kind: ``nginx`` or ``asyncio``.
        endpoint: URL.
    """

    kind: str
    endpoint: str

    def requests(self) -> int:
        """Requests so far; each look is one itself, and is counted after it was answered."""
        with urlopen(f"{self.endpoint}/requests") as answer:
            return int(answer.read().split()[9])


@contextmanager
def null_server(directory: Path, keys: Sequence[str]) -> Iterator[NullServer]:
    """Serve bucket ``source``, which lists ``keys``; every ``PUT`` elsewhere is a copy that worked.

    Args:
        directory: Empty; absolute.
        keys: Characters that mean nothing in XML.
    """
    (directory / "listing.xml").write_text(_listing(keys), "utf-8")
    port = closed_port()
    nginx = shutil.which("nginx", path=f"{_path()}:/usr/sbin:/usr/local/sbin")
    if nginx is None:
        script = Path(__file__).with_name("canned_server.py")
        argv = [sys.executable, str(script), str(port), str(directory / "listing.xml")]
    else:
        configuration = directory / "nginx.conf"
        server = _SERVER.format(
            address=f"{LOOPBACK}:{port}",
            directory=directory,
            etag=ETAG,
            object="x" * SIZE_BYTES,
            result=COPY_RESULT,
        )
        configuration.write_text(nginx_configuration(directory, server), "utf-8")
        argv = [nginx, "-c", str(configuration), "-e", str(directory / "start.log")]
    process = LeashedProcess(
        argv, directory=directory, environment={"PATH": _path()}, log=directory / "server.log"
    )
    with serving(process, port, is_ready=lambda status: status == 200):
        yield NullServer("asyncio" if nginx is None else "nginx", f"http://{LOOPBACK}:{port}")


def nginx_configuration(directory: Path, http: str) -> str:
    """A whole configuration with these directives in ``http``."""
    # Started by root, its worker would give up the right to read our directories.
    user = "user root;" if os.geteuid() == 0 else ""
    return NGINX.format(directory=directory, rest=http, user=user)


def _path() -> str:
    return ":".join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])


def _listing(keys: Sequence[str]) -> str:
    rows = "".join(
        f"<Contents><Key>{key}</Key><LastModified>{MODIFIED}</LastModified>"
        f"<ETag>&quot;{ETAG}&quot;</ETag><Size>{SIZE_BYTES}</Size>"
        "<StorageClass>STANDARD</StorageClass></Contents>"
        for key in keys
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Name>source</Name><Prefix></Prefix><IsTruncated>false</IsTruncated>"
        f"<KeyCount>{len(keys)}</KeyCount><MaxKeys>{len(keys)}</MaxKeys>{rows}</ListBucketResult>"
    )
