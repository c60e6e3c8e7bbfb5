-- The decision log in SQLite: version 1. Times, hashes and contents are text; see bimetal.service.log.chain.

CREATE TABLE decision_entry (
    sequence INTEGER PRIMARY KEY CHECK (sequence >= 1),
    kind TEXT NOT NULL CHECK (kind IN ('decision', 'erasure')),
    request_id TEXT NOT NULL,
    slot TEXT NOT NULL,
    time TEXT NOT NULL,
    content TEXT NOT NULL,
    previous TEXT NOT NULL CHECK (length(previous) = 64),
    hash TEXT NOT NULL CHECK (length(hash) = 64)
) STRICT;

CREATE UNIQUE INDEX decision_once ON decision_entry (request_id, slot);

CREATE TABLE decision_personal (
    sequence INTEGER PRIMARY KEY REFERENCES decision_entry (sequence),
    salt BLOB NOT NULL CHECK (length(salt) = 16),
    data TEXT NOT NULL
) STRICT;

CREATE TABLE decision_model (
    file_hash TEXT PRIMARY KEY CHECK (length(file_hash) = 64),
    data BLOB NOT NULL
) STRICT;

CREATE TRIGGER decision_entry_stays BEFORE UPDATE ON decision_entry
BEGIN SELECT raise(ABORT, 'the decision log is append-only'); END;

CREATE TRIGGER decision_entry_remains BEFORE DELETE ON decision_entry
BEGIN SELECT raise(ABORT, 'the decision log is append-only'); END;

-- INSERT OR REPLACE deletes without asking the trigger above: an entry comes after the last one, or not at all.
CREATE TRIGGER decision_entry_follows BEFORE INSERT ON decision_entry
WHEN EXISTS (SELECT 1 FROM decision_entry WHERE sequence >= NEW.sequence)
    OR EXISTS (SELECT 1 FROM decision_entry WHERE request_id = NEW.request_id AND slot = NEW.slot)
    OR NEW.previous IS NOT iif(
        NEW.sequence = 1,
        '0000000000000000000000000000000000000000000000000000000000000000',
        (SELECT hash FROM decision_entry WHERE sequence = NEW.sequence - 1)
    )
BEGIN SELECT raise(ABORT, 'an entry of the decision log follows the last one'); END;

CREATE TRIGGER decision_personal_stays BEFORE UPDATE ON decision_personal
BEGIN SELECT raise(ABORT, 'the decision log is append-only'); END;

CREATE TRIGGER decision_personal_remains BEFORE DELETE ON decision_personal
WHEN NOT EXISTS (
    SELECT 1 FROM decision_entry AS mine JOIN decision_entry AS erasure USING (request_id)
    WHERE mine.sequence = OLD.sequence AND erasure.slot = 'erasure'
)
BEGIN SELECT raise(ABORT, 'personal parts go with an erasure entry only'); END;

CREATE TRIGGER decision_personal_once BEFORE INSERT ON decision_personal
WHEN EXISTS (SELECT 1 FROM decision_personal WHERE sequence = NEW.sequence)
BEGIN SELECT raise(ABORT, 'the decision log is append-only'); END;

CREATE TRIGGER decision_model_stays BEFORE UPDATE ON decision_model
BEGIN SELECT raise(ABORT, 'archived models stay'); END;

CREATE TRIGGER decision_model_remains BEFORE DELETE ON decision_model
BEGIN SELECT raise(ABORT, 'archived models stay'); END;

CREATE TRIGGER decision_model_once BEFORE INSERT ON decision_model
WHEN EXISTS (SELECT 1 FROM decision_model WHERE file_hash = NEW.file_hash)
BEGIN SELECT raise(ABORT, 'archived models stay'); END;
