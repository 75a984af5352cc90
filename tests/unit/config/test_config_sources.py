"""Where values come from, and what is said of wrong ones."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from holdfast.server.config import Config, options, sources
from holdfast.server.config.file import ConfigError, find, parse_many, read
from holdfast.server.config.options import BOTH, OPTIONS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(command="dev", config=None, flags=None, **environ):
    return sources.load(command, flags or {}, environ, config)


def one(settings, name):
    return next(s for s in settings.settings if s.option.name == name)


def problems(path: Path, text: str) -> tuple[str, ...]:
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    return caught.value.problems


def test_nothing_said_is_the_default_of_everything(folder: Path) -> None:
    assert load().config() == Config()
    assert load("start").config() == Config(kind="cloud", persist=True, discovery=False, poll=False)


def test_flag_before_variable_before_file_before_default(folder: Path) -> None:
    (folder / "holdfast.toml").write_text("port = 1")
    flags, ours, theirs = {"port": 4}, {"HOLDFAST_PORT": "3"}, {"INNGEST_PORT": "2"}
    seen = [
        load(flags=flags, **ours, **theirs),
        load(**ours, **theirs),
        load(**theirs),
        load(),
    ]
    assert [s.config().port for s in seen] == [4, 3, 2, 1]
    origins = ["flag --port", "env HOLDFAST_PORT", "env INNGEST_PORT", f"file {folder / 'holdfast.toml'}"]
    assert [one(s, "port").origin for s in seen] == origins
    assert one(seen[-1], "host").origin == "default"


def test_an_empty_variable_says_nothing(folder: Path) -> None:
    assert load(HOLDFAST_PORT="", INNGEST_PORT="7").config().port == 7


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "holdfast.toml",
            'sdk_url = ["a", "b"]\nno-poll = true\npoll-interval = "2m"\n[dev]\nport = 9\n[start]\nport = 8',
        ),
        ("holdfast.yaml", "sdk-url: [a, b]\nno-poll: true\npoll-interval: 2m\ndev: {port: 9}\nstart: {port: 8}"),
        ("holdfast.json", json.dumps({"sdk-url": "a,b", "no-poll": True, "poll-interval": 120,
                                      "dev": {"port": 9}, "start": {"port": 8}})),
        ("some.conf", "sdk-url: a, b\nno-poll: true\npoll-interval: 120.0\ndev: {port: 9}\nstart: {port: 8}"),
    ],
)  # fmt: skip
def test_formats_say_the_same(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    config = load(config=folder / name).config()
    assert config == Config(sdk_urls=("a", "b"), poll=False, poll_interval=120.0, port=9)
    assert load("start", folder / name).config().port == 8


def test_the_nearest_file_counts_and_ours_before_theirs(tmp_path: Path) -> None:
    home, inner, system = tmp_path / "home", tmp_path / "work" / "inner", tmp_path / "etc"
    inner.mkdir(parents=True)
    environ = {"HOME": str(home)}
    expected = [
        system / "holdfast.toml",
        home / ".config" / "inngest" / "inngest.yml",
        home / ".config" / "holdfast" / "holdfast.json",
        tmp_path / "work" / "inngest.json",
        tmp_path / "work" / "holdfast.yml",
        inner / "inngest.yaml",
    ]
    assert find(inner, environ, system) is None
    for path in expected:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
        assert find(inner, environ, system) == path


def test_folders_that_the_user_may_not_look_into_hold_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.stat

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        if self.parent == tmp_path / "root":
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    system = tmp_path / "etc"
    system.mkdir()
    (system / "holdfast.toml").write_text("")
    assert find(tmp_path / "root", {}, system) == system / "holdfast.toml"


def test_the_file_can_be_named_by_variable_and_by_flag(folder: Path) -> None:
    for number, name in enumerate(("holdfast.toml", "env.toml", "flag.toml")):
        (folder / name).write_text(f"port = {number}")
    assert load().config().port == 0
    assert load(INNGEST_CONFIG="env.toml").config().port == 1
    assert load(config=Path("flag.toml"), INNGEST_CONFIG="env.toml").config().port == 2
    with pytest.raises(ConfigError, match=r"can.t read the configuration file gone\.toml: No such file"):
        load(HOLDFAST_CONFIG="gone.toml")


def test_everything_wrong_in_a_file_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    text = 'prot = 9000\nlog_level = "loud"\nqueue-workers = 0\nsigning-key = 12\nno-ui = "yes"\n[dev]\nevent-key = "a"'
    assert problems(path, text) == (
        f"{path}:1: unknown option 'prot'; did you mean 'port'?",
        f"{path}:2: 'log_level' must be one of trace, debug, info, warn, error, not the text \"loud\"",
        f"{path}:3: 'queue-workers' must be a whole number of at least 1, not the number 0",
        f"{path}:4: 'signing-key' must be text, in quotes if it looks like a number, not the number",
        f"{path}:5: 'no-ui' must be true or false, not the text \"yes\"",
        f"{path}:7: `holdfast dev` has no option 'event-key'",
    )


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("x.toml", "port = \nx", "is not valid TOML: Invalid value (at line 1, column 8)"),
        ("x.json", "{", "is not valid JSON: Expecting property name enclosed in double quotes: line 1 column 2"),
        ("x.yaml", "a: 1\n\tb: 2", "is not valid YAML: while scanning"),
        ("x.yaml", "[1]", "must hold names and values, such as `port: 9000`, not the list"),
        ("x.toml", "dev = 3", "'dev' must hold the options of `holdfast dev`, not the number"),
        ("x.toml", "test-mode = true", "unknown option 'test-mode'"),
        ("x.json", "[" * 100_000, "is not valid JSON"),
        ("x.json", '{"port": 1, "port": 2}', "x.json: 'port' is set twice: remove one of them"),
        ("x.yaml", "port: 1\nhost: a\nport: 2", "x.yaml:3: 'port' is set twice: remove one of them"),
        ("x.yaml", "start:\n  port: 1\n  port: 2", "x.yaml:3: 'port' is set twice: remove one of them"),
        ("x.toml", "[strat]\nport = 1", "x.toml:1: unknown option 'strat'; did you mean 'start'?"),
        ("x.toml", "x = " + "[" * 3_000 + "]" * 3_000, "is not valid TOML"),
        ("x.json", '{"port": ' + "9" * 5_000 + "}", "is not valid JSON"),
        ("x.yaml", BOMB, "has more than 10,000 values, aliases included"),
        ("x.yaml", "a: &a [*a]", "x.yaml"),
        ("x.yaml", "x: " + "y" * 2_000_000, "it has more than 1,048,576 bytes"),
        ("x.yaml", "port: 2026-99-99", "is not valid YAML: month must be in 1..12"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, name: str, text: str, told: str) -> None:
    (problem,) = problems(tmp_path / name, text)
    assert problem.startswith(str(tmp_path / name))
    assert told in problem


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"port = \xff")
    with pytest.raises(ConfigError, match=r"is not UTF-8 text \(byte 7\)"):
        read(tmp_path / "x.toml")


def test_wrong_variables(folder: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load("start", HOLDFAST_PORT="http", INNGEST_NO_UI="maybe", HOLDFAST_CRON_CATCH_UP="all,x=never")
    assert caught.value.problems == (
        "HOLDFAST_PORT must be a whole number from 0 to 65535, not 'http'",
        "HOLDFAST_CRON_CATCH_UP must be a policy (none, latest, all), or <function>=<policy>, not 'all,x=never'",
        "INNGEST_NO_UI must be true or false, not 'maybe'",
    )


def test_secrets_from_files(folder: Path) -> None:
    (folder / "key").write_text("abcd\n")
    (folder / "keys").write_text("one\ntwo\n")
    settings = load("start", HOLDFAST_SIGNING_KEY_FILE="key", HOLDFAST_EVENT_KEY_FILE="keys")
    assert settings.config().signing_key == "abcd"
    assert settings.config().event_keys == ("one", "two")
    assert one(settings, "signing-key").origin == "env HOLDFAST_SIGNING_KEY_FILE"
    assert one(settings, "signing-key").shown == "********"
    assert settings.warnings == ()
    (folder / "key").write_text("\n")
    with pytest.raises(ConfigError, match="key, which HOLDFAST_SIGNING_KEY_FILE names, is empty"):
        load("start", HOLDFAST_SIGNING_KEY_FILE="key")
    with pytest.raises(ConfigError, match="can't read gone, which HOLDFAST_SIGNING_KEY_FILE names: No such file"):
        load("start", HOLDFAST_SIGNING_KEY_FILE="gone")
    with pytest.raises(ConfigError, match="HOLDFAST_SIGNING_KEY and HOLDFAST_SIGNING_KEY_FILE are both set"):
        load("start", HOLDFAST_SIGNING_KEY_FILE="key", HOLDFAST_SIGNING_KEY="abcd")


def test_variables_that_nothing_reads_are_warned_of(folder: Path) -> None:
    settings = load(HOLDFAST_PROT="1", INNGEST_REDIS_URI="redis://x", HOLDFAST_CONFIG="", INNGEST_OTHER="1")
    assert settings.warnings == (
        "unknown variable HOLDFAST_PROT; did you mean 'HOLDFAST_PORT'?",
        (
            "INNGEST_REDIS_URI has no effect here: "
            "state is kept in SQLite, in --sqlite-dir, or in PostgreSQL (--postgres-uri)"
        ),
    )


LINKS = {
    "HOLDFAST_PORT": "tcp://10.43.7.1:8288",
    "HOLDFAST_PORT_8288_TCP": "tcp://10.43.7.1:8288",
    "HOLDFAST_PORT_8288_TCP_ADDR": "10.43.7.1",
    "HOLDFAST_PORT_8288_TCP_PORT": "8288",
    "HOLDFAST_PORT_8288_TCP_PROTO": "tcp",
    "HOLDFAST_SERVICE_HOST": "10.43.7.1",
    "HOLDFAST_SERVICE_PORT": "8288",
    "HOLDFAST_SERVICE_PORT_HTTP": "8288",
}


def test_service_links_of_kubernetes_are_ignored_with_a_warning(folder: Path) -> None:
    settings = load("start", **LINKS)
    assert (one(settings, "port").value, one(settings, "port").source) == (8288, "default")
    (warning,) = settings.warnings
    assert warning.startswith(f"ignored {', '.join(sorted(LINKS))}: Kubernetes sets them")
    assert "enableServiceLinks: false" in warning


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("INNGEST_PORT", "port"),
        ("HOLDFAST_CONNECT_GATEWAY_PORT", "connect-gateway-port"),
        ("INNGEST_CONNECT_GATEWAY_PORT", "connect-gateway-port"),
    ],
)
@pytest.mark.parametrize("link", ["tcp://10.43.7.1:8288", "udp://10.43.7.1:53", "tcp://[fd00::1]:8288"])
def test_a_service_link_leaves_an_option_at_its_default(folder: Path, name: str, option: str, link: str) -> None:
    settings = load("start", **{name: link})
    assert one(settings, option).source == "default"
    assert name in settings.warnings[0]


@pytest.mark.parametrize("text", ['"8288"', "'8288'"])
def test_a_value_with_quotes_around_it_is_told_so(folder: Path, text: str) -> None:
    with pytest.raises(
        ConfigError, match=r"HOLDFAST_PORT must be .* \(leave out the quotes: they are part of the value"
    ):
        load("start", HOLDFAST_PORT=text)


def test_what_is_no_service_link_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="HOLDFAST_PORT must be a whole number"):
        load("start", HOLDFAST_PORT="tcp://")


def test_no_variable_that_something_reads_is_warned_of(folder: Path) -> None:
    package = Path(options.__file__).parent.parent
    texts = (path.read_text() for path in package.rglob("*.py") if path.name != "options.py")
    named = {name for text in texts for name in re.findall(r'"(HOLDFAST_[A-Z_]*[A-Z])"', text)}
    assert named >= {"HOLDFAST_CONFIG"}
    assert load(**dict.fromkeys(named - {"HOLDFAST_CONFIG"}, "")).warnings == ()


def test_log_variables_of_the_reference(folder: Path) -> None:
    config = load(LOG_LEVEL="WARNING", LOG_HANDLER="dev").config()
    assert (config.log_level, config.log_format) == ("warn", "text")
    assert load(LOG_LEVEL="warn", INNGEST_LOG_LEVEL="debug").config().log_level == "debug"


def test_every_option_has_a_field_of_its_own() -> None:
    fields = [option.attribute for option in OPTIONS]
    assert len(set(fields)) == len(fields)
    assert set(fields) <= set(Config.__struct_fields__)
    assert all(set(option.commands) <= set(BOTH) for option in OPTIONS)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_defaults_read_back(option) -> None:
    if not option.many and option.default != "":
        assert option.kind.parse(option.kind.show(option.default)) == option.default


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        (
            "sdk-url",
            ["localhost:3000/api/inngest", "https://shop.example.com"],
            ["not a url", "ftp://x", "http://", "x:y"],
        ),
        ("trusted-proxies", ["10.0.0.5", "10.0.0.0/8", "::1", "*"], ["caddy", "10.0.0.5/8"]),
    ],
)
def test_addresses_that_can_never_work_are_refused(name: str, good: list[str], bad: list[str]) -> None:
    option = options.BY_NAME[name]
    assert parse_many(option, good) == tuple(good)
    for text in bad:
        with pytest.raises(ValueError, match=r"an HTTP URL|an address"):
            parse_many(option, [text])
