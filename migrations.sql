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

-- step 2

-- Who must go. Each node reads the rows after the last number it knows; numbers are never used
-- twice.
DROP TABLE endings;
CREATE TABLE endings (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- What a node does not know it passes over.
    reason TEXT NOT NULL,
    -- Of one session; NULL: of an account, or of all tokens of a user.
    session TEXT,
    -- 0: the own accounts.
    app INTEGER NOT NULL,
    -- The name of one of the app's rooms; NULL: in all of them.
    room TEXT,
    -- NULL: everybody of the app.
    username TEXT,
    -- The number of the own account that is gone; of another account the name may be the same.
    account INTEGER NOT NULL,
    -- Tokens of this second and before do not hold any more.
    issued_before INTEGER,
    ended_at INTEGER NOT NULL
) STRICT;

CREATE INDEX endings_by_time ON endings (ended_at);

-- The nodes that wrote down what they know. None of these is compared with another node's.
CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    -- One more with each write.
    counter INTEGER NOT NULL,
    -- The counter with which its rows in `here` or `choices` changed last.
    changed INTEGER NOT NULL,
    -- The last ending that it had heeded.
    heeded INTEGER NOT NULL,
    -- Unix milliseconds by its own clock, at its last write.
    wrote_at INTEGER NOT NULL,
    -- 1: it ended properly, and whoever starts may take over.
    stopped INTEGER NOT NULL
) STRICT;

-- Who is here and the node that says so: for a node that starts, and for those that cannot hear it.
DROP TABLE here;
CREATE TABLE here (
    node TEXT NOT NULL,
    -- '' for the own accounts, or the number and the room of an app.
    room TEXT NOT NULL,
    session TEXT NOT NULL,
    username TEXT NOT NULL,
    account INTEGER NOT NULL,
    status TEXT NOT NULL,
    since INTEGER NOT NULL,
    -- JSON: what is shown beside the status.
    about TEXT NOT NULL,
    -- Unix milliseconds by the node's clock, when the last line closed; NULL while one is open.
    left_at INTEGER,
    -- The Unix second until which it may be taken over; NULL: at any time.
    held_until INTEGER,
    PRIMARY KEY (node, room, session)
) STRICT;

-- What users say of themselves, until they change it or it is over.
CREATE TABLE choices (
    app INTEGER NOT NULL,
    username TEXT NOT NULL,
    account INTEGER NOT NULL,
    -- NULL with an empty text: what was chosen has ended.
    status TEXT,
    text TEXT NOT NULL,
    held_until INTEGER,
    -- Orders the choices of one user; near the Unix second, and always more than the last.
    chosen_at INTEGER NOT NULL,
    -- Who wrote it, with which counter.
    node TEXT NOT NULL,
    counter INTEGER NOT NULL,
    PRIMARY KEY (app, username)
) STRICT;

CREATE INDEX choices_by_node ON choices (node, counter);

-- step 3

CREATE TABLE apps (
    -- AUTOINCREMENT: the number of a deleted app never names another one.
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    -- The origins of its pages, in JSON.
    origins TEXT NOT NULL,
    webhook TEXT,
    -- NULL: as all others.
    grace_milliseconds INTEGER,
    -- Days for which visits are kept.
    visits INTEGER NOT NULL
) STRICT;

CREATE TABLE app_keys (
    id TEXT PRIMARY KEY,
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    -- When the next one replaced it; NULL: it is the one to use.
    replaced_at INTEGER,
    -- The secrets, encrypted with the key file.
    sealed TEXT NOT NULL
) STRICT;

CREATE INDEX app_keys_by_app ON app_keys (app_id);

-- Grows by one with every change of apps and keys: nodes look here first.
CREATE TABLE app_changes (
    number INTEGER PRIMARY KEY
) STRICT;

INSERT INTO app_changes (number) VALUES (0);

-- step 4

-- The one node that tells webhooks and writes visits. Times are Unix milliseconds by the
-- database's clock.
CREATE TABLE duty (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    node TEXT NOT NULL,
    -- One more with each node that takes it.
    term INTEGER NOT NULL,
    renewed_at INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    -- 1: the node cannot hear the others, and whoever can may take it.
    degraded INTEGER NOT NULL
) STRICT;

-- How far each app's backend is told.
CREATE TABLE webhooks (
    app_id INTEGER PRIMARY KEY REFERENCES apps (id) ON DELETE CASCADE,
    -- One more each time that all is told anew: what was under way before counts for nothing.
    round INTEGER NOT NULL,
    -- When it answered that it is no more; NULL: it is told.
    off_at INTEGER,
    -- How many people differ from what was acknowledged, and since when the first of them does.
    due INTEGER NOT NULL,
    due_since INTEGER,
    acknowledged_at INTEGER,
    -- JSON: the last answers, the newest first.
    answers TEXT NOT NULL
) STRICT;

-- What was said last to an app's backend of each user in a room.
CREATE TABLE told (
    app_id INTEGER NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    room TEXT NOT NULL,
    username TEXT NOT NULL,
    here INTEGER NOT NULL,
    since INTEGER NOT NULL,
    -- 0: it may have been heard or not.
    acknowledged INTEGER NOT NULL,
    PRIMARY KEY (app_id, room, username)
) STRICT;

-- step 5

-- 1: this account runs the site.
ALTER TABLE users ADD COLUMN administrator INTEGER NOT NULL DEFAULT 0;
CREATE INDEX administrators ON users (id) WHERE administrator = 1;

-- When whoever holds the session last showed that they know the password.
ALTER TABLE sessions ADD COLUMN confirmed_at INTEGER NOT NULL DEFAULT 0;

-- What administrators have done.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    done_at INTEGER NOT NULL,
    -- Names as they were then; no administrator: whoever has the machine itself.
    administrator TEXT,
    act TEXT NOT NULL,
    whom TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;

CREATE INDEX audit_by_time ON audit (done_at);
CREATE INDEX audit_by_whom ON audit (whom, number);

-- Links that let somebody in: to a new password, or to an account of their own.
CREATE TABLE links (
    -- SHA-256 of what stands in the link: who reads this table can open none.
    key TEXT PRIMARY KEY,
    -- Whose password it sets; NULL: it is an invitation.
    user_id INTEGER REFERENCES users (id) ON DELETE CASCADE,
    made_by TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used INTEGER NOT NULL,
    uses INTEGER NOT NULL
) STRICT;

CREATE INDEX links_by_user ON links (user_id);

-- step 6

-- Who was in which room: of those whose visits are kept.
CREATE TABLE visits (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    -- '' for the own accounts, or the number and the room of an app.
    room TEXT NOT NULL,
    -- NULL: the own accounts.
    app_id INTEGER REFERENCES apps (id) ON DELETE CASCADE,
    -- NULL: a user of an app.
    account INTEGER REFERENCES users (id) ON DELETE CASCADE,
    username TEXT NOT NULL,
    came INTEGER NOT NULL,
    -- NULL: still here.
    left_at INTEGER
) STRICT;

CREATE UNIQUE INDEX visits_going_on ON visits (room, username) WHERE left_at IS NULL;
CREATE INDEX visits_by_room ON visits (room, came, number);
CREATE INDEX visits_by_user ON visits (room, username, came);
CREATE INDEX visits_by_account ON visits (account);
CREATE INDEX visits_by_end ON visits (app_id, left_at);
-- What a wrong clock has dated too late is looked for by these.
CREATE INDEX visits_by_coming ON visits (came);
CREATE INDEX visits_by_leaving ON visits (left_at);

-- step 7

-- What people show of themselves beside their user names; empty: nothing.
ALTER TABLE users ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- 1: nobody is told when they were last seen.
ALTER TABLE users ADD COLUMN hides_last_seen INTEGER NOT NULL DEFAULT 0;

-- Each name from each of its words on, folded as searches are.
CREATE TABLE name_words (
    beginning TEXT NOT NULL,
    lower_name TEXT NOT NULL REFERENCES users (lower_name) ON DELETE CASCADE,
    PRIMARY KEY (beginning, lower_name)
) STRICT, WITHOUT ROWID;

CREATE INDEX name_words_by_user ON name_words (lower_name);

-- What others still read of somebody who is invisible, and until when.
ALTER TABLE choices ADD COLUMN seen_text TEXT NOT NULL DEFAULT '';
ALTER TABLE choices ADD COLUMN seen_until INTEGER;

-- The Unix second in which the stay began; 0: in that of the status.
ALTER TABLE here ADD COLUMN came INTEGER NOT NULL DEFAULT 0;

-- step 8

-- How each node is, for whoever looks at another.
CREATE TABLE pulses (
    node TEXT PRIMARY KEY,
    -- Unix milliseconds by the database's clock.
    said_at INTEGER NOT NULL,
    -- JSON.
    said TEXT NOT NULL
) STRICT;

-- step 9

-- 1: others are told on what kinds of devices they are.
ALTER TABLE users ADD COLUMN shows_devices INTEGER NOT NULL DEFAULT 0;

-- step 10

-- Forms that were acted on a moment ago, so that a second click acts no second time.
CREATE TABLE submissions (
    -- HMACs of who sent it where, and of what it said.
    place TEXT PRIMARY KEY,
    said TEXT NOT NULL,
    -- Unix milliseconds by the database's clock.
    acted_at INTEGER NOT NULL,
    -- Encrypted, for a cookie is in it; NULL: not answered yet.
    answer TEXT
) STRICT;

-- step 11

-- The counter with which each row came, and who is no longer among them: so that a node that cannot
-- hear another reads what that has changed, and no more.
ALTER TABLE here ADD COLUMN counter INTEGER NOT NULL DEFAULT 0;
CREATE INDEX here_by_counter ON here (node, counter);

CREATE TABLE gone (
    node TEXT NOT NULL,
    counter INTEGER NOT NULL,
    room TEXT NOT NULL,
    session TEXT NOT NULL,
    PRIMARY KEY (node, counter, room, session)
) STRICT, WITHOUT ROWID;

-- All that changed behind this counter can be told by it; NULL: nothing can.
ALTER TABLE nodes ADD COLUMN traced_from INTEGER;

-- step 12

-- Since when its status holds, also of a choice that only says other words beside it; 0: since it
-- was made.
ALTER TABLE choices ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
