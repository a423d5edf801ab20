# Sourced by demo, test, bench and .ci/run: finds a Python, makes .venv, installs what is missing.
# shellcheck shell=bash
#   prepare EXTRAS         leaves $PYTHON: a venv's interpreter that has robocache_ros[EXTRAS]
#   side_venv FOLDER REQUIREMENT...    makes a venv for something else
#   check_shared_memory    dies with a sentence when there is no room for three processes
set -euo pipefail
CALLER=$PWD
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

say() { printf 'robocache: %s\n' "$*" >&2; }
die() { say "$@"; exit 1; }

prepare() {
  local extras=$1
  if ros_is_sourced; then
    SYSTEM_PYTHON=$(command -v python3)
    VENV=$ROOT/.venv-${ROS_DISTRO:-ros}
    SITE=--system-site-packages
    # ROS brings rclpy, and the NumPy that its messages were compiled for: keep both.
    extras=$(printf '%s' ",$extras," | sed 's/,ros,/,/; s/^,*//; s/,*$//')
  else
    scrub
    find_python
    VENV=$ROOT/.venv
    SITE=
  fi
  mkdir -p "$VENV"
  exec 9>"$VENV/lock" && flock 9
  make_venv
  install_package "$extras"
  exec 9>&-
}

ros_is_sourced() {
  [[ -n ${AMENT_PREFIX_PATH:-} ]] && python3 -c 'import rclpy' 2>/dev/null
}

# What a ROS of another Python, or of another shell, left in the environment breaks the wheels.
scrub() {
  local name left=()
  for name in PYTHONPATH AMENT_PREFIX_PATH LD_LIBRARY_PATH RMW_IMPLEMENTATION ROS_DOMAIN_ID \
    ROS_DISTRO; do
    [[ -z ${!name:-} ]] || left+=("$name")
    unset "$name"
  done
  unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
  [[ ${#left[@]} -eq 0 ]] || say "no ROS 2 that python3 can import: ignoring ${left[*]}"
}

find_python() {
  [[ $(uname -sm) == 'Linux x86_64' ]] ||
    die "ROS 2 wheels exist for Linux on x86-64 only; on $(uname -sm) install ROS 2, source" \
      '/opt/ros/<distro>/setup.bash and run this again'
  local name version
  for name in "${PYTHON:-python3}" python3.12 python3.11 python3.13 python3.10; do
    version=$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    case $version in
      3.10 | 3.11 | 3.12 | 3.13) SYSTEM_PYTHON=$(command -v "$name") && return ;;
    esac
  done
  version=$(python3 --version 2>/dev/null) || version='no python3'
  die "needs Python 3.10 to 3.13, and found $version: install one (e.g. apt install python3.12" \
    'python3.12-venv) or name it: PYTHON=/path/to/python3.12'
}

make_venv() {
  PYTHON=$VENV/bin/python
  [[ ! -f $VENV/made ]] || ! "$PYTHON" -c '' 2>/dev/null || return 0
  "$SYSTEM_PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
    die "$SYSTEM_PYTHON has no ensurepip: apt install" \
      "python$("$SYSTEM_PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  say "making ${VENV##*/} with $("$SYSTEM_PYTHON" --version)"
  "$SYSTEM_PYTHON" -m venv ${SITE:+"$SITE"} "$VENV"
  touch "$VENV/COLCON_IGNORE" "$VENV/made"
}

# One stamp per set of extras, made of all that decides what has to be installed.
install_package() {
  local extras=$1 stamp=$VENV/installed-$1 key package=.
  key=$({ cat setup.py; echo "$ROOT $extras"; "$PYTHON" --version; } | sha256sum)
  [[ ! -f $stamp || $(<"$stamp") != "$key" ]] || return 0
  [[ -z $extras ]] || package=".[$extras]"
  say "installing robocache_ros${package#.} into ${VENV##*/} (the first time: a minute or so)"
  : >"$VENV/constraints"
  [[ -z $SITE ]] ||
    "$PYTHON" -c 'import numpy; print("numpy==" + numpy.__version__)' >"$VENV/constraints"
  pip_install -c "$VENV/constraints" -e "$package"
  printf '%s' "$key" >"$stamp"
}

pip_install() {
  "$PYTHON" -m pip install --disable-pip-version-check "$@" >"$VENV/pip.log" 2>&1 || {
    tail -n 15 "$VENV/pip.log" >&2
    die "pip install failed; all of it is in ${VENV##*/}/pip.log. Is the package index reachable?"
  }
}

# side_venv FOLDER REQUIREMENT...: a venv without ROS and without this package, made once.
side_venv() (
  VENV=$1
  PYTHON=$VENV/bin/python
  SITE=
  unset PYTHONPATH
  make_venv
  if [[ ! -f $VENV/installed || $(<"$VENV/installed") != "$*" ]]; then
    say "installing ${*:2} into ${VENV##*/}"
    pip_install --prefer-binary "${@:2}"
    printf '%s' "$*" >"$VENV/installed"
  fi
)

check_shared_memory() {
  local free_mb
  free_mb=$(df --output=avail -m /dev/shm 2>/dev/null | tail -n 1) || return 0
  ((free_mb >= 56)) ||
    die "/dev/shm has ${free_mb// /} MB left and three processes need 56: start the container with" \
      '--shm-size=256m, or remove what killed ROS processes left (rm /dev/shm/fastdds_*)'
}
