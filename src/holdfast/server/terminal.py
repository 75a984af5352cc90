"""Text for terminals: what others sent must not move cursors, set titles, or read backwards."""

from __future__ import annotations


def plain(text: str) -> str:
    """One line of a text: what is not printable (controls, line ends, signs of direction) is written as its escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_lines(text: str) -> str:
    """Return the same for a text of several lines, which stay apart."""
    return "\n".join(plain(line.replace("\t", "    ")) for line in text.split("\n"))
