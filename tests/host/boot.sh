#!/bin/sh
# Boot systemd in the prepared folder $1, in namespaces of its own; the control group $2 holds all of it.
# $1.binds has what else of this machine it sees, read-only: a line "FROM TO" each.
set -eu
root=$1
export root

# The group is seen in a mount of its own, because the machine may show the second hierarchy anywhere or not at all.
mkdir -p "$root/mnt/group"
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$root/mnt/group"
mkdir -p "$root/mnt/group/$2"
echo $$ >"$root/mnt/group/$2/cgroup.procs"
status=0
unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -euc '
    mount --make-rprivate /
    mount --bind "$root" "$root"
    while read -r from to; do mount --bind -o ro "$from" "$root$to"; done <"$root.binds"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    hostname clinic
    cd "$root"
    pivot_root . mnt
    umount -l /mnt
    # Services get their credentials by a mount that systemd makes in another namespace.
    mount --make-rshared /
    cd /
    exec env -i container=test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin \
        /usr/lib/systemd/systemd --log-target=console --show-status=no
' || status=$?
# This process leaves the group, and the group goes.
echo $$ >"$root/mnt/group/cgroup.procs"
find "$root/mnt/group/$2" -depth -type d -exec rmdir {} + || true
exit $status
