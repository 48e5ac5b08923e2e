"""To the campus's sign-in and back. The names are those that allauth asks for."""

from django.urls import path

from portal.campus.oidc import callback, login

urlpatterns = [
    path("oidc/<str:provider_id>/login/", login, name="openid_connect_login"),
    path("oidc/<str:provider_id>/login/callback/", callback, name="openid_connect_callback"),
]
