"""How an AWS deployment is laid out: the words of settings, template and functions."""

from __future__ import annotations

from enum import StrEnum


class Topology(StrEnum):
    """How events reach the functions."""

    CLASSIC = "classic"
    """Topic → function, as the walkthrough of 2016 has it: no queue, no ledger."""
    DURABLE = "durable"
    """Topic or event bus → queue → function, with dead-letter queues, a ledger and alarms."""


class EventRoute(StrEnum):
    """How the source bucket's events reach the queues."""

    SNS = "sns"
    """One entry in the bucket's notifications, one topic."""
    EVENTBRIDGE = "eventbridge"
    """The bucket's EventBridge flag: never collides with the notifications of others."""


class Architecture(StrEnum):
    """What the functions run on."""

    ARM64 = "arm64"
    X86_64 = "x86_64"


class PythonVersion(StrEnum):
    """Runtimes of Lambda that the functions' libraries have wheels for."""

    V3_11 = "3.11"
    V3_12 = "3.12"
    V3_13 = "3.13"
