"""The base URL and the way there."""

import pytest

from runner.api.address import Proxy, checked, has_path, proxy_for
from runner.api.errors import WrongAddress
from runner.errors import Exit


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.dataforseo.com",
        "ftp://api.dataforseo.com",
        "https://",
        "https://host:port",
        "https://host:99999",
        "https://[::1",
        "https://me:hunter2@api.dataforseo.com",
        "https://api.dataforseo.com/?key=hunter2",
        "https://api.dataforseo.com/#hunter2",
    ],
)
def test_an_unusable_base_url_is_refused_without_repeating_it(url: str) -> None:
    """People put passwords into URLs; the error must not print one."""
    with pytest.raises(WrongAddress) as caught:
        checked(url)
    assert caught.value.exit_code is Exit.WRONG_INPUT
    assert "hunter2" not in "\n".join(caught.value.lines())


def test_a_slash_at_the_end_makes_no_difference() -> None:
    """Both spellings are in the vendor's own examples."""
    assert checked(" https://api.dataforseo.com/ ") == "https://api.dataforseo.com"
    assert not has_path(checked("https://api.dataforseo.com/"))
    assert has_path(checked("https://proxy.example/dataforseo"))


def test_the_environment_s_proxy_is_used_and_its_password_kept_out_of_sight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Many machines reach the API only through a proxy, cron jobs included."""
    monkeypatch.setenv("https_proxy", "http://me:p%40ss@proxy.example:3128")
    proxy = proxy_for("https://api.dataforseo.com")
    assert proxy == Proxy(url="http://proxy.example:3128", login="me", password="p@ss")
    assert "p@ss" not in repr(proxy)
    assert proxy_for("http://api.example") is None


def test_some_addresses_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine, and whatever NO_PROXY names; an unusable proxy is no reason to fail."""
    monkeypatch.setenv("all_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intern.example")
    assert proxy_for("http://127.0.0.1:8801") is None
    assert proxy_for("http://localhost:8801") is None
    assert proxy_for("https://api.intern.example") is None
    assert proxy_for("https://api.dataforseo.com") is not None
    monkeypatch.setenv("all_proxy", "socks5://proxy.example:1080")
    assert proxy_for("https://api.dataforseo.com") is None
