"""Amazon SNS: the envelope around the message that S3 or EventBridge published.

The same fields arrive by HTTP(S), in the body of an SQS message (unless the subscription has raw
message delivery) and, as ``Sns``, in a record of a Lambda event. Control messages are never acted
upon: opening ``SubscribeURL`` would let anybody who can post to us make us send requests.
(Amazon SNS developer guide, "Parsing message formats".)
"""

from __future__ import annotations

from urllib.parse import urlsplit

from s3fanout.intake.fields import printable, quoted
from s3fanout.model.errors import MalformedEvent
from s3fanout.model.events import Ignored

_NOTIFICATION = "Notification"
_SUBSCRIPTION = "SubscriptionConfirmation"
_UNSUBSCRIPTION = "UnsubscribeConfirmation"
_TYPES = frozenset({_NOTIFICATION, _SUBSCRIPTION, _UNSUBSCRIPTION})
_HOST_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn")


def is_envelope(document: dict[str, object]) -> bool:
    """Whether a document is an SNS message of any type."""
    kind = document.get("Type")
    return isinstance(kind, str) and kind in _TYPES


def unwrap(envelope: dict[str, object]) -> str | Ignored:
    """The text that was published, or what to do about a control message.

    Raises:
        MalformedEvent: ``unknown-shape``: a notification without text.
    """
    kind = envelope.get("Type")
    if kind == _SUBSCRIPTION:
        return Ignored("sns-control", _how_to_confirm(envelope))
    if kind == _UNSUBSCRIPTION:
        topic = quoted(envelope.get("TopicArn"))
        return Ignored(
            "sns-control", f"topic {topic} delivers here no longer; subscribe again if unintended"
        )
    message = envelope.get("Message")
    if not isinstance(message, str):
        raise MalformedEvent("unknown-shape", f"SNS Message is {quoted(message)}, not text")
    return message


def _how_to_confirm(envelope: dict[str, object]) -> str:
    topic = quoted(envelope.get("TopicArn"))
    url = printable(envelope.get("SubscribeURL"))
    if not _is_of_sns(url):
        return f"topic {topic} asks to confirm its subscription with an address that is not AWS's"
    return (
        f"topic {topic} delivers nothing before its subscription is confirmed; "
        f"if it is yours, open {url}"
    )


def _is_of_sns(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme == "https" and host.startswith("sns.") and host.endswith(_HOST_SUFFIXES)
