"""Configuration: what a server can be told, by whom, and how it is read and checked.

`config` has the values, `options` the table that names them, `kinds` how texts become values, `file` the
configuration file, and `sources` says who wins.
"""

from holdfast.server.config.config import DEFAULT_DIR, DEFAULT_PORT, Config

__all__ = ["DEFAULT_DIR", "DEFAULT_PORT", "Config"]
