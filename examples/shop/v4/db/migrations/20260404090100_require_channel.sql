-- orders.channel becomes NOT NULL. Code from v2 on always writes it; older orders have none.
--
-- The constraint waits for the contract half: even a NOT VALID check refuses every update of a row
-- that breaks it, and until the backfill is done there are such rows for the worker to update.

-- expand
ALTER TABLE orders ALTER COLUMN channel SET DEFAULT 'unknown'; -- for code that does not know it

-- backfill
UPDATE orders SET channel = 'unknown' WHERE channel IS NULL;

-- verify
SELECT id FROM orders WHERE channel IS NULL LIMIT 5;

-- contract
-- pilotage: transaction=false
ALTER TABLE orders ADD CONSTRAINT orders_channel_present CHECK (channel IS NOT NULL) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT orders_channel_present; -- reads the table, stops nobody
ALTER TABLE orders ALTER COLUMN channel SET NOT NULL; -- believes the constraint, reads nothing
ALTER TABLE orders DROP CONSTRAINT orders_channel_present;

-- down
ALTER TABLE orders ALTER COLUMN channel DROP DEFAULT;
