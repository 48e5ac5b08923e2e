"""The line of an ended lab: what it used of what it held, and what would do better."""

from dataclasses import replace

import pytest

from labs.usage.efficiency import Used, efficiency_of

WELL = Used(
    minutes=120, gpus=1, cpus=8, memory_mib=16 * 1024, shm_mib=8 * 1024, gpu_memory_mib=80 * 1024, gpu_pct=85.0, gpu_pct_max=100, idle_share=0.05,
    gpu_memory_mib_max=60 * 1024, cpu_pct=300.0, memory_mib_max=9000, shm_mib_max=900,
)  # fmt: skip


def words(used: Used, *, slices: bool = False) -> str:
    found = efficiency_of(used, slices=slices)
    assert found is not None
    return found.words


def test_a_lab_that_used_its_card_well_is_told_nothing_else():
    assert words(WELL) == "GPU 85% busy, 60 of 80 GiB."


def test_a_card_of_which_a_slice_would_do():
    small = replace(WELL, gpu_pct=4.0, gpu_memory_mib_max=2048, idle_share=0.2)
    assert words(small, slices=True) == "GPU 4% busy, 2 of 80 GiB: a slice would do."
    assert "slice" not in words(small)
    assert "larger batches" in words(small)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"gpu_pct": 0.0, "gpu_pct_max": 0, "idle_share": 1.0, "gpu_memory_mib_max": 400}, "no_gpu"),
        ({"gpus": 2, "gpu_pct": 48.0}, "fewer_gpus"),
        ({"gpus": 2, "gpu_pct": 90.0}, "fine"),
        ({"gpu_pct": 30.0, "idle_share": 0.6}, "idle"),
        ({"gpu_pct": 40.0, "cpu_pct": 790.0}, "more_cpus"),
        ({"shm_mib_max": 8000}, "more_shm"),
        ({"memory_mib_max": 16 * 1024}, "more_memory"),
        ({"memory_mib": 128 * 1024}, "less_memory"),
        ({"gpu_pct": None, "gpu_pct_max": None, "idle_share": None}, "fine"),
    ],
)
def test_each_waste_has_its_advice(change: dict[str, object], code: str):
    found = efficiency_of(replace(WELL, **change), slices=False)  # type: ignore[arg-type]
    assert found is not None
    assert found.code == code
    assert bool(found.advice) is (code != "fine")


def test_a_lab_without_a_card_is_told_of_its_cores_and_memory():
    assert words(replace(WELL, gpus=0)) == "3.0 of 8 CPU cores busy, 8.8 of 16 GiB of memory."


def test_a_slice_without_a_figure_is_never_called_idle():
    assert (
        words(replace(WELL, gpu_pct=None, gpu_pct_max=None, idle_share=None, gpu_memory_mib=18 * 1024, gpu_memory_mib_max=5 * 1024)) == "GPU held, 5 of 18 GiB."
    )


def test_a_lab_of_a_few_minutes_says_nothing():
    assert efficiency_of(replace(WELL, minutes=4), slices=False) is None


def test_a_lab_without_any_reading_still_has_a_sentence():
    assert words(Used(minutes=10, gpus=0, cpus=1, memory_mib=1024, shm_mib=512)) == "Measured for 10 minutes."
