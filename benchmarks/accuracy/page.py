"""Tables into pages: each between the marker of its name and the next end."""

from pathlib import Path

END = "<!-- end -->"


def insert(page: Path, name: str, lines: list[str]) -> None:
    """Replace what stands between ``<!-- name -->`` and the next end.

    Raises:
        SystemExit: the page has no such place.
    """
    begin = f"<!-- {name} -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, tail = rest.partition(END)
    if not (found and ended):
        raise SystemExit(f"{page} has no place {begin} ... {END}")
    page.write_text("\n".join([f"{head}{begin}", "", *lines, "", f"{END}{tail}"]), encoding="utf-8")
