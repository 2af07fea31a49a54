"""Settings: which of several places counts, what is refused, and that no secret is repeated."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import Exit, WrongInput
from runner.settings import LIVE_URL, SANDBOX_URL, Api, ApiKind, Settings

PASSWORD = "pl4nted-s3cret"
LOGIN = "me@example.com"


def load(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    **flags: object,
) -> Settings:
    return Settings.load(environ=environ or {}, flags=flags, workspace=folder)


def refused(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    **flags: object,
) -> WrongInput:
    with pytest.raises(WrongInput) as caught:
        load(folder, environ, **flags)
    assert caught.value.exit_code is Exit.WRONG_INPUT
    return caught.value


def whole_text(error: WrongInput) -> str:
    """All that the command line would print."""
    return "\n".join([*map(str, error.problems), *error.lines(), repr(error)])


def test_without_anything_said_the_defaults_hold(tmp_path: Path) -> None:
    """The first start in an empty folder needs no file at all."""
    settings = load(tmp_path)
    assert settings.workspace == tmp_path
    assert settings.store == tmp_path / "runner.db"
    assert settings.api == Api(ApiKind.LIVE, LIVE_URL)
    assert settings.calls_per_minute == 2000
    assert (settings.post_timeout_seconds, settings.settle_seconds) == (60, 900)
    assert settings.host_id is None
    assert settings.warnings == ()
    assert settings.origin("calls_per_minute") == "default"


def test_a_flag_beats_the_environment_and_that_beats_the_file(tmp_path: Path) -> None:
    """The nearer to the person at the keyboard, the more it counts; each says where it stood."""
    (tmp_path / "runner.toml").write_text("# ours\n\n  calls_per_minute = 10\n")
    environ = {"RUNNER_CALLS_PER_MINUTE": "20"}
    by_file = load(tmp_path)
    by_environment = load(tmp_path, environ)
    by_flag = load(tmp_path, environ, calls_per_minute=30)
    assert (by_file.calls_per_minute, by_file.origin("calls_per_minute")) == (
        10,
        "runner.toml:3:3",
    )
    assert (by_environment.calls_per_minute, by_environment.origin("calls_per_minute")) == (
        20,
        "RUNNER_CALLS_PER_MINUTE (environment)",
    )
    assert (by_flag.calls_per_minute, by_flag.origin("calls_per_minute")) == (
        30,
        "--calls-per-minute (flag)",
    )


def test_a_flag_not_given_and_an_empty_variable_do_not_count(tmp_path: Path) -> None:
    """Command line parsers say None; `export X=` is how a shell forgets."""
    settings = load(tmp_path, {"RUNNER_CALLS_PER_MINUTE": ""}, calls_per_minute=None)
    assert settings.calls_per_minute == 2000


def test_the_nearest_runner_toml_upwards_marks_the_workspace(tmp_path: Path) -> None:
    """From a folder deep inside, the same queue must be found."""
    (tmp_path / "runner.toml").write_text('store = "data/queue.db"')
    deep = tmp_path / "jobs" / "nightly"
    deep.mkdir(parents=True)
    settings = load(deep)
    assert settings.workspace == tmp_path
    assert settings.store == tmp_path / "data" / "queue.db"
    (tmp_path / "jobs" / "runner.toml").write_text("")
    assert load(deep).workspace == tmp_path / "jobs"


def test_a_relative_store_of_flag_or_environment_starts_at_the_current_folder(
    tmp_path: Path,
) -> None:
    """As with every path that a person types."""
    (tmp_path / "runner.toml").write_text("")
    folder = tmp_path / "jobs"
    folder.mkdir()
    assert load(folder, {"RUNNER_STORE": "a.db"}).store == folder / "a.db"
    assert load(folder, store=Path("b.db")).store == folder / "b.db"
    home = {"RUNNER_STORE": "~/c.db", "HOME": str(tmp_path)}
    assert load(folder, home).store == tmp_path / "c.db"


@pytest.mark.parametrize("name", ["sim", "sandbox"])
def test_a_rehearsal_never_shares_the_store_of_paid_answers(tmp_path: Path, name: str) -> None:
    """Unless the flag names a store: then somebody chose."""
    assert load(tmp_path, api=name).store == tmp_path / f"runner-{name}.db"
    environ = {"RUNNER_STORE": str(tmp_path / "paid.db")}
    settings = load(tmp_path, environ, api=name)
    assert settings.store == tmp_path / f"paid-{name}.db"
    assert name in settings.origin("store")
    assert load(tmp_path, environ, api=name, store="mine.db").store == tmp_path / "mine.db"


@pytest.mark.parametrize(
    ("flag", "environ", "kind", "url"),
    [
        (None, {}, ApiKind.LIVE, LIVE_URL),
        ("live", {"DATAFORSEO_BASE_URL": "http://127.0.0.1:8801"}, ApiKind.LIVE, LIVE_URL),
        ("sandbox", {}, ApiKind.SANDBOX, SANDBOX_URL),
        ("sim", {"DATAFORSEO_BASE_URL": "nonsense"}, ApiKind.SIM, None),
        ("https://proxy.example/dfs/", {}, ApiKind.URL, "https://proxy.example/dfs"),
        (
            None,
            {"DATAFORSEO_BASE_URL": "http://127.0.0.1:8801/"},
            ApiKind.URL,
            "http://127.0.0.1:8801",
        ),
        (None, {"DATAFORSEO_BASE_URL": "HTTPS://API.DataForSEO.com:443/"}, ApiKind.LIVE, LIVE_URL),
        (None, {"DATAFORSEO_BASE_URL": SANDBOX_URL}, ApiKind.SANDBOX, SANDBOX_URL),
    ],
)
def test_whom_to_call_is_one_question_with_one_answer(
    tmp_path: Path, flag: str | None, environ: dict[str, str], kind: ApiKind, url: str | None
) -> None:
    """A store is bound to its API, so one API has one spelling, and the flag decides."""
    api = load(tmp_path, environ, api=flag).api
    assert (api.kind, api.base_url) == (kind, url)


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "sim.localhost", "LOCALHOST"]
)
def test_plain_http_is_for_this_machine(tmp_path: Path, host: str) -> None:
    """A simulator has no certificate and its password crosses no network."""
    settings = load(tmp_path, api=f"http://{host}:8801")
    assert settings.api.base_url == f"http://{host.lower()}:8801"
    assert settings.warnings == ()


@pytest.mark.parametrize(
    "host", ["api.dataforseo.com", "10.0.0.1", "localhost.example.com", "0.0.0.0"]
)
def test_plain_http_to_another_machine_is_refused_unless_said_twice(
    tmp_path: Path, host: str
) -> None:
    """Every call carries the password; one letter missing in https must not give it away."""
    error = refused(tmp_path, {"DATAFORSEO_BASE_URL": f"http://{host}"})
    assert "https://" in error.what
    assert error.where == "DATAFORSEO_BASE_URL (environment)"
    settings = load(tmp_path, {"DATAFORSEO_BASE_URL": f"http://{host}", "RUNNER_ALLOW_HTTP": "1"})
    assert settings.allow_http
    assert any("travel in clear" in warning for warning in settings.warnings)


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (f"https://{LOGIN.replace('@', '%40')}:{PASSWORD}@api.dataforseo.com", "login or password"),
        (f"https://api.dataforseo.com?key={PASSWORD}", "without ? and #"),
        (f"https://api.dataforseo.com/#{PASSWORD}", "without ? and #"),
        ("https://api.dataforseo.com?", "without ? and #"),
        ("https://api.dataforseo.com/v3/", "/v3"),
        ("https://", "host"),
        ("https://host:port", "port"),
        ("https://host:99999", "port"),
        ("https://[::1", "cannot be read"),
        ("https://a b.example", "spaces"),
        ("https://a\x1b[31m.example", "control"),
        (f"{LOGIN}:{PASSWORD}", "https://"),
        ("ftp://files.example", "https://"),
        ("lvie", "did you mean live?"),
    ],
)
def test_what_is_no_base_url_is_refused_without_repeating_it(
    tmp_path: Path, url: str, word: str
) -> None:
    """A password pasted into the URL must not show in the error that refuses it."""
    for error in [refused(tmp_path, api=url), refused(tmp_path, {"DATAFORSEO_BASE_URL": url})]:
        assert PASSWORD not in whole_text(error)
        assert "\x1b" not in whole_text(error)
    assert word in refused(tmp_path, api=url).what


@pytest.mark.parametrize("value", ["1", "19", "100000", " 600 "])
def test_every_call_rate_within_the_bounds_is_taken(tmp_path: Path, value: str) -> None:
    """Slow on purpose is a choice: one call a minute must do."""
    settings = load(tmp_path, {"RUNNER_CALLS_PER_MINUTE": value})
    assert settings.calls_per_minute == int(value)


@pytest.mark.parametrize(
    "value", ["0", "100001", "-5", "2,000", "2e3", "12.0", "lots", "١٢", "9" * 5000]
)
def test_a_call_rate_that_is_none_is_refused_with_its_bounds(tmp_path: Path, value: str) -> None:
    """A rate read wrongly would be used at once."""
    error = refused(tmp_path, {"RUNNER_CALLS_PER_MINUTE": value})
    assert "whole number from 1 to 100000" in error.what
    assert error.how is not None
    assert "RUNNER_CALLS_PER_MINUTE" in error.how
    assert len(whole_text(error)) < 600


@pytest.mark.parametrize("value", ["true", "1.5", "[1]", '"many"', "1" + "0" * 400])
def test_a_call_rate_of_another_type_in_the_file_is_refused(tmp_path: Path, value: str) -> None:
    """TOML has types; true is not 1."""
    (tmp_path / "runner.toml").write_text(f"calls_per_minute = {value}\n")
    (problem,) = refused(tmp_path).problems
    assert (problem.path, problem.line, problem.column) == (str(tmp_path / "runner.toml"), 1, 1)
    assert "whole number" in problem.message


def test_durations_take_fractions_and_refuse_what_is_no_duration(tmp_path: Path) -> None:
    """Tests shrink them; NaN would make every comparison with a deadline false."""
    settings = load(
        tmp_path, {"RUNNER_POST_TIMEOUT_SECONDS": "0.5", "RUNNER_SETTLE_SECONDS": "0.25"}
    )
    assert (settings.post_timeout_seconds, settings.settle_seconds) == (0.5, 0.25)
    for wrong in ["0", "nan", "inf", "-1", "1e3", "1m", "999999"]:
        assert "seconds from" in refused(tmp_path, {"RUNNER_SETTLE_SECONDS": wrong}).what
    for value in ["nan", "inf", "true", '"x"', "1" + "0" * 400]:
        (tmp_path / "runner.toml").write_text(f"post_timeout_seconds = {value}")
        assert "seconds from" in refused(tmp_path).problems[0].message


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    """Three starts to find three mistakes are two too many."""
    (tmp_path / "runner.toml").write_text('settle_seconds = "long"\ncalls_per_minut = 5\n')
    environ = {"RUNNER_POST_TIMEOUT_SECONDS": "soon", "RUNNER_ALLOW_HTTP": "perhaps"}
    error = refused(tmp_path, environ, api="liev", store="mysql://db/x")
    text = whole_text(error)
    assert error.what == "6 settings are wrong"
    assert [(p.line, p.column) for p in error.problems] == [(1, 1), (2, 1)]
    for word in [
        "did you mean calls_per_minute?",
        "runner.toml:1:1: settle_seconds",
        "RUNNER_POST_TIMEOUT_SECONDS (environment)",
        "RUNNER_ALLOW_HTTP (environment)",
        "--api (flag)",
        "--store (flag)",
    ]:
        assert text.count(word) == 1


def test_a_mistake_in_the_file_is_told_once_and_the_file_is_named(tmp_path: Path) -> None:
    """The same line twice looks like two mistakes; "is not valid TOML" alone, like none."""
    file = tmp_path / "runner.toml"
    for text, what, said in [
        ("calls_per_minute =\n", "1 mistake in runner.toml", "1:19: is not valid TOML: "),
        ("foo = 1\nbar = 2\n", "2 mistakes in runner.toml", "2:1: bar: unknown setting"),
    ]:
        file.write_text(text)
        error = refused(tmp_path)
        assert "\n".join(error.lines()) == what
        assert str(error.problems[-1]).startswith(f"{file}:{said}")


def test_a_password_in_runner_toml_is_refused_with_the_reason(tmp_path: Path) -> None:
    """The file is committed with the jobs beside it."""
    for key in ["password", "DATAFORSEO_PASSWORD"]:
        (tmp_path / "runner.toml").write_text(f'login = "me"\n{key} = "{PASSWORD}"\n')
        error = refused(tmp_path)
        assert error.problems[0].line == 2
        assert "committed" in error.problems[0].message
        assert PASSWORD not in whole_text(error)


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        (b"calls_per_minute = \n", 1, "not valid TOML"),
        (b'store = "a"\nstore = "b"\n', 2, "not valid TOML"),
        (b"store = [1,\n", 2, "not valid TOML"),
        (b'\n\nstore = "caf\xe9.db"\n', 3, "not UTF-8"),
        (b"\n[limits]\nbudget_usd = 40\n", 2, "limits: unknown setting"),
        (b"host_id = 'a'\n", 1, "another host"),
        (b"DATAFORSEO_LOGN = 'a'\n", 1, "did you mean login?"),
    ],
)
def test_a_faulty_runner_toml_is_refused_with_the_line(
    tmp_path: Path, text: bytes, line: int, word: str
) -> None:
    """A setting that is silently not read is one that somebody relied on."""
    (tmp_path / "runner.toml").write_bytes(text)
    (problem,) = refused(tmp_path).problems
    assert problem.line == line
    assert word in problem.message


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Some editors write one."""
    (tmp_path / "runner.toml").write_bytes(b"\xef\xbb\xbfcalls_per_minute = 7\n")
    assert load(tmp_path).calls_per_minute == 7


@pytest.mark.parametrize(
    "store",
    [
        f"mysql://me:{PASSWORD}@db/x",
        "file:runner.db?mode=memory",
        ":memory:",
        ".",
        "new-folder/",
        "a\x00b",
        " ",
    ],
)
def test_what_is_no_file_is_no_store_and_is_not_repeated(tmp_path: Path, store: str) -> None:
    """A store that vanishes with the process would lose what was paid."""
    error = refused(tmp_path, store=store)
    assert "path of a file" in error.what
    assert PASSWORD not in whole_text(error)


def test_a_misspelt_variable_gets_a_warning_and_a_foreign_one_none(tmp_path: Path) -> None:
    """CI systems set RUNNER_ variables of their own."""
    environ = {"RUNNER_CALL_PER_MINUTE": "5", "RUNNER_OS": "Linux", "RUNNER_TEMP": "/tmp"}
    (warning,) = load(tmp_path, environ).warnings
    assert "did you mean RUNNER_CALLS_PER_MINUTE?" in warning


def test_a_flag_that_is_no_setting_is_the_callers_bug(tmp_path: Path) -> None:
    """A password as a flag would stand in every process list."""
    for name in ["password", "login", "nonsense"]:
        with pytest.raises(ValueError, match=name):
            Settings.load(environ={}, flags={name: "x"}, workspace=tmp_path)
    with pytest.raises(KeyError):
        load(tmp_path).origin("nonsense")


def test_settings_made_by_hand_check_themselves(tmp_path: Path) -> None:
    """Tests and embedders build them without any environment."""
    Settings(workspace=tmp_path, store=tmp_path / "runner.db", calls_per_minute=1)
    with pytest.raises(ValueError, match="calls_per_minute"):
        Settings(workspace=tmp_path, store=tmp_path / "runner.db", calls_per_minute=0)


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "DATAFORSEO_BASE_URL",
                "RUNNER_STORE",
                "RUNNER_CALLS_PER_MINUTE",
                "RUNNER_SETTLE_SECONDS",
                "RUNNER_ALLOW_HTTP",
                "RUNNER_HOST_ID",
            ]
        ),
        st.text(st.characters(exclude_characters="\x00")) | st.sampled_from(["https://", "1"]),
    )
)
def test_no_environment_makes_loading_fail_in_another_way(environ: dict[str, str]) -> None:
    """Whatever is set, the answer is settings or one readable refusal, never a traceback."""
    assert outcome_of(environ).isprintable()


def outcome_of(environ: dict[str, str]) -> str:
    """What a person would read after a start with *environ*, on one line."""
    try:
        settings = load(Path("/nonexistent-folder-of-a-test"), environ)
    except WrongInput as error:
        return " ".join(error.lines()).replace("\n", " ")
    return f"{settings.calls_per_minute} {settings.api} {settings.host_id}"
