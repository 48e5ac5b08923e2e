"""How a host becomes a node: its token, made on the page of nodes, is exchanged here for what it signs in with. It takes no other token."""

from typing import Any

from allauth.account.adapter import get_adapter
from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from ninja import Router, Schema
from ninja.responses import Status
from pydantic import Field

from labs.enrolment.services import node_join
from labs.people.errors import Refused
from portal.api.rates import rate_spend
from portal.api.schemas import Strict

router = Router(tags=["nodes"], auth=None)


class Joining(Strict):
    """A host that wants to be a node."""

    token: str = Field(min_length=10, max_length=100, pattern=r"^[!-~]*$", description="From the page of nodes; used once.")
    request: str = Field(min_length=50, max_length=10_000, description="A request (PEM) for a certificate of the host's own key, which never leaves it.")
    relay_address: str = Field("", max_length=100, description="host:port where the house reaches the host's relay.")


class Node(Schema):
    """What the host keeps, readable for root alone."""

    node: str
    certificate: str = Field(description="PEM.")
    authority: str = Field(description="PEM of the house's authority.")
    settings: dict[str, str] = Field(description="Of the node's worker and relay.")


@router.post("/nodes/join", response={201: Node}, summary="Make a host a node")
def node_join_create(request: HttpRequest, wish: Joining) -> Status[Any]:
    """422 with words when the token is not good any more, or this house takes no hosts."""
    rate_spend(request=request, key=f"address:{get_adapter(request).get_client_ip(request)}")
    if settings.PRODUCTION and not request.is_secure():
        raise Refused("Hosts join by https only: the answer holds secrets.")
    made = node_join(secret=wish.token, request=wish.request, relay_address=wish.relay_address, now=timezone.now())
    return Status(201, {"node": made.node_id, "certificate": made.certificate, "authority": made.authority, "settings": dict(made.settings)})
