"""The locked requirements are complete, hashed, agree with pyproject.toml, and name no place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.tidy.repository import ROOT, Finding, files, name_of

_PLACES = re.compile(r"://|^\s*-(?!-hash=)", re.MULTILINE)
"""An address, or an option other than a hash: an index, a host, a file of somebody's disk."""

_OF_A_MACHINE = re.compile(r"(?<![\w.$})*])/(?:root|home|work|tmp|Users)/[\w.]")

_BINARY = (".png", ".jpg", ".gif", ".ico", ".gz", ".db")


def pinned(text: str) -> Iterator[tuple[Requirement, int]]:
    """Each requirement and the number of its hashes."""
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield Requirement(line.partition("--hash")[0].strip()), line.count("--hash=")


def locked(text: str) -> dict[str, tuple[Version, int]]:
    """Version and number of hashes of each requirement, by normalised name.

    Raises:
        ValueError: A requirement is not pinned to one version.
    """
    found: dict[str, tuple[Version, int]] = {}
    for requirement, hashes in pinned(text):
        (pin,) = requirement.specifier
        if pin.operator != "==":
            raise ValueError(f"{requirement} is not pinned")
        found[canonicalize_name(requirement.name)] = (Version(pin.version), hashes)
    return found


def places(text: str) -> list[str]:
    """What a lock may not have: it is installed from wherever the user's index is."""
    return _PLACES.findall(text)


def unmet(declared: list[str], pins: dict[str, tuple[Version, int]]) -> list[str]:
    """Declared requirements that no pin satisfies."""
    missing = []
    for text in declared:
        requirement = Requirement(text)
        version, _ = pins.get(canonicalize_name(requirement.name), (None, 0))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            missing.append(text)
    return missing


def extras_asked_for(requirement: Requirement) -> Iterator[Requirement]:
    """What the package, if it is installed here, needs with extras."""
    try:
        needed = requires(requirement.name) or ()
    except PackageNotFoundError:  # of another platform
        return
    for text in needed:
        need = Requirement(text)
        for extra in ("", *requirement.extras):
            if need.extras and (need.marker is None or need.marker.evaluate({"extra": extra})):
                yield need


def extras_not_pinned(text: str) -> list[str]:
    """Packages that others need with extras, and that are pinned without.

    A package with extras is another one to pip: without a pin it takes the newest, and refuses that
    for want of a hash (pip 23.0.1).
    """
    pins = {canonicalize_name(pin.name): pin.extras for pin, _ in pinned(text)}
    return [
        str(need)
        for pin, _ in pinned(text)
        for need in extras_asked_for(pin)
        if not need.extras <= pins[canonicalize_name(need.name)]
    ]


def paths_of_a_machine(text: str, name: str) -> list[Finding]:
    """Absolute paths that exist on one developer's machine only."""
    return [
        Finding(name, number, line.strip())
        for number, line in enumerate(text.splitlines(), start=1)
        if _OF_A_MACHINE.search(line)
    ]


@pytest.fixture(name="project")
def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


FUNCTIONS = "../src/s3fanout/deploy/lambda.txt"


def lock(name: str) -> str:
    return (ROOT / "requirements" / name).read_text("utf-8")


@pytest.mark.parametrize("name", ["dev.txt", "run.txt", "uv.txt", FUNCTIONS])
def test_every_requirement_is_pinned_and_hashed(name: str) -> None:
    pins = locked(lock(name))
    assert pins != {}
    assert [package for package, (_, hashes) in pins.items() if hashes == 0] == []
    assert places(lock(name)) == []


@pytest.mark.parametrize("name", ["dev.txt", "run.txt", "uv.txt", FUNCTIONS])
def test_what_is_needed_with_extras_is_pinned_with_them(name: str) -> None:
    assert extras_not_pinned(lock(name)) == [], "run scripts/lock"


def test_what_is_tested_is_what_users_install() -> None:
    run, dev = locked(lock("run.txt")), locked(lock("dev.txt"))
    assert {name: dev.get(name) for name in run} == run
    versions = {name: version for name, (version, _) in dev.items()}
    functions = {name: version for name, (version, _) in locked(lock(FUNCTIONS)).items()}
    assert {name: versions.get(name) for name in functions} == functions


def test_the_locks_hold_what_the_project_declares(project: dict[str, Any]) -> None:
    product = [*project["project"]["dependencies"]]
    product += project["project"]["optional-dependencies"]["demo"]
    groups = project["dependency-groups"]
    backend = project["build-system"]["requires"]
    hint = "run scripts/lock"
    assert unmet(product, locked(lock("run.txt"))) == [], hint
    assert unmet([*product, *groups["dev"], *backend], locked(lock("dev.txt"))) == [], hint
    assert unmet(groups["uv"], locked(lock("uv.txt"))) == [], hint
    assert unmet(groups["lambda"], locked(lock(FUNCTIONS))) == [], hint


def test_no_file_names_a_path_of_one_machine() -> None:
    texts = [path for path in files() if not path.name.endswith(_BINARY)]
    assert [
        finding
        for path in texts
        for finding in paths_of_a_machine(path.read_text("utf-8"), name_of(path))
    ] == []


def test_the_rule_on_pins_can_fail() -> None:
    assert locked("a==1 \\\n    --hash=sha256:0\n    # via b\n") == {"a": (Version("1"), 1)}
    with pytest.raises(ValueError, match="not pinned"):
        locked("a>=1")


def test_the_rule_on_extras_can_fail() -> None:
    assert extras_not_pinned("pytest-cov==7\ncoverage[toml]==7\n") == []
    (need,) = extras_not_pinned("pytest-cov==7\ncoverage==7\n")
    assert need.startswith("coverage[toml]")


@pytest.mark.parametrize(
    "line", ["--index-url x", "-f folder", "--extra-index-url x", "a @ https://x/a.whl"]
)
def test_the_rule_on_places_can_fail(line: str) -> None:
    assert places("a==1 \\\n    --hash=sha256:0\n    # via b, -c requirements/dev.txt\n") == []
    assert places(f"a==1\n{line}\n") != []


def test_the_rule_on_declared_requirements_can_fail() -> None:
    pins = {"a-b": (Version("1.5"), 1)}
    assert unmet(["A_b[x]>=1; sys_platform != 'win32'"], pins) == []
    assert unmet(["a-b>=2", "c"], pins) == ["a-b>=2", "c"]


@pytest.mark.parametrize("folder", ["home", "tmp", "root"])
def test_the_rule_on_paths_can_fail(folder: str) -> None:
    assert paths_of_a_machine(f"cd /{folder}/me", "s") != []
    assert paths_of_a_machine(f"photos/{folder}/me and /var/{folder}/me", "s") == []
