# Shared by the scripts: what they need, and how to get it. Each says what it installs before it does.

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

NEXTEST_VERSION=0.9.143
DENY_VERSION=0.20.2
FUZZ_VERSION=0.13.2
TOOLS=${SANDBOX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/flyte-sandbox/tools}
export PATH="$TOOLS/bin:$HOME/.cargo/bin:$PATH"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

need_rust() {
  have cargo && return
  have curl || die "neither cargo nor curl is here; install Rust from https://rustup.rs"
  note "installing: the Rust toolchain, by rustup, into $HOME/.cargo"
  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c clippy,rustfmt
}

need_cc() {
  have cc && return
  have apt-get || die "no C compiler is here; install one"
  note "installing: gcc, from Debian"
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq gcc libc6-dev >/dev/null
}

need_cxx() {
  have c++ && return
  have apt-get || die "no C++ compiler is here; install one"
  note "installing: g++, from Debian"
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq g++ >/dev/null
}

# need_tool CRATE VERSION: a cargo subcommand, built without optimisation, which is faster in all for one run of it.
need_tool() {
  "$1" "${1#cargo-}" --version 2>/dev/null | grep -qF "$2" && return
  note "installing: $1 $2, from crates.io, into $TOOLS"
  CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
    CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet --locked --root "$TOOLS" --version "$2" "$1" || die "cannot install $1"
}

# A Docker Engine that answers: the one that is here, or Debian's.
need_docker() {
  docker info >/dev/null 2>&1 && return
  if [ -x "$ROOT/../shared/env/docker-engine" ]; then
    "$ROOT/../shared/env/docker-engine"
    return
  fi
  have apt-get || die "Docker does not answer; start it, or install Docker Engine"
  if ! have dockerd; then
    note "installing: docker.io and iptables, from Debian"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io iptables >/dev/null
  fi
  note "starting: dockerd"
  as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &'
  local tries=60
  until docker info >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "dockerd does not answer after 30 s; see /var/log/dockerd.log"
    sleep 0.5
  done
}

# The images that the tests made from themselves, of every build.
remove_standins() {
  local images
  images=$(docker image ls --quiet --filter 'reference=sandbox-standin/*:e2e-*' | sort -u)
  [ -z "$images" ] || docker image rm --force $images >/dev/null 2>&1 || true
  rm -f "${TMPDIR:-/tmp}"/sandbox-standin-e2e-*.lock
}
