"""Stores behind an authority of one's own, and behind a proxy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Install, NewPlace
from tests.e2e.evidence import get, keys
from tests.e2e.installation import until
from tests.e2e.notices import write_and_tell
from tests.servers.certificates import NAME, authority
from tests.servers.relay import forward_proxy, tls_front
from tests.servers.seaweedfs import DOMAIN
from tests.servers.server import Server

pytestmark = pytest.mark.stores


def test_a_store_whose_authority_is_our_own(
    install: Install,
    new_place: NewPlace,
    seaweedfs: Server,
    tmp_path: Path,
) -> None:
    """With ``ca_file`` its objects arrive; without it nothing is sent to it."""
    signer = authority(tmp_path)
    source, known, unknown = (new_place(seaweedfs, name) for name in ("source", "known", "unknown"))
    with tls_front(seaweedfs.endpoint, signer.server_context()) as https:
        server = replace(seaweedfs, endpoint=https)
        installation = install(
            source=source,
            destinations={
                "known": replace(known, server=server, settings={"ca_file": f'"{signer.root}"'}),
                "unknown": replace(unknown, server=server),
            },
        )
        checked = installation.command("check", "--json")
        installation.start()
        write_and_tell(installation, source, "key")
        installation.wait_replicated(1, "known")
        until(
            lambda: installation.api_status()["unknown"]["last_error"] is not None,
            what="the other destination says why not",
        )
        installation.kill()
    assert get(known, "key").content == b"content of key"
    assert keys(unknown) == set()
    failed = {row["target"] for row in checked.json["findings"] if row["grade"] == "failed"}
    assert failed == {"unknown"}


def test_a_store_that_only_a_proxy_can_reach(
    install: Install, new_place: NewPlace, ministack: Server, seaweedfs: Server
) -> None:
    """Its name resolves nowhere but in the proxy; the source is reached directly."""
    source, to = new_place(seaweedfs, "source"), new_place(ministack, "to")
    seen: list[str] = []
    with forward_proxy({"s3.localhost": ministack.endpoint}, seen) as proxy:
        installation = install(
            source=source,
            destinations={
                "to": replace(to, server=replace(ministack, endpoint="http://s3.localhost"))
            },
        )
        installation.environment |= {"http_proxy": proxy, "no_proxy": "127.0.0.1"}
        installation.start()
        write_and_tell(installation, source, "a b/key", "other")
        installation.wait_replicated(2)
        installation.kill()
    assert get(to, "a b/key").content == b"content of a b/key"
    assert seen


def test_a_store_with_an_authority_of_our_own_behind_a_proxy(
    install: Install,
    new_place: NewPlace,
    ministack: Server,
    seaweedfs: Server,
    tmp_path: Path,
) -> None:
    """The proxy joins two connections, and reads nothing of what they say."""
    signer = authority(tmp_path)
    source, to = new_place(seaweedfs, "source"), new_place(ministack, "to")
    seen: list[str] = []
    with (
        tls_front(ministack.endpoint, signer.server_context()) as https,
        forward_proxy({f"{NAME}:443": https}, seen) as proxy,
    ):
        server = replace(ministack, endpoint=f"https://{NAME}")
        trusted = replace(to, server=server, settings={"ca_file": f'"{signer.root}"'})
        installation = install(source=source, destinations={"to": trusted})
        installation.environment |= {"https_proxy": proxy}
        installation.start()
        write_and_tell(installation, source, "a b/key")
        installation.wait_replicated(1)
        installation.kill()
    assert get(to, "a b/key").content == b"content of a b/key"
    assert set(seen) == {f"{NAME}:443"}


def test_buckets_in_the_host_name(
    install: Install, new_place: NewPlace, seaweedfs: Server, minio_frontend: Server
) -> None:
    """Read, copied by the store and streamed; ``check`` finds nothing wrong with it."""
    by_name = replace(seaweedfs, endpoint=f"http://{DOMAIN}")
    virtual = {"addressing": '"virtual"'}
    source = new_place(seaweedfs, "source")
    near, far = new_place(seaweedfs, "near"), new_place(minio_frontend, "far")
    seen: list[str] = []
    names = {f"{place.bucket}.{DOMAIN}": seaweedfs.endpoint for place in (source, near)}
    with forward_proxy(names, seen) as proxy:
        installation = install(
            source=replace(source, server=by_name, settings=virtual),
            destinations={"near": replace(near, server=by_name, settings=virtual), "far": far},
        )
        installation.environment |= {"http_proxy": proxy, "no_proxy": "127.0.0.1"}
        checked = installation.command("check", "--json")
        installation.start()
        write_and_tell(installation, source, "a b/\N{SNOWMAN}+%2F", "other")
        installation.wait_replicated(2)
        installation.kill()
    for place in (near, far):
        assert get(place, "a b/\N{SNOWMAN}+%2F").content.startswith(b"content of a b/")
    assert checked.code == 0, checked.json
    assert set(seen) == set(names)
