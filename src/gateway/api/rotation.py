"""Secrets that rotate: for a while the present one and the one before both hold."""

from typing import Annotated

from pydantic import Field

from gateway.http.schemas import Body, Moment, Resource, Whole


class Rotation(Body):
    """How to rotate a secret."""

    overlap_seconds: Annotated[Whole, Field(ge=0, le=2_592_000)] = Field(
        default=86_400, description="For how long the present secret works on."
    )


class RotatedSigningSecret(Resource):
    """A fresh signing secret, shown this once."""

    signing_secret: str = Field(
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwr3mGbZ7k1Yo="],
        description="In the form of Standard Webhooks.",
    )
    previous_expires_at: Moment = Field(
        description="Until then, what we send is signed with both secrets."
    )
