"""What every task promises: JSON, acknowledged when it is done, and never kept by the broker for later."""

import ast
from pathlib import Path

import worker.tasks  # noqa: F401  (they are registered by it)
from portal.celery import app

ROOT = Path(__file__).resolve().parents[2]
SENT_BY = {"send_task", "apply_async", "delay", "s", "si", "signature"}


def test_every_task_is_json_and_is_acknowledged_only_when_it_is_done():
    ours = {name: task for name, task in app.tasks.items() if name.startswith("worker.")}
    assert len(ours) > 10
    assert app.conf.accept_content == ["json"] and {task.serializer for task in ours.values()} == {"json"}
    assert all(task.acks_late for task in ours.values())


def test_one_place_sends_tasks_and_puts_none_off():
    sent = []
    for path in (each for room in ("labs", "portal", "worker") for each in (ROOT / room).rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
        sent += [(path.relative_to(ROOT).as_posix(), call) for call in calls if call.func.attr in SENT_BY]
    [(where, call)] = sent
    assert where == "labs/bus/doorbell.py"
    assert not {"eta", "countdown", "expires"} & {word.arg for word in call.keywords}
