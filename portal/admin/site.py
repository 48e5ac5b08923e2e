"""The admin's door: the same sign-in as everywhere, with its rate limit and second factor, for administrators alone."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.contrib.auth.models import Group

admin.site.site_header = admin.site.site_title = "GPU Lab records"
admin.site.index_title = "Records"
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.unregister(Group)
