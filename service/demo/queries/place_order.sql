-- Places an order: {"customer_id": 7, "product_ids": [1, 2], "quantities": [1, 3]}.
-- A customer or product that does not exist is a conflict (409), a quantity of none is wrong (400).
-- @route POST /orders
-- @returns row
with lines as (
    select l.product_id, l.quantity, coalesce(p.price, 0) as price
    from unnest(:product_ids::integer[], :quantities::integer[]) as l (product_id, quantity)
    left join products p on p.id = l.product_id
), placed as (
    insert into orders (customer_id, total)
    select :customer_id::integer, coalesce(sum(quantity * price), 0) from lines
    returning id, customer_id, status, total, placed_at
), items as (
    insert into order_items (order_id, product_id, quantity, price)
    select placed.id, lines.product_id, lines.quantity, lines.price from placed, lines
)
select * from placed
