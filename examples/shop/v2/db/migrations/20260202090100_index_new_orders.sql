-- The worker asks for new orders five times a second; it should not read all of them to find them.

-- expand
-- pilotage: transaction=false
CREATE INDEX CONCURRENTLY orders_new_idx ON orders (id) WHERE state = 'new';

-- down
-- pilotage: transaction=false
DROP INDEX CONCURRENTLY orders_new_idx;
