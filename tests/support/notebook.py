"""JupyterLab as a person uses it in the browser."""

from playwright.sync_api import Page, expect


def compute(lab: Page, code: str, expected: str) -> None:
    """A new notebook, one cell, its output. Typing begins when the kernel waits for it: earlier keys would be lost."""
    lab.locator(".jp-LauncherCard[data-category=Notebook]").first.click(timeout=60_000)
    expect(lab.get_by_text("| Idle").first).to_be_visible(timeout=60_000)
    cell = lab.locator(".jp-Notebook .jp-Cell .cm-content").first
    cell.click()
    expect(cell).to_be_focused()
    lab.keyboard.insert_text(code)
    expect(cell).to_contain_text(code)
    lab.keyboard.press("Shift+Enter")
    expect(lab.locator(".jp-OutputArea-output").first).to_contain_text(expected, timeout=60_000)
