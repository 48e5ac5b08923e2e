"""Where people reach a lab: its web origin, the address for desktop clients, the SSH command."""

from django.conf import settings

DEFAULT_PORTS = {"http": 80, "https": 443}


def lab_origin(lab_id: str) -> str:
    """Scheme, host and port of the lab's pages; one a lab, or one for all where there is no wildcard name."""
    host = settings.LABS_DOMAIN if settings.LABS_ORIGIN == "single" else f"lab-{lab_id}.{settings.LABS_DOMAIN}"
    return f"{settings.LABS_SCHEME}://{host}{_port()}"


def client_url(lab_id: str) -> str:
    """The address that takes a lab token (`Authorization: token ...`) and needs no wildcard name."""
    return f"{settings.LABS_SCHEME}://{settings.LABS_DOMAIN}{_port()}/l/{lab_id}/"


def ssh_command(lab_name: str) -> str:
    """What to type to reach the lab by SSH."""
    port = "" if settings.SSH_PUBLIC_PORT == 22 else f" -p {settings.SSH_PUBLIC_PORT}"
    return f"ssh {lab_name}@{settings.SSH_PUBLIC_HOST}{port}"


def _port() -> str:
    return "" if DEFAULT_PORTS[settings.LABS_SCHEME] == settings.LABS_PORT else f":{settings.LABS_PORT}"
