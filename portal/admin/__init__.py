"""Django's admin, for the records that have no page of their own. Django finds this package by its name and loads it."""

from portal.admin import fleet, labs, ledger, people, site, timetable

__all__ = ["fleet", "labs", "ledger", "people", "site", "timetable"]
