-- Version 1. Names of objects are the last elements of their store paths.
CREATE TABLE objects (
  id     INTEGER PRIMARY KEY,
  name   TEXT NOT NULL UNIQUE,
  digest BLOB NOT NULL,
  size   INTEGER NOT NULL,
  files  INTEGER NOT NULL,
  self   INTEGER NOT NULL -- whether it refers to itself
) STRICT;
CREATE TABLE object_references (
  object    INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
  reference INTEGER NOT NULL REFERENCES objects (id),
  PRIMARY KEY (object, reference)
) STRICT, WITHOUT ROWID;
-- The id grows with time: of several realisations of derivations with one name the newest has the greatest.
CREATE TABLE realisations (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  key      BLOB NOT NULL UNIQUE,
  name     TEXT NOT NULL,
  text     BLOB NOT NULL,
  duration INTEGER NOT NULL -- nanoseconds
) STRICT;
CREATE INDEX realisations_by_name ON realisations (name, id);
CREATE TABLE outputs (
  realisation INTEGER NOT NULL REFERENCES realisations (id) ON DELETE CASCADE,
  output      TEXT NOT NULL,
  object      INTEGER NOT NULL REFERENCES objects (id),
  PRIMARY KEY (realisation, output)
) STRICT, WITHOUT ROWID;
CREATE TABLE derivations (
  id  BLOB PRIMARY KEY,
  key BLOB NOT NULL
) STRICT, WITHOUT ROWID;
