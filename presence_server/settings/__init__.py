"""The settings as people write them: flags, and variables of the environment."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from presence_server.config import Config
from presence_server.settings.setting import PREFIX, Setting
from presence_server.settings.table import SETTINGS
from presence_server.settings.values import database as read_database

__all__ = ["SETTINGS", "Setting", "read_config", "read_database", "unknown_variables"]


def read_config(flags: Mapping[str, str], environment: Mapping[str, str]) -> Config:
    """Config from what was given: `flags` by field name win over PRESENCE_* variables.

    An empty variable counts as unset.
    """
    fields: dict[str, Any] = {}
    for setting in SETTINGS:
        text = flags.get(setting.field)
        if text is None:
            text = environment.get(setting.variable) or None
        if text is not None:
            fields[setting.field] = setting.value(text)
    return Config(**fields)


# As the pages on applications call what a backend needs: whoever follows them has exported these.
_OF_APPLICATIONS = ("PRESENCE_KEY", "PRESENCE_SECRET", "PRESENCE_URL", "PRESENCE_WEBHOOK_SECRET")


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence about each PRESENCE_* variable that is no setting."""
    known = [setting.variable for setting in SETTINGS]
    return [
        f"{name} is no setting and changes nothing{_nearest(name, known)}"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in (*known, *_OF_APPLICATIONS)
    ]


def _nearest(name: str, known: list[str]) -> str:
    # What all of them begin with makes nothing alike.
    ends = [variable.removeprefix(PREFIX) for variable in known]
    found = get_close_matches(name.removeprefix(PREFIX), ends, n=1, cutoff=0.5)
    return f": did you mean {PREFIX}{found[0]}?" if found else "."
