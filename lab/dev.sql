-- The roles and the database of development; the lab makes its own, with passwords of its own.
CREATE ROLE vars_owner LOGIN PASSWORD 'owner';
CREATE ROLE vars_app LOGIN PASSWORD 'app';
CREATE DATABASE vars OWNER vars_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE TEMPORARY ON DATABASE vars FROM PUBLIC;
