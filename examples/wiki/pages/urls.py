from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from . import presence, views

urlpatterns = [
    path("", views.Index.as_view(), name="index"),
    path("log-in/", LoginView.as_view(), name="login"),
    path("log-out/", LogoutView.as_view(), name="logout"),
    path("sign-up/", views.SignUp.as_view(), name="sign-up"),
    path("pages/new/", views.Write.as_view(), name="write"),
    path("pages/<slug:slug>/", views.Show.as_view(), name="page"),
    path("pages/<slug:slug>/edit/", views.Edit.as_view(), name="edit"),
    path("readers/", views.readers, name="readers"),
    path("presence/token/", presence.token, name="presence-token"),
    path("presence/webhook/", presence.webhook),
]
