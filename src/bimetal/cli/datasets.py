"""``bimetal datasets``: which tables can be loaded by name, on what terms, and where to put them."""

from typing import Any

from rich.console import Group
from rich.markup import escape

from bimetal.cli.answer import Answer, AsJson, answering
from bimetal.cli.looks import table
from bimetal.datasets.catalog import SOURCES, Source
from bimetal.datasets.files import FOLDER_VARIABLE, find

__all__ = ["datasets"]


@answering
def datasets(as_json: AsJson = False) -> Answer:
    """List the data sets that can be loaded by name."""
    listed = [_described(source) for source in SOURCES]
    return Answer({"folder_variable": FOLDER_VARIABLE, "datasets": listed}, _page(listed))


def _described(source: Source) -> dict[str, Any]:
    path = find(source.name)
    return {
        "name": source.name,
        "title": source.title,
        "target": source.target,
        "positive": source.positive,
        "licence": source.licence,
        "page": source.page,
        "can_be_downloaded": source.download is not None,
        "path": str(path) if path else None,
        "put_at": f"{source.name}/{source.name}.csv",
    }


def _page(listed: list[dict[str, Any]]) -> Any:
    shown = table("name", "what 1 means", "terms", "where from")
    for row in listed:
        where = "here" if row["path"] else "download" if row["can_be_downloaded"] else "by hand"
        shown.add_row(
            *(escape(row[k]) for k in ("name", "positive", "licence")),
            f"{where}: {escape(row['page'])}",
        )
    advice = (
        f"A table of your own copy goes to <folder>/<name>/<name>.csv (or .parquet); name the folder in "
        f"the environment variable {FOLDER_VARIABLE}."
    )
    return Group(shown, escape(advice))
