"""Settings: every part of the house has one variable of the environment, read and checked in `portal.env`."""

import json
from pathlib import Path
from urllib.parse import urlsplit

from kombu import Queue

from labs.notices.targets import Reach
from labs.people.campus import ORDER
from portal import env
from portal.discretion import logging_of
from portal.rooms import ROOMS

BASE_DIR = Path(__file__).resolve().parent.parent
PRODUCTION = env.choice("GPULAB_ENV", ("development", "production"), "development") == "production"
DEBUG = False
SECRET_KEY = env.secret("GPULAB_SECRET_KEY")

# Where things are. Every port of the embedded default derives from PORT, so that two copies run side by side.
PORT = env.integer("PORT", 8000, low=1024, high=65000)
GPULAB_HOME = env.folder("GPULAB_HOME", BASE_DIR / ".gpulab")
PORTAL_URL = env.text("GPULAB_PORTAL_URL", f"http://localhost:{PORT}")
LABS_DOMAIN = env.text("GPULAB_LABS_DOMAIN", "localhost")
LABS_SCHEME = env.choice("GPULAB_LABS_SCHEME", ("http", "https"), urlsplit(PORTAL_URL).scheme)
LABS_ORIGIN = env.choice("GPULAB_LABS_ORIGIN", ("wildcard", "single"), "wildcard")
RELAY_HOST, RELAY_PORT = env.address("GPULAB_RELAY_BIND", f"127.0.0.1:{PORT + 1}")
LABS_PORT = env.integer("GPULAB_LABS_PORT", RELAY_PORT, low=1, high=65535)
RELAY_BYTES_HOST, RELAY_BYTES_PORT = env.address("GPULAB_RELAY_BYTES_BIND", f"127.0.0.1:{PORT + 3}")
RELAY_TLS_BIND = env.address("GPULAB_RELAY_TLS_BIND", "") if env.text("GPULAB_RELAY_TLS_BIND") else None
RELAY_CERT, RELAY_KEY, RELAY_CA = (env.file(f"GPULAB_RELAY_{name}") for name in ("CERT", "KEY", "CA"))
SSH_HOST, SSH_PORT = env.address("GPULAB_SSH_BIND", f"127.0.0.1:{2222 + PORT - 8000}")
SSH_PUBLIC_HOST = env.text("GPULAB_SSH_PUBLIC_HOST", urlsplit(PORTAL_URL).hostname or "localhost")
SSH_PUBLIC_PORT = env.integer("GPULAB_SSH_PUBLIC_PORT", SSH_PORT, low=1, high=65535)
SSH_GATEWAY_KEY = env.text("GPULAB_SSH_GATEWAY_KEY")
SSH_FOLDER = env.folder("GPULAB_SSH_FOLDER", GPULAB_HOME / "ssh")

# The hands.
NODE_ID = env.text("GPULAB_NODE", "local")
JOINED = env.choice("GPULAB_JOINED", ("yes", "no"), "no") == "yes"
RUNTIME = env.choice("GPULAB_RUNTIME", ("auto", "docker", "process"), "auto")
PROBE = env.choice("GPULAB_PROBE", ("auto", "nvml", "simulated", "none"), "auto")
SIMULATED_GPUS = env.integer("GPULAB_SIMULATED_GPUS", 2, low=0, high=64)
LAB_IMAGE = env.text("GPULAB_LAB_IMAGE", "gpulab/pytorch-cuda:2.9.1-cuda12.8")
REGISTRY_MIRROR = env.text("GPULAB_REGISTRY_MIRROR").rstrip("/")
REGISTRY_CREDENTIALS = env.text("GPULAB_REGISTRY_CREDENTIALS")
IMAGE_FILES = env.folder("GPULAB_IMAGE_FILES", GPULAB_HOME / "images")
IMAGE_REGISTRY = env.text("GPULAB_IMAGE_REGISTRY").rstrip("/")
IMAGES_PER_PERSON = env.integer("GPULAB_IMAGES_PER_PERSON", 5, low=0, high=1000)
IMAGES_GIB_PER_PERSON = env.integer("GPULAB_IMAGES_GIB_PER_PERSON", 20, low=0, high=100_000)
IMAGE_BUILD_MIN = env.integer("GPULAB_IMAGE_BUILD_MIN", 30, low=1, high=600)
IMAGE_KEEP_DAYS = env.integer("GPULAB_IMAGE_KEEP_DAYS", 30, low=0, high=3650)
ENVS_FOLDER = env.folder("GPULAB_ENVS", GPULAB_HOME / "envs")
UID_BASE = env.integer("GPULAB_UID_BASE", 20000, low=1000, high=2_000_000_000)
UID_COUNT = env.integer("GPULAB_UID_COUNT", 20000, low=10, high=1_000_000)
NETWORK_RANGE = env.network("GPULAB_NETWORK_RANGE", f"10.{200 + PORT // 100 % 40}.0.0/16")
CLI_FOLDER = env.folder("GPULAB_CLI_FOLDER", GPULAB_HOME / "cli")
SHARED_DATA = env.folder("GPULAB_SHARED_DATA", GPULAB_HOME / "data")
MODELS = env.text("GPULAB_MODELS", "")
DATA_FOLDERS = tuple(Path(one) for one in env.listing("GPULAB_DATA_FOLDERS", str(GPULAB_HOME / "datasets")))
SNAPSHOTS = env.folder("GPULAB_SNAPSHOTS", GPULAB_HOME / "snapshots")
SNAPSHOT_COUNT = env.integer("GPULAB_SNAPSHOT_COUNT", 5, low=1, high=3650)
SNAPSHOT_DAYS = env.integer("GPULAB_SNAPSHOT_DAYS", 30, low=1, high=3650)
SNAPSHOT_IDLE_GIB = env.integer("GPULAB_SNAPSHOT_IDLE_GIB", 20, low=0, high=100_000)
SCRATCH_GIB = env.integer("GPULAB_SCRATCH_GIB", 50, low=0, high=100_000)
RECONCILE_S = env.integer("GPULAB_RECONCILE_S", 5, low=1, high=60)
DISKS = env.folders("GPULAB_DISKS")
CARD_PROCESSES = frozenset(env.listing("GPULAB_CARD_PROCESSES", "nvidia-persistenced,nv-hostengine,dcgm-exporter,Xorg,gnome-shell"))
CPU_OVERCOMMIT = env.integer("GPULAB_CPU_OVERCOMMIT", 4, low=1, high=16)
DEFAULTS = json.loads((BASE_DIR / "labs/policy/defaults.json").read_text())
IDLE_MIN = env.integer("GPULAB_IDLE_MIN", DEFAULTS["idle"]["stop_at_min"], low=0, high=7 * 24 * 60)
IDLE_CROWDED_MIN = env.integer("GPULAB_IDLE_CROWDED_MIN", DEFAULTS["idle"]["when_80pct_allocated_stop_at_min"], low=0, high=7 * 24 * 60)
CLASS_CARDS = env.integer("GPULAB_CLASS_CARDS", 8, low=0, high=10_000)

# Doors.
ALLOWED_HOSTS = env.listing(
    "GPULAB_ALLOWED_HOSTS", f"{urlsplit(PORTAL_URL).hostname},127.0.0.1,[::1]" if not PRODUCTION else urlsplit(PORTAL_URL).hostname or ""
)
CSRF_TRUSTED_ORIGINS = [PORTAL_URL]
TRUSTED_PROXIES = env.integer("GPULAB_TRUSTED_PROXIES", 0, low=0, high=5)
ALLOW_PAGES, ALLOW_API = env.networks("GPULAB_ALLOW_PAGES"), env.networks("GPULAB_ALLOW_API")
ALLOW_LABS, ALLOW_SSH = env.networks("GPULAB_ALLOW_LABS"), env.networks("GPULAB_ALLOW_SSH")
ROOT_URLCONF = "portal.urls"
ASGI_APPLICATION = "portal.asgi.application"
INSTALLED_APPS = [
    *ROOMS,
    "portal.apps.PortalConfig",
    "portal.pages",
    "worker.apps.WorkerConfig",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "channels",
    "django_htmx",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.pages.security.security_headers",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "portal.pages.security.second_factor_demanded",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.presence.Presence",
    "django_htmx.middleware.HtmxMiddleware",
]
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
                "portal.pages.context.portal",
            ],
        },
    },
]

# Records.
DATABASES = {"default": env.database("GPULAB_DATABASE_URL", f"sqlite:///{GPULAB_HOME / 'db.sqlite3'}")}
NODES_DATABASE_URL, NODES_REDIS_URL = env.text("GPULAB_NODES_DATABASE_URL"), env.text("GPULAB_NODES_REDIS_URL")
REDIS_URL = env.text("GPULAB_REDIS_URL", f"redis://127.0.0.1:{PORT + 2}/0")
CACHES = {
    "default": {
        "BACKEND": "portal.cache.SoftRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "gpulab",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = env.text("TZ", "UTC")
LANGUAGE_CODE = "en-gb"

# The doorbell.
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_DEFAULT_QUEUE = "control"
CELERY_TASK_QUEUES = (Queue("control"), Queue(f"node.{NODE_ID}"))
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # for ever: the loops work meanwhile
CELERY_WORKER_CONSUMER = "worker.consuming:SteadyConsumer"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    "socket_timeout": 10,
    "socket_connect_timeout": 1,
    # With Redis away a ring gives up at once: the loops tick anyway, and no page waits for it.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "global_keyprefix": "gpulab.",
    # What a worker has taken and not done yet is its own affair: a joined node's broker user reaches no other's.
    **({key: f"{key.removesuffix('_key')}.{NODE_ID}" for key in ("unacked_key", "unacked_index_key", "unacked_mutex_key")} if JOINED else {}),
}
CELERY_WORKER_ENABLE_REMOTE_CONTROL = not JOINED

# People.
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend", "portal.campus.directory.DirectoryBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "portal.passwords.WordsOfTheHouse"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"
# Without it every person behind the proxy would share one address, and one count of failed tries.
ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXIES
ACCOUNT_ADAPTER = "portal.pages.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # an administrator or an invitation vouches for the address
ACCOUNT_CHANGE_EMAIL = False
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[GPU Lab] "
ACCOUNT_RATE_LIMITS = {"login_failed": "{login_tries}/{login_window_min}m/key,50/{login_window_min}m/ip".format(**DEFAULTS["sessions"]), "login": "60/m/ip"}
# Django's own token, so that an administrator can hand out the same reset link that a mail would carry.
ACCOUNT_PASSWORD_RESET_TOKEN_GENERATOR = "django.contrib.auth.tokens.PasswordResetTokenGenerator"
PASSWORD_RESET_TIMEOUT = 24 * 3600
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_ADAPTER = "portal.pages.adapter.FactorAdapter"
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_PASSKEY_LOGIN_ENABLED = True
ACCOUNT_FORMS = {"change_password": "portal.pages.forms.account.PasswordForm"}
MFA_FORMS = {"add_webauthn": "portal.pages.forms.account.PasskeyForm"}
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PRODUCTION  # localhost is a secure context for browsers, without TLS
ADMIN_TWO_FACTOR = env.choice("GPULAB_ADMIN_TWO_FACTOR", ("yes", "no"), "no") == "yes"
MFA_TOTP_ISSUER = "GPU Lab"
# The campus's own sign-in. Who is let in with which role is decided in portal.campus and labs.people.visiting.
OIDC_ISSUER = env.text("GPULAB_OIDC_ISSUER").rstrip("/")
OIDC_NAME = env.text("GPULAB_OIDC_NAME", "your university")
OIDC_GROUPS_CLAIM = env.text("GPULAB_OIDC_GROUPS_CLAIM", "groups")
OIDC_TRUST_MAIL = env.choice("GPULAB_OIDC_TRUST_MAIL", ("yes", "no"), "no") == "yes"
OIDC_APP = {"provider_id": "campus", "name": OIDC_NAME, "client_id": env.text("GPULAB_OIDC_CLIENT"), "secret": env.text("GPULAB_OIDC_SECRET")}
SOCIALACCOUNT_PROVIDERS = {
    "openid_connect": {
        "provider_class": "portal.campus.oidc.CampusProvider",
        "OAUTH_PKCE_ENABLED": True,
        "SCOPE": env.listing("GPULAB_OIDC_SCOPES", "openid,profile,email"),
        "APPS": [OIDC_APP | {"settings": {"server_url": OIDC_ISSUER}}] if OIDC_ISSUER else [],
    }
}
SOCIALACCOUNT_ADAPTER = "portal.campus.oidc.CampusAdapter"
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_STORE_TOKENS = False
LDAP_URL = env.text("GPULAB_LDAP_URL")
LDAP_STARTTLS = LDAP_URL.startswith("ldap://") and env.choice("GPULAB_LDAP_STARTTLS", ("yes", "no"), "yes") == "yes"
LDAP_CA = env.text("GPULAB_LDAP_CA")
LDAP_BASE = env.text("GPULAB_LDAP_BASE")
LDAP_FILTER = env.text("GPULAB_LDAP_FILTER", "(mail={})")
LDAP_GROUPS_BASE = env.text("GPULAB_LDAP_GROUPS_BASE")
LDAP_USER = env.text("GPULAB_LDAP_USER")
LDAP_PASSWORD = env.text("GPULAB_LDAP_PASSWORD")
CAMPUS_ACCOUNTS = env.choice("GPULAB_CAMPUS_ACCOUNTS", ("yes", "no"), "no") == "yes"
CAMPUS_ROLES = env.pairs("GPULAB_CAMPUS_ROLES", values=ORDER)
CAMPUS_GROUPS = env.pairs("GPULAB_CAMPUS_GROUPS")
USERSESSIONS_TRACK_ACTIVITY = True
SESSION_SERIALIZER = "portal.sealed.SealedSerializer"
SESSION_COOKIE_AGE = DEFAULTS["sessions"]["web_h"] * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PORTAL_URL.startswith("https://")
SESSION_COOKIE_NAME = "__Host-gpulab_session" if SESSION_COOKIE_SECURE else "gpulab_session"
CSRF_COOKIE_NAME = "__Host-gpulab_csrf" if CSRF_COOKIE_SECURE else "gpulab_csrf"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
PASSWORD_HASHERS = ["portal.hashers.Argon2", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend" if env.text("GPULAB_SMTP_HOST") else "django.core.mail.backends.dummy.EmailBackend"
EMAIL_HOST = env.text("GPULAB_SMTP_HOST")
EMAIL_PORT = env.integer("GPULAB_SMTP_PORT", 587, low=1, high=65535)
EMAIL_HOST_USER = env.text("GPULAB_SMTP_USER")
EMAIL_HOST_PASSWORD = env.text("GPULAB_SMTP_PASSWORD")
EMAIL_USE_TLS = env.choice("GPULAB_SMTP_TLS", ("yes", "no"), "yes") == "yes"
DEFAULT_FROM_EMAIL = env.text("GPULAB_MAIL_FROM", "gpulab@localhost")
HAS_MAIL = bool(EMAIL_HOST)
EMAIL_TIMEOUT = 10
WEBHOOK_REACH = Reach(ranges=env.networks("GPULAB_WEBHOOK_RANGES"), loopback=not PRODUCTION)

# Safety of the pages. The content policy itself is in portal.pages.security.
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31536000 if PRODUCTION else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if TRUSTED_PROXIES else None
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "portal/static"]
STATIC_ROOT = GPULAB_HOME / "static" if PRODUCTION else None  # collected only for production
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_AUTOREFRESH = False

LOGGING = logging_of(env.choice("GPULAB_LOG_LEVEL", ("DEBUG", "INFO", "WARNING", "ERROR"), "INFO"))
