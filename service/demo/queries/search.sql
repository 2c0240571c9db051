-- Products by any of name, tag and price; what is left out does not matter.
-- @route GET /products/search
-- @optional name
-- @optional tag
-- @optional min_price
-- @optional max_price
-- @default limit 20
select id, name, price, tags
from products
where (:name::text is null or name ilike '%' || :name || '%')
  and (:tag::text is null or :tag = any (tags))
  and (:min_price::numeric is null or price >= :min_price)
  and (:max_price::numeric is null or price <= :max_price)
order by price, id
limit :limit
