"""Prints the table "Training data" of a model card, from the manifest that fetch.py wrote.

python examples/train_embedded/sources_table.py DIR/manifest.csv
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

Row = dict[str, str]


def sources_table(rows: list[Row]) -> Iterator[str]:
    """Markdown lines: the total, then package, class, minutes, licence and authors."""
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    yield f"{minutes:.0f} minutes, {len(rows)} recordings."
    yield ""
    yield "| package | class | minutes | licence | authors |"
    yield "|---|---|---|---|---|"
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["package"]].append(row)
    for package in sorted(groups):
        yield f"| {package} | {' | '.join(_cells(groups[package]))} |"


def _cells(rows: list[Row]) -> list[str]:
    kinds, licences, authors = (
        sorted({row[column] for row in rows}) for column in ("class", "licence", "author")
    )
    minutes = sum(float(row["seconds"]) for row in rows) / 60
    return [", ".join(kinds), f"{minutes:.1f}", "; ".join(licences), "; ".join(authors)]


def main() -> int:
    """Print the table of the manifest named on the command line."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: sources_table.py DIR/manifest.csv\n")
        return 1
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        print(*sources_table(list(csv.DictReader(file))), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
