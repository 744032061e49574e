from django.apps import AppConfig


class ExampleConfig(AppConfig):
    name = "example"

    def ready(self) -> None:
        from example import signals  # noqa: F401  # for what importing it does
