#!/bin/sh
# Installs a released `sandbox` for this machine: one static program, its manual pages and its shell completions. Needs
# no root. Refuses what does not have the checksum of its release, and leaves nothing behind then. Safe to run again.
#
#   sh install.sh [--to FOLDER] [--version VERSION] [--bare]
#
#   --to FOLDER         where the program goes; $HOME/.local/bin without it
#   --version VERSION   such as 0.1.0; the newest release without it
#   --bare              the program alone, and no word on PATH
#   SANDBOX_RELEASES    another place that has the releases, as https://HOST/PATH
#
# All of it stands between braces: a shell runs nothing of a script whose download was cut.
{
set -eu

releases=${SANDBOX_RELEASES:-https://github.com/flyte-sandbox/sandbox/releases}
source_code="from its source, with Rust: cargo install --locked --git https://github.com/flyte-sandbox/sandbox"

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$1" >&2
  shift
  for line; do printf '  %s\n' "$line" >&2; done
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The target triple of the archive for this machine.
this_target() {
  system=$(uname -s)
  processor=$(uname -m)
  case $system in
    Linux) suffix=unknown-linux-musl ;;
    Darwin)
      suffix=apple-darwin
      # A shell under Rosetta calls Apple silicon by the other name.
      if [ "$(sysctl -n sysctl.proc_translated 2>/dev/null || true)" = 1 ]; then processor=arm64; fi
      ;;
    MINGW* | MSYS* | CYGWIN* | Windows*)
      die "sandbox is not made for Windows itself ($system)" "it runs in WSL 2: wsl --install, then this script in there"
      ;;
    *) die "sandbox is not made for $system" "it is made for macOS, for Linux, and for Windows in WSL 2" ;;
  esac
  case $processor in
    x86_64 | amd64) processor=x86_64 ;;
    arm64 | aarch64) processor=aarch64 ;;
    *)
      die "no release is made for this processor, $processor" "those for x86_64 and arm64 are" \
        "it may be built for yours $source_code"
      ;;
  esac
  target=$processor-$suffix
}

# Plain HTTP proves nothing about who answers, and the checksum comes the same way.
check_releases() {
  case $releases in
    https://?*) ;;
    http://127.0.0.1:* | http://localhost:*) ;;
    *) die "SANDBOX_RELEASES is $releases" "it has to begin with https://" ;;
  esac
  releases=${releases%/}
}

# fetch URL FILE
fetch() {
  case $1 in https:*) secure=yes ;; *) secure= ;; esac
  if have curl; then
    curl ${secure:+--proto "=https" --tlsv1.2} --fail --silent --show-error --location --connect-timeout 30 \
      --speed-limit 1 --speed-time 60 --output "$2" "$1"
  elif have wget; then
    # BusyBox' knows none of these, and with its -T some crash.
    if wget --help 2>&1 | grep -q -e --secure-protocol; then
      wget ${secure:+--https-only --secure-protocol=TLSv1_2} --no-verbose --tries=2 --timeout=60 --output-document="$2" "$1"
    else
      wget -q -O "$2" "$1"
    fi
  else
    die "neither curl nor wget is here" "install one of them, and run this again"
  fi
}

# From standard input: the name of a file would change the line where it has a backslash in it.
sha256() {
  if have sha256sum; then sha256sum; elif have shasum; then shasum -a 256; else
    die "neither sha256sum nor shasum is here, so nothing can be verified" "install one of them, and run this again"
  fi
}

# Sets version, archive and expected by the checksums of the release.
find_release() {
  if [ -n "$version" ]; then from=$releases/download/v$version; else from=$releases/latest/download; fi
  fetch "$from/SHA256SUMS" "$scratch/SHA256SUMS" ||
    die "there is no release ${version:+$version }at $releases, or it cannot be reached" "what was asked for: $from/SHA256SUMS" \
      "it may be built $source_code"
  line=$(awk -v version="$version" -v tail="-$target.tar.gz" '
    { name = $2; sub(/^\*/, "", name); end = length(name) - length(tail) }
    NF == 2 && end > 8 && substr(name, 1, 8) == "sandbox-" && substr(name, end + 1) == tail {
      found = substr(name, 9, end - 8)
      if (version == "" || version == found) { print $1, found; exit }
    }' "$scratch/SHA256SUMS")
  [ -n "$line" ] ||
    die "release ${version:-at $releases} has nothing for $target" "it may be built $source_code"
  expected=${line%% *}
  version=${line#* }
  case $version in *[!0-9A-Za-z.+-]*) die "$from/SHA256SUMS names a version that is none" ;; esac
  archive=sandbox-$version-$target
}

# Shells and `man` look below the folder that `bin` is in. In another one a new folder `share` would be a surprise.
put_the_rest() {
  share=${to%/bin}/share
  if [ "$to" = "${to%/bin}" ] || { [ -n "$asked" ] && [ ! -d "$share" ]; }; then
    say "not installed: manual pages and completions, since nothing would look for them beside $to"
    say "  \`sandbox completions bash\` prints those for bash; zsh and fish are known, too"
    return
  fi
  bash=$share/bash-completion/completions zsh=$share/zsh/site-functions fish=$share/fish/vendor_completions.d
  if mkdir -p "$share/man/man1" "$bash" "$zsh" "$fish" 2>/dev/null &&
    cp "$unpacked"/man/*.1 "$share/man/man1/" &&
    cp "$unpacked/completions/sandbox.bash" "$bash/sandbox" &&
    cp "$unpacked/completions/sandbox.zsh" "$zsh/_sandbox" &&
    cp "$unpacked/completions/sandbox.fish" "$fish/sandbox.fish"; then
    say "installed: manual pages and completions, below $share; zsh wants $zsh in its fpath"
  else
    say "not installed: manual pages and completions, since $share cannot be written"
  fi
}

say_what_to_put_on_path() {
  case :${PATH:-}: in
    *":$to:"*)
      first=$(command -v sandbox || true)
      if [ "$first" != "$to/sandbox" ]; then say "but \`sandbox\` is $first here, which comes first on PATH"; fi
      return
      ;;
  esac
  case ${SHELL:-} in
    */fish) say "put it on PATH: fish_add_path '$to'" ;;
    */zsh) say "put it on PATH: echo 'export PATH=\"$to:\$PATH\"' >>~/.zshrc, and open a new terminal" ;;
    *) say "put it on PATH: echo 'export PATH=\"$to:\$PATH\"' >>~/.profile, and log in again" ;;
  esac
}

clean() {
  rm -rf "$scratch"
  [ -z "$new" ] || rm -f "$new"
  # Only what is empty, and was made here.
  while [ -n "$made" ] && [ "$made" != "$above" ] && rmdir "$made" 2>/dev/null; do made=$(dirname "$made"); done
}

# A folder that cannot be written is told before anything is fetched, and made only when there is something to put in.
check_folder() {
  case $to in /*) ;; *) to=$PWD/$to ;; esac
  [ ! -d "$to/sandbox" ] || die "$to/sandbox is a folder" "choose another with --to FOLDER"
  above=$to
  while [ ! -e "$above" ]; do above=$(dirname "$above"); done
  { [ -d "$above" ] && [ -w "$above" ]; } ||
    die "$to cannot be made or written" "choose another with --to FOLDER; none needs root"
}

install() {
  to='' version='' bare='' scratch='' new='' made=''
  while [ $# -gt 0 ]; do
    case $1 in
      --to | --version)
        [ -n "${2:-}" ] || die "$1 needs a value"
        if [ "$1" = --to ]; then to=$2; else version=${2#v}; fi
        shift 2
        ;;
      --bare) bare=yes && shift ;;
      *) die "unknown argument $1" "--to FOLDER, --version VERSION and --bare are known" ;;
    esac
  done
  case $version in *[!0-9A-Za-z.+-]*) die "$version is no version" "one is written as 0.1.0" ;; esac
  asked=$to
  [ -n "$asked" ] || [ -n "${HOME:-}" ] || die "HOME is not set" "say where to: --to FOLDER"
  to=${to:-$HOME/.local/bin}
  this_target
  check_releases
  for tool in awk tar gzip mktemp; do have "$tool" || die "$tool is not here" "install it, and run this again"; done
  check_folder

  scratch=$(mktemp -d "${TMPDIR:-/tmp}/sandbox-install.XXXXXX") || die "a temporary folder cannot be made"
  trap clean EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  # Whoever read what is said here may be gone first.
  trap 'exit 141' PIPE
  trap 'exit 143' TERM

  find_release
  url=$releases/download/v$version/$archive.tar.gz
  say "sandbox $version for $target, from $url"
  fetch "$url" "$scratch/archive" || die "$url cannot be fetched; nothing was installed"
  actual=$(sha256 <"$scratch/archive")
  actual=${actual%% *}
  [ "$actual" = "$expected" ] ||
    die "the checksum is wrong; nothing was installed" "expected $expected" "got      $actual" "of       $url"
  say "its checksum is right: $actual"
  tar -C "$scratch" -xzf "$scratch/archive" || die "$url cannot be unpacked; nothing was installed"
  unpacked=$scratch/$archive

  [ -d "$to" ] || made=$to
  mkdir -p "$to" || die "$to cannot be made" "choose another with --to FOLDER"
  to=$(cd "$to" && pwd)
  # Beside its place, so that the move into it is one step, and so that it is tried where it will run.
  new=$to/.sandbox-new.$$
  { cp "$unpacked/sandbox" "$new" && chmod 755 "$new"; } || die "$to cannot be written"
  runs=$("$new" --version 2>&1) || die "it does not run on this machine; nothing was installed" "it said: $runs"
  before=
  if [ -e "$to/sandbox" ]; then before=$("$to/sandbox" --version 2>/dev/null || echo "what was there"); fi
  mv -f "$new" "$to/sandbox" || die "$to/sandbox cannot be written"
  new=
  say "installed: $to/sandbox${before:+, in place of $before}"
  [ -z "$bare" ] || return 0
  put_the_rest
  say_what_to_put_on_path
}

install "$@"
}
