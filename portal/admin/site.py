"""The admin's door: the same sign-in as everywhere, with its rate limit and second factor, for administrators alone."""

from allauth.account.admin import EmailAddress
from allauth.account.decorators import secure_admin_login
from allauth.mfa.admin import Authenticator
from allauth.socialaccount.admin import SocialAccount, SocialApp, SocialToken
from allauth.usersessions.admin import UserSession
from django.contrib import admin
from django.contrib.auth.admin import Group

admin.site.site_header = admin.site.site_title = "GPU Lab records"
admin.site.index_title = "Records"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
# Not ours: roles take the place of Django's groups, an address belongs to its account, and the secret of a
# second factor, or the key of a session, is nobody's business. The campus is named in the settings, and whoever comes by it is found by the house's rules.
for model in (Group, EmailAddress, Authenticator, SocialAccount, SocialApp, SocialToken, UserSession):
    admin.site.unregister(model)
