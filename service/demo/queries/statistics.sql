-- Orders and revenue by month, with the share of each in all.
-- @route GET /statistics
-- @cache 10s
select to_char(date_trunc('month', placed_at at time zone 'UTC'), 'YYYY-MM') as month,
       count(*) as orders,
       sum(total) as revenue,
       round(100 * sum(total) / sum(sum(total)) over (), 1) as percent
from orders
group by 1
order by 1
