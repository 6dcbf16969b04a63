"""What each function may do: one role per destination, every permission with its reason.

Least privilege is in the resources too: a function reads only below the prefixes that its rule
wants, and writes only below those that its key map makes. ``tests/e2e/test_aws_permissions.py``
takes each permission away and shows what then fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from s3fanout.config.keyspace import KeySpace, replica_keys, wanted_keys
from s3fanout.deploy.blueprint import LEDGER, Blueprint, Branch
from s3fanout.deploy.intrinsics import Json, arn, att, bucket_arn, document, resource
from s3fanout.model.keeping import KEEP

_LOCKS = ("s3:PutObjectRetention", "s3:PutObjectLegalHold")
_ACLS = ("s3:PutObjectAcl",)


@dataclass(frozen=True, slots=True)
class Grant:
    """Permissions that one function needs, and why.

    Attributes:
        sid: Names the statement in the policy; letters and digits.
        actions: Of IAM.
        resources: ARNs, as the template writes them.
        why: One clause.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[Any, ...]
    why: str

    def statement(self) -> Json:
        """As a policy has it."""
        one = self.resources[0] if len(self.resources) == 1 else list(self.resources)
        return {"Sid": self.sid, "Effect": "Allow", "Action": list(self.actions), "Resource": one}


def role(plan: Blueprint, branch: Branch) -> Json:
    """The role of a destination's function."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    statements = [grant.statement() for grant in grants(plan, branch)]
    return resource(
        "IAM::Role",
        {
            "RoleName": branch.names.role,
            "Description": f"s3fanout: {plan.settings.source.bucket} to {branch.to.bucket}",
            "AssumeRolePolicyDocument": document(trust),
            "Policies": [{"PolicyName": "s3fanout", "PolicyDocument": document(*statements)}],
        },
    )


def grants(plan: Blueprint, branch: Branch) -> Iterator[Grant]:
    """Everything that a destination's function may do."""
    yield Grant(
        "WriteLogs",
        ("logs:CreateLogStream", "logs:PutLogEvents"),
        (att(branch.logical("LogGroup")),),
        "writes its own log; the group is made by the stack, so it may make none",
    )
    source = plan.settings.source
    yield Grant(
        "ReadSource",
        ("s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectAnnotation"),
        _objects(source.bucket, wanted_keys(branch.rule)),
        "reads what the rule wants, with its tags and annotations",
    )
    yield Grant(
        "TellAbsentFromDenied",
        ("s3:ListBucket",),
        (bucket_arn(source.bucket),),
        "without it S3 answers 403, not 404, for an object that is gone",
    )
    yield Grant(
        "WriteReplicas",
        ("s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAnnotation"),
        _objects(branch.to.bucket, replica_keys(branch.rule)),
        "writes replicas, with their tags and annotations",
    )
    yield Grant(
        "ContinueLargeCopies",
        ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
        _objects(branch.to.bucket, replica_keys(branch.rule)),
        "goes on with the parts of a large copy, or gives it up",
    )
    yield Grant(
        "LookAtReplicas",
        ("s3:GetObject",),
        _objects(branch.to.bucket, replica_keys(branch.rule)),
        "looks at what it copied in parts, and where two runs wrote one replica, which is on top",
    )
    yield from _comparing_grants(plan, branch)
    yield from _keeping_grants(plan, branch)
    if plan.is_durable:
        yield from _durable_grants(plan, branch)
    else:
        yield Grant(
            "StartItself",
            ("lambda:InvokeFunction",),
            (arn("lambda", f"function:{branch.names.function}"),),
            "goes on with a large copy in another invocation",
        )
    yield from _key_grants(plan, branch)


def _comparing_grants(plan: Blueprint, branch: Branch) -> Iterator[Grant]:
    bucket = (bucket_arn(branch.to.bucket),)
    if branch.to.loop_guard:
        yield Grant(
            "CompareTags",
            ("s3:GetObjectTagging",),
            _objects(branch.to.bucket, replica_keys(branch.rule)),
            "compares before it copies, because loop_guard is on",
        )
        if branch.rule.keeping.acl == KEEP:
            yield Grant(
                "CompareAcls",
                ("s3:GetObjectAcl",),
                _objects(branch.to.bucket, replica_keys(branch.rule)),
                "compares ACLs too, because it keeps them",
            )
    if plan.lists_replicas(branch):
        yield Grant(
            "ListReplicas",
            ("s3:ListBucket",),
            bucket,
            "the sweep compares the bucket itself, because intake.sweep.replicas is on",
        )
    elif branch.to.loop_guard:
        yield Grant(
            "TellAbsentReplicas",
            ("s3:ListBucket",),
            bucket,
            "without it S3 answers 403, not 404, for a replica that is not there yet",
        )


def _keeping_grants(plan: Blueprint, branch: Branch) -> Iterator[Grant]:
    sources = _objects(plan.settings.source.bucket, wanted_keys(branch.rule))
    replicas = _objects(branch.to.bucket, replica_keys(branch.rule))
    keeping = branch.rule.keeping
    if keeping.lock:
        yield Grant(
            "ReadLocks",
            ("s3:GetObjectRetention", "s3:GetObjectLegalHold"),
            sources,
            "without them S3 does not show retention and legal hold",
        )
        yield Grant("WriteLocks", _LOCKS, replicas, "keeps retention and legal hold")
    if keeping.acl == KEEP:
        yield Grant("ReadAcls", ("s3:GetObjectAcl",), sources, "reads the ACLs that it keeps")
        yield Grant(
            "TellOwner",
            ("s3:GetBucketAcl",),
            (bucket_arn(branch.to.bucket),),
            "grants the bucket's owner what grants to others would take from it",
        )
    if keeping.annotations:
        yield Grant(
            "ListAnnotations",
            ("s3:ListObjectAnnotations",),
            sources + replicas,
            "keeps the annotations of what it copies in parts",
        )
    if keeping.acl:
        yield Grant("WriteAcls", _ACLS, replicas, "writes replicas with an ACL")


def _durable_grants(plan: Blueprint, branch: Branch) -> Iterator[Grant]:
    queue, dead = branch.logical("Queue"), branch.logical("DeadLetters")
    yield Grant(
        "TakeMessages",
        (
            *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:ChangeMessageVisibility", "sqs:SendMessage"),
        ),
        (att(queue),),
        "Lambda takes messages for it; it delays what must wait and sends on what is not finished",
    )
    yield Grant(
        "KeepDeadLetters", ("sqs:SendMessage",), (att(dead),), "sets aside what can never be done"
    )
    yield Grant(
        "WriteLedger",
        ("dynamodb:UpdateItem",),
        (att(LEDGER),),
        "records who has what",
    )
    yield Grant(
        "RememberUploads",
        ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"),
        (att(LEDGER),),
        "remembers large copies, for the invocation that goes on with them",
    )
    if plan.settings.intake.sweep is not None:
        yield Grant(
            "CompareWithLedger",
            ("dynamodb:BatchGetItem",),
            (att(LEDGER),),
            "looks up what a sweep lists",
        )
    yield Grant(
        "KeepMalformed",
        ("dynamodb:BatchWriteItem",),
        (att(LEDGER),),
        "keeps messages that nobody can read",
    )


def _key_grants(plan: Blueprint, branch: Branch) -> Iterator[Grant]:
    if plan.settings.source.kms_key is not None:
        yield Grant(
            "DecryptSource",
            ("kms:Decrypt",),
            (plan.settings.source.kms_key,),
            "the source bucket is encrypted with this key",
        )
    if branch.to.kms_key is not None:
        yield Grant(
            "EncryptReplicas",
            ("kms:GenerateDataKey", "kms:Decrypt"),
            (branch.to.kms_key,),
            "the destination bucket is encrypted with this key; parts need Decrypt",
        )
    if plan.key_arn is not None and plan.is_durable:
        yield Grant(
            "UseQueueKey",
            ("kms:Decrypt", "kms:GenerateDataKey"),
            (plan.key_arn,),
            "queues and ledger are encrypted with the deployment's key",
        )


def _objects(bucket: str, keys: KeySpace) -> tuple[Any, ...]:
    """ARNs of the objects whose keys may be members; suffixes are left to the function."""
    prefixes = sorted({edges.prefix for edges in keys.within})
    shortest = [
        prefix
        for prefix in prefixes
        if not any(prefix != other and prefix.startswith(other) for other in prefixes)
    ]
    return tuple(bucket_arn(bucket, f"{literal(prefix)}*") for prefix in shortest)


def literal(prefix: str) -> str:
    """``prefix`` as a pattern of IAM that only fits itself.

    IAM user guide, "Policy variables", read November 2026: ``${*}``, ``${?}`` and ``${$}`` stand
    for the characters.
    """
    return "".join(f"${{{each}}}" if each in "*?$" else each for each in prefix)


def bucket_document(plan: Blueprint, branch: Branch, account: str) -> Json:
    """What the owner of a destination bucket in another account adds to the bucket's policy."""
    role_arn = f"arn:aws:iam::{account}:role/{branch.names.role}"
    objects = [
        f"arn:aws:s3:::{branch.to.bucket}/{literal(edges.prefix)}*"
        for edges in replica_keys(branch.rule).within
    ]
    actions = ["s3:PutObject", "s3:PutObjectTagging", "s3:PutObjectAnnotation", "s3:GetObject"]
    actions += ["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
    actions += _LOCKS if branch.rule.keeping.lock else ()
    actions += _ACLS if branch.rule.keeping.acl else ()
    actions += ["s3:ListObjectAnnotations"] if branch.rule.keeping.annotations else ()
    if branch.to.loop_guard:
        actions.append("s3:GetObjectTagging")
        actions += ["s3:GetObjectAcl"] if branch.rule.keeping.acl == KEEP else ()
    allow = {"Effect": "Allow", "Principal": {"AWS": role_arn}}
    statements: list[Json] = [
        {"Sid": "S3fanoutWritesReplicas", **allow, "Action": actions, "Resource": objects}
    ]
    of_bucket = {
        "S3fanoutListsReplicas": (
            "s3:ListBucket",
            branch.to.loop_guard or plan.lists_replicas(branch),
        ),
        "S3fanoutTellsOwner": ("s3:GetBucketAcl", branch.rule.keeping.acl == KEEP),
    }
    bucket = f"arn:aws:s3:::{branch.to.bucket}"
    statements += [
        {"Sid": sid, **allow, "Action": [action], "Resource": [bucket]}
        for sid, (action, is_needed) in of_bucket.items()
        if is_needed
    ]
    return document(*statements)


def key_statement(branch: Branch, account: str) -> Json:
    """What the owner of a destination's key in another account adds to the key's policy."""
    return {
        "Sid": "S3fanoutEncryptsReplicas",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{account}:role/{branch.names.role}"},
        "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
        "Resource": "*",
    }
