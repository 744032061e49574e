"""A setting, and its names on the command line and in the environment."""

from collections.abc import Callable
from dataclasses import dataclass

from presence_server.config import ConfigError
from presence_server.settings.values import switch

PREFIX = "PRESENCE_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One field of Config, and how it is read."""

    field: str
    read: Callable[[str], object]
    must_be: str
    about: str
    metavar: str = ""

    @property
    def flag(self) -> str:
        return "--" + self.field.replace("_", "-")

    @property
    def variable(self) -> str:
        return PREFIX + self.field.upper()

    @property
    def is_switch(self) -> bool:
        return self.read is switch

    @property
    def is_secret(self) -> bool:
        return self.field in ("database", "redis_url")

    def value(self, text: str) -> object:
        """Raises ConfigError."""
        try:
            return self.read(text)
        except ValueError:
            # A URL may hold a password, and this sentence ends up in logs.
            but = "" if self.is_secret else f", not {text!r}"
            raise ConfigError(
                f"{self.flag} ({self.variable}) must be {self.must_be}{but}."
            ) from None
