"""Changes settings between executions of statements that psycopg 3 has prepared, and prints what they answer.

    moves.py PORT
"""

import sys

import psycopg

connection = psycopg.connect(f"host=127.0.0.1 port={sys.argv[1]} user=app password=secret dbname=app sslmode=disable", autocommit=True)
DATED = "select '2024-01-01 00:00'::timestamptz = %s::timestamptz, current_setting('timezone')"
prepared = []
for zone in ["UTC", "Asia/Tokyo", "America/New_York", "UTC", "Asia/Tokyo", "Europe/Berlin"]:
    connection.execute(f"set time zone '{zone}'")
    connection.execute(f"set application_name = '{zone}'")
    for statement in prepared + prepared:  # earlier ones, on either connection
        print(connection.execute(statement, ["2024-01-01 00:00+00"]).fetchone())
    prepared.append(f"{DATED}, {len(prepared)}")
    print(connection.execute(prepared[-1], ["2024-01-01 00:00+00"], prepare=True).fetchone())
    with connection.transaction():
        print(connection.execute(DATED, ["2024-01-01 00:00+00"], prepare=True).fetchone())
