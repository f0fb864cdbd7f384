"""What a data directory keeps from one run to the next: keys, and the sandbox's Meta app."""

import json
import secrets
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict

from gateway.db.secrets import generate_key

_FILE: Final = "identity.json"


class Identity(BaseModel):
    """Secrets of one `gateway dev`; made once for each data directory."""

    model_config = ConfigDict(frozen=True)

    admin_key: str
    encryption_keys: str
    app_id: str
    app_secret: str
    verify_token: str

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return the directory's identity, made when it has none; readable by its owner alone."""
        file = directory / _FILE
        if file.exists():
            return cls.model_validate_json(file.read_bytes())
        identity = cls(
            admin_key=f"cga_{secrets.token_urlsafe(32)}",
            encryption_keys=generate_key("dev"),
            app_id=str(secrets.randbelow(9 * 10**14) + 10**14),
            app_secret=secrets.token_hex(16),
            verify_token=secrets.token_urlsafe(16),
        )
        write_private(file, identity.model_dump())
        return identity


def write_private(file: Path, document: object) -> None:
    """Write a JSON file whole or not at all, readable by its owner alone."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    fresh.write_text(json.dumps(document, indent=2) + "\n")
    fresh.replace(file)
