# Shared by the scripts: what they need, and how to get it. Each says what it installs before it does.
# Read by `sh` too (`scripts/up`), and by the bash 3.2 of macOS: it has only what these know.
# shellcheck shell=sh disable=SC3043 # every sh that is met here has `local`

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
note() { printf '   %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

NEXTEST_VERSION=0.9.143
DENY_VERSION=0.20.2
FUZZ_VERSION=0.13.2
SBOM_VERSION=0.10.0
DEB_VERSION=3.8.0
ZIG_VERSION=0.17.1
ZIGBUILD_VERSION=0.24.1
AXE_VERSION=4.14.1
AXE_SHA256=e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745
TOOLS=${SANDBOX_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/flyte-sandbox/tools}
export PATH="$TOOLS/bin:$HOME/.cargo/bin:$PATH"

on_macos() { [ "$(uname -s)" = Darwin ]; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }
# Of standard input.
sha256() { if have sha256sum; then sha256sum; else shasum -a 256; fi | cut -c 1-64; }

# within SECONDS COMMAND...: macOS has no `timeout`; there it takes what it takes.
within() { if have timeout; then timeout "$@"; else shift && "$@"; fi; }

# aside COMMAND...: in the place of this shell, on what others leave of the processors. Linux shares those among sessions
# before it looks at nice values.
aside() {
  have setsid || exec nice -n 19 "$@"
  exec setsid nice -n 19 sh -c '(echo 19 >/proc/self/autogroup) 2>/dev/null; exec "$@"' aside "$@" # Linux
}

# What Rust calls this machine.
rust_host() {
  local processor
  processor=$(uname -m)
  if on_macos; then
    # A shell under Rosetta calls Apple silicon by the other name.
    [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" != 1 ] || processor=arm64
    [ "$processor" != arm64 ] || processor=aarch64
    echo "$processor-apple-darwin"
  elif ls /lib/ld-musl-* >/dev/null 2>&1 && ! ls /lib*/ld-linux* >/dev/null 2>&1; then
    echo "$processor-unknown-linux-musl"
  else
    echo "$processor-unknown-linux-gnu"
  fi
}

need_rust() {
  have cargo && return
  have curl || need_package curl curl ca-certificates
  note "installing: the Rust toolchain, by rustup, into $HOME/.cargo"
  local from init
  from=https://static.rust-lang.org/rustup/dist/$(rust_host)
  init=$(mktemp -d)
  (cd "$init" && curl --proto '=https' --tlsv1.2 -sSf -O "$from/rustup-init" -O "$from/rustup-init.sha256") ||
    die "cannot fetch rustup from $from; install Rust from https://rustup.rs"
  [ "$(cut -c 1-64 "$init/rustup-init.sha256")" = "$(sha256 <"$init/rustup-init")" ] ||
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
  as_root apt-get update -qq && # Linux
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@" >/dev/null || # Linux
    die "cannot install $*"
}

# On macOS `cc` is there without a compiler behind it, and opens a window that offers one.
need_cc() {
  if on_macos; then
    xcode-select -p >/dev/null 2>&1 || die "no C compiler is here; \`xcode-select --install\` brings one"
  else
    have cc || need_package "C compiler" gcc libc6-dev
  fi
}

# need_target TARGET: Rust's standard library for it; fails where it cannot be had.
need_target() {
  [ ! -d "$(rustc --print target-libdir --target "$1" 2>/dev/null)" ] || return 0
  have rustup || return 1
  note "installing: Rust's standard library for $1, by rustup"
  rustup --quiet target add "$1"
}

# A C compiler for static programs of this machine's processor; fails where there is none.
need_musl() {
  have musl-gcc && return
  have apt-get || return 1
  note "installing: musl-tools, from Debian"
  as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq musl-tools >/dev/null # Linux
}

# A browser for what the console and the pages of runs show; fails where there is none.
need_browser() {
  have chromium || have chromium-browser || have google-chrome && return
  have apt-get || return 1
  note "installing: chromium, from Debian"
  as_root apt-get update -qq && # Linux
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null # Linux
}

# axe-core, which a browser judges pages by; fails where it cannot be had. Sets SANDBOX_AXE.
need_axe() {
  local folder from new
  folder=$TOOLS/axe-core-$AXE_VERSION
  if ! [ -f "$folder/axe.min.js" ]; then
    from=https://registry.npmjs.org/axe-core/-/axe-core-$AXE_VERSION.tgz
    note "installing: axe-core $AXE_VERSION, from npm, into $folder"
    mkdir -p "$TOOLS" || return 1
    # The folder is whole or not there.
    new=$(mktemp -d "$TOOLS/axe-core.XXXXXX") || return 1
    if ! curl --proto '=https' --tlsv1.2 -sSfL --max-time 120 -o "$new/axe.tgz" "$from" ||
      ! [ "$(sha256 <"$new/axe.tgz")" = "$AXE_SHA256" ] ||
      ! tar -xzf "$new/axe.tgz" -C "$new" package/axe.min.js package/LICENSE ||
      ! mv "$new/package" "$folder"; then
      rm -rf "$new"
      return 1
    fi
    rm -rf "$new"
  fi
  export SANDBOX_AXE="$folder/axe.min.js"
}

need_python() { have python3 || need_package Python python3; }

# A linker and C compiler for every target, and cargo's way to use it; fails where they cannot be had. Sets ZIG.
need_zig() {
  ZIG=$TOOLS/zig-$ZIG_VERSION-$ZIGBUILD_VERSION
  if ! [ -x "$ZIG/bin/cargo-zigbuild" ] || ! [ -x "$ZIG/ziglang/zig" ]; then
    need_python
    python3 -m pip --version >/dev/null 2>&1 || need_package "pip for Python" python3-pip
    note "installing: ziglang $ZIG_VERSION and cargo-zigbuild $ZIGBUILD_VERSION, from PyPI, into $ZIG"
    rm -rf "$ZIG"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --no-deps --only-binary :all: --target "$ZIG" \
      "ziglang==$ZIG_VERSION" "cargo-zigbuild==$ZIGBUILD_VERSION" || return 1
  fi
  export CARGO_ZIGBUILD_ZIG_PATH="$ZIG/ziglang/zig" PATH="$ZIG/bin:$PATH"
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

# A Docker Engine that answers: the one that is here, or Debian's. On a Mac it is one in a virtual machine, and whose is
# for its owner to choose.
need_docker() {
  docker info >/dev/null 2>&1 && return
  ! on_macos || die "no Docker answers; start the one that is here, or install one"
  if [ -x "$ROOT/../shared/env/docker-engine" ]; then
    "$ROOT/../shared/env/docker-engine"
    return
  fi
  have dockerd || need_package "Docker that answers" docker.io iptables
  note "starting: dockerd"
  as_root sh -c 'setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &' || # Linux
    die "cannot start dockerd"
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
