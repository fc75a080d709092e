# What a node needs before k3s starts, by what k3d 5.9 does for it. Takes the network's gateway, then k3s' arguments.
gateway=$1
shift

# Pods may mount what others are to see.
mount --make-rshared / || :

# On cgroup v2 a group that has processes cannot have groups that are limited: they all move into one below.
groups=/sys/fs/cgroup
if [ -f $groups/cgroup.controllers ]; then
  mkdir -p $groups/init
  for process in $(cat $groups/cgroup.procs); do
    # One of them has listed them, and is gone.
    echo "$process" >$groups/init/cgroup.procs 2>/dev/null || :
  done
  for controller in $(cat $groups/cgroup.controllers); do
    echo "+$controller" >$groups/cgroup.subtree_control || :
  done
fi

# Docker's resolver listens on the loopback address, where pods do not reach it, and k3s would give them a public one
# instead. So the gateway's address leads to it too.
resolver=127.0.0.11
if [ -n "$gateway" ]; then
  rules=$(iptables-save -t nat | sed -n \
    -e "s/^\(-A OUTPUT\) -d $resolver\(.*\)/\1 -d $gateway\2\n-A PREROUTING -d $gateway\2/p" \
    -e "s/^\(-A DOCKER_OUTPUT\) -d $resolver\(.*\)/\1 -d $gateway\2/p")
  if [ -n "$rules" ] && printf '*nat\n%s\nCOMMIT\n' "$rules" | iptables-restore --noflush; then
    # The file is mounted: it can be written, and not replaced.
    found=$(sed "s/$resolver/$gateway/" /etc/resolv.conf)
    echo "$found" >/etc/resolv.conf
  fi
fi

# Flannel writes this file when the API has told it of the node, and pods cannot start without it: those of a node that
# is started again would fail, and be tried again 12 s later.
mkdir -p /run/flannel
echo "FLANNEL_NETWORK=10.42.0.0/16
FLANNEL_SUBNET=10.42.0.1/24
FLANNEL_MTU=$(($(cat /sys/class/net/eth0/mtu) - 50))
FLANNEL_IPMASQ=true" >/run/flannel/subnet.env
