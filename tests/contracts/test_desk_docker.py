"""File pages on a real engine."""

import pytest

from tests.contracts.desk_contract import DeskContract
from tests.contracts.engine import api, engine_address, engine_image, gateway, make_spec, runtime  # noqa: F401  (fixtures)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


class TestDocker(DeskContract):
    """As a container in its owner's network."""
