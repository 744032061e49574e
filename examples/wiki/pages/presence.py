"""All that this wiki does for presence: tokens for its users, and what it is told of them."""

import time
from datetime import datetime, timezone
from urllib.parse import urlsplit

import jwt
from django.conf import settings
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from .models import Page, Reader


@never_cache
@require_GET
def token(request):
    """What the elements of our pages ask for, for whoever is logged in."""
    room, user, now = request.GET.get("room", ""), request.user, int(time.time())
    if not user.is_authenticated:
        return HttpResponse(status=401)
    # Every page is for everybody here: a wiki with closed pages would ask who may read this one.
    if room != "lobby" and room not in {page.room for page in Page.objects.all()}:
        return HttpResponse(status=403)
    claims = {
        "aud": "presence",
        "sub": str(user.pk),
        "iat": now,
        "exp": now + 600,
        "rooms": {room: "join"},
        "info": {"name": user.get_username()},
    }
    key = {"kid": settings.PRESENCE_KEY}
    return HttpResponse(jwt.encode(claims, settings.PRESENCE_SECRET, "HS256", headers=key))


@csrf_exempt
@require_POST
def webhook(request):
    """Who came and left: what is said is how it is now, and may come twice, or late."""
    try:
        told = Webhook(settings.PRESENCE_WEBHOOK_SECRET).verify(request.body, request.headers)
    except (WebhookVerificationError, ValueError):
        return HttpResponse(status=401)
    for change in told["data"]["changes"]:
        user = user_of(change["user"])
        if user is None:
            continue
        where = {"room": change["room"], "user": user}
        since = datetime.fromtimestamp(change["since"], timezone.utc)
        state = {"since": since, "here": change["status"] == "here"}
        Reader.objects.get_or_create(**where, defaults=state)
        # What was so earlier no longer counts.
        Reader.objects.filter(**where, since__lte=since).update(**state)
    return HttpResponse(status=204)


def user_of(user_id):
    """None for whom we do not have, any more or at all: tokens for testing name anybody."""
    try:
        return get_user_model().objects.filter(pk=user_id).first()
    except ValueError:
        return None


def presence_url(request):
    """For every template."""
    return {"presence_url": settings.PRESENCE_URL}


def content_security_policy(get_response):
    """The elements need their server as a source of scripts and lines, and nothing inline."""
    server = settings.PRESENCE_URL
    lines = urlsplit(server)._replace(scheme="wss" if server.startswith("https") else "ws").geturl()
    policy = (
        f"default-src 'self'; script-src {server}; connect-src 'self' {server} {lines}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )

    def middleware(request):
        response = get_response(request)
        response.headers["Content-Security-Policy"] = policy
        return response

    return middleware
