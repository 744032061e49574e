"""Accounts and sessions in the database; prints a `Cookie` header for each session."""

import argparse
import os


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--prefix", default="user")
    options = parser.parse_args()
    os.environ["DATABASE"] = options.database
    os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    add(options.prefix, options.users, options.sessions)


def add(prefix: str, count: int, logged_in: int) -> None:
    from django.conf import settings
    from django.contrib import auth
    from django.contrib.auth.hashers import make_password
    from django.contrib.sessions.backends.db import SessionStore
    from django.db import transaction

    User = auth.get_user_model()
    password = make_password("johnson123")
    names = [f"{prefix}{number}" for number in range(count)]
    User.objects.bulk_create(
        (User(username=name, password=password) for name in names),
        ignore_conflicts=True,
        batch_size=500,
    )
    users = User.objects.filter(username__startswith=prefix).in_bulk(field_name="username")
    with transaction.atomic():
        for name in names[:logged_in]:
            user = users[name]
            session = SessionStore()
            session[auth.SESSION_KEY] = str(user.pk)
            session[auth.BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
            session[auth.HASH_SESSION_KEY] = user.get_session_auth_hash()
            session.create()
            print(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")


main()
