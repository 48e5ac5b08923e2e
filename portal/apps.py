from django.apps import AppConfig


class PortalConfig(AppConfig):
    """The doors, as Django knows them."""

    name = "portal"

    def ready(self) -> None:
        """Register the checks of the settings."""
        from portal import checks  # noqa: F401  (registering is importing)
