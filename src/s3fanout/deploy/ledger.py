"""The DynamoDB table of the ledger."""

from __future__ import annotations

from s3fanout.adapters.journal.dynamodb_schema import table_properties
from s3fanout.deploy.blueprint import LEDGER, Blueprint
from s3fanout.deploy.intrinsics import Json, resource


def shared(plan: Blueprint) -> dict[str, Json]:
    """The table; nothing with topology classic."""
    if not plan.is_durable:
        return {}
    properties: Json = {
        "TableName": plan.names.table,
        **table_properties(),
        "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True},
    }
    if plan.key_arn is not None:
        properties["SSESpecification"] = {
            "SSEEnabled": True,
            "SSEType": "KMS",
            "KMSMasterKeyId": plan.key_arn,
        }
    return {
        LEDGER: resource(
            "DynamoDB::Table", properties, DeletionPolicy="Delete", UpdateReplacePolicy="Retain"
        )
    }
