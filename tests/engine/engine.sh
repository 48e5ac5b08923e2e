#!/bin/bash
# A private container engine for the tests, and lab images in it, on a bare Debian without a registry or a GPU.
#
#   engine.sh up    [DIR]                 start the engine (a second call finds it running); prints its address
#   engine.sh image [DIR] torch|plain     make the lab image if its inputs changed; prints its tag
#   engine.sh down  [DIR]                 remove its containers and stop it; images and base stay as a cache
#
# DIR holds everything: data, sockets, the base system. Default: $GPULAB_CI_CACHE, else /var/cache/gpulab-ci.
# It is an engine of its own: own data root, exec root, pid file, socket, /etc/docker (else every engine
# reports the same id), bridge and cgroup parent. It never touches an engine that is already there.
# `torch` stands in for the official base image, which holds torch; `plain` leaves it out and is smaller.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
verb=${1:-}
dir=${2:-${GPULAB_CI_CACHE:-/var/cache/gpulab-ci}}
variant=${3:-torch}
mark=$(printf %s "$dir" | sha256sum | cut -c1-4)
bridge=glci$mark
socket=$dir/docker.sock
suite=bookworm
packages=python3,python3-pip,openssh-server,ca-certificates,tini,git,curl,procps,tmux,rsync,less,nano
torch_pin=torch==2.13.0+cpu

say() { printf '%s\n' "$*" >&2; }
docker_() { DOCKER_BUILDKIT=0 docker -H "unix://$socket" "$@"; }
alive() { [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; }
answers() { curl -sf -m 2 -o /dev/null --unix-socket "$socket" http://engine/_ping; }

# Controllers of cgroup v1 are not mounted on every machine; on cgroup v2 there is nothing to do.
cgroups() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] && return
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
    awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups | while read -r name; do
        mkdir -p "/sys/fs/cgroup/$name"
        mountpoint -q "/sys/fs/cgroup/$name" || mount -n -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" \
            || rmdir "/sys/fs/cgroup/$name"
    done
}

make_bridge() {
    ip link show "$bridge" >/dev/null 2>&1 && return
    ip link add "$bridge" type bridge
    # A range for documentation and tests (RFC 2544), a /24 for each engine.
    ip addr add "198.18.$((16#${mark:0:2})).1/24" dev "$bridge"
    ip link set "$bridge" up
}

# The engine registers its NVIDIA driver when it finds this hook; that is all it needs to take `--gpus`.
gpu_stub() {
    mkdir -p "$dir/bin"
    printf '#!/bin/sh\ncat >/dev/null\nexit 0\n' >"$dir/bin/nvidia-container-runtime-hook"
    chmod 755 "$dir/bin/nvidia-container-runtime-hook"
}

up() {
    if alive && answers; then echo "unix://$socket"; return; fi
    mkdir -p "$dir/etc" /etc/docker
    rm -f "$dir/pid" "$socket" "$dir/exec/containerd/containerd.pid"
    cgroups
    make_bridge
    gpu_stub
    setsid unshare --mount sh -c "mount --bind '$dir/etc' /etc/docker
        exec env PATH='$dir/bin':\"\$PATH\" dockerd --data-root '$dir/data' --exec-root '$dir/exec' \
            --pidfile '$dir/pid' -H 'unix://$socket' --bridge $bridge --cgroup-parent /gpulab-ci-$mark \
            --log-level warn --shutdown-timeout 5" >"$dir/log" 2>&1 </dev/null 9>&- &
    local child=$!
    for _ in $(seq 300); do
        if answers; then echo "unix://$socket"; return; fi
        kill -0 "$child" 2>/dev/null || break
        sleep 0.1
    done
    say "the engine did not come up:"
    tail -20 "$dir/log" >&2
    exit 1
}

down() {
    if alive; then
        answers && docker_ ps -aq | xargs -r env DOCKER_HOST="unix://$socket" docker rm -f >/dev/null
        answers && docker_ network prune -f >/dev/null
        local pid
        pid=$(cat "$dir/pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 150); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
        if kill -0 "$pid" 2>/dev/null; then kill -9 "$pid"; fi
    fi
    ip link del "$bridge" 2>/dev/null || true
}

# The stand-in for the official base image: Debian with Python, and torch's CPU build.
make_base() {
    local key tar
    key=$(printf '%s %s %s' "$suite" "$packages" "$torch_pin $variant" | sha256sum | cut -c1-12)
    base=gpulab-test-base:$variant-$key
    docker_ image inspect "$base" >/dev/null 2>&1 && return
    tar=$dir/base/rootfs-$(printf '%s %s' "$suite" "$packages" | sha256sum | cut -c1-12).tar
    mkdir -p "$dir/base"
    if [ ! -s "$tar" ]; then
        say "making the base system ($suite)"
        local part=${tar%.tar}.part.tar
        rm -rf "$part"
        # The certificates of this machine, so that pip inside the build trusts what pip trusts here.
        local certs=/etc/ssl/certs/ca-certificates.crt
        mmdebstrap --quiet --variant=minbase --include="$packages" \
            --customize-hook="upload $certs $certs" "$suite" "$part" >&2
        mv "$part" "$tar"
    fi
    if [ "$variant" = torch ]; then with_torch "$tar"; else docker_ import "$tar" "$base" >/dev/null; fi
}

# pip of this machine knows (by its own configuration) where a CPU build of torch is to be had.
with_torch() {
    say "fetching $torch_pin"
    local site=$dir/base/torch target=usr/local/lib/python3.11/dist-packages
    rm -rf "$site"
    "${PYTHON:-python3}" -m pip install -q --no-cache-dir --target "$site" --python-version 3.11 \
        --only-binary=:all: --root-user-action=ignore "$torch_pin" numpy >&2
    cp "$1" "$dir/base/torch.tar"
    (cd "$site" && find . -mindepth 1 -maxdepth 1 -printf '%P\0' \
        | tar -rf "$dir/base/torch.tar" --owner=0 --group=0 --transform "s,^,./$target/," --null -T -)
    docker_ import "$dir/base/torch.tar" "$base" >/dev/null
    rm -rf "$site" "$dir/base/torch.tar"
}

image() {
    mkdir -p "$dir"
    # Two that build at once (a check in the background, a test in front) would undo each other's base.
    exec 9>"$dir/image.lock"
    flock 9
    alive && answers || up >/dev/null
    local source=$root/images/pytorch-cuda key tag torch=""
    make_base
    key=$( { printf %s "$base"; cd "$source" && find . -type f ! -name '*.pyc' | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-12)
    tag=gpulab-test/pytorch-cuda:$variant-$key
    if ! docker_ image inspect "$tag" >/dev/null 2>&1; then
        say "building $tag"
        [ "$variant" = torch ] && torch=${torch_pin#torch==}
        # No CPU build of torchvision is to be had from the package index, so the tests' image goes without.
        docker_ build -q --network host -t "$tag" --build-arg "BASE=$base" --build-arg "TORCH=$torch" \
            --build-arg CUDA= --build-arg PYTHON=3.11 --build-arg TORCHVISION=no "$source" >&2
    fi
    echo "$tag"
}

case $verb in
    up) up ;;
    down) down ;;
    image) image ;;
    *) say "usage: $0 up|down|image [DIR] [torch|plain]"; exit 2 ;;
esac
