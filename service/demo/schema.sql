-- A small shop: the same rows each time, so that examples can be compared.

create type address as (street text, city text, postcode text);
create type order_status as enum ('placed', 'paid', 'shipped', 'delivered');

create table customers (
    id integer generated always as identity primary key,
    name text not null,
    email text not null unique,
    home address not null,
    since date not null
);

create table products (
    id integer generated always as identity primary key,
    name text not null unique,
    price numeric(8, 2) not null check (price > 0),
    stock integer not null check (stock >= 0),
    tags text[] not null,
    attributes jsonb not null
);

create table orders (
    id integer generated always as identity primary key,
    customer_id integer not null references customers,
    status order_status not null default 'placed',
    total numeric(10, 2) not null check (total > 0),
    placed_at timestamptz not null default now()
);
create index on orders (customer_id, placed_at desc);

create table order_items (
    order_id integer not null references orders,
    product_id integer not null references products,
    quantity integer not null check (quantity > 0),
    price numeric(8, 2) not null,
    primary key (order_id, product_id)
);

insert into customers (name, email, home, since)
select first || ' ' || last,
       lower(first) || '.' || lower(last) || i || '@example.com',
       row(1 + i % 90 || ' ' || street || ' Street', city, to_char(10000 + i * 37 % 89999, 'FM00000'))::address,
       date '2020-01-01' + i * 2
from generate_series(0, 999) as i,
     lateral (select
         (array['Ada', 'Alan', 'Barbara', 'Dennis', 'Donald', 'Edsger', 'Frances', 'Grace', 'Ken', 'Margaret'])[1 + i % 10] as first,
         (array['Allen', 'Dijkstra', 'Hamilton', 'Hopper', 'Knuth', 'Liskov', 'Lovelace', 'Ritchie', 'Thompson', 'Turing'])[1 + i / 10 % 10] as last,
         (array['Mill', 'River', 'Bridge', 'Lock', 'Harbour'])[1 + i % 5] as street,
         (array['Upton', 'Millbrook', 'Ashford', 'Weirton', 'Eastlake', 'Norwell', 'Fordham'])[1 + i % 7] as city) as words;

insert into products (name, price, stock, tags, attributes)
select adjective || ' ' || noun,
       (199 + i * 7919 % 9800) / 100.0,
       20 + i * 31 % 180,
       array[lower(adjective), kind],
       jsonb_build_object('colour', (array['red', 'green', 'blue', 'black'])[1 + i % 4], 'weight_g', 50 + i * 13 % 950)
from generate_series(0, 199) as i,
     lateral (select
         (array['Bright', 'Calm', 'Deep', 'Fast', 'Fine', 'Folding', 'Grand', 'Heavy', 'Light', 'Little',
                'Long', 'New', 'Old', 'Plain', 'Quiet', 'Round', 'Small', 'Smart', 'Steady', 'Warm'])[1 + i / 10] as adjective,
         (array['Basket', 'Bottle', 'Chair', 'Compass', 'Kettle', 'Lamp', 'Paddle', 'Rope', 'Tent', 'Whistle'])[1 + i % 10] as noun,
         (array['home', 'kitchen', 'home', 'outdoor', 'kitchen', 'home', 'outdoor', 'outdoor', 'outdoor', 'outdoor'])[1 + i % 10] as kind) as words;

insert into orders (customer_id, status, total, placed_at)
select 1 + i * 389 % 1000,
       (array['delivered', 'delivered', 'shipped', 'paid', 'placed'])[1 + i % 5]::order_status,
       1,
       timestamptz '2026-01-01 08:00:00+00' + i * interval '53 minutes'
from generate_series(0, 4999) as i;

insert into order_items (order_id, product_id, quantity, price)
select o.id, p.id, 1 + (o.id + item) % 3, p.price
from orders o
cross join lateral generate_series(1, 1 + o.id % 4) as item
join products p on p.id = 1 + (o.id * 7 + item * 53) % 200;

update orders o
set total = (select sum(quantity * price) from order_items where order_id = o.id);

-- What changes from here on is told: curl -N …/events/orders.
create function tell_order() returns trigger language plpgsql as $$
begin
    perform pg_notify('orders', jsonb_build_object('order', new.id, 'customer', new.customer_id,
                                                   'status', new.status, 'total', new.total)::text);
    return null;
end $$;
create trigger tell_order after insert or update on orders
    for each row execute function tell_order();

analyze;
