"""References to credentials and secrets. What they refer to is never part of the settings."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from s3fanout.config.values import FilePath, RoleArn, Text, Variable


class Section(BaseModel):
    """Base of all sections: immutable, no unknown settings, no values in error texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CredentialsKind(StrEnum):
    """Where credentials come from."""

    CHAIN = "chain"
    """The standard AWS chain: environment, shared files, container, instance."""
    PROFILE = "profile"
    ENV = "env"
    ROLE = "role"
    FILE = "file"


class Credentials(Section):
    """A reference to credentials, never the credentials: exactly one kind.

    Two equal references are taken to be the same identity.
    """

    profile: Text | None = Field(
        default=None,
        description="Profile of the shared AWS files; beside role: who assumes the role.",
        examples=['"prod"'],
    )
    env: Variable | None = Field(
        default=None,
        description="Prefix P of the variables P_ACCESS_KEY_ID, P_SECRET_ACCESS_KEY and, if set, "
        "P_SESSION_TOKEN.",
        examples=['"PROD"'],
    )
    role: RoleArn | None = Field(
        default=None,
        description="ARN of a role to assume.",
        examples=['"arn:aws:iam::123456789012:role/replicator"'],
    )
    external_id: Text | None = Field(
        default=None, description="External id that the role asks for.", examples=['"our-account"']
    )
    file: FilePath | None = Field(
        default=None,
        description="JSON file with AccessKeyId, SecretAccessKey and, if any, SessionToken.",
        examples=['"/run/secrets/s3.json"'],
    )

    @property
    def kind(self) -> CredentialsKind:
        """Which of the kinds this is."""
        if self.role is not None:
            return CredentialsKind.ROLE
        if self.env is not None:
            return CredentialsKind.ENV
        if self.file is not None:
            return CredentialsKind.FILE
        return CredentialsKind.CHAIN if self.profile is None else CredentialsKind.PROFILE

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        kinds = [
            name
            for name, value in (
                ("profile", None if self.role is not None else self.profile),
                ("env", self.env),
                ("role", self.role),
                ("file", self.file),
            )
            if value is not None
        ]
        if len(kinds) > 1:
            raise ValueError(f"exactly one kind of credentials, not {' and '.join(kinds)}")
        if self.external_id is not None and self.role is None:
            raise ValueError("external_id has a meaning only beside role")
        return self


class SecretReference(Section):
    """Where a secret is found at run time: exactly one of the two."""

    env: Variable | None = Field(
        default=None,
        description="Environment variable that holds it.",
        examples=['"S3FANOUT_TOKEN"'],
    )
    file: FilePath | None = Field(
        default=None,
        description="File that holds it; a line end behind it is ignored.",
        examples=['"/run/secrets/s3fanout-token"'],
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.env is None) == (self.file is None):
            raise ValueError('exactly one of { env = "NAME" } and { file = "PATH" }')
        return self
