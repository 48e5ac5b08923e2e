ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends nginx gettext-base curl >/dev/null && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled/* && useradd -r nginx || true
RUN printf 'user nginx;\nworker_processes auto;\npid /run/nginx.pid;\nerror_log /dev/stderr notice;\nevents { worker_connections 1024; }\nhttp { client_body_temp_path /var/cache/nginx/b; proxy_temp_path /var/cache/nginx/p; fastcgi_temp_path /var/cache/nginx/f; uwsgi_temp_path /var/cache/nginx/u; scgi_temp_path /var/cache/nginx/s; include /etc/nginx/mime.types; default_type application/octet-stream; access_log /dev/stdout; sendfile on; keepalive_timeout 65; include /etc/nginx/conf.d/*.conf; }\n' > /etc/nginx/nginx.conf
COPY nginx-entry /entry
RUN chmod 755 /entry
ENTRYPOINT ["/entry"]
