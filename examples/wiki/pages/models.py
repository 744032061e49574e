from django.conf import settings
from django.db import models
from django.urls import reverse


class Page(models.Model):
    slug = models.SlugField(unique=True)
    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    edited_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["title"]

    def __str__(self):
        return self.title

    def get_absolute_url(self):
        return reverse("page", args=[self.slug])

    @property
    def room(self):
        return f"page:{self.slug}"


class Reader(models.Model):
    """Somebody who is in a room, or was, as the presence server has told."""

    room = models.CharField(max_length=128)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    since = models.DateTimeField()
    here = models.BooleanField()

    class Meta:
        ordering = ["room", "since"]
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="once_in_a_room")]
