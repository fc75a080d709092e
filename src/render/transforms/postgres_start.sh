exec 9>MOUNT/lock
if ! flock 9; then
  echo 'sandbox: cannot lock MOUNT/lock, so Postgres does not start: beside another server it would destroy the data. An image without the program `flock` cannot lock; the official ones have it' >&2
  exit 1
fi
[ ! -e MOUNT/initialising ] || rm -rf "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : >MOUNT/initialising
  [ "$(id -u)" != 0 ] || chown postgres MOUNT MOUNT/initialising
  echo 'rm -f MOUNT/initialising' >/docker-entrypoint-initdb.d/zz-initialised.sh || rm -f MOUNT/initialising
fi
exec docker-entrypoint.sh "$@"
