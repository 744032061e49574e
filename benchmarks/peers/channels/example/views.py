from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import AuthenticationForm, UserCreationForm
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

User = get_user_model()


@login_required
def user_list(request):
    users = User.objects.select_related("logged_in_user")
    for user in users:
        user.status = "Online" if hasattr(user, "logged_in_user") else "Offline"
    return render(request, "example/user_list.html", {"users": users})


def log_in(request):
    form = AuthenticationForm(data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        login(request, form.get_user())
        return redirect("user_list")
    return render(request, "example/form.html", {"form": form})


@require_POST
def log_out(request):
    logout(request)
    return redirect("log_in")


def sign_up(request):
    form = UserCreationForm(data=request.POST or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("log_in")
    return render(request, "example/form.html", {"form": form})
