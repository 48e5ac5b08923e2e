"""What passes of a request's and a response's headers. Pure."""

from collections.abc import Iterable, Mapping

from multidict import CIMultiDict, CIMultiDictProxy

Headers = CIMultiDictProxy[str]
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
#: Ours to say, or nobody's: the lab gets its own token, and addresses only from us.
OURS = frozenset(("authorization", "cookie", "expect", "forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-gpulab-lab"))
#: Of the portal and of the relay. A browser sends the portal's to every port of its host.
HOUSE_COOKIES = ("gpulab_", "__Host-gpulab_", "__Secure-gpulab_", "sessionid", "csrftoken", "messages")
#: A second policy beside Jupyter's own; the stricter of the two holds.
LAB_POLICY = "frame-ancestors 'self'"
#: On the address for clients nothing is ever a page: a browser that strays there must not run it.
CLIENT_POLICY = "sandbox; frame-ancestors 'none'"


def to_lab(headers: Headers, *, told: Mapping[str, str], cookies: bool, remote: str, scheme: str, app: bool = False) -> "CIMultiDict[str]":
    """The request's headers as the lab gets them: Host unchanged, what it is `told` by us, no cookie of the house.

    An app of the lab asks for passwords of its own, if it does: what answers them passes.
    """
    dropped = HOP_BY_HOP | (OURS - {"authorization"} if app else OURS) | _named_by_connection(headers)
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
    jar = _foreign_cookies(headers.get("Cookie", "")) if cookies else ""
    if jar:
        kept["Cookie"] = jar
    kept["X-Forwarded-For"] = remote
    kept["X-Forwarded-Proto"] = scheme
    kept["X-Forwarded-Host"] = headers.get("Host", "")
    kept.update(told)
    return kept


def passed_on(headers: Headers) -> "CIMultiDict[str]":
    """Headers as one relay of ours hands them to the other."""
    dropped = HOP_BY_HOP | _named_by_connection(headers)
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)


def to_browser(headers: Headers, *, cookies: bool, alone: bool) -> "CIMultiDict[str]":
    """The response's headers as the browser gets them: no cookie beyond this host, none of the house's names.

    Where labs are not `alone` on their origin, no service worker may reach beyond its own lab's paths.
    """
    dropped = HOP_BY_HOP | _named_by_connection(headers) | ({"set-cookie"} if alone else {"set-cookie", "service-worker-allowed"})
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in dropped)
    if cookies:
        for cookie in headers.getall("Set-Cookie", []):
            if _is_hosts_own(cookie):
                kept.add("Set-Cookie", cookie)
    kept.add("Content-Security-Policy", LAB_POLICY if cookies else CLIENT_POLICY)
    return kept


def cookie_of(headers: Mapping[str, str], name: str) -> str:
    """The value of a cookie; the first one, as browsers send the most specific first."""
    for pair in headers.get("Cookie", "").split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            return value.strip()
    return ""


def bearer_of(headers: Mapping[str, str]) -> str:
    """The secret of `Authorization: token ...` or `Bearer ...`."""
    scheme, _, secret = headers.get("Authorization", "").partition(" ")
    return secret.strip() if scheme.lower() in ("token", "bearer") else ""


def _named_by_connection(headers: Headers) -> frozenset[str]:
    named = headers.get("Connection", "")
    if named.lower() in ("", "keep-alive", "upgrade", "close"):
        return frozenset()
    return frozenset(_words(named.split(",")))


def _words(parts: Iterable[str]) -> Iterable[str]:
    return (part.strip().lower() for part in parts)


def _foreign_cookies(header: str) -> str:
    """The Cookie header without those of the house."""
    pairs = (pair.strip() for pair in header.split(";"))
    return "; ".join(pair for pair in pairs if pair and not pair.startswith(HOUSE_COOKIES))


def _is_hosts_own(cookie: str) -> bool:
    """A lab may set cookies for its own host only, and none under the house's names."""
    name, *attributes = cookie.split(";")
    wide = any(attribute.strip().lower().startswith("domain") for attribute in attributes)
    return not wide and not name.strip().startswith(HOUSE_COOKIES)
