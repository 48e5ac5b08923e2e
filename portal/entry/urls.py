"""The way from the portal onto a lab's own origin."""

from django.urls import path

from portal.entry.views import lab_open

urlpatterns = [path("labs/<slug:lab_id>/open", lab_open, name="lab_open")]
