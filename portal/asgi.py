"""The ASGI application: pages and API by Django, live streams by Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402  (needs the apps to be loaded)

from portal.live.routing import websocket_application  # noqa: E402
from portal.reach import doors_kept  # noqa: E402

application = doors_kept(ProtocolTypeRouter({"http": django_application, "websocket": websocket_application}))
