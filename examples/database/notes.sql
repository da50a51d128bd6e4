-- What the database begins with.
\connect notes
CREATE TABLE note (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text NOT NULL);
GRANT SELECT, INSERT ON note TO ann;
INSERT INTO note (text) VALUES ('The first note.');
