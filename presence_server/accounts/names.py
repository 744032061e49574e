"""The names that people give themselves beside their user names, and how they are searched."""

import unicodedata
from itertools import pairwise

LONGEST = 64

# What scripts and emoji need of the characters that nobody sees: the two joiners.
_JOINERS = "\u200c\u200d"
# Control characters, direction marks and the like, halves of a character, breaks, private use.
_REFUSED = ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
# Letters and a sign of which nothing is drawn.
_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
# Accents of Latin, Greek and Cyrillic, when they stand by themselves.
_ACCENTS = dict.fromkeys(range(0x300, 0x370))
# Sorts behind every text that begins as it does.
BEHIND_ALL = "\U0010ffff"


def tidy(name: str) -> str:
    """As it is kept: each character in its one form, single blanks, none around it."""
    return unicodedata.normalize("NFC", " ".join(name.split()))


def name_problem(name: str) -> str | None:
    """A sentence that says what is wrong with a tidy name, or None; nobody has to have one."""
    if len(name) > LONGEST:
        return f"A name has at most {LONGEST} characters."
    kinds = [unicodedata.category(character) for character in name]
    if any(
        character in _BLANK or (kind in _REFUSED and character not in _JOINERS)
        for character, kind in zip(name, kinds, strict=True)
    ):
        return "A name cannot have invisible characters."
    if name and not any(kind[0] in "LNPS" for kind in kinds):
        return "A name needs a character that can be seen."
    return None


def is_text(text: str) -> bool:
    """Whether a database can be asked for it: not so for NUL or half a character."""
    return not any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def fold(text: str) -> str:
    """As texts are compared in a search: whatever the case, the accents, the form."""
    apart = unicodedata.normalize("NFKD", text).casefold()
    return unicodedata.normalize("NFKD", apart).translate(_ACCENTS)


def beginnings(name: str) -> set[str]:
    """The folded name from each of its words on: a search is for what one of them begins with."""
    starts = [0] if name else []
    starts += [
        place
        for place, (before, first) in enumerate(pairwise(name), 1)
        if _kind(before) in "ZPS" and _kind(first) in "LN"
    ]
    return {fold(name[start:]) for start in starts}


def is_found(username: str, name: str, search: str) -> bool:
    """Whether the user name or any word of the name begins like this."""
    folded = fold(search)
    if username.lower().startswith(folded):
        return True
    return any(beginning.startswith(folded) for beginning in beginnings(name))


def _kind(character: str) -> str:
    return unicodedata.category(character)[0]
