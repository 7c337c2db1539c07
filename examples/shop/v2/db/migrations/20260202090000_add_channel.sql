-- Where an order came from. Orders of older code have none.

-- expand
ALTER TABLE orders ADD COLUMN channel text;

-- down
ALTER TABLE orders DROP COLUMN channel;
