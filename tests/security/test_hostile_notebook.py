"""Twelve attacks of a hostile notebook, in Chromium, against the portal and another lab: none succeeds, in both origin modes."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.conftest import CHROMIUM, _need_programs, sign_in
from tests.security.hostile import Furnished, Hostile, furnished_home, hostile_house

pytestmark = pytest.mark.browser
#: Runs a promise to its end or to a refusal, and says which.
TRY = "async ([code, given]) => { try { return String(await eval(code)(given)) } catch (error) { return 'refused: ' + error.name } }"


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Furnished]:
    """People, labs and the labs' servers."""
    _need_programs()
    with furnished_home(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.fixture(scope="module", params=["wildcard", "single"])
def house(request: pytest.FixtureRequest, furnished: Furnished) -> Iterator[Hostile]:
    """The house, in either way of naming labs."""
    with hostile_house(request.param, furnished) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM)
        yield made
        made.close()


@pytest.fixture(scope="module")
def alice(house: Hostile, browser: Browser) -> Iterator[BrowserContext]:
    """Alice's browser: signed in at the portal, with a pass for every lab of hers."""
    context = browser.new_context(base_url=house.portal)
    page = context.new_page()
    sign_in(page, "alice")
    for lab in ("b", "a") if house.mode == "wildcard" else ("a",):
        _open(page, house, lab)
    yield context
    context.close()


@pytest.fixture
def notebook(house: Hostile, alice: BrowserContext) -> Iterator[Page]:
    """The hostile notebook's page: what it evaluates is its author's script. The other lab has seen nothing yet."""
    page = alice.new_page()
    page.goto(house.url("a"))
    house.other.seen.clear()
    yield page
    for each in alice.pages:
        if each is not alice.pages[0]:
            each.close()


def _open(page: Page, house: Hostile, lab: str) -> None:
    page.goto(f"{house.portal}/labs/{house.ids[lab]}/")
    page.evaluate("document.querySelectorAll('form[target]').forEach(form => form.removeAttribute('target'))")
    page.get_by_role("button", name=re.compile("Open JupyterLab")).first.click()
    page.wait_for_url(house.url(lab) + "*")


def attempt(page: Page, code: str, given: object = None) -> str:
    """What the notebook's script gets out of it."""
    return str(page.evaluate(TRY, [code, given]))


def _is_signed_in(alice: BrowserContext, house: Hostile) -> bool:
    page = alice.new_page()
    page.goto(house.portal)
    found = page.get_by_role("heading", name="Hello").count() == 1
    page.close()
    return found


def test_cookies_of_portal_and_relay_cannot_be_read(notebook: Page, alice: BrowserContext) -> None:
    assert {cookie["name"] for cookie in alice.cookies()} >= {"gpulab_session"}  # they are there
    assert "gpulab" not in attempt(notebook, "() => document.cookie")


def test_cookies_cannot_be_tossed_at_the_portal(notebook: Page, alice: BrowserContext, house: Hostile) -> None:
    for domain in ("localhost", ".localhost", "127.0.0.1"):
        attempt(
            notebook, "domain => { for (const name of ['gpulab_session', 'gpulab_csrf']) document.cookie = `${name}=tossed; domain=${domain}; path=/` }", domain
        )
    attempt(notebook, "url => fetch(url)", house.url("a", "toss"))
    assert not [cookie for cookie in alice.cookies(house.portal) if cookie["value"] == "tossed"]
    assert _is_signed_in(alice, house)


def test_pages_cannot_be_fetched_with_the_persons_cookies(notebook: Page, house: Hostile) -> None:
    read = "url => fetch(url, {credentials: 'include'}).then(answer => answer.ok ? answer.text() : 'status ' + answer.status)"
    for url in (f"{house.portal}/", f"{house.portal}/api/v1/labs", f"{house.portal}/account/", house.url("b"), house.url("b", "api/contents")):
        assert re.match("refused|status 4", attempt(notebook, read, url)), url
    attempt(notebook, "url => fetch(url, {credentials: 'include', mode: 'no-cors'})", house.url("b", "api/contents"))
    assert house.other.seen == []


#: Look into a window for as long as it takes to load, and say what was seen.
LOOK = """const look = (window_of, done) => { let left = 15; const again = () => { try { const seen = window_of().document.body.innerText;
    if (seen.includes('Hello') || seen.includes('only-in-this-lab') || !left--) return done(seen) } catch (error) { if (!left--) return done('refused') }
    setTimeout(again, 100) }; again() }; """


def test_a_popup_cannot_be_looked_into(notebook: Page, house: Hostile) -> None:
    popups = "urls => Promise.all(urls.map(url => new Promise(done => { const popup = open(url); look(() => popup, done) }))).then(all => all.join())"
    got = attempt(notebook, f"(() => {{ {LOOK} return {popups} }})()", [f"{house.portal}/", house.url("b")])
    assert "Hello" not in got and "only-in-this-lab" not in got


def test_a_frame_shows_neither_portal_nor_another_lab(notebook: Page, house: Hostile) -> None:
    framed = "const frame = document.createElement('iframe'); frame.src = url; document.body.append(frame); look(() => frame.contentWindow, done)"
    frames = f"urls => Promise.all(urls.map(url => new Promise(done => {{ {framed} }}))).then(all => all.join())"
    got = attempt(notebook, f"(() => {{ {LOOK} return {frames} }})()", [f"{house.portal}/", house.url("b")])
    assert "Hello" not in got and "only-in-this-lab" not in got
    shown = [frame.content() for frame in notebook.frames if frame is not notebook.main_frame]
    assert not [one for one in shown if "Hello" in one or "only-in-this-lab" in one]
    assert house.other.seen == []


def test_no_websocket_opens(notebook: Page, house: Hostile) -> None:
    connect = "url => new Promise(done => { const socket = new WebSocket(url); socket.onopen = () => done('open'); socket.onerror = () => done('refused') })"
    for url in (f"{house.portal}/ws/live/", house.url("b", "api/kernels/x/channels")):
        assert attempt(notebook, connect, url.replace("http", "ws", 1)) == "refused", url
    assert house.other.seen == []


def test_a_service_worker_stays_with_its_own_lab(notebook: Page, alice: BrowserContext, house: Hostile) -> None:
    register = "([script, scope]) => navigator.serviceWorker.register(script, {scope}).then(found => found.scope)"
    script = house.url("a", "worker.js")
    shared = [f"{house.origin('a')}/", f"{house.origin('a')}/l/{house.ids['b']}/"] if house.mode == "single" else []
    for scope in (f"{house.portal}/", house.url("b", ""), *shared):
        assert attempt(notebook, register, [script, scope]).startswith("refused"), scope
    for url in (f"{house.portal}/", f"{house.portal}/launch/"):
        page = alice.new_page()
        page.goto(url)
        assert "owned" not in page.content()
        page.close()


def _post_by_form(page: Page, url: str, fields: dict[str, str]) -> None:
    code = """([url, fields]) => { const form = document.createElement('form'); form.method = 'post'; form.action = url; form.target = '_blank';
        for (const name in fields) { const field = document.createElement('input'); field.name = name; field.value = fields[name]; form.append(field) }
        document.body.append(form); form.submit() }"""
    attempt(page, code, [url, fields])
    attempt(page, "url => fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', body: new URLSearchParams({x: 1})})", url)
    plain = "url => fetch(url, {method: 'POST', credentials: 'include', mode: 'no-cors', headers: {'Content-Type': 'text/plain'}, body: '{\"gpus\": 0}'})"
    attempt(page, plain, url)
    page.wait_for_timeout(500)


def test_no_lab_is_launched_for_the_person(notebook: Page, house: Hostile) -> None:
    _post_by_form(
        notebook, f"{house.portal}/launch/", {"image": "1", "gpus": "0", "cpus": "1", "memory_gib": "1", "hours": "1", "csrfmiddlewaretoken": "x" * 64}
    )
    _post_by_form(notebook, f"{house.portal}/api/v1/labs", {"gpus": "0"})
    assert house.ask("Lab.objects.count()") == 3


def test_no_lab_is_stopped_for_the_person(notebook: Page, house: Hostile) -> None:
    for url in (
        f"{house.portal}/labs/{house.ids['a']}/stop/",
        f"{house.portal}/labs/{house.ids['b']}/stop/",
        f"{house.portal}/api/v1/labs/{house.ids['b']}/stop",
    ):
        _post_by_form(notebook, url, {"csrfmiddlewaretoken": "x" * 64})
    _post_by_form(notebook, house.url("b", "api/shutdown"), {})
    assert house.ask("list(Lab.objects.values_list('target', flat=True))") == ["running"] * 3
    assert [seen for seen in house.other.seen if seen[0] != "GET"] == []


def test_no_ticket_and_no_page_is_told_by_the_referrer_or_the_history(notebook: Page, house: Hostile) -> None:
    seen = " ".join(f"{path} {headers.get('Referer', '')}" for _, path, headers in house.notebook.seen)
    assert "ticket" not in seen and "/labs/" not in seen
    told = attempt(notebook, "() => document.referrer + ' ' + performance.getEntriesByType('navigation')[0].name + ' ' + location.href")
    assert "ticket" not in told and house.portal not in told


def test_no_door_redirects_to_where_the_notebook_says(notebook: Page, alice: BrowserContext, house: Hostile) -> None:
    page = alice.new_page()
    evil = house.url("a", "phish")
    for url in (
        f"{house.portal}/accounts/login/?next={evil}",
        f"{house.portal}/accounts/logout/?next={evil}",
        f"{house.portal}//{evil.removeprefix('http://')}",
        house.url("a", "away"),
        f"{house.origin('a')}/_gpulab/enter?ticket=x&next={evil}",
    ):
        page.goto(url)
        assert page.url.startswith((house.portal, house.origin("a"))) and not page.url.startswith(evil), url
    assert not [path for _, path, _ in house.notebook.seen if "phish" in path]


def test_storage_and_channels_are_not_shared(notebook: Page, alice: BrowserContext, house: Hostile) -> None:
    attempt(notebook, "() => { localStorage.setItem('stolen', 'here'); new BroadcastChannel('house').postMessage('here') }")
    page = alice.new_page()
    for url in [house.portal] + ([house.url("b")] if house.mode == "wildcard" else []):
        page.goto(url)
        assert page.evaluate("() => localStorage.getItem('stolen')") is None
        assert page.evaluate("() => navigator.serviceWorker.controller") is None


def test_messages_reach_no_page_of_the_portal_and_its_pages_do_not_know_who_opened_them(notebook: Page, alice: BrowserContext, house: Hostile) -> None:
    with alice.expect_page() as opened:
        attempt(notebook, "url => { window.popup = open(url) }", f"{house.portal}/")
    popup = opened.value
    popup.wait_for_load_state()
    popup.evaluate("() => { window.heard = []; addEventListener('message', event => heard.push(event.data)) }")
    attempt(notebook, "() => { for (const data of ['stop', {type: 'gpulab:labs'}]) popup.postMessage(data, '*') }")
    popup.wait_for_timeout(300)
    assert popup.evaluate("() => heard") == []
    assert popup.evaluate("() => window.opener") is None
