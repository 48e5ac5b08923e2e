"""Where people reach a lab: its web origin and those of its apps, the address for desktop clients, the SSH command."""

from django.conf import settings

DEFAULT_PORTS = {"http": 80, "https": 443}
#: Of the lab itself, inside.
TAKEN_PORTS = frozenset((8888, 2222))


def lab_origin(lab_id: str) -> str:
    """Scheme, host and port of the lab's pages; one a lab, or one for all where there is no wildcard name."""
    host = settings.LABS_DOMAIN if settings.LABS_ORIGIN == "single" else f"lab-{lab_id}.{settings.LABS_DOMAIN}"
    return f"{settings.LABS_SCHEME}://{host}{_port()}"


def app_origin(lab_id: str, port: int) -> str:
    """Where the program at that port of the lab is a page of its own; only where origins are apart."""
    return f"{settings.LABS_SCHEME}://p{port}-lab-{lab_id}.{settings.LABS_DOMAIN}{_port()}"


def origins_are_apart() -> bool:
    """Has each lab an origin of its own? If not, nobody enters another's lab and ports are no apps: pages of all labs could act on one another."""
    return settings.LABS_ORIGIN == "wildcard"


def app_port_check(port: int) -> str:
    """Why this port cannot be an app; empty when it can."""
    if port in TAKEN_PORTS:
        return f"Port {port} is Jupyter's or SSH's own. Choose another one."
    return "" if 1024 <= port <= 65535 else "A port is a number from 1024 to 65535."


def client_url(lab_id: str) -> str:
    """The address that takes a lab token (`Authorization: token ...`) and needs no wildcard name."""
    return f"{settings.LABS_SCHEME}://{settings.LABS_DOMAIN}{_port()}/l/{lab_id}/"


def ssh_command(lab_name: str) -> str:
    """What to type to reach the lab by SSH."""
    port = "" if settings.SSH_PUBLIC_PORT == 22 else f" -p {settings.SSH_PUBLIC_PORT}"
    return f"ssh {lab_name}@{settings.SSH_PUBLIC_HOST}{port}"


def _port() -> str:
    return "" if DEFAULT_PORTS[settings.LABS_SCHEME] == settings.LABS_PORT else f":{settings.LABS_PORT}"
