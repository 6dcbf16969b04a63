"""Reads and writes the notifications of the source bucket; what is written is decided elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from botocore.exceptions import ClientError

from s3fanout.deploy.notifications import Configuration, Merge, same, unknown_elements
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.model.errors import NotificationsChanged, Refused

WRITES_MAX: Final = 6
WRITE_PAUSE_S: Final = 5.0
"""A topic's policy takes some seconds to count everywhere; until then S3 refuses the topic."""

_READ: Final = "GetBucketNotificationConfiguration"


class SourceBucket:
    """The notifications of one bucket."""

    def __init__(self, aws: AwsSession, bucket: str, *, pause: Callable[[float], None]) -> None:
        """Bind to a bucket.

        Args:
            aws: Whose credentials are used.
            bucket: The source.
            pause: Waits that many seconds.
        """
        self._client = aws.client("s3")
        self._bucket = bucket
        self._pause = pause
        self._unknown: list[str] = []
        self._client.meta.events.register(f"after-call.s3.{_READ}", self._look)

    def read(self) -> dict[str, Any]:
        """What is configured. One request.

        Raises:
            Refused: There is something that a write would drop.
            NoSuchBucket, AccessDenied, StoreError: It cannot be read.
        """
        with asking(f"the notifications of the bucket {self._bucket}"):
            answer = self._client.get_bucket_notification_configuration(Bucket=self._bucket)
        answer.pop("ResponseMetadata", None)
        if self._unknown:
            raise Refused(
                "the bucket's notifications hold what this version does not know "
                f"elements={','.join(self._unknown)}",
                operation=_READ,
                hint="upgrade boto3 (and s3fanout): writing them now would drop these elements",
            )
        return dict(answer)

    def write(self, merge: Merge) -> None:
        """Make it so, and look whether it is. Two requests, and more while S3 does not see a topic.

        Raises:
            NotificationsChanged: It is not as it was written.
            StoreError: S3 refuses it.
        """
        if not merge.changed:
            return
        self._put(merge.configuration)
        if not same(self.read(), merge.configuration):
            raise NotificationsChanged(
                f"the notifications of {self._bucket} are not as they were just written"
            )

    def _put(self, configuration: Configuration) -> None:
        for turn in range(WRITES_MAX):
            try:
                self._client.put_bucket_notification_configuration(
                    Bucket=self._bucket, NotificationConfiguration=dict(configuration)
                )
                return
            except ClientError as error:
                too_early = error.response["Error"].get("Code") == "InvalidArgument"
                if not too_early or turn == WRITES_MAX - 1:
                    with asking(f"a change of the notifications of {self._bucket}"):
                        raise
            self._pause(WRITE_PAUSE_S)

    def _look(self, http_response: Any, model: Any, **_: Any) -> None:
        is_answer = http_response.status_code < 300  # noqa: PLR2004 - success
        xml = http_response.content
        self._unknown = unknown_elements(xml, model.output_shape) if is_answer and xml else []
