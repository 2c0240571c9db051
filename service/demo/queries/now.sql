-- No annotation is needed: this is GET /q/now.
select now() as now, version() as server
