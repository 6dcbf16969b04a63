"""How the source bucket's events reach the destinations: topic and subscriptions, or rules.

The bucket's own notification is not in the template (``notifications``): the bucket was there
before the stack, and what others entered there is not ours to own.
"""

from __future__ import annotations

from s3fanout.deploy.blueprint import TOPIC, Blueprint, Branch
from s3fanout.deploy.intrinsics import (
    Json,
    att,
    bucket_arn,
    document,
    ref,
    resource,
    service_statement,
)


def shared(plan: Blueprint) -> dict[str, Json]:
    """The topic that the bucket publishes to, and its policy; nothing with EventBridge."""
    if not plan.has_topic:
        return {}
    properties: Json = {"TopicName": plan.names.topic}
    if plan.key_arn is not None:
        properties["KmsMasterKeyId"] = plan.key_arn
    # The walkthrough's policy named everybody ("AWS": "*") as principal. Now it is S3, for this
    # bucket, of this account (bucket names are taken by others once they are free).
    publish = service_statement(
        "s3", ["sns:Publish"], ref(TOPIC), source=bucket_arn(plan.settings.source.bucket)
    )
    return {
        TOPIC: resource("SNS::Topic", properties),
        "TopicPolicy": resource(
            "SNS::TopicPolicy", {"Topics": [ref(TOPIC)], "PolicyDocument": document(publish)}
        ),
    }


def of_branch(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    """What leads events to one destination."""
    if not plan.is_durable:
        return _to_function(branch)
    by_topic = _topic_to_queue(branch) if plan.has_topic else {}
    return by_topic | (_rule_to_queue(plan, branch) if plan.has_rules else {})


def _to_function(branch: Branch) -> dict[str, Json]:
    function, invoke = branch.logical("Function"), branch.logical("Invoke")
    return {
        invoke: resource(
            "Lambda::Permission",
            {
                "FunctionName": att(function),
                "Action": "lambda:InvokeFunction",
                "Principal": "sns.amazonaws.com",
                "SourceArn": ref(TOPIC),
            },
        ),
        branch.logical("Subscription"): resource(
            "SNS::Subscription",
            {"TopicArn": ref(TOPIC), "Protocol": "lambda", "Endpoint": att(function)},
            DependsOn=[invoke],
        ),
    }


def _topic_to_queue(branch: Branch) -> dict[str, Json]:
    return {
        branch.logical("Subscription"): resource(
            "SNS::Subscription",
            {
                "TopicArn": ref(TOPIC),
                "Protocol": "sqs",
                "Endpoint": att(branch.logical("Queue")),
                "RawMessageDelivery": True,
                # After 23 days of tries SNS gives up; then the message is kept here, not lost.
                "RedrivePolicy": {"deadLetterTargetArn": att(branch.logical("DeadLetters"))},
            },
            # Without the policy the first messages would be refused.
            DependsOn=[branch.logical("QueuePolicy")],
        )
    }


def _rule_to_queue(plan: Blueprint, branch: Branch) -> dict[str, Json]:
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [plan.settings.source.bucket]}},
    }
    target = {
        "Id": "queue",
        "Arn": att(branch.logical("Queue")),
        "DeadLetterConfig": {"Arn": att(branch.logical("DeadLetters"))},
    }
    return {
        branch.logical("Rule"): resource(
            "Events::Rule",
            {
                "Name": branch.names.rule,
                "Description": f"s3fanout: new objects of {plan.settings.source.bucket}",
                "EventPattern": pattern,
                "Targets": [target],
            },
        )
    }
