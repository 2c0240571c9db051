-- The best customers, asked of a replica that is at most 5 s behind.
-- @route GET /customers/best
-- @pool replica
-- @default limit 10
select c.id, c.name, sum(o.total) as total
from orders o
join customers c on c.id = o.customer_id
group by c.id
order by total desc
limit :limit
