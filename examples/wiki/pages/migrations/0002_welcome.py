from django.db import migrations

TEXT = "Open this page as somebody else, in a private window: you will see each other above."


def write(apps, schema_editor):
    apps.get_model("pages", "Page").objects.create(slug="welcome", title="Welcome", text=TEXT)


class Migration(migrations.Migration):
    dependencies = [("pages", "0001_initial")]
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
