from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("lifecycle", "0008_data_that_labs_need"),
    ]

    operations = [
        migrations.AddField(
            model_name="lab",
            name="counts_from",
            field=models.DateTimeField(help_text="Since when the queue counts its wait, where that is not when it was asked for.", null=True),
        ),
    ]
