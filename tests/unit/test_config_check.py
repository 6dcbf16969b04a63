"""Relations between settings, and the proof that two sets of keys have no key in common."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3fanout.config.keyspace import may_overlap, replica_keys, wanted_keys
from s3fanout.config.load import parse
from s3fanout.config.problems import ConfigProblems, Problem, Severity
from s3fanout.decide.match import refusal, replica_key
from s3fanout.model.rules import KeyFilter, KeyMap, Rule

HEAD = """\
schema = 1
[intake.webhook]
token = { env = "TOKEN" }
[source]
bucket = "photos"
"""
TO_PARIS = '[destinations.paris]\nbucket = "photos-paris"\n'


def found(text: str) -> tuple[Problem, ...]:
    """All problems, errors and warnings."""
    try:
        return parse(text, path=Path("c.toml"), env={}).warnings
    except ConfigProblems as error:
        return tuple(error.problems)


def summary(text: str) -> list[tuple[str, int | None]]:
    return [(problem.path, problem.line) for problem in found(text)]


def test_nothing_is_wrong_with_the_least_configuration() -> None:
    assert found(HEAD + TO_PARIS) == ()


def test_no_destination_and_no_intake_are_both_reported() -> None:
    problems = found('schema = 1\n[source]\nbucket = "photos"\n')
    assert [str(problem) for problem in problems] == [
        (
            "c.toml: destinations: there is no destination; "
            'add a section such as [destinations.replica] with bucket = "…"'
        ),
        (
            "c.toml: intake: changes cannot become known; "
            "add [intake.webhook] (stores post events), [intake.sqs] (events are fetched), or "
            "[aws] (a deployment on AWS)"
        ),
    ]


def test_a_daemon_without_enabled_destination_would_throw_events_away() -> None:
    (problem,) = found(HEAD + TO_PARIS + "enabled = false\n")
    assert problem.message.startswith("no destination is enabled")


@pytest.mark.parametrize(
    ("settings", "path", "line"),
    [
        ('[limits]\nretry_base = "2s"\nretry_cap = "1s"', "limits.retry_cap", 10),
        ('[limits]\nretry_base = "6m"', "limits.retry_cap", 9),
        ('[limits]\nrequest_timeout = "4s"', "limits.request_timeout", 9),
        ('[limits]\n\nconnect_timeout = "2m"', "limits.request_timeout", 10),
        ('[limits]\nstream_memory = "1MiB"', "limits.stream_memory", 9),
        ('[limits]\npart_size = "129MiB"', "limits.stream_memory", 9),
        ('size_max = "1KB"\nsize_min = "1KiB"', "destinations.paris.size_min", 9),
        ('copy = "server"\nendpoint = "http://other"', "destinations.paris.copy", 8),
        (
            'addressing = "virtual"\nendpoint = "http://127.0.0.1:1"',
            "destinations.paris.addressing",
            8,
        ),
        (
            'addressing = "virtual"\nendpoint = "http://[::1]:1"',
            "destinations.paris.addressing",
            8,
        ),
    ],
)
def test_relations_that_are_errors(settings: str, path: str, line: int) -> None:
    (problem,) = found(f"{HEAD}{TO_PARIS}{settings}\n")
    assert (problem.path, problem.line, problem.severity) == (path, line, Severity.ERROR)


@pytest.mark.parametrize(
    "settings",
    [
        '[limits]\nretry_base = "5m"',
        '[limits]\nrequest_timeout = "5s"',
        '[limits]\nstream_memory = "8MiB"',
        'size_max = "1KB"\nsize_min = "1KB"',
        'copy = "server"\ncredentials = { env = "OTHER" }',
        'addressing = "virtual"\nendpoint = "http://localhost:1"',
        'endpoint = "https://s3.example.com"\nca_file = "ca.pem"',
        '[server]\nlisten = "0.0.0.0:80"',
    ],
)
def test_relations_that_just_hold(settings: str) -> None:
    assert found(f"{HEAD}{TO_PARIS}{settings}\n") == ()


def test_warnings_do_not_stop_anything() -> None:
    problems = found(
        f'{HEAD}endpoint = "http://ceph"\nca_file = "ca.pem"\n[destinations.paris]\n'
        'bucket = "Old_Bucket"\ninclude.prefixes = ["a/"]\nstrip_prefix = "b/"\nendpoint = "aws"\n'
    )
    assert [(problem.path, problem.line, problem.severity) for problem in problems] == [
        ("source.ca_file", 7, Severity.WARNING),
        ("destinations.paris", 8, Severity.WARNING),
        ("destinations.paris.bucket", 9, Severity.WARNING),
    ]
    assert str(problems[0]) == (
        "c.toml:7: warning: source.ca_file: has no effect, the endpoint is not https"
    )


@pytest.mark.parametrize(
    ("bucket", "is_noted"),
    [
        ("abc", False),
        ("a.b-c", False),
        ("1bucket", False),
        ("x" * 63, False),
        ("ab", True),
        ("x" * 64, True),
        ("Abc", True),
        ("a_c", True),
        ("-abc", True),
        ("abc.", True),
        ("a..b", True),
        ("192.168.5.4", True),
    ],
)
def test_bucket_names(bucket: str, is_noted: bool) -> None:
    problems = found(HEAD + f'[destinations.paris]\nbucket = "{bucket}"\n')
    assert [problem.severity for problem in problems] == [Severity.WARNING] * is_noted


@pytest.mark.parametrize(
    ("listen", "is_refused"),
    [
        ("127.0.0.1:1", False),
        ("127.9.9.9:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("10.0.0.1:1", True),
        ("example.com:1", True),
    ],
)
def test_a_server_that_others_reach_has_a_token(listen: str, is_refused: bool) -> None:
    sqs = '[intake.sqs]\nqueue_url = "https://sqs.x.amazonaws.com/1/q"\n'
    server = f'[server]\nlisten = "{listen}"\n'
    without_token = HEAD.replace('[intake.webhook]\ntoken = { env = "TOKEN" }\n', "")
    assert summary(HEAD + TO_PARIS + sqs + server) == []
    expected = [("server.listen", 9)] * is_refused
    assert summary(without_token + TO_PARIS + sqs + server) == expected


# --- loops -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "is_loop"),
    [
        ("", True),
        ('add_prefix = "copy/"', True),
        ('add_prefix = "copy/"\nexclude.prefixes = ["copy/"]', False),
        ('add_prefix = "copy/"\nexclude.prefixes = ["cop"]', False),
        ('add_prefix = "copy/"\nexclude.prefixes = ["copy/x"]', True),
        ('add_prefix = "copy/"\nexclude.globs = ["copy/**"]', False),
        ('add_prefix = "copy/"\nexclude.globs = ["copy/*"]', True),
        ('add_prefix = "copy/"\ninclude.prefixes = ["raw/"]', False),
        ('add_prefix = "copy/"\ninclude.globs = ["raw/**/*.jpg"]', False),
        ('add_prefix = "copy/"\ninclude.prefixes = ["raw/", "c"]', True),
        ('add_prefix = "copy/"\ninclude.suffixes = [".jpg"]', True),
        ('add_prefix = "raw/"\ninclude.prefixes = ["raw/"]', True),
        ('strip_prefix = "raw/"\nadd_prefix = "copy/"', False),
        ('strip_prefix = "raw/"', True),
        ('strip_prefix = "raw/"\nadd_prefix = "raw/copy/"', True),
        ('strip_prefix = "raw/"\nadd_prefix = "copy/"\nsize_max = "1B"', False),
        ('add_prefix = "copy/"\nsize_max = "1B"', True),
        ('enabled = false\nadd_prefix = "copy/"', False),
        ('endpoint = "http://other"', False),
        ('region = "eu-west-1"', True),
        ('credentials = { env = "OTHER" }', True),
    ],
)
def test_replicas_in_the_source_bucket(settings: str, is_loop: bool) -> None:
    text = f'{HEAD}[destinations.paris]\nbucket = "photos-paris"\n'
    text += f'[destinations.inside]\nbucket = "photos"\n{settings}\n'
    problems = found(text)
    assert [(each.path, each.line) for each in problems] == [
        ("destinations.inside.bucket", 9)
    ] * is_loop
    assert all(each.message.endswith("this rule wants them") for each in problems)


def test_a_loop_over_two_destinations() -> None:
    text = HEAD + (
        '[destinations.a]\nbucket = "photos"\nstrip_prefix = "x/"\nadd_prefix = "y/"\n'
        '[destinations."b.b"]\nbucket = "photos"\nstrip_prefix = "y/"\nadd_prefix = "x/"\n'
    )
    problems = found(text)
    assert [each.path for each in problems] == [
        "destinations.a.bucket",
        'destinations."b.b".bucket',
    ]
    assert problems[0].message.endswith('and "b.b" leads back')
    assert problems[0].related == ("source.bucket", 'destinations."b.b"')


def test_a_chain_that_ends_is_no_loop() -> None:
    text = HEAD + (
        '[destinations.a]\nbucket = "photos"\nstrip_prefix = "x/"\nadd_prefix = "y/"\n'
        '[destinations.b]\nbucket = "photos"\nstrip_prefix = "y/"\nadd_prefix = "z/"\n'
        '[destinations.c]\nbucket = "photos-all"\n'
    )
    assert found(text) == ()


# --- two destinations in one bucket ----------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ("", "", True),
        ('add_prefix = "a/"', 'add_prefix = "b/"', False),
        ('add_prefix = "a/"', 'add_prefix = "a/b/"', True),
        ('add_prefix = "a/"', "", True),
        ('include.prefixes = ["a/"]', 'include.prefixes = ["b/"]', False),
        ('include.prefixes = ["a/"]', 'exclude.prefixes = ["a/"]', False),
        ('include.suffixes = [".jpg"]', 'exclude.suffixes = [".jpg"]', False),
        ('include.suffixes = [".jpg"]', 'include.suffixes = [".png", ".gif"]', False),
        ('include.suffixes = [".jpg"]', 'include.suffixes = [".jpeg"]', False),
        ('include.suffixes = [".jpeg"]', 'include.suffixes = [".jpg"]', False),
        ('include.suffixes = [".jpg"]', 'include.suffixes = ["x.jpg"]', True),
        ('include.globs = ["**/*.jpg"]', 'include.globs = ["**/*.png"]', False),
        ('include.prefixes = ["a/"]\nstrip_prefix = "a/"', 'include.prefixes = ["b/"]', True),
        ('key = "flat/{name}"', 'add_prefix = "flat/"', True),
        ('key = "flat/{name}"', 'add_prefix = "deep/"', False),
        ('key = "{path}v1/{name}"', 'key = "{path}v2/{name}"', True),  # "v2/" may be a path
        ('key = "v1/{key}"', 'key = "v2/{key}"', False),
        ('key = "{path}{stem}{ext}.a"', 'key = "{key}.b"', False),
        # One lossy template, keys that are apart: their names may still be the same.
        (
            'include.prefixes = ["a/"]\nkey = "{name}"',
            'include.prefixes = ["b/"]\nkey = "{name}"',
            True,
        ),
        ('endpoint = "http://other"', "", False),
        ("enabled = false", "", False),
        ('size_max = "1B"', 'size_min = "2B"', True),
    ],
)
def test_two_destinations_in_one_bucket(one: str, other: str, collide: bool) -> None:
    text = (
        f'{HEAD}[destinations.one]\nbucket = "photos-2"\n{one}\n'
        f'[destinations.other]\nbucket = "photos-2"\n{other}\n'
    )
    assert [each.path for each in found(text)] == ["destinations.other.bucket"] * collide


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ('version_deletes = "replicate"', "destinations.paris.version_deletes"),
        ('versions = "all"\nkey = "flat/{name}"', "destinations.paris.key"),
        ('versions = "all"\nloop_guard = true', "destinations.paris.loop_guard"),
        ('versions = "all"\n[aws]\n', "destinations.paris.versions"),
    ],
)
def test_what_does_not_go_with_all_versions(settings: str, path: str) -> None:
    assert path in [each.path for each in found(HEAD + TO_PARIS + settings)]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ("[intake.sweep]\nreplicas = false\n", "intake.sweep.replicas"),
        ('[aws]\ntopology = "durable"\n[intake.sweep]\nrecent = "1m"\n', "intake.sweep.recent"),
        ('[aws]\ntopology = "durable"\n[intake.sweep]\nrate = 5\n', "intake.sweep.rate"),
    ],
)
def test_what_a_sweep_cannot_be_told(settings: str, path: str) -> None:
    assert path in [each.path for each in found(HEAD + TO_PARIS + settings)]


def test_all_versions_go_with_a_template_that_keeps_keys_apart() -> None:
    wanted = 'versions = "all"\nversion_deletes = "replicate"\nkey = "all/{key}"\n'
    assert found(HEAD + TO_PARIS + wanted) == ()


def test_a_key_template_says_the_whole_key() -> None:
    text = HEAD + '[destinations.a]\nbucket = "photos-2"\nkey = "x/{key}"\nadd_prefix = "y/"\n'
    assert [each.path for each in found(text)] == ["destinations.a.key"]


def test_every_pair_is_looked_at() -> None:
    text = HEAD + "".join(f'[destinations.{n}]\nbucket = "photos-2"\n' for n in "abc")
    assert [each.related for each in found(text)] == [
        ("destinations.a.bucket",),
        ("destinations.a.bucket",),
        ("destinations.b.bucket",),
    ]


# --- the proof is sound ----------------------------------------------------------------------

_ALPHABET = "ab/"
_ALL_KEYS = ["".join(key) for n in range(1, 6) for key in product(_ALPHABET, repeat=n)]
_TEXTS = st.text(_ALPHABET, max_size=3)
_LISTS = st.lists(_TEXTS, max_size=2).map(tuple)
_GLOBS = st.lists(
    st.lists(st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "[ab]", "[!b]"]), max_size=4)
    .map("".join)
    .filter(bool),
    max_size=2,
).map(tuple)
_TEMPLATES = st.builds(
    "".join,
    st.tuples(
        _TEXTS,
        st.sampled_from(["{key}", "{path}", "{name}", "{stem}", "{ext}"]),
        _TEXTS,
        st.sampled_from(["{key}", "{path}", "{name}", "{stem}", "{ext}", ""]),
        _TEXTS,
    ),
)
_RULES = st.builds(
    Rule,
    destination=st.just("d"),
    filter=st.builds(
        KeyFilter,
        include_prefixes=_LISTS,
        include_suffixes=_LISTS,
        include_globs=_GLOBS,
        exclude_prefixes=_LISTS,
        exclude_suffixes=_LISTS,
        exclude_globs=_GLOBS,
    ),
    key_map=st.one_of(
        st.builds(KeyMap, strip_prefix=_TEXTS, add_prefix=_TEXTS),
        st.builds(KeyMap, strip_prefix=_TEXTS, template=_TEMPLATES),
    ),
)


def _wanted(rule: Rule) -> set[str]:
    return {key for key in _ALL_KEYS if refusal(rule, key, None) is None}


def _replicas(rule: Rule) -> set[str]:
    return {replica_key(rule.key_map, key) for key in _wanted(rule)}


@given(_RULES, _RULES)
def test_what_is_proved_disjoint_is_disjoint(one: Rule, other: Rule) -> None:
    """Against every key of up to five characters of a small alphabet."""
    if wanted_keys(one).is_empty:
        assert not _wanted(one)
    if not may_overlap(wanted_keys(one), wanted_keys(other)):
        assert not _wanted(one) & _wanted(other)
    if not may_overlap(replica_keys(one), wanted_keys(other)):
        assert not _replicas(one) & _wanted(other)
    if not may_overlap(replica_keys(one), replica_keys(other)):
        assert not _replicas(one) & _replicas(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The "/" of the suffix is part of what is stripped: the replica of "a/b" is "b".
        (
            Rule("d", KeyFilter(include_suffixes=("/b",)), KeyMap(strip_prefix="a/")),
            Rule("e", KeyFilter(exclude_suffixes=("/b",))),
        ),
        # "**/" stands for nothing too: the glob fits "b", which does not end with "/b".
        (
            Rule("d", KeyFilter(include_globs=("**/b",))),
            Rule("e", KeyFilter(exclude_suffixes=("/b",))),
        ),
    ],
)
def test_keys_in_common_that_are_easily_overlooked(one: Rule, other: Rule) -> None:
    assert "b" in _replicas(one) & _wanted(other)
    assert may_overlap(replica_keys(one), wanted_keys(other))


@pytest.mark.parametrize(
    ("streamed", "limits", "enough"),
    [
        (7, "", None),
        (8, "", "144MiB"),
        (1, 'part_size = "1MiB"\nstream_memory = "20MiB"', None),
        (1, 'part_size = "1MiB"\nstream_memory = "19MiB"', "20MiB"),
        (3, 'part_size = "64MiB"', "512MiB"),
    ],
)
def test_memory_has_a_part_for_each_streamed_destination(
    streamed: int, limits: str, enough: str | None
) -> None:
    near = "".join(f'[destinations.near-{n}]\nbucket = "near-{n}"\n' for n in range(20))
    far = "".join(
        f'[destinations.far-{n}]\nbucket = "far-{n}"\nendpoint = "https://far"\n'
        for n in range(streamed)
    )
    problems = found(f"{HEAD}{near}{far}[limits]\n{limits}\n")
    assert [problem.severity for problem in problems] == [Severity.WARNING] * bool(enough)
    assert [problem.hint for problem in problems] == [f"{enough} is enough"] * bool(enough)


KEYED = 'customer_key = { env = "KEY" }\n'


@pytest.mark.parametrize(
    ("text", "path", "severity"),
    [
        (HEAD + KEYED + TO_PARIS + KEYED, None, None),
        (
            HEAD + TO_PARIS + 'encryption = "aws:kms"\n' + KEYED,
            "destinations.paris.customer_key",
            Severity.ERROR,
        ),
        (
            HEAD + 'endpoint = "http://store"\n' + KEYED + TO_PARIS,
            "source.customer_key",
            Severity.WARNING,
        ),
        (
            'schema = 1\n[aws]\n[source]\nbucket = "photos"\n' + KEYED + TO_PARIS,
            "source.customer_key",
            Severity.ERROR,
        ),
    ],
)
def test_a_customers_key_is_the_only_encryption_and_never_in_the_clear(
    text: str, path: str | None, severity: Severity | None
) -> None:
    problems = [problem for problem in found(text) if problem.path.endswith("customer_key")]
    assert [(problem.path, problem.severity) for problem in problems] == (
        [] if path is None else [(path, severity)]
    )
