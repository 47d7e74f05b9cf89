-- migrate:up
DO $$
BEGIN
    -- Names are measured in characters, and SQL_ASCII would count bytes.
    IF current_setting('server_encoding') <> 'UTF8' THEN
        RAISE EXCEPTION 'the database must be encoded in UTF8, not %', current_setting('server_encoding');
    END IF;
END
$$;

CREATE TABLE variables (
    -- Bytewise order: pages look the same whatever the locale of the server.
    name text COLLATE "C" PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 255),
    value text NOT NULL CHECK (octet_length(value) <= 65536),
    updated_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON variables TO vars_app;
-- Readiness compares the applied migrations with those that the image knows.
GRANT SELECT (version, checksum, breaking) ON schema_migrations TO vars_app;

-- migrate:down
REVOKE ALL ON schema_migrations FROM vars_app;
DROP TABLE variables;
