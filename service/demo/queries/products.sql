-- All products, page by page.
-- @route GET /products
-- @default limit 20
-- @default offset 0
select id, name, price, stock, tags
from products
order by id
limit :limit offset :offset
