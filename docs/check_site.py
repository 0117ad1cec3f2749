"""Fail where a built page would fetch something from another host: fonts, scripts, pictures.

    python docs/check_site.py site

Links that a reader may follow are fine. What scripts fetch when they run is not looked at.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Where a browser fetches by itself; of <link> only these relations.
_FETCHED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
_RELATIONS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch"}
_FOREIGN = re.compile(r"(https?:)?//", re.IGNORECASE)
_IN_CSS = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)


class _Fetches(HTMLParser):
    """Collects the addresses on other hosts that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One opening tag."""
        given = {name: value or "" for name, value in attrs}
        address = given.get(_FETCHED.get(tag, ""), "")
        if tag == "link" and not _RELATIONS & set(given.get("rel", "").split()):
            return
        if _FOREIGN.match(address):
            self.found.append(address)
        self.found += _IN_CSS.findall(given.get("style", ""))


def foreign(path: Path) -> list[str]:
    """The addresses on other hosts that one file of the site fetches."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".css":
        return _IN_CSS.findall(text)
    page = _Fetches()
    page.feed(text)
    return page.found


def main() -> int:
    """Check every page and style sheet of the folder given."""
    folder = Path(sys.argv[1])
    files = sorted([*folder.rglob("*.html"), *folder.rglob("*.css")])
    found = [(path, address) for path in files for address in foreign(path)]
    for path, address in found:
        print(f"{path} fetches {address}: expected nothing from other hosts", file=sys.stderr)
    if not files:
        print(f"{folder} holds no page: build the site first", file=sys.stderr)
    return 1 if found or not files else 0


if __name__ == "__main__":
    sys.exit(main())
