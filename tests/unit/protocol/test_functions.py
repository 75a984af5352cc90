from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.protocol.durations import SECOND
from holdfast.protocol.functions import (
    Concurrency,
    ConcurrencyLimit,
    ExpressionUse,
    FunctionConfig,
    RateLimit,
    RegistrationError,
    Scope,
    SingletonMode,
    check_function,
    checksum,
    decode_registration,
    format_errors,
    load_config,
    stored_config,
)
from holdfast.protocol.ids import function_id

RECORDED = Path(__file__).parent / "recorded"
REGISTRATIONS: list[dict[str, Any]] = json.loads((RECORDED / "registrations.json").read_text())
CONFIGS: list[dict[str, Any]] = json.loads((RECORDED / "stored-configs.json").read_text())

URL = "http://localhost:3000/api/inngest?fnId=app-f&stepId=step"
STEPS = {"step": {"id": "step", "name": "step", "runtime": {"type": "http", "url": URL}}}
PLAIN: dict[str, Any] = {"id": "app-f", "name": "f", "triggers": [{"event": "app/x"}], "steps": STEPS}

# What these cases are refused for is not in the body: the API's own checks.
ANSWERED_BY_THE_API = {"empty object", "no app name", "blocked SDK", "wrong server kind"}


def decode(**changes: Any) -> FunctionConfig:
    return decode_registration(json.dumps({"functions": [{**PLAIN, **changes}]}).encode()).functions[0]


def allow(_text: str, _use: ExpressionUse) -> str | None:
    return None


def problems(**changes: Any) -> list[str]:
    return check_function(decode(**changes), allow)


def judge(body: str, refused: str | None) -> str | None:
    """What a sync of this body ends with; `refused` is what is wrong with every expression that ends early."""
    try:
        registration = decode_registration(body.encode())
    except RegistrationError as error:
        return str(error)

    def check(text: str, _use: ExpressionUse) -> str | None:
        return refused if text.rstrip()[-1] in ".=>" else None

    found = [problem for fn in registration.functions for problem in check_function(fn, check)]
    return format_errors(found) if found else None


@pytest.mark.parametrize("row", REGISTRATIONS, ids=[row["case"] for row in REGISTRATIONS])
def test_recorded_registrations(row: dict[str, Any]) -> None:
    expected = row["app_error"] if row["error"] == "At least one function is invalid" else row["error"]
    if row["case"] in ANSWERED_BY_THE_API:
        expected = None
    _, marker, compile_error = (expected or "").partition("error compiling expression")
    assert judge(row["body"], marker + compile_error) == expected


def test_every_recorded_case_is_there() -> None:
    assert len(REGISTRATIONS) == 50
    assert sum("error compiling expression" in (row["app_error"] or "") for row in REGISTRATIONS) >= 4


@pytest.mark.parametrize("row", CONFIGS, ids=[row["registered"]["id"] for row in CONFIGS])
def test_recorded_configs(row: dict[str, Any]) -> None:
    fn = decode_registration(json.dumps({"functions": [row["registered"]]}).encode()).functions[0]
    stored = json.loads(row["stored"])
    assert stored["id"] == function_id(fn.name, fn.url)
    assert stored_config(fn, stored["id"], stored["fv"]).decode() == row["stored"]
    assert load_config(row["stored"].encode()) == fn


EVERYTHING: dict[str, Any] = {
    "triggers": [
        {"event": "a<b", "expression": "event.data.n > 1 && true"},
        {"cron": "TZ=Europe/Paris 0 12 * * 5", "jitter": "30s", "catchUp": "all"},
    ],
    "concurrency": {
        "fn": [{"limit": 5, "key": "event.data.k"}],
        "step": [{"limit": 9, "key": "'a'", "scope": "account"}, {"limit": 2}],
    },
    "throttle": {"limit": 2, "period": "1500ms", "burst": 3, "key": "event.data.k"},
    "rateLimit": {"limit": 2, "period": "1h", "key": "event.data.k"},
    "debounce": {"period": "5s", "key": "event.data.k", "timeout": "1m"},
    "batchEvents": {"maxSize": 10, "timeout": "5s", "key": "event.data.k", "if": "event.data.b"},
    "priority": {"run": "event.data.p"},
    "cancel": [{"event": "c", "if": "async.data.x == 1", "timeout": "1h"}],
    "timeouts": {"start": "1m", "finish": "soon"},
    "singleton": {"key": "event.data.k", "mode": "cancel"},
    "checkpoint": {"batch_steps": 3, "batch_interval": "1s", "max_runtime": 1_000_000},
    "retries": 7,
}


def test_everything_is_decoded() -> None:
    fn = decode(**EVERYTHING)
    assert fn.slug == "app-f"
    assert fn.retries == 7
    assert fn.max_attempts == 8
    assert fn.url == URL
    assert fn.triggers[1].jitter_ns == 30 * SECOND
    assert (fn.triggers[0].catch_up, fn.triggers[1].catch_up) == ("", "all")
    assert fn.concurrency == Concurrency(
        steps=(ConcurrencyLimit(2), ConcurrencyLimit(9, "'a'", Scope.ACCOUNT)),
        runs=(ConcurrencyLimit(5, "event.data.k"),),
        declared=True,
    )
    assert fn.throttle is not None
    assert (fn.throttle.period, fn.throttle.period_ns, fn.throttle.burst) == ("1500ms", SECOND, 3)
    assert fn.rate_limit == RateLimit(2, "1h", 3600 * SECOND, "event.data.k")
    assert fn.debounce is not None
    assert (fn.debounce.period_ns, fn.debounce.timeout_ns) == (5 * SECOND, 60 * SECOND)
    assert fn.batch is not None
    assert (fn.batch.max_size, fn.batch.timeout_ns, fn.batch.condition) == (10, 5 * SECOND, "event.data.b")
    assert fn.priority == "event.data.p"
    assert fn.timeouts is not None
    assert (fn.timeouts.start_ns, fn.timeouts.finish_ns, fn.timeouts.finish) == (60 * SECOND, None, "soon")
    assert fn.singleton is not None
    assert fn.singleton.mode is SingletonMode.CANCEL
    assert fn.checkpoint is not None
    assert fn.checkpoint.max_runtime == 1_000_000


def test_everything_is_stored_in_the_order_of_the_reference() -> None:
    fn = decode(**EVERYTHING)
    stored = stored_config(fn, "the-uuid", 3)
    assert load_config(stored) == fn
    order = "id fv name slug priority timeouts concurrency debounce checkpoint triggers batchEvents rateLimit throttle"
    assert list(json.loads(stored)) == [*order.split(), "cancel", "singleton", "steps"]
    assert b'{"event":"a\\u003cb","expression":"event.data.n \\u003e 1 \\u0026\\u0026 true"}' in stored
    limit = {"limit": 9, "key": "'a'", "scope": "Account", "hash": "2fw44rqeke51i"}
    assert json.loads(stored)["concurrency"]["step"][1] == limit


def test_line_separators_are_escaped_when_stored() -> None:
    assert b'"name":"a\\u2028b\\u2029"' in stored_config(decode(name="a\u2028b\u2029"), "u", 1)


@pytest.mark.parametrize("given", [None, {}, []])
def test_absent_parts(given: Any) -> None:
    fn = decode(triggers=None, cancel=None, priority=None, concurrency=given if given == [] else None)
    assert fn.triggers == ()
    assert fn.concurrency.declared == (given == [])
    assert not fn.priority
    assert fn.retries == 4
    assert fn.steps[0].retries is None


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (5, [5]),
        ({"limit": 3, "key": None, "scope": None}, [3]),
        ([{"limit": 3}, {"limit": 1}], [1, 3]),
        ({"step": [{"limit": 2}]}, [2]),
        ({"fn": [], "step": [], "limit": 4}, [4]),
        ([], []),
    ],
)
def test_shapes_of_concurrency(value: Any, steps: list[int]) -> None:
    concurrency = decode(concurrency=value).concurrency
    assert [limit.limit for limit in concurrency.steps] == steps
    assert concurrency.runs == ()
    assert concurrency.declared


@pytest.mark.parametrize(
    ("step", "function", "retries"),
    [(None, None, 4), (None, 2, 2), (0, 2, 0), (99, None, 20), (-1, None, 0), (None, {"attempts": 3}, 3)],
)
def test_retries(step: int | None, function: Any, retries: int) -> None:
    steps = {"step": {**STEPS["step"], "retries": {"attempts": step}}}
    assert decode(steps=steps, retries=function).retries == retries


def test_idempotency_replaces_the_rate_limit() -> None:
    fn = decode(idempotency="event.data.k", rateLimit={"limit": 5, "period": "1h"})
    assert fn.rate_limit == RateLimit(1, "24h0m0s", 24 * 3600 * SECOND, "event.data.k")


def test_keys_count_in_any_case_and_unknown_ones_not_at_all() -> None:
    body = (
        b'{"APPNAME":"a","Functions":[{"ID":"s","Name":"n","Triggers":[{"EVENT":"e","x":1}],"more":{}}],"deployId":1}'
    )
    registration = decode_registration(body)
    assert registration.app_name == "a"
    assert (registration.functions[0].slug, registration.functions[0].triggers[0].event) == ("s", "e")


def test_a_registration_in_full() -> None:
    registration = decode_registration(
        b'{"v":"0.1","url":"http://127.0.0.1:3000/api?deployId=1","deployType":"ping","sdk":"py:v0.5.18","framework":"flask",'
        b'"appname":"shop","appVersion":"1.2","headers":{"env":"e","platform":"p"},"idempotencyKey":"k",'
        b'"capabilities":{"trust_probe":"v1","connect":"v1","other":1},"featureObservations":{"a":1}}'
    )
    assert registration.url == "http://localhost:3000/api"
    assert (registration.sdk_language, registration.sdk_version) == ("py", "v0.5.18")
    assert (registration.protocol_version, registration.deploy_type, registration.framework) == ("0.1", "ping", "flask")
    assert (registration.app_name, registration.app_version, registration.idempotency_key) == ("shop", "1.2", "k")
    assert (registration.env, registration.platform) == ("e", "p")
    assert registration.capabilities == {"trust_probe": "v1", "connect": "v1"}
    assert registration.feature_observations == b'{"a":1}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "json: cannot unmarshal array into Go value of type sdk.RegisterRequest"),
        (b"3", "json: cannot unmarshal number into Go value of type sdk.RegisterRequest"),
        (b'{"url":1}', "json: cannot unmarshal number into Go struct field RegisterRequest.url of type string"),
        (
            b'{"functions":[{"name":true}]}',
            "json: cannot unmarshal bool into Go struct field SDKFunction.functions.name of type string",
        ),
        (
            b'{"functions":[{"retries":1.5}]}',
            "json: cannot unmarshal number 1.5 into Go struct field SDKFunction.functions.retries of type int",
        ),
        (b'{"functions":[{"throttle":{"period":"x"}}]}', 'time: invalid duration "x"'),
        (b'{"functions":[{"concurrency":{"scope":"x"}}]}', "x does not belong to ConcurrencyScope values"),
        (b'{"functions":[3]}', "json: cannot unmarshal number into Go value of type sdk.SDKFunction"),
        (b'{"functions":', "unexpected EOF"),
    ],
)
def test_what_cannot_be_decoded(body: bytes, message: str) -> None:
    with pytest.raises(RegistrationError) as caught:
        decode_registration(body)
    assert str(caught.value) == f"Invalid request: {message}"


@pytest.mark.parametrize("depth", [20_000, 100_000])
def test_deep_nesting_is_refused_or_ignored(depth: int) -> None:
    body = b'{"x":' + b"[" * depth + b"]" * depth + b"}"
    with pytest.raises(RegistrationError, match="exceeded max depth"):
        decode_registration(body)


def test_what_only_go_accepts() -> None:
    assert decode_registration(b'{"appName":"a"} and more').app_name == "a"
    assert decode_registration(b'{"appName":"a\xff"}').app_name == "a\ufffd"
    assert decode_registration(b'{"x":[{"y":"\\udfff"},1e999],"appName":"a\\ud800b"}').app_name == "a\ufffdb"
    assert decode_registration(b"null").app_name == ""


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.sampled_from(["", "1s", "event.data.", "fn", "* * * * *", "ftp://x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*PLAIN, *EVERYTHING, "limit", "period", "event", "cron", "step", "runtime", "url"]), inner
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from([*PLAIN, *EVERYTHING, "idempotency"]), JSON))
def test_any_function_is_refused_or_stored(changes: dict[str, Any]) -> None:
    try:
        fn = decode(**changes)
    except RegistrationError:
        return
    if not check_function(fn, allow):
        assert load_config(stored_config(fn, "u", 1)) == fn


@given(st.binary())
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    with suppress(RegistrationError):
        decode_registration(body)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"name": "", "steps": {}}, ["A function name is required", "Functions must contain one step"]),
        ({"steps": {"step": {"id": "step", "runtime": {"url": "wss://h"}}}}, ["All steps must have a name"]),
        ({"steps": {"step": {"name": "s", "runtime": {}}}}, ["No SDK URL provided for function 'f'"]),
        ({"steps": {"step": {"name": "s", "runtime": {"url": "http://[x"}}}}, ["Steps must have a valid URI"]),
        ({"triggers": [{"expression": "true"}]}, ["An event trigger must specify an event name"]),
        ({"triggers": [{"event": "e", "expression": "1"}, {"event": "e", "expression": "2"}]}, []),
        ({"triggers": [{"cron": "* * * * *"}, {"cron": "* * * * *"}]}, ["duplicate trigger cron: * * * * *"]),
        (
            {"triggers": [{"cron": "* * * * *"}, {"cron": "* * * * *", "jitter": "5s"}]},
            ["duplicate cron expression: * * * * *"],
        ),
        ({"triggers": [{"cron": "* * * * *", "jitter": "x"}]}, ["'x' isn't a valid jitter duration"]),
        ({"triggers": [{"cron": "* * * * *", "jitter": "0s"}]}, []),
        (
            {"triggers": [{"cron": "* * * * *", "jitter": "500ms"}]},
            ["cron jitter must be greater than or equal to 1s"],
        ),
        ({"triggers": [{"cron": "* * * * *", "catchUp": "none"}]}, []),
        (
            {"triggers": [{"cron": "* * * * *", "catchUp": "some"}]},
            ["'some' isn't a valid cron catch-up policy: it is one of none, latest, all"],
        ),
        (
            {"triggers": [{"event": "e", "catchUp": "all"}]},
            ["A trigger cannot have both an event and a cron trigger"],
        ),
        ({"triggers": [{"cron": "@hourly"}]}, ["'@hourly' isn't a valid cron schedule"]),
        ({"triggers": [{"event": f"e{n}"} for n in range(10)]}, []),
        ({"cancel": [{"event": f"e{n}"} for n in range(5)]}, []),
        ({"cancel": [{"event": "e", "timeout": "x"}]}, ['Cancellation timeout is invalid: invalid duration "x"']),
        (
            {"batchEvents": {"maxSize": 2, "timeout": "1d"}, "debounce": {"period": "1s"}, "singleton": {}},
            [
                "Batching and debouncing are mutually exclusive",
                "Batching and singletons are mutually exclusive",
                'failed to parse time duration: time: unknown unit "d" in duration "1d"',
            ],
        ),
        ({"batchEvents": {"maxSize": 2, "timeout": "24h"}}, []),
        ({"batchEvents": {"maxSize": 2, "timeout": "500ms"}}, ["batch timeout should be more than 1s"]),
        ({"debounce": {"period": "8d"}}, ["The debounce period of '8d' is greater than the max of: 168h0m0s"]),
        ({"debounce": {"period": "7d", "key": ""}}, []),
        (
            {"debounce": {"period": "x"}},
            ["The debounce period of 'x' is invalid: time: invalid duration \"x\""],
        ),
        ({"rateLimit": {"limit": 1}}, ["period must be specified"]),
        ({"rateLimit": {"limit": 1, "period": "24h"}}, []),
        ({"rateLimit": {"limit": 1, "period": "x"}}, ['time: invalid duration "x"']),
        (
            {"concurrency": {"fn": [{"limit": 1}, {"limit": 2}]}},
            ["Only one function concurrency limit is allowed"],
        ),
        (
            {"concurrency": [{"limit": 1, "scope": "account"}]},
            ["A concurrency key must be specified for Account scoped limits"],
        ),
        (
            {"concurrency": [{"limit": 1, "scope": "app", "key": "'a'"}]},
            ["App scoped concurrency limits can't be set by functions"],
        ),
        ({"throttle": {"limit": 0, "period": "1s", "key": "nonsense ("}}, []),
        ({"singleton": {"key": "nonsense ("}}, []),
    ],
)
def test_problems(changes: dict[str, Any], expected: list[str]) -> None:
    assert problems(**changes) == expected


def test_which_expressions_are_checked_as_what() -> None:
    seen: dict[ExpressionUse, str] = {}

    def check(text: str, use: ExpressionUse) -> str | None:
        seen[use] = text
        return None

    check_function(decode(**EVERYTHING), check)
    assert seen == {
        ExpressionUse.TRIGGER: "event.data.n > 1 && true",
        ExpressionUse.RATE_LIMIT_KEY: "event.data.k",
        ExpressionUse.DEBOUNCE_KEY: "event.data.k",
        ExpressionUse.BATCH_KEY: "event.data.k",
        ExpressionUse.BATCH_IF: "event.data.b",
        ExpressionUse.CONCURRENCY_KEY: "event.data.k",
        ExpressionUse.PRIORITY: "event.data.p",
        ExpressionUse.CANCEL_IF: "async.data.x == 1",
    }


def test_what_is_said_of_refused_expressions() -> None:
    assert check_function(decode(**EVERYTHING), lambda _text, use: use.name) == [
        "invalid trigger expression on 'a<b': TRIGGER",
        "Cancellation expression is invalid: CANCEL_IF",
        "Batching and cancellation are mutually exclusive",
        "Batching and debouncing are mutually exclusive",
        "Batching and singletons are mutually exclusive",
        "A function cannot specify Priority.Run and Batch together",
        "Invalid concurrency key ''a'': CONCURRENCY_KEY",
        "Invalid concurrency key 'event.data.k': CONCURRENCY_KEY",
        "batch key expression is invalid: BATCH_KEY",
        "batch if expression is invalid: BATCH_IF",
        "Invalid debounce key 'event.data.k': DEBOUNCE_KEY",
        "Invalid rate limit key 'event.data.k': RATE_LIMIT_KEY",
        "Priority.Run expression is invalid: PRIORITY",
    ]


@pytest.mark.parametrize("trigger", [{"event": "e" * 256}, {"cron": "* " * 5 + " " * 250}])
def test_triggers_that_are_too_long(trigger: dict[str, str]) -> None:
    assert "at most 255 characters" in problems(triggers=[trigger])[0]


def test_the_text_of_several_errors() -> None:
    assert format_errors(["a"]) == "1 errors occurred: * a"
    assert format_errors(["a", "b"]) == "2 errors occurred: * a * b"


def test_checksums_ignore_what_does_not_matter() -> None:
    body = {"appName": "a", "functions": [PLAIN], "capabilities": {"connect": "v1", "trust_probe": "v1"}}
    same = {"capabilities": {"trust_probe": "v1", "connect": "v1"}, "appname": "a", "functions": [PLAIN]}
    noisy = {**same, "featureObservations": {"a": 1}, "deployId": "x", "framework": None}
    sums = {checksum(json.dumps(part, indent=indent).encode()) for part in (body, same, noisy) for indent in (None, 2)}
    assert len(sums) == 1
    assert checksum(json.dumps({**body, "appVersion": "2"}).encode()) not in sums
    assert checksum(json.dumps({**body, "functions": [{**PLAIN, "retries": 1}]}).encode()) not in sums


def test_a_recorded_repetition_has_the_same_checksum() -> None:
    good, again = (next(row for row in REGISTRATIONS if row["case"] == case) for case in ("good", "good again"))
    assert again["modified"] is False
    assert checksum(good["body"].encode()) == checksum(again["body"].encode())


def test_configs_are_hashable_and_compact() -> None:
    fn = decode(**EVERYTHING)
    assert hash(fn) == hash(decode(**EVERYTHING))
    with pytest.raises(AttributeError):
        fn.slug = "x"  # type: ignore[misc]
    assert msgspec.json.decode(stored_config(fn, "u", 1))["slug"] == "app-f"
