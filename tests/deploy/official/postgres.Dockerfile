ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null && rm -rf /var/lib/apt/lists/* /var/lib/postgresql/*/main
COPY postgres-entry /entry
RUN chmod 755 /entry
ENTRYPOINT ["/entry"]
