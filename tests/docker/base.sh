#!/bin/bash
# base.sh: prints the name of an image of Debian's RELEASE, and makes one where none can be pulled.
#
# RELEASE        bookworm or trixie
# DEBIAN_MIRROR  where a base that has to be made comes from (http://deb.debian.org/debian)
set -euo pipefail

release=$1
official=debian:$release-slim
own=weir-test/debian:$release

for image in "$own" "$official"; do
    if docker image inspect "$image" >/dev/null 2>&1; then
        echo "$image"
        exit
    fi
done
if timeout 300 docker pull -q "$official" >/dev/null 2>&1; then
    echo "$official"
    exit
fi

work=$(mktemp -d /var/tmp/weir-base-XXXXXX)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase "$release" "$work/root" \
    "${DEBIAN_MIRROR:-http://deb.debian.org/debian}" >"$work/log" 2>&1 || {
    tail -n 20 "$work/log" >&2
    echo "base.sh: $official can neither be pulled nor made by debootstrap" >&2
    exit 1
}
# As in the slim images; and services are not started, as nothing manages them.
printf 'path-exclude /usr/share/%s/*\n' doc man locale info >"$work/root/etc/dpkg/dpkg.cfg.d/slim"
printf '#!/bin/sh\nexit 101\n' >"$work/root/usr/sbin/policy-rc.d"
chmod 755 "$work/root/usr/sbin/policy-rc.d"
rm -rf "$work"/root/var/lib/apt/lists/* "$work"/root/var/cache/apt/archives/*.deb \
    "$work"/root/usr/share/{doc,man,locale,info}/*
tar -C "$work/root" --one-file-system -c . |
    docker import --change 'CMD ["bash"]' - "$own" >/dev/null
echo "$own"
