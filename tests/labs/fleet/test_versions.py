"""The host's software against the table of safe versions, on both sides of every boundary."""

import pytest

from labs.fleet.queries import version_rules
from labs.fleet.versions import version_judge, versions_judge

CASES = [
    ("nvidia-container-toolkit", "1.19.0", "red"),
    ("nvidia-container-toolkit", "1.19.1", "green"),
    ("nvidia-container-toolkit", "1.20.0", "green"),
    ("nvidia-container-toolkit", "1.19.1-rc.1", "red"),
    ("runc", "1.1.15", "red"),
    ("runc", "1.3.5", "red"),
    ("runc", "1.3.6", "green"),
    ("runc", "1.4.2", "red"),
    ("runc", "1.4.3", "green"),
    ("runc", "1.5.0-rc.1", "red"),
    ("runc", "1.5.0", "green"),
    ("runc", "1.6.0", "green"),
    ("runc", "2.0.0", "green"),
    ("runc", "1.1.5+ds1", "yellow"),
    ("runc", "1.3.4-0ubuntu1~24.04.1", "yellow"),
    ("docker-engine", "29.3.0", "yellow"),
    ("docker-engine", "29.3.1", "green"),
    ("docker-engine", "20.10.24+dfsg1", "yellow"),
    ("nvidia-driver", "470.256.02", "yellow"),
    ("nvidia-driver", "535.308.99", "yellow"),
    ("nvidia-driver", "535.309.01", "green"),
    ("nvidia-driver", "570.211.01", "yellow"),
    ("nvidia-driver", "580.159.02", "yellow"),
    ("nvidia-driver", "580.159.03", "green"),
    ("nvidia-driver", "595.71.04", "yellow"),
    ("nvidia-driver", "595.71.05", "green"),
    ("nvidia-driver", "610.10", "green"),
    ("dcgm-exporter", "4.8.1", "yellow"),
    ("dcgm-exporter", "4.8.2", "green"),
    ("runc", "", "yellow"),
]


@pytest.mark.parametrize(("component", "version", "state"), CASES)
def test_a_version_is_judged_by_its_own_branch(component, version, state):
    judged = version_judge(version, version_rules()[component])
    assert judged.state == state
    assert bool(judged.fix) == (state != "green")


def test_a_driver_between_two_branches_is_told_the_next_safe_one():
    assert "580.159.03" in version_judge("570.211.01", version_rules()["nvidia-driver"]).fix


def test_a_distributions_build_is_never_called_fine_nor_wrong():
    words = version_judge("1.1.5+ds1", version_rules()["runc"]).words
    assert "cannot be told" in words


def test_what_the_table_does_not_know_gets_no_line():
    assert [one.name for one in versions_judge({"runc": "1.5.0", "podman": "1"}, version_rules())] == ["version: runc"]


def test_every_rule_names_its_reasons():
    assert all("CVE" in rule.why or "bulletin" in rule.why for rule in version_rules().values())
