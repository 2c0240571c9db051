-- Adds to a product's stock, and answers with how many rows that changed.
-- @route POST /products/{id}/stock
-- @returns count
update products
set stock = stock + :amount
where id = :id
