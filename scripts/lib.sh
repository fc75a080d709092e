# Shared by the scripts: what they need, and how to get it. Each says what it installs before it does.

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

NEXTEST_VERSION=0.9.143
DENY_VERSION=0.20.2
FUZZ_VERSION=0.13.2
SBOM_VERSION=0.10.0
TOOLS=${SANDBOX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/flyte-sandbox/tools}
export PATH="$TOOLS/bin:$HOME/.cargo/bin:$PATH"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

need_rust() {
  have cargo && return
  have curl || need_package curl curl ca-certificates
  note "installing: the Rust toolchain, by rustup, into $HOME/.cargo"
  local from init
  from=https://static.rust-lang.org/rustup/dist/$(uname -m)-unknown-linux-gnu
  init=$(mktemp -d)
  curl --proto '=https' --tlsv1.2 -sSf --output-dir "$init" -O "$from/rustup-init" -O "$from/rustup-init.sha256" ||
    die "cannot fetch rustup from $from; install Rust from https://rustup.rs"
  (cd "$init" && echo "$(cut -d' ' -f1 rustup-init.sha256)  rustup-init" | sha256sum --check --quiet) ||
    die "what came from $from is not what it should be"
  chmod +x "$init/rustup-init"
  "$init/rustup-init" -y --quiet --no-modify-path --profile minimal -c clippy,rustfmt
  rm -r "$init"
}

# need_package WHAT PACKAGE...: from Debian, where WHAT cannot be had otherwise.
need_package() {
  local what=$1
  shift
  have apt-get || die "no $what is here; install one"
  note "installing: $*, from Debian"
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null ||
    die "cannot install $*"
}

need_cc() { have cc || need_package "C compiler" gcc libc6-dev; }

# need_musl TARGET: Rust's standard library and a C compiler for static binaries; fails where they cannot be had.
need_musl() {
  if ! rustc --print target-libdir --target "$1" 2>/dev/null | xargs -r ls >/dev/null 2>&1; then
    have rustup || return 1
    note "installing: Rust's standard library for $1, by rustup"
    rustup --quiet target add "$1" || return 1
  fi
  have musl-gcc && return
  have apt-get || return 1
  note "installing: musl-tools, from Debian"
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq musl-tools >/dev/null
}

need_cxx() { have c++ || need_package "C++ compiler" g++; }

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
  have dockerd || need_package "Docker that answers" docker.io iptables
  note "starting: dockerd"
  as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &' || die "cannot start dockerd"
  local tries=60
  until docker info >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || die "dockerd does not answer after 30 s; see /var/log/dockerd.log"
    sleep 0.5
  done
}

# The images that the tests of this checkout made from themselves, of every build.
remove_standins() {
  local images
  images=$(docker image ls --quiet --filter "label=sandbox.flyte/checkout=$ROOT" | sort -u)
  [ -z "$images" ] || docker image rm --force $images >/dev/null 2>&1 || true
}
