import pytest

from presence_server.accounts import profiles, users
from presence_server.accounts.names import beginnings, fold, is_found, name_problem, tidy
from presence_server.endings import Endings, after
from presence_server.presence.profiles import Profile
from presence_server.storage.database import Database

NOW = 1_795_420_800

GOOD = [
    "Zoë Berg",
    "山田 太郎",
    "محمد علي",
    "می\u200cخواهم",
    "हिन्दी नाम",
    "👩\u200d🚀 Anna",
    "O'Neil, Jean-Luc (Sales)",
    "a" * 64,
    "",
]
BAD = [
    "a" * 65,
    "a\u202eb",
    "\u2066a",
    "a\u200f",
    "a\x07b",
    "a\x00",
    "a\u00adb",
    "\ufeffa",
    "\ud83d",
    "\ue000",
    "\u200d",
    "\u0301",
]


@pytest.mark.parametrize("name", GOOD)
def test_names_are_of_any_script(name: str) -> None:
    assert name_problem(tidy(name)) is None


@pytest.mark.parametrize("name", BAD)
def test_what_nobody_sees_or_what_turns_others_around_is_no_name(name: str) -> None:
    assert name_problem(name) is not None


def test_a_name_is_kept_in_one_form() -> None:
    assert tidy("  Zoe\u0308 \t\u3000 Berg\n") == "Zoë Berg"


def test_a_search_is_for_the_beginning_of_any_word() -> None:
    assert beginnings("Jean-Luc O'Neil (Sales)") == {
        "jean-luc o'neil (sales)", "luc o'neil (sales)", "o'neil (sales)", "neil (sales)", "sales)",
    }
    assert beginnings("हिन्दी नाम") == {fold("हिन्दी नाम"), fold("नाम")}
    assert beginnings("🌵") == {"🌵"} and beginnings("") == set()
    for search in ("zoe", "ZOË", "be", "zoë b", "z", "michael.", ""):
        assert is_found("michael.b", "Zoë Berg", search), search
    for search in ("oe", "erg", "zoe c", "ichael"):
        assert not is_found("michael.b", "Zoë Berg", search), search


both_databases = pytest.mark.both_databases


@both_databases
async def test_accounts_are_found_by_both_names_in_the_order_of_user_names(db: Database) -> None:
    for username, name in (("Carol", "Zoë Berg"), ("bergman", ""), ("al", "Al Zeta"), ("dan", "山")):
        await users.create(db, username, "hash", NOW, name=name)

    async def found(search: str, after: str | None = None, limit: int = 10) -> list[str]:
        return [name for name, _ in await users.page(db, after, search, limit)]

    assert await found("be") == ["bergman", "Carol"]
    assert await found("z") == ["al", "Carol"]
    assert await found("z", after="al") == ["Carol"]
    assert await found("BE", limit=1) == ["bergman"]
    assert await found("be", after="bergman") == ["Carol"]
    assert await found("山") == ["dan"]
    assert await found("nobody") == []
    assert await profiles.named(db, "be") == ["Carol"]


@both_databases
async def test_a_new_name_replaces_the_former_and_is_told_to_every_node(db: Database) -> None:
    ends = Endings(db)
    alice = await users.create(db, "Alice", "hash", NOW)
    await profiles.set_name(ends, alice.id, "Zoë", NOW)
    await profiles.set_name(ends, alice.id, "Anna", NOW)
    await profiles.set_name(ends, alice.id, "Anna", NOW)
    await profiles.hide_last_seen(ends, alice.id, True, NOW)
    await profiles.show_devices(ends, alice.id, True, NOW)
    told = [(news.reason, news.username) for news in await after(db, 0)]
    assert told == [("profile", "Alice")] * 4
    assert await profiles.named(db, "zoë") == [] and await profiles.named(db, "a") == ["Alice"]
    assert await profiles.everything(db) == {"Alice": Profile("Anna", True, True)}
    assert await profiles.of(db, ["Alice", "bob"]) == {
        "Alice": Profile("Anna", True, True), "bob": Profile(),
    }
    user = await users.find(db, "alice")
    assert user is not None and user.name == "Anna" and user.hides_last_seen and user.shows_devices
    await users.delete(ends, alice.id, NOW)
    assert await profiles.named(db, "a") == [] and await profiles.everything(db) == {}


@pytest.mark.parametrize("blank", "\u115f\u1160\u2800\u3164\uffa0")
def test_letters_of_which_nothing_is_drawn_are_no_name(blank: str) -> None:
    assert name_problem(blank) == name_problem(f"Zoë{blank}") == (
        "A name cannot have invisible characters."
    )
