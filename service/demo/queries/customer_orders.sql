-- The latest orders of one customer.
-- @route GET /customers/{customer_id}/orders
-- @default limit 20
select id, status, total, placed_at
from orders
where customer_id = :customer_id
order by placed_at desc
limit :limit
