"""Writes the pages anew from the figures that are kept, after a change of their words:
`python -m benchmarks.rewrite`."""

import json

from benchmarks import budgets, hundred_thousand, report

if __name__ == "__main__":
    for run in (budgets, report, hundred_thousand):
        run.write(json.loads(run.RESULTS.read_text()))
