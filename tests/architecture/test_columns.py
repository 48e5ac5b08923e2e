"""New columns are such that the processes of the version before work on while they are replaced (docs/upgrading.md)."""

from django.db.migrations import AddField
from django.db.migrations.loader import MigrationLoader
from django.db.models import NOT_PROVIDED

#: The last migration of each room from before this was asked of them.
BEFORE = {
    "catalogue": "0003",
    "fleet": "0006",
    "jobs": "0003",
    "lifecycle": "0008",
    "people": "0003",
    "policy": "0003",
    "quarantine": "0002",
    "relocation": "0002",
    "starters": "0002",
    "storage": "0002",
}


def test_a_new_column_may_be_left_out_by_whoever_does_not_know_it() -> None:
    loader = MigrationLoader(None, ignore_no_migrations=True)
    ours = {key: found for key, found in loader.disk_migrations.items() if found.__module__.startswith("labs.")}
    fields = [
        (app, name, step.name, step.field)
        for (app, name), found in ours.items()
        if name[:4] > BEFORE.get(app, "")
        for step in found.operations
        if isinstance(step, AddField) and not step.field.many_to_many
    ]
    assert any(name == "encrypted_only" for _, _, name, _ in fields)
    assert [one[:3] for one in fields if not one[3].null and one[3].db_default is NOT_PROVIDED] == []
