#!/bin/bash
# GPU hosts that are not there: each a network namespace with a container engine of its own, for faults that an engine must
# suffer (killed, hanging, cut off). Two engines in one namespace would undo each other's rules.
#
#   hosts.sh up   DIR N    make host N (1..9) with its data in DIR/hN; prints its namespace and the engine's address
#   hosts.sh engine DIR N  start host N's engine again (after it was killed)
#   hosts.sh cut  N        take the host's network cable out
#   hosts.sh heal N        and put it back
#   hosts.sh down DIR N    end its engine and remove the namespace
#
# The engine runs with --live-restore on a containerd of its own, so that it can be killed while containers live on.
# All hosts hang on one switch, in a namespace of its own; this machine is 198.18.77.1 there, host N is 198.18.77.1N.
set -euo pipefail

verb=${1:-}
say() { printf '%s\n' "$*" >&2; }
case $verb in
    up | engine | down) dir=$2 n=$3 ;;
    cut | heal) dir='' n=$2 ;;
    *) sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
# One set of hosts a run: the process group of whoever asked names it.
mark=${GPULAB_HOSTS_MARK:-gpl}
switch=$mark-sw
ns=$mark-h$n
subnet=${GPULAB_HOSTS_SUBNET:-198.18.77}
home=$dir/h$n
socket=$home/docker.sock

cgroups() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] && return
    mountpoint -q /sys/fs/cgroup || mount -t tmpfs -o mode=0755 cgroup /sys/fs/cgroup
    awk '!/^#/ && $4 == 1 {print $1}' /proc/cgroups | while read -r name; do
        mkdir -p "/sys/fs/cgroup/$name"
        mountpoint -q "/sys/fs/cgroup/$name" || mount -n -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
    done
}

network() {
    if [ ! -e "/run/netns/$switch" ]; then
        ip netns add "$switch"
        ip -n "$switch" link add br0 type bridge
        ip -n "$switch" link set br0 up
        ip link add "${mark}0" type veth peer name p0 netns "$switch"
        ip -n "$switch" link set p0 master br0 up
        ip addr add "$subnet.1/24" dev "${mark}0"
        ip link set "${mark}0" up
    fi
    [ -e "/run/netns/$ns" ] && return
    ip netns add "$ns"
    ip -n "$switch" link add "p$n" type veth peer name eth0 netns "$ns"
    ip -n "$switch" link set "p$n" master br0 up
    ip -n "$ns" link set lo up
    ip -n "$ns" addr add "$subnet.1$n/24" dev eth0
    ip -n "$ns" link set eth0 up
    ip -n "$ns" route add default via "$subnet.1"
}

answers() { curl -sf -m 2 -o /dev/null --unix-socket "$socket" http://engine/_ping; }
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }

# containerd holds the host's namespaces: what an engine mounts must be seen by the containers that outlive it.
containerd_up() {
    alive "$home/containerd.pid" && return
    mkdir -p "$home/containerd"
    nsenter --net="/run/netns/$ns" setsid unshare --mount --uts sh -c "hostname $ns
        mount --bind '$home/etc' /etc/docker
        exec containerd --root '$home/containerd/root' --state '$home/containerd/state' --address '$home/containerd.sock' \
            --log-level warn" >"$home/containerd.log" 2>&1 </dev/null &
    echo $! >"$home/containerd.pid"
    for _ in $(seq 200); do [ -S "$home/containerd.sock" ] && return; sleep 0.05; done
    say "containerd did not come up:"; tail -20 "$home/containerd.log" >&2; exit 1
}

engine_up() {
    answers && return
    rm -f "$home/docker.pid" "$socket"
    nsenter --target "$(cat "$home/containerd.pid")" --mount --uts --net setsid env PATH="$home/bin:$PATH" dockerd \
        --containerd "$home/containerd.sock" --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/docker.pid" \
        -H "unix://$socket" --bip "172.31.$n.1/24" --cgroup-parent "/$ns" --live-restore --log-level warn --shutdown-timeout 5 \
        >>"$home/log" 2>&1 </dev/null &
    local child=$!
    for _ in $(seq 300); do
        if answers; then return; fi
        kill -0 "$child" 2>/dev/null || break
        sleep 0.05
    done
    say "the engine of host $n did not come up:"; tail -20 "$home/log" >&2; exit 1
}

up() {
    mkdir -p "$home/etc" "$home/bin" /etc/docker
    # The engine registers its NVIDIA driver when it finds this hook; that is all it needs to take GPUs.
    printf '#!/bin/sh\ncat >/dev/null\nexit 0\n' >"$home/bin/nvidia-container-runtime-hook"
    chmod 755 "$home/bin/nvidia-container-runtime-hook"
    cgroups
    network
    containerd_up
    engine_up
    echo "$ns unix://$socket"
}

end() {
    alive "$1" || return 0
    local pid
    pid=$(cat "$1")
    kill -CONT "$pid" 2>/dev/null || true
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.05; done
    kill -9 "$pid" 2>/dev/null || true
}

down() {
    if answers; then docker -H "unix://$socket" ps -aq | xargs -r docker -H "unix://$socket" rm -f >/dev/null; fi
    end "$home/docker.pid"
    end "$home/containerd.pid"
    ip netns del "$ns" 2>/dev/null || true
    ip -n "$switch" link del "p$n" 2>/dev/null || true
    # The last one puts out the light.
    if ! ip netns list | grep -q "^$mark-h"; then
        ip link del "${mark}0" 2>/dev/null || true
        ip netns del "$switch" 2>/dev/null || true
    fi
}

case $verb in
    up) up ;;
    engine) engine_up ;;
    cut) ip -n "$switch" link set "p$n" down ;;
    heal) ip -n "$switch" link set "p$n" up ;;
    down) down ;;
esac
