-- A test asks one thing, its input, or several things in turn; the input is the JSON null then.
ALTER TABLE test
    ADD COLUMN turns jsonb,
    ADD CONSTRAINT test_asks_one_thing CHECK ((input = 'null') = (turns IS NOT NULL));
