#!/bin/sh
# Inside the machine: unpacks what the host hands in, runs it, hands the results back, and switches off.
# The host says by the kernel's command line which channel to talk by and what its disks are called.
for word in $(cat /proc/cmdline); do
    case $word in
    plimsoll.channel=*) channel=${word#*=} ;;
    plimsoll.disk=*) disk=${word#*=} ;;
    esac
done
udevadm wait --timeout=60 "$channel" "/dev/${disk}b" "/dev/${disk}c"
exec > "$channel" 2>&1
# A serial line would turn newlines around; a virtio port is no terminal.
stty -F "$channel" raw -echo 2> /dev/null
echo plimsoll-vm: ready
mkdir -p /vm/out
tar -xf "/dev/${disk}b" -C /
cd /root || exit
sh /vm/run
echo $? > /vm/out/status
# What is left would be lost with the machine; that it is there would not be seen.
echo "plimsoll-vm: done"
tar -cf "/dev/${disk}c" -C /vm/out .
sync
poweroff -f -f
