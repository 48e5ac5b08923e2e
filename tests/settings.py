"""Settings of the tests: the house's own, with a quick hasher, a throw-away home and the database that the run names.

GPULAB_TEST_DATABASE_URL names a PostgreSQL server; without it the tests run on SQLite, as the embedded default does.
GPULAB_TEST_REDIS_URL names a Redis; tests that need one say so by the `redis` fixture.
"""

import os
import secrets
import tempfile

_home = tempfile.mkdtemp(prefix="gpulab-tests-")
os.environ["GPULAB_SECRET_KEY"] = secrets.token_urlsafe(48)
os.environ["GPULAB_HOME"] = _home
os.environ["GPULAB_DATABASE_URL"] = os.environ.get("GPULAB_TEST_DATABASE_URL", f"sqlite:///{_home}/db.sqlite3")
os.environ["GPULAB_REDIS_URL"] = os.environ.get("GPULAB_TEST_REDIS_URL", "redis://127.0.0.1:1/0")
os.environ.setdefault("GPULAB_PORTAL_URL", "http://testserver")

from portal.settings import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
if str(DATABASES["default"]["ENGINE"]).endswith("sqlite3"):  # noqa: F405
    # A file, not memory: threads of a test must see the same database through connections of their own.
    DATABASES["default"]["TEST"] = {"NAME": f"{_home}/test.sqlite3"}  # noqa: F405
DATABASES["default"]["CONN_MAX_AGE"] = 0  # noqa: F405
if "GPULAB_TEST_REDIS_URL" not in os.environ:
    CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    CELERY_BROKER_URL = "memory://"
