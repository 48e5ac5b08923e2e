"""How this house reads the campus's groups, from its settings."""

from django.conf import settings

from labs.people.campus import Reading


def reading() -> Reading:
    """Groups there to roles and groups here, and whether accounts are made at the first sign-in."""
    return Reading(settings.CAMPUS_ROLES, settings.CAMPUS_GROUPS, settings.CAMPUS_ACCOUNTS)
