"""What a person does with the pages, in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Enter
from tests.support.served import Served

pytestmark = pytest.mark.browser


def test_a_stranger_is_asked_to_sign_in_and_comes_to_where_they_wanted(enter: Enter) -> None:
    page = enter().page
    page.goto("/queue/")
    page.get_by_label("Email").fill("alice@example.edu")
    page.get_by_label("Password", exact=True).fill("correct-horse-battery-9")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Queue")).to_be_visible()


def test_the_theme_is_chosen_and_kept_without_a_flash(enter: Enter) -> None:
    page = enter("alice", colours="light").page
    page.locator("details.menu > summary").first.click()
    page.get_by_role("button", name="Dark").click()
    root = page.locator("html")
    expect(root).to_have_attribute("data-bs-theme", "dark")
    page.goto("/queue/")
    expect(root).to_have_attribute("data-bs-theme", "dark")


def test_the_launch_form_says_at_each_change_what_the_click_does(enter: Enter) -> None:
    visit = enter("nora")
    page = visit.page
    page.goto("/launch/")
    verdict = page.locator("#verdict")
    page.get_by_label("Number of GPUs").fill("0")
    page.get_by_label("Number of GPUs").blur()
    expect(verdict.get_by_role("button", name="Launch now")).to_be_visible()
    page.get_by_role("button", name="One GPU more").click()
    expect(verdict.get_by_role("button", name=re.compile(r"Queue \("))).to_be_visible()
    page.get_by_role("button", name="One GPU more").click()
    expect(verdict.get_by_text("your limit is 1")).to_be_visible()
    expect(verdict.get_by_role("button", name="Does not fit")).to_be_disabled()
    assert visit.faults == []


def test_one_click_from_home_starts_a_lab_and_a_second_click_does_not_make_another(enter: Enter) -> None:
    page = enter("nora").page
    page.get_by_role("button", name=re.compile("^Start PyTorch")).dblclick()
    expect(page.get_by_role("heading", level=1, name="lab")).to_be_visible()
    page.goto("/")
    expect(page.locator("article.lab-line")).to_have_count(1)


def test_stopping_asks_once_more_and_leaving_the_question_changes_nothing(enter: Enter, served: Served) -> None:
    page = enter("alice").page
    page.goto(f"/labs/{served.labs['sweep']}/")
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("dialog")).to_contain_text("Files in /workspace stay")
    page.get_by_role("button", name="Keep it as it is").click()
    expect(page.locator(".state").first).to_have_text("Running")
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Stop sweep").click()
    expect(page.locator(".state").first).to_have_text("Stopping")


def test_an_administrator_gives_a_reason_in_the_question(enter: Enter, served: Served) -> None:
    page = enter("root").page
    page.goto("/manage/labs/")
    page.get_by_role("row", name=re.compile("homework")).get_by_role("button", name="Stop").click()
    page.get_by_label("Reason").fill("The course is over.")
    page.get_by_role("button", name="Stop it").click()
    expect(page.get_by_text("The course is over.").first).to_be_visible()


def test_extend_and_take_a_gpu_open_and_close_by_keyboard(enter: Enter, served: Served) -> None:
    page = enter("alice").page
    page.goto(f"/labs/{served.labs['resnet-run']}/")
    page.get_by_role("button", name="Extend").press("Enter")
    expect(page.get_by_role("dialog", name="Extend resnet-run")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Change GPUs").press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Kernels and terminals stop.")


def test_extend_is_there_without_scripts_too(enter: Enter, served: Served) -> None:
    page = enter("alice", javascript=False).page
    page.goto(f"/labs/{served.labs['resnet-run']}/")
    expect(page.get_by_label("Hours from now")).to_be_hidden()
    page.get_by_role("button", name="Extend").click()
    expect(page.get_by_label("Hours from now")).to_be_visible()


def test_the_first_tab_skips_to_the_content(enter: Enter) -> None:
    page = enter("alice").page
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_the_menu_of_a_small_screen_leads_everywhere(enter: Enter) -> None:
    page = enter("alice", narrow=True).page
    page.get_by_label("Menu", exact=True).click()
    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("heading", name="Images")).to_be_visible()


def test_pages_are_right_without_javascript(enter: Enter, served: Served) -> None:
    page = enter("alice", javascript=False).page
    page.goto(f"/labs/{served.labs['resnet-run']}/")
    expect(page.get_by_text("ssh resnet-run@")).to_be_visible()
    page.goto("/launch/")
    expect(page.locator("#verdict").get_by_role("button", name=re.compile(r"Queue \("))).to_be_visible()


def test_a_page_cannot_run_what_it_was_not_given(enter: Enter) -> None:
    visit = enter("alice")
    refused = visit.page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            document.body.insertAdjacentHTML("beforeend", '<img src="x" onerror="window.ran = 1">');
        })"""
    )
    assert refused == "script-src-attr"
    assert visit.page.evaluate("window.ran") is None
