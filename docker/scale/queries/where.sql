-- Which server answers @pool replica: the standby, unless it is away.
-- @route GET /where
-- @returns row
-- @pool replica
select pg_is_in_recovery() as standby, host(inet_server_addr()) as address
