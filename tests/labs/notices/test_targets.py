"""Where a webhook may go."""

from ipaddress import ip_network

import pytest

from labs.notices.targets import BadTarget, Reach, addresses_allowed, target_check

PUBLIC = "93.184.216.34"
INSIDE = [
    "127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::", "224.0.0.1", "255.255.255.255",
    "fe80::1", "fc00::1", "ff02::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "2002:0a00:0001::", "64:ff9b::10.0.0.1", "64:ff9b::7f00:1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_never_called(address: str):
    assert not addresses_allowed([address], Reach())
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(BadTarget):
        target_check(f"https://{host}/hook", Reach())


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_a_public_address_is_called(address: str):
    assert addresses_allowed([address], Reach())


def test_one_address_inside_condemns_a_name():
    assert not addresses_allowed([PUBLIC, "10.0.0.1"], Reach())


def test_a_name_without_an_address_is_not_called():
    assert not addresses_allowed([], Reach())


def test_an_exception_opens_one_range_and_no_other():
    reach = Reach(ranges=(ip_network("10.1.2.0/24"),))
    assert addresses_allowed(["10.1.2.3"], reach)
    assert not addresses_allowed(["10.1.3.3"], reach)
    assert not addresses_allowed(["::1"], reach)


def test_http_is_only_for_this_machine_and_only_in_development():
    assert target_check(" http://127.0.0.1:9000/x ", Reach(loopback=True)) == "http://127.0.0.1:9000/x"
    for url, reach in (("http://127.0.0.1:9000/x", Reach()), ("http://example.org/x", Reach(loopback=True)), ("https://127.0.0.1/x", Reach())):
        with pytest.raises(BadTarget):
            target_check(url, reach)


@pytest.mark.parametrize(
    "url",
    ["", "hooks", "https://", "https:///x", "https://a b/", "https://exa\nmple.org/", "https://user@example.org/", "https://example.org:99999/", "https://ex\\a/",
     "file:///etc/passwd", "gopher://example.org/", "https://münchen.example/", "https://[::1", "https://example.org:0/", "https://a/" + "x" * 600],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(url: str):
    with pytest.raises(BadTarget):
        target_check(url, Reach(loopback=True))
