"""The environment, read once and strictly.

Every setting of the portal is a field of `Settings`; `load()` is the only place that reads the environment. In production a
missing or unsafe value stops the start with a list of everything that is wrong. In demo and test mode what is missing is
derived: secrets are drawn once into ``VAR_DIR/secrets.json`` and the gateways point at the stand-ins on this machine.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from urllib.parse import urlsplit

VERSION = "1.0.0"
ROOT = Path(__file__).resolve().parent
MODES = ("demo", "production", "test")
SECOND_FACTOR = ("offered", "required")
INVOICE_PROVIDERS = ("nuonuo", "local")
# What stands in SMS_NOTICE_TEMPLATES where no notice goes out by SMS: everything is set, also what is not wanted.
NO_TEMPLATES = "none"
DEMO_NOTICE_TEMPLATES = ",".join(f"{event}=SMS_0000001{n:02d}" for n, event in enumerate((
    "submit", "reopen", "change", "withdraw", "accept", "approve", "reject", "order_paid", "order_expired", "refunded", "carried_over",
    "carry_over_undone", "invoice_issued", "unlock_asked", "unlock_granted", "unlock_refused", "person_mismatch", "person_corrected",
    "certificates_issued", "seats_offered", "offer_lapsed", "waitlist_closed", "invoice_failed", "invoice_reversed",
    "resize_asked", "cancel_asked", "plan_resized", "resize_granted", "resize_refused", "cancel_granted", "cancel_refused",
    "plan_cancelled", "withdrawal_asked", "withdrawal_granted", "withdrawal_refused",
    "certificate_revoked", "certificate_replaced", "refund_failed", "bill_differs", "plan_cancelled_unpaid", "order_closed",
    "red_letter_due"), 1))
GATEWAYS = ("alipay", "sms", "invoice", "exam", "ministry", "signing_timestamp")

# Seconds a page waits for a broker that says nothing before it goes on without: the rows have the truth.
BROKER_PATIENCE = {"socket_connect_timeout": 2, "socket_timeout": 2}


class SettingsError(Exception):
    """The environment cannot be used; the message lists every reason, one a line."""


@dataclass(frozen=True)
class Settings:
    """All settings, typed. The environment variable of a field is its name in capitals (``docs/settings.md``)."""

    mode: str = "demo"
    bind: str = "127.0.0.1"
    port: int = 8080
    public_url: str = ""
    database_url: str = ""
    redis_url: str = ""
    storage_url: str = ""
    ocr: str = "on"
    var_dir: Path = ROOT / "var"
    standins_port: int = 0
    web_workers: int = 2
    web_threads: int = 4
    trusted_proxies: int = 0
    idle_minutes: int = 30
    sign_in_failures: int = 5
    sign_in_address_failures: int = 5
    second_factor: str = "offered"

    secret_key: str = field(default="", repr=False)
    data_key: str = field(default="", repr=False)
    index_key: str = field(default="", repr=False)
    # Keys that were DATA_KEY before, parted by commas, until rotate-keys has sealed their values anew.
    data_keys_old: str = field(default="none", repr=False)

    alipay_gateway_url: str = ""
    alipay_app_id: str = ""
    alipay_seller_id: str = ""
    alipay_private_key: str = field(default="", repr=False)
    alipay_public_key: str = field(default="", repr=False)

    sms_endpoint: str = ""
    sms_access_key_id: str = ""
    sms_access_key_secret: str = field(default="", repr=False)
    sms_sign_name: str = ""
    sms_template_code: str = ""
    sms_notice_templates: str = ""

    invoice_provider: str = "nuonuo"
    invoice_url: str = ""
    invoice_token_url: str = ""
    invoice_app_key: str = ""
    invoice_app_secret: str = field(default="", repr=False)
    invoice_seller_tax_number: str = ""
    invoice_seller_name: str = ""

    exam_url: str = ""
    exam_token: str = field(default="", repr=False)
    ministry_url: str = ""
    ministry_token: str = field(default="", repr=False)
    # http pushes certificates by itself, file writes them to files that a person takes there.
    ministry_adapter: str = "http"

    # The key that signs certificates of authorities without one of their own; none where every key is kept in the database.
    signing_private_key: str = field(default="", repr=False)
    signing_certificate: str = ""
    signing_timestamp_url: str = "none"

    @property
    def production(self) -> bool:
        return self.mode == "production"

    @property
    def older_data_keys(self) -> list[str]:
        """The keys that only open."""
        return [] if self.data_keys_old == "none" else [key.strip() for key in self.data_keys_old.split(",") if key.strip()]

    @property
    def standins_url(self) -> str:
        return f"http://127.0.0.1:{self.standins_port}"

    def flask(self) -> dict[str, object]:
        """The keys Flask and its extensions expect."""
        https = self.public_url.startswith("https://")
        return {
            "SECRET_KEY": self.secret_key,
            "SQLALCHEMY_DATABASE_URI": self.database_url,
            "SESSION_COOKIE_HTTPONLY": True,
            "SESSION_COOKIE_SAMESITE": "Lax",
            "SESSION_COOKIE_SECURE": https,
            # The cookie outlives the idle session, so that the next click can be told what has happened. It is written by
            # what a person does and not by every request: an answer that comes late must not bring an older one back.
            "PERMANENT_SESSION_LIFETIME": 24 * 3600 + self.idle_minutes * 60,
            "SESSION_REFRESH_EACH_REQUEST": False,
            "MAX_CONTENT_LENGTH": 64 * 1024 * 1024,
            "MAX_FORM_MEMORY_SIZE": 4 * 1024 * 1024,
            "MAX_FORM_PARTS": 20_000,
            "WTF_CSRF_TIME_LIMIT": None,
            "APP_NAME": "建设工人培训管理",
            "AUTH_TYPE": 1,
            "AUTH_ROLE_ADMIN": "Admin",
            "AUTH_ROLE_PUBLIC": "Public",
            "FAB_UPDATE_PERMS": False,
            "FAB_CREATE_DB": False,
            "FAB_ADD_SECURITY_PERMISSION_VIEW": False,
            "FAB_ADD_SECURITY_VIEW_MENU_VIEW": False,
            "FAB_ADD_SECURITY_PERMISSION_VIEWS_VIEW": False,
            "FAB_API_SWAGGER_UI": False,
            "FAB_PASSWORD_HASH_METHOD": "pbkdf2:sha256:200000" if self.mode != "test" else "pbkdf2:sha256:1000",
            "BABEL_DEFAULT_LOCALE": "zh_Hans_CN",
            "BABEL_DEFAULT_TIMEZONE": "Asia/Shanghai",
            "BABEL_TRANSLATION_DIRECTORIES": str(ROOT / "translations"),
            "LANGUAGES": {
                "zh_Hans_CN": {"flag": "cn", "name": "中文"},
                "en": {"flag": "gb", "name": "English"},
            },
            "FILE_ALLOWED_EXTENSIONS": ("jpg", "xlsx", "xls", "zip"),
            "RATELIMIT_ENABLED": self.mode != "test",
            "RATELIMIT_STORAGE_URI": self.redis_url.replace("unix://", "redis+unix://") or "memory://",
            "RATELIMIT_STORAGE_OPTIONS": BROKER_PATIENCE if self.redis_url else {},
            "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
            "RATELIMIT_HEADERS_ENABLED": False,
        }


def _integer(name: str, text: str, problems: list[str]) -> int:
    try:
        value = int(text)
    except ValueError:
        problems.append(f"{name}={text!r} is not a whole number")
        return 0
    if value < 0:
        problems.append(f"{name}={text!r} is negative")
    return value


def _key_text(text: str) -> str:
    """A PEM given as text, or the path of a file that holds it."""
    if text and "-----" not in text and len(text) < 500 and Path(text).is_file():
        return Path(text).read_text(encoding="ascii")
    return text


def _drawn_secrets(var_dir: Path) -> dict[str, str]:
    """Secrets of a demonstration, drawn once. The file is created whole or not at all, so two first starts agree."""
    path = var_dir / "secrets.json"
    if not path.exists():
        var_dir.mkdir(parents=True, exist_ok=True)
        drawn = {name: base64.b64encode(secrets.token_bytes(32)).decode() for name in ("secret_key", "data_key", "index_key")}
        drawn |= {name: secrets.token_hex(16) for name in
                  ("sms_access_key_secret", "invoice_app_secret", "exam_token", "ministry_token")}
        fresh = path.with_suffix(f".{os.getpid()}")
        fresh.write_text(json.dumps(drawn), encoding="ascii")
        fresh.chmod(0o600)
        with suppress(FileExistsError):
            os.link(fresh, path)
        fresh.unlink()
    return dict(json.loads(path.read_text(encoding="ascii")))


def _fill_for_demo(values: dict[str, object], settings: Settings) -> None:
    """Derive what a demonstration or a test did not set."""
    from standins.keys import ensure_keys

    port = int(str(values.get("standins_port") or settings.port + 1))
    base = f"http://127.0.0.1:{port}"
    keys = ensure_keys(settings.var_dir / "standins")
    derived: dict[str, object] = {
        "standins_port": port,
        "public_url": f"http://127.0.0.1:{settings.port}",
        "database_url": f"sqlite:///{settings.var_dir.resolve() / 'portal.db'}",
        "storage_url": f"file://{settings.var_dir.resolve() / 'files'}",
        "alipay_gateway_url": f"{base}/alipay/gateway.do",
        "alipay_app_id": "2021000000000001",
        "alipay_seller_id": "2088000000000001",
        "alipay_private_key": keys["app_private"].read_text(encoding="ascii"),
        "alipay_public_key": keys["alipay_public"].read_text(encoding="ascii"),
        "sms_endpoint": f"{base}/sms",
        "sms_access_key_id": "demo",
        "sms_sign_name": "建设工人培训",
        "sms_template_code": "SMS_000000001",
        "sms_notice_templates": DEMO_NOTICE_TEMPLATES,
        "invoice_url": f"{base}/invoice",
        "invoice_token_url": f"{base}/invoice/accessToken",
        "invoice_app_key": "demo",
        "invoice_seller_tax_number": "91330100MA2AAAA05G",
        "invoice_seller_name": "建设工人培训演示收款单位",
        "exam_url": f"{base}/exam",
        "ministry_url": f"{base}/ministry",
        "signing_private_key": keys["signing_private"].read_text(encoding="ascii"),
        "signing_certificate": keys["signing_certificate"].read_text(encoding="ascii"),
        **({"signing_timestamp_url": f"{base}/timestamp/"} if settings.mode == "demo" else {}),
        **_drawn_secrets(settings.var_dir),
    }
    for name, value in derived.items():
        if not values.get(name):
            values[name] = value


def _production_problems(settings: Settings) -> list[str]:
    # Without a tax platform nothing of it is to be set but who the payee is.
    needless = ("invoice_url", "invoice_token_url", "invoice_app_key", "invoice_app_secret") if settings.invoice_provider == "local" else ()
    problems = [f"{f.name.upper()} is not set" for f in fields(Settings)
                if getattr(settings, f.name) == "" and f.name != "mode" and f.name not in needless
                and not (settings.ministry_adapter == "file" and f.name in ("ministry_url", "ministry_token"))]
    for gateway in GATEWAYS:
        name = {"alipay": "alipay_gateway_url", "sms": "sms_endpoint"}.get(gateway, f"{gateway}_url")
        host = urlsplit(getattr(settings, name)).hostname or ""
        if host in ("localhost", "::1") or host.startswith("127."):
            problems.append(f"{name.upper()} points at this machine: stand-ins are refused in production")
    if settings.secret_key and len(settings.secret_key) < 32:
        problems.append("SECRET_KEY is shorter than 32 characters")
    if settings.public_url and not settings.public_url.startswith("https://"):
        problems.append("PUBLIC_URL must start with https:// in production")
    return problems


def _sign_in_problems(settings: Settings) -> list[str]:
    problems = [f"{name.upper()} must be at least 1" for name in ("idle_minutes", "sign_in_failures", "sign_in_address_failures")
                if getattr(settings, name) < 1]
    if settings.second_factor not in SECOND_FACTOR:
        problems.append(f"SECOND_FACTOR={settings.second_factor!r} must be one of {', '.join(SECOND_FACTOR)}")
    return problems


def _checked_templates(settings: Settings) -> list[str]:
    if settings.sms_notice_templates == NO_TEMPLATES:
        return []
    pairs = [pair for pair in re.split(r"[,\s]+", settings.sms_notice_templates) if pair]
    return [f"SMS_NOTICE_TEMPLATES: {pair!r} is not event=SMS_number" for pair in pairs if not re.fullmatch(r"[a-z_]+=SMS_[0-9]+", pair)]


def _checked_keys(settings: Settings) -> list[str]:
    problems = []
    named = [("DATA_KEY", settings.data_key), ("INDEX_KEY", settings.index_key),
             *(("DATA_KEYS_OLD", key) for key in settings.older_data_keys)]
    for name, key in named:
        try:
            if len(base64.b64decode(key, validate=True)) != 32:
                problems.append(f"{name} must be 32 bytes in base64")
        except ValueError:
            problems.append(f"{name} is not base64")
    return problems


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from the environment.

    Raises `SettingsError` naming every wrong or missing setting at once, so that one attempt is enough to mend them all.
    """
    env = os.environ if environ is None else environ
    problems: list[str] = []
    values: dict[str, object] = {}
    for f in fields(Settings):
        text = env.get(f.name.upper(), "").strip()
        if not text:
            continue
        if f.type == "int":
            values[f.name] = _integer(f.name.upper(), text, problems)
        elif f.type == "Path":
            values[f.name] = Path(text)
        elif f.name.endswith(("private_key", "public_key", "signing_certificate")):
            values[f.name] = _key_text(text)
        else:
            values[f.name] = text
    first = Settings(**values)  # type: ignore[arg-type]
    if first.mode not in MODES:
        problems.append(f"MODE={first.mode!r} must be one of {', '.join(MODES)}")
    problems += _sign_in_problems(first)
    if first.invoice_provider not in INVOICE_PROVIDERS:
        problems.append(f"INVOICE_PROVIDER={first.invoice_provider!r} must be one of {', '.join(INVOICE_PROVIDERS)}")
    if first.ocr not in ("on", "off"):
        problems.append(f"OCR={first.ocr!r} must be on or off")
    if first.ministry_adapter not in ("http", "file"):
        problems.append(f"MINISTRY_ADAPTER={first.ministry_adapter!r} must be http or file")
    if not problems and not first.production:
        _fill_for_demo(values, first)
    settings = Settings(**values)  # type: ignore[arg-type]
    if settings.production:
        if not settings.standins_port:
            settings = Settings(**{**values, "standins_port": settings.port + 1})  # type: ignore[arg-type]
        problems += _production_problems(settings)
    if not problems:
        problems += _checked_keys(settings) + _checked_templates(settings)
    if problems:
        raise SettingsError("\n".join(problems))
    return settings
