from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.mixins import LoginRequiredMixin
from django.shortcuts import render
from django.urls import reverse_lazy
from django.views.generic import CreateView, DetailView, FormView, ListView, UpdateView

from .models import Page, Reader


class SignUp(FormView):
    template_name = "registration/sign_up.html"
    form_class = UserCreationForm
    success_url = reverse_lazy("index")

    def form_valid(self, form):
        login(self.request, form.save())
        return super().form_valid(form)


class Index(ListView):
    model = Page


class Show(DetailView):
    model = Page


class Edited:
    """Whoever saves a page has edited it last."""

    model = Page

    def form_valid(self, form):
        form.instance.edited_by = self.request.user
        return super().form_valid(form)


class Write(LoginRequiredMixin, Edited, CreateView):
    fields = ["title", "slug", "text"]


class Edit(LoginRequiredMixin, Edited, UpdateView):
    fields = ["title", "text"]


@login_required
def readers(request):
    """Who reads what, from our own database: for whatever a backend does with it."""
    here = Reader.objects.filter(here=True).select_related("user")
    return render(request, "pages/readers.html", {"readers": here})
