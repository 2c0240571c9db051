-- One order with everything in it, or 404: a composite, an array and JSON made in SQL.
-- @route GET /orders/{id}
-- @returns row
select o.id, o.status, o.total, o.placed_at,
       c.name as customer,
       c.home as ship_to,
       array_agg(p.id order by p.id) as product_ids,
       json_agg(json_build_object('product', p.name, 'quantity', i.quantity, 'price', i.price)
                order by p.id) as items
from orders o
join customers c on c.id = o.customer_id
join order_items i on i.order_id = o.id
join products p on p.id = i.product_id
where o.id = :id
group by o.id, c.id
