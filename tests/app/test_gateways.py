"""Whom each gateway's calls go to: never the real one from a rehearsal."""

from pathlib import Path

import pytest

from runner.app.gateways import access_to
from runner.errors import CredentialsRefused, WrongInput
from runner.settings import AISA_URL, Settings
from runner.task import Gateway

KEY = "sk-aisa-0123456789"
ACCOUNT = {"DATAFORSEO_LOGIN": "me@example.com", "DATAFORSEO_PASSWORD": "pl4nted-s3cret"}
SIMULATOR = "http://127.0.0.1:4711"


def load(folder: Path, api: str | None = None, **environ: str) -> Settings:
    return Settings.load(environ={**ACCOUNT, **environ}, flags={"api": api}, workspace=folder)


def test_each_gateway_has_its_own_address_and_key(tmp_path: Path) -> None:
    """A password sent to the reseller would be a password given away."""
    settings = load(tmp_path, AISA_API_KEY=KEY)
    aisa = access_to(Gateway.AISA, settings)
    assert (aisa.base_url, aisa.authorization) == (AISA_URL, f"Bearer {KEY}")
    vendor = access_to(Gateway.DATAFORSEO, settings)
    assert vendor.base_url == "https://api.dataforseo.com"
    assert vendor.authorization == settings.credentials().authorization()


def test_a_rehearsal_asks_the_simulator_on_both_ways(tmp_path: Path) -> None:
    """With the real key set as well: `--api sim` costs nothing, whatever the environment holds."""
    settings = load(tmp_path, "sim", AISA_API_KEY=KEY, AISA_BASE_URL="https://api.aisa.one/apis/v1")
    aisa = access_to(Gateway.AISA, settings, simulator=SIMULATOR)
    assert aisa.base_url == f"{SIMULATOR}/apis/v1"
    assert KEY not in aisa.authorization
    assert access_to(Gateway.DATAFORSEO, settings, simulator=SIMULATOR).base_url == SIMULATOR
    with pytest.raises(ValueError, match="no address"):
        access_to(Gateway.AISA, settings)


@pytest.mark.parametrize("api", ["sandbox", "http://127.0.0.1:8080"])
def test_a_rehearsal_elsewhere_never_pays_the_real_aisa(tmp_path: Path, api: str) -> None:
    """AIsa has no sandbox: half of a "free" run would be charged."""
    settings = load(tmp_path, api, AISA_API_KEY=KEY)
    with pytest.raises(WrongInput, match="no free sandbox"):
        access_to(Gateway.AISA, settings)
    named = load(tmp_path, api, AISA_API_KEY=KEY, AISA_BASE_URL="http://127.0.0.1:8080/apis/v1/")
    assert access_to(Gateway.AISA, named).base_url == "http://127.0.0.1:8080/apis/v1"


def test_a_missing_key_is_missed_only_by_those_who_call_aisa(tmp_path: Path) -> None:
    """Most people have no account there."""
    settings = load(tmp_path)
    assert access_to(Gateway.DATAFORSEO, settings)
    with pytest.raises(CredentialsRefused) as caught:
        access_to(Gateway.AISA, settings)
    assert "AISA_API_KEY_FILE" in "\n".join(caught.value.lines())
