"""The zip of the functions: what is in it, and that it is the same every time."""

from __future__ import annotations

import io
import zipfile

import pytest

from s3fanout.deploy.package import build_package
from s3fanout.model.errors import Misconfigured


@pytest.mark.slow
def test_the_package_is_small_reproducible_and_of_the_asked_architecture() -> None:
    package = build_package("arm64", "3.13")
    again = build_package("arm64", "3.13")
    assert package.sha256 == again.sha256
    assert package.content == again.content
    assert package.size == len(package.content) < 10_000_000
    with zipfile.ZipFile(io.BytesIO(package.content)) as archive:
        names = archive.namelist()
    assert names == sorted(names)
    assert "s3fanout/awslambda/handler.py" in names
    libraries = [name for name in names if name.endswith(".so")]
    assert libraries != []
    assert [name for name in libraries if "aarch64" not in name] == []
    assert [name for name in names if name.startswith(("s3fanout/cli", "boto"))] == []


def test_a_platform_without_wheels_is_refused() -> None:
    with pytest.raises(Misconfigured, match="could not fetch"):
        build_package("arm64", "2.7")
