"""What people with an account show of themselves beside their user name, or keep to themselves."""

from collections.abc import Mapping
from typing import NamedTuple


class Profile(NamedTuple):
    """Without a name the user name is all there is."""

    name: str = ""
    hides_last_seen: bool = False
    shows_devices: bool = False


NO_PROFILE = Profile()


class Profiles:
    """Those of own accounts, by user name, as far as there is anything in them.

    Where the site shows nobody's, `hide_last_seen` holds for all.
    """

    def __init__(self, *, hide_last_seen: bool = False) -> None:
        self._hide_all = hide_last_seen
        self._none = Profile(hides_last_seen=hide_last_seen)
        self._profiles: dict[str, Profile] = {}

    def __len__(self) -> int:
        return len(self._profiles)

    def of(self, user: str) -> Profile:
        return self._profiles.get(user, self._none)

    def put(self, user: str, profile: Profile) -> bool:
        """Whether it is another one than before."""
        before = self.of(user)
        if self._hide_all:
            profile = profile._replace(hides_last_seen=True)
        if profile == self._none:
            self._profiles.pop(user, None)
        else:
            self._profiles[user] = profile
        return profile != before

    def fill(self, profiles: Mapping[str, Profile]) -> None:
        """Take them in at the start, before anybody is told of anything."""
        for user, profile in profiles.items():
            self.put(user, profile)
