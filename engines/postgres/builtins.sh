#!/bin/sh
# Writes builtins.txt: what builtins.sql says of the server that psql finds by its environment (PGHOST, PGPORT, ...); use the newest release.
set -eu
cd "$(dirname "$0")"
names=$(psql -XAtq -v ON_ERROR_STOP=1 -f builtins.sql)
version=$(psql -XAtqc 'SHOW server_version_num')
{
	echo "# The functions of pg_catalog that leave nothing behind in the session that calls them, by builtins.sh from PostgreSQL $version."
	echo "$names"
} >builtins.txt
