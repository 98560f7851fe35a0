"""The environment -> Django settings. A bad value stops the start and names the variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from django.utils.translation import gettext_lazy as _

from hajimi_site import env_file, environment, secret_key
from hajimi_site.version import VERSION as VERSION

BASE_DIR = Path(__file__).resolve().parent.parent
env_file.load(BASE_DIR / (os.environ.get("ENV_FILE") or ".env"), os.environ)

READING = environment.read(os.environ)
ENVIRONMENT_NOTES: tuple[str, ...] = READING.notes
_values = READING.values

BEHAVIOUR = environment.behaviour(_values)
GEMINI_API_KEYS: tuple[str, ...] = _values["GEMINI_API_KEYS"]
PASSWORD: str | None = _values["PASSWORD"]
HOST: str = _values["HOST"]
PORT: int = _values["PORT"]
WORKERS: int = _values["WORKERS"]
EVENT_LOOP: str = _values["EVENT_LOOP"]
REDIS_URL: str = _values["REDIS_URL"]
ADMIN_USERNAME: str = _values["ADMIN_USERNAME"]
ADMIN_PASSWORD: str = _values["ADMIN_PASSWORD"]
ALLOWED_ORIGINS: tuple[str, ...] = _values["ALLOWED_ORIGINS"]
GEMINI_BASE_URL: str = _values["GEMINI_BASE_URL"]
DRAIN_SECONDS: float = _values["DRAIN_SECONDS"]
MAX_BODY_BYTES = int(_values["MAX_BODY_MB"] * 2**20)
DEBUG: bool = _values["DEBUG"]
ON_SPACE = bool(os.environ.get("SPACE_ID"))
SPACE_HOST = os.environ.get("SPACE_HOST", "")

DATA_DIR = Path(_values["DATA_DIR"]).expanduser().resolve()


SECRET_KEY: str = _values["SECRET_KEY"] or secret_key.kept_in(DATA_DIR)
SECRET_KEY_FALLBACKS: list[str] = list(_values["SECRET_KEY_FALLBACKS"])

TRUSTED_PROXIES: tuple[str, ...] = _values["TRUSTED_PROXIES"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *filter(None, [SPACE_HOST]), *_values["ALLOWED_HOSTS"]]
CSRF_TRUSTED_ORIGINS = [
    *([f"https://{SPACE_HOST}"] if SPACE_HOST else []),
    *_values["CSRF_TRUSTED_ORIGINS"],
]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "hajimi_site",
    "keys",
    "proxy",
]

MIDDLEWARE = [
    "hajimi_site.middleware.security_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "hajimi_site.urls"
ASGI_APPLICATION = "hajimi_site.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# WAL and IMMEDIATE: without both, parallel writers see "database is locked" (measured; PostgreSQL needs the pool,
# persistent connections run it out of slots under ASGI).
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": (
        "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA foreign_keys=ON;PRAGMA cache_size=-20000;"
    ),
}
POSTGRES_OPTIONS = {"pool": {"min_size": 2, "max_size": 10, "timeout": 20}}


def _database() -> dict[str, Any]:
    if not _values["DATABASE_URL"]:
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DATA_DIR / "hajimi.sqlite3",
            "OPTIONS": SQLITE_OPTIONS,
        }
    given: dict[str, Any] = environ.Env.db_url_config(_values["DATABASE_URL"])
    options = SQLITE_OPTIONS if given["ENGINE"].endswith("sqlite3") else POSTGRES_OPTIONS
    return {**given, "CONN_MAX_AGE": 0, "OPTIONS": {**options, **given.get("OPTIONS", {})}}


DATABASES = {"default": _database()}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

LANGUAGE_CODE: str = _values["LANGUAGE_CODE"]
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE: str = _values["TZ"]
USE_TZ = True

STATIC_URL = "/static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATA_UPLOAD_MAX_MEMORY_SIZE = max(MAX_BODY_BYTES, 2**20)
# On a Space every page is https; elsewhere plain http on a home network must still allow a login.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(SPACE_HOST)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
APPEND_SLASH = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "hajimi_site.log_lines.LogFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        **{name: {"level": "WARNING"} for name in ("httpx", "httpcore", "aiohttp", "daphne", "twisted")},
        # Whoever scans the internet would fill the log with tracebacks; the access line says 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
