"""Where the functions' code is kept: a bucket that the settings name, or one of our own.

The key holds the digest of the package, so that equal code is uploaded once and changed code
changes the functions.
"""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

from s3fanout.deploy.package import Package
from s3fanout.deploy.session import AwsSession, asking
from s3fanout.model.errors import Refused

OWNER_TAG: Final = "s3fanout:stack"
_FIRST_REGION: Final = "us-east-1"
"""The one Region that CreateBucket must not be told (Amazon S3 API reference, November 2026)."""


class CodeStore:
    """The bucket for the code of one stack."""

    def __init__(self, aws: AwsSession, *, bucket: str, stack: str, is_ours: bool) -> None:
        """Bind to a bucket.

        Args:
            aws: Whose credentials are used.
            bucket: Its name.
            stack: Whose code it is.
            is_ours: Whether deploy makes the bucket and destroy removes it.
        """
        self._client: Any = aws.client("s3")
        self._region = aws.region
        self._bucket = bucket
        self._stack = stack
        self._is_ours = is_ours

    @property
    def bucket(self) -> str:
        """Its name."""
        return self._bucket

    def key_of(self, digest: str, suffix: str = "zip") -> str:
        """Where something with this digest is kept."""
        return f"s3fanout/{self._stack}/{digest}.{suffix}"

    def upload(self, package: Package) -> str:
        """The key of the package, uploaded if it is not there. Two requests, a few the first time.

        Raises:
            Refused: The bucket exists and is not ours.
            AccessDenied, StoreError: It cannot be written.
        """
        if self._is_ours:
            self._make()
        key = self.key_of(package.sha256)
        with asking(f"the bucket for the code, {self._bucket}"):
            found = self._client.list_objects_v2(Bucket=self._bucket, Prefix=key)
            if not found.get("KeyCount"):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=package.content)
        return key

    def put_template(self, text: str, digest: str) -> str:
        """Keep a template that is too long for a request; its URL."""
        key = self.key_of(digest, "json")
        with asking(f"the bucket for the code, {self._bucket}"):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=text.encode())
        return self.url_of(key)

    def url_of(self, key: str) -> str:
        """Where CloudFormation reads an object of the bucket: at the endpoint of its Region.

        At the endpoint without a Region, which boto3 would name, a bucket that was just made is not
        known yet: S3 sends whoever asks elsewhere (Amazon S3 user guide, "Request redirection").
        """
        return f"{self._client.meta.endpoint_url}/{self._bucket}/{key}"

    def clear(self) -> None:
        """Remove the stack's code, and the bucket if it is ours. Nothing of others is touched."""
        try:
            with_tag = self._owner() == self._stack
        except ClientError as error:
            if error.response["Error"].get("Code") in {"NoSuchBucket", "404"}:
                return
            with asking(f"the bucket for the code, {self._bucket}"):
                raise
        with asking(f"the bucket for the code, {self._bucket}"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=f"s3fanout/{self._stack}/"
            )
            for page in pages:
                for each in page.get("Contents", ()):
                    self._client.delete_object(Bucket=self._bucket, Key=each["Key"])
            if self._is_ours and with_tag:
                self._client.delete_bucket(Bucket=self._bucket)

    def _make(self) -> None:
        try:
            if self._owner() == self._stack:
                return
        except ClientError as error:
            if error.response["Error"].get("Code") not in {"NoSuchBucket", "404"}:
                with asking(f"the bucket for the code, {self._bucket}"):
                    raise
        else:
            raise Refused(
                f"the bucket {self._bucket} exists and is not of this stack",
                operation="CreateBucket",
                hint="name a bucket in aws.code_bucket",
            )
        where: dict[str, Any] = (
            {}
            if self._region == _FIRST_REGION
            else {"CreateBucketConfiguration": {"LocationConstraint": self._region}}
        )
        with asking(f"the bucket for the code, {self._bucket}"):
            self._client.create_bucket(Bucket=self._bucket, **where)
            self._client.put_bucket_tagging(
                Bucket=self._bucket, Tagging={"TagSet": [{"Key": OWNER_TAG, "Value": self._stack}]}
            )
            self._client.put_public_access_block(
                Bucket=self._bucket,
                PublicAccessBlockConfiguration={
                    "BlockPublicAcls": True,
                    "IgnorePublicAcls": True,
                    "BlockPublicPolicy": True,
                    "RestrictPublicBuckets": True,
                },
            )

    def _owner(self) -> str:
        """Whose bucket it is, ``""`` if it does not say."""
        try:
            answer = self._client.get_bucket_tagging(Bucket=self._bucket)
        except ClientError as error:
            if error.response["Error"].get("Code") == "NoSuchTagSet":
                return ""
            raise
        tags = {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}
        return str(tags.get(OWNER_TAG, ""))
