"""CloudFormation's functions and ARNs as values of a template. Pure.

Names go into a template literally, never by ``Fn::Sub``: a key prefix may hold ``${``.
"""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

ACCOUNT: Final[Json] = {"Ref": "AWS::AccountId"}
PARTITION: Final[Json] = {"Ref": "AWS::Partition"}
REGION: Final[Json] = {"Ref": "AWS::Region"}


def ref(logical: str) -> Json:
    """The resource's main identifier."""
    return {"Ref": logical}


def att(logical: str, attribute: str = "Arn") -> Json:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [logical, attribute]}


def joined(*parts: str | Json) -> Json:
    """The parts as one text."""
    return {"Fn::Join": ["", list(parts)]}


def arn(service: str, resource: str, *, region: str | Json = REGION) -> Json:
    """ARN of a resource in this account."""
    return joined("arn:", PARTITION, f":{service}:", region, ":", ACCOUNT, f":{resource}")


def bucket_arn(bucket: str, key_pattern: str | None = None) -> Json:
    """ARN of a bucket, or of its objects whose keys fit a pattern of IAM."""
    below = "" if key_pattern is None else f"/{key_pattern}"
    return joined("arn:", PARTITION, f":s3:::{bucket}{below}")


def resource(kind: str, properties: Json, **more: Any) -> Json:
    """A resource of the template; ``more``: ``DependsOn``, ``DeletionPolicy`` and the like."""
    return {"Type": f"AWS::{kind}", **more, "Properties": properties}


def document(*statements: Json) -> Json:
    """A policy document."""
    return {"Version": "2012-10-17", "Statement": list(statements)}


def service_statement(
    service: str, actions: list[str], target: Any, *, source: Any, operator: str = "ArnEquals"
) -> Json:
    """A service of AWS may do this, but only on behalf of one resource of this account."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": actions,
        "Resource": target,
        "Condition": {
            operator: {"aws:SourceArn": source},
            "StringEquals": {"aws:SourceAccount": ACCOUNT},
        },
    }
