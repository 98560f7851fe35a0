"""The environment -> Django settings. A bad value stops the start and names the variable."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.utils.translation import gettext_lazy as _

from hajimi_site import databases, env_file, environment, secret_key, space
from hajimi_site.theme import UNFOLD as UNFOLD
from hajimi_site.version import VERSION as VERSION
from keys.accounts import Account
from keys.redacting import redact

BASE_DIR = Path(__file__).resolve().parent.parent
# What a process that we start reads anew, .env included.
GIVEN_ENVIRONMENT: dict[str, str] = dict(os.environ)
env_file.load(BASE_DIR / (os.environ.get("ENV_FILE") or ".env"), os.environ)

# Here, for every command writes: a probe prints what Google says.
redact.keep(environment.secrets_in(os.environ))
_reading = environment.read(os.environ)
_values = _reading.values
ON_SPACE = bool(os.environ.get("SPACE_ID"))
SPACE_HOST = os.environ.get("SPACE_HOST", "")
ENVIRONMENT_NOTES: tuple[str, ...] = (
    *_reading.notes,
    *secret_key.advice(_values["SECRET_KEY"]),
    *(space.advice(_values) if ON_SPACE else ()),
)

BEHAVIOUR = environment.behaviour(_values)
GEMINI_API_KEYS: tuple[str, ...] = _values["GEMINI_API_KEYS"]
PASSWORD: str | None = _values["PASSWORD"]
GOOGLE_CREDENTIALS_JSON: tuple[Account, ...] = _values["GOOGLE_CREDENTIALS_JSON"]
VERTEX_EXPRESS_API_KEY: tuple[str, ...] = _values["VERTEX_EXPRESS_API_KEY"]
HOST: str = _values["HOST"]
PORT: int = _values["PORT"]
WORKERS: int = _values["WORKERS"]
SERVER: str = _values["SERVER"]
EVENT_LOOP: str = _values["EVENT_LOOP"]
LOG_FORMAT: str = _values["LOG_FORMAT"]
REDIS_URL: str = _values["REDIS_URL"]
REDIS_PREFIX: str = _values["REDIS_PREFIX"]
REDIS_AWAY: str = _values["REDIS_AWAY"]
ADMIN_USERNAME: str = _values["ADMIN_USERNAME"]
ADMIN_PASSWORD: str = _values["ADMIN_PASSWORD"]
ALLOWED_ORIGINS: tuple[str, ...] = _values["ALLOWED_ORIGINS"]
GEMINI_BASE_URL: str = _values["GEMINI_BASE_URL"]
VERTEX_BASE_URL: str = _values["VERTEX_BASE_URL"]
VERTEX_LOCATION: str = _values["VERTEX_LOCATION"]
# The way out reads them where Python's libraries do.
os.environ.update(environment.proxies(os.environ, (GEMINI_BASE_URL, VERTEX_BASE_URL or environment.VERTEX_ADDRESS)))
# Where the processes of this machine tell each other what they have counted; their supervisor names it.
COUNTS_DIR = Path(os.environ["HAJIMI_COUNTS_DIR"]) if os.environ.get("HAJIMI_COUNTS_DIR") else None
JOURNAL_LIMIT: int = _values["JOURNAL_LIMIT"]
DRAIN_SECONDS: float = _values["DRAIN_SECONDS"]
MAX_BODY_BYTES = int(_values["MAX_BODY_MB"] * 2**20)
MAX_PARALLEL_REQUESTS_PER_IP: int = _values["MAX_PARALLEL_REQUESTS_PER_IP"]
DEBUG: bool = _values["DEBUG"]
DEFAULT_EXCEPTION_REPORTER_FILTER = "hajimi_site.debug_page.Filter"

DATA_DIR = Path(_values["DATA_DIR"]).expanduser().resolve()
BACKUP_DIR = Path(_values["BACKUP_DIR"]).expanduser().resolve() if _values["BACKUP_DIR"] else None
BACKUP_MINUTES: float = _values["BACKUP_MINUTES"]
BACKUP_KEEP: int = _values["BACKUP_KEEP"]


SECRET_KEY: str = _values["SECRET_KEY"] or secret_key.kept_in(DATA_DIR)
SECRET_KEY_IS_FILE = not _values["SECRET_KEY"]
SECRET_KEY_FALLBACKS: list[str] = list(_values["SECRET_KEY_FALLBACKS"])

TRUSTED_PROXIES: tuple[str, ...] = _values["TRUSTED_PROXIES"]
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]", *filter(None, [SPACE_HOST]), *_values["ALLOWED_HOSTS"]]
CSRF_TRUSTED_ORIGINS = [
    *([f"https://{SPACE_HOST}"] if SPACE_HOST else []),
    *_values["CSRF_TRUSTED_ORIGINS"],
]

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "hajimi_site.admin_app.Desk",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
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
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]

# Wrong passwords of admins: hajimi_site.guesses. Django's own backend is here for sessions that it has opened.
AUTHENTICATION_BACKENDS = ["hajimi_site.sign_in.AdminBackend", "django.contrib.auth.backends.ModelBackend"]
AXES_HANDLER = "hajimi_site.guesses.GrowingPauses"
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "hajimi_site.sign_in.client_address"
AXES_LOCKOUT_CALLABLE = "hajimi_site.sign_in.locked_out"
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
OTP_TOTP_ISSUER = "hajimi"

ROOT_URLCONF = "hajimi_site.urls"
ASGI_APPLICATION = "hajimi_site.asgi.application"

# What pages hear at once; with many processes it must reach those of each.
CHANNEL_LAYERS: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": f"{REDIS_PREFIX}:pages"},
    }
    if REDIS_URL
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
}

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

SQLITE_OPTIONS = databases.SQLITE_OPTIONS
_url: str = _values["DATABASE_URL"]
DATABASE_VARIABLE = "DATABASE_URL" if _url else "DATA_DIR"
DATABASES = {"default": databases.from_url(_url) if _url else databases.sqlite(DATA_DIR / "hajimi.sqlite3")}

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
# An action on all keys at once names each of them.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 10_000
# On a Space every page is https; elsewhere plain http on a home network must still allow a login.
# Where a login leads whose "next" is not ours.
LOGIN_REDIRECT_URL = "/admin/"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = bool(SPACE_HOST)
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
# No script reads a cookie: forms carry the token.
CSRF_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
APPEND_SLASH = True
SILENCED_SYSTEM_CHECKS = [
    # Headers: hajimi_site.middleware sends them without the thread that Django's two middlewares cost.
    "security.W001",
    "security.W002",
    # Cookies: the same middleware marks them Secure wherever the page came by https.
    "security.W012",
    "security.W016",
]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {
            "()": "hajimi_site.log_lines.LogFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
        "json": {"()": "hajimi_site.log_lines.JsonFormatter"},
    },
    "filters": {"paths": {"()": "hajimi_site.log_lines.PathFilter"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["paths"]}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        **{name: {"level": "WARNING"} for name in ("axes", "httpx", "httpcore", "aiohttp", "daphne", "twisted")},
        # It logs a traceback whenever Redis goes; our own line says so, and that it is back.
        "channels_redis.pubsub": {"level": "CRITICAL"},
        # Whoever scans the internet would fill the log with tracebacks; the access line says 400.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}
