#!/bin/bash
# Makes a stand-in for the image that the Dockerfile starts FROM, where none can be pulled: Debian's
# own bookworm with this machine's Python 3.13 in /usr/local. Needs root, debootstrap and buildah.
# One that is there is kept. Usage: tools/image_base.sh NAME
set -euo pipefail
name=$1
# Two checks may want it at once.
exec 9>"${TMPDIR:-/tmp}/hajimi-image-base.lock"
flock 9
! buildah inspect --type image "$name" >/dev/null 2>&1 || exit 0
log=$(mktemp)

# Where Python 3.13 lives: on the PATH, or under a version manager. The newest other one will do, and is named.
python_prefix() {
    local candidate
    for candidate in python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python python3.14 python3.12 python3.11 /usr/bin/python3; do
        "$candidate" -c 'import sys, ensurepip; print(sys.base_prefix); sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    echo "No Python 3.11 or newer was found for the base image." >&2
    return 1
}

prefix=$(python_prefix)
root=$(mktemp -d)
container=
trap 'rm -rf "$root" "$log"; [ -z "$container" ] || buildah rm "$container" >/dev/null' EXIT

echo "Making a base image from Debian bookworm and $("$prefix/bin/python3" -V)"
packages=ca-certificates,tzdata,libbz2-1.0,libffi8,liblzma5,libncursesw6,libreadline8,libsqlite3-0,libssl3,zlib1g,libuuid1,libexpat1
[ "$prefix" != /usr ] || packages=$packages,python3,python3-venv,python3-pip
debootstrap --variant=minbase --include="$packages" bookworm "$root" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*

if [ "$prefix" = /usr ]; then
    ln -s /usr/bin/python3 "$root/usr/local/bin/python"
    # The image's Python is its own, not the system's.
    rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
else
    tar -C "$prefix" --exclude=__pycache__ --exclude='lib/python*/test' -cf - bin include lib | tar -C "$root/usr/local" -xf -
    # Installed scripts name the interpreter of their old home.
    rm -f "$root"/usr/local/bin/pip*
    chroot "$root" ldconfig
    ln -sf python3 "$root/usr/local/bin/python"
    find "$root"/usr/local/lib/python3*/site-packages -mindepth 1 -maxdepth 1 ! -name 'pip*' -exec rm -rf {} +
    printf '#!/bin/sh\nexec python3 -m pip "$@"\n' > "$root/usr/local/bin/pip"
    chmod 755 "$root/usr/local/bin/pip"
fi
# The certificates this machine trusts: pip must get through to the package server from inside too.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

container=$(buildah from scratch)
buildah add -q "$container" "$root" / >/dev/null
buildah config --env PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin \
    --env PIP_CERT=/etc/ssl/certs/ca-certificates.crt --env SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt "$container"
buildah commit -q "$container" "$name" >/dev/null
