-- The first schema. On an empty database there is no old code to be kind to.

-- expand
CREATE TABLE customers (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE orders (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    item        text NOT NULL,
    amount      integer NOT NULL, -- cents
    state       text NOT NULL DEFAULT 'new',
    placed_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE order_audit (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id bigint NOT NULL,
    what     text NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- down
DROP TABLE order_audit;
DROP TABLE orders;
DROP TABLE customers;
