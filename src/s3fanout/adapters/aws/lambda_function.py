"""A function of Lambda that is started later, by a message to it: how a classic function goes on.

``POST /2015-03-31/functions/NAME/invocations`` with ``X-Amz-Invocation-Type: Event`` (AWS Lambda
API reference, "Invoke", read November 2026). Lambda keeps such an event for up to six hours and
tries it three times. What is started twice is harmless: attempts are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3fanout.adapters.aws.json_client import ServiceRefusal
from s3fanout.model.errors import LedgerUnavailable, Unavailable

if TYPE_CHECKING:
    from s3fanout.adapters.aws.json_client import JsonClient


class LambdaFunction:
    """One function by name."""

    def __init__(self, client: JsonClient, name: str) -> None:
        self._client = client
        self._name = name

    async def invoke_later(self, event: str) -> None:
        """Have Lambda start it with ``event``, a JSON object; durable on return. One request.

        Raises:
            LedgerUnavailable: It may be started, or not.
        """
        try:
            await self._client.post(
                "Invoke",
                f"/2015-03-31/functions/{self._name}/invocations",
                event.encode(),
                headers=(("x-amz-invocation-type", "Event"),),
            )
        except (ServiceRefusal, Unavailable) as error:
            raise LedgerUnavailable(
                f"{error} function={self._name}",
                hint="check that the role may lambda:InvokeFunction on the function itself",
            ) from error
