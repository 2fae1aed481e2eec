"""Connects as an application does, with one of Python's drivers, and stays connected until stdin ends.

    prologue.py CASE PORT

Each case takes a connection from the driver's or the framework's pool, reads and writes with parameters, gives it back,
and does so again: whatever the driver says at the start, between two uses and in a transaction has then been said.
"ready NAME VERSION, NAME VERSION" on stdout says that the connection is at rest.
"""

import asyncio
import sys
from importlib.metadata import version

USER, PASSWORD, DATABASE, HOST = "app", "secret", "app", "127.0.0.1"
READ, WRITE = "select text from berth_notes where id = ", "insert into berth_notes (text) values "


def rest(*packages):
    print("ready", ", ".join(f"{p} {version(p)}" for p in packages), flush=True)
    sys.stdin.read()


def django(port, engine, driver, options):
    from django.conf import settings

    settings.configure(
        USE_TZ=True,
        DATABASES={
            "default": {
                "ENGINE": engine, "USER": USER, "PASSWORD": PASSWORD, "NAME": DATABASE, "HOST": HOST, "PORT": port,
                "CONN_MAX_AGE": None, "OPTIONS": options,
            }
        },
    )
    import django

    django.setup()
    from django.core.signals import request_finished, request_started
    from django.db import connection, models, transaction

    class Note(models.Model):
        text = models.TextField()

        class Meta:
            app_label = "prologue"
            db_table = "berth_notes"

    for _ in range(2):
        request_started.send(sender=None)
        with transaction.atomic():
            note = Note.objects.create(text="django")
            with transaction.atomic():
                note.text = "again"
                note.save()
        assert Note.objects.get(id=note.id).text == "again"
        request_finished.send(sender=None)
    assert connection.connection is not None, "the connection is not kept"
    rest("Django", driver)


def sqlalchemy(port, url, driver, options=""):
    from sqlalchemy import create_engine, text

    engine = create_engine(f"{url}://{USER}:{PASSWORD}@{HOST}:{port}/{DATABASE}{options}", pool_size=1, max_overflow=0, pool_pre_ping=True)
    for _ in range(2):
        with engine.begin() as connection:
            connection.execute(text(WRITE + "(:t)"), {"t": "sqlalchemy"})
        with engine.connect() as connection:
            connection.execute(text(READ + ":id"), {"id": 1}).all()
    rest("SQLAlchemy", driver)


async def sqlalchemy_asyncpg(port):
    from sqlalchemy import text
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(f"postgresql+asyncpg://{USER}:{PASSWORD}@{HOST}:{port}/{DATABASE}?ssl=disable", pool_size=1, max_overflow=0)
    for _ in range(2):
        async with engine.begin() as connection:
            await connection.execute(text(WRITE + "(:t)"), {"t": "sqlalchemy"})
        async with engine.connect() as connection:
            (await connection.execute(text(READ + ":id"), {"id": 1})).all()
    rest("SQLAlchemy", "asyncpg")


async def asyncpg(port):
    import asyncpg

    pool = await asyncpg.create_pool(host=HOST, port=port, user=USER, password=PASSWORD, database=DATABASE, ssl=False, min_size=1, max_size=1)
    for _ in range(2):
        async with pool.acquire() as connection:
            async with connection.transaction():
                await connection.execute(WRITE + "($1)", "asyncpg")
            await connection.fetch(READ + "$1", 1)
    rest("asyncpg")


def psycopg(port):
    import psycopg

    with psycopg.connect(f"host={HOST} port={port} user={USER} password={PASSWORD} dbname={DATABASE} sslmode=disable") as connection:
        for n in range(12):  # a statement is prepared when it is executed for the sixth time
            connection.execute(WRITE + "(%s)", ["psycopg"])
            connection.execute(READ + "%s", [n]).fetchall()
            connection.commit()
        connection.execute(READ + "%s", [1])
        connection.rollback()
        rest("psycopg")


def psycopg2(port):
    import psycopg2

    connection = psycopg2.connect(host=HOST, port=port, user=USER, password=PASSWORD, dbname=DATABASE, sslmode="disable")
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(WRITE + "(%s)", ["psycopg2"])
            cursor.execute(READ + "%s", [1])
            connection.commit()
        connection.reset()  # as psycopg2's own pool does
        cursor.execute(READ + "%s", [1])
        connection.rollback()
    rest("psycopg2-binary")


CASES = {
    "django-psycopg": lambda port: django(port, "django.db.backends.postgresql", "psycopg", {"sslmode": "disable"}),
    "django-mysqlclient": lambda port: django(port, "django.db.backends.mysql", "mysqlclient", {"ssl_mode": "DISABLED"}),
    "sqlalchemy-psycopg": lambda port: sqlalchemy(port, "postgresql+psycopg", "psycopg", "?sslmode=disable"),
    "sqlalchemy-psycopg2": lambda port: sqlalchemy(port, "postgresql+psycopg2", "psycopg2-binary", "?sslmode=disable"),
    "sqlalchemy-mysqlclient": lambda port: sqlalchemy(port, "mysql+mysqldb", "mysqlclient"),
    "sqlalchemy-asyncpg": lambda port: asyncio.run(sqlalchemy_asyncpg(port)),
    "asyncpg": lambda port: asyncio.run(asyncpg(port)),
    "psycopg": psycopg,
    "psycopg2": psycopg2,
}

CASES[sys.argv[1]](int(sys.argv[2]))
