from django.db import migrations, models

DAYS = 7


def weekly_to_cron(apps, schema_editor):
    """Days of the week (Monday was 0) and a time become five fields, whose Sunday is 0."""
    for row in apps.get_model("jobs", "Trigger").objects.filter(kind="schedule"):
        days = "*" if len(row.weekdays) == DAYS else ",".join(str((day + 1) % DAYS) for day in row.weekdays)
        row.cron = f"{int(row.at[3:])} {int(row.at[:2])} * * {days}"
        row.save(update_fields=["cron"])


class Migration(migrations.Migration):

    dependencies = [
        ("jobs", "0002_files_that_arrive"),
    ]

    operations = [
        migrations.AddField(
            model_name="trigger",
            name="cron",
            field=models.CharField(blank=True, default="", help_text="Of a schedule: five fields, in the house's time zone.", max_length=100),
            preserve_default=False,
        ),
        migrations.RunPython(weekly_to_cron),
        migrations.RemoveField(model_name="trigger", name="weekdays"),
        migrations.RemoveField(model_name="trigger", name="at"),
    ]
