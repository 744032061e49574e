-- The schema, in numbered steps. A database remembers the last step it took (PRAGMA user_version)
-- and takes the later ones when it is opened. Steps that have been released are never edited.
--
-- Times are whole Unix seconds.

-- step 1

-- What the database knows about itself.
CREATE TABLE about (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

-- Names the channel on which the nodes of this database talk.
INSERT INTO about (name, value) VALUES ('identity', lower(hex(randomblob(16))));

CREATE TABLE users (
    -- AUTOINCREMENT: the number of a deleted account never names another person.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- As typed at sign-up.
    username TEXT NOT NULL,
    -- Unique whatever the case, and the order of the list.
    lower_name TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    disabled_at INTEGER,
    last_seen INTEGER
) STRICT;

CREATE TABLE sessions (
    -- SHA-256 of the secret id: who reads this table can log in as nobody.
    key TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    started_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    device TEXT NOT NULL
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Each node reads the rows after the last number it knows; numbers are never used twice.
CREATE TABLE endings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL: the account itself is gone.
    session_key TEXT,
    username TEXT NOT NULL,
    reason TEXT NOT NULL,
    ended_at INTEGER NOT NULL
) STRICT;

CREATE INDEX endings_by_time ON endings (ended_at);

-- The sessions that are here and the node that says so, for a node that starts again.
CREATE TABLE here (
    session_key TEXT NOT NULL REFERENCES sessions (key) ON DELETE CASCADE,
    node TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('online', 'away')),
    since INTEGER NOT NULL,
    -- When the node last said so.
    noted_at INTEGER NOT NULL,
    PRIMARY KEY (session_key, node)
) STRICT;
