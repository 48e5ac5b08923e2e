"""The doors. Importing the package makes Celery's application the current one, so that a ring finds its broker."""

from portal.celery import app as celery_app

__all__ = ["celery_app"]
