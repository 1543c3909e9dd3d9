# Sourced by the scripts beside it: finds a container engine, or installs and starts Debian's.
# Afterwards `engine ARGS...` and `compose ARGS...` work.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SHARDLAKE_CACHE:-$HOME/.cache/shardlake}
sudo=()
[[ $(id -u) -eq 0 ]] || sudo=(sudo)

# The engine may be ours to use, or root's only.
if docker info >/dev/null 2>&1; then as=(); else as=("${sudo[@]}"); fi
engine() { "${as[@]}" env DOCKER_BUILDKIT=0 docker "$@"; }

compose() {
    if engine compose version >/dev/null 2>&1; then
        engine compose "$@"
    else
        "${as[@]}" docker-compose "$@"
    fi
}

start_engine() {
    engine info >/dev/null 2>&1 && return
    command -v dockerd >/dev/null || "$here/../install-packages" docker.io
    local log=$cache/dockerd.log
    mkdir -p "$cache"
    if [[ -d /run/systemd/system ]]; then
        "${sudo[@]}" systemctl start docker
    else
        echo "==> starting dockerd (its log: $log)"
        "${sudo[@]}" setsid dockerd >"$log" 2>&1 </dev/null &
    fi
    for _ in $(seq 60); do
        engine info >/dev/null 2>&1 && return
        sleep 0.5
    done
    [[ -f $log ]] && tail -n 3 "$log" >&2
    echo "no container engine runs on this machine; \`make cluster-ns\` starts the same cluster without one" >&2
    return 2
}

need_compose() {
    compose version >/dev/null 2>&1 || "$here/../install-packages" docker-compose
}
