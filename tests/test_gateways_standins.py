"""The stand-ins as a whole, and how the gateways are made."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import standins
from app.gateways import build
from app.gateways.nuonuo import MemoryTokens
from standins.keys import ensure_keys
from tests.standin_server import VALUES, running_standins

ROOT = Path(__file__).parent.parent


def test_the_standins_refuse_to_start_in_production(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODE", "production")
    for start in (lambda: standins.create_app(tmp_path, VALUES), lambda: standins.main(0, tmp_path, VALUES)):
        with pytest.raises(SystemExit, match="MODE=production"):
            start()
    assert list(tmp_path.iterdir()) == []


def test_production_settings_are_refused_even_if_the_environment_does_not_say_so(tmp_path: Path) -> None:
    settings = SimpleNamespace(mode="production", standins_port=0, var_dir=tmp_path, **VALUES)
    with pytest.raises(SystemExit, match="MODE=production"):
        standins.serve(settings)


def test_every_page_of_the_standins_opens_in_chinese_and_loads_nothing_from_outside(tmp_path: Path) -> None:
    with running_standins(tmp_path) as outside:
        for path in ("/", "/alipay/", "/sms/outbox", "/invoice/", "/exam/", "/ministry/", "/timestamp/"):
            answer = outside.http.get(outside.url + path, timeout=10)
            assert answer.status_code == 200
            assert 'lang="zh-CN"' in answer.text
            assert not re.search(r"""(src|href)=["'](https?:)?//""", answer.text)
            assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", answer.text)
        assert outside.http.get(f"{outside.url}/static/standins.css", timeout=10).status_code == 200
        assert outside.http.get(f"{outside.url}/healthz", timeout=10).json() == {"status": "ok"}


def test_two_processes_that_draw_the_keys_at_once_end_with_the_same(tmp_path: Path) -> None:
    code = "import sys, pathlib; from standins.keys import ensure_keys; ensure_keys(pathlib.Path(sys.argv[1]))"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(
            lambda _: subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True, timeout=60), range(4)
        ))
    before = {name: path.read_bytes() for name, path in ensure_keys(tmp_path).items()}
    assert {name: path.read_bytes() for name, path in ensure_keys(tmp_path).items()} == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keys", "signing"], "nothing half-drawn is left"
    assert all(path.stat().st_mode & 0o077 == 0 for path in ensure_keys(tmp_path).values())


def test_the_gateways_are_built_without_loading_a_single_sdk() -> None:
    code = (
        "import sys\nfrom types import SimpleNamespace\nfrom app.gateways import GatewaySettings, build\n"
        "values = {name: 'x' for name in vars(GatewaySettings) if not name.startswith('_')}\n"
        "build(SimpleNamespace(**values | {'storage_url': 'file:///tmp'}), bytes, None)\n"
        "assert not {'alipay', 'alibabacloud_dysmsapi20170525', 'obstore'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_the_gateways_made_from_settings_meet_the_standins(tmp_path: Path) -> None:
    with running_standins(tmp_path / "state") as outside:
        gateways = build(SimpleNamespace(**outside.settings(), storage_url=f"file://{tmp_path}/files", ocr="off",
                                         invoice_provider="nuonuo"),
                         lambda values: b"", MemoryTokens())
        keys = [outside.settings()[f"alipay_{name}"] for name in ("app_id", "seller_id", "private_key", "public_key")]
        assert gateways.payment.of(*keys).query("none") is None
        gateways.sms.send("13800138000", VALUES["sms_template_code"], {"code": "123456"})
        gateways.storage.put("a", b"x")
        assert gateways.storage.get("a") == b"x"
    assert os.listdir(tmp_path / "files") == ["a"]
