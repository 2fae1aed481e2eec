create extension hstore;
create extension ltree;
create domain uint64 as numeric(20,0);
do $$ begin create role " tricky, ' } "" \\ test user " superuser; exception when duplicate_object then null; end $$;
