"""Are two objects the same, by what a look at each shows?

| what | how |
|---|---|
| size, content headers, user metadata | equal |
| bytes | equal etags, or an equal checksum of the whole object |
| tags | equal, read only where one side has any |

"No" means that it is not proved. Extras (storage class, encryption, …) are the destination's
business and are not compared.
"""

from __future__ import annotations

from s3fanout.model.objects import Present


def is_same_but_tags(source: Present, replica: Present) -> bool:
    """Whether all but the tags is proved to be the same."""
    if source.size_bytes != replica.size_bytes:
        return False
    if source.attributes.headers != replica.attributes.headers:
        return False
    if source.attributes.metadata != replica.attributes.metadata:
        return False
    return source.etag == replica.etag or any(
        checksum.full_object and checksum in replica.checksums for checksum in source.checksums
    )
