-- v4 no longer writes the audit; the releases before it do, so the table goes when they are gone.

-- contract
DROP TABLE order_audit;
