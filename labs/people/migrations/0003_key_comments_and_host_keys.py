from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("people", "0002_devices_sign_in"),
    ]

    operations = [
        migrations.AddField(
            model_name="sshkey",
            name="comment",
            field=models.CharField(blank=True, default="", max_length=100),
        ),
        migrations.CreateModel(
            name="SshHostKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("public_key", models.TextField()),
                ("fingerprint", models.CharField(max_length=80, unique=True)),
                ("told_at", models.DateTimeField()),
            ],
        ),
    ]
