-- Sleeps for longer than it may, to see what a timeout looks like: a 504 after half a second.
-- @route GET /slow
-- @timeout 500ms
-- @default seconds 2
select :seconds::float8 as seconds
from pg_sleep(:seconds)
