"""The way from the portal onto a lab's own origin."""

from django.urls import path

from portal.entry.apps import app_open
from portal.entry.files import files_open
from portal.entry.views import lab_open

urlpatterns = [
    path("files/open", files_open, name="files_open"),
    path("labs/<slug:lab_id>/open", lab_open, name="lab_open"),
    path("labs/<slug:lab_id>/apps/open", app_open, name="app_open_any"),
    path("labs/<slug:lab_id>/apps/<int:port>/open", app_open, name="app_open"),
]
