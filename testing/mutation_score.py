"""What share of the small changes that `make mutants` made a test noticed, for each module."""

import subprocess
import sys
from collections import Counter

from presence_server.resources import ROOT

PAGE = ROOT / "docs" / "mutants.md"
_BEGIN, _END = "<!-- score -->\n", "<!-- end -->"
# A change that nothing runs, or that was not tried yet, is not noticed either.
_NOTICED = {"killed", "timeout", "caught by type check", "segfault"}


def main() -> int:
    command = [sys.executable, "-m", "mutmut", "results", "--all", "true"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    table = score(told.splitlines())
    print(table)
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}{table}\n{_END}{after}")
    return 0


def score(lines: list[str]) -> str:
    """From lines such as `presence_server.presence.roster.xǁRosterǁplace__mutmut_3: killed`."""
    made, noticed = Counter[str](), Counter[str]()
    for line in lines:
        name, _, status = line.strip().rpartition(": ")
        if "__mutmut_" not in name or status == "not checked":
            continue
        module = name.rpartition(".")[0].removeprefix("presence_server.").replace(".", "/") + ".py"
        made[module] += 1
        noticed[module] += status in _NOTICED
    rows = [
        f"| `{module}` | {number} | {noticed[module]} | {_percent(noticed[module], number)} |"
        for module, number in sorted(made.items())
    ]
    share = _percent(noticed.total(), made.total())
    rows.append(f"| all | {made.total()} | {noticed.total()} | **{share}** |")
    return "\n".join(["| module | changes | noticed | |", "| --- | --- | --- | --- |", *rows])


def _percent(part: int, whole: int) -> str:
    """Rounded down: a hundred is all."""
    return f"{100 * part // (whole or 1)}%"


if __name__ == "__main__":
    sys.exit(main())
