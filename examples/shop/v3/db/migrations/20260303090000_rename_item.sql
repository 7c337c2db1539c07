-- Renames orders.item to orders.product, which every request reads and writes.
--
-- Old code goes on using `item` and new code uses `product`, at the same time, on the same rows. The
-- trigger copies whichever of the two was written to the other.

-- expand
-- pilotage: allow=create-trigger because it only keeps item and product equal
ALTER TABLE orders ADD COLUMN product text;

CREATE FUNCTION orders_item_product() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.product := coalesce(NEW.product, NEW.item);
        NEW.item := coalesce(NEW.item, NEW.product);
    ELSIF NEW.product IS DISTINCT FROM OLD.product THEN -- new code, or the backfill
        NEW.item := NEW.product;
    ELSE -- old code, or a row that is not backfilled yet
        NEW.product := NEW.item;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER orders_item_product BEFORE INSERT OR UPDATE ON orders
    FOR EACH ROW EXECUTE FUNCTION orders_item_product();

-- Holds for every row written from now on, because of the trigger; the contract half validates it
-- for the others, so that NOT NULL need not read the table under a lock.
ALTER TABLE orders ADD CONSTRAINT orders_product_present CHECK (product IS NOT NULL) NOT VALID;

-- backfill
UPDATE orders SET product = item WHERE product IS NULL;

-- verify
SELECT id, item, product FROM orders WHERE product IS DISTINCT FROM item LIMIT 5;

-- contract
-- One transaction: without the trigger, new code could not fill `item` while it is still there.
ALTER TABLE orders VALIDATE CONSTRAINT orders_product_present;
ALTER TABLE orders ALTER COLUMN product SET NOT NULL;
ALTER TABLE orders DROP CONSTRAINT orders_product_present;
DROP TRIGGER orders_item_product ON orders;
DROP FUNCTION orders_item_product();
ALTER TABLE orders DROP COLUMN item;

-- down
DROP TRIGGER orders_item_product ON orders;
DROP FUNCTION orders_item_product();
ALTER TABLE orders DROP COLUMN product;
