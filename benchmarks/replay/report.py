"""The table and the plots of a replay, written where the documents are."""

from pathlib import Path
from typing import Any

COLUMNS = {
    "load": "load",
    "policy": "policy",
    "mean_wait_min": "mean wait, min",
    "p95_wait_min": "p95, min",
    "interactive_p95_min": "interactive p95, min",
    "interactive_60s_pct": "interactive within 60 s, %",
    "gang_p95_min": "gang p95, min",
    "gang_max_h": "gang worst, h",
    "max_wait_h": "worst wait, h",
    "jain": "Jain",
    "worst": "worst person",
    "jain_time": "Jain by GPU time",
    "worst_time": "worst person by GPU time",
    "utilisation_pct": "utilisation, %",
    "lost_gpu_h": "lost, GPU-h",
    "violations": "violations",
}
#: Of each window apart: what the goals for the worst wait and for utilisation come to there.
APART = {"mean_wait_min": "mean wait, min", "max_wait_h": "worst wait, h", "utilisation_pct": "utilisation, %"}
SHOWN = {
    "mean_wait_min": "Mean wait, minutes",
    "interactive_p95_min": "Interactive, 95th percentile, minutes",
    "interactive_60s_pct": "Interactive within 60 s, %",
}


def report_print(row: dict[str, Any]) -> None:
    """One row on the screen."""
    print("  ".join(f"{words} {row[name]}" for name, words in COLUMNS.items()), flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """All rows as Markdown."""
    lines = [f"| {' | '.join(COLUMNS.values())} |", f"|{'---|' * len(COLUMNS)}"]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row[name]) for name in COLUMNS)} |" for row in rows)]) + "\n"


def table_each(rows: list[dict[str, Any]]) -> str:
    """Each window apart, policies beside each other, and the least that the worst wait can be."""
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    heads = ["load", "window", "worst wait of any scheduler at least, h", *(f"{policy}: {words}" for words in APART.values() for policy in policies)]
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for load, windows in dict.fromkeys((row["load"], tuple(row["windows"])) for row in rows):
        mine = {row["policy"]: row for row in rows if (row["load"], tuple(row["windows"])) == (load, windows)}
        cells = [load, windows[0], mine[policies[0]]["max_wait_floor_h"], *(mine[policy][name] for name in APART for policy in policies)]
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) and value < 1 else f"{value:.1f}" if isinstance(value, float) else str(value)


def report_write(found: dict[str, Any], folder: Path) -> None:
    """`scheduling-table.md`, `scheduling.png` and `scheduling.svg`."""
    text = f"# The fair queue on the replay\n\nNodes {found['nodes']}, seed {found['seed']}. {found['synthetic']}\n"
    for title, key in (("All windows", "rows"), ("Windows that the numbers were chosen on", "rows_tuned"), ("Windows apart", "rows_apart")):
        if found[key]:
            text += f"\n## {title}: {', '.join(str(number) for number in found[key][0]['windows'])}\n\n{table(found[key])}"
    text += f"\n## Each window\n\n{table_each(found['rows_each'])}"
    for name in ("estimates", "idle"):
        if name in found:
            text += f"\n## {name.capitalize()}\n\n" + "".join(f"- {key}: {value}\n" for key, value in found[name].items())
    (folder / "scheduling-table.md").write_text(text)
    plot(found, folder / "scheduling")


def plot(found: dict[str, Any], path: Path) -> None:
    """Three figures beside each other, a bar for each policy and load."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "gpulab"
    from matplotlib import pyplot

    rows = found["rows"]
    loads = sorted({row["load"] for row in rows})
    policies = list(dict.fromkeys(row["policy"] for row in rows))
    figure, every = pyplot.subplots(1, len(SHOWN), figsize=(13, 4.2), layout="constrained")
    for axes, (name, words) in zip(every, SHOWN.items(), strict=True):
        for place, load in enumerate(loads):
            values = [next(row[name] for row in rows if row["load"] == load and row["policy"] == policy) for policy in policies]
            axes.barh([number + 0.4 * place for number in range(len(policies))], values, height=0.38, label=f"load {load}")
        axes.set_yticks([number + 0.2 for number in range(len(policies))], policies)
        axes.invert_yaxis()
        axes.set_title(words, fontsize=10)
    every[0].legend()
    figure.text(0.5, -0.03, found["synthetic"], ha="center", fontsize=7)
    for suffix in (".png", ".svg"):
        figure.savefig(path.with_suffix(suffix), dpi=120, bbox_inches="tight", metadata={"Date": None} if suffix == ".svg" else None)
    pyplot.close(figure)
