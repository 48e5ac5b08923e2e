"""Which image computes on which card under which driver: every cell, and both sides of every boundary."""

import json
from pathlib import Path

import pytest

import labs.catalogue
from labs.catalogue.compat import Answer, Card, Fit, Host, Needs, Row, fit, rows_of, version

TABLE = json.loads((Path(labs.catalogue.__file__).parent / "cuda_compat.json").read_text())
ROWS = rows_of(TABLE)
IMAGES = [image for image in TABLE["pytorch_images"] if image["exists"]]
CARDS = ("5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "12.0")
#: Which of the official builds have machine code for which card, read by hand from the table and the rule of minor numbers.
HAS_CODE = {
    "11.8": {"5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0"},
    "12.6": {"5.2", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0"},
    "12.8": {"7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "12.0"},
    "13.0": {"7.5", "8.0", "8.6", "8.9", "9.0", "12.0"},
}
NEW, H200 = Host("999.0"), Card("9.0", datacenter=True)


def needs(cuda: str, **more: object) -> Needs:
    return Needs(cuda=cuda, **({"sass": ("9.0",)} | more))  # type: ignore[arg-type]


def before(text: str) -> str:
    """The driver just below a version."""
    *head, last = version(text)
    return ".".join(str(part) for part in (*head, last - 1)) if last else ".".join(str(part) for part in (*head[:-1], head[-1] - 1, 99))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.cuda)
def test_each_cuda_is_full_from_its_driver_on_minor_from_its_floor_on_and_refused_below(row: Row) -> None:
    def answer(driver: str) -> Answer:
        return fit(needs(row.cuda), Host(driver), H200, ROWS).answer

    assert answer(row.full) == Answer.OK
    assert answer(row.floor) == (Answer.OK if row.floor == row.full else Answer.MINOR)
    assert answer(before(row.full)) == (Answer.REFUSED if row.floor == row.full else Answer.MINOR)
    assert answer(before(row.floor)) == Answer.REFUSED


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image["cuda"])
@pytest.mark.parametrize("card", CARDS)
def test_each_official_build_on_each_kind_of_card(image: dict[str, object], card: str) -> None:
    made = Needs(cuda=str(image["cuda"]), sass=tuple(image["sass"]), ptx=str(image["ptx"] or ""))  # type: ignore[arg-type]
    expected = Answer.OK if card in HAS_CODE[made.cuda] else Answer.REFUSED
    assert fit(made, NEW, Card(card), ROWS).answer == expected


@pytest.mark.parametrize(("image", "host"), [("amd64", "amd64"), ("amd64", "arm64"), ("arm64", "amd64"), ("arm64", "arm64")])
def test_an_image_runs_only_on_its_own_kind_of_processor_with_a_card_or_without(image: str, host: str) -> None:
    for card in (H200, None):
        found = fit(needs("12.8", architectures=(image,)), Host("999.0", architecture=host), card, ROWS)
        assert found.answer == (Answer.OK if image == host else Answer.REFUSED)
        assert image == host or host in found.fix


@pytest.mark.parametrize(("image", "host", "runs"), [("r36", "r36", True), ("r36", "r35", False), ("", "r36", False), ("r36", "", False)])
def test_a_jetson_takes_images_of_its_own_line_alone(image: str, host: str, runs: bool) -> None:
    made = needs("12.6", architectures=("arm64",), l4t=image, sass=("8.7",))
    found = fit(made, Host("999.0", architecture="arm64", l4t=host), Card("8.7"), ROWS)
    assert (found.answer == Answer.OK) is runs


def test_a_driver_too_old_is_told_with_the_smallest_fix() -> None:
    found = fit(needs("13.0"), Host("570.26"), H200, ROWS)
    assert found == Fit(
        Answer.REFUSED,
        "CUDA 13.0 needs driver 580.65.06 at least; this node has 570.26.",
        "Update the driver to 580.65.06, or choose an image with CUDA 12.9 or older.",
    )
    assert fit(needs("11.8"), Host("440.0"), H200, ROWS).fix == "Update the driver to 520.61.05."


def test_the_compatibility_package_helps_on_cards_of_data_centres_alone() -> None:
    old = Host("535.104.05")
    assert fit(needs("13.0", forward=True), old, H200, ROWS).answer == Answer.FORWARD
    assert fit(needs("13.0", forward=True), old, Card("9.0"), ROWS).answer == Answer.REFUSED
    assert fit(needs("13.0"), old, H200, ROWS).answer == Answer.REFUSED


@pytest.mark.parametrize(("code", "card", "runs"), [("8.6", "8.9", True), ("8.9", "8.6", False), ("10.0", "10.3", True), ("9.0", "10.0", False)])
def test_machine_code_runs_on_its_own_generation_from_its_number_on(code: str, card: str, runs: bool) -> None:
    assert (fit(needs("12.8", sass=(code,)), NEW, Card(card), ROWS).answer == Answer.OK) is runs


def test_portable_code_is_compiled_for_a_newer_card_where_the_driver_does_so() -> None:
    made = Needs(cuda="13.1", sass=("9.0",), ptx="12.0")
    assert fit(made, Host("590.44.01"), Card("12.1"), ROWS).answer == Answer.OK
    assert fit(made, Host("580.65.06"), Card("12.1"), ROWS).answer == Answer.REFUSED  # minor-version mode compiles nothing
    assert fit(made, Host("590.44.01"), Card("10.3"), ROWS).answer == Answer.REFUSED


def test_cuda_13_has_dropped_older_cards_whatever_an_image_says() -> None:
    assert fit(needs("13.0", sass=("7.0",)), NEW, Card("7.0"), ROWS).answer == Answer.REFUSED
    assert fit(needs("12.8", sass=("7.0",)), NEW, Card("7.0"), ROWS).answer == Answer.OK


@pytest.mark.parametrize(
    ("made", "host", "card"),
    [
        (needs("12.7"), NEW, H200),
        (needs("12.8", sass=()), NEW, H200),
        (needs("12.8"), Host(""), H200),
        (needs("12.8"), NEW, Card("")),
    ],
)
def test_what_is_not_known_is_a_warning_and_never_silently_fine(made: Needs, host: Host, card: Card) -> None:
    found = fit(made, host, card, ROWS)
    assert found.answer == Answer.UNKNOWN
    assert found.words


def test_a_cpu_build_runs_beside_any_driver_and_card() -> None:
    assert fit(Needs(cuda=""), Host(""), H200, ROWS) == Fit(Answer.OK)


def test_a_lab_without_a_gpu_needs_no_driver() -> None:
    assert fit(needs("13.0"), Host(""), None, ROWS) == Fit(Answer.OK)
