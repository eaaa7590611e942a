#!/bin/bash
# Makes the lab's guest image: image.sh DIRECTORY MIRROR. The directory is made; a run that was stopped starts again.
#
# A small Debian that Lima can provision by cloud-init and that boots fast without KVM. It has its own kernel and initrd
# beside it, for a direct boot. What agents need is in it already, since apt is slow under emulation.
set -euo pipefail
directory=$1 mirror=$2
root=$directory/root

rm -rf "$directory"
mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/apt/apt.conf.d"

# What the machine itself needs to reach the registries, the guest needs too: certificates and apt's proxies.
find /usr/local/share/ca-certificates -name '*.crt' -exec cp -t "$root/usr/local/share/ca-certificates" {} +
apt-config dump | grep -E '^Acquire::https?::(Proxy|[^ ]*::Proxy|Verify-|CaInfo)' >"$root/etc/apt/apt.conf.d/50machine" || true
eval "$(apt-config shell proxy Acquire::http::Proxy)"
export http_proxy=${http_proxy:-${proxy:-}}

debootstrap --variant=minbase --include=ca-certificates,apt-utils bookworm "$root" "$mirror"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"  # no service starts in the chroot
chmod +x "$root/usr/sbin/policy-rc.d"

chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    http_proxy="$http_proxy" https_proxy="${https_proxy:-}" bash -euo pipefail -s <<'CHROOT'
update-ca-certificates
apt-get update
boot="linux-image-amd64 initramfs-tools zstd systemd systemd-sysv systemd-resolved systemd-timesyncd udev dbus"
lima="cloud-init cloud-guest-utils e2fsprogs eject netplan.io isc-dhcp-client iproute2 iptables netbase openssh-server sudo
    fuse3 sshfs"
agents="bash-completion build-essential bubblewrap curl file gh git jq less locales ncurses-term nodejs npm procps python3
    ripgrep rsync unzip wget xz-utils"
# shellcheck disable=SC2086  # lists of words
apt-get install -y --no-install-recommends $boot $lima $agents
# Names that resolved would announce are ports that Lima would forward.
mkdir /etc/systemd/resolved.conf.d
printf '[Resolve]\nLLMNR=no\nMulticastDNS=no\n' >/etc/systemd/resolved.conf.d/lab.conf
systemctl enable systemd-networkd systemd-resolved
systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_reap.service systemd-networkd-wait-online.service
echo 'datasource_list: [NoCloud, None]' >/etc/cloud/cloud.cfg.d/90_lab.cfg

# Only the drivers that a virtual machine has: an initrd is read byte by byte under emulation.
kernel=$(basename /lib/modules/*)
cd "/lib/modules/$kernel/kernel"
rm -rf sound net/{wireless,mac80211,bluetooth,can,batman-adv} drivers/net/{wireless,ethernet,usb,can} \
    drivers/{gpu,media,infiniband,iio,usb,isdn,staging,bluetooth,hid,input/joystick,md,mmc}
depmod "$kernel"
echo MODULES=list >/etc/initramfs-tools/conf.d/lab
printf '%s\n' virtio_pci virtio_blk virtio_scsi sr_mod isofs ext4 crc32c_generic >>/etc/initramfs-tools/modules
update-initramfs -u -k "$kernel"

apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/{doc,man}/* /usr/share/locale/*/  # locale.alias stays: localedef wants it
: >/etc/machine-id
CHROOT

rm "$root/usr/sbin/policy-rc.d"
ln -sf ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
cp "$root"/boot/vmlinuz-* "$directory/vmlinuz"
cp "$root"/boot/initrd.img-* "$directory/initrd"
truncate -s 8G "$directory/disk.raw"
mke2fs -q -t ext4 -L cloudimg-rootfs -d "$root" "$directory/disk.raw"
qemu-img convert -O qcow2 "$directory/disk.raw" "$directory/disk.qcow2"
rm -rf "$directory/disk.raw" "$root"
