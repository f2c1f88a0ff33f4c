-- What signs stream tokens. A new row is a new key: the newest signs, the others still open what they signed, and
-- deleting one ends its tokens. The default draws 32 bytes from four random UUIDs of 122 random bits each.
CREATE TABLE stream_token_key (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    secret bytea NOT NULL DEFAULT sha256(
        uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
        || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
    ) CHECK (length(secret) = 32),
    created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO stream_token_key DEFAULT VALUES;
