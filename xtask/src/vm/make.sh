#!/bin/sh
# Makes the disk of the machine, a Debian 12 with systemd, in a mount namespace of its own that ends with it.
# usage: make.sh WORK TARGET DEBS GUEST PACKAGES...
#   WORK  an empty folder; TARGET  where disk.img, vmlinuz and initrd go; DEBS  a cache; GUEST  what runs inside
set -eu
work=$1 target=$2 debs=$3 guest=$4
shift 4
tree=$work/tree

# File by file it is written many times faster in memory.
mount -t tmpfs -o mode=755 plimsoll-vm "$work"
include=$(echo "$*" | tr ' ' ',')
debootstrap --foreign --variant=minbase --cache-dir="$debs" --include="$include" bookworm "$tree"

mkdir -p "$tree/etc/initramfs-tools/conf.d" "$tree/etc/initramfs-tools/hooks" "$tree/etc/dpkg/dpkg.cfg.d"
# A small initrd is unpacked in a moment; all that is needed is the way to the disk.
echo MODULES=list > "$tree/etc/initramfs-tools/conf.d/plimsoll"
cat > "$tree/etc/initramfs-tools/hooks/plimsoll" << 'END'
#!/bin/sh
[ "$1" = prereqs ] && exit
. /usr/share/initramfs-tools/hook-functions
manual_add_modules virtio_pci virtio_blk ext4
END
chmod 755 "$tree/etc/initramfs-tools/hooks/plimsoll"
printf 'force-unsafe-io\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n' \
    > "$tree/etc/dpkg/dpkg.cfg.d/plimsoll"
if ! chroot "$tree" /debootstrap/debootstrap --second-stage; then
    tail -n 40 "$tree/debootstrap/debootstrap.log"
    exit 1
fi

# The modules of the second kernel, where this host has it.
for modules in /usr/lib/uml/modules/*; do
    [ -d "$modules" ] && cp -r "$modules" "$tree/usr/lib/modules/"
done

# An ordinary user whose manager starts with the machine, with every controller delegated.
chroot "$tree" useradd --create-home --uid 1000 --shell /bin/sh tester
mkdir -p "$tree/var/lib/systemd/linger" "$tree/etc/systemd/system/user@.service.d"
: > "$tree/var/lib/systemd/linger/tester"
printf '[Service]\nDelegate=cpu cpuset io memory pids\n' > "$tree/etc/systemd/system/user@.service.d/delegate.conf"

install -m 755 "$guest" "$tree/usr/local/sbin/plimsoll-guest"
cat > "$tree/etc/systemd/system/plimsoll.service" << 'END'
[Unit]
Description=What the host has asked for
After=basic.target dbus.socket

[Service]
ExecStart=/usr/local/sbin/plimsoll-guest
Environment=HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
LimitMEMLOCK=infinity
# Containers are killed for want of memory on purpose.
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
END
chroot "$tree" systemctl enable --quiet plimsoll.service
chroot "$tree" systemctl set-default --quiet multi-user.target
# What a machine does not need that lives for minutes.
chroot "$tree" systemctl mask --quiet apparmor.service apt-daily.timer apt-daily-upgrade.timer \
    console-getty.service dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer getty@tty1.service \
    serial-getty@ttyS0.service getty-static.service podman.service podman.socket podman-auto-update.timer \
    podman-auto-update.service podman-restart.service systemd-update-utmp.service systemd-pcrphase.service \
    systemd-pcrphase-sysinit.service systemd-random-seed.service systemd-hwdb-update.service ldconfig.service \
    systemd-journal-catalog-update.service systemd-update-done.service systemd-timesyncd.service
mkdir -p "$tree/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\n' > "$tree/etc/systemd/journald.conf.d/plimsoll.conf"
echo plimsoll-vm > "$tree/etc/hostname"

cp "$tree"/boot/vmlinuz-* "$work/vmlinuz"
cp "$tree"/boot/initrd.img-* "$work/initrd"
rm -rf "$tree"/boot/* "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree/debootstrap"
# Room for what is unpacked and made inside; the file is sparse, and no journal is needed on a disk of one use.
truncate -s 6G "$work/disk.img"
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=1 -d "$tree" "$work/disk.img"
cp --sparse=always "$work/disk.img" "$work/vmlinuz" "$work/initrd" "$target/"
