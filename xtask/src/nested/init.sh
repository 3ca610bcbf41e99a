#!/bin/busybox sh
# The first process of the nested machine: loads KVM, runs what /plan.sh says, reports, and switches
# the machine off. Ports: 1 is xtask's output, 2 its errors, 3 takes the report, and 4 stays open for
# as long as xtask lives. What goes wrong before that is said on the console.

busybox=/bin/busybox
$busybox mkdir -p /proc /sys /dev /root
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
$busybox mount -t devtmpfs devtmpfs /dev
$busybox mkdir -p /dev/pts /dev/shm
$busybox mount -t devpts devpts /dev/pts
$busybox mount -t tmpfs tmpfs /dev/shm
$busybox chmod 1777 /tmp
$busybox --install -s /bin
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
export PATH=/usr/bin:/bin HOME=/root TMPDIR=/tmp
# Tests reach the debugger by the machine's own network.
ifconfig lo up

fail() {
    echo "init: $*"
    poweroff -f
}

load() {
    insmod "$1" || fail "cannot load $1"
}

# run NAME PROGRAM ARGUMENT...: where guestlab's doctor fails, the tests would all be skipped.
run() {
    name=$1
    shift
    printf '     Running %s\n' "$name"
    "$@" </dev/null 3>&-
    status=$?
    echo "$status $name" >&3
    [ "$status" = 0 ] || [ "$name" != "guestlab doctor" ] || end
}

end() {
    echo end >&3
    poweroff -f
}

. /plan.sh
load_all
[ -c /dev/kvm ] || fail "KVM's modules are loaded, but there is no /dev/kvm"

# The ports appear a little after their module is loaded.
tries=0
until [ -c /dev/vport0p1 ] && [ -c /dev/vport0p2 ] && [ -c /dev/vport0p3 ] && [ -c /dev/vport0p4 ]; do
    tries=$((tries + 1))
    [ $tries -le 1000 ] || fail "there are no virtual serial ports"
    usleep 10000
done

{ cat /dev/vport0p4 >/dev/null; echo "init: xtask is gone"; poweroff -f; } &
exec >/dev/vport0p1 2>/dev/vport0p2 3>/dev/vport0p3
run_all
end
