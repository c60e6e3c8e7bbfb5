-- The decision log in PostgreSQL (14 or newer): version 1. The same columns as in SQLite.

CREATE TABLE IF NOT EXISTS decision_entry (
    sequence bigint PRIMARY KEY CHECK (sequence >= 1),
    kind text NOT NULL CHECK (kind IN ('decision', 'erasure')),
    request_id text NOT NULL,
    slot text NOT NULL,
    time text NOT NULL,
    content text NOT NULL,
    previous text NOT NULL CHECK (length(previous) = 64),
    hash text NOT NULL CHECK (length(hash) = 64)
);

CREATE UNIQUE INDEX IF NOT EXISTS decision_once ON decision_entry (request_id, slot);

CREATE TABLE IF NOT EXISTS decision_personal (
    sequence bigint PRIMARY KEY REFERENCES decision_entry (sequence),
    salt bytea NOT NULL CHECK (length(salt) = 16),
    data text NOT NULL
);

CREATE TABLE IF NOT EXISTS decision_model (
    file_hash text PRIMARY KEY CHECK (length(file_hash) = 64),
    data bytea NOT NULL
);

CREATE OR REPLACE FUNCTION decision_log_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the decision log is append-only';
END $$;

CREATE OR REPLACE FUNCTION decision_entry_follows() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before text := repeat('0', 64);
BEGIN
    IF NEW.sequence > 1 THEN
        SELECT hash INTO before FROM decision_entry WHERE sequence = NEW.sequence - 1;
    END IF;
    IF NEW.previous IS DISTINCT FROM before
        OR EXISTS (SELECT 1 FROM decision_entry WHERE sequence > NEW.sequence) THEN
        RAISE EXCEPTION 'an entry of the decision log follows the last one';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION decision_personal_remains() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM decision_entry AS mine JOIN decision_entry AS erasure USING (request_id)
        WHERE mine.sequence = OLD.sequence AND erasure.slot = 'erasure'
    ) THEN
        RAISE EXCEPTION 'personal parts go with an erasure entry only';
    END IF;
    RETURN OLD;
END $$;

CREATE OR REPLACE TRIGGER decision_entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON decision_entry
FOR EACH STATEMENT EXECUTE FUNCTION decision_log_refuses();

CREATE OR REPLACE TRIGGER decision_entry_follows BEFORE INSERT ON decision_entry
FOR EACH ROW EXECUTE FUNCTION decision_entry_follows();

CREATE OR REPLACE TRIGGER decision_personal_stays BEFORE UPDATE OR TRUNCATE ON decision_personal
FOR EACH STATEMENT EXECUTE FUNCTION decision_log_refuses();

CREATE OR REPLACE TRIGGER decision_personal_remains BEFORE DELETE ON decision_personal
FOR EACH ROW EXECUTE FUNCTION decision_personal_remains();

CREATE OR REPLACE TRIGGER decision_model_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON decision_model
FOR EACH STATEMENT EXECUTE FUNCTION decision_log_refuses();
