"""The command `holdfast`, also as `python -m holdfast`; says what to install where the server is not."""

from __future__ import annotations

import sys

#: There is no release: the name `holdfast` on PyPI is another project's.
INSTALL = "The server needs more packages; in your clone of Holdfast, run: pip install '.[server]'"


def main() -> None:
    """Run the command line."""
    try:
        from holdfast.server.cli import main as command_line  # noqa: PLC0415 - its absence is to be told
    except ModuleNotFoundError as error:
        if (error.name or "holdfast").partition(".")[0] == "holdfast":
            raise
        sys.exit(f"Error: {error.name} is not installed. {INSTALL}")
    command_line(prog_name="holdfast")


if __name__ == "__main__":
    main()
