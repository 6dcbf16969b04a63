"""Where a bucket is: endpoint, region and addressing."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from s3fanout.model.errors import Misconfigured

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST_SAFE_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_BASE_PATH = re.compile(r"(?:/[A-Za-z0-9~_-][A-Za-z0-9._~-]*)*")


class Addressing(StrEnum):
    """Where the bucket's name goes."""

    AUTO = "auto"
    """Virtual-host on AWS for names that are safe in a host name, else path."""
    PATH = "path"
    VIRTUAL_HOST = "virtual-host"


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """How requests to one bucket begin.

    Attributes:
        base: ``https://host`` or ``https://host:port``.
        host: Value of the ``host`` header: the default port is not in it.
        path_prefix: Comes before ``/key`` and, where empty, the bucket itself is ``/``.
    """

    base: str
    host: str
    path_prefix: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An S3 endpoint.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Lower-case name or address; an IPv6 address has its brackets.
        port: TCP port.
        region: Region that requests are signed for (``us-east-1`` where a vendor has none).
        addressing: See ``Addressing``.
        base_path: In front of every path, for vendors that keep S3 below one; ``""`` or ``/…``.
    """

    scheme: str
    host: str
    port: int
    region: str
    addressing: Addressing = Addressing.AUTO
    base_path: str = ""

    @staticmethod
    def parse(url: str, *, region: str, addressing: Addressing = Addressing.AUTO) -> Endpoint:
        """The endpoint of a URL such as ``https://s3.example.com:9000``.

        Raises:
            Misconfigured: Not such a URL, or one with credentials, query or fragment. The text
                does not repeat the URL: it may hold a password.
        """
        if not url.isprintable():  # urlsplit would drop line breaks without a word
            raise Misconfigured("endpoint has control characters")
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname or ""
        except ValueError as error:
            raise Misconfigured(f"endpoint is not a URL reason={str(error)!r}") from error
        if parts.scheme not in _DEFAULT_PORTS or not host:
            raise Misconfigured(
                "endpoint is not a URL", hint="write it as https://host or http://host:port"
            )
        if "@" in parts.netloc or parts.query or parts.fragment:
            raise Misconfigured(
                "endpoint has more than scheme, host, port and path",
                hint="credentials are settings of their own",
            )
        if port == 0:
            raise Misconfigured("endpoint has port 0")
        base_path = parts.path.rstrip("/")
        if not _BASE_PATH.fullmatch(base_path):
            raise Misconfigured(
                "endpoint has a path with characters other than A-Z a-z 0-9 . _ ~ -"
            )
        return Endpoint(
            scheme=parts.scheme,
            host=_host(host),
            port=port or _DEFAULT_PORTS[parts.scheme],
            region=region,
            addressing=addressing,
            base_path=base_path,
        )

    def address(self, bucket: str) -> BucketAddress:
        """How requests to ``bucket`` begin."""
        host = self.host
        path = f"{self.base_path}/{bucket}"
        if self._in_host(bucket):
            host = f"{bucket}.{host}"
            path = self.base_path
        host += self._port_suffix
        return BucketAddress(f"{self.scheme}://{host}", host, path)

    def name_of(self, bucket: str) -> str:
        """A name of the bucket that is the same however it is addressed."""
        return f"{self.scheme}://{self.authority}{self.base_path}/{bucket}"

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: the value of a ``host`` header."""
        return self.host + self._port_suffix

    @property
    def _port_suffix(self) -> str:
        return "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"

    def _in_host(self, bucket: str) -> bool:
        if self.addressing is not Addressing.AUTO:
            return self.addressing is Addressing.VIRTUAL_HOST
        # A dot in the name would not match AWS's wildcard certificate.
        on_aws = self.host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu"))
        return on_aws and _HOST_SAFE_BUCKET.fullmatch(bucket) is not None


def _host(host: str) -> str:
    if ":" in host:
        try:
            address = ipaddress.IPv6Address(host)
        except ValueError as error:
            raise Misconfigured("endpoint has a host that is no IPv6 address") from error
        if address.scope_id is not None:
            raise Misconfigured("endpoint has an IPv6 address with a zone, which no URL can carry")
        return f"[{address}]"
    if not _HOST.fullmatch(host):
        raise Misconfigured(
            "endpoint has a host that is not plain ASCII letters, digits, dots and hyphens",
            hint="write an international name in its xn-- form",
        )
    return host
