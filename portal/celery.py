"""The Celery application: a doorbell. Tasks are JSON with ids only, and every loop is right without it."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

app = Celery("gpulab")
app.config_from_object("django.conf:settings", namespace="CELERY")
