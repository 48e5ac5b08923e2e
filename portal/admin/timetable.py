"""Reservations, their meetings, and maintenance."""

from django.contrib import admin

from labs.timetable.models import Maintenance, Meeting, Reservation
from portal.admin.base import ReadOnly


@admin.register(Reservation)
class ReservationAdmin(ReadOnly):
    """Every class and event that was reserved."""

    list_display = ("title", "group", "unit", "cards", "first_day", "last_day", "from_time", "to_time", "created_by", "cancelled_at")
    list_filter = ("unit", "start")
    search_fields = ("title", "group__name", "created_by__email")
    list_select_related = ("group", "created_by")


@admin.register(Meeting)
class MeetingAdmin(ReadOnly):
    """Each time that one happens."""

    list_display = ("reservation", "starts_at", "ends_at", "cards", "by_hand", "released_at", "cancelled_at")
    search_fields = ("reservation__title",)
    list_select_related = ("reservation",)


@admin.register(Maintenance)
class MaintenanceAdmin(ReadOnly):
    """When which node was closed."""

    list_display = ("node", "starts_at", "ends_at", "words", "ends_labs", "created_by", "cancelled_at")
    list_filter = ("node",)
    list_select_related = ("node", "created_by")
