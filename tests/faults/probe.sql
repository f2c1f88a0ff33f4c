-- What a fault run adds to its own database: who ran, and what was published.
CREATE SCHEMA faults;
CREATE TABLE faults.execution (task_id text NOT NULL, task text NOT NULL, at timestamptz NOT NULL DEFAULT now());
CREATE TABLE faults.begun (task_id text PRIMARY KEY);
CREATE TABLE faults.published (
    message_id bigint NOT NULL, task_id text NOT NULL, task text NOT NULL, retries integer NOT NULL
);
GRANT USAGE ON SCHEMA faults TO worker_rw;
GRANT SELECT, INSERT ON faults.execution, faults.begun TO worker_rw;

CREATE FUNCTION faults.note_published() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = faults, pg_temp AS $$
BEGIN
    INSERT INTO faults.published VALUES (NEW.id, NEW.task_id, NEW.message->'headers'->>'task',
                                         coalesce((NEW.message->'headers'->>'retries')::integer, 0));
    RETURN NULL;
END $$;
CREATE TRIGGER note_published AFTER INSERT ON gateway.broker_message
FOR EACH ROW WHEN (NEW.task_id IS NOT NULL) EXECUTE FUNCTION faults.note_published();
