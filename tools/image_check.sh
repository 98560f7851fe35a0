#!/bin/bash
# Builds the Dockerfile for real and chats through the image: with Docker where an engine runs, else
# without one (buildah in a chroot; needs root on a Debian, and installs what it lacks).
set -euo pipefail
cd "$(dirname "$0")/.."
tools/install.sh requirements-dev.txt

image=localhost/hajimi:check
base=$(awk '/^FROM /{ print $2; exit }' Dockerfile)

if docker info >/dev/null 2>&1; then
    docker build --tag "$image" .
    exec .venv/bin/python -m tests.image docker "$image"
fi

if [ "$(id -u)" != 0 ]; then
    echo "No Docker engine answers, and building without one needs root." >&2
    exit 1
fi
if ! command -v buildah >/dev/null || ! command -v debootstrap >/dev/null; then
    apt-get update -qq
    apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends buildah debootstrap
fi
buildah inspect --type image "localhost/$base" >/dev/null 2>&1 || tools/image_base.sh "localhost/$base"
buildah bud --isolation chroot --pull-never --format docker --tag "$image" .
buildah images "$image"
.venv/bin/python -m tests.image buildah "$image"
