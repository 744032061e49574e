"""Where the files beside the code are: templates, static files, the client, the schema."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_data"

# An installed wheel carries them inside the package, a checkout keeps them at its top.
ROOT = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
CLIENT = ROOT / "clients" / "js" / "presence.js"
# It loads the other by itself, where many people are.
CLIENT_FILES = (CLIENT, CLIENT.with_name("large.js"))
MIGRATIONS = ROOT / "migrations.sql"
POSTGRESQL_MIGRATIONS = ROOT / "migrations-postgresql.sql"
OPENAPI = ROOT / "openapi.json"
