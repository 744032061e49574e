import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def id_field():
    return models.BigAutoField(
        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
    )


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", id_field()),
                ("slug", models.SlugField(unique=True)),
                ("title", models.CharField(max_length=100)),
                ("text", models.TextField(blank=True)),
                ("edited_at", models.DateTimeField(auto_now=True)),
                (
                    "edited_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["title"]},
        ),
        migrations.CreateModel(
            name="Reader",
            fields=[
                ("id", id_field()),
                ("room", models.CharField(max_length=128)),
                ("since", models.DateTimeField()),
                ("here", models.BooleanField()),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["room", "since"],
                "constraints": [
                    models.UniqueConstraint(fields=("room", "user"), name="once_in_a_room")
                ],
            },
        ),
    ]
