#!/bin/sh
# A UTF-8 locale. ssh brings the host's LANG and LC_*, most often en_US.UTF-8, and programs complain when the guest lacks it.
# C.UTF-8, for every other one, is part of Debian's and Ubuntu's libc.
set -eu

wanted=en_US.UTF-8

fail() {
    echo "locale: $*" >&2
    exit 1
}

has() { [ "$(LC_ALL=$1 locale charmap 2>/dev/null)" = UTF-8 ]; }

if ! has "$wanted"; then
    # locale-gen makes what this file lists, and forgets everything else.
    grep -qx "$wanted UTF-8" /etc/locale.gen || echo "$wanted UTF-8" >>/etc/locale.gen
    locale-gen >/dev/null || fail "locale-gen could not make $wanted."
    has "$wanted" || fail "locale-gen made no $wanted. See /etc/locale.gen."
fi

# The default for sessions that bring none. One that the image's maker chose stays, if it is UTF-8.
default=$(sed -n 's/^LANG=//p' /etc/default/locale 2>/dev/null | tr -d "\"'")
if [ -z "$default" ] || ! has "$default"; then
    default=C.UTF-8
    update-locale "LANG=$default"
fi
echo "locale: $wanted is there; the default is $default"
