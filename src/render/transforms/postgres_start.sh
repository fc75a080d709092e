exec 9>MOUNT/lock
flock 9 || :
[ ! -e MOUNT/initialising ] || rm -rf "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : >MOUNT/initialising
  [ "$(id -u)" != 0 ] || chown postgres MOUNT MOUNT/initialising
  echo 'rm -f MOUNT/initialising' >/docker-entrypoint-initdb.d/zz-initialised.sh || rm -f MOUNT/initialising
fi
exec docker-entrypoint.sh "$@"
