-- One product, or 404.
-- @route GET /products/{id}
-- @returns row
select id, name, price, stock, tags, attributes
from products
where id = :id
