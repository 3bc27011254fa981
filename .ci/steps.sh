# What .ci/run and .ci/long share: steps and how they are counted, and environments that are made once and kept in a cache outside the
# tree. A script that sources this ends with the line "N passed, N failed", and with exit code 1 if anything failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export CI=true NO_COLOR=1 npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false
exec </dev/null

cache="${LQA_CI_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/lqa-ci}"
export LQA_RUNTIMES="$cache/runtimes"
work="$(mktemp -d)"
# Bytecode of Python, outside the tree: each process that imports torch and transformers would compile them for 8 s. That of temporary
# directories is removed at the end.
export PYTHONPYCACHEPREFIX="$cache/pycache"
unset PYTHONDONTWRITEBYTECODE
passed=0
failed=0

# For a script to say more when it ends.
at_end() { :; }
finish() {
  local code=$?
  trap - EXIT
  # A script that stops before its end has failed, whatever was counted.
  if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  [ -z "${beside_job:-}" ] || { pkill -P "$beside_job"; kill "$beside_job" 2>/dev/null; } || true
  [ -z "${venv_job:-}" ] || kill "$venv_job" 2>/dev/null || true
  [ -z "${servers_job:-}" ] || kill -- "-$servers_job" 2>/dev/null || true
  # What failed, again at the end, where a reader of a cut log still sees it.
  if [ -s "$work/failures.log" ]; then
    printf '\n=== what failed\n'
    cat "$work/failures.log"
  fi
  # Another run may write bytecode there at this moment.
  rm -rf "$work" "$PYTHONPYCACHEPREFIX$(dirname "$work")" || true
  at_end
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT

# Prints "passed failed" of a counts file: {"passed", "failed"}, or vitest's JSON report.
cat >"$work/counts.mjs" <<'JS'
import { readFileSync } from "node:fs";

const [file, code] = process.argv.slice(2);
const report = JSON.parse(readFileSync(file, "utf8"));
const passed = report.numPassedTests ?? report.passed;
let failed = report.numFailedTests ?? report.failed;
if (!Number.isInteger(passed) || !Number.isInteger(failed)) throw new Error(`no counts in ${file}`);
// A test file that does not load fails without a failed test.
failed += (report.testResults ?? []).filter((r) => r.status === "failed" && r.assertionResults.length === 0).length;
if (failed === 0 && Number(code) !== 0) failed = 1;
for (const { name, assertionResults } of report.testResults ?? []) {
  for (const { status, fullName } of assertionResults) {
    if (status === "pending" || status === "skipped" || status === "todo") {
      console.error(`skipped: ${fullName} (${name}; the reason stands in its output)`);
    }
  }
}
console.log(`${passed} ${failed}`);
JS

title() { printf '\n=== %s\n' "$1"; }
skipped() { echo "skipped: $1: $2"; }

# Runs a command; keeps what it prints, without colours, beside showing it.
step_log="$work/step.log"
kept() { "$@" 2>&1 | sed -u 's/\x1b\[[0-9;]*m//g' | tee "$step_log"; }

# failure NAME: the lines of the kept output that tell of a failure, or its last ones.
failure() {
  {
    echo "--- $1"
    grep -E -A 12 'FAIL|AssertionError|[Ee]rror:|^not ok|Traceback|finding' "$step_log" | cut -c -300 | head -n 60 || true
    echo "..."
    tail -n 15 "$step_log" | cut -c -300
  } >>"$work/failures.log"
}

# step NAME COMMAND...: one check.
step() {
  local name="$1" begin=$SECONDS
  shift
  title "$name"
  if kept "$@"; then
    passed=$((passed + 1))
    echo "--- $name: passed ($((SECONDS - begin)) s)"
  else
    failed=$((failed + 1))
    failure "$name"
    echo "--- $name: FAILED ($((SECONDS - begin)) s)"
    return 1
  fi
}

# counted NAME COMMAND...: a step whose command writes {"passed", "failed"} to the file $counts. Without the file, or with a bad
# exit code and no failure counted, the step itself is one failure. In the words of the command, COUNTS stands for the file.
counted() {
  local name="$1" begin=$SECONDS code=0 numbers file
  file="$(mktemp -p "$work" --suffix .json)"
  rm "$file"
  shift
  title "$name"
  kept "${@//COUNTS/$file}" || code=$?
  if numbers="$(node "$work/counts.mjs" "$file" "$code")"; then
    # shellcheck disable=SC2086 # two numbers
    set -- $numbers
    passed=$((passed + $1))
    failed=$((failed + $2))
    [ "$2" -eq 0 ] || failure "$name"
    echo "--- $name: $1 passed, $2 failed ($((SECONDS - begin)) s)"
  else
    failed=$((failed + 1))
    failure "$name"
    echo "--- $name: FAILED, no counts (code $code)"
  fi
}

# beside FUNCTION: steps on the other core, while those that follow run; `beside_ends` waits for them and shows what they printed.
beside() {
  (
    trap - EXIT
    passed=0 failed=0 step_log="$work/beside-step.log"
    "$@"
    echo "passed=$((passed)) failed=$((failed))" >"$work/beside.counts"
  ) >"$work/beside.log" 2>&1 &
  beside_job=$!
}
beside_ends() {
  [ -n "${beside_job:-}" ] || return 0
  local before=("$passed" "$failed")
  wait "$beside_job" || true
  beside_job=""
  cat "$work/beside.log"
  passed=0 failed=1
  if [ -f "$work/beside.counts" ]; then
    . "$work/beside.counts"
    rm "$work/beside.counts"
  else
    echo "FAILED: the steps beside stopped before their end" | tee -a "$work/failures.log"
  fi
  passed=$((before[0] + passed)) failed=$((before[1] + failed))
}

tree_state() { git status --porcelain --untracked-files=all && git diff HEAD | sha256sum; }
tree="$(tree_state 2>/dev/null || true)"
# Nothing that ran may leave a file in the tree that git does not ignore, or change one.
tree_is_as_it_was() {
  if [ -n "$tree" ]; then
    step "the tree is as it was" diff <(echo "$tree") <(tree_state) || true
  else
    skipped "the tree is as it was" "no git, or no repository"
  fi
}

# Real PEFT in a virtual environment outside the tree; kept for the next run if its pins are the same. It is made meanwhile.
venv=""
python_begins() {
  local requirements=test/interop/requirements.txt programs=test/interop/programs/requirements.txt
  local alone=test/interop/programs/requirements-alone.txt
  if ! command -v python3 >/dev/null; then
    skipped "checks with real PEFT" "python3 is absent"
    return
  fi
  venv="$cache/venv-$(cat "$requirements" "$programs" "$alone" <(python3 --version) | sha256sum | cut -c1-16)"
  [ ! -f "$venv/complete" ] || return 0
  (
    rm -rf "$venv"
    mkdir -p "$cache"
    python3 -m venv "$venv"
    install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"; }
    install -r "$requirements"
    # Without these the checks that need them say that they were skipped.
    if install -r "$programs" && install --no-deps -r "$alone"; then touch "$venv/complete"; fi
  ) >"$work/venv.log" 2>&1 &
  venv_job=$!
}
# Sets `python` to the arguments `--python PROGRAM`, or to nothing.
python=()
python_is_there() {
  [ -n "$venv" ] || return 0
  title "Python environment"
  if [ -z "${venv_job:-}" ] || wait "$venv_job"; then
    venv_job=""
    passed=$((passed + 1))
    python=(--python "$venv/bin/python")
    # flatc comes with it.
    export FLATC="$venv/bin/flatc"
    "$venv/bin/python" -c 'import peft, safetensors, torch; print("torch", torch.__version__, "peft", peft.__version__, "safetensors", safetensors.__version__)'
  else
    venv_job=""
    failed=$((failed + 1))
    echo "FAILED: real PEFT could not be installed"
    tail -n 20 "$work/venv.log"
  fi
}

# An S3 server and a client of OCI registries from the Go module proxy, and what checks the files in deploy/. Built once, at low
# priority.
servers_begin() {
  local programs="github.com/versity/versitygw/cmd/versitygw@v1.8.0 oras.land/oras/cmd/oras@v1.3.0"
  servers="$cache/servers-$(cat deploy/requirements.txt test/interop/requirements-ray.txt <(echo "$programs") | sha256sum | cut -c1-16)"
  export SERVERS="$servers" PROGRAMS_GO="$programs"
  [ ! -x "$servers/versitygw" ] || [ ! -x "$servers/oras" ] || [ ! -f "$servers/python/complete" ] || return 0
  # A session of its own, whose priority is its own.
  setsid bash -c '
    echo 19 >/proc/self/autogroup || true
    mkdir -p "$SERVERS"
    for program in $PROGRAMS_GO; do
      name="$(basename "${program%@*}")"
      if command -v go >/dev/null && [ ! -x "$SERVERS/$name" ]; then
        GOFLAGS=-mod=mod GOTOOLCHAIN=local GOBIN="$SERVERS/bin" go install "$program" && mv "$SERVERS/bin/$name" "$SERVERS/"
      fi
    done
    if command -v python3 >/dev/null && [ ! -f "$SERVERS/python/complete" ]; then
      rm -rf "$SERVERS/python"
      python3 -m venv "$SERVERS/python" &&
        "$SERVERS/python/bin/python" -m pip install --quiet --disable-pip-version-check -r deploy/requirements.txt -r test/interop/requirements-ray.txt &&
        touch "$SERVERS/python/complete"
    fi' >"$work/servers.log" 2>&1 &
  servers_job=$!
}
# debian NAME PATH PACKAGE...: sets `found` to the program NAME of this machine, or to the one at PATH of Debian's packages, which are
# unpacked into the cache and not installed. $work/NAME.log says why there is none.
debian() {
  local name="$1" own="$cache/$1"
  found="$(command -v "$name" || true)"
  [ -z "$found" ] || return 0
  found="$own/$2"
  shift 2
  if [ ! -x "$found" ] && command -v apt-get >/dev/null && command -v dpkg >/dev/null; then
    mkdir -p "$own" "$work/$name"
    (cd "$work/$name" && { apt-get -q download "$@" || { apt-get -q update && apt-get -q download "$@"; }; } &&
      for package in *.deb; do dpkg -x "$package" "$own"; done) >"$work/$name.log" 2>&1 || true
  fi
}
absent() { echo "not available: $(tail -n 1 "$work/$1.log" 2>/dev/null || echo "no ${2:-apt-get}")"; }
servers_are_there() {
  title "servers for tests: ranges, registries, object storage"
  debian nginx usr/sbin/nginx nginx
  if "$found" -v 2>&1; then export LQA_NGINX="$found"; else skipped "ranges from nginx" "$(absent nginx)"; fi
  debian docker-registry usr/bin/docker-registry docker-registry
  if "$found" --version 2>&1; then export LQA_REGISTRY="$found"; else skipped "a real OCI registry" "$(absent docker-registry)"; fi
  [ -z "${servers_job:-}" ] || wait "$servers_job" || true
  servers_job=""
  if "$servers/versitygw" --version 2>&1; then export LQA_S3="$servers/versitygw"; else skipped "object storage" "$(absent servers Go)"; fi
  if "$servers/oras" version 2>&1 | sed -n 1p; then export LQA_ORAS="$servers/oras"; else skipped "ORAS" "$(absent servers Go)"; fi
}

# Other runtimes, WebGPU, and libzstd for the C reader, from the npm registry and from Debian; each that cannot be had is a line
# "skipped: NAME: REASON".
nodes=() browser="" deno="" webgpu="" mesa=""
runtimes_are_there() {
  title "other runtimes"
  local name program
  while read -r name program; do
    echo "$name $program"
    case "$name" in
      node*:) nodes+=(--node "${name%:}=$program") ;;
      chromium:) browser="$program" ;;
      deno:) deno="$program" ;;
      webgpu:) webgpu="$program" ;;
      mesa:) mesa="$program" ;;
    esac
  done < <(node conformance/runtimes.mjs)
}

# llama.cpp and ONNX Runtime, from the npm registry: sets `programs` to their folder, or to nothing.
programs_are_there() {
  title "llama.cpp and ONNX Runtime"
  local pins="node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 onnxruntime-node@1.30.0 onnxruntime-web@1.30.0"
  programs="$cache/programs"
  if [ "$(cat "$programs/pins" 2>/dev/null)" != "$pins" ]; then
    mkdir -p "$programs"
    # Without optional packages: they are llama.cpp for graphics cards, half a gigabyte.
    # shellcheck disable=SC2086 # a list of words
    npm install --no-save --ignore-scripts --no-progress --omit=optional --prefix "$programs" $pins \
      >"$work/programs.log" 2>&1 && echo "$pins" >"$programs/pins" || true
  fi
  if [ "$(cat "$programs/pins" 2>/dev/null)" != "$pins" ]; then
    skipped "llama.cpp, ONNX Runtime" "$(absent programs npm)"
    programs=""
  fi
}

# The Python package as it is released, in bare environments and with PEFT: $package is where it is then. No file may make the oldest
# PEFT that it allows run code, nor the newest, which is in the environment (test_hostile.py).
package="$work/python-package/site"
oldest_peft="$cache/peft-$(sed -n 's/^peft = \["peft>=\([0-9.]*\)".*/\1.0/p' integrations/python/pyproject.toml)"
install_oldest_peft() {
  [ -d "$oldest_peft" ] && return
  rm -rf "$oldest_peft.part"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    --target "$oldest_peft.part" "peft==${oldest_peft##*-}" && mv "$oldest_peft.part" "$oldest_peft"
}

# Readers in other languages, as far as this machine has compilers. With --sanitize, the C reader with sanitizers.
readers=conformance/readers
c_reader() {
  if ! command -v "${CC:-cc}" >/dev/null; then
    skipped "C reader" "no C compiler"
    return
  fi
  step "C reader builds" $readers/c/build "$@" || true
}
rust=""
rust_reader() {
  local oldest version
  oldest="$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' $readers/rust/Cargo.toml)"
  version="$(cargo --version 2>/dev/null | cut -d ' ' -f 2 || true)"
  if [ -z "$version" ]; then
    skipped "Rust reader" "cargo is absent"
  elif [ "$(printf '%s\n' "$oldest" "$version" | sort -V | head -n 1)" != "$oldest" ]; then
    skipped "Rust reader" "cargo $version is older than $oldest"
  else
    export CARGO_TARGET_DIR="$cache/rust"
    if step "Rust reader builds" $readers/rust/build; then rust="$CARGO_TARGET_DIR/release/lqa-read"; fi
  fi
}
# The programs of readers that were built, as compare.py takes them.
compared_readers() {
  others=()
  for program in "$readers/c/out/${1:-lqa-read}" "$rust"; do
    [ ! -x "$program" ] || others+=(--reader "$program --lines")
  done
}
