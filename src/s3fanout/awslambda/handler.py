"""What Lambda calls: ``s3fanout.awslambda.handler.handle``.

The event loop, the connections and what was built live as long as the execution environment, so
only the first invocation pays for them.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, Protocol

from s3fanout.awslambda.environment import from_environment
from s3fanout.awslambda.function import Function, open_transport


class Context(Protocol):
    """The part of Lambda's context that is needed."""

    function_name: str
    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Until Lambda stops the invocation."""
        ...


class _Warm:
    """What outlives an invocation."""

    loop: asyncio.AbstractEventLoop | None = None
    function: Function | None = None


def handle(event: dict[str, Any], context: Context) -> dict[str, Any]:
    """Work one invocation off.

    Raises:
        S3FanoutError: In the classic topology, what is not done: Lambda tries again.
        Misconfigured: The environment makes no sense.
    """
    if _Warm.loop is None:
        _Warm.loop = asyncio.new_event_loop()
    if _Warm.function is None:
        settings = from_environment(os.environ, context.function_name)
        _Warm.function = Function(
            settings, os.environ, transport=open_transport(settings), write=sys.stderr.write
        )
    return _Warm.loop.run_until_complete(
        _Warm.function.invoke(
            event,
            time_s=context.get_remaining_time_in_millis() / 1000,
            request_id=context.aws_request_id,
        )
    )
