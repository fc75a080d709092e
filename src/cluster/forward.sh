# Sends what comes to the ports on to the node, whose address may be another one after each start. Takes the node's name, then
# the ports.
node=$1
shift
iptables -t nat -N SANDBOX && iptables -t nat -A PREROUTING -j SANDBOX && iptables -t nat -A POSTROUTING -j MASQUERADE
leads=
while :; do
  found=$(nslookup "$node" 127.0.0.11 2>/dev/null | sed -n 's/^Address[^:]*: *\([0-9.]*\)\( .*\)*$/\1/p' | grep -v '^127\.' | head -n 1)
  if [ -n "$found" ] && [ "$found" != "$leads" ]; then
    iptables -t nat -F SANDBOX
    for port in "$@"; do
      iptables -t nat -A SANDBOX -p tcp --dport "$port" -j DNAT --to-destination "$found"
    done
    leads=$found
  fi
  sleep 2
done
