ARG BASE
FROM $BASE
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server >/dev/null && ln -s /usr/bin/redis-server /usr/local/bin/valkey-server && ln -s /usr/bin/redis-cli /usr/local/bin/valkey-cli && rm -rf /var/lib/apt/lists/*
ENTRYPOINT []
WORKDIR /data
