"""The table of features, and the list of evidence, from the file of results."""

from __future__ import annotations

from benchmarks.features.rows import FEATURES, LEGEND
from relax.analysis.comparison.files.results_file import Json
from relax.analysis.comparison.tables import markdown


def table(results: Json) -> list[str]:
    """Return the lines of the table, with the legend and the versions below it."""
    titles = results["tools"]
    cells = {row["feature"]: row["cells"] for row in results["rows"]}
    rows = []
    for group, features in FEATURES.items():
        rows.append([f"**{group}**", *[""] * len(titles)])
        rows += [
            [words, *(cells[feature][title]["answer"] for title in titles)]
            for feature, words in features.items()
        ]
    used = {cell["answer"] for row in cells.values() for cell in row.values()}
    legend = [f"*{word}*: {meaning}" for word, meaning in LEGEND.items() if word in used]
    return [
        *markdown(("", *titles), rows, ("", *titles)),
        "",
        f"{'; '.join(legend)}.",
        "",
        f"What `relax run` lacks and another tool has: {', '.join(lacking(results))}.",
        "",
        f"Versions: {versions(results)}.",
    ]


def lacking(results: Json) -> list[str]:
    """Return the features that the first tool has not, or not in its command, and another one has."""
    ours, *others = results["tools"]
    found = []
    for key, words in titles_of_features().items():
        (cells,) = (row["cells"] for row in results["rows"] if row["feature"] == key)
        answers = {cells[title]["answer"] for title in others}
        if cells[ours]["answer"] == "no" and answers & {"yes", "Python"}:
            found.append(words)
        if cells[ours]["answer"] == "Python" and "yes" in answers:
            found.append(f"{words} (in its command)")
    return found


def titles_of_features() -> dict[str, str]:
    """Return the words of each feature."""
    return {key: words for group in FEATURES.values() for key, words in group.items()}


def versions(results: Json) -> str:
    """Return the versions that the cells of each tool were checked with."""
    words = []
    for title, package in results["tools"].items():
        found = {row["cells"][title]["version"] for row in results["rows"]} - {None}
        words.append(f"{title} of {package} {' and '.join(sorted(found))}".replace("relax relax", "relax"))
    return ", ".join(words)


def evidence(results: Json) -> list[str]:
    """Return a line for each cell: what was run, and what was seen."""
    words = titles_of_features()
    return [
        f"{words[row['feature']]} | {title} | {cell['answer']} | {cell['evidence']}"
        for row in results["rows"]
        for title, cell in row["cells"].items()
    ]
