-- orders.amount is an integer and too small. ALTER COLUMN … TYPE bigint would rewrite the table under
-- a lock that stops every reader, so the wide type gets a column of its own, as a rename does.

-- expand
-- pilotage: allow=create-trigger because it only keeps amount and amount_cents equal
ALTER TABLE orders ADD COLUMN amount_cents bigint;

CREATE FUNCTION orders_amount_cents() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    widest CONSTANT bigint := 2147483647; -- old code sees no more than its column can hold
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.amount_cents := coalesce(NEW.amount_cents, NEW.amount);
        NEW.amount := coalesce(NEW.amount, least(NEW.amount_cents, widest));
    ELSIF NEW.amount_cents IS DISTINCT FROM OLD.amount_cents THEN -- new code, or the backfill
        NEW.amount := least(NEW.amount_cents, widest);
    ELSIF NEW.amount IS DISTINCT FROM OLD.amount OR NEW.amount_cents IS NULL THEN -- old code
        NEW.amount_cents := NEW.amount;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER orders_amount_cents BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_amount_cents();

ALTER TABLE orders ADD CONSTRAINT orders_amount_cents_present
    CHECK (amount_cents IS NOT NULL) NOT VALID;

-- backfill
UPDATE orders SET amount_cents = amount WHERE amount_cents IS NULL;

-- verify
SELECT id, amount, amount_cents FROM orders
WHERE amount IS DISTINCT FROM least(amount_cents, 2147483647) LIMIT 5;

-- contract
ALTER TABLE orders VALIDATE CONSTRAINT orders_amount_cents_present;
ALTER TABLE orders ALTER COLUMN amount_cents SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_amount_cents_present;
DROP TRIGGER orders_amount_cents ON orders;
DROP FUNCTION orders_amount_cents();
ALTER TABLE orders DROP COLUMN amount;

-- down
DROP TRIGGER orders_amount_cents ON orders;
DROP FUNCTION orders_amount_cents();
ALTER TABLE orders DROP COLUMN amount_cents;
