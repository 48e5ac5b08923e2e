"""The deployment's own proxy configuration in a real nginx, on free ports, with a certificate of openssl's."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import port_free

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "deploy/nginx/gpulab.conf.template"
PORTAL = "gpulab.example.edu"
LABS = "labs.example.edu"
LAB = f"lab-abcdefgh2345.{LABS}"


def binary() -> str | None:
    """Debian keeps it out of a plain user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the proxy listens and what it was given."""

    folder: Path
    http: int
    https: int
    portal: int
    relay: int

    @property
    def portal_url(self) -> str:
        """Where people sign in."""
        return f"https://{PORTAL}:{self.https}"

    @property
    def certificate(self) -> Path:
        """What a client has to trust."""
        return self.folder / "fullchain.pem"

    @property
    def configuration(self) -> Path:
        """The whole configuration, for `nginx -c`."""
        return self.folder / "nginx.conf"

    @property
    def log(self) -> str:
        """The access log so far."""
        return (self.folder / "stdout").read_text()


def certificate_make(folder: Path) -> None:
    """A real certificate for the portal's name, the labs' and every lab's."""
    names = f"subjectAltName=DNS:{PORTAL},DNS:{LABS},DNS:*.{LABS}"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        f"/CN={PORTAL}",
        "-addext",
        names,
    ]
    subprocess.run([*command, "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"], check=True, capture_output=True)


def rendered(values: dict[str, str]) -> str:
    """The template as the image's envsubst leaves it: only GPULAB_ variables are filled in, and each must be known."""
    return re.sub(r"\$\{(GPULAB_\w+)\}", lambda found: values[found[1]], TEMPLATE.read_text())


def site_make(folder: Path, *, portal: int, relay: int, second: int = 0) -> Site:
    """Write everything that nginx needs below `folder`; `portal`, `relay` and, where there is one, `second` are the upstreams' ports."""
    site = Site(folder, http=port_free(), https=port_free(), portal=portal, relay=relay)
    certificate_make(folder)
    values = {
        "GPULAB_PORTAL_HOST": PORTAL,
        "GPULAB_LABS_DOMAIN": LABS,
        "GPULAB_HTTP_PORT": f"127.0.0.1:{site.http}",
        "GPULAB_HTTPS_PORT": f"127.0.0.1:{site.https}",
        "GPULAB_PORTAL_UPSTREAM": f"127.0.0.1:{portal}",
        "GPULAB_PORTAL_UPSTREAM_2": f"127.0.0.1:{second or portal}",
        "GPULAB_RELAY_UPSTREAM": f"127.0.0.1:{relay}",
        "GPULAB_TLS_FOLDER": str(folder),
    }
    (folder / "gpulab.conf").write_text(rendered(values))
    own = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    site.configuration.write_text(
        f"{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{}} http {{ {own} include {folder}/gpulab.conf; }}"
    )
    return site
