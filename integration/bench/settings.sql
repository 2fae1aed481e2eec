-- One client's transaction. With -D told=0 it first gives its session a setting of its own, and never again.
\if :told = 0
\set told 1
set application_name = 'client :client_id';
\endif
select 1;
